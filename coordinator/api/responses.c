#include "coordinator/api/responses.h"

#include "common/env.h"
#include "common/json/json.h"
#include "common/text.h"
#include "coordinator/api/recordings.h"
#include "coordinator/dialects/responses/response_store.h"
#include "coordinator/dialects/responses/responses.h"
#include "coordinator/dialects/responses/responses_object.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    BODY_MAX = 64 * 1024 * 1024,
    PAGE_DEFAULT = 20, /* items in one answer of a list */
    PAGE_MAX = 100,
};

/* --- starting --- */

static int print_queued(const struct call *call, const struct request *request, struct buf *out)
{
    char id[RESPONSES_ID_MAX + 1];
    struct responses_object object = {.id = responses_id(request->id, id),
            .model = request->asked,
            .created_s = env_wall_ms(call->api->view->env) / 1000,
            .status = "queued",
            .kept = request->kept};
    int r = responses_object_append(&object, out, NULL, NULL);
    return r ? r : buf_terminate(out);
}

static int begin(const struct call *call, const struct request *request,
        struct recording **ret_recording, struct err *err)
{
    char id[RESPONSES_ID_MAX + 1];
    const cJSON *kept = request->kept;
    struct recording_config config = {.id = responses_id(request->id, id),
            .owner = json_str(kept, "owner", ""),
            .previous = json_str(kept, "previous", ""),
            .input = json_str(kept, "input", "[]"),
            .follow = json_bool(kept, "follow", false)};
    struct buf object;
    buf_init(&object, BODY_MAX);
    int r = print_queued(call, request, &object);
    config.object = buf_at(&object);
    if (r)
        r = err_set(err, -ENOMEM, "no memory for a response in the background");
    else
        r = recordings_begin(call->api->recordings, &config, ret_recording, err);
    buf_fini(&object);
    return r;
}

void responses_start(const struct call *call, struct request *request, struct job_terms *terms)
{
    struct recording *recording;
    struct err err;
    int r = begin(call, request, &recording, &err);
    if (r == -EBUSY)
        call_fail(call, 503, "overloaded", NULL, err.text);
    else if (r)
        call_fail(call, 500, "internal_error", NULL, err.text);
    if (r) {
        job_terms_destroy(terms);
        return;
    }
    if (request->skipped[0])
        http_exchange_set_header(call->exchange, "X-Modemesh-Skipped", request->skipped);
    struct reply reply = recording_reply(recording);
    jobs_start(call->api->jobs, &reply, call->dialect, request, terms);
    recording_answer(recording, call->exchange);
}

/* --- finding --- */

struct found { /* one of the two, or neither */
    struct recording *recording;
    const char *object; /* of the store; borrowed until its next call */
};

static struct found find(const struct call *call, char owner[static REQUEST_CLIENT_MAX])
{
    caller_name(call->caller, owner, REQUEST_CLIENT_MAX);
    struct found found = {.recording = recordings_find(call->api->recordings, owner, call->tail)};
    if (!found.recording)
        found.object = response_store_object(call->api->responses, owner, call->tail);
    return found;
}

static void fail_not_found(const struct call *call)
{
    call_fail(call, 404, "not_found", "response_id",
            "there is no such response (any more); responses are kept for a while only, and only "
            "where they were not asked for with \"store\":false");
}

static void reply_recording(const struct call *call, const struct recording *recording)
{
    struct buf body;
    buf_init(&body, BODY_MAX);
    call_reply_json(call, recording_object(recording, &body), &body);
    buf_fini(&body);
}

/* --- GET --- */

/* -EINVAL: it was answered. */
static int read_number(const struct call *call, const char *name, uint64_t min, uint64_t max,
        uint64_t def, uint64_t *ret_number)
{
    const char *text = http_exchange_query(call->exchange, name);
    char message[96];
    *ret_number = def;
    if (!text || (text_parse_u64(text, ret_number, NULL) == 0 && *ret_number >= min &&
                         *ret_number <= max))
        return 0;
    snprintf(message, sizeof(message), "\"%s\" must be a whole number from %llu to %llu", name,
            (unsigned long long)min, (unsigned long long)max);
    call_fail(call, 400, "invalid_request", name, message);
    return -EINVAL;
}

static void stream(const struct call *call, const struct found *found)
{
    bool given = http_exchange_query(call->exchange, "starting_after") != NULL;
    uint64_t after;
    if (read_number(call, "starting_after", 0, JSON_WHOLE_MAX, 0, &after))
        return;
    if (found->recording)
        recording_follow(found->recording, call->exchange, given ? after + 1 : 0);
    else
        call_fail(call, 400, "invalid_request", "stream",
                "this response has no events (any more): they are recorded for those with "
                "\"background\":true, and kept for a while");
}

void responses_serve_get(const struct call *call)
{
    char owner[REQUEST_CLIENT_MAX];
    struct found found = find(call, owner);
    const char *streamed = http_exchange_query(call->exchange, "stream");
    if (!found.recording && !found.object)
        fail_not_found(call);
    else if (streamed && strcmp(streamed, "true") == 0)
        stream(call, &found);
    else if (found.recording)
        reply_recording(call, found.recording);
    else
        http_exchange_reply(
                call->exchange, 200, "application/json", found.object, strlen(found.object));
}

/* --- DELETE and cancel --- */

void responses_serve_delete(const struct call *call)
{
    char owner[REQUEST_CLIENT_MAX];
    struct found found = find(call, owner);
    struct buf body;
    if (!found.recording && !found.object) {
        fail_not_found(call);
        return;
    }
    if (found.recording)
        recording_delete(found.recording);
    else
        (void)!response_store_delete(call->api->responses, owner, call->tail);
    buf_init(&body, BODY_MAX);
    int r = buf_append_str(&body, "{\"id\":");
    if (!r)
        r = json_append_str(&body, call->tail, strlen(call->tail));
    if (!r)
        r = buf_append_str(&body, ",\"object\":\"response\",\"deleted\":true}");
    call_reply_json(call, r, &body);
    buf_fini(&body);
}

/* One that has ended is as it is. */
void responses_serve_cancel(const struct call *call)
{
    char owner[REQUEST_CLIENT_MAX];
    struct found found = find(call, owner);
    if (found.recording) {
        recording_cancel(found.recording);
        reply_recording(call, found.recording);
    } else if (found.object) {
        call_fail(call, 400, "invalid_request", "response_id",
                "only a response with \"background\":true can be cancelled; closing the connection "
                "ends any other");
    } else {
        fail_not_found(call);
    }
}

/* --- input items --- */

struct page {
    uint64_t limit;
    const char *after; /* an item's id; NULL: from the first one */
    bool ascending;
};

static int read_page(const struct call *call, struct page *ret_page)
{
    const char *order = http_exchange_query(call->exchange, "order");
    ret_page->ascending = order && strcmp(order, "asc") == 0;
    if (order && !ret_page->ascending && strcmp(order, "desc") != 0) {
        call_fail(call, 400, "invalid_request", "order", "\"order\" must be \"asc\" or \"desc\"");
        return -EINVAL;
    }
    int r = read_number(call, "limit", 1, PAGE_MAX, PAGE_DEFAULT, &ret_page->limit);
    ret_page->after = http_exchange_query(call->exchange, "after");
    return r;
}

static const char *item_id(const cJSON *item)
{
    return json_str(item, "id", "");
}

/* In the order of the page; NULL behind the last one. cJSON: the first one's `prev` is the last. */
static const cJSON *next_item(const struct page *page, const cJSON *item)
{
    if (page->ascending)
        return item->next;
    return item->prev->next ? item->prev : NULL;
}

static const cJSON *first_item(const struct page *page, const cJSON *items)
{
    const cJSON *item = items->child;
    if (item && !page->ascending)
        item = item->prev;
    if (!page->after)
        return item;
    while (item && strcmp(item_id(item), page->after) != 0)
        item = next_item(page, item);
    return item ? next_item(page, item) : NULL;
}

static int append_id(struct buf *out, const char *key, const cJSON *item)
{
    int r = buf_appendf(out, ",\"%s\":", key);
    if (r)
        return r;
    return item ? json_append_str(out, item_id(item), strlen(item_id(item)))
                : buf_append_str(out, "null");
}

static int append_list(const struct page *page, const cJSON *items, struct buf *out)
{
    const cJSON *first = first_item(page, items), *item = first, *last = NULL;
    int r = buf_append_str(out, "{\"object\":\"list\",\"data\":[");
    for (uint64_t count = 0; item && count < page->limit && !r; count++) {
        r = count ? buf_append_str(out, ",") : 0;
        r = r ? r : json_append(out, item);
        last = item;
        item = next_item(page, item);
    }
    if (r || buf_append_str(out, "]") || append_id(out, "first_id", first) ||
            append_id(out, "last_id", last))
        return -ENOBUFS;
    return buf_appendf(out, ",\"has_more\":%s}", item ? "true" : "false");
}

static int read_input(const struct call *call, cJSON **ret_items)
{
    char owner[REQUEST_CLIENT_MAX];
    struct found found = find(call, owner);
    if (found.recording)
        return response_input_parse(call->tail, recording_input(found.recording), ret_items);
    return response_store_input(call->api->responses, owner, call->tail, ret_items);
}

void responses_serve_input_items(const struct call *call)
{
    struct page page;
    cJSON *items = NULL;
    struct buf body;
    if (read_page(call, &page))
        return;
    int r = read_input(call, &items);
    if (r == -ENOENT) {
        fail_not_found(call);
        return;
    }
    buf_init(&body, BODY_MAX);
    call_reply_json(call, r ? r : append_list(&page, items, &body), &body);
    buf_fini(&body);
    cJSON_Delete(items);
}

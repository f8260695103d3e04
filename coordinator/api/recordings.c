#include "coordinator/api/recordings.h"

#include "common/json/json.h"
#include "common/list.h"
#include "coordinator/dialects/responses/response_store.h"
#include "coordinator/inner_reply.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_AFTER_MAX = 16 };

static const char object_mark[] = ",\"response\":"; /* of events that hold it: behind the number */

struct recordings {
    struct recordings_config config;
    struct list list; /* recording.link, oldest first */
    size_t count, bytes;
};

struct recording {
    struct recordings *recordings;
    struct list link;
    char *id, *owner, *previous, *input;
    char *object; /* before the first event that holds one */
    bool follow;

    struct buf events;
    size_t *starts; /* where in `events` each begins */
    size_t count, room;
    size_t last_object; /* the newest event that holds the response; SIZE_MAX: none */
    struct list followers;

    bool running;
    struct inner_reply answer;
    uint64_t ended_us;

    int refused_status; /* of an answer that came instead of events; 0: none */
    struct buf refusal;
    char retry_after[RETRY_AFTER_MAX];
};

struct follower {
    struct list link;
    struct recording *recording;
    struct http_exchange *exchange;
    uint64_t next; /* number of the event that it gets next */
};

/* --- followers --- */

static void follower_free(struct follower *follower)
{
    list_del(&follower->link);
    free(follower);
}

static size_t event_len(const struct recording *recording, size_t number)
{
    size_t end =
            number + 1 < recording->count ? recording->starts[number + 1] : recording->events.len;
    return end - recording->starts[number];
}

static const char *event_at(const struct recording *recording, size_t number)
{
    return buf_at(&recording->events) + recording->starts[number];
}

/* May free it. */
static void pump(struct follower *follower)
{
    const struct recording *recording = follower->recording;
    struct http_exchange *exchange = follower->exchange;
    int r = 0;
    while (!r && follower->next < recording->count && http_exchange_room(exchange) > 0) {
        r = http_exchange_write(exchange, event_at(recording, follower->next),
                event_len(recording, follower->next));
        follower->next++;
    }
    if (r)
        http_exchange_abort(exchange);
    else if (follower->next >= recording->count && !recording->running)
        http_exchange_end(exchange);
    else
        return;
    follower_free(follower);
}

static void pump_all(struct recording *recording)
{
    list_for_each_safe (it, &recording->followers)
        pump(list_entry(it, struct follower, link));
}

static void on_follower_room(void *ctx)
{
    pump(ctx);
}

static void on_follower_gone(void *ctx)
{
    follower_free(ctx);
}

static const struct http_exchange_events follower_events = {
        .on_room = on_follower_room, .on_gone = on_follower_gone};

void recording_follow(struct recording *recording, struct http_exchange *exchange, uint64_t first)
{
    static const char no_memory[] = "{\"error\":{\"message\":\"no memory\",\"type\":"
                                    "\"server_error\",\"param\":null,\"code\":\"internal_error\"}}";
    struct follower *follower = calloc(1, sizeof(*follower));
    if (!follower) {
        http_exchange_reply(exchange, 500, "application/json", no_memory, strlen(no_memory));
        return;
    }
    *follower = (struct follower){.recording = recording, .exchange = exchange, .next = first};
    list_push_back(&recording->followers, &follower->link);
    http_exchange_watch(exchange, &follower_events, follower);
    http_exchange_set_header(exchange, "Cache-Control", "no-cache");
    http_exchange_set_header(exchange, "X-Accel-Buffering", "no");
    http_exchange_begin(exchange, 200, "text/event-stream");
    pump(follower);
}

/* --- memory --- */

static void cut_followers(struct recording *recording)
{
    list_for_each_safe (it, &recording->followers) {
        struct follower *follower = list_entry(it, struct follower, link);
        http_exchange_abort(follower->exchange);
        follower_free(follower);
    }
}

/* What it holds on to from its beginning. */
static size_t config_bytes(const struct recording_config *config)
{
    return strlen(config->input) + strlen(config->object);
}

static size_t recording_bytes(const struct recording *recording)
{
    return strlen(recording->input) + strlen(recording->object) + recording->events.len;
}

static void recording_free(struct recording *recording)
{
    if (list_linked(&recording->link)) {
        recording->recordings->count--;
        recording->recordings->bytes -= recording_bytes(recording);
    }
    list_del(&recording->link);
    cut_followers(recording);
    free(recording->id);
    free(recording->owner);
    free(recording->previous);
    free(recording->input);
    free(recording->object);
    buf_fini(&recording->events);
    free(recording->starts);
    buf_fini(&recording->refusal);
    free(recording);
}

/* False where there is none. */
static bool forget_oldest(struct recordings *recordings)
{
    list_for_each (it, &recordings->list) {
        struct recording *recording = list_entry(it, struct recording, link);
        if (recording->running)
            continue;
        recording_free(recording);
        return true;
    }
    return false;
}

/* --- events --- */

static int grow_starts(struct recording *recording)
{
    if (recording->count < recording->room)
        return 0;
    size_t room = recording->room ? recording->room * 2 : 64;
    size_t *starts = reallocarray(recording->starts, room, sizeof(*starts));
    if (!starts)
        return -ENOMEM;
    recording->starts = starts;
    recording->room = room;
    return 0;
}

static bool holds_object(const char *event, size_t len)
{
    static const char *const lines[] = {"event: response.created\n",
            "event: response.in_progress\n", "event: response.completed\n",
            "event: response.incomplete\n", "event: response.failed\n"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (len > strlen(lines[i]) && memcmp(event, lines[i], strlen(lines[i])) == 0)
            return true;
    return false;
}

static int make_room(struct recordings *recordings, size_t len)
{
    while (len > recordings->config.bytes_max - recordings->bytes)
        if (!forget_oldest(recordings))
            return -ENOBUFS;
    return 0;
}

static int add_event(struct recording *recording, const char *event, size_t len)
{
    size_t start = recording->events.len;
    int r = make_room(recording->recordings, len);
    if (!r)
        r = grow_starts(recording);
    if (!r)
        r = buf_append(&recording->events, event, len);
    if (r)
        return r;
    recording->recordings->bytes += len;
    if (holds_object(event, len))
        recording->last_object = recording->count;
    recording->starts[recording->count++] = start;
    return 0;
}

/* An event ends with an empty line; there is none within. */
static int add_events(struct recording *recording, const char *data, size_t len)
{
    int r = 0;
    while (len > 0 && !r) {
        const char *mark = memmem(data, len, "\n\n", strlen("\n\n"));
        size_t size = mark ? (size_t)(mark - data) + strlen("\n\n") : len;
        r = add_event(recording, data, size);
        data += size;
        len -= size;
    }
    return r;
}

/* --- the object --- */

int recording_object(const struct recording *recording, struct buf *out)
{
    if (recording->last_object == SIZE_MAX)
        return buf_append_str(out, recording->object);
    const char *event = event_at(recording, recording->last_object);
    size_t len = event_len(recording, recording->last_object);
    const char *mark = memmem(event, len, object_mark, strlen(object_mark));
    if (!mark)
        return buf_append_str(out, recording->object);
    const char *object = mark + strlen(object_mark);
    return buf_append(out, object, len - (size_t)(object - event) - strlen("}\n\n"));
}

static bool set_text(cJSON *object, const char *key, const char *text)
{
    cJSON *item = text ? cJSON_CreateString(text) : cJSON_CreateNull();
    if (item && cJSON_ReplaceItemInObjectCaseSensitive(object, key, item))
        return true;
    cJSON_Delete(item);
    return false;
}

static bool set_error(cJSON *object, const char *code, const char *message)
{
    cJSON *error = cJSON_CreateObject();
    if (error && cJSON_AddStringToObject(error, "code", code) &&
            cJSON_AddStringToObject(error, "message", message) &&
            cJSON_ReplaceItemInObjectCaseSensitive(object, "error", error))
        return true;
    cJSON_Delete(error);
    return false;
}

struct ending {
    const char *status;
    const char *code, *message; /* NULL: no error */
};

/* The response as it is now, but for how it has ended. NULL for lack of memory. */
static char *print_ended(const struct recording *recording, const struct ending *ending)
{
    struct buf text;
    cJSON *object = NULL;
    char *printed = NULL;
    buf_init(&text, RECORDING_BYTES_MAX);
    if (recording_object(recording, &text) == 0 &&
            json_parse(buf_at(&text), text.len, &json_limits_request, &object, NULL) == 0 &&
            set_text(object, "status", ending->status) &&
            (!ending->code || set_error(object, ending->code, ending->message)))
        printed = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    buf_fini(&text);
    return printed;
}

/* --- the end --- */

/* For who asks when the recording is forgotten. Where it cannot be kept, he is told that it is not
 * there. */
static void store_object(const struct recording *recording, const char *object)
{
    struct stored_response response = {.id = recording->id,
            .owner = recording->owner,
            .previous = recording->previous,
            .input = recording->input,
            .object = object};
    (void)!response_store_put(recording->recordings->config.store, &response);
}

static int add_lifecycle(struct recording *recording, const char *type, const char *object)
{
    struct buf event;
    buf_init(&event, RECORDING_BYTES_MAX);
    int r = buf_appendf(&event,
            "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%zu,\"response\":%s}\n\n", type,
            type, recording->count, object);
    if (!r)
        r = add_event(recording, buf_at(&event), event.len);
    buf_fini(&event);
    return r;
}

/* Readers know of no response before it is created. */
static int add_ending(struct recording *recording, const char *object)
{
    int r = recording->count ? 0 : add_lifecycle(recording, "response.created", recording->object);
    return r ? r : add_lifecycle(recording, "response.failed", object);
}

/* Where there is no memory to tell how it ended, who reads is cut off. */
static void tell_ending(struct recording *recording, const struct ending *ending)
{
    char *object = print_ended(recording, ending);
    if (object)
        store_object(recording, object);
    if (!object || add_ending(recording, object))
        cut_followers(recording);
    cJSON_free(object);
}

/* The job says no more from here on. */
static void end_recording(struct recording *recording)
{
    recording->running = false;
    recording->ended_us = env_now_us(recording->recordings->config.env);
    pump_all(recording);
}

static bool tells_failure(const struct recording *recording)
{
    static const char line[] = "event: response.failed\n";
    return recording->count > 0 &&
           strncmp(event_at(recording, recording->count - 1), line, strlen(line)) == 0;
}

/* --- what the job sees --- */

static void on_header(void *ctx, const char *name, const char *value)
{
    struct recording *recording = ctx;
    if (strcmp(name, "Retry-After") == 0)
        snprintf(recording->retry_after, sizeof(recording->retry_after), "%s", value);
}

/* An answer that is no stream is an error. */
static void on_whole(void *ctx, int status, const void *body, size_t len)
{
    struct recording *recording = ctx;
    cJSON *json = NULL;
    (void)!json_parse(body, len, &json_limits_event, &json, NULL);
    const cJSON *error = json_obj(json, "error");
    struct ending ending = {.status = "failed",
            .code = json_str(error, "code", "server_error"),
            .message = json_str(error, "message", "the request failed")};
    recording->refused_status = status;
    if (buf_append(&recording->refusal, body, len))
        buf_clear(&recording->refusal);
    tell_ending(recording, &ending);
    end_recording(recording);
    cJSON_Delete(json);
}

/* It takes what comes: who reads later cannot slow the engine down. */
static int on_piece(void *ctx, const void *data, size_t len)
{
    struct recording *recording = ctx;
    int r = add_events(recording, data, len);
    if (!r)
        pump_all(recording);
    return r;
}

/* A response that has failed is not in the store by itself. */
static void note_end(struct recording *recording)
{
    struct buf object;
    buf_init(&object, RECORDING_BYTES_MAX);
    if (tells_failure(recording) && recording_object(recording, &object) == 0 &&
            buf_terminate(&object) == 0)
        store_object(recording, buf_at(&object));
    buf_fini(&object);
}

static void on_end(void *ctx, bool complete)
{
    static const struct ending cut = {.status = "failed",
            .code = "server_error",
            .message = "the answer could not be completed"};
    struct recording *recording = ctx;
    if (complete)
        note_end(recording);
    else
        tell_ending(recording, &cut);
    end_recording(recording);
}

static const struct inner_reply_events answer_events = {
        .on_header = on_header, .on_piece = on_piece, .on_whole = on_whole, .on_end = on_end};

struct reply recording_reply(struct recording *recording)
{
    return inner_reply_for_job(&recording->answer);
}

/* --- what clients want --- */

/* What was refused before anything began is told as it is, so that the client's retry works. */
static void refuse(struct recording *recording, struct http_exchange *exchange)
{
    if (recording->retry_after[0])
        http_exchange_set_header(exchange, "Retry-After", recording->retry_after);
    http_exchange_reply(exchange, recording->refused_status, "application/json",
            buf_at(&recording->refusal), recording->refusal.len);
    recording_delete(recording);
}

void recording_answer(struct recording *recording, struct http_exchange *exchange)
{
    if (recording->refused_status)
        refuse(recording, exchange);
    else if (recording->follow)
        recording_follow(recording, exchange, 0);
    else
        http_exchange_reply(
                exchange, 200, "application/json", recording->object, strlen(recording->object));
}

struct recording *recordings_find(struct recordings *recordings, const char *owner, const char *id)
{
    list_for_each (it, &recordings->list) {
        struct recording *recording = list_entry(it, struct recording, link);
        if (strcmp(recording->id, id) == 0 && strcmp(recording->owner, owner) == 0)
            return recording;
    }
    return NULL;
}

const char *recording_input(const struct recording *recording)
{
    return recording->input;
}

void recording_cancel(struct recording *recording)
{
    static const struct ending ending = {.status = "cancelled"};
    if (!recording->running)
        return;
    inner_reply_leave(&recording->answer);
    tell_ending(recording, &ending);
    end_recording(recording);
}

void recording_delete(struct recording *recording)
{
    inner_reply_leave(&recording->answer);
    (void)!response_store_delete(
            recording->recordings->config.store, recording->owner, recording->id);
    recording_free(recording);
}

/* --- all of them --- */

struct recordings *recordings_create(const struct recordings_config *config)
{
    struct recordings *recordings = calloc(1, sizeof(*recordings));
    if (!recordings)
        return NULL;
    recordings->config = *config;
    if (!recordings->config.count_max)
        recordings->config.count_max = RECORDINGS_MAX;
    if (!recordings->config.bytes_max)
        recordings->config.bytes_max = RECORDINGS_BYTES_MAX;
    list_init(&recordings->list);
    return recordings;
}

void recordings_destroy(struct recordings *recordings)
{
    if (!recordings)
        return;
    list_for_each_safe (it, &recordings->list) {
        struct recording *recording = list_entry(it, struct recording, link);
        inner_reply_leave(&recording->answer);
        recording_free(recording);
    }
    free(recordings);
}

void recordings_tick(struct recordings *recordings)
{
    uint64_t now_us = env_now_us(recordings->config.env);
    list_for_each_safe (it, &recordings->list) {
        struct recording *recording = list_entry(it, struct recording, link);
        if (!recording->running && now_us - recording->ended_us > (uint64_t)RECORDING_AGE_MS * 1000)
            recording_free(recording);
    }
}

static bool copy_config(struct recording *recording, const struct recording_config *config)
{
    recording->follow = config->follow;
    return (recording->id = strdup(config->id)) && (recording->owner = strdup(config->owner)) &&
           (recording->previous = strdup(config->previous)) &&
           (recording->input = strdup(config->input)) &&
           (recording->object = strdup(config->object));
}

static struct recording *recording_create(
        struct recordings *recordings, const struct recording_config *config)
{
    struct recording *recording = calloc(1, sizeof(*recording));
    if (!recording)
        return NULL;
    recording->recordings = recordings;
    recording->running = true;
    inner_reply_init(&recording->answer, &answer_events, recording);
    recording->last_object = SIZE_MAX;
    list_init(&recording->link);
    list_init(&recording->followers);
    buf_init(&recording->events, RECORDING_BYTES_MAX);
    buf_init(&recording->refusal, json_limits_event.max_bytes);
    if (copy_config(recording, config))
        return recording;
    recording_free(recording);
    return NULL;
}

int recordings_begin(struct recordings *recordings, const struct recording_config *config,
        struct recording **ret_recording, struct err *err)
{
    size_t bytes = config_bytes(config);
    while (recordings->count >= recordings->config.count_max)
        if (!forget_oldest(recordings))
            return err_set(
                    err, -EBUSY, "%zu responses run in the background already", recordings->count);
    if (make_room(recordings, bytes))
        return err_set(err, -EBUSY,
                "the %zu responses that run in the background leave no room for another",
                recordings->count);
    struct recording *recording = recording_create(recordings, config);
    if (!recording)
        return err_set(err, -ENOMEM, "no memory for a response in the background");
    list_push_back(&recordings->list, &recording->link);
    recordings->count++;
    recordings->bytes += bytes;
    *ret_recording = recording;
    return 0;
}

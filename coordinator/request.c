#include "coordinator/request.h"

#include "common/text.h"
#include "coordinator/cursor.h"
#include "coordinator/fim_prompt.h"
#include "coordinator/http/http_server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { EDIT_ROOM = 1024 * 1024 }; /* what a dialect may add to the body that came in */

static_assert((int)REQUEST_PEER_MAX >= (int)HTTP_PEER_MAX, "the name of every peer");

void request_init(struct request *request)
{
    *request = (struct request){.choices = 1, .said.limit_tokens = -1};
    buf_init(&request->body, HTTP_BODY_MAX + EDIT_ROOM);
}

void request_fini(struct request *request)
{
    cJSON_Delete(request->kept);
    request->kept = NULL;
    free(request->cursor);
    request->cursor = NULL;
    prefix_chain_fini(&request->chain);
    buf_fini(&request->body);
}

int request_chain(struct request *request, uint64_t seed)
{
    return prefix_chain_make(request->kind, buf_at(&request->body), request->body.len,
            request->client, seed, &request->chain);
}

int request_set_cursor(
        struct request *request, const char *before, const char *line, const char *after)
{
    struct cursor *cursor = cursor_create(before, line, after);
    if (!cursor)
        return -ENOMEM;
    free(request->cursor);
    request->cursor = cursor;
    return 0;
}

/* What is far from the cursor says nothing of it. */
static int set_cursor_within(struct request *request, const struct fim_prompt *fim)
{
    char before[CURSOR_BEFORE_MAX + 1], after[CURSOR_AFTER_MAX + 1];
    size_t before_len = fim->before_len < CURSOR_BEFORE_MAX ? fim->before_len : CURSOR_BEFORE_MAX;
    size_t after_len = fim->after_len < CURSOR_AFTER_MAX ? fim->after_len : CURSOR_AFTER_MAX;
    memcpy(before, fim->before + fim->before_len - before_len, before_len);
    memcpy(after, fim->after, after_len);
    before[before_len] = after[after_len] = '\0';
    return request_set_cursor(request, before, "", after);
}

enum request_lane request_lane_for(uint32_t needs)
{
    return needs & CAPABILITY_FIM ? LANE_AUTOCOMPLETE : LANE_CHAT;
}

int request_note_fim(struct request *request, const char *prompt, bool warms_up)
{
    struct fim_prompt fim;
    if (!fim_prompt_read(prompt, &fim))
        return 0;
    request->lane = LANE_AUTOCOMPLETE;
    return fim.sure && !warms_up ? set_cursor_within(request, &fim) : 0;
}

/* Recurses no deeper than what json_parse() lets in. */
static size_t bytes_of(const cJSON *json)
{
    const cJSON *item;
    size_t bytes = sizeof(*json);
    if (json->string)
        bytes += strlen(json->string) + 1;
    if (json->valuestring)
        bytes += strlen(json->valuestring) + 1;
    cJSON_ArrayForEach(item, json) bytes += bytes_of(item);
    return bytes;
}

size_t request_kept_bytes(const struct request *request)
{
    size_t kept = request->kept ? bytes_of(request->kept) : 0;
    if (request->cursor)
        kept += cursor_bytes();
    return kept + request->chain.count * sizeof(*request->chain.hashes);
}

static bool is_noted(const char *list, const char *what)
{
    size_t len = strlen(what);
    for (const char *at = list; (at = strstr(at, what)); at++)
        if ((at == list || at[-1] == ' ') && (at[len] == '\0' || at[len] == ','))
            return true;
    return false;
}

static bool is_full(const char *list)
{
    size_t len = strlen(list), tail = strlen("…");
    return len >= tail && strcmp(list + len - tail, "…") == 0;
}

void request_skip(struct request *request, const char *what)
{
    char *list = request->skipped;
    struct text_writer out = {.text = list, .size = sizeof(request->skipped), .len = strlen(list)};
    if (!is_full(list) && !is_noted(list, what))
        (void)text_write_name(&out, what);
}

#include "coordinator/dialects/gathered.h"

#include "common/json/json.h"
#include "coordinator/dialects/tool_calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct choice {
    struct buf text, reasoning;
    struct tool_calls calls;
    struct buf logprobs; /* entries of logprobs.content, with commas between them */
    bool has_logprobs;
    char finish[GATHERED_FINISH_MAX];
};

struct gathered {
    uint32_t count;
    size_t bytes; /* taken so far, all choices */
    struct choice choices[];
};

struct gathered *gathered_create(uint32_t choices)
{
    struct gathered *gathered = calloc(1, sizeof(*gathered) + choices * sizeof(struct choice));
    if (!gathered)
        return NULL;
    gathered->count = choices;
    for (uint32_t i = 0; i < choices; i++) {
        buf_init(&gathered->choices[i].text, GATHERED_BYTES_MAX);
        buf_init(&gathered->choices[i].reasoning, GATHERED_BYTES_MAX);
        buf_init(&gathered->choices[i].logprobs, 2 * GATHERED_BYTES_MAX);
    }
    return gathered;
}

static void choice_fini(struct choice *choice)
{
    tool_calls_fini(&choice->calls);
    buf_fini(&choice->text);
    buf_fini(&choice->reasoning);
    buf_fini(&choice->logprobs);
}

void gathered_destroy(struct gathered *gathered)
{
    if (!gathered)
        return;
    for (uint32_t i = 0; i < gathered->count; i++)
        choice_fini(&gathered->choices[i]);
    free(gathered);
}

/* Kept as text: a tree of them would take ten times the memory. */
static int add_entries(struct choice *choice, const cJSON *logprobs)
{
    const cJSON *entry;
    int r = cJSON_IsObject(logprobs) ? 0 : -EPROTO;
    choice->has_logprobs = true;
    cJSON_ArrayForEach(entry, json_array(logprobs, "content"))
    {
        if (!r && choice->logprobs.len > 0)
            r = buf_append_str(&choice->logprobs, ",");
        if (!r)
            r = json_append(&choice->logprobs, entry);
    }
    return r;
}

static int add_logprobs(struct choice *choice, const struct msg_delta *delta)
{
    cJSON *json;
    int r = json_parse(delta->data, delta->len, &json_limits_event, &json, NULL);
    if (r)
        return r == -ENOMEM ? r : -EPROTO;
    r = add_entries(choice, json);
    cJSON_Delete(json);
    return r;
}

static int set_finish(struct choice *choice, const struct msg_delta *delta)
{
    if (delta->len == 0 || delta->len >= GATHERED_FINISH_MAX)
        return -EPROTO;
    memcpy(choice->finish, delta->data, delta->len);
    choice->finish[delta->len] = '\0';
    return 0;
}

static int add(struct choice *choice, const struct msg_delta *delta)
{
    switch (delta->kind) {
    case DELTA_TEXT:
        return buf_append(&choice->text, delta->data, delta->len);
    case DELTA_REASONING:
        return buf_append(&choice->reasoning, delta->data, delta->len);
    case DELTA_TOOL_CALLS:
        return tool_calls_add(&choice->calls, delta);
    case DELTA_LOGPROBS:
        return add_logprobs(choice, delta);
    case DELTA_FINISH:
        return set_finish(choice, delta);
    default:
        return 0;
    }
}

int gathered_add(struct gathered *gathered, const struct msg_delta *delta)
{
    if (delta->choice >= gathered->count)
        return -EPROTO;
    if (delta->len > GATHERED_BYTES_MAX - gathered->bytes)
        return -ENOBUFS;
    gathered->bytes += delta->len;
    return add(&gathered->choices[delta->choice], delta);
}

const char *gathered_finish(const struct gathered *gathered, uint32_t choice)
{
    return gathered->choices[choice].finish;
}

bool gathered_has_calls(const struct gathered *gathered, uint32_t choice)
{
    return gathered->choices[choice].calls.count > 0;
}

static int append_buf_str(struct buf *out, const struct buf *text)
{
    return json_append_str(out, text->len ? buf_at(text) : "", text->len);
}

static int append_call(const struct tool_call *call, struct buf *out)
{
    const char *id = call->id ? call->id : "", *name = call->name ? call->name : "";
    if (buf_append_str(out, "{\"id\":") || json_append_str(out, id, strlen(id)) ||
            buf_append_str(out, ",\"type\":\"function\",\"function\":{\"name\":") ||
            json_append_str(out, name, strlen(name)) || buf_append_str(out, ",\"arguments\":") ||
            append_buf_str(out, &call->arguments) || buf_append_str(out, "}}"))
        return -ENOBUFS;
    return 0;
}

static int append_calls(const struct choice *choice, struct buf *out)
{
    if (buf_append_str(out, ",\"tool_calls\":["))
        return -ENOBUFS;
    for (size_t i = 0; i < choice->calls.count; i++)
        if ((i && buf_append_str(out, ",")) || append_call(&choice->calls.list[i], out))
            return -ENOBUFS;
    return buf_append_str(out, "]");
}

int gathered_append_message(const struct gathered *gathered, uint32_t choice_index, struct buf *out)
{
    const struct choice *choice = &gathered->choices[choice_index];
    if (buf_append_str(out, "{\"role\":\"assistant\",\"content\":"))
        return -ENOBUFS;
    bool only_calls = choice->text.len == 0 && choice->calls.count > 0;
    if (only_calls ? buf_append_str(out, "null") : append_buf_str(out, &choice->text))
        return -ENOBUFS;
    if (choice->reasoning.len > 0 && (buf_append_str(out, ",\"reasoning_content\":") ||
                                             append_buf_str(out, &choice->reasoning)))
        return -ENOBUFS;
    if (choice->calls.count > 0 && append_calls(choice, out))
        return -ENOBUFS;
    return buf_append_str(out, "}");
}

int gathered_append_text(const struct gathered *gathered, uint32_t choice, struct buf *out)
{
    return append_buf_str(out, &gathered->choices[choice].text);
}

int gathered_append_logprobs(
        const struct gathered *gathered, uint32_t choice_index, struct buf *out)
{
    const struct choice *choice = &gathered->choices[choice_index];
    if (!choice->has_logprobs)
        return buf_append_str(out, "null");
    if (buf_append_str(out, "{\"content\":[") ||
            buf_append(out, buf_at(&choice->logprobs), choice->logprobs.len))
        return -ENOBUFS;
    return buf_append_str(out, "]}");
}

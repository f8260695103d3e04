#include "cli/fit/fit_ask.h"

#include "common/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

enum {
    KI = 1024,
    CONTEXT_TEXT_MAX = 16,    /* letters of one context */
    MEMORY_MIN = 1024 * 1024, /* below it, a unit was forgotten */
};

static const char contexts_default[] = "8k,32k,128k";

int fit_ask_parse_context(const char *text, uint32_t *ret_context, struct err *err)
{
    if (text_parse_tokens(text, ret_context, NULL) < 0)
        return err_set(err, -EINVAL,
                "\"%.40s\" is no context: tokens from 1 to 16M, written as 8k, 1M or 40960", text);
    return 0;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void sort_contexts(struct fit_ask *ask)
{
    size_t kept = 1;

    qsort(ask->contexts, ask->context_count, sizeof ask->contexts[0], compare);
    for (size_t i = 1; i < ask->context_count; i++)
        if (ask->contexts[i] != ask->contexts[kept - 1])
            ask->contexts[kept++] = ask->contexts[i];
    ask->context_count = kept;
}

static int parse_contexts(const char *text, struct fit_ask *ask, struct err *err)
{
    char word[CONTEXT_TEXT_MAX + 2];

    for (const char *at = text;; at++) {
        size_t len = strcspn(at, ",");
        int rc;

        if (ask->context_count == FIT_CONTEXTS_MAX)
            return err_set(
                    err, -EINVAL, "\"%.80s\" are more than %d contexts", text, FIT_CONTEXTS_MAX);
        (void)snprintf(word, sizeof word, "%.*s", (int)len, at);
        rc = fit_ask_parse_context(word, &ask->contexts[ask->context_count], err);
        if (rc < 0)
            return rc;
        ask->context_count++;
        at += len;
        if (*at == '\0')
            break;
    }
    sort_contexts(ask);
    return 0;
}

static int read_contexts(const struct command_line *line, struct fit_ask *ask, struct err *err)
{
    const char *contexts = command_value(line, "context");
    const char *together = command_value(line, "together");
    int rc = parse_contexts(contexts ? contexts : contexts_default, ask, err);

    if (rc < 0)
        return err_prefix(err, rc, "--context");
    ask->together = ask->contexts[ask->context_count / 2];
    if (together)
        rc = fit_ask_parse_context(together, &ask->together, err);
    return rc < 0 ? err_prefix(err, rc, "--together") : 0;
}

int fit_ask_parse_slots(const char *text, uint32_t *ret_slots, struct err *err)
{
    uint64_t slots;

    if (text_parse_u64(text, &slots, NULL) < 0 || slots == 0 || slots > FIT_SLOTS_MAX)
        return err_set(err, -EINVAL, "\"%.40s\" is no number from 1 to %d", text, FIT_SLOTS_MAX);
    *ret_slots = (uint32_t)slots;
    return 0;
}

static int read_slots(const struct command_line *line, struct fit_ask *ask, struct err *err)
{
    const char *text = command_value(line, "slots");
    int rc = fit_ask_parse_slots(text ? text : "1", &ask->slots, err);

    return rc < 0 ? err_prefix(err, rc, "--slots") : 0;
}

static int read_type(const struct command_line *line, struct fit_ask *ask, struct err *err)
{
    const char *text = command_value(line, "kv");

    if (text && cache_type_parse(text, &ask->type, err) < 0)
        return err_prefix(err, -EINVAL, "--kv");
    return 0;
}

/* What an offline tool knows for certain: a GPU's own memory is the driver's to tell. */
static int read_host_memory(struct fit_ask *ask, struct err *err)
{
    struct sysinfo info;

    if (sysinfo(&info) < 0)
        return err_set(err, -EIO, "this host does not tell its memory (%s): give it with --memory",
                strerror(errno));
    ask->memory_bytes = (uint64_t)info.totalram * info.mem_unit;
    return 0;
}

static int read_memory(const struct command_line *line, struct fit_ask *ask, struct err *err)
{
    const char *text = command_value(line, "memory");

    if (!text)
        return read_host_memory(ask, err);
    ask->memory_given = true;
    if (text_parse_size(text, &ask->memory_bytes, err) < 0)
        return err_prefix(err, -EINVAL, "--memory");
    if (ask->memory_bytes < MEMORY_MIN)
        return err_set(err, -EINVAL,
                "--memory: %" PRIu64 " bytes hold no model; write it with its unit, as 96G",
                ask->memory_bytes);
    return 0;
}

int fit_ask_read(const struct command_line *line, struct fit_ask *ret_ask, struct err *err)
{
    struct fit_ask ask = {.type = CACHE_TYPE_F16};
    int rc = read_contexts(line, &ask, err);

    if (rc == 0)
        rc = read_slots(line, &ask, err);
    if (rc == 0)
        rc = read_type(line, &ask, err);
    if (rc == 0)
        rc = read_memory(line, &ask, err);
    if (rc == 0)
        *ret_ask = ask;
    return rc;
}

const char *fit_ask_context(uint32_t tokens, char *buf, size_t size)
{
    if (tokens > 0 && tokens % (KI * KI) == 0)
        (void)snprintf(buf, size, "%" PRIu32 "M", tokens / (KI * KI));
    else if (tokens > 0 && tokens % KI == 0)
        (void)snprintf(buf, size, "%" PRIu32 "k", tokens / KI);
    else
        (void)snprintf(buf, size, "%" PRIu32, tokens);
    return buf;
}

struct model_run fit_ask_run(const struct fit_ask *ask, uint32_t context)
{
    return (struct model_run){
            .context = context, .sequences = ask->slots, .type_k = ask->type, .type_v = ask->type};
}

#include "bench/sim/nodes/u64_map.h"
#include "bench/sim/workload/trace.h"
#include "bench/sim/workload/trace_format.h"
#include "common/json/json.h"

#include <errno.h>
#include <string.h>

#define TRACE_NEITHER "this is neither Mooncake's JSON lines nor Azure's CSV with its heading"

enum { COMMON_PARTS = 100 }; /* a block of more than one part of so many is common */

static const struct json_limits line_limits = {
        .max_bytes = TRACE_LINE_MAX,
        .max_depth = 4,
        .max_values = TRACE_CHAIN_MAX + 64,
        .unambiguous = true,
};

static int read_whole(const cJSON *object, const char *key, uint64_t min, uint64_t max,
        uint64_t *ret_value, struct err *err)
{
    uint64_t value;

    if (!json_whole(cJSON_GetObjectItemCaseSensitive(object, key), &value))
        return err_set(err, -EINVAL, "\"%s\" is missing, or is not a whole number from 0", key);
    if (value < min || value > max)
        return err_set(err, -EINVAL, "\"%s\" is %llu: at least %llu, at most %llu", key,
                (unsigned long long)value, (unsigned long long)min, (unsigned long long)max);
    *ret_value = value;
    return 0;
}

static uint32_t blocks_of(uint32_t tokens)
{
    return (tokens + WORKLOAD_BLOCK_TOKENS - 1) / WORKLOAD_BLOCK_TOKENS;
}

static int read_chain(
        struct trace_reading *reading, const cJSON *object, struct work *work, struct err *err)
{
    const cJSON *ids = json_array(object, "hash_ids"), *id;
    uint32_t expected = blocks_of(work->prompt_tokens);

    if (!ids || (uint32_t)cJSON_GetArraySize(ids) != expected)
        return err_set(err, -EINVAL,
                "\"hash_ids\" is missing, or has not one number for each %d tokens: %u",
                WORKLOAD_BLOCK_TOKENS, expected);
    cJSON_ArrayForEach(id, ids)
    {
        uint64_t number;

        if (!json_whole(id, &number))
            return err_set(err, -EINVAL, "\"hash_ids\" has something that is no whole number");
        reading->chain[work->block_count++] = number;
    }
    return 0;
}

static int read_request(struct trace_reading *reading, const cJSON *object, struct err *err)
{
    struct work work = {0};
    uint64_t at_ms = 0, prompt = 0, output = 0;
    int r;

    r = read_whole(object, "timestamp", 0, JSON_WHOLE_MAX, &at_ms, err);
    if (r == 0)
        r = read_whole(object, "input_length", 1, WORKLOAD_TOKENS_MAX, &prompt, err);
    if (r == 0)
        r = read_whole(object, "output_length", 1, WORKLOAD_TOKENS_MAX, &output, err);
    if (r < 0)
        return r;
    work.prompt_tokens = (uint32_t)prompt;
    work.output_tokens = (uint32_t)output;
    r = read_chain(reading, object, &work, err);
    return r < 0 ? r : trace_add(reading, (double)at_ms / 1000, work, err);
}

/* To JSON it is line 1, whichever it is of the trace. What begins so is maybe another file. */
static int refuse_text(const struct trace_reading *reading, int r, struct err *err)
{
    static const char line[] = "line 1, ";
    size_t skip = err && strncmp(err->text, line, sizeof(line) - 1) == 0 ? sizeof(line) - 1 : 0;
    const char *begins = reading->workload->count > 0 ? "" : "; " TRACE_NEITHER;

    return err ? err_set(err, r, "%s%s", err->text + skip, begins) : r;
}

int trace_mooncake_line(
        struct trace_reading *reading, const char *line, size_t len, struct err *err)
{
    cJSON *object;
    int r = json_parse(line, len, &line_limits, &object, err);

    if (r < 0)
        return refuse_text(reading, r, err);
    r = cJSON_IsObject(object) ? read_request(reading, object, err)
                               : err_set(err, -EINVAL, "it is no JSON object; " TRACE_NEITHER);
    cJSON_Delete(object);
    return r;
}

static int count_blocks(const struct workload *workload, struct u64_map *counts)
{
    for (size_t i = 0; i < workload->block_count; i++) {
        uint32_t *count = u64_map_put(counts, workload->blocks[i], 0);

        if (!count)
            return -ENOMEM;
        (*count)++;
    }
    return 0;
}

/* Its first block that is not common; NULL: it has none. */
static const uint64_t *own_block(
        const struct workload *workload, const struct work *work, const struct u64_map *counts)
{
    const uint64_t *chain = workload_chain(workload, work);

    for (uint32_t i = 0; i < work->block_count; i++) {
        size_t count = *u64_map_find(counts, chain[i]);

        if (count <= TRACE_COMMON_MIN || count <= workload->count / COMMON_PARTS)
            return &chain[i];
    }
    return NULL;
}

static int number_sessions(struct workload *workload, const struct u64_map *counts)
{
    struct u64_map sessions;
    int r = 0;

    u64_map_init(&sessions);
    for (size_t i = 0; r == 0 && i < workload->count; i++) {
        const uint64_t *block = own_block(workload, &workload->at[i], counts);
        uint32_t *session =
                block ? u64_map_put(&sessions, *block, workload->sessions) : &workload->sessions;

        if (!session)
            r = -ENOMEM;
        else if ((workload->at[i].session = *session) == workload->sessions)
            workload->sessions++;
    }
    u64_map_fini(&sessions);
    return r;
}

int trace_mooncake_sessions(struct workload *workload)
{
    struct u64_map counts;
    int r;

    u64_map_init(&counts);
    r = count_blocks(workload, &counts);
    if (r == 0)
        r = number_sessions(workload, &counts);
    u64_map_fini(&counts);
    return r;
}

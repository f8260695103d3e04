#include "coordinator/auto/facts.h"

#include "common/json/json.h"
#include "coordinator/auto/chat_texts.h"
#include "coordinator/fim_prompt.h"

#include <string.h>
#include <strings.h>
#include <xxhash.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const cJSON *member(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static uint64_t text_bytes(const cJSON *value)
{
    return cJSON_IsString(value) ? strlen(value->valuestring) : 0;
}

/* --- tools --- */

static bool is_editing(const char *name)
{
    static const char *const parts[] = {"edit", "write", "patch", "apply_diff", "str_replace",
            "search_and_replace", "insert_content", "create_file"};
    if (strcasestr(name, "todo")) /* a list of the agent's own */
        return false;
    for (size_t i = 0; i < LENGTH(parts); i++)
        if (strcasestr(name, parts[i]))
            return true;
    return false;
}

/* Recurses no deeper than what json_parse() lets in. */
static uint64_t bytes_within(const cJSON *value)
{
    const cJSON *item;
    uint64_t bytes = text_bytes(value);
    cJSON_ArrayForEach(item, value) bytes +=
            bytes_within(item) + (item->string ? strlen(item->string) : 0);
    return bytes;
}

static void read_tools(const cJSON *body, struct facts *facts)
{
    const cJSON *tool;
    cJSON_ArrayForEach(tool, json_array(body, "tools"))
    {
        facts->tools++;
        facts->editing_tools += is_editing(json_str(json_obj(tool, "function"), "name", ""));
        facts->bytes += bytes_within(tool);
    }
}

/* --- messages --- */

static void count_text(void *ctx, const char *text, size_t len)
{
    uint64_t *bytes = ctx;
    (void)text;
    *bytes += len;
}

static uint32_t count_images(const cJSON *message)
{
    const cJSON *part;
    uint32_t count = 0;
    cJSON_ArrayForEach(part, json_array(message, "content")) count +=
            member(part, "image_url") != NULL;
    return count;
}

static void add_to_hash(void *ctx, const char *text, size_t len)
{
    uint64_t *hash = ctx;
    *hash = XXH3_64bits_withSeed(text, len, *hash);
}

static void read_message(const cJSON *message, struct facts *facts)
{
    const char *role = chat_role(message);
    uint64_t bytes = bytes_within(json_array(message, "tool_calls")) +
                     text_bytes(member(message, "reasoning_content"));
    chat_each_text(message, count_text, &bytes);
    facts->messages++;
    if (strcmp(role, "user") == 0 && facts->turns++ == 0)
        chat_each_text(message, add_to_hash, &facts->opening);
    facts->answers += strcmp(role, "assistant") == 0;
    facts->tool_results += strcmp(role, "tool") == 0;
    facts->images += count_images(message);
    facts->bytes += bytes;
    if (strcmp(role, "system") != 0)
        facts->said_bytes += bytes;
}

static void add_hints(void *ctx, const char *text, size_t len)
{
    text_hints_add(ctx, text, len);
}

static void take_hints(const struct text_hints *hints, struct facts *facts)
{
    facts->fences = hints->fences;
    facts->diff_hunks = hints->diff_hunks;
    facts->trace_lines = hints->trace_lines;
    facts->files = hints->file_count;
    text_hints_words(hints, facts->words);
}

/* A completion has one text, or a list of them. */
static void read_prompt(const cJSON *prompt, struct facts *facts, struct text_hints *hints)
{
    facts->said_bytes += bytes_within(prompt);
    facts->bytes += bytes_within(prompt);
    const cJSON *text = cJSON_IsArray(prompt) ? prompt->child : prompt;
    if (cJSON_IsString(text))
        text_hints_add(hints, text->valuestring, strlen(text->valuestring));
}

/* A conversation may speak of such tokens. */
static const char *read_fim(const cJSON *body)
{
    struct fim_prompt fim;
    const char *prompt = json_array(body, "messages") ? NULL : json_str(body, "prompt", NULL);
    return prompt && fim_prompt_read(prompt, &fim) ? fim.family : NULL;
}

/* --- what is wanted --- */

static enum effort read_effort(const cJSON *body)
{
    static const struct {
        const char *name;
        enum effort effort;
    } efforts[] = {{"none", EFFORT_LOW}, {"minimal", EFFORT_LOW}, {"low", EFFORT_LOW},
            {"medium", EFFORT_MEDIUM}, {"high", EFFORT_HIGH}, {"xhigh", EFFORT_HIGH},
            {"max", EFFORT_HIGH}};
    const char *said = json_str(body, "reasoning_effort", "");
    for (size_t i = 0; i < LENGTH(efforts); i++)
        if (strcmp(said, efforts[i].name) == 0)
            return efforts[i].effort;
    return EFFORT_UNSAID;
}

static uint32_t read_answer_max(const cJSON *body)
{
    double max = json_num(body, "max_completion_tokens", json_num(body, "max_tokens", 0));
    return max >= 1 && max <= UINT32_MAX ? (uint32_t)max : 0;
}

void facts_read(const cJSON *body, struct facts *ret_facts)
{
    const cJSON *message;
    struct text_hints hints;
    *ret_facts = (struct facts){.effort = read_effort(body),
            .answer_max = read_answer_max(body),
            .fim = read_fim(body)};
    text_hints_init(&hints);
    read_tools(body, ret_facts);
    cJSON_ArrayForEach(message, json_array(body, "messages")) read_message(message, ret_facts);
    chat_each_text(chat_latest_user(body), add_hints, &hints);
    read_prompt(member(body, "prompt"), ret_facts, &hints);
    take_hints(&hints, ret_facts);
}

uint64_t facts_said_tokens(const struct facts *facts)
{
    return facts->said_bytes / FACTS_TOKEN_BYTES;
}

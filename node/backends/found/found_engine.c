#include "node/backends/found/found_engine.h"

#include "node/backends/found/found_ollama.h"
#include "node/backends/found/found_openai.h"
#include "proto/rules.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct json_limits answer_limits = {
        .max_bytes = 1024 * 1024, .max_depth = 32, .max_values = 100 * 1000, .unambiguous = true};

#define KIND(kind) (1u << (kind))
/* Endpoints that only llama-server has. */
#define NATIVE_KINDS                                                                               \
    (KIND(REQUEST_INFILL) | KIND(REQUEST_TOKENIZE) | KIND(REQUEST_DETOKENIZE) |                    \
            KIND(REQUEST_TEMPLATE) | KIND(REQUEST_COUNT))

static const struct engine_manner manners[ENGINE_KIND_COUNT] = {
        [ENGINE_LEMONADE] = {.name = "lemonade",
                .label = "Lemonade",
                .prefix = "/api",
                .slots = 1,
                .unknown_kinds = NATIVE_KINDS,
                .untold = "memory in use, slots",
                .questions = {{"/api/v1/models", found_lemonade_models, false, false},
                        {"/api/v1/health", found_lemonade_health, true, false}}},
        [ENGINE_OLLAMA] = {.name = "ollama",
                .label = "Ollama",
                .prefix = "",
                .loads = true,
                .slots = 1,
                .unknown_kinds = NATIVE_KINDS | KIND(REQUEST_RERANK) | KIND(REQUEST_TRANSCRIPTION),
                .untold = "slots, and the context of a model before it is loaded",
                .questions = {{"/api/tags", found_ollama_tags, false, false},
                        {"/api/ps", found_ollama_ps, true, false}}},
        [ENGINE_LM_STUDIO] = {.name = "lm-studio",
                .label = "LM Studio",
                .prefix = "",
                .slots = 1,
                .unknown_kinds = NATIVE_KINDS | KIND(REQUEST_RERANK) | KIND(REQUEST_TRANSCRIPTION),
                .untold = "memory in use, file sizes, slots",
                .questions = {{"/api/v0/models", found_lm_studio_models, true, false}}},
        [ENGINE_LLAMA_SERVER] = {.name = "llama-server",
                .label = "llama-server",
                .prefix = "",
                .slots = 1,
                .untold = "memory in use, whether it makes vectors",
                .questions = {{"/v1/models", found_openai_models, true, false},
                        {"/props", found_llama_props, false, true}}},
        [ENGINE_VLLM] = {.name = "vllm",
                .label = "vLLM",
                .prefix = "",
                .slots = 16,
                .unknown_kinds = NATIVE_KINDS,
                .untold = "memory in use, file sizes, slots, capabilities",
                .questions = {{"/v1/models", found_openai_models, true, false}}},
        [ENGINE_OPENAI] = {.name = "openai",
                .label = "OpenAI-compatible server",
                .prefix = "",
                .slots = 1,
                .unknown_kinds = NATIVE_KINDS,
                .untold = "anything but the names of its models",
                .questions = {{"/v1/models", found_openai_models, true, false}}},
};

const struct engine_manner *engine_manner(enum engine_kind kind)
{
    assert(kind < ENGINE_KIND_COUNT);
    return &manners[kind];
}

/* --- recognising --- */

bool found_is_mesh(const char *text, size_t len)
{
    static const char greeting[] = "modemesh";

    return len >= sizeof(greeting) - 1 && memcmp(text, greeting, sizeof(greeting) - 1) == 0;
}

/* Lemonade has Ollama's endpoints too, so it is asked for first. */
static const struct probe {
    const char *path;
    int (*recognise)(const char *text, size_t len, enum engine_kind *ret_kind, struct err *err);
} probes[] = {
        {"/api/v1/health", found_lemonade_recognise},
        {"/api/version", found_ollama_recognise},
        {"/api/v0/models", found_lm_studio_recognise},
        {"/v1/models", found_openai_recognise},
};

const char *found_probe_path(size_t index)
{
    return index < sizeof(probes) / sizeof(probes[0]) ? probes[index].path : NULL;
}

int found_probe_read(
        size_t index, const char *text, size_t len, enum engine_kind *ret_kind, struct err *err)
{
    return probes[index].recognise(text, len, ret_kind, err);
}

/* --- for the readers --- */

int found_parse(const char *text, size_t len, cJSON **ret_json, struct err *err)
{
    cJSON *json;
    int r = json_parse(text, len, &answer_limits, &json, err);

    if (r < 0)
        return err_prefix(err, r == -ENOMEM ? r : -EPROTO, "the engine's answer");
    if (!cJSON_IsObject(json)) {
        cJSON_Delete(json);
        return err_set(err, -EPROTO, "the engine's answer is no JSON object");
    }
    *ret_json = json;
    return 0;
}

static const char *file_of(const char *id)
{
    size_t len = strlen(id);
    const char *slash = strrchr(id, '/');

    return len > 5 && strcasecmp(id + len - 5, ".gguf") == 0 && slash ? slash + 1 : id;
}

int found_name(const char *id, char ret_name[MSG_NAME_MAX + 1])
{
    const char *from = file_of(id);
    size_t len = strlen(from);
    char name[MSG_NAME_MAX + 1];

    if (len > 5 && strcasecmp(from + len - 5, ".gguf") == 0)
        len -= 5;
    if (len == 0 || len > MSG_NAME_MAX)
        return -EINVAL;
    memcpy(name, from, len);
    name[len] = '\0';
    for (char *c = name; *c; c++)
        if (rules_text(TEXT_MODEL_NAME, "name", c, 1, NULL) < 0)
            *c = '-';
    if (name[0] == ' ' || name[len - 1] == ' ' || strspn(name, "- ") == len)
        return -EINVAL;
    memcpy(ret_name, name, len + 1);
    return 0;
}

static size_t index_of(const struct found_list *list, const char *id)
{
    size_t i = 0;

    while (i < list->count && strcmp(list->models[i].id, id) != 0)
        i++;
    return i;
}

const struct found_model *found_find(const struct found_list *list, const char *id)
{
    size_t i = index_of(list, id);

    return i < list->count ? &list->models[i] : NULL;
}

struct found_model *found_mark(struct found_list *list, const char *id)
{
    size_t i = index_of(list, id);

    if (i == list->count)
        return NULL;
    list->models[i].resident = true;
    return &list->models[i];
}

struct found_model *found_add(struct found_list *list, const char *id)
{
    struct found_model *model;
    size_t i = index_of(list, id), len = strlen(id);

    if (i < list->count)
        return &list->models[i];
    if (list->count < FOUND_MODELS_MAX && len <= FOUND_ID_MAX &&
            rules_text(TEXT_SENTENCE, "id", id, len, NULL) == 0) {
        model = &list->models[list->count];
        *model = (struct found_model){0};
        memcpy(model->id, id, len + 1);
        if (found_name(id, model->name) == 0) {
            list->count++;
            return model;
        }
    }
    list->left_out++;
    return NULL;
}

uint64_t found_number(const cJSON *object, const char *key, uint64_t max)
{
    uint64_t number;

    return json_whole(cJSON_GetObjectItemCaseSensitive(object, key), &number) && number <= max
                   ? number
                   : 0;
}

void found_fact(const cJSON *object, const char *key, char ret_fact[FOUND_FACT_MAX + 1])
{
    const char *text = json_str(object, key, "");
    size_t len = strlen(text);

    if (len > FOUND_FACT_MAX || rules_text(TEXT_SENTENCE, key, text, len, NULL) < 0)
        len = 0;
    memcpy(ret_fact, text, len);
    ret_fact[len] = '\0';
}

bool found_says(const cJSON *array, const char *word)
{
    const cJSON *it;

    cJSON_ArrayForEach(it, array)
    {
        if (cJSON_IsString(it) && strcmp(it->valuestring, word) == 0)
            return true;
    }
    return false;
}

#include "node/backends/found/found_ollama.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { KEY_MAX = FOUND_FACT_MAX + 32 };

/* Architectures of llama.cpp that only make vectors, for versions that do not tell capabilities. */
static const char *const encoders[] = {
        "bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", NULL};

int found_ollama_recognise(
        const char *text, size_t len, enum engine_kind *ret_kind, struct err *err)
{
    cJSON *json;
    bool told;
    int r = found_parse(text, len, &json, err);

    if (r < 0)
        return r;
    told = json_str(json, "version", NULL) != NULL;
    cJSON_Delete(json);
    if (!told)
        return err_set(err, -EPROTO, "no version in the answer");
    *ret_kind = ENGINE_OLLAMA;
    return 0;
}

static bool is_remote(const cJSON *json)
{
    return json_str(json, "remote_host", "")[0] != '\0';
}

static bool is_encoder(const char *architecture)
{
    for (const char *const *name = encoders; *name; name++)
        if (strcmp(*name, architecture) == 0)
            return true;
    return false;
}

static uint32_t capabilities_in(const cJSON *told, const char *architecture)
{
    static const struct {
        const char *word;
        enum capability capability;
    } words[] = {{"completion", CAPABILITY_CHAT}, {"tools", CAPABILITY_TOOLS},
            {"vision", CAPABILITY_VISION}, {"audio", CAPABILITY_AUDIO},
            {"thinking", CAPABILITY_REASONING}, {"embedding", CAPABILITY_EMBEDDINGS}};
    uint32_t found = CAPABILITY_EXACT;

    if (!told)
        return is_encoder(architecture) ? CAPABILITY_EMBEDDINGS : CAPABILITY_CHAT;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (found_says(told, words[i].word))
            found |= (uint32_t)words[i].capability;
    return found;
}

/* What is told in several answers: one that does not tell it takes nothing away. */
static void read_common(const cJSON *json, struct found_model *model)
{
    const cJSON *details = json_obj(json, "details");
    const cJSON *told = json_array(json, "capabilities");

    if (details) {
        found_fact(details, "family", model->architecture);
        found_fact(details, "quantization_level", model->quantisation);
    }
    if (told || model->capabilities == 0)
        model->capabilities = capabilities_in(told, model->architecture);
}

static void read_tag(const cJSON *json, struct found_list *list)
{
    const char *id = json_str(json, "name", json_str(json, "model", ""));
    struct found_model *model;

    if (is_remote(json)) {
        list->left_out++;
        return;
    }
    model = found_add(list, id);
    if (!model)
        return;
    model->file_bytes = found_number(json, "size", JSON_WHOLE_MAX);
    (void)snprintf(model->version, sizeof(model->version), "%.64s", json_str(json, "digest", ""));
    read_common(json, model);
}

static void read_loaded(const cJSON *json, struct found_list *list)
{
    const char *id = json_str(json, "name", json_str(json, "model", ""));
    struct found_model *model = is_remote(json) ? NULL : found_add(list, id);

    if (!model)
        return;
    model->resident = true;
    model->memory_bytes = found_number(json, "size", JSON_WHOLE_MAX);
    model->gpu_bytes = found_number(json, "size_vram", JSON_WHOLE_MAX);
    model->context = (uint32_t)found_number(json, "context_length", FOUND_CONTEXT_MAX);
    read_common(json, model);
}

/* An Ollama without models says null. */
static int open_models(
        const char *text, size_t len, cJSON **ret_json, const cJSON **ret_models, struct err *err)
{
    const cJSON *models;
    cJSON *json;
    int r = found_parse(text, len, &json, err);

    if (r < 0)
        return r;
    models = cJSON_GetObjectItemCaseSensitive(json, "models");
    if (!cJSON_IsArray(models) && !cJSON_IsNull(models)) {
        cJSON_Delete(json);
        return err_set(err, -EPROTO, "no models in the answer");
    }
    *ret_json = json;
    *ret_models = models;
    return 0;
}

int found_ollama_tags(const char *text, size_t len, struct found_list *list, struct err *err)
{
    const cJSON *models = NULL, *it;
    cJSON *json = NULL;
    int r = open_models(text, len, &json, &models, err);

    if (r < 0)
        return r;
    cJSON_ArrayForEach(it, models) read_tag(it, list);
    cJSON_Delete(json);
    return 0;
}

static void forget_residents(struct found_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        list->models[i].resident = false;
        list->models[i].memory_bytes = list->models[i].gpu_bytes = 0;
        list->models[i].context = 0;
    }
}

int found_ollama_ps(const char *text, size_t len, struct found_list *list, struct err *err)
{
    const cJSON *models = NULL, *it;
    cJSON *json = NULL;
    int r = open_models(text, len, &json, &models, err);

    if (r < 0)
        return r;
    forget_residents(list);
    cJSON_ArrayForEach(it, models) read_loaded(it, list);
    cJSON_Delete(json);
    return 0;
}

/* Of the lines `name value` that a Modelfile's PARAMETERs become. */
static uint32_t own_context(const char *parameters)
{
    const char *line = parameters;
    uint32_t tokens = 0, last = 0;

    while (line) {
        if (sscanf(line, "num_ctx %9" SCNu32, &tokens) == 1 && tokens <= FOUND_CONTEXT_MAX)
            last = tokens;
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return last;
}

static void read_info(const cJSON *info, struct found_model *model)
{
    char key[KEY_MAX];

    if (!info)
        return;
    found_fact(info, "general.architecture", model->architecture);
    model->parameters = found_number(info, "general.parameter_count", JSON_WHOLE_MAX);
    (void)snprintf(key, sizeof(key), "%s.context_length", model->architecture);
    model->context_trained = (uint32_t)found_number(info, key, FOUND_CONTEXT_MAX);
}

static uint32_t less_of(uint32_t context, uint32_t trained)
{
    return trained > 0 && trained < context ? trained : context;
}

int found_ollama_show(const char *text, size_t len, struct found_model *model, struct err *err)
{
    cJSON *json;
    int r = found_parse(text, len, &json, err);

    if (r < 0)
        return r;
    if (is_remote(json)) {
        r = err_set(err, -EREMOTE, "another computer answers for %s", model->name);
    } else if (!json_obj(json, "details")) {
        r = err_set(err, -EPROTO, "no details of %s in the answer", model->name);
    } else {
        read_common(json, model);
        read_info(json_obj(json, "model_info"), model);
        if (!model->resident)
            model->context =
                    less_of(own_context(json_str(json, "parameters", "")), model->context_trained);
    }
    cJSON_Delete(json);
    return r;
}

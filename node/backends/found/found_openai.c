#include "node/backends/found/found_openai.h"

#include "common/model/chat_template.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const double bytes_per_gb = 1e9;

/* The array of models, `data`. -ELOOP where a modemesh owns them. */
static int open_models(
        const char *text, size_t len, cJSON **ret_json, const cJSON **ret_data, struct err *err)
{
    const cJSON *data, *it;
    cJSON *json;
    int r = found_parse(text, len, &json, err);

    if (r < 0)
        return r;
    data = json_array(json, "data");
    if (!data)
        r = err_set(err, -EPROTO, "no models in the answer");
    cJSON_ArrayForEach(it, data)
    {
        if (strcmp(json_str(it, "owned_by", json_str(it, "publisher", "")), "modemesh") == 0)
            r = err_set(err, -ELOOP, "a modemesh answers there");
    }
    if (r < 0) {
        cJSON_Delete(json);
        return r;
    }
    *ret_json = json;
    *ret_data = data;
    return 0;
}

static int read_models(const char *text, size_t len, struct found_list *list,
        void (*read)(const cJSON *json, struct found_list *list), struct err *err)
{
    const cJSON *data, *it;
    cJSON *json;
    int r = open_models(text, len, &json, &data, err);

    if (r < 0)
        return r;
    cJSON_ArrayForEach(it, data) read(it, list);
    cJSON_Delete(json);
    return 0;
}

static uint32_t tokens_in(const cJSON *json, const char *key)
{
    return (uint32_t)found_number(json, key, FOUND_CONTEXT_MAX);
}

static uint32_t bit_if(bool set, enum capability capability)
{
    return set ? (uint32_t)capability : 0;
}

/* --- OpenAI's list --- */

static enum engine_kind owner_kind(const cJSON *data)
{
    const char *owner = json_str(cJSON_GetArrayItem(data, 0), "owned_by", "");

    if (strcmp(owner, "llamacpp") == 0)
        return ENGINE_LLAMA_SERVER;
    return strcmp(owner, "vllm") == 0 ? ENGINE_VLLM : ENGINE_OPENAI;
}

int found_openai_recognise(
        const char *text, size_t len, enum engine_kind *ret_kind, struct err *err)
{
    const cJSON *data;
    cJSON *json;
    int r = open_models(text, len, &json, &data, err);

    if (r < 0)
        return r;
    *ret_kind = owner_kind(data);
    cJSON_Delete(json);
    return 0;
}

static void read_meta(const cJSON *meta, struct found_model *model)
{
    model->context = tokens_in(meta, "n_ctx");
    model->context_trained = tokens_in(meta, "n_ctx_train");
    model->parameters = found_number(meta, "n_params", JSON_WHOLE_MAX);
    model->file_bytes = found_number(meta, "size", JSON_WHOLE_MAX);
    found_fact(meta, "ftype", model->quantisation);
}

static uint32_t inputs_in(const cJSON *json)
{
    const cJSON *inputs = json_array(json_obj(json, "architecture"), "input_modalities");

    return bit_if(found_says(inputs, "image"), CAPABILITY_VISION) |
           bit_if(found_says(inputs, "audio"), CAPABILITY_AUDIO);
}

/* vLLM's `max_model_len`, llama-server's `meta` and `architecture`, and in router mode its
 * `status`. */
static void read_model(const cJSON *json, struct found_list *list)
{
    struct found_model *model = found_add(list, json_str(json, "id", ""));
    const cJSON *meta = json_obj(json, "meta");
    const cJSON *status = json_obj(json, "status");

    if (!model)
        return;
    model->resident = !status || strcmp(json_str(status, "value", ""), "loaded") == 0;
    model->context = tokens_in(json, "max_model_len");
    if (meta)
        read_meta(meta, model);
    model->capabilities = CAPABILITY_CHAT | inputs_in(json);
}

int found_openai_models(const char *text, size_t len, struct found_list *list, struct err *err)
{
    return read_models(text, len, list, read_model, err);
}

/* --- llama-server --- */

static uint32_t props_capabilities(const cJSON *props)
{
    const cJSON *modalities = json_obj(props, "modalities");
    const cJSON *template_caps = json_obj(props, "chat_template_caps");

    const char *template = json_str(props, "chat_template", "");
    struct chat_template_scan scan = {0};

    if (!modalities || !template_caps)
        return CAPABILITY_CHAT;
    chat_template_scan(&scan, template, strlen(template));
    scan.tools = json_bool(template_caps, "supports_tools", false);
    return CAPABILITY_CHAT | CAPABILITY_EXACT | chat_template_capabilities(&scan) |
           bit_if(json_bool(modalities, "vision", false), CAPABILITY_VISION) |
           bit_if(json_bool(modalities, "audio", false), CAPABILITY_AUDIO);
}

int found_llama_props(const char *text, size_t len, struct found_list *list, struct err *err)
{
    const cJSON *generation;
    cJSON *json;
    int r = found_parse(text, len, &json, err);

    if (r < 0)
        return r;
    generation = json_obj(json, "default_generation_settings");
    if (!generation) {
        r = err_set(err, -EPROTO, "no settings in the answer");
    } else if (list->count == 1) {
        list->models[0].context = tokens_in(generation, "n_ctx");
        list->models[0].slots = (uint32_t)found_number(json, "total_slots", FOUND_SLOTS_MAX);
        list->models[0].capabilities = props_capabilities(json);
    }
    cJSON_Delete(json);
    return r;
}

/* --- LM Studio --- */

int found_lm_studio_recognise(
        const char *text, size_t len, enum engine_kind *ret_kind, struct err *err)
{
    const cJSON *data, *first;
    cJSON *json;
    int r = open_models(text, len, &json, &data, err);

    if (r < 0)
        return r;
    first = cJSON_GetArrayItem(data, 0);
    if (first && !json_str(first, "state", NULL))
        r = err_set(err, -EPROTO, "no state in the answer");
    else
        *ret_kind = ENGINE_LM_STUDIO;
    cJSON_Delete(json);
    return r;
}

static uint32_t lm_studio_capabilities(const cJSON *json)
{
    const char *type = json_str(json, "type", "llm");

    if (strcmp(type, "embeddings") == 0)
        return CAPABILITY_EMBEDDINGS;
    return CAPABILITY_CHAT | bit_if(strcmp(type, "vlm") == 0, CAPABILITY_VISION) |
           bit_if(found_says(json_array(json, "capabilities"), "tool_use"), CAPABILITY_TOOLS);
}

static void read_lm_studio(const cJSON *json, struct found_list *list)
{
    struct found_model *model = found_add(list, json_str(json, "id", ""));

    if (!model)
        return;
    model->resident = strcmp(json_str(json, "state", ""), "loaded") == 0;
    model->context_trained = tokens_in(json, "max_context_length");
    model->context = model->resident ? tokens_in(json, "loaded_context_length") : 0;
    model->capabilities = lm_studio_capabilities(json);
    found_fact(json, "arch", model->architecture);
    found_fact(json, "quantization", model->quantisation);
}

int found_lm_studio_models(const char *text, size_t len, struct found_list *list, struct err *err)
{
    return read_models(text, len, list, read_lm_studio, err);
}

/* --- Lemonade --- */

int found_lemonade_recognise(
        const char *text, size_t len, enum engine_kind *ret_kind, struct err *err)
{
    cJSON *json;
    bool told;
    int r = found_parse(text, len, &json, err);

    if (r < 0)
        return r;
    told = cJSON_HasObjectItem(json, "model_loaded") || json_array(json, "all_models_loaded");
    cJSON_Delete(json);
    if (!told)
        return err_set(err, -EPROTO, "nothing of loaded models in the answer");
    *ret_kind = ENGINE_LEMONADE;
    return 0;
}

/* What a label deploys a model for; 0: something else. A model without such a label talks, unless
 * what runs it makes pictures or speech. */
static uint32_t lemonade_use(const cJSON *labels, const char *recipe)
{
    static const char *const others[] = {"image", "tts", "audio-generation", "classification",
            "classifier", "3d", "upscaling", "transcription"};

    if (found_says(labels, "embeddings") || found_says(labels, "embedding"))
        return CAPABILITY_EMBEDDINGS;
    if (found_says(labels, "reranking"))
        return CAPABILITY_RERANK;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (found_says(labels, others[i]))
            return 0;
    return strcmp(recipe, "sd-cpp") == 0 || strcmp(recipe, "whispercpp") == 0 ||
                           strcmp(recipe, "kokoro") == 0
                   ? 0
                   : CAPABILITY_CHAT;
}

static uint32_t lemonade_capabilities(const cJSON *json)
{
    const cJSON *labels = json_array(json, "labels");
    uint32_t use = lemonade_use(labels, json_str(json, "recipe", ""));

    if (use != CAPABILITY_CHAT)
        return use;
    return use | bit_if(found_says(labels, "vision"), CAPABILITY_VISION) |
           bit_if(found_says(labels, "tool-calling"), CAPABILITY_TOOLS) |
           bit_if(found_says(labels, "reasoning"), CAPABILITY_REASONING);
}

/* Told in GB, with decimals. */
static uint64_t size_of(const cJSON *json)
{
    double gb = json_num(json, "size", 0);

    return gb > 0 && gb < (double)JSON_WHOLE_MAX / bytes_per_gb ? (uint64_t)(gb * bytes_per_gb) : 0;
}

/* "unsloth/Qwen3-0.6B-GGUF:Q4_0" */
static void quantisation_of(const cJSON *json, char ret_fact[FOUND_FACT_MAX + 1])
{
    const char *checkpoint = json_str(json, "checkpoint", ""), *colon = strrchr(checkpoint, ':');
    const char *from = colon ? colon + 1 : "";
    size_t len = strlen(from);

    if (len > FOUND_FACT_MAX || strspn(from, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != len)
        len = 0;
    memcpy(ret_fact, from, len);
    ret_fact[len] = '\0';
}

static void read_lemonade(const cJSON *json, struct found_list *list)
{
    uint32_t capabilities = lemonade_capabilities(json);
    struct found_model *model;

    if (!json_bool(json, "downloaded", true))
        return;
    if (capabilities == 0) {
        list->left_out++;
        return;
    }
    model = found_add(list, json_str(json, "id", ""));
    if (!model)
        return;
    model->capabilities = capabilities;
    model->file_bytes = size_of(json);
    model->context = tokens_in(json, "context_length");
    model->context_trained = tokens_in(json, "max_context_window");
    quantisation_of(json, model->quantisation);
}

int found_lemonade_models(const char *text, size_t len, struct found_list *list, struct err *err)
{
    return read_models(text, len, list, read_lemonade, err);
}

/* Of models that are not in the list already nothing is known but that they are loaded. */
static void read_lemonade_loaded(const cJSON *json, struct found_list *list)
{
    const char *id = json_str(json, "model_name", "");
    uint32_t context = tokens_in(json_obj(json, "recipe_options"), "ctx_size");
    struct found_model *model = json_bool(json, "loaded", true) ? found_mark(list, id) : NULL;

    if (model && context > 0)
        model->context = context;
}

int found_lemonade_health(const char *text, size_t len, struct found_list *list, struct err *err)
{
    const cJSON *loaded, *it;
    cJSON *json;
    int r = found_parse(text, len, &json, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < list->count; i++)
        list->models[i].resident = false;
    loaded = json_array(json, "all_models_loaded");
    cJSON_ArrayForEach(it, loaded) read_lemonade_loaded(it, list);
    /* Older versions hold one model, and name it only here. */
    if (!loaded)
        (void)found_mark(list, json_str(json, "model_loaded", ""));
    cJSON_Delete(json);
    return r;
}

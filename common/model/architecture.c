#include "common/model/architecture.h"

#include <stddef.h>
#include <string.h>

/* Every layer has full attention, whatever else the file says. */
static const char *const plain[] = {"apertus", "arcee", "arctic", "baichuan", "bailingmoe",
        "bailingmoe2", "bitnet", "bloom", "chameleon", "chatglm", "codeshell", "cogvlm",
        "command-r", "dbrx", "deci", "deepseek", "deepseek2-ocr", "dots1", "ernie4_5",
        "ernie4_5-moe", "exaone", "falcon", "gemma", "glm4", "glm4moe", "gpt2", "gptneox",
        "granite", "granitemoe", "grok", "grovemoe", "hunyuan-dense", "hunyuan-moe", "hunyuan_vl",
        "hy_v3", "internlm2", "jais", "jais2", "k2-horizon", "llama", "llama-embed", "maincoder",
        "minicpm", "minicpm3", "minimax-m2", "mistral3", "mpt", "nemotron", "olmo", "olmoe",
        "openelm", "orion", "paddleocr", "pangu-embedded", "phi2", "phi3", "phimoe", "plamo", "plm",
        "qwen", "qwen2", "qwen2moe", "qwen2vl", "qwen3", "qwen3moe", "qwen3vl", "qwen3vlmoe",
        "refact", "seed_oss", "smollm3", "stablelm", "starcoder", "starcoder2", "talkie", "xverse"};

/* No layer keeps anything. */
static const char *const uncached[] = {"bert", "clip", "dream", "eurobert", "gemma-embedding",
        "gemma-embedding2", "jina-bert-v2", "jina-bert-v3", "llada", "llada-moe", "modern-bert",
        "neo-bert", "nomic-bert", "nomic-bert-moe", "rnd1"};

static const struct architecture others[] = {
        /* with windows */
        {"afmoe", .window = WINDOW_PERIOD, .period = 4},
        {"cohere2", .window = WINDOW_PERIOD, .period = 4},
        {"cohere2moe", .window = WINDOW_PERIOD, .period = 4, .full_first = true},
        {"exaone-moe", .window = WINDOW_PERIOD, .period = 4},
        {"exaone4", .window = WINDOW_PERIOD, .period = 4, .window_default = 4096,
                .window_layers = 64},
        {"gemma2", .window = WINDOW_PERIOD, .period = 2, .window_default = 4096},
        {"gemma3", .window = WINDOW_PERIOD, .period = 6},
        {"gemma3n", .window = WINDOW_PERIOD, .period = 5, .cached_layers = 20},
        {"gemma4", .window = WINDOW_PERIOD, .period = 1, .shared_tail = true},
        {"gpt-oss", .window = WINDOW_PERIOD, .period = 2},
        {"granite_swa", .window = WINDOW_PERIOD, .period = 1},
        {"laguna", .window = WINDOW_PERIOD, .period = 4, .full_first = true},
        {"llama4", .window = WINDOW_PERIOD, .period = 4, .window_default = 8192,
                .window_fixed = 8192},
        {"maple", .window = WINDOW_PERIOD, .period = 1},
        {"mellum", .window = WINDOW_PERIOD, .period = 4},
        {"mimo2", .window = WINDOW_PERIOD, .period = 1},
        {"muse-glimmer", .window = WINDOW_PERIOD, .period = 4},
        {"olmo2", .window = WINDOW_PERIOD, .period = 4},
        {"plamo3", .window = WINDOW_PERIOD, .period = 8},
        {"smallthinker", .window = WINDOW_PERIOD, .period = 4, .full_first = true,
                .window_fixed = 4096},
        {"spark2_5", .window = WINDOW_PERIOD, .period = 1},
        {"step35", .window = WINDOW_PERIOD, .period = 1},
        /* with a latent form, further keys, or more caches than layers */
        {"deepseek2", .latent = true},
        {"deepseek32", .latent = true, .indexer = true},
        {"glm-dsa", .latent = true, .indexer = true},
        {"mistral4", .latent = true},
        {"nanbeige", .looped = true},
        /* with a recurrent state */
        {"arwkv7", .plan = PLAN_STATE, .state = STATE_WKV},
        {"falcon-h1", .plan = PLAN_BOTH},
        {"granitehybrid", .plan = PLAN_BY_HEADS},
        {"jamba", .plan = PLAN_BY_HEADS},
        {"kimi-linear", .plan = PLAN_BY_HEADS, .state = STATE_KDA, .latent = true},
        {"lfm2", .plan = PLAN_BY_HEADS, .state = STATE_CONV, .window = WINDOW_EVERYWHERE},
        {"lfm2moe", .plan = PLAN_BY_HEADS, .state = STATE_CONV},
        {"mamba", .plan = PLAN_STATE},
        {"mamba2", .plan = PLAN_STATE},
        {"minimax-01", .plan = PLAN_INTERVAL, .interval = 8, .state = STATE_SQUARE},
        {"nemotron_h", .plan = PLAN_BY_PART},
        {"nemotron_h_moe", .plan = PLAN_BY_PART},
        {"plamo2", .plan = PLAN_BY_HEADS},
        {"qwen35", .plan = PLAN_INTERVAL, .interval = 4},
        {"qwen35moe", .plan = PLAN_INTERVAL, .interval = 4},
        {"qwen3next", .plan = PLAN_INTERVAL, .interval = 4},
        {"rwkv6", .plan = PLAN_STATE, .state = STATE_WKV},
        {"rwkv6qwen2", .plan = PLAN_STATE, .state = STATE_WKV},
        {"rwkv7", .plan = PLAN_STATE, .state = STATE_WKV},
};

static bool is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

const struct architecture *architecture_find(const char *name)
{
    static const struct architecture all_full = {.plan = PLAN_ATTENTION};
    static const struct architecture none = {.plan = PLAN_NOTHING};

    if (is_among(name, plain, sizeof plain / sizeof *plain))
        return &all_full;
    if (is_among(name, uncached, sizeof uncached / sizeof *uncached))
        return &none;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(others[i].name, name) == 0)
            return &others[i];
    return NULL;
}

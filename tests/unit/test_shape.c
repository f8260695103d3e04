#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/model/cache_type.h"
#include "common/model/gguf.h"
#include "common/model/shape.h"
#include "tests/lib/gguf_maker.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1024.0 * 1024.0)

/* The hyper-parameters of real models, as their files have them. */
struct model {
    const char *name, *architecture, *keys;
};

static const struct model models[] = {
        {"gpt-oss-20b", "gpt-oss",
                "block_count=24 context_length=131072 embedding_length=2880 "
                "feed_forward_length=2880 expert_feed_forward_length=2880 expert_count=32 "
                "expert_used_count=4 attention.head_count=64 attention.head_count_kv=8 "
                "attention.key_length=64 attention.value_length=64 "
                "attention.sliding_window=128"},
        {"gpt-oss-120b", "gpt-oss",
                "block_count=36 context_length=131072 embedding_length=2880 "
                "feed_forward_length=2880 expert_feed_forward_length=2880 expert_count=128 "
                "expert_used_count=4 attention.head_count=64 attention.head_count_kv=8 "
                "attention.key_length=64 attention.value_length=64 "
                "attention.sliding_window=128"},
        {"Trinity-Nano", "afmoe",
                "block_count=56 context_length=131072 embedding_length=1024 "
                "feed_forward_length=3072 expert_feed_forward_length=256 expert_count=128 "
                "expert_used_count=8 leading_dense_block_count=2 attention.head_count=8 "
                "attention.head_count_kv=2 attention.key_length=128 "
                "attention.value_length=128 attention.sliding_window=2048"},
        {"Qwen3.5-9B", "qwen35",
                "block_count=32 context_length=262144 embedding_length=4096 "
                "feed_forward_length=12288 attention.head_count=16 attention.head_count_kv=4 "
                "attention.key_length=256 attention.value_length=256 "
                "full_attention_interval=4 ssm.conv_kernel=4 ssm.inner_size=4096 "
                "ssm.state_size=128 ssm.group_count=16 ssm.time_step_rank=32"},
        {"Qwen3.5-0.8B", "qwen35",
                "block_count=24 context_length=262144 embedding_length=1024 "
                "feed_forward_length=3584 attention.head_count=8 attention.head_count_kv=2 "
                "attention.key_length=256 attention.value_length=256 "
                "full_attention_interval=4 ssm.conv_kernel=4 ssm.inner_size=2048 "
                "ssm.state_size=128 ssm.group_count=16 ssm.time_step_rank=16"},
        {"Nemotron class", "nemotron_h_moe",
                "block_count=52 context_length=262144 embedding_length=2688 "
                "attention.head_count=32 attention.key_length=128 attention.value_length=128 "
                "attention.head_count_kv=0,0,0,0,0,2,0,0,0,0,0,0,2,0,0,0,0,0,0,2,0,0,0,0,0,0,"
                "2,0,0,0,0,0,0,2,0,0,0,0,0,0,0,0,2,0,0,0,0,0,0,0,0,0 feed_forward_length=0,"
                "1856,0,1856,0,0,1856,0,1856,0,1856,0,0,1856,0,1856,0,1856,0,0,1856,0,1856,0,"
                "1856,0,0,1856,0,1856,0,1856,0,0,1856,0,1856,0,1856,0,1856,0,0,1856,0,1856,0,"
                "1856,0,1856,0,1856 expert_count=128 expert_used_count=6 ssm.conv_kernel=4 "
                "ssm.inner_size=4096 ssm.state_size=128 ssm.group_count=8 "
                "ssm.time_step_rank=64"},
        {"LFM2 class", "lfm2",
                "block_count=16 context_length=128000 embedding_length=2048 "
                "feed_forward_length=8192 attention.head_count=32 shortconv.l_cache=3 "
                "attention.head_count_kv=0,0,8,0,0,8,0,0,8,0,8,0,8,0,8,0"},
        {"DeepSeek-V3/R1", "deepseek2",
                "block_count=61 context_length=163840 embedding_length=7168 "
                "feed_forward_length=18432 expert_count=256 expert_used_count=8 "
                "leading_dense_block_count=3 attention.head_count=128 "
                "attention.head_count_kv=1 attention.q_lora_rank=1536 "
                "attention.kv_lora_rank=512 attention.key_length=576 "
                "attention.value_length=512 attention.key_length_mla=192 "
                "attention.value_length_mla=128 rope.dimension_count=64"},
        {"Gemma-4-E4B", "gemma4",
                "block_count=42 context_length=131072 embedding_length=2560 "
                "feed_forward_length=10240 attention.head_count=8 attention.head_count_kv=2 "
                "attention.key_length=512 attention.value_length=512 "
                "attention.key_length_swa=256 attention.value_length_swa=256 "
                "attention.sliding_window=512 attention.shared_kv_layers=18 "
                "attention.sliding_window_pattern?=1,1,1,1,1,0@42"},
};

static struct model_shape shape_of_file(const struct buf *file)
{
    struct gguf_memory memory = {.file = file};
    struct gguf_source source = gguf_memory_source(&memory);
    struct gguf_facts *facts = malloc(sizeof *facts);
    struct model_shape shape;
    struct err err;

    assert_non_null(facts);
    assert_int_equal(gguf_parse_facts(&source, 1, facts, &err), 0);
    model_shape_of(facts, &shape);
    free(facts);
    return shape;
}

static struct model_shape shape_of(const char *architecture, const char *keys)
{
    struct model_shape shape;
    struct buf file;

    buf_init(&file, 1024 * 1024);
    gguf_put_hyper(&file, architecture, keys);
    shape = shape_of_file(&file);
    buf_fini(&file);
    return shape;
}

/* Names of vectors have a remark in brackets at most. */
static struct model_shape shape_of_model(const char *name)
{
    size_t len = strcspn(name, "(");

    while (len > 0 && name[len - 1] == ' ')
        len--;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (strlen(models[i].name) == len && strncmp(models[i].name, name, len) == 0)
            return shape_of(models[i].architecture, models[i].keys);
    fail_msg("no hyper-parameters of %s", name);
    return (struct model_shape){.bound = true};
}

/* --- what real servers printed: tests/vectors/ --- */

enum { COLUMNS_MAX = 10, LINE_MAX_BYTES = 256 };

struct vectors {
    FILE *file;
    char line[LINE_MAX_BYTES];
    char *columns[COLUMNS_MAX];
    unsigned rows;
};

/* From where this file was compiled. */
static void open_vectors(struct vectors *vectors, const char *name)
{
    const char *slash = strrchr(__FILE__, '/');
    char path[512];

    snprintf(path, sizeof path, "%.*s/../vectors/%s", (int)(slash - __FILE__), __FILE__, name);
    memset(vectors, 0, sizeof *vectors);
    vectors->file = fopen(path, "r");
    assert_non_null(vectors->file);
}

static bool next_row(struct vectors *vectors)
{
    char *rest = vectors->line;

    do {
        if (fgets(vectors->line, sizeof vectors->line, vectors->file) == NULL) {
            fclose(vectors->file);
            return false;
        }
    } while (vectors->line[0] == '#' || strncmp(vectors->line, "model,", 6) == 0);
    vectors->line[strcspn(vectors->line, "\n")] = '\0';
    for (int i = 0; i < COLUMNS_MAX; i++)
        vectors->columns[i] = rest == NULL ? NULL : strsep(&rest, ",");
    vectors->rows++;
    return true;
}

static double number(const struct vectors *vectors, int column)
{
    assert_non_null(vectors->columns[column]);
    return strtod(vectors->columns[column], NULL);
}

/* Within 0.1 %, or within what so many rounded figures leave open. */
static void assert_near(const char *what, double mib, double printed_mib, int figures)
{
    double allowed = fmax(printed_mib / 1000, figures * 0.005);

    if (fabs(mib - printed_mib) > allowed)
        fail_msg("%s: %.4f MiB, but a server printed %.2f", what, mib, printed_mib);
}

static double cache_mib(const char *type_text, uint64_t elements, double cells)
{
    enum cache_type type;
    struct err err;

    assert_int_equal(cache_type_parse(type_text, &type, &err), 0);
    return (double)cache_type_bytes(type, elements * (uint64_t)cells) / MIB;
}

static void assert_kv_row(const struct vectors *v)
{
    struct model_shape shape = shape_of_model(v->columns[0]);
    bool window = strcmp(v->columns[1], "swa") == 0;
    const struct model_cell *cell = window ? &shape.window : &shape.full;
    double mib = cache_mib(v->columns[6], cell->k_elements, number(v, 5)) +
                 cache_mib(v->columns[7], cell->v_elements, number(v, 5));

    assert_false(shape.bound);
    assert_int_equal(cell->layers, (int)number(v, 2));
    assert_int_equal(cell->k_elements, (int)(number(v, 2) * number(v, 3)));
    assert_int_equal(cell->v_elements, (int)(number(v, 2) * number(v, 4)));
    assert_near(v->columns[0], mib, number(v, 8), 1);
}

static void test_caches_as_servers_print_them(void **state)
{
    struct vectors vectors;

    (void)state;
    for (open_vectors(&vectors, "kv-cache.csv"); next_row(&vectors);)
        assert_kv_row(&vectors);
    assert_int_equal(vectors.rows, 13);
}

static void test_states_as_servers_print_them(void **state)
{
    struct vectors v;

    (void)state;
    for (open_vectors(&v, "recurrent-state.csv"); next_row(&v);) {
        struct model_shape shape = shape_of_model(v.columns[0]);
        assert_near(v.columns[0], (double)shape.state_bytes * number(&v, 6) / MIB,
                number(&v, 7) + number(&v, 8), 2);
    }
    assert_int_equal(v.rows, 2);
}

static void test_windows_of_the_vectors(void **state)
{
    (void)state;
    assert_int_equal(shape_of_model("gpt-oss-20b").window_tokens, 128);
    assert_int_equal(shape_of_model("Trinity-Nano").window_tokens, 2048);
    assert_int_equal(shape_of_model("Gemma-4-E4B").window_tokens, 512);
    assert_int_equal(shape_of_model("Gemma-4-E4B").window.layers, 20);
    assert_int_equal(shape_of_model("Gemma-4-E4B").window.k_elements, 20 * 512);
    assert_int_equal(shape_of_model("DeepSeek-V3/R1").window_tokens, 0);
}

/* --- what the engine knows of architectures --- */

/* Layers as the engine allocates them for 24 layers of 2 heads of 128 and a window of 128. */
struct layers {
    const char *architecture;
    uint32_t full, window, window_tokens;
};

static void test_layers_with_a_window(void **state)
{
    static const struct layers known[] = {{"llama", 24, 0, 0}, {"phi3", 24, 0, 0},
            {"llama4", 6, 18, 8192}, {"gemma2", 12, 12, 128}, {"gemma3", 4, 20, 128},
            {"gemma3n", 4, 16, 128}, {"gpt-oss", 12, 12, 128}, {"cohere2", 6, 18, 128},
            {"cohere2moe", 6, 18, 128}, {"olmo2", 6, 18, 128}, {"exaone4", 24, 0, 0},
            {"exaone-moe", 6, 18, 128}, {"smallthinker", 6, 18, 4096}, {"afmoe", 6, 18, 128},
            {"laguna", 6, 18, 128}, {"plamo3", 3, 21, 128}, {"mellum", 6, 18, 128},
            {"lfm2", 0, 24, 128}, {"bert", 0, 0, 0}, {"llada", 0, 0, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct model_shape shape = shape_of(known[i].architecture,
                "block_count=24 embedding_length=256 attention.head_count=2 "
                "attention.sliding_window=128");
        assert_int_equal(shape.full.layers, known[i].full);
        assert_int_equal(shape.full.k_elements, known[i].full * 256);
        assert_int_equal(shape.window.layers, known[i].window);
        assert_int_equal(shape.window.v_elements, known[i].window * 256);
        assert_int_equal(shape.window_tokens, known[i].window_tokens);
        assert_false(shape.bound);
    }
}

#define SMALL "embedding_length=256 attention.head_count=2 "

static void assert_layers(
        const char *architecture, const char *keys, uint32_t full, uint32_t window)
{
    struct model_shape shape = shape_of(architecture, keys);

    assert_int_equal(shape.full.layers, full);
    assert_int_equal(shape.window.layers, window);
}

static void test_patterns_of_the_file(void **state)
{
    (void)state;
#define WINDOW SMALL "attention.sliding_window=128 "
    assert_layers("gemma3", WINDOW "block_count=8 attention.sliding_window_pattern=3", 2, 6);
    assert_layers("gemma3", WINDOW "block_count=8 attention.sliding_window_pattern=1", 8, 0);
    assert_layers("gemma3", WINDOW "block_count=8 attention.sliding_window_pattern=0", 0, 8);
    assert_layers("laguna", WINDOW "block_count=8 attention.sliding_window_pattern=3", 3, 5);
    assert_layers("mimo2", WINDOW "block_count=8 attention.sliding_window_pattern?=1,1,0@8", 2, 6);
    assert_layers("step35", WINDOW "block_count=8 attention.sliding_window_pattern=0,1@8", 4, 4);
    assert_layers("mimo2", WINDOW "block_count=8", 8, 0);
    assert_layers("exaone4", WINDOW "block_count=64", 16, 48);
    assert_layers("exaone4", SMALL "block_count=64", 16, 48);
    assert_layers("gemma3", SMALL "block_count=8", 8, 0);
    assert_layers("gemma2", SMALL "block_count=8", 4, 4);
    assert_layers("llama4", SMALL "block_count=8", 2, 6);
    assert_layers("llama4", SMALL "block_count=8 attention.sliding_window=0", 8, 0);
    assert_layers("smallthinker", SMALL "block_count=8 attention.sliding_window=0", 8, 0);
    assert_layers("llama", WINDOW "block_count=8 attention.sliding_window_pattern=2", 8, 0);
#undef WINDOW
}

static void test_layers_that_use_the_cache_of_others(void **state)
{
    (void)state;
    assert_layers("gemma3n", SMALL "block_count=30 attention.sliding_window=512", 4, 16);
    assert_layers("gemma4",
            SMALL "block_count=12 attention.sliding_window=512 attention.shared_kv_layers=3 "
                  "attention.sliding_window_pattern?=1,1,0@12",
            3, 6);
    assert_layers("gemma4", SMALL "block_count=12 attention.shared_kv_layers=99", 12, 0);
}

static void test_heads_of_each_layer(void **state)
{
    struct model_shape shape = shape_of("mimo2",
            "block_count=12 embedding_length=256 attention.head_count=2 "
            "attention.head_count_kv=2,2,1@12 attention.key_length=96 attention.value_length=64 "
            "attention.key_length_swa=48 attention.value_length_swa=32 "
            "attention.sliding_window=128 attention.sliding_window_pattern?=1,1,0@12");

    (void)state;
    assert_int_equal(shape.full.k_elements, 4 * 96);
    assert_int_equal(shape.full.v_elements, 4 * 64);
    assert_int_equal(shape.window.k_elements, 8 * 2 * 48);
    assert_int_equal(shape.window.v_elements, 8 * 2 * 32);
    shape = shape_of("deci", "block_count=4 embedding_length=256 attention.head_count=2,2,0,2 "
                             "attention.head_count_kv=0,1,0,2");
    assert_int_equal(shape.full.layers, 2);
    assert_int_equal(shape.full.k_elements, 3 * 128);
}

/* Layers behind the model's own guess further tokens; the engine answers without them. */
static void test_layers_that_predict_further(void **state)
{
    (void)state;
    assert_layers("glm4moe", SMALL "block_count=47 nextn_predict_layers=1", 46, 0);
    assert_layers("qwen35", SMALL "block_count=9 nextn_predict_layers=1", 2, 0);
    assert_layers("llama", SMALL "block_count=4 nextn_predict_layers=9", 4, 0);
}

#define LATENT                                                                                     \
    "block_count=8 embedding_length=256 attention.head_count=2 attention.head_count_kv=1 "         \
    "attention.key_length=576 attention.value_length=512 attention.key_length_mla=192 "            \
    "attention.value_length_mla=128 "

static void test_latent_attention(void **state)
{
    struct model_shape shape = shape_of("deepseek32", LATENT "attention.indexer.key_length=64");

    (void)state;
    assert_int_equal(shape.full.k_elements, 8 * (576 + 64));
    assert_int_equal(shape.full.v_elements, 0);
    shape = shape_of("kimi-linear",
            LATENT "ssm.conv_kernel=4 kda.head_dim=128 attention.head_count_kv=0,0,1,0@8");
    assert_int_equal(shape.full.layers, 2);
    assert_int_equal(shape.full.k_elements, 2 * 576);
    assert_int_equal(shape.full.v_elements, 0);
    assert_int_equal(shape.state_bytes, 6 * 4 * (3 * 3 * 2 * 128 + 128 * 128 * 2));
    /* A file from before the engine kept the latent form. */
    shape = shape_of("deepseek2",
            "block_count=8 embedding_length=256 attention.head_count=2 attention.kv_lora_rank=512 "
            "attention.key_length=192 attention.value_length=128");
    assert_int_equal(shape.full.k_elements, 8 * 2 * 192);
    assert_int_equal(shape.full.v_elements, 8 * 2 * 128);
}

static void assert_state(
        const char *architecture, const char *keys, uint32_t full, uint64_t state_values)
{
    struct model_shape shape = shape_of(architecture, keys);

    assert_int_equal(shape.full.layers, full);
    assert_int_equal(shape.state_bytes, 4 * state_values);
}

static void test_recurrent_states(void **state)
{
#define SSM      "ssm.conv_kernel=4 ssm.inner_size=512 ssm.state_size=128 ssm.group_count=2 "
#define BY_HEADS SMALL SSM "block_count=8 attention.head_count_kv=0,0,2,0,0,2,0,0 "
    static const uint64_t ssm = 3 * (512 + 2 * 2 * 128) + 128 * 512;

    (void)state;
    assert_state("mamba2", "block_count=8 embedding_length=256 " SSM, 0, 8 * ssm);
    assert_state("mamba", "block_count=8 ssm.conv_kernel=4 ssm.inner_size=512 ssm.state_size=16", 0,
            8 * (3 * 512 + 16 * 512));
    assert_state("falcon-h1", "block_count=8 " SMALL SSM, 8, 8 * ssm);
    assert_state("jamba", BY_HEADS, 2, 6 * ssm);
    assert_state("granitehybrid", BY_HEADS, 2, 6 * ssm);
    assert_state("plamo2", BY_HEADS, 2, 6 * ssm);
    assert_state("nemotron_h", BY_HEADS "feed_forward_length=0,9,0,0,9,0,0,9", 2, 3 * ssm);
    assert_state("qwen3next", SMALL SSM "block_count=8", 2, 6 * ssm);
    assert_state("qwen35moe", SMALL SSM "block_count=9 full_attention_interval=3", 3, 6 * ssm);
    assert_state("qwen35", SMALL SSM "block_count=4 attention.recurrent_layers?=1,0@4", 2, 2 * ssm);
    assert_state("rwkv7", "block_count=8 embedding_length=256 wkv.head_size=128", 0,
            8 * (2 * 256 + 256 * 128));
    assert_state("arwkv7",
            "block_count=8 embedding_length=256 wkv.head_size=128 "
            "token_shift_count=1",
            0, 8 * (256 + 256 * 128));
    assert_state("lfm2",
            SMALL "block_count=8 shortconv.l_cache=3 attention.head_count_kv=0,0,2,0,0,2,0,0", 2,
            6 * 2 * 256);
    assert_state(
            "minimax-01", SMALL "block_count=8 full_attention_interval=4", 2, 6 * 128 * 128 * 2);
#undef BY_HEADS
#undef SSM
}

static void test_layers_gone_through_again(void **state)
{
    (void)state;
    assert_layers("nanbeige", SMALL "block_count=8 num_loops=2", 16, 0);
    assert_layers("nanbeige", SMALL "block_count=8 num_loops=0", 8, 0);
    assert_layers("llama", SMALL "block_count=8 num_loops=2", 8, 0);
}

/* --- the rest --- */

static void test_widths(void **state)
{
    struct model_shape shape = shape_of_model("gpt-oss-20b");

    (void)state;
    assert_int_equal(shape.layers, 24);
    assert_int_equal(shape.embedding, 2880);
    assert_int_equal(shape.heads, 64);
    assert_int_equal(shape.feed_forward, 4 * 2880);
    assert_int_equal(shape.context_trained, 131072);
    shape = shape_of("llama", SMALL "block_count=2 feed_forward_length=512,768 vocab_size=99");
    assert_int_equal(shape.feed_forward, 768);
    assert_int_equal(shape.vocabulary, 99);
}

static struct model_shape shape_with_tensors(bool tied)
{
    struct model_shape shape;
    struct buf file;

    buf_init(&file, 1024 * 1024);
    gguf_put_head(&file, 3, tied ? 2 : 3, 3);
    gguf_put_key_text(&file, "general.architecture", "gemma3n");
    gguf_put_key_u32(&file, "gemma3n.vocab_size", 7);
    gguf_put_key_texts(&file, "tokenizer.ggml.tokens", 100);
    gguf_put_matrix(&file, "token_embd.weight", 64, 100, 1, 0);
    gguf_put_matrix(&file, "per_layer_token_embd.weight", 32, 100, 1, 0);
    if (!tied)
        gguf_put_matrix(&file, "output.weight", 64, 100, 1, 0);
    gguf_put_data(&file, 12800);
    shape = shape_of_file(&file);
    buf_fini(&file);
    return shape;
}

/* The engine has an embedding that is also the output on its device as well. */
static void test_what_stays_beside_a_gpu(void **state)
{
    struct model_shape shape = shape_with_tensors(false);

    (void)state;
    assert_int_equal(shape.tensor_bytes, 12800 + 6400 + 12800);
    assert_int_equal(shape.input_bytes, 12800 + 6400);
    assert_int_equal(shape.vocabulary, 100);
    shape = shape_with_tensors(true);
    assert_int_equal(shape.input_bytes, 6400);
}

static void test_projector(void **state)
{
    struct model_shape shape = shape_of("clip", "vision.block_count=27 vision.embedding_length=99");

    (void)state;
    assert_false(shape.bound);
    assert_int_equal(shape.full.layers, 0);
    assert_int_equal(shape.state_bytes, 0);
}

/* Never less than any reading of the same numbers. */
static void test_unknown_architectures_are_bounded(void **state)
{
    struct model_shape shape = shape_of("not-yet-invented", LATENT
            "nextn_predict_layers=1 attention.sliding_window=128 attention.key_length_swa=640 "
            "attention.indexer.key_length=64 ssm.conv_kernel=4 ssm.inner_size=512 "
            "ssm.state_size=128");

    (void)state;
    assert_true(shape.bound);
    assert_int_equal(shape.feed_forward, 4 * shape.embedding);
    assert_int_equal(shape.full.layers, 8);
    assert_int_equal(shape.full.k_elements, 8 * (640 + 64));
    assert_int_equal(shape.full.v_elements, 8 * 512);
    assert_int_equal(shape.window.layers, 0);
    assert_int_equal(shape.state_bytes, 8 * 4 * (640 * 640 * 2));
    shape = shape_of("not-yet-invented", "block_count=4 embedding_length=1024");
    assert_int_equal(shape.full.k_elements, 4 * 1024);
    assert_int_equal(shape.full.v_elements, 4 * 1024);
}

static void test_too_short_arrays_are_bounded(void **state)
{
    struct model_shape shape =
            shape_of("jamba", "block_count=8 embedding_length=256 attention.head_count=4 "
                              "attention.head_count_kv=0,2,1");

    (void)state;
    assert_true(shape.bound);
    assert_int_equal(shape.full.k_elements, (2 + 1 + 5 * 2) * 64);
}

/* Three tensors of 16,000 parameters in all, for 100 tokens. */
static void test_layers_and_widths_that_are_not_said_are_bounded(void **state)
{
    struct model_shape shape = shape_with_tensors(false);

    (void)state;
    assert_true(shape.bound);
    assert_int_equal(shape.embedding, 160);
    assert_int_equal(shape.full.layers, 3);
    assert_int_equal(shape.full.k_elements, 3 * 160);
    assert_int_equal(shape.full.v_elements, 3 * 160);
    assert_true(shape_of("llama", "block_count=8 attention.head_count=4").bound);
    assert_true(shape_of("llama", "embedding_length=256 attention.head_count=4").bound);
    assert_false(shape_of("llama", "block_count=8 embedding_length=256").bound);
}

static void test_hostile_numbers_saturate(void **state)
{
#define MOST "4294967295"
    struct model_shape shape = shape_of("not-yet-invented",
            "block_count=" MOST " embedding_length=" MOST " attention.head_count=" MOST
            " attention.head_count_kv=" MOST " attention.key_length=" MOST
            " attention.value_length=" MOST " ssm.conv_kernel=" MOST " ssm.inner_size=" MOST
            " ssm.state_size=" MOST " ssm.group_count=" MOST " num_loops=" MOST
            " expert_used_count=" MOST " expert_feed_forward_length=" MOST);

    (void)state;
    assert_true(shape.bound);
    assert_true(shape.full.k_elements == UINT64_MAX && shape.full.v_elements == UINT64_MAX);
    assert_true(shape.state_bytes == UINT64_MAX);
    assert_true(shape.feed_forward == UINT32_MAX);
#undef MOST
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_caches_as_servers_print_them),
            cmocka_unit_test(test_states_as_servers_print_them),
            cmocka_unit_test(test_windows_of_the_vectors),
            cmocka_unit_test(test_layers_with_a_window),
            cmocka_unit_test(test_patterns_of_the_file),
            cmocka_unit_test(test_layers_that_use_the_cache_of_others),
            cmocka_unit_test(test_heads_of_each_layer),
            cmocka_unit_test(test_layers_that_predict_further),
            cmocka_unit_test(test_latent_attention),
            cmocka_unit_test(test_recurrent_states),
            cmocka_unit_test(test_layers_gone_through_again),
            cmocka_unit_test(test_widths),
            cmocka_unit_test(test_what_stays_beside_a_gpu),
            cmocka_unit_test(test_projector),
            cmocka_unit_test(test_unknown_architectures_are_bounded),
            cmocka_unit_test(test_too_short_arrays_are_bounded),
            cmocka_unit_test(test_layers_and_widths_that_are_not_said_are_bounded),
            cmocka_unit_test(test_hostile_numbers_saturate),
    };
    return cmocka_run_group_tests_name("shape", tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/model/estimate.h"

#include <math.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MIB(n)       ((uint64_t)((n)*1048576.0))
#define GIB(n)       ((uint64_t)(n) << 30)

static double mib(uint64_t bytes)
{
    return (double)bytes / 1048576.0;
}

/* `part`: of `whole`; says what was compared where it is not. */
static void assert_within(const char *what, double value, double wanted, double part)
{
    if (fabs(value - wanted) > wanted * part)
        fail_msg("%s: %.2f MiB instead of %.2f", what, value, wanted);
}

static struct model_cell cell(uint32_t layers, uint64_t k_width, uint64_t v_width)
{
    return (struct model_cell){
            .layers = layers, .k_elements = layers * k_width, .v_elements = layers * v_width};
}

static struct model_memory estimate(const struct model_shape *shape, const struct model_run *run)
{
    struct model_memory memory;

    estimate_memory(shape, run, &memory);
    return memory;
}

/* --- what real engines printed: caches --- */

struct cache_row {
    const char *model;
    uint32_t layers, k_width, v_width, context;
    enum cache_type type;
    uint32_t window; /* tokens; 0: full attention */
    double log_mib;
};

static const struct cache_row cache_rows[] = {
        {"gpt-oss-20b", 12, 512, 512, 131072, CACHE_TYPE_F16, 0, 3072.00},
        {"gpt-oss-20b, window", 12, 512, 512, 131072, CACHE_TYPE_F16, 128, 18.00},
        {"gpt-oss-120b", 18, 512, 512, 4096, CACHE_TYPE_F16, 0, 144.00},
        {"Trinity-Nano", 14, 256, 256, 131072, CACHE_TYPE_F16, 0, 1792.00},
        {"Trinity-Nano, window", 42, 256, 256, 131072, CACHE_TYPE_F16, 2048, 105.00},
        {"Qwen3.5-9B", 8, 1024, 1024, 135168, CACHE_TYPE_F16, 0, 4224.00},
        {"Qwen3.5-0.8B", 6, 512, 512, 32768, CACHE_TYPE_F16, 0, 384.00},
        {"Qwen3.5-0.8B", 6, 512, 512, 32768, CACHE_TYPE_Q8_0, 0, 204.00},
        {"Qwen3.5-0.8B", 6, 512, 512, 32768, CACHE_TYPE_Q4_0, 0, 108.00},
        {"Nemotron class", 6, 256, 256, 16384, CACHE_TYPE_Q8_0, 0, 51.00},
        {"LFM2 class", 6, 512, 512, 4096, CACHE_TYPE_F16, 0, 48.00},
        {"DeepSeek-V3/R1, latent", 61, 576, 0, 163840, CACHE_TYPE_F16, 0, 10980.00},
        {"Gemma-4-E4B", 4, 1024, 1024, 4096, CACHE_TYPE_F16, 0, 64.00},
};

static void test_caches(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cache_rows); i++) {
        const struct cache_row *row = &cache_rows[i];
        struct model_cell layers = cell(row->layers, row->k_width, row->v_width);
        struct model_shape shape = {.window_tokens = row->window};
        struct model_run run = {.context = row->context, .type_k = row->type, .type_v = row->type};
        struct model_memory memory;

        *(row->window > 0 ? &shape.window : &shape.full) = layers;
        memory = estimate(&shape, &run);
        assert_within(row->model, mib(memory.full_bytes + memory.window_bytes), row->log_mib, 1e-3);
        assert_true((row->window > 0 ? memory.full_bytes : memory.window_bytes) == 0);
    }
}

/* conv = (d_conv - 1) · (d_inner + 2 · n_group · d_state), ssm = d_state · d_inner, in f32. */
static void test_recurrent_states(void **state)
{
    static const struct {
        const char *model;
        uint64_t layers, d_conv, d_inner, d_state, n_group;
        uint32_t sequences;
        double conv_mib, ssm_mib;
    } rows[] = {{"Qwen3.5-9B", 24, 4, 4096, 128, 16, 4, 9.00, 192.00},
            {"Qwen3.5-0.8B", 18, 4, 2048, 128, 16, 1, 1.27, 18.00}};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t conv =
                (rows[i].d_conv - 1) * (rows[i].d_inner + 2 * rows[i].n_group * rows[i].d_state);
        uint64_t ssm = rows[i].d_state * rows[i].d_inner;
        struct model_shape shape = {.state_bytes = 4 * rows[i].layers * (conv + ssm)};
        struct model_run run = {.context = 4096, .sequences = rows[i].sequences};

        assert_within(rows[i].model, mib(estimate(&shape, &run).state_bytes),
                rows[i].conv_mib + rows[i].ssm_mib, 1e-3);
    }
}

/* --- what real engines printed: whole models on a GPU --- */

static void test_gpt_oss_20b(void **state)
{
    const struct model_shape shape = {.tensor_bytes = MIB(11536.18),
            .full = cell(12, 512, 512),
            .window = cell(12, 512, 512),
            .window_tokens = 128,
            .layers = 24,
            .embedding = 2880,
            .vocabulary = 201088,
            .feed_forward = 4 * 2880, /* four experts answer */
            .heads = 64};
    const struct model_run run = {.context = 131072};
    struct model_memory memory = estimate(&shape, &run);

    (void)state;
    assert_within("cache", mib(memory.full_bytes + memory.window_bytes), 3090, 1e-3);
    assert_within("compute", mib(memory.compute_bytes), 420.08, 0.05);
    assert_within("gpt-oss-20b", mib(memory.total_bytes), 11536.18 + 3090 + 420.08, 0.05);
}

static void test_gemma_3_4b(void **state)
{
    const struct model_shape shape = {.tensor_bytes = MIB(7401),
            .full = cell(5, 1024, 1024),
            .window = cell(29, 1024, 1024),
            .window_tokens = 1024,
            .layers = 34,
            .embedding = 2560,
            .vocabulary = 262144,
            .feed_forward = 10240,
            .heads = 8};
    const struct model_run run = {.context = 32768};
    struct model_memory memory = estimate(&shape, &run);

    (void)state;
    assert_within("cache", mib(memory.full_bytes + memory.window_bytes), 814, 1e-3);
    assert_within("compute", mib(memory.compute_bytes), 517, 0.05);
    assert_within("gemma-3-4b", mib(memory.total_bytes), 7401 + 814 + 517, 0.05);
}

/* --- what llama-server b11669 printed for models of the llama architecture: compute + output ---
 */

struct shape_row {
    uint32_t layers, kv_width, embedding, vocabulary, feed_forward, heads;
};

static const struct shape_row demo = {4, 64, 128, 1184, 384, 4};
static const struct shape_row half_gig = {12, 256, 1024, 32000, 4096, 16};
static const struct shape_row wide = {14, 512, 2048, 32000, 8192, 32};
static const struct shape_row many_tokens = {4, 1024, 1024, 131072, 3072, 16};

static const struct {
    const struct shape_row *shape;
    struct model_run run;
    double cache_mib, compute_mib;
} engine_rows[] = {
        {&demo, {.context = 2048, .sequences = 2, .output_rows = 2}, 4.00, 5.53},
        {&demo, {.context = 4096, .sequences = 4, .output_rows = 4}, 16.00, 7.54},
        {&demo, {.context = 32768, .sequences = 1, .output_rows = 1}, 32.00, 35.52},
        {&demo, {.context = 8192, .sequences = 4, .unified = true, .output_rows = 4}, 32.00, 35.54},
        {&demo, {.context = 8192, .batch_tokens = 128, .output_rows = 1}, 8.00, 2.88},
        {&demo, {.context = 8192, .batch_tokens = 2048, .output_rows = 1}, 8.00, 46.07},
        {&demo,
                {.context = 8192,
                        .sequences = 2,
                        .type_k = CACHE_TYPE_Q8_0,
                        .type_v = CACHE_TYPE_Q8_0,
                        .output_rows = 2},
                8.50, 11.53},
        {&half_gig, {.context = 4096, .sequences = 1, .output_rows = 1}, 48.00, 38.14},
        {&half_gig, {.context = 32768, .sequences = 1, .output_rows = 1}, 384.00, 66.14},
        {&half_gig, {.context = 1024, .sequences = 16, .output_rows = 16}, 192.00, 36.97},
        {&half_gig, {.context = 8192, .batch_tokens = 64, .output_rows = 1}, 96.00, 5.37},
        {&wide, {.context = 4096, .sequences = 4, .output_rows = 4}, 448.00, 72.51},
        {&wide, {.context = 8192, .batch_tokens = 2048, .output_rows = 1}, 224.00, 304.19},
        {&many_tokens, {.context = 4096, .sequences = 4, .output_rows = 4}, 256.00, 34.02},
        /* without flash attention */
        {&demo, {.context = 4096, .no_flash_attention = true, .output_rows = 1}, 4.00, 41.76},
        {&half_gig, {.context = 4096, .no_flash_attention = true, .output_rows = 1}, 48.00, 149.13},
        {&wide, {.context = 4096, .no_flash_attention = true, .output_rows = 1}, 112.00, 290.13},
};

static void test_against_the_engine(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(engine_rows); i++) {
        const struct shape_row *row = engine_rows[i].shape;
        const struct model_shape shape = {.full = cell(row->layers, row->kv_width, row->kv_width),
                .layers = row->layers,
                .embedding = row->embedding,
                .vocabulary = row->vocabulary,
                .feed_forward = row->feed_forward,
                .heads = row->heads};
        struct model_memory memory = estimate(&shape, &engine_rows[i].run);
        double part = engine_rows[i].run.no_flash_attention ? 0.05 : 0.01;
        char what[32];

        snprintf(what, sizeof what, "row %zu", i);
        assert_within(what, mib(memory.full_bytes), engine_rows[i].cache_mib, 1e-3);
        assert_within(what, mib(memory.compute_bytes), engine_rows[i].compute_mib, part);
    }
}

/* --- the rules --- */

/* Qwen3-32B: 64 layers, 8 key-value heads of 128. */
static struct model_shape dense_32b(void)
{
    return (struct model_shape){.tensor_bytes = UINT64_C(19760000000),
            .input_bytes = UINT64_C(437600000),
            .full = cell(64, 1024, 1024),
            .layers = 64,
            .embedding = 5120,
            .vocabulary = 151936,
            .feed_forward = 25600,
            .heads = 64,
            .context_trained = 131072};
}

static void test_cache_of_32b_at_128k(void **state)
{
    const struct model_shape shape = dense_32b();
    struct model_run run = {.context = 131072};

    (void)state;
    assert_true(estimate(&shape, &run).full_bytes == GIB(32));
    run.type_k = run.type_v = CACHE_TYPE_Q8_0;
    assert_true(estimate(&shape, &run).full_bytes == GIB(17));
    run.type_k = CACHE_TYPE_F16;
    assert_true(estimate(&shape, &run).full_bytes == GIB(16) + GIB(17) / 2);
}

static void test_sequences_have_their_own(void **state)
{
    const struct model_shape shape = dense_32b();
    struct model_run run = {.context = 8192, .sequences = 1};
    uint64_t one = estimate(&shape, &run).full_bytes;

    (void)state;
    run.sequences = 0;
    assert_true(estimate(&shape, &run).full_bytes == one);
    run.sequences = 4;
    assert_true(estimate(&shape, &run).full_bytes == 4 * one);
    run.unified = true;
    assert_true(estimate(&shape, &run).full_bytes == 4 * one);
}

static void test_windows(void **state)
{
    const struct model_shape shape = {.window = cell(1, 1, 0), .window_tokens = 1024};
    struct model_run run = {.context = 32768, .sequences = 4};

    (void)state;
    /* cells, of two bytes each: (1024 + 512) · 4 */
    assert_int_equal(estimate(&shape, &run).window_bytes, 2 * 1536 * 4);
    run.unified = true; /* 1024 · 4 + 512 */
    assert_int_equal(estimate(&shape, &run).window_bytes, 2 * 4608);
    run.unified = false;
    run.batch_tokens = 100; /* 1124, padded */
    assert_int_equal(estimate(&shape, &run).window_bytes, 2 * 1280 * 4);
    run.context = 700; /* shorter than the window */
    assert_int_equal(estimate(&shape, &run).window_bytes, 2 * 768 * 4);
}

static void test_context_is_padded(void **state)
{
    const struct model_shape shape = dense_32b();
    struct model_run run = {.context = 1000};
    uint64_t padded = estimate(&shape, &run).full_bytes;

    (void)state;
    run.context = 1024;
    assert_true(estimate(&shape, &run).full_bytes == padded);
    run.context = 1025;
    assert_true(estimate(&shape, &run).full_bytes == padded / 4 * 5);
    run.context = 0;
    assert_true(estimate(&shape, &run).full_bytes == 0);
}

/* Older engines, and embeddings: a row for each token of the batch. */
static void test_rows_of_logits(void **state)
{
    const struct model_shape shape = {.vocabulary = 151936, .embedding = 1024};
    struct model_run run = {.context = 4096};
    uint64_t row = UINT64_C(151936) * 4, carried = UINT64_C(5) * 4 * 1024 * 512;

    (void)state;
    assert_true(estimate(&shape, &run).compute_bytes == carried + 512 * row + row);
    run.output_rows = 100;
    assert_true(estimate(&shape, &run).compute_bytes == carried + 100 * row + row);
    run.output_rows = 100000; /* no more than the batch has */
    assert_true(estimate(&shape, &run).compute_bytes == carried + 512 * row + row);
}

static void test_total_and_margin(void **state)
{
    const struct model_shape shape = dense_32b();
    const struct model_run run = {
            .context = 8192, .projector_bytes = MIB(800), .draft_bytes = MIB(1500)};
    struct model_memory memory = estimate(&shape, &run);

    (void)state;
    assert_true(memory.total_bytes ==
                memory.tensor_bytes + memory.full_bytes + memory.compute_bytes + MIB(2300));
    assert_true(memory.margin_bytes == estimate_margin(memory.total_bytes));
    assert_true(estimate_margin(0) == GIB(1));
    assert_true(estimate_margin(GIB(20)) == GIB(1));
    assert_true(estimate_margin(GIB(100)) / 100 == GIB(5) / 100);
}

/* Where the margin itself counts, one step more would not leave it. */
static void test_usable_leaves_the_margin(void **state)
{
    (void)state;
    assert_true(estimate_usable_bytes(GIB(16)) == GIB(15));
    assert_true(estimate_usable_bytes(GIB(20)) == GIB(19));
    assert_true(estimate_usable_bytes(GIB(105)) == GIB(100));
    for (uint64_t memory = GIB(16); memory < GIB(4096); memory += memory / 7 + 1) {
        uint64_t usable = estimate_usable_bytes(memory), more = usable + MIB(4);
        assert_true(usable + estimate_margin(usable) <= memory);
        assert_true(more + estimate_margin(more) > memory);
    }
    assert_true(estimate_usable_bytes(UINT64_MAX) > UINT64_MAX / 100 * 95);
}

static void test_usable_of_a_small_host(void **state)
{
    (void)state;
    assert_true(estimate_usable_bytes(0) == 0);
    assert_true(estimate_usable_bytes(GIB(1)) == MIB(960));
    assert_true(estimate_usable_bytes(GIB(8)) == MIB(7680));
    for (uint64_t memory = 1; memory < GIB(20); memory += memory / 7 + 1) {
        assert_true(estimate_usable_bytes(memory) >= memory - memory / 16);
        assert_true(estimate_usable_bytes(memory) <= memory);
    }
}

static void test_saturates(void **state)
{
    const struct model_cell most = {
            .layers = UINT32_MAX, .k_elements = UINT64_MAX, .v_elements = UINT64_MAX};
    const struct model_shape shape = {.tensor_bytes = UINT64_MAX,
            .full = most,
            .window = most,
            .window_tokens = UINT32_MAX,
            .state_bytes = UINT64_MAX,
            .layers = UINT32_MAX,
            .embedding = UINT32_MAX,
            .vocabulary = UINT32_MAX,
            .feed_forward = UINT32_MAX,
            .heads = UINT32_MAX,
            .context_trained = UINT32_MAX};
    struct model_run run = {.context = UINT32_MAX,
            .sequences = UINT32_MAX,
            .unified = true,
            .batch_tokens = UINT32_MAX,
            .no_flash_attention = true,
            .projector_bytes = UINT64_MAX,
            .draft_bytes = UINT64_MAX};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct model_memory memory;
        run.unified = i & 1;
        run.no_flash_attention = i & 2;
        memory = estimate(&shape, &run);
        assert_true(memory.total_bytes == UINT64_MAX && memory.compute_bytes == UINT64_MAX);
        assert_true(memory.full_bytes == UINT64_MAX && memory.window_bytes == UINT64_MAX);
        assert_int_equal(estimate_context(&shape, &run, GIB(1000)), 0);
    }
}

static uint64_t total_at(
        const struct model_shape *shape, const struct model_run *run, uint32_t context)
{
    struct model_run tried = *run;

    tried.context = context;
    return estimate(shape, &tried).total_bytes;
}

static void test_largest_context(void **state)
{
    const struct model_shape shape = dense_32b();
    const struct model_run run = {.sequences = 2, .output_rows = 2};

    (void)state;
    for (uint64_t bytes = GIB(20); bytes < GIB(60); bytes += GIB(4)) {
        uint32_t context = estimate_context(&shape, &run, bytes);
        assert_true(context > 0 && context < 131072);
        assert_int_equal(context % ESTIMATE_CONTEXT_STEP, 0);
        assert_true(total_at(&shape, &run, context) <= bytes);
        assert_true(total_at(&shape, &run, context + ESTIMATE_CONTEXT_STEP) > bytes);
    }
    assert_int_equal(estimate_context(&shape, &run, GIB(200)), 131072);
    assert_int_equal(estimate_context(&shape, &run, GIB(18)), 0);
}

static void test_context_of_what_is_not_said(void **state)
{
    struct model_shape shape = dense_32b();
    const struct model_run run = {.sequences = 1};

    (void)state;
    shape.context_trained = 0;
    assert_int_equal(estimate_context(&shape, &run, UINT64_MAX), 1 << 20);
    shape.context_trained = 1000; /* no multiple of the step */
    assert_int_equal(estimate_context(&shape, &run, UINT64_MAX), 768);
    shape.context_trained = 100;
    assert_int_equal(estimate_context(&shape, &run, UINT64_MAX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_caches),
            cmocka_unit_test(test_recurrent_states),
            cmocka_unit_test(test_gpt_oss_20b),
            cmocka_unit_test(test_gemma_3_4b),
            cmocka_unit_test(test_against_the_engine),
            cmocka_unit_test(test_cache_of_32b_at_128k),
            cmocka_unit_test(test_sequences_have_their_own),
            cmocka_unit_test(test_windows),
            cmocka_unit_test(test_context_is_padded),
            cmocka_unit_test(test_rows_of_logits),
            cmocka_unit_test(test_total_and_margin),
            cmocka_unit_test(test_usable_leaves_the_margin),
            cmocka_unit_test(test_usable_of_a_small_host),
            cmocka_unit_test(test_saturates),
            cmocka_unit_test(test_largest_context),
            cmocka_unit_test(test_context_of_what_is_not_said),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("estimate", tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/residency/footprint.h"
#include "proto/codec.h"

static const uint64_t mib = 1024 * 1024, gib = 1024 * 1024 * 1024;
static const struct footprint_room plenty = {.limit_bytes = UINT64_MAX};

/* As Qwen3-30B-A3B at 4 bits: 48 layers with 4 heads of 128, so that 1,024 tokens take 96 MiB. */
static const struct catalogue_model thirty_billion = {.name = "coder",
        .file_bytes = UINT64_C(18632984064),
        .context = 262144,
        .capabilities = CAPABILITY_CHAT,
        .shape = {.tensor_bytes = UINT64_C(18632984064),
                .full = {.layers = 48, .k_elements = 48 * 512, .v_elements = 48 * 512},
                .layers = 48,
                .embedding = 2048,
                .vocabulary = 151936,
                .feed_forward = 6144,
                .heads = 32,
                .context_trained = 262144}};

static void measure(const struct catalogue_model *model, uint32_t context, uint32_t slots,
        struct footprint *ret_footprint)
{
    const struct model_settings settings = {.context = context, .slots = slots};

    footprint_of(model, &settings, &plenty, ret_footprint);
}

static void test_the_context_that_is_asked_for(void **state)
{
    struct footprint footprint;

    (void)state;
    measure(&thirty_billion, 65536, 2, &footprint);
    assert_int_equal(footprint.context, 65536);
    assert_int_equal(footprint.memory.full_bytes, 2 * 64 * 96 * mib);
    assert_true(footprint.memory.total_bytes >
                thirty_billion.shape.tensor_bytes + footprint.memory.full_bytes);
}

static void test_never_more_than_the_trained_context(void **state)
{
    struct footprint footprint;

    (void)state;
    measure(&thirty_billion, 1u << 20, 1, &footprint);
    assert_int_equal(footprint.context, 262144);
}

/* Four times 262,144 tokens would take 96 GiB, beside 17.4 GiB of weights. */
static void test_a_context_of_our_choice_leaves_room_for_others(void **state)
{
    struct footprint footprint;

    (void)state;
    measure(&thirty_billion, 0, 4, &footprint);
    assert_int_equal(footprint.context, 32768);
    assert_int_equal(footprint.memory.full_bytes, 12 * gib);
    measure(&thirty_billion, 0, 1, &footprint);
    assert_int_equal(footprint.context, 131072);
    measure(&thirty_billion, 0, 64, &footprint);
    assert_int_equal(footprint.context, FOOTPRINT_CONTEXT_MIN);
}

static void test_a_small_model_keeps_its_whole_context(void **state)
{
    struct catalogue_model small = thirty_billion;
    struct footprint footprint;

    (void)state;
    small.context = 32768;
    small.shape.tensor_bytes = 100 * mib;
    small.shape.full = (struct model_cell){.layers = 4, .k_elements = 4 * 64, .v_elements = 4 * 64};
    measure(&small, 0, 4, &footprint);
    assert_int_equal(footprint.context, 32768);
    assert_int_equal(footprint.memory.full_bytes, 128 * mib);
}

static void measure_in(
        uint64_t limit_gib, uint64_t swap_gib, uint32_t context, struct footprint *ret_footprint)
{
    const struct model_settings settings = {.context = context, .slots = 1};
    const struct footprint_room room = {
            .limit_bytes = limit_gib * gib, .swap_bytes = swap_gib * gib};

    footprint_of(&thirty_billion, &settings, &room, ret_footprint);
}

/* 96 KiB a token beside 17.4 GiB of weights. */
static void test_a_context_of_our_choice_fits_the_memory(void **state)
{
    struct footprint footprint;

    (void)state;
    measure_in(24, 0, 0, &footprint);
    assert_int_equal(footprint.context, 65536);
    assert_true(footprint.memory.total_bytes <= 24 * gib);
    measure_in(19, 0, 0, &footprint);
    assert_int_equal(footprint.context, 8192);
    measure_in(10, 0, 0, &footprint);
    assert_int_equal(footprint.context, FOOTPRINT_CONTEXT_LEAST);
    measure_in(24, 0, 131072, &footprint);
    assert_int_equal(footprint.context, 131072);
}

/* A context that is asked for is reduced only for what does not fit otherwise and may swap. */
static void test_what_is_larger_than_the_memory(void **state)
{
    struct footprint footprint;

    (void)state;
    measure_in(16, 8, 65536, &footprint);
    assert_int_equal(footprint.context, FOOTPRINT_CONTEXT_SWAPPED);
    assert_true(footprint.memory.total_bytes > 16 * gib);
    assert_true(footprint.memory.total_bytes < 24 * gib);
    measure_in(20, 8, 65536, &footprint);
    assert_int_equal(footprint.context, 65536);
    measure_in(16, 0, 65536, &footprint);
    assert_int_equal(footprint.context, 65536);
    measure_in(16, 8, 2048, &footprint);
    assert_int_equal(footprint.context, 2048);
}

static void test_what_makes_vectors_has_large_batches(void **state)
{
    struct catalogue_model vectors = thirty_billion;
    struct footprint chat, embeddings;

    (void)state;
    vectors.capabilities = CAPABILITY_EMBEDDINGS;
    measure(&thirty_billion, 8192, 1, &chat);
    measure(&vectors, 8192, 1, &embeddings);
    assert_true(embeddings.memory.compute_bytes > chat.memory.compute_bytes);
}

/* Each text is read alone, so that two slots do not make it longer. */
static void test_a_batch_is_no_longer_than_the_context(void **state)
{
    struct catalogue_model vectors = thirty_billion;
    struct model_settings settings = {.context = 512, .slots = 8};

    (void)state;
    vectors.capabilities = CAPABILITY_RERANK;
    assert_int_equal(footprint_run(&vectors, &settings, 512).batch_tokens, 512);
    assert_int_equal(footprint_run(&vectors, &settings, 4096).batch_tokens, 2048);
    assert_int_equal(footprint_run(&thirty_billion, &settings, 512).batch_tokens, 0);
}

static void test_a_file_that_tells_nothing(void **state)
{
    struct catalogue_model model = {.name = "m", .file_bytes = gib, .context = 4096};
    struct footprint footprint;

    (void)state;
    measure(&model, 0, 4, &footprint);
    assert_int_equal(footprint.context, 4096);
    assert_int_equal(footprint.memory.total_bytes, gib + 512 * mib);
    model.file_bytes = 16 * gib;
    model.context = 0;
    measure(&model, 0, 4, &footprint);
    assert_int_equal(footprint.context, 0);
    assert_int_equal(footprint.memory.total_bytes, 18 * gib);
    model.file_bytes = UINT64_MAX;
    measure(&model, 1024, 4, &footprint);
    assert_int_equal(footprint.context, 1024);
    assert_true(footprint.memory.total_bytes == UINT64_MAX);
}

static uint64_t prompts_of(
        const struct catalogue_model *model, const struct model_settings *settings, uint64_t most)
{
    const struct footprint_room room = {.limit_bytes = 20 * gib, .prompt_cache_bytes = most};
    const struct footprint_room none = {.limit_bytes = 20 * gib};
    struct footprint footprint, without;

    footprint_of(model, settings, &room, &footprint);
    footprint_of(model, settings, &none, &without);
    assert_int_equal(footprint.memory.total_bytes, without.memory.total_bytes);
    return footprint.prompt_cache_bytes;
}

static void test_room_for_earlier_prompts(void **state)
{
    const struct model_settings settings = {.context = 8192, .slots = 2};

    (void)state;
    assert_int_equal(prompts_of(&thirty_billion, &settings, 0), 0);
    assert_int_equal(prompts_of(&thirty_billion, &settings, 2 * gib + 5), 2 * gib);
    /* two slots take 1.5 GiB */
    assert_int_equal(prompts_of(&thirty_billion, &settings, 64 * gib), 6 * gib);
}

static void test_the_owner_says_what_is_kept(void **state)
{
    struct model_settings settings = {
            .context = 8192, .slots = 2, .prompt_cache_set = true, .prompt_cache_bytes = 30 * gib};

    (void)state;
    assert_int_equal(prompts_of(&thirty_billion, &settings, gib), 30 * gib);
    settings.prompt_cache_bytes = 0;
    assert_int_equal(prompts_of(&thirty_billion, &settings, gib), 0);
}

static void test_what_makes_vectors_keeps_no_prompts(void **state)
{
    const struct model_settings settings = {.slots = 2};
    const struct catalogue_model vectors = {.context = 8192,
            .capabilities = CAPABILITY_EMBEDDINGS,
            .shape = {.tensor_bytes = mib, .full = {.layers = 2, .k_elements = 9}}};

    (void)state;
    assert_int_equal(prompts_of(&vectors, &settings, gib), 0);
}

/* A window of 1,024 tokens and a batch beside it: 1,536 cells of 2 KiB, 3 MiB each slot. */
static void test_checkpoints_of_a_sliding_window(void **state)
{
    const struct model_settings settings = {.context = 32768, .slots = 2};
    const struct catalogue_model window = {.context = 32768,
            .capabilities = CAPABILITY_CHAT,
            .shape = {.tensor_bytes = mib,
                    .full = {.layers = 1, .k_elements = 512, .v_elements = 512},
                    .window = {.layers = 1, .k_elements = 512, .v_elements = 512},
                    .window_tokens = 1024,
                    .context_trained = 32768}};
    struct footprint footprint;

    (void)state;
    footprint_of(&window, &settings, &plenty, &footprint);
    assert_int_equal(footprint.checkpoint_bytes, 6 * mib);
    assert_int_equal(footprint_checkpoints(6 * mib, 24 * mib), 2);
    assert_int_equal(footprint_checkpoints(6 * mib, 0), 1);
    assert_int_equal(footprint_checkpoints(6 * mib, 8 * gib), FOOTPRINT_CHECKPOINTS_MAX);
    footprint_of(&thirty_billion, &settings, &plenty, &footprint);
    assert_int_equal(footprint.checkpoint_bytes, 0);
    assert_int_equal(footprint_checkpoints(0, 8 * gib), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_the_context_that_is_asked_for),
            cmocka_unit_test(test_never_more_than_the_trained_context),
            cmocka_unit_test(test_a_context_of_our_choice_leaves_room_for_others),
            cmocka_unit_test(test_a_small_model_keeps_its_whole_context),
            cmocka_unit_test(test_a_context_of_our_choice_fits_the_memory),
            cmocka_unit_test(test_what_is_larger_than_the_memory),
            cmocka_unit_test(test_what_makes_vectors_has_large_batches),
            cmocka_unit_test(test_a_batch_is_no_longer_than_the_context),
            cmocka_unit_test(test_a_file_that_tells_nothing),
            cmocka_unit_test(test_room_for_earlier_prompts),
            cmocka_unit_test(test_the_owner_says_what_is_kept),
            cmocka_unit_test(test_what_makes_vectors_keeps_no_prompts),
            cmocka_unit_test(test_checkpoints_of_a_sliding_window),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("footprint", tests, NULL, NULL);
}

/* What people with 96 and 128 GB ask each other about, with the shapes of the models that they
 * have: two models that fit beside each other until they are used, a large one that needs others
 * gone, and a cache as large as the model. All of it is arithmetic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/model/combinations.h"
#include "common/model/estimate.h"
#include "common/model/nominal.h"
#include "node/residency/residency.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define GB(n)        (UINT64_C(n) * 1000 * 1000 * 1000)
#define GIB(n)       ((uint64_t)(n) << 30)

/* `k` and `v`: elements of all layers together. */
#define CELL(layers_, width_)                                                                      \
    {                                                                                              \
        .layers = (layers_), .k_elements = (uint64_t)(layers_) * (width_),                         \
        .v_elements = (uint64_t)(layers_) * (width_)                                               \
    }

/* Qwen3-32B in Q8_0: 64 layers with 8 key-value heads of 128, 256 KiB of f16 a token. */
static const struct model_shape dense_33g = {.tensor_bytes = GB(33),
        .full = CELL(64, 1024),
        .layers = 64,
        .embedding = 5120,
        .vocabulary = 151936,
        .feed_forward = 25600,
        .heads = 64,
        .context_trained = 131072};

/* Qwen3-235B-A22B in about 3 bits: 94 layers with 4 such heads, 188 KiB a token. */
static const struct model_shape mixture_92g = {.tensor_bytes = GB(92),
        .full = CELL(94, 512),
        .layers = 94,
        .embedding = 4096,
        .vocabulary = 151936,
        .feed_forward = 8 * 1536, /* eight experts answer */
        .heads = 64,
        .context_trained = 262144};

/* Llama 3.3 70B in Q8_0, nearly: 80 layers with 8 heads, 320 KiB a token. */
static const struct model_shape dense_70g = {.tensor_bytes = GB(70),
        .full = CELL(80, 1024),
        .layers = 80,
        .embedding = 8192,
        .vocabulary = 128256,
        .feed_forward = 28672,
        .heads = 64,
        .context_trained = 131072};

/* Qwen3-30B-A3B in Q8_0: 48 layers with 4 heads, 96 KiB a token. */
static const struct model_shape mixture_32g = {.tensor_bytes = GB(32),
        .full = CELL(48, 512),
        .layers = 48,
        .embedding = 2048,
        .vocabulary = 151936,
        .feed_forward = 8 * 768,
        .heads = 32,
        .context_trained = 262144};

/* Mistral Small 24B in Q6_K: 40 layers with 8 heads, 160 KiB a token. */
static const struct model_shape dense_20g = {.tensor_bytes = GB(20),
        .full = CELL(40, 1024),
        .layers = 40,
        .embedding = 5120,
        .vocabulary = 131072,
        .feed_forward = 32768,
        .heads = 32,
        .context_trained = 131072};

/* As a node and `modemesh fit` run it: one slot, an engine of today. */
static struct model_run run_at(uint32_t context, enum cache_type type)
{
    return (struct model_run){.context = context, .type_k = type, .type_v = type, .output_rows = 1};
}

static struct model_memory memory_at(
        const struct model_shape *shape, uint32_t context, enum cache_type type)
{
    const struct model_run run = run_at(context, type);
    struct model_memory memory;

    estimate_memory(shape, &run, &memory);
    return memory;
}

static uint64_t total_at(const struct model_shape *shape, uint32_t context)
{
    return memory_at(shape, context, CACHE_TYPE_F16).total_bytes;
}

/* --- 33 and 92 GB in 128 GB --- */

static uint64_t pair_at(uint32_t context, enum cache_type type)
{
    return memory_at(&dense_33g, context, type).total_bytes +
           memory_at(&mixture_92g, context, type).total_bytes;
}

static void test_33_and_92_fit_128_empty(void **state)
{
    (void)state;
    assert_true(pair_at(ESTIMATE_CONTEXT_STEP, CACHE_TYPE_F16) < estimate_usable_bytes(GIB(128)));
}

/* 16 and 11.75 GiB of cache: not even with nothing left for the rest of the host. */
static void test_33_and_92_do_not_fit_128_with_65k_each(void **state)
{
    const uint64_t bytes[] = {total_at(&dense_33g, 65536), total_at(&mixture_92g, 65536)};
    uint16_t sets[COMBINATIONS_SETS_MAX];

    (void)state;
    assert_int_equal(memory_at(&dense_33g, 65536, CACHE_TYPE_F16).full_bytes, GIB(16));
    assert_int_equal(memory_at(&mixture_92g, 65536, CACHE_TYPE_F16).full_bytes, GIB(47) / 4);
    assert_true(bytes[0] + bytes[1] > GIB(128));
    /* One at a time, then. */
    assert_int_equal(combinations_find(bytes, 2, estimate_usable_bytes(GIB(128)), sets), 2);
    assert_int_equal(sets[0], 1);
    assert_int_equal(sets[1], 2);
}

static void expect_joint(enum cache_type type, uint32_t context)
{
    const struct combination_member pair[] = {
            {&dense_33g, run_at(0, type)}, {&mixture_92g, run_at(0, type)}};
    uint64_t usable = estimate_usable_bytes(GIB(128));

    assert_int_equal(combinations_context(pair, 2, usable), context);
    assert_true(pair_at(context, type) <= usable);
    assert_true(pair_at(context + ESTIMATE_CONTEXT_STEP, type) > usable);
}

/* What is left of 121.9 GiB beside the weights, for 444 KiB of cache a token (q8_0: 236). */
static void test_joint_context_of_33_and_92_in_128(void **state)
{
    (void)state;
    expect_joint(CACHE_TYPE_F16, 12032);
    expect_joint(CACHE_TYPE_Q8_0, 22784);
}

/* --- 70 GB beside three residents, on 96 GB --- */

enum { ASK, CODE, DEBUG, LARGE, HOST_MODELS, CONTEXT = 8192, LOAD_MS = 10000 };

static const uint64_t now_ms = 100000000;

struct host {
    struct residency_host memory;
    struct residency_model models[HOST_MODELS];
    struct residency_decision decision;
};

static struct residency_model resident(
        const char *name, const struct model_shape *shape, float rate_per_s)
{
    uint64_t bytes = total_at(shape, CONTEXT);

    return (struct residency_model){.name = name,
            .memory_bytes = bytes,
            .taken_bytes = bytes,
            .state = RESIDENCY_RESIDENT,
            .loaded_at_ms = now_ms - 3600000,
            .used_at_ms = now_ms - 60000,
            .load_ms = LOAD_MS,
            .rate_per_s = rate_per_s};
}

/* Somebody has waited for the large one for as long as it costs to displace any others. */
static struct residency_model wanted(void)
{
    return (struct residency_model){.name = "large",
            .memory_bytes = total_at(&dense_70g, CONTEXT),
            .state = RESIDENCY_ABSENT,
            .waiting = 1,
            .interactive = 1,
            .waiting_since_ms = now_ms - 3600000,
            .load_ms = LOAD_MS};
}

/* All of the card is free but for the three. */
static void start(struct host *host)
{
    uint64_t pool = GIB(96), usable = estimate_usable_bytes(pool);

    for (unsigned i = ASK; i < LARGE; i++)
        pool -= host->models[i].memory_bytes;
    host->models[LARGE] = wanted();
    host->memory = (struct residency_host){.now_ms = now_ms,
            .limit_bytes = usable,
            .pool_free_bytes = pool,
            .keep_free_bytes = GIB(96) - usable};
}

static void decide(struct host *host)
{
    residency_decide(&host->memory, host->models, HOST_MODELS, &host->decision);
}

static void expect_words(const struct host *host, unsigned model, const char *want)
{
    char text[512];

    assert_string_equal(residency_explain(&host->memory, host->models, HOST_MODELS,
                                &host->models[model], text, sizeof text),
            want);
}

static void stop(struct host *host, unsigned model)
{
    assert_true(host->models[model].evict);
    host->models[model].state = RESIDENCY_STOPPING;
}

/* … and the kernel shows its memory as free. */
static void end(struct host *host, unsigned model)
{
    host->models[model].state = RESIDENCY_ABSENT;
    host->models[model].taken_bytes = 0;
    host->memory.pool_free_bytes += host->models[model].memory_bytes;
}

static struct host three_of_different_size(void)
{
    struct host host = {.models = {[ASK] = resident("ask", &dense_20g, 0.001f),
                                [CODE] = resident("code", &mixture_32g, 0.02f),
                                [DEBUG] = resident("debug", &dense_33g, 0.01f)}};

    start(&host);
    return host;
}

/* The table that people write by hand: all three, or the large one with the small one. */
static void test_70_fits_96_beside_one_of_three(void **state)
{
    const uint64_t bytes[] = {total_at(&dense_70g, CONTEXT), total_at(&dense_20g, CONTEXT),
            total_at(&mixture_32g, CONTEXT), total_at(&dense_33g, CONTEXT)};
    uint16_t sets[COMBINATIONS_SETS_MAX];

    (void)state;
    assert_int_equal(
            combinations_find(bytes, COUNT(bytes), estimate_usable_bytes(GIB(96)), sets), 2);
    assert_int_equal(sets[0], 0xe);
    assert_int_equal(sets[1], 0x3);
}

static void test_70_has_no_room_beside_three(void **state)
{
    struct host host = three_of_different_size();
    struct residency_room room =
            residency_room(&host.memory, host.models, HOST_MODELS, &host.models[LARGE]);

    (void)state;
    assert_true(room.now_bytes < GIB(8));
    assert_int_equal(room.alone_bytes, estimate_usable_bytes(GIB(96)));
    assert_true(room.alone_bytes - total_at(&dense_20g, CONTEXT) > host.models[LARGE].memory_bytes);
    assert_true(
            room.alone_bytes - total_at(&mixture_32g, CONTEXT) < host.models[LARGE].memory_bytes);
}

/* "ask" is used least, and yet it stays: its memory would not be enough, nor is it needed. */
static void test_two_of_three_leave_for_70(void **state)
{
    struct host host = three_of_different_size();

    (void)state;
    decide(&host);
    expect_words(&host, LARGE, "large waits: debug (32.9 GiB) and code (30.6 GiB) are stopping");
    expect_words(&host, CODE, "code makes room for large, which needs 67.9 GiB");
    expect_words(&host, DEBUG, "debug makes room for large, which needs 67.9 GiB");
    expect_words(&host, ASK, "");
    stop(&host, CODE);
    stop(&host, DEBUG);
    end(&host, CODE);
    decide(&host);
    assert_null(host.decision.load);
    end(&host, DEBUG);
    decide(&host);
    assert_ptr_equal(host.decision.load, &host.models[LARGE]);
    assert_false(host.models[ASK].evict);
    expect_words(&host, LARGE, "large needs 67.9 GiB of the 71.3 GiB that are free for models");
}

/* Where any two would do, the one that is used most stays. */
static void test_the_most_used_stays_beside_70(void **state)
{
    (void)state;
    for (unsigned kept = ASK; kept < LARGE; kept++) {
        struct host host = {.models = {[ASK] = resident("ask", &dense_20g, 0.01f),
                                    [CODE] = resident("code", &dense_20g, 0.01f),
                                    [DEBUG] = resident("debug", &dense_20g, 0.01f)}};

        host.models[kept].rate_per_s = 0.02f;
        start(&host);
        decide(&host);
        for (unsigned i = ASK; i < LARGE; i++)
            assert_int_equal(host.models[i].evict, i != kept);
    }
}

/* A pinned one of those that must leave: refused at once, and nobody leaves in vain. */
static void test_a_pin_keeps_70_out(void **state)
{
    struct host host = three_of_different_size();

    (void)state;
    host.models[CODE].pinned = true;
    decide(&host);
    expect_words(&host, LARGE,
            "large needs 67.9 GiB; beside the pinned model code (30.6 GiB) there are 60.8 GiB of "
            "the limit of 91.4 GiB: unpin one, or use a shorter context");
    for (unsigned i = ASK; i < LARGE; i++)
        assert_false(host.models[i].evict);
}

/* --- a 32B model and its 128k cache --- */

static void expect_cache(const struct model_shape *shape, enum cache_type type, uint64_t bytes)
{
    assert_int_equal(memory_at(shape, 131072, type).full_bytes, bytes);
}

/* 64 layers · 131,072 tokens · 2 · 8 · 128 elements · 2 bytes; of blocks of 32, 34 and 18 bytes. */
static void test_cache_of_32b_at_128k(void **state)
{
    (void)state;
    expect_cache(&dense_33g, CACHE_TYPE_F16, GIB(32));
    expect_cache(&dense_33g, CACHE_TYPE_Q8_0, GIB(17));
    expect_cache(&dense_33g, CACHE_TYPE_Q4_0, GIB(9));
}

/* The same from its size alone, before a file of it is there. */
static void test_cache_of_32b_from_its_size(void **state)
{
    const struct model_run run = run_at(0, CACHE_TYPE_F16);
    struct nominal_size size;
    struct model_shape shape;
    uint32_t millibits;

    (void)state;
    assert_int_equal(nominal_parse("32b", &size, NULL), 0);
    assert_int_equal(nominal_parse_quantisation("Q4_K_M", &millibits, NULL), 0);
    nominal_shape(&size, millibits, &shape);
    expect_cache(&shape, CACHE_TYPE_F16, GIB(32));
    expect_cache(&shape, CACHE_TYPE_Q8_0, GIB(17));
    /* On a card of 48 GB its weights have room twice over, and that cache has not. */
    assert_true(shape.tensor_bytes < GIB(48) / 2);
    assert_int_equal(estimate_context(&shape, &run, estimate_usable_bytes(GIB(48))), 111104);
    assert_true(memory_at(&shape, 131072, CACHE_TYPE_Q8_0).total_bytes <
                estimate_usable_bytes(GIB(48)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_33_and_92_fit_128_empty),
            cmocka_unit_test(test_33_and_92_do_not_fit_128_with_65k_each),
            cmocka_unit_test(test_joint_context_of_33_and_92_in_128),
            cmocka_unit_test(test_70_fits_96_beside_one_of_three),
            cmocka_unit_test(test_70_has_no_room_beside_three),
            cmocka_unit_test(test_two_of_three_leave_for_70),
            cmocka_unit_test(test_the_most_used_stays_beside_70),
            cmocka_unit_test(test_a_pin_keeps_70_out),
            cmocka_unit_test(test_cache_of_32b_at_128k),
            cmocka_unit_test(test_cache_of_32b_from_its_size),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("what_fits", tests, NULL, NULL);
}

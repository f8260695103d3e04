#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/model/combinations.h"

#include <stdbool.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define GB(n)        ((uint64_t)(n)*1000000000)
#define GIB(n)       ((uint64_t)(n) << 30)

static uint16_t sets[COMBINATIONS_SETS_MAX];

static void assert_sets(const uint64_t *bytes, size_t count, uint64_t limit, const uint16_t *wanted,
        size_t wanted_count)
{
    assert_int_equal(combinations_find(bytes, count, limit, sets), wanted_count);
    for (size_t i = 0; i < wanted_count; i++)
        assert_int_equal(sets[i], wanted[i]);
}

static void test_few(void **state)
{
    static const uint64_t bytes[] = {50, 40, 30, 20};
    /* 50 + 40, 50 + 30, 40 + 30 + 20 and 50 + 20: only 50 + 40 and 50 + 30 leave less than 20 */
    static const uint16_t at_90[] = {0xe, 0x3, 0x5, 0x9};
    static const uint16_t at_140[] = {0xf};
    static const uint16_t at_45[] = {0x2, 0x4, 0x8};

    (void)state;
    assert_sets(bytes, COUNT(bytes), 90, at_90, COUNT(at_90));
    assert_sets(bytes, COUNT(bytes), 140, at_140, COUNT(at_140));
    assert_sets(bytes, COUNT(bytes), 45, at_45, COUNT(at_45));
    assert_sets(bytes, COUNT(bytes), 10, NULL, 0);
    assert_sets(bytes, 0, 10, NULL, 0);
}

/* Two people each have "46 GB: both stay". */
static void test_exactly(void **state)
{
    static const uint64_t bytes[] = {GB(46), GB(46)};
    static const uint16_t both[] = {3}, each[] = {1, 2};

    (void)state;
    assert_sets(bytes, 2, GB(92), both, 1);
    assert_sets(bytes, 2, GB(92) - 1, each, 2);
}

static uint64_t sum_of(const uint64_t *bytes, size_t count, unsigned set)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += set >> i & 1 ? bytes[i] : 0;
    return sum;
}

/* Against all subsets: each that fits is within one that was found, and none found holds another.
 */
static void check_all(const uint64_t *bytes, size_t count, uint64_t limit)
{
    size_t found = combinations_find(bytes, count, limit, sets);

    for (unsigned set = 1; set < 1u << count; set++) {
        unsigned within = 0, same = 0;
        for (size_t i = 0; i < found; i++) {
            within += (set & sets[i]) == set;
            same += set == sets[i];
        }
        assert_int_equal(within > 0, sum_of(bytes, count, set) <= limit);
        assert_true(same == 0 || (same == 1 && within == 1));
    }
}

static void test_random(void **state)
{
    (void)state;
    srand(20261121);
    for (unsigned round = 0; round < 50; round++) {
        uint64_t bytes[8];
        size_t count = 1 + (size_t)rand() % COUNT(bytes);

        for (size_t i = 0; i < count; i++)
            bytes[i] = 1 + (uint64_t)rand() % 100;
        check_all(bytes, count, (uint64_t)rand() % 300);
    }
}

static void test_most_sets(void **state)
{
    uint64_t bytes[COMBINATIONS_MODELS_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(bytes); i++)
        bytes[i] = 10;
    assert_int_equal(combinations_find(bytes, COUNT(bytes), 80, sets), COMBINATIONS_SETS_MAX);
    assert_int_equal(sets[0], 0x00ff);
    assert_int_equal(sets[COMBINATIONS_SETS_MAX - 1], 0xff00);
    assert_int_equal(combinations_find(bytes, COUNT(bytes), UINT64_MAX, sets), 1);
    assert_int_equal(sets[0], 0xffff);
}

static void test_huge(void **state)
{
    static const uint64_t bytes[] = {UINT64_MAX, UINT64_MAX - 5, 3};
    static const uint16_t without_the_first[] = {0x6}, all[] = {0x6, 0x1};

    (void)state;
    assert_sets(bytes, COUNT(bytes), UINT64_MAX - 1, without_the_first, 1);
    assert_sets(bytes, COUNT(bytes), UINT64_MAX, all, COUNT(all));
}

/* --- joint contexts --- */

static struct model_cell cell(uint32_t layers, uint64_t width)
{
    return (struct model_cell){
            .layers = layers, .k_elements = layers * width, .v_elements = layers * width};
}

/* Qwen3-32B in Q8_0, 33 GB: 256 KiB a token. */
static const struct model_shape *dense_33g(void)
{
    static struct model_shape shape = {.tensor_bytes = GB(33),
            .layers = 64,
            .embedding = 5120,
            .vocabulary = 151936,
            .feed_forward = 25600,
            .heads = 64,
            .context_trained = 131072};

    shape.full = cell(64, 1024);
    return &shape;
}

/* Qwen3-235B-A22B in about 3 bits, 92 GB: 188 KiB a token. */
static const struct model_shape *mixture_92g(void)
{
    static struct model_shape shape = {.tensor_bytes = GB(92),
            .layers = 94,
            .embedding = 4096,
            .vocabulary = 151936,
            .feed_forward = 8 * 1536,
            .heads = 64,
            .context_trained = 262144};

    shape.full = cell(94, 512);
    return &shape;
}

static uint64_t sum_at(const struct combination_member *members, size_t count, uint32_t context)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        struct model_run run = members[i].run;
        struct model_memory memory;
        run.context = context;
        estimate_memory(members[i].shape, &run, &memory);
        sum += memory.total_bytes;
    }
    return sum;
}

/* Of two that fit 128 GiB without a context: one step more than the joint one is too much. */
static void check_joint(enum cache_type type)
{
    const struct model_run run = {.type_k = type, .type_v = type, .output_rows = 1};
    const struct combination_member members[] = {{dense_33g(), run}, {mixture_92g(), run}};

    for (uint64_t limit = GIB(118); limit < GIB(147); limit += GIB(9)) {
        uint32_t joint = combinations_context(members, 2, limit);
        assert_in_range(joint, ESTIMATE_CONTEXT_STEP, 131072);
        assert_true(sum_at(members, 2, joint) <= limit);
        assert_true(sum_at(members, 2, joint + ESTIMATE_CONTEXT_STEP) > limit);
    }
}

static void test_joint_context(void **state)
{
    (void)state;
    check_joint(CACHE_TYPE_F16);
    check_joint(CACHE_TYPE_Q8_0);
}

static void test_shorter_one_stays(void **state)
{
    struct model_shape small = *dense_33g();
    struct combination_member members[] = {{mixture_92g(), {.sequences = 1}}, {&small, {0}}};

    (void)state;
    small.context_trained = 2048;
    small.tensor_bytes = GB(1);
    assert_int_equal(combinations_context(members, 2, UINT64_MAX), 262144);
    assert_int_equal(combinations_context(&members[1], 1, UINT64_MAX), 2048);
}

static void test_nothing_fits(void **state)
{
    const struct combination_member members[] = {{dense_33g(), {0}}, {mixture_92g(), {0}}};

    (void)state;
    assert_int_equal(combinations_context(members, 2, GIB(96)), 0);
    assert_int_equal(combinations_context(members, 0, GIB(96)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_few),
            cmocka_unit_test(test_exactly),
            cmocka_unit_test(test_random),
            cmocka_unit_test(test_most_sets),
            cmocka_unit_test(test_huge),
            cmocka_unit_test(test_joint_context),
            cmocka_unit_test(test_shorter_one_stays),
            cmocka_unit_test(test_nothing_fits),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("combinations", tests, NULL, NULL);
}

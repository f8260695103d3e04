#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/fit/fit_answer.h"

#include <stdio.h>
#include <string.h>

#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)

enum { MODELS_MAX = 24, LAYER_ELEMENTS = 1024 };

static struct fit_model list[MODELS_MAX];
static char paths[MODELS_MAX][16];
static struct fit_models models;
static struct fit_answer *answer;

static const struct fit_ask usual = {.contexts = {8192, 32768, 131072},
        .context_count = 3,
        .together = 32768,
        .slots = 1,
        .type = CACHE_TYPE_F16,
        .memory_bytes = 128 * GIB};

static int setup(void **state)
{
    (void)state;
    models = (struct fit_models){.list = list};
    answer = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fit_answer_destroy(answer);
    return 0;
}

/* `layers` of 1024 elements of keys and as many of values: 4 KiB of f16 for each token and layer.
 */
static void add(uint64_t tensor_bytes, uint32_t layers)
{
    struct fit_model *model = &list[models.count];

    *model = (struct fit_model){.path = paths[models.count]};
    (void)snprintf(paths[models.count], sizeof paths[0], "/m/%zu", models.count);
    (void)snprintf(model->name, sizeof model->name, "m%zu", models.count);
    model->shape = (struct model_shape){.tensor_bytes = tensor_bytes,
            .full = {.layers = layers,
                    .k_elements = (uint64_t)layers * LAYER_ELEMENTS,
                    .v_elements = (uint64_t)layers * LAYER_ELEMENTS},
            .layers = layers,
            .context_trained = 131072};
    models.count++;
}

static void find(const struct fit_ask *ask)
{
    struct err err;

    fit_answer_destroy(answer);
    assert_int_equal(fit_answer_create(&models, ask, &answer, &err), 0);
}

static void a_32b_model_has_32_gib_of_cache_at_128k(void **state)
{
    const struct fit_row *row;

    (void)state;
    add(19 * GIB, 64);
    find(&usual);
    row = &answer->rows[0];
    assert_int_equal(row->cells[0].memory.full_bytes, 2 * GIB);
    assert_int_equal(row->cells[1].memory.full_bytes, 8 * GIB);
    assert_int_equal(row->cells[2].memory.full_bytes, 32 * GIB);
    assert_true(row->cells[2].fits);
    assert_int_equal(row->longest, 131072);
    assert_int_equal(row->largest, 131072);
}

static void fits_up_to_some_context(void **state)
{
    struct fit_ask ask = usual;
    struct model_memory memory;
    struct model_run run;

    (void)state;
    add(19 * GIB, 64);
    ask.memory_bytes = 32 * GIB;
    find(&ask);
    assert_true(answer->rows[0].cells[1].fits && !answer->rows[0].cells[2].fits);
    assert_int_equal(answer->rows[0].longest, 32768);
    run = fit_ask_run(&ask, answer->rows[0].largest);
    estimate_memory(&list[0].shape, &run, &memory);
    assert_true(memory.total_bytes <= estimate_usable_bytes(ask.memory_bytes));
    run.context += ESTIMATE_CONTEXT_STEP;
    estimate_memory(&list[0].shape, &run, &memory);
    assert_true(memory.total_bytes > estimate_usable_bytes(ask.memory_bytes));
    ask.memory_bytes = 16 * GIB;
    find(&ask);
    assert_int_equal(answer->rows[0].longest, 0);
    assert_int_equal(answer->rows[0].largest, 0);
    assert_int_equal(answer->set_count, 0);
}

static void a_projector_counts(void **state)
{
    struct fit_ask ask = usual;
    uint64_t total;

    (void)state;
    add(19 * GIB, 64);
    find(&ask);
    total = answer->rows[0].cells[0].memory.total_bytes;
    list[0].projector_bytes = GIB;
    find(&ask);
    assert_int_equal(answer->rows[0].cells[0].memory.total_bytes, total + GIB);
    assert_int_equal(answer->sets[0].total_bytes, answer->rows[0].cells[1].memory.total_bytes);
}

static void beyond_what_it_was_trained_for_is_told(void **state)
{
    (void)state;
    add(GIB, 8);
    list[0].shape.context_trained = 32768;
    find(&usual);
    assert_false(answer->rows[0].cells[1].beyond);
    assert_true(answer->rows[0].cells[2].beyond);
    assert_int_equal(answer->rows[0].largest, 32768);
    list[0].shape.context_trained = 0; /* not said */
    find(&usual);
    assert_false(answer->rows[0].cells[2].beyond);
}

/* "33 GB and 92 GB models that both fit 128 GB": by their weights, but with no context to use. */
static void two_that_fit_empty_only(void **state)
{
    struct fit_ask ask = usual;

    (void)state;
    add(UINT64_C(33000000000), 48);
    add(UINT64_C(92000000000), 36);
    ask.together = 65536;
    find(&ask);
    assert_int_equal(answer->set_count, 2); /* each alone */
    assert_int_equal(answer->sets[0].members, 1);
    assert_int_equal(answer->sets[1].members, 2);
    ask.together = 512;
    find(&ask);
    assert_int_equal(answer->set_count, 1);
    assert_int_equal(answer->sets[0].members, 3);
    assert_int_equal(answer->sets[0].left_bytes, 128 * GIB - answer->sets[0].total_bytes);
    assert_in_range(answer->sets[0].largest, 8192, 32768);
    ask.together = answer->sets[0].largest;
    find(&ask);
    assert_int_equal(answer->sets[0].members, 3);
    ask.together = answer->sets[0].largest + ESTIMATE_CONTEXT_STEP;
    find(&ask);
    assert_int_equal(answer->set_count, 2);
}

static void those_that_never_fit_are_in_no_set(void **state)
{
    (void)state;
    add(200 * GIB, 64);
    add(30 * GIB, 8);
    add(40 * GIB, 8);
    find(&usual);
    assert_int_equal(answer->candidate_count, 2);
    assert_int_equal(answer->candidates[0], 1);
    assert_int_equal(answer->set_count, 1);
    assert_int_equal(answer->sets[0].members, 3);
    assert_int_equal(
            answer->sets[0].total_bytes, answer->rows[1].cells[1].memory.total_bytes +
                                                 answer->rows[2].cells[1].memory.total_bytes);
}

static void instances_of_one_model_are_not_told_twice(void **state)
{
    (void)state;
    add(50 * GIB, 8);
    add(50 * GIB, 8);
    add(50 * GIB, 8);
    find(&usual);
    assert_int_equal(answer->set_count, 3); /* three models, any two */
    list[1].path = list[2].path = list[0].path;
    find(&usual);
    assert_int_equal(answer->set_count, 1);
    assert_int_equal(answer->sets[0].members, 3);
}

static void more_than_can_be_combined(void **state)
{
    (void)state;
    for (size_t i = 0; i < COMBINATIONS_MODELS_MAX; i++)
        add(GIB, 4);
    add(500 * GIB, 4); /* in no set anyhow */
    find(&usual);
    assert_false(answer->too_many);
    assert_int_equal(answer->candidate_count, COMBINATIONS_MODELS_MAX);
    assert_int_equal(answer->set_count, 1);
    add(GIB, 4);
    find(&usual);
    assert_true(answer->too_many);
    assert_int_equal(answer->set_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(
                    a_32b_model_has_32_gib_of_cache_at_128k, setup, teardown),
            cmocka_unit_test_setup_teardown(fits_up_to_some_context, setup, teardown),
            cmocka_unit_test_setup_teardown(a_projector_counts, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    beyond_what_it_was_trained_for_is_told, setup, teardown),
            cmocka_unit_test_setup_teardown(two_that_fit_empty_only, setup, teardown),
            cmocka_unit_test_setup_teardown(those_that_never_fit_are_in_no_set, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    instances_of_one_model_are_not_told_twice, setup, teardown),
            cmocka_unit_test_setup_teardown(more_than_can_be_combined, setup, teardown),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("fit_answer", tests, NULL, NULL);
}

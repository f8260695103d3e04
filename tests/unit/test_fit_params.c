#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/model/fit_params.h"

#include <string.h>

#define MIB (UINT64_C(1) << 20)

static bool take(struct fit_params *params, const char *line)
{
    return fit_params_take(params, line, strlen(line));
}

static void adds_what_the_tool_prints(void **state)
{
    struct fit_params params = {0};

    (void)state;
    /* As printed for an RTX 4090 beside its host; a number counts one more, as it was cut. */
    assert_true(take(&params, "CUDA0 5956 562 501 \n"));
    assert_true(take(&params, "Host 545 0 32 \n"));
    assert_int_equal(params.tensor_bytes, (5957 + 546) * MIB);
    assert_int_equal(params.context_bytes, 563 * MIB);
    assert_int_equal(params.compute_bytes, (502 + 33) * MIB);
}

static void passes_over_all_else(void **state)
{
    static const char *const lines[] = {"", "\n", "CUDA0 1 2", "CUDA0 1 2 3 4", "CUDA0 1 2 x",
            "CUDA0 1 -2 3", "CUDA0 1.5 2 3", "5956 562 501",
            "0.00.041.481 I llama_fit_params: printing estimated memory in MiB to stdout",
            "CUDA0 9999999999999 1 1", "-c 4096 -ngl 99"};
    struct fit_params params = {0};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_false(take(&params, lines[i]));
    assert_int_equal(params.tensor_bytes + params.context_bytes + params.compute_bytes, 0);
}

static void sums_saturate(void **state)
{
    struct fit_params params = {.tensor_bytes = UINT64_MAX - 1};

    (void)state;
    assert_true(take(&params, "Host 999999999999 0 0"));
    assert_int_equal(params.tensor_bytes, UINT64_MAX);
}

static struct fit_point point_at(
        const struct model_shape *shape, struct model_run run, uint32_t context)
{
    struct fit_point point = {.context = context};
    struct model_memory memory;

    run.context = context;
    estimate_memory(shape, &run, &memory);
    point.params.tensor_bytes = memory.tensor_bytes;
    point.params.context_bytes = memory.full_bytes + memory.window_bytes + memory.state_bytes;
    point.params.compute_bytes = memory.compute_bytes;
    return point;
}

/* What a model takes is known here at every context: the fitted shape may never say less, nor more
 * than `slack_mib` above it. */
static void expect_covered(
        const struct model_shape *shape, const struct model_run *run, uint64_t slack_mib)
{
    struct fit_point low = point_at(shape, *run, 65536), high = point_at(shape, *run, 131072);
    struct model_shape fitted = fit_params_shape(shape, run, &low, &high);
    struct model_run at = *run;

    for (at.context = 256; at.context <= 131072; at.context += 256) {
        struct model_memory truth, said;
        estimate_memory(shape, &at, &truth);
        estimate_memory(&fitted, &at, &said);
        assert_true(said.total_bytes >= truth.total_bytes);
        assert_true(said.total_bytes <= truth.total_bytes + slack_mib * MIB);
    }
    assert_int_equal(fitted.context_trained, shape->context_trained);
    assert_int_equal(fitted.tensor_bytes, shape->tensor_bytes);
    assert_false(fitted.bound);
}

static const struct model_shape plain = {.tensor_bytes = 18000 * MIB,
        .full = {.layers = 64, .k_elements = 64 * 1024, .v_elements = 64 * 1024},
        .layers = 64,
        .embedding = 5120,
        .vocabulary = 151936,
        .feed_forward = 25600,
        .heads = 64,
        .context_trained = 131072,
        .bound = true};

static void covers_a_plain_model(void **state)
{
    (void)state;
    for (unsigned type = 0; type < CACHE_TYPE_COUNT; type++)
        for (uint32_t slots = 1; slots <= 4; slots += 3) {
            struct model_run run = {.sequences = slots,
                    .type_k = (enum cache_type)type,
                    .type_v = (enum cache_type)type};
            expect_covered(&plain, &run, 256);
        }
}

static void covers_windows_and_states(void **state)
{
    struct model_shape shape = plain;
    struct model_run run = {.sequences = 2};

    (void)state;
    shape.full.k_elements = shape.full.v_elements = 8 * 1024;
    shape.window =
            (struct model_cell){.layers = 24, .k_elements = 24 * 1024, .v_elements = 24 * 1024};
    shape.window_tokens = 4096;
    shape.state_bytes = 60 * MIB;
    expect_covered(&shape, &run, 1200); /* below its window a model takes less than the line */
    shape.full = (struct model_cell){.layers = 0}; /* a state alone does not grow at all */
    shape.window = shape.full;
    expect_covered(&shape, &run, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(adds_what_the_tool_prints),
            cmocka_unit_test(passes_over_all_else),
            cmocka_unit_test(sums_saturate),
            cmocka_unit_test(covers_a_plain_model),
            cmocka_unit_test(covers_windows_and_states),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("fit_params", tests, NULL, NULL);
}

#include "coordinator/scheduling/cost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Powers of two, so that what is reckoned by hand is what a computer reckons. */
static const struct cost_rates fast = {
        .prefill_tok_s = 1024, .half_depth = 32768, .step_s = 0.25F, .step_sequence_s = 0.0625F};
static const struct cost_rates flat = {
        .prefill_tok_s = 512, .half_depth = INFINITY, .step_s = 0.5F, .step_sequence_s = 0};

#define is(value, expected) check_is(value, expected, __LINE__)

static void check_is(double value, double expected, int line)
{
    if (!(fabs(value - expected) < 1e-9))
        fail_msg("line %d: %g and not %g", line, value, expected);
}

static struct cost_ask ask_of(double prompt_tokens)
{
    return (struct cost_ask){.prompt_tokens = prompt_tokens, .beta = 1, .gamma = 0.5, .sigma = 0.5};
}

static struct cost cost_when(const struct cost_ask *ask, const struct cost_state *state)
{
    struct cost cost;
    memset(&cost, 0xff, sizeof(cost));
    cost_of(ask, state, &cost);
    return cost;
}

static void prefill_slows_with_depth(void **state)
{
    (void)state;
    is(cost_prefill_s(&flat, 1024, 0), 2);
    is(cost_prefill_s(&flat, 1024, 1e6), 2);
    /* 8192 tokens behind 28,672: half of them is at 32,768, where the speed has halved. */
    is(cost_prefill_s(&fast, 8192, 28672), 16);
    is(cost_prefill_s(&fast, 16384, 0), 16 * 1.25);
    is(cost_prefill_s(&fast, 0, 50000), 0);
}

static void a_prefill_in_two_parts_takes_as_long_as_in_one(void **state)
{
    (void)state;
    is(cost_prefill_s(&fast, 3000, 0) + cost_prefill_s(&fast, 7000, 3000),
            cost_prefill_s(&fast, 10000, 0));
}

static void a_step_grows_with_the_batch(void **state)
{
    (void)state;
    is(cost_step_s(&fast, 1), 0.3125);
    is(cost_step_s(&fast, 4), 0.5);
    is(cost_step_s(&flat, 100), 0.5);
}

static void the_first_token_comes_after_wait_prefill_and_round_trip(void **state)
{
    (void)state;
    struct cost_ask ask = ask_of(1024);
    struct cost_state it = {.rates = &flat, .rtt_s = 0.125, .slots = 1};
    is(cost_when(&ask, &it).ttft_s, 2.125);
    it.prefill_queue_s = 3;
    it.slot_wait_s = 4;
    is(cost_when(&ask, &it).wait_s, 4);
    it.slot_wait_s = 1;
    is(cost_when(&ask, &it).wait_s, 3);
    is(cost_when(&ask, &it).ttft_s, 5.125);
    is(cost_when(&ask, &it).total_s, 5.125);
}

/* It is loaded while others wait for the same: the longer of both counts, and is named. */
static void wait_and_load_go_on_at_once(void **state)
{
    (void)state;
    struct cost_ask ask = ask_of(0);
    struct cost_state it = {.rates = &flat, .prefill_queue_s = 3, .load_s = 8, .slots = 1};
    struct cost cost = cost_when(&ask, &it);
    is(cost.load_s, 8);
    is(cost.wait_s, 0);
    is(cost.total_s, 8);
    it.prefill_queue_s = 9;
    cost = cost_when(&ask, &it);
    is(cost.load_s, 0);
    is(cost.wait_s, 9);
    it.load_s = 9;
    is(cost_when(&ask, &it).load_s, 9);
}

/* Neither what the prompt has beyond what is held, nor what is held beyond its end. */
static void what_is_held_may_have_to_be_copied_back(void **state)
{
    (void)state;
    struct cost_ask ask = ask_of(1024);
    struct cost_state it = {
            .rates = &flat, .held_tokens = 512, .swap_token_s = 0.0009765625, .slots = 1};
    struct cost cost = cost_when(&ask, &it);
    is(cost.swap_s, 0.5);
    is(cost.ttft_s, 1.5);
    it.held_tokens = 4096;
    is(cost_when(&ask, &it).swap_s, 1);
    it.held_tokens = 0;
    is(cost_when(&ask, &it).swap_s, 0);
}

static void what_is_held_is_not_computed(void **state)
{
    (void)state;
    struct cost_ask ask = ask_of(16384);
    struct cost_state it = {.rates = &flat, .held_tokens = 15872, .slots = 1};
    is(cost_when(&ask, &it).prefill_s, 1);
    it.held_tokens = 16384;
    is(cost_when(&ask, &it).prefill_s, 0);
    it.held_tokens = 1e6; /* of another estimate of its length */
    is(cost_when(&ask, &it).prefill_s, 0);
    it.held_tokens = -5;
    is(cost_when(&ask, &it).prefill_s, 32);
    it.rates = &fast; /* the rest is computed behind what is held */
    it.held_tokens = 8192;
    is(cost_when(&ask, &it).prefill_s, 8 * 1.375);
}

static void an_answer_takes_a_step_a_token(void **state)
{
    (void)state;
    struct cost_ask ask = ask_of(0);
    ask.output_tokens = 64;
    struct cost_state it = {.rates = &fast, .running = 1, .slots = 4};
    is(cost_when(&ask, &it).decode_s, 64 * 0.375);
    it.running = 4; /* it gets a slot when another has ended */
    is(cost_when(&ask, &it).decode_s, 64 * 0.5);
    ask.beta = 0.25;
    is(cost_when(&ask, &it).decode_s, 16 * 0.5);
    is(cost_when(&ask, &it).ttft_s, 0);
}

static void a_prefill_holds_up_those_that_are_answered(void **state)
{
    (void)state;
    struct cost_ask ask = ask_of(1024);
    struct cost_state it = {.rates = &flat, .running = 3, .slots = 4};
    is(cost_when(&ask, &it).interference_s, 0.5 * 2 * 0.75);
    it.running = 9;
    is(cost_when(&ask, &it).interference_s, 0.5 * 2);
    it.held_tokens = 1024;
    is(cost_when(&ask, &it).interference_s, 0);
}

static void quality_price_and_failures_are_seconds_too(void **state)
{
    (void)state;
    struct cost_ask ask = ask_of(0);
    ask.quality_missing = 30;
    struct cost_state it = {.rates = &flat, .price_s = 2, .failure_rate = 0.25, .slots = 1};
    struct cost cost = cost_when(&ask, &it);
    is(cost.quality_s, 15);
    is(cost.price_s, 2);
    is(cost.failure_s, 0.25 * COST_RETRY_S);
    is(cost.ttft_s, 0);
    is(cost.total_s, 19.5);
}

static void the_terms_add_up_and_have_names(void **state)
{
    (void)state;
    struct cost_ask ask = ask_of(5000);
    ask.output_tokens = 100;
    ask.quality_missing = 3;
    const struct cost_state it = {.rates = &fast,
            .held_tokens = 1000,
            .prefill_queue_s = 1,
            .swap_token_s = 0.001,
            .rtt_s = 0.5,
            .price_s = 0.25,
            .failure_rate = 0.5,
            .running = 2,
            .slots = 4};
    struct cost cost = cost_when(&ask, &it);
    double sum_s = 0;
    for (size_t i = 0; i < COST_TERM_COUNT; i++) {
        assert_true(cost_terms[i].name[0] != '\0');
        sum_s += cost_term_s(&cost, i);
    }
    is(sum_s, cost.total_s);
    assert_string_equal(cost_terms[3].name, "prefill");
    is(cost_term_s(&cost, 3), cost.prefill_s);
    assert_true(cost.wait_s > 0 && cost.decode_s > 0 && cost.interference_s > 0);
}

/* Each field of the state that is worse makes it dearer, and nothing cheaper. */
static void worse_is_never_cheaper(void **state)
{
    (void)state;
    static const size_t worse[] = {offsetof(struct cost_state, prefill_queue_s),
            offsetof(struct cost_state, slot_wait_s), offsetof(struct cost_state, load_s),
            offsetof(struct cost_state, rtt_s), offsetof(struct cost_state, price_s),
            offsetof(struct cost_state, failure_rate), offsetof(struct cost_state, running)};
    struct cost_ask ask = ask_of(2000);
    ask.output_tokens = 50;
    for (size_t i = 0; i < sizeof(worse) / sizeof(worse[0]); i++) {
        struct cost_state it = {.rates = &fast, .slots = 8};
        double *field = (double *)(void *)((char *)&it + worse[i]), before_s = 0;
        for (*field = 0; *field < 20; *field += 0.5) {
            double total_s = cost_when(&ask, &it).total_s;
            assert_true(total_s >= before_s);
            before_s = total_s;
        }
        *field = 0;
        assert_true(before_s > cost_when(&ask, &it).total_s);
    }
}

static void more_is_never_cheaper(void **state)
{
    (void)state;
    struct cost_state it = {.rates = &fast, .running = 2, .slots = 4};
    double before_s = 0;
    for (int thousands = 0; thousands < 200; thousands++) {
        double tokens = 1000.0 * thousands;
        struct cost_ask ask = ask_of(tokens);
        ask.output_tokens = tokens / 10;
        it.held_tokens = tokens / 2;
        double total_s = cost_when(&ask, &it).total_s;
        assert_true(total_s >= before_s);
        it.held_tokens += 100;
        assert_true(cost_when(&ask, &it).total_s <= total_s);
        before_s = total_s;
    }
}

static const double extremes[] = {
        0, -1, 1, 1e-300, DBL_MIN, 4e9, 1e300, -1e300, DBL_MAX, INFINITY, -INFINITY, (double)NAN};
enum { EXTREMES = sizeof(extremes) / sizeof(extremes[0]) };

static void all_are_numbers(const struct cost_ask *ask, const struct cost_state *it)
{
    struct cost cost = cost_when(ask, it);
    for (size_t i = 0; i < COST_TERM_COUNT; i++) {
        assert_true(cost_term_s(&cost, i) >= 0);
        assert_true(cost_term_s(&cost, i) <= COST_TERM_MAX_S);
    }
    assert_true(isfinite(cost.ttft_s) && isfinite(cost.total_s));
}

static void extreme_states_become_numbers(void **state)
{
    (void)state;
    struct cost_ask ask = ask_of(1000);
    ask.output_tokens = 10;
    for (size_t field = 1; field < sizeof(struct cost_state) / sizeof(double); field++)
        for (size_t i = 0; i < EXTREMES; i++) {
            struct cost_state it = {.rates = &fast, .slots = 4, .running = 1};
            ((double *)(void *)&it)[field] = extremes[i];
            all_are_numbers(&ask, &it);
        }
}

static void extreme_requests_become_numbers(void **state)
{
    (void)state;
    const struct cost_state it = {.rates = &fast, .held_tokens = 10, .running = 1, .slots = 4};
    for (size_t field = 0; field < sizeof(struct cost_ask) / sizeof(double); field++)
        for (size_t i = 0; i < EXTREMES; i++) {
            struct cost_ask ask = ask_of(1000);
            ask.output_tokens = 10;
            ((double *)(void *)&ask)[field] = extremes[i];
            all_are_numbers(&ask, &it);
        }
}

static void extreme_rates_become_numbers(void **state)
{
    (void)state;
    static const float rates[] = {0, -1, 1, FLT_MIN, FLT_MAX, INFINITY, -INFINITY, NAN};
    struct cost_ask ask = ask_of(1e9);
    ask.output_tokens = 1e9;
    for (size_t field = 0; field < sizeof(struct cost_rates) / sizeof(float); field++)
        for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
            struct cost_rates its = fast;
            ((float *)(void *)&its)[field] = rates[i];
            struct cost_state it = {.rates = &its, .slots = 4};
            all_are_numbers(&ask, &it);
        }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(prefill_slows_with_depth),
            cmocka_unit_test(a_prefill_in_two_parts_takes_as_long_as_in_one),
            cmocka_unit_test(a_step_grows_with_the_batch),
            cmocka_unit_test(the_first_token_comes_after_wait_prefill_and_round_trip),
            cmocka_unit_test(wait_and_load_go_on_at_once),
            cmocka_unit_test(what_is_held_may_have_to_be_copied_back),
            cmocka_unit_test(what_is_held_is_not_computed),
            cmocka_unit_test(an_answer_takes_a_step_a_token),
            cmocka_unit_test(a_prefill_holds_up_those_that_are_answered),
            cmocka_unit_test(quality_price_and_failures_are_seconds_too),
            cmocka_unit_test(the_terms_add_up_and_have_names),
            cmocka_unit_test(worse_is_never_cheaper),
            cmocka_unit_test(more_is_never_cheaper),
            cmocka_unit_test(extreme_states_become_numbers),
            cmocka_unit_test(extreme_requests_become_numbers),
            cmocka_unit_test(extreme_rates_become_numbers),
    };
    return cmocka_run_group_tests_name("cost", tests, NULL, NULL);
}

#include "coordinator/scheduling/token_ratio.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

static struct token_ratio ratio;

static int set_up(void **state)
{
    (void)state;
    token_ratio_init(&ratio);
    return 0;
}

static void assert_near(double right)
{
    double found = token_ratio_bytes(&ratio);
    if (!(fabs(found / right - 1) < 0.02))
        fail_msg("%g bytes and not %g", found, right);
}

static void learn_times(int times, double bytes_per_token, double tokens)
{
    while (times-- > 0)
        token_ratio_learn(&ratio, bytes_per_token * tokens, tokens);
}

static void it_begins_with_the_prior(void **state)
{
    (void)state;
    assert_near(TOKEN_RATIO_PRIOR);
    assert_true(token_ratio_is_sound(&ratio));
}

static void prompts_soon_count_more_than_it(void **state)
{
    (void)state;
    learn_times(5, 2.4, 4000);
    assert_near(2.4);
    assert_int_equal(ratio.count, 5);
}

static void what_it_is_used_for_changes(void **state)
{
    (void)state;
    learn_times(200, 4.2, 4000); /* prose */
    learn_times(200, 2.8, 4000); /* code */
    assert_near(2.8);
}

static void one_long_prompt_does_not_settle_it(void **state)
{
    (void)state;
    learn_times(100, 4, 4000);
    learn_times(1, 12, 1e6);
    assert_true(token_ratio_bytes(&ratio) < 5);
}

static void a_short_prompt_says_nothing(void **state)
{
    (void)state;
    learn_times(100, 1, TOKEN_RATIO_BYTES_MIN - 1);
    assert_near(TOKEN_RATIO_PRIOR);
}

/* Questions of a few hundred tokens, of which the template brings 140. */
static void many_short_ones_do_not_outweigh_a_long_one(void **state)
{
    (void)state;
    learn_times(20, 3.6, 8000);
    for (int i = 0; i < 100; i++)
        token_ratio_learn(&ratio, TOKEN_RATIO_BYTES_MIN, TOKEN_RATIO_BYTES_MIN / 3.6 + 140);
    assert_true(token_ratio_bytes(&ratio) > 3.1);
}

static void it_stays_within_bounds(void **state)
{
    (void)state;
    learn_times(1000, 0.5, 5000); /* a template with much of its own */
    assert_near(TOKEN_RATIO_LEAST);
    assert_true(token_ratio_is_sound(&ratio));
    learn_times(1000, 1e3, 5000);
    assert_near(TOKEN_RATIO_MOST);
    assert_true(token_ratio_is_sound(&ratio));
}

static void nonsense_is_ignored(void **state)
{
    static const double nonsense[][2] = {{NAN, 1000}, {4000, NAN}, {INFINITY, 1000},
            {4000, INFINITY}, {0, 1000}, {-4000, 1000}, {4000, 0}, {4000, -1000}, {1e300, 1000},
            {4000, 1e300}};
    (void)state;
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
        token_ratio_learn(&ratio, nonsense[i][0], nonsense[i][1]);
    assert_int_equal(ratio.count, 0);
    assert_near(TOKEN_RATIO_PRIOR);
}

static void what_was_not_learnt_is_told(void **state)
{
    static const struct token_ratio wrong[] = {{.bytes = NAN, .tokens = 100},
            {.bytes = 100, .tokens = NAN}, {.bytes = 0, .tokens = 0}, {.bytes = -1, .tokens = -1},
            {.bytes = 50, .tokens = 100}, {.bytes = 1700, .tokens = 100},
            {.bytes = INFINITY, .tokens = INFINITY}, {.bytes = 3e9, .tokens = 1e9}};
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(token_ratio_is_sound(&wrong[i]));
}

int main(void)
{
#define test(name) cmocka_unit_test_setup(name, set_up)
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            test(it_begins_with_the_prior),
            test(prompts_soon_count_more_than_it),
            test(what_it_is_used_for_changes),
            test(one_long_prompt_does_not_settle_it),
            test(a_short_prompt_says_nothing),
            test(many_short_ones_do_not_outweigh_a_long_one),
            test(it_stays_within_bounds),
            test(nonsense_is_ignored),
            test(what_was_not_learnt_is_told),
    };
    return cmocka_run_group_tests_name("token_ratio", tests, NULL, NULL);
}

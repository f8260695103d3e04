#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/slots/engine_slots.h"
#include "tests/lib/engine_bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SESSION = 7, OTHER = 8 };

#define LOOK "GET /slots"
/* A turn of 300 tokens in slot 1, and one of 500 in slot 0. */
#define TWO_SLOTS                                                                                  \
    "[{\"id\":0,\"is_processing\":false,\"id_task\":4,\"n_prompt_tokens\":500},"                   \
    "{\"id\":1,\"is_processing\":false,\"id_task\":5,\"n_prompt_tokens\":300}]"

struct fixture {
    struct engine_bench bench;
    struct engine_slots *slots;
    struct loop_timer *timer;
    struct slot_ask *ask;
    unsigned answers;
    int slot;
};

static void stop_loop(void *ctx)
{
    loop_stop(ctx);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    engine_bench_init(&f->bench);
    f->slots = engine_slots_create(f->bench.http, f->bench.address.url, NULL);
    f->timer = loop_timer_create(&f->bench.loop, stop_loop, &f->bench.loop);
    assert_true(f->slots && f->timer);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    slot_ask_cancel(f->ask);
    engine_slots_destroy(f->slots);
    loop_timer_destroy(f->timer);
    engine_bench_fini(&f->bench);
    free(f);
    return 0;
}

static void turn(struct fixture *f)
{
    loop_timer_start(f->timer, 1, 0);
    loop_run(&f->bench.loop);
}

static void on_slot(void *ctx, int slot)
{
    struct fixture *f = ctx;

    f->answers++;
    f->ask = NULL;
    f->slot = slot;
}

static int ask_for(struct fixture *f, uint64_t session)
{
    f->answers = 0;
    assert_int_equal(slot_ask_start(f->slots, session, on_slot, f, &f->ask, NULL), 0);
    assert_int_equal(f->answers, 0);
    while (f->answers == 0)
        turn(f);
    assert_int_equal(f->answers, 1);
    return f->slot;
}

static void note(struct fixture *f, uint64_t session, uint32_t prompt, uint32_t completion)
{
    const struct msg_usage usage = {.prompt_tokens = prompt, .completion_tokens = completion};

    engine_slots_note(f->slots, session, &usage);
}

static bool is_known(struct fixture *f, uint64_t session)
{
    struct slot_look look;

    assert_int_equal(slot_look_read(TWO_SLOTS, strlen(TWO_SLOTS), &look, NULL), 0);
    return slot_table_find(engine_slots_table(f->slots), &look, session) != SLOT_NONE;
}

static void wait_until_known(struct fixture *f, uint64_t session)
{
    while (!is_known(f, session))
        turn(f);
}

static void wait_until_looked(struct fixture *f, unsigned times)
{
    while (toy_answers_count(f->bench.toy, LOOK, NULL) < times)
        turn(f);
}

static void test_what_is_worth_asking_for(void **state)
{
    struct fixture *f = *state;

    assert_true(engine_slots_wants(f->slots, SESSION, ENGINE_SLOTS_TOKENS_MIN));
    assert_false(engine_slots_wants(f->slots, SESSION, ENGINE_SLOTS_TOKENS_MIN - 1));
    assert_false(engine_slots_wants(f->slots, 0, ENGINE_SLOTS_TOKENS_MIN));
    assert_false(engine_slots_wants(NULL, SESSION, ENGINE_SLOTS_TOKENS_MIN));
}

static void test_a_turn_is_sent_where_the_last_was(void **state)
{
    struct fixture *f = *state;

    toy_answers_set(f->bench.toy, LOOK, TWO_SLOTS);
    note(f, SESSION, 290, 10);
    wait_until_known(f, SESSION);
    assert_int_equal(ask_for(f, SESSION), 1);
    assert_int_equal(ask_for(f, SESSION), SLOT_NONE); /* until that turn has ended */
    assert_int_equal(ask_for(f, OTHER), SLOT_NONE);
}

/* Whoever goes on at once is not outrun by the look for where it was. */
static void test_a_turn_that_comes_before_its_last_is_found(void **state)
{
    const struct toy_answer late = {.request = LOOK, .then = LOOK, .then_body = TWO_SLOTS};
    struct fixture *f = *state;

    toy_answers_add(f->bench.toy, &late);
    note(f, SESSION, 290, 10);
    wait_until_looked(f, 1);
    assert_int_equal(ask_for(f, SESSION), 1);
    assert_int_equal(ask_for(f, SESSION), SLOT_NONE); /* until that turn has ended */
    assert_int_equal(toy_answers_count(f->bench.toy, LOOK, NULL), 3);
}

/* What comes while the engine is asked is asked for once that is answered. */
static void test_notes_that_come_together(void **state)
{
    struct fixture *f = *state;

    toy_answers_set(f->bench.toy, LOOK, TWO_SLOTS);
    note(f, SESSION, 290, 10);
    note(f, OTHER, 490, 10);
    wait_until_known(f, OTHER);
    assert_true(is_known(f, SESSION));
    assert_int_equal(toy_answers_count(f->bench.toy, LOOK, NULL), 2);
}

/* Those beyond the limit are let go: the engine chooses for them. */
static void test_notes_are_bounded(void **state)
{
    struct fixture *f = *state;

    toy_answers_set(f->bench.toy, LOOK, TWO_SLOTS);
    for (uint64_t i = 0; i < ENGINE_SLOTS_NOTES_MAX - 1; i++)
        note(f, 100 + i, 1, 1);
    note(f, SESSION, 290, 10);
    note(f, OTHER, 490, 10);
    wait_until_known(f, SESSION);
    assert_false(is_known(f, OTHER));
}

static void test_an_engine_that_answers_late_is_not_waited_for(void **state)
{
    const struct toy_answer silence = {.request = LOOK};
    struct fixture *f = *state;

    toy_answers_add(f->bench.toy, &silence);
    slot_table_restored(engine_slots_table(f->slots), 1, SESSION);
    assert_int_equal(ask_for(f, SESSION), SLOT_NONE);
    assert_int_equal(toy_answers_count(f->bench.toy, LOOK, NULL), 1);
}

static void test_what_is_no_list_of_slots(void **state)
{
    struct fixture *f = *state;

    toy_answers_set(f->bench.toy, LOOK, "{\"error\":1}");
    slot_table_restored(engine_slots_table(f->slots), 1, SESSION);
    assert_int_equal(ask_for(f, SESSION), SLOT_NONE);
    note(f, SESSION, 290, 10);
    wait_until_looked(f, 2);
    turn(f);
    assert_false(is_known(f, SESSION));
}

static void test_nothing_is_known_of_the_next_engine(void **state)
{
    struct fixture *f = *state;

    toy_answers_set(f->bench.toy, LOOK, TWO_SLOTS);
    note(f, SESSION, 290, 10);
    wait_until_known(f, SESSION);
    note(f, OTHER, 490, 10);
    engine_slots_forget(f->slots);
    assert_false(is_known(f, SESSION));
    assert_int_equal(ask_for(f, OTHER), SLOT_NONE);
}

static void test_nobody_is_told_who_asks_no_more(void **state)
{
    struct fixture *f = *state;

    toy_answers_set(f->bench.toy, LOOK, TWO_SLOTS);
    assert_int_equal(slot_ask_start(f->slots, SESSION, on_slot, f, &f->ask, NULL), 0);
    slot_ask_cancel(f->ask);
    f->ask = NULL;
    turn(f);
    assert_int_equal(f->answers, 0);
}

static void measure(struct fixture *f, uint32_t prompt, uint32_t cached, float prefill_ms)
{
    const struct msg_usage usage = {
            .prompt_tokens = prompt, .cached_tokens = cached, .prefill_ms = prefill_ms};

    engine_slots_note(f->slots, 0, &usage);
}

static void test_how_fast_prompts_are(void **state)
{
    struct fixture *f = *state;

    assert_true(engine_slots_rate(f->slots) == 0);
    measure(f, 1100, 100, 500);
    assert_float_equal(engine_slots_rate(f->slots), 2000, 0.1);
    measure(f, 1000, 0, 250); /* a quarter of the way to 4000 */
    assert_float_equal(engine_slots_rate(f->slots), 2500, 0.1);
}

static void test_what_tells_nothing_of_speed(void **state)
{
    struct fixture *f = *state;

    measure(f, 1000, 0, 500);
    measure(f, 100, 90, 1); /* too few */
    measure(f, 100, 100, 1);
    measure(f, 10, 1000, 1);
    measure(f, 1000, 0, 0);
    measure(f, 1000, 0, NAN);
    assert_float_equal(engine_slots_rate(f->slots), 2000, 0.1);
    assert_int_equal(toy_answers_count(f->bench.toy, LOOK, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_what_is_worth_asking_for),
            TEST(test_a_turn_is_sent_where_the_last_was),
            TEST(test_a_turn_that_comes_before_its_last_is_found),
            TEST(test_notes_that_come_together),
            TEST(test_notes_are_bounded),
            TEST(test_an_engine_that_answers_late_is_not_waited_for),
            TEST(test_what_is_no_list_of_slots),
            TEST(test_nothing_is_known_of_the_next_engine),
            TEST(test_nobody_is_told_who_asks_no_more),
            TEST(test_how_fast_prompts_are),
            TEST(test_what_tells_nothing_of_speed),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("engine_slots", tests, NULL, NULL);
}

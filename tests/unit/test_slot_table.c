#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/slots/slot_table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct slot_look look_at(const char *text)
{
    struct slot_look look;
    struct err err;

    assert_int_equal(slot_look_read(text, strlen(text), &look, &err), 0);
    return look;
}

#define IDLE(id, task, tokens)                                                                     \
    "{\"id\":" #id ",\"is_processing\":false,\"id_task\":" #task ",\"n_prompt_tokens\":" #tokens "}"
#define BUSY(id, task, tokens)                                                                     \
    "{\"id\":" #id ",\"is_processing\":true,\"id_task\":" #task ",\"n_prompt_tokens\":" #tokens "}"

static void test_what_an_engine_says(void **state)
{
    struct slot_look look =
            look_at("[" IDLE(1, 19, 113) ",{\"id\":0,\"is_processing\":false}," BUSY(3, 20, 7) "]");

    (void)state;
    assert_int_equal(look.count, 4);
    assert_true(look.at[0].is_there && !look.at[0].is_busy);
    assert_true(look.at[0].task == SLOT_NO_TASK);
    assert_int_equal(look.at[1].task, 19);
    assert_int_equal(look.at[1].tokens, 113);
    assert_false(look.at[2].is_there);
    assert_true(look.at[3].is_busy);
}

static void test_what_is_no_list_of_slots(void **state)
{
    static const char *const texts[] = {"", "{}", "[", "null", "{\"error\":{\"code\":501}}"};
    struct slot_look look = {.count = 7};
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_true(slot_look_read(texts[i], strlen(texts[i]), &look, &err) < 0);
    assert_int_equal(look.count, 7);
    look = look_at("[1,\"a\",null,{},{\"id\":-1},{\"id\":256},{\"id\":1e300},{\"id\":0.5}]");
    assert_int_equal(look.count, 0);
}

static void test_a_turn_finds_its_slot_again(void **state)
{
    struct slot_table table = {0};
    struct slot_look look = look_at("[" IDLE(0, 5, 999) "," IDLE(1, 6, 487) "]");

    (void)state;
    assert_int_equal(slot_table_find(&table, &look, 77), SLOT_NONE);
    assert_true(slot_table_learn(&table, &look, 77, 488));
    assert_int_equal(slot_table_find(&table, &look, 77), 1);
    assert_int_equal(slot_table_find(&table, &look, 78), SLOT_NONE);
    assert_int_equal(slot_table_find(&table, &look, 0), SLOT_NONE);
    assert_true(slot_table_session(&table, &look, 1) == 77);
    assert_true(slot_table_session(&table, &look, 0) == 0);
}

static void test_a_slot_that_another_has_used_is_not_warm(void **state)
{
    struct slot_table table = {0};
    struct slot_look look = look_at("[" IDLE(0, 5, 487) "]");

    (void)state;
    assert_true(slot_table_learn(&table, &look, 77, 487));
    look = look_at("[" BUSY(0, 5, 487) "]");
    assert_int_equal(slot_table_find(&table, &look, 77), SLOT_NONE);
    look = look_at("[" IDLE(0, 9, 487) "]");
    assert_int_equal(slot_table_find(&table, &look, 77), SLOT_NONE);
    assert_true(slot_table_session(&table, &look, 0) == 0);
    look = look_at("[]");
    assert_int_equal(slot_table_find(&table, &look, 77), SLOT_NONE);
}

static void test_what_is_not_certain_is_not_learnt(void **state)
{
    struct slot_table table = {0};
    struct slot_look look =
            look_at("[" IDLE(0, 5, 487) "," IDLE(1, 6, 487) "," BUSY(2, 7, 100) "]");

    (void)state;
    assert_false(slot_table_learn(&table, &look, 77, 487)); /* two could be it */
    assert_false(slot_table_learn(&table, &look, 77, 100)); /* works on something */
    assert_false(slot_table_learn(&table, &look, 77, 400));
    assert_false(slot_table_learn(&table, &look, 0, 487));
    look = look_at("[" IDLE(0, 5, 487) "," IDLE(1, 6, 3) "]");
    assert_true(slot_table_learn(&table, &look, 77, 487));
    look = look_at("[" IDLE(0, 5, 487) "," IDLE(1, 8, 487) "]"); /* the first one is 77's */
    assert_true(slot_table_learn(&table, &look, 78, 487));
    assert_int_equal(slot_table_find(&table, &look, 78), 1);
    assert_int_equal(slot_table_find(&table, &look, 77), 0);
}

static void test_a_session_moves(void **state)
{
    struct slot_table table = {0};
    struct slot_look look = look_at("[" IDLE(0, 5, 487) "," IDLE(1, 6, 30) "]");

    (void)state;
    assert_true(slot_table_learn(&table, &look, 77, 487));
    look = look_at("[" IDLE(0, 5, 487) "," IDLE(1, 9, 600) "]");
    assert_true(slot_table_learn(&table, &look, 77, 600));
    assert_int_equal(slot_table_find(&table, &look, 77), 1);
    assert_false(
            slot_table_learn(&table, &look, 77, 12345)); /* it was elsewhere, nobody knows where */
    assert_int_equal(slot_table_find(&table, &look, 77), SLOT_NONE);
}

/* Agents send several turns of one conversation at once. */
static void test_a_slot_is_given_to_one_turn(void **state)
{
    struct slot_table table = {0};
    struct slot_look look = look_at("[" IDLE(0, 5, 487) "," IDLE(1, 6, 30) "]");

    (void)state;
    assert_true(slot_table_learn(&table, &look, 77, 487));
    assert_int_equal(slot_table_take(&table, &look, 78), SLOT_NONE);
    assert_int_equal(slot_table_take(&table, &look, 77), 0);
    assert_int_equal(slot_table_take(&table, &look, 77), SLOT_NONE);
    look = look_at("[" IDLE(0, 7, 600) "," IDLE(1, 6, 30) "]");
    assert_true(slot_table_learn(&table, &look, 77, 600));
    assert_int_equal(slot_table_take(&table, &look, 77), 0);
}

/* Sends a turn of 77 to slot 1, where the last one was, and gives it up. */
static void give_up_one(struct slot_table *table)
{
    struct slot_look look = look_at("[" IDLE(0, 5, 30) "," IDLE(1, 6, 487) "]");

    assert_true(slot_table_learn(table, &look, 77, 487));
    assert_int_equal(slot_table_take(table, &look, 77), 1);
    slot_table_give_up(table, 1, 77);
}

/* Whatever its task: it has ended, still works, or was not even begun. */
static void test_a_turn_that_is_given_up_leaves_its_slot_warm(void **state)
{
    static const char *const looks[] = {"[" IDLE(0, 5, 30) "," IDLE(1, 9, 300) "]",
            "[" IDLE(0, 5, 30) "," BUSY(1, 9, 300) "]", "[" IDLE(0, 5, 30) "," IDLE(1, 6, 487) "]"};

    (void)state;
    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
        struct slot_look look = look_at(looks[i]);
        struct slot_table table = {0};

        give_up_one(&table);
        assert_true(slot_table_session(&table, &look, 1) == 77);
        assert_int_equal(slot_table_find(&table, &look, 78), SLOT_NONE);
        assert_int_equal(slot_table_take(&table, &look, 77), 1);
        assert_int_equal(slot_table_take(&table, &look, 77), SLOT_NONE); /* it is sent there */
        assert_true(slot_table_session(&table, &look, 1) == 0);
        slot_table_give_up(&table, 1, 77);
        assert_int_equal(slot_table_take(&table, &look, 77), 1); /* and again */
    }
}

static void test_what_another_may_be_in_is_not_warm(void **state)
{
    struct slot_look look = look_at("[" IDLE(0, 5, 30) "," IDLE(1, 9, 300) "]");
    struct slot_table since = {0}, before = {0}, placed = {0};

    (void)state;
    give_up_one(&since);
    (void)slot_table_stray(&since);
    slot_table_placed(&since);
    assert_int_equal(slot_table_find(&since, &look, 77), SLOT_NONE);
    assert_true(slot_table_session(&since, &look, 1) == 0);
    (void)slot_table_stray(&before);
    give_up_one(&before);
    slot_table_placed(&before);
    assert_int_equal(slot_table_find(&before, &look, 77), SLOT_NONE);
    (void)slot_table_stray(&placed);
    slot_table_placed(&placed);
    slot_table_placed(&placed); /* of an engine that is gone */
    give_up_one(&placed);
    assert_int_equal(slot_table_find(&placed, &look, 77), 1);
}

static void test_what_was_not_sent_is_not_given_up(void **state)
{
    struct slot_look look = look_at("[" IDLE(0, 5, 30) "," IDLE(1, 6, 487) "]");
    struct slot_look next = look_at("[" IDLE(0, 5, 30) "," IDLE(1, 9, 500) "]");
    struct slot_table table = {0};

    (void)state;
    slot_table_give_up(&table, SLOTS_MAX, 77);
    assert_true(slot_table_learn(&table, &look, 77, 487));
    slot_table_give_up(&table, 1, 77);
    assert_int_equal(slot_table_find(&table, &next, 77), SLOT_NONE);
    assert_int_equal(slot_table_take(&table, &look, 77), 1);
    slot_table_give_up(&table, 1, 78);
    slot_table_give_up(&table, 0, 77);
    assert_int_equal(slot_table_find(&table, &next, 77), SLOT_NONE);
    assert_true(slot_table_learn(&table, &next, 77, 500)); /* it has ended */
    slot_table_give_up(&table, 1, 77);
    assert_int_equal(slot_table_find(&table, &look, 77), SLOT_NONE);
}

/* Sends a turn of 77 wherever the engine wants, and gives it up. */
static void give_up_anywhere(struct slot_table *table, const char *before)
{
    struct slot_look look = look_at(before);
    uint64_t number;

    assert_int_equal(slot_table_take(table, &look, 77), SLOT_NONE);
    number = slot_table_stray(table);
    slot_table_placed(table);
    slot_table_give_up_stray(table, number);
}

#define BEFORE "[" IDLE(0, 5, 30) ",{\"id\":1,\"is_processing\":false}," IDLE(2, 6, 50) "]"
#define IN_ONE "[" IDLE(0, 5, 30) "," BUSY(1, 9, 300) "," IDLE(2, 6, 50) "]"
#define IN_TWO "[" IDLE(0, 5, 30) "," BUSY(1, 9, 300) "," IDLE(2, 10, 50) "]"

static void test_a_first_turn_that_is_given_up_shows_its_slot(void **state)
{
    struct slot_look none = look_at(BEFORE), one = look_at(IN_ONE), two = look_at(IN_TWO);
    struct slot_table table = {0};

    (void)state;
    give_up_anywhere(&table, BEFORE);
    assert_int_equal(slot_table_find(&table, &none, 77), SLOT_NONE); /* it is in none yet */
    assert_int_equal(slot_table_find(&table, &two, 77), SLOT_NONE);
    assert_int_equal(slot_table_find(&table, &one, 78), SLOT_NONE);
    assert_int_equal(slot_table_take(&table, &one, 77), 1);
    assert_int_equal(slot_table_take(&table, &one, 77), SLOT_NONE);
    slot_table_give_up(&table, 1, 77);
    assert_int_equal(slot_table_take(&table, &two, 77), 1);
}

/* Those of others do not count: they are where they were asked for. */
static void test_a_stray_beside_turns_that_have_slots(void **state)
{
    struct slot_look before = look_at(BEFORE), two = look_at(IN_TWO);
    struct slot_table sent = {0}, ended = {0};

    (void)state;
    assert_true(slot_table_learn(&sent, &before, 78, 50));
    assert_int_equal(slot_table_take(&sent, &before, 78), 2);
    give_up_anywhere(&sent, BEFORE);
    assert_int_equal(slot_table_find(&sent, &two, 77), 1);
    give_up_anywhere(&ended, BEFORE);
    assert_true(slot_table_learn(&ended, &two, 78, 50));
    assert_int_equal(slot_table_find(&ended, &two, 77), 1);
}

static void test_a_stray_that_is_not_alone_shows_nothing(void **state)
{
    struct slot_look before = look_at(BEFORE), one = look_at(IN_ONE);
    struct slot_table since = {0}, unplaced = {0}, works = {0};
    uint64_t number;

    (void)state;
    give_up_anywhere(&since, BEFORE);
    (void)slot_table_stray(&since);
    assert_int_equal(slot_table_find(&since, &one, 77), SLOT_NONE);
    (void)slot_table_stray(&unplaced);
    give_up_anywhere(&unplaced, BEFORE);
    assert_int_equal(slot_table_find(&unplaced, &one, 77), SLOT_NONE);
    number = slot_table_stray(&works); /* another of its turns, which is given up */
    slot_table_placed(&works);
    assert_int_equal(slot_table_take(&works, &before, 77), SLOT_NONE);
    (void)slot_table_stray(&works);
    slot_table_give_up_stray(&works, number);
    assert_int_equal(slot_table_find(&works, &one, 77), SLOT_NONE);
}

static void test_what_was_restored(void **state)
{
    struct slot_table table = {0};
    struct slot_look look = look_at("[{\"id\":0,\"is_processing\":false}]");

    (void)state;
    slot_table_restored(&table, 0, 77);
    slot_table_restored(&table, SLOTS_MAX, 78);
    assert_int_equal(slot_table_find(&table, &look, 77), 0);
    look = look_at("[" IDLE(0, 1, 50) "]");
    assert_int_equal(slot_table_find(&table, &look, 77), SLOT_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_what_an_engine_says),
            cmocka_unit_test(test_what_is_no_list_of_slots),
            cmocka_unit_test(test_a_turn_finds_its_slot_again),
            cmocka_unit_test(test_a_slot_that_another_has_used_is_not_warm),
            cmocka_unit_test(test_what_is_not_certain_is_not_learnt),
            cmocka_unit_test(test_a_session_moves),
            cmocka_unit_test(test_a_slot_is_given_to_one_turn),
            cmocka_unit_test(test_a_turn_that_is_given_up_leaves_its_slot_warm),
            cmocka_unit_test(test_what_another_may_be_in_is_not_warm),
            cmocka_unit_test(test_what_was_not_sent_is_not_given_up),
            cmocka_unit_test(test_a_first_turn_that_is_given_up_shows_its_slot),
            cmocka_unit_test(test_a_stray_beside_turns_that_have_slots),
            cmocka_unit_test(test_a_stray_that_is_not_alone_shows_nothing),
            cmocka_unit_test(test_what_was_restored),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("slot_table", tests, NULL, NULL);
}

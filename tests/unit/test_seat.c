#include "coordinator/router/seat.h"

#include "tests/lib/fake_mesh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

enum { BLOCKS = 1000 };

/* A seat of an instance that a node has told. */
struct world {
    struct fake_mesh mesh;
    struct instance *instance;
    struct seat seat;
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    const struct msg_instance it = {.model = "small",
            .state = INSTANCE_RESIDENT,
            .slots = 2,
            .context = 8192,
            .cache_tokens = BLOCKS * 256,
            .engine = "fake",
            .note = ""};
    size_t count;
    fake_mesh_init(&world->mesh, 1);
    fake_mesh_hello(&world->mesh, 0, "s");
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){.type = MSG_STATE, .state = {.instances = &it, .instance_count = 1}});
    world->instance = node_table_instances(world->mesh.nodes, &count)[0];
    seat_init(&world->seat, world->instance, 4, 100);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    fake_mesh_fini(&world->mesh);
    free(world);
    return 0;
}

static struct fleet_instance entry_at(const struct world *world, double now_s)
{
    struct fleet_instance entry = {.slots = 0};
    seat_fill(&world->seat, now_s, &entry);
    return entry;
}

/* --- what its node says --- */

static void it_is_as_its_node_says(void **state)
{
    struct world *world = *state;
    struct fleet_instance entry = entry_at(world, 100);
    assert_int_equal(entry.state, INSTANCE_RESIDENT);
    assert_int_equal(entry.slots, 2);
    assert_int_equal(entry.context, 8192);
    assert_int_equal(entry.epoch, world->instance->epoch);
    assert_true(entry.usable && !entry.tripped && entry.fits);
    assert_true(entry.failure_rate <= 0 && entry.swap_token_s <= 0);
    assert_true(entry.rates.prefill_tok_s > 0 && entry.rates.step_s > 0);
}

static void one_that_is_not_loaded_has_what_it_would_get(void **state)
{
    struct world *world = *state;
    world->instance->state = INSTANCE_AVAILABLE;
    world->instance->slots = world->instance->context = 0;
    world->instance->run_slots = 3;
    world->instance->run_context = 4096;
    assert_int_equal(entry_at(world, 100).slots, 3);
    assert_int_equal(entry_at(world, 100).context, 4096);
}

static void a_load_takes_what_the_last_one_took(void **state)
{
    struct world *world = *state;
    world->instance->memory_bytes = (uint64_t)SEAT_LOAD_BYTES_S * 4;
    assert_float_equal(entry_at(world, 100).load_s, 4 + SEAT_LOAD_INIT_MS / 1e3f, 0.01);
    world->instance->load_ms = 9000;
    assert_float_equal(entry_at(world, 100).load_s, 9, 0.01);
    world->instance->state = INSTANCE_LOADING;
    assert_true(seat_update(&world->seat, 4, 200));
    assert_float_equal((float)entry_at(world, 203).ready_s, 209, 0.01);
    assert_false(seat_update(&world->seat, 4, 205)); /* it goes on */
    assert_float_equal((float)entry_at(world, 205).ready_s, 209, 0.01);
    assert_float_equal((float)entry_at(world, 212).ready_s, 215, 0.01); /* it is late */
    assert_true(seat_is_watched(&world->seat, 212));
}

static void another_engine_holds_nothing(void **state)
{
    struct world *world = *state;
    assert_false(seat_update(&world->seat, 4, 100));
    world->instance->restarts++;
    assert_true(seat_update(&world->seat, 4, 100));
    assert_false(seat_update(&world->seat, 4, 100));
    world->instance->state = INSTANCE_FAILED;
    assert_true(seat_update(&world->seat, 4, 100));
    world->instance->state = INSTANCE_RESIDENT;
    assert_false(seat_update(&world->seat, 4, 100));
}

/* --- its cache --- */

static void room_is_as_told_in_blocks(void **state)
{
    struct world *world = *state;
    assert_int_equal(seat_cache_room(&world->seat), BLOCKS);
    assert_false(seat_update(&world->seat, 2, 100));
    assert_int_equal(seat_cache_room(&world->seat), BLOCKS / 2);
    world->instance->cache_tokens = 0;
    assert_false(seat_update(&world->seat, 4, 100));
    assert_int_equal(seat_cache_room(&world->seat), 2 * 8192 * 4 / 1024);
    world->instance->context = 0;
    assert_false(seat_update(&world->seat, 4, 100));
    assert_int_equal(seat_cache_room(&world->seat), 0);
    world->instance->cache_tokens = UINT64_MAX;
    assert_false(seat_update(&world->seat, 4, 100));
    assert_int_equal(seat_cache_room(&world->seat), UINT32_MAX);
}

static uint32_t room_after(struct world *world, struct seat_reuse reuse)
{
    seat_note_reuse(&world->seat, &reuse);
    return seat_cache_room(&world->seat);
}

static void what_was_forgotten_shows_how_much_room_there_is(void **state)
{
    struct world *world = *state;
    const struct seat_reuse lost = {
            .thought = 100, .reused = 0, .held_in_all = 950, .prompt = 100, .alone = true};
    assert_int_equal(room_after(world, lost), 850);
    struct seat_reuse more = lost;
    more.held_in_all = 300;
    assert_int_equal(room_after(world, more), 638); /* one prompt does not tell it all */
    for (int i = 0; i < 20; i++)
        (void)room_after(world, more);
    assert_int_equal(seat_cache_room(&world->seat), 200);
    more.held_in_all = 110;
    for (int i = 0; i < 20; i++)
        (void)room_after(world, more);
    assert_int_equal(seat_cache_room(&world->seat), 100); /* it has computed this one after all */
    assert_false(seat_update(&world->seat, 4, 100));
    assert_int_equal(seat_cache_room(&world->seat), 100);
}

static void what_was_reused_gives_room_back(void **state)
{
    struct world *world = *state;
    const struct seat_reuse kept = {
            .thought = 100, .reused = 90, .held_in_all = 500, .prompt = 100, .alone = true};
    world->seat.cache_share = 0.5;
    assert_in_range(room_after(world, kept), 501, 520);
    for (int i = 0; i < 100; i++)
        (void)room_after(world, kept);
    assert_int_equal(seat_cache_room(&world->seat), BLOCKS);
}

static void what_proves_nothing_changes_nothing(void **state)
{
    struct world *world = *state;
    struct seat_reuse reuse = {
            .thought = 100, .reused = 0, .held_in_all = 150, .prompt = 100, .alone = false};
    assert_int_equal(room_after(world, reuse), BLOCKS); /* another may just compute it */
    reuse.alone = true;
    reuse.held_in_all = 5000; /* more than it has room for */
    assert_int_equal(room_after(world, reuse), BLOCKS);
    world->instance->foreign = true; /* it never says what it reused */
    reuse.held_in_all = 150;
    assert_int_equal(room_after(world, reuse), BLOCKS);
    reuse.reused = 10;
    assert_true(room_after(world, reuse) < BLOCKS);
}

/* --- its circuit --- */

static void pauses_double_up_to_a_bound(void **state)
{
    struct world *world = *state;
    double now_s = 100;
    for (int i = 0; i < SEAT_TRIPS; i++)
        seat_count(&world->seat, true, now_s, now_s + 1), now_s += 2;
    double rests_s = world->seat.rests_until_s - (now_s - 1);
    assert_float_equal((float)rests_s, SEAT_REST_MS / 1e3f, 0.01);
    assert_true(entry_at(world, now_s).tripped);
    seat_count(&world->seat, true, now_s, now_s + 1);
    rests_s = world->seat.rests_until_s - (now_s + 1);
    assert_float_equal((float)rests_s, 2 * SEAT_REST_MS / 1e3f, 0.01);
    for (int i = 0; i < 1000; i++)
        seat_count(&world->seat, true, now_s + 2 * i, now_s + 2 * i + 1);
    rests_s = world->seat.rests_until_s - world->seat.failed_s;
    assert_float_equal((float)rests_s, SEAT_REST_MAX_MS / 1e3f, 0.01);
    assert_true(entry_at(world, world->seat.failed_s).failure_rate < 1);
    assert_true(seat_is_watched(&world->seat, world->seat.rests_until_s + SEAT_FORGET_S));
    assert_false(seat_is_watched(&world->seat, world->seat.rests_until_s + SEAT_FORGET_S + 1));
}

static void one_success_closes_it(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < SEAT_TRIPS; i++)
        seat_count(&world->seat, true, 100 + i, 100.5 + i);
    assert_true(entry_at(world, 104).tripped);
    seat_count(&world->seat, false, 90, 104);
    assert_false(entry_at(world, 104).tripped);
    assert_false(seat_is_watched(&world->seat, 104));
}

static void want_of_memory_opens_no_circuit(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 2 * SEAT_TRIPS; i++)
        seat_count_error(&world->seat, 100 + i, 100 + i);
    assert_false(entry_at(world, 105).tripped);
    assert_true(entry_at(world, 105).failure_rate > 0.5f);
    seat_count(&world->seat, true, 106, 107);
    assert_true(entry_at(world, 107).tripped);
    double rests_until_s = world->seat.rests_until_s;
    seat_count_error(&world->seat, rests_until_s, rests_until_s);
    assert_true(world->seat.rests_until_s <= rests_until_s);
    assert_false(entry_at(world, rests_until_s).tripped);
}

static void what_was_sent_before_a_failure_fails_with_it(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 10; i++)
        seat_count(&world->seat, true, 100, 105 + i / 100.0);
    assert_int_equal(world->seat.failures, 1);
    seat_count(&world->seat, true, 104.9, 106);
    assert_int_equal(world->seat.failures, 1);
    seat_count(&world->seat, true, 105, 107);
    assert_int_equal(world->seat.failures, 2);
}

static void errors_cost_and_open_nothing(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 10 * SEAT_TRIPS; i++)
        seat_count_error(&world->seat, 100 + i, 100.5 + i);
    double now_s = world->seat.failed_s;
    assert_false(entry_at(world, now_s).tripped);
    assert_true(entry_at(world, now_s).failure_rate > 0.5);
    seat_count_error(&world->seat, now_s - 1, now_s + 1); /* sent before the last */
    assert_true(world->seat.failed_s == now_s);
    seat_count(&world->seat, false, now_s, now_s + 1);
    assert_float_equal(entry_at(world, now_s + 1).failure_rate, 0, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
            TEST(it_is_as_its_node_says),
            TEST(one_that_is_not_loaded_has_what_it_would_get),
            TEST(a_load_takes_what_the_last_one_took),
            TEST(another_engine_holds_nothing),
            TEST(room_is_as_told_in_blocks),
            TEST(what_was_forgotten_shows_how_much_room_there_is),
            TEST(what_was_reused_gives_room_back),
            TEST(what_proves_nothing_changes_nothing),
            TEST(pauses_double_up_to_a_bound),
            TEST(one_success_closes_it),
            TEST(want_of_memory_opens_no_circuit),
            TEST(what_was_sent_before_a_failure_fails_with_it),
            TEST(errors_cost_and_open_nothing),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("seat", tests, NULL, NULL);
}

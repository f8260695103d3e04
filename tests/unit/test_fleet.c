#include "coordinator/scheduling/fleet.h"

#include "coordinator/scheduling/prefix_index.h"
#include "tests/lib/short_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- a prefix index that only counts; the real one stays out of this program --- */

struct prefix_index {
    size_t groups, holders, dropped;
    uint64_t seed; /* of the last group */
    int refusal;   /* what the next holder gets; 0: a number */
    int group_refusal;
};

struct prefix_group {
    struct prefix_index *index;
    uint32_t next;
};

int prefix_group_create(struct prefix_index *index, uint64_t seed, struct prefix_group **ret_group)
{
    if (index->group_refusal)
        return index->group_refusal;
    struct prefix_group *group = calloc(1, sizeof(*group));
    if (!group)
        return -ENOMEM;
    group->index = index;
    index->groups++;
    index->seed = seed;
    *ret_group = group;
    return 0;
}

void prefix_group_destroy(struct prefix_group *group)
{
    if (group)
        group->index->groups--;
    free(group);
}

int prefix_holder_add(struct prefix_group *group, uint32_t capacity, uint32_t *ret_holder)
{
    int r = group->index->refusal;
    assert_true(capacity > 0);
    group->index->refusal = 0;
    if (r)
        return r;
    group->index->holders++;
    *ret_holder = group->next++;
    return 0;
}

void prefix_holder_drop(struct prefix_group *group, uint32_t holder)
{
    if (holder != PREFIX_NO_HOLDER)
        group->index->dropped++;
}

/* --- --- */

enum { CACHE = 100, MANY = 64 };

static struct fleet_instance instance_of(uint32_t epoch)
{
    return (struct fleet_instance){.rates = {1000, 30000, 0.01F, 0.001F},
            .state = INSTANCE_RESIDENT,
            .slots = 2,
            .epoch = epoch,
            .usable = true};
}

static void add(struct fleet *fleet, const char *model, uint32_t epoch, struct fleet_handle *handle)
{
    struct fleet_instance first = instance_of(epoch);
    assert_int_equal(fleet_add(fleet, model, &first, CACHE, handle), 0);
}

static struct fleet *fleet_of(struct prefix_index *index)
{
    struct fleet *fleet = fleet_create(index);
    assert_non_null(fleet);
    return fleet;
}

#define near(value, expected) check_near(value, expected, __LINE__)

static void check_near(double value, double expected, int line)
{
    if (!(fabs(value - expected) < 1e-6))
        fail_msg("line %d: %g and not %g", line, value, expected);
}

static void models_are_found_by_name(void **state)
{
    (void)state;
    static const char *const names[] = {"m", "b", "z", "a", "ma", "", "c"};
    struct fleet *fleet = fleet_of(NULL);
    struct fleet_handle handles[7];
    for (uint32_t i = 0; i < 7; i++)
        add(fleet, names[i], i + 1, &handles[i]);
    for (uint32_t i = 0; i < 7; i++)
        assert_int_equal(fleet_find(fleet, names[i])->at[0].epoch, i + 1);
    assert_null(fleet_find(fleet, "mb"));
    assert_int_equal(fleet_model_count(fleet), 7);
    for (size_t i = 1; i < 7; i++)
        assert_true(strcmp(fleet_model_at(fleet, i - 1)->name, fleet_model_at(fleet, i)->name) < 0);
    fleet_remove(fleet, &handles[4]);
    assert_null(fleet_find(fleet, "ma"));
    assert_int_equal(fleet_find(fleet, "z")->at[0].epoch, 3);
    assert_int_equal(fleet_model_count(fleet), 6);
    fleet_destroy(fleet);
}

static void a_handle_follows_its_instance(void **state)
{
    (void)state;
    struct fleet *fleet = fleet_of(NULL);
    struct fleet_handle handles[MANY];
    for (uint32_t i = 0; i < MANY; i++)
        add(fleet, "m", i + 1, &handles[i]);
    for (uint32_t gone = 0; gone < MANY; gone++) {
        uint32_t at = gone * 29 % MANY; /* each once */
        fleet_remove(fleet, &handles[at]);
        fleet_remove(fleet, &handles[at]);
        assert_null(handles[at].model);
        for (uint32_t i = 0; i < MANY; i++)
            if (handles[i].model) {
                assert_int_equal(fleet_at(&handles[i])->epoch, i + 1);
                assert_ptr_equal(fleet_at(&handles[i])->handle, &handles[i]);
            }
        fleet_freshen(fleet);
    }
    assert_int_equal(fleet_model_count(fleet), 0);
    fleet_destroy(fleet);
}

/* What somebody else's instance brought is not taken over. */
static void a_new_instance_has_been_given_nothing(void **state)
{
    (void)state;
    struct fleet *fleet = fleet_of(NULL);
    struct fleet_handle handle;
    struct fleet_instance first = instance_of(7);
    first.running = first.decoding = first.promised = 3;
    first.prefill_done_s = first.slot_free_s = 1e6;
    first.last_used = 9;
    assert_int_equal(fleet_add(fleet, "m", &first, 0, &handle), 0);
    const struct fleet_instance *it = fleet_at(&handle);
    assert_int_equal(it->epoch, 7);
    assert_int_equal(it->running + it->decoding + it->promised + it->last_used, 0);
    near(it->prefill_done_s + it->slot_free_s, 0);
    fleet_destroy(fleet);
    assert_null(handle.model);
}

static void there_are_limits(void **state)
{
    (void)state;
    struct fleet *fleet = fleet_of(NULL);
    struct fleet_handle *handles = calloc(FLEET_MODELS_MAX + 1, sizeof(*handles));
    struct fleet_instance first = instance_of(1);
    assert_non_null(handles);
    for (size_t i = 0; i < FLEET_INSTANCES_MAX; i++)
        add(fleet, "m", 1, &handles[i]);
    assert_int_equal(fleet_add(fleet, "m", &first, 0, &handles[FLEET_INSTANCES_MAX]), -ENOSPC);
    assert_int_equal(fleet_find(fleet, "m")->count, FLEET_INSTANCES_MAX);
    for (size_t i = 0; i < FLEET_INSTANCES_MAX; i++)
        fleet_remove(fleet, &handles[i]);
    for (uint32_t i = 0; i < FLEET_MODELS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%08" PRIx32, i);
        add(fleet, name, 1, &handles[i]);
    }
    assert_int_equal(fleet_add(fleet, "one more", &first, 0, &handles[FLEET_MODELS_MAX]), -ENOSPC);
    assert_int_equal(fleet_model_count(fleet), FLEET_MODELS_MAX);
    add(fleet, "00000000", 2, &handles[FLEET_MODELS_MAX]);
    fleet_destroy(fleet);
    free(handles);
}

/* --- what it has been given --- */

struct bed {
    struct fleet *fleet;
    struct fleet_handle handle;
    struct flight flights[3];
};

static void set_up(struct bed *bed)
{
    memset(bed, 0, sizeof(*bed));
    bed->fleet = fleet_of(NULL);
    add(bed->fleet, "m", 1, &bed->handle);
}

static void send(struct bed *bed, size_t i, double prefill_s, double decode_s, double now_s)
{
    const struct cost cost = {.prefill_s = prefill_s};
    fleet_sent(bed->fleet, &bed->handle, &bed->flights[i], &cost, decode_s, now_s);
}

static void expect_times(struct bed *bed, double prefill_done_s, double slot_free_s)
{
    near(fleet_at(&bed->handle)->prefill_done_s, prefill_done_s);
    near(fleet_at(&bed->handle)->slot_free_s, slot_free_s);
}

static void expect_counts(struct bed *bed, uint32_t running, uint32_t decoding)
{
    assert_int_equal(fleet_at(&bed->handle)->running, running);
    assert_int_equal(fleet_at(&bed->handle)->decoding, decoding);
}

/* Two slots: A is computed till 110 and answered till 130, B after it till 115 and 145. */
static void what_is_ahead_is_reckoned(void **state)
{
    (void)state;
    struct bed bed;
    set_up(&bed);
    send(&bed, 0, 10, 20, 100);
    expect_times(&bed, 110, 0);
    send(&bed, 1, 5, 30, 100);
    expect_times(&bed, 115, 130);
    send(&bed, 2, 4, 10, 101); /* it gets A's slot: from 130 to 144 */
    expect_times(&bed, 134, 144);
    expect_counts(&bed, 3, 0);
    near((double)fleet_at(&bed.handle)->slot_turn_s, (30 + 35 + 14) / 3.0 / 2);
    fleet_destroy(bed.fleet);
}

/* Each of them begins when its model is loaded, whoever asked first. */
static void what_is_sent_during_a_load_begins_behind_it(void **state)
{
    (void)state;
    struct bed bed;
    set_up(&bed);
    fleet_at(&bed.handle)->state = INSTANCE_LOADING;
    fleet_at(&bed.handle)->ready_s = 160;
    send(&bed, 0, 5, 20, 100);
    send(&bed, 1, 4, 20, 100);
    expect_times(&bed, 169, 185);
    fleet_ended(bed.fleet, &bed.flights[0], 101); /* the editor was closed */
    expect_times(&bed, 164, 0);
    fleet_destroy(bed.fleet);
}

static void it_is_corrected_as_things_happen(void **state)
{
    (void)state;
    struct bed bed;
    set_up(&bed);
    send(&bed, 0, 10, 20, 100);
    send(&bed, 1, 5, 30, 100);
    send(&bed, 2, 4, 10, 101);
    fleet_first_token(bed.fleet, &bed.flights[0], 112); /* two seconds late, as are all behind it */
    expect_counts(&bed, 3, 1);
    expect_times(&bed, 136, 146);
    fleet_first_token(bed.fleet, &bed.flights[0], 115);
    expect_counts(&bed, 3, 1);
    expect_times(&bed, 136, 146);
    fleet_ended(bed.fleet, &bed.flights[0], 120); /* B is overdue, C's slot is free already */
    expect_counts(&bed, 2, 0);
    expect_times(&bed, 124, 134);
    fleet_ended(bed.fleet, &bed.flights[1], 121); /* in its prefill: the editor was closed */
    expect_counts(&bed, 1, 0);
    expect_times(&bed, 125, 0);
    fleet_first_token(bed.fleet, &bed.flights[2], 126);
    fleet_ended(bed.fleet, &bed.flights[2], 130);
    fleet_ended(bed.fleet, &bed.flights[2], 131);
    expect_counts(&bed, 0, 0);
    expect_times(&bed, 126, 0);
    fleet_destroy(bed.fleet);
}

/* The engine takes turns: of the first nothing is known then. */
static void one_that_overtakes_says_nothing_of_the_first(void **state)
{
    (void)state;
    struct bed bed;
    set_up(&bed);
    send(&bed, 0, 100, 20, 100);
    send(&bed, 1, 1, 30, 100);
    expect_times(&bed, 201, 220);
    fleet_first_token(bed.fleet, &bed.flights[1], 110);
    expect_times(&bed, 200, 140);
    fleet_ended(bed.fleet, &bed.flights[1], 140);
    expect_times(&bed, 200, 0);
    fleet_destroy(bed.fleet);
}

static void of_an_overdue_answer_some_is_left(void **state)
{
    (void)state;
    struct bed bed;
    set_up(&bed);
    fleet_at(&bed.handle)->slots = 0; /* not known: one */
    send(&bed, 0, 1, 20, 100);
    fleet_first_token(bed.fleet, &bed.flights[0], 101);
    expect_times(&bed, 101, 121);
    fleet_reckon(bed.fleet, &bed.handle, 120);
    expect_times(&bed, 101, 120 + 20 * FLEET_OVERDUE_SHARE);
    fleet_reckon(bed.fleet, &bed.handle, 1000);
    expect_times(&bed, 101, 1000 + 20 * FLEET_OVERDUE_SHARE);
    fleet_destroy(bed.fleet);
}

/* Nothing happens there meanwhile. */
static void what_is_late_is_reckoned_anew_as_time_passes(void **state)
{
    (void)state;
    const double left_s = 20 * FLEET_OVERDUE_SHARE;
    struct bed bed;
    set_up(&bed);
    send(&bed, 0, 1, 20, 100);
    fleet_first_token(bed.fleet, &bed.flights[0], 101);
    fleet_look_at_late(bed.fleet, 200); /* a slot is free */
    expect_times(&bed, 101, 0);
    fleet_at(&bed.handle)->slots = 1;
    fleet_reckon(bed.fleet, &bed.handle, 101);
    expect_times(&bed, 101, 121);
    fleet_look_at_late(bed.fleet, 120); /* in time */
    expect_times(&bed, 101, 121);
    fleet_look_at_late(bed.fleet, 130);
    expect_times(&bed, 101, 130 + left_s);
    fleet_look_at_late(bed.fleet, 130 + left_s);
    expect_times(&bed, 101, 130 + left_s);
    fleet_look_at_late(bed.fleet, 1000);
    expect_times(&bed, 101, 1000 + left_s);
    send(&bed, 1, 1, 20, 1000);
    fleet_ended(bed.fleet, &bed.flights[0], 1001);
    fleet_look_at_late(bed.fleet, 2000); /* the other one runs still */
    expect_times(&bed, 2000, 2020);
    fleet_ended(bed.fleet, &bed.flights[1], 2000);
    fleet_look_at_late(bed.fleet, 3000);
    expect_times(&bed, 2000, 0);
    send(&bed, 2, 1, 20, 3000);
    fleet_remove(bed.fleet, &bed.handle);
    fleet_look_at_late(bed.fleet, 4000);
    fleet_destroy(bed.fleet);
}

static void a_load_comes_before_the_prefill(void **state)
{
    (void)state;
    struct bed bed;
    set_up(&bed);
    const struct cost cost = {.prefill_s = 2, .load_s = 30};
    fleet_at(&bed.handle)->state = INSTANCE_AVAILABLE;
    fleet_sent(bed.fleet, &bed.handle, &bed.flights[0], &cost, 10, 100);
    expect_times(&bed, 132, 0);
    send(&bed, 1, 3, 10, 101);
    expect_times(&bed, 135, 142);
    fleet_reckon(bed.fleet, &bed.handle, 110); /* it still loads */
    expect_times(&bed, 135, 142);
    fleet_at(&bed.handle)->state = INSTANCE_RESIDENT;
    fleet_reckon(bed.fleet, &bed.handle, 112); /* sooner than expected */
    expect_times(&bed, 117, 124);
    fleet_destroy(bed.fleet);
}

static void other_slots_are_reckoned_with(void **state)
{
    (void)state;
    struct bed bed;
    set_up(&bed);
    send(&bed, 0, 1, 10, 0);
    send(&bed, 1, 1, 10, 0);
    expect_times(&bed, 2, 11);
    fleet_at(&bed.handle)->slots = 4;
    fleet_reckon(bed.fleet, &bed.handle, 0);
    expect_times(&bed, 2, 0);
    fleet_destroy(bed.fleet);
}

static void the_last_one_used_is_known(void **state)
{
    (void)state;
    struct bed bed;
    set_up(&bed);
    struct fleet_handle other;
    add(bed.fleet, "other", 2, &other);
    const struct cost cost = {.total_s = 0};
    send(&bed, 0, 1, 1, 0);
    fleet_sent(bed.fleet, &other, &bed.flights[1], &cost, 1, 0);
    assert_true(fleet_at(&other)->last_used > fleet_at(&bed.handle)->last_used);
    send(&bed, 2, 1, 1, 0);
    assert_true(fleet_at(&other)->last_used < fleet_at(&bed.handle)->last_used);
    fleet_destroy(bed.fleet);
}

static void flights_are_nowhere_once_it_is_gone(void **state)
{
    (void)state;
    struct bed bed;
    set_up(&bed);
    send(&bed, 0, 1, 1, 0);
    send(&bed, 1, 1, 1, 0);
    fleet_remove(bed.fleet, &bed.handle);
    assert_null(bed.flights[0].handle);
    fleet_first_token(bed.fleet, &bed.flights[0], 1);
    fleet_ended(bed.fleet, &bed.flights[0], 1);
    add(bed.fleet, "m", 2, &bed.handle);
    expect_counts(&bed, 0, 0);
    send(&bed, 0, 1, 1, 0); /* elsewhere, or here again */
    expect_counts(&bed, 1, 0);
    fleet_destroy(bed.fleet);
    assert_null(bed.flights[0].handle);
}

/* More than are reckoned with, begun and ended in any order. */
static void counts_hold_whatever_the_order(void **state)
{
    (void)state;
    enum { FLIGHTS = FLEET_FLIGHTS_MAX + 100 };
    static struct flight flights[FLIGHTS];
    const struct cost cost = {.prefill_s = 1};
    struct bed bed;
    set_up(&bed);
    fleet_at(&bed.handle)->slots = 5;
    for (size_t i = 0; i < FLIGHTS; i++)
        fleet_sent(bed.fleet, &bed.handle, &flights[i], &cost, 2, (double)i);
    expect_counts(&bed, FLIGHTS, 0);
    for (uint32_t i = 0; i < FLIGHTS; i += 2)
        fleet_first_token(bed.fleet, &flights[i * 5 % FLIGHTS], FLIGHTS + i);
    expect_counts(&bed, FLIGHTS, FLIGHTS / 2);
    for (uint32_t i = 0; i < FLIGHTS; i++) {
        const struct fleet_instance *it = fleet_at(&bed.handle);
        if (it->running >= it->slots)
            assert_true(it->slot_free_s >= FLIGHTS);
        fleet_ended(bed.fleet, &flights[i * 7 % FLIGHTS], 2 * FLIGHTS + i);
    }
    expect_counts(&bed, 0, 0);
    assert_true(fleet_at(&bed.handle)->prefill_done_s <= 3 * FLIGHTS);
    near(fleet_at(&bed.handle)->slot_free_s, 0);
    fleet_destroy(bed.fleet);
}

static void what_is_promised_holds_for_one_pass(void **state)
{
    (void)state;
    struct bed bed;
    set_up(&bed);
    fleet_begin_pass(bed.fleet);
    const struct fleet_instance *it = fleet_at(&bed.handle);
    assert_int_not_equal(it->promise_pass, fleet_pass(bed.fleet));
    fleet_promise(bed.fleet, it, 2);
    fleet_promise(bed.fleet, it, 3);
    assert_int_equal(it->promise_pass, fleet_pass(bed.fleet));
    assert_int_equal(it->promised, 2);
    near((double)it->promised_prefill_s, 5);
    fleet_begin_pass(bed.fleet);
    assert_int_not_equal(it->promise_pass, fleet_pass(bed.fleet));
    fleet_promise(bed.fleet, it, 1);
    assert_int_equal(it->promised, 1);
    fleet_remove(bed.fleet, &bed.handle); /* with what is promised */
    fleet_begin_pass(bed.fleet);
    fleet_destroy(bed.fleet);
}

/* --- prompts --- */

static void each_model_has_prompts_of_its_own(void **state)
{
    (void)state;
    struct prefix_index index = {0};
    struct fleet *fleet = fleet_of(&index);
    struct fleet_handle a, b, c;
    add(fleet, "m", 1, &a);
    add(fleet, "m", 2, &b);
    add(fleet, "n", 2, &c);
    assert_int_equal(index.groups, 2);
    assert_int_equal(fleet_at(&b)->holder, 1);
    assert_int_equal(fleet_at(&c)->holder, 0);
    fleet_remove(fleet, &c);
    assert_int_equal(index.groups, 1);
    assert_int_equal(index.dropped, 1);
    fleet_destroy(fleet);
    assert_int_equal(index.groups, 0);
}

static void prompts_have_a_seed_for_each_model(void **state)
{
    (void)state;
    struct prefix_index index = {0};
    struct fleet *fleet = fleet_of(&index);
    struct fleet_handle handles[2];
    fleet_set_seed(fleet, 1000);
    add(fleet, "m", 1, &handles[0]);
    assert_int_equal(index.seed, 1000);
    add(fleet, "n", 1, &handles[1]);
    assert_int_not_equal(index.seed, 1000);
    fleet_destroy(fleet);
}

static void forgetting_all_prompts_takes_a_new_number(void **state)
{
    (void)state;
    struct prefix_index index = {0};
    struct fleet *fleet = fleet_of(&index);
    struct fleet_handle handle;
    add(fleet, "m", 1, &handle);
    assert_int_equal(fleet_forget_prompts(fleet, &handle, CACHE), 0);
    assert_int_equal(fleet_at(&handle)->holder, 1);
    assert_int_equal(index.dropped, 1);
    assert_int_equal(fleet_forget_prompts(fleet, &handle, 0), 0);
    assert_int_equal(fleet_at(&handle)->holder, PREFIX_NO_HOLDER);
    assert_int_equal(index.holders, 2);
    index.refusal = -ENOSPC;
    assert_int_equal(fleet_forget_prompts(fleet, &handle, CACHE), -ENOSPC);
    assert_int_equal(fleet_at(&handle)->holder, PREFIX_NO_HOLDER);
    assert_int_equal(fleet_forget_prompts(fleet, &handle, CACHE), 0);
    assert_int_equal(fleet_at(&handle)->holder, 2);
    assert_int_equal(index.dropped, 2);
    fleet_destroy(fleet);
}

static void an_instance_works_without_a_number(void **state)
{
    (void)state;
    struct prefix_index index = {.refusal = -ENOSPC};
    struct fleet *fleet = fleet_of(&index);
    struct fleet_handle handle;
    add(fleet, "m", 1, &handle);
    assert_int_equal(fleet_at(&handle)->holder, PREFIX_NO_HOLDER);
    fleet_remove(fleet, &handle);
    assert_int_equal(index.dropped, 0);
    fleet_destroy(fleet);
}

static void a_model_works_without_prompts(void **state)
{
    (void)state;
    struct prefix_index index = {.group_refusal = -ENOSPC};
    struct fleet *fleet = fleet_of(&index);
    struct fleet_handle handle;
    add(fleet, "m", 1, &handle);
    assert_null(handle.model->prefixes);
    assert_int_equal(fleet_at(&handle)->holder, PREFIX_NO_HOLDER);
    fleet_remove(fleet, &handle);
    fleet_destroy(fleet);
}

/* --- no memory --- */

static void without_memory_nothing_has_changed(void **state)
{
    (void)state;
    struct prefix_index index = {0};
    size_t nth = 0;
    bool failed;
    do {
        struct fleet *fleet = fleet_of(&index);
        struct fleet_handle handles[10];
        struct fleet_instance first = instance_of(1);
        short_memory_begin(nth++);
        for (uint32_t i = 0; i < 10; i++) {
            char name[2] = {(char)('a' + i % 9), 0}; /* nine models, one of them twice */
            size_t models = fleet_model_count(fleet), groups = index.groups;
            int r = fleet_add(fleet, name, &first, CACHE, &handles[i]);
            if (!r)
                continue;
            assert_int_equal(r, -ENOMEM);
            assert_int_equal(fleet_model_count(fleet), models);
            assert_int_equal(index.groups, groups);
            add(fleet, name, 1, &handles[i]);
        }
        failed = short_memory_end();
        assert_int_equal(fleet_model_count(fleet), 9);
        fleet_destroy(fleet);
        assert_int_equal(index.groups, 0);
    } while (failed);
    assert_true(nth > 9 * 5); /* a name, a model, a group, instances, digests */
    short_memory_begin(0);
    assert_null(fleet_create(NULL));
    assert_true(short_memory_end());
}

static void a_full_model_grows_or_stays(void **state)
{
    (void)state;
    size_t nth = 0;
    bool failed;
    do {
        struct fleet *fleet = fleet_of(NULL);
        struct fleet_handle handles[MANY];
        struct fleet_instance first = instance_of(1);
        short_memory_begin(nth++);
        for (size_t i = 0; i < MANY; i++)
            if (fleet_add(fleet, "m", &first, 0, &handles[i]))
                add(fleet, "m", 1, &handles[i]);
        failed = short_memory_end();
        assert_int_equal(fleet_find(fleet, "m")->count, MANY);
        fleet_freshen(fleet);
        fleet_destroy(fleet);
    } while (failed);
}

static void no_fleet_is_destroyed(void **state)
{
    (void)state;
    fleet_destroy(NULL);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(models_are_found_by_name),
            cmocka_unit_test(a_handle_follows_its_instance),
            cmocka_unit_test(a_new_instance_has_been_given_nothing),
            cmocka_unit_test(there_are_limits),
            cmocka_unit_test(what_is_ahead_is_reckoned),
            cmocka_unit_test(what_is_sent_during_a_load_begins_behind_it),
            cmocka_unit_test(it_is_corrected_as_things_happen),
            cmocka_unit_test(one_that_overtakes_says_nothing_of_the_first),
            cmocka_unit_test(of_an_overdue_answer_some_is_left),
            cmocka_unit_test(what_is_late_is_reckoned_anew_as_time_passes),
            cmocka_unit_test(a_load_comes_before_the_prefill),
            cmocka_unit_test(other_slots_are_reckoned_with),
            cmocka_unit_test(the_last_one_used_is_known),
            cmocka_unit_test(flights_are_nowhere_once_it_is_gone),
            cmocka_unit_test(counts_hold_whatever_the_order),
            cmocka_unit_test(what_is_promised_holds_for_one_pass),
            cmocka_unit_test(each_model_has_prompts_of_its_own),
            cmocka_unit_test(prompts_have_a_seed_for_each_model),
            cmocka_unit_test(forgetting_all_prompts_takes_a_new_number),
            cmocka_unit_test(an_instance_works_without_a_number),
            cmocka_unit_test(a_model_works_without_prompts),
            cmocka_unit_test(without_memory_nothing_has_changed),
            cmocka_unit_test(a_full_model_grows_or_stays),
            cmocka_unit_test(no_fleet_is_destroyed),
    };
    return cmocka_run_group_tests_name("fleet", tests, NULL, NULL);
}

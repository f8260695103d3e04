#include "coordinator/scheduling/routing.h"

#include "coordinator/scheduling/fleet_digest.h"
#include "coordinator/scheduling/prefix_index.h"
#include "tests/lib/short_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PLACES = 8 };

/* A fleet with up to PLACES instances, and a request for the models "small" and "large". */
struct bed {
    struct fleet *fleet;
    struct routing *routing;
    struct fleet_handle handles[PLACES];
    struct flight flights[PLACES];
    size_t count;
    struct routing_option options[2];
    struct routing_request request;
    struct routing_plan plan;
};

static const struct fleet_instance sound = {
        .rates = {1000, INFINITY, 0.01F, 0.001F},
        .state = INSTANCE_RESIDENT,
        .slots = 2,
        .usable = true,
        .fits = true,
        .load_s = 10,
};

static int set_up(void **state)
{
    static struct bed bed;
    memset(&bed, 0, sizeof(bed));
    bed.fleet = fleet_create(NULL);
    bed.routing = routing_create();
    bed.request = (struct routing_request){.options = bed.options,
            .option_count = 1,
            .beta = COST_BETA_INTERACTIVE,
            .gamma = COST_GAMMA,
            .sigma = COST_SIGMA,
            .now_s = 100};
    for (size_t i = 0; i < 2; i++)
        bed.options[i] = (struct routing_option){.prompt_tokens = 1000, .block_tokens = 100};
    *state = &bed;
    return bed.fleet && bed.routing ? 0 : -1;
}

static int tear_down(void **state)
{
    struct bed *bed = *state;
    routing_destroy(bed->routing);
    fleet_destroy(bed->fleet);
    return 0;
}

/* The next instance, to be changed at once; its node is its number + 1. */
static struct fleet_instance *add(struct bed *bed, const char *model)
{
    struct fleet_instance first = sound;
    struct fleet_handle *handle = &bed->handles[bed->count++];
    first.epoch = (uint32_t)bed->count;
    assert_int_equal(fleet_add(bed->fleet, model, &first, 0, handle), 0);
    return fleet_at(handle);
}

static struct fleet_instance *at(struct bed *bed, size_t i)
{
    return fleet_at(&bed->handles[i]);
}

static enum routing_verdict choose(struct bed *bed)
{
    bed->options[0].model = fleet_find(bed->fleet, "small");
    bed->options[1].model = fleet_find(bed->fleet, "large");
    assert_int_equal(
            routing_choose(bed->routing, bed->fleet, &bed->request, NULL, NULL, &bed->plan), 0);
    return bed->plan.verdict;
}

#define runs_on(bed, i)   check_goes_to(bed, i, ROUTING_RUN, __LINE__)
#define waits_for(bed, i) check_goes_to(bed, i, ROUTING_WAIT, __LINE__)

static void check_goes_to(struct bed *bed, size_t i, enum routing_verdict verdict, int line)
{
    if (choose(bed) != verdict || bed->plan.instance != at(bed, i))
        fail_msg("line %d: verdict %d on node %u", line, bed->plan.verdict,
                bed->plan.instance ? bed->plan.instance->epoch : 0);
    assert_int_equal(bed->plan.refusal, verdict == ROUTING_RUN ? REFUSAL_NONE : REFUSAL_FULL);
}

/* Sends the request where the plan says. */
static void send(struct bed *bed, size_t flight)
{
    fleet_sent(bed->fleet, bed->plan.instance->handle, &bed->flights[flight], &bed->plan.cost, 1,
            bed->request.now_s);
}

/* --- the least cost --- */

static void the_cheapest_answers(void **state)
{
    struct bed *bed = *state;
    add(bed, "small");
    add(bed, "small")->rates.prefill_tok_s = 2000;
    add(bed, "small")->rates.prefill_tok_s = 500;
    runs_on(bed, 1);
    assert_true(fabs(bed->plan.cost.prefill_s - 0.5) < 1e-9);
    assert_int_equal(bed->plan.feasible, 3);
    at(bed, 1)->rtt_s = 10;
    runs_on(bed, 0);
    at(bed, 0)->prefill_done_s = 105;
    runs_on(bed, 2);
}

/* Another one is in the place of the one that is gone. */
static void who_is_left_answers(void **state)
{
    struct bed *bed = *state;
    for (size_t i = 0; i < 3; i++)
        add(bed, "small")->rtt_s = (float)i;
    runs_on(bed, 0);
    fleet_remove(bed->fleet, &bed->handles[0]);
    runs_on(bed, 1);
    fleet_remove(bed->fleet, &bed->handles[1]);
    runs_on(bed, 2);
    assert_int_equal(bed->plan.feasible, 1);
}

static void what_is_held_of_the_prompt_counts(void **state)
{
    struct bed *bed = *state;
    static const uint32_t held[] = {9, 0};
    add(bed, "small")->holder = 0;
    add(bed, "small")->holder = 1;
    add(bed, "small")->holder = PREFIX_NO_HOLDER;
    at(bed, 1)->rates.prefill_tok_s = 3000;
    runs_on(bed, 1);
    bed->options[0].held_blocks = held;
    runs_on(bed, 0);
    assert_true(fabs(bed->plan.held_tokens - 900) < 1e-9);
    assert_true(fabs(bed->plan.cost.prefill_s - 0.1) < 1e-9);
    bed->options[0].block_tokens = 1000; /* more than there is */
    runs_on(bed, 0);
    assert_true(fabs(bed->plan.held_tokens - 1000) < 1e-9);
}

static void quality_is_worth_seconds(void **state)
{
    struct bed *bed = *state;
    bed->request.option_count = 2;
    add(bed, "small");
    add(bed, "large")->rates.prefill_tok_s = 100; /* nine seconds more */
    bed->options[0].quality = 60;
    bed->options[1].quality = 70;
    runs_on(bed, 0);
    assert_true(fabs(bed->plan.cost.quality_s - 5) < 1e-9);
    bed->options[1].quality = 80;
    runs_on(bed, 1);
    assert_int_equal(bed->plan.option, 1);
    bed->request.quality_wanted = 60; /* more is worth nothing */
    runs_on(bed, 0);
    bed->request.quality_wanted = 0;
    bed->options[0].quality = 0; /* then its node says it */
    at(bed, 0)->quality = 75;
    runs_on(bed, 0);
}

static void of_equal_ones_the_least_recently_used_answers(void **state)
{
    struct bed *bed = *state;
    for (size_t i = 0; i < 3; i++)
        add(bed, "small")->last_used = 3 - i;
    runs_on(bed, 2);
    at(bed, 2)->rates.prefill_tok_s = 970; /* 31 ms more */
    runs_on(bed, 2);
    at(bed, 2)->rates.prefill_tok_s = 940; /* 64 ms more */
    runs_on(bed, 1);
    at(bed, 0)->last_used = 2; /* as long ago as the other: by its cost */
    at(bed, 1)->rtt_s = 0.01F;
    runs_on(bed, 0);
    at(bed, 0)->rtt_s = 0.02F;
    runs_on(bed, 1);
}

static void of_equal_ones_one_with_room_answers(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->running = 3;
    add(bed, "small")->last_used = 9;
    bed->request.beta = bed->request.gamma = 0;
    runs_on(bed, 1);
    at(bed, 1)->running = 3;
    waits_for(bed, 0);
}

static void equal_ones_take_turns(void **state)
{
    struct bed *bed = *state;
    bool had[PLACES] = {false};
    for (size_t i = 0; i < PLACES; i++)
        add(bed, "small");
    for (size_t turn = 0; turn < PLACES; turn++) {
        assert_int_equal(choose(bed), ROUTING_RUN);
        size_t i = (size_t)(bed->plan.instance->handle - bed->handles);
        assert_false(had[i]);
        had[i] = true;
        send(bed, turn);
        if (turn % 2) /* whether they still run or have ended */
            fleet_ended(bed->fleet, &bed->flights[turn], bed->request.now_s);
    }
}

/* --- room --- */

static void one_beyond_the_slots_is_sent_and_the_next_waits(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->running = 2;
    runs_on(bed, 0);
    at(bed, 0)->running = 3;
    waits_for(bed, 0);
    at(bed, 0)->slots = 0; /* not known: one */
    at(bed, 0)->running = 1;
    runs_on(bed, 0);
    at(bed, 0)->running = 2;
    waits_for(bed, 0);
    at(bed, 0)->running = UINT32_MAX;
    waits_for(bed, 0);
}

static void chat_leaves_room_for_autocomplete(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->running = 2 + ROUTING_BEYOND_SLOTS;
    waits_for(bed, 0);
    bed->request.lane = LANE_AUTOCOMPLETE;
    runs_on(bed, 0);
    at(bed, 0)->running += ROUTING_AUTOCOMPLETE_BEYOND;
    waits_for(bed, 0);
}

static void some_take_nothing_beyond_the_slots(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->running = 1;
    bed->request.within_slots = true;
    runs_on(bed, 0);
    at(bed, 0)->running = 2;
    waits_for(bed, 0);
    bed->request.lane = LANE_AUTOCOMPLETE;
    runs_on(bed, 0);
    at(bed, 0)->running += ROUTING_AUTOCOMPLETE_BEYOND;
    waits_for(bed, 0);
    bed->request.within_slots = false;
    runs_on(bed, 0);
}

static void the_greedy_leave_a_slot_free(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->slots = 4;
    bed->request.greedy = true;
    at(bed, 0)->running = at(bed, 0)->decoding = 2;
    runs_on(bed, 0);
    at(bed, 0)->running = at(bed, 0)->decoding = 3;
    waits_for(bed, 0);
    bed->request.greedy = false;
    runs_on(bed, 0);
    bed->request.greedy = true;
    at(bed, 0)->slots = 1; /* as any */
    at(bed, 0)->running = 1;
    runs_on(bed, 0);
}

static void the_greedy_wait_until_no_prompt_is_computed(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->slots = 4;
    at(bed, 0)->running = 1;
    runs_on(bed, 0);
    bed->request.greedy = true;
    waits_for(bed, 0);
    at(bed, 0)->decoding = 1;
    runs_on(bed, 0);
}

static void the_greedy_leave_one_that_is_as_fast(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->slots = 4;
    add(bed, "small")->slots = 4;
    at(bed, 1)->rates.prefill_tok_s = at(bed, 0)->rates.prefill_tok_s / 2;
    bed->request.greedy = true;
    waits_for(bed, 0);
    at(bed, 0)->prefill_done_s = bed->request.now_s + 1000; /* the slow one is sooner done */
    runs_on(bed, 1);
    at(bed, 0)->running = 1; /* and no other is free now */
    waits_for(bed, 1);
    bed->request.greedy = false;
    runs_on(bed, 1);
}

static void the_greedy_leave_none_where_no_other_is_loaded(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->slots = 4;
    add(bed, "small")->state = INSTANCE_AVAILABLE;
    at(bed, 0)->running = at(bed, 0)->decoding = 2;
    bed->request.greedy = true;
    runs_on(bed, 0);
    at(bed, 0)->running = at(bed, 0)->decoding = 3;
    waits_for(bed, 0);
}

/* It waits here, where it can be overtaken and go elsewhere, instead of there. */
static void one_with_much_to_compute_is_waited_for(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->slots = 4;
    at(bed, 0)->running = 1;
    at(bed, 0)->prefill_done_s = bed->request.now_s + ROUTING_AHEAD_S;
    runs_on(bed, 0);
    at(bed, 0)->prefill_done_s = bed->request.now_s + 2 * ROUTING_AHEAD_S;
    waits_for(bed, 0);
    bed->request.lane = LANE_AUTOCOMPLETE;
    runs_on(bed, 0);
    bed->request.lane = LANE_CHAT;
    at(bed, 0)->decoding = 1;
    runs_on(bed, 0);
}

/* A full one that is much faster is worth the wait, and is not where that is too long. */
static void a_full_one_is_waited_for_where_that_is_sooner(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->running = 3;
    at(bed, 0)->slot_free_s = 102;
    add(bed, "small")->rates.prefill_tok_s = 100;
    waits_for(bed, 0);
    at(bed, 0)->slot_free_s = 120;
    runs_on(bed, 1);
}

static void what_waits_for_it_is_ahead(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->running = 3;
    at(bed, 0)->slot_free_s = 102;
    at(bed, 0)->slot_turn_s = 3;
    add(bed, "small")->rates.prefill_tok_s = 100;
    fleet_begin_pass(bed->fleet);
    for (size_t i = 0; i < 2; i++) {
        waits_for(bed, 0);
        assert_true(fabs(bed->plan.cost.wait_s - (2 + 3 * (double)i)) < 1e-6);
        fleet_promise(bed->fleet, bed->plan.instance, bed->plan.cost.prefill_s);
    }
    fleet_promise(bed->fleet, bed->plan.instance, bed->plan.cost.prefill_s);
    runs_on(bed, 1);
    fleet_begin_pass(bed->fleet);
    waits_for(bed, 0);
}

/* --- what is free where a request waits --- */

static void a_slot_is_free_where_only_prompts_are_waited_for(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->running = 1;
    at(bed, 0)->prefill_done_s = bed->request.now_s + 2 * ROUTING_AHEAD_S;
    waits_for(bed, 0);
    assert_false(bed->plan.slot_free); /* it was not asked */
    bed->request.tell_free = true;
    waits_for(bed, 0);
    assert_true(bed->plan.slot_free);
    assert_false(bed->plan.room_left);
    fleet_begin_pass(bed->fleet);
    fleet_promise(bed->fleet, bed->plan.instance, bed->plan.cost.prefill_s);
    waits_for(bed, 0);
    assert_false(bed->plan.slot_free); /* who is before it has that one */
    fleet_begin_pass(bed->fleet);
    at(bed, 0)->running = 2;
    waits_for(bed, 0);
    assert_false(bed->plan.slot_free);
}

static void a_slot_may_be_free_and_not_for_the_greedy(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->slots = 4;
    bed->request.greedy = bed->request.tell_free = true;
    for (uint32_t running = 3; running <= 4; running++) {
        at(bed, 0)->running = at(bed, 0)->decoding = running;
        waits_for(bed, 0);
        assert_true(bed->plan.slot_free == (running == 3));
        assert_false(bed->plan.room_left);
    }
}

/* Of what would have to be loaded first nothing is free, but it has room. */
static void another_may_have_room_where_a_quicker_one_is_waited_for(void **state)
{
    struct bed *bed = *state;
    bed->request.tell_free = true;
    add(bed, "small")->running = 3;
    at(bed, 0)->slot_free_s = 102;
    waits_for(bed, 0);
    assert_false(bed->plan.slot_free || bed->plan.room_left);
    add(bed, "small")->rates.prefill_tok_s = 100;
    waits_for(bed, 0);
    assert_true(bed->plan.slot_free && bed->plan.room_left);
    at(bed, 1)->state = INSTANCE_AVAILABLE;
    waits_for(bed, 0);
    assert_true(!bed->plan.slot_free && bed->plan.room_left);
    at(bed, 1)->fits = false;
    waits_for(bed, 0);
    assert_false(bed->plan.slot_free || bed->plan.room_left);
}

/* --- loads --- */

static void a_burst_is_one_load(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->state = INSTANCE_AVAILABLE;
    add(bed, "small")->state = INSTANCE_AVAILABLE;
    at(bed, 0)->slots = at(bed, 1)->slots = 0;
    at(bed, 0)->last_used = 1;
    runs_on(bed, 1);
    assert_true(fabs(bed->plan.cost.load_s - 10) < 1e-9);
    send(bed, 0);
    runs_on(bed, 1); /* its node has not spoken since */
    send(bed, 1);
    waits_for(bed, 1);
    at(bed, 1)->state = INSTANCE_LOADING;
    at(bed, 1)->ready_s = 108;
    waits_for(bed, 1);
    at(bed, 1)->prefill_done_s = 125; /* the queue is longer than a load */
    runs_on(bed, 0);
}

static void what_is_loaded_soon_is_preferred_to_a_load(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->state = INSTANCE_AVAILABLE;
    add(bed, "small")->state = INSTANCE_LOADING;
    at(bed, 1)->ready_s = 115;
    runs_on(bed, 1);
    assert_true(fabs(bed->plan.cost.load_s - 15) < 1e-9);
    at(bed, 1)->ready_s = 125;
    runs_on(bed, 0);
    at(bed, 1)->ready_s = 50; /* any moment */
    runs_on(bed, 1);
    assert_true(fabs(bed->plan.cost.load_s) < 1e-9);
}

static void what_is_ordered_is_not_loaded_elsewhere(void **state)
{
    struct bed *bed = *state;
    static const enum instance_state states[] = {
            INSTANCE_AVAILABLE, INSTANCE_STOPPING, INSTANCE_LOADING, INSTANCE_FAILED};
    add(bed, "small")->state = INSTANCE_AVAILABLE;
    add(bed, "small")->ordered = true;
    at(bed, 1)->last_used = 9;
    at(bed, 1)->ready_s = 110;
    at(bed, 1)->fits = false; /* beside what there is now */
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        at(bed, 1)->state = states[i];
        runs_on(bed, 1);
    }
}

static void a_resident_one_is_preferred_to_a_load(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->state = INSTANCE_AVAILABLE;
    add(bed, "small")->rates.prefill_tok_s = 100;
    runs_on(bed, 1);
    at(bed, 0)->load_s = 2;
    runs_on(bed, 0);
}

/* --- nothing is feasible --- */

static void nothing_can(struct bed *bed, enum routing_verdict verdict, enum refusal refusal)
{
    assert_int_equal(choose(bed), verdict);
    assert_int_equal(bed->plan.refusal, refusal);
    assert_null(bed->plan.instance);
    assert_int_equal(bed->plan.feasible, 0);
}

static void nobody_has_it(void **state)
{
    struct bed *bed = *state;
    bed->request.option_count = 2;
    nothing_can(bed, ROUTING_NONE, REFUSAL_NONE);
    assert_int_equal(bed->plan.absent, 2);
    add(bed, "large")->usable = false; /* its node drains */
    nothing_can(bed, ROUTING_NONE, REFUSAL_UNUSABLE);
    assert_int_equal(bed->plan.absent, 1);
    bed->request.option_count = 0;
    nothing_can(bed, ROUTING_NONE, REFUSAL_NONE);
}

static void what_may_come_is_waited_for(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->state = INSTANCE_STOPPING;
    nothing_can(bed, ROUTING_WAIT, REFUSAL_STOPPING);
    at(bed, 0)->state = INSTANCE_FAILED;
    nothing_can(bed, ROUTING_WAIT, REFUSAL_FAILED);
    at(bed, 0)->tripped = true;
    nothing_can(bed, ROUTING_WAIT, REFUSAL_FAILED);
    at(bed, 0)->usable = false;
    at(bed, 0)->silent = true;
    nothing_can(bed, ROUTING_WAIT, REFUSAL_SILENT);
    add(bed, "small")->fits = false;
    at(bed, 1)->state = INSTANCE_AVAILABLE;
    nothing_can(bed, ROUTING_WAIT, REFUSAL_SILENT); /* the other one never will */
    at(bed, 0)->silent = false;                     /* it drains: that passes */
    nothing_can(bed, ROUTING_NONE, REFUSAL_UNUSABLE);
}

static void a_silent_node_waits_for_no_other(void **state)
{
    struct bed *bed = *state;
    bed->request.option_count = 2;
    add(bed, "small")->usable = false;
    at(bed, 0)->silent = true;
    add(bed, "large");
    runs_on(bed, 1);
}

static void what_a_model_cannot_do_is_not_asked_of_it(void **state)
{
    struct bed *bed = *state;
    bed->request.option_count = 2;
    add(bed, "small")->capabilities = CAPABILITY_CHAT | CAPABILITY_EXACT;
    add(bed, "large")->capabilities = CAPABILITY_CHAT | CAPABILITY_VISION | CAPABILITY_EXACT;
    at(bed, 1)->rates.prefill_tok_s = 100;
    bed->request.needs = CAPABILITY_CHAT;
    runs_on(bed, 0);
    bed->request.needs |= CAPABILITY_VISION;
    runs_on(bed, 1);
    bed->request.needs |= CAPABILITY_FIM;
    nothing_can(bed, ROUTING_NONE, REFUSAL_LACKS);
    assert_int_equal(bed->plan.lacking, CAPABILITY_FIM); /* of the one that can more */
    assert_int_equal(bed->plan.absent, 0);
    fleet_remove(bed->fleet, &bed->handles[1]);
    nothing_can(bed, ROUTING_NONE, REFUSAL_LACKS);
    assert_int_equal(bed->plan.lacking, CAPABILITY_FIM | CAPABILITY_VISION);
    assert_int_equal(bed->plan.absent, 1); /* that one could have: it is away */
}

/* It would be loaded for nothing, or answer without them. */
static void what_is_known_before_it_is_loaded_counts(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->capabilities = CAPABILITY_CHAT | CAPABILITY_EXACT;
    add(bed, "small")->capabilities = CAPABILITY_CHAT;
    at(bed, 1)->state = INSTANCE_AVAILABLE;
    bed->request.needs = CAPABILITY_CHAT | CAPABILITY_TOOLS;
    runs_on(bed, 1); /* of which nothing is known */
    at(bed, 1)->capabilities |= CAPABILITY_TEMPLATE;
    nothing_can(bed, ROUTING_NONE, REFUSAL_LACKS);
    assert_int_equal(bed->plan.lacking, CAPABILITY_TOOLS);
    at(bed, 1)->capabilities |= CAPABILITY_TOOLS;
    runs_on(bed, 1);
    bed->request.needs |= CAPABILITY_VISION;
    runs_on(bed, 1);
    at(bed, 1)->capabilities |= CAPABILITY_SENSES;
    nothing_can(bed, ROUTING_NONE, REFUSAL_LACKS);
    assert_int_equal(bed->plan.lacking, CAPABILITY_VISION);
}

static void prompt_and_answer_fit_in_the_context(void **state)
{
    struct bed *bed = *state;
    bed->request.output_reserve = 500;
    add(bed, "small")->context = 1499;
    add(bed, "small")->context = 800;
    nothing_can(bed, ROUTING_NONE, REFUSAL_CONTEXT);
    assert_int_equal(bed->plan.context_max, 1499);
    at(bed, 1)->context = 1500;
    runs_on(bed, 1);
    at(bed, 1)->context = 0; /* not known */
    runs_on(bed, 1);
}

static void what_is_too_long_tells_what_is_loaded(void **state)
{
    struct bed *bed = *state;
    bed->request.option_count = 2;
    add(bed, "small")->context = 400;
    add(bed, "small")->context = 500;
    add(bed, "large")->context = 800;
    at(bed, 2)->state = INSTANCE_AVAILABLE;
    nothing_can(bed, ROUTING_NONE, REFUSAL_CONTEXT);
    assert_int_equal(bed->plan.context_max, 800);
    assert_int_equal(bed->plan.longest, 1);
    assert_int_equal(bed->plan.context_loaded, 500);
    at(bed, 1)->usable = false;
    nothing_can(bed, ROUTING_NONE, REFUSAL_CONTEXT);
    assert_int_equal(bed->plan.context_loaded, 400);
    at(bed, 0)->tripped = true; /* better one that fails than none */
    nothing_can(bed, ROUTING_NONE, REFUSAL_CONTEXT);
    assert_int_equal(bed->plan.context_loaded, 400);
    bed->request.avoid[0] = (struct routing_place){1, fleet_find(bed->fleet, "small")};
    bed->request.avoid_count = 1;
    at(bed, 2)->state = INSTANCE_LOADING;
    nothing_can(bed, ROUTING_NONE, REFUSAL_CONTEXT);
    assert_int_equal(bed->plan.context_loaded, 800);
    assert_int_equal(bed->plan.longest, 1);
}

static void what_rests_counts_where_nothing_else_does(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->context = 800;
    add(bed, "small")->context = 400;
    add(bed, "small")->context = 900;
    at(bed, 0)->tripped = at(bed, 2)->tripped = true;
    nothing_can(bed, ROUTING_NONE, REFUSAL_CONTEXT);
    assert_int_equal(bed->plan.context_max, 900); /* it will have rested */
    assert_int_equal(bed->plan.context_loaded, 400);
    assert_false(bed->plan.loaded_rests);
    at(bed, 1)->state = INSTANCE_AVAILABLE;
    nothing_can(bed, ROUTING_NONE, REFUSAL_CONTEXT);
    assert_int_equal(bed->plan.context_loaded, 900);
    assert_true(bed->plan.loaded_rests);
}

static void a_context_is_longer_than_another(void **state)
{
    (void)state;
    assert_true(routing_is_longer(1, false, 0, false));
    assert_true(routing_is_longer(1, true, 0, false));
    assert_false(routing_is_longer(0, false, 1, true));
    assert_false(routing_is_longer(1, false, 1, false));
    assert_true(routing_is_longer(2, true, 1, true));
    assert_true(routing_is_longer(1, false, 2, true));
    assert_false(routing_is_longer(2, true, 1, false));
}

/* It is for the client to shorten its prompt to that. */
static void what_could_take_nothing_shorter_is_not_the_longest(void **state)
{
    struct bed *bed = *state;
    bed->request.option_count = 2;
    add(bed, "large")->context = 800;
    add(bed, "small")->context = 400;
    add(bed, "small")->context = 900;
    at(bed, 0)->usable = false; /* it drains */
    at(bed, 2)->state = INSTANCE_AVAILABLE;
    at(bed, 2)->fits = false;
    nothing_can(bed, ROUTING_NONE, REFUSAL_CONTEXT);
    assert_int_equal(bed->plan.context_max, 400);
    assert_int_equal(bed->plan.longest, 0);
    assert_false(bed->plan.longest_closed);
    at(bed, 1)->tripped = true;
    nothing_can(bed, ROUTING_NONE, REFUSAL_CONTEXT);
    assert_int_equal(bed->plan.context_max, 400);
    at(bed, 0)->silent = true; /* it may be back in a moment */
    nothing_can(bed, ROUTING_NONE, REFUSAL_CONTEXT);
    assert_int_equal(bed->plan.context_max, 800);
    assert_int_equal(bed->plan.longest, 1);
    at(bed, 0)->silent = at(bed, 1)->usable = false; /* there is no other */
    nothing_can(bed, ROUTING_NONE, REFUSAL_CONTEXT);
    assert_int_equal(bed->plan.context_max, 900);
    assert_true(bed->plan.longest_closed);
}

/* However dear. */
static void what_may_load_nothing_goes_to_what_is_loaded(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->state = INSTANCE_AVAILABLE;
    at(bed, 0)->load_s = 0;
    add(bed, "small")->state = INSTANCE_LOADING;
    at(bed, 1)->ready_s = 500;
    runs_on(bed, 0);
    bed->request.loaded = FLEET_ABLE_LOADED;
    runs_on(bed, 1);
    bed->request.loaded = FLEET_ABLE_RESIDENT;
    at(bed, 0)->context = 4096;
    nothing_can(bed, ROUTING_NONE, REFUSAL_NOT_LOADED);
    assert_int_equal(bed->plan.context_max, 0); /* it is not too long for them */
    add(bed, "small")->rates.prefill_tok_s = 1;
    runs_on(bed, 2);
}

static void quality_has_a_floor(void **state)
{
    struct bed *bed = *state;
    bed->request.option_count = 2;
    bed->request.quality_floor = 50;
    add(bed, "small");
    add(bed, "large")->rates.prefill_tok_s = 10; /* rather that than a lesser one */
    bed->options[0].quality = 49;
    bed->options[1].quality = 50;
    runs_on(bed, 1);
    bed->options[1].quality = 0; /* nobody says how good it is */
    nothing_can(bed, ROUTING_NONE, REFUSAL_QUALITY);
    at(bed, 1)->quality = 51;
    runs_on(bed, 1);
}

static void what_swaps_is_for_batch_alone(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->batch_only = true;
    nothing_can(bed, ROUTING_NONE, REFUSAL_BATCH_ONLY);
    at(bed, 0)->ordered = true;
    nothing_can(bed, ROUTING_NONE, REFUSAL_BATCH_ONLY);
    bed->request.batch = true;
    runs_on(bed, 0);
    bed->request.batch = false;
    add(bed, "small")->state = INSTANCE_AVAILABLE; /* where it fits, it is loaded */
    runs_on(bed, 1);
}

static void what_failed_is_avoided_and_nothing_else(void **state)
{
    struct bed *bed = *state;
    bed->request.option_count = 2;
    add(bed, "small");
    add(bed, "large")->rates.prefill_tok_s = 100;
    bed->request.avoid[0] = (struct routing_place){1, fleet_find(bed->fleet, "small")};
    bed->request.avoid_count = 1;
    runs_on(bed, 1);
    bed->request.avoid[1] = (struct routing_place){2, fleet_find(bed->fleet, "large")};
    bed->request.avoid_count = 2;
    nothing_can(bed, ROUTING_NONE, REFUSAL_AVOIDED);
    bed->request.avoid[0].epoch = 3; /* another session of that node */
    runs_on(bed, 0);
}

/* --- conversations --- */

static void a_session_stays_until_another_is_clearly_better(void **state)
{
    struct bed *bed = *state;
    add(bed, "small");
    add(bed, "small");
    bed->request.beta = 0;
    bed->request.session = (struct routing_place){1, fleet_find(bed->fleet, "small")};
    at(bed, 0)->last_used = 9;
    runs_on(bed, 0);
    assert_false(bed->plan.stayed);
    at(bed, 0)->rtt_s = 0.24F;
    runs_on(bed, 0);
    assert_true(bed->plan.stayed);
    at(bed, 0)->rtt_s = 0.26F;
    runs_on(bed, 1);
    assert_false(bed->plan.stayed);
    bed->options[0].prompt_tokens = 10000; /* a tenth is more here */
    at(bed, 0)->rtt_s = 1;
    runs_on(bed, 0);
    at(bed, 0)->rtt_s = 1.2F;
    runs_on(bed, 1);
}

static void who_waits_at_the_cursor_stays_only_where_it_costs_the_same(void **state)
{
    struct bed *bed = *state;
    add(bed, "small");
    add(bed, "small");
    bed->request.beta = 0;
    bed->request.lane = LANE_AUTOCOMPLETE;
    bed->request.session = (struct routing_place){1, fleet_find(bed->fleet, "small")};
    at(bed, 0)->last_used = 9;
    at(bed, 0)->rtt_s = 0.04F;
    runs_on(bed, 0);
    assert_true(bed->plan.stayed);
    at(bed, 0)->rtt_s = 0.06F;
    runs_on(bed, 1);
    assert_false(bed->plan.stayed);
    bed->options[0].prompt_tokens = 10000; /* nor is a tenth of that worth waiting for */
    runs_on(bed, 1);
}

/* Who rests is passed over as long as another can, also if that one is full. */
static void what_rests_is_taken_where_nothing_else_can(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->tripped = true;
    add(bed, "small")->running = 3;
    assert_int_equal(choose(bed), ROUTING_WAIT);
    assert_ptr_equal(bed->plan.instance, at(bed, 1));
    at(bed, 1)->state = INSTANCE_FAILED;
    runs_on(bed, 0);
    at(bed, 1)->tripped = true;
    runs_on(bed, 0);
    at(bed, 0)->state = INSTANCE_FAILED;
    nothing_can(bed, ROUTING_WAIT, REFUSAL_FAILED);
}

static void a_session_leaves_what_cannot(void **state)
{
    struct bed *bed = *state;
    add(bed, "small");
    add(bed, "small")->rtt_s = 0.2F;
    bed->request.session = (struct routing_place){2, fleet_find(bed->fleet, "small")};
    runs_on(bed, 1);
    at(bed, 1)->tripped = true;
    runs_on(bed, 0);
    at(bed, 1)->tripped = false;
    bed->request.avoid[0] = bed->request.session;
    bed->request.avoid_count = 1;
    runs_on(bed, 0);
    bed->request.avoid_count = 0;
    bed->request.session.epoch = 3; /* gone */
    runs_on(bed, 0);
}

static void a_session_waits_for_its_own(void **state)
{
    struct bed *bed = *state;
    add(bed, "small")->running = 3;
    at(bed, 0)->slot_free_s = 100.1;
    add(bed, "small");
    bed->request.beta = bed->request.gamma = 0;
    bed->request.session = (struct routing_place){1, fleet_find(bed->fleet, "small")};
    waits_for(bed, 0);
    assert_true(bed->plan.stayed);
}

/* --- telling --- */

struct looks {
    size_t count;
    enum refusal refusals[PLACES];
    double totals_s[PLACES], held[PLACES];
};

static void a_session_knows_more_than_whole_blocks(void **state)
{
    struct bed *bed = *state;
    static const uint32_t held[] = {8, 8};
    add(bed, "small")->holder = 0;
    add(bed, "small")->holder = 1;
    at(bed, 0)->rates.prefill_tok_s = 600;
    bed->options[0].held_blocks = held;
    bed->request.session = (struct routing_place){1, fleet_find(bed->fleet, "small")};
    runs_on(bed, 0); /* 0.33 s, and 0.2 s on the other */
    at(bed, 0)->rates.prefill_tok_s = 400;
    runs_on(bed, 1);
    bed->request.tail_tokens = 150;
    runs_on(bed, 0);
    assert_true(fabs(bed->plan.held_tokens - 950) < 1e-9);
    assert_true(fabs(bed->plan.cost.prefill_s - 0.125) < 1e-9);
    bed->request.tail_tokens = 1e6; /* no more than there is */
    runs_on(bed, 0);
    assert_true(fabs(bed->plan.held_tokens - 1000) < 1e-9);
    at(bed, 0)->usable = false;
    runs_on(bed, 1);
    assert_true(fabs(bed->plan.held_tokens - 800) < 1e-9);
}

/* --- other policies --- */

static void a_plain_policy_knows_no_costs(void **state)
{
    struct bed *bed = *state;
    for (size_t i = 0; i < 3; i++)
        add(bed, "small")->rates.prefill_tok_s = i ? 10 : 1000;
    bed->request.session = (struct routing_place){1, fleet_find(bed->fleet, "small")};
    bed->request.policy = ROUTING_ROUND_ROBIN;
    for (size_t turn = 0; turn < 6; turn++) {
        runs_on(bed, turn % 3);
        assert_int_equal(bed->plan.policy, ROUTING_ROUND_ROBIN);
        assert_true(bed->plan.cost.total_s > 0);
        send(bed, turn);
    }
    fleet_ended(bed->fleet, &bed->flights[4], bed->request.now_s);
    bed->request.policy = ROUTING_LEAST_REQUESTS;
    runs_on(bed, 1);
    bed->request.policy = ROUTING_BEST;
    at(bed, 0)->running = 0;
    runs_on(bed, 0);
}

static void a_plain_policy_keeps_what_is_feasible_and_slots(void **state)
{
    struct bed *bed = *state;
    for (size_t i = 0; i < 3; i++)
        add(bed, "small");
    bed->request.policy = ROUTING_ROUND_ROBIN;
    at(bed, 0)->context = 100;
    bed->request.avoid_count = 1;
    bed->request.avoid[0] = (struct routing_place){2, fleet_find(bed->fleet, "small")};
    runs_on(bed, 2);
    at(bed, 2)->prefill_done_s = bed->request.now_s + 60; /* as if nobody knew */
    at(bed, 2)->running = 2;
    runs_on(bed, 2);
    at(bed, 2)->running = 3;
    waits_for(bed, 2);
    at(bed, 2)->usable = false;
    nothing_can(bed, ROUTING_NONE, REFUSAL_UNUSABLE);
}

static void a_plain_policy_takes_the_model_that_is_liked_best(void **state)
{
    struct bed *bed = *state;
    bed->request.option_count = 2;
    bed->request.policy = ROUTING_LEAST_REQUESTS;
    add(bed, "large");
    add(bed, "small")->running = 2;
    runs_on(bed, 1);
    at(bed, 1)->usable = false;
    runs_on(bed, 0);
    assert_int_equal(bed->plan.option, 1);
}

static void look(void *ctx, const struct fleet_instance *instance, size_t option,
        enum refusal refusal, const struct cost *cost, double held_tokens)
{
    struct looks *looks = ctx;
    uint32_t i = instance->epoch - 1;
    assert_int_equal(option, instance->epoch == 4 ? 1 : 0);
    assert_true(!cost == (refusal != REFUSAL_NONE && refusal != REFUSAL_FULL));
    looks->count++;
    looks->refusals[i] = refusal;
    looks->totals_s[i] = cost ? cost->total_s : 0;
    looks->held[i] = held_tokens;
}

static void every_instance_is_shown(void **state)
{
    struct bed *bed = *state;
    static const uint32_t held[] = {5};
    struct looks looks = {.count = 0};
    bed->request.option_count = 2;
    bed->options[0].held_blocks = held;
    for (size_t i = 0; i < 3; i++)
        add(bed, "small")->holder = i ? PREFIX_NO_HOLDER : 0;
    add(bed, "large")->tripped = true;
    at(bed, 1)->running = 3;
    at(bed, 2)->context = 10;
    runs_on(bed, 0);
    assert_int_equal(
            routing_choose(bed->routing, bed->fleet, &bed->request, look, &looks, &bed->plan), 0);
    assert_int_equal(looks.count, 4);
    assert_int_equal(looks.refusals[0], REFUSAL_NONE);
    assert_int_equal(looks.refusals[1], REFUSAL_FULL);
    assert_int_equal(looks.refusals[2], REFUSAL_CONTEXT);
    assert_int_equal(looks.refusals[3], REFUSAL_TRIPPED);
    assert_true(fabs(looks.totals_s[0] - bed->plan.cost.total_s) < 1e-12);
    assert_true(looks.totals_s[1] > looks.totals_s[0]);
    assert_true(fabs(looks.held[0] - 500) < 1e-9);
    assert_int_equal(bed->plan.feasible, 2);
}

/* --- no memory --- */

static void without_memory_there_is_no_plan(void **state)
{
    struct bed *bed = *state;
    struct routing_plan before;
    add(bed, "small");
    bed->options[0].model = fleet_find(bed->fleet, "small");
    memset(&bed->plan, 0x5a, sizeof(bed->plan));
    memcpy(&before, &bed->plan, sizeof(before));
    short_memory_begin(0);
    assert_int_equal(
            routing_choose(bed->routing, bed->fleet, &bed->request, NULL, NULL, &bed->plan),
            -ENOMEM);
    assert_true(short_memory_end());
    assert_memory_equal(&before, &bed->plan, sizeof(before));
    runs_on(bed, 0);
    short_memory_begin(0);
    runs_on(bed, 0); /* the memory is there already */
    assert_false(short_memory_end());
    short_memory_begin(0);
    assert_null(routing_create());
    assert_true(short_memory_end());
    routing_destroy(NULL);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define unit(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
            unit(the_cheapest_answers),
            unit(who_is_left_answers),
            unit(what_is_held_of_the_prompt_counts),
            unit(quality_is_worth_seconds),
            unit(of_equal_ones_the_least_recently_used_answers),
            unit(of_equal_ones_one_with_room_answers),
            unit(equal_ones_take_turns),
            unit(one_beyond_the_slots_is_sent_and_the_next_waits),
            unit(chat_leaves_room_for_autocomplete),
            unit(some_take_nothing_beyond_the_slots),
            unit(the_greedy_leave_a_slot_free),
            unit(the_greedy_wait_until_no_prompt_is_computed),
            unit(the_greedy_leave_one_that_is_as_fast),
            unit(the_greedy_leave_none_where_no_other_is_loaded),
            unit(one_with_much_to_compute_is_waited_for),
            unit(a_full_one_is_waited_for_where_that_is_sooner),
            unit(what_waits_for_it_is_ahead),
            unit(a_slot_is_free_where_only_prompts_are_waited_for),
            unit(a_slot_may_be_free_and_not_for_the_greedy),
            unit(another_may_have_room_where_a_quicker_one_is_waited_for),
            unit(a_burst_is_one_load),
            unit(what_is_loaded_soon_is_preferred_to_a_load),
            unit(what_is_ordered_is_not_loaded_elsewhere),
            unit(a_resident_one_is_preferred_to_a_load),
            unit(nobody_has_it),
            unit(what_may_come_is_waited_for),
            unit(a_silent_node_waits_for_no_other),
            unit(what_a_model_cannot_do_is_not_asked_of_it),
            unit(what_is_known_before_it_is_loaded_counts),
            unit(prompt_and_answer_fit_in_the_context),
            unit(what_is_too_long_tells_what_is_loaded),
            unit(what_rests_counts_where_nothing_else_does),
            unit(a_context_is_longer_than_another),
            unit(what_could_take_nothing_shorter_is_not_the_longest),
            unit(what_may_load_nothing_goes_to_what_is_loaded),
            unit(quality_has_a_floor),
            unit(what_swaps_is_for_batch_alone),
            unit(what_failed_is_avoided_and_nothing_else),
            unit(a_session_stays_until_another_is_clearly_better),
            unit(who_waits_at_the_cursor_stays_only_where_it_costs_the_same),
            unit(what_rests_is_taken_where_nothing_else_can),
            unit(a_session_leaves_what_cannot),
            unit(a_session_waits_for_its_own),
            unit(a_session_knows_more_than_whole_blocks),
            unit(a_plain_policy_knows_no_costs),
            unit(a_plain_policy_keeps_what_is_feasible_and_slots),
            unit(a_plain_policy_takes_the_model_that_is_liked_best),
            unit(every_instance_is_shown),
            unit(without_memory_there_is_no_plan),
    };
    return cmocka_run_group_tests_name("routing", tests, NULL, NULL);
}

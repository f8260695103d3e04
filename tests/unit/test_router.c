#include "coordinator/router/router.h"

#include "coordinator/ledger.h"
#include "coordinator/router/seat.h"

#include "tests/lib/fake_mesh.h"
#include "tests/lib/short_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 2, BLOCKS = 40, SLOTS = 2, CONTEXT = 65536, TOK_S = 1000 };

/* A coordinator's router without jobs: the test plays the nodes and owns the clock. */
struct world {
    struct fake_mesh mesh;
    struct router_trip trip, other, trips[SLOTS + 1];
    uint32_t far_too_long_for;
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_mesh_init(&world->mesh, NODES);
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

static void is_near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%g is not near %g", value, expected);
}

/* --- the nodes --- */

static struct msg_instance resident(void)
{
    return (struct msg_instance){.model = "small",
            .state = INSTANCE_RESIDENT,
            .slots = SLOTS,
            .context = CONTEXT,
            .prefill_tok_s = TOK_S,
            .decode_tok_s = 50,
            .capabilities = CAPABILITY_CHAT,
            .engine = "fake",
            .note = ""};
}

static void say(struct world *world, size_t node, const struct msg_instance *instance)
{
    fake_mesh_say(&world->mesh, node,
            &(struct msg){.type = MSG_STATE,
                    .state = {.full = true,
                            .instances = instance,
                            .instance_count = instance ? 1 : 0}});
}

static void join(struct world *world, size_t node)
{
    const struct msg_instance instance = resident();
    fake_mesh_hello(&world->mesh, node, "s");
    say(world, node, &instance);
}

static struct instance *only_instance(struct world *world)
{
    size_t count;
    struct instance *const *instances = node_table_instances(world->mesh.nodes, &count);
    assert_int_equal(count, 1);
    return instances[0];
}

/* --- requests --- */

static const char *const small[] = {"small"};

/* The conversation of that number, so long. */
static struct prefix_chain chain_of(uint64_t number, size_t count)
{
    static uint64_t hashes[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++)
        hashes[i] = number * 1000 + i + 1;
    return (struct prefix_chain){
            .hashes = hashes, .count = count, .bytes = count * PREFIX_BLOCK_BYTES};
}

static struct router_plan plan_for(struct world *world, uint64_t number, size_t count)
{
    struct prefix_chain chain = chain_of(number, count);
    const struct router_ask ask = {.chain = &chain,
            .mode = "ask",
            .models = small,
            .model_count = 1,
            .beta = COST_BETA_INTERACTIVE};
    struct router_plan plan;
    router_begin_pass(world->mesh.router);
    assert_int_equal(router_choose(world->mesh.router, &ask, &plan), 0);
    return plan;
}

static uint32_t held(struct world *world, uint64_t number, size_t count)
{
    return plan_for(world, number, count).held_blocks;
}

static void send_on(struct world *world, uint64_t number, size_t count, struct router_trip *trip)
{
    struct prefix_chain chain = chain_of(number, count);
    struct router_plan plan = plan_for(world, number, count);
    assert_int_equal(plan.routing.verdict, ROUTING_RUN);
    *trip = (struct router_trip){.held_blocks = 0};
    router_sent(world->mesh.router, &plan, &chain, trip);
    virtual_env_advance_ms(&world->mesh.env, 100);
}

static void end_on(struct world *world, uint64_t number, size_t count, enum router_end end,
        const struct msg_usage *usage, struct router_trip *trip)
{
    struct prefix_chain chain = chain_of(number, count);
    router_ended(world->mesh.router, trip, "ask", &chain, end, usage);
}

/* Of so many blocks the engine had these; by the prior a block is about 284 tokens. */
static struct msg_usage usage_of(size_t count, size_t cached)
{
    return (struct msg_usage){.prompt_tokens = (uint32_t)count * 256,
            .cached_tokens = (uint32_t)cached * 256,
            .completion_tokens = 100,
            .prefill_ms = (float)(count - cached) * 256,
            .decode_ms = 2000};
}

static void answer(struct world *world, uint64_t number, size_t count, size_t cached)
{
    const struct msg_usage usage = usage_of(count, cached);
    send_on(world, number, count, &world->trip);
    router_first_token(world->mesh.router, &world->trip);
    end_on(world, number, count, ROUTER_ANSWERED, &usage, &world->trip);
}

static void fail_there(struct world *world)
{
    const struct msg_usage nothing = {.prompt_tokens = 0};
    send_on(world, 1, 1, &world->trip);
    end_on(world, 1, 1, ROUTER_FAILED, &nothing, &world->trip);
}

/* --- prompts --- */

static void a_prompt_is_held_where_it_was_sent(void **state)
{
    struct world *world = *state;
    join(world, 0);
    assert_int_equal(held(world, 1, 20), 0);
    answer(world, 1, 20, 0);
    assert_int_equal(held(world, 1, 20), 20);
    assert_int_equal(held(world, 1, 30), 20);
    assert_int_equal(held(world, 2, 20), 0);

    join(world, 1);
    struct router_plan plan = plan_for(world, 1, 30);
    assert_string_equal(plan.instance->node, "node0");
    assert_int_equal(plan.held_blocks, 20);
}

static void what_nodes_say_of_other_things_forgets_no_prompt(void **state)
{
    struct world *world = *state;
    struct msg_instance it = resident();
    join(world, 0);
    answer(world, 1, 20, 0); /* its tokenizer's ratio is another one now */
    it.busy = 1;
    say(world, 0, &it);
    assert_int_equal(held(world, 1, 20), 20);
    it.slots = 3;
    say(world, 0, &it);
    assert_int_equal(held(world, 1, 20), 20);
}

static void a_model_that_was_unloaded_holds_nothing(void **state)
{
    struct world *world = *state;
    struct msg_instance it = resident();
    join(world, 0);
    answer(world, 1, 20, 0);
    it.state = INSTANCE_AVAILABLE;
    say(world, 0, &it);
    assert_int_equal(held(world, 1, 20), 0);
    it.state = INSTANCE_LOADING;
    say(world, 0, &it);
    it.state = INSTANCE_RESIDENT;
    say(world, 0, &it);
    assert_int_equal(held(world, 1, 20), 0);
    answer(world, 1, 20, 0);
    assert_int_equal(held(world, 1, 20), 20);
    it.restarts++;
    say(world, 0, &it);
    assert_int_equal(held(world, 1, 20), 0);
}

/* It is loaded for the request, which it then holds. */
static void a_prompt_that_a_load_was_for_is_held(void **state)
{
    struct world *world = *state;
    struct msg_instance it = resident();
    it.state = INSTANCE_AVAILABLE;
    fake_mesh_hello(&world->mesh, 0, "s");
    say(world, 0, &it);
    send_on(world, 1, 20, &world->trip);
    it.state = INSTANCE_LOADING;
    say(world, 0, &it);
    it.state = INSTANCE_RESIDENT;
    say(world, 0, &it);
    assert_int_equal(held(world, 1, 20), 20);
    end_on(world, 1, 20, ROUTER_ANSWERED, &(struct msg_usage){.prompt_tokens = 0}, &world->trip);
}

static void one_cancelled_before_its_first_token_leaves_what_was_there(void **state)
{
    struct world *world = *state;
    const struct msg_usage nothing = {.prompt_tokens = 0};
    join(world, 0);
    answer(world, 1, 10, 0);
    send_on(world, 1, 30, &world->trip);
    assert_int_equal(held(world, 1, 30), 30);
    end_on(world, 1, 30, ROUTER_REFUSED, &nothing, &world->trip);
    assert_int_equal(held(world, 1, 30), 10);

    send_on(world, 1, 30, &world->trip);
    router_first_token(world->mesh.router, &world->trip);
    end_on(world, 1, 30, ROUTER_REFUSED, &nothing, &world->trip);
    assert_int_equal(held(world, 1, 30), 30);
}

static void one_cancelled_takes_nothing_from_another_of_the_same_prompt(void **state)
{
    struct world *world = *state;
    const struct msg_usage nothing = {.prompt_tokens = 0}, usage = usage_of(2, 0);
    join(world, 0);
    send_on(world, 1, 2, &world->other);
    send_on(world, 2, 2, &world->trip);
    end_on(world, 2, 2, ROUTER_REFUSED, &nothing, &world->trip);
    send_on(world, 1, 2, &world->trip);
    router_first_token(world->mesh.router, &world->other);
    end_on(world, 1, 2, ROUTER_REFUSED, &nothing, &world->trip);
    end_on(world, 1, 2, ROUTER_ANSWERED, &usage, &world->other);
    assert_int_equal(held(world, 1, 2), 2);
    assert_int_equal(held(world, 2, 2), 0);
}

/* Its node says that it holds 90 blocks; others take half of them. */
static void room_follows_what_engines_reuse(void **state)
{
    struct world *world = *state;
    struct msg_instance it = resident();
    it.cache_tokens = 90 * 256;
    fake_mesh_hello(&world->mesh, 0, "s");
    say(world, 0, &it);
    for (int i = 0; i < 20; i++) /* the ratio is learnt: a block is about 256 tokens */
        answer(world, 9, 40, i ? 40 : 0);
    const struct seat *seat = only_instance(world)->seat;
    say(world, 0, &it);
    uint32_t told = seat_cache_room(seat);
    assert_in_range(told, 85, 92);
    for (uint64_t i = 0; i < 20; i++)
        answer(world, i % 2, 30, 0);
    assert_in_range(seat_cache_room(seat), 30, 45);
    assert_true(held(world, 0, 30) + held(world, 1, 30) <= seat_cache_room(seat));
    uint32_t least = seat_cache_room(seat);
    for (int i = 0; i < 10; i++)
        answer(world, 1, 30, 30);
    assert_in_range(seat_cache_room(seat), least + 1, told - 1);
    for (int i = 0; i < 60; i++)
        answer(world, 1, 30, 30);
    assert_int_equal(seat_cache_room(seat), told);
    say(world, 0, &it);
    assert_int_equal(held(world, 1, 30), 30);
}

/* --- what is too long for all --- */

enum { SHORT = 4096, SOMEWHAT_LONG = 5000, FAR_TOO_LONG = 50000 };

static void say_short(struct world *world, size_t node, enum instance_state state, float tok_s)
{
    struct msg_instance it = resident();
    it.state = state;
    it.context = SHORT;
    it.prefill_tok_s = tok_s;
    say(world, node, &it);
}

static void join_short(struct world *world, size_t node, enum instance_state state, float tok_s)
{
    fake_mesh_hello(&world->mesh, node, "s");
    say_short(world, node, state, tok_s);
}

static struct router_plan plan_for_tokens(struct world *world, double tokens)
{
    struct prefix_chain chain = chain_of(1, 0);
    const struct router_ask ask = {.chain = &chain,
            .prompt_tokens = tokens,
            .mode = "ask",
            .models = small,
            .model_count = 1,
            .one_prompt = true,
            .far_too_long_for = world->far_too_long_for};
    struct router_plan plan;
    router_begin_pass(world->mesh.router);
    assert_int_equal(router_choose(world->mesh.router, &ask, &plan), 0);
    return plan;
}

#define goes_to(world, tokens, node) check_goes_to(world, tokens, node, __LINE__)

static void check_goes_to(struct world *world, double tokens, const char *node, int line)
{
    struct router_plan plan = plan_for_tokens(world, tokens);
    if (plan.routing.verdict != ROUTING_RUN || strcmp(plan.instance->node, node) != 0)
        fail_msg("line %d: verdict %d on %s", line, plan.routing.verdict,
                plan.instance ? plan.instance->node : "none");
}

/* However slow it is. */
static void nothing_is_loaded_beside_what_loads_already(void **state)
{
    struct world *world = *state;
    join_short(world, 0, INSTANCE_LOADING, 10);
    join_short(world, 1, INSTANCE_AVAILABLE, 100000);
    goes_to(world, 100, "node1");
    goes_to(world, SOMEWHAT_LONG, "node0");
    goes_to(world, FAR_TOO_LONG, "node0");
}

/* Of another tokenizer it has many more. */
static void what_another_mode_knows_loads_nothing(void **state)
{
    struct world *world = *state;
    struct router_longest longest = {.at = 0};
    struct router_plan plan = {.routing = {.context_max = SHORT}};
    join_short(world, 0, INSTANCE_AVAILABLE, TOK_S);
    router_longest_note(&longest, 0, &plan);
    assert_int_equal(router_longest_far(&longest), 0);
    longest = (struct router_longest){.at = 0};
    plan.far_too_long = true;
    router_longest_note(&longest, 0, &plan);
    world->far_too_long_for = router_longest_far(&longest);
    plan = plan_for_tokens(world, SOMEWHAT_LONG);
    assert_int_equal(plan.routing.verdict, ROUTING_NONE);
    assert_true(plan.far_too_long);
    goes_to(world, 100, "node0");
    world->far_too_long_for--; /* this one's context is longer */
    goes_to(world, SOMEWHAT_LONG, "node0");
}

static void rest_first(struct world *world)
{
    for (int i = 0; i < SEAT_TRIPS; i++)
        fail_there(world);
}

/* As for others. */
static void what_is_too_long_rests_what_fails(void **state)
{
    struct world *world = *state;
    join_short(world, 0, INSTANCE_RESIDENT, TOK_S);
    rest_first(world);
    goes_to(world, SOMEWHAT_LONG, "node0");
    join_short(world, 1, INSTANCE_AVAILABLE, TOK_S);
    goes_to(world, 100, "node1");
    goes_to(world, SOMEWHAT_LONG, "node1");
    goes_to(world, FAR_TOO_LONG, "node0"); /* nothing is loaded for it */
    say_short(world, 1, INSTANCE_LOADING, TOK_S);
    goes_to(world, SOMEWHAT_LONG, "node1");
    goes_to(world, FAR_TOO_LONG, "node1");
}

static void of_two_modes_the_one_that_rests_does_not_count(void **state)
{
    (void)state;
    struct router_longest longest = {.at = 0};
    struct router_plan plan = {.routing = {.verdict = ROUTING_NONE,
                                       .context_max = 8192,
                                       .context_loaded = 8192,
                                       .loaded_rests = true}};
    router_longest_note(&longest, 0, &plan);
    assert_int_equal(router_longest_at(&longest), 0);
    plan.routing.loaded_rests = false;
    router_longest_note(&longest, 1, &plan);
    assert_int_equal(router_longest_at(&longest), 1);
    plan.routing.loaded_rests = true;
    plan.routing.context_loaded = 9000;
    router_longest_note(&longest, 2, &plan);
    assert_int_equal(router_longest_at(&longest), 1);
}

/* The instance is only borrowed. */
static void what_is_loaded_instead_is_no_worse(void **state)
{
    (void)state;
    struct fleet_instance instance = {.tripped = false};
    struct router_longest longest = {.at = 0};
    struct router_plan plan = {.routing = {.verdict = ROUTING_NONE, .context_max = 8192}};
    router_longest_note(&longest, 0, &plan);
    plan.routing.context_loaded = 8192;
    router_longest_note(&longest, 1, &plan);
    plan.routing.instance = &instance;
    plan.routing.verdict = ROUTING_RUN;
    assert_false(router_longest_may_load(&longest, &plan)); /* what is loaded has room */
    instance.tripped = true;
    assert_true(router_longest_may_load(&longest, &plan));
    instance.tripped = false;
    plan.routing.verdict = ROUTING_WAIT;
    assert_true(router_longest_may_load(&longest, &plan));
    longest.far_too_long = true;
    assert_false(router_longest_may_load(&longest, &plan));

    assert_false(router_longest_loads(&plan)); /* it is full, too */
    plan.routing.verdict = ROUTING_RUN;
    assert_true(router_longest_loads(&plan));
    instance.tripped = true;
    assert_false(router_longest_loads(&plan));
    plan.routing.instance = NULL;
    assert_false(router_longest_loads(&plan));
}

/* --- no memory --- */

static void without_memory_there_is_no_plan(void **state)
{
    struct world *world = *state;
    struct prefix_chain chain = chain_of(1, 1);
    const struct router_ask ask = {
            .chain = &chain, .mode = "ask", .models = small, .model_count = 1};
    struct router_plan plan, before;
    join(world, 0);
    memset(&plan, 0x5a, sizeof(plan));
    memcpy(&before, &plan, sizeof(before));
    short_memory_begin(0);
    assert_int_equal(router_choose(world->mesh.router, &ask, &plan), -ENOMEM);
    assert_true(short_memory_end());
    assert_memory_equal(&plan, &before, sizeof(plan));
    assert_int_equal(router_choose(world->mesh.router, &ask, &plan), 0);
    assert_int_equal(plan.routing.verdict, ROUTING_RUN);
}

/* --- instances that go --- */

static void an_instance_goes_while_requests_run_there(void **state)
{
    struct world *world = *state;
    const struct msg_usage usage = usage_of(20, 0);
    join(world, 0);
    send_on(world, 1, 20, &world->trip);
    say(world, 0, NULL);
    assert_int_equal(plan_for(world, 1, 20).routing.verdict, ROUTING_NONE);
    const struct msg_instance it = resident();
    say(world, 0, &it);
    assert_int_equal(held(world, 1, 20), 0);
    router_first_token(world->mesh.router, &world->trip);
    end_on(world, 1, 20, ROUTER_ANSWERED, &usage, &world->trip);
    assert_int_equal(held(world, 1, 20), 0);
    assert_int_equal(plan_for(world, 1, 20).routing.instance->running, 0);
}

static void a_session_ends_while_requests_run_there(void **state)
{
    struct world *world = *state;
    const struct msg_usage nothing = {.prompt_tokens = 0};
    join(world, 0);
    send_on(world, 1, 20, &world->trip);
    for (unsigned ms = 0; ms <= SESSION_GONE_MS; ms += 100) {
        virtual_env_advance_ms(&world->mesh.env, 100);
        node_table_tick(world->mesh.nodes);
    }
    assert_int_equal(plan_for(world, 1, 20).routing.verdict, ROUTING_NONE);
    end_on(world, 1, 20, ROUTER_FAILED, &nothing, &world->trip);
    join(world, 0);
    assert_int_equal(plan_for(world, 1, 20).routing.verdict, ROUTING_RUN);
    router_tick(world->mesh.router);
}

static void one_that_drains_keeps_what_was_learnt(void **state)
{
    struct world *world = *state;
    const struct msg_instance it = resident();
    join(world, 0);
    answer(world, 1, 20, 0);
    struct msg drains = {.type = MSG_STATE,
            .state = {.full = true, .draining = true, .instances = &it, .instance_count = 1}};
    fake_mesh_say(&world->mesh, 0, &drains);
    struct router_plan plan = plan_for(world, 1, 20);
    assert_int_equal(plan.routing.verdict, ROUTING_NONE);
    assert_int_equal(plan.routing.refusal, REFUSAL_UNUSABLE);
    say(world, 0, &it);
    assert_int_equal(held(world, 1, 20), 20);
}

/* --- failures --- */

/* While it is the only one it is asked all the same: better one that fails than none. */
static void an_engine_that_fails_rests_where_another_can(void **state)
{
    struct world *world = *state;
    join(world, 0);
    for (int i = 0; i < SEAT_TRIPS; i++)
        fail_there(world);
    assert_int_equal(plan_for(world, 1, 1).routing.verdict, ROUTING_RUN);
    join(world, 1);
    struct router_plan plan = plan_for(world, 1, 1);
    assert_int_equal(plan.routing.feasible, 1);
    assert_string_equal(plan.instance->node, "node1");
    virtual_env_advance_ms(&world->mesh.env, SEAT_REST_MS - 1000);
    router_tick(world->mesh.router);
    assert_int_equal(plan_for(world, 1, 1).routing.feasible, 1);
    virtual_env_advance_ms(&world->mesh.env, 1001);
    router_tick(world->mesh.router); /* its node says nothing meanwhile */
    plan = plan_for(world, 1, 1);
    assert_int_equal(plan.routing.feasible, 2);
    assert_string_equal(plan.instance->node, "node1");
}

static void a_failure_costs_until_one_succeeds(void **state)
{
    struct world *world = *state;
    join(world, 0);
    fail_there(world);
    assert_true(plan_for(world, 1, 1).routing.cost.failure_s > 1);
    answer(world, 1, 1, 0);
    assert_true(plan_for(world, 1, 1).routing.cost.failure_s <= 0);
}

static void what_fails_together_fails_once(void **state)
{
    struct world *world = *state;
    const struct msg_usage nothing = {.prompt_tokens = 0};
    join(world, 0);
    for (size_t i = 0; i < SLOTS + 1; i++)
        send_on(world, i, 1, &world->trips[i]);
    for (size_t i = 0; i < SLOTS + 1; i++)
        end_on(world, i, 1, ROUTER_FAILED, &nothing, &world->trips[i]);
    assert_int_equal(only_instance(world)->seat->failures, 1);
    assert_int_equal(plan_for(world, 1, 1).routing.verdict, ROUTING_RUN);
}

static void an_old_failure_costs_nothing(void **state)
{
    struct world *world = *state;
    join(world, 0);
    fail_there(world);
    double at_first_s = plan_for(world, 1, 1).routing.cost.failure_s;
    virtual_env_advance_ms(&world->mesh.env, SEAT_FADE_S * 1000);
    router_tick(world->mesh.router);
    is_near(plan_for(world, 1, 1).routing.cost.failure_s, at_first_s / 2, 0.01);
    virtual_env_advance_ms(&world->mesh.env, SEAT_FORGET_S * 1000);
    router_tick(world->mesh.router);
    assert_true(plan_for(world, 1, 1).routing.cost.failure_s <= 0);
    router_tick(world->mesh.router);
}

static void a_cancelled_request_is_no_failure(void **state)
{
    struct world *world = *state;
    join(world, 0);
    for (int i = 0; i < 2 * SEAT_TRIPS; i++) {
        send_on(world, 1, 1, &world->trip);
        end_on(world, 1, 1, ROUTER_REFUSED, &(struct msg_usage){.prompt_tokens = 0}, &world->trip);
    }
    assert_true(plan_for(world, 1, 1).routing.cost.failure_s <= 0);
}

/* --- what is learnt --- */

static double prefill_s(struct world *world, size_t count)
{
    return plan_for(world, 777, count).routing.cost.prefill_s;
}

static void speed_begins_with_the_nodes_own_and_is_learnt(void **state)
{
    struct world *world = *state;
    struct msg_instance it = resident();
    join(world, 0);
    double at_first_s = prefill_s(world, 20);
    assert_in_range((int)at_first_s, 5, 7); /* 5,700 tokens, 1,000 a second */
    it.prefill_tok_s *= 4;
    say(world, 0, &it);
    assert_true(prefill_s(world, 20) < at_first_s / 3);
    it.prefill_tok_s /= 4;
    say(world, 0, &it);
    struct msg_usage usage = usage_of(40, 0);
    usage.prefill_ms /= 3;
    for (uint64_t i = 0; i < 10; i++) {
        send_on(world, i, 40, &world->trip);
        end_on(world, i, 40, ROUTER_ANSWERED, &usage, &world->trip);
    }
    assert_true(prefill_s(world, 20) < at_first_s / 2);
}

static void what_was_all_cached_says_nothing_of_speed(void **state)
{
    struct world *world = *state;
    join(world, 0);
    answer(world, 1, 40, 0);
    double before_s = prefill_s(world, 20);
    struct msg_usage usage = usage_of(40, 40);
    usage.prefill_ms = 1;
    for (int i = 0; i < 10; i++) {
        send_on(world, 1, 40, &world->trip);
        end_on(world, 1, 40, ROUTER_ANSWERED, &usage, &world->trip);
    }
    is_near(prefill_s(world, 20), before_s, 0.05 * before_s);
}

/* As fast as was expected of two at once: nothing is learnt. */
static void who_decodes_beside_it_is_counted_at_its_end_too(void **state)
{
    struct world *world = *state;
    struct msg_usage usage = usage_of(1, 0);
    join(world, 0);
    send_on(world, 1, 1, &world->other);
    router_first_token(world->mesh.router, &world->other);
    double before_s = plan_for(world, 777, 1).routing.cost.decode_s;
    usage.completion_tokens = ROUTER_OUTPUT_TOKENS;
    usage.decode_ms = (float)(before_s / COST_BETA_INTERACTIVE * 1e3);
    for (int i = 0; i < 10; i++) {
        send_on(world, 2, 1, &world->trip);
        router_first_token(world->mesh.router, &world->trip);
        end_on(world, 2, 1, ROUTER_ANSWERED, &usage, &world->trip);
    }
    is_near(plan_for(world, 777, 1).routing.cost.decode_s, before_s, 0.01 * before_s);
}

static void answers_of_a_mode_are_expected_to_be_like_the_last(void **state)
{
    struct world *world = *state;
    join(world, 0);
    assert_int_equal((int)plan_for(world, 1, 1).output_tokens, ROUTER_OUTPUT_TOKENS);
    for (uint64_t i = 0; i < 50; i++)
        answer(world, i, 1, 0);
    assert_in_range((int)plan_for(world, 1, 1).output_tokens, 95, 110);
}

/* What one node makes up is no word on all the others' speed. */
static void an_answer_beyond_all_others_counts_for_little(void **state)
{
    struct world *world = *state;
    struct msg_usage usage = usage_of(1, 0);
    join(world, 0);
    usage.completion_tokens = UINT32_MAX;
    send_on(world, 1, 1, &world->trip);
    end_on(world, 1, 1, ROUTER_ANSWERED, &usage, &world->trip);
    assert_in_range((int)plan_for(world, 1, 1).output_tokens, ROUTER_OUTPUT_TOKENS,
            2 * ROUTER_OUTPUT_TOKENS);
    for (size_t i = 0; i < 100; i++) {
        send_on(world, 1, 1, &world->trip);
        end_on(world, 1, 1, ROUTER_ANSWERED, &usage, &world->trip);
    }
    assert_in_range((int)plan_for(world, 1, 1).output_tokens, 0, ROUTER_ANSWER_MAX);
}

static void embed(struct world *world, struct router_plan *ret_plan)
{
    struct prefix_chain chain = {.bytes = 4 * PREFIX_BLOCK_BYTES};
    const struct router_ask ask = {.chain = &chain,
            .mode = "ask",
            .models = small,
            .model_count = 1,
            .needs = CAPABILITY_EMBEDDINGS};
    const struct msg_usage usage = {.prompt_tokens = 1024, .prefill_ms = 1024};
    assert_int_equal(router_choose(world->mesh.router, &ask, ret_plan), 0);
    world->trip = (struct router_trip){.held_blocks = 0};
    router_sent(world->mesh.router, ret_plan, &chain, &world->trip);
    router_ended(world->mesh.router, &world->trip, "ask", &chain, ROUTER_ANSWERED, &usage);
}

/* An editor that reads a whole project in makes thousands of them. */
static void what_writes_no_answer_says_nothing_of_answers(void **state)
{
    struct world *world = *state;
    struct msg_instance it = resident();
    struct router_plan plan;
    fake_mesh_hello(&world->mesh, 0, "s");
    it.capabilities |= CAPABILITY_EMBEDDINGS;
    say(world, 0, &it);
    for (size_t i = 0; i < 30; i++)
        embed(world, &plan);
    is_near(plan.output_tokens, 0, 0);
    assert_int_equal((int)plan_for(world, 1, 1).output_tokens, ROUTER_OUTPUT_TOKENS);
}

static void a_conversation_that_was_put_away_is_copied_back(void **state)
{
    struct world *world = *state;
    struct msg_instance it = resident();
    it.cache_swaps = true;
    it.shape = (struct model_shape){.tensor_bytes = 1000000000,
            .full = {.layers = 40, .k_elements = 20000, .v_elements = 20000},
            .layers = 40,
            .embedding = 4096,
            .vocabulary = 32000,
            .feed_forward = 8192,
            .heads = 32};
    it.run_context = CONTEXT;
    it.run_slots = SLOTS;
    fake_mesh_hello(&world->mesh, 0, "s");
    say(world, 0, &it);
    answer(world, 1, 20, 0);
    struct router_plan plan = plan_for(world, 1, 20);
    double bytes = plan.routing.held_tokens * 80000; /* f16 */
    is_near(plan.routing.cost.swap_s, (bytes / SEAT_SWAP_BYTES_S), 1e-3);
    assert_true(plan_for(world, 2, 20).routing.cost.swap_s <= 0);
    it.cache_swaps = false;
    say(world, 0, &it);
    assert_true(plan_for(world, 1, 20).routing.cost.swap_s <= 0);
}

/* --- over a restart --- */

static struct ledger *open_ledger(struct world *world, struct loop *loop)
{
    struct ledger *ledger;
    struct ledger_opening opening;
    const struct ledger_config config = {.loop = loop,
            .env = &world->mesh.env.env,
            .path = scratch_path(&world->mesh.scratch, LEDGER_FILE_NAME)};
    assert_int_equal(loop_init(loop), 0);
    assert_int_equal(ledger_create(&config, &ledger, &opening, NULL), 0);
    assert_int_equal(opening.state, LEDGER_KEPT);
    return ledger;
}

static void begin_run(struct world *world, struct ledger *ledger)
{
    router_destroy(world->mesh.router);
    world->mesh.router = router_create(&(struct router_config){
            .env = &world->mesh.env.env, .ledger = ledger, .prefix_bytes = FAKE_MESH_PREFIX_BYTES});
    assert_non_null(world->mesh.router);
}

static void end_run(struct world *world, struct ledger *ledger, struct loop *loop)
{
    say(world, 0, NULL);
    begin_run(world, NULL);
    ledger_destroy(ledger);
    loop_fini(loop);
}

static void what_was_learnt_outlives_a_restart(void **state)
{
    struct world *world = *state;
    const struct msg_instance it = resident();
    struct loop loop;
    struct ledger *ledger = open_ledger(world, &loop);
    begin_run(world, ledger);
    join(world, 0);
    double unknown_s = prefill_s(world, 20);
    struct msg_usage usage = usage_of(40, 0);
    usage.prefill_ms /= 3;
    for (uint64_t i = 0; i < 10; i++) {
        send_on(world, i, 40, &world->trip);
        end_on(world, i, 40, ROUTER_ANSWERED, &usage, &world->trip);
    }
    struct router_plan before = plan_for(world, 777, 20);
    assert_true(before.routing.cost.prefill_s < unknown_s / 2);
    end_run(world, ledger, &loop);

    ledger = open_ledger(world, &loop);
    assert_int_equal(ledger_row_count(ledger), 2);
    begin_run(world, ledger);
    say(world, 0, &it);
    struct router_plan after = plan_for(world, 777, 20);
    is_near(after.prompt_tokens, before.prompt_tokens, 1);
    is_near(after.routing.cost.prefill_s, before.routing.cost.prefill_s,
            0.01 * before.routing.cost.prefill_s);
    end_run(world, ledger, &loop);
}

static void what_was_learnt_outlives_a_session(void **state)
{
    struct world *world = *state;
    const struct msg_instance it = resident();
    struct loop loop;
    struct ledger *ledger = open_ledger(world, &loop);
    begin_run(world, ledger);
    join(world, 0);
    answer(world, 1, 40, 0);
    double learnt_tokens = plan_for(world, 777, 20).prompt_tokens;
    say(world, 0, NULL);
    is_near(plan_for(world, 777, 20).prompt_tokens, learnt_tokens, 1);
    say(world, 0, &it);
    is_near(plan_for(world, 777, 20).prompt_tokens, learnt_tokens, 1);
    end_run(world, ledger, &loop);
}

/* --- explain --- */

struct looks {
    unsigned count, feasible;
};

static void look(void *ctx, const struct fleet_instance *instance, size_t option,
        enum refusal refusal, const struct cost *cost, double held_tokens)
{
    struct looks *looks = ctx;
    assert_string_equal(router_instance(instance)->model, "small");
    assert_int_equal(option, 0);
    assert_int_equal(refusal == REFUSAL_NONE, cost != NULL);
    assert_true(held_tokens >= 0);
    looks->count++;
    looks->feasible += cost != NULL;
}

/* Also where the prompt is too long for all, and so is taken for shorter. */
static void an_explanation_tells_each_instance_once(void **state)
{
    struct world *world = *state;
    static const size_t lengths[] = {1, 100000};
    for (size_t node = 0; node < NODES; node++)
        join(world, node);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        struct prefix_chain chain = {.bytes = lengths[i] * PREFIX_BLOCK_BYTES};
        const struct router_ask ask = {
                .chain = &chain, .mode = "ask", .models = small, .model_count = 1};
        struct router_plan plan;
        struct looks looks = {.count = 0};
        assert_int_equal(router_explain(world->mesh.router, &ask, look, &looks, &plan), 0);
        assert_int_equal(plan.routing.verdict, ROUTING_RUN);
        assert_int_equal(looks.count, NODES);
        assert_int_equal(looks.feasible, NODES);
        assert_true(plan.prompt_tokens <= CONTEXT);
    }
}

/* Its node says nothing new while it loads. */
static void a_load_that_is_late_is_not_there_at_any_moment(void **state)
{
    struct world *world = *state;
    struct msg_instance it = resident();
    it.state = INSTANCE_LOADING;
    it.load_ms = 1000;
    fake_mesh_hello(&world->mesh, 0, "s");
    say(world, 0, &it);
    virtual_env_advance_ms(&world->mesh.env, 100 * 1000);
    router_tick(world->mesh.router);
    is_near(plan_for(world, 1, 1).routing.cost.load_s, 25, 0.1);
}

/* All its slots are taken, and nothing ends there for long; a slow one is free. */
static void an_answer_that_goes_on_is_not_over_at_any_moment(void **state)
{
    struct world *world = *state;
    struct msg_instance slow = resident();
    slow.prefill_tok_s = TOK_S / 3;
    join(world, 0);
    for (size_t i = 0; i < SLOTS; i++) {
        send_on(world, 1 + i, 1, &world->trips[i]);
        router_first_token(world->mesh.router, &world->trips[i]);
    }
    send_on(world, 1 + SLOTS, BLOCKS, &world->trips[SLOTS]); /* it waits for one of them there */
    fake_mesh_hello(&world->mesh, 1, "s");
    say(world, 1, &slow);
    virtual_env_advance_ms(&world->mesh.env, 1000 * 1000);
    router_tick(world->mesh.router);
    struct router_plan plan = plan_for(world, 2 + SLOTS, BLOCKS / 2);
    assert_string_equal(plan.instance->node, "node1");
    assert_int_equal(plan.routing.verdict, ROUTING_RUN);
}

static void slots_of_what_is_loaded_are_counted(void **state)
{
    struct world *world = *state;
    struct msg_instance it = resident();
    static const char *const both[] = {"small", "absent"};
    join(world, 0);
    join(world, 1);
    assert_int_equal(router_slots(world->mesh.router, both, 2), 2 * SLOTS);
    it.state = INSTANCE_AVAILABLE;
    say(world, 1, &it);
    assert_int_equal(router_slots(world->mesh.router, both, 2), SLOTS);
    it.state = INSTANCE_RESIDENT;
    it.slots = 0; /* not said */
    say(world, 1, &it);
    assert_int_equal(router_slots(world->mesh.router, both, 2), SLOTS + 1);
    it.slots = UINT32_MAX; /* nonsense */
    say(world, 1, &it);
    assert_int_equal(router_slots(world->mesh.router, both, 2), SLOTS + MSG_SLOTS_MAX);
    say(world, 1, NULL);
    assert_int_equal(router_slots(world->mesh.router, both, 2), SLOTS);
    say(world, 0, NULL);
    assert_int_equal(router_slots(world->mesh.router, both, 2), 0);
}

static void a_conversation_stays(void **state)
{
    struct world *world = *state;
    struct prefix_chain chain = chain_of(1, 1);
    join(world, 0);
    join(world, 1);
    for (size_t i = 0; i < 4; i++) {
        struct router_ask ask = {.chain = &chain,
                .mode = "ask",
                .models = small,
                .model_count = 1,
                .session_model = "small"};
        size_t count;
        struct instance *const *instances = node_table_instances(world->mesh.nodes, &count);
        struct router_plan plan;
        ask.session_epoch = instances[i % count]->epoch;
        assert_int_equal(router_choose(world->mesh.router, &ask, &plan), 0);
        assert_ptr_equal(plan.instance, instances[i % count]);
    }
}

/* Half a block of the last prompt was not whole, and the answer is in this one. */
static void a_conversation_s_last_turn_is_held_to_its_end(void **state)
{
    struct world *world = *state;
    struct router_trip trip;
    struct router_plan plan;
    join(world, 0);
    send_on(world, 1, 4, &trip);
    struct prefix_chain chain = chain_of(1, 6);
    struct router_ask ask = {.chain = &chain,
            .mode = "ask",
            .models = small,
            .model_count = 1,
            .session_epoch = only_instance(world)->epoch,
            .session_model = "small"};
    assert_int_equal(router_choose(world->mesh.router, &ask, &plan), 0);
    double block = plan.prompt_tokens / 6, whole = plan.routing.held_tokens;
    assert_true(fabs(whole - 4 * block) < 1e-6);
    ask.session_turn = (struct router_turn){
            .blocks = 4, .bytes = 4 * PREFIX_BLOCK_BYTES + 512, .answer_tokens = 100};
    assert_int_equal(router_choose(world->mesh.router, &ask, &plan), 0);
    assert_true(fabs(plan.routing.held_tokens - (whole + block / 2 + 100)) < 1e-6);
    assert_int_equal(plan.held_blocks, 4);
    ask.session_turn.blocks = 5; /* it does not hold all of that */
    assert_int_equal(router_choose(world->mesh.router, &ask, &plan), 0);
    assert_true(fabs(plan.routing.held_tokens - whole) < 1e-6);
    end_on(world, 1, 4, ROUTER_REFUSED, &(struct msg_usage){.prompt_tokens = 0}, &trip);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
            TEST(a_prompt_is_held_where_it_was_sent),
            TEST(what_nodes_say_of_other_things_forgets_no_prompt),
            TEST(a_model_that_was_unloaded_holds_nothing),
            TEST(a_prompt_that_a_load_was_for_is_held),
            TEST(one_cancelled_before_its_first_token_leaves_what_was_there),
            TEST(one_cancelled_takes_nothing_from_another_of_the_same_prompt),
            TEST(room_follows_what_engines_reuse),
            TEST(nothing_is_loaded_beside_what_loads_already),
            TEST(what_another_mode_knows_loads_nothing),
            TEST(what_is_too_long_rests_what_fails),
            TEST(of_two_modes_the_one_that_rests_does_not_count),
            TEST(what_is_loaded_instead_is_no_worse),
            TEST(without_memory_there_is_no_plan),
            TEST(an_instance_goes_while_requests_run_there),
            TEST(a_session_ends_while_requests_run_there),
            TEST(one_that_drains_keeps_what_was_learnt),
            TEST(an_engine_that_fails_rests_where_another_can),
            TEST(a_failure_costs_until_one_succeeds),
            TEST(what_fails_together_fails_once),
            TEST(an_old_failure_costs_nothing),
            TEST(a_cancelled_request_is_no_failure),
            TEST(speed_begins_with_the_nodes_own_and_is_learnt),
            TEST(what_was_all_cached_says_nothing_of_speed),
            TEST(who_decodes_beside_it_is_counted_at_its_end_too),
            TEST(answers_of_a_mode_are_expected_to_be_like_the_last),
            TEST(an_answer_beyond_all_others_counts_for_little),
            TEST(what_writes_no_answer_says_nothing_of_answers),
            TEST(a_conversation_that_was_put_away_is_copied_back),
            TEST(what_was_learnt_outlives_a_restart),
            TEST(what_was_learnt_outlives_a_session),
            TEST(an_explanation_tells_each_instance_once),
            TEST(a_load_that_is_late_is_not_there_at_any_moment),
            TEST(an_answer_that_goes_on_is_not_over_at_any_moment),
            TEST(slots_of_what_is_loaded_are_counted),
            TEST(a_conversation_stays),
            TEST(a_conversation_s_last_turn_is_held_to_its_end),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("router", tests, NULL, NULL);
}

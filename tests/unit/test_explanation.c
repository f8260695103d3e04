#include "coordinator/router/explanation.h"

#include "tests/lib/fake_mesh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 15, MODELS = 14, INSTANCES = NODES * MODELS };

static const char *const models[MODELS] = {
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"};

struct world {
    struct fake_mesh mesh;
    struct explanation explanation;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_mesh_init(&world->mesh, NODES);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    fake_mesh_fini(&world->mesh);
    free(world);
    return 0;
}

static void join_with(
        struct world *world, size_t node, size_t count, float prefill_tok_s, uint32_t slots)
{
    struct msg_instance instances[MODELS];
    for (size_t i = 0; i < count; i++)
        instances[i] = (struct msg_instance){.model = models[i],
                .state = INSTANCE_RESIDENT,
                .slots = slots,
                .context = 65536,
                .prefill_tok_s = prefill_tok_s,
                .decode_tok_s = 20,
                .file_bytes = 1 << 30,
                .engine = "",
                .note = ""};
    fake_mesh_hello(&world->mesh, node, "modemesh 9");
    fake_mesh_say(&world->mesh, node,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = instances, .instance_count = count}});
}

/* A node with the first `count` models, which all compute prompts at this speed. */
static void join(struct world *world, size_t node, size_t count, float prefill_tok_s)
{
    join_with(world, node, count, prefill_tok_s, 1);
}

/* Of a prompt of 1,000 tokens for one of the first `count` models. */
static const struct explanation *explain_with(
        struct world *world, size_t count, struct router_ask ask)
{
    const struct prefix_chain chain = {.bytes = 0};
    ask.chain = &chain;
    ask.prompt_tokens = ask.prompt_tokens > 0 ? ask.prompt_tokens : 1000;
    ask.mode = "-";
    ask.models = models;
    ask.model_count = count;
    assert_int_equal(explanation_make(world->mesh.router, &ask, &world->explanation), 0);
    return &world->explanation;
}

static const struct explanation *explain(struct world *world, size_t count)
{
    return explain_with(world, count, (struct router_ask){.needs = 0});
}

static void assert_why(const struct explanation *explanation, size_t row, const char *part)
{
    char why[EXPLANATION_WHY_MAX];
    assert_true(row < explanation->row_count);
    explanation_why(explanation, &explanation->rows[row], why);
    if (!strstr(why, part))
        fail_msg("row %zu says \"%s\", and not \"%s\"", row, why, part);
}

static const char *node_of(const struct explanation *explanation, size_t row)
{
    return router_instance(explanation->rows[row].entry)->node;
}

static uint32_t epoch_on(struct world *world, const char *node)
{
    const struct fleet_model *model = router_model(world->mesh.router, models[0]);
    uint32_t i = 0;
    while (strcmp(router_instance(&model->at[i])->node, node) != 0)
        i++;
    return model->at[i].epoch;
}

static void an_empty_fleet_has_no_rows(void **state)
{
    struct world *world = *state;
    const struct explanation *explanation = explain(world, MODELS);
    assert_int_equal(explanation->row_count + explanation->left_out, 0);
    assert_int_equal(explanation->plan.routing.verdict, ROUTING_NONE);
}

static void of_many_the_best_are_kept(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < NODES; i++)
        join(world, i, MODELS, 100 + 10 * (float)((i * 7) % NODES));
    const struct explanation *explanation = explain(world, MODELS);
    assert_int_equal(explanation->row_count, EXPLANATION_ROWS_MAX);
    assert_int_equal(explanation->left_out, INSTANCES - EXPLANATION_ROWS_MAX);
    assert_true(explanation_is_chosen(explanation, &explanation->rows[0]));
    for (size_t i = 2; i < explanation->row_count; i++)
        assert_true(explanation->rows[i - 1].cost.total_s <= explanation->rows[i].cost.total_s);
    assert_string_equal(node_of(explanation, EXPLANATION_ROWS_MAX - 1), "node0"); /* the slowest */
    assert_string_equal(node_of(explanation, 0), "node2");                        /* 14 */
}

static void who_loses_is_told_by_how_much(void **state)
{
    struct world *world = *state;
    join(world, 0, 1, 1000);
    join(world, 1, 1, 100);
    const struct explanation *explanation = explain(world, 1);
    assert_why(explanation, 0, "chosen: the instance that costs least");
    assert_why(explanation, 1, "s more, most of it prefill");
}

static void ties_and_conversations_have_their_own_words(void **state)
{
    struct world *world = *state;
    join(world, 0, 1, 1000);
    join(world, 1, 1, 990);
    const struct prefix_chain chain = {.bytes = 1};
    struct router_trip trip = {.held_blocks = 0};
    const struct explanation *explanation = explain(world, 1);
    assert_why(explanation, 1, "0.01 s more, most of it prefill");
    router_sent(world->mesh.router, &explanation->plan, &chain, &trip);
    router_ended(world->mesh.router, &trip, "-", &chain, ROUTER_REFUSED,
            &(struct msg_usage){.prompt_tokens = 0});
    explanation = explain(world, 1);
    assert_string_equal(node_of(explanation, 0), "node1");
    assert_why(explanation, 1, "as good, and was given a request more recently");
    join(world, 2, 1, 900);
    explanation = explain_with(world, 1,
            (struct router_ask){
                    .session_epoch = epoch_on(world, "node2"), .session_model = models[0]});
    assert_string_equal(node_of(explanation, 0), "node2");
    assert_why(explanation, 0, "the instance of its conversation");
    assert_why(explanation, 1, "s less: too little to leave the conversation's");
}

static void a_plain_policy_says_its_name(void **state)
{
    struct world *world = *state;
    join(world, 0, 2, 1000);
    join(world, 1, 1, 100);
    router_set_policy(world->mesh.router, ROUTING_ROUND_ROBIN);
    const struct explanation *explanation = explain(world, 2);
    assert_why(explanation, 0, "chosen: its turn (routing: round-robin)");
    for (size_t i = 1; i < explanation->row_count; i++)
        assert_why(explanation, i,
                explanation->rows[i].option ? "a model that is liked better can answer (routing"
                                            : "its turn comes later (routing: round-robin)");
    router_set_policy(world->mesh.router, ROUTING_LEAST_REQUESTS);
    explanation = explain(world, 1);
    assert_why(explanation, 0, "chosen: the fewest requests (routing: least-requests)");
    assert_why(explanation, 1, "as many requests or more");
}

static void a_prompt_that_is_too_long_for_all_is_told_once(void **state)
{
    struct world *world = *state;
    join(world, 0, 1, 1000);
    join(world, 1, 1, 100);
    const struct explanation *explanation =
            explain_with(world, 1, (struct router_ask){.prompt_tokens = 100000});
    assert_int_equal(explanation->row_count, 2);
    assert_true(explanation->plan.prompt_tokens < 65536);
}

static void who_failed_it_is_told_so(void **state)
{
    struct world *world = *state;
    join(world, 0, 1, 1000);
    join(world, 1, 1, 100);
    const struct router_avoid avoid = {.epoch = epoch_on(world, "node0"), .model = models[0]};
    const struct explanation *explanation =
            explain_with(world, 1, (struct router_ask){.avoid = &avoid, .avoid_count = 1});
    assert_string_equal(node_of(explanation, 1), "node0");
    assert_why(explanation, 0, "chosen: the only instance");
    assert_why(explanation, 1, "has failed this request");
    assert_false(explanation->rows[1].feasible);
}

/* Loaded or not: what is known is told in the same words. */
static void what_it_cannot_do_is_told(void **state)
{
    static const enum instance_state states[] = {INSTANCE_RESIDENT, INSTANCE_AVAILABLE};
    static const uint32_t known[] = {CAPABILITY_EXACT, CAPABILITY_TEMPLATE};
    struct world *world = *state;
    for (size_t i = 0; i < 2; i++) {
        const struct msg_instance instance = {.model = models[0],
                .state = states[i],
                .memory_bytes = 1,
                .capabilities = CAPABILITY_CHAT | known[i],
                .engine = "",
                .note = ""};
        fake_mesh_hello(&world->mesh, i, "modemesh 9");
        fake_mesh_say(&world->mesh, i,
                &(struct msg){.type = MSG_STATE,
                        .state = {.full = true,
                                .memory_limit_bytes = 1 << 30,
                                .instances = &instance,
                                .instance_count = 1}});
    }
    const struct explanation *explanation =
            explain_with(world, 1, (struct router_ask){.needs = CAPABILITY_TOOLS});
    assert_int_equal(explanation->row_count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_why(explanation, i, "cannot call tools: its chat template takes none");
    assert_int_equal(explanation->plan.routing.verdict, ROUTING_NONE);
}

/* Of two models the first is named, and on node0 alone. */
static const struct explanation *explain_named(struct world *world, float named_tok_s)
{
    join(world, 0, 1, named_tok_s);
    join(world, 1, 2, 1100);
    const struct router_avoid avoid = {.epoch = epoch_on(world, "node1"), .model = models[0]};
    return explain_with(
            world, 2, (struct router_ask){.named_count = 1, .avoid = &avoid, .avoid_count = 1});
}

static void what_only_stands_in_has_to_be_worth_it(void **state)
{
    const struct explanation *explanation = explain_named(*state, 1000);
    assert_false(explanation->plan.stands_in);
    assert_int_equal(explanation->rows[0].option, 0);
    assert_why(explanation, 1, "too little to stand in");
}

static void what_is_worth_it_stands_in(void **state)
{
    const struct explanation *explanation = explain_named(*state, 100);
    assert_true(explanation->plan.stands_in);
    assert_int_equal(explanation->rows[0].option, 1);
}

/* A prompt is computed where it is named, which is worth the wait. */
static void what_stands_in_has_a_slot_all_the_same(void **state)
{
    struct world *world = *state;
    const struct prefix_chain chain = {.bytes = 1};
    struct router_trip trip = {.held_blocks = 0};
    join_with(world, 0, 1, 1090, 64);
    join(world, 1, 2, 1100);
    const struct router_avoid avoid = {.epoch = epoch_on(world, "node1"), .model = models[0]};
    struct router_ask ask = {.named_count = 1, .avoid = &avoid, .avoid_count = 1};
    router_sent(world->mesh.router, &explain_with(world, 2, ask)->plan, &chain, &trip);
    ask.prompt_tokens = 40000;
    ask.tell_free = true;
    const struct routing_plan *plan = &explain_with(world, 2, ask)->plan.routing;
    assert_int_equal(plan->verdict, ROUTING_WAIT);
    assert_int_equal(plan->option, 0);
    assert_true(plan->room_left);
    router_ended(world->mesh.router, &trip, "-", &chain, ROUTER_REFUSED,
            &(struct msg_usage){.prompt_tokens = 0});
}

/* A greedy key asks, where of two slots so many requests are: another instance came later, which is
 * quicker, and is left for others. */
static void ask_beside(struct world *world, size_t count, const char *chosen, const char *lost)
{
    const struct prefix_chain chain = {.bytes = 1};
    struct router_trip trips[3] = {{.held_blocks = 0}};
    join_with(world, 0, 1, 1000, 2);
    for (size_t i = 0; i < count; i++)
        router_sent(world->mesh.router, &explain(world, 1)->plan, &chain, &trips[i]);
    join_with(world, 1, 1, 2000, 2);
    const struct explanation *explanation =
            explain_with(world, 1, (struct router_ask){.greedy = true, .tell_free = true});
    assert_string_equal(node_of(explanation, 0), "node1");
    assert_why(explanation, 0, chosen);
    assert_why(explanation, 1, lost);
    for (size_t i = 0; i < count; i++)
        router_ended(world->mesh.router, &trips[i], "-", &chain, ROUTER_REFUSED,
                &(struct msg_usage){.prompt_tokens = 0});
}

static void a_slot_that_is_left_for_others_has_words_of_its_own(void **state)
{
    ask_beside(*state, 1, "chosen, and it waits for its turn", ", and it has no room just now");
}

static void what_has_no_slot_is_full(void **state)
{
    ask_beside(*state, 2, "chosen, and it waits for its turn", ", and it is full");
}

#define EXPLANATION_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            EXPLANATION_TEST(an_empty_fleet_has_no_rows),
            EXPLANATION_TEST(of_many_the_best_are_kept),
            EXPLANATION_TEST(who_loses_is_told_by_how_much),
            EXPLANATION_TEST(a_plain_policy_says_its_name),
            EXPLANATION_TEST(ties_and_conversations_have_their_own_words),
            EXPLANATION_TEST(a_prompt_that_is_too_long_for_all_is_told_once),
            EXPLANATION_TEST(who_failed_it_is_told_so),
            EXPLANATION_TEST(what_it_cannot_do_is_told),
            EXPLANATION_TEST(what_only_stands_in_has_to_be_worth_it),
            EXPLANATION_TEST(what_is_worth_it_stands_in),
            EXPLANATION_TEST(what_stands_in_has_a_slot_all_the_same),
            EXPLANATION_TEST(a_slot_that_is_left_for_others_has_words_of_its_own),
            EXPLANATION_TEST(what_has_no_slot_is_full),
    };
    return cmocka_run_group_tests_name("explanation", tests, NULL, NULL);
}

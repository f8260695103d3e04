#include "coordinator/api/offers.h"

#include "tests/lib/fake_mesh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static char *ask_models[] = {"absent", "small"};
static char *code_models[] = {"absent"};
static struct mode mode_list[] = {
        {.name = "ask", .models = ask_models, .model_count = 2},
        {.name = "code", .models = code_models, .model_count = 1},
};

struct world {
    struct fake_mesh mesh;
    struct modes modes;
    struct offers offers;
    char seen[512]; /* "id id …" */
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_mesh_init(&world->mesh, 2);
    world->modes = (struct modes){.list = mode_list, .count = 2};
    world->offers = (struct offers){.modes = &world->modes, .nodes = world->mesh.nodes};
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

static void have_able(struct world *world, size_t node, const char *model,
        enum instance_state state, uint32_t context, uint32_t capabilities)
{
    const struct msg_instance instance = {.model = model,
            .state = state,
            .context = context,
            .slots = 1,
            .capabilities = capabilities};
    fake_mesh_say(&world->mesh, node,
            &(struct msg){.type = MSG_STATE,
                    .state = {.full = true, .instances = &instance, .instance_count = 1}});
}

static void have(struct world *world, size_t node, const char *model, enum instance_state state,
        uint32_t context)
{
    have_able(world, node, model, state, context, CAPABILITY_CHAT);
}

static void join(struct world *world, size_t node, const char *model, enum instance_state state,
        uint32_t context)
{
    fake_mesh_hello(&world->mesh, node, "test");
    have(world, node, model, state, context);
}

static int see(void *ctx, const struct offer *offer)
{
    struct world *world = ctx;
    strcat(strcat(world->seen, offer->id), " ");
    return 0;
}

static const char *all(struct world *world)
{
    world->seen[0] = '\0';
    assert_int_equal(offers_each(&world->offers, see, world), 0);
    return world->seen;
}

static void modes_come_first_and_models_by_their_names(void **state)
{
    struct world *world = *state;
    assert_string_equal(all(world), "mesh-ask mesh-code mesh-auto ");
    join(world, 0, "small", INSTANCE_RESIDENT, 4096);
    assert_string_equal(all(world), "mesh-ask mesh-code mesh-auto small ");
    world->offers.claude_names = true;
    assert_string_equal(all(world), "mesh-ask claude-mesh-ask mesh-code claude-mesh-code mesh-auto "
                                    "claude-mesh-auto small ");
}

static void what_the_config_calls_modes_and_models_is_offered(void **state)
{
    struct world *world = *state;
    struct offer offer;
    struct mode_alias aliases[] = {{.name = (char *)"review", .target = (char *)"code"},
            {.name = (char *)"gone", .target = (char *)"debug"},
            {.name = (char *)"gpt-4o", .target = (char *)"ask", .foreign = true},
            {.name = (char *)"gpt-mini", .target = (char *)"small", .foreign = true},
            {.name = (char *)"claude-*", .target = (char *)"review", .foreign = true},
            {.name = (char *)"o1", .target = (char *)"nobody", .foreign = true},
            {.name = (char *)"small", .target = (char *)"ask", .foreign = true}};
    world->modes.aliases = aliases;
    world->modes.alias_count = sizeof(aliases) / sizeof(aliases[0]);
    join(world, 0, "small", INSTANCE_RESIDENT, 4096);
    assert_string_equal(
            all(world), "mesh-ask mesh-code mesh-auto mesh-review small gpt-4o gpt-mini ");
    assert_true(offers_find(&world->offers, "gpt-4o", &offer));
    assert_int_equal(offer.kind, OFFER_ALIAS);
    assert_string_equal(offer.id, "gpt-4o");
    assert_string_equal(offer.mode, "ask");
    assert_int_equal(offer.context, 4096);
    assert_true(offers_find(&world->offers, "gpt-mini", &offer));
    assert_null(offer.mode);
    assert_true(offers_find(&world->offers, "claude-opus", &offer));
    assert_string_equal(offer.mode, "code");
    assert_true(offers_find(&world->offers, "mesh-agent", &offer)); /* not listed, but known */
    assert_string_equal(offer.mode, "code");
    assert_true(offers_find(&world->offers, "small", &offer));
    assert_int_equal(offer.kind, OFFER_MODEL);
    assert_false(offers_find(&world->offers, "o1", &offer));
    world->offers.claude_names = true;
    assert_non_null(strstr(all(world), "mesh-review claude-mesh-review small"));
}

static void a_mode_is_as_large_as_the_model_that_would_answer(void **state)
{
    struct world *world = *state;
    struct offer offer;
    join(world, 0, "small", INSTANCE_AVAILABLE, 32768);
    join(world, 1, "small", INSTANCE_RESIDENT, 4096);
    assert_true(offers_find(&world->offers, "mesh-ask", &offer));
    assert_int_equal(offer.kind, OFFER_MODE);
    assert_string_equal(offer.mode, "ask");
    assert_string_equal(offer.instance->model, "small");
    assert_int_equal(offer.context, 4096); /* the resident one's */
    assert_int_equal(offer.capabilities, CAPABILITY_CHAT);
    assert_true(offers_find(&world->offers, "code", &offer));
    assert_null(offer.instance);
    assert_int_equal(offer.context, 0);
}

static void assert_context(struct world *world, const char *name, uint32_t context)
{
    struct offer offer;
    assert_true(offers_find(&world->offers, name, &offer));
    assert_int_equal(offer.context, context);
}

static void every_resident_instance_takes_the_length(void **state)
{
    struct world *world = *state;
    join(world, 0, "small", INSTANCE_RESIDENT, 8192);
    join(world, 1, "absent", INSTANCE_RESIDENT, 4096);
    assert_context(world, "mesh-ask", 4096); /* whichever of its models answers */
    assert_context(world, "mesh-code", 4096);
    assert_context(world, "small", 8192);
    have(world, 1, "small", INSTANCE_RESIDENT, 2048);
    assert_context(world, "mesh-ask", 2048);
    assert_context(world, "small", 2048);
    assert_context(world, "mesh-code", 0);
}

static void rules_by_context_take_the_longest(void **state)
{
    struct world *world = *state;
    struct mode_rule rule = {.tokens = 4096, .models = {.names = ask_models, .count = 1}};
    struct mode mode = mode_list[0];
    mode.rules = &rule;
    mode.rule_count = 1;
    world->modes = (struct modes){.list = &mode, .count = 1};
    join(world, 0, "small", INSTANCE_RESIDENT, 8192);
    join(world, 1, "absent", INSTANCE_RESIDENT, 4096);
    assert_context(world, "mesh-ask", 8192);
    have(world, 1, "small", INSTANCE_RESIDENT, 6000); /* either of them may answer */
    assert_context(world, "mesh-ask", 6000);
}

static void what_could_be_loaded_takes_the_length(void **state)
{
    struct world *world = *state;
    join(world, 0, "small", INSTANCE_AVAILABLE, 8192);
    join(world, 1, "absent", INSTANCE_FAILED, 4096);
    assert_context(world, "mesh-ask", 4096);
    have(world, 1, "absent", INSTANCE_AVAILABLE, 0); /* not known */
    assert_context(world, "mesh-ask", 8192);
    have(world, 1, "small", INSTANCE_RESIDENT, 16384);
    assert_context(world, "mesh-ask", 16384); /* nothing is loaded beside it */
}

static void who_cannot_answer_does_not_count(void **state)
{
    struct world *world = *state;
    const struct msg_instance large = {
            .model = "small", .state = INSTANCE_AVAILABLE, .memory_bytes = 2, .context = 512};
    const struct msg_instance draining = {
            .model = "small", .state = INSTANCE_RESIDENT, .slots = 1, .context = 256};
    struct msg msg = {.type = MSG_STATE,
            .state = {.full = true,
                    .memory_limit_bytes = 1,
                    .instances = &large,
                    .instance_count = 1}};
    join(world, 0, "small", INSTANCE_AVAILABLE, 8192);
    fake_mesh_hello(&world->mesh, 1, "test");
    fake_mesh_say(&world->mesh, 1, &msg);
    assert_context(world, "mesh-ask", 8192);
    msg.state.instances = &draining;
    msg.state.draining = true;
    fake_mesh_say(&world->mesh, 1, &msg);
    assert_context(world, "mesh-ask", 8192);
    fake_mesh_say(&world->mesh, 0, &(struct msg){.type = MSG_STATE, .state = {.full = true}});
    assert_context(world, "mesh-ask", 256); /* nobody can now: better than nothing */
}

static bool not_absent(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "absent") != 0;
}

static void a_model_that_the_caller_may_not_use_does_not_count(void **state)
{
    struct world *world = *state;
    struct offer offer;
    join(world, 0, "small", INSTANCE_RESIDENT, 8192);
    join(world, 1, "absent", INSTANCE_RESIDENT, 4096);
    have_able(world, 1, "absent", INSTANCE_RESIDENT, 4096, CAPABILITY_CHAT | CAPABILITY_VISION);
    assert_true(offers_find(&world->offers, "mesh-ask", &offer));
    assert_int_equal(offer.capabilities, CAPABILITY_CHAT | CAPABILITY_VISION);
    world->offers.allows_model = not_absent;
    assert_context(world, "mesh-ask", 8192);
    assert_true(offers_find(&world->offers, "mesh-ask", &offer));
    assert_string_equal(offer.instance->model, "small");
    assert_int_equal(offer.capabilities, CAPABILITY_CHAT);
    assert_true(offers_find(&world->offers, "mesh-code", &offer)); /* none of its models is left */
    assert_null(offer.instance);
    assert_int_equal(offer.context, 0);
}

static void a_name_is_found_in_every_spelling(void **state)
{
    struct world *world = *state;
    struct offer offer;
    join(world, 0, "small", INSTANCE_RESIDENT, 4096);
    assert_true(offers_find(&world->offers, "small", &offer));
    assert_int_equal(offer.kind, OFFER_MODEL);
    assert_true(offers_find(&world->offers, "small:latest", &offer));
    assert_string_equal(offer.id, "small");
    assert_true(offers_find(&world->offers, "claude-mesh-ask[1m]", &offer));
    assert_string_equal(offer.id, "claude-mesh-ask[1m]");
    assert_false(offers_find(&world->offers, "absent", &offer));
    assert_false(offers_find(&world->offers, "mesh-nothing", &offer));
}

static void call_it(struct world *world, size_t node, const char *model, const char *alias)
{
    const struct msg_instance instance = {.model = model,
            .state = INSTANCE_RESIDENT,
            .context = 4096,
            .slots = 1,
            .aliases = &alias,
            .alias_count = 1,
            .capabilities = CAPABILITY_CHAT};
    fake_mesh_say(&world->mesh, node,
            &(struct msg){.type = MSG_STATE,
                    .state = {.full = true, .instances = &instance, .instance_count = 1}});
}

static void an_alias_is_offered_as_a_name_of_its_own(void **state)
{
    struct world *world = *state;
    struct offer offer;
    join(world, 0, "zebra", INSTANCE_RESIDENT, 1);
    call_it(world, 0, "zebra", "absent");
    assert_string_equal(all(world), "mesh-ask mesh-code mesh-auto zebra absent ");
    assert_true(offers_find(&world->offers, "absent:latest", &offer));
    assert_int_equal(offer.kind, OFFER_ALIAS);
    assert_string_equal(offer.id, "absent");
    assert_string_equal(offer.instance->model, "zebra");
    assert_context(world, "absent", 4096);
    assert_context(world, "mesh-code", 4096);       /* it lists the alias */
    join(world, 1, "absent", INSTANCE_RESIDENT, 1); /* a model's own name comes first */
    assert_string_equal(all(world), "mesh-ask mesh-code mesh-auto absent zebra ");
    assert_true(offers_find(&world->offers, "absent", &offer));
    assert_int_equal(offer.kind, OFFER_MODEL);
}

static void an_alias_that_may_not_be_asked_for_is_not_offered(void **state)
{
    struct world *world = *state;
    struct offer offer;
    join(world, 0, "zebra", INSTANCE_RESIDENT, 1);
    call_it(world, 0, "zebra", "code"); /* asks for the mode */
    assert_string_equal(all(world), "mesh-ask mesh-code mesh-auto zebra ");
    call_it(world, 0, "zebra", "absent");
    world->offers.allows_model = not_absent;
    assert_string_equal(all(world), "mesh-ask mesh-code mesh-auto zebra ");
    assert_false(offers_find(&world->offers, "absent", &offer));
}

static void what_swaps_counts_for_batch_work_alone(void **state)
{
    struct world *world = *state;
    const struct msg_instance huge = {.model = "absent",
            .state = INSTANCE_RESIDENT,
            .context = 1024,
            .slots = 1,
            .batch_only = true,
            .capabilities = CAPABILITY_CHAT};
    join(world, 0, "small", INSTANCE_RESIDENT, 8192);
    fake_mesh_hello(&world->mesh, 1, "test");
    fake_mesh_say(&world->mesh, 1,
            &(struct msg){.type = MSG_STATE,
                    .state = {.full = true, .instances = &huge, .instance_count = 1}});
    assert_context(world, "mesh-ask", 8192);
    struct mode night = mode_list[0];
    night.batch = true;
    world->modes = (struct modes){.list = &night, .count = 1};
    assert_context(world, "mesh-ask", 1024);
}

static bool no_ask(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "ask") != 0;
}

static bool nothing(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return false;
}

static void what_would_be_refused_is_not_offered(void **state)
{
    struct world *world = *state;
    struct offer offer;
    join(world, 0, "small", INSTANCE_RESIDENT, 4096);
    world->offers.allows_mode = no_ask;
    world->offers.allows_model = nothing;
    assert_string_equal(all(world), "mesh-code mesh-auto ");
    assert_false(offers_find(&world->offers, "mesh-ask", &offer));
    assert_false(offers_find(&world->offers, "small", &offer));
}

static bool only_embed(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "embed") == 0;
}

static char *embed_models[] = {"vectors"}, *debug_models[] = {"small"};

/* A mode that answers chats, whichever it is: auto goes to no other. */
static void auto_is_offered_to_who_may_use_a_mode_to_talk_to(void **state)
{
    struct world *world = *state;
    struct offer offer;
    struct mode list[] = {{.name = "embed", .models = embed_models, .model_count = 1}, mode_list[1],
            {.name = "debug", .models = debug_models, .model_count = 1}};
    struct mode_alias aliases[] = {{.name = (char *)"any", .target = (char *)"auto"},
            {.name = (char *)"gpt-5", .target = (char *)"auto", .foreign = true}};
    world->modes = (struct modes){.list = list, .count = 3, .aliases = aliases, .alias_count = 2};
    join(world, 0, "small", INSTANCE_RESIDENT, 4096);
    assert_string_equal(
            all(world), "mesh-embed mesh-code mesh-debug mesh-auto mesh-any small gpt-5 ");
    static const char *const names[] = {"auto", "mesh-auto", "claude-mesh-auto", "any", "gpt-5"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_true(offers_find(&world->offers, names[i], &offer));
        assert_string_equal(offer.id, names[i]);
        assert_string_equal(offer.mode, "code");
    }
    list[1] = list[2];
    world->modes.count = 2;
    assert_true(offers_find(&world->offers, "mesh-auto", &offer));
    assert_string_equal(offer.mode, "debug");
    assert_int_equal(offer.context, 4096);
    world->offers.allows_mode = only_embed;
    assert_string_equal(all(world), "mesh-embed small ");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_false(offers_find(&world->offers, names[i], &offer));
    world->modes.count = 0;
    assert_string_equal(all(world), "small ");
}

static void no_model_is_offered_as_auto(void **state)
{
    struct world *world = *state;
    struct offer offer;
    join(world, 0, "auto", INSTANCE_RESIDENT, 4096);
    world->modes.count = 0;
    assert_string_equal(all(world), "");
    assert_false(offers_find(&world->offers, "auto", &offer));
}

static void a_model_called_like_a_mode_cannot_be_named(void **state)
{
    struct world *world = *state;
    struct offer offer;
    join(world, 0, "code", INSTANCE_RESIDENT, 4096);
    assert_string_equal(all(world), "mesh-ask mesh-code mesh-auto ");
    assert_true(offers_find(&world->offers, "code", &offer));
    assert_int_equal(offer.kind, OFFER_MODE);
}

/* A mode to complete code in, and nothing else. */
static struct mode completing = {.name = (char *)"autocomplete"};
static char *completing_models[] = {
        "talker", "Qwen2.5-Coder-1.5B", "absent", "codestral", "qwen2.5-coder-7b"};

static void complete_code(struct world *world)
{
    completing.models = completing_models;
    completing.model_count = sizeof(completing_models) / sizeof(completing_models[0]);
    world->modes = (struct modes){.list = &completing, .count = 1};
    fake_mesh_hello(&world->mesh, 0, "one");
    fake_mesh_hello(&world->mesh, 1, "two");
}

static void fill_in(struct world *world, size_t node, const char *model)
{
    have_able(world, node, model, INSTANCE_RESIDENT, node ? 4096 : 8192,
            CAPABILITY_CHAT | CAPABILITY_FIM);
}

static void a_name_says_whose_tokens_complete(void **state)
{
    struct world *world = *state;
    struct offer offer;
    complete_code(world);
    assert_string_equal(all(world), "mesh-autocomplete ");
    have(world, 0, "talker", INSTANCE_RESIDENT, 4096); /* knows no such tokens */
    assert_string_equal(all(world), "mesh-autocomplete talker ");
    fill_in(world, 1, "codestral");
    assert_string_equal(
            all(world), "mesh-autocomplete mesh-autocomplete-codestral codestral talker ");
    fill_in(world, 0, "Qwen2.5-Coder-1.5B"); /* the mode likes it better */
    world->offers.claude_names = true;       /* a picker that lists no others completes no code */
    assert_string_equal(all(world), "mesh-autocomplete claude-mesh-autocomplete "
                                    "mesh-autocomplete-Qwen2.5-Coder-1.5B Qwen2.5-Coder-1.5B "
                                    "codestral ");
    assert_true(offers_find(&world->offers, "mesh-autocomplete-codestral", &offer));
    assert_int_equal(offer.kind, OFFER_MODE);
    assert_string_equal(offer.instance->model, "codestral"); /* not the mode's first */
    assert_int_equal(offer.context, 4096);
    assert_true(offer.capabilities & CAPABILITY_FIM);
    fill_in(world, 1, "Qwen2.5-Coder-1.5B"); /* on two nodes: still one name */
    assert_string_equal(all(world), "mesh-autocomplete claude-mesh-autocomplete "
                                    "mesh-autocomplete-Qwen2.5-Coder-1.5B Qwen2.5-Coder-1.5B ");
}

static bool not_the_first(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, completing_models[1]) != 0;
}

static void a_name_with_a_model_is_of_one_that_may_be_asked_for(void **state)
{
    struct world *world = *state;
    complete_code(world);
    fill_in(world, 0, completing_models[1]);
    fill_in(world, 1, "codestral");
    world->offers.allows_model = not_the_first;
    assert_string_equal(all(world), "mesh-autocomplete mesh-autocomplete-codestral codestral ");
    world->offers.allows_mode = nothing;
    assert_string_equal(all(world), "codestral ");
}

static void a_name_with_a_model_that_means_something_else_is_not_offered(void **state)
{
    struct world *world = *state;
    char long_name[MSG_NAME_MAX + 1];
    struct mode both[] = {
            {.name = (char *)"autocomplete-codestral", .models = ask_models, .model_count = 2},
            {.name = (char *)"autocomplete"}};
    complete_code(world);
    fill_in(world, 0, "codestral");
    both[1] = completing;
    world->modes = (struct modes){.list = both, .count = 2};
    assert_string_equal(
            all(world), "mesh-autocomplete-codestral mesh-autocomplete mesh-auto codestral ");
    world->modes = (struct modes){.list = &completing, .count = 1};
    have(world, 1, "mesh-autocomplete-codestral", INSTANCE_RESIDENT, 4096); /* its own name */
    assert_string_equal(all(world), "mesh-autocomplete codestral mesh-autocomplete-codestral ");
    memset(long_name, 'x', MSG_NAME_MAX);
    long_name[MSG_NAME_MAX] = '\0';
    completing_models[0] = long_name;
    fill_in(world, 0, long_name); /* nobody could ask for more than that */
    assert_null(strstr(all(world), "mesh-autocomplete-x"));
    completing_models[0] = (char *)"talker";
}

#define OFFERS_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            OFFERS_TEST(modes_come_first_and_models_by_their_names),
            OFFERS_TEST(what_the_config_calls_modes_and_models_is_offered),
            OFFERS_TEST(a_mode_is_as_large_as_the_model_that_would_answer),
            OFFERS_TEST(every_resident_instance_takes_the_length),
            OFFERS_TEST(rules_by_context_take_the_longest),
            OFFERS_TEST(what_could_be_loaded_takes_the_length),
            OFFERS_TEST(what_swaps_counts_for_batch_work_alone),
            OFFERS_TEST(who_cannot_answer_does_not_count),
            OFFERS_TEST(a_model_that_the_caller_may_not_use_does_not_count),
            OFFERS_TEST(a_name_is_found_in_every_spelling),
            OFFERS_TEST(an_alias_is_offered_as_a_name_of_its_own),
            OFFERS_TEST(an_alias_that_may_not_be_asked_for_is_not_offered),
            OFFERS_TEST(what_would_be_refused_is_not_offered),
            OFFERS_TEST(auto_is_offered_to_who_may_use_a_mode_to_talk_to),
            OFFERS_TEST(no_model_is_offered_as_auto),
            OFFERS_TEST(a_model_called_like_a_mode_cannot_be_named),
            OFFERS_TEST(a_name_says_whose_tokens_complete),
            OFFERS_TEST(a_name_with_a_model_is_of_one_that_may_be_asked_for),
            OFFERS_TEST(a_name_with_a_model_that_means_something_else_is_not_offered),
    };
    return cmocka_run_group_tests_name("offers", tests, NULL, NULL);
}

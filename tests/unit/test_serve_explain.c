#include "coordinator/api/serve_explain.h"

#include "common/json/json.h"
#include "coordinator/api/mode_now.h"
#include "coordinator/dialects/openai/openai.h"
#include "coordinator/scheduling/affinity.h"
#include "coordinator/scheduling/prefix_index.h"
#include "tests/lib/fake_exchange.h"
#include "tests/lib/fake_mesh.h"
#include "tests/lib/modes_maker.h"
#include "tests/lib/short_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 4, TRIPS = 3 /* that two slots take */, LIVE = 7 };

static const struct prefix_chain short_prompt = {.bytes = 300};

static const char yaml[] = "modes:\n"
                           "  code:\n    models: [small, large, absent]\n"
                           "    quality: {small: 55, large: 70, absent: 71}\n"
                           "    up-to: {4k: [small], 16k: [large]}\n    floor: 50\n"
                           "  ask:\n    models: [small]\n"
                           "  big:\n    models: [large]\n    when-none: ask\n"
                           "  once:\n    models: [small]\n    when-none: refuse\n"
                           "  terse:\n    models: [small]\n    beta: 0\n"
                           "  huge:\n    models: [absent]\n    when-none: big\n"
                           "  autocomplete:\n    models: [small]\n"
                           "  high:\n    models: [small, large]\n    floor: 60\n"
                           "    up-to: {4k: [small], 16k: [large]}\n"
                           "  design:\n    models: [small, large]\n    planning: [large]\n"
                           "model-aliases: {gpt-4o: code, gpt-5: auto, o9: small}\n";

struct world {
    struct fake_mesh mesh;
    struct modes modes;
    struct admin_view view;
    struct affinities *affinities;
    struct jobs *jobs;
    struct http_exchange live[LIVE]; /* of requests that are no question */
    size_t live_count;
    struct api api;
    struct api_key *key; /* of who asks; NULL: none */
    struct router_trip trips[TRIPS];
    size_t trip_count; /* under way */
    struct http_exchange client;
    cJSON *json; /* the last answer */
};

static void wire(struct world *world)
{
    world->modes = modes_maker_make(yaml);
    world->view = (struct admin_view){.env = &world->mesh.env.env,
            .modes = &world->modes,
            .nodes = world->mesh.nodes,
            .router = world->mesh.router,
            .door = world->mesh.door};
    world->affinities = affinities_create(16, 1);
    assert_non_null(world->affinities);
    world->jobs = jobs_create(
            &(struct jobs_config){.env = &world->mesh.env.env, .router = world->mesh.router});
    assert_non_null(world->jobs);
    world->view.jobs = world->jobs;
    world->api = (struct api){
            .view = &world->view, .jobs = world->jobs, .affinities = world->affinities};
    fake_exchange_init(&world->client);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_mesh_init(&world->mesh, NODES);
    wire(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < world->trip_count; i++)
        router_ended(world->mesh.router, &world->trips[i], "ask", &short_prompt, ROUTER_REFUSED,
                &(struct msg_usage){.prompt_tokens = 0});
    cJSON_Delete(world->json);
    jobs_destroy(world->jobs);
    for (size_t i = 0; i < world->live_count; i++)
        fake_exchange_fini(&world->live[i]);
    fake_exchange_fini(&world->client);
    affinities_destroy(world->affinities);
    fake_mesh_fini(&world->mesh);
    modes_fini(&world->modes);
    free(world);
    return 0;
}

/* --- nodes --- */

static struct msg_instance instance_of(const char *model, float prefill_tok_s)
{
    return (struct msg_instance){.model = model,
            .state = INSTANCE_RESIDENT,
            .slots = 2,
            .context = 8192,
            .capabilities = CAPABILITY_CHAT | CAPABILITY_TOOLS | CAPABILITY_EXACT,
            .prefill_tok_s = prefill_tok_s,
            .decode_tok_s = 20,
            .file_bytes = UINT64_C(1) << 30,
            .engine = "llama-server",
            .note = ""};
}

static void say(struct world *world, size_t node, const struct msg_instance *instance)
{
    fake_mesh_say(&world->mesh, node,
            &(struct msg){.type = MSG_STATE,
                    .state = {.instances = instance,
                            .instance_count = 1,
                            .memory_total_bytes = UINT64_C(1) << 40}});
}

static void join(struct world *world, size_t node, const struct msg_instance *instance)
{
    fake_mesh_hello(&world->mesh, node, "modemesh 9");
    say(world, node, instance);
}

static void join_small(struct world *world, size_t node, float prefill_tok_s)
{
    const struct msg_instance instance = instance_of("small", prefill_tok_s);
    join(world, node, &instance);
}

static void join_able(struct world *world, size_t node, const char *model, uint32_t capabilities)
{
    struct msg_instance instance = instance_of(model, 100);
    instance.capabilities = capabilities | CAPABILITY_EXACT;
    join(world, node, &instance);
}

static void lose(struct world *world, size_t node)
{
    node_session_end(
            node_table_find_key(world->mesh.nodes, fake_link_peer(node).key), "it is gone");
}

/* --- asking --- */

struct asking {
    struct caller caller;
    struct call call;
};

static void begin(struct world *world, struct asking *asking)
{
    asking->caller =
            (struct caller){.owner = !world->key, .key = world->key, .nodes = world->mesh.nodes};
    asking->call = (struct call){.api = &world->api,
            .exchange = &world->client,
            .caller = &asking->caller,
            .family = &family_openai,
            .tail = "",
            .request_id = "req_1"};
}

static const cJSON *ask_for(struct world *world, const char *query, int status)
{
    struct asking asking;
    begin(world, &asking);
    fake_exchange_fini(&world->client);
    fake_exchange_init(&world->client);
    world->client.query = query;
    serve_explain(&asking.call);
    if (world->client.status != status)
        fail_msg("%s: %d %s", query, world->client.status, fake_exchange_text(&world->client.body));
    cJSON_Delete(world->json);
    world->json = NULL;
    assert_int_equal(json_parse(buf_at(&world->client.body), world->client.body.len,
                             &json_limits_request, &world->json, NULL),
            0);
    return world->json;
}

static const cJSON *ask(struct world *world, const char *query)
{
    return ask_for(world, query, 200);
}

static const cJSON *row_at(const cJSON *json, int index)
{
    const cJSON *row = cJSON_GetArrayItem(json_array(json, "instances"), index);
    assert_non_null(row);
    return row;
}

/* The row of that node; fails where there is none. */
static const cJSON *row_of(const cJSON *json, const char *node)
{
    const cJSON *row;
    cJSON_ArrayForEach(row, json_array(json, "instances"))
    {
        if (strcmp(json_str(row, "node", ""), node) == 0)
            return row;
    }
    fail_msg("no row of %s", node);
    return NULL;
}

static double seconds(const cJSON *row, const char *term)
{
    double value = json_num(json_obj(row, "seconds"), term, NAN);
    assert_true(isfinite(value));
    return value;
}

static void assert_says(const cJSON *object, const char *key, const char *part)
{
    const char *text = json_str(object, key, "");
    if (!strstr(text, part))
        fail_msg("%s is \"%s\", and not \"%s\"", key, text, part);
}

/* --- tests --- */

static void terms_add_up_to_the_total(void **state)
{
    struct world *world = *state;
    join_small(world, 0, 1000);
    join_small(world, 1, 100);
    const cJSON *json = ask(world, "mode=ask&tokens=3000&output=200");
    assert_true(json_num(json, "prompt_tokens", 0) == 3000);
    assert_true(json_num(json, "output_tokens", 0) == 200);
    for (int i = 0; i < 2; i++) {
        const cJSON *row = row_at(json, i);
        double sum_s = 0, ttft_s = 0;
        for (size_t term = 0; term < COST_TERM_COUNT; term++)
            sum_s += seconds(row, cost_terms[term].name);
        for (size_t term = 0; strcmp(cost_terms[term].name, "decode") != 0; term++)
            ttft_s += seconds(row, cost_terms[term].name);
        assert_true(fabs(sum_s - seconds(row, "total")) < 1e-3);
        assert_true(fabs(ttft_s - seconds(row, "time_to_first_token")) < 1e-3);
        assert_true(seconds(row, "prefill") > 0 && seconds(row, "decode") > 0);
    }
}

static void the_writing_counts_as_the_mode_says(void **state)
{
    struct world *world = *state;
    join_small(world, 0, 1000);
    double usual_s = seconds(row_at(ask(world, "mode=ask&tokens=3000&output=200"), 0), "decode");
    double by_name_s =
            seconds(row_at(ask(world, "model=small&tokens=3000&output=200"), 0), "decode");
    double terse_s = seconds(row_at(ask(world, "mode=terse&tokens=3000&output=200"), 0), "decode");
    assert_true(usual_s > 0 && fabs(by_name_s - usual_s) < 1e-9);
    assert_true(fabs(terse_s) < 1e-9);
}

static void the_one_that_costs_least_is_chosen_and_the_other_told_why_not(void **state)
{
    struct world *world = *state;
    join_small(world, 0, 100);
    join_small(world, 1, 1000);
    const cJSON *json = ask(world, "mode=ask&tokens=3000");
    assert_says(json, "verdict", "run");
    assert_says(json, "why", "the instance that costs least");
    assert_string_equal(json_str(json_obj(json, "chosen"), "node", ""), "node1");
    assert_string_equal(json_str(row_at(json, 0), "node", ""), "node1");
    assert_true(json_bool(row_at(json, 0), "chosen", false));
    assert_says(row_at(json, 0), "why", "chosen: the instance that costs least");
    assert_false(json_bool(row_at(json, 1), "chosen", true));
    assert_says(row_at(json, 1), "why", "s more, most of it prefill");
}

static void the_rule_is_named_and_what_it_passes_over(void **state)
{
    struct world *world = *state;
    const struct msg_instance large = instance_of("large", 500);
    join_small(world, 0, 1000);
    join(world, 1, &large);
    const cJSON *json = ask(world, "mode=code&tokens=1000");
    assert_string_equal(json_str(json, "rule", ""), "code up to 4k: small");
    assert_int_equal(cJSON_GetArraySize(json_array(json, "instances")), 1);
    const cJSON *models = json_array(json, "models");
    assert_int_equal(cJSON_GetArraySize(models), 3);
    assert_says(cJSON_GetArrayItem(models, 0), "why", "the rule names it");
    assert_says(cJSON_GetArrayItem(models, 1), "why", "the rule does not name it");
    assert_says(cJSON_GetArrayItem(models, 2), "why", "no connected node has it");
    assert_true(json_num(cJSON_GetArrayItem(models, 1), "points", 0) == 70);
    json = ask(world, "mode=mesh-code&tokens=5k");
    assert_string_equal(json_str(json, "rule", ""), "code up to 16k: large");
    assert_string_equal(json_str(json_obj(json, "chosen"), "model", ""), "large");
}

static void assert_model(const cJSON *json, int index, bool may_answer, const char *why)
{
    const cJSON *model = cJSON_GetArrayItem(json_array(json, "models"), index);
    assert_non_null(model);
    assert_says(model, "why", why);
    assert_int_equal(json_bool(model, "option", !may_answer), may_answer);
}

static void drain(struct world *world, size_t node, const struct msg_instance *instance)
{
    fake_mesh_say(&world->mesh, node,
            &(struct msg){.type = MSG_STATE,
                    .state = {.draining = true, .instances = instance, .instance_count = 1}});
}

/* The rule that names them is not the one that is told. */
static void models_of_a_rule_that_is_passed_over_are_told_why(void **state)
{
    struct world *world = *state;
    static const char away[] = "no node that has it takes requests now, or has room for it";
    struct msg_instance small = instance_of("small", 500), large = instance_of("large", 500);
    small.quality = 55;
    large.quality = 70;
    join(world, 0, &small);
    join(world, 1, &large);
    const cJSON *json = ask(world, "mode=high&tokens=10");
    assert_string_equal(json_str(json, "rule", ""), "high up to 16k: large");
    assert_model(json, 0, false, "below the quality floor");
    drain(world, 1, &large); /* which a rule behind the one that is taken names */
    assert_model(ask(world, "mode=code&tokens=10"), 1, false, "the rule does not name it");
    say(world, 1, &large);
    drain(world, 0, &small);
    json = ask(world, "mode=code&tokens=10");
    assert_string_equal(json_str(json, "rule", ""), "code up to 16k: large");
    assert_model(json, 0, false, away);
    assert_model(json, 1, true, "the rule names it");
    small.state = INSTANCE_AVAILABLE;
    small.memory_bytes = UINT64_C(2) << 30;
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){.type = MSG_STATE,
                    .state = {.instances = &small,
                            .instance_count = 1,
                            .memory_limit_bytes = UINT64_C(1) << 30}});
    assert_model(ask(world, "mode=code&tokens=10"), 0, false, away);
    small.state = INSTANCE_RESIDENT;
    say(world, 0, &small);
    assert_model(ask(world, "mode=code&tokens=10"), 0, true, "the rule names it");
}

static void refusals_are_named(void **state)
{
    struct world *world = *state;
    struct msg_instance instance = instance_of("small", 100);
    join(world, 0, &instance);
    instance.context = 2048;
    join(world, 1, &instance);
    instance.context = 8192;
    instance.capabilities = CAPABILITY_EMBEDDINGS | CAPABILITY_EXACT;
    join(world, 2, &instance);
    instance.capabilities = CAPABILITY_CHAT;
    instance.state = INSTANCE_STOPPING;
    join(world, 3, &instance);
    const cJSON *json = ask(world, "mode=ask&tokens=4000");
    assert_int_equal(cJSON_GetArraySize(json_array(json, "instances")), 4);
    assert_says(row_of(json, "node1"), "why", "context too small: 2048 tokens");
    assert_says(row_of(json, "node2"), "why", "cannot chat");
    assert_says(row_of(json, "node3"), "why", "engine is being stopped");
    assert_false(json_bool(row_of(json, "node1"), "feasible", true));
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(row_of(json, "node1"), "seconds")));
    assert_true(json_bool(row_at(json, 0), "chosen", false));
    /* Who comes closest stands before who does not. */
    assert_string_equal(json_str(row_at(json, 1), "node", ""), "node3");
    assert_string_equal(json_str(row_at(json, 3), "node", ""), "node2");
}

/* A model that the rule names answers only where one of its instances can. */
static void assert_passed(const cJSON *json, int index, const char *mode, const char *why)
{
    const cJSON *passed = cJSON_GetArrayItem(json_array(json, "passed"), index);
    assert_string_equal(json_str(passed, "mode", ""), mode);
    assert_says(passed, "why", why);
    assert_null(cJSON_GetArrayItem(json_array(json, "passed"), index + 1));
}

/* Of its modes that one decides, with this verdict. */
static void assert_decides(const cJSON *json, const char *mode, const char *verdict)
{
    assert_string_equal(json_str(json, "mode", ""), mode);
    assert_string_equal(json_str(json, "verdict", ""), verdict);
}

static void models_agree_with_their_instances(void **state)
{
    struct world *world = *state;
    struct msg_instance instance = instance_of("small", 100);
    assert_model(ask(world, "mode=ask&tokens=1000"), 0, false, "no connected node has it");
    join(world, 0, &instance);
    assert_model(ask(world, "mode=ask&tokens=1000"), 0, true, "the rule names it");
    assert_model(ask(world, "mode=ask&tokens=1000&needs=vision"), 0, false, "cannot ");
    instance.state = INSTANCE_STOPPING;
    say(world, 0, &instance);
    assert_model(ask(world, "mode=ask&tokens=1000"), 0, false, "engine is being stopped");
    instance.state = INSTANCE_FAILED;
    join(world, 1, &instance); /* it comes closer */
    assert_model(ask(world, "mode=ask&tokens=1000"), 0, false, "engine is being restarted");
    join_small(world, 2, 100);
    assert_model(ask(world, "mode=ask&tokens=1000"), 0, true, "the rule names it");
    instance = instance_of("large", 100);
    instance.context = 1024;
    join(world, 3, &instance);
    assert_model(ask(world, "mode=code&tokens=5000"), 1, false, "its context is too short");
    assert_passed(ask(world, "mode=big&tokens=5000"), 0, "big", "that of large, is 1024");
    lose(world, 3);
    assert_model(ask(world, "mode=code&tokens=5000"), 1, false, "its context is too short");
    assert_model(ask(world, "mode=code&tokens=500"), 1, false, "each node that has it is away");
}

static void what_nobody_can_take_says_so(void **state)
{
    struct world *world = *state;
    const cJSON *json = ask(world, "mode=ask&tokens=1000");
    assert_says(json, "verdict", "none");
    assert_says(json, "why", "no connected node has the model");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(json, "chosen")));
    join_small(world, 0, 100);
    json = ask(world, "mode=ask&tokens=1000&needs=rerank");
    assert_says(json, "verdict", "none");
    assert_says(json, "why", "can do that");
    json = ask(world, "mode=autocomplete&tokens=100"); /* needs tokens to fill in the middle */
    assert_says(json, "verdict", "none");
    assert_string_equal(cJSON_GetArrayItem(json_array(json, "needs"), 0)->valuestring, "fim");
    json = ask(world, "mode=ask&tokens=1M");
    assert_says(json, "verdict", "run");
    assert_says(json, "why", "longer than every context");
    assert_says(cJSON_GetArrayItem(json_array(json, "models"), 0), "why", "by our estimate");
}

static void what_is_far_too_long_loads_nothing(void **state)
{
    struct world *world = *state;
    struct msg_instance instance = instance_of("small", 100);
    instance.state = INSTANCE_AVAILABLE;
    instance.capabilities |= CAPABILITY_AUDIO;
    join(world, 0, &instance);
    const cJSON *json = ask(world, "mode=ask&tokens=33312");
    assert_says(json, "verdict", "none");
    assert_says(json, "why",
            "the prompt has about 33312 tokens, and the longest context, that of small, is 8192");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(json, "chosen")));
    assert_says(row_of(json, "node0"), "why", "context too small: 8192 tokens");
    assert_says(ask(world, "mode=ask&tokens=16k"), "verdict", "run"); /* it may be shorter */
    assert_says(ask(world, "mode=ask&tokens=33312&needs=audio"), "verdict", "run");
    assert_says(ask(world, "mode=ask&tokens=33312&needs=chat,audio"), "verdict", "none");
    instance.state = INSTANCE_RESIDENT;
    join(world, 1, &instance);
    json = ask(world, "mode=ask&tokens=33312");
    assert_says(json, "verdict", "run");
    assert_string_equal(json_str(json_obj(json, "chosen"), "node", ""), "node1");
    assert_says(row_of(json, "node0"), "why", "not loaded: what is too long goes to one that is");
}

/* The one that is chosen is the shorter one. */
static void what_is_not_loaded_for_it_is_not_called_too_short(void **state)
{
    struct world *world = *state;
    struct msg_instance instance = instance_of("small", 100);
    join(world, 0, &instance);
    instance.context = 2048;
    join(world, 1, &instance);
    instance.context = 16384;
    instance.state = INSTANCE_AVAILABLE;
    join(world, 2, &instance);
    instance.context = 8192;
    instance.state = INSTANCE_LOADING;
    join(world, 3, &instance);
    const cJSON *json = ask(world, "mode=ask&tokens=60000");
    assert_string_equal(json_str(json_obj(json, "chosen"), "node", ""), "node0");
    assert_says(row_of(json, "node1"), "why", "context too small: 2048 tokens");
    for (size_t i = 1; i < 3; i++) /* who comes closest stands before who does not */
        assert_string_equal(json_str(row_at(json, (int)i), "why", ""),
                "not loaded: what is too long goes to one that is");
}

static void what_comes_back_by_itself_is_waited_for(void **state)
{
    struct world *world = *state;
    struct msg_instance instance = instance_of("small", 100);
    instance.state = INSTANCE_FAILED;
    join(world, 0, &instance);
    const cJSON *json = ask(world, "mode=ask&tokens=1000");
    assert_says(json, "verdict", "wait");
    assert_says(json, "why", "being restarted");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(json, "chosen")));
}

static void assert_awaits(const cJSON *json, const char *node, const char *why)
{
    assert_says(json, "verdict", "wait");
    assert_says(json, "why", ", which has the model, ");
    assert_string_equal(json_str(json_obj(json, "awaited"), "node", ""), node);
    assert_string_equal(json_str(json_obj(json, "awaited"), "why", ""), why);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(json, "chosen")));
}

static void who_is_away_is_waited_for(void **state)
{
    struct world *world = *state;
    join_small(world, 1, 100);
    join_small(world, 0, 100);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(ask(world, "mode=ask&tokens=1000"), "awaited")));
    lose(world, 1);
    lose(world, 0);
    const cJSON *json = ask(world, "mode=ask&tokens=1000");
    assert_awaits(json, "node0", "is away");
    assert_says(cJSON_GetArrayItem(json_array(json, "models"), 0), "why",
            "each node that has it is away");
    assert_awaits(ask(world, "model=small&tokens=1000"), "node0", "is away");
    fake_mesh_hello(&world->mesh, 0, "modemesh 9");
    assert_awaits(ask(world, "mode=ask&tokens=1000"), "node0",
            "is back, and has not told of the model yet");
    json = ask(world, "mode=once&tokens=1000"); /* which refuses */
    assert_says(json, "verdict", "none");
    assert_says(json, "why", "no connected node has the model");
    assert_says(ask(world, "mode=ask&tokens=1000&needs=vision"), "verdict", "none");
}

static void who_drains_is_waited_for(void **state)
{
    struct world *world = *state;
    const struct msg_instance small = instance_of("small", 100);
    join_small(world, 0, 100);
    drain(world, 0, &small);
    assert_awaits(ask(world, "mode=ask&tokens=1000"), "node0", "is draining");
    assert_says(ask(world, "mode=once&tokens=1000"), "verdict", "none");
}

/* Gives node0's instance as many requests as it may have at once. */
static void fill(struct world *world)
{
    static const char *const models[] = {"small"};
    const struct router_ask request = {
            .chain = &short_prompt, .mode = "ask", .models = models, .model_count = 1};
    struct router_plan plan;
    while (world->trip_count < TRIPS) {
        assert_int_equal(router_choose(world->mesh.router, &request, &plan), 0);
        assert_int_equal(plan.routing.verdict, ROUTING_RUN);
        router_sent(world->mesh.router, &plan, &short_prompt, &world->trips[world->trip_count++]);
    }
}

static void another_mode_may_be_asked_instead(void **state)
{
    struct world *world = *state;
    char *modes[] = {"big"};
    struct api_key key = {.name = "laptop", .modes = modes, .mode_count = 1};
    join_small(world, 0, 100);
    const cJSON *json = ask(world, "mode=big&tokens=1000");
    assert_decides(json, "ask", "run");
    assert_passed(json, 0, "big", "no connected node has the model");
    assert_says(json, "rule", "ask any model: small");
    assert_says(json, "why", "the only instance");
    assert_string_equal(json_str(json_obj(json, "chosen"), "model", ""), "small");
    assert_string_equal(json_str(json, "when_none", ""), "wait");
    assert_string_equal(json_str(json, "next", "?"), "");
    assert_model(json, 0, true, "the rule names it");
    assert_int_equal(cJSON_GetArraySize(json_array(json, "instances")), 1);
    assert_passed(ask(world, "mode=huge&tokens=1000"), 1, "big", "no connected node");
    world->key = &key;
    json = ask(world, "mode=big&tokens=1000");
    assert_decides(json, "big", "none");
    assert_int_equal(cJSON_GetArraySize(json_array(json, "passed")), 0);
}

/* Also the one that comes instead can wait, or have none. */
static void the_last_mode_has_the_last_word(void **state)
{
    struct world *world = *state;
    struct msg_instance small = instance_of("small", 10000);
    const cJSON *json = ask(world, "mode=big&tokens=1000");
    assert_decides(json, "ask", "none");
    assert_passed(json, 0, "big", "no connected node has the model");
    small.capabilities = CAPABILITY_CHAT | CAPABILITY_EXACT;
    join(world, 0, &small);
    json = ask(world, "mode=big&tokens=1000&needs=tools");
    assert_decides(json, "ask", "none");
    assert_says(json, "why", "no model that may answer can do that");
    assert_model(json, 0, false, "cannot call tools");
    fill(world);
    json = ask(world, "mode=big&tokens=1000");
    assert_decides(json, "ask", "wait");
    assert_string_equal(json_str(json_obj(json, "chosen"), "node", ""), "node0");
    lose(world, 0);
    assert_awaits(ask(world, "mode=big&tokens=1000"), "node0", "is away");
}

static void what_is_too_long_goes_on_too(void **state)
{
    struct world *world = *state;
    struct msg_instance small = instance_of("small", 100);
    const struct msg_instance large = instance_of("large", 100);
    join(world, 0, &large);
    assert_decides(ask(world, "mode=big&tokens=1000"), "big", "run");
    small.context = 32768;
    join(world, 1, &small);
    const cJSON *json = ask(world, "mode=big&tokens=20000");
    assert_decides(json, "ask", "run");
    assert_passed(json, 0, "big", "longer than the context of each node, of at most 8192 tokens");
    assert_says(json, "why", "the only instance");
}

/* Whose engine counts the tokens. */
static void what_is_too_long_for_all_goes_to_the_longest(void **state)
{
    struct world *world = *state;
    char *modes[] = {"big"};
    struct api_key key = {.name = "laptop", .modes = modes, .mode_count = 1};
    struct msg_instance small = instance_of("small", 100);
    const struct msg_instance large = instance_of("large", 100);
    static const uint32_t contexts[] = {0, 4096, 16384}; /* of small; 0: it is not there */
    join(world, 0, &large);
    for (size_t i = 0; i < 3; i++) {
        bool is_last = contexts[i] > large.context;
        small.context = contexts[i];
        if (i == 1)
            join(world, 1, &small);
        if (i > 1)
            say(world, 1, &small);
        const cJSON *json = ask(world, "mode=big&tokens=20000");
        assert_decides(json, is_last ? "ask" : "big", "run");
        assert_says(json, "why", "longer than every context");
        assert_string_equal(
                json_str(json_obj(json, "chosen"), "model", ""), is_last ? "small" : "large");
        assert_int_equal(cJSON_GetArraySize(json_array(json, "passed")), is_last);
    }
    world->key = &key; /* which has no other mode */
    assert_decides(ask(world, "mode=big&tokens=20000"), "big", "run");
}

/* It may be shorter than it seems. */
static void what_is_too_long_for_all_is_loaded_for_where_what_is_loaded_is_full(void **state)
{
    struct world *world = *state;
    struct msg_instance large = instance_of("large", 100);
    large.state = INSTANCE_AVAILABLE;
    join(world, 0, &large);
    join_small(world, 1, 10000);
    assert_decides(ask(world, "mode=big&tokens=9000"), "ask", "run");
    fill(world);
    const cJSON *json = ask(world, "mode=big&tokens=9000");
    assert_decides(json, "big", "run");
    assert_string_equal(json_str(json_obj(json, "chosen"), "model", ""), "large");
    large.state = INSTANCE_FAILED; /* it is waited for what is full */
    say(world, 0, &large);
    json = ask(world, "mode=big&tokens=9000");
    assert_decides(json, "ask", "wait");
    assert_string_equal(json_str(json_obj(json, "chosen"), "model", ""), "small");
}

static void a_full_one_is_waited_for(void **state)
{
    struct world *world = *state;
    join_small(world, 0, 10000);
    fill(world);
    const cJSON *json = ask(world, "mode=ask&tokens=1000");
    assert_says(json, "verdict", "wait");
    assert_string_equal(json_str(json_obj(json, "chosen"), "node", ""), "node0");
    assert_says(row_at(json, 0), "why", "chosen, and full");
    assert_true(seconds(row_at(json, 0), "wait") > 0);
    assert_string_equal(json_str(json, "when_none", ""), "wait");
    json = ask(world, "mode=once&tokens=1000"); /* which waits for nobody */
    assert_says(json, "verdict", "none");
    assert_string_equal(json_str(json_obj(json, "chosen"), "node", ""), "node0");
    json = ask(world, "mode=ask&tokens=1000");
    assert_true(json_num(row_at(json, 0), "running", 0) == TRIPS);
}

static const char *no_header(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return NULL;
}

/* A live request for a model, which is refused where it would have to wait. Returns its exchange.
 */
static const struct http_exchange *come(
        struct world *world, const char *client, const char *model, enum mode_when_none when_none)
{
    static const char body[] = "{\"model\":\"once\",\"messages\":[{\"role\":\"user\","
                               "\"content\":\"hi\"}]}";
    struct http_exchange *exchange = &world->live[world->live_count++];
    const struct dialect_input input = {
            .body = body, .len = strlen(body), .content_type = "", .header = no_header};
    struct job_terms *terms = job_terms_of_models("once", &model, 1);
    const char *param;
    struct request request;
    assert_true(world->live_count <= LIVE);
    terms->when_none = when_none;
    fake_exchange_init(exchange);
    const struct reply reply = reply_to_exchange(exchange);
    request_init(&request);
    strcpy(request.id, "req_1");
    strcpy(request.client, client);
    assert_int_equal(dialect_openai_chat.parse(&input, &request, &param, NULL), 0);
    jobs_start(world->jobs, &reply, &dialect_openai_chat, &request, terms);
    request_fini(&request);
    jobs_dispatch_changed(world->jobs);
    return exchange;
}

/* Both slots are the caller's, and another client is here: what is left beside them is that one's.
 */
static void who_has_much_is_told_what_its_requests_get(void **state)
{
    struct world *world = *state;
    struct api_key key = {.name = "neighbour"};
    const struct msg_instance large = instance_of("large", 500);
    join_small(world, 0, 10000);
    join(world, 1, &large);
    (void)come(world, "local", "small", WHEN_NONE_WAIT);
    (void)come(world, "local", "small", WHEN_NONE_WAIT);
    assert_int_equal(jobs_running(world->jobs), 2);
    assert_says(ask(world, "mode=ask&tokens=100"), "verdict", "run"); /* beyond the slots */
    assert_says(ask(world, "mode=once&tokens=100"), "verdict", "none");
    (void)come(world, "key neighbour", "large", WHEN_NONE_WAIT);
    const cJSON *json = ask(world, "mode=once&tokens=100");
    assert_says(json, "verdict", "none");
    assert_says(json, "why", "every instance that could serve it soon is full");
    assert_says(row_of(json, "node0"), "why", "full");
    assert_says(ask(world, "mode=ask&tokens=100"), "verdict", "wait");
    assert_says(ask(world, "model=small&tokens=100"), "verdict", "wait");
    assert_int_equal(come(world, "local", "small", WHEN_NONE_REFUSE)->status, 503);
    (void)come(world, "local", "small", WHEN_NONE_WAIT); /* and behind others */
    assert_int_equal(jobs_waiting(world->jobs), 1);
    assert_says(ask(world, "mode=once&tokens=100"), "verdict", "none");
    world->key = &key;
    assert_says(ask(world, "mode=ask&tokens=100"), "verdict", "run");
    assert_says(ask(world, "mode=once&tokens=100"), "verdict", "none");
    assert_int_equal(come(world, "key neighbour", "small", WHEN_NONE_REFUSE)->status, 503);
    assert_int_equal(come(world, "key neighbour", "small", WHEN_NONE_WAIT)->status, 0);
    assert_int_equal(jobs_running(world->jobs), 4);
}

/* --- NOW, of the overview of modes --- */

/* What is said of a mode now is what is explained of a request of as many tokens. */
static void assert_now_agrees(struct world *world, const struct mode *mode)
{
    struct asking asking;
    struct mode_now now;
    char query[64];
    begin(world, &asking);
    int r = mode_now_find(&asking.call, mode, &now);
    snprintf(query, sizeof(query), "mode=%s&tokens=%d", mode->name, MODE_NOW_TOKENS);
    const cJSON *json = ask_for(world, query, r == -EACCES ? 403 : 200);
    if (r == -EACCES)
        return;
    const struct instance *instance = now.plan.instance;
    bool runs = now.plan.routing.verdict == ROUTING_RUN;
    const cJSON *chosen = json_obj(json, "chosen");
    assert_int_equal(r, 0);
    assert_decides(json, now.mode->name, runs ? "run" : now.waits ? "wait" : "none");
    assert_string_equal(json_str(chosen, "node", ""), instance ? instance->node : "");
    assert_string_equal(json_str(chosen, "model", ""), instance ? instance->model : "");
    assert_true(json_num(json, "output_tokens", -1) == now.plan.output_tokens);
}

static void assert_all_agree(struct world *world)
{
    for (size_t i = 0; i < world->modes.count; i++)
        assert_now_agrees(world, &world->modes.list[i]);
}

static void now_is_what_is_explained(void **state)
{
    struct world *world = *state;
    struct msg_instance large = instance_of("large", 500);
    const struct msg_instance small = instance_of("small", 10000);
    assert_all_agree(world);
    large.context = 300; /* what is short is too long for it */
    join(world, 1, &large);
    assert_all_agree(world);
    join(world, 0, &small);
    assert_all_agree(world);
    assert_decides(ask(world, "mode=big&tokens=100"), "ask", "run");
    fill(world);
    assert_all_agree(world);
    drain(world, 0, &small);
    assert_all_agree(world);
    lose(world, 0);
    assert_all_agree(world);
    join_able(world, 2, "small", CAPABILITY_FIM);
    assert_all_agree(world);
}

/* Nor is another mode asked instead that it may not use. */
static void now_is_that_of_who_asks(void **state)
{
    struct world *world = *state;
    char *modes[] = {"big", "once"}, *models[] = {"small"};
    struct api_key key = {.name = "laptop", .modes = modes, .mode_count = 2};
    struct mode_now now;
    struct asking asking;
    const struct mode *big = modes_find(&world->modes, "big");
    join_small(world, 0, 100);
    world->key = &key;
    begin(world, &asking);
    assert_int_equal(mode_now_find(&asking.call, big, &now), 0);
    assert_ptr_equal(now.mode, big);
    assert_null(now.plan.instance);
    const struct mode *ask_mode = modes_find(&world->modes, "ask");
    assert_int_equal(mode_now_find(&asking.call, ask_mode, &now), -EACCES);
    assert_all_agree(world);
    key = (struct api_key){.name = "laptop", .models = models, .model_count = 1};
    assert_all_agree(world);
}

/* Whoever has much, also where another mode is asked instead. */
static void now_is_greedy_by_the_mode_that_is_asked_for(void **state)
{
    struct world *world = *state;
    const struct msg_instance large = instance_of("large", 500);
    join_small(world, 0, 10000);
    join(world, 1, &large);
    (void)come(world, "local", "small", WHEN_NONE_WAIT);
    (void)come(world, "local", "small", WHEN_NONE_WAIT);
    (void)come(world, "key neighbour", "large", WHEN_NONE_WAIT);
    assert_all_agree(world);
    lose(world, 1);
    assert_all_agree(world);
}

static void without_memory_now_says_so(void **state)
{
    struct world *world = *state;
    struct asking asking;
    struct mode_now now;
    bool failed = true;
    join_small(world, 0, 100);
    begin(world, &asking);
    for (size_t allocations = 0; failed; allocations++) {
        short_memory_begin(allocations);
        int r = mode_now_find(&asking.call, modes_find(&world->modes, "big"), &now);
        failed = short_memory_end();
        assert_int_equal(r, failed ? -ENOMEM : 0);
    }
    assert_string_equal(now.plan.instance->node, "node0");
}

static void at_the_cursor_it_goes_where_infill_goes(void **state)
{
    struct world *world = *state;
    char *modes[] = {"big"};
    struct api_key key = {.name = "laptop", .modes = modes, .mode_count = 1};
    join_able(world, 0, "small", CAPABILITY_FIM);
    join_able(world, 1, "large", CAPABILITY_CHAT);
    assert_decides(ask(world, "mode=ask&tokens=10&needs=fim"), "ask", "run");
    const cJSON *json = ask(world, "mode=big&tokens=10&needs=fim");
    assert_decides(json, "autocomplete", "run");
    assert_says(json, "rule", "autocomplete any model: small");
    assert_int_equal(cJSON_GetArraySize(json_array(json, "passed")), 0);
    assert_string_equal(json_str(json_obj(json, "chosen"), "model", ""), "small");
    assert_decides(ask(world, "model=mesh-big-large&tokens=10&needs=fim"), "autocomplete", "run");
    assert_decides(ask(world, "mode=big&tokens=10"), "big", "run");
    assert_decides(ask(world, "mode=big&tokens=10&needs=chat,fim"), "ask", "none"); /* no infill */
    world->key = &key;
    (void)ask_for(world, "mode=big&tokens=10&needs=fim", 403);
    assert_non_null(strstr(fake_exchange_text(&world->client.body), "autocomplete"));
}

/* Nor in a mode of chats. */
static void what_tells_its_kind_need_not_chat(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *needs;
        uint32_t capability;
    } kinds[] = {{"embeddings", CAPABILITY_EMBEDDINGS}, {"rerank", CAPABILITY_RERANK},
            {"audio", CAPABILITY_AUDIO}};
    for (size_t i = 0; i < 3; i++) {
        char query[64];
        join_able(world, i, "small", kinds[i].capability);
        snprintf(query, sizeof(query), "mode=ask&tokens=10&needs=%s", kinds[i].needs);
        assert_decides(ask(world, query), "ask", "run");
        assert_decides(ask(world, "mode=ask&tokens=10"), "ask", "none");
        snprintf(query, sizeof(query), "mode=ask&tokens=10&needs=chat,%s", kinds[i].needs);
        assert_decides(ask(world, query), "ask", "none");
    }
}

/* The last slot is kept for the other clients. */
static void a_slot_that_is_kept_for_others_is_not_called_full(void **state)
{
    struct world *world = *state;
    struct msg_instance small = instance_of("small", 10000);
    const struct msg_instance large = instance_of("large", 500);
    small.slots = 4;
    join(world, 0, &small);
    join(world, 1, &large);
    (void)come(world, "key neighbour", "large", WHEN_NONE_WAIT);
    (void)come(world, "key third", "large", WHEN_NONE_WAIT);
    for (int i = 0; i < 3; i++)
        (void)come(world, "local", "small", WHEN_NONE_WAIT);
    assert_int_equal(jobs_running(world->jobs), 5);
    const cJSON *json = ask(world, "mode=once&tokens=100");
    assert_says(json, "verdict", "wait");
    assert_says(json, "why", "a slot is free, and its turn has not come");
    assert_says(row_at(json, 0), "why", "chosen, and it waits for its turn");
    assert_int_equal(come(world, "local", "small", WHEN_NONE_REFUSE)->status, 0);
    assert_int_equal(jobs_waiting(world->jobs), 1);
    json = ask(world, "mode=once&tokens=100");
    assert_says(json, "verdict", "none");
    assert_says(row_at(json, 0), "why", "chosen, and others wait for the slot that is free");
}

/* The quicker one is waited for; the other has slots, so that nobody is refused. */
static void where_a_slot_is_free_who_would_refuse_waits(void **state)
{
    struct world *world = *state;
    join_small(world, 0, 10000);
    fill(world);
    join_small(world, 1, 10);
    const cJSON *json = ask(world, "mode=once&tokens=1000");
    assert_says(json, "verdict", "wait");
    assert_says(json, "why", "another has a slot free, and costs more than to wait");
    assert_string_equal(json_str(json_obj(json, "chosen"), "node", ""), "node0");
    assert_says(row_at(json, 0), "why", "chosen, and full now");
    assert_null(strstr(json_str(row_at(json, 1), "why", ""), "full"));
}

static void rows_do_not_depend_on_the_order_of_nodes(void **state)
{
    struct world *world = *state, *other = calloc(1, sizeof(*other));
    static const float speeds[NODES] = {100, 100, 1000, 100};
    fake_mesh_init(&other->mesh, NODES);
    wire(other);
    for (size_t i = 0; i < NODES; i++) {
        join_small(world, i, speeds[i]);
        join_small(other, NODES - 1 - i, speeds[NODES - 1 - i]);
    }
    const cJSON *a = ask(world, "mode=ask&tokens=2000"), *b = ask(other, "mode=ask&tokens=2000");
    assert_true(cJSON_Compare(a, b, true));
    assert_string_equal(json_str(row_at(a, 0), "node", ""), "node2");
    assert_string_equal(json_str(row_at(a, 1), "node", ""), "node0");
    assert_string_equal(json_str(row_at(a, 3), "node", ""), "node3");
    void *of_other = other;
    (void)tear_down(&of_other);
}

/* The instance on `node` had the conversation, and a prompt of `blocks` whole blocks. */
static void remember(struct world *world, const char *node, const uint64_t *hashes, uint32_t blocks)
{
    const struct fleet_model *model = router_model(world->mesh.router, "small");
    struct affinity *affinity =
            affinities_touch(world->affinities, affinity_id(world->affinities, "local", "s-1"),
                    (double)env_now_us(&world->mesh.env.env) / 1e6);
    assert_non_null(affinity);
    for (uint32_t i = 0; i < model->count; i++) {
        const struct fleet_instance *entry = &model->at[i];
        if (strcmp(router_instance(entry)->node, node) != 0)
            continue;
        affinity->epoch = entry->epoch;
        prefix_note(model->prefixes, entry->holder, hashes, blocks);
    }
    affinity->model = affinity_model("small");
    affinity->last_block = hashes[blocks - 1];
    affinity->blocks = blocks;
}

static void a_conversation_is_held_where_it_was(void **state)
{
    struct world *world = *state;
    const uint64_t hashes[4] = {11, 12, 13, 14};
    join_small(world, 0, 200);
    join_small(world, 1, 200);
    remember(world, "node1", hashes, 4);
    const cJSON *json = ask(world, "mode=ask&tokens=3000&session=s-1");
    const cJSON *session = json_obj(json, "session");
    assert_true(json_bool(session, "known", false));
    assert_string_equal(json_str(session, "node", ""), "node1");
    assert_string_equal(json_str(session, "model", ""), "small");
    assert_string_equal(json_str(json_obj(json, "chosen"), "node", ""), "node1");
    double held = json_num(row_of(json, "node1"), "held_tokens", 0);
    assert_true(fabs(held - 4 * PREFIX_BLOCK_BYTES / TOKEN_RATIO_PRIOR) < 1);
    assert_true(json_num(row_of(json, "node0"), "held_tokens", -1) == 0);
    assert_true(
            seconds(row_of(json, "node1"), "prefill") < seconds(row_of(json, "node0"), "prefill"));
    json = ask(world, "mode=ask&tokens=3000&session=another");
    assert_false(json_bool(json_obj(json, "session"), "known", true));
    assert_true(json_num(row_of(json, "node1"), "held_tokens", -1) == 0);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(ask(world, "mode=ask&tokens=3000"), "session")));
}

static void tools_are_a_planning_call_until_the_conversation_is_known(void **state)
{
    struct world *world = *state;
    const struct msg_instance large = instance_of("large", 500);
    const uint64_t hash = 21;
    join_small(world, 0, 1000);
    join(world, 1, &large);
    const cJSON *json = ask(world, "mode=design&tokens=1000&needs=tools");
    assert_string_equal(json_str(json, "rule", ""), "design planning: large");
    remember(world, "node0", &hash, 1);
    json = ask(world, "mode=design&tokens=1000&needs=tools,chat&session=s-1");
    assert_null(strstr(json_str(json, "rule", ""), "planning"));
    assert_int_equal(cJSON_GetArraySize(json_array(json, "needs")), 2);
}

static void a_model_may_be_asked_for_by_name(void **state)
{
    struct world *world = *state;
    join_small(world, 0, 1000);
    const cJSON *json = ask(world, "model=small&tokens=1000");
    assert_string_equal(json_str(json, "mode", "?"), "");
    assert_says(json, "rule", "asked for by its name");
    assert_string_equal(json_str(json_obj(json, "chosen"), "model", ""), "small");
    assert_says(ask(world, "model=absent&tokens=1000"), "verdict", "none");
}

/* As in the body of a live request. */
static void what_stands_for_a_mode_or_a_model_is_that(void **state)
{
    struct world *world = *state;
    const struct msg_instance large = instance_of("large", 500);
    join_small(world, 0, 1000);
    join(world, 1, &large);
    static const char *const modes[] = {"gpt-4o", "gpt-4o:latest", "code", "mesh-code", "agent"};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        char query[64];
        (void)snprintf(query, sizeof(query), "model=%s&tokens=1000", modes[i]);
        assert_string_equal(json_str(ask(world, query), "rule", ""), "code up to 4k: small");
    }
    const cJSON *json = ask(world, "model=o9&tokens=1000");
    assert_string_equal(json_str(json, "mode", "?"), "");
    assert_string_equal(json_str(json_obj(json, "chosen"), "model", ""), "small");
    json = ask(world, "model=small:latest&tokens=1000");
    assert_string_equal(json_str(json_obj(json, "chosen"), "model", ""), "small");
    json = ask(world, "mode=mesh-code-lar&tokens=1000");
    assert_string_equal(json_str(json_obj(json, "chosen"), "model", ""), "large");
    assert_says(cJSON_GetArrayItem(json_array(json, "models"), 0), "why", "with another model");
}

static void bad_values_are_named_with_the_way_out(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *query;
        int status;
        const char *says;
    } cases[] = {
            {"tokens=100", 400, "a mode or a model is missing"},
            {"mode=ask", 400, "add tokens=30000"},
            {"mode=ask&model=small&tokens=1", 400, "leave one out"},
            {"mode=ask&tokens=many", 400, "tokens=many is no number of tokens"},
            {"mode=ask&tokens=0", 400, "tokens=0 is no number of tokens"},
            {"mode=ask&tokens=-1", 400, "tokens=-1"},
            {"mode=ask&tokens=1&output=17M", 400, "output=17M"},
            {"mode=ask&tokens=1&needs=tools,wings", 400,
                    "needs: \"wings\" is none of chat, tools, vision, audio, fim, embeddings and "
                    "rerank"},
            {"mode=ask&tokens=1&needs=,", 400, "needs: \"\" is none of chat, "},
            {"mode=auto&tokens=1", 400, "name one of code, ask"},
            {"mode=gpt-5&tokens=1", 400, "mode=gpt-5: what it becomes is told by"},
            {"model=auto&tokens=1", 400, "model=auto: what it becomes is told by"},
            {"model=gpt-5&tokens=1", 400, "model=gpt-5: what it becomes is told by"},
            {"model=no-such&tokens=1", 404,
                    "there is no mode or model \"no-such\"; known are: mesh-code, mesh-ask, "},
            {"mode=nobody&tokens=1", 404, "there is no mode \"nobody\"; known are: code, ask"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_says(json_obj(ask_for(world, cases[i].query, cases[i].status), "error"), "message",
                cases[i].says);
}

static void names_that_are_too_long_are_refused(void **state)
{
    struct world *world = *state;
    char query[256] = "mode=ask&tokens=1&session=";
    size_t len = strlen(query);
    memset(query + len, 'x', REQUEST_SESSION_MAX);
    (void)ask(world, query);
    query[len + REQUEST_SESSION_MAX] = 'x';
    assert_says(json_obj(ask_for(world, query, 400), "error"), "message", "is too long");
}

static void a_key_is_told_of_no_more_than_it_may_use(void **state)
{
    struct world *world = *state;
    char *modes[] = {"ask"};
    struct api_key key = {.name = "laptop", .modes = modes, .mode_count = 1};
    world->key = &key;
    join_small(world, 0, 100);
    assert_says(ask(world, "mode=ask&tokens=10"), "verdict", "run");
    assert_says(json_obj(ask_for(world, "mode=code&tokens=10", 403), "error"), "message",
            "\"laptop\" may not use the mode \"code\"");
    assert_says(json_obj(ask_for(world, "model=large&tokens=10", 403), "error"), "message",
            "may not use the model");
}

#define EXPLAIN_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            EXPLAIN_TEST(terms_add_up_to_the_total),
            EXPLAIN_TEST(the_writing_counts_as_the_mode_says),
            EXPLAIN_TEST(the_one_that_costs_least_is_chosen_and_the_other_told_why_not),
            EXPLAIN_TEST(the_rule_is_named_and_what_it_passes_over),
            EXPLAIN_TEST(models_of_a_rule_that_is_passed_over_are_told_why),
            EXPLAIN_TEST(refusals_are_named),
            EXPLAIN_TEST(models_agree_with_their_instances),
            EXPLAIN_TEST(what_nobody_can_take_says_so),
            EXPLAIN_TEST(what_is_far_too_long_loads_nothing),
            EXPLAIN_TEST(what_is_not_loaded_for_it_is_not_called_too_short),
            EXPLAIN_TEST(what_comes_back_by_itself_is_waited_for),
            EXPLAIN_TEST(who_is_away_is_waited_for),
            EXPLAIN_TEST(who_drains_is_waited_for),
            EXPLAIN_TEST(another_mode_may_be_asked_instead),
            EXPLAIN_TEST(the_last_mode_has_the_last_word),
            EXPLAIN_TEST(what_is_too_long_goes_on_too),
            EXPLAIN_TEST(what_is_too_long_for_all_goes_to_the_longest),
            EXPLAIN_TEST(what_is_too_long_for_all_is_loaded_for_where_what_is_loaded_is_full),
            EXPLAIN_TEST(a_full_one_is_waited_for),
            EXPLAIN_TEST(who_has_much_is_told_what_its_requests_get),
            EXPLAIN_TEST(now_is_what_is_explained),
            EXPLAIN_TEST(now_is_that_of_who_asks),
            EXPLAIN_TEST(now_is_greedy_by_the_mode_that_is_asked_for),
            EXPLAIN_TEST(without_memory_now_says_so),
            EXPLAIN_TEST(at_the_cursor_it_goes_where_infill_goes),
            EXPLAIN_TEST(what_tells_its_kind_need_not_chat),
            EXPLAIN_TEST(a_slot_that_is_kept_for_others_is_not_called_full),
            EXPLAIN_TEST(where_a_slot_is_free_who_would_refuse_waits),
            EXPLAIN_TEST(rows_do_not_depend_on_the_order_of_nodes),
            EXPLAIN_TEST(a_conversation_is_held_where_it_was),
            EXPLAIN_TEST(tools_are_a_planning_call_until_the_conversation_is_known),
            EXPLAIN_TEST(a_model_may_be_asked_for_by_name),
            EXPLAIN_TEST(what_stands_for_a_mode_or_a_model_is_that),
            EXPLAIN_TEST(bad_values_are_named_with_the_way_out),
            EXPLAIN_TEST(names_that_are_too_long_are_refused),
            EXPLAIN_TEST(a_key_is_told_of_no_more_than_it_may_use),
    };
    return cmocka_run_group_tests_name("serve_explain", tests, NULL, NULL);
}

#include "coordinator/modes/mode_policy.h"

#include "common/text.h"
#include "coordinator/modes/mode_config.h"
#include "coordinator/settings.h"
#include "tests/lib/modes_maker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAST      "gpt-oss-20b"
#define BALANCED  "qwen3-coder-30b"
#define REASONING "gpt-oss-120b"
#define LONG      "qwen3-thinking-30b"

enum { PATH_BYTES = 512, ANSWER = 512 };

/* --- the rules that are shipped --- */

/* configs/by-context, found from where this file was compiled. */
static struct modes shipped(void)
{
    const char *slash = strrchr(__FILE__, '/');
    struct config *config = config_create(coordinator_keys);
    struct modes modes = {.count = 0};
    struct err err = {.text = ""};
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%.*s/../../configs/by-context/coordinator.yaml",
            (int)(slash - __FILE__), __FILE__);
    if (config_load_file(config, path, &err) || modes_from_config(config, &modes, &err))
        fail_msg("%s", err.text);
    config_destroy(config);
    return modes;
}

/* What the four have loaded. */
static uint32_t context_of(const char *model)
{
    if (strcmp(model, FAST) == 0)
        return 32768;
    return strcmp(model, LONG) == 0 ? 262144 : 67584;
}

static void know_contexts(const struct mode *mode, struct mode_model_facts *models)
{
    for (size_t i = 0; i < mode->model_count; i++)
        models[i] = (struct mode_model_facts){.context = context_of(mode->models[i])};
}

enum { TOOLS = 1, RESULTS = 2, PLAN_MARK = 4 };

static void people_would_choose_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *mode;
        uint32_t prompt;
        unsigned facts;
        const char *rule; /* it ends with the model that is liked best */
    } cases[] = {
            {"ask", 0, 0, "ask up to 8k: " FAST}, {"ask", 8192 - ANSWER, 0, "ask up to 8k: " FAST},
            {"ask", 8192 - ANSWER + 1, 0, "ask up to 32k: " BALANCED},
            {"ask", 32768 - ANSWER, 0, "ask up to 32k: " BALANCED},
            {"ask", 40000, 0, "ask above 32k: " BALANCED},
            {"code", 500, 0, "code up to 16k: " FAST},
            {"code", 16384 - ANSWER, 0, "code up to 16k: " FAST},
            {"code", 16384 - ANSWER + 1, 0, "code up to 65k: " BALANCED},
            {"code", 65536, 0, "code up to 65k: " BALANCED},
            {"code", 66560 - ANSWER + 1, 0, "code up to 202k: " LONG},
            {"code", 200000, 0, "code up to 202k: " LONG},
            {"code", 230000, 0, "code above 202k: " LONG},
            {"architect", 16384, 0, "architect up to 65k: " REASONING},
            {"architect", 65536, 0, "architect up to 65k: " REASONING},
            {"architect", 70000, 0, "architect up to 262k: " LONG},
            {"debug", 8192, 0, "debug up to 65k: " REASONING},
            {"debug", 32768, 0, "debug up to 65k: " REASONING},
            {"debug", 70000, 0, "debug up to 262k: " LONG},
            {"orchestrator", 4000, 0, "orchestrator up to 65k: " BALANCED},
            {"orchestrator", 4000, TOOLS, "orchestrator planning: " REASONING ", " LONG},
            {"orchestrator", 4000, TOOLS | RESULTS, "orchestrator up to 65k: " BALANCED},
            {"orchestrator", 4000, TOOLS | RESULTS | PLAN_MARK,
                    "orchestrator planning: " REASONING ", " LONG},
            {"orchestrator", 100000, TOOLS, "orchestrator planning: " LONG},
            {"orchestrator", 100000, 0, "orchestrator above 65k: " LONG},
            /* What people ask for: */
            {"ask", 300, 0, "ask up to 8k: " FAST},                   /* explain a function */
            {"code", 32000, TOOLS, "code up to 65k: " BALANCED},      /* refactor five files */
            {"architect", 900, 0, "architect up to 65k: " REASONING}, /* design a service */
            {"debug", 6000, 0, "debug up to 65k: " REASONING},        /* a distributed failure */
            {"code", 150000, TOOLS, "code up to 202k: " LONG},        /* a whole code base */
    };
    struct modes modes = shipped();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct mode *mode = modes_find(&modes, cases[i].mode);
        struct mode_model_facts models[MODE_MODELS_MAX];
        struct mode_policy policy;
        know_contexts(mode, models);
        mode_policy_of(mode,
                &(struct mode_facts){.prompt_tokens = cases[i].prompt,
                        .output_tokens = ANSWER,
                        .tools = cases[i].facts & TOOLS,
                        .tool_results = cases[i].facts & RESULTS,
                        .plan_mark = cases[i].facts & PLAN_MARK,
                        .models = models},
                &policy);
        if (strcmp(policy.rule, cases[i].rule) != 0)
            fail_msg("%s with %u tokens: \"%s\", not \"%s\"", cases[i].mode, cases[i].prompt,
                    policy.rule, cases[i].rule);
        const char *first = mode->models[policy.options[0].model];
        assert_non_null(strstr(policy.rule, first));
    }
    modes_fini(&modes);
}

/* --- one mode --- */

struct world {
    struct modes modes;
    const struct mode *mode;
    struct mode_model_facts models[MODE_MODELS_MAX];
    struct mode_facts facts;
    struct mode_policy policy;
};

static struct world world_of(const char *yaml)
{
    struct world world = {.modes = modes_maker_make(yaml)};
    world.mode = &world.modes.list[0];
    return world;
}

/* The options as "a=70 b=65", of a prompt without an answer. */
static const char *options(struct world *world, uint32_t tokens, char *buf, size_t size)
{
    size_t len = 0;
    world->facts.prompt_tokens = tokens;
    world->facts.models = world->models;
    mode_policy_of(world->mode, &world->facts, &world->policy);
    buf[0] = '\0';
    for (size_t i = 0; i < world->policy.option_count; i++)
        len += (size_t)snprintf(buf + len, size - len, "%s%s=%u", i ? " " : "",
                world->mode->models[world->policy.options[i].model],
                world->policy.options[i].points);
    return buf;
}

static void gives(struct world *world, uint32_t tokens, const char *wanted, const char *rule)
{
    char buf[256];
    assert_string_equal(options(world, tokens, buf, sizeof(buf)), wanted);
    assert_string_equal(world->policy.rule, rule);
}

static void spares(const struct world *world, const char *wanted)
{
    char buf[256] = "";
    struct text_writer out = {.text = buf, .size = sizeof(buf)};
    for (size_t i = 0; i < world->policy.spare_count; i++)
        text_write(&out, "%s%s=%u", i ? " " : "",
                world->mode->models[world->policy.spares[i].model], world->policy.spares[i].points);
    assert_string_equal(buf, wanted);
}

static void points_come_from_config_node_and_place(void **state)
{
    (void)state;
    struct world world = world_of("modes:\n  m:\n    models: [a, b, c, d]\n    quality: {b: 40}\n");
    gives(&world, 10, "a=75 b=40 c=35 d=30", "m any model: a, b, c, d");
    assert_int_equal(world.policy.wanted, 75);
    world.models[0].points = 90;
    world.models[1].points = 99; /* the config comes first */
    world.models[2].points = 3;
    gives(&world, 10, "a=90 b=40 c=3 d=1", "m any model: a, b, c, d");
    static const uint8_t quality[] = {0, 40, 0, 1}; /* what nodes say, each says of its own */
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(world.policy.options[i].quality, quality[i]);
    modes_fini(&world.modes);
}

static void a_rule_without_a_model_that_serves_is_passed_over(void **state)
{
    (void)state;
    struct world world = world_of("modes:\n  m:\n    models: [a, b, c]\n"
                                  "    up-to: {1k: [a], 2k: [b]}\n");
    gives(&world, 1024, "a=75", "m up to 1k: a");
    gives(&world, 1025, "b=70", "m up to 2k: b");
    gives(&world, 2049, "a=75 b=70 c=65", "m above 2k: a, b, c");
    world.models[0].unable = true; /* it sees no pictures */
    gives(&world, 1024, "b=70", "m up to 2k: b");
    world.models[1].barred = true;
    gives(&world, 1024, "c=65", "m where no rule's model can: c");
    world.models[2].context = 1023;
    gives(&world, 1024, "a=75 c=65", "m any model, as none is known to be able to serve it");
    world.models[0].barred = world.models[2].barred = true;
    gives(&world, 1024, "", "m any model, as none is known to be able to serve it");
    assert_int_equal(world.policy.wanted, 0);
    modes_fini(&world.modes);
}

static void a_rule_whose_models_are_away_is_passed_over(void **state)
{
    (void)state;
    struct world world = world_of("modes:\n  m:\n    models: [a, b, c]\n    floor: 70\n"
                                  "    up-to: {1k: [a], 2k: [b]}\n");
    gives(&world, 1024, "a=75", "m up to 1k: a"); /* all are away: the rule's own is waited for */
    assert_int_equal(world.policy.passed, 0);
    world.models[2].there = true; /* below the floor */
    gives(&world, 1024, "a=75", "m up to 1k: a");
    world.models[1].there = true;
    gives(&world, 1024, "b=70", "m up to 2k: b");
    assert_int_equal(world.policy.passed, 1);
    world.models[1].context = 1000; /* it does not hold it */
    gives(&world, 1024, "a=75", "m up to 1k: a");
    world.models[2].points = 80;
    gives(&world, 1024, "a=75 c=80", "m where no rule's model can: a, c");
    assert_int_equal(world.policy.passed, 2);
    world.models[0].there = true;
    gives(&world, 1024, "a=75", "m up to 1k: a");
    modes_fini(&world.modes);
}

static void a_rule_names_who_may_answer(void **state)
{
    (void)state;
    struct world world = world_of("modes:\n  m:\n    models: [a, b, c]\n    floor: 70\n"
                                  "    up-to: {1k: [c, b]}\n");
    world.models[1].there = true;
    gives(&world, 1024, "c=65 b=70", "m up to 1k: b"); /* the other is below the floor */
    gives(&world, 2048, "a=75 b=70 c=65", "m above 1k: a, b");
    modes_fini(&world.modes);
    world = world_of("modes:\n  m:\n    models: [a, b]\n    floor: 80\n");
    gives(&world, 1024, "a=75 b=70", "m any model"); /* none may */
    modes_fini(&world.modes);
}

static void the_others_that_would_do_are_spares(void **state)
{
    (void)state;
    struct world world = world_of("modes:\n  m:\n    models: [a, b, c, d]\n    floor: 65\n"
                                  "    up-to: {1k: [b], 2k: [a]}\n");
    gives(&world, 1024, "b=70", "m up to 1k: b");
    spares(&world, "a=75 c=65"); /* the last is below the floor */
    world.models[0].barred = true;
    world.models[2].context = 1000; /* it does not hold it */
    world.models[3].points = 90;    /* its node says so, and to the scheduler too */
    gives(&world, 1024, "b=70", "m up to 1k: b");
    spares(&world, "d=90");
    assert_int_equal(world.policy.spares[0].quality, 0);
    gives(&world, 2049, "b=70 d=90", "m above 2k: b, d");
    spares(&world, "");
    modes_fini(&world.modes);
    world = world_of("modes:\n  m:\n    models: [a, b, c]\n    stand-in: true\n    up-to: {1k: "
                     "[b]}\n");
    gives(&world, 1024, "b=70 a=75", "m up to 1k: b");
    spares(&world, "c=65");
    modes_fini(&world.modes);
}

static void a_context_that_is_not_known_is_tried(void **state)
{
    (void)state;
    struct world world = world_of("modes:\n  m:\n    models: [a, b]\n    up-to: {1k: [a]}\n");
    world.models[0].context = 1024;
    gives(&world, 1024, "a=75", "m up to 1k: a");
    gives(&world, 1025, "b=70", "m above 1k: b");
    world.facts.output_tokens = 1; /* the answer counts */
    gives(&world, 1024, "b=70", "m above 1k: b");
    world.facts.output_tokens = UINT32_MAX; /* no sum is too large */
    gives(&world, UINT32_MAX, "b=70", "m above 1k: b");
    modes_fini(&world.modes);
}

static void a_model_as_good_may_stand_in(void **state)
{
    (void)state;
    struct world world = world_of("modes:\n  m:\n    models: [a, b, c, d]\n"
                                  "    quality: {a: 50, b: 60, c: 70, d: 60}\n"
                                  "    up-to: {1k: [b], 2k: [a, b]}\n    stand-in: true\n");
    gives(&world, 10, "b=60 c=70 d=60", "m up to 1k: b");
    assert_int_equal(world.policy.stand_ins, 2);
    assert_int_equal(world.policy.wanted, 60); /* nobody is charged for what is not asked */
    gives(&world, 2000, "a=50 b=60 c=70 d=60", "m up to 2k: a, b");
    assert_int_equal(world.policy.wanted, 50);
    world.models[2].barred = true;
    gives(&world, 10, "b=60 d=60", "m up to 1k: b");
    modes_fini(&world.modes);
}

static void a_floor_goes_by_the_context(void **state)
{
    (void)state;
    struct world world = world_of("modes:\n  m:\n    models: [a]\n    floor: 70\n"
                                  "    floor-up-to: {1k: 10, 2k: 30}\n");
    static const uint32_t cases[][2] = {{0, 10}, {1024, 10}, {1025, 30}, {2048, 30}, {2049, 70}};
    char buf[64];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)options(&world, cases[i][0], buf, sizeof(buf));
        assert_int_equal(world.policy.floor, cases[i][1]);
    }
    modes_fini(&world.modes);
}

static void planning_needs_its_models(void **state)
{
    (void)state;
    struct world world = world_of("modes:\n  m:\n    models: [a, b]\n    up-to: {1k: [a]}\n"
                                  "    planning: [b]\n");
    world.facts.tools = true;
    gives(&world, 10, "b=70", "m planning: b");
    assert_false(world.policy.passed_planning);
    world.models[1].unable = true;
    gives(&world, 10, "a=75", "m up to 1k: a");
    assert_true(world.policy.passed_planning);
    world.models[1].unable = false;
    world.facts.tool_results = true;
    gives(&world, 10, "a=75", "m up to 1k: a");
    assert_false(world.policy.passed_planning);
    world.facts.plan_mark = true;
    gives(&world, 10, "b=70", "m planning: b");
    modes_fini(&world.modes);
    world = world_of("modes:\n  m:\n    models: [a, b, c]\n    quality: {a: 50, b: 60, c: 70}\n"
                     "    planning: [b]\n    stand-in: true\n");
    world.facts.plan_mark = true;
    gives(&world, 10, "b=60 c=70", "m planning: b");
    assert_int_equal(world.policy.stand_ins, 1);
    modes_fini(&world.modes);
    world = world_of("modes:\n  m:\n    models: [a]\n");
    world.facts.plan_mark = true;
    gives(&world, 10, "a=75", "m any model: a");
    modes_fini(&world.modes);
}

static void the_rest_is_handed_on(void **state)
{
    (void)state;
    struct world world = world_of("modes:\n  m:\n    models: [a]\n    batch: true\n"
                                  "    priority: 3\n    beta: 0.5\n    max-output: 100\n");
    gives(&world, 10, "a=75", "m any model: a");
    assert_true(world.policy.batch && world.policy.beta == 0.5);
    assert_int_equal(world.policy.priority, 3);
    static const uint32_t limits[][2] = {{0, 100}, {99, 99}, {100, 100}, {101, 100}};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        assert_int_equal(mode_output_limit(world.mode, limits[i][0]), limits[i][1]);
    modes_fini(&world.modes);
    world = world_of("modes:\n  m:\n    models: [a]\n");
    assert_int_equal(mode_output_limit(world.mode, 0), 0);
    assert_int_equal(mode_output_limit(world.mode, 7), 7);
    modes_fini(&world.modes);
}

/* Nobody waits for batch work, and an owner who says it knows better. */
static void what_is_known_of_who_waits_counts_where_the_mode_says_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        double told, beta;
    } cases[] = {
            {"modes:\n  m:\n    models: [a]\n", 0, 0.3},
            {"modes:\n  m:\n    models: [a]\n", 0.6, 0.6},
            {"modes:\n  m:\n    models: [a]\n    batch: false\n", 0.15, 0.15},
            {"modes:\n  m:\n    models: [a]\n    beta: 0.3\n", 0.6, 0.3},
            {"modes:\n  m:\n    models: [a]\n    beta: 0\n", 0.6, 0},
            {"modes:\n  m:\n    models: [a]\n    batch: true\n", 0.15, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world world = world_of(cases[i].yaml);
        world.facts.beta = cases[i].told;
        gives(&world, 10, "a=75", "m any model: a");
        if (world.policy.beta < cases[i].beta || world.policy.beta > cases[i].beta)
            fail_msg("case %zu: %f, not %f", i, world.policy.beta, cases[i].beta);
        modes_fini(&world.modes);
    }
}

static void a_long_rule_is_cut_at_a_name(void **state)
{
    (void)state;
    char yaml[4096] = "modes:\n  m:\n    models: [", buf[4096];
    for (int i = 0; i < MODE_MODELS_MAX; i++)
        (void)snprintf(yaml + strlen(yaml), sizeof(yaml) - strlen(yaml), "model-number-%d, ", i);
    strcpy(yaml + strlen(yaml) - 2, "]\n");
    struct world world = world_of(yaml);
    (void)options(&world, 1, buf, sizeof(buf));
    size_t len = strlen(world.policy.rule);
    assert_true(len < MODE_RULE_TEXT_MAX && len > MODE_RULE_TEXT_MAX - 20);
    assert_string_equal(world.policy.rule + len - strlen("model-number-10"), "model-number-10");
    modes_fini(&world.modes);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(people_would_choose_the_same),
            cmocka_unit_test(points_come_from_config_node_and_place),
            cmocka_unit_test(a_rule_without_a_model_that_serves_is_passed_over),
            cmocka_unit_test(a_rule_whose_models_are_away_is_passed_over),
            cmocka_unit_test(a_rule_names_who_may_answer),
            cmocka_unit_test(the_others_that_would_do_are_spares),
            cmocka_unit_test(a_context_that_is_not_known_is_tried),
            cmocka_unit_test(a_model_as_good_may_stand_in),
            cmocka_unit_test(a_floor_goes_by_the_context),
            cmocka_unit_test(planning_needs_its_models),
            cmocka_unit_test(the_rest_is_handed_on),
            cmocka_unit_test(what_is_known_of_who_waits_counts_where_the_mode_says_nothing),
            cmocka_unit_test(a_long_rule_is_cut_at_a_name),
    };
    return cmocka_run_group_tests_name("mode_policy", tests, NULL, NULL);
}

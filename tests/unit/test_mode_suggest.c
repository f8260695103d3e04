#include "coordinator/modes/mode_suggest.h"

#include "coordinator/modes/mode_yaml.h"
#include "tests/lib/modes_maker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { YAML_MAX = 65536, B = 1000000000 };

static struct suggest_models known; /* too large for a stack */

static int setup(void **state)
{
    (void)state;
    known = (struct suggest_models){.count = 0};
    return 0;
}

static struct instance make(const char *model, uint32_t capabilities, uint64_t parameters)
{
    struct instance instance = {.capabilities = capabilities, .parameters = parameters};
    strcpy(instance.model, model);
    return instance;
}

static void look(struct instance *instances, size_t count)
{
    struct instance *list[16];
    for (size_t i = 0; i < count; i++)
        list[i] = &instances[i];
    suggest_look(&known, list, count);
}

/* The modes as "ask: a b, code: b"; planning as "orchestrator: a b (c)". */
static const char *suggested(void)
{
    static char text[YAML_MAX];
    struct modes modes;
    size_t len = 0;
    assert_int_equal(suggest_modes(&known, &modes, NULL), 0);
    assert_true(modes.derived);
    text[0] = '\0';
    for (size_t i = 0; i < modes.count; i++) {
        const struct mode *mode = &modes.list[i];
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s:", i ? ", " : "", mode->name);
        for (size_t m = 0; m < mode->model_count; m++)
            len += (size_t)snprintf(text + len, sizeof(text) - len, " %s", mode->models[m]);
        if (mode->planning.count)
            len += (size_t)snprintf(
                    text + len, sizeof(text) - len, " (%s)", mode->planning.names[0]);
    }
    modes_fini(&modes);
    return text;
}

static const char *yaml_of(const struct modes *modes, char buf[YAML_MAX])
{
    struct buf out;
    buf_init(&out, YAML_MAX);
    assert_int_equal(mode_yaml_append(modes, &out), 0);
    assert_int_equal(buf_terminate(&out), 0);
    strcpy(buf, buf_at(&out));
    buf_fini(&out);
    return buf;
}

static const uint32_t TALKS = CAPABILITY_CHAT | CAPABILITY_TOOLS,
                      FILLS = CAPABILITY_CHAT | CAPABILITY_FIM,
                      REASONS = CAPABILITY_CHAT | CAPABILITY_REASONING;

/* What a small team has. */
static size_t fleet(struct instance instances[16])
{
    static const struct {
        const char *model;
        uint32_t capabilities;
        uint64_t parameters;
        float decode_tok_s;
    } all[] = {{"qwen3-coder-30b", 0, UINT64_C(30) * B, 70}, {"glm-air", 0, UINT64_C(106) * B, 20},
            {"gpt-oss-20b", 0, UINT64_C(20) * B, 130},
            {"qwen2.5-coder-1.5b", 0, UINT64_C(1543) * 1000000, 200},
            {"qwen3-embedding", 0, UINT64_C(600) * 1000000, 0},
            {"nomic-embed", 0, UINT64_C(137) * 1000000, 0}, {"bge-reranker", 0, 500000000, 0}};
    const uint32_t capabilities[] = {TALKS, TALKS | REASONS, TALKS | REASONS, FILLS,
            CAPABILITY_EMBEDDINGS, CAPABILITY_EMBEDDINGS, CAPABILITY_RERANK};
    size_t count = sizeof(all) / sizeof(all[0]);
    for (size_t i = 0; i < count; i++) {
        instances[i] = make(all[i].model, capabilities[i], all[i].parameters);
        instances[i].decode_tok_s = all[i].decode_tok_s;
    }
    return count;
}

#define FLEETS_MODES                                                                               \
    "ask: gpt-oss-20b qwen3-coder-30b glm-air qwen2.5-coder-1.5b, "                                \
    "code: qwen3-coder-30b glm-air gpt-oss-20b qwen2.5-coder-1.5b, "                               \
    "architect: glm-air gpt-oss-20b qwen3-coder-30b qwen2.5-coder-1.5b, "                          \
    "debug: glm-air gpt-oss-20b qwen3-coder-30b qwen2.5-coder-1.5b, "                              \
    "orchestrator: qwen3-coder-30b glm-air gpt-oss-20b qwen2.5-coder-1.5b (glm-air), "             \
    "autocomplete: qwen2.5-coder-1.5b, embed: qwen3-embedding, rerank: bge-reranker"

static void each_model_is_where_it_suits(void **state)
{
    (void)state;
    struct instance instances[16];
    look(instances, fleet(instances));
    assert_string_equal(suggested(), FLEETS_MODES);
}

static void the_order_of_nodes_does_not_count(void **state)
{
    (void)state;
    struct instance instances[16], turned[16];
    size_t count = fleet(instances);
    for (size_t i = 0; i < count; i++)
        turned[count - 1 - i] = instances[i];
    look(turned, count);
    assert_string_equal(suggested(), FLEETS_MODES);
}

static void who_has_nothing_has_no_modes(void **state)
{
    (void)state;
    assert_string_equal(suggested(), "");
    struct instance only = make("nomic", CAPABILITY_EMBEDDINGS, 1);
    look(&only, 1);
    assert_string_equal(suggested(), "embed: nomic");
}

static void one_model_does_it_all(void **state)
{
    (void)state;
    struct instance only = make("only", FILLS, 0);
    look(&only, 1);
    assert_string_equal(suggested(), "ask: only, code: only, architect: only, debug: only, "
                                     "orchestrator: only, autocomplete: only");
    only.capabilities = 0; /* a node of an earlier version: it chats */
    look(&only, 1);
    assert_string_equal(
            suggested(), "ask: only, code: only, architect: only, debug: only, orchestrator: only");
}

static void a_model_that_is_gone_stays(void **state)
{
    (void)state;
    struct instance both[] = {make("a", TALKS, 8), make("b", TALKS | REASONS, 4)};
    look(both, 2);
    const char *before = strdup(suggested());
    look(both, 1);
    assert_string_equal(suggested(), before);
    look(NULL, 0);
    assert_string_equal(suggested(), before);
    free((char *)before);
}

static void assert_ask(const char *models)
{
    const char *text = suggested();
    size_t len = strlen(models);
    if (strncmp(text, "ask: ", 5) != 0 || strncmp(text + 5, models, len) != 0 ||
            text[5 + len] != ',')
        fail_msg("not \"%s\": %s", models, text);
}

static void a_speed_counts_by_powers_of_two(void **state)
{
    (void)state;
    struct instance both[] = {make("a", TALKS, 8), make("b", TALKS, 4)};
    both[0].decode_tok_s = 40;
    both[1].decode_tok_s = 79; /* about as quick: the larger one comes first */
    look(both, 2);
    assert_ask("a b");
    known.count = 0;
    both[1].decode_tok_s = 81;
    look(both, 2);
    assert_ask("b a");
}

static void unmeasured_it_goes_by_the_parameters_of_a_token(void **state)
{
    (void)state;
    struct instance all[] = {make("a", TALKS, 8), make("b", TALKS, 4), make("c", TALKS, 0),
            make("big-30b-a3b", TALKS, 30)};
    look(all, 4);
    assert_ask("big-30b-a3b b a c");
}

static void a_first_measurement_changes_nothing(void **state)
{
    (void)state;
    static const float speeds[] = {1, 150, 1000000};
    for (size_t model = 0; model < 3; model++)
        for (size_t i = 0; i < sizeof(speeds) / sizeof(speeds[0]); i++) {
            struct instance all[] = {
                    make("a", TALKS, 24), make("b", TALKS, 14), make("c", TALKS, 8)};
            known.count = 0;
            look(all, 3);
            assert_ask("b c a");
            all[model].decode_tok_s = speeds[i];
            look(all, 3);
            assert_ask("b c a");
            known.count = 0; /* whoever looks for the first time now sees the same */
            look(all, 3);
            assert_ask("b c a");
        }
}

static void exactly_twice_as_slow_counts_as_that(void **state)
{
    (void)state;
    for (uint64_t parameters = 1; parameters < 2000; parameters += 7) {
        struct instance both[] = {make("a", TALKS, 2 * parameters), make("b", TALKS, parameters)};
        both[parameters % 2].decode_tok_s = 33.3f;
        known.count = 0;
        look(both, 2);
        assert_ask("b a");
    }
}

static void what_was_measured_stands_above_the_size(void **state)
{
    (void)state;
    struct instance both[] = {make("a", TALKS, 8), make("b", TALKS, 4)};
    look(both, 2);
    assert_ask("b a");
    both[0].decode_tok_s = 100; /* on a quicker host */
    both[1].decode_tok_s = 25;
    look(both, 2);
    assert_ask("a b");
}

static void a_place_is_left_only_for_a_clear_difference(void **state)
{
    (void)state;
    struct instance both[] = {make("a", TALKS, 8), make("b", TALKS, 4)};
    both[0].decode_tok_s = 40;
    both[1].decode_tok_s = 70;
    look(both, 2);
    assert_ask("a b");
    both[1].decode_tok_s = 110;
    look(both, 2);
    assert_ask("a b");
    both[1].decode_tok_s = 115;
    look(both, 2);
    assert_ask("b a");
    both[0].decode_tok_s = 80; /* back it goes for as much more */
    look(both, 2);
    assert_ask("b a");
    both[0].decode_tok_s = 82;
    look(both, 2);
    assert_ask("a b");
}

static void a_busy_hour_makes_no_model_slower(void **state)
{
    (void)state;
    struct instance both[] = {make("a", TALKS, 8), make("b", TALKS, 4)};
    both[0].decode_tok_s = 100;
    both[1].decode_tok_s = 25;
    look(both, 2);
    assert_ask("a b");
    both[0].decode_tok_s = 10;
    look(both, 2);
    assert_ask("a b");
    both[0].decode_tok_s = 0; /* its node started again */
    look(both, 2);
    assert_ask("a b");
}

static void instances_of_a_model_tell_together(void **state)
{
    (void)state;
    struct instance three[] = {
            make("a", CAPABILITY_CHAT, 8), make("b", TALKS, 8), make("a", FILLS, 0)};
    three[1].decode_tok_s = 100;
    three[2].decode_tok_s = 300;
    three[0].batch_only = true; /* it fits elsewhere */
    look(three, 3);
    assert_int_equal(known.count, 2);
    assert_int_equal(known.at[0].capabilities, FILLS);
    assert_int_equal(known.at[0].parameters, 8);
    assert_true(known.at[0].decode_tok_s == 300);
    assert_false(known.at[0].swaps);
    three[2].batch_only = true;
    look(three, 3);
    assert_string_equal(suggested(), "ask: b, code: b, architect: b, debug: b, orchestrator: b");
}

static void what_is_too_much_is_left_out(void **state)
{
    (void)state;
    struct instance one = make("a", TALKS, 1);
    for (int i = 0; i < SUGGEST_MODELS_MAX + 10; i++) {
        (void)snprintf(one.model, sizeof(one.model), "m%03d", i);
        look(&one, 1);
    }
    assert_int_equal(known.count, SUGGEST_MODELS_MAX);
    struct modes modes;
    assert_int_equal(suggest_modes(&known, &modes, NULL), 0);
    assert_int_equal(modes.list[0].model_count, MODE_MODELS_MAX);
    modes_fini(&modes);
}

/* 0: nothing of it is known. */
static uint64_t parameters_of(const char *model)
{
    for (size_t i = 0; i < known.count; i++)
        if (strcmp(known.at[i].name, model) == 0)
            return known.at[i].parameters;
    return 0;
}

static void what_is_gone_makes_room_for_what_is_there(void **state)
{
    (void)state;
    struct instance two[2] = {make("m000", TALKS, 1), make("new", TALKS, 3)};
    for (int i = 0; i < SUGGEST_MODELS_MAX; i++) {
        (void)snprintf(two[0].model, sizeof(two[0].model), "m%03d", i);
        look(two, 1);
    }
    look(two, 2); /* two[0] is the last one of the table */
    assert_int_equal(known.count, SUGGEST_MODELS_MAX);
    assert_int_equal(parameters_of("new"), 3);
    assert_int_equal(parameters_of("m255"), 1);
    assert_int_equal(parameters_of("m000"), 0);
}

/* --- YAML --- */

static void same_models(const struct mode_models *a, const struct mode_models *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        assert_string_equal(a->names[i], b->names[i]);
}

static void same_rules(const struct mode *a, const struct mode *b)
{
    assert_int_equal(a->rule_count, b->rule_count);
    for (size_t i = 0; i < a->rule_count; i++) {
        assert_int_equal(a->rules[i].tokens, b->rules[i].tokens);
        same_models(&a->rules[i].models, &b->rules[i].models);
    }
    same_models(&a->planning, &b->planning);
    assert_int_equal(a->floor_count, b->floor_count);
    for (size_t i = 0; i < a->floor_count; i++) {
        assert_int_equal(a->floors[i].tokens, b->floors[i].tokens);
        assert_int_equal(a->floors[i].points, b->floors[i].points);
    }
}

static void same_numbers(const struct mode *a, const struct mode *b)
{
    const uint32_t these[] = {a->stand_in, a->floor, a->priority, a->batch, a->has_temperature,
            a->max_output, a->when_none, a->patience_ms, a->beta_is_set, a->context,
            a->context_is_set, a->context_floor, a->slots, a->copies, a->weight};
    const uint32_t those[] = {b->stand_in, b->floor, b->priority, b->batch, b->has_temperature,
            b->max_output, b->when_none, b->patience_ms, b->beta_is_set, b->context,
            b->context_is_set, b->context_floor, b->slots, b->copies, b->weight};
    assert_memory_equal(these, those, sizeof(these));
    assert_true(a->beta == b->beta && a->temperature == b->temperature);
    assert_string_equal(a->next ? a->next : "", b->next ? b->next : "");
}

static void same_mode(const struct mode *a, const struct mode *b)
{
    assert_string_equal(a->name, b->name);
    same_models(&(struct mode_models){.names = a->models, .count = a->model_count},
            &(struct mode_models){.names = b->models, .count = b->model_count});
    assert_int_equal(a->point_count, b->point_count);
    for (size_t i = 0; i < a->point_count; i++)
        assert_int_equal(mode_said_points(b, a->points[i].model), a->points[i].points);
    same_rules(a, b);
    same_numbers(a, b);
}

static void comes_back(const struct modes *modes)
{
    char yaml[YAML_MAX];
    struct modes again = modes_maker_make(yaml_of(modes, yaml));
    assert_int_equal(again.count, modes->count);
    for (size_t i = 0; i < modes->count; i++)
        same_mode(&modes->list[i], &again.list[i]);
    modes_fini(&again);
}

static void what_is_suggested_can_be_kept(void **state)
{
    (void)state;
    struct instance instances[16];
    struct modes modes;
    look(instances, fleet(instances));
    assert_int_equal(suggest_modes(&known, &modes, NULL), 0);
    comes_back(&modes);
    char yaml[YAML_MAX];
    assert_non_null(strstr(yaml_of(&modes, yaml), "modes:\n  ask:\n    models: [gpt-oss-20b, "));
    assert_non_null(strstr(yaml, "    planning: [glm-air]\n"));
    assert_non_null(strstr(yaml, "  embed:\n    models: [qwen3-embedding]\n    context: 8192\n"));
    modes_fini(&modes);
}

static void whatever_a_config_says_can_be_written(void **state)
{
    (void)state;
    static const char *const configs[] = {"modes:\n  ask:\n    models: [a]\n",
            "modes:\n  code:\n    models: [\"a: b\", \" c \", null-x, \"null\", \"-\", \"1e3\", "
            "\"org/m:7b+q\"]\n    quality: {\"a: b\": 3, \"org/m:7b+q\": 100}\n"
            "    up-to: {1: [\"null\"], 16k: [\" c \", \"-\"], 3M: [\"1e3\"]}\n"
            "    planning: [\"-\"]\n    floor: 1\n    floor-up-to: {5000: 2, 8k: 0}\n"
            "    stand-in: yes\n    priority: 9\n    beta: 0.125\n    temperature: 0\n"
            "    max-output: 4096\n    when-none: \"null\"\n    patience: 90s\n"
            "    context: 4096\n    slots: 3\n    copies: 2\n    weight: 11\n"
            "  \"null\":\n    models: [a]\n    batch: true\n    when-none: refuse\n"
            "    patience: 1001ms\n    context: 65536\n    context-floor: 65536\n"
            "  _x:\n    models: [a]\n    batch: true\n    priority: normal\n    beta: 0\n"
            "    context: 2048\n    context-floor: 1024\n    temperature: 1.333\n"
            "  y:\n    models: [a]\n    beta: 0.3\n"};
    for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
        struct modes modes = modes_maker_make(configs[i]);
        comes_back(&modes);
        modes_fini(&modes);
    }
}

static void defaults_are_those_of_the_settings(void **state)
{
    (void)state;
    struct modes modes = modes_maker_make("modes:\n  ask:\n    models: [a]\n");
    struct mode bare;
    mode_init(&bare);
    same_numbers(&bare, &modes.list[0]);
    modes_fini(&modes);
}

static void no_room_is_told(void **state)
{
    (void)state;
    struct modes modes = modes_maker_make("modes:\n  ask:\n    models: [a]\n");
    struct buf out;
    buf_init(&out, 10);
    assert_true(mode_yaml_append(&modes, &out) < 0);
    buf_fini(&out);
    modes_fini(&modes);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(each_model_is_where_it_suits, setup),
            cmocka_unit_test_setup(the_order_of_nodes_does_not_count, setup),
            cmocka_unit_test_setup(who_has_nothing_has_no_modes, setup),
            cmocka_unit_test_setup(one_model_does_it_all, setup),
            cmocka_unit_test_setup(a_model_that_is_gone_stays, setup),
            cmocka_unit_test_setup(a_speed_counts_by_powers_of_two, setup),
            cmocka_unit_test_setup(unmeasured_it_goes_by_the_parameters_of_a_token, setup),
            cmocka_unit_test_setup(a_first_measurement_changes_nothing, setup),
            cmocka_unit_test_setup(exactly_twice_as_slow_counts_as_that, setup),
            cmocka_unit_test_setup(what_was_measured_stands_above_the_size, setup),
            cmocka_unit_test_setup(a_place_is_left_only_for_a_clear_difference, setup),
            cmocka_unit_test_setup(a_busy_hour_makes_no_model_slower, setup),
            cmocka_unit_test_setup(instances_of_a_model_tell_together, setup),
            cmocka_unit_test_setup(what_is_too_much_is_left_out, setup),
            cmocka_unit_test_setup(what_is_gone_makes_room_for_what_is_there, setup),
            cmocka_unit_test_setup(what_is_suggested_can_be_kept, setup),
            cmocka_unit_test(whatever_a_config_says_can_be_written),
            cmocka_unit_test(defaults_are_those_of_the_settings),
            cmocka_unit_test(no_room_is_told),
    };
    return cmocka_run_group_tests_name("mode_suggest", tests, NULL, NULL);
}

#include "coordinator/modes/mode_policy.h"

#include "common/text.h"

#include <stdio.h>
#include <string.h>

struct choosing {
    const struct mode *mode;
    const struct mode_facts *facts;
    uint32_t tokens; /* of prompt and answer */
    uint8_t points[MODE_MODELS_MAX];
    bool only_there; /* a rule counts only where one of its models is there */
    struct mode_policy *policy;
};

static uint32_t tokens_of(const struct mode_facts *facts)
{
    uint64_t sum = (uint64_t)facts->prompt_tokens + facts->output_tokens;
    return sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
}

/* --- what is said of models --- */

void mode_points_of(const struct mode *mode, const struct mode_model_facts *models,
        uint8_t ret_points[MODE_MODELS_MAX])
{
    uint8_t next = MODE_POINTS_FIRST;
    for (size_t i = 0; i < mode->model_count; i++) {
        uint8_t points = mode_said_points(mode, mode->models[i]);
        if (points == 0 && models)
            points = models[i].points;
        ret_points[i] = points ? points : next;
        next = ret_points[i] > MODE_POINTS_STEP ? (uint8_t)(ret_points[i] - MODE_POINTS_STEP) : 1;
    }
}

uint8_t mode_floor_at(const struct mode *mode, uint32_t tokens)
{
    for (size_t i = 0; i < mode->floor_count; i++)
        if (tokens <= mode->floors[i].tokens)
            return mode->floors[i].points;
    return mode->floor;
}

uint32_t mode_output_limit(const struct mode *mode, uint32_t asked)
{
    if (mode->max_output == 0 || (asked && asked < mode->max_output))
        return asked;
    return mode->max_output;
}

static bool is_planning(const struct mode *mode, const struct mode_facts *facts)
{
    if (mode->planning.count == 0)
        return false;
    return facts->plan_mark || (facts->tools && !facts->tool_results);
}

static bool serves(const struct choosing *choosing, size_t model)
{
    const struct mode_model_facts *it = &choosing->facts->models[model];
    return !it->barred && !it->unable && (it->context == 0 || it->context >= choosing->tokens);
}

static bool is_ready(const struct choosing *choosing, size_t model)
{
    return choosing->facts->models[model].there && serves(choosing, model) &&
           choosing->points[model] >= choosing->policy->floor;
}

/* --- options --- */

static bool is_option(const struct mode_policy *policy, size_t model)
{
    for (size_t i = 0; i < policy->option_count; i++)
        if (policy->options[i].model == model)
            return true;
    return false;
}

static struct mode_option option_of(const struct choosing *choosing, size_t model)
{
    uint8_t points = choosing->points[model];
    bool by_node = choosing->facts->models[model].points &&
                   !mode_said_points(choosing->mode, choosing->mode->models[model]);
    return (struct mode_option){
            .model = (uint32_t)model, .points = points, .quality = by_node ? 0 : points};
}

static void add_option(struct choosing *choosing, size_t model)
{
    struct mode_policy *policy = choosing->policy;
    if (!is_option(policy, model))
        policy->options[policy->option_count++] = option_of(choosing, model);
}

/* In the order of `models`: that of its rule. */
static void add_named(struct choosing *choosing, const struct mode_models *models)
{
    const struct mode *mode = choosing->mode;
    for (size_t i = 0; i < models->count; i++)
        for (size_t m = 0; m < mode->model_count; m++)
            if (strcmp(mode->models[m], models->names[i]) == 0 && serves(choosing, m))
                add_option(choosing, m);
}

static void add_all_that_serve(struct choosing *choosing)
{
    for (size_t m = 0; m < choosing->mode->model_count; m++)
        if (serves(choosing, m))
            add_option(choosing, m);
}

static void add_all_allowed(struct choosing *choosing)
{
    for (size_t m = 0; m < choosing->mode->model_count; m++)
        if (!choosing->facts->models[m].barred)
            add_option(choosing, m);
}

static uint8_t most_points(const struct mode_policy *policy)
{
    uint8_t most = 0;
    for (size_t i = 0; i < policy->option_count; i++)
        if (policy->options[i].points > most)
            most = policy->options[i].points;
    return most;
}

/* Beside those of a rule. */
static void add_stand_ins(struct choosing *choosing)
{
    struct mode_policy *policy = choosing->policy;
    size_t named = policy->option_count;
    uint8_t least = most_points(policy);
    for (size_t m = 0; m < choosing->mode->model_count; m++)
        if (serves(choosing, m) && choosing->points[m] >= least)
            add_option(choosing, m);
    policy->stand_ins = policy->option_count - named;
}

static void add_spares(struct choosing *choosing)
{
    struct mode_policy *policy = choosing->policy;
    for (size_t m = 0; m < choosing->mode->model_count; m++)
        if (!is_option(policy, m) && serves(choosing, m) && choosing->points[m] >= policy->floor)
            policy->spares[policy->spare_count++] = option_of(choosing, m);
}

/* --- words --- */

static void write_rule(struct mode_policy *policy, const char *mode, const char *what)
{
    snprintf(policy->rule, sizeof(policy->rule), "%s %s", mode, what);
}

/* Its first models that may answer, as far as there is room. */
static void write_models(struct choosing *choosing)
{
    struct mode_policy *policy = choosing->policy;
    size_t named = policy->option_count - policy->stand_ins;
    size_t len = strlen(policy->rule);
    const char *before = ": ";
    for (size_t i = 0; i < named; i++) {
        const char *name = choosing->mode->models[policy->options[i].model];
        size_t room = sizeof(policy->rule) - len;
        if (policy->options[i].points < policy->floor)
            continue;
        int more = snprintf(policy->rule + len, room, "%s%s", before, name);
        before = ", ";
        if (more < 0 || (size_t)more >= room) {
            policy->rule[len] = '\0';
            return;
        }
        len += (size_t)more;
    }
}

static void write_named(struct choosing *choosing, const char *what)
{
    write_rule(choosing->policy, choosing->mode->name, what);
    write_models(choosing);
}

/* --- rules --- */

/* False, and nothing is added, where it has none that counts. */
static bool take_named(struct choosing *choosing, const struct mode_models *models)
{
    struct mode_policy *policy = choosing->policy;
    bool some_ready = false;
    add_named(choosing, models);
    for (size_t i = 0; i < policy->option_count; i++)
        some_ready |= is_ready(choosing, policy->options[i].model);
    if (choosing->only_there && !some_ready)
        policy->option_count = 0;
    return policy->option_count > 0;
}

static bool take_planning(struct choosing *choosing)
{
    if (!is_planning(choosing->mode, choosing->facts) ||
            !take_named(choosing, &choosing->mode->planning))
        return false;
    if (choosing->mode->stand_in)
        add_stand_ins(choosing);
    write_named(choosing, "planning");
    return true;
}

static bool take_rule(struct choosing *choosing, const struct mode_rule *rule)
{
    char tokens[32], what[48];
    if (choosing->tokens > rule->tokens || !take_named(choosing, &rule->models))
        return false;
    if (choosing->mode->stand_in)
        add_stand_ins(choosing);
    snprintf(what, sizeof(what), "up to %s",
            text_format_tokens(rule->tokens, tokens, sizeof(tokens)));
    write_named(choosing, what);
    return true;
}

/* Past all rules, or without any. */
static void take_rest(struct choosing *choosing)
{
    const struct mode *mode = choosing->mode;
    struct mode_policy *policy = choosing->policy;
    char tokens[32], what[64] = "any model";
    uint32_t last = mode->rule_count ? mode->rules[mode->rule_count - 1].tokens : 0;
    add_all_that_serve(choosing);
    if (last && choosing->tokens > last)
        snprintf(what, sizeof(what), "above %s", text_format_tokens(last, tokens, sizeof(tokens)));
    else if (last)
        snprintf(what, sizeof(what), "where no rule's model can");
    if (policy->option_count == 0) {
        add_all_allowed(choosing);
        write_rule(policy, mode->name, "any model, as none is known to be able to serve it");
        return;
    }
    write_named(choosing, what);
}

static bool take_a_rule(struct choosing *choosing)
{
    const struct mode *mode = choosing->mode;
    size_t *passed = &choosing->policy->passed;
    if (take_planning(choosing))
        return true;
    choosing->policy->passed_planning = is_planning(mode, choosing->facts);
    for (*passed = 0; *passed < mode->rule_count; (*passed)++)
        if (take_rule(choosing, &mode->rules[*passed]))
            return true;
    return false;
}

static bool some_are_ready(const struct choosing *choosing)
{
    for (size_t m = 0; m < choosing->mode->model_count; m++)
        if (is_ready(choosing, m))
            return true;
    return false;
}

/* Where none of the mode's models is there, it is the rule's own that is waited for. */
static void choose(struct choosing *choosing)
{
    choosing->only_there = some_are_ready(choosing);
    if (!take_a_rule(choosing))
        take_rest(choosing);
    add_spares(choosing);
}

/* Who is liked best is what is asked for: nobody is charged for having no more. */
static uint8_t wanted_of(const struct choosing *choosing)
{
    const struct mode_policy *policy = choosing->policy;
    return policy->option_count ? policy->options[0].points : 0;
}

static double beta_of(const struct mode *mode, const struct mode_facts *facts)
{
    bool is_open = !mode->beta_is_set && !mode->batch;
    return is_open && facts->beta > 0 ? facts->beta : mode->beta;
}

void mode_policy_of(
        const struct mode *mode, const struct mode_facts *facts, struct mode_policy *ret_policy)
{
    struct choosing choosing = {
            .mode = mode, .facts = facts, .tokens = tokens_of(facts), .policy = ret_policy};
    *ret_policy = (struct mode_policy){.tokens = choosing.tokens,
            .floor = mode_floor_at(mode, choosing.tokens),
            .beta = beta_of(mode, facts),
            .priority = mode->priority,
            .batch = mode->batch};
    mode_points_of(mode, facts->models, choosing.points);
    choose(&choosing);
    ret_policy->wanted = wanted_of(&choosing);
}

#include "coordinator/api/serve_explain.h"

#include "coordinator/api/explaining.h"
#include "coordinator/router/why.h"
#include "proto/capability.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { EXPLAIN_MAX = 1024 * 1024 };

static void write_needs(const struct explaining *it, struct json_writer *out)
{
    uint32_t bit;
    const char *name;
    json_writer_array(out, "needs");
    for (size_t i = 0; (name = capability_need_at(i, &bit)); i++)
        if (it->needs & bit)
            json_writer_str(out, NULL, name);
    json_writer_array_end(out);
}

/* The node on which the conversation was, where it may stay there; "": it is gone. */
static const char *node_of(const struct explaining *it)
{
    const char *name = it->conversation.may_stay;
    const struct fleet_model *model = name ? explaining_model(it, name) : NULL;
    for (uint32_t i = 0; model && i < model->count; i++)
        if (model->at[i].epoch == it->conversation.epoch)
            return router_instance(&model->at[i])->node;
    return "";
}

static void write_session(const struct explaining *it, struct json_writer *out)
{
    if (!it->query.session[0]) {
        json_writer_null(out, "session");
        return;
    }
    json_writer_object(out, "session");
    json_writer_str(out, "id", it->query.session);
    json_writer_bool(out, "known", it->conversation.known);
    json_writer_str(out, "node", node_of(it));
    json_writer_str(out, "model", it->conversation.may_stay ? it->conversation.may_stay : "");
    json_writer_object_end(out);
}

static void write_why(const struct explaining *it, struct json_writer *out)
{
    const struct router_plan *plan = &it->explanation.plan;
    const char *too_long = why_too_long(plan);
    char why[WHY_MAX];
    if (too_long)
        snprintf(why, sizeof(why), "%s", too_long);
    else if (plan->routing.verdict == ROUTING_RUN)
        snprintf(why, sizeof(why), "%s", why_there(&plan->routing));
    else
        why_not_full(plan, why, sizeof(why));
    json_writer_str(out, "why", why);
}

static const char *verdict_of(const struct explaining *it)
{
    const struct router_plan *plan = &it->explanation.plan;
    if (plan->routing.verdict == ROUTING_RUN)
        return "run";
    return explaining_waits(it) ? "wait" : "none";
}

static void write_awaited(const struct router_awaited *awaited, struct json_writer *out)
{
    if (!awaited->state) {
        json_writer_null(out, "awaited");
        return;
    }
    json_writer_object(out, "awaited");
    json_writer_str(out, "node", awaited->node);
    json_writer_str(out, "why", why_awaited(awaited->state));
    json_writer_object_end(out);
}

/* The modes whose place the one that decides takes. */
static void write_passed(const struct explaining *it, struct json_writer *out)
{
    json_writer_array(out, "passed");
    for (size_t i = 0; i < it->at; i++) {
        json_writer_object(out, NULL);
        json_writer_str(out, "mode", it->steps[i].mode->name);
        json_writer_str(out, "why", it->steps[i].why);
        json_writer_object_end(out);
    }
    json_writer_array_end(out);
}

static void write_verdict(const struct explaining *it, struct json_writer *out)
{
    const struct router_plan *plan = &it->explanation.plan;
    const struct mode *next = explaining_next_mode(it);
    json_writer_str(out, "verdict", verdict_of(it));
    write_why(it, out);
    write_awaited(&plan->awaited, out);
    json_writer_str(out, "when_none", it->mode ? mode_when_none_name(it->mode->when_none) : "wait");
    json_writer_str(out, "next", next ? next->name : "");
    if (!plan->instance) {
        json_writer_null(out, "chosen");
        return;
    }
    json_writer_object(out, "chosen");
    json_writer_str(out, "node", plan->instance->node);
    json_writer_str(out, "model", plan->instance->model);
    json_writer_object_end(out);
}

static size_t place_in_options(const struct mode_policy *policy, size_t model)
{
    size_t i = 0;
    while (i < policy->option_count && policy->options[i].model != model)
        i++;
    return i;
}

static bool is_named_by_one_before(const struct explaining *it, const char *model)
{
    const struct mode *mode = it->mode;
    for (size_t i = 0; i < it->policy.passed; i++)
        if (it->policy.tokens <= mode->rules[i].tokens &&
                mode_models_have(&mode->rules[i].models, model))
            return true;
    return it->policy.passed_planning && mode_models_have(&mode->planning, model);
}

/* A rule that applies is passed over where none of its models can answer now: the one that is taken
 * does not name them, but that is not why. */
static const char *why_passed_over(const struct explaining *it, size_t model, uint8_t points)
{
    if (!is_named_by_one_before(it, it->mode->models[model]))
        return "the rule does not name it";
    if (!it->facts[model].there)
        return "no node that has it takes requests now, or has room for it";
    return points < it->policy.floor ? "below the quality floor" : "the rule does not name it";
}

/* What is too long for all is an option for all: by tokens that are an estimate. */
static const char *why_by_rule(const struct explaining *it, size_t model, uint8_t points)
{
    const struct mode_policy *policy = &it->policy;
    const struct mode_model_facts *facts = &it->facts[model];
    size_t place = place_in_options(policy, model);
    bool is_option = place < policy->option_count;
    double whole = it->query.tokens + explaining_output_tokens(it);
    if (!explaining_leaves(it, it->mode->models[model]))
        return "its mode was asked for with another model";
    if (facts->barred)
        return "the API key does not allow it";
    if (!explaining_model_known(it, it->mode->models[model]))
        return "no connected node has it";
    if (facts->unable)
        return "it cannot do what is needed";
    if (facts->context > 0 && facts->context < whole)
        return is_option ? "its context is too short, by our estimate" : "its context is too short";
    if (!explaining_model(it, it->mode->models[model]))
        return "each node that has it is away";
    if (!is_option)
        return why_passed_over(it, model, points);
    return place < policy->option_count - policy->stand_ins ? "the rule names it"
                                                            : "as good as what the rule names";
}

/* What the rule names answers where one of its instances can: as the instances' own rows say. */
static void write_model(
        const struct explaining *it, size_t model, uint8_t points, struct json_writer *out)
{
    const char *name = it->mode->models[model];
    const struct explanation_row *row = explaining_row(it, name);
    char refused[EXPLANATION_WHY_MAX];
    json_writer_object(out, NULL);
    json_writer_str(out, "model", name);
    json_writer_u64(out, "points", points);
    json_writer_bool(out, "option", row && row->feasible);
    json_writer_str(out, "why",
            row && !row->feasible ? explanation_why(&it->explanation, row, refused)
                                  : why_by_rule(it, model, points));
    json_writer_object_end(out);
}

static void write_models(const struct explaining *it, struct json_writer *out)
{
    uint8_t points[MODE_MODELS_MAX];
    json_writer_array(out, "models");
    if (it->mode)
        mode_points_of(it->mode, it->facts, points);
    for (size_t i = 0; it->mode && i < it->mode->model_count; i++)
        write_model(it, i, points[i], out);
    json_writer_array_end(out);
}

static void write_cost(const struct explanation_row *row, struct json_writer *out)
{
    if (!row->feasible) {
        json_writer_null(out, "seconds");
        return;
    }
    json_writer_object(out, "seconds");
    for (size_t i = 0; i < COST_TERM_COUNT; i++)
        json_writer_num(out, cost_terms[i].name, cost_term_s(&row->cost, i));
    json_writer_num(out, "time_to_first_token", row->cost.ttft_s);
    json_writer_num(out, "total", row->cost.total_s);
    json_writer_object_end(out);
}

static void write_row(const struct explanation *explanation, const struct explanation_row *row,
        struct json_writer *out)
{
    const struct instance *instance = router_instance(row->entry);
    char why[EXPLANATION_WHY_MAX];
    json_writer_object(out, NULL);
    json_writer_str(out, "node", instance->node);
    json_writer_str(out, "model", instance->model);
    json_writer_str(out, "state", instance_state_name(instance->state));
    json_writer_u64(out, "running", row->entry->running);
    json_writer_u64(out, "slots", row->entry->slots);
    json_writer_bool(out, "chosen", explanation_is_chosen(explanation, row));
    json_writer_bool(out, "feasible", row->feasible);
    json_writer_str(out, "why", explanation_why(explanation, row, why));
    json_writer_num(out, "held_tokens", row->held_tokens);
    write_cost(row, out);
    json_writer_object_end(out);
}

static void write_instances(const struct explanation *explanation, struct json_writer *out)
{
    json_writer_array(out, "instances");
    for (size_t i = 0; i < explanation->row_count; i++)
        write_row(explanation, &explanation->rows[i], out);
    json_writer_array_end(out);
    json_writer_u64(out, "left_out", explanation->left_out);
}

static int write_all(const struct explaining *it, struct buf *body)
{
    struct json_writer out;
    json_writer_init(&out, body);
    json_writer_object(&out, NULL);
    json_writer_str(&out, "mode", it->mode ? it->mode->name : "");
    write_passed(it, &out);
    json_writer_str(&out, "rule", it->mode ? it->policy.rule : "a model asked for by its name");
    json_writer_u64(&out, "prompt_tokens", it->query.tokens);
    json_writer_num(&out, "output_tokens", it->explanation.plan.output_tokens);
    json_writer_str(&out, "routing", routing_policy_name(it->explanation.plan.routing.policy));
    write_needs(it, &out);
    write_session(it, &out);
    write_verdict(it, &out);
    write_models(it, &out);
    write_instances(&it->explanation, &out);
    json_writer_object_end(&out);
    return json_writer_result(&out);
}

static void refuse(const struct call *call, int r, const char *param, const char *message)
{
    if (r == -EACCES)
        call_fail(call, 403, "insufficient_scope", param, message);
    else if (r == -ENOENT)
        call_fail(call, 404, "model_not_found", param, message);
    else
        call_fail(call, 400, "invalid_request", param, message);
}

static void explain(struct explaining *it)
{
    struct buf body;
    buf_init(&body, EXPLAIN_MAX);
    int r = explaining_decide(it);
    if (!r)
        r = write_all(it, &body);
    call_reply_json(it->call, r, &body);
    buf_fini(&body);
}

void serve_explain(const struct call *call)
{
    struct explaining *it = calloc(1, sizeof(*it));
    const char *param = NULL;
    struct err err;
    if (!it) {
        call_fail(call, 500, "internal_error", NULL, "no memory for the answer");
        return;
    }
    it->call = call;
    int r = explain_query_read(call->exchange, &it->query, &param, &err);
    if (!r) {
        param = it->query.mode[0] ? "mode" : "model";
        r = explaining_prepare(it, &err);
    }
    if (r)
        refuse(call, r, param, err.text);
    else
        explain(it);
    free(it);
}

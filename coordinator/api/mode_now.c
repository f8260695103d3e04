#include "coordinator/api/mode_now.h"

#include "coordinator/modes/mode_needs.h"
#include "coordinator/modes/mode_policy.h"

static void choose_models(const struct admin_view *view, const struct mode *mode, uint32_t needs,
        struct mode_policy *ret_policy)
{
    struct mode_model_facts models[MODE_MODELS_MAX];
    for (size_t i = 0; i < mode->model_count; i++) {
        const char *model = node_table_model(view->nodes, mode->models[i]);
        models[i] = router_look(view->router, model, needs, mode->batch);
    }
    const struct mode_facts facts = {.prompt_tokens = MODE_NOW_TOKENS,
            .output_tokens = (uint32_t)router_output_tokens(
                    view->router, mode->name, needs, mode_output_limit(mode, 0)),
            .models = models};
    mode_policy_of(mode, &facts, ret_policy);
}

/* NULL: none comes after it. */
static const struct mode *next_of(const struct admin_view *view, const struct mode *mode)
{
    bool goes_on = mode->when_none == WHEN_NONE_NEXT && mode->next;
    return goes_on ? modes_find(view->modes, mode->next) : NULL;
}

static int decide(const struct admin_view *view, const char *client, const struct mode *mode,
        struct router_plan *ret_plan)
{
    const char *models[MODE_MODELS_MAX];
    uint8_t quality[MODE_MODELS_MAX];
    uint32_t needs = mode_needs(mode->name);
    struct mode_policy policy;
    choose_models(view, mode, needs, &policy);
    for (size_t i = 0; i < policy.option_count; i++) {
        models[i] = node_table_model(view->nodes, mode->models[policy.options[i].model]);
        quality[i] = policy.options[i].quality;
    }
    enum request_lane lane = request_lane_for(needs);
    const struct prefix_chain chain = {.count = 0};
    const struct router_ask ask = {.chain = &chain,
            .prompt_tokens = MODE_NOW_TOKENS,
            .mode = mode->name,
            .models = models,
            .quality = quality,
            .model_count = policy.option_count,
            .named_count = policy.option_count - policy.stand_ins,
            .output_max = mode_output_limit(mode, 0),
            .beta = policy.beta,
            .quality_floor = policy.floor,
            .quality_wanted = policy.wanted,
            .needs = needs,
            .lane = lane,
            .batch = policy.batch,
            .greedy = jobs_is_greedy(view->jobs, client, lane, models, policy.option_count),
            .tell_free = true,
            .awaits = mode->when_none != WHEN_NONE_REFUSE && !next_of(view, mode)};
    return router_choose(view->router, &ask, ret_plan);
}

int mode_now_find(const struct admin_view *view, const char *client, const struct mode *mode,
        struct mode_now *ret_now)
{
    struct mode_now now = {.mode = mode};
    const struct mode *next;
    int r = decide(view, client, now.mode, &now.plan);
    while (!r && !now.plan.instance && (next = next_of(view, now.mode))) {
        now.mode = next;
        r = decide(view, client, now.mode, &now.plan);
    }
    if (r)
        return r;
    bool refuses = now.mode->when_none == WHEN_NONE_REFUSE && !now.plan.routing.slot_free;
    now.waits = now.plan.routing.verdict == ROUTING_WAIT && !refuses;
    *ret_now = now;
    return 0;
}

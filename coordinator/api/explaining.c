#include "coordinator/api/explaining.h"

#include "coordinator/job/job_terms.h"
#include "coordinator/modes/mode_names.h"
#include "coordinator/modes/mode_needs.h"
#include "coordinator/scheduling/affinity.h"
#include "coordinator/scheduling/cost.h"

#include <errno.h>
#include <string.h>

/* --- what may answer --- */

static const char *own_name(const struct explaining *it, const char *name)
{
    return node_table_model(it->call->api->view->nodes, name);
}

const struct fleet_model *explaining_model(const struct explaining *it, const char *name)
{
    return router_model(it->call->api->view->router, own_name(it, name));
}

const struct fleet_model *explaining_model_known(const struct explaining *it, const char *name)
{
    return router_model_known(it->call->api->view->router, own_name(it, name));
}

const struct explanation_row *explaining_row(const struct explaining *it, const char *name)
{
    const char *model = own_name(it, name);
    for (size_t i = 0; i < it->model_count && i < ROUTING_OPTIONS_MAX; i++)
        if (strcmp(it->models[i], model) == 0 && it->explanation.first[i].entry)
            return &it->explanation.first[i];
    return NULL;
}

static void add_model(struct explaining *it, const char *name, uint8_t quality)
{
    const char *model = own_name(it, name);
    for (size_t i = 0; i < it->model_count; i++)
        if (strcmp(it->models[i], model) == 0)
            return;
    it->models[it->model_count] = model;
    it->quality[it->model_count++] = quality;
}

/* Those that come instead have all their models. */
bool explaining_leaves(const struct explaining *it, const char *model)
{
    return it->at > 0 ||
           modes_name_leaves(it->call->api->view->modes, it->mode, it->named.by, model);
}

static void look_at_models(struct explaining *it)
{
    const struct mode *mode = it->mode;
    for (size_t i = 0; i < mode->model_count; i++) {
        it->facts[i] = router_look(
                it->call->api->view->router, own_name(it, mode->models[i]), it->needs, mode->batch);
        it->facts[i].barred = !caller_allows_mode(it->call->caller, mode->name) ||
                              !caller_allows_model(it->call->caller, mode->models[i]) ||
                              !explaining_leaves(it, mode->models[i]);
    }
}

double explaining_output_tokens(const struct explaining *it)
{
    const struct mode *mode = it->mode;
    uint32_t most = mode ? mode_output_limit(mode, it->query.output) : it->query.output;
    return router_output_tokens(
            it->call->api->view->router, mode ? mode->name : JOB_TERMS_NO_MODE, it->needs, most);
}

/* In the middle of a known conversation tools have been called: it is no planning call. */
static void go_by_mode(struct explaining *it)
{
    const struct mode *mode = it->mode;
    it->model_count = it->named_count = 0;
    look_at_models(it);
    const struct mode_facts facts = {.prompt_tokens = it->query.tokens,
            .output_tokens = (uint32_t)explaining_output_tokens(it),
            .tools = it->needs & CAPABILITY_TOOLS,
            .tool_results = it->conversation.known,
            .models = it->facts};
    mode_policy_of(mode, &facts, &it->policy);
    for (size_t i = 0; i < it->policy.option_count; i++) {
        add_model(it, mode->models[it->policy.options[i].model], it->policy.options[i].quality);
        if (i + it->policy.stand_ins < it->policy.option_count)
            it->named_count = it->model_count;
    }
}

static int take_mode(struct explaining *it, struct err *err)
{
    go_by_mode(it);
    if (it->model_count > 0)
        return 0;
    return err_set(err, -EACCES,
            "the API key \"%s\" may not use the mode \"%s\"; GET /v1/models lists what it may",
            it->call->caller->key->name, it->mode->name);
}

static int take_model(struct explaining *it, struct err *err)
{
    const struct call *call = it->call;
    const char *model = it->named.model;
    if (!caller_may_name_model(call->caller, call->api->view->modes, model))
        return err_set(err, -EACCES,
                "the API key \"%s\" may not use the model \"%s\"; GET /v1/models lists what it may",
                call->caller->key->name, model);
    add_model(it, model, 0);
    return 0;
}

static int find_mode(struct explaining *it, struct err *err)
{
    char known[CALL_MODES_MAX];
    it->named.by = it->query.mode;
    it->named.mode = modes_resolve(it->call->api->view->modes, it->query.mode);
    if (it->named.mode)
        return 0;
    return err_set(err, -ENOENT, "there is no mode \"%.80s\"; known are: %s", it->query.mode,
            call_name_modes(it->call, known));
}

static int find_model(struct explaining *it, struct err *err)
{
    char known[INFERENCE_KNOWN_MAX];
    if (inference_find_name(it->call->api->view, it->query.model, &it->named) == 0)
        return 0;
    return err_set(err, -ENOENT, "there is no mode or model \"%.80s\"; known are: %s",
            it->query.model, inference_known_names(it->call, known));
}

static int find_name(struct explaining *it, struct err *err)
{
    const struct admin_view *view = it->call->api->view;
    const char *mode = it->query.mode, *model = it->query.model;
    char known[CALL_MODES_MAX];
    bool is_auto = *mode ? modes_asks_auto(view->modes, mode) : inference_asks_auto(view, model);
    if (is_auto)
        return err_set(err, -EINVAL,
                "%s=%.80s: what it becomes is told by a request's own text; name one of %s",
                *mode ? "mode" : "model", *mode ? mode : model, call_name_modes(it->call, known));
    int r = *mode ? find_mode(it, err) : find_model(it, err);
    it->mode = r ? NULL : it->named.mode;
    return r;
}

/* --- of which kind it is --- */

enum {
    OTHER_KINDS = CAPABILITY_FIM | CAPABILITY_EMBEDDINGS | CAPABILITY_RERANK | CAPABILITY_AUDIO
};

/* Such needs, and that of a chat, each tell a kind of request, which needs no more; a chat may need
 * the others besides. What tells none is what the mode is for. */
static uint32_t find_needs(uint32_t asked, const struct mode *mode)
{
    bool tells_kind = asked & (CAPABILITY_CHAT | OTHER_KINDS);
    return mode && !tells_kind ? asked | mode_needs(mode->name) : asked;
}

static bool is_chat(uint32_t needs)
{
    return needs & CAPABILITY_CHAT || !(needs & OTHER_KINDS);
}

static void find_kind(struct explaining *it)
{
    it->needs = find_needs(it->query.needs, it->mode);
    if (it->mode && it->needs & CAPABILITY_FIM && !(it->needs & CAPABILITY_CHAT))
        it->mode = it->named.mode = inference_mode_for_infill(it->call->api->view, it->mode);
}

/* --- the modes that it goes through --- */

static void find_steps(struct explaining *it)
{
    const struct call *call = it->call;
    for (const struct mode *mode = it->named.mode; mode;
            mode = caller_next_mode(call->caller, call->api->view->modes, mode))
        it->steps[it->step_count++].mode = mode;
}

const struct mode *explaining_next_mode(const struct explaining *it)
{
    return it->at + 1 < it->step_count ? it->steps[it->at + 1].mode : NULL;
}

/* --- its conversation --- */

static void find_conversation(struct explaining *it)
{
    const struct api *api = it->call->api;
    char client[REQUEST_CLIENT_MAX];
    if (!api->affinities || !it->query.session[0])
        return;
    caller_name(it->call->caller, client, sizeof(client));
    const struct affinity *found = affinities_find(api->affinities,
            affinity_id(api->affinities, client, it->query.session),
            (double)env_now_us(api->view->env) / 1e6);
    if (found)
        it->conversation = (struct conversation){.known = true,
                .epoch = found->epoch,
                .model = found->model,
                .last_block = found->last_block,
                .blocks = found->blocks,
                .bytes = found->bytes,
                .answer_tokens = found->answer_tokens};
}

static void find_whether_it_may_stay(struct explaining *it)
{
    struct conversation *conversation = &it->conversation;
    conversation->may_stay = NULL;
    for (size_t i = 0; conversation->epoch && i < it->model_count; i++)
        if (affinity_model(it->models[i]) == conversation->model)
            conversation->may_stay = it->models[i];
}

/* Of a client that has much already, by what the first mode has. */
static bool is_greedy(const struct explaining *it)
{
    char client[REQUEST_CLIENT_MAX];
    caller_name(it->call->caller, client, sizeof(client));
    return jobs_is_greedy(it->call->api->view->jobs, client, request_lane_for(it->needs),
            it->models, it->model_count);
}

/* What it asks for is found. */
static int prepare(struct explaining *it, struct err *err)
{
    int r;
    find_kind(it);
    find_steps(it);
    find_conversation(it);
    r = it->mode ? take_mode(it, err) : take_model(it, err);
    find_whether_it_may_stay(it);
    it->greedy = is_greedy(it);
    return r;
}

int explaining_prepare(struct explaining *it, struct err *err)
{
    int r = find_name(it, err);
    return r ? r : prepare(it, err);
}

int explaining_prepare_mode(struct explaining *it, const struct mode *mode, struct err *err)
{
    it->mode = it->named.mode = mode;
    it->named.by = mode->name;
    return prepare(it, err);
}

/* --- the decision --- */

/* -ENOMEM. By the mode that it is at. */
static int decide(struct explaining *it)
{
    const struct conversation *conversation = &it->conversation;
    uint64_t last_block = conversation->last_block;
    const struct prefix_chain chain = {
            .hashes = &last_block, .count = conversation->blocks > 0 ? 1 : 0};
    const struct mode *mode = it->mode;
    struct router *router = it->call->api->view->router;
    const struct router_ask ask = {.chain = &chain,
            .hash_blocks = conversation->blocks,
            .prompt_tokens = it->query.tokens,
            .mode = mode ? mode->name : JOB_TERMS_NO_MODE,
            .models = it->models,
            .quality = mode ? it->quality : NULL,
            .model_count = it->model_count,
            .named_count = it->named_count,
            .output_max = mode ? mode_output_limit(mode, it->query.output) : it->query.output,
            .beta = mode ? it->policy.beta : COST_BETA_INTERACTIVE,
            .quality_floor = it->policy.floor,
            .quality_wanted = it->policy.wanted,
            .needs = it->needs,
            .lane = request_lane_for(it->needs),
            .batch = it->policy.batch,
            .greedy = it->greedy,
            .tell_free = true,
            .within_slots = mode && mode->when_none == WHEN_NONE_REFUSE,
            .whole = it->step_count > 1 && !it->overlong,
            .one_prompt = is_chat(it->needs),
            .awaits = !mode || (mode->when_none != WHEN_NONE_REFUSE && !explaining_next_mode(it)),
            .session_epoch = conversation->may_stay ? conversation->epoch : 0,
            .session_model = conversation->may_stay,
            .session_turn = {.blocks = conversation->blocks,
                    .bytes = conversation->bytes,
                    .answer_tokens = conversation->answer_tokens}};
    return it->plan_only ? router_choose(router, &ask, &it->explanation.plan)
                         : explanation_make(router, &ask, &it->explanation);
}

static void go_to_step(struct explaining *it, size_t at)
{
    it->at = at;
    it->mode = it->steps[at].mode;
    go_by_mode(it);
    find_whether_it_may_stay(it);
}

/* False: the mode that it is at has an instance for it, or is the last. */
static bool go_on(struct explaining *it)
{
    const struct router_plan *plan = &it->explanation.plan;
    struct explaining_step *step = &it->steps[it->at];
    if (plan->instance || it->step_count == 0)
        return false;
    why_not_full(plan, step->why, sizeof(step->why));
    router_longest_note(&it->longest, it->at, plan);
    if (!explaining_next_mode(it))
        return false;
    go_to_step(it, it->at + 1);
    return true;
}

/* -ENOMEM */
static int decide_at(struct explaining *it, size_t step)
{
    go_to_step(it, step);
    return decide(it);
}

/* -ENOMEM. None of its modes can: where it is too long for one of them, the longest of all counts
 * its tokens. */
static int decide_by_longest(struct explaining *it)
{
    const struct router_plan *plan = &it->explanation.plan;
    size_t at = router_longest_at(&it->longest);
    if (!it->longest.context)
        return 0;
    it->overlong = true;
    int r = decide_at(it, at);
    if (r || !router_longest_may_load(&it->longest, plan))
        return r;
    r = decide_at(it, it->longest.at);
    return r || router_longest_loads(plan) ? r : decide_at(it, at);
}

int explaining_decide(struct explaining *it)
{
    int r;
    do
        r = decide(it);
    while (!r && go_on(it));
    if (!r && it->step_count > 1 && it->explanation.plan.routing.verdict == ROUTING_NONE)
        r = decide_by_longest(it);
    return r;
}

bool explaining_waits(const struct explaining *it)
{
    const struct routing_plan *plan = &it->explanation.plan.routing;
    bool refuses = it->mode && it->mode->when_none == WHEN_NONE_REFUSE && !plan->slot_free;
    return plan->verdict == ROUTING_WAIT && !refuses;
}

#include "coordinator/api/mode_terms.h"

#include "coordinator/api/request_signs.h"
#include "coordinator/router/router.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct making {
    const struct call *call;
    struct request *request;
    const struct mode *mode;
    const char *const *left;
    size_t left_count;
};

static const char *own_name(const struct making *making, size_t i)
{
    return node_table_model(making->call->api->view->nodes, making->mode->models[i]);
}

static bool is_left(const struct making *making, const char *model)
{
    for (size_t i = 0; i < making->left_count; i++)
        if (strcmp(making->left[i], model) == 0)
            return true;
    return false;
}

/* By the tokenizer of the first of its models that is there, or was. */
static uint32_t prompt_tokens(const struct making *making)
{
    const struct fleet_model *model = NULL;
    for (size_t i = 0; !model && i < making->mode->model_count; i++)
        model = router_model_known(making->call->api->view->router, own_name(making, i));
    double ratio = model ? token_ratio_bytes(&model->ratio) : TOKEN_RATIO_PRIOR;
    double tokens = (double)making->request->chain.bytes / ratio;
    return tokens < UINT32_MAX ? (uint32_t)tokens : UINT32_MAX;
}

static void look(const struct making *making, struct mode_model_facts *ret_models)
{
    const struct mode *mode = making->mode;
    for (size_t i = 0; i < mode->model_count; i++) {
        ret_models[i] = router_look(making->call->api->view->router, own_name(making, i),
                making->request->needs, mode->batch);
        ret_models[i].barred = !is_left(making, mode->models[i]);
    }
}

static void choose(const struct making *making, struct mode_policy *ret_policy)
{
    struct mode_model_facts models[MODE_MODELS_MAX];
    struct request *request = making->request;
    const struct router *router = making->call->api->view->router;
    const struct mode_answer answer = mode_answer_of(making->mode);
    if (making->mode->planning.count > 0) /* nothing else asks for them */
        request_signs_read(making->call, request);
    look(making, models);
    const struct mode_facts facts = {.prompt_tokens = prompt_tokens(making),
            .output_tokens = (uint32_t)router_output_tokens(router, making->mode->name,
                    request->needs, mode_answer_limit(&answer, &request->said, request->kind)),
            .tools = request->signs.tools,
            .tool_results = request->signs.tool_results,
            .plan_mark = request->signs.plan_mark,
            .beta = request->beta,
            .models = models};
    mode_policy_of(making->mode, &facts, ret_policy);
}

static int add(
        const struct making *making, const struct mode_option *option, struct job_terms *terms)
{
    return job_terms_add(terms, own_name(making, option->model), option->quality);
}

static int add_options(
        const struct making *making, const struct mode_policy *policy, struct job_terms *terms)
{
    int r = 0;
    for (size_t i = 0; !r && i < policy->option_count; i++) {
        r = add(making, &policy->options[i], terms);
        if (i + policy->stand_ins < policy->option_count)
            terms->named_count = terms->model_count;
    }
    return r;
}

static int add_spares(
        const struct making *making, const struct mode_policy *policy, struct job_terms *terms)
{
    int r = 0;
    if (policy->spare_count == 0)
        return 0;
    if (!(terms->spare = job_terms_create(terms->mode)))
        return -ENOMEM;
    for (size_t i = 0; !r && i < policy->spare_count; i++)
        r = add(making, &policy->spares[i], terms->spare);
    terms->spare->named_count = terms->spare->model_count;
    return r;
}

static struct job_terms *make(const struct making *making)
{
    const struct mode *mode = making->mode;
    struct mode_policy policy;
    struct job_terms *terms = job_terms_create(mode->name);
    if (!terms)
        return NULL;
    choose(making, &policy);
    strcpy(terms->rule, policy.rule);
    terms->floor = policy.floor;
    terms->wanted = policy.wanted;
    terms->tokens = policy.tokens;
    terms->priority = policy.priority;
    terms->beta = policy.beta;
    terms->batch = policy.batch;
    terms->answer = mode_answer_of(mode);
    terms->when_none = mode->when_none;
    terms->patience_ms = mode->patience_ms;
    if (!add_options(making, &policy, terms) && !add_spares(making, &policy, terms))
        return terms;
    job_terms_destroy(terms);
    return NULL;
}

/* The mode that comes after this one, with the models of it that the caller may get. NULL: none. */
static const struct mode *next_mode(
        const struct making *making, const char *ret_left[MODE_MODELS_MAX], size_t *ret_count)
{
    const struct call *call = making->call;
    const struct mode *mode = caller_next_mode(call->caller, call->api->view->modes, making->mode);
    if (mode)
        *ret_count = caller_models_of_mode(call->caller, mode, ret_left);
    return mode;
}

struct job_terms *mode_terms_make(const struct call *call, struct request *request,
        const struct mode *mode, const char *const *left, size_t left_count)
{
    const char *of_next[MODE_MODELS_MAX];
    struct making making = {
            .call = call, .request = request, .mode = mode, .left = left, .left_count = left_count};
    struct job_terms *first = NULL, **end = &first;
    while (making.mode) {
        if (!(*end = make(&making))) {
            job_terms_destroy(first);
            return NULL;
        }
        end = &(*end)->next;
        making.mode = next_mode(&making, of_next, &making.left_count);
        making.left = of_next;
    }
    return first;
}

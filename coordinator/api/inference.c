#include "coordinator/api/inference.h"

#include "common/env.h"
#include "common/text.h"
#include "coordinator/api/auto_call.h"
#include "coordinator/api/mode_terms.h"
#include "coordinator/api/responses.h"
#include "coordinator/modes/mode_body.h"
#include "coordinator/modes/mode_names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct target {                          /* what may answer */
    const struct mode *mode;             /* NULL: a model, or any model that can */
    const char *models[MODE_MODELS_MAX]; /* as the mode's list names them; else their own names */
    size_t count;
};

/* --- what a kind of request needs, and where it goes by itself --- */

static const struct {
    const char *mode;
    uint32_t needs;
} kinds[REQUEST_KIND_COUNT] = {
        [REQUEST_CHAT] = {MODE_AUTO, CAPABILITY_CHAT},
        [REQUEST_COMPLETION] = {MODE_AUTO, CAPABILITY_CHAT},
        [REQUEST_INFILL] = {"autocomplete", CAPABILITY_FIM},
        [REQUEST_EMBEDDINGS] = {"embed", CAPABILITY_EMBEDDINGS},
        [REQUEST_RERANK] = {"rerank", CAPABILITY_RERANK},
        [REQUEST_TOKENIZE] = {MODE_AUTO, 0},
        [REQUEST_DETOKENIZE] = {MODE_AUTO, 0},
        [REQUEST_TEMPLATE] = {MODE_AUTO, CAPABILITY_CHAT},
        [REQUEST_COUNT] = {MODE_AUTO, CAPABILITY_CHAT},
        [REQUEST_TRANSCRIPTION] = {"transcribe", CAPABILITY_AUDIO},
};

/* --- names --- */

static const struct instance *some_instance(struct node_table *nodes, const char *model)
{
    size_t count;
    struct instance *const *instances = node_table_instances(nodes, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(instances[i]->model, model) == 0)
            return instances[i];
    return NULL;
}

static bool is_known_model(const struct admin_view *view, const char *model)
{
    const char *own = node_table_model(view->nodes, model);
    return some_instance(view->nodes, own) || router_model_known(view->router, own) ||
           modes_some_lists(view->modes, model);
}

static int add_name(void *ctx, const struct offer *offer)
{
    return !text_write_name(ctx, offer->id);
}

const char *inference_known_names(const struct call *call, char text[INFERENCE_KNOWN_MAX])
{
    struct text_writer known = {.text = text, .size = INFERENCE_KNOWN_MAX};
    struct call_offers offers;
    call_offers_init(&offers, call);
    offers.offers.claude_names = false;
    strcpy(text, "none yet");
    (void)offers_each(&offers.offers, add_name, &known);
    return text;
}

static void refuse_name(const struct call *call, const char *name)
{
    char text[MSG_NAME_MAX + INFERENCE_KNOWN_MAX + 64], known[INFERENCE_KNOWN_MAX];
    snprintf(text, sizeof(text), "there is no mode or model \"%.*s\"; known are: %s", MSG_NAME_MAX,
            name, inference_known_names(call, known));
    call_fail(call, 404, "model_not_found", "model", text);
}

/* Where only a mode may stand. */
static void refuse_mode(const struct call *call, const char *name)
{
    char text[MSG_NAME_MAX + CALL_MODES_MAX + 64], known[CALL_MODES_MAX];
    snprintf(text, sizeof(text), "there is no mode \"%.*s\" (%s); known are: %s", MSG_NAME_MAX,
            name, name == call->mode ? "in the path" : "X-Modemesh-Mode",
            call_name_modes(call, known));
    call_fail(call, 404, "model_not_found", NULL, text);
}

static void refuse_caller(const struct call *call, const char *kind, const char *name)
{
    char text[MSG_NAME_MAX + API_KEY_NAME_MAX + 128];
    snprintf(text, sizeof(text),
            "the API key \"%s\" may not use the %s \"%s\"; GET /v1/models lists what it may",
            call->caller->key->name, kind, name);
    call_fail(call, 403, "insufficient_scope", "model", text);
}

/* --- what may answer --- */

static bool can(const struct instance *instance, uint32_t needs)
{
    return instance->capabilities != 0 && !(needs & ~instance->capabilities);
}

static bool model_can(struct node_table *nodes, const char *model, uint32_t needs)
{
    size_t count;
    struct instance *const *instances = node_table_instances(nodes, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(instances[i]->model, model) == 0 && can(instances[i], needs))
            return true;
    return false;
}

static bool some_model_can(const struct admin_view *view, const struct mode *mode, uint32_t needs)
{
    for (size_t i = 0; i < mode->model_count; i++)
        if (model_can(view->nodes, node_table_model(view->nodes, mode->models[i]), needs))
            return true;
    return false;
}

/* Editors send infill under the one name they know. */
const struct mode *inference_mode_for_infill(const struct admin_view *view, const struct mode *mode)
{
    const struct mode *autocomplete = modes_find(view->modes, kinds[REQUEST_INFILL].mode);
    return autocomplete && !some_model_can(view, mode, CAPABILITY_FIM) ? autocomplete : mode;
}

/* Who asks for mesh-MODE-MODEL writes the tokens of that model: no other one is to get them. */
static void keep_named(const struct modes *modes, const char *name, struct target *target)
{
    size_t kept = 0;
    for (size_t i = 0; i < target->count; i++)
        if (modes_name_leaves(modes, target->mode, name, target->models[i]))
            target->models[kept++] = target->models[i];
    target->count = kept;
}

/* `name` is what it was asked for by. */
static int take_mode(const struct call *call, struct request *request, const struct mode *mode,
        const char *name, struct target *target)
{
    const struct modes *modes = call->api->view->modes;
    target->mode = request->kind == REQUEST_INFILL
                           ? inference_mode_for_infill(call->api->view, mode)
                           : mode;
    target->count = caller_models_of_mode(call->caller, target->mode, target->models);
    if (target->mode == mode)
        keep_named(modes, name, target);
    request->follows_mode =
            caller_has_all_models(call->caller) && modes_name_is_open(modes, target->mode, name);
    if (target->count > 0)
        return 0;
    refuse_caller(call, "mode", target->mode->name);
    return -EACCES;
}

static int take_model(const struct call *call, const char *name, struct target *target)
{
    const struct admin_view *view = call->api->view;
    if (!caller_may_name_model(call->caller, view->modes, name)) {
        refuse_caller(call, "model", name);
        return -EACCES;
    }
    target->models[target->count++] = node_table_model(view->nodes, name);
    return 0;
}

/* The mode that the name asks for; a model's own name comes before an alias of a mode, and before
 * most spellings of one (modes/mode_names.h). `plain` becomes the model's name, should it be one.
 */
static const struct mode *find_mode(
        const struct admin_view *view, const char *name, char plain[MSG_NAME_MAX + 1])
{
    const struct mode *mode = modes_find(view->modes, name);
    snprintf(plain, MSG_NAME_MAX + 1, "%s", name);
    if (mode || is_known_model(view, name))
        return mode;
    modes_plain_name(name, plain);
    mode = modes_resolve_own(view->modes, name);
    return mode || is_known_model(view, plain) ? mode : modes_resolve(view->modes, name);
}

static int find_known(
        const struct admin_view *view, const char *name, struct inference_name *ret_name)
{
    ret_name->by = name;
    ret_name->mode = find_mode(view, name, ret_name->model);
    return ret_name->mode || is_known_model(view, ret_name->model) ? 0 : -ENOENT;
}

int inference_find_name(
        const struct admin_view *view, const char *name, struct inference_name *ret_name)
{
    int r = find_known(view, name, ret_name);
    const char *meant = r ? modes_foreign(view->modes, name) : NULL;
    return meant ? find_known(view, meant, ret_name) : r;
}

/* `named` lives as long as the target. */
static int take_name(const struct call *call, struct request *request, struct inference_name *named,
        struct target *target)
{
    if (inference_find_name(call->api->view, request->asked, named)) {
        refuse_name(call, request->asked);
        return -ENOENT;
    }
    return named->mode ? take_mode(call, request, named->mode, named->by, target)
                       : take_model(call, named->model, target);
}

/* Any model that can: those that are resident first. */
static int take_any(const struct call *call, const struct request *request, struct target *target)
{
    const struct admin_view *view = call->api->view;
    size_t count;
    struct instance *const *models = node_table_models(view->nodes, &count);
    for (int resident = 1; resident >= 0; resident--)
        for (size_t i = 0; i < count && target->count < MODE_MODELS_MAX; i++)
            if ((models[i]->state == INSTANCE_RESIDENT) == (resident == 1) &&
                    can(models[i], request->needs) &&
                    caller_may_name_model(call->caller, view->modes, models[i]->model))
                target->models[target->count++] = models[i]->model;
    if (target->count > 0)
        return 0;
    char text[256];
    snprintf(text, sizeof(text),
            "no model was named, there is no mode \"%s\", and no node has a model that can do this",
            kinds[request->kind].mode);
    call_fail(call, 404, "model_not_found", "model", text);
    return -ENOENT;
}

/* `auto` tells the mode of it by what it is. Other kinds have a mode of their own; tokens are those
 * of one model. */
static bool is_told(const struct request *request)
{
    return strcmp(kinds[request->kind].mode, MODE_AUTO) == 0 && kinds[request->kind].needs != 0;
}

/* Where nothing was asked for, or `auto` found no mode: that of the kind, and of `auto` one that
 * the caller may use. NULL: any model will do, as it will where `auto` has no mode of its own and
 * those that it looked at cannot. */
static const struct mode *default_mode(const struct call *call, const struct request *request)
{
    const struct modes *modes = call->api->view->modes;
    const struct mode *mode = modes_find(modes, kinds[request->kind].mode), *fallback = NULL;
    if (strcmp(kinds[request->kind].mode, MODE_AUTO) == 0 && (mode || !is_told(request)))
        fallback = caller_fallback(call->caller, modes);
    return fallback ? fallback : mode;
}

static int take_default(const struct call *call, struct request *request, struct target *target)
{
    const struct mode *mode = default_mode(call, request);
    return mode ? take_mode(call, request, mode, mode->name, target)
                : take_any(call, request, target);
}

static int take_header(
        const struct call *call, struct request *request, const char *name, struct target *target)
{
    const struct mode *mode = modes_resolve(call->api->view->modes, name);
    if (mode)
        return take_mode(call, request, mode, name, target);
    refuse_mode(call, name);
    return -ENOENT;
}

/* Where nothing was asked for, editors are told what answers. */
static void fill_asked(struct request *request, const struct target *target)
{
    if (!request->asked[0])
        snprintf(request->asked, sizeof(request->asked), "%s",
                target->mode ? target->mode->name : target->models[0]);
}

static int write_settled(
        const struct dialect *dialect, struct answer *answer, bool stream, struct buf *out)
{
    if (!stream)
        return dialect->whole(answer, out);
    int r = dialect->stream_begin(answer, out);
    return r ? r : dialect->stream_end(answer, out);
}

/* Nothing is to be asked of an engine: the answer is there. */
static void answer_settled(const struct call *call, const struct request *request)
{
    const struct dialect *dialect = call->dialect;
    const struct answer_facts facts = {.request_id = request->id,
            .model = request->asked,
            .created_s = env_wall_ms(call->api->view->env) / 1000};
    struct answer *answer = dialect->answer_create(request, &facts);
    struct buf body;
    buf_init(&body, DIALECT_ANSWER_MAX);
    int r = answer ? write_settled(dialect, answer, request->stream, &body) : -ENOMEM;
    if (r)
        call_fail(call, 500, "internal_error", NULL, "no memory for the answer");
    else
        http_exchange_reply(call->exchange, 200,
                request->stream ? dialect->stream_type : dialect->whole_type, buf_at(&body),
                body.len);
    buf_fini(&body);
    if (answer)
        dialect->answer_destroy(answer);
}

static struct job_terms *terms_of(
        const struct call *call, struct request *request, const struct target *target)
{
    return target->mode
                   ? mode_terms_make(call, request, target->mode, target->models, target->count)
                   : job_terms_of_models(NULL, target->models, target->count);
}

/* False: it was refused. */
static bool fill_body(const struct call *call, struct request *request, const struct mode *mode)
{
    const struct mode_answer answer = mode ? mode_answer_of(mode) : (struct mode_answer){0};
    mode_body_read(request->kind, &request->body, &request->said);
    int r = mode ? mode_fill_body(&answer, &request->said, request->kind, &request->body) : 0;
    if (r == -ENOBUFS)
        call_fail(call, 413, "request_too_large", NULL,
                "the request is too large for what its mode adds to it");
    else if (r)
        call_fail(call, 500, "internal_error", NULL, "no memory for the request");
    return r == 0;
}

/* The model or mode is found. */
static void go(const struct call *call, struct request *request, const struct target *target)
{
    fill_asked(request, target);
    if (request->settled) {
        answer_settled(call, request);
        return;
    }
    if (!fill_body(call, request, target->mode))
        return;
    struct job_terms *terms = terms_of(call, request, target);
    if (request->background) {
        responses_start(call, request, terms);
    } else {
        const struct reply reply = reply_to_exchange(call->exchange);
        jobs_start(call->api->jobs, &reply, call->dialect, request, terms);
    }
}

/* Where `auto` found no mode, the kind's own is refused or, where there is none, any model does. */
static void go_in_mode(const struct call *call, struct request *request, const struct mode *mode)
{
    struct target target = {.count = 0};
    int r = mode ? take_mode(call, request, mode, mode->name, &target)
                 : take_default(call, request, &target);
    if (!r)
        go(call, request, &target);
}

/* The header's word comes before the path's. */
static const char *asked_mode(const struct call *call)
{
    const char *header = http_exchange_header(call->exchange, "X-Modemesh-Mode");
    return header && *header ? header : call->mode;
}

/* A model may have the name, but "auto" itself; and one that has it without what clients add comes
 * before what only stands for auto. */
bool inference_asks_auto(const struct admin_view *view, const char *name)
{
    char plain[MSG_NAME_MAX + 1];
    if (strcmp(name, MODE_AUTO) == 0)
        return true;
    if (!modes_asks_auto(view->modes, name) || is_known_model(view, name))
        return false;
    modes_plain_name(name, plain);
    return modes_spells_auto(name) || !is_known_model(view, plain);
}

static bool asks_for_auto(const struct call *call, const struct request *request)
{
    return !request->asked[0] || inference_asks_auto(call->api->view, request->asked);
}

static void start(const struct call *call, struct request *request)
{
    const char *header = asked_mode(call);
    bool automatic = header && *header ? modes_asks_auto(call->api->view->modes, header)
                                       : asks_for_auto(call, request);
    struct target target = {.count = 0};
    struct inference_name named;
    int r;
    request->needs |= kinds[request->kind].needs;
    if (automatic && is_told(request)) {
        auto_call_start(call, request, go_in_mode);
        return;
    }
    if (automatic)
        r = take_default(call, request, &target);
    else if (header && *header)
        r = take_header(call, request, header, &target);
    else
        r = take_name(call, request, &named, &target);
    if (!r)
        go(call, request, &target);
}

/* --- the request --- */

static const char *header_of(void *ctx, const char *name)
{
    return http_exchange_header(ctx, name);
}

static void identify_request(const struct call *call, struct request *request)
{
    strcpy(request->id, call->request_id);
    caller_name(call->caller, request->client, sizeof(request->client));
    snprintf(request->peer, sizeof(request->peer), "%s", http_exchange_peer(call->exchange));
}

static int parse(
        const struct call *call, struct request *request, const char **ret_param, struct err *err)
{
    const char *type = http_exchange_header(call->exchange, "Content-Type");
    struct dialect_input input = {.content_type = type ? type : "",
            .header = header_of,
            .ctx = call->exchange,
            .owner = request->client,
            .responses = call->api->responses,
            .now_s = env_wall_ms(call->api->view->env) / 1000};
    input.body = http_exchange_body(call->exchange, &input.len);
    int r = call->dialect->parse(&input, request, ret_param, err);
    http_exchange_free_body(call->exchange);
    return r;
}

/* Clients that build on a response which is gone send the whole conversation again, but only after
 * the very status and code of OpenAI's API. */
static void fail_reference(const struct call *call, const char *param, const char *message)
{
    if (param && strcmp(param, "previous_response_id") == 0)
        call_fail(call, 400, "previous_response_not_found", param, message);
    else
        call_fail(call, 404, "not_found", param, message);
}

static void parse_and_start(const struct call *call, struct request *request)
{
    const char *param = NULL;
    struct err err;
    int r = parse(call, request, &param, &err);
    if (r == 0 && request_chain(request, jobs_prompt_seed(call->api->jobs)))
        r = err_set(&err, -ENOMEM, "no memory for the request");
    if (r == 0)
        start(call, request);
    else if (r == -EINVAL)
        call_fail(call, 400, "invalid_request", param, err.text);
    else if (r == -ENOENT)
        fail_reference(call, param, err.text);
    else
        call_fail(call, 500, "internal_error", NULL, err.text);
}

void inference_serve(const struct call *call)
{
    struct request request;
    request_init(&request);
    identify_request(call, &request);
    parse_and_start(call, &request);
    request_fini(&request);
}

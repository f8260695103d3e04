#include "coordinator/api/caller.h"

#include "common/text.h"
#include "coordinator/modes/mode_names.h"

#include <stdio.h>
#include <string.h>

void call_tell_id(const struct call *call)
{
    bool anthropic = call->family == &family_anthropic;
    http_exchange_set_header(call->exchange, "X-Modemesh-Request", call->request_id);
    http_exchange_set_header(
            call->exchange, anthropic ? "request-id" : "x-request-id", call->request_id);
}

void call_fail_with(const struct call *call, const struct api_error *error)
{
    const struct reply reply = reply_to_exchange(call->exchange);
    if (!call->id_told)
        call_tell_id(call);
    reply_error(&reply, call->family, error, call->request_id);
}

void call_fail(const struct call *call, int status, const char *code, const char *param,
        const char *message)
{
    const struct api_error error = {
            .status = status, .code = code, .param = param, .message = message};
    call_fail_with(call, &error);
}

void call_reply_json(const struct call *call, int r, const struct buf *body)
{
    if (r)
        call_fail(
                call, 500, "internal_error", NULL, "no memory for the answer, or it is too large");
    else
        http_exchange_reply(call->exchange, 200, "application/json", buf_at(body), body->len);
}

const char *call_name_modes(const struct call *call, char text[CALL_MODES_MAX])
{
    const struct modes *modes = call->api->view->modes;
    struct text_writer names = {.text = text, .size = CALL_MODES_MAX};
    const char *allowed[MODE_MODELS_MAX];
    strcpy(text, "none yet");
    for (size_t i = 0; i < modes->count; i++)
        if (caller_models_of_mode(call->caller, &modes->list[i], allowed) > 0 &&
                !text_write_name(&names, modes->list[i].name))
            break;
    return text;
}

bool caller_renew(struct caller *caller, const struct call *call)
{
    if (!caller->key)
        return true;
    const char *text = access_key(http_exchange_header(call->exchange, "Authorization"),
            http_exchange_header(call->exchange, "x-api-key"));
    caller->key = text ? api_keys_check(call->api->keys, text) : NULL;
    return caller->key != NULL;
}

bool caller_allows_mode(const struct caller *caller, const char *mode)
{
    return !caller->key || api_key_allows_mode(caller->key, mode);
}

bool caller_allows_model(const struct caller *caller, const char *model)
{
    return !caller->key ||
           api_key_allows_model(caller->key, node_table_model(caller->nodes, model));
}

bool caller_has_all_models(const struct caller *caller)
{
    return !caller->key || caller->key->model_count == 0;
}

size_t caller_models_of_mode(
        const struct caller *caller, const struct mode *mode, const char *allowed[MODE_MODELS_MAX])
{
    size_t count = 0;
    if (!caller_allows_mode(caller, mode->name))
        return 0;
    for (size_t i = 0; i < mode->model_count; i++)
        if (caller_allows_model(caller, mode->models[i]))
            allowed[count++] = mode->models[i];
    return count;
}

static bool may_use(const void *ctx, const struct mode *mode)
{
    const char *allowed[MODE_MODELS_MAX];
    return caller_models_of_mode(ctx, mode, allowed) > 0;
}

const struct mode *caller_fallback(const struct caller *caller, const struct modes *modes)
{
    return modes_fallback(modes, may_use, caller);
}

const struct mode *caller_next_mode(
        const struct caller *caller, const struct modes *modes, const struct mode *mode)
{
    const char *name = mode->when_none == WHEN_NONE_NEXT ? mode->next : NULL;
    const struct mode *next = name ? modes_find(modes, name) : NULL;
    return next && may_use(caller, next) ? next : NULL;
}

static bool mode_means_model(struct node_table *nodes, const struct mode *mode, const char *model)
{
    for (size_t i = 0; i < mode->model_count; i++)
        if (strcmp(node_table_model(nodes, mode->models[i]), model) == 0)
            return true;
    return false;
}

bool caller_may_name_model(const struct caller *caller, const struct modes *modes, const char *name)
{
    if (!caller->key || caller->key->mode_count == 0 || caller->key->model_count > 0)
        return caller_allows_model(caller, name);
    const char *model = node_table_model(caller->nodes, name);
    for (size_t m = 0; m < modes->count; m++)
        if (caller_allows_mode(caller, modes->list[m].name) &&
                mode_means_model(caller->nodes, &modes->list[m], model))
            return true;
    return false;
}

void caller_name(const struct caller *caller, char *name, size_t size)
{
    if (caller->key)
        snprintf(name, size, "key %s", caller->key->name);
    else if (caller->node)
        snprintf(name, size, "edge %s", caller->node);
    else
        snprintf(name, size, "local");
}

static bool offers_mode(void *ctx, const char *name)
{
    const struct call_offers *offers = ctx;
    const struct mode *mode = modes_find(offers->modes, name);
    const char *allowed[MODE_MODELS_MAX];
    return mode && caller_models_of_mode(offers->caller, mode, allowed) > 0;
}

static bool offers_model(void *ctx, const char *name)
{
    const struct call_offers *offers = ctx;
    return caller_may_name_model(offers->caller, offers->modes, name);
}

void call_offers_init(struct call_offers *offers, const struct call *call)
{
    const struct admin_view *view = call->api->view;
    *offers = (struct call_offers){.modes = view->modes, .caller = call->caller};
    offers->offers = (struct offers){.modes = view->modes,
            .nodes = view->nodes,
            .claude_names = http_exchange_header(call->exchange, "anthropic-version") != NULL,
            .allows_mode = offers_mode,
            .allows_model = offers_model,
            .ctx = offers};
}

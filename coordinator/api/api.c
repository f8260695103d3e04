#include "coordinator/api/api.h"

#include "common/env.h"
#include "common/json.h"
#include "common/log.h"
#include "coordinator/dialects/dialect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    REPLY_MAX = 16 * 1024 * 1024,
    KNOWN_NAMES_MAX = 400,
    OPERATION_BODY_MAX = 64 * 1024, /* bytes of JSON that ask for an operation */
};

static const struct json_limits operation_limits = {
        .max_bytes = OPERATION_BODY_MAX, .max_depth = 4, .max_values = 1024};

enum scope { SCOPE_OPEN, SCOPE_USE, SCOPE_RUN }; /* the mesh */

struct caller {
    struct api_key *key; /* NULL: none was shown, and none was needed */
    bool owner;          /* may run the mesh */
    const char *node;    /* whose edge carries it; NULL: none */
};

typedef void (*route_fn)(
        struct api *api, struct http_exchange *exchange, const struct caller *caller);

struct route {
    const char *method, *path;
    enum scope scope;
    route_fn serve;
};

static void reply_api_error(struct http_exchange *exchange, int status, const char *code,
        const char *param, const char *message)
{
    reply_error(exchange, &dialect_openai,
            &(struct api_error){
                    .status = status, .code = code, .param = param, .message = message});
}

/* --- GET --- */

static void reply_json(struct http_exchange *exchange, int r, const struct buf *body)
{
    if (r)
        reply_api_error(exchange, 500, "internal_error", NULL,
                "no memory for the answer, or it is too large");
    else
        http_exchange_reply(exchange, 200, "application/json", buf_at(body), body->len);
}

static void serve_appended(struct api *api, struct http_exchange *exchange,
        int (*append)(const struct admin_view *view, struct buf *out))
{
    struct buf body;
    buf_init(&body, REPLY_MAX);
    reply_json(exchange, append(api->view, &body), &body);
    buf_fini(&body);
}

static void serve_status(
        struct api *api, struct http_exchange *exchange, const struct caller *caller)
{
    (void)caller;
    serve_appended(api, exchange, admin_append_status);
}

static bool allows_mode(const struct caller *caller, const char *mode)
{
    return !caller->key || api_key_allows_mode(caller->key, mode);
}

static bool allows_model(const struct caller *caller, const char *model)
{
    return !caller->key || api_key_allows_model(caller->key, model);
}

/* Those of the mode's models that the caller may get by it, in the mode's order. */
static size_t allowed_models(
        const struct mode *mode, const struct caller *caller, char *allowed[MODE_MODELS_MAX])
{
    size_t count = 0;
    if (!allows_mode(caller, mode->name))
        return 0;
    for (size_t i = 0; i < mode->model_count; i++)
        if (allows_model(caller, mode->models[i]))
            allowed[count++] = mode->models[i];
    return count;
}

/* A key that names modes and no models may ask for those modes' models, and no others, by name. */
static bool may_name_model(
        const struct modes *modes, const struct caller *caller, const char *model)
{
    if (!caller->key || caller->key->mode_count == 0 || caller->key->model_count > 0)
        return allows_model(caller, model);
    for (size_t m = 0; m < modes->count; m++)
        for (size_t i = 0; i < modes->list[m].model_count; i++)
            if (allows_mode(caller, modes->list[m].name) &&
                    strcmp(modes->list[m].models[i], model) == 0)
                return true;
    return false;
}

struct listing { /* of what there is, for one caller */
    const struct modes *modes;
    const struct caller *caller;
};

/* What would only be refused is not listed. */
static bool lists_mode(void *ctx, const char *name)
{
    const struct listing *listing = ctx;
    const struct mode *mode = modes_find(listing->modes, name);
    char *allowed[MODE_MODELS_MAX];
    return mode && allowed_models(mode, listing->caller, allowed) > 0;
}

static bool lists_model(void *ctx, const char *name)
{
    const struct listing *listing = ctx;
    return may_name_model(listing->modes, listing->caller, name);
}

static void serve_models(
        struct api *api, struct http_exchange *exchange, const struct caller *caller)
{
    struct listing listing = {.modes = api->view->modes, .caller = caller};
    const struct admin_filter filter = {.mode = lists_mode, .model = lists_model, .ctx = &listing};
    struct buf body;
    buf_init(&body, REPLY_MAX);
    reply_json(exchange, admin_append_models(api->view, &filter, &body), &body);
    buf_fini(&body);
}

static void serve_health(
        struct api *api, struct http_exchange *exchange, const struct caller *caller)
{
    (void)caller;
    char body[64];
    int len = snprintf(body, sizeof(body), "{\"status\":\"ok\",\"nodes\":%zu}",
            node_table_count(api->view->nodes));
    http_exchange_reply(exchange, 200, "application/json", body, (size_t)len);
}

/* --- inference --- */

static bool some_node_has(struct node_table *nodes, const char *model)
{
    size_t count;
    struct instance *const *instances = node_table_instances(nodes, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(instances[i]->model, model) == 0)
            return true;
    return false;
}

static bool some_mode_names(const struct modes *modes, const char *model)
{
    for (size_t m = 0; m < modes->count; m++)
        for (size_t i = 0; i < modes->list[m].model_count; i++)
            if (strcmp(modes->list[m].models[i], model) == 0)
                return true;
    return false;
}

struct names { /* "one, two, …" */
    char text[KNOWN_NAMES_MAX];
    size_t len;
    bool full; /* ends with the ellipsis */
};

/* Behind what is held there is always room for an ellipsis. */
static void add_name(struct names *names, const char *name)
{
    if (names->full)
        return;
    names->full = names->len + strlen(name) + sizeof(", , …") > sizeof(names->text);
    names->len += (size_t)snprintf(names->text + names->len, sizeof(names->text) - names->len,
            "%s%s", names->len ? ", " : "", names->full ? "…" : name);
}

/* What this caller may ask for. */
static void gather_names(
        const struct admin_view *view, const struct caller *caller, struct names *names)
{
    struct listing listing = {.modes = view->modes, .caller = caller};
    for (size_t i = 0; i < view->modes->count; i++)
        if (lists_mode(&listing, view->modes->list[i].name))
            add_name(names, view->modes->list[i].name);
    const struct mode *automatic = modes_find(view->modes, MODE_AUTO);
    if (automatic && lists_mode(&listing, automatic->name))
        add_name(names, MODE_AUTO);
    size_t count;
    struct instance *const *models = node_table_models(view->nodes, &count);
    for (size_t i = 0; i < count; i++)
        if (!modes_find(view->modes, models[i]->model) && lists_model(&listing, models[i]->model))
            add_name(names, models[i]->model);
}

static void reply_unknown_model(struct api *api, struct http_exchange *exchange,
        const struct caller *caller, const char *name)
{
    struct names known = {.text = ""};
    gather_names(api->view, caller, &known);
    char text[MSG_NAME_MAX + KNOWN_NAMES_MAX + 64];
    snprintf(text, sizeof(text), "there is no mode or model \"%s\"; known are: %s", name,
            known.len ? known.text : "none yet");
    reply_api_error(exchange, 404, "model_not_found", "model", text);
}

static void reply_forbidden(struct http_exchange *exchange, const struct caller *caller,
        const char *kind, const char *name)
{
    char text[MSG_NAME_MAX + API_KEY_NAME_MAX + 128];
    snprintf(text, sizeof(text), "the API key \"%s\" may not use the %s \"%s\"", caller->key->name,
            kind, name);
    reply_api_error(exchange, 403, "insufficient_scope", "model", text);
}

static void start_mode(struct api *api, struct http_exchange *exchange, const struct caller *caller,
        const struct dialect *dialect, struct request *request, const struct mode *mode)
{
    char *allowed[MODE_MODELS_MAX];
    size_t count = allowed_models(mode, caller, allowed);
    if (count == 0)
        reply_forbidden(exchange, caller, "mode", mode->name);
    else
        jobs_start(api->jobs, exchange, dialect, request, mode->name, allowed, count);
}

/* A name that is both a mode's and a model's asks for the mode. */
static void start_job(struct api *api, struct http_exchange *exchange, const struct caller *caller,
        const struct dialect *dialect, struct request *request)
{
    const struct mode *mode = modes_find(api->view->modes, request->asked);
    char model[MSG_NAME_MAX + 1]; /* jobs_start() takes the request over, the name with it */
    strcpy(model, request->asked);
    if (mode)
        start_mode(api, exchange, caller, dialect, request, mode);
    else if (!some_node_has(api->view->nodes, model) && !some_mode_names(api->view->modes, model))
        reply_unknown_model(api, exchange, caller, model);
    else if (!may_name_model(api->view->modes, caller, model))
        reply_forbidden(exchange, caller, "model", model);
    else
        jobs_start(api->jobs, exchange, dialect, request, NULL, (char *[]){model}, 1);
}

static void name_client(const struct caller *caller, char *name, size_t size)
{
    if (caller->key)
        snprintf(name, size, "key %s", caller->key->name);
    else if (caller->node)
        snprintf(name, size, "edge %s", caller->node);
    else
        snprintf(name, size, "local");
}

static void make_request_id(struct api *api, struct request *request)
{
    char hex[25];
    snprintf(request->id, sizeof(request->id), "req_%s", env_random_hex(api->view->env, hex, 12));
}

static void serve_inference(struct api *api, struct http_exchange *exchange,
        const struct caller *caller, const struct dialect *dialect)
{
    struct request request;
    request_init(&request);
    make_request_id(api, &request);
    name_client(caller, request.client, sizeof(request.client));
    http_exchange_set_header(exchange, "X-Modemesh-Request", request.id);
    size_t len;
    const char *body = http_exchange_body(exchange, &len);
    const char *param;
    struct err err;
    int r = dialect->parse(body, len, &request, &param, &err);
    http_exchange_free_body(exchange);
    if (r == 0)
        start_job(api, exchange, caller, dialect, &request);
    else if (r == -EINVAL)
        reply_api_error(exchange, 400, "invalid_request", param, err.text);
    else
        reply_api_error(exchange, 500, "internal_error", NULL, err.text);
    request_fini(&request);
}

static void serve_chat(struct api *api, struct http_exchange *exchange, const struct caller *caller)
{
    serve_inference(api, exchange, caller, &dialect_openai);
}

/* --- operations --- */

static void reply_failed_operation(struct http_exchange *exchange, int r, const char *message)
{
    static const struct {
        int errno_value, status;
        const char *code;
    } answers[] = {
            {EINVAL, 400, "invalid_request"},
            {ERANGE, 400, "invalid_request"},
            {E2BIG, 400, "invalid_request"},
            {EMSGSIZE, 400, "invalid_request"},
            {ENOENT, 404, "not_found"},
            {EEXIST, 409, "conflict"},
            {EACCES, 409, "conflict"},
            {ENOSPC, 409, "limit_reached"},
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        if (answers[i].errno_value == -r) {
            reply_api_error(exchange, answers[i].status, answers[i].code, NULL, message);
            return;
        }
    }
    reply_api_error(exchange, 500, "internal_error", NULL, message);
}

static int parse_operation(struct http_exchange *exchange, cJSON **ret_body, struct err *err)
{
    size_t len;
    const char *text = http_exchange_body(exchange, &len);
    int r = json_parse(text, len, &operation_limits, ret_body, err);
    if (r || cJSON_IsObject(*ret_body))
        return r;
    cJSON_Delete(*ret_body);
    return err_set(err, -EINVAL, "the body must be a JSON object");
}

static int run_operation(struct api *api, struct http_exchange *exchange,
        const struct operation *operation, struct buf *out, struct err *err)
{
    struct json_writer writer;
    cJSON *body = NULL;
    int r = 0;
    if (strcmp(operation->method, "POST") == 0)
        r = parse_operation(exchange, &body, err);
    if (r)
        return r;
    json_writer_init(&writer, out);
    json_writer_object(&writer, NULL);
    r = operation->run(api->operations, body, &writer, err);
    json_writer_object_end(&writer);
    cJSON_Delete(body);
    if (r == 0 && json_writer_result(&writer))
        r = err_set(err, -ENOMEM, "no memory for the answer, or it is too large");
    return r;
}

/* An answer may hold a new key or token: its memory is wiped. */
static void serve_operation(
        struct api *api, struct http_exchange *exchange, const struct operation *operation)
{
    struct buf out;
    struct err err;
    buf_init(&out, REPLY_MAX);
    int r = run_operation(api, exchange, operation, &out, &err);
    if (r)
        reply_failed_operation(exchange, r, err.text);
    else
        http_exchange_reply(exchange, 200, "application/json", buf_at(&out), out.len);
    if (out.data)
        explicit_bzero(out.data, out.cap);
    buf_fini(&out);
}

/* --- routing --- */

static const struct route routes[] = {
        {"POST", "/v1/chat/completions", SCOPE_USE, serve_chat},
        {"POST", "/chat/completions", SCOPE_USE, serve_chat},
        {"GET", "/v1/models", SCOPE_USE, serve_models},
        {"GET", "/models", SCOPE_USE, serve_models},
        {"GET", "/health", SCOPE_OPEN, serve_health},
        {"GET", "/mesh/v1/status", SCOPE_USE, serve_status},
};

/* NULL where the path is unknown or the method is not its; `*ret_allowed` is the method that would
 * be, or NULL. */
static const struct route *find_route(
        const struct http_exchange *exchange, const char **ret_allowed)
{
    *ret_allowed = NULL;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (strcmp(routes[i].path, http_exchange_path(exchange)) != 0)
            continue;
        if (strcmp(http_exchange_method(exchange), routes[i].method) == 0)
            return &routes[i];
        *ret_allowed = routes[i].method;
    }
    return NULL;
}

static const char *first_header(const struct http_exchange *exchange, const char *const *names)
{
    for (; *names; names++) {
        const char *value = http_exchange_header(exchange, *names);
        if (value)
            return value;
    }
    return NULL;
}

static const char *shown_key(const struct http_exchange *exchange)
{
    return access_key(http_exchange_header(exchange, "Authorization"),
            http_exchange_header(exchange, "x-api-key"));
}

/* Editors that need no key send some all the same: only ours count there. */
static bool key_counts(enum access_listener kind, const char *text)
{
    return text && (kind == ACCESS_NETWORK || api_key_is_ours(text));
}

/* Who calls, from what he shows; keys are looked up, nothing is counted. */
static struct caller identify(
        const struct api_listener *listener, const struct http_exchange *exchange)
{
    struct caller caller = {.owner = listener->kind == ACCESS_SOCKET};
    const char *text = shown_key(exchange);
    if (listener->kind == ACCESS_EDGE)
        caller.node = http_exchange_peer(exchange);
    if (key_counts(listener->kind, text))
        caller.key = api_keys_check(listener->api->keys, text);
    if (caller.key)
        caller.owner = caller.key->admin;
    return caller;
}

static int reply_wait(struct http_exchange *exchange, uint32_t seconds, const char *message)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", seconds);
    http_exchange_set_header(exchange, "Retry-After", text);
    reply_api_error(exchange, 429, "rate_limit_exceeded", NULL, message);
    return -EBUSY;
}

static int reply_unauthorized(struct http_exchange *exchange, const char *message)
{
    http_exchange_set_header(exchange, "WWW-Authenticate", "Bearer");
    reply_api_error(exchange, 401, "invalid_api_key", NULL, message);
    return -EPERM;
}

/* A key that was good from this very address before is not slowed by what others try from there. */
static int screen_key(const struct api_listener *listener, struct http_exchange *exchange,
        const struct caller *caller)
{
    struct api *api = listener->api;
    char peer[HTTP_PEER_MAX + sizeof("edge ")]; /* a node's name must not pass for an address */
    (void)snprintf(peer, sizeof(peer), "%s%s", listener->kind == ACCESS_EDGE ? "edge " : "",
            http_exchange_peer(exchange));
    uint64_t now_ms = env_now_ms(api->view->env);
    if (!key_counts(listener->kind, shown_key(exchange)))
        return 0;
    bool known = caller->key && strcmp(caller->key->last_address, peer) == 0;
    uint32_t wait_s = known ? 0 : throttle_wait_s(api->throttle, peer, now_ms);
    if (wait_s)
        return reply_wait(exchange, wait_s, "too many wrong API keys from this address; wait");
    if (!caller->key) {
        throttle_failed(api->throttle, peer, now_ms);
        log_warn("wrong API key", LOG_S("address", peer));
        return reply_unauthorized(exchange, "this API key is not known; keys are made by "
                                            "`modemesh keys create NAME`");
    }
    throttle_succeeded(api->throttle, peer);
    snprintf(caller->key->last_address, sizeof(caller->key->last_address), "%s", peer);
    return 0;
}

static int screen_access(const struct api_listener *listener, struct http_exchange *exchange,
        const struct caller *caller, enum scope scope)
{
    static const char *const forwarding[] = {
            "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", NULL};
    struct access_facts facts = {.listener = listener->kind,
            .has_key = caller->key != NULL,
            .keyless = listener->api->keyless_network,
            .host = http_exchange_header(exchange, "Host"),
            .origin = http_exchange_header(exchange, "Origin"),
            .forwarded = first_header(exchange, forwarding),
            .own_name = listener->api->own_name};
    struct err err;
    int r = access_check(&facts, &err);
    if (r == -EPERM && scope == SCOPE_OPEN)
        return 0;
    if (r == -EPERM)
        return reply_unauthorized(exchange, err.text);
    if (r)
        reply_api_error(exchange, 403, "forbidden", NULL, err.text);
    return r;
}

static int screen_scope(
        struct http_exchange *exchange, const struct caller *caller, enum scope scope)
{
    if (scope != SCOPE_RUN || caller->owner)
        return 0;
    reply_api_error(exchange, 403, "insufficient_scope", NULL,
            "this needs the admin scope: run `modemesh` on the coordinator's host as its user, or "
            "use an API key made with --admin");
    return -EACCES;
}

/* What a key may ask for a minute; reading the state costs nothing. */
static int screen_rate(struct api *api, struct http_exchange *exchange, const struct caller *caller)
{
    uint32_t wait_s;
    if (!caller->key || strcmp(http_exchange_method(exchange), "POST") != 0)
        return 0;
    int r = api_key_take(caller->key, env_now_ms(api->view->env), &wait_s);
    caller->key->last_used_ms = env_wall_ms(api->view->env);
    return r ? reply_wait(exchange, wait_s, "this API key's requests per minute are used up") : 0;
}

static int reply_no_path(struct http_exchange *exchange, const char *allowed)
{
    char text[ERR_TEXT_MAX];
    if (allowed) {
        http_exchange_set_header(
                exchange, "Allow", strcmp(allowed, "GET") == 0 ? "GET, HEAD" : allowed);
        snprintf(text, sizeof(text), "%s takes %s", http_exchange_path(exchange), allowed);
        reply_api_error(exchange, 405, "method_not_allowed", NULL, text);
    } else {
        snprintf(text, sizeof(text),
                "nothing is served at %.200s; there are /v1/chat/completions, /v1/models, /health",
                http_exchange_path(exchange));
        reply_api_error(exchange, 404, "not_found", NULL, text);
    }
    return -ENOENT;
}

struct target { /* what a path is served by: one of the two */
    const struct route *route;
    const struct operation *operation;
    enum scope scope;
};

/* False where nothing is there, or the method is not its. */
static bool find_target(
        const struct http_exchange *exchange, struct target *ret_target, const char **ret_allowed)
{
    const char *method = http_exchange_method(exchange), *path = http_exchange_path(exchange);
    const char *of_operation;
    *ret_target = (struct target){.route = find_route(exchange, ret_allowed), .scope = SCOPE_RUN};
    if (ret_target->route) {
        ret_target->scope = ret_target->route->scope;
        return true;
    }
    ret_target->operation = operation_find(method, path, &of_operation);
    if (!*ret_allowed)
        *ret_allowed = of_operation;
    return ret_target->operation != NULL;
}

/* Who may not come is told that before he learns which paths there are. */
static int on_headers(void *ctx, struct http_exchange *exchange)
{
    const struct api_listener *listener = ctx;
    struct caller caller = identify(listener, exchange);
    const char *allowed;
    struct target target;
    bool found = find_target(exchange, &target, &allowed);
    int r = screen_key(listener, exchange, &caller);
    if (!r)
        r = screen_access(listener, exchange, &caller, found ? target.scope : SCOPE_USE);
    if (!r && !found)
        r = reply_no_path(exchange, allowed);
    if (!r)
        r = screen_scope(exchange, &caller, target.scope);
    return r ? r : screen_rate(listener->api, exchange, &caller);
}

/* The key may have been revoked while the body came in. */
static void on_request(void *ctx, struct http_exchange *exchange)
{
    const struct api_listener *listener = ctx;
    struct caller caller = identify(listener, exchange);
    const char *allowed;
    struct target target;
    bool found = find_target(exchange, &target, &allowed);
    if (key_counts(listener->kind, shown_key(exchange)) && !caller.key)
        reply_unauthorized(exchange, "this API key was revoked");
    else if (!found)
        reply_no_path(exchange, allowed);
    else if (target.route)
        target.route->serve(listener->api, exchange, &caller);
    else
        serve_operation(listener->api, exchange, target.operation);
}

static const char *code_of_status(int status)
{
    switch (status) {
    case 413:
        return "request_too_large";
    case 503:
        return "overloaded";
    default:
        return "bad_request";
    }
}

static void on_refusal(void *ctx, struct http_exchange *exchange, int status, const char *message)
{
    (void)ctx;
    reply_api_error(exchange, status, code_of_status(status), NULL, message);
}

struct http_server_handler api_handler(struct api_listener *listener)
{
    return (struct http_server_handler){.on_headers = on_headers,
            .on_request = on_request,
            .on_refusal = on_refusal,
            .ctx = listener};
}

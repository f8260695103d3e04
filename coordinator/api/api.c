#include "coordinator/api/api.h"

#include "common/env.h"
#include "common/json/json.h"
#include "common/log.h"
#include "coordinator/api/caller.h"
#include "coordinator/api/inference.h"
#include "coordinator/api/responses.h"
#include "coordinator/api/serve_explain.h"
#include "coordinator/api/serve_list.h"
#include "coordinator/api/serve_plan.h"
#include "coordinator/dialects/anthropic/anthropic.h"
#include "coordinator/dialects/llamacpp/llamacpp.h"
#include "coordinator/dialects/ollama/ollama.h"
#include "coordinator/dialects/openai/openai.h"
#include "coordinator/dialects/responses/responses.h"
#include "coordinator/modes/mode_names.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    REPLY_MAX = 16 * 1024 * 1024,
    OPERATION_BODY_MAX = 64 * 1024, /* bytes of JSON that ask for an operation */
    REQUEST_ID_BYTES = 12,          /* random ones of a request's id */
    ALLOWED_MAX = 48,               /* bytes of the header Allow */
};

static const struct json_limits operation_limits = {
        .max_bytes = OPERATION_BODY_MAX, .max_depth = 4, .max_values = 1024, .unambiguous = true};

enum scope { SCOPE_OPEN, SCOPE_USE, SCOPE_RUN }; /* the mesh */

typedef void (*serve_fn)(const struct call *call);

struct route {
    const char *method;
    const char
            *path; /* one "*" in it stands for one or more characters, no slash in a middle one */
    enum scope scope;
    const struct dialect_family *family;
    serve_fn serve;
    const struct dialect *dialect; /* of inference */
};

/* --- what is there --- */

static void serve_status(const struct call *call)
{
    struct buf body;
    buf_init(&body, REPLY_MAX);
    call_reply_json(call, admin_append_status(call, &body), &body);
    buf_fini(&body);
}

static void serve_suggestion(const struct call *call)
{
    struct buf body;
    buf_init(&body, REPLY_MAX);
    call_reply_json(call, admin_append_suggestion(call->api->view, &body), &body);
    buf_fini(&body);
}

static void serve_health(const struct call *call)
{
    char body[64];
    int len = snprintf(body, sizeof(body), "{\"status\":\"ok\",\"nodes\":%zu}",
            node_table_count(call->api->view->nodes));
    http_exchange_reply(call->exchange, 200, "application/json", body, (size_t)len);
}

/* Some clients look here whether anybody is at home. */
static void serve_root(const struct call *call)
{
    static const char text[] = "modemesh is running\n";
    http_exchange_reply(call->exchange, 200, "text/plain", text, strlen(text));
}

/* Codex tries a websocket first, and goes on by HTTP at once only after this very status. */
static void serve_no_websocket(const struct call *call)
{
    if (http_exchange_header(call->exchange, "Upgrade")) {
        call_fail(call, 426, "upgrade_required", NULL,
                "there are no websockets here; POST to this path instead");
        return;
    }
    http_exchange_set_header(call->exchange, "Allow", "POST");
    call_fail(call, 405, "method_not_allowed", NULL, "/v1/responses takes POST");
}

/* --- operations --- */

static void fail_operation(const struct call *call, int r, const char *message)
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
            call_fail(call, answers[i].status, answers[i].code, NULL, message);
            return;
        }
    }
    call_fail(call, 500, "internal_error", NULL, message);
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

static int run_operation(const struct call *call, const struct operation *operation,
        struct buf *out, struct err *err)
{
    struct json_writer writer;
    cJSON *body = NULL;
    int r = 0;
    if (strcmp(operation->method, "POST") == 0)
        r = parse_operation(call->exchange, &body, err);
    if (r)
        return r;
    json_writer_init(&writer, out);
    json_writer_object(&writer, NULL);
    r = operation->run(call->api->operations, body, &writer, err);
    json_writer_object_end(&writer);
    cJSON_Delete(body);
    if (r == 0 && json_writer_result(&writer))
        r = err_set(err, -ENOMEM, "no memory for the answer, or it is too large");
    return r;
}

/* An answer may hold a new key or token: its memory is wiped. */
static void serve_operation(const struct call *call, const struct operation *operation)
{
    struct buf out;
    struct err err;
    buf_init(&out, REPLY_MAX);
    int r = run_operation(call, operation, &out, &err);
    if (r)
        fail_operation(call, r, err.text);
    else
        http_exchange_reply(call->exchange, 200, "application/json", buf_at(&out), out.len);
    if (out.data)
        explicit_bzero(out.data, out.cap);
    buf_fini(&out);
}

/* --- routing --- */

static const struct route routes[] = {
        {"POST", "/v1/chat/completions", SCOPE_USE, &family_openai, NULL, &dialect_openai_chat},
        {"POST", "/chat/completions", SCOPE_USE, &family_openai, NULL, &dialect_openai_chat},
        {"POST", "/v1/completions", SCOPE_USE, &family_openai, NULL, &dialect_openai_completions},
        {"POST", "/v1/fim/completions", SCOPE_USE, &family_openai, NULL, &dialect_openai_fim},
        {"POST", "/fim/completions", SCOPE_USE, &family_openai, NULL, &dialect_openai_fim},
        {"POST", "/v1/embeddings", SCOPE_USE, &family_openai, NULL, &dialect_openai_embeddings},
        {"POST", "/embeddings", SCOPE_USE, &family_openai, NULL, &dialect_openai_embeddings},
        {"POST", "/v1/rerank", SCOPE_USE, &family_openai, NULL, &dialect_openai_rerank},
        {"POST", "/rerank", SCOPE_USE, &family_openai, NULL, &dialect_openai_rerank},
        {"POST", "/v1/reranking", SCOPE_USE, &family_openai, NULL, &dialect_openai_rerank},
        {"POST", "/v1/audio/transcriptions", SCOPE_USE, &family_openai, NULL,
                &dialect_openai_transcriptions},
        {"POST", "/v1/responses", SCOPE_USE, &family_openai, NULL, &dialect_responses},
        {"POST", "/responses", SCOPE_USE, &family_openai, NULL, &dialect_responses},
        {"GET", "/v1/responses", SCOPE_USE, &family_openai, serve_no_websocket, NULL},
        {"GET", "/responses", SCOPE_USE, &family_openai, serve_no_websocket, NULL},
        {"GET", "/v1/responses/*/input_items", SCOPE_USE, &family_openai,
                responses_serve_input_items, NULL},
        {"GET", "/v1/responses/*", SCOPE_USE, &family_openai, responses_serve_get, NULL},
        {"DELETE", "/v1/responses/*", SCOPE_USE, &family_openai, responses_serve_delete, NULL},
        {"POST", "/v1/responses/*/cancel", SCOPE_USE, &family_openai, responses_serve_cancel, NULL},
        {"GET", "/v1/models", SCOPE_USE, NULL, serve_models, NULL},
        {"GET", "/models", SCOPE_USE, NULL, serve_models, NULL},
        {"GET", "/v1/models/*", SCOPE_USE, NULL, serve_model, NULL},
        {"GET", "/v1/model/info", SCOPE_USE, &family_openai, serve_litellm, NULL},
        {"GET", "/model/info", SCOPE_USE, &family_openai, serve_litellm, NULL},
        {"GET", "/api/v0/models", SCOPE_USE, &family_openai, serve_lmstudio, NULL},

        {"POST", "/v1/messages", SCOPE_USE, &family_anthropic, NULL, &dialect_anthropic_messages},
        {"POST", "/v1/messages/count_tokens", SCOPE_USE, &family_anthropic, NULL,
                &dialect_anthropic_count},

        {"POST", "/api/chat", SCOPE_USE, &family_ollama, NULL, &dialect_ollama_chat},
        {"POST", "/api/generate", SCOPE_USE, &family_ollama, NULL, &dialect_ollama_generate},
        {"POST", "/api/embed", SCOPE_USE, &family_ollama, NULL, &dialect_ollama_embed},
        {"POST", "/api/embeddings", SCOPE_USE, &family_ollama, NULL, &dialect_ollama_embeddings},
        {"GET", "/api/tags", SCOPE_USE, &family_ollama, serve_ollama_tags, NULL},
        {"POST", "/api/show", SCOPE_USE, &family_ollama, serve_ollama_show, NULL},
        {"GET", "/api/ps", SCOPE_USE, &family_ollama, serve_ollama_ps, NULL},
        {"GET", "/api/version", SCOPE_OPEN, &family_ollama, serve_ollama_version, NULL},
        {"POST", "/api/pull", SCOPE_USE, &family_ollama, serve_ollama_refusal, NULL},
        {"POST", "/api/push", SCOPE_USE, &family_ollama, serve_ollama_refusal, NULL},
        {"POST", "/api/create", SCOPE_USE, &family_ollama, serve_ollama_refusal, NULL},
        {"POST", "/api/copy", SCOPE_USE, &family_ollama, serve_ollama_refusal, NULL},
        {"DELETE", "/api/delete", SCOPE_USE, &family_ollama, serve_ollama_refusal, NULL},
        {"POST", "/api/blobs/*", SCOPE_USE, &family_ollama, serve_ollama_refusal, NULL},

        {"POST", "/completion", SCOPE_USE, &family_llamacpp, NULL, &dialect_llamacpp_completion},
        {"POST", "/completions", SCOPE_USE, &family_llamacpp, NULL, &dialect_llamacpp_completion},
        {"POST", "/infill", SCOPE_USE, &family_llamacpp, NULL, &dialect_llamacpp_infill},
        {"POST", "/tokenize", SCOPE_USE, &family_llamacpp, NULL, &dialect_llamacpp_tokenize},
        {"POST", "/detokenize", SCOPE_USE, &family_llamacpp, NULL, &dialect_llamacpp_detokenize},
        {"POST", "/apply-template", SCOPE_USE, &family_llamacpp, NULL, &dialect_llamacpp_template},
        {"GET", "/props", SCOPE_USE, &family_llamacpp, serve_props, NULL},
        {"GET", "/slots", SCOPE_USE, &family_llamacpp, serve_slots, NULL},

        {"GET", "/", SCOPE_OPEN, &family_openai, serve_root, NULL},
        {"GET", "/health", SCOPE_OPEN, &family_openai, serve_health, NULL},
        {"GET", "/v1/health", SCOPE_OPEN, &family_openai, serve_health, NULL},
        {"GET", "/mesh/v1/status", SCOPE_USE, &family_openai, serve_status, NULL},
        {"GET", "/mesh/v1/modes/suggestion", SCOPE_USE, &family_openai, serve_suggestion, NULL},
        {"GET", "/mesh/v1/explain", SCOPE_USE, &family_openai, serve_explain, NULL},
        {"GET", "/mesh/v1/plan", SCOPE_RUN, &family_openai, serve_plan, NULL},
};

/* "/mode/MODE" before the path of any route that an editor uses. */
static const char mode_prefix[] = "/mode/";

/* The path without its mode, which is written to `mode`; `path` itself where it names none. NULL
 * where the name is longer than any mode's. */
static const char *strip_mode(const char *path, char mode[MSG_NAME_MAX + 1])
{
    size_t before = strlen(mode_prefix);
    mode[0] = '\0';
    if (strncmp(path, mode_prefix, before) != 0)
        return path;
    size_t len = strcspn(path + before, "/");
    if (len == 0 || len > MSG_NAME_MAX)
        return NULL;
    memcpy(mode, path + before, len);
    mode[len] = '\0';
    return path[before + len] ? path + before + len : "/";
}

/* Where the pattern's "*" may be in the path; NULL: it does not match. A "*" in the middle takes
 * one part of the path, one at the end all the rest: names of models have slashes. */
static const char *match(const char *pattern, const char *path, size_t *ret_len)
{
    const char *star = strchr(pattern, '*');
    size_t before = star ? (size_t)(star - pattern) : strlen(pattern);
    *ret_len = 0;
    if (strncmp(pattern, path, before) != 0)
        return NULL;
    if (!star)
        return path[before] == '\0' ? path + before : NULL;
    *ret_len = star[1] ? strcspn(path + before, "/") : strlen(path + before);
    bool fits = *ret_len > 0 && strcmp(path + before + *ret_len, star + 1) == 0;
    return fits ? path + before : NULL;
}

struct found {                 /* what serves a path */
    const struct route *route; /* or */
    const struct operation *operation;
    const struct dialect_family *family; /* of the path, whatever the method; NULL: of none */
    enum scope scope;
    char allowed[ALLOWED_MAX];   /* nothing serves it, but by these methods; "": none */
    char mode[MSG_NAME_MAX + 1]; /* that the path asks for; "": none … */
    const char *path;            /* … and what is left of it; NULL: no such mode can be */
    char tail[HTTP_PATH_MAX + 1];
};

static void allow(struct found *found, const char *methods)
{
    size_t len = strlen(found->allowed);
    if (strstr(found->allowed, methods))
        return;
    (void)snprintf(found->allowed + len, sizeof(found->allowed) - len, "%s%s%s", len ? ", " : "",
            methods, strcmp(methods, "GET") == 0 ? ", HEAD" : "");
}

/* What runs the mesh, or tells of it, is the same in each mode. */
static bool is_of_mesh(const char *path)
{
    return strncmp(path, "/mesh/", strlen("/mesh/")) == 0;
}

/* The first that fits: what says more stands before what says less. */
static void find_route(const struct http_exchange *exchange, struct found *found)
{
    const char *method = http_exchange_method(exchange), *path = found->path;
    if (!path || (found->mode[0] && is_of_mesh(path)))
        return;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        size_t len;
        const char *tail = match(routes[i].path, path, &len);
        if (!tail)
            continue;
        if (!found->family)
            found->family = routes[i].family;
        if (strcmp(method, routes[i].method) == 0) {
            found->route = &routes[i];
            found->scope = routes[i].scope;
            snprintf(found->tail, sizeof(found->tail), "%.*s", (int)len, tail);
            return;
        }
        allow(found, routes[i].method);
    }
}

static void find(const struct http_exchange *exchange, struct found *ret_found)
{
    const char *of_operation = NULL;
    *ret_found = (struct found){.scope = SCOPE_RUN};
    ret_found->path = strip_mode(http_exchange_path(exchange), ret_found->mode);
    find_route(exchange, ret_found);
    if (ret_found->route)
        return;
    ret_found->operation = operation_find(
            http_exchange_method(exchange), http_exchange_path(exchange), &of_operation);
    if (of_operation)
        allow(ret_found, of_operation);
}

/* What the path says, else what the caller shows, of which API he speaks. */
static const struct dialect_family *family_of(
        const struct http_exchange *exchange, const struct found *found)
{
    if (found->family)
        return found->family;
    if (http_exchange_header(exchange, "anthropic-version"))
        return &family_anthropic;
    if (found->path && strncmp(found->path, "/api/", 5) == 0)
        return &family_ollama;
    return &family_openai;
}

static struct call make_call(const struct api_listener *listener, struct http_exchange *exchange,
        const struct caller *caller, const struct found *found)
{
    char hex[2 * REQUEST_ID_BYTES + 1];
    struct call call = {.api = listener->api,
            .exchange = exchange,
            .caller = caller,
            .family = family_of(exchange, found),
            .dialect = found->route ? found->route->dialect : NULL,
            .mode = found->mode[0] ? found->mode : NULL,
            .tail = found->tail};
    snprintf(call.request_id, sizeof(call.request_id), "req_%s",
            env_random_hex(listener->api->view->env, hex, REQUEST_ID_BYTES));
    return call;
}

/* --- who calls --- */

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
    struct caller caller = {
            .owner = listener->kind == ACCESS_SOCKET, .nodes = listener->api->view->nodes};
    const char *text = shown_key(exchange);
    if (listener->kind == ACCESS_EDGE)
        caller.node = http_exchange_peer(exchange);
    if (key_counts(listener->kind, text))
        caller.key = api_keys_check(listener->api->keys, text);
    if (caller.key)
        caller.owner = caller.key->admin;
    return caller;
}

static int fail_wait(const struct call *call, uint32_t seconds, const char *message)
{
    const struct api_error error = {.status = 429,
            .code = "rate_limit_exceeded",
            .message = message,
            .retry_after_s = seconds};
    call_fail_with(call, &error);
    return -EBUSY;
}

static int fail_unauthorized(const struct call *call, const char *message)
{
    http_exchange_set_header(call->exchange, "WWW-Authenticate", "Bearer");
    call_fail(call, 401, "invalid_api_key", NULL, message);
    return -EPERM;
}

/* A key that was good from this very address before is not slowed by what others try from there. */
static int screen_key(const struct api_listener *listener, const struct call *call)
{
    struct api *api = listener->api;
    const struct caller *caller = call->caller;
    const struct http_exchange *exchange = call->exchange;
    char peer[HTTP_PEER_MAX + sizeof("edge ")]; /* a node's name must not pass for an address */
    (void)snprintf(peer, sizeof(peer), "%s%s", listener->kind == ACCESS_EDGE ? "edge " : "",
            http_exchange_peer(exchange));
    uint64_t now_ms = env_now_ms(api->view->env);
    if (!key_counts(listener->kind, shown_key(exchange)))
        return 0;
    bool known = caller->key && strcmp(caller->key->last_address, peer) == 0;
    uint32_t wait_s = known ? 0 : throttle_wait_s(api->throttle, peer, now_ms);
    if (wait_s)
        return fail_wait(call, wait_s, "too many wrong API keys from this address; wait");
    if (!caller->key) {
        throttle_failed(api->throttle, peer, now_ms);
        log_warn("wrong API key", LOG_S("address", peer));
        return fail_unauthorized(
                call, "this API key is not known; keys are made by `modemesh keys create NAME`");
    }
    throttle_succeeded(api->throttle, peer);
    snprintf(caller->key->last_address, sizeof(caller->key->last_address), "%s", peer);
    return 0;
}

static bool origin_is_allowed(const struct call *call)
{
    const char *origin = http_exchange_header(call->exchange, "Origin");
    return origin && cors_allows(&call->api->cors, origin);
}

static int screen_access(
        const struct api_listener *listener, const struct call *call, enum scope scope)
{
    static const char *const forwarding[] = {
            "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", NULL};
    struct access_facts facts = {.listener = listener->kind,
            .has_key = call->caller->key != NULL,
            .keyless = listener->api->keyless_network,
            .host = http_exchange_header(call->exchange, "Host"),
            .origin = http_exchange_header(call->exchange, "Origin"),
            .origin_allowed = origin_is_allowed(call),
            .forwarded = first_header(call->exchange, forwarding),
            .own_name = listener->api->own_name};
    struct err err;
    int r = access_check(&facts, &err);
    if (r == -EPERM && scope == SCOPE_OPEN)
        return 0;
    if (r == -EPERM)
        return fail_unauthorized(call, err.text);
    if (r)
        call_fail(call, 403, "forbidden", NULL, err.text);
    return r;
}

static int screen_scope(const struct call *call, enum scope scope)
{
    if (scope != SCOPE_RUN || call->caller->owner)
        return 0;
    call_fail(call, 403, "insufficient_scope", NULL,
            "this needs the admin scope: run `modemesh` on the coordinator's host as its user, or "
            "use an API key that `modemesh keys create NAME --admin` prints there");
    return -EACCES;
}

/* Reading the state costs nothing; to explain is to decide, as for a request. */
static bool costs(const struct call *call, const struct found *found)
{
    return strcmp(http_exchange_method(call->exchange), "POST") == 0 ||
           (found->route && found->route->serve == serve_explain);
}

/* What a key may ask for a minute. */
static int screen_rate(const struct call *call, const struct found *found)
{
    const struct env *env = call->api->view->env;
    struct api_key *key = call->caller->key;
    uint32_t wait_s;
    char text[ERR_TEXT_MAX];
    if (!key || !costs(call, found))
        return 0;
    int r = api_key_take(key, env_now_ms(env), &wait_s);
    key->last_used_ms = env_wall_ms(env);
    if (!r)
        return 0;
    snprintf(text, sizeof(text),
            "the API key \"%s\" may ask %" PRIu32 " %s a minute: again in %" PRIu32 " s", key->name,
            key->requests_per_minute, key->requests_per_minute == 1 ? "time" : "times", wait_s);
    return fail_wait(call, wait_s, text);
}

static int fail_no_path(const struct call *call, const char *allowed)
{
    const char *path = http_exchange_path(call->exchange);
    char text[ERR_TEXT_MAX];
    if (*allowed) {
        http_exchange_set_header(call->exchange, "Allow", allowed);
        snprintf(text, sizeof(text), "%.200s takes %s", path, allowed);
        call_fail(call, 405, "method_not_allowed", NULL, text);
    } else {
        snprintf(text, sizeof(text),
                "nothing is served at %.200s; there are /v1/chat/completions, /v1/responses, "
                "/v1/messages, /api/chat, /infill, /v1/models and others (docs/CLIENTS.md)",
                path);
        call_fail(call, 404, "not_found", NULL, text);
    }
    return -ENOENT;
}

/* What is open to strangers tells them nothing of which modes there are. */
static int screen_mode(const struct call *call, enum scope scope)
{
    const struct modes *modes = call->api->view->modes;
    char text[ERR_TEXT_MAX], known[CALL_MODES_MAX];
    if (!call->mode || scope == SCOPE_OPEN || modes_resolve(modes, call->mode) ||
            modes_asks_auto(modes, call->mode))
        return 0;
    snprintf(text, sizeof(text), "there is no mode \"%.80s\" (in the path); known are: %s",
            call->mode, call_name_modes(call, known));
    call_fail(call, 404, "model_not_found", NULL, text);
    return -ENOENT;
}

/* A browser asks before it sends what a page wants to send, and shows no key. Where the page's
 * origin is not let in, it gets what any unknown path gets. */
static bool answer_preflight(const struct call *call)
{
    if (strcmp(http_exchange_method(call->exchange), "OPTIONS") != 0 || !origin_is_allowed(call))
        return false;
    cors_answer_preflight(call->exchange, http_exchange_header(call->exchange, "Origin"));
    return true;
}

/* A page that is let in reads refusals too. What a browser keeps of an answer for one page is not
 * for another. */
static void tell_origin(const struct call *call)
{
    if (origin_is_allowed(call))
        cors_set_headers(call->exchange, http_exchange_header(call->exchange, "Origin"));
    else if (call->api->cors.count > 0)
        http_exchange_set_header(call->exchange, "Vary", "Origin");
}

/* Who may not come is told that before he learns which paths there are. */
static int on_headers(void *ctx, struct http_exchange *exchange)
{
    const struct api_listener *listener = ctx;
    struct caller caller = identify(listener, exchange);
    struct found found;
    find(exchange, &found);
    bool is_there = found.route || found.operation;
    const struct call call = make_call(listener, exchange, &caller, &found);
    if (answer_preflight(&call))
        return -EALREADY;
    tell_origin(&call);
    int r = screen_key(listener, &call);
    if (!r)
        r = screen_access(listener, &call, is_there ? found.scope : SCOPE_USE);
    if (!r && !is_there)
        r = fail_no_path(&call, found.allowed);
    if (!r)
        r = screen_mode(&call, found.scope);
    if (!r)
        r = screen_scope(&call, found.scope);
    return r ? r : screen_rate(&call, &found);
}

/* The key may have been revoked while the body came in. */
static void on_request(void *ctx, struct http_exchange *exchange)
{
    const struct api_listener *listener = ctx;
    struct caller caller = identify(listener, exchange);
    struct found found;
    find(exchange, &found);
    struct call call = make_call(listener, exchange, &caller, &found);
    call_tell_id(&call);
    call.id_told = true;
    if (key_counts(listener->kind, shown_key(exchange)) && !caller.key)
        fail_unauthorized(&call, "this API key was revoked");
    else if (found.operation)
        serve_operation(&call, found.operation);
    else if (found.route->dialect)
        inference_serve(&call);
    else
        found.route->serve(&call);
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
    const struct caller nobody = {.key = NULL};
    struct found found;
    find(exchange, &found);
    const struct call call = make_call(ctx, exchange, &nobody, &found);
    call_fail(&call, status, code_of_status(status), NULL, message);
}

struct http_server_handler api_handler(struct api_listener *listener)
{
    return (struct http_server_handler){.on_headers = on_headers,
            .on_request = on_request,
            .on_refusal = on_refusal,
            .ctx = listener};
}

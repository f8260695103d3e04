#include "coordinator/api.h"

#include "common/env.h"
#include "coordinator/access.h"
#include "coordinator/dialects/dialect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { REPLY_MAX = 16 * 1024 * 1024, KNOWN_NAMES_MAX = 400 };

typedef void (*route_fn)(struct api *api, struct http_exchange *exchange);

struct route {
    const char *method, *path;
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

static void serve_status(struct api *api, struct http_exchange *exchange)
{
    serve_appended(api, exchange, admin_append_status);
}

static void serve_models(struct api *api, struct http_exchange *exchange)
{
    serve_appended(api, exchange, admin_append_models);
}

static void serve_health(struct api *api, struct http_exchange *exchange)
{
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

static void gather_names(const struct admin_view *view, struct names *names)
{
    for (size_t i = 0; i < view->modes->count; i++)
        add_name(names, view->modes->list[i].name);
    if (modes_find(view->modes, MODE_AUTO))
        add_name(names, MODE_AUTO);
    size_t count;
    struct instance *const *models = node_table_models(view->nodes, &count);
    for (size_t i = 0; i < count; i++)
        if (!modes_find(view->modes, models[i]->model))
            add_name(names, models[i]->model);
}

static void reply_unknown_model(struct api *api, struct http_exchange *exchange, const char *name)
{
    struct names known = {.text = ""};
    gather_names(api->view, &known);
    char text[MSG_NAME_MAX + KNOWN_NAMES_MAX + 64];
    snprintf(text, sizeof(text), "there is no mode or model \"%s\"; known are: %s", name,
            known.len ? known.text : "none yet");
    reply_api_error(exchange, 404, "model_not_found", "model", text);
}

/* A name that is both a mode's and a model's asks for the mode. */
static void start_job(struct api *api, struct http_exchange *exchange,
        const struct dialect *dialect, struct request *request)
{
    const struct mode *mode = modes_find(api->view->modes, request->asked);
    char model[MSG_NAME_MAX + 1]; /* jobs_start() takes the request over, the name with it */
    strcpy(model, request->asked);
    if (mode) {
        jobs_start(
                api->jobs, exchange, dialect, request, mode->name, mode->models, mode->model_count);
    } else if (some_node_has(api->view->nodes, model) || some_mode_names(api->view->modes, model)) {
        jobs_start(api->jobs, exchange, dialect, request, NULL, (char *[]){model}, 1);
    } else {
        reply_unknown_model(api, exchange, model);
    }
}

static void make_request_id(struct api *api, struct request *request)
{
    char hex[25];
    snprintf(request->id, sizeof(request->id), "req_%s", env_random_hex(api->view->env, hex, 12));
}

static void serve_inference(
        struct api *api, struct http_exchange *exchange, const struct dialect *dialect)
{
    struct request request;
    request_init(&request);
    make_request_id(api, &request);
    http_exchange_set_header(exchange, "X-Modemesh-Request", request.id);
    size_t len;
    const char *body = http_exchange_body(exchange, &len);
    const char *param;
    struct err err;
    int r = dialect->parse(body, len, &request, &param, &err);
    http_exchange_free_body(exchange);
    if (r == 0)
        start_job(api, exchange, dialect, &request);
    else if (r == -EINVAL)
        reply_api_error(exchange, 400, "invalid_request", param, err.text);
    else
        reply_api_error(exchange, 500, "internal_error", NULL, err.text);
    request_fini(&request);
}

static void serve_chat(struct api *api, struct http_exchange *exchange)
{
    serve_inference(api, exchange, &dialect_openai);
}

/* --- routing --- */

static const struct route routes[] = {
        {"POST", "/v1/chat/completions", serve_chat},
        {"POST", "/chat/completions", serve_chat},
        {"GET", "/v1/models", serve_models},
        {"GET", "/models", serve_models},
        {"GET", "/health", serve_health},
        {"GET", "/mesh/v1/status", serve_status},
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

static int refuse_stranger(struct http_exchange *exchange)
{
    static const char *const forwarding[] = {
            "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", NULL};
    struct access_facts facts = {.host = http_exchange_header(exchange, "Host"),
            .origin = http_exchange_header(exchange, "Origin"),
            .forwarded = first_header(exchange, forwarding)};
    struct err err;
    if (access_check(&facts, &err) == 0)
        return 0;
    reply_api_error(exchange, 403, "forbidden", NULL, err.text);
    return -EACCES;
}

static int refuse_path(struct http_exchange *exchange)
{
    const char *allowed;
    if (find_route(exchange, &allowed))
        return 0;
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

static int on_headers(void *ctx, struct http_exchange *exchange)
{
    (void)ctx;
    int r = refuse_stranger(exchange);
    return r ? r : refuse_path(exchange);
}

static void on_request(void *ctx, struct http_exchange *exchange)
{
    const char *allowed;
    const struct route *route = find_route(exchange, &allowed);
    route->serve(ctx, exchange);
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

struct http_server_handler api_handler(struct api *api)
{
    return (struct http_server_handler){.on_headers = on_headers,
            .on_request = on_request,
            .on_refusal = on_refusal,
            .ctx = api};
}

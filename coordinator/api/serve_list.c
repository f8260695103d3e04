#include "coordinator/api/serve_list.h"

#include "coordinator/api/list_llamacpp.h"
#include "coordinator/api/list_models.h"
#include "coordinator/api/list_ollama.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { LIST_MAX = 16 * 1024 * 1024 };

static void fail_unknown(const struct call *call, const char *name)
{
    char text[ERR_TEXT_MAX];
    snprintf(text, sizeof(text), "there is no mode or model \"%.200s\"; GET /v1/models lists them",
            name ? name : "");
    call_fail(call, 404, "model_not_found", "model", text);
}

/* `name` is what was asked for by name, where it was. */
static void reply_list(const struct call *call, int r, const char *name, const struct buf *body)
{
    if (r == -ENOENT)
        fail_unknown(call, name);
    else
        call_reply_json(call, r, body);
}

static void serve_plain(
        const struct call *call, int (*list)(const struct offers *offers, struct buf *out))
{
    struct call_offers offers;
    struct buf body;
    buf_init(&body, LIST_MAX);
    call_offers_init(&offers, call);
    call_reply_json(call, list(&offers.offers, &body), &body);
    buf_fini(&body);
}

static int list_page(const struct call *call, const struct offers *offers, struct buf *out)
{
    const char *limit = http_exchange_query(call->exchange, "limit");
    const struct list_page page = {.limit = limit ? strtoul(limit, NULL, 10) : 0,
            .after_id = http_exchange_query(call->exchange, "after_id"),
            .before_id = http_exchange_query(call->exchange, "before_id")};
    return list_models_anthropic(offers, &page, out);
}

void serve_models(const struct call *call)
{
    struct call_offers offers;
    struct buf body;
    buf_init(&body, LIST_MAX);
    call_offers_init(&offers, call);
    call_reply_json(call,
            call->family == &family_anthropic ? list_page(call, &offers.offers, &body)
                                              : list_models_openai(&offers.offers, &body),
            &body);
    buf_fini(&body);
}

void serve_model(const struct call *call)
{
    struct call_offers offers;
    struct buf body;
    buf_init(&body, LIST_MAX);
    call_offers_init(&offers, call);
    reply_list(call, list_models_one(&offers.offers, call->tail, &body), call->tail, &body);
    buf_fini(&body);
}

void serve_litellm(const struct call *call)
{
    serve_plain(call, list_models_litellm);
}

void serve_lmstudio(const struct call *call)
{
    serve_plain(call, list_models_lmstudio);
}

void serve_ollama_tags(const struct call *call)
{
    serve_plain(call, list_ollama_tags);
}

void serve_ollama_ps(const struct call *call)
{
    serve_plain(call, list_ollama_ps);
}

void serve_ollama_version(const struct call *call)
{
    struct buf body;
    buf_init(&body, LIST_MAX);
    call_reply_json(call, list_ollama_version(&body), &body);
    buf_fini(&body);
}

void serve_ollama_show(const struct call *call)
{
    struct call_offers offers;
    struct buf body;
    struct err err;
    size_t len;
    const char *request = http_exchange_body(call->exchange, &len);
    buf_init(&body, LIST_MAX);
    call_offers_init(&offers, call);
    int r = list_ollama_show(&offers.offers, request, len, &body, &err);
    if (r == -ENOENT)
        call_fail(call, 404, "model_not_found", "model", err.text);
    else if (r == -EINVAL)
        call_fail(call, 400, "invalid_request", NULL, err.text);
    else
        call_reply_json(call, r, &body);
    buf_fini(&body);
}

void serve_ollama_refusal(const struct call *call)
{
    call_fail_with(call, &list_ollama_read_only);
}

void serve_props(const struct call *call)
{
    const char *model = http_exchange_query(call->exchange, "model");
    struct call_offers offers;
    struct buf body;
    buf_init(&body, LIST_MAX);
    call_offers_init(&offers, call);
    reply_list(call, list_llamacpp_props(&offers.offers, model, call->api->view->version, &body),
            model, &body);
    buf_fini(&body);
}

void serve_slots(const struct call *call)
{
    const char *model = http_exchange_query(call->exchange, "model");
    struct call_offers offers;
    struct buf body;
    buf_init(&body, LIST_MAX);
    call_offers_init(&offers, call);
    reply_list(call, list_llamacpp_slots(&offers.offers, model, &body), model, &body);
    buf_fini(&body);
}

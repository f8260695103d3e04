#include "node/backends/found/found_look.h"

#include <errno.h>
#include <stdlib.h>

struct found_look {
    struct http_client *http;
    const struct engine_address *address;
    const struct engine_manner *manner;
    bool residents_only;
    size_t at; /* the question that is asked */
    struct engine_ask *ask;
    found_look_fn fn;
    void *ctx;
    struct found_list list;
};

static void look_end(struct found_look *look, int result, const struct err *err)
{
    look->fn(look->ctx, result, &look->list, err);
    free(look);
}

static const struct found_question *current(const struct found_look *look)
{
    return look->at < FOUND_QUESTIONS_MAX && look->manner->questions[look->at].path
                   ? &look->manner->questions[look->at]
                   : NULL;
}

static void on_answer(void *ctx, int result, const char *text, size_t len, const struct err *err);

/* Writes true where there was another question. */
static int ask_next(struct found_look *look, bool *ret_asked, struct err *err)
{
    const struct found_question *question = current(look);
    struct engine_question get = {.timeout_ms = FOUND_LOOK_TIMEOUT_MS};

    while (question && look->residents_only && !question->residents) {
        look->at++;
        question = current(look);
    }
    *ret_asked = question != NULL;
    if (!question)
        return 0;
    get.path = question->path;
    return engine_ask_start(look->http, look->address, &get, on_answer, look, &look->ask, err);
}

static void on_answer(void *ctx, int result, const char *text, size_t len, const struct err *err)
{
    struct found_look *look = ctx;
    const struct found_question *question = current(look);
    struct err trouble = err ? *err : (struct err){.text = ""};
    bool asked = false;

    look->ask = NULL;
    if (result == 0)
        result = question->read(text, len, &look->list, &trouble);
    if (result < 0 && question->optional && (result == -EREMOTEIO || result == -EPROTO))
        result = 0;
    look->at++;
    if (result == 0)
        result = ask_next(look, &asked, &trouble);
    if (result < 0 || !asked)
        look_end(look, result, &trouble);
}

int found_look_start(struct http_client *http, const struct engine_address *address,
        const struct engine_manner *manner, const char *id, found_look_fn fn, void *ctx,
        struct found_look **ret_look, struct err *err)
{
    struct found_look *look = calloc(1, sizeof(*look));
    bool asked;
    int r;

    if (!look)
        return err_set(err, -ENOMEM, "no memory to look at an engine");
    look->http = http;
    look->address = address;
    look->manner = manner;
    look->residents_only = id != NULL;
    look->fn = fn;
    look->ctx = ctx;
    /* An answer may speak of models only by their ids. */
    r = id && !found_add(&look->list, id)
                ? err_set(err, -EINVAL, "%.100s: no usable name of a model", id)
                : ask_next(look, &asked, err);
    if (r < 0)
        free(look);
    else
        *ret_look = look;
    return r;
}

void found_look_cancel(struct found_look *look)
{
    if (!look)
        return;
    engine_ask_cancel(look->ask);
    free(look);
}

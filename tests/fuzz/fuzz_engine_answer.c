/* engine_answer_event() with the reader of each form of chunk, and engine_error_read(), on any
 * bytes: what comes out is bounded by what went in, has the kinds and choices that the headers
 * promise, and stops when it is told to. */
#include "node/backends/answers/chat_chunk.h"
#include "node/backends/answers/completion_chunk.h"
#include "node/backends/answers/native_chunk.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct count {
    unsigned deltas, stop_after;
    size_t text_bytes;
};

static bool count_delta(void *ctx, const struct msg_delta *delta)
{
    struct count *count = ctx;

    assert(delta->stream == 0 && !delta->more && delta->len > 0);
    assert(delta->kind <= DELTA_FINISH && delta->choice < MSG_CHOICES_MAX);
    if (delta->kind == DELTA_TEXT || delta->kind == DELTA_REASONING) {
        assert(memchr(delta->data, '\0', delta->len) == NULL);
        count->text_bytes += delta->len;
    }
    return ++count->deltas != count->stop_after;
}

static bool is_sound(const struct engine_error *error)
{
    return error->code == FAIL_CONTEXT_EXCEEDED
                   ? error->http_status == 400
                   : error->code == FAIL_ENGINE_ERROR && error->http_status >= 400 &&
                             error->http_status <= 599;
}

static int read_once(engine_chunk_fn read_chunk, const char *text, size_t size, struct count *count)
{
    struct engine_answer answer = {.fn = count_delta, .ctx = count};
    struct err err = {0};
    int r = engine_answer_event(&answer, read_chunk, text, size, &err);

    assert(r == 0 || r == -ECANCELED || r == -EREMOTEIO || r == -EPROTO);
    assert((r == 0 || r == -ECANCELED) || err.text[0] != '\0');
    assert(r != -EREMOTEIO || is_sound(&answer.error));
    assert(isfinite(answer.usage.prefill_ms) && answer.usage.prefill_ms >= 0);
    assert(isfinite(answer.usage.decode_ms) && answer.usage.decode_ms >= 0);
    return r;
}

static void check_form(engine_chunk_fn read_chunk, const char *text, size_t size)
{
    struct count all = {0}, one = {.stop_after = 1};

    (void)read_once(read_chunk, text, size, &all);
    assert(all.text_bytes <= size);
    assert(read_once(read_chunk, text, size, &one) == -ECANCELED || all.deltas == 0);
    assert(one.deltas == (all.deltas > 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct engine_error error;
    struct err err = {0};

    check_form(chat_chunk_read, text, size);
    check_form(completion_chunk_read, text, size);
    check_form(native_chunk_read, text, size);
    engine_error_read(text, size, 500, &error, &err);
    assert(err.text[0] != '\0' && is_sound(&error));
    return 0;
}

/* openai_chunk_read() and openai_error_read() on any bytes: what comes out is bounded by what went
 * in, has the kinds and choices that the header promises, and stops when it is told to. */
#include "node/backends/openai_chunk.h"

#include <assert.h>
#include <errno.h>
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
    assert(delta->kind <= DELTA_FINISH && delta->choice < OPENAI_CHOICES_MAX);
    if (delta->kind == DELTA_TEXT || delta->kind == DELTA_REASONING ||
            delta->kind == DELTA_FINISH) {
        assert(memchr(delta->data, '\0', delta->len) == NULL);
        count->text_bytes += delta->len;
    }
    return ++count->deltas != count->stop_after;
}

static bool is_sound(const struct openai_error *error)
{
    return error->code == FAIL_CONTEXT_EXCEEDED
                   ? error->http_status == 400
                   : error->code == FAIL_ENGINE_ERROR && error->http_status >= 400 &&
                             error->http_status <= 599;
}

static int read_once(const char *text, size_t size, struct count *count)
{
    struct openai_stream stream = {0};
    struct err err = {0};
    int r = openai_chunk_read(&stream, text, size, count_delta, count, &err);

    assert(r == 0 || r == -ECANCELED || r == -EREMOTEIO || r == -EPROTO);
    assert((r == 0 || r == -ECANCELED) || err.text[0] != '\0');
    assert(r != -EREMOTEIO || is_sound(&stream.error));
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct count all = {0}, one = {.stop_after = 1};
    struct openai_error error;
    struct err err = {0};

    (void)read_once((const char *)data, size, &all);
    assert(all.text_bytes <= size);
    assert(read_once((const char *)data, size, &one) == -ECANCELED || all.deltas == 0);
    assert(one.deltas == (all.deltas > 0));
    openai_error_read((const char *)data, size, 500, &error, &err);
    assert(err.text[0] != '\0' && is_sound(&error));
    return 0;
}

/* The body of POST /v1/chat/completions, any bytes. What is accepted goes on byte for byte and has
 * sound facts; what is refused says why in one line, and names a field or none. */
#include "coordinator/dialects/dialect.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_accepted(const struct request *request, const uint8_t *data, size_t size)
{
    size_t name_len = strlen(request->asked);
    assert(request->kind == REQUEST_CHAT);
    assert(name_len >= 1 && name_len <= MSG_NAME_MAX);
    assert(request->choices >= 1 && request->choices <= REQUEST_CHOICES_MAX);
    assert(request->body.len == size && memcmp(buf_at(&request->body), data, size) == 0);
}

static void check_refused(int r, const struct request *request, const struct err *err)
{
    assert(r == -EINVAL);
    assert(err->text[0] != '\0' && !strchr(err->text, '\n'));
    assert(request->body.len == 0);
}

/* An answer can be made for what was accepted, and its error is one event. */
static void check_answer(const struct request *request)
{
    struct answer_facts facts = {.request_id = "req_1", .model = request->asked, .created_s = 1};
    struct api_error error = {.status = 502, .code = "x", .message = request->asked};
    struct answer *answer = dialect_openai.answer_create(request, &facts);
    struct buf out;
    buf_init(&out, DIALECT_ANSWER_MAX);
    assert(answer);
    if (request->stream) {
        int r = dialect_openai.stream_begin(answer, &out);
        assert(r == 0 && memcmp(buf_at(&out), "data: {", 7) == 0);
    }
    buf_clear(&out);
    int r = dialect_openai.stream_error(answer, &error, &out);
    assert(r == 0 && out.len > 2);
    assert((const char *)memchr(buf_at(&out), '\n', out.len) == buf_at(&out) + out.len - 2);
    buf_fini(&out);
    dialect_openai.answer_destroy(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request request;
    struct err err = {.text = ""};
    const char *param = "unset";
    request_init(&request);
    int r = dialect_openai.parse((const char *)data, size, &request, &param, &err);
    assert(!param || strcmp(param, "unset") != 0);
    if (r == 0) {
        check_accepted(&request, data, size);
        check_answer(&request);
    } else {
        check_refused(r, &request, &err);
    }
    request_fini(&request);
    return 0;
}

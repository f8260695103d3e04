#include "tests/lib/dialect_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

struct one_header {
    const char *name, *value;
};

static const char *find_header(void *ctx, const char *name)
{
    const struct one_header *header = ctx;
    return header->name && strcasecmp(header->name, name) == 0 ? header->value : NULL;
}

int dialect_case_parse_with(struct dialect_case *test, const struct dialect *dialect,
        const char *body, size_t len, const char *content_type, const char *header,
        const char *value)
{
    struct one_header one = {header, value};
    struct dialect_input input = {.body = body,
            .len = len,
            .content_type = content_type,
            .header = find_header,
            .ctx = &one,
            .owner = "local",
            .now_s = 17};
    *test = (struct dialect_case){.dialect = dialect, .param = "unset"};
    request_init(&test->request);
    buf_init(&test->out, DIALECT_ANSWER_MAX);
    return dialect->parse(&input, &test->request, &test->param, &test->err);
}

int dialect_case_parse(struct dialect_case *test, const struct dialect *dialect, const char *body)
{
    return dialect_case_parse_with(
            test, dialect, body, strlen(body), "application/json", NULL, NULL);
}

void dialect_case_fini(struct dialect_case *test)
{
    test->dialect->answer_destroy(test->answer);
    request_fini(&test->request);
    buf_fini(&test->out);
}

void dialect_case_refuses(
        const struct dialect *dialect, const char *body, const char *param, const char *text)
{
    struct dialect_case test;
    int r = dialect_case_parse(&test, dialect, body);
    if (r != -EINVAL)
        fail_msg("%.200s: %d", body, r);
    if (!strstr(test.err.text, text))
        fail_msg("%.200s: \"%s\" does not say \"%s\"", body, test.err.text, text);
    if (param && test.param)
        assert_string_equal(test.param, param);
    else if (param || test.param)
        fail_msg("%.200s: field %s, not %s", body, test.param, param);
    assert_int_equal(test.request.body.len, 0);
    dialect_case_fini(&test);
}

void dialect_case_passes(const struct dialect *dialect, const char *body, const char *text)
{
    struct dialect_case test;
    dialect_case_reads(&test, dialect, body, text);
    dialect_case_fini(&test);
}

void dialect_case_answer(struct dialect_case *test)
{
    static const struct answer_facts facts = {
            .request_id = "req_1", .model = "small", .created_s = 17};
    test->answer = test->dialect->answer_create(&test->request, &facts);
    assert_non_null(test->answer);
}

int dialect_case_delta(
        struct dialect_case *test, enum delta_kind kind, uint32_t choice, const char *data)
{
    struct msg_delta delta = {.kind = kind,
            .choice = choice,
            .data = data,
            .len = kind == DELTA_USAGE ? 0 : strlen(data),
            .usage = {.prompt_tokens = 5, .cached_tokens = 2, .completion_tokens = 3}};
    if (!test->request.stream)
        return test->dialect->gather(test->answer, &delta);
    return test->dialect->stream_delta(test->answer, &delta, &test->out);
}

void dialect_case_wrote(struct dialect_case *test, const char *text)
{
    assert_int_equal(buf_terminate(&test->out), 0);
    assert_string_equal(buf_at(&test->out), text);
    buf_clear(&test->out);
}

void dialect_case_reads(struct dialect_case *test, const struct dialect *dialect, const char *body,
        const char *text)
{
    if (dialect_case_parse(test, dialect, body))
        fail_msg("%.200s: %s", body, test->err.text);
    if (!text)
        return;
    assert_int_equal(buf_terminate(&test->request.body), 0);
    assert_string_equal(buf_at(&test->request.body), text);
}

int dialect_case_usage(struct dialect_case *test, const struct msg_usage *usage)
{
    struct msg_delta delta = {.kind = DELTA_USAGE, .usage = *usage};
    if (!test->request.stream)
        return test->dialect->gather(test->answer, &delta);
    return test->dialect->stream_delta(test->answer, &delta, &test->out);
}

int dialect_case_end(struct dialect_case *test)
{
    return test->request.stream ? test->dialect->stream_end(test->answer, &test->out)
                                : test->dialect->whole(test->answer, &test->out);
}

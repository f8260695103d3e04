#include "coordinator/dialects/dialect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OVERFLOW                                                                                   \
    "request (9 tokens) exceeds the available context size (8 tokens): prompt is too long, "       \
    "maximum context length is 8 tokens"

static void errors_have_openais_shape(void **state)
{
    (void)state;
    static const struct {
        struct api_error error;
        const char *body;
    } cases[] = {
            {{.status = 400, .code = "invalid_request", .param = "n", .message = "bad \"n\""},
                    "{\"error\":{\"message\":\"bad \\\"n\\\"\",\"type\":\"invalid_request_error\","
                    "\"param\":\"n\",\"code\":\"invalid_request\"}}"},
            {{.status = 400,
                     .code = "context_length_exceeded",
                     .param = "messages",
                     .message = OVERFLOW,
                     .prompt_tokens = 9,
                     .context_tokens = 8},
                    "{\"error\":{\"message\":\"" OVERFLOW "\",\"type\":\"invalid_request_error\","
                    "\"param\":\"messages\",\"code\":\"context_length_exceeded\"}}"},
            {{.status = 404, .code = "model_not_found", .param = "model", .message = "m"},
                    "{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\",\"param\":"
                    "\"model\",\"code\":\"model_not_found\"}}"},
            {{.status = 401, .code = "x", .message = "m"},
                    "{\"error\":{\"message\":\"m\",\"type\":\"authentication_error\",\"param\":"
                    "null,\"code\":\"x\"}}"},
            {{.status = 403, .code = "x", .message = "m"},
                    "{\"error\":{\"message\":\"m\",\"type\":\"permission_error\",\"param\":null,"
                    "\"code\":\"x\"}}"},
            {{.status = 429, .code = "rate_limit_exceeded", .message = "m"},
                    "{\"error\":{\"message\":\"m\",\"type\":\"rate_limit_error\",\"param\":null,"
                    "\"code\":\"rate_limit_exceeded\"}}"},
            {{.status = 503},
                    "{\"error\":{\"message\":\"\",\"type\":\"server_error\",\"param\":null,"
                    "\"code\":null}}"},
    };
    struct buf out;
    buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(family_openai.error_body(&cases[i].error, "req_1", &out), 0);
        assert_int_equal(buf_terminate(&out), 0);
        assert_string_equal(buf_at(&out), cases[i].body);
        buf_clear(&out);
    }
    buf_fini(&out);
}

static void a_buffer_that_is_full_is_told(void **state)
{
    (void)state;
    struct api_error error = {.status = 400, .message = "m"};
    struct buf out;
    buf_init(&out, 40);
    assert_int_equal(family_openai.error_body(&error, "req_1", &out), -ENOBUFS);
    buf_fini(&out);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(errors_have_openais_shape),
            cmocka_unit_test(a_buffer_that_is_full_is_told),
    };
    return cmocka_run_group_tests_name("openai_errors", tests, NULL, NULL);
}

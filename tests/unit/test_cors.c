#include "coordinator/api/cors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "tests/lib/fake_exchange.h"

/* Two strings, since a slash and a star in one look like the start of a comment. */
#define ANY_HOST                                                                                   \
    "/"                                                                                            \
    "/*"
static const char *const origins[] = {
        "https://chat.example.org", "http://box:3000", ("vscode-webview:" ANY_HOST)};
static const struct cors cors = {.origins = origins, .count = 3};

static void only_listed_origins_are_let_in(void **state)
{
    (void)state;
    assert_int_equal(cors_check(&cors, NULL), 0);
    assert_true(cors_allows(&cors, "https://chat.example.org"));
    assert_true(cors_allows(&cors, "HTTPS://CHAT.example.org"));
    assert_true(cors_allows(&cors, "http://box:3000"));
    assert_true(cors_allows(&cors, "vscode-webview://1a2b3c"));
    assert_false(cors_allows(&cors, "http://chat.example.org"));
    assert_false(cors_allows(&cors, "https://chat.example.org.evil.net"));
    assert_false(cors_allows(&cors, "https://chat.example.org:8443"));
    assert_false(cors_allows(&cors, "http://box:30001"));
    assert_false(cors_allows(&cors, "null"));
    assert_false(cors_allows(&cors, ""));
    assert_false(cors_allows(&(struct cors){.count = 0}, "https://chat.example.org"));
}

static void what_is_no_origin_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"*", ("https:" ANY_HOST), ("http:" ANY_HOST),
            "chat.example.org", "https://", "https://a/b", "https://a.org/", "://a",
            ("https:" ANY_HOST ".example.org"), "x://a*", ("http:x:" ANY_HOST), "1x://a",
            "x y://a"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct cors one = {.origins = &bad[i], .count = 1};
        struct err err;
        if (cors_check(&one, &err) != -EINVAL || !strstr(err.text, bad[i]))
            fail_msg("%s was taken, or not named", bad[i]);
    }
    const struct cors many = {.origins = origins, .count = CORS_ORIGINS_MAX + 1};
    assert_int_equal(cors_check(&many, NULL), -E2BIG);
}

static void a_preflight_gets_what_it_asks_for(void **state)
{
    (void)state;
    struct http_exchange exchange;
    fake_exchange_init(&exchange);
    exchange.more[0].name = "Access-Control-Request-Headers";
    exchange.more[0].value = "authorization,content-type";
    cors_answer_preflight(&exchange, "http://box:3000");
    assert_int_equal(exchange.status, 204);
    assert_true(
            fake_exchange_has_header(&exchange, "Access-Control-Allow-Origin: http://box:3000\n"));
    assert_true(fake_exchange_has_header(
            &exchange, "Access-Control-Allow-Headers: authorization,content-type\n"));
    assert_true(fake_exchange_has_header(&exchange, "Vary: Origin\n"));
    fake_exchange_fini(&exchange);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(only_listed_origins_are_let_in),
            cmocka_unit_test(what_is_no_origin_is_refused),
            cmocka_unit_test(a_preflight_gets_what_it_asks_for),
    };
    return cmocka_run_group_tests_name("cors", tests, NULL, NULL);
}

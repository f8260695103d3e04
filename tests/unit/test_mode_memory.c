/* What makes modes says so when there is no memory, and loses nothing: each allocation fails once.
 */
#include "coordinator/modes/mode_body.h"
#include "coordinator/modes/mode_config.h"
#include "coordinator/modes/mode_suggest.h"
#include "coordinator/settings.h"
#include "tests/lib/short_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static const char yaml[] =
        "modes:\n  code:\n    models: [a, b]\n    quality: {a: 50, b: 60}\n"
        "    up-to: {8k: [a], 16k: [b, a]}\n    planning: [b]\n    floor: 40\n"
        "    floor-up-to: {8k: 30}\n    temperature: 0.2\n    when-none: ask\n"
        "  ask:\n    models: [a]\nmode-aliases: {agent: ask}\nmodel-aliases: {\"gpt-*\": code}\n";

/* Each try needs one allocation more to go well. */
static void fails_until_it_goes(int (*try)(void *ctx), void *ctx)
{
    for (size_t nth = 0;; nth++) {
        short_memory_begin(nth);
        int r = try(ctx);
        bool failed = short_memory_end();
        assert_int_equal(r, failed ? -ENOMEM : 0);
        if (!failed)
            return;
        assert_true(nth < 1000);
    }
}

static int read_once(void *ctx)
{
    struct modes modes = {.count = 77};
    struct err err;
    int r = modes_from_config(ctx, &modes, &err);
    if (r)
        assert_int_equal(modes.count, 77);
    else
        modes_fini(&modes);
    return r;
}

static struct config *make_config(void)
{
    struct config *config = config_create(coordinator_keys);
    struct err err;
    assert_non_null(config);
    assert_int_equal(config_load_text(config, "test.yaml", yaml, strlen(yaml), &err), 0);
    return config;
}

static void a_config_is_read_whole_or_not(void **state)
{
    (void)state;
    struct config *config = make_config();
    fails_until_it_goes(read_once, config);
    config_destroy(config);
}

static int copy_once(void *ctx)
{
    struct modes copy = {.count = 77};
    struct err err;
    int r = modes_copy(ctx, &copy, &err);
    if (r)
        assert_int_equal(copy.count, 77);
    else
        modes_fini(&copy);
    return r;
}

/* The second time it replaces nothing any more. */
static int replace_once(void *ctx)
{
    struct modes *modes = ctx;
    struct err err;
    return mode_replace_in_rules(&modes->list[0], "a", "new", &err);
}

static void modes_are_copied_whole_or_not(void **state)
{
    (void)state;
    struct config *config = make_config();
    struct modes modes;
    struct err err;
    assert_int_equal(modes_from_config(config, &modes, &err), 0);
    fails_until_it_goes(copy_once, &modes);
    fails_until_it_goes(replace_once, &modes);
    assert_true(mode_models_have(&modes.list[0].rules[1].models, "new"));
    assert_false(mode_models_have(&modes.list[0].rules[1].models, "a"));
    modes_fini(&modes);
    config_destroy(config);
}

static int suggest_once(void *ctx)
{
    struct modes modes = {.count = 77};
    struct err err;
    int r = suggest_modes(ctx, &modes, &err);
    if (r)
        assert_int_equal(modes.count, 77);
    else
        modes_fini(&modes);
    return r;
}

static void modes_are_suggested_whole_or_not(void **state)
{
    (void)state;
    static struct suggest_models models;
    struct instance small = {.model = "small", .capabilities = CAPABILITY_CHAT | CAPABILITY_FIM},
                    large = {.model = "large",
                            .parameters = 9,
                            .capabilities = CAPABILITY_CHAT | CAPABILITY_REASONING};
    struct instance *const list[] = {&small, &large};
    suggest_look(&models, list, 2);
    fails_until_it_goes(suggest_once, &models);
}

static int fill_once(void *ctx)
{
    static const char text[] = "{\"messages\":[]}";
    struct buf *body = ctx;
    const struct mode_answer answer = {.has_temperature = true, .temperature = 1, .max_output = 7};
    const struct request_said said = {.limit_tokens = -1};
    int r = mode_fill_body(&answer, &said, REQUEST_CHAT, body);
    if (r) {
        assert_int_equal(body->len, strlen(text));
        assert_memory_equal(buf_at(body), text, strlen(text));
    }
    return r;
}

static void a_body_is_filled_or_left(void **state)
{
    (void)state;
    struct buf body;
    buf_init(&body, 4096);
    assert_int_equal(buf_append_str(&body, "{\"messages\":[]}"), 0);
    fails_until_it_goes(fill_once, &body);
    assert_int_equal(buf_terminate(&body), 0);
    assert_string_equal(buf_at(&body), "{\"messages\":[],\"temperature\":1,\"max_tokens\":7}");
    buf_fini(&body);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_config_is_read_whole_or_not),
            cmocka_unit_test(modes_are_copied_whole_or_not),
            cmocka_unit_test(modes_are_suggested_whole_or_not),
            cmocka_unit_test(a_body_is_filled_or_left),
    };
    return cmocka_run_group_tests_name("mode_memory", tests, NULL, NULL);
}

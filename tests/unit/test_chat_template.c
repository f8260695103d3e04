#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/model/chat_template.h"
#include "proto/codec.h"

#include <string.h>

static uint32_t scan_in(const char *text, size_t piece)
{
    struct chat_template_scan scan = {0};
    size_t len = strlen(text);

    for (size_t at = 0; at < len; at += piece)
        chat_template_scan(&scan, text + at, len - at < piece ? len - at : piece);
    return chat_template_capabilities(&scan);
}

static void assert_has(const char *text, uint32_t expected)
{
    for (size_t piece = 1; piece <= strlen(text) + 1; piece++)
        assert_int_equal(scan_in(text, piece), expected);
}

static void test_words(void **state)
{
    (void)state;
    assert_has("", 0);
    assert_has("{% for m in messages %}<|im_start|>{{ m.role }}{% endfor %}", 0);
    assert_has("{%- if tools %}<tools>", CAPABILITY_TOOLS);
    assert_has("{% if not add_generation_prompt and enable_thinking is defined %}",
            CAPABILITY_REASONING);
    assert_has("{{ '<think>\\n' }} and then some more words", CAPABILITY_REASONING);
    assert_has("message.reasoning_content", CAPABILITY_REASONING);
    assert_has("thinking about tools", CAPABILITY_TOOLS | CAPABILITY_REASONING);
    assert_has("tool s, too ls, thin king", 0);
}

static void test_empty_pieces_lose_nothing(void **state)
{
    struct chat_template_scan scan = {0};

    (void)state;
    chat_template_scan(&scan, "if to", 5);
    chat_template_scan(&scan, "", 0);
    chat_template_scan(&scan, "ols", 3);
    assert_int_equal(chat_template_capabilities(&scan), CAPABILITY_TOOLS);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_words),
            cmocka_unit_test(test_empty_pieces_lose_nothing),
    };
    return cmocka_run_group_tests_name("chat_template", tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/capability.h"

#include <errno.h>

static const uint32_t read_before = CAPABILITY_CHAT | CAPABILITY_TEMPLATE | CAPABILITY_SENSES;

static void test_what_nobody_has_looked_for_is_not_missing(void **state)
{
    static const uint32_t unsure =
            CAPABILITY_TOOLS | CAPABILITY_REASONING | CAPABILITY_VISION | CAPABILITY_AUDIO;

    (void)state;
    assert_int_equal(capability_lacking(0, unsure | CAPABILITY_CHAT), 0);
    assert_int_equal(capability_lacking(CAPABILITY_FIM, unsure), 0);
    assert_int_equal(capability_lacking(CAPABILITY_CHAT | CAPABILITY_EXACT, unsure), unsure);
}

static void test_the_file_tells_what_a_model_is_for(void **state)
{
    static const uint32_t kinds =
            CAPABILITY_CHAT | CAPABILITY_FIM | CAPABILITY_EMBEDDINGS | CAPABILITY_RERANK;

    (void)state;
    assert_int_equal(capability_lacking(0, kinds), kinds & ~(uint32_t)CAPABILITY_CHAT);
    assert_int_equal(capability_lacking(CAPABILITY_FIM, kinds), kinds & ~(uint32_t)CAPABILITY_FIM);
}

static void test_what_was_read_before_it_is_loaded_counts(void **state)
{
    static const uint32_t words = CAPABILITY_TOOLS | CAPABILITY_REASONING,
                          senses = CAPABILITY_VISION | CAPABILITY_AUDIO;

    (void)state;
    assert_int_equal(
            capability_lacking(CAPABILITY_CHAT | CAPABILITY_TEMPLATE, words | senses), words);
    assert_int_equal(
            capability_lacking(CAPABILITY_CHAT | CAPABILITY_SENSES, words | senses), senses);
    assert_int_equal(
            capability_lacking(read_before | CAPABILITY_TOOLS | CAPABILITY_VISION, words | senses),
            CAPABILITY_REASONING | CAPABILITY_AUDIO);
    assert_int_equal(capability_lacking(read_before, CAPABILITY_CHAT), 0);
}

static void test_each_lack_has_words(void **state)
{
    (void)state;
    assert_string_equal(
            capability_lack_name(CAPABILITY_TOOLS), "call tools: its chat template takes none");
    assert_string_equal(capability_lack_name(CAPABILITY_TOOLS | CAPABILITY_VISION), "see images");
    assert_string_equal(capability_lack_name(CAPABILITY_REASONING), "do what was asked");
}

static void test_what_is_needed_has_names(void **state)
{
    uint32_t needs = 77, bit;
    struct err err = {""};

    (void)state;
    assert_int_equal(capability_parse_needs("", &needs, &err), 0);
    assert_int_equal(needs, 0);
    assert_int_equal(capability_parse_needs("vision,tools", &needs, &err), 0);
    assert_int_equal(needs, CAPABILITY_VISION | CAPABILITY_TOOLS);
    for (size_t i = 0; capability_need_at(i, &bit); i++) {
        assert_int_equal(capability_parse_needs(capability_need_at(i, &bit), &needs, &err), 0);
        assert_int_equal(needs, bit);
    }
    needs = 77;
    assert_int_equal(capability_parse_needs("tools,tool", &needs, &err), -EINVAL);
    assert_string_equal(err.text, "\"tool\" is none of chat, tools, vision, audio, fim, embeddings "
                                  "and rerank (several have commas between them)");
    assert_int_equal(capability_parse_needs(",", &needs, NULL), -EINVAL);
    assert_int_equal(needs, 77);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_what_nobody_has_looked_for_is_not_missing),
            cmocka_unit_test(test_the_file_tells_what_a_model_is_for),
            cmocka_unit_test(test_what_was_read_before_it_is_loaded_counts),
            cmocka_unit_test(test_each_lack_has_words),
            cmocka_unit_test(test_what_is_needed_has_names),
    };
    return cmocka_run_group_tests_name("capability", tests, NULL, NULL);
}

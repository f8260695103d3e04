#include "coordinator/fim_prompt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static bool is(const char *text, size_t len, const char *expected)
{
    return strlen(expected) == len && memcmp(text, expected, len) == 0;
}

static void each_family_is_known_by_its_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *family, *prompt;
    } cases[] = {
            {"Qwen", "<|fim_prefix|>int a<|fim_suffix|>;\n<|fim_middle|>"},
            {"CodeGemma", "<|fim_prefix|>int a<|fim_suffix|>;\n<|fim_middle|>"},
            {"Qwen", "<|repo_name|>r\n<|file_sep|>b.c\nint b;\n<|file_sep|>a.c\n"
                     "<|fim_prefix|>int a<|fim_suffix|>;\n<|fim_middle|>"},
            {"Qwen", "<|fim_suffix|>;\n<|fim_prefix|>int a<|fim_middle|>"},
            {"StarCoder", "<fim_prefix>int a<fim_suffix>;\n<fim_middle>"},
            {"StarCoder", "<file_sep>int b;<file_sep><fim_prefix>int a<fim_suffix>;\n<fim_middle>"},
            {"CodeQwen", "<|im_start|>user\n<fim_prefix>int a<fim_suffix>;\n<fim_middle>\n"},
            {"SantaCoder", "<fim-prefix>int a<fim-suffix>;\n<fim-middle>"},
            {"CodeLlama", "<PRE> int a <SUF>;\n <MID>"},
            {"CodeLlama", "<s><PRE>int a<SUF>;\n<MID>"},
            {"DeepSeek", "<｜fim▁begin｜>int a<｜fim▁hole｜>;\n<｜fim▁end｜>"},
            {"Codestral", "[SUFFIX];\n[PREFIX]int a"},
            {"CodeGeeX", "<|user|>\n###PATH:a.c\n<|code_suffix|>;\n<|code_prefix|>int a"
                         "<|code_middle|><|assistant|>\n"},
            {"GLM", "<|code_prefix|>int a<|code_suffix|>;\n<|code_middle|>"},
            {"Seed-Coder", "<[fim-suffix]>;\n<[fim-prefix]>int a<[fim-middle]>"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct fim_prompt fim;
        if (!fim_prompt_read(cases[i].prompt, &fim))
            fail_msg("%s is none", cases[i].prompt);
        const char *before = fim.before + strspn(fim.before, " "); /* some put one there */
        if (!strstr(fim.family, cases[i].family) || !fim.sure ||
                !is(before, fim.before_len - (size_t)(before - fim.before), "int a") ||
                !is(fim.after, fim.after_len, ";\n"))
            fail_msg("%s: %s, \"%.*s\", \"%.*s\"", cases[i].prompt, fim.family, (int)fim.before_len,
                    fim.before, (int)fim.after_len, fim.after);
    }
}

static void what_only_speaks_of_tokens_is_none(void **state)
{
    (void)state;
    static const char *const prompts[] = {"", " \n", "int a",
            "Qwen takes <|fim_prefix|>, <|fim_suffix|> and <|fim_middle|>: why?",
            "<|fim_middle|>",                               /* the others are not there */
            "<|fim_prefix|>int a<|fim_middle|>",            /* one is not */
            "<|fim_prefix|>int a<fim_suffix>;<fim_middle>", /* of two families */
            "<fim_prefix><fim_suffix>;<fim_middle>int a", "<PRE> int a <MID>",
            "see [SUFFIX] and [PREFIX]", "[SUFFIX] is a word", "[PREFIX]int a[SUFFIX]",
            "<fim_prefix>a<fim_suffix>b<fim_middle> is what?<|im_end|>\n<|im_start|>assistant\n"};
    for (size_t i = 0; i < LENGTH(prompts); i++) {
        struct fim_prompt fim;
        if (fim_prompt_read(prompts[i], &fim))
            fail_msg("%s is one of %s", prompts[i], fim.family);
    }
}

static void a_text_with_tokens_of_its_own_is_not_sure(void **state)
{
    (void)state;
    static const char *const prompts[] = {
            "<|fim_prefix|>\"<|fim_prefix|>\"<|fim_suffix|>;<|fim_middle|>",
            "<|fim_prefix|>a<|fim_suffix|>\"<|fim_suffix|>\"<|fim_middle|>",
            "<|fim_prefix|>a<|fim_suffix|>\"<|fim_middle|>\"<|fim_middle|>",
            "[SUFFIX];[PREFIX]a[SUFFIX]", "[SUFFIX];[PREFIX]a[PREFIX]"};
    for (size_t i = 0; i < LENGTH(prompts); i++) {
        struct fim_prompt fim;
        assert_true(fim_prompt_read(prompts[i], &fim));
        assert_false(fim.sure);
    }
}

static void texts_may_be_empty(void **state)
{
    (void)state;
    static const char *const prompts[] = {"<|fim_prefix|><|fim_suffix|><|fim_middle|>",
            "<PRE> <SUF> <MID>", "<PRE><SUF><MID>", "[SUFFIX][PREFIX]"};
    for (size_t i = 0; i < LENGTH(prompts); i++) {
        struct fim_prompt fim;
        assert_true(fim_prompt_read(prompts[i], &fim));
        assert_true(fim.sure);
        assert_int_equal(fim.before_len + fim.after_len, 0);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(each_family_is_known_by_its_tokens),
            cmocka_unit_test(what_only_speaks_of_tokens_is_none),
            cmocka_unit_test(a_text_with_tokens_of_its_own_is_not_sure),
            cmocka_unit_test(texts_may_be_empty),
    };
    return cmocka_run_group_tests_name("fim_prompt", tests, NULL, NULL);
}

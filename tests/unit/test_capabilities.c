#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/models/capabilities.h"
#include "proto/codec.h"

#include <stdio.h>

static struct gguf_info info_of(const char *architecture)
{
    struct gguf_info info = {.quantisation = ""};

    snprintf(info.architecture, sizeof(info.architecture), "%s", architecture);
    return info;
}

static void test_a_model_that_talks(void **state)
{
    struct gguf_info info = info_of("llama");

    (void)state;
    assert_int_equal(capabilities_of_file(&info), CAPABILITY_CHAT);
    info.fim = true;
    assert_int_equal(capabilities_of_file(&info), CAPABILITY_CHAT | CAPABILITY_FIM);
    info.template_tools = info.template_thinking = true;
    assert_int_equal(capabilities_of_file(&info),
            CAPABILITY_CHAT | CAPABILITY_FIM | CAPABILITY_TOOLS | CAPABILITY_REASONING);
    info.pooling = GGUF_POOLING_NONE;
    assert_true(capabilities_of_file(&info) & CAPABILITY_CHAT);
}

/* Else that it takes no tools is only not known. */
static void test_whether_the_template_was_read(void **state)
{
    struct gguf_info info = info_of("llama");

    (void)state;
    info.template_read = true;
    assert_int_equal(capabilities_of_file(&info), CAPABILITY_CHAT | CAPABILITY_TEMPLATE);
    info.template_tools = true;
    assert_int_equal(
            capabilities_of_file(&info), CAPABILITY_CHAT | CAPABILITY_TEMPLATE | CAPABILITY_TOOLS);
}

static void test_a_projector(void **state)
{
    struct gguf_info info = info_of("clip");

    (void)state;
    assert_int_equal(capabilities_of_projector(&info), 0);
    info.sees = true;
    assert_int_equal(capabilities_of_projector(&info), CAPABILITY_SENSES | CAPABILITY_VISION);
    info.hears = true;
    assert_int_equal(capabilities_of_projector(&info),
            CAPABILITY_SENSES | CAPABILITY_VISION | CAPABILITY_AUDIO);
}

static void test_a_model_that_makes_vectors(void **state)
{
    static const char *const encoders[] = {"bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2",
            "jina-bert-v3", "modern-bert", "gemma-embedding"};
    struct gguf_info info = info_of("qwen3");

    (void)state;
    info.pooling = GGUF_POOLING_LAST;
    info.template_tools = true;
    assert_int_equal(capabilities_of_file(&info), CAPABILITY_EMBEDDINGS);
    for (size_t i = 0; i < sizeof(encoders) / sizeof(encoders[0]); i++) {
        info = info_of(encoders[i]);
        assert_int_equal(capabilities_of_file(&info), CAPABILITY_EMBEDDINGS);
    }
    info = info_of("bertha");
    assert_int_equal(capabilities_of_file(&info), CAPABILITY_CHAT);
}

static void test_a_model_that_ranks(void **state)
{
    struct gguf_info info = info_of("bert");

    (void)state;
    info.pooling = GGUF_POOLING_RANK;
    assert_int_equal(capabilities_of_file(&info), CAPABILITY_RERANK);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_model_that_talks),
            cmocka_unit_test(test_whether_the_template_was_read),
            cmocka_unit_test(test_a_projector),
            cmocka_unit_test(test_a_model_that_makes_vectors),
            cmocka_unit_test(test_a_model_that_ranks),
    };
    return cmocka_run_group_tests_name("capabilities", tests, NULL, NULL);
}

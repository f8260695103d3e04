#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/found/found_ollama.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The shapes are those of Ollama's docs/api.md and of its version 0.13. */
static const char tags[] =
        "{\"models\":[{\"name\":\"llama3.2:latest\",\"model\":\"llama3.2:latest\","
        "\"modified_at\":\"2025-05-04T17:37:44.706015396-07:00\",\"size\":2019393189,"
        "\"digest\":\"a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72\","
        "\"details\":{\"parent_model\":\"\",\"format\":\"gguf\",\"family\":\"llama\","
        "\"families\":[\"llama\"],\"parameter_size\":\"3.2B\",\"quantization_level\":\"Q4_K_M\"}},"
        "{\"name\":\"nomic-embed-text:latest\",\"model\":\"nomic-embed-text:latest\","
        "\"modified_at\":\"2025-05-10T08:06:48-07:00\",\"size\":274302450,\"digest\":\"0a109f42\","
        "\"details\":{\"family\":\"nomic-bert\",\"families\":null,\"quantization_level\":\"F16\"}},"
        "{\"name\":\"gpt-oss:120b-cloud\",\"model\":\"gpt-oss:120b-cloud\",\"remote_model\":"
        "\"gpt-oss:120b\",\"remote_host\":\"https://ollama.com:443\",\"size\":384,\"digest\":"
        "\"569662207105\",\"details\":{\"family\":\"gptoss\"}}]}";

static const char ps[] =
        "{\"models\":[{\"name\":\"llama3.2:latest\",\"model\":\"llama3.2:latest\","
        "\"size\":6591830464,\"digest\":\"a80c4f17\",\"details\":{\"parent_model\":\"\","
        "\"format\":\"gguf\",\"family\":\"llama\",\"families\":[\"llama\"],\"parameter_size\":"
        "\"3.2B\",\"quantization_level\":\"Q4_K_M\"},\"expires_at\":\"2025-10-17T16:47:07.93355-"
        "07:00\",\"size_vram\":5333539264,\"context_length\":8192}]}";

static const char show[] =
        "{\"license\":\"LLAMA 3.2 COMMUNITY LICENSE\",\"modelfile\":\"FROM x\\nPARAMETER num_ctx "
        "16384\",\"parameters\":\"num_ctx                        16384\\nstop                      "
        "     \\\"<|eot_id|>\\\"\",\"template\":\"{{ .Prompt }}\",\"details\":{\"parent_model\":"
        "\"\",\"format\":\"gguf\",\"family\":\"llama\",\"families\":[\"llama\"],"
        "\"parameter_size\":\"3.2B\",\"quantization_level\":\"Q4_K_M\"},\"model_info\":{"
        "\"general.architecture\":\"llama\",\"general.parameter_count\":3212749888,"
        "\"llama.context_length\":131072,\"llama.block_count\":28,\"tokenizer.ggml.tokens\":null},"
        "\"capabilities\":[\"completion\",\"tools\",\"insert\"],\"modified_at\":\"2025-05-04T17:37:"
        "44-07:00\"}";

struct fixture {
    struct found_list list;
    struct err err;
};

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct fixture));
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void read_tags(struct fixture *f)
{
    assert_int_equal(found_ollama_tags(tags, strlen(tags), &f->list, &f->err), 0);
}

static void test_what_is_on_its_disk(void **state)
{
    struct fixture *f = *state;
    const struct found_model *llama = &f->list.models[0], *nomic = &f->list.models[1];

    read_tags(f);
    assert_int_equal(f->list.count, 2);
    assert_string_equal(llama->id, "llama3.2:latest");
    assert_string_equal(llama->name, "llama3.2:latest");
    assert_false(llama->resident);
    assert_true(llama->file_bytes == 2019393189u && llama->memory_bytes == 0);
    assert_string_equal(llama->architecture, "llama");
    assert_string_equal(llama->quantisation, "Q4_K_M");
    assert_int_equal(strlen(llama->version), 64);
    assert_int_equal(llama->capabilities, CAPABILITY_CHAT);
    assert_int_equal(nomic->capabilities, CAPABILITY_EMBEDDINGS);
}

static void test_what_another_computer_answers_is_left_out(void **state)
{
    struct fixture *f = *state;

    read_tags(f);
    assert_null(found_find(&f->list, "gpt-oss:120b-cloud"));
    assert_int_equal(f->list.left_out, 1);
}

static void test_what_is_in_its_memory(void **state)
{
    struct fixture *f = *state;
    const struct found_model *llama = &f->list.models[0];

    read_tags(f);
    assert_int_equal(found_ollama_ps(ps, strlen(ps), &f->list, &f->err), 0);
    assert_int_equal(f->list.count, 2);
    assert_true(llama->resident && !f->list.models[1].resident);
    assert_true(llama->memory_bytes == 6591830464u && llama->gpu_bytes == 5333539264u);
    assert_true(llama->file_bytes == 2019393189u);
    assert_int_equal(llama->context, 8192);
}

static void test_what_was_unloaded_is_no_longer_there(void **state)
{
    struct fixture *f = *state;
    static const char none[] = "{\"models\":null}";

    read_tags(f);
    assert_int_equal(found_ollama_ps(ps, strlen(ps), &f->list, &f->err), 0);
    assert_int_equal(found_ollama_ps(none, strlen(none), &f->list, &f->err), 0);
    assert_int_equal(f->list.count, 2);
    assert_false(f->list.models[0].resident);
    assert_true(f->list.models[0].memory_bytes == 0 && f->list.models[0].context == 0);
}

/* /api/ps alone is a list too: a look at whether a model is resident asks nothing else. */
static void test_memory_without_the_disk(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(found_ollama_ps(ps, strlen(ps), &f->list, &f->err), 0);
    assert_int_equal(f->list.count, 1);
    assert_true(f->list.models[0].resident);
}

static void test_what_it_shows_of_a_model(void **state)
{
    struct fixture *f = *state;
    struct found_model *llama = &f->list.models[0];

    read_tags(f);
    assert_int_equal(found_ollama_show(show, strlen(show), llama, &f->err), 0);
    assert_int_equal(llama->capabilities, CAPABILITY_CHAT | CAPABILITY_TOOLS | CAPABILITY_EXACT);
    assert_int_equal(llama->context_trained, 131072);
    assert_int_equal(llama->context, 16384);
    assert_true(llama->parameters == 3212749888u);
}

/* What the model was loaded with counts, not what it would be loaded with. */
static void test_a_resident_model_keeps_its_context(void **state)
{
    struct fixture *f = *state;

    read_tags(f);
    assert_int_equal(found_ollama_ps(ps, strlen(ps), &f->list, &f->err), 0);
    assert_int_equal(found_ollama_show(show, strlen(show), &f->list.models[0], &f->err), 0);
    assert_int_equal(f->list.models[0].context, 8192);
}

static uint32_t shown_context(const char *parameters, unsigned trained)
{
    struct found_model model = {.name = "m"};
    char text[256];

    snprintf(text, sizeof(text),
            "{\"details\":{},\"parameters\":\"%s\",\"model_info\":{\"general.architecture\":\"a\","
            "\"a.context_length\":%u}}",
            parameters, trained);
    assert_int_equal(found_ollama_show(text, strlen(text), &model, NULL), 0);
    return model.context;
}

static void test_the_context_that_a_model_has_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(shown_context("", 4096), 0);
    assert_int_equal(shown_context("stop x\\nnum_ctx 2048", 4096), 2048);
    assert_int_equal(shown_context("num_ctx 1\\nnum_ctx 2", 4096), 2);
    assert_int_equal(shown_context("num_ctx 8192", 4096), 4096);
    assert_int_equal(shown_context("num_ctx 8192", 0), 8192);
    assert_int_equal(shown_context("num_ctx nonsense", 4096), 0);
    assert_int_equal(shown_context("num_ctx -5", 4096), 0);
    assert_int_equal(shown_context("num_ctx 999999999", 4096), 0);
    assert_int_equal(shown_context("my_num_ctx 7", 4096), 0);
}

static void test_an_alias_of_another_computers_model(void **state)
{
    struct fixture *f = *state;
    struct found_model model = {.name = "alias", .capabilities = CAPABILITY_CHAT};
    static const char text[] = "{\"remote_host\":\"https://ollama.com:443\",\"remote_model\":\"x\","
                               "\"details\":{},\"capabilities\":[\"completion\",\"tools\"]}";

    assert_int_equal(found_ollama_show(text, strlen(text), &model, &f->err), -EREMOTE);
    assert_non_null(strstr(f->err.text, "alias"));
    assert_int_equal(model.capabilities, CAPABILITY_CHAT);
}

static void test_what_it_can(void **state)
{
    struct found_model model = {0};
    static const char text[] = "{\"details\":{},\"capabilities\":[\"completion\",\"vision\","
                               "\"thinking\",\"audio\",\"embedding\",\"dancing\",7]}";

    (void)state;
    assert_int_equal(found_ollama_show(text, strlen(text), &model, NULL), 0);
    assert_int_equal(model.capabilities, CAPABILITY_CHAT | CAPABILITY_VISION |
                                                 CAPABILITY_REASONING | CAPABILITY_AUDIO |
                                                 CAPABILITY_EMBEDDINGS | CAPABILITY_EXACT);
}

static void test_numbers_that_cannot_be(void **state)
{
    struct fixture *f = *state;
    static const char text[] =
            "{\"models\":[{\"name\":\"m\",\"size\":-1,\"size_vram\":1.5,\"context_length\":1e30}]}";

    assert_int_equal(found_ollama_ps(text, strlen(text), &f->list, &f->err), 0);
    assert_true(f->list.models[0].memory_bytes == 0 && f->list.models[0].gpu_bytes == 0);
    assert_int_equal(f->list.models[0].context, 0);
}

static void test_texts_that_a_terminal_should_not_see(void **state)
{
    struct fixture *f = *state;
    static const char text[] =
            "{\"models\":[{\"name\":\"a\\u001bb\"},{\"name\":\"\"},{\"name\":7},{},3,"
            "{\"name\":\"good\",\"details\":{\"family\":\"x\\u0007\",\"quantization_level\":"
            "\"0123456789012345678901234567890123456789\"}}]}";

    assert_int_equal(found_ollama_tags(text, strlen(text), &f->list, &f->err), 0);
    assert_int_equal(f->list.count, 1);
    assert_int_equal(f->list.left_out, 5);
    assert_string_equal(f->list.models[0].architecture, "");
    assert_string_equal(f->list.models[0].quantisation, "");
}

static void test_more_models_than_are_taken(void **state)
{
    struct fixture *f = *state;
    struct buf text;

    buf_init(&text, 1 << 20);
    assert_int_equal(buf_append_str(&text, "{\"models\":["), 0);
    for (int i = 0; i < FOUND_MODELS_MAX + 5; i++)
        assert_int_equal(buf_appendf(&text, "%s{\"name\":\"m%d\"}", i ? "," : "", i), 0);
    assert_int_equal(buf_append_str(&text, "]}"), 0);
    assert_int_equal(found_ollama_tags(buf_at(&text), text.len, &f->list, &f->err), 0);
    assert_int_equal(f->list.count, FOUND_MODELS_MAX);
    assert_int_equal(f->list.left_out, 5);
    buf_fini(&text);
}

static void assert_refused(struct fixture *f, const char *text)
{
    struct found_model model = {.context = 5};

    f->err.text[0] = '\0';
    assert_int_equal(found_ollama_tags(text, strlen(text), &f->list, &f->err), -EPROTO);
    assert_true(f->err.text[0]);
    assert_int_equal(found_ollama_ps(text, strlen(text), &f->list, &f->err), -EPROTO);
    assert_int_equal(found_ollama_show(text, strlen(text), &model, &f->err), -EPROTO);
    assert_int_equal(model.context, 5);
    assert_int_equal(f->list.count, 0);
}

static void test_answers_that_are_none(void **state)
{
    static const char *const texts[] = {"", "null", "[]", "{", "Ollama is running", "{\"x\":1}",
            "{\"models\":{}}", "{\"models\":[],\"models\":[]}", "{\"models\":[1}"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_refused(*state, texts[i]);
}

/* A broken answer takes nothing away. */
static void test_a_broken_answer_changes_nothing(void **state)
{
    struct fixture *f = *state;

    read_tags(f);
    assert_int_equal(found_ollama_ps(ps, strlen(ps), &f->list, &f->err), 0);
    assert_int_equal(found_ollama_ps("{\"models\":[", 11, &f->list, &f->err), -EPROTO);
    assert_int_equal(found_ollama_ps("{\"models\":3}", 12, &f->list, &f->err), -EPROTO);
    assert_true(f->list.models[0].resident);
}

static void test_recognised_by_its_version(void **state)
{
    struct fixture *f = *state;
    enum engine_kind kind = ENGINE_KIND_COUNT;

    assert_int_equal(found_ollama_recognise("{\"version\":\"0.13.4\"}", 20, &kind, &f->err), 0);
    assert_int_equal(kind, ENGINE_OLLAMA);
    assert_int_equal(found_ollama_recognise("{\"version\":1}", 13, &kind, &f->err), -EPROTO);
    assert_int_equal(found_ollama_recognise("{}", 2, &kind, &f->err), -EPROTO);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_what_is_on_its_disk, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    test_what_another_computer_answers_is_left_out, setup, teardown),
            cmocka_unit_test_setup_teardown(test_what_is_in_its_memory, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    test_what_was_unloaded_is_no_longer_there, setup, teardown),
            cmocka_unit_test_setup_teardown(test_memory_without_the_disk, setup, teardown),
            cmocka_unit_test_setup_teardown(test_what_it_shows_of_a_model, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    test_a_resident_model_keeps_its_context, setup, teardown),
            cmocka_unit_test(test_the_context_that_a_model_has_of_its_own),
            cmocka_unit_test_setup_teardown(
                    test_an_alias_of_another_computers_model, setup, teardown),
            cmocka_unit_test(test_what_it_can),
            cmocka_unit_test_setup_teardown(test_numbers_that_cannot_be, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    test_texts_that_a_terminal_should_not_see, setup, teardown),
            cmocka_unit_test_setup_teardown(test_more_models_than_are_taken, setup, teardown),
            cmocka_unit_test_setup_teardown(test_answers_that_are_none, setup, teardown),
            cmocka_unit_test_setup_teardown(test_a_broken_answer_changes_nothing, setup, teardown),
            cmocka_unit_test_setup_teardown(test_recognised_by_its_version, setup, teardown),
    };
    return cmocka_run_group_tests_name("found_ollama", tests, NULL, NULL);
}

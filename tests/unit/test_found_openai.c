#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/found/found_openai.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* In the shapes of llama-server b11669, of vLLM's model cards, of LM Studio's REST
 * API v0 and of Lemonade's docs/api. */
static const char llama[] =
        "{\"object\":\"list\",\"data\":[{\"id\":\"../models/Meta-Llama-3.1-8B-Q4_K_M.gguf\","
        "\"object\":\"model\",\"created\":1735142223,\"owned_by\":\"llamacpp\","
        "\"architecture\":{\"input_modalities\":[\"text\",\"image\"],\"output_modalities\":["
        "\"text\"]},"
        "\"meta\":{\"vocab_type\":2,\"n_vocab\":128256,\"n_ctx\":8192,\"n_ctx_train\":131072,"
        "\"n_embd\":4096,\"n_params\":8030261312,\"size\":4912898304,\"ftype\":\"Q4_K_M\"}}]}";
static const char props[] =
        "{\"default_generation_settings\":{\"id\":0,\"n_ctx\":16384,\"params\":{}},"
        "\"total_slots\":4,\"model_path\":\"../models/Meta-Llama-3.1-8B-Q4_K_M.gguf\","
        "\"chat_template\":\"{{ m.reasoning_content "
        "}}\",\"chat_template_caps\":{\"supports_tools\":true},"
        "\"modalities\":{\"vision\":true,\"audio\":false},\"build_info\":\"b8681\"}";
static const char router[] =
        "{\"object\":\"list\",\"data\":[{\"id\":\"chat\",\"owned_by\":\"llamacpp\",\"status\":{"
        "\"value\":\"unloaded\",\"args\":[]}},{\"id\":\"code\",\"owned_by\":\"llamacpp\","
        "\"status\":{\"value\":\"loaded\"}}]}";
static const char vllm[] =
        "{\"object\":\"list\",\"data\":[{\"id\":\"Qwen/Qwen3-32B\",\"object\":\"model\","
        "\"created\":1739935000,\"owned_by\":\"vllm\",\"root\":\"Qwen/Qwen3-32B\",\"parent\":null,"
        "\"max_model_len\":40960,\"permission\":[{\"id\":\"modelperm-1\",\"allow_sampling\":true}]"
        "},{\"id\":\"sql-lora\",\"object\":\"model\",\"owned_by\":\"vllm\",\"root\":\"x\","
        "\"parent\":\"Qwen/Qwen3-32B\",\"max_model_len\":null}]}";
static const char studio[] =
        "{\"object\":\"list\",\"data\":[{\"id\":\"qwen2-vl-7b-instruct\",\"object\":\"model\","
        "\"type\":\"vlm\",\"publisher\":\"mlx-community\",\"arch\":\"qwen2_vl\","
        "\"compatibility_type\":\"mlx\",\"quantization\":\"4bit\",\"state\":\"not-loaded\","
        "\"max_context_length\":32768},{\"id\":\"meta-llama-3.1-8b@q4_k_m\",\"object\":\"model\","
        "\"type\":\"llm\",\"publisher\":\"lmstudio-community\",\"arch\":\"llama\","
        "\"quantization\":\"Q4_K_M\",\"state\":\"loaded\",\"max_context_length\":131072,"
        "\"loaded_context_length\":8192,\"capabilities\":[\"tool_use\"]},{\"id\":"
        "\"text-embedding-nomic\",\"type\":\"embeddings\",\"state\":\"loaded\"}]}";
static const char lemonade[] =
        "{\"object\":\"list\",\"data\":[{\"id\":\"Qwen3-0.6B-GGUF\",\"created\":1744173590,"
        "\"object\":\"model\",\"owned_by\":\"lemonade\",\"checkpoint\":"
        "\"unsloth/Qwen3-0.6B-GGUF:Q4_0\",\"recipe\":\"llamacpp\",\"size\":0.38,"
        "\"max_context_window\":40960,\"context_length\":8192,\"downloaded\":true,\"labels\":["
        "\"reasoning\",\"tool-calling\"]},{\"id\":\"Gemma-3-4b-it-GGUF\",\"checkpoint\":"
        "\"ggml-org/gemma:Q4 K\",\"downloaded\":true,\"labels\":[\"hot\",\"vision\"]},"
        "{\"id\":\"SD-Turbo\",\"recipe\":\"sd-cpp\",\"labels\":[\"image\"]},"
        "{\"id\":\"nomic\",\"labels\":[\"embeddings\"]},{\"id\":\"Not-Here\",\"downloaded\":false}"
        "]}";
static const char health[] =
        "{\"status\":\"ok\",\"version\":\"10.3.0\",\"model_loaded\":\"Qwen3-0.6B-GGUF\","
        "\"all_models_loaded\":[{\"model_name\":\"Qwen3-0.6B-GGUF\",\"recipe\":\"llamacpp\","
        "\"recipe_options\":{\"ctx_size\":4096},\"device\":\"gpu\"},{\"model_name\":\"nomic\","
        "\"loaded\":false},{\"model_name\":\"unheard-of\"}]}";

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

static void test_llama_server(void **state)
{
    struct fixture *f = *state;
    const struct found_model *model = &f->list.models[0];

    assert_int_equal(found_openai_models(llama, strlen(llama), &f->list, &f->err), 0);
    assert_int_equal(f->list.count, 1);
    assert_string_equal(model->id, "../models/Meta-Llama-3.1-8B-Q4_K_M.gguf");
    assert_string_equal(model->name, "Meta-Llama-3.1-8B-Q4_K_M");
    assert_true(model->resident && model->file_bytes == 4912898304u);
    assert_true(model->parameters == 8030261312u);
    assert_int_equal(model->context_trained, 131072);
    assert_int_equal(model->context, 8192);
    assert_string_equal(model->quantisation, "Q4_K_M");
    assert_int_equal(model->capabilities, CAPABILITY_CHAT | CAPABILITY_VISION);
    assert_int_equal(found_llama_props(props, strlen(props), &f->list, &f->err), 0);
    assert_int_equal(model->context, 16384);
    assert_int_equal(model->slots, 4);
    assert_int_equal(model->capabilities, CAPABILITY_CHAT | CAPABILITY_VISION | CAPABILITY_TOOLS |
                                                  CAPABILITY_REASONING | CAPABILITY_EXACT);
}

static void test_llama_server_as_a_router(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(found_openai_models(router, strlen(router), &f->list, &f->err), 0);
    assert_false(f->list.models[0].resident);
    assert_true(f->list.models[1].resident);
    assert_int_equal(found_llama_props(props, strlen(props), &f->list, &f->err), 0);
    assert_int_equal(f->list.models[1].context, 0);
}

static void test_vllm(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(found_openai_models(vllm, strlen(vllm), &f->list, &f->err), 0);
    assert_int_equal(f->list.count, 2);
    assert_string_equal(f->list.models[0].name, "Qwen/Qwen3-32B");
    assert_int_equal(f->list.models[0].context, 40960);
    assert_int_equal(f->list.models[1].context, 0);
    assert_true(f->list.models[0].resident && f->list.models[1].resident);
}

static void test_lm_studio(void **state)
{
    struct fixture *f = *state;
    const struct found_model *models = f->list.models;

    assert_int_equal(found_lm_studio_models(studio, strlen(studio), &f->list, &f->err), 0);
    assert_int_equal(f->list.count, 3);
    assert_false(models[0].resident);
    assert_int_equal(models[0].context, 0);
    assert_int_equal(models[0].context_trained, 32768);
    assert_int_equal(models[0].capabilities, CAPABILITY_CHAT | CAPABILITY_VISION);
    assert_string_equal(models[1].id, "meta-llama-3.1-8b@q4_k_m");
    assert_string_equal(models[1].name, "meta-llama-3.1-8b-q4_k_m");
    assert_true(models[1].resident);
    assert_int_equal(models[1].context, 8192);
    assert_int_equal(models[1].capabilities, CAPABILITY_CHAT | CAPABILITY_TOOLS);
    assert_string_equal(models[1].quantisation, "Q4_K_M");
    assert_int_equal(models[2].capabilities, CAPABILITY_EMBEDDINGS);
}

static void test_lemonade(void **state)
{
    struct fixture *f = *state;
    const struct found_model *models = f->list.models;

    assert_int_equal(found_lemonade_models(lemonade, strlen(lemonade), &f->list, &f->err), 0);
    assert_int_equal(f->list.count, 3);
    assert_int_equal(f->list.left_out, 1);
    assert_true(models[0].file_bytes == 380000000u);
    assert_int_equal(models[0].context, 8192);
    assert_int_equal(models[0].context_trained, 40960);
    assert_string_equal(models[0].quantisation, "Q4_0");
    assert_int_equal(
            models[0].capabilities, CAPABILITY_CHAT | CAPABILITY_REASONING | CAPABILITY_TOOLS);
    assert_int_equal(models[1].capabilities, CAPABILITY_CHAT | CAPABILITY_VISION);
    assert_string_equal(models[1].quantisation, "");
    assert_int_equal(models[2].capabilities, CAPABILITY_EMBEDDINGS);
    assert_int_equal(found_lemonade_health(health, strlen(health), &f->list, &f->err), 0);
    assert_true(models[0].resident && !models[1].resident && !models[2].resident);
    assert_int_equal(models[0].context, 4096);
    assert_int_equal(f->list.count, 3);
}

static void test_an_older_lemonade(void **state)
{
    struct fixture *f = *state;
    static const char older[] = "{\"status\":\"ok\",\"model_loaded\":\"nomic\"}";
    static const char none[] = "{\"status\":\"ok\",\"model_loaded\":null}";

    assert_int_equal(found_lemonade_models(lemonade, strlen(lemonade), &f->list, &f->err), 0);
    assert_int_equal(found_lemonade_health(older, strlen(older), &f->list, &f->err), 0);
    assert_true(f->list.models[2].resident && !f->list.models[0].resident);
    assert_int_equal(found_lemonade_health(none, strlen(none), &f->list, &f->err), 0);
    assert_false(f->list.models[2].resident);
}

static enum engine_kind kind_of(size_t probe, const char *text, int want)
{
    enum engine_kind kind = ENGINE_KIND_COUNT;
    struct err err = {.text = ""};

    assert_int_equal(found_probe_read(probe, text, strlen(text), &kind, &err), want);
    assert_true((want == 0) == (err.text[0] == '\0'));
    return kind;
}

static size_t probe_of(const char *path)
{
    for (size_t i = 0; found_probe_path(i); i++)
        if (strcmp(found_probe_path(i), path) == 0)
            return i;
    fail_msg("%s is not asked", path);
    return 0;
}

static void test_recognised_by_the_shape(void **state)
{
    size_t list = probe_of("/v1/models"), v0 = probe_of("/api/v0/models");
    size_t well = probe_of("/api/v1/health");

    (void)state;
    assert_int_equal(kind_of(list, llama, 0), ENGINE_LLAMA_SERVER);
    assert_int_equal(kind_of(list, vllm, 0), ENGINE_VLLM);
    assert_int_equal(kind_of(list, "{\"data\":[{\"id\":\"x\"}]}", 0), ENGINE_OPENAI);
    assert_int_equal(kind_of(list, "{\"data\":[]}", 0), ENGINE_OPENAI);
    assert_int_equal(kind_of(v0, studio, 0), ENGINE_LM_STUDIO);
    assert_int_equal(kind_of(well, health, 0), ENGINE_LEMONADE);
    (void)kind_of(v0, lemonade, -EPROTO);
    (void)kind_of(well, "{\"status\":\"ok\"}", -EPROTO);
    (void)kind_of(list, "{\"error\":\"Unexpected endpoint or method. (GET /v1/models)\"}", -EPROTO);
    (void)kind_of(probe_of("/api/version"), "{\"error\":\"Unexpected endpoint\"}", -EPROTO);
}

/* As the coordinator writes them: coordinator/api/api.c, list_models.c. */
static void test_a_modemesh_is_no_engine(void **state)
{
    struct fixture *f = *state;
    static const char own[] = "{\"object\":\"list\",\"data\":[{\"id\":\"mesh-code\",\"object\":"
                              "\"model\",\"owned_by\":\"modemesh\"}]}";
    static const char as_studio[] =
            "{\"data\":[{\"id\":\"mesh-code\",\"publisher\":\"modemesh\",\"state\":\"loaded\"}]}";

    assert_true(found_is_mesh("modemesh is running\n", 20));
    assert_false(found_is_mesh("Ollama is running", 17));
    assert_false(found_is_mesh("mode", 4));
    (void)kind_of(probe_of("/v1/models"), own, -ELOOP);
    (void)kind_of(probe_of("/api/v0/models"), as_studio, -ELOOP);
    assert_int_equal(found_openai_models(own, strlen(own), &f->list, &f->err), -ELOOP);
    assert_int_equal(
            found_lm_studio_models(as_studio, strlen(as_studio), &f->list, &f->err), -ELOOP);
    assert_int_equal(f->list.count, 0);
}

static void test_answers_that_are_none(void **state)
{
    struct fixture *f = *state;
    static const found_read_fn readers[] = {found_openai_models, found_llama_props,
            found_lm_studio_models, found_lemonade_models, found_lemonade_health};
    static const char *const texts[] = {
            "", "[]", "null", "<html>", "{\"data\":[1", "{\"data\":1,\"data\":2}"};

    for (size_t r = 0; r < sizeof(readers) / sizeof(readers[0]); r++)
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
            assert_int_equal(readers[r](texts[i], strlen(texts[i]), &f->list, &f->err), -EPROTO);
    assert_int_equal(f->list.count, 0);
}

static void assert_name(const char *id, const char *name)
{
    char found[MSG_NAME_MAX + 1] = "untouched";

    assert_int_equal(found_name(id, found), name ? 0 : -EINVAL);
    assert_string_equal(found, name ? name : "untouched");
}

static void test_names(void **state)
{
    char longest[MSG_NAME_MAX + 1], longer[MSG_NAME_MAX + 2];

    (void)state;
    memset(longest, 'x', sizeof(longest));
    longest[MSG_NAME_MAX] = '\0';
    memset(longer, 'x', sizeof(longer));
    longer[MSG_NAME_MAX + 1] = '\0';
    assert_name("org/model:tag", "org/model:tag");
    assert_name("/home/me/My Model.GGUF", "My Model");
    assert_name("model.gguf", "model");
    assert_name("a@b(c)", "a-b-c-");
    assert_name("\xc3\xa9t\xc3\xa9", "--t--");
    assert_name(longest, longest);
    assert_name(longer, NULL);
    assert_name("", NULL);
    assert_name("@@@", NULL);
    assert_name(" x", NULL);
}

static void test_each_kind_says_what_it_is(void **state)
{
    (void)state;
    for (int kind = 0; kind < ENGINE_KIND_COUNT; kind++) {
        const struct engine_manner *manner = engine_manner((enum engine_kind)kind);
        unsigned residents = 0;

        assert_true(manner->name[0] && manner->label[0] && manner->untold[0] && manner->slots > 0);
        for (size_t i = 0; i < FOUND_QUESTIONS_MAX; i++)
            residents += manner->questions[i].path && manner->questions[i].residents;
        assert_int_equal(residents, 1);
        assert_int_equal(manner->unknown_kinds & (1u << REQUEST_CHAT), 0);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_llama_server, setup, teardown),
            cmocka_unit_test_setup_teardown(test_llama_server_as_a_router, setup, teardown),
            cmocka_unit_test_setup_teardown(test_vllm, setup, teardown),
            cmocka_unit_test_setup_teardown(test_lm_studio, setup, teardown),
            cmocka_unit_test_setup_teardown(test_lemonade, setup, teardown),
            cmocka_unit_test_setup_teardown(test_an_older_lemonade, setup, teardown),
            cmocka_unit_test(test_recognised_by_the_shape),
            cmocka_unit_test_setup_teardown(test_a_modemesh_is_no_engine, setup, teardown),
            cmocka_unit_test_setup_teardown(test_answers_that_are_none, setup, teardown),
            cmocka_unit_test(test_names),
            cmocka_unit_test(test_each_kind_says_what_it_is),
    };
    return cmocka_run_group_tests_name("found_openai", tests, NULL, NULL);
}

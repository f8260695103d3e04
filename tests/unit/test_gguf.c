#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/gguf.h"
#include "tests/lib/gguf_maker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TYPE_U8 = 0, TYPE_STRING = 8, TYPE_ARRAY = 9 };

struct memory {
    const char *data;
    size_t len, reads;
    uint64_t served; /* bytes handed out in sum */
};

static ssize_t read_memory(void *ctx, uint64_t offset, void *ret_data, size_t len)
{
    struct memory *memory = ctx;

    if (offset >= memory->len)
        return 0;
    if (len > memory->len - offset)
        len = memory->len - (size_t)offset;
    memcpy(ret_data, memory->data + offset, len);
    memory->reads++;
    memory->served += len;
    return (ssize_t)len;
}

static int parse(const struct buf *file, struct gguf_info *ret_info, struct err *err)
{
    struct memory memory = {.data = buf_at(file), .len = file->len};
    struct gguf_source source = {.read_at = read_memory, .ctx = &memory, .size_bytes = file->len};

    err->text[0] = '\0';
    return gguf_parse(&source, ret_info, err);
}

static int setup(void **state)
{
    static struct buf file;

    buf_init(&file, 64 * 1024 * 1024);
    *state = &file;
    return 0;
}

static int teardown(void **state)
{
    buf_fini(*state);
    return 0;
}

static void test_model(void **state)
{
    struct buf *file = *state;
    struct gguf_info info;
    struct err err;

    gguf_put_model(file, 64);
    assert_int_equal(parse(file, &info, &err), 0);
    assert_string_equal(info.architecture, "llama");
    assert_string_equal(info.quantisation, "Q8_0");
    assert_string_equal(info.name, "");
    assert_int_equal(info.context_length, 2048);
    assert_int_equal(info.tensor_count, 1);
    assert_int_equal(info.version, 3);
    assert_int_equal(info.split_count, 0);
    assert_true(gguf_is_model(&info));
}

/* A model with one more key, which `put` appends. */
static struct gguf_info info_with(struct buf *file, void (*put)(struct buf *file))
{
    struct gguf_info info;
    struct err err;

    buf_clear(file);
    gguf_put_head(file, 3, 1, 2);
    gguf_put_key_text(file, "general.architecture", "qwen3");
    put(file);
    gguf_put_tensor(file, "a", 0);
    gguf_put_data(file, 64);
    assert_int_equal(parse(file, &info, &err), 0);
    return info;
}

static void put_three(struct buf *file, const char *const *keys, uint32_t token)
{
    buf_clear(file);
    gguf_put_head(file, 3, 1, 3);
    for (int i = 0; i < 3; i++)
        gguf_put_key_u32(file, keys[i], token);
    gguf_put_tensor(file, "a", 0);
    gguf_put_data(file, 64);
}

static void assert_fim_keys(struct buf *file, const char *const *keys, uint32_t token, bool fim)
{
    struct gguf_info info;
    struct err err;

    put_three(file, keys, token);
    assert_int_equal(parse(file, &info, &err), 0);
    assert_int_equal(info.fim, fim);
}

static void test_keys_of_fim_tokens(void **state)
{
    static const char *const newer[] = {"tokenizer.ggml.fim_pre_token_id",
            "tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.fim_mid_token_id"};
    static const char *const older[] = {"tokenizer.ggml.middle_token_id",
            "tokenizer.ggml.suffix_token_id", "tokenizer.ggml.prefix_token_id"};
    static const char *const two[] = {"tokenizer.ggml.fim_pre_token_id",
            "tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.fim_pad_token_id"};

    assert_fim_keys(*state, newer, 0, true);
    assert_fim_keys(*state, older, 151659, true);
    assert_fim_keys(*state, newer, UINT32_MAX, false);
    assert_fim_keys(*state, two, 5, false);
}

static void put_tokens(struct buf *file, const char *const *tokens, uint64_t count)
{
    gguf_put_text(file, "tokenizer.ggml.tokens");
    gguf_put_u32(file, TYPE_ARRAY);
    gguf_put_u32(file, TYPE_STRING);
    gguf_put_u64(file, count);
    for (uint64_t i = 0; i < count; i++)
        gguf_put_text(file, tokens[i]);
}

static void put_qwen_tokens(struct buf *file)
{
    static const char *const tokens[] = {
            "!", "<|fim_prefix|>", "<|fim_middle|>", "a", "<|fim_suffix|>", "<|fim_pad|>"};

    put_tokens(file, tokens, sizeof tokens / sizeof *tokens);
}

static void put_deepseek_tokens(struct buf *file)
{
    static const char *const tokens[] = {"<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>"};

    put_tokens(file, tokens, 3);
}

static void put_other_tokens(struct buf *file)
{
    static const char *const tokens[] = {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|", ""};

    put_tokens(file, tokens, 4);
}

static void put_numbered_tokens(struct buf *file)
{
    gguf_put_text(file, "tokenizer.ggml.tokens");
    gguf_put_u32(file, TYPE_ARRAY);
    gguf_put_u32(file, TYPE_U8);
    gguf_put_u64(file, 8);
    gguf_put_u64(file, 0);
}

/* As the engine finds them where no key names them. */
static void test_texts_of_fim_tokens(void **state)
{
    assert_true(info_with(*state, put_qwen_tokens).fim);
    assert_true(info_with(*state, put_deepseek_tokens).fim);
    assert_false(info_with(*state, put_other_tokens).fim);
    assert_false(info_with(*state, put_numbered_tokens).fim);
}

static void put_pooling_rank(struct buf *file)
{
    gguf_put_key_u32(file, "qwen3.pooling_type", 4);
}

static void put_pooling_none(struct buf *file)
{
    gguf_put_key_u32(file, "qwen3.pooling_type", 0);
}

static void put_pooling_of_another(struct buf *file)
{
    gguf_put_key_u32(file, "bert.pooling_type", 1);
}

static void put_pooling_unknown(struct buf *file)
{
    gguf_put_key_u32(file, "qwen3.pooling_type", 5);
}

static void put_no_pooling(struct buf *file)
{
    gguf_put_key_u32(file, ".pooling_type", 1);
}

static void test_pooling(void **state)
{
    assert_int_equal(info_with(*state, put_pooling_rank).pooling, GGUF_POOLING_RANK);
    assert_int_equal(info_with(*state, put_pooling_none).pooling, GGUF_POOLING_NONE);
    assert_int_equal(info_with(*state, put_pooling_of_another).pooling, GGUF_POOLING_NOT_SAID);
    assert_int_equal(info_with(*state, put_pooling_unknown).pooling, GGUF_POOLING_NOT_SAID);
    assert_int_equal(info_with(*state, put_no_pooling).pooling, GGUF_POOLING_NOT_SAID);
}

static void put_plain_template(struct buf *file)
{
    gguf_put_key_text(file, "tokenizer.chat_template", "{% for m in messages %}{% endfor %}");
}

static void put_tool_template(struct buf *file)
{
    gguf_put_key_text(file, "tokenizer.chat_template", "{% if tools %}<think>{% endif %}");
}

/* `words` behind so many bytes. */
static void put_long_template(struct buf *file, size_t bytes, const char *words)
{
    char *text = malloc(bytes + strlen(words) + 1);

    assert_non_null(text);
    memset(text, ' ', bytes);
    strcpy(text + bytes, words);
    gguf_put_key_text(file, "tokenizer.chat_template", text);
    free(text);
}

static void put_late_tools(struct buf *file)
{
    put_long_template(file, 4096 * 30 - 2, "tools"); /* a piece ends within the word */
}

static void put_too_late_tools(struct buf *file)
{
    put_long_template(file, GGUF_TEMPLATE_MAX, "tools");
}

static void test_words_of_the_chat_template(void **state)
{
    struct gguf_info info = info_with(*state, put_plain_template);

    assert_false(info.template_tools || info.template_thinking);
    info = info_with(*state, put_tool_template);
    assert_true(info.template_tools && info.template_thinking);
    info = info_with(*state, put_late_tools);
    assert_true(info.template_tools);
    assert_false(info.template_thinking);
    assert_false(info_with(*state, put_too_late_tools).template_tools);
}

static void put_shape(
        struct buf *file, const char *name, const uint64_t *shape, uint32_t dimensions)
{
    gguf_put_text(file, name);
    gguf_put_u32(file, dimensions);
    for (uint32_t i = 0; i < dimensions; i++)
        gguf_put_u64(file, shape[i]);
    gguf_put_u32(file, 0);
    gguf_put_u64(file, 0);
}

static uint64_t parameters_of(struct buf *file, const uint64_t *second, uint32_t dimensions)
{
    static const uint64_t first[] = {128, 1120};
    struct gguf_info info;
    struct err err;

    buf_clear(file);
    gguf_put_head(file, 3, 2, 0);
    put_shape(file, "a", first, 2);
    put_shape(file, "b", second, dimensions);
    gguf_put_data(file, 64);
    assert_int_equal(parse(file, &info, &err), 0);
    return info.parameters;
}

static void test_parameters_are_counted(void **state)
{
    static const uint64_t cube[] = {10, 20, 30}, huge[] = {UINT64_MAX, 2}, none[] = {0, UINT64_MAX};

    assert_int_equal(parameters_of(*state, cube, 3), 128 * 1120 + 6000);
    assert_int_equal(parameters_of(*state, cube, 0), 128 * 1120 + 1);
    assert_int_equal(parameters_of(*state, none, 2), 128 * 1120);
    assert_true(parameters_of(*state, huge, 2) == UINT64_MAX);
}

static void test_every_cut_is_refused(void **state)
{
    struct buf *file = *state;
    struct gguf_info info;
    struct err err;

    gguf_put_model(file, 1);
    size_t whole = file->len;
    for (size_t len = 0; len < whole; len++) {
        file->len = len;
        assert_int_equal(parse(file, &info, &err), -ENODATA);
        assert_non_null(strstr(err.text, "still being copied"));
    }
    file->len = whole;
    assert_int_equal(parse(file, &info, &err), 0);
}

static void test_tensor_behind_the_end(void **state)
{
    struct buf *file = *state;
    struct gguf_info info;
    struct err err;

    gguf_put_head(file, 3, 2, 0);
    gguf_put_tensor(file, "a", 0);
    gguf_put_tensor(file, "b", 4096);
    gguf_put_data(file, 4096);
    assert_int_equal(parse(file, &info, &err), -ENODATA);
    gguf_put_data(file, 1);
    assert_int_equal(parse(file, &info, &err), 0);
}

static void test_large_arrays_are_skipped(void **state)
{
    struct buf *file = *state;
    struct gguf_info info;
    struct err err;

    gguf_put_head(file, 2, 1, 5);
    gguf_put_key_texts(file, "tokenizer.ggml.tokens", 100000);
    gguf_put_text(file, "bytes");
    gguf_put_u32(file, TYPE_ARRAY);
    gguf_put_u32(file, TYPE_U8);
    gguf_put_u64(file, 1000000);
    for (int i = 0; i < 125000; i++)
        gguf_put_u64(file, 0);
    gguf_put_text(file, "nested");
    gguf_put_u32(file, TYPE_ARRAY);
    gguf_put_u32(file, TYPE_ARRAY);
    gguf_put_u64(file, 2);
    for (int i = 0; i < 2; i++) {
        gguf_put_u32(file, TYPE_STRING);
        gguf_put_u64(file, 1);
        gguf_put_text(file, "x");
    }
    /* The context comes before the architecture that it belongs to. */
    gguf_put_key_u32(file, "qwen3.context_length", 40960);
    gguf_put_key_text(file, "general.architecture", "qwen3");
    gguf_put_tensor(file, "t", 0);
    gguf_put_data(file, 32);

    struct memory memory = {.data = buf_at(file), .len = file->len};
    struct gguf_source source = {.read_at = read_memory, .ctx = &memory, .size_bytes = file->len};
    assert_int_equal(gguf_parse(&source, &info, &err), 0);
    assert_string_equal(info.architecture, "qwen3");
    assert_int_equal(info.context_length, 40960);
    /* The byte array is jumped over, and nothing is read twice. */
    assert_true(memory.served < file->len);
}

static void test_context_of_another_architecture(void **state)
{
    struct buf *file = *state;
    struct gguf_info info;
    struct err err;

    gguf_put_head(file, 3, 0, 3);
    gguf_put_key_text(file, "general.architecture", "llama");
    gguf_put_key_u32(file, "llama.context_length", 4096);
    gguf_put_key_u32(file, "draft.context_length", 77);
    assert_int_equal(parse(file, &info, &err), 0);
    assert_int_equal(info.context_length, 4096);
}

static void test_wrong_files(void **state)
{
    struct buf *file = *state;
    struct gguf_info info;
    struct err err;

    assert_int_equal(buf_append_str(file, "<html>not found</html>....."), 0);
    assert_int_equal(parse(file, &info, &err), -EBADMSG);

    buf_clear(file);
    gguf_put_head(file, 0x03000000, 0, 0);
    assert_int_equal(parse(file, &info, &err), -ENOTSUP);
    assert_non_null(strstr(err.text, "big-endian"));

    buf_clear(file);
    gguf_put_head(file, 1, 0, 0);
    assert_int_equal(parse(file, &info, &err), -ENOTSUP);
    assert_non_null(strstr(err.text, "version 1"));
}

static void test_hostile_numbers(void **state)
{
    struct buf *file = *state;
    struct gguf_info info;
    struct err err;

    gguf_put_head(file, 3, UINT64_MAX, 0);
    assert_int_equal(parse(file, &info, &err), -EMSGSIZE);

    buf_clear(file);
    gguf_put_head(file, 3, 0, UINT64_MAX);
    assert_int_equal(parse(file, &info, &err), -EMSGSIZE);

    buf_clear(file);
    gguf_put_head(file, 3, 0, 1);
    gguf_put_u64(file, UINT64_MAX); /* length of the key */
    assert_int_equal(parse(file, &info, &err), -ENODATA);

    buf_clear(file);
    gguf_put_head(file, 3, 0, 1);
    gguf_put_text(file, "a");
    gguf_put_u32(file, TYPE_ARRAY);
    gguf_put_u32(file, 12); /* of 8 bytes each: the product overflows */
    gguf_put_u64(file, UINT64_MAX / 8 + 2);
    assert_int_equal(parse(file, &info, &err), -ENODATA);

    buf_clear(file);
    gguf_put_head(file, 3, 0, 1);
    gguf_put_text(file, "a");
    gguf_put_u32(file, 13);
    assert_int_equal(parse(file, &info, &err), -EBADMSG);

    buf_clear(file);
    gguf_put_head(file, 3, 0, 1);
    gguf_put_key_u32(file, "general.alignment", 0);
    assert_int_equal(parse(file, &info, &err), -EBADMSG);
}

static void test_arrays_too_deep(void **state)
{
    struct buf *file = *state;
    struct gguf_info info;
    struct err err;

    gguf_put_head(file, 3, 0, 1);
    gguf_put_text(file, "a");
    gguf_put_u32(file, TYPE_ARRAY);
    for (int i = 0; i < 100000; i++) {
        gguf_put_u32(file, TYPE_ARRAY);
        gguf_put_u64(file, 1);
    }
    assert_int_equal(parse(file, &info, &err), -EMSGSIZE);
}

static void test_foreign_text_is_cleaned(void **state)
{
    struct buf *file = *state;
    struct gguf_info info;
    char name[400];
    struct err err;

    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    memcpy(name, "a\n\x1b[1m", 6);
    gguf_put_head(file, 3, 0, 1);
    gguf_put_key_text(file, "general.name", name);
    assert_int_equal(parse(file, &info, &err), 0);
    assert_int_equal(strlen(info.name), GGUF_TEXT_MAX - 1);
    assert_memory_equal(info.name, "a[1mx", 5);
}

static void test_not_models(void **state)
{
    struct gguf_info info = {.tensor_count = 3, .architecture = "llama", .quantisation = ""};

    (void)state;
    assert_true(gguf_is_model(&info));
    strcpy(info.type, "adapter");
    assert_false(gguf_is_model(&info));
    strcpy(info.type, "model");
    assert_true(gguf_is_model(&info));
    strcpy(info.architecture, "clip");
    assert_false(gguf_is_model(&info));
    strcpy(info.architecture, "llama");
    info.tensor_count = 0;
    assert_false(gguf_is_model(&info));
}

static void test_split_names(void **state)
{
    unsigned part = 0, parts = 0;
    size_t len = 0;

    (void)state;
    assert_true(gguf_split_name("glm-00002-of-00013", &len, &part, &parts));
    assert_int_equal(len, 3);
    assert_int_equal(part, 2);
    assert_int_equal(parts, 13);
    assert_false(gguf_split_name("-00001-of-00002", &len, &part, &parts));
    assert_false(gguf_split_name("x", &len, &part, &parts));
    assert_false(gguf_split_name("x-00003-of-00002", &len, &part, &parts));
    assert_false(gguf_split_name("x-00000-of-00002", &len, &part, &parts));
    assert_false(gguf_split_name("x-0000a-of-00002", &len, &part, &parts));
    assert_false(gguf_split_name("x-00001-or-00002", &len, &part, &parts));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_model),
            TEST(test_keys_of_fim_tokens),
            TEST(test_texts_of_fim_tokens),
            TEST(test_pooling),
            TEST(test_words_of_the_chat_template),
            TEST(test_parameters_are_counted),
            TEST(test_every_cut_is_refused),
            TEST(test_tensor_behind_the_end),
            TEST(test_large_arrays_are_skipped),
            TEST(test_context_of_another_architecture),
            TEST(test_wrong_files),
            TEST(test_hostile_numbers),
            TEST(test_arrays_too_deep),
            TEST(test_foreign_text_is_cleaned),
            TEST(test_not_models),
            TEST(test_split_names),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("gguf", tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/model/gguf.h"
#include "tests/lib/gguf_maker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TYPE_NOT_KNOWN = 777 };

static int parse(const struct buf *file, struct gguf_info *ret_info, struct err *err)
{
    struct gguf_memory memory = {.file = file};
    struct gguf_source source = gguf_memory_source(&memory);

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
static struct gguf_info info_with_keys(
        struct buf *file, uint64_t keys, void (*put)(struct buf *file))
{
    struct gguf_info info;
    struct err err;

    buf_clear(file);
    gguf_put_head(file, 3, 1, keys);
    gguf_put_key_text(file, "general.architecture", "qwen3");
    put(file);
    gguf_put_tensor(file, "a", 0);
    gguf_put_data(file, 64);
    assert_int_equal(parse(file, &info, &err), 0);
    return info;
}

static struct gguf_info info_with(struct buf *file, void (*put)(struct buf *file))
{
    return info_with_keys(file, 2, put);
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
    gguf_put_u32(file, GGUF_ARRAY);
    gguf_put_u32(file, GGUF_STRING);
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
    gguf_put_u32(file, GGUF_ARRAY);
    gguf_put_u32(file, GGUF_U8);
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
    put_long_template(file, GGUF_TEXT_READ_MAX, "tools");
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

static void put_two_templates(struct buf *file)
{
    gguf_put_key_text(file, "tokenizer.chat_template", "{{ messages }} too");
    gguf_put_key_text(file, "tokenizer.chat_template.rag", "ls {{ messages }}");
}

static void put_tool_use(struct buf *file)
{
    gguf_put_key_text(file, "tokenizer.chat_template", "{{ messages }}");
    gguf_put_key_text(file, "tokenizer.chat_template.tool_use", "{{ tools }}");
}

static void put_no_template(struct buf *file)
{
    gguf_put_key_text(file, "tokenizer.chat_template", "");
    gguf_put_key_text(file, "tokenizer.chat_template_of", "{{ tools }}");
}

static void test_whether_the_chat_template_is_known(void **state)
{
    struct gguf_info info = info_with_keys(*state, 3, put_tool_use);

    assert_true(info.template_read && info.template_tools);
    info = info_with_keys(*state, 3, put_two_templates);
    assert_true(info.template_read);
    assert_false(info.template_tools);
    info = info_with_keys(*state, 3, put_no_template);
    assert_false(info.template_read || info.template_tools);
    assert_true(info_with(*state, put_plain_template).template_read);
    assert_true(info_with(*state, put_late_tools).template_read);
    assert_false(info_with(*state, put_too_late_tools).template_read);
}

static void put_senses(struct buf *file, uint32_t sees, uint32_t hears)
{
    gguf_put_key_bool(file, "clip.has_vision_encoder", sees);
    gguf_put_key_bool(file, "clip.has_audio_encoder", hears);
}

static void put_eye(struct buf *file)
{
    put_senses(file, 1, 0);
}

static void put_ear(struct buf *file)
{
    put_senses(file, 0, 1);
}

static void test_what_a_projector_takes(void **state)
{
    struct gguf_info info = info_with_keys(*state, 3, put_eye);

    assert_true(info.sees);
    assert_false(info.hears);
    info = info_with_keys(*state, 3, put_ear);
    assert_true(info.hears);
    assert_false(info.sees);
}

/* Of a type that is not known, so that its size is not either. */
static void put_shape(
        struct buf *file, const char *name, const uint64_t *shape, uint32_t dimensions)
{
    gguf_put_text(file, name);
    gguf_put_u32(file, dimensions);
    for (uint32_t i = 0; i < dimensions; i++)
        gguf_put_u64(file, shape[i]);
    gguf_put_u32(file, TYPE_NOT_KNOWN);
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

    gguf_put_model(file, 32);
    size_t whole = file->len;
    for (size_t len = 0; len < whole; len++) {
        file->len = len;
        assert_int_equal(parse(file, &info, &err), -ENODATA);
        assert_non_null(strstr(err.text, "still being copied"));
    }
    file->len = whole;
    assert_int_equal(parse(file, &info, &err), 0);
}

static void test_tensor_not_whole(void **state)
{
    struct buf *file = *state;
    struct gguf_info info;
    struct err err;

    gguf_put_head(file, 3, 2, 0);
    gguf_put_tensor(file, "a", 0);
    gguf_put_tensor(file, "b", 4096);
    gguf_put_data(file, 4096 + 31);
    assert_int_equal(parse(file, &info, &err), -ENODATA);
    assert_non_null(strstr(err.text, "still being copied"));
    assert_int_equal(buf_append(file, "", 1), 0);
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
    gguf_put_u32(file, GGUF_ARRAY);
    gguf_put_u32(file, GGUF_U8);
    gguf_put_u64(file, 1000000);
    for (int i = 0; i < 125000; i++)
        gguf_put_u64(file, 0);
    gguf_put_text(file, "nested");
    gguf_put_u32(file, GGUF_ARRAY);
    gguf_put_u32(file, GGUF_ARRAY);
    gguf_put_u64(file, 2);
    for (int i = 0; i < 2; i++) {
        gguf_put_u32(file, GGUF_STRING);
        gguf_put_u64(file, 1);
        gguf_put_text(file, "x");
    }
    /* The context comes before the architecture that it belongs to. */
    gguf_put_key_u32(file, "qwen3.context_length", 40960);
    gguf_put_key_text(file, "general.architecture", "qwen3");
    gguf_put_tensor(file, "t", 0);
    gguf_put_data(file, 32);

    struct gguf_memory memory = {.file = file};
    struct gguf_source source = gguf_memory_source(&memory);
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
    gguf_put_u32(file, GGUF_ARRAY);
    gguf_put_u32(file, GGUF_F64); /* of 8 bytes each: the product overflows */
    gguf_put_u64(file, UINT64_MAX / 8 + 2);
    assert_int_equal(parse(file, &info, &err), -ENODATA);

    buf_clear(file);
    gguf_put_head(file, 3, 0, 1);
    gguf_put_text(file, "a");
    gguf_put_u32(file, GGUF_TYPE_COUNT);
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
    gguf_put_u32(file, GGUF_ARRAY);
    for (int i = 0; i < 100000; i++) {
        gguf_put_u32(file, GGUF_ARRAY);
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

/* --- facts --- */

static int parse_facts(
        struct gguf_memory *memory, size_t count, struct gguf_facts *ret_facts, struct err *err)
{
    struct gguf_source parts[3];

    for (size_t i = 0; i < count; i++)
        parts[i] = gguf_memory_source(&memory[i]);
    err->text[0] = '\0';
    return gguf_parse_facts(parts, count, ret_facts, err);
}

static struct gguf_facts *facts_of(const struct buf *file)
{
    static struct gguf_facts facts;
    struct gguf_memory memory = {.file = file};
    struct err err;

    assert_int_equal(parse_facts(&memory, 1, &facts, &err), 0);
    return &facts;
}

static void test_facts_come_in_any_order(void **state)
{
    static const uint32_t heads[] = {8, 0, 4};
    struct buf *file = *state;
    const struct gguf_facts *facts;

    gguf_put_head(file, 3, 0, 6);
    gguf_put_key_u32(file, "lfm2.block_count", 3);
    gguf_put_key_u32s(file, "lfm2.attention.head_count_kv", heads, 3);
    gguf_put_key_u32(file, "draft.block_count", 9);
    gguf_put_key_text(file, "general.architecture", "lfm2");
    gguf_put_key_u32(file, "lfm2.attention.head_count", 32);
    gguf_put_key_u32(file, "draft.embedding_length", 9);
    facts = facts_of(file);
    assert_int_equal(facts->numbers.block_count, 3);
    assert_int_equal(facts->numbers.embedding_length, GGUF_NOT_SAID);
    assert_true(facts->head_count_kv.array);
    assert_int_equal(facts->head_count_kv.count, 3);
    assert_memory_equal(facts->head_count_kv.values, heads, sizeof heads);
    assert_false(facts->head_count.array);
    assert_int_equal(facts->head_count.values[0], 32);
    assert_int_equal(facts->feed_forward_length.count, 0);
}

static void test_facts_of_another_architecture_are_dropped(void **state)
{
    struct buf *file = *state;

    gguf_put_head(file, 3, 0, 3);
    gguf_put_key_u32(file, "draft.block_count", 9);
    gguf_put_key_u32(file, "draft.attention.head_count", 9);
    gguf_put_key_text(file, "general.architecture", "llama");
    assert_int_equal(facts_of(file)->numbers.block_count, GGUF_NOT_SAID);
    assert_int_equal(facts_of(file)->head_count.count, 0);
}

static void put_number(struct buf *file, const char *key, enum gguf_type type, uint64_t value)
{
    static const char bytes[GGUF_TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

    gguf_put_text(file, key);
    gguf_put_u32(file, type);
    assert_int_equal(buf_append(file, &value, (size_t)bytes[type]), 0);
}

static void test_types_of_numbers(void **state)
{
    struct buf *file = *state;
    const struct gguf_numbers *numbers;

    gguf_put_head(file, 3, 0, 9);
    gguf_put_key_text(file, "general.architecture", "a");
    put_number(file, "a.block_count", GGUF_U64, 7);
    put_number(file, "a.embedding_length", GGUF_U64, UINT64_MAX);
    put_number(file, "a.attention.key_length", GGUF_I32, (uint64_t)-1);
    put_number(file, "a.attention.value_length", GGUF_I32, 128);
    put_number(file, "a.ssm.conv_kernel", GGUF_F32, 4);
    put_number(file, "a.ssm.group_count", GGUF_U8, 255);
    put_number(file, "a.vocab_size", GGUF_I8, 0x80);
    put_number(file, "a.attention.sliding_window", GGUF_U32, 0);
    numbers = &facts_of(file)->numbers;
    assert_int_equal(numbers->block_count, 7);
    assert_int_equal(numbers->embedding_length, GGUF_NOT_SAID - 1);
    assert_int_equal(numbers->key_length, GGUF_NOT_SAID);
    assert_int_equal(numbers->value_length, 128);
    assert_int_equal(numbers->conv_kernel, GGUF_NOT_SAID);
    assert_int_equal(numbers->group_count, 255);
    assert_int_equal(numbers->vocab_size, GGUF_NOT_SAID);
    assert_int_equal(numbers->sliding_window, 0);
}

static void test_arrays_longer_than_any_model(void **state)
{
    static uint32_t values[MODEL_LAYERS_MAX + 1];
    struct buf *file = *state;
    const struct gguf_facts *facts;

    values[MODEL_LAYERS_MAX - 1] = 5;
    gguf_put_head(file, 3, 0, 3);
    gguf_put_key_text(file, "general.architecture", "a");
    gguf_put_key_u32s(file, "a.attention.head_count", values, MODEL_LAYERS_MAX);
    gguf_put_key_u32s(file, "a.attention.head_count_kv", values, MODEL_LAYERS_MAX + 1);
    facts = facts_of(file);
    assert_int_equal(facts->head_count.values[MODEL_LAYERS_MAX - 1], 5);
    assert_false(facts->head_count.overlong);
    assert_true(facts->head_count_kv.overlong);
    assert_int_equal(facts->head_count_kv.count, 0);
}

static void test_bytes_of_tensors(void **state)
{
    struct buf *file = *state;
    const struct gguf_facts *facts;

    gguf_put_head(file, 3, 5, 1);
    gguf_put_key_texts(file, "tokenizer.ggml.tokens", 100);
    gguf_put_matrix(file, "token_embd.weight", 256, 100, 12, 0);        /* Q4_K */
    gguf_put_matrix(file, "per_layer_token_embd.weight", 64, 10, 8, 0); /* Q8_0 */
    gguf_put_matrix(file, "blk.0.ffn_up_exps.weight", 64, 3, 39, 0);    /* MXFP4 */
    gguf_put_matrix(file, "blk.0.attn_q.weight", 65, 3, 40, 0); /* NVFP4, a part of a block */
    gguf_put_matrix(file, "blk.0.attn_norm.weight", 8, 1, 0, 0);
    gguf_put_data(file, 20000);
    facts = facts_of(file);
    assert_int_equal(facts->token_bytes, 14400);
    assert_int_equal(facts->layer_token_bytes, 680);
    assert_int_equal(facts->tensor_bytes, 14400 + 680 + 102 + 216 + 32);
    assert_int_equal(facts->tokens, 100);
    assert_false(facts->has_output);
}

static void test_all_data_counts_where_a_type_is_not_known(void **state)
{
    struct buf *file = *state;

    gguf_put_head(file, 3, 2, 0);
    gguf_put_matrix(file, "a", 8, 1, TYPE_NOT_KNOWN, 0);
    gguf_put_matrix(file, "b", 8, 1, 0, 0);
    gguf_put_data(file, 20000);
    assert_int_equal(facts_of(file)->tensor_bytes, 20000);
}

/* --- parts of a split --- */

struct split {
    struct buf files[3];
    struct gguf_memory memory[3];
};

static void put_part(struct split *split, unsigned index, uint32_t no, uint32_t count)
{
    struct buf *file = &split->files[index];

    buf_init(file, 1024 * 1024);
    gguf_put_head(file, 3, 1, index == 0 ? 4 : 2);
    gguf_put_key_u32(file, "split.no", no);
    gguf_put_key_u32(file, "split.count", count);
    if (index == 0) {
        gguf_put_key_text(file, "general.architecture", "llama");
        gguf_put_key_u32(file, "llama.block_count", 4);
    }
    gguf_put_matrix(file, index == 2 ? "output.weight" : "x", 256, 10, 1, 0);
    gguf_put_data(file, 5120);
    split->memory[index] = (struct gguf_memory){.file = file};
}

static void put_split(struct split *split, uint32_t last_no, uint32_t last_count)
{
    put_part(split, 0, 0, 3);
    put_part(split, 1, 1, 3);
    put_part(split, 2, last_no, last_count);
}

static void clear_split(struct split *split)
{
    for (int i = 0; i < 3; i++)
        buf_fini(&split->files[i]);
}

static void test_split(void **state)
{
    struct gguf_facts *facts = malloc(sizeof *facts);
    struct split split;
    struct err err;

    (void)state;
    put_split(&split, 2, 3);
    assert_int_equal(parse_facts(split.memory, 3, facts, &err), 0);
    assert_int_equal(facts->tensor_bytes, 3 * 5120);
    assert_int_equal(facts->info.tensor_count, 3);
    assert_int_equal(facts->info.parameters, 3 * 2560);
    assert_int_equal(facts->numbers.block_count, 4);
    assert_true(facts->has_output);
    assert_int_equal(parse_facts(split.memory, 2, facts, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "part 1 of 2 says that it is part 1 of 3"));
    assert_int_equal(parse_facts(split.memory, 0, facts, &err), -EINVAL);
    clear_split(&split);
    free(facts);
}

static void test_parts_in_disorder(void **state)
{
    struct gguf_facts *facts = malloc(sizeof *facts);
    struct split split;
    struct err err;

    (void)state;
    put_split(&split, 1, 3);
    assert_int_equal(parse_facts(split.memory, 3, facts, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "part 3 of 3 says that it is part 2 of 3"));
    split.files[1].len -= 1;
    split.memory[1].size_bytes = 0;
    assert_int_equal(parse_facts(split.memory, 3, facts, &err), -ENODATA);
    assert_non_null(strstr(err.text, "part 2 of 3: "));
    clear_split(&split);
    free(facts);
}

/* 100 GB each, of which only the headers are read. */
static void test_only_headers_are_read(void **state)
{
    struct gguf_facts *facts = malloc(sizeof *facts);
    struct split split;
    struct err err;

    (void)state;
    put_split(&split, 2, 3);
    for (int i = 0; i < 3; i++)
        split.memory[i].size_bytes = 100ull << 30;
    assert_int_equal(parse_facts(split.memory, 3, facts, &err), 0);
    for (int i = 0; i < 3; i++) {
        assert_true(split.memory[i].served <= 64 * 1024);
        assert_true(split.memory[i].end <= 64 * 1024);
    }
    clear_split(&split);
    free(facts);
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
            TEST(test_whether_the_chat_template_is_known),
            TEST(test_what_a_projector_takes),
            TEST(test_parameters_are_counted),
            TEST(test_every_cut_is_refused),
            TEST(test_tensor_not_whole),
            TEST(test_large_arrays_are_skipped),
            TEST(test_context_of_another_architecture),
            TEST(test_wrong_files),
            TEST(test_hostile_numbers),
            TEST(test_arrays_too_deep),
            TEST(test_foreign_text_is_cleaned),
            TEST(test_not_models),
            TEST(test_split_names),
            TEST(test_facts_come_in_any_order),
            TEST(test_facts_of_another_architecture_are_dropped),
            TEST(test_types_of_numbers),
            TEST(test_arrays_longer_than_any_model),
            TEST(test_bytes_of_tensors),
            TEST(test_all_data_counts_where_a_type_is_not_known),
            TEST(test_split),
            TEST(test_parts_in_disorder),
            TEST(test_only_headers_are_read),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("gguf", tests, NULL, NULL);
}

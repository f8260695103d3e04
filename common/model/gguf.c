#include "common/model/gguf.h"

#include "common/model/chat_template.h"
#include "common/saturating.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum fim_mark { FIM_PREFIX = 1, FIM_SUFFIX = 2, FIM_MIDDLE = 4, FIM_ALL = 7 };

struct fim_name {
    const char *name;
    enum fim_mark mark;
};

/* The keys that name a mark's token, the newer spelling first. */
static const struct fim_name fim_keys[] = {{"tokenizer.ggml.fim_pre_token_id", FIM_PREFIX},
        {"tokenizer.ggml.fim_suf_token_id", FIM_SUFFIX},
        {"tokenizer.ggml.fim_mid_token_id", FIM_MIDDLE},
        {"tokenizer.ggml.prefix_token_id", FIM_PREFIX},
        {"tokenizer.ggml.suffix_token_id", FIM_SUFFIX},
        {"tokenizer.ggml.middle_token_id", FIM_MIDDLE}};

/* Many files name none: llama.cpp then knows the tokens by their text, and so do we. */
static const struct fim_name fim_tokens[] = {{"<|fim_prefix|>", FIM_PREFIX},
        {"<|fim_suffix|>", FIM_SUFFIX}, {"<|fim_middle|>", FIM_MIDDLE},
        {"<fim-prefix>", FIM_PREFIX}, {"<fim-suffix>", FIM_SUFFIX}, {"<fim-middle>", FIM_MIDDLE},
        {"<fim_prefix>", FIM_PREFIX}, {"<fim_suffix>", FIM_SUFFIX}, {"<fim_middle>", FIM_MIDDLE},
        {"<｜fim▁begin｜>", FIM_PREFIX}, {"<｜fim▁hole｜>", FIM_SUFFIX},
        {"<｜fim▁end｜>", FIM_MIDDLE}, {"<PRE>", FIM_PREFIX}, {"<SUF>", FIM_SUFFIX},
        {"<MID>", FIM_MIDDLE}, {"▁<PRE>", FIM_PREFIX}, {"▁<SUF>", FIM_SUFFIX},
        {"▁<MID>", FIM_MIDDLE}, {"<|code_prefix|>", FIM_PREFIX}, {"<|code_suffix|>", FIM_SUFFIX},
        {"<|code_middle|>", FIM_MIDDLE}};

/* Names of llama.cpp's enum llama_ftype; gaps are types that it has given up. */
static const char *const quantisations[] = {[0] = "F32",
        [1] = "F16",
        [2] = "Q4_0",
        [3] = "Q4_1",
        [7] = "Q8_0",
        [8] = "Q5_0",
        [9] = "Q5_1",
        [10] = "Q2_K",
        [11] = "Q3_K_S",
        [12] = "Q3_K_M",
        [13] = "Q3_K_L",
        [14] = "Q4_K_S",
        [15] = "Q4_K_M",
        [16] = "Q5_K_S",
        [17] = "Q5_K_M",
        [18] = "Q6_K",
        [19] = "IQ2_XXS",
        [20] = "IQ2_XS",
        [21] = "Q2_K_S",
        [22] = "IQ3_XS",
        [23] = "IQ3_XXS",
        [24] = "IQ1_S",
        [25] = "IQ4_NL",
        [26] = "IQ3_S",
        [27] = "IQ3_M",
        [28] = "IQ2_S",
        [29] = "IQ2_M",
        [30] = "IQ4_XS",
        [31] = "IQ1_M",
        [32] = "BF16",
        [36] = "TQ1_0",
        [37] = "TQ2_0",
        [38] = "MXFP4",
        [39] = "NVFP4",
        [40] = "Q1_0"};

/* Where a hyper-parameter is kept, by the end of its key. */
struct slot {
    const char *name;
    size_t offset; /* of a uint32_t in struct gguf_numbers */
};

#define SLOT(name, field)                                                                          \
    {                                                                                              \
        name, offsetof(struct gguf_numbers, field)                                                 \
    }

static const struct slot slots[] = {SLOT("block_count", block_count),
        SLOT("nextn_predict_layers", nextn_predict_layers), SLOT("num_loops", num_loops),
        SLOT("context_length", context_length), SLOT("vocab_size", vocab_size),
        SLOT("embedding_length", embedding_length), SLOT("pooling_type", pooling_type),
        SLOT("expert_count", expert_count), SLOT("expert_used_count", expert_used_count),
        SLOT("expert_feed_forward_length", expert_feed_forward_length),
        SLOT("expert_shared_feed_forward_length", expert_shared_feed_forward_length),
        SLOT("attention.key_length", key_length), SLOT("attention.value_length", value_length),
        SLOT("attention.key_length_swa", key_length_swa),
        SLOT("attention.value_length_swa", value_length_swa),
        SLOT("attention.key_length_mla", key_length_mla),
        SLOT("attention.value_length_mla", value_length_mla),
        SLOT("attention.indexer.key_length", indexer_key_length),
        SLOT("attention.sliding_window", sliding_window),
        SLOT("attention.shared_kv_layers", shared_kv_layers),
        SLOT("full_attention_interval", full_attention_interval),
        SLOT("ssm.conv_kernel", conv_kernel), SLOT("ssm.inner_size", inner_size),
        SLOT("ssm.state_size", state_size), SLOT("ssm.group_count", group_count),
        SLOT("kda.head_dim", kda_head_dim), SLOT("wkv.head_size", wkv_head_size),
        SLOT("token_shift_count", token_shift_count), SLOT("shortconv.l_cache", l_cache)};

/* The same for numbers of each layer. */
static const struct slot layer_slots[] = {
        {"attention.head_count", offsetof(struct gguf_facts, head_count)},
        {"attention.head_count_kv", offsetof(struct gguf_facts, head_count_kv)},
        {"feed_forward_length", offsetof(struct gguf_facts, feed_forward_length)},
        {"attention.sliding_window_pattern", offsetof(struct gguf_facts, sliding_window_pattern)},
        {"attention.recurrent_layers", offsetof(struct gguf_facts, recurrent_layers)}};

enum {
    SLOT_COUNT = sizeof slots / sizeof *slots,
    LAYER_SLOT_COUNT = sizeof layer_slots / sizeof *layer_slots,
};

/* What is gathered on the way through one file. */
struct gathering {
    struct gguf_facts *facts;
    /* Whose hyper-parameters are kept: the architecture's, or, as long as that has not come, those
     * of the first owner met. */
    char owner[GGUF_TEXT_MAX];
    struct gguf_per_layer *layers; /* whose elements come now; NULL: tokens */
    unsigned fim;                  /* enum fim_mark, all that were seen */
    struct chat_template_scan chat_template;
    bool template_met, template_cut; /* in one at least, of its texts */
    bool type_missing;               /* of some tensor */
    uint64_t part_no, parts_said;    /* of a part of a split after the first */
};

static void forget_hyper(struct gguf_facts *facts)
{
    /* All bits set: GGUF_NOT_SAID in each. */
    memset(&facts->numbers, 0xff, sizeof facts->numbers);
    for (size_t i = 0; i < LAYER_SLOT_COUNT; i++) {
        struct gguf_per_layer *layers = (void *)((char *)facts + layer_slots[i].offset);
        layers->count = 0;
        layers->array = layers->overlong = false;
    }
}

/* Keeps the printable ASCII of `text`: it goes to logs and to other hosts. */
static void keep_text(char ret_kept[GGUF_TEXT_MAX], const char *text, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len && text[i] != '\0' && n < GGUF_TEXT_MAX - 1; i++)
        if (text[i] >= ' ' && text[i] <= '~')
            ret_kept[n++] = text[i];
    ret_kept[n] = '\0';
}

static void take_architecture(struct gathering *g, const char *text, size_t len)
{
    char *architecture = g->facts->info.architecture;

    keep_text(architecture, text, len);
    if (strcmp(g->owner, architecture) != 0)
        forget_hyper(g->facts);
    memcpy(g->owner, architecture, sizeof g->owner);
}

/* The usual one, and others that engines may take for requests with tools:
 * "tokenizer.chat_template.tool_use". */
static bool is_template(const char *key)
{
    static const char name[] = "tokenizer.chat_template";
    size_t len = sizeof name - 1;

    return strncmp(key, name, len) == 0 && (key[len] == '\0' || key[len] == '.');
}

/* What stands behind the last byte that is shown is not known. */
static void take_template(struct gathering *g, const char *piece, size_t len, uint64_t at)
{
    if (at == 0)
        g->chat_template.tail_len = 0;
    g->template_met |= len > 0;
    g->template_cut |= at + len >= GGUF_TEXT_READ_MAX;
    chat_template_scan(&g->chat_template, piece, len);
}

static void on_text(void *ctx, const char *key, const char *piece, size_t len, uint64_t at)
{
    struct gathering *g = ctx;

    if (is_template(key))
        take_template(g, piece, len, at);
    else if (at > 0)
        return;
    else if (strcmp(key, "general.architecture") == 0)
        take_architecture(g, piece, len);
    else if (strcmp(key, "general.name") == 0)
        keep_text(g->facts->info.name, piece, len);
    else if (strcmp(key, "general.type") == 0)
        keep_text(g->facts->info.type, piece, len);
}

/* Whether `key` is the owner, a dot and `name`. The first who owns something becomes the owner. */
static bool owns(struct gathering *g, const char *key, const char *name)
{
    size_t len = strlen(key), name_len = strlen(name), owner_len;

    if (len <= name_len + 1 || strcmp(key + len - name_len, name) != 0)
        return false;
    owner_len = len - name_len - 1;
    if (key[owner_len] != '.' || owner_len >= sizeof g->owner)
        return false;
    if (g->owner[0] == '\0') {
        memcpy(g->owner, key, owner_len);
        g->owner[owner_len] = '\0';
    }
    return strncmp(g->owner, key, owner_len) == 0 && g->owner[owner_len] == '\0';
}

static struct gguf_per_layer *find_layers(struct gathering *g, const char *key)
{
    for (size_t i = 0; i < LAYER_SLOT_COUNT; i++)
        if (owns(g, key, layer_slots[i].name))
            return (void *)((char *)g->facts + layer_slots[i].offset);
    return NULL;
}

static uint32_t *find_number(struct gathering *g, const char *key)
{
    for (size_t i = 0; i < SLOT_COUNT; i++)
        if (owns(g, key, slots[i].name))
            return (void *)((char *)&g->facts->numbers + slots[i].offset);
    return NULL;
}

static uint32_t clamp(uint64_t value)
{
    return value < GGUF_NOT_SAID ? (uint32_t)value : GGUF_NOT_SAID - 1;
}

static void take_hyper(struct gathering *g, const char *key, uint64_t value)
{
    uint32_t *number = find_number(g, key);
    struct gguf_per_layer *layers = number == NULL ? find_layers(g, key) : NULL;

    if (number != NULL)
        *number = clamp(value);
    if (layers == NULL)
        return;
    layers->count = 1;
    layers->array = layers->overlong = false;
    layers->values[0] = clamp(value);
}

static unsigned find_fim(const struct fim_name *names, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i].name, text) == 0)
            return names[i].mark;
    return 0;
}

/* A number of 32 bits that are all set stands for no token. */
static void take_fim_key(struct gathering *g, const char *key, uint64_t token)
{
    if (token < UINT32_MAX)
        g->fim |= find_fim(fim_keys, sizeof fim_keys / sizeof *fim_keys, key);
}

static void on_number(void *ctx, const char *key, uint64_t value)
{
    struct gathering *g = ctx;
    struct gguf_info *info = &g->facts->info;

    if (strcmp(key, "general.file_type") == 0) {
        if (value < sizeof quantisations / sizeof *quantisations && quantisations[value] != NULL)
            info->quantisation = quantisations[value];
    } else if (strcmp(key, "split.no") == 0) {
        info->split_no = value <= UINT16_MAX ? (uint16_t)value : UINT16_MAX;
    } else if (strcmp(key, "split.count") == 0) {
        info->split_count = value <= UINT16_MAX ? (uint16_t)value : UINT16_MAX;
    } else if (strcmp(key, "clip.has_vision_encoder") == 0) {
        info->sees = value != 0;
    } else if (strcmp(key, "clip.has_audio_encoder") == 0) {
        info->hears = value != 0;
    } else {
        take_hyper(g, key, value);
        take_fim_key(g, key, value);
    }
}

static bool on_array(void *ctx, const char *key, enum gguf_type type, uint64_t count)
{
    struct gathering *g = ctx;

    g->layers = NULL;
    if (type == GGUF_STRING && strcmp(key, "tokenizer.ggml.tokens") == 0) {
        g->facts->tokens = clamp(count);
        return true;
    }
    if (type == GGUF_STRING)
        return false;
    g->layers = find_layers(g, key);
    if (g->layers == NULL)
        return false;
    g->layers->array = true;
    g->layers->overlong = count > MODEL_LAYERS_MAX;
    g->layers->count = g->layers->overlong ? 0 : (uint32_t)count;
    return !g->layers->overlong;
}

static void on_number_element(void *ctx, uint64_t index, uint64_t value)
{
    struct gathering *g = ctx;

    g->layers->values[index] = clamp(value);
}

static void on_token(void *ctx, uint64_t index, const char *text)
{
    struct gathering *g = ctx;

    (void)index;
    g->fim |= find_fim(fim_tokens, sizeof fim_tokens / sizeof *fim_tokens, text);
}

static void on_tensor(void *ctx, const struct gguf_tensor *tensor)
{
    struct gathering *g = ctx;
    struct gguf_facts *facts = g->facts;

    facts->info.parameters = saturating_sum(facts->info.parameters, tensor->elements);
    facts->tensor_bytes = saturating_sum(facts->tensor_bytes, tensor->bytes);
    g->type_missing |= !tensor->type_known;
    if (strcmp(tensor->name, "token_embd.weight") == 0)
        facts->token_bytes = tensor->bytes;
    else if (strcmp(tensor->name, "per_layer_token_embd.weight") == 0)
        facts->layer_token_bytes = tensor->bytes;
    else if (strcmp(tensor->name, "output.weight") == 0)
        facts->has_output = true;
}

static const struct gguf_events first_part = {.on_text = on_text,
        .on_number = on_number,
        .on_array = on_array,
        .on_number_element = on_number_element,
        .on_text_element = on_token,
        .on_tensor = on_tensor};

static enum gguf_pooling pooling_of(uint32_t value)
{
    return value < GGUF_POOLING_COUNT - 1 ? (enum gguf_pooling)(value + 1) : GGUF_POOLING_NOT_SAID;
}

/* What the keys say together. */
static void conclude(struct gathering *g)
{
    struct gguf_facts *facts = g->facts;
    struct gguf_info *info = &facts->info;

    if (info->architecture[0] == '\0')
        forget_hyper(facts);
    if (facts->numbers.context_length != GGUF_NOT_SAID)
        info->context_length = facts->numbers.context_length;
    info->pooling = pooling_of(facts->numbers.pooling_type);
    info->fim = g->fim == FIM_ALL;
    info->template_read = g->template_met && !g->template_cut;
    info->template_tools = g->chat_template.tools;
    info->template_thinking = g->chat_template.thinking;
}

/* Adds up one file's tensors. Where the size of one is not known, all of the file's data counts. */
static int read_part(struct gathering *g, const struct gguf_source *part,
        const struct gguf_events *events, struct err *err)
{
    struct gguf_facts *facts = g->facts;
    uint64_t before = facts->tensor_bytes;
    struct gguf_layout layout;
    int rc;

    g->type_missing = false;
    rc = gguf_read(part, events, g, &layout, err);
    if (rc < 0)
        return rc;
    if (g->type_missing)
        facts->tensor_bytes = saturating_sum(before, part->size_bytes - layout.data_offset);
    facts->info.tensor_count += layout.tensor_count;
    facts->info.version = layout.version;
    return 0;
}

/* --- the parts of a split after the first --- */

static void on_later_number(void *ctx, const char *key, uint64_t value)
{
    struct gathering *g = ctx;

    if (strcmp(key, "split.no") == 0)
        g->part_no = value;
    else if (strcmp(key, "split.count") == 0)
        g->parts_said = value;
}

static const struct gguf_events later_part = {.on_number = on_later_number, .on_tensor = on_tensor};

static int check_part(uint64_t no, uint64_t count, size_t index, size_t part_count, struct err *err)
{
    if (no == index && count == part_count)
        return 0;
    return err_set(err, -EBADMSG, "part %zu of %zu says that it is part %llu of %llu", index + 1,
            part_count, (unsigned long long)saturating_sum(no, 1), (unsigned long long)count);
}

static int read_later_part(struct gathering *g, const struct gguf_source *parts, size_t index,
        size_t part_count, struct err *err)
{
    int rc;

    g->part_no = g->parts_said = 0;
    rc = read_part(g, &parts[index], &later_part, err);
    if (rc < 0)
        return err_prefix(err, rc, "part %zu of %zu", index + 1, part_count);
    return check_part(g->part_no, g->parts_said, index, part_count, err);
}

static int read_parts(
        struct gathering *g, const struct gguf_source *parts, size_t part_count, struct err *err)
{
    const struct gguf_info *info = &g->facts->info;
    int rc = read_part(g, &parts[0], &first_part, err);

    if (rc == 0)
        conclude(g);
    if (rc == 0 && part_count > 1)
        rc = check_part(info->split_no, info->split_count, 0, part_count, err);
    for (size_t i = 1; rc == 0 && i < part_count; i++)
        rc = read_later_part(g, parts, i, part_count, err);
    return rc;
}

int gguf_parse_facts(const struct gguf_source *parts, size_t part_count,
        struct gguf_facts *ret_facts, struct err *err)
{
    struct gathering g = {.facts = NULL};
    int rc;

    if (part_count == 0)
        return err_set(err, -EINVAL, "no file to read");
    g.facts = calloc(1, sizeof *g.facts);
    if (g.facts == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    g.facts->info.quantisation = "";
    forget_hyper(g.facts);
    rc = read_parts(&g, parts, part_count, err);
    if (rc == 0)
        *ret_facts = *g.facts;
    free(g.facts);
    return rc;
}

int gguf_parse(const struct gguf_source *source, struct gguf_info *ret_info, struct err *err)
{
    struct gguf_facts *facts = malloc(sizeof *facts);
    int rc;

    if (facts == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    rc = gguf_parse_facts(source, 1, facts, err);
    if (rc == 0)
        *ret_info = facts->info;
    free(facts);
    return rc;
}

int gguf_parse_fd(int fd, uint64_t size_bytes, struct gguf_info *ret_info, struct err *err)
{
    struct gguf_source source = gguf_source_fd(&fd, size_bytes);

    return gguf_parse(&source, ret_info, err);
}

bool gguf_is_model(const struct gguf_info *info)
{
    return info->tensor_count > 0 && (info->type[0] == '\0' || strcmp(info->type, "model") == 0) &&
           !gguf_is_projector(info);
}

bool gguf_is_projector(const struct gguf_info *info)
{
    return strcmp(info->type, "mmproj") == 0 || strcmp(info->architecture, "clip") == 0;
}

/* Five digits at `text`. */
static bool part_number(const char *text, unsigned *ret_number)
{
    unsigned number = 0;

    for (int i = 0; i < 5; i++) {
        if (!isdigit((unsigned char)text[i]))
            return false;
        number = number * 10 + (unsigned)(text[i] - '0');
    }
    *ret_number = number;
    return true;
}

bool gguf_split_name(
        const char *stem, size_t *ret_stem_len, unsigned *ret_part, unsigned *ret_parts)
{
    static const size_t suffix_len = sizeof "-00001-of-00003" - 1;
    size_t len = strlen(stem);
    const char *suffix;
    unsigned part, parts;

    if (len <= suffix_len)
        return false;
    suffix = stem + len - suffix_len;
    if (suffix[0] != '-' || strncmp(suffix + 6, "-of-", 4) != 0)
        return false;
    if (!part_number(suffix + 1, &part) || !part_number(suffix + 10, &parts))
        return false;
    if (part < 1 || part > parts)
        return false;
    *ret_stem_len = len - suffix_len;
    *ret_part = part;
    *ret_parts = parts;
    return true;
}

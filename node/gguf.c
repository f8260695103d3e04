#include "node/gguf.h"

#include "node/chat_template.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT,
};

/* Bytes of one value; 0 where the length is in the file. */
static const uint8_t type_bytes[GGUF_TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

enum {
    GGUF_MAGIC = 0x46554747,
    GGUF_ALIGNMENT_DEFAULT = 32,
    CURSOR_BYTES = 64 * 1024,
    TEMPLATE_PIECE = 4096,
};

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
        [38] = "MXFP4"};

/* A forward-only view of the source through one buffer. */
struct cursor {
    const struct gguf_source *source;
    uint64_t offset; /* of the next byte in the source */
    size_t at, held; /* of the next byte in `data`, and its end */
    struct err *err;
    uint8_t data[CURSOR_BYTES];
};

/* The value of a key "X.name" that counts for the architecture X only, which may come later. */
struct owned {
    char owner[GGUF_KEY_MAX];
    uint64_t value;
};

/* What is gathered on the way through the keys. */
struct facts {
    struct gguf_info info;
    uint64_t alignment;
    struct owned context, pooling;
    unsigned fim; /* enum fim_mark, all that were seen */
    struct chat_template_scan chat_template;
};

struct text {
    char data[GGUF_KEY_MAX];
    size_t len; /* of the whole text, also where `data` holds less */
};

static uint64_t cursor_left(const struct cursor *c)
{
    return c->source->size_bytes - c->offset;
}

static int cursor_check(const struct cursor *c, uint64_t len)
{
    if (len > cursor_left(c))
        return err_set(c->err, -ENODATA,
                "the file ends within its metadata (at byte %llu): cut off, or still being copied",
                (unsigned long long)c->source->size_bytes);
    if (len > GGUF_METADATA_MAX - c->offset)
        return err_set(c->err, -EMSGSIZE, "more than %d bytes of metadata", GGUF_METADATA_MAX);
    return 0;
}

static int cursor_fill(struct cursor *c)
{
    ssize_t n = c->source->read_at(c->source->ctx, c->offset, c->data, sizeof c->data);

    if (n < 0)
        return err_set(c->err, (int)n, "cannot read: %s", strerror((int)-n));
    if (n == 0)
        return err_set(c->err, -ENODATA, "the file became shorter while it was read");
    c->at = 0;
    c->held = (size_t)n;
    return 0;
}

static int cursor_read(struct cursor *c, void *ret_data, size_t len)
{
    uint8_t *out = ret_data;
    int rc = cursor_check(c, len);

    while (rc == 0 && len > 0) {
        size_t n = c->held - c->at;
        if (n == 0) {
            rc = cursor_fill(c);
            continue;
        }
        if (n > len)
            n = len;
        memcpy(out, c->data + c->at, n);
        out += n;
        len -= n;
        c->at += n;
        c->offset += n;
    }
    return rc;
}

static int cursor_skip(struct cursor *c, uint64_t len)
{
    int rc = cursor_check(c, len);

    if (rc < 0)
        return rc;
    c->offset += len;
    if (len <= c->held - c->at)
        c->at += (size_t)len;
    else
        c->at = c->held = 0;
    return 0;
}

static int read_uint(struct cursor *c, size_t bytes, uint64_t *ret_value)
{
    uint8_t raw[8];
    uint64_t value = 0;
    int rc = cursor_read(c, raw, bytes);

    if (rc < 0)
        return rc;
    for (size_t i = bytes; i > 0; i--)
        value = value << 8 | raw[i - 1];
    *ret_value = value;
    return 0;
}

static int read_text(struct cursor *c, struct text *ret_text)
{
    uint64_t len;
    size_t kept;
    int rc = read_uint(c, 8, &len);

    if (rc == 0)
        rc = cursor_check(c, len);
    if (rc < 0)
        return rc;
    kept = len < sizeof ret_text->data ? (size_t)len : sizeof ret_text->data - 1;
    rc = cursor_read(c, ret_text->data, kept);
    if (rc < 0)
        return rc;
    ret_text->data[kept] = '\0';
    ret_text->len = (size_t)len;
    return cursor_skip(c, len - kept);
}

static int read_key(struct cursor *c, struct text *ret_key)
{
    int rc = read_text(c, ret_key);

    if (rc == 0 && ret_key->len >= GGUF_KEY_MAX)
        return err_set(c->err, -EMSGSIZE, "a key or a tensor's name is longer than %d bytes",
                GGUF_KEY_MAX - 1);
    return rc;
}

static int skip_text(struct cursor *c)
{
    uint64_t len;
    int rc = read_uint(c, 8, &len);

    return rc < 0 ? rc : cursor_skip(c, len);
}

static int skip_array(struct cursor *c, unsigned depth);

/* Skips `count` values. Each of a type without a fixed size costs at least 8 bytes of the file, so
 * that the loop ends with the file. */
static int skip_values(struct cursor *c, uint64_t type, uint64_t count, unsigned depth)
{
    int rc = 0;

    if (type >= GGUF_TYPE_COUNT)
        return err_set(c->err, -EBADMSG, "unknown value type %llu", (unsigned long long)type);
    if (type_bytes[type] > 0) {
        if (count > cursor_left(c) / type_bytes[type])
            return cursor_check(c, UINT64_MAX);
        return cursor_skip(c, count * type_bytes[type]);
    }
    for (; rc == 0 && count > 0; count--)
        rc = type == GGUF_STRING ? skip_text(c) : skip_array(c, depth + 1);
    return rc;
}

static int skip_array(struct cursor *c, unsigned depth)
{
    uint64_t type, count;
    int rc;

    if (depth > GGUF_ARRAY_DEPTH_MAX)
        return err_set(c->err, -EMSGSIZE, "arrays nested deeper than %d", GGUF_ARRAY_DEPTH_MAX);
    rc = read_uint(c, 4, &type);
    if (rc == 0)
        rc = read_uint(c, 8, &count);
    return rc < 0 ? rc : skip_values(c, type, count, depth);
}

/* Keeps the printable ASCII of `text`: it goes to logs and to other hosts. */
static void keep_text(char ret_kept[GGUF_TEXT_MAX], const struct text *text)
{
    size_t n = 0;

    for (const char *p = text->data; *p != '\0' && n < GGUF_TEXT_MAX - 1; p++)
        if (*p >= ' ' && *p <= '~')
            ret_kept[n++] = *p;
    ret_kept[n] = '\0';
}

static void take_text(struct facts *facts, const char *key, const struct text *value)
{
    struct gguf_info *info = &facts->info;

    if (strcmp(key, "general.architecture") == 0)
        keep_text(info->architecture, value);
    else if (strcmp(key, "general.name") == 0)
        keep_text(info->name, value);
    else if (strcmp(key, "general.type") == 0)
        keep_text(info->type, value);
}

static void take_owned(
        struct facts *facts, struct owned *owned, const char *key, size_t owner_len, uint64_t value)
{
    const char *architecture = facts->info.architecture;

    if (architecture[0] != '\0' && strcmp(owned->owner, architecture) == 0)
        return;
    memcpy(owned->owner, key, owner_len);
    owned->owner[owner_len] = '\0';
    owned->value = value;
}

/* Where `key` is an owner, a dot and `name`: the owner's length, else 0. */
static size_t owner_of(const char *key, const char *name)
{
    size_t len = strlen(key), name_len = strlen(name);

    if (len <= name_len + 1 || strcmp(key + len - name_len, name) != 0)
        return 0;
    return key[len - name_len - 1] == '.' ? len - name_len - 1 : 0;
}

static unsigned find_fim(const struct fim_name *names, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i].name, text) == 0)
            return names[i].mark;
    return 0;
}

/* A number of 32 bits that are all set stands for no token. */
static void take_fim_key(struct facts *facts, const char *key, uint64_t token)
{
    if (token < UINT32_MAX)
        facts->fim |= find_fim(fim_keys, sizeof fim_keys / sizeof *fim_keys, key);
}

static void take_uint(struct facts *facts, const char *key, uint64_t value)
{
    struct gguf_info *info = &facts->info;
    size_t owner_len;

    if (strcmp(key, "general.file_type") == 0) {
        if (value < sizeof quantisations / sizeof *quantisations && quantisations[value] != NULL)
            info->quantisation = quantisations[value];
    } else if (strcmp(key, "general.alignment") == 0) {
        facts->alignment = value;
    } else if (strcmp(key, "split.no") == 0) {
        info->split_no = value <= UINT16_MAX ? (uint16_t)value : UINT16_MAX;
    } else if (strcmp(key, "split.count") == 0) {
        info->split_count = value <= UINT16_MAX ? (uint16_t)value : UINT16_MAX;
    } else if ((owner_len = owner_of(key, "context_length")) > 0) {
        take_owned(facts, &facts->context, key, owner_len, value);
    } else if ((owner_len = owner_of(key, "pooling_type")) > 0) {
        take_owned(facts, &facts->pooling, key, owner_len, value);
    } else {
        take_fim_key(facts, key, value);
    }
}

/* Looks for words in the text a piece at a time: templates are tens of KiB long. */
static int read_template(struct cursor *c, struct facts *facts)
{
    char piece[TEMPLATE_PIECE];
    uint64_t len, looked_at = 0;
    int rc = read_uint(c, 8, &len);

    if (rc == 0)
        rc = cursor_check(c, len);
    while (rc == 0 && looked_at < len && looked_at < GGUF_TEMPLATE_MAX) {
        size_t n = len - looked_at < sizeof piece ? (size_t)(len - looked_at) : sizeof piece;
        rc = cursor_read(c, piece, n);
        if (rc == 0)
            chat_template_scan(&facts->chat_template, piece, n);
        looked_at += n;
    }
    return rc < 0 ? rc : cursor_skip(c, len - looked_at);
}

/* Looks for marks among the texts of an array; one of another kind is passed over. */
static int read_tokens(struct cursor *c, struct facts *facts)
{
    struct text token;
    uint64_t type, count;
    int rc = read_uint(c, 4, &type);

    if (rc == 0)
        rc = read_uint(c, 8, &count);
    if (rc == 0 && type != GGUF_STRING)
        return skip_values(c, type, count, 1);
    for (; rc == 0 && count > 0; count--) {
        rc = read_text(c, &token);
        if (rc == 0)
            facts->fim |= find_fim(fim_tokens, sizeof fim_tokens / sizeof *fim_tokens, token.data);
    }
    return rc;
}

static bool type_is_uint(uint64_t type)
{
    return type == GGUF_U8 || type == GGUF_U16 || type == GGUF_U32 || type == GGUF_U64;
}

static int read_pair(struct cursor *c, struct facts *facts)
{
    struct text key, value;
    uint64_t type = 0, number;
    int rc = read_key(c, &key);

    if (rc == 0)
        rc = read_uint(c, 4, &type);
    if (rc < 0)
        return rc;
    if (type == GGUF_STRING && strcmp(key.data, "tokenizer.chat_template") == 0)
        return read_template(c, facts);
    if (type == GGUF_ARRAY && strcmp(key.data, "tokenizer.ggml.tokens") == 0)
        return read_tokens(c, facts);
    if (type == GGUF_STRING) {
        rc = read_text(c, &value);
        if (rc == 0)
            take_text(facts, key.data, &value);
        return rc;
    }
    if (type_is_uint(type)) {
        rc = read_uint(c, type_bytes[type], &number);
        if (rc == 0)
            take_uint(facts, key.data, number);
        return rc;
    }
    return skip_values(c, type, 1, 0);
}

static uint64_t saturating_product(uint64_t a, uint64_t b)
{
    return b != 0 && a > UINT64_MAX / b ? UINT64_MAX : a * b;
}

static uint64_t saturating_sum(uint64_t a, uint64_t b)
{
    return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

/* Reads one tensor's head; its data begins `*ret_offset` bytes into the data section. */
static int read_tensor(struct cursor *c, uint64_t *ret_elements, uint64_t *ret_offset)
{
    uint64_t dimensions, dimension, type, elements = 1;
    struct text name;
    int rc = read_key(c, &name);

    if (rc == 0)
        rc = read_uint(c, 4, &dimensions);
    if (rc == 0 && dimensions > GGUF_DIMENSIONS_MAX)
        return err_set(c->err, -EBADMSG, "tensor %s has %llu dimensions", name.data,
                (unsigned long long)dimensions);
    for (uint64_t i = 0; rc == 0 && i < dimensions; i++) {
        rc = read_uint(c, 8, &dimension);
        if (rc == 0)
            elements = saturating_product(elements, dimension);
    }
    if (rc == 0)
        rc = read_uint(c, 4, &type);
    if (rc == 0)
        rc = read_uint(c, 8, ret_offset);
    if (rc == 0)
        *ret_elements = elements;
    return rc;
}

/* A file that is still being copied is whole in its head and lacks its last tensors. */
static int read_tensors(struct cursor *c, struct facts *facts)
{
    uint64_t elements = 0, offset = 0, last = 0, begin;
    int rc;

    for (uint64_t i = 0; i < facts->info.tensor_count; i++) {
        rc = read_tensor(c, &elements, &offset);
        if (rc < 0)
            return rc;
        facts->info.parameters = saturating_sum(facts->info.parameters, elements);
        if (offset > last)
            last = offset;
    }
    begin = c->offset + (facts->alignment - c->offset % facts->alignment) % facts->alignment;
    if (facts->info.tensor_count > 0 &&
            (begin >= c->source->size_bytes || last >= c->source->size_bytes - begin))
        return err_set(c->err, -ENODATA,
                "the last tensor lies behind the end of the file (%llu bytes): cut off, or still "
                "being copied",
                (unsigned long long)c->source->size_bytes);
    return 0;
}

static int read_version(struct cursor *c, uint32_t *ret_version)
{
    uint64_t magic, version;
    int rc = read_uint(c, 4, &magic);

    if (rc == 0 && magic != GGUF_MAGIC)
        return err_set(c->err, -EBADMSG, "not a GGUF file (no magic number at its start)");
    if (rc == 0)
        rc = read_uint(c, 4, &version);
    if (rc < 0)
        return rc;
    if ((version & 0xffff) == 0)
        return err_set(c->err, -ENOTSUP, "a big-endian GGUF file; convert it for this machine");
    if (version < 2 || version > 3)
        return err_set(c->err, -ENOTSUP, "GGUF version %llu; versions 2 and 3 are known",
                (unsigned long long)version);
    *ret_version = (uint32_t)version;
    return 0;
}

static int read_head(struct cursor *c, struct gguf_info *info, uint64_t *ret_keys)
{
    int rc = read_version(c, &info->version);

    if (rc == 0)
        rc = read_uint(c, 8, &info->tensor_count);
    if (rc == 0)
        rc = read_uint(c, 8, ret_keys);
    if (rc < 0)
        return rc;
    if (info->tensor_count > GGUF_TENSORS_MAX)
        return err_set(c->err, -EMSGSIZE, "%llu tensors; at most %d are read",
                (unsigned long long)info->tensor_count, GGUF_TENSORS_MAX);
    if (*ret_keys > GGUF_KEYS_MAX)
        return err_set(c->err, -EMSGSIZE, "%llu keys; at most %d are read",
                (unsigned long long)*ret_keys, GGUF_KEYS_MAX);
    return 0;
}

static enum gguf_pooling pooling_of(uint64_t value)
{
    return value < GGUF_POOLING_COUNT - 1 ? (enum gguf_pooling)(value + 1) : GGUF_POOLING_NOT_SAID;
}

/* What the keys say together. */
static int conclude(const struct cursor *c, struct facts *facts)
{
    struct gguf_info *info = &facts->info;
    uint64_t alignment = facts->alignment;

    if (alignment == 0 || alignment > GGUF_METADATA_MAX || (alignment & (alignment - 1)) != 0)
        return err_set(c->err, -EBADMSG, "alignment %llu is not a power of two",
                (unsigned long long)alignment);
    if (strcmp(facts->context.owner, info->architecture) == 0)
        info->context_length = facts->context.value;
    if (strcmp(facts->pooling.owner, info->architecture) == 0 && facts->pooling.owner[0] != '\0')
        info->pooling = pooling_of(facts->pooling.value);
    info->fim = facts->fim == FIM_ALL;
    info->template_tools = facts->chat_template.tools;
    info->template_thinking = facts->chat_template.thinking;
    return 0;
}

static int parse(struct cursor *c, struct gguf_info *ret_info)
{
    struct facts facts = {.info.quantisation = "", .alignment = GGUF_ALIGNMENT_DEFAULT};
    uint64_t keys = 0;
    int rc = read_head(c, &facts.info, &keys);

    for (; rc == 0 && keys > 0; keys--)
        rc = read_pair(c, &facts);
    if (rc == 0)
        rc = conclude(c, &facts);
    if (rc == 0)
        rc = read_tensors(c, &facts);
    if (rc == 0)
        *ret_info = facts.info;
    return rc;
}

int gguf_parse(const struct gguf_source *source, struct gguf_info *ret_info, struct err *err)
{
    struct cursor *c = calloc(1, sizeof *c);
    int rc;

    if (c == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    c->source = source;
    c->err = err;
    rc = parse(c, ret_info);
    free(c);
    return rc;
}

static ssize_t read_fd(void *ctx, uint64_t offset, void *ret_data, size_t len)
{
    ssize_t n;

    do {
        n = pread(*(int *)ctx, ret_data, len, (off_t)offset);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int gguf_parse_fd(int fd, uint64_t size_bytes, struct gguf_info *ret_info, struct err *err)
{
    struct gguf_source source = {.read_at = read_fd, .ctx = &fd, .size_bytes = size_bytes};

    return gguf_parse(&source, ret_info, err);
}

bool gguf_is_model(const struct gguf_info *info)
{
    return info->tensor_count > 0 && (info->type[0] == '\0' || strcmp(info->type, "model") == 0) &&
           strcmp(info->architecture, "clip") != 0;
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

#include "common/json/json.h"

#include "common/json/json_lexer.h"
#include "common/text.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct json_limits json_limits_request = {.max_bytes = 32 * 1024 * 1024,
        .max_depth = 64,
        .max_values = 1000 * 1000,
        .unambiguous = true};
const struct json_limits json_limits_event = {
        .max_bytes = 1024 * 1024, .max_depth = 64, .max_values = 100 * 1000};

static_assert(JSON_DEPTH_MAX <= CJSON_NESTING_LIMIT / 2, "cJSON must never meet its own limit");

enum expect {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_CLOSE,
    EXPECT_KEY,
    EXPECT_KEY_OR_CLOSE,
    EXPECT_COLON,
    EXPECT_NEXT,
    EXPECT_END,
};

static const char *const expect_text[] = {
        [EXPECT_VALUE] = "expected a value",
        [EXPECT_VALUE_OR_CLOSE] = "expected a value or \"]\"",
        [EXPECT_KEY] = "expected a key in quotes",
        [EXPECT_KEY_OR_CLOSE] = "expected a key in quotes or \"}\"",
        [EXPECT_COLON] = "expected \":\" behind the key",
        [EXPECT_NEXT] = "expected \",\" or the closing bracket",
        [EXPECT_END] = "expected nothing behind the value",
};

/* The scan walks the tokens with the open brackets on a stack of its own. */
struct scan {
    struct json_lexer lexer;
    const struct json_limits *limits;
    enum expect expect;
    size_t values;
    unsigned depth;
    enum json_token_type closers[JSON_DEPTH_MAX];
};

static int fail_at(const char *text, size_t at, int code, const char *problem, struct err *err)
{
    size_t line = 1, line_start = 0;

    for (size_t i = 0; i < at; i++) {
        if (text[i] != '\n')
            continue;
        line++;
        line_start = i + 1;
    }
    return err_set(err, code, "line %zu, column %zu: %s", line, at - line_start + 1, problem);
}

static int scan_fail(const struct scan *scan, size_t at, struct err *err)
{
    return fail_at(scan->lexer.text, at, -EINVAL, expect_text[scan->expect], err);
}

static int fail_deep(const struct scan *scan, size_t at, struct err *err)
{
    char problem[64];

    (void)snprintf(problem, sizeof(problem), "the JSON is nested deeper than %u levels",
            scan->limits->max_depth);
    return fail_at(scan->lexer.text, at, -EMSGSIZE, problem, err);
}

static int scan_count(struct scan *scan, struct err *err)
{
    if (scan->values++ < scan->limits->max_values)
        return 0;
    return err_set(err, -EMSGSIZE, "the JSON has more than %zu values", scan->limits->max_values);
}

static void scan_value_done(struct scan *scan)
{
    scan->expect = scan->depth > 0 ? EXPECT_NEXT : EXPECT_END;
}

static void scan_close(struct scan *scan)
{
    scan->depth--;
    scan_value_done(scan);
}

static int scan_open(struct scan *scan, const struct json_token *token, struct err *err)
{
    bool object = token->type == JSON_TOKEN_OBJECT_OPEN;

    if (scan->depth == scan->limits->max_depth)
        return fail_deep(scan, token->start, err);
    scan->closers[scan->depth++] = object ? JSON_TOKEN_OBJECT_CLOSE : JSON_TOKEN_ARRAY_CLOSE;
    scan->expect = object ? EXPECT_KEY_OR_CLOSE : EXPECT_VALUE_OR_CLOSE;
    return 0;
}

static int scan_value(struct scan *scan, const struct json_token *token, struct err *err)
{
    int r = scan_count(scan, err);

    if (r < 0)
        return r;
    switch (token->type) {
    case JSON_TOKEN_OBJECT_OPEN:
    case JSON_TOKEN_ARRAY_OPEN:
        return scan_open(scan, token, err);
    case JSON_TOKEN_STRING:
    case JSON_TOKEN_NUMBER:
    case JSON_TOKEN_WORD:
        scan_value_done(scan);
        return 0;
    default:
        return scan_fail(scan, token->start, err);
    }
}

static int scan_key(struct scan *scan, const struct json_token *token, struct err *err)
{
    if (token->type != JSON_TOKEN_STRING)
        return scan_fail(scan, token->start, err);
    scan->expect = EXPECT_COLON;
    return scan_count(scan, err);
}

static int scan_next(struct scan *scan, const struct json_token *token, struct err *err)
{
    enum json_token_type closer = scan->closers[scan->depth - 1];

    if (token->type == closer)
        scan_close(scan);
    else if (token->type == JSON_TOKEN_COMMA)
        scan->expect = closer == JSON_TOKEN_OBJECT_CLOSE ? EXPECT_KEY : EXPECT_VALUE;
    else
        return scan_fail(scan, token->start, err);
    return 0;
}

static int scan_token(struct scan *scan, const struct json_token *token, struct err *err)
{
    bool may_close = scan->expect == EXPECT_VALUE_OR_CLOSE || scan->expect == EXPECT_KEY_OR_CLOSE;

    if (may_close && token->type == scan->closers[scan->depth - 1]) {
        scan_close(scan);
        return 0;
    }
    switch (scan->expect) {
    case EXPECT_VALUE:
    case EXPECT_VALUE_OR_CLOSE:
        return scan_value(scan, token, err);
    case EXPECT_KEY:
    case EXPECT_KEY_OR_CLOSE:
        return scan_key(scan, token, err);
    case EXPECT_NEXT:
        return scan_next(scan, token, err);
    case EXPECT_COLON:
        if (token->type != JSON_TOKEN_COLON)
            break;
        scan->expect = EXPECT_VALUE;
        return 0;
    case EXPECT_END:
        break;
    }
    return scan_fail(scan, token->start, err);
}

static int scan_text(const char *text, size_t len, const struct json_limits *limits,
        size_t *ret_values, struct err *err)
{
    struct scan scan = {.limits = limits, .expect = EXPECT_VALUE};

    json_lexer_init(&scan.lexer, text, len);
    for (;;) {
        struct json_token token;
        int r = json_lexer_next(&scan.lexer, &token);

        if (r < 0)
            return fail_at(text, scan.lexer.at, r, scan.lexer.problem, err);
        if (token.type == JSON_TOKEN_END && scan.expect == EXPECT_END) {
            *ret_values = scan.values;
            return 0;
        }
        r = scan_token(&scan, &token, err);
        if (r < 0)
            return r;
    }
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *twin_among(const char **keys, size_t count)
{
    qsort(keys, count, sizeof(*keys), compare_keys);
    for (size_t i = 1; i < count; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0)
            return keys[i];
    return NULL;
}

/* `keys` has room for all members of the largest object. */
static const char *find_twin(const cJSON *object, const char **keys)
{
    const cJSON *item;
    size_t count = 0;

    cJSON_ArrayForEach(item, object) keys[count++] = item->string;
    return twin_among(keys, count);
}

/* `member`: the nearest key above the value; "" at the top. Recurses no deeper than the scan has
 * allowed. */
static int check_value(const cJSON *value, const char *member, const char **keys, struct err *err)
{
    const cJSON *item;
    const char *twin = cJSON_IsObject(value) ? find_twin(value, keys) : NULL;

    if (twin)
        return err_set(err, -EINVAL, "the key \"%.100s\" stands twice in one object", twin);
    if (cJSON_IsNumber(value) && !isfinite(value->valuedouble))
        return err_set(err, -EINVAL,
                "a number in \"%.100s\" is too large: at most 1.7e308 can be read", member);
    cJSON_ArrayForEach(item, value)
    {
        int r = check_value(item, item->string ? item->string : member, keys, err);

        if (r < 0)
            return r;
    }
    return 0;
}

static int check_unambiguous(const cJSON *json, size_t values, struct err *err)
{
    const char **keys = malloc((values + 1) * sizeof(*keys));
    int r = keys ? check_value(json, "", keys, err)
                 : err_set(err, -ENOMEM, "no memory for the JSON");

    free(keys);
    return r;
}

int json_parse(const char *text, size_t len, const struct json_limits *limits, cJSON **ret_json,
        struct err *err)
{
    const char *end = text;

    assert(limits->max_depth <= JSON_DEPTH_MAX);
    if (len > limits->max_bytes)
        return err_set(err, -EMSGSIZE, "the JSON has %zu bytes; at most %zu are accepted", len,
                limits->max_bytes);

    size_t values;
    int r = scan_text(text, len, limits, &values, err);
    if (r < 0)
        return r;

    cJSON *json = cJSON_ParseWithLengthOpts(text, len, &end, false);
    if (!json)
        return fail_at(text, (size_t)(end - text), -ENOMEM, "no memory for this value", err);
    if (limits->unambiguous && (r = check_unambiguous(json, values, err)) < 0) {
        cJSON_Delete(json);
        return r;
    }
    *ret_json = json;
    return 0;
}

/* cJSON compares keys only; it does not care whether `object` is one. */
static const cJSON *member(const cJSON *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

size_t json_replace_nul(char *text, size_t len)
{
    static const char nul[] = "\\u0000", instead[] = "\\ufffd";
    size_t size = sizeof nul - 1, count = 0;

    for (size_t i = 0; i + size <= len; i += text[i] == '\\' ? 2 : 1) {
        if (memcmp(text + i, nul, size) != 0)
            continue;
        memcpy(text + i, instead, size);
        count++;
    }
    return count;
}

const char *json_str(const cJSON *object, const char *key, const char *def)
{
    const cJSON *item = member(object, key);

    return cJSON_IsString(item) ? item->valuestring : def;
}

double json_num(const cJSON *object, const char *key, double def)
{
    const cJSON *item = member(object, key);

    return cJSON_IsNumber(item) ? item->valuedouble : def;
}

bool json_whole(const cJSON *value, uint64_t *ret_number)
{
    if (!cJSON_IsNumber(value) || value->valuedouble < 0 ||
            value->valuedouble > (double)JSON_WHOLE_MAX)
        return false;
    uint64_t number = (uint64_t)value->valuedouble;
    if ((double)number != value->valuedouble)
        return false;
    *ret_number = number;
    return true;
}

bool json_bool(const cJSON *object, const char *key, bool def)
{
    const cJSON *item = member(object, key);

    return cJSON_IsBool(item) ? cJSON_IsTrue(item) : def;
}

const cJSON *json_obj(const cJSON *object, const char *key)
{
    const cJSON *item = member(object, key);

    return cJSON_IsObject(item) ? item : NULL;
}

const cJSON *json_array(const cJSON *object, const char *key)
{
    const cJSON *item = member(object, key);

    return cJSON_IsArray(item) ? item : NULL;
}

/* Bytes at `at` that go into a JSON string as they are. */
static size_t verbatim_len(const char *at, size_t left)
{
    size_t n = 0;

    while (n < left) {
        uint8_t c = (uint8_t)at[n];
        if (c < 0x20 || c == '"' || c == '\\')
            break;
        size_t step = text_utf8_seq(at + n, left - n);
        if (step == 0)
            break;
        n += step;
    }
    return n;
}

static int append_escaped(struct buf *buf, char c)
{
    static const char names[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: byte, its letter */

    for (size_t i = 0; i + 1 < sizeof(names); i += 2)
        if (names[i] == c)
            return buf_append(buf, (char[]){'\\', names[i + 1]}, 2);
    if ((uint8_t)c < 0x20)
        return buf_appendf(buf, "\\u%04x", (unsigned)c);
    return buf_append_str(buf, "\xef\xbf\xbd");
}

static int append_string_body(struct buf *buf, const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t n = verbatim_len(text + at, len - at);
        int r = n > 0 ? buf_append(buf, text + at, n) : append_escaped(buf, text[at]);

        if (r < 0)
            return r;
        at += n > 0 ? n : 1;
    }
    return 0;
}

int json_append_str(struct buf *buf, const char *text, size_t len)
{
    size_t len_before = buf->len;
    int r = buf_append(buf, "\"", 1);

    if (r == 0)
        r = append_string_body(buf, text, len);
    if (r == 0)
        r = buf_append(buf, "\"", 1);
    if (r < 0)
        buf->len = len_before;
    return r;
}

int json_append(struct buf *buf, const cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);

    if (!text)
        return -ENOMEM;
    int r = buf_append_str(buf, text);
    cJSON_free(text);
    return r;
}

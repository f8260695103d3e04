/* join_token_parse() on any text. The first byte says what the rest is: a line as it comes, or
 * (CHECKED) bytes that get their check and their letters here, so that the fuzzer gets past the
 * check. What is taken is written again as the same line. */
#include "common/base64url.h"
#include "common/trust/join_token.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    CHECKED = 1,
    PREFIX_LEN = 4,
    CHECK_LEN = 4,
    RAW_MAX = 4500, /* a little more than a token can have */
};

/* The bytes' line; returns its length. */
static size_t make_line(const uint8_t *raw, size_t len, char ret_line[JOIN_TOKEN_TEXT_MAX])
{
    uint8_t whole[RAW_MAX + CHECK_LEN], digest[crypto_generichash_BYTES];
    crypto_generichash(digest, sizeof(digest), raw, len, NULL, 0);
    memcpy(whole, raw, len);
    memcpy(whole + len, digest, CHECK_LEN);
    memcpy(ret_line, "mmj_", PREFIX_LEN);
    base64url_encode(whole, len + CHECK_LEN, ret_line + PREFIX_LEN);
    return strlen(ret_line);
}

static bool is_blank(char letter)
{
    return letter == ' ' || letter == '\t' || letter == '\r' || letter == '\n';
}

/* `line` is what `again` says, with nothing but white space around it. */
static void check_same(const char *line, size_t len, const struct buf *again)
{
    for (; len > 0 && is_blank(line[0]); len--)
        line++;
    assert(len >= again->len && memcmp(line, buf_at(again), again->len) == 0);
    while (len > again->len && is_blank(line[len - 1]))
        len--;
    assert(len == again->len);
}

static void check_taken(const struct join_token *token, const char *line, size_t len)
{
    struct buf again;
    buf_init(&again, JOIN_TOKEN_TEXT_MAX);
    assert(key_z85_valid(token->coordinator_key));
    assert(key_z85_valid(token->pair.public_z85) && key_z85_valid(token->pair.secret_z85));
    int r = join_token_append(&again, token, NULL);
    assert(r == 0);
    check_same(line, len, &again);
    buf_fini(&again);
}

static void check_parse(const char *line, size_t len)
{
    struct join_token token = {.address_count = 0};
    struct err err = {.text = ""};
    int r = join_token_parse(line, len, &token, &err);
    if (r == 0) {
        check_taken(&token, line, len);
        join_token_fini(&token);
        return;
    }
    assert(r == -EINVAL && err.text[0] != '\0');
    assert(token.address_count == 0 && !token.pair.secret_z85);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char line[JOIN_TOKEN_TEXT_MAX];
    if (size == 0 || size - 1 > RAW_MAX)
        return 0;
    if (data[0] == CHECKED)
        check_parse(line, make_line(data + 1, size - 1, line));
    else
        check_parse((const char *)data + 1, size - 1);
    return 0;
}

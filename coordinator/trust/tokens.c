#include "coordinator/trust/tokens.h"

#include "common/book.h"
#include "coordinator/trust/members.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_BYTES = 32 };

struct tokens {
    char *path;
    struct book_list list;
    char past[TOKENS_PAST_MAX][KEY_Z85_LEN + 1];
    size_t next_past; /* place of the next former token's key */
};

/* --- the file --- */

static int compare(const void *a, const void *b)
{
    const struct token *one = a, *other = b;
    if (one->created_ms != other->created_ms)
        return one->created_ms < other->created_ms ? -1 : 1;
    return strcmp(one->key, other->key);
}

/* The id is not in the file: it follows from the key. */
static const struct book_field fields[] = {
        {.name = "key",
                .type = BOOK_TEXT,
                .offset = offsetof(struct token, key),
                .size = KEY_Z85_LEN + 1,
                .valid = key_z85_valid,
                .form = "a link key (40 characters of Z85)"},
        {.name = "roles",
                .type = BOOK_WORDS,
                .offset = offsetof(struct token, roles),
                .words = member_roles,
                .form = "a list of \"node\", \"edge\" or both"},
        {.name = "uses_left",
                .type = BOOK_NUMBER,
                .offset = offsetof(struct token, uses_left),
                .min = 1,
                .max = TOKEN_USES_MAX,
                .form = "a number from 1 to 100000"},
        {.name = "uses",
                .type = BOOK_NUMBER,
                .offset = offsetof(struct token, uses),
                .form = "a whole number"},
        {.name = "created_ms",
                .type = BOOK_NUMBER,
                .offset = offsetof(struct token, created_ms),
                .form = "a Unix time in milliseconds"},
        {.name = "expires_ms",
                .type = BOOK_NUMBER,
                .offset = offsetof(struct token, expires_ms),
                .form = "a Unix time in milliseconds"},
};

static const struct book_format format = {
        .list = "tokens",
        .entry = "token",
        .fields = fields,
        .field_count = sizeof(fields) / sizeof(fields[0]),
        .entry_size = sizeof(struct token),
        .max_entries = TOKENS_MAX,
        .max_bytes = TOKENS_FILE_MAX,
        .order = compare,
};

static void make_id(struct token *token)
{
    uint8_t hash[HASH_BYTES];
    crypto_generichash(
            hash, sizeof(hash), (const uint8_t *)token->key, strlen(token->key), NULL, 0);
    (void)sodium_bin2hex(token->id, sizeof(token->id), hash, TOKEN_ID_LEN / 2);
}

/* --- looking --- */

static struct token *token_at(const struct tokens *tokens, size_t index)
{
    return (struct token *)tokens->list.entries + index;
}

/* Their number where there is none. */
static size_t find_key(const struct tokens *tokens, const char *key)
{
    size_t i = 0;
    while (i < tokens->list.count && strcmp(token_at(tokens, i)->key, key) != 0)
        i++;
    return i;
}

static size_t find_id(const struct tokens *tokens, const char *id)
{
    size_t i = 0;
    while (i < tokens->list.count && strcmp(token_at(tokens, i)->id, id) != 0)
        i++;
    return i;
}

const struct token *tokens_find_key(
        const struct tokens *tokens, const char *key_z85, int64_t now_ms)
{
    const struct token *token = tokens_at(tokens, find_key(tokens, key_z85));
    return token && now_ms < token->expires_ms ? token : NULL;
}

bool tokens_was_key(const struct tokens *tokens, const char *key_z85, int64_t now_ms)
{
    const struct token *token = tokens_at(tokens, find_key(tokens, key_z85));
    if (token)
        return now_ms >= token->expires_ms;
    for (size_t i = 0; i < TOKENS_PAST_MAX; i++)
        if (strcmp(tokens->past[i], key_z85) == 0)
            return true;
    return false;
}

size_t tokens_count(const struct tokens *tokens)
{
    return tokens->list.count;
}

const struct token *tokens_at(const struct tokens *tokens, size_t index)
{
    return index < tokens->list.count ? token_at(tokens, index) : NULL;
}

/* --- opening --- */

static int make_ids(struct tokens *tokens, struct err *err)
{
    for (size_t i = 0; i < tokens->list.count; i++) {
        struct token *token = token_at(tokens, i);
        make_id(token);
        if (find_key(tokens, token->key) != i || find_id(tokens, token->id) != i)
            return err_set(err, -EINVAL, "%s: token %zu: its key stands in the list twice",
                    tokens->path, i + 1);
    }
    return 0;
}

static int load(struct tokens *tokens, struct err *err)
{
    int r = book_read(&format, tokens->path, &tokens->list, err);
    if (!r)
        r = make_ids(tokens, err);
    if (!r)
        book_sort(&format, &tokens->list);
    return r;
}

int tokens_open(const char *path, struct tokens **ret_tokens, struct err *err)
{
    struct tokens *tokens = calloc(1, sizeof(*tokens));
    if (!tokens || !(tokens->path = strdup(path))) {
        free(tokens);
        return err_set(err, -ENOMEM, "no memory for the book of tokens");
    }
    int r = load(tokens, err);
    if (r) {
        tokens_close(tokens);
        return r;
    }
    *ret_tokens = tokens;
    return 0;
}

void tokens_close(struct tokens *tokens)
{
    if (!tokens)
        return;
    book_list_fini(&tokens->list);
    free(tokens->path);
    free(tokens);
}

/* --- changing --- */

static void note_past(struct tokens *tokens, const char *key)
{
    memcpy(tokens->past[tokens->next_past], key, KEY_Z85_LEN + 1);
    tokens->next_past = (tokens->next_past + 1) % TOKENS_PAST_MAX;
}

static void drop(struct book_list *list, size_t index)
{
    struct token *gap = (struct token *)list->entries + index;
    memmove(gap, gap + 1, (list->count - index - 1) * sizeof(*gap));
    list->count--;
}

static int commit(struct tokens *tokens, struct book_list *next, struct err *err)
{
    return book_commit(&format, tokens->path, &tokens->list, next, err);
}

/* Takes `next`, a copy of the list. */
static int commit_without(
        struct tokens *tokens, struct book_list *next, size_t index, struct err *err)
{
    struct token former = *token_at(tokens, index);
    drop(next, index);
    int r = commit(tokens, next, err);
    if (!r)
        note_past(tokens, former.key);
    return r;
}

int tokens_add(struct tokens *tokens, struct token *token, struct err *err)
{
    struct token added = *token;
    struct book_list next;
    make_id(&added);
    if (tokens->list.count == TOKENS_MAX)
        return err_set(err, -ENOSPC,
                "there are %d tokens already; revoke some: modemesh token revoke ID", TOKENS_MAX);
    if (find_key(tokens, added.key) < tokens->list.count ||
            find_id(tokens, added.id) < tokens->list.count)
        return err_set(err, -EEXIST, "there is a token %s already", added.id);
    int r = book_copy(&format, &tokens->list, &next, err);
    if (r)
        return r;
    ((struct token *)next.entries)[next.count++] = added;
    r = commit(tokens, &next, err);
    if (!r)
        *token = added;
    return r;
}

int tokens_use(struct tokens *tokens, const char *key_z85, int64_t now_ms, struct err *err)
{
    size_t at = find_key(tokens, key_z85);
    struct book_list next;
    if (!tokens_find_key(tokens, key_z85, now_ms))
        return err_set(err, -ENOENT, "the token is used up, expired or revoked");
    int r = book_copy(&format, &tokens->list, &next, err);
    if (r)
        return r;
    struct token *token = (struct token *)next.entries + at;
    token->uses++;
    token->uses_left--;
    return token->uses_left ? commit(tokens, &next, err) : commit_without(tokens, &next, at, err);
}

int tokens_revoke(struct tokens *tokens, const char *id, struct err *err)
{
    size_t at = find_id(tokens, id);
    struct book_list next;
    if (at == tokens->list.count)
        return err_set(err, -ENOENT, "there is no token \"%s\"; see: modemesh token list", id);
    int r = book_copy(&format, &tokens->list, &next, err);
    if (r)
        return r;
    return commit_without(tokens, &next, at, err);
}

void tokens_tick(struct tokens *tokens, int64_t now_ms)
{
    for (size_t i = tokens->list.count; i-- > 0;) {
        if (now_ms < token_at(tokens, i)->expires_ms)
            continue;
        note_past(tokens, token_at(tokens, i)->key);
        drop(&tokens->list, i);
    }
}

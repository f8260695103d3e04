#include "coordinator/scheduling/prefix_chain.h"

#include "common/json/json_lexer.h"
#include "common/number.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* --- what prompts are made of */

enum {
    PARTS_MAX = 4,
    ROOM_MIN = 64,     /* hashes */
    MESSAGE_DEPTH = 2, /* a list, and an object in it */
};

/* Members of a body's object, in the order of the prompt. */
struct layout {
    const char *parts[PARTS_MAX];
    const char *needed;          /* of these, the one without which it is no such body … */
    enum json_token_type begins; /* … and what it begins with; JSON_TOKEN_END: a text or a list */
    bool cached;                 /* the engine keeps it */
    size_t before_line;          /* so many parts stand before a line that is typed */
};

static const struct layout layouts[REQUEST_KIND_COUNT] = {
        [REQUEST_CHAT] = {{"tools", "messages"}, "messages", JSON_TOKEN_ARRAY_OPEN, true, 0},
        [REQUEST_COMPLETION] = {{"prompt"}, "prompt", JSON_TOKEN_END, true, 0},
        [REQUEST_INFILL] = {{"input_extra", "input_prefix", "prompt", "input_suffix"},
                "input_prefix", JSON_TOKEN_STRING, true, 2},
        [REQUEST_EMBEDDINGS] = {{"input"}, "input", JSON_TOKEN_END, false, 0},
        [REQUEST_RERANK] = {{"query", "documents"}, "documents", JSON_TOKEN_ARRAY_OPEN, false, 0},
        [REQUEST_TOKENIZE] = {{"content"}, "content", JSON_TOKEN_STRING, false, 0},
        [REQUEST_DETOKENIZE] = {{"tokens"}, "tokens", JSON_TOKEN_ARRAY_OPEN, false, 0},
        [REQUEST_TEMPLATE] = {{"tools", "messages"}, "messages", JSON_TOKEN_ARRAY_OPEN, false, 0},
        [REQUEST_COUNT] = {{"tools", "messages"}, "messages", JSON_TOKEN_ARRAY_OPEN, false, 0},
        [REQUEST_TRANSCRIPTION] = {{"file", "prompt"}, "file", JSON_TOKEN_OBJECT_OPEN, false, 0},
};

/* --- blocks */

struct blocks {
    struct prefix_chain chain;
    size_t room;
    bool cached;
    uint64_t hash; /* of all whole blocks so far */
    size_t fill;
    char block[PREFIX_BLOCK_BYTES]; /* `fill` bytes of the one that is not whole */
};

static int add_hash(struct blocks *blocks, const char *block)
{
    struct prefix_chain *chain = &blocks->chain;
    blocks->hash = XXH3_64bits_withSeed(block, PREFIX_BLOCK_BYTES, blocks->hash);
    if (chain->count == blocks->room) {
        size_t room = number_greater(ROOM_MIN, 2 * blocks->room);
        uint64_t *hashes = realloc(chain->hashes, room * sizeof(*hashes));
        if (!hashes)
            return -ENOMEM;
        chain->hashes = hashes;
        blocks->room = room;
    }
    chain->hashes[chain->count++] = blocks->hash;
    return 0;
}

static bool is_wanted(const struct blocks *blocks)
{
    return blocks->cached && blocks->chain.count < PREFIX_CHAIN_MAX;
}

static int add_bytes(struct blocks *blocks, const char *data, size_t len)
{
    int r = 0;
    blocks->chain.bytes += len;
    while (len && is_wanted(blocks) && !r) {
        bool whole = !blocks->fill && len >= PREFIX_BLOCK_BYTES;
        size_t taken = number_lesser(len, PREFIX_BLOCK_BYTES - blocks->fill);
        if (whole) {
            r = add_hash(blocks, data);
        } else {
            memcpy(blocks->block + blocks->fill, data, taken);
            blocks->fill += taken;
        }
        if (blocks->fill == PREFIX_BLOCK_BYTES) {
            blocks->fill = 0;
            r = add_hash(blocks, blocks->block);
        }
        data += taken;
        len -= taken;
    }
    return r;
}

/* As much as it costs an engine, about, and different where the picture is. */
static int add_picture(struct blocks *blocks, const char *data, size_t len)
{
    char stand_in[PREFIX_IMAGE_BYTES] = {0};
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits(data, len));
    memcpy(stand_in, &hash, sizeof(hash));
    return add_bytes(blocks, stand_in, sizeof(stand_in));
}

/* --- a value's text */

struct walk {
    struct json_lexer lexer;
    struct json_token token;  /* the last one taken */
    struct json_token before; /* … and the one before */
    struct json_token key;    /* of the member that is being walked through */
    struct blocks *blocks;
    size_t depth;
    size_t media_depth;         /* of the object of a recording or a file; 0: in none */
    bool in_messages, is_users; /* the message that is being walked through is its user's */
    size_t run_start, run_end;  /* bytes of the text that are to be added in one piece */
};

static int next_token(struct walk *walk)
{
    walk->before = walk->token;
    return json_lexer_next(&walk->lexer, &walk->token);
}

static bool is_text(const struct walk *walk, const struct json_token *token, const char *text)
{
    size_t len = strlen(text);
    return token->type == JSON_TOKEN_STRING && token->end - token->start == len + 2 &&
           memcmp(walk->lexer.text + token->start + 1, text, len) == 0;
}

static bool is_opening(enum json_token_type type)
{
    return type == JSON_TOKEN_OBJECT_OPEN || type == JSON_TOKEN_ARRAY_OPEN;
}

static bool is_closing(enum json_token_type type)
{
    return type == JSON_TOKEN_OBJECT_CLOSE || type == JSON_TOKEN_ARRAY_CLOSE;
}

/* The string is the value of `key`: a "data:" URL, or what a recording or a file consists of. */
static bool is_picture(const struct walk *walk)
{
    static const char scheme[] = "\"data:";
    const struct json_token *token = &walk->token;
    if (walk->before.type != JSON_TOKEN_COLON)
        return false;
    if (walk->media_depth && walk->depth == walk->media_depth)
        return is_text(walk, &walk->key, "data");
    return is_text(walk, &walk->key, "url") && token->end - token->start >= sizeof(scheme) &&
           memcmp(walk->lexer.text + token->start, scheme, sizeof(scheme) - 1) == 0;
}

static int end_run(struct walk *walk)
{
    const char *text = walk->lexer.text;
    size_t start = walk->run_start, len = walk->run_end - start;
    walk->run_start = walk->run_end = 0;
    return len ? add_bytes(walk->blocks, text + start, len) : 0;
}

static int add_text(struct walk *walk, size_t start, size_t end)
{
    int r = start == walk->run_end ? 0 : end_run(walk);
    if (walk->run_start == walk->run_end)
        walk->run_start = start;
    walk->run_end = end;
    return r;
}

static void enter(struct walk *walk)
{
    walk->depth++;
    if (!walk->media_depth && walk->before.type == JSON_TOKEN_COLON &&
            (is_text(walk, &walk->key, "input_audio") || is_text(walk, &walk->key, "file")))
        walk->media_depth = walk->depth;
}

static size_t leave(struct walk *walk)
{
    if (walk->depth == walk->media_depth)
        walk->media_depth = 0;
    return --walk->depth;
}

static int add_token(struct walk *walk)
{
    const struct json_token *token = &walk->token;
    if (token->type == JSON_TOKEN_COLON)
        walk->key = walk->before;
    if (token->type != JSON_TOKEN_STRING || !is_picture(walk))
        return add_text(walk, token->start, token->end);
    int r = end_run(walk);
    return r ? r
             : add_picture(
                       walk->blocks, walk->lexer.text + token->start, token->end - token->start);
}

/* The last token ends a message that the user wrote. */
static bool ends_question(struct walk *walk)
{
    enum json_token_type type = walk->token.type;
    if (type == JSON_TOKEN_OBJECT_OPEN && walk->depth == MESSAGE_DEPTH)
        walk->is_users = false;
    if (walk->depth == MESSAGE_DEPTH && walk->before.type == JSON_TOKEN_COLON &&
            is_text(walk, &walk->key, "role"))
        walk->is_users = is_text(walk, &walk->token, "user");
    return walk->in_messages && walk->is_users && type == JSON_TOKEN_OBJECT_CLOSE &&
           walk->depth == MESSAGE_DEPTH - 1;
}

static int note_opening(struct walk *walk)
{
    struct blocks *blocks = walk->blocks;
    int r = end_run(walk);
    uint64_t hash = XXH3_64bits_withSeed(blocks->block, blocks->fill, blocks->hash);
    blocks->chain.opening = hash ? hash : 1;
    return r;
}

/* The text, list or object that the last token begins; find_parts() has seen its end. The closing
 * bracket is no part of it, nor are the quotes of a text: what is appended then leaves all before
 * as it was. */
static int add_value(struct walk *walk)
{
    const struct json_token *token = &walk->token;
    int r = 0;
    if (token->type == JSON_TOKEN_STRING)
        return add_text(walk, token->start + 1, token->end - 1);
    while (!r) {
        assert(token->type != JSON_TOKEN_END);
        if (is_opening(token->type))
            enter(walk);
        if (is_closing(token->type) && leave(walk) == 0)
            return 0;
        r = add_token(walk);
        if (!r && ends_question(walk) && !walk->blocks->chain.opening)
            r = note_opening(walk);
        if (!r)
            r = next_token(walk);
    }
    return r;
}

/* --- the body */

struct part {
    struct json_token key;
    struct json_token first; /* of its value; JSON_TOKEN_END: there is none */
};

static bool is_opening_or_text(enum json_token_type type)
{
    return is_opening(type) || type == JSON_TOKEN_STRING;
}

/* The value that the last token begins. */
static int skip_value(struct walk *walk)
{
    for (size_t depth = 0;;) {
        enum json_token_type type = walk->token.type;
        if (type == JSON_TOKEN_END || (is_closing(type) && !depth))
            return -EINVAL;
        if (is_opening(type))
            depth++;
        else if (is_closing(type))
            depth--;
        if (!depth)
            return 0;
        int r = next_token(walk);
        if (r)
            return r;
    }
}

/* The last token is the key. */
static int read_member(struct walk *walk, const struct layout *layout, struct part *parts)
{
    struct part part = {.key = walk->token};
    int r = part.key.type == JSON_TOKEN_STRING ? next_token(walk) : -EINVAL;
    if (!r)
        r = walk->token.type == JSON_TOKEN_COLON ? next_token(walk) : -EINVAL;
    if (r)
        return r;
    part.first = walk->token;
    for (size_t i = 0; i < PARTS_MAX && layout->parts[i]; i++)
        if (is_text(walk, &part.key, layout->parts[i]) && is_opening_or_text(part.first.type))
            parts[i] = part;
    return skip_value(walk);
}

static int find_parts(struct walk *walk, const struct layout *layout, struct part *parts)
{
    int r = next_token(walk);
    if (!r && walk->token.type != JSON_TOKEN_OBJECT_OPEN)
        r = -EINVAL;
    while (!r) {
        r = next_token(walk);
        if (r || walk->token.type == JSON_TOKEN_OBJECT_CLOSE)
            return r;
        if (walk->token.type != JSON_TOKEN_COMMA)
            r = read_member(walk, layout, parts);
    }
    return r;
}

static bool begins_as_needed(const struct layout *layout, enum json_token_type first)
{
    if (layout->begins == JSON_TOKEN_END)
        return first == JSON_TOKEN_STRING || first == JSON_TOKEN_ARRAY_OPEN;
    return first == layout->begins;
}

static bool has_needed(const struct layout *layout, const struct part *parts)
{
    for (size_t i = 0; i < PARTS_MAX && layout->parts[i]; i++)
        if (strcmp(layout->parts[i], layout->needed) == 0)
            return begins_as_needed(layout, parts[i].first.type);
    return false;
}

/* A NUL stands before each part, there or not: no text of JSON has one. */
static int add_part(struct walk *walk, const struct part *part)
{
    int r = add_bytes(walk->blocks, "", 1);
    if (r || part->first.type == JSON_TOKEN_END)
        return r;
    walk->lexer.at = part->first.end;
    walk->token = part->first;
    walk->before = (struct json_token){.type = JSON_TOKEN_COLON};
    walk->key = part->key;
    walk->depth = walk->media_depth = 0;
    walk->in_messages = walk->blocks->cached && is_text(walk, &part->key, "messages");
    r = add_value(walk);
    return r ? r : end_run(walk);
}

/* The block at the largest power of two: it changes seldom as the text grows, and is not only the
 * licence that all files begin with. Chunks of other files come first, and are then all it takes:
 * the same ones are before whatever is typed beside them. */
static void note_line(struct prefix_chain *chain)
{
    size_t at = 1;
    while (2 * at <= chain->count)
        at *= 2;
    if (!chain->opening && chain->count > 0)
        chain->opening = chain->hashes[at - 1];
}

static int add_body(struct walk *walk, const struct layout *layout)
{
    struct part parts[PARTS_MAX] = {0};
    int r = find_parts(walk, layout, parts);
    if (!r && !has_needed(layout, parts))
        r = -EINVAL;
    for (size_t i = 0; !r && i < PARTS_MAX && layout->parts[i]; i++) {
        r = add_part(walk, &parts[i]);
        if (i < layout->before_line)
            note_line(&walk->blocks->chain);
    }
    return r;
}

int prefix_chain_make(enum request_kind kind, const char *body, size_t len, const char *tenant,
        uint64_t seed, struct prefix_chain *ret_chain)
{
    struct prefix_chain none = {0};
    struct blocks blocks = {.cached = layouts[kind].cached,
            .hash = XXH3_64bits_withSeed(tenant, strlen(tenant), seed)};
    struct walk walk = {.blocks = &blocks};
    json_lexer_init(&walk.lexer, body, len);
    int r = add_body(&walk, &layouts[kind]);
    if (r)
        prefix_chain_fini(&blocks.chain);
    if (r == -ENOMEM)
        return r;
    *ret_chain = r ? none : blocks.chain;
    return 0;
}

void prefix_chain_fini(struct prefix_chain *chain)
{
    free(chain->hashes);
    *chain = (struct prefix_chain){0};
}

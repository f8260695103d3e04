#include "coordinator/scheduling/prefix_chain.h"

#include "common/buf.h"
#include "tests/lib/short_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEED = 5,
    TEXT_MAX = 1 << 20,
    TURN = 3000,      /* bytes of a turn */
    FILE_MAX = 12000, /* of what is typed in, before the cursor … */
    LICENCE = 1100,   /* … and of what all such files begin with */
};

static struct prefix_chain make(enum request_kind kind, const char *body)
{
    struct prefix_chain chain;
    assert_int_equal(prefix_chain_make(kind, body, strlen(body), "somebody", SEED, &chain), 0);
    assert_true((chain.hashes != NULL) == (chain.count > 0));
    return chain;
}

static void is_empty(enum request_kind kind, const char *body)
{
    struct prefix_chain chain = make(kind, body);
    if (chain.count || chain.bytes)
        fail_msg("%zu blocks, %zu bytes of %s", chain.count, chain.bytes, body);
}

/* How many blocks two begin with alike; both go. */
static size_t shared(struct prefix_chain a, struct prefix_chain b)
{
    size_t same = 0;
    while (same < a.count && same < b.count && a.hashes[same] == b.hashes[same])
        same++;
    for (size_t i = same; i < a.count && i < b.count; i++)
        assert_true(a.hashes[i] != b.hashes[i]);
    prefix_chain_fini(&a);
    prefix_chain_fini(&b);
    return same;
}

static void are_alike(enum request_kind kind, const char *a, const char *b)
{
    struct prefix_chain first = make(kind, a), second = make(kind, b);
    assert_int_equal(first.count, second.count);
    assert_int_equal(first.bytes, second.bytes);
    assert_true(first.count > 0);
    size_t count = first.count;
    assert_int_equal(shared(first, second), count);
}

/* --- bodies */

/* `len` letters that depend on `which`. */
static const char *letters(size_t len, unsigned which)
{
    static char texts[8][TEXT_MAX];
    static size_t at;
    char *text = texts[at++ % 8];
    for (size_t i = 0; i < len; i++)
        text[i] = (char)('a' + (i * 7 + i / 26 + which * 31) % 26);
    text[len] = '\0';
    return text;
}

/* The form with `data` for each '$' and `words` for each '#'. */
static const char *filled(const char *form, const char *data, const char *words)
{
    static char text[3 * TEXT_MAX];
    size_t at = 0;
    for (; *form; form++) {
        const char *piece = *form == '$' ? data : *form == '#' ? words : NULL;
        size_t len = piece ? strlen(piece) : 1;
        assert_true(len < sizeof(text) - at);
        memcpy(text + at, piece ? piece : form, len);
        at += len;
    }
    text[at] = '\0';
    return text;
}

/* A chat of `turns` turns with all its members; `open` leaves its list open for more. */
static void write_turns(struct buf *out, size_t turns)
{
    for (size_t i = 0; i < turns; i++)
        assert_int_equal(buf_appendf(out, "%s{\"role\":\"%s\",\"content\":\"%s\"}", i ? "," : "",
                                 i % 2 ? "assistant" : "user", letters(TURN, (unsigned)i)),
                0);
}

static char *chat_of(size_t turns, const char *before, const char *behind)
{
    struct buf out;
    buf_init(&out, TEXT_MAX);
    assert_int_equal(buf_appendf(&out, "{%s\"messages\":[", before), 0);
    write_turns(&out, turns);
    assert_int_equal(buf_appendf(&out, "]%s}", behind), 0);
    assert_int_equal(buf_terminate(&out), 0);
    char *text = strdup(buf_at(&out));
    buf_fini(&out);
    return text;
}

/* --- */

static void blocks_are_of_the_prompt_and_the_rest_of_the_body_does_not_count(void **state)
{
    (void)state;
    char *plain = chat_of(5, "", ""), *other = chat_of(5, "\"model\":\"m\",\"stream\":true,",
                                              ",\"seed\":[1,{\"a\":[]}],\"stop\":null");
    struct prefix_chain chain = make(REQUEST_CHAT, plain);
    assert_in_range(chain.bytes, 5 * TURN, 5 * TURN + 5 * 60);
    assert_int_equal(chain.count, chain.bytes / PREFIX_BLOCK_BYTES);
    prefix_chain_fini(&chain);
    are_alike(REQUEST_CHAT, plain, other);
    free(plain);
    free(other);
}

static void an_appended_message_leaves_all_blocks_as_they_were(void **state)
{
    (void)state;
    for (size_t turns = 1; turns < 20; turns++) {
        char *before = chat_of(turns, "", ""), *after = chat_of(turns + 1, "", "");
        struct prefix_chain first = make(REQUEST_CHAT, before), second = make(REQUEST_CHAT, after);
        size_t count = first.count;
        assert_int_equal(count, first.bytes / PREFIX_BLOCK_BYTES);
        assert_true(second.count > count);
        assert_int_equal(shared(first, second), count);
        free(before);
        free(after);
    }
}

static uint64_t opening_of_kind(enum request_kind kind, const char *body)
{
    struct prefix_chain chain = make(kind, body);
    uint64_t opening = chain.opening;
    prefix_chain_fini(&chain);
    return opening;
}

static uint64_t opening_of(const char *body)
{
    return opening_of_kind(REQUEST_CHAT, body);
}

static void the_opening_ends_with_the_first_message_of_the_user(void **state)
{
    static const char first[] = "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},"
                                "{\"content\":\"u\",\"role\":\"user\"}]}",
                      longer[] = "{\"messages\": [{\"role\":\"system\",\"content\":\"s\"},"
                                 "{\"content\":\"u\",\"role\":\"user\"},"
                                 "{\"role\":\"assistant\",\"content\":\"a\"},"
                                 "{\"role\":\"user\",\"content\":\"v\"}]}",
                      other[] = "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},"
                                "{\"content\":\"v\",\"role\":\"user\"}]}",
                      none[] = "{\"tools\":[{\"role\":\"user\"}],\"messages\":["
                               "{\"role\":\"system\",\"content\":{\"role\":\"user\"}}]}";
    (void)state;
    assert_int_not_equal(opening_of(first), 0);
    assert_int_equal(opening_of(first), opening_of(longer));
    assert_int_not_equal(opening_of(first), opening_of(other));
    assert_int_equal(opening_of(none), 0);
    for (size_t turns = 1; turns < 9; turns++) {
        char *some = chat_of(turns, "", ""), *more = chat_of(turns + 1, "", "");
        assert_int_equal(opening_of(some), opening_of(more));
        free(some);
        free(more);
    }
}

/* What is filled in behind `len` bytes of the file `which` and `line`; all files begin alike. */
static uint64_t opening_at(const char *others, unsigned which, size_t len, const char *line)
{
    char before[FILE_MAX] = "", body[3 * FILE_MAX];
    size_t alike = len < LICENCE ? len : LICENCE;
    memcpy(before, letters(alike, 0), alike + 1);
    strcat(before, letters(len - alike, which));
    (void)snprintf(body, sizeof(body),
            "{\"input_extra\":%s,\"input_prefix\":\"%s\",\"prompt\":\"%s\",\"input_suffix\":\"%"
            "s\"}",
            others, before, line, letters(3000, which));
    return opening_of_kind(REQUEST_INFILL, body);
}

static void keystrokes_of_a_line_have_one_opening(void **state)
{
    static const size_t lengths[] = {1500, 3050, 5000, 10000};
    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        size_t len = lengths[i];
        uint64_t opening = opening_at("[]", 1, len, "");
        assert_int_not_equal(opening, 0);
        assert_int_equal(opening_at("[]", 1, len, "l"), opening);
        assert_int_equal(opening_at("[]", 1, len, "let one = 1;"), opening);
        assert_int_equal(opening_at("[]", 1, len + 40, "l"), opening); /* the next line */
        if (len < 2 * PREFIX_BLOCK_BYTES)
            continue; /* only what is alike */
        assert_int_not_equal(opening_at("[]", 2, len, "l"), opening);
    }
    assert_int_equal(opening_at("[]", 1, 500, "l"), 0);
}

/* As they come first, an engine has them of whatever file is typed in. */
static void files_with_the_same_others_before_them_have_one_opening(void **state)
{
    char others[FILE_MAX];
    (void)state;
    (void)snprintf(others, sizeof(others), "[{\"text\":\"%s\"}]", letters(2000, 5));
    uint64_t opening = opening_at(others, 1, 5000, "l");
    assert_int_not_equal(opening, opening_at("[]", 1, 5000, "l"));
    assert_int_equal(opening_at(others, 2, 9000, "m"), opening);
    assert_int_equal(opening_at(others, 1, 0, ""), opening); /* it warms up the cache */
}

/* Whatever the length of the last message: also where it ends a block to the byte. */
static void no_bracket_enters_a_block(void **state)
{
    static char before[8192], after[8192];
    (void)state;
    for (size_t len = 900; len < 2200; len++) {
        const char *text = letters(len, 0);
        sprintf(before, "{\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", text);
        sprintf(after, "{\"messages\":[{\"role\":\"user\",\"content\":\"%s\"},{\"role\":\"x\"}]}",
                text);
        struct prefix_chain first = make(REQUEST_CHAT, before);
        size_t count = first.count;
        assert_int_equal(shared(first, make(REQUEST_CHAT, after)), count);
    }
}

static void a_change_changes_its_block_and_all_behind_it(void **state)
{
    (void)state;
    char *text = chat_of(6, "", "");
    struct prefix_chain whole = make(REQUEST_CHAT, text);
    size_t count = whole.count;
    prefix_chain_fini(&whole);
    for (size_t block = 0; block < count; block += 3) {
        char *other = strdup(text);
        /* The part's mark stands for `{"messages":`, of 12 bytes. */
        size_t at = 12 + block * PREFIX_BLOCK_BYTES + 500;
        other[at] = other[at] == 'z' ? 'y' : 'z';
        assert_int_equal(shared(make(REQUEST_CHAT, text), make(REQUEST_CHAT, other)), block);
        free(other);
    }
    free(text);
}

static void blanks_between_tokens_do_not_count(void **state)
{
    static char tight[4 * TURN], loose[4 * TURN];
    (void)state;
    const char *text = letters(TURN, 1);
    sprintf(tight,
            "{\"tools\":[{\"type\":\"function\",\"n\":[1,true]}],\"messages\":[{\"role\":\"user\","
            "\"content\":\"%s  a\"}]}",
            text);
    sprintf(loose,
            "  {\n\"tools\" : [ { \"type\"\t: \"function\" ,\"n\": [ 1 , true ] } ] , \"messages\" "
            ":\r\n[{  \"role\" : \"user\", \"content\" : \"%s  a\" } ] } \n",
            text);
    are_alike(REQUEST_CHAT, tight, loose);
    sprintf(loose,
            "{\"tools\":[{\"type\":\"function\",\"n\":[1,true]}],\"messages\":[{\"role\":"
            "\"user\",\"content\":\"%s a\"}]}",
            text);
    struct prefix_chain chain = make(REQUEST_CHAT, tight);
    size_t bytes = chain.bytes;
    prefix_chain_fini(&chain);
    chain = make(REQUEST_CHAT, loose);
    assert_int_equal(chain.bytes, bytes - 1); /* one within a text does */
    prefix_chain_fini(&chain);
}

static void tools_come_first_wherever_they_stand(void **state)
{
    static char tools[3 * TURN], before[3 * TURN + 1], behind[3 * TURN + 1];
    (void)state;
    sprintf(tools, "\"tools\":[{\"name\":\"%s\"}]", letters(2 * TURN, 5));
    sprintf(before, "%s,", tools);
    sprintf(behind, ",%s", tools);
    char *first = chat_of(3, before, ""), *last = chat_of(3, "", behind);
    char *none = chat_of(3, "", ""), *more = chat_of(4, "", behind);
    are_alike(REQUEST_CHAT, first, last);
    assert_int_equal(shared(make(REQUEST_CHAT, none), make(REQUEST_CHAT, last)), 0);
    struct prefix_chain chain = make(REQUEST_CHAT, first);
    size_t count = chain.count;
    assert_int_equal(shared(chain, make(REQUEST_CHAT, more)), count);
    char *null = chat_of(3, "\"tools\":null,", "");
    are_alike(REQUEST_CHAT, none, null);
    free(first);
    free(last);
    free(none);
    free(more);
    free(null);
}

static void tenants_share_nothing(void **state)
{
    (void)state;
    char *text = chat_of(3, "", "");
    struct prefix_chain mine = make(REQUEST_CHAT, text), theirs;
    size_t count = mine.count;
    assert_int_equal(
            prefix_chain_make(REQUEST_CHAT, text, strlen(text), "somebody else", SEED, &theirs), 0);
    assert_int_equal(theirs.count, count);
    assert_int_equal(shared(mine, theirs), 0);
    assert_int_equal(shared(make(REQUEST_CHAT, text), make(REQUEST_CHAT, text)), count);
    free(text);
}

static void nobody_knows_a_hash_without_the_seed(void **state)
{
    (void)state;
    char *text = chat_of(3, "", "");
    struct prefix_chain chain = make(REQUEST_CHAT, text), other;
    assert_int_equal(
            prefix_chain_make(REQUEST_CHAT, text, strlen(text), "somebody", SEED + 1, &other), 0);
    assert_int_equal(shared(chain, other), 0);
    free(text);
}

static void a_prompt_may_be_a_text_or_a_list(void **state)
{
    static char text[16384], longer[sizeof(text) + 100];
    (void)state;
    for (size_t len = 2000; len < 2100; len++) {
        sprintf(text, "{\"prompt\":\"%s\"}", letters(len, 2));
        sprintf(longer, "{\"prompt\":\"%s more\",\"max_tokens\":1}", letters(len, 2));
        struct prefix_chain chain = make(REQUEST_COMPLETION, text);
        size_t count = chain.count;
        assert_int_equal(count, (len + 1) / PREFIX_BLOCK_BYTES);
        assert_int_equal(shared(chain, make(REQUEST_COMPLETION, longer)), count);
    }
    size_t at = (size_t)sprintf(text, "{\"prompt\":[1");
    for (int i = 0; i < 1000; i++)
        at += (size_t)sprintf(text + at, ",%d", i * 37);
    sprintf(longer, "%s , 7]}", text);
    strcpy(text + at, "]}");
    struct prefix_chain chain = make(REQUEST_COMPLETION, text);
    size_t count = chain.count;
    assert_true(count >= 3);
    assert_int_equal(shared(chain, make(REQUEST_COMPLETION, longer)), count);
}

static char *infill_of(
        const char *extra, const char *before, const char *prompt, const char *behind)
{
    char *text = malloc(TEXT_MAX);
    assert_non_null(text);
    sprintf(text,
            "{\"input_suffix\":\"%s\",\"prompt\":\"%s\",\"input_prefix\":\"%s\",\"n_predict\":9,"
            "\"input_extra\":[{\"text\":\"%s\",\"filename\":\"a.c\"}]}",
            behind, prompt, before, extra);
    return text;
}

static void infill_is_other_files_then_what_is_before_the_cursor(void **state)
{
    (void)state;
    const char *extra = letters(TURN, 1), *before = letters(TURN, 2);
    char *first = infill_of(extra, before, "", "}"),
         *typed = infill_of(extra, before, "int x", letters(TURN, 3)),
         *moved = infill_of(extra, letters(TURN, 4), "", "}");
    struct prefix_chain chain = make(REQUEST_INFILL, first);
    size_t count = chain.count;
    assert_in_range(count, 2 * TURN / PREFIX_BLOCK_BYTES, 2 * TURN / PREFIX_BLOCK_BYTES + 1);
    assert_int_equal(shared(chain, make(REQUEST_INFILL, typed)), count);
    assert_int_equal(shared(make(REQUEST_INFILL, first), make(REQUEST_INFILL, moved)),
            TURN / PREFIX_BLOCK_BYTES);
    free(first);
    free(typed);
    free(moved);
}

/* Moving a border between two parts is another prompt. */
static void parts_do_not_run_into_each_other(void **state)
{
    (void)state;
    const char *text = letters(2 * TURN, 1);
    char half[2 * TURN];
    snprintf(half, sizeof(half), "%.*s", 1500, text);
    char *first = infill_of("", half, "", text + 1500);
    snprintf(half, sizeof(half), "%.*s", 1600, text);
    char *second = infill_of("", half, "", text + 1600);
    assert_int_equal(shared(make(REQUEST_INFILL, first), make(REQUEST_INFILL, second)), 1);
    free(first);
    free(second);
}

static void kinds_without_a_cache_have_bytes_only(void **state)
{
    static const struct {
        enum request_kind kind;
        const char *form;
    } kinds[] = {
            {REQUEST_EMBEDDINGS, "{\"input\":[\"$\"]}"},
            {REQUEST_EMBEDDINGS, "{\"input\":\"$\"}"},
            {REQUEST_RERANK, "{\"query\":\"q\",\"documents\":[\"$\"]}"},
            {REQUEST_TOKENIZE, "{\"content\":\"$\"}"},
            {REQUEST_TEMPLATE, "{\"messages\":[{\"content\":\"$\"}]}"},
            {REQUEST_COUNT, "{\"messages\":[{\"content\":\"$\"}]}"},
            {REQUEST_DETOKENIZE, "{\"tokens\":[\"$\"]}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        struct prefix_chain chain =
                make(kinds[i].kind, filled(kinds[i].form, letters(5000, 1), ""));
        assert_int_equal(chain.count, 0);
        assert_in_range(chain.bytes, 5000, 5100);
    }
    struct prefix_chain chain = make(REQUEST_TRANSCRIPTION,
            filled("{\"file\":{\"data\":\"$\",\"name\":\"a.wav\"}}", letters(100000, 1), ""));
    assert_in_range(chain.bytes, PREFIX_IMAGE_BYTES, PREFIX_IMAGE_BYTES + 60);
}

/* --- pictures */

static const char picture_form[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"see\"},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,$\"}},"
        "{\"type\":\"text\",\"text\":\"#\"}]}]}";
static const char recording_form[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":{"
        "\"data\":\"$\",\"format\":\"wav\"}},{\"type\":\"text\",\"text\":\"#\"}]}]}";

static struct prefix_chain make_media(const char *form, const char *data, const char *words)
{
    return make(REQUEST_CHAT, filled(form, data, words));
}

static void a_picture_counts_the_same_whatever_its_size(void **state)
{
    static const char *const forms[] = {picture_form, recording_form};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const char *words = letters(2000, 1);
        struct prefix_chain small = make_media(forms[i], "QUJD", words),
                            large = make_media(forms[i], letters(TEXT_MAX - 1, 3), words);
        assert_int_equal(small.bytes, large.bytes);
        assert_int_equal(small.count, large.count);
        assert_in_range(small.bytes, PREFIX_IMAGE_BYTES + 2000, PREFIX_IMAGE_BYTES + 2300);
        assert_int_equal(shared(small, large), 0);
        assert_int_equal(shared(make_media(forms[i], letters(5000, 3), words),
                                 make_media(forms[i], letters(5000, 3), "other words")),
                PREFIX_IMAGE_BYTES / PREFIX_BLOCK_BYTES);
    }
}

static void a_text_that_looks_like_a_picture_is_a_text(void **state)
{
    static const char *const forms[] = {
            "{\"messages\":[{\"role\":\"user\",\"content\":\"data:image/png;base64,$\"}]}",
            "{\"messages\":[{\"url\":\"http://example.org/$\"}]}",
            "{\"messages\":[{\"content\":{\"data\":\"$\"}}]}",
            "{\"messages\":[{\"input_audio\":{\"format\":\"$\"}}]}",
            "{\"messages\":[{\"input_audio\":{\"format\":{\"data\":\"$\"}}}]}",
            "{\"messages\":[{\"input_audio\":{\"format\":1},\"data\":\"$\"}]}",
            "{\"messages\":[{\"urls\":[\"url\",\"data:$\"]}]}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        struct prefix_chain chain = make_media(forms[i], letters(100000, 1), "");
        assert_in_range(chain.bytes, 100000, 100100);
        assert_int_equal(chain.count, chain.bytes / PREFIX_BLOCK_BYTES);
        prefix_chain_fini(&chain);
    }
}

/* --- bad bodies and limits */

static void a_body_of_another_shape_gives_nothing(void **state)
{
    static const char *const chats[] = {"", " ", "[]", "{}", "null", "\"messages\"", "{",
            "{\"messages\":", "{\"messages\":[", "{\"messages\":[}", "{\"messages\":\"x\"}",
            "{\"messages\":{}}", "{\"messages\":null}", "{\"messages\" []}", "{messages:[]}",
            "{\"tools\":[]}", "{\"a\":{\"messages\":[]}}", "{\"messages\":[]", "{\"messages\":]}",
            "{\"messages\":[\"\\x\"]}", "{\"messages\":[{\"role\":\"user\"}", "{1:[]}",
            "{\"messages\":[],\"x\":}"};
    (void)state;
    for (size_t i = 0; i < sizeof(chats) / sizeof(*chats); i++)
        is_empty(REQUEST_CHAT, chats[i]);
    is_empty(REQUEST_COMPLETION, "{\"prompt\":{\"a\":1}}");
    is_empty(REQUEST_COMPLETION, "{\"prompt\":7}");
    is_empty(REQUEST_COMPLETION, "{\"messages\":[]}");
    is_empty(REQUEST_INFILL, "{\"prompt\":\"x\",\"input_suffix\":\"y\"}");
    is_empty(REQUEST_INFILL, "{\"input_prefix\":[]}");
    is_empty(REQUEST_TRANSCRIPTION, "{\"file\":\"x\"}");
}

static void an_empty_conversation_has_no_block(void **state)
{
    (void)state;
    struct prefix_chain chain = make(REQUEST_CHAT, "{\"messages\":[]}");
    assert_int_equal(chain.count, 0);
    assert_in_range(chain.bytes, 1, 10);
}

static void there_is_a_limit_of_blocks(void **state)
{
    enum { LONG = (PREFIX_CHAIN_MAX + 2) * PREFIX_BLOCK_BYTES };
    (void)state;
    char *text = malloc(LONG + 100);
    assert_non_null(text);
    size_t at = (size_t)sprintf(text, "{\"prompt\":\"");
    memset(text + at, 'x', LONG);
    strcpy(text + at + LONG, "\"}");
    struct prefix_chain chain = make(REQUEST_COMPLETION, text);
    assert_int_equal(chain.count, PREFIX_CHAIN_MAX);
    assert_int_equal(chain.bytes, LONG + 1);
    for (size_t i = 1; i < chain.count; i++)
        assert_true(chain.hashes[i] != chain.hashes[i - 1]);
    prefix_chain_fini(&chain);
    free(text);
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    char *text = chat_of(60, "", "");
    size_t failures = 0;
    for (bool failed = true; failed; failures += failed) {
        struct prefix_chain chain = {.count = 77};
        short_memory_begin(failures);
        int r = prefix_chain_make(REQUEST_CHAT, text, strlen(text), "me", SEED, &chain);
        failed = short_memory_end();
        assert_int_equal(r, failed ? -ENOMEM : 0);
        if (failed)
            assert_int_equal(chain.count, 77);
        else
            prefix_chain_fini(&chain);
    }
    assert_int_equal(failures, 3);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(blocks_are_of_the_prompt_and_the_rest_of_the_body_does_not_count),
            cmocka_unit_test(an_appended_message_leaves_all_blocks_as_they_were),
            cmocka_unit_test(the_opening_ends_with_the_first_message_of_the_user),
            cmocka_unit_test(keystrokes_of_a_line_have_one_opening),
            cmocka_unit_test(files_with_the_same_others_before_them_have_one_opening),
            cmocka_unit_test(no_bracket_enters_a_block),
            cmocka_unit_test(a_change_changes_its_block_and_all_behind_it),
            cmocka_unit_test(blanks_between_tokens_do_not_count),
            cmocka_unit_test(tools_come_first_wherever_they_stand),
            cmocka_unit_test(tenants_share_nothing),
            cmocka_unit_test(nobody_knows_a_hash_without_the_seed),
            cmocka_unit_test(a_prompt_may_be_a_text_or_a_list),
            cmocka_unit_test(infill_is_other_files_then_what_is_before_the_cursor),
            cmocka_unit_test(parts_do_not_run_into_each_other),
            cmocka_unit_test(kinds_without_a_cache_have_bytes_only),
            cmocka_unit_test(a_picture_counts_the_same_whatever_its_size),
            cmocka_unit_test(a_text_that_looks_like_a_picture_is_a_text),
            cmocka_unit_test(a_body_of_another_shape_gives_nothing),
            cmocka_unit_test(an_empty_conversation_has_no_block),
            cmocka_unit_test(there_is_a_limit_of_blocks),
            cmocka_unit_test(each_allocation_fails_once),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("prefix_chain", tests, NULL, NULL);
}

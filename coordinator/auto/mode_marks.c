#include "coordinator/auto/mode_marks.h"

#include "common/json/json.h"
#include "common/number.h"
#include "coordinator/auto/chat_texts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum place { MARK_HEADER, MARK_USER, MARK_SYSTEM };
enum how {
    ANYWHERE,
    OPENS_LINE, /* … behind spaces */
    OPENS_TEXT, /* it is how the text begins, behind spaces */
};

struct known_mark {
    const char *editor;
    enum place place;
    const char *where; /* the header's name; else the tag of the block that it stands in, NULL: any
                          place of the text */
    enum how how;
    const char *text; /* of the mark; "" in a header: its being there is the mark */
    const char *word; /* what it says; NULL: what stands behind the text, up to what no word has */
};

/* Of the user's message that mark counts which stands last, of the others the first of the table.
 * Beside the conversation: */
static const struct known_mark beside[] = {
        {"Codex", MARK_HEADER, "x-codex-turn-metadata", ANYWHERE, "\"request_kind\":\"compaction\"",
                "compaction"},
        {"Kilo Code", MARK_HEADER, "x-session-id", OPENS_TEXT, "title-", "title"},
        {"Kilo Code", MARK_HEADER, "x-session-affinity", OPENS_TEXT, "title-", "title"},
        {"opencode", MARK_SYSTEM, NULL, OPENS_TEXT, "You are a title generator.", "title"},
        {"opencode", MARK_SYSTEM, NULL, OPENS_TEXT, "You are a context summarization agent.",
                "compaction"},
        {"Codex", MARK_USER, NULL, OPENS_LINE, "You are performing a CONTEXT CHECKPOINT COMPACTION",
                "compaction"},
        {"Claude Code", MARK_USER, NULL, OPENS_LINE,
                "Your task is to create a detailed summary of the conversation so far",
                "compaction"},
        {"Zed", MARK_USER, NULL, OPENS_LINE, "Generate a concise 3-7 word title for this", "title"},
        {"Open WebUI", MARK_USER, NULL, OPENS_TEXT, "### Task:\nGenerate a concise, 3-5 word title",
                "title"},
        {"Open WebUI", MARK_USER, NULL, OPENS_TEXT, "### Task:\nGenerate 1-3 broad tags", "title"},
};

/* The mode of the conversation: */
static const struct known_mark modes[] = {
        {"Kilo Code", MARK_HEADER, "x-kilocode-mode", OPENS_TEXT, "", NULL},
        {"Roo Code", MARK_USER, "environment_details", OPENS_LINE, "# Current Mode\n<slug>", NULL},
        {"Cline", MARK_USER, "environment_details", OPENS_LINE, "# Current Mode\nPLAN MODE",
                "plan"},
        {"Cline", MARK_USER, "environment_details", OPENS_LINE, "# Current Mode\nACT MODE", "act"},
        {"Cline", MARK_USER, NULL, OPENS_LINE, "<user_input mode=\"", NULL},
        {"opencode", MARK_USER, "system-reminder", OPENS_LINE, "# Plan Mode - System Reminder",
                "plan"},
        {"opencode", MARK_USER, "system-reminder", OPENS_LINE,
                "Your operational mode has changed from plan to ", NULL},
        {"Kilo Code", MARK_USER, "system-reminder", OPENS_LINE, "# Native Plan Mode", "plan"},
        {"Claude Code", MARK_USER, "system-reminder", OPENS_LINE, "Plan mode is active", "plan"},
        {"Claude Code", MARK_USER, "system-reminder", OPENS_LINE, "Plan mode still active", "plan"},
        {"Claude Code", MARK_USER, "system-reminder", OPENS_LINE, "You have exited plan mode",
                "act"},
        /* A message of the system in mid-conversation stands in the user's turn, without a tag. */
        {"Claude Code", MARK_USER, NULL, OPENS_LINE,
                "Plan mode is active. The user indicated that they do not want you to execute yet",
                "plan"},

        {"Cline", MARK_SYSTEM, NULL, OPENS_LINE, "# Plan Mode\n", "plan"},
        {"Cline", MARK_SYSTEM, NULL, OPENS_LINE, "# Plan / Act Modes", "act"},
        {"opencode", MARK_SYSTEM, NULL, OPENS_LINE, "# Plan Mode - System Reminder", "plan"},
        {"Kilo Code", MARK_SYSTEM, NULL, OPENS_LINE, "# Native Plan Mode", "plan"},
        {"Kilo Code", MARK_SYSTEM, NULL, OPENS_LINE, "You are in Ask mode", "ask"},
        {"Continue", MARK_SYSTEM, "important_rules", OPENS_LINE, "You are in chat mode", "chat"},
        {"Continue", MARK_SYSTEM, "important_rules", OPENS_LINE, "You are in agent mode", "agent"},
        {"Continue", MARK_SYSTEM, "important_rules", OPENS_LINE, "You are in plan mode", "plan"},
        {"Continue", MARK_SYSTEM, NULL, OPENS_LINE, "<context name=\"planMode\">", "plan"},
        {"Claude Code", MARK_SYSTEM, NULL, OPENS_LINE, "Plan mode is active", "plan"},
        {"Aider", MARK_SYSTEM, NULL, OPENS_TEXT, "Act as an expert architect engineer",
                "architect"},
        {"Aider", MARK_SYSTEM, NULL, OPENS_TEXT, "Act as an expert software developer", "code"},
        {"Aider", MARK_SYSTEM, NULL, OPENS_TEXT, "Act as an expert code analyst", "ask"},

        {"Claude Code", MARK_HEADER, "x-claude-code-agent-id", ANYWHERE, "", "subagent"},
};

struct piece {
    const char *at, *end;
};

/* --- what is looked at of a message --- */

struct text {
    const char *at;
    size_t len;
    size_t offset; /* within the message */
};

struct texts { /* of one message: the first ones in order, the last ones behind them as in a ring */
    struct text at[MODE_MARKS_TEXTS_MAX];
    size_t seen;  /* of all that there are */
    size_t bytes; /* … and theirs */
};

static void gather(void *ctx, const char *text, size_t len)
{
    enum { HALF = MODE_MARKS_TEXTS_MAX / 2 };
    struct texts *texts = ctx;
    size_t place = texts->seen < HALF ? texts->seen : HALF + (texts->seen - HALF) % HALF;
    texts->at[place] = (struct text){.at = text, .len = len, .offset = texts->bytes};
    texts->seen++;
    texts->bytes += len;
}

static struct texts texts_of(const cJSON *message)
{
    struct texts texts = {.seen = 0};
    chat_each_text(message, gather, &texts);
    return texts;
}

static size_t kept(const struct texts *texts)
{
    return texts->seen < MODE_MARKS_TEXTS_MAX ? texts->seen : MODE_MARKS_TEXTS_MAX;
}

/* What of the text lies in the first half of what is looked at, and what in the last. */
static void cut(const struct texts *texts, const struct text *text, struct piece ret_pieces[2])
{
    size_t half = MODE_MARKS_SCAN_MAX / 2, end = text->offset + text->len;
    size_t from = texts->bytes > MODE_MARKS_SCAN_MAX ? texts->bytes - half : 0;
    size_t head = from && text->offset < half ? number_lesser(text->len, half - text->offset) : 0;
    size_t tail = end > from ? number_lesser(text->len, end - from) : 0;
    ret_pieces[0] = (struct piece){text->at, text->at + head};
    ret_pieces[1] = (struct piece){text->at + text->len - tail, text->at + text->len};
}

struct search { /* for one mark in one message */
    const struct known_mark *mark;
    size_t offset; /* of the text that is looked at, within the message */
    bool found;
    size_t found_at; /* offset of the last one that fits */
    struct mode_mark says;
};

/* --- one mark in one text --- */

static const char *find_in(struct piece piece, const char *text)
{
    return memmem(piece.at, (size_t)(piece.end - piece.at), text, strlen(text));
}

static bool is_blank(char c, enum how how)
{
    return c == ' ' || c == '\t' || (how == OPENS_TEXT && (c == '\n' || c == '\r'));
}

static bool stands_right(const struct known_mark *mark, const char *text, const char *at)
{
    if (mark->how == ANYWHERE)
        return true;
    while (at > text && is_blank(at[-1], mark->how))
        at--;
    return at == text || (mark->how == OPENS_LINE && at[-1] == '\n');
}

static size_t word_len(struct piece piece)
{
    const char *at = piece.at;
    while (at < piece.end && (isalnum((unsigned char)*at) || *at == '-' || *at == '_'))
        at++;
    return (size_t)(at - piece.at);
}

/* False where what stands behind the mark is no word. */
static bool take_word(
        const struct known_mark *mark, struct piece behind, struct mode_mark *ret_mark)
{
    const char *word = mark->word ? mark->word : behind.at;
    size_t len = mark->word ? strlen(mark->word) : word_len(behind);
    if (len == 0 || len > MODE_MARK_WORD_MAX)
        return false;
    *ret_mark = (struct mode_mark){.editor = mark->editor};
    for (size_t i = 0; i < len; i++)
        ret_mark->word[i] = (char)tolower((unsigned char)word[i]);
    return true;
}

/* In a piece of `text`, which begins it or lies within. */
static void search_piece(struct search *search, const char *text, struct piece piece)
{
    const struct known_mark *mark = search->mark;
    const char *at;
    for (; piece.at <= piece.end && (at = find_in(piece, mark->text)); piece.at = at + 1) {
        struct piece behind = {at + strlen(mark->text), piece.end};
        size_t found_at = search->offset + (size_t)(at - text);
        bool is_past = search->found && found_at < search->found_at;
        if (is_past || !stands_right(mark, text, at) || !take_word(mark, behind, &search->says))
            continue;
        search->found = true;
        search->found_at = found_at;
    }
}

/* In each block of the mark's tag; one that does not end goes on to the end of the piece. */
static void search_blocks(struct search *search, const char *text, struct piece piece)
{
    char open[MODE_MARK_WORD_MAX], close[MODE_MARK_WORD_MAX];
    (void)snprintf(open, sizeof(open), "<%s>", search->mark->where);
    (void)snprintf(close, sizeof(close), "</%s>", search->mark->where);
    while ((piece.at = find_in(piece, open))) {
        const char *end = find_in(piece, close);
        search_piece(search, text, (struct piece){piece.at, end ? end : piece.end});
        if (!end)
            return;
        piece.at = end;
    }
}

static struct search search_texts(const struct known_mark *mark, const struct texts *texts)
{
    struct search search = {.mark = mark};
    for (size_t i = 0; i < kept(texts); i++) {
        struct piece pieces[2];
        search.offset = texts->at[i].offset;
        cut(texts, &texts->at[i], pieces);
        for (size_t p = 0; p < 2; p++) {
            if (mark->where)
                search_blocks(&search, texts->at[i].at, pieces[p]);
            else
                search_piece(&search, texts->at[i].at, pieces[p]);
        }
    }
    return search;
}

static bool search_header(
        const struct known_mark *mark, const char *value, struct mode_mark *ret_mark)
{
    struct search search = {.mark = mark};
    if (value)
        search_piece(&search, value, (struct piece){value, value + strlen(value)});
    /* What is a word in the header is all of it. */
    bool whole = mark->word || !search.found || strlen(search.says.word) == strlen(value);
    if (search.found && whole)
        *ret_mark = search.says;
    return search.found && whole;
}

/* --- a table --- */

struct places {
    struct texts user, system;
    const char *(*header)(void *ctx, const char *name);
    void *ctx;
};

/* The mark in what the user said last that stands behind all others. */
static bool find_in_user(const struct known_mark *marks, size_t count, const struct places *places,
        struct mode_mark *ret_mark)
{
    bool found = false;
    size_t found_at = 0;
    for (size_t i = 0; i < count; i++) {
        if (marks[i].place != MARK_USER)
            continue;
        struct search search = search_texts(&marks[i], &places->user);
        if (!search.found || (found && search.found_at <= found_at))
            continue;
        found = true;
        found_at = search.found_at;
        *ret_mark = search.says;
    }
    return found;
}

static bool find_one(
        const struct known_mark *mark, const struct places *places, struct mode_mark *ret_mark)
{
    if (mark->place == MARK_HEADER)
        return search_header(mark, places->header(places->ctx, mark->where), ret_mark);
    if (mark->place == MARK_USER)
        return false;
    struct search search = search_texts(mark, &places->system);
    if (search.found)
        *ret_mark = search.says;
    return search.found;
}

static bool find_first(const struct known_mark *marks, size_t count, const struct places *places,
        struct mode_mark *ret_mark)
{
    for (size_t i = 0; i < count; i++)
        if (find_one(&marks[i], places, ret_mark))
            return true;
    return false;
}

bool mode_marks_find(const cJSON *body, const char *(*header)(void *ctx, const char *name),
        void *ctx, struct mode_mark *ret_mark)
{
    const struct places places = {.user = texts_of(chat_latest_user(body)),
            .system = texts_of(chat_system(body)),
            .header = header,
            .ctx = ctx};
    return find_first(beside, LENGTH(beside), &places, ret_mark) ||
           find_in_user(beside, LENGTH(beside), &places, ret_mark) ||
           find_in_user(modes, LENGTH(modes), &places, ret_mark) ||
           find_first(modes, LENGTH(modes), &places, ret_mark);
}

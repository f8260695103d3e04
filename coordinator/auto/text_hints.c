#include "coordinator/auto/text_hints.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

struct line {
    const char *at;
    size_t len;
};

static bool begins(struct line line, const char *text)
{
    size_t len = strlen(text);
    return line.len >= len && memcmp(line.at, text, len) == 0;
}

static const char *find_in(struct line line, const char *text)
{
    return memmem(line.at, line.len, text, strlen(text));
}

static struct line trim(struct line line)
{
    while (line.len > 0 && isspace((unsigned char)line.at[0])) {
        line.at++;
        line.len--;
    }
    return line;
}

/* --- traces and diffs --- */

static bool is_trace(struct line line)
{
    static const struct {
        const char *begin, *within;
    } frames[] = {{"File \"", ", line "}, {"Traceback (", ""}, {"goroutine ", "["}, {"panic: ", ""},
            {"Caused by: ", ""}, {"Exception in thread ", ""}, {"thread '", "panicked"}};
    static const char *const words[] = {"Error: ", "ERROR", "FATAL",
            "Exception: ", "error: ", "Segmentation fault", "core dumped"};
    if (begins(line, "at ") && find_in(line, "(") && find_in(line, ":"))
        return true;
    if (line.len > 2 && line.at[0] == '#' && isdigit((unsigned char)line.at[1]))
        return find_in(line, " 0x") || find_in(line, " in ");
    for (size_t i = 0; i < LENGTH(frames); i++)
        if (begins(line, frames[i].begin) && find_in(line, frames[i].within))
            return true;
    for (size_t i = 0; i < LENGTH(words); i++)
        if (find_in(line, words[i]))
            return true;
    return false;
}

static bool is_diff(struct line line)
{
    return begins(line, "@@ -") || begins(line, "diff --git ") || begins(line, "*** Begin Patch");
}

/* --- names of files --- */

static bool is_source(const char *name, size_t len)
{
    static const char *const endings[] = {"c", "h", "cc", "cpp", "hpp", "cs", "css", "dart", "ex",
            "go", "html", "java", "js", "json", "jsx", "kt", "lua", "md", "php", "pl", "proto",
            "py", "rb", "rs", "scala", "sh", "sql", "svelte", "swift", "tf", "toml", "ts", "tsx",
            "vue", "xml", "yaml", "yml", "zig"};
    const char *dot = memrchr(name, '.', len);
    if (!dot || dot == name)
        return false;
    size_t ending = len - (size_t)(dot + 1 - name);
    for (size_t i = 0; i < LENGTH(endings); i++)
        if (strlen(endings[i]) == ending && memcmp(dot + 1, endings[i], ending) == 0)
            return true;
    return false;
}

/* FNV-1a, 64 bits. */
static uint64_t hash(const char *text, size_t len)
{
    uint64_t value = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < len; i++)
        value = (value ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
    return value;
}

static void count_file(struct text_hints *hints, const char *name, size_t len)
{
    uint64_t key = hash(name, len);
    for (uint32_t i = 0; i < hints->file_count; i++)
        if (hints->files[i] == key)
            return;
    if (hints->file_count < TEXT_HINTS_FILES_MAX)
        hints->files[hints->file_count++] = key;
}

static bool is_of_name(char c)
{
    return isalnum((unsigned char)c) || c == '.' || c == '/' || c == '_' || c == '-';
}

static void count_files(struct text_hints *hints, struct line line)
{
    for (size_t i = 0; i < line.len;) {
        size_t from = i;
        while (i < line.len && is_of_name(line.at[i]))
            i++;
        size_t len = i - from;
        while (len > 0 && line.at[from + len - 1] == '.') /* of a sentence */
            len--;
        if (is_source(line.at + from, len))
            count_file(hints, line.at + from, len);
        i += i == from;
    }
}

/* --- the user's own words --- */

static void keep_behind_head(struct text_hints *hints, const char *text, size_t len)
{
    for (size_t i = len > TEXT_HINTS_TAIL ? len - TEXT_HINTS_TAIL : 0; i < len; i++)
        hints->tail[(hints->tail_bytes + i) % TEXT_HINTS_TAIL] = text[i];
    hints->tail_bytes += len;
}

static void keep(struct text_hints *hints, const char *text, size_t len)
{
    size_t room = TEXT_HINTS_HEAD - hints->head_len;
    size_t size = len < room ? len : room;
    memcpy(hints->head + hints->head_len, text, size);
    hints->head_len += size;
    keep_behind_head(hints, text + size, len - size);
}

void text_hints_words(const struct text_hints *hints, char ret_words[TEXT_HINTS_WORDS_MAX + 1])
{
    uint64_t from = hints->tail_bytes > TEXT_HINTS_TAIL ? hints->tail_bytes - TEXT_HINTS_TAIL : 0;
    size_t len = hints->head_len;
    memcpy(ret_words, hints->head, len);
    for (uint64_t i = from; i < hints->tail_bytes; i++)
        ret_words[len++] = hints->tail[i % TEXT_HINTS_TAIL];
    ret_words[len] = '\0';
}

/* --- lines --- */

/* What editors put beside the user's words; each opens a line. */
static const struct {
    const char *open, *close;
} blocks[] = {{"<environment_details>", "</environment_details>"},
        {"<environment_context>", "</environment_context>"},
        {"<system-reminder>", "</system-reminder>"}, {"<mode_notice>", "</mode_notice>"},
        {"<skills_instructions>", "</skills_instructions>"}, {"<attachments>", "</attachments>"},
        {"<file_content", "</file_content>"}};

/* True where the line is the editor's. */
static bool is_in_block(struct text_hints *hints, struct line line)
{
    bool was_in = hints->block != NULL;
    for (size_t i = 0; !hints->block && i < LENGTH(blocks); i++)
        if (begins(line, blocks[i].open))
            hints->block = blocks[i].close;
    bool is_in = was_in || hints->block;
    if (hints->block && find_in(line, hints->block))
        hints->block = NULL;
    return is_in;
}

static bool is_fence(struct line line)
{
    return begins(line, "```") || begins(line, "~~~");
}

static void add_line(struct text_hints *hints, struct line whole)
{
    struct line line = trim(whole);
    if (line.len == 0)
        return;
    if (!hints->in_fence && is_in_block(hints, line))
        return;
    if (is_fence(line)) {
        hints->in_fence = !hints->in_fence;
        hints->fences += hints->in_fence;
        count_files(hints, line);
        return;
    }
    hints->diff_hunks += is_diff(line);
    hints->trace_lines += is_trace(line);
    if (hints->in_fence)
        return;
    count_files(hints, line);
    keep(hints, whole.at, whole.len);
    keep(hints, "\n", 1);
}

void text_hints_init(struct text_hints *hints)
{
    *hints = (struct text_hints){.fences = 0};
}

void text_hints_add(struct text_hints *hints, const char *text, size_t len)
{
    size_t left = TEXT_HINTS_SCAN_MAX - hints->scanned;
    const char *end = text + (len < left ? len : left);
    hints->scanned += (size_t)(end - text);
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline ? newline : end;
        add_line(hints, (struct line){text, (size_t)(stop - text)});
        text = newline ? newline + 1 : end;
    }
    hints->in_fence = false;
    hints->block = NULL;
}

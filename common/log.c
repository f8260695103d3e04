#include "common/log.h"

#include "common/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {
        [LOG_LEVEL_ERROR] = "error",
        [LOG_LEVEL_WARN] = "warn",
        [LOG_LEVEL_INFO] = "info",
        [LOG_LEVEL_DEBUG] = "debug",
};
enum { LEVEL_COUNT = sizeof(level_names) / sizeof(level_names[0]) };

/* sd-daemon(3) */
static const char *const journal_prefixes[] = {
        [LOG_LEVEL_ERROR] = "<3>",
        [LOG_LEVEL_WARN] = "<4>",
        [LOG_LEVEL_INFO] = "<6>",
        [LOG_LEVEL_DEBUG] = "<7>",
};

static struct {
    const char *program;
    enum log_level max_level;
    bool to_journal;
} state = {.max_level = LOG_LEVEL_INFO};

static const char cut_mark[] = "…";

/* A piece that does not fit is left out whole, with all that follows it, so that a cut never splits
 * a character or an escape. There is always room for the mark of the cut and the newline. */
struct line {
    char data[LOG_LINE_MAX];
    size_t len;
    bool cut;
};

/* systemd.exec(5): JOURNAL_STREAM is "device:inode" of what it connected us to. A parent may have
 * redirected us since, with the variable still there. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    uintmax_t dev, ino;
    if (!stream || sscanf(stream, "%" SCNuMAX ":%" SCNuMAX, &dev, &ino) != 2)
        return false;
    return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void log_init(const char *program, enum log_level max_level)
{
    state.program = program;
    state.max_level = max_level;
    state.to_journal = stderr_is_journal();
}

int log_level_parse(const char *name, enum log_level *ret_level)
{
    for (unsigned i = 0; i < LEVEL_COUNT; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

bool log_enabled(enum log_level level)
{
    return level <= state.max_level;
}

static void put(struct line *line, const char *piece, size_t len)
{
    const size_t room = sizeof(line->data) - sizeof(cut_mark);
    if (line->cut || len > room - line->len) {
        line->cut = true;
        return;
    }
    memcpy(line->data + line->len, piece, len);
    line->len += len;
}

static void put_str(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* Length of the printable character at `text`; 0 for control characters (U+0080 to U+009F are some)
 * and for bytes that are not UTF-8: a terminal could act on them. */
static size_t printable_len(const char *text)
{
    unsigned char c = (unsigned char)text[0], next = (unsigned char)text[1];
    if (c < ' ' || c == 0x7f || (c == 0xc2 && next < 0xa0))
        return 0;
    return text_utf8_seq(text, strnlen(text, 4));
}

static void put_escape(struct line *line, char c)
{
    char escape[8];
    int len = snprintf(escape, sizeof(escape), "\\x%02x", (unsigned char)c);
    if (c == '\n')
        put_str(line, "\\n");
    else if (c == '\t')
        put_str(line, "\\t");
    else
        put(line, escape, (size_t)len);
}

static void put_escaped(struct line *line, const char *text)
{
    while (*text && !line->cut) {
        size_t len = printable_len(text);
        if (*text == '"' || *text == '\\')
            put(line, (const char[]){'\\', *text}, 2);
        else if (len)
            put(line, text, len);
        else
            put_escape(line, *text);
        text += len ? len : 1;
    }
}

static bool needs_quotes(const char *text)
{
    if (!*text)
        return true;
    while (*text) {
        size_t len = printable_len(text);
        if (len == 0 || strchr(" \"\\=", *text))
            return true;
        text += len;
    }
    return false;
}

static void put_value(struct line *line, const char *text)
{
    if (!needs_quotes(text)) {
        put_escaped(line, text);
        return;
    }
    put_str(line, "\"");
    put_escaped(line, text);
    put_str(line, "\"");
}

static void put_number(struct line *line, const struct log_field *field)
{
    char digits[32];
    if (field->type == LOG_TYPE_INT)
        (void)snprintf(digits, sizeof(digits), "%" PRId64, field->i64);
    else if (field->type == LOG_TYPE_UINT)
        (void)snprintf(digits, sizeof(digits), "%" PRIu64, field->u64);
    else
        (void)snprintf(digits, sizeof(digits), "%.6g", field->f64);
    put_str(line, digits);
}

static void put_field(struct line *line, const struct log_field *field)
{
    put_str(line, " ");
    put_str(line, field->key);
    put_str(line, "=");
    if (field->type != LOG_TYPE_STR)
        put_number(line, field);
    else if (field->str)
        put_value(line, field->str);
    else
        put_str(line, "-");
}

static void put_time(struct line *line)
{
    struct timespec now;
    struct tm utc;
    char text[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
    put(line, text, len);
    (void)snprintf(text, sizeof(text), ".%03dZ ", (int)(now.tv_nsec / 1000000));
    put_str(line, text);
}

static void write_line(struct line *line)
{
    if (line->cut) {
        memcpy(line->data + line->len, cut_mark, sizeof(cut_mark) - 1);
        line->len += sizeof(cut_mark) - 1;
    }
    line->data[line->len++] = '\n';

    /* A log that nobody can take is no reason to fail: what could be told, and to whom? */
    ssize_t n;
    do
        n = write(STDERR_FILENO, line->data, line->len);
    while (n < 0 && errno == EINTR);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    if (!log_enabled(level))
        return;

    int saved_errno = errno;
    struct line line = {.len = 0};
    if (state.to_journal)
        put_str(&line, journal_prefixes[level]);
    else
        put_time(&line);
    put_str(&line, level_names[level]);
    put_str(&line, " ");
    put_escaped(&line, event);
    if (state.program)
        put_field(&line, &LOG_S("prog", state.program));
    for (; fields->type != LOG_TYPE_END; fields++)
        put_field(&line, fields);
    write_line(&line);
    errno = saved_errno;
}

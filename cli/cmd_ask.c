#include "cli/answer.h"
#include "cli/cli.h"
#include "cli/terminal.h"
#include "common/json/json.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    ASK_TEXT_MAX = 16 * 1024 * 1024, /* bytes of a question */
    ASK_BODY_MAX = 2 * ASK_TEXT_MAX, /* its JSON, escapes included */
    ASK_READ_BYTES = 64 * 1024,
};

static const char dim_on[] = "\033[2m", dim_off[] = "\033[0m";
static const char header_prefix[] = "X-Modemesh-";

struct ask {
    FILE *out, *notes;
    struct answer *answer;
    bool show;      /* the coordinator's headers and comments go to `notes` */
    bool terminal;  /* `out` is one */
    bool smart;     /* and can dim */
    bool dimmed;    /* it does now */
    bool line_open; /* the last byte written was no newline */
};

static int write_out(struct ask *ask, const char *text, size_t len, struct err *err)
{
    if (len == 0)
        return 0;
    if (fwrite(text, 1, len, ask->out) != len || fflush(ask->out) != 0)
        return err_set(err, -errno, "cannot write to standard output: %s", strerror(errno));
    ask->line_open = text[len - 1] != '\n';
    return 0;
}

/* Reasoning ends with a line of its own, so that the answer begins on a fresh one. */
static int set_dimmed(struct ask *ask, bool dimmed, struct err *err)
{
    int rc = 0;

    if (ask->dimmed == dimmed)
        return 0;
    if (!dimmed && ask->line_open)
        rc = write_out(ask, "\n", 1, err);
    fputs(dimmed ? dim_on : dim_off, ask->out);
    ask->dimmed = dimmed;
    return rc;
}

static int on_text(void *ctx, enum answer_kind kind, char *text, size_t len, struct err *err)
{
    struct ask *ask = ctx;
    bool reasoning = kind == ANSWER_REASONING;
    int rc;

    if (reasoning && !ask->smart)
        return 0;
    if (ask->terminal)
        len = terminal_strip(text, len);
    rc = set_dimmed(ask, reasoning, err);
    return rc < 0 ? rc : write_out(ask, text, len, err);
}

static void on_header(void *ctx, const char *name, const char *value)
{
    const struct ask *ask = ctx;
    char line[1024];
    size_t len;

    if (!ask->show || strncasecmp(name, header_prefix, sizeof(header_prefix) - 1) != 0)
        return;
    snprintf(line, sizeof(line), "%s: %s", name, value);
    len = terminal_strip(line, strlen(line));
    fprintf(ask->notes, "%.*s\n", (int)len, line);
}

/* Of a stream that waits the headers cannot say who answers. */
static void on_comment(void *ctx, const char *text, size_t len)
{
    const struct ask *ask = ctx;
    char line[2048], shown[2048];

    snprintf(line, sizeof(line), "%.*s", len < sizeof(line) ? (int)len : (int)sizeof(line), text);
    fprintf(ask->notes, "%s\n", terminal_line(line, shown, sizeof(shown)));
}

static int on_body(void *ctx, const char *data, size_t len, struct err *err)
{
    const struct ask *ask = ctx;

    return answer_push(ask->answer, data, len, err);
}

static const struct client_events events = {.on_header = on_header, .on_body = on_body};

static int read_stdin(struct buf *text, struct err *err)
{
    for (;;) {
        void *room;
        ssize_t n;

        if (buf_reserve(text, ASK_READ_BYTES, &room) < 0)
            return err_set(err, -EFBIG, "a question of more than %d MiB", ASK_TEXT_MAX >> 20);
        n = read(STDIN_FILENO, room, ASK_READ_BYTES);
        if (n < 0 && errno != EINTR)
            return err_set(err, -errno, "cannot read the question from standard input: %s",
                    strerror(errno));
        if (n == 0)
            return 0;
        if (n > 0)
            buf_commit(text, (size_t)n);
    }
}

static int too_long(struct err *err)
{
    return err_set(err, -EFBIG, "a question of more than %d MiB", ASK_TEXT_MAX >> 20);
}

static int join_words(char *const *words, size_t count, struct buf *text, struct err *err)
{
    for (size_t i = 0; i < count; i++)
        if ((i && buf_append_str(text, " ") < 0) || buf_append_str(text, words[i]) < 0)
            return too_long(err);
    return 0;
}

static bool is_blank(const struct buf *text)
{
    size_t at = 0;

    while (at < text->len && isspace((unsigned char)buf_at(text)[at]))
        at++;
    return at == text->len;
}

static int nothing_to_ask(const char *why, struct err *err)
{
    return err_set(err, -EINVAL,
            "nothing to ask: %s; give TEXT as words, or on standard input ('modemesh help ask')",
            why);
}

/* The words, standard input, or the one above the other. */
static int read_question(const struct command_line *line, struct buf *text, struct err *err)
{
    size_t words = line->operand_count;
    bool dash = words && strcmp(line->operands[words - 1], "-") == 0;
    bool reads = dash || words == 0;
    int rc;

    if (words == 0 && isatty(STDIN_FILENO))
        return nothing_to_ask("no words, and standard input is a terminal", err);
    words -= dash;
    rc = join_words(line->operands, words, text, err);
    if (rc == 0 && dash && words && buf_append_str(text, "\n\n") < 0)
        rc = too_long(err);
    if (rc == 0 && reads)
        rc = read_stdin(text, err);
    if (rc == 0 && is_blank(text))
        return nothing_to_ask(
                reads ? "standard input is empty, or blank" : "the words are blank", err);
    return rc;
}

static int format_request(struct buf *body, const char *model, const struct buf *text)
{
    int rc = buf_append_str(body, "{\"model\":");

    if (rc == 0)
        rc = json_append_str(body, model, strlen(model));
    if (rc == 0)
        rc = buf_append_str(body, ",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":");
    if (rc == 0)
        rc = json_append_str(body, buf_at(text), text->len);
    if (rc == 0)
        rc = buf_append_str(body, "}]}");
    return rc;
}

static int choose_model(const struct command_line *line, const char **ret_model, struct err *err)
{
    const char *mode = command_value(line, "mode"), *model = command_value(line, "model");

    if (mode && model)
        return err_set(err, -EINVAL, "--mode and --model exclude each other");
    *ret_model = mode ? mode : model ? model : "auto";
    return 0;
}

static int make_request(const struct command_line *line, struct buf *body, struct err *err)
{
    const char *model = NULL;
    struct buf text;
    int rc = choose_model(line, &model, err);

    buf_init(&text, ASK_TEXT_MAX);
    if (rc == 0)
        rc = read_question(line, &text, err);
    if (rc == 0 && format_request(body, model, &text) < 0)
        rc = too_long(err);
    buf_fini(&text);
    return rc;
}

/* Leaves the terminal as it was found. An interrupted answer ends with a newline too. */
static void close_answer(struct ask *ask, int rc)
{
    (void)set_dimmed(ask, false, NULL);
    if (ask->line_open || rc == -EINTR)
        (void)write_out(ask, "\n", 1, NULL);
    if (rc == 0 && strcmp(answer_finish_reason(ask->answer), "length") == 0)
        fputs("modemesh: the answer was cut at its limit of tokens\n", ask->notes);
}

static int stream_answer(
        const struct cli *cli, struct ask *ask, const struct buf *body, struct err *err)
{
    int rc;

    ask->answer = answer_create(on_text, ask);
    if (!ask->answer)
        return err_set(err, -ENOMEM, "out of memory");
    if (ask->show)
        answer_tell_comments(ask->answer, on_comment);
    rc = client_post_stream(cli->client, "/v1/chat/completions", body, &events, ask, err);
    if (rc == 0)
        rc = answer_finish(ask->answer, err);
    close_answer(ask, rc);
    answer_destroy(ask->answer);
    return rc;
}

int cmd_ask(const struct cli *cli, const struct command_line *line, struct err *err)
{
    struct ask ask = {
            .out = cli->out,
            .notes = cli->notes,
            .show = command_has(line, "show"),
            .terminal = isatty(fileno(cli->out)),
            .smart = terminal_is_smart(cli->out),
    };
    struct buf body;
    int rc;

    buf_init(&body, ASK_BODY_MAX);
    rc = make_request(line, &body, err);
    if (rc == 0)
        rc = stream_answer(cli, &ask, &body, err);
    buf_fini(&body);
    return rc;
}

/* Commands of `modemesh` without a coordinator: one of canned answers behind a Unix socket, and a
 * terminal of strings before them. What should not fail fails the test. */
#pragma once

#include "cli/cli.h"
#include "tests/lib/scratch.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    CLI_BENCH_WORDS = 32,
    CLI_BENCH_ROUTES = 4,
    CLI_BENCH_ANSWERS = 4,
    CLI_BENCH_TEXT = 8 * 1024,
};

struct cli_bench_route {
    const char *request; /* "POST /mesh/v1/tokens" */
    int status;
    const char *answers[CLI_BENCH_ANSWERS]; /* one after the other; the last one stays */
    size_t count, at;
};

struct cli_bench {
    struct scratch scratch;
    struct toy_server *server;
    struct cli_bench_route routes[CLI_BENCH_ROUTES];
    char requests[CLI_BENCH_TEXT]; /* of the last command, a line each: method, path, body */

    bool interactive;
    const char *typed;
    unsigned interrupted_at; /* Ctrl-C comes with the request of that number; 0: never */
    unsigned request_count;  /* of the last command */
    char *out, *notes;       /* of the last command */
    char text[CLI_BENCH_TEXT], *argv[CLI_BENCH_WORDS];
    struct err err;
};

/* Setup and teardown of a cmocka test, whose state it is. */
int cli_bench_set_up(void **state);
int cli_bench_tear_down(void **state);

/* What the coordinator answers from now on; and what it answers after that. */
void cli_bench_answer(struct cli_bench *bench, const char *request, int status, const char *text);
void cli_bench_then(struct cli_bench *bench, const char *request, const char *text);

/* Runs `modemesh WORDS`, which are parted by blanks; the command's result. */
int cli_bench_run(struct cli_bench *bench, const char *words);
/* Fails where `part` is not in `text`. */
void cli_bench_assert_has(const char *text, const char *part);

/* The command line as one table: the same entries make the parser, the usage line and the help of
 * each command.
 *
 *     PROGRAM [global flags] COMMAND [flags] [operands]
 *
 * A command's name is one word or two ("nodes approve"). The entry of the first word alone
 * ("nodes") stands for its group: in the program's help, and as what runs where no second word
 * follows. Flags are `--name VALUE`, `--name=VALUE`, `--name`, `-l VALUE`, `-lVALUE` and `-l`;
 * global ones are understood behind the command too. `--` ends the flags, and a lone `-` is an
 * operand.
 * `--help` and `--version` are always known, also as `-h`. Tables are static const; everything that
 * is read stays in argv. Pure but for the printing functions. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
    COMMAND_GIVEN_MAX = 32, /* flags on one command line */
    COMMAND_NAMES_MAX = 64, /* commands of one program, flags that one command knows */
};

struct command_flag {
    const char *name;    /* "mode" for --mode; NULL ends the table */
    char letter;         /* 'm' for -m; 0: none */
    const char *metavar; /* "MODE" in help; NULL: the flag takes no value */
    const char *help;    /* one sentence */
};

struct command_line;
struct cli; /* what the program hands to its commands; opaque here */

/* 0, or a negative errno with the text for people in `err`. */
typedef int (*command_fn)(const struct cli *cli, const struct command_line *line, struct err *err);

struct command {
    const char *name;     /* one word, or two with a blank between; NULL ends the table */
    const char *operands; /* "[TEXT] [-]" in the usage line; "" for none */
    size_t operands_min, operands_max;
    const char *summary;              /* one line of the list of commands */
    const char *detail;               /* more paragraphs of the command's help; may be NULL */
    const char *examples;             /* lines at the end of it; may be NULL */
    const struct command_flag *flags; /* may be NULL */
    bool local;                       /* talks to nobody */
    bool admin;                       /* for whoever runs the mesh */
    command_fn run;
};

struct command_set {
    const char *program;
    const char *summary;
    const char *epilog;               /* below the list of commands, and below the help of each */
    const struct command_flag *flags; /* global ones; may be NULL */
    const struct command *commands;
};

struct command_given {
    const struct command_flag *flag;
    char *value; /* in argv; NULL where the flag takes none */
};

struct command_line {
    const struct command *command; /* NULL: none named */
    bool help, version;
    struct command_given given[COMMAND_GIVEN_MAX];
    size_t given_count;
    char **operands; /* in argv */
    size_t operand_count;
};

/* Reads argv[1 … argc). Operands are moved to the front of argv behind argv[0]; nothing is copied.
 * -EINVAL names the word, the nearest known one, and where to read more. A value is never quoted:
 * it may be a secret. With `help` or `version` found, a missing command or operand is no error. */
MUST_CHECK int command_parse(const struct command_set *set, int argc, char **argv,
        struct command_line *ret_line, struct err *err);

/* The last value given for the flag, "" for a flag that takes none, NULL where it was not given.
 * Borrowed. */
const char *command_value(const struct command_line *line, const char *flag);
bool command_has(const struct command_line *line, const char *flag);
/* Each value of a flag that takes one, in their order: the next at `*at`, which begins at 0; NULL
 * past the last. Borrowed. */
const char *command_next_value(const struct command_line *line, const char *flag, size_t *at);

/* The command whose name is the one or two `words`; NULL writes the error with the nearest known
 * name. */
const struct command *command_find(
        const struct command_set *set, char *const *words, size_t count, struct err *err);

/* Help of the program, or of `command` where it is not NULL; of a group with its commands. */
void command_print_help(const struct command_set *set, const struct command *command, FILE *out);

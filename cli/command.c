#include "cli/command.h"

#include "common/text.h"

#include <errno.h>
#include <string.h>

enum { HELP_COLUMN = 24 }; /* where the sentences of help begin */

static const struct command_flag builtin_flags[] = {
        {.name = "help", .letter = 'h', .help = "Show this help"},
        {.name = "version", .help = "Show the version"},
        {.name = NULL},
};

struct parser {
    const struct command_set *set;
    struct command_line *line;
    int argc, at;
    char **argv;
    struct err *err;
};

/* The last word of the command's name where it is the group's; `group` NULL is the program, whose
 * words are the names of one word. NULL where it is another's. */
static const char *word_in(const struct command *command, const struct command *group)
{
    size_t len;

    if (!group)
        return strchr(command->name, ' ') ? NULL : command->name;
    len = strlen(group->name);
    if (strncmp(command->name, group->name, len) != 0 || command->name[len] != ' ')
        return NULL;
    return command->name + len + 1;
}

static bool is_group(const struct command_set *set, const struct command *group)
{
    for (const struct command *command = set->commands; command->name; command++)
        if (word_in(command, group))
            return true;
    return false;
}

/* The three tables in which a flag may stand, in the order of search. */
static size_t flag_tables(const struct command_set *set, const struct command *command,
        const struct command_flag *ret_tables[3])
{
    size_t n = 0;

    if (command && command->flags)
        ret_tables[n++] = command->flags;
    if (set->flags)
        ret_tables[n++] = set->flags;
    ret_tables[n++] = builtin_flags;
    return n;
}

static bool flag_matches(const struct command_flag *flag, char letter, const char *name, size_t len)
{
    if (letter)
        return flag->letter == letter;
    return strlen(flag->name) == len && memcmp(flag->name, name, len) == 0;
}

static const struct command_flag *find_flag(
        const struct parser *parser, char letter, const char *name, size_t len)
{
    const struct command_flag *tables[3];
    size_t n = flag_tables(parser->set, parser->line->command, tables);

    for (size_t i = 0; i < n; i++)
        for (const struct command_flag *flag = tables[i]; flag->name; flag++)
            if (flag_matches(flag, letter, name, len))
                return flag;
    return NULL;
}

/* "; see 'modemesh help ask'": the way out of every mistake. */
static int refuse(
        struct parser *parser, const char *what, const char *word, int len, const char *nearest)
{
    const struct command *command = parser->line->command;

    return err_set(parser->err, -EINVAL, "%s '%.*s'%s%s%s; see '%s help%s%s'", what, len, word,
            nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'" : "",
            parser->set->program, command ? " " : "", command ? command->name : "");
}

static const char *nearest_flag(const struct parser *parser, const char *name)
{
    const struct command_flag *tables[3];
    const char *names[COMMAND_NAMES_MAX + 1] = {NULL};
    size_t n = flag_tables(parser->set, parser->line->command, tables);
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        for (const struct command_flag *flag = tables[i]; flag->name; flag++)
            if (count < COMMAND_NAMES_MAX)
                names[count++] = flag->name;
    return text_nearest(name, names);
}

static int unknown_flag(struct parser *parser, const char *word, const char *name, size_t len)
{
    const char *near = NULL;
    char bare[32], shown[40];

    if (len < sizeof(bare)) {
        memcpy(bare, name, len);
        bare[len] = '\0';
        near = nearest_flag(parser, bare);
    }
    if (near)
        snprintf(shown, sizeof(shown), "--%s", near);
    /* What follows '=' may be a secret. */
    return refuse(parser, "unknown flag", word, (int)(name + len - word), near ? shown : NULL);
}

static int note_flag(struct parser *parser, const struct command_flag *flag, char *value)
{
    struct command_line *line = parser->line;

    if (flag == &builtin_flags[0])
        line->help = true;
    else if (flag == &builtin_flags[1])
        line->version = true;
    else if (line->given_count < COMMAND_GIVEN_MAX)
        line->given[line->given_count++] = (struct command_given){.flag = flag, .value = value};
    else
        return err_set(parser->err, -EINVAL, "more than %d flags", COMMAND_GIVEN_MAX);
    return 0;
}

/* `inline_value` is what follows in the same word, NULL where nothing does. */
static int take_flag(struct parser *parser, const struct command_flag *flag, char *inline_value)
{
    if (!flag->metavar) {
        if (inline_value)
            return err_set(parser->err, -EINVAL, "--%s takes no value", flag->name);
        return note_flag(parser, flag, NULL);
    }
    if (!inline_value) {
        if (parser->at + 1 >= parser->argc)
            return err_set(parser->err, -EINVAL, "--%s needs a value: --%s %s", flag->name,
                    flag->name, flag->metavar);
        inline_value = parser->argv[++parser->at];
    }
    return note_flag(parser, flag, inline_value);
}

static int parse_long(struct parser *parser, char *word)
{
    char *name = word + 2;
    size_t len = strcspn(name, "=");
    const struct command_flag *flag = find_flag(parser, 0, name, len);

    if (!flag)
        return unknown_flag(parser, word, name, len);
    return take_flag(parser, flag, name[len] == '=' ? name + len + 1 : NULL);
}

static int parse_short(struct parser *parser, char *word)
{
    const struct command_flag *flag = find_flag(parser, word[1], NULL, 0);
    char *value = word + 2;

    if (!flag)
        return unknown_flag(parser, word, word + 1, strcspn(word + 1, "="));
    return take_flag(parser, flag, *value == '=' ? value + 1 : *value ? value : NULL);
}

/* Flags that stood between the two words of a name were looked up as the group's. */
static int check_flags_again(struct parser *parser)
{
    const struct command_line *line = parser->line;

    for (size_t i = 0; i < line->given_count; i++) {
        const char *name = line->given[i].flag->name;

        if (!find_flag(parser, 0, name, strlen(name)))
            return err_set(parser->err, -EINVAL, "'%s' knows no --%s; see '%s help %s'",
                    line->command->name, name, parser->set->program, line->command->name);
    }
    return 0;
}

static const struct command *find_in(const struct command_set *set, const struct command *group,
        const char *word, struct err *err)
{
    const char *names[COMMAND_NAMES_MAX + 1] = {NULL};
    const char *prefix = group ? group->name : "", *blank = group ? " " : "";
    const char *near;
    size_t count = 0;

    for (const struct command *command = set->commands; command->name; command++) {
        const char *own = word_in(command, group);

        if (own && strcmp(own, word) == 0)
            return command;
        if (own && count < COMMAND_NAMES_MAX)
            names[count++] = own;
    }
    near = text_nearest(word, names);
    if (near)
        (void)err_set(err, -EINVAL, "unknown command '%s%s%s'; did you mean '%s%s%s'?", prefix,
                blank, word, prefix, blank, near);
    else
        (void)err_set(err, -EINVAL, "unknown command '%s%s%s'; '%s help%s%s' lists them", prefix,
                blank, word, set->program, blank, prefix);
    return NULL;
}

static int take_name(struct parser *parser, const char *word)
{
    const struct command *group = parser->line->command;
    const struct command *command = find_in(parser->set, group, word, parser->err);

    if (!command)
        return -EINVAL;
    parser->line->command = command;
    return group ? check_flags_again(parser) : 0;
}

static int take_operand(struct parser *parser, char *word)
{
    struct command_line *line = parser->line;

    if (!line->command || is_group(parser->set, line->command))
        return take_name(parser, word);
    if (line->operand_count == line->command->operands_max)
        return refuse(parser, "unexpected word", word, (int)strlen(word), NULL);
    line->operands[line->operand_count++] = word;
    return 0;
}

static int parse_word(struct parser *parser, char *word, bool *flags_ended)
{
    if (*flags_ended || word[0] != '-' || word[1] == '\0')
        return take_operand(parser, word);
    if (word[1] != '-')
        return parse_short(parser, word);
    if (word[2] == '\0') {
        *flags_ended = true;
        return 0;
    }
    return parse_long(parser, word);
}

static int check_complete(
        const struct command_set *set, const struct command_line *line, struct err *err)
{
    const struct command *command = line->command;

    if (!command)
        return err_set(err, -EINVAL, "no command given; '%s help' lists them", set->program);
    if (line->operand_count < command->operands_min)
        return err_set(err, -EINVAL, "incomplete: %s %s %s; see '%s help %s'", set->program,
                command->name, command->operands, set->program, command->name);
    return 0;
}

int command_parse(const struct command_set *set, int argc, char **argv,
        struct command_line *ret_line, struct err *err)
{
    struct command_line line = {.operands = argv + 1};
    struct parser parser = {
            .set = set, .line = &line, .argc = argc, .at = 1, .argv = argv, .err = err};
    bool flags_ended = false;

    for (; parser.at < argc; parser.at++) {
        int rc = parse_word(&parser, argv[parser.at], &flags_ended);

        if (rc < 0)
            return rc;
    }
    if (!line.help && !line.version) {
        int rc = check_complete(set, &line, err);

        if (rc < 0)
            return rc;
    }
    *ret_line = line;
    return 0;
}

const char *command_value(const struct command_line *line, const char *flag)
{
    for (size_t i = line->given_count; i > 0; i--) {
        const struct command_given *given = &line->given[i - 1];

        if (strcmp(given->flag->name, flag) == 0)
            return given->value ? given->value : "";
    }
    return NULL;
}

bool command_has(const struct command_line *line, const char *flag)
{
    return command_value(line, flag) != NULL;
}

const char *command_next_value(const struct command_line *line, const char *flag, size_t *at)
{
    while (*at < line->given_count) {
        const struct command_given *given = &line->given[(*at)++];

        if (strcmp(given->flag->name, flag) == 0)
            return given->value;
    }
    return NULL;
}

const struct command *command_find(
        const struct command_set *set, char *const *words, size_t count, struct err *err)
{
    const struct command *command = find_in(set, NULL, words[0], err);

    return command && count > 1 ? find_in(set, command, words[1], err) : command;
}

static void print_flags(const char *title, const struct command_flag *flags, FILE *out)
{
    if (!flags || !flags->name)
        return;
    fprintf(out, "\n%s:\n", title);
    for (const struct command_flag *flag = flags; flag->name; flag++) {
        char left[64];

        if (flag->letter)
            snprintf(left, sizeof(left), "-%c, --%s %s", flag->letter, flag->name,
                    flag->metavar ? flag->metavar : "");
        else
            snprintf(left, sizeof(left), "    --%s %s", flag->name,
                    flag->metavar ? flag->metavar : "");
        fprintf(out, "  %-*s %s\n", HELP_COLUMN, left, flag->help);
    }
}

static void print_commands(const struct command_set *set, const struct command *group, FILE *out)
{
    fputs("\nCommands:\n", out);
    for (const struct command *command = set->commands; command->name; command++)
        if (word_in(command, group))
            fprintf(out, "  %-*s %s\n", HELP_COLUMN, command->name, command->summary);
}

static void print_command_help(
        const struct command_set *set, const struct command *command, FILE *out)
{
    fprintf(out, "usage: %s %s%s%s%s\n\n%s\n", set->program, command->name,
            command->flags ? " [flags]" : "", *command->operands ? " " : "", command->operands,
            command->summary);
    if (command->detail)
        fprintf(out, "\n%s\n", command->detail);
    if (is_group(set, command))
        print_commands(set, command, out);
    print_flags("Flags", command->flags, out);
    if (command->examples)
        fprintf(out, "\nExamples:\n%s\n", command->examples);
}

static void print_program_help(const struct command_set *set, FILE *out)
{
    fprintf(out, "usage: %s [flags] COMMAND …\n\n%s\n", set->program, set->summary);
    print_commands(set, NULL, out);
}

void command_print_help(const struct command_set *set, const struct command *command, FILE *out)
{
    if (command)
        print_command_help(set, command, out);
    else
        print_program_help(set, out);
    print_flags("Flags of every command", set->flags, out);
    print_flags(set->flags ? "Also" : "Flags", builtin_flags, out);
    if (set->epilog)
        fprintf(out, "\n%s\n", set->epilog);
}

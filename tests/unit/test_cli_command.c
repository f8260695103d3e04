#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 80 };

static int run_nothing(const struct cli *cli, const struct command_line *line, struct err *err)
{
    (void)cli;
    (void)line;
    (void)err;
    return 0;
}

static const struct command_flag global_flags[] = {
        {.name = "coordinator", .metavar = "URL", .help = "Where it is"},
        {.name = "key", .metavar = "KEY", .help = "Secret"},
        {.name = NULL},
};

static const struct command_flag ask_flags[] = {
        {.name = "mode", .letter = 'm', .metavar = "MODE", .help = "Who answers"},
        {.name = "show", .letter = 'v', .help = "Headers"},
        {.name = NULL},
};

static const struct command commands[] = {
        {.name = "status", .operands = "", .summary = "Shows the mesh", .run = run_nothing},
        {.name = "ask",
                .operands = "[TEXT]",
                .operands_max = 3,
                .summary = "Asks",
                .detail = "More words.",
                .examples = "  modemesh ask why",
                .flags = ask_flags,
                .run = run_nothing},
        {.name = NULL},
};

static const struct command_set set = {
        .program = "modemesh",
        .summary = "Talks.",
        .epilog = "Exit codes: 0 ok.",
        .flags = global_flags,
        .commands = commands,
};

struct parsed {
    char *argv[WORDS_MAX];
    struct command_line line;
    struct err err;
};

static int parse(struct parsed *parsed, int argc, const char *const *words)
{
    memset(parsed, 0, sizeof(*parsed));
    parsed->argv[0] = (char *)"modemesh";
    for (int i = 0; i < argc; i++)
        parsed->argv[i + 1] = (char *)words[i];
    return command_parse(&set, argc + 1, parsed->argv, &parsed->line, &parsed->err);
}

#define WORDS(...)                                                                                 \
    (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), (const char *[])                \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static void assert_refused(int rc, const struct parsed *parsed, const char *part)
{
    assert_int_equal(rc, -EINVAL);
    if (!strstr(parsed->err.text, part))
        fail_msg("\"%s\" does not say \"%s\"", parsed->err.text, part);
}

static void reads_flags_before_and_behind(void **state)
{
    struct parsed p;

    (void)state;
    assert_int_equal(parse(&p, WORDS("--key", "k1", "ask", "--mode=code", "what", "-v", "is",
                                       "--coordinator", "u")),
            0);
    assert_ptr_equal(p.line.command, &commands[1]);
    assert_string_equal(command_value(&p.line, "mode"), "code");
    assert_string_equal(command_value(&p.line, "key"), "k1");
    assert_string_equal(command_value(&p.line, "coordinator"), "u");
    assert_true(command_has(&p.line, "show"));
    assert_int_equal(p.line.operand_count, 2);
    assert_string_equal(p.line.operands[0], "what");
    assert_string_equal(p.line.operands[1], "is");
}

static void last_value_wins(void **state)
{
    struct parsed p;

    (void)state;
    assert_int_equal(parse(&p, WORDS("ask", "-m", "a", "--mode", "", "--mode=b=c")), 0);
    assert_string_equal(command_value(&p.line, "mode"), "b=c");
    assert_null(command_value(&p.line, "key"));
    assert_false(command_has(&p.line, "show"));
}

static void a_short_flag_takes_the_rest_of_its_word(void **state)
{
    struct parsed p;

    (void)state;
    assert_int_equal(parse(&p, WORDS("ask", "-mcode", "-v", "what")), 0);
    assert_string_equal(command_value(&p.line, "mode"), "code");
    assert_int_equal(p.line.operand_count, 1);
    assert_int_equal(parse(&p, WORDS("ask", "-m=code")), 0);
    assert_string_equal(command_value(&p.line, "mode"), "code");
    assert_refused(parse(&p, WORDS("ask", "-vmm_secret")), &p, "--show takes no value");
    assert_null(strstr(p.err.text, "mm_secret"));
    assert_refused(parse(&p, WORDS("ask", "-m")), &p, "--mode needs a value");
}

static void dash_and_what_follows_dashes_are_operands(void **state)
{
    struct parsed p;

    (void)state;
    assert_int_equal(parse(&p, WORDS("ask", "-", "--", "--mode", "--")), 0);
    assert_int_equal(p.line.operand_count, 3);
    assert_string_equal(p.line.operands[0], "-");
    assert_string_equal(p.line.operands[1], "--mode");
    assert_string_equal(p.line.operands[2], "--");
}

static void names_the_nearest(void **state)
{
    struct parsed p;

    (void)state;
    assert_refused(
            parse(&p, WORDS("stauts")), &p, "unknown command 'stauts'; did you mean 'status'?");
    assert_refused(parse(&p, WORDS("frobnicate")), &p, "'modemesh help' lists them");
    assert_refused(parse(&p, WORDS("ask", "--moed", "x")), &p,
            "'--moed'; did you mean '--mode'; see 'modemesh help ask'");
    assert_refused(
            parse(&p, WORDS("--cordinator", "x", "ask")), &p, "did you mean '--coordinator'");
    assert_refused(parse(&p, WORDS("ask", "-x")), &p, "unknown flag '-x'");
}

static void flags_belong_to_their_command(void **state)
{
    struct parsed p;

    (void)state;
    assert_refused(parse(&p, WORDS("status", "--mode", "x")), &p, "unknown flag '--mode'");
    assert_refused(parse(&p, WORDS("--mode", "x", "ask")), &p, "unknown flag '--mode'");
}

static void never_quotes_a_value(void **state)
{
    struct parsed p;

    (void)state;
    assert_refused(parse(&p, WORDS("--keys=mm_secret", "status")), &p, "did you mean '--key'");
    assert_null(strstr(p.err.text, "mm_secret"));
    assert_refused(parse(&p, WORDS("-k=mm_secret", "status")), &p, "unknown flag '-k'");
    assert_null(strstr(p.err.text, "mm_secret"));
    assert_refused(parse(&p, WORDS("ask", "--show=mm_secret")), &p, "--show takes no value");
    assert_null(strstr(p.err.text, "mm_secret"));
}

static void refuses_what_is_missing_or_too_much(void **state)
{
    struct parsed p;

    (void)state;
    assert_refused(parse(&p, 0, NULL), &p, "no command given");
    assert_refused(parse(&p, WORDS("--key")), &p, "--key needs a value: --key KEY");
    assert_refused(parse(&p, WORDS("status", "now")), &p, "unexpected word 'now'");
    assert_refused(parse(&p, WORDS("ask", "1", "2", "3", "4")), &p, "unexpected word '4'");
}

static void bounds_the_number_of_flags(void **state)
{
    const char *words[COMMAND_GIVEN_MAX + 2] = {"ask"};
    struct parsed p;

    (void)state;
    for (size_t i = 1; i < COMMAND_GIVEN_MAX + 2; i++)
        words[i] = "-v";
    assert_int_equal(parse(&p, COMMAND_GIVEN_MAX + 1, words), 0);
    assert_refused(parse(&p, COMMAND_GIVEN_MAX + 2, words), &p, "more than 32 flags");
}

static void output_is_untouched_on_failure(void **state)
{
    char *argv[] = {(char *)"modemesh", (char *)"nothing-like-it", NULL};
    struct command_line line = {.operand_count = 77};
    struct err err;

    (void)state;
    assert_int_equal(command_parse(&set, 2, argv, &line, &err), -EINVAL);
    assert_int_equal(line.operand_count, 77);
}

static void help_and_version_need_no_command(void **state)
{
    struct parsed p;

    (void)state;
    assert_int_equal(parse(&p, WORDS("--help")), 0);
    assert_true(p.line.help);
    assert_null(p.line.command);
    assert_int_equal(parse(&p, WORDS("ask", "-h")), 0);
    assert_true(p.line.help);
    assert_ptr_equal(p.line.command, &commands[1]);
    assert_int_equal(parse(&p, WORDS("--version")), 0);
    assert_true(p.line.version);
}

static char *help_of(const struct command *command)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    command_print_help(&set, command, out);
    fclose(out);
    return text;
}

static void help_comes_from_the_table(void **state)
{
    char *all = help_of(NULL), *ask = help_of(&commands[1]);

    (void)state;
    for (const struct command *command = commands; command->name; command++) {
        assert_non_null(strstr(all, command->name));
        assert_non_null(strstr(all, command->summary));
    }
    assert_non_null(strstr(all, "--coordinator URL"));
    assert_non_null(strstr(all, "Exit codes: 0 ok."));
    assert_null(strstr(all, "--mode"));
    assert_non_null(strstr(ask, "usage: modemesh ask [flags] [TEXT]"));
    assert_non_null(strstr(ask, "-m, --mode MODE"));
    assert_non_null(strstr(ask, "More words."));
    assert_non_null(strstr(ask, "\nExamples:\n  modemesh ask why\n"));
    assert_null(strstr(all, "Examples"));
    assert_non_null(strstr(ask, "--key KEY"));
    free(all);
    free(ask);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(reads_flags_before_and_behind),
            cmocka_unit_test(last_value_wins),
            cmocka_unit_test(a_short_flag_takes_the_rest_of_its_word),
            cmocka_unit_test(dash_and_what_follows_dashes_are_operands),
            cmocka_unit_test(names_the_nearest),
            cmocka_unit_test(flags_belong_to_their_command),
            cmocka_unit_test(never_quotes_a_value),
            cmocka_unit_test(refuses_what_is_missing_or_too_much),
            cmocka_unit_test(bounds_the_number_of_flags),
            cmocka_unit_test(output_is_untouched_on_failure),
            cmocka_unit_test(help_and_version_need_no_command),
            cmocka_unit_test(help_comes_from_the_table),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_command", tests, NULL, NULL);
}

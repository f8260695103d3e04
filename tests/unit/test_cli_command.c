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

static const struct command_flag list_flags[] = {
        {.name = "json", .help = "JSON"},
        {.name = NULL},
};

static const struct command_flag approve_flags[] = {
        {.name = "phrase", .metavar = "PHRASE", .help = "What it shows"},
        {.name = "address", .metavar = "HOST", .help = "Again and again"},
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
        {.name = "nodes",
                .operands = "[COMMAND]",
                .summary = "Who is in",
                .flags = list_flags,
                .run = run_nothing},
        {.name = "nodes list",
                .operands = "",
                .summary = "Shows who is in",
                .flags = list_flags,
                .run = run_nothing},
        {.name = "nodes approve",
                .operands = "NAME",
                .operands_min = 1,
                .operands_max = 1,
                .summary = "Lets it in",
                .flags = approve_flags,
                .run = run_nothing},
        {.name = "nodesplit", .operands = "", .summary = "Is no group's", .run = run_nothing},
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
        bool single = !strchr(command->name, ' ');

        assert_int_equal(strstr(all, command->name) != NULL, single);
        assert_int_equal(strstr(all, command->summary) != NULL, single);
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

static void help_of_a_group_lists_its_commands(void **state)
{
    char *group = help_of(&commands[2]), *approve = help_of(&commands[4]);

    (void)state;
    assert_non_null(strstr(group, "usage: modemesh nodes [flags] [COMMAND]\n"));
    assert_non_null(strstr(group, "\n  nodes list "));
    assert_non_null(strstr(group, "Lets it in\n"));
    assert_null(strstr(group, "nodesplit"));
    assert_null(strstr(group, "status"));
    assert_non_null(strstr(approve, "usage: modemesh nodes approve [flags] NAME\n"));
    assert_non_null(strstr(approve, "--phrase PHRASE"));
    assert_null(strstr(approve, "Commands:"));
    free(group);
    free(approve);
}

static void finds_commands_of_two_words(void **state)
{
    struct parsed p;

    (void)state;
    assert_int_equal(parse(&p, WORDS("nodes")), 0);
    assert_ptr_equal(p.line.command, &commands[2]);
    assert_int_equal(parse(&p, WORDS("nodes", "list", "--json")), 0);
    assert_ptr_equal(p.line.command, &commands[3]);
    assert_true(command_has(&p.line, "json"));
    assert_int_equal(parse(&p, WORDS("--key", "k", "nodes", "--coordinator=u", "approve", "halo1",
                                       "--phrase", "p")),
            0);
    assert_ptr_equal(p.line.command, &commands[4]);
    assert_int_equal(p.line.operand_count, 1);
    assert_string_equal(p.line.operands[0], "halo1");
    assert_string_equal(command_value(&p.line, "phrase"), "p");
    assert_string_equal(command_value(&p.line, "coordinator"), "u");
    assert_int_equal(parse(&p, WORDS("nodesplit")), 0);
    assert_ptr_equal(p.line.command, &commands[5]);
}

static void names_the_nearest_of_two_words(void **state)
{
    struct parsed p;

    (void)state;
    assert_refused(parse(&p, WORDS("ndoes", "approve", "x")), &p, "did you mean 'nodes'?");
    assert_refused(parse(&p, WORDS("nodes", "aprove", "x")), &p,
            "unknown command 'nodes aprove'; did you mean 'nodes approve'?");
    assert_refused(parse(&p, WORDS("nodes", "halo17")), &p, "'modemesh help nodes' lists them");
    assert_refused(parse(&p, WORDS("nodes", "split")), &p, "unknown command 'nodes split'");
    assert_refused(parse(&p, WORDS("nodes approve", "x")), &p, "unknown command 'nodes approve'");
    assert_refused(parse(&p, WORDS("nodes", "approve", "x", "--phrse", "y")), &p,
            "did you mean '--phrase'; see 'modemesh help nodes approve'");
}

static void flags_before_the_second_word_belong_to_it(void **state)
{
    struct parsed p;

    (void)state;
    assert_int_equal(parse(&p, WORDS("nodes", "--json", "list")), 0);
    assert_true(command_has(&p.line, "json"));
    assert_refused(parse(&p, WORDS("nodes", "--json", "approve", "x")), &p,
            "'nodes approve' knows no --json; see 'modemesh help nodes approve'");
}

static void operands_may_be_missing_only_for_help(void **state)
{
    struct parsed p;

    (void)state;
    assert_refused(parse(&p, WORDS("nodes", "approve")), &p,
            "modemesh nodes approve NAME; see 'modemesh help nodes approve'");
    assert_refused(parse(&p, WORDS("nodes", "approve", "a", "b")), &p, "unexpected word 'b'");
    assert_int_equal(parse(&p, WORDS("nodes", "approve", "--help")), 0);
    assert_true(p.line.help);
    assert_ptr_equal(p.line.command, &commands[4]);
}

static void gives_each_value(void **state)
{
    struct parsed p;
    size_t at = 0;

    (void)state;
    assert_int_equal(parse(&p, WORDS("nodes", "approve", "--address", "a", "--phrase=p", "x",
                                       "--address=b")),
            0);
    assert_string_equal(command_next_value(&p.line, "address", &at), "a");
    assert_string_equal(command_next_value(&p.line, "address", &at), "b");
    assert_null(command_next_value(&p.line, "address", &at));
    at = 0;
    assert_null(command_next_value(&p.line, "key", &at));
}

static void finds_by_words(void **state)
{
    char *two[] = {(char *)"nodes", (char *)"approve"}, *one[] = {(char *)"status", (char *)"x"};
    struct err err = {0};

    (void)state;
    assert_ptr_equal(command_find(&set, two, 1, &err), &commands[2]);
    assert_ptr_equal(command_find(&set, two, 2, &err), &commands[4]);
    assert_ptr_equal(command_find(&set, one, 1, &err), &commands[0]);
    assert_null(command_find(&set, one, 2, &err));
    assert_non_null(strstr(err.text, "unknown command 'status x'"));
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
            cmocka_unit_test(help_of_a_group_lists_its_commands),
            cmocka_unit_test(finds_commands_of_two_words),
            cmocka_unit_test(names_the_nearest_of_two_words),
            cmocka_unit_test(flags_before_the_second_word_belong_to_it),
            cmocka_unit_test(operands_may_be_missing_only_for_help),
            cmocka_unit_test(gives_each_value),
            cmocka_unit_test(finds_by_words),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_command", tests, NULL, NULL);
}

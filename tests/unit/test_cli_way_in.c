#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/way_in.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 16 };

static const char *const variables[] = {"MODEMESH_COORDINATOR", "MODEMESH_KEY", "MODEMESH_CA",
        "MODEMESH_COORDINATOR_STATE", "STATE_DIRECTORY"};

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        unsetenv(variables[i]);
    return 0;
}

struct chosen {
    char *argv[WORDS_MAX];
    struct command_line line;
    struct way_in way;
    struct err err;
};

/* `words` are parted by blanks; `text` holds them. */
static int choose(struct chosen *chosen, char *text)
{
    int argc = 0;

    memset(chosen, 0, sizeof(*chosen));
    chosen->argv[argc++] = (char *)"modemesh";
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        chosen->argv[argc++] = word;
    assert_int_equal(
            command_parse(&cli_commands, argc, chosen->argv, &chosen->line, &chosen->err), 0);
    return way_in_choose(&chosen->line, &chosen->way, &chosen->err);
}

static void assert_url(const char *words, const char *url, const char *key)
{
    struct chosen chosen;
    char text[256];

    assert_int_equal(choose(&chosen, strcpy(text, words)), 0);
    assert_null(chosen.way.config.socket);
    assert_string_equal(chosen.way.config.url, url);
    if (key)
        assert_string_equal(chosen.way.config.key, key);
    else
        assert_null(chosen.way.config.key);
}

static void assert_socket(const char *words, const char *path)
{
    struct chosen chosen;
    char text[256];

    assert_int_equal(choose(&chosen, strcpy(text, words)), 0);
    assert_non_null(chosen.way.config.socket);
    assert_string_equal(chosen.way.config.socket, path);
    assert_null(chosen.way.config.key);
}

static void flags_come_before_the_environment(void **state)
{
    (void)state;
    assert_url("status", "http://127.0.0.1:8420", NULL);
    setenv("MODEMESH_COORDINATOR", "https://box:1", 1);
    setenv("MODEMESH_KEY", "mm_env", 1);
    assert_url("status", "https://box:1", "mm_env");
    assert_url("--coordinator http://other --key mm_flag status", "http://other", "mm_flag");
    setenv("MODEMESH_COORDINATOR", "", 1);
    setenv("MODEMESH_KEY", "", 1);
    assert_url("status", "http://127.0.0.1:8420", NULL);
}

static void whoever_runs_the_mesh_takes_the_socket(void **state)
{
    (void)state;
    setenv("STATE_DIRECTORY", "/state", 1);
    assert_socket("nodes", "/state/admin.sock");
    assert_socket("token create", "/state/admin.sock");
    assert_socket("keys list", "/state/admin.sock");
    assert_socket("tls show", "/state/admin.sock");
    setenv("MODEMESH_COORDINATOR_STATE", "/variable", 1);
    assert_socket("nodes", "/variable/admin.sock");
    assert_socket("--state /flag nodes", "/flag/admin.sock");
}

static void a_state_directory_takes_every_command_to_the_socket(void **state)
{
    (void)state;
    setenv("STATE_DIRECTORY", "/service", 1);
    assert_url("status", "http://127.0.0.1:8420", NULL);
    setenv("MODEMESH_COORDINATOR_STATE", "/variable", 1);
    assert_socket("status", "/variable/admin.sock");
    assert_socket("ask hello", "/variable/admin.sock");
    assert_socket("setup zed", "/variable/admin.sock");
    assert_url("--coordinator https://box status", "https://box", NULL);
    assert_url("--key mm_k status", "http://127.0.0.1:8420", "mm_k");
    setenv("MODEMESH_COORDINATOR_STATE", "", 1);
    assert_url("status", "http://127.0.0.1:8420", NULL);
}

static void an_address_or_a_key_goes_through_the_network(void **state)
{
    (void)state;
    setenv("MODEMESH_COORDINATOR_STATE", "/variable", 1);
    assert_url("--coordinator https://box nodes", "https://box", NULL);
    assert_url("--key mm_k nodes", "http://127.0.0.1:8420", "mm_k");
    setenv("MODEMESH_KEY", "mm_env", 1);
    assert_url("nodes", "http://127.0.0.1:8420", "mm_env");
    setenv("MODEMESH_COORDINATOR", "https://box", 1);
    assert_url("nodes", "https://box", "mm_env");
    assert_socket("--state /flag nodes", "/flag/admin.sock");
    assert_socket("--state /flag status", "/flag/admin.sock");
}

static void state_excludes_address_and_key(void **state)
{
    struct chosen chosen;
    char one[] = "--state /s --coordinator http://x nodes", two[] = "--state /s nodes --key mm_k";

    (void)state;
    assert_int_equal(choose(&chosen, one), -EINVAL);
    assert_int_equal(choose(&chosen, two), -EINVAL);
    assert_non_null(strstr(chosen.err.text, "--state"));
    assert_null(strstr(chosen.err.text, "mm_k"));
}

static void takes_what_to_trust(void **state)
{
    struct chosen chosen;
    char one[] = "status", two[] = "--ca flag.pem status", three[] = "status";

    (void)state;
    assert_int_equal(choose(&chosen, one), 0);
    assert_null(chosen.way.config.ca);
    setenv("MODEMESH_CA", "env.pem", 1);
    assert_int_equal(choose(&chosen, two), 0);
    assert_string_equal(chosen.way.config.ca, "flag.pem");
    assert_int_equal(choose(&chosen, three), 0);
    assert_string_equal(chosen.way.config.ca, "env.pem");
}

/* The table of all commands keeps what command.h asks of it. */
static void the_table_is_whole(void **state)
{
    struct err err;

    (void)state;
    for (const struct command *command = cli_commands.commands; command->name; command++) {
        char words[64], *blank;
        char *pair[2] = {words, NULL};

        assert_non_null(command->run);
        assert_true(strlen(command->summary) <= 80);
        assert_true(command->operands_min <= command->operands_max);
        blank = strchr(strcpy(words, command->name), ' ');
        if (blank) {
            *blank = '\0';
            pair[1] = blank + 1;
            assert_non_null(command_find(&cli_commands, pair, 1, &err));
        }
        assert_ptr_equal(command_find(&cli_commands, pair, blank ? 2 : 1, &err), command);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(flags_come_before_the_environment, set_up),
            cmocka_unit_test_setup(whoever_runs_the_mesh_takes_the_socket, set_up),
            cmocka_unit_test_setup(a_state_directory_takes_every_command_to_the_socket, set_up),
            cmocka_unit_test_setup(an_address_or_a_key_goes_through_the_network, set_up),
            cmocka_unit_test_setup(state_excludes_address_and_key, set_up),
            cmocka_unit_test_setup(takes_what_to_trust, set_up),
            cmocka_unit_test(the_table_is_whole),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_way_in", tests, NULL, NULL);
}

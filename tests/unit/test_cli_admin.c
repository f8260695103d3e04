#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/admin.h"
#include "tests/lib/cli_bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PHRASE "dakor-lusab-fitom-ranuk-bizop"
#define OTHER  "bizop-dakor-lusab-fitom-ranuk"
#define KEY    "mm_0123456789abcdefghijklmnopqrstuvwxyzABCDEF-"
#define TOKEN  "mmj_AAECAwQF_-x"
#define PEM    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

static void pend(struct cli_bench *bench)
{
    cli_bench_answer(bench, "GET /mesh/v1/nodes", 200,
            "{\"pending\":[{\"key\":\"P1\",\"name\":\"halo1\",\"address\":\"10.0.0.2\","
            "\"phrase\":\"" PHRASE "\"},{\"key\":\"P2\",\"name\":\"\",\"address\":\"10.0.0.3\","
            "\"phrase\":\"" OTHER "\"}]}");
    cli_bench_answer(bench, "POST /mesh/v1/nodes/approve", 200,
            "{\"name\":\"halo1\",\"key\":\"P1\",\"phrase\":\"" PHRASE
            "\",\"address\":\"10.0.0.2\"}");
}

static void a_person_compares_and_approves(void **state)
{
    struct cli_bench *bench = *state;

    pend(bench);
    bench->interactive = true;
    bench->typed = "y\n";
    assert_int_equal(cli_bench_run(bench, "nodes approve halo1"), 0);
    assert_string_equal(bench->notes, "name     halo1\naddress  10.0.0.2\nphrase   " PHRASE
                                      "\nDoes the node show the same phrase? [y/N] ");
    assert_string_equal(bench->out, "halo1 is approved, and is in at its next try, in seconds.\n");
    assert_string_equal(bench->requests, "GET /mesh/v1/nodes \nPOST /mesh/v1/nodes/approve "
                                         "{\"node\":\"P1\",\"phrase\":\"" PHRASE "\"}\n");
    bench->typed = "YES\n";
    assert_int_equal(cli_bench_run(bench, "nodes approve 10.0.0.3 --name box --edge-only"), 0);
    cli_bench_assert_has(bench->requests,
            "{\"node\":\"P2\",\"phrase\":\"" OTHER "\",\"name\":\"box\",\"roles\":[\"edge\"]}");
}

static void anything_but_yes_approves_nothing(void **state)
{
    static const char *const typed[] = {"n\n", "\n", "", "yesterday\n", "no y\n"};
    struct cli_bench *bench = *state;

    pend(bench);
    bench->interactive = true;
    for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
        bench->typed = typed[i];
        assert_int_equal(cli_bench_run(bench, "nodes approve halo1"), -ECANCELED);
        assert_string_equal(bench->err.text, "nothing was approved");
        assert_string_equal(bench->out, "");
        assert_string_equal(bench->requests, "GET /mesh/v1/nodes \n");
    }
}

static void without_a_terminal_it_asks_nothing(void **state)
{
    struct cli_bench *bench = *state;

    pend(bench);
    bench->typed = "y\n";
    assert_int_equal(cli_bench_run(bench, "nodes approve halo1"), -EINVAL);
    cli_bench_assert_has(bench->err.text, "--phrase PHRASE");
    cli_bench_assert_has(bench->err.text, "--yes");
    assert_string_equal(bench->requests, "");
    assert_int_equal(cli_bench_run(bench, "nodes approve halo1 --yes"), 0);
    cli_bench_assert_has(bench->requests, "approve {\"node\":\"P1\"}\n");
    assert_int_equal(cli_bench_run(bench, "nodes approve halo1 --phrase " PHRASE " --no-edge"), 0);
    cli_bench_assert_has(bench->requests,
            "approve {\"node\":\"P1\",\"phrase\":\"" PHRASE "\",\"roles\":[\"node\"]}\n");
    assert_null(strstr(bench->notes, "[y/N]"));
    assert_int_equal(cli_bench_run(bench, "nodes approve halo1 --yes --phrase " PHRASE), -EINVAL);
    assert_int_equal(
            cli_bench_run(bench, "nodes approve halo1 --yes --no-edge --edge-only"), -EINVAL);
}

/* The coordinator compares: what was typed goes there as it is. */
static void a_wrong_phrase_is_the_coordinator_s_to_refuse(void **state)
{
    struct cli_bench *bench = *state;

    pend(bench);
    cli_bench_answer(bench, "POST /mesh/v1/nodes/approve", 409,
            "{\"error\":{\"message\":\"halo1 has another phrase\"}}");
    assert_int_equal(cli_bench_run(bench, "nodes approve 10.0.0.2 --phrase not-it"), -EREMOTEIO);
    assert_string_equal(bench->err.text, "halo1 has another phrase");
    cli_bench_assert_has(bench->requests, "\"phrase\":\"not-it\"");
    assert_string_equal(bench->out, "");
}

static void nobody_of_that_name_is_approved(void **state)
{
    struct cli_bench *bench = *state;

    pend(bench);
    assert_int_equal(cli_bench_run(bench, "nodes approve hallo1 --yes"), -ENOENT);
    cli_bench_assert_has(bench->err.text, "did you mean 'halo1'?");
    assert_string_equal(bench->requests, "GET /mesh/v1/nodes \n");
}

/* A stranger's name must not look like the phrase that is to be compared. */
static void foreign_words_stay_in_their_line(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, "GET /mesh/v1/nodes", 200,
            "{\"pending\":[{\"key\":\"P1\",\"name\":\"x\\nphrase   " OTHER
            "\\u001b[8m\",\"address\":\"10.0.0.2\",\"phrase\":\"" PHRASE "\"}]}");
    cli_bench_answer(bench, "POST /mesh/v1/nodes/approve", 200, "{\"name\":\"x\\u001b[2J\\ny\"}");
    assert_int_equal(cli_bench_run(bench, "nodes approve P1 --yes"), 0);
    assert_null(strchr(bench->notes, '\033'));
    assert_null(strstr(bench->notes, "\nphrase   " OTHER));
    cli_bench_assert_has(bench->notes, "\nphrase   " PHRASE "\n");
    assert_string_equal(bench->out, "x[2J y is approved, and is in at its next try, in seconds.\n");
}

static void revoke_and_forget_say_what_follows(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, "POST /mesh/v1/nodes/revoke", 200, "{\"name\":\"halo1\"}");
    cli_bench_answer(bench, "POST /mesh/v1/nodes/forget", 200, "{}");
    assert_int_equal(cli_bench_run(bench, "nodes revoke halo1"), 0);
    cli_bench_assert_has(bench->out, "halo1 is revoked, and its link is cut");
    cli_bench_assert_has(bench->out, "modemesh nodes forget halo1");
    assert_string_equal(bench->requests, "POST /mesh/v1/nodes/revoke {\"node\":\"halo1\"}\n");
    assert_int_equal(cli_bench_run(bench, "nodes forget halo1"), 0);
    cli_bench_assert_has(bench->out, "halo1 is forgotten");
    cli_bench_answer(bench, "POST /mesh/v1/nodes/revoke", 404,
            "{\"error\":{\"message\":\"no member halo2\"}}");
    assert_int_equal(cli_bench_run(bench, "nodes revoke halo2"), -EREMOTEIO);
    assert_string_equal(bench->err.text, "no member halo2");
}

static void accept_opens_and_closes_the_window(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, "POST /mesh/v1/nodes/accept", 200, "{\"accept_ms_left\":600000}");
    assert_int_equal(cli_bench_run(bench, "nodes accept --for 10m"), 0);
    assert_string_equal(bench->requests, "POST /mesh/v1/nodes/accept {\"for_ms\":600000}\n");
    cli_bench_assert_has(bench->out, "Until ");
    cli_bench_assert_has(bench->out, "(10 min)");
    cli_bench_assert_has(bench->out, "\"window\"");
    cli_bench_answer(bench, "POST /mesh/v1/nodes/accept", 200, "{\"accept_ms_left\":0}");
    assert_int_equal(cli_bench_run(bench, "nodes accept --for 0"), 0);
    cli_bench_assert_has(bench->requests, "{\"for_ms\":0}");
    assert_string_equal(bench->out, "No node is taken without approval any more.\n");
    assert_int_equal(cli_bench_run(bench, "nodes accept"), -EINVAL);
    cli_bench_assert_has(bench->err.text, "--for 10m");
    assert_int_equal(cli_bench_run(bench, "nodes accept --for 10"), -EINVAL);
    cli_bench_assert_has(bench->err.text, "--for: ");
    assert_string_equal(bench->requests, "");
}

static void nodes_list_has_three_formats(void **state)
{
    static const char json[] = "{\"nodes\":[{\"name\":\"halo1\",\"state\":\"up\"}],\"x\":1}";
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, "GET /mesh/v1/nodes", 200, json);
    assert_int_equal(cli_bench_run(bench, "nodes"), 0);
    cli_bench_assert_has(bench->out, "NAME  STATE");
    cli_bench_assert_has(bench->out, "No node waits");
    assert_int_equal(cli_bench_run(bench, "nodes list --raw"), 0);
    cli_bench_assert_has(bench->out, "\nhalo1 up ");
    assert_int_equal(cli_bench_run(bench, "nodes list --json"), 0);
    assert_memory_equal(bench->out, json, strlen(json));
    assert_int_equal(cli_bench_run(bench, "nodes list --json --raw"), -EINVAL);
}

static void a_token_is_the_only_line(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, "POST /mesh/v1/tokens", 200,
            "{\"token\":\"" TOKEN
            "\",\"id\":\"ab12cd34\",\"expires_ms\":1780272000000,\"uses\":0,\"uses_left\":3}");
    assert_int_equal(cli_bench_run(bench, "token create"), 0);
    assert_string_equal(bench->out, TOKEN "\n");
    assert_string_equal(bench->requests, "POST /mesh/v1/tokens {}\n");
    cli_bench_assert_has(bench->notes, "Token ab12cd34");
    cli_bench_assert_has(bench->notes, "3 nodes in until 2026-06-01 00:00");
    cli_bench_assert_has(bench->notes, "modemesh-node --join TOKEN");
    assert_null(strstr(bench->notes, TOKEN));
    assert_int_equal(
            cli_bench_run(bench, "token create --uses 3 --expires 2h --edge-only --address "
                                 "box:8421 --address [::1]:1"),
            0);
    assert_string_equal(bench->requests,
            "POST /mesh/v1/tokens {\"uses\":3,\"expires_in_ms\":7200000,\"roles\":[\"edge\"],"
            "\"addresses\":[\"box:8421\",\"[::1]:1\"]}\n");
}

static void token_create_checks_its_flags(void **state)
{
    struct cli_bench *bench = *state;

    assert_int_equal(cli_bench_run(bench, "token create --uses many"), -EINVAL);
    cli_bench_assert_has(bench->err.text, "--uses");
    assert_int_equal(cli_bench_run(bench, "token create --expires 1"), -EINVAL);
    cli_bench_assert_has(bench->err.text, "--expires");
    assert_int_equal(cli_bench_run(bench, "token create --address box"), -EINVAL);
    cli_bench_assert_has(bench->err.text, "--address");
    assert_int_equal(cli_bench_run(bench, "token create --edge-only --no-edge"), -EINVAL);
    assert_string_equal(bench->requests, "");
}

static void what_is_no_secret_is_not_printed_as_one(void **state)
{
    static const char *const answers[] = {"{}", "{\"token\":7}", "{\"token\":\"mm_x\"}",
            "{\"token\":\"mmj_a b\"}", "{\"token\":\"mmj_a\\nb\"}",
            "{\"token\":\"mmj_\\u001b[2J\"}"};
    struct cli_bench *bench = *state;

    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        cli_bench_answer(bench, "POST /mesh/v1/tokens", 200, answers[i]);
        assert_int_equal(cli_bench_run(bench, "token create"), -EPROTO);
        assert_string_equal(bench->out, "");
    }
}

static void tokens_are_listed_and_ended(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, "GET /mesh/v1/tokens", 200,
            "{\"tokens\":[{\"id\":\"ab12cd34\",\"roles\":[\"node\",\"edge\"],\"uses\":1,"
            "\"uses_left\":2,\"created_ms\":1780272000000,\"expires_ms\":1780275600000}]}");
    cli_bench_answer(bench, "POST /mesh/v1/tokens/revoke", 200, "{\"id\":\"ab12cd34\"}");
    assert_int_equal(cli_bench_run(bench, "token"), 0);
    assert_string_equal(bench->out,
            "TOKEN    FOR        USED LEFT MADE             UNTIL\n"
            "ab12cd34 node, edge    1    2 2026-06-01 00:00 2026-06-01 01:00\n");
    assert_int_equal(cli_bench_run(bench, "token list --raw"), 0);
    cli_bench_assert_has(bench->out, "\nab12cd34 node,edge 1 2 1780272000000 1780275600000\n");
    assert_int_equal(cli_bench_run(bench, "token list --json"), 0);
    cli_bench_assert_has(bench->out, "\"uses_left\":2");
    assert_int_equal(cli_bench_run(bench, "token revoke ab12cd34"), 0);
    assert_string_equal(bench->requests, "POST /mesh/v1/tokens/revoke {\"id\":\"ab12cd34\"}\n");
    cli_bench_assert_has(bench->out, "Token ab12cd34 lets nobody in");
}

static void a_key_is_the_only_line(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, "POST /mesh/v1/keys", 200, "{\"key\":\"" KEY "\",\"name\":\"laptop\"}");
    assert_int_equal(cli_bench_run(bench, "keys create laptop"), 0);
    assert_string_equal(bench->out, KEY "\n");
    assert_string_equal(bench->requests, "POST /mesh/v1/keys {\"name\":\"laptop\"}\n");
    cli_bench_assert_has(bench->notes, "'laptop'");
    cli_bench_assert_has(bench->notes, "this once");
    assert_null(strstr(bench->notes, KEY));
    assert_int_equal(
            cli_bench_run(bench, "keys create ci --modes ask,code --models m1 --models m2 --admin "
                                 "--requests-per-minute 60"),
            0);
    assert_string_equal(bench->requests,
            "POST /mesh/v1/keys {\"name\":\"ci\",\"modes\":[\"ask\",\"code\"],\"models\":"
            "[\"m1\",\"m2\"],\"requests_per_minute\":60,\"admin\":true}\n");
    cli_bench_answer(bench, "POST /mesh/v1/keys", 200,
            "{\"key\":\"" KEY "\",\"name\":\"ci\",\"notes\":[\"one\\u001b[2J\",\"warning: two\"]}");
    assert_int_equal(cli_bench_run(bench, "keys create ci --modes review"), 0);
    assert_string_equal(bench->out, KEY "\n");
    cli_bench_assert_has(bench->notes, "one");
    cli_bench_assert_has(bench->notes, "\nwarning: two.\n");
    assert_null(strchr(bench->notes, 0x1b));
    assert_int_equal(cli_bench_run(bench, "keys create ci --modes ask,,code"), -EINVAL);
    assert_int_equal(cli_bench_run(bench, "keys create ci --models x,"), -EINVAL);
    cli_bench_assert_has(bench->err.text, "--models");
}

static void keys_are_listed_and_ended(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, "GET /mesh/v1/keys", 200,
            "{\"keys\":[{\"name\":\"laptop\",\"admin\":true,\"modes\":null,\"models\":[],"
            "\"requests_per_minute\":0,\"created_ms\":1780272000000,\"last_used_ms\":0,"
            "\"requests\":0},{\"name\":\"ci\",\"modes\":[\"ask\",\"code\"],"
            "\"requests_per_minute\":60,\"created_ms\":1780272000000,"
            "\"last_used_ms\":1780272060000,\"requests\":7}]}");
    cli_bench_answer(bench, "POST /mesh/v1/keys/revoke", 200, "{\"name\":\"ci\"}");
    assert_int_equal(cli_bench_run(bench, "keys list"), 0);
    assert_string_equal(bench->out,
            "KEY    ADMIN MODES     MODELS PER MINUTE MADE             LAST USED        REQUESTS\n"
            "laptop yes   all       all             - 2026-06-01 00:00 -                       0\n"
            "ci     -     ask, code all            60 2026-06-01 00:00 2026-06-01 00:01        7"
            "\n");
    assert_int_equal(cli_bench_run(bench, "keys --raw"), 0);
    cli_bench_assert_has(bench->out, "\nci no ask,code - 60 1780272000000 1780272060000 7\n");
    assert_int_equal(cli_bench_run(bench, "keys revoke ci"), 0);
    assert_string_equal(bench->requests, "POST /mesh/v1/keys/revoke {\"name\":\"ci\"}\n");
    cli_bench_assert_has(bench->out, "'ci'");
}

static bool is_blank(const struct cli_bench *bench, size_t word, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bench->argv[word][i])
            return false;
    return true;
}

static void a_secret_in_place_of_its_name_is_wiped(void **state)
{
    struct cli_bench *bench = *state;

    assert_int_equal(cli_bench_run(bench, "token revoke " TOKEN), -EINVAL);
    cli_bench_assert_has(bench->err.text, "modemesh token list");
    assert_null(strstr(bench->err.text, TOKEN));
    assert_true(is_blank(bench, 1, strlen(TOKEN)));
    assert_int_equal(cli_bench_run(bench, "keys revoke " KEY), -EINVAL);
    assert_null(strstr(bench->err.text, KEY));
    assert_true(is_blank(bench, 1, strlen(KEY)));
    assert_int_equal(cli_bench_run(bench, "keys create " KEY), -EINVAL);
    assert_string_equal(bench->requests, "");
}

static void show_tls(struct cli_bench *bench)
{
    cli_bench_answer(bench, "GET /mesh/v1/tls", 200,
            "{\"ca_pem\":\"-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----\\n\","
            "\"fingerprint\":\"AB:CD\",\"server_fingerprint\":\"12:34\",\"ours\":true,"
            "\"names\":[\"box\",\"192.168.1.2\"],\"not_after_ms\":1780272000000,"
            "\"listeners\":[\"https://0.0.0.0:8443\"]}");
}

static void tls_shows_what_to_trust(void **state)
{
    struct cli_bench *bench = *state;

    show_tls(bench);
    assert_int_equal(cli_bench_run(bench, "tls"), 0);
    for (const char *const *part = (const char *const[]){"AB:CD", "12:34", "box, 192.168.1.2",
                 "2026-06-01", "https://0.0.0.0:8443", "NODE_EXTRA_CA_CERTS=ca.pem",
                 "curl --cacert ca.pem", "--write ca.pem", NULL};
            *part; part++)
        cli_bench_assert_has(bench->out, *part);
    assert_int_equal(cli_bench_run(bench, "tls show --json"), 0);
    assert_int_equal(bench->out[0], '{');
    cli_bench_assert_has(bench->out, "\"ours\":true");
    assert_null(strstr(bench->out, "curl"));
}

static char *read_all(const char *path)
{
    static char text[CLI_BENCH_TEXT];
    FILE *file = fopen(path, "r");
    size_t len;

    assert_non_null(file);
    len = fread(text, 1, sizeof(text) - 1, file);
    text[len] = '\0';
    fclose(file);
    return text;
}

static int write_ca(struct cli_bench *bench, const char *name)
{
    char words[PATH_MAX];

    snprintf(words, sizeof(words), "tls show --write %s", scratch_path(&bench->scratch, name));
    return cli_bench_run(bench, words);
}

static void tls_writes_for_everybody_to_read(void **state)
{
    struct cli_bench *bench = *state;
    struct stat status;

    show_tls(bench);
    assert_int_equal(write_ca(bench, "ca.pem"), 0);
    assert_string_equal(read_all(scratch_path(&bench->scratch, "ca.pem")), PEM);
    assert_int_equal(stat(scratch_path(&bench->scratch, "ca.pem"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0644);
    cli_bench_assert_has(bench->out, scratch_path(&bench->scratch, "ca.pem"));
    scratch_write(&bench->scratch, "ca.pem",
            "old\n-----BEGIN CERTIFICATE-----\nX\n-----END CERTIFICATE-----\n");
    assert_int_equal(write_ca(bench, "ca.pem"), 0);
    assert_string_equal(read_all(scratch_path(&bench->scratch, "ca.pem")), PEM);
    scratch_write(&bench->scratch, "empty", "");
    assert_int_equal(write_ca(bench, "empty"), 0);
}

static void tls_spares_what_is_no_certificate(void **state)
{
    static const char *const files[] = {"notes\n", PEM PEM,
            "-----BEGIN PRIVATE KEY-----\nX\n-----END PRIVATE KEY-----\n",
            PEM "-----BEGIN PRIVATE KEY-----\nX\n-----END PRIVATE KEY-----\n",
            "-----BEGIN CERTIFICATE-----\ncut"};
    struct cli_bench *bench = *state;

    show_tls(bench);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        scratch_write(&bench->scratch, "mine", files[i]);
        assert_int_equal(write_ca(bench, "mine"), -EEXIST);
        assert_string_equal(read_all(scratch_path(&bench->scratch, "mine")), files[i]);
        assert_string_equal(bench->out, "");
    }
    scratch_mkdir(&bench->scratch, "folder");
    assert_int_equal(write_ca(bench, "folder"), -EINVAL);
    assert_int_equal(write_ca(bench, "missing/ca.pem"), -ENOENT);
}

static void tls_writes_nothing_that_is_no_certificate(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(
            bench, "GET /mesh/v1/tls", 200, "{\"ca_pem\":\"-----BEGIN PRIVATE KEY-----\"}");
    assert_int_equal(write_ca(bench, "ca.pem"), -EPROTO);
    assert_null(fopen(scratch_path(&bench->scratch, "ca.pem"), "r"));
    assert_int_equal(cli_bench_run(bench, "tls show --write="), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(
                    a_person_compares_and_approves, cli_bench_set_up, cli_bench_tear_down),
            cmocka_unit_test_setup_teardown(
                    anything_but_yes_approves_nothing, cli_bench_set_up, cli_bench_tear_down),
            cmocka_unit_test_setup_teardown(
                    without_a_terminal_it_asks_nothing, cli_bench_set_up, cli_bench_tear_down),
            cmocka_unit_test_setup_teardown(a_wrong_phrase_is_the_coordinator_s_to_refuse,
                    cli_bench_set_up, cli_bench_tear_down),
            cmocka_unit_test_setup_teardown(
                    nobody_of_that_name_is_approved, cli_bench_set_up, cli_bench_tear_down),
            cmocka_unit_test_setup_teardown(
                    foreign_words_stay_in_their_line, cli_bench_set_up, cli_bench_tear_down),
            cmocka_unit_test_setup_teardown(
                    revoke_and_forget_say_what_follows, cli_bench_set_up, cli_bench_tear_down),
            cmocka_unit_test_setup_teardown(
                    accept_opens_and_closes_the_window, cli_bench_set_up, cli_bench_tear_down),
            cmocka_unit_test_setup_teardown(
                    nodes_list_has_three_formats, cli_bench_set_up, cli_bench_tear_down),
            cmocka_unit_test_setup_teardown(
                    a_token_is_the_only_line, cli_bench_set_up, cli_bench_tear_down),
            cmocka_unit_test_setup_teardown(
                    token_create_checks_its_flags, cli_bench_set_up, cli_bench_tear_down),
            cmocka_unit_test_setup_teardown(
                    what_is_no_secret_is_not_printed_as_one, cli_bench_set_up, cli_bench_tear_down),
            cmocka_unit_test_setup_teardown(
                    tokens_are_listed_and_ended, cli_bench_set_up, cli_bench_tear_down),
            cmocka_unit_test_setup_teardown(
                    a_key_is_the_only_line, cli_bench_set_up, cli_bench_tear_down),
            cmocka_unit_test_setup_teardown(
                    keys_are_listed_and_ended, cli_bench_set_up, cli_bench_tear_down),
            cmocka_unit_test_setup_teardown(
                    a_secret_in_place_of_its_name_is_wiped, cli_bench_set_up, cli_bench_tear_down),
            cmocka_unit_test_setup_teardown(
                    tls_shows_what_to_trust, cli_bench_set_up, cli_bench_tear_down),
            cmocka_unit_test_setup_teardown(
                    tls_writes_for_everybody_to_read, cli_bench_set_up, cli_bench_tear_down),
            cmocka_unit_test_setup_teardown(
                    tls_spares_what_is_no_certificate, cli_bench_set_up, cli_bench_tear_down),
            cmocka_unit_test_setup_teardown(tls_writes_nothing_that_is_no_certificate,
                    cli_bench_set_up, cli_bench_tear_down),
    };

    setenv("TZ", "UTC", 1);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_admin", tests, NULL, NULL);
}

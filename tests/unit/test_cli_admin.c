#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/admin.h"
#include "tests/lib/scratch.h"
#include "tests/lib/toy_http.h"

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

enum { WORDS_MAX = 32, ROUTES_MAX = 4, TEXT_MAX = 4096 };

struct route {
    const char *request; /* "POST /mesh/v1/tokens" */
    int status;
    const char *answer;
};

/* A coordinator of canned answers behind a Unix socket, and a terminal of strings before it. */
struct world {
    struct scratch scratch;
    struct toy_server *server;
    struct route routes[ROUTES_MAX];
    char requests[TEXT_MAX]; /* a line each: method, path, body */

    bool interactive;
    const char *typed;
    char *out, *notes; /* of the last command */
    char text[TEXT_MAX], *argv[WORDS_MAX];
    struct err err;
};

static void handle(void *ctx, int fd, const struct toy_request *request)
{
    struct world *world = ctx;
    size_t used = strlen(world->requests), len = strcspn(request->head, "\r") - strlen(" HTTP/1.1");

    snprintf(world->requests + used, sizeof(world->requests) - used, "%.*s %s\n", (int)len,
            request->head, request->body);
    for (size_t i = 0; i < ROUTES_MAX && world->routes[i].request; i++) {
        const struct route *route = &world->routes[i];

        if (strlen(route->request) == len && strncmp(request->head, route->request, len) == 0) {
            toy_answer(fd, route->status, "application/json", route->answer);
            return;
        }
    }
    toy_answer(fd, 404, "application/json", "{\"error\":{\"message\":\"no such path\"}}");
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    if (!world)
        return -1;
    scratch_init(&world->scratch);
    world->server = toy_server_create(scratch_path(&world->scratch, "s"), handle, world);
    world->typed = "";
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    toy_server_destroy(world->server);
    scratch_fini(&world->scratch);
    free(world->out);
    free(world->notes);
    free(world);
    return 0;
}

static void answer(struct world *world, const char *request, int status, const char *text)
{
    for (size_t i = 0; i < ROUTES_MAX; i++) {
        if (world->routes[i].request && strcmp(world->routes[i].request, request) != 0)
            continue;
        world->routes[i] = (struct route){.request = request, .status = status, .answer = text};
        return;
    }
    fail_msg("too many routes");
}

static int perform(struct world *world, const struct command_line *line, FILE *in)
{
    const struct client_config config = {.socket = scratch_path(&world->scratch, "s")};
    size_t out_size, notes_size;
    struct cli cli = {
            .out = open_memstream(&world->out, &out_size),
            .notes = open_memstream(&world->notes, &notes_size),
            .in = in,
            .interactive = world->interactive,
    };
    int rc;

    assert_int_equal(client_create(&config, &cli.client, &world->err), 0);
    rc = line->command->run(&cli, line, &world->err);
    client_destroy(cli.client);
    fclose(cli.out);
    fclose(cli.notes);
    return rc;
}

/* `words` are parted by blanks. */
static int run(struct world *world, const char *words)
{
    struct command_line line;
    FILE *in = tmpfile();
    int argc = 0, rc;

    free(world->out);
    free(world->notes);
    world->requests[0] = '\0';
    world->err.text[0] = '\0';
    world->argv[argc++] = (char *)"modemesh";
    snprintf(world->text, sizeof(world->text), "%s", words);
    for (char *word = strtok(world->text, " "); word; word = strtok(NULL, " "))
        world->argv[argc++] = word;
    if (command_parse(&cli_commands, argc, world->argv, &line, &world->err) < 0)
        fail_msg("%s", world->err.text);
    assert_non_null(in);
    fputs(world->typed, in);
    rewind(in);
    rc = perform(world, &line, in);
    fclose(in);
    return rc;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not have \"%s\"", text, part);
}

static void pend(struct world *world)
{
    answer(world, "GET /mesh/v1/nodes", 200,
            "{\"pending\":[{\"key\":\"P1\",\"name\":\"halo1\",\"address\":\"10.0.0.2\","
            "\"phrase\":\"" PHRASE "\"},{\"key\":\"P2\",\"name\":\"\",\"address\":\"10.0.0.3\","
            "\"phrase\":\"" OTHER "\"}]}");
    answer(world, "POST /mesh/v1/nodes/approve", 200,
            "{\"name\":\"halo1\",\"key\":\"P1\",\"phrase\":\"" PHRASE
            "\",\"address\":\"10.0.0.2\"}");
}

static void a_person_compares_and_approves(void **state)
{
    struct world *world = *state;

    pend(world);
    world->interactive = true;
    world->typed = "y\n";
    assert_int_equal(run(world, "nodes approve halo1"), 0);
    assert_string_equal(world->notes, "name     halo1\naddress  10.0.0.2\nphrase   " PHRASE
                                      "\nDoes the node show the same phrase? [y/N] ");
    assert_string_equal(world->out, "halo1 is approved, and is in at its next try, in seconds.\n");
    assert_string_equal(world->requests, "GET /mesh/v1/nodes \nPOST /mesh/v1/nodes/approve "
                                         "{\"node\":\"P1\",\"phrase\":\"" PHRASE "\"}\n");
    world->typed = "YES\n";
    assert_int_equal(run(world, "nodes approve 10.0.0.3 --name box --edge-only"), 0);
    assert_has(world->requests,
            "{\"node\":\"P2\",\"phrase\":\"" OTHER "\",\"name\":\"box\",\"roles\":[\"edge\"]}");
}

static void anything_but_yes_approves_nothing(void **state)
{
    static const char *const typed[] = {"n\n", "\n", "", "yesterday\n", "no y\n"};
    struct world *world = *state;

    pend(world);
    world->interactive = true;
    for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
        world->typed = typed[i];
        assert_int_equal(run(world, "nodes approve halo1"), -ECANCELED);
        assert_string_equal(world->err.text, "nothing was approved");
        assert_string_equal(world->out, "");
        assert_string_equal(world->requests, "GET /mesh/v1/nodes \n");
    }
}

static void without_a_terminal_it_asks_nothing(void **state)
{
    struct world *world = *state;

    pend(world);
    world->typed = "y\n";
    assert_int_equal(run(world, "nodes approve halo1"), -EINVAL);
    assert_has(world->err.text, "--phrase PHRASE");
    assert_has(world->err.text, "--yes");
    assert_string_equal(world->requests, "");
    assert_int_equal(run(world, "nodes approve halo1 --yes"), 0);
    assert_has(world->requests, "approve {\"node\":\"P1\"}\n");
    assert_int_equal(run(world, "nodes approve halo1 --phrase " PHRASE " --no-edge"), 0);
    assert_has(world->requests,
            "approve {\"node\":\"P1\",\"phrase\":\"" PHRASE "\",\"roles\":[\"node\"]}\n");
    assert_null(strstr(world->notes, "[y/N]"));
    assert_int_equal(run(world, "nodes approve halo1 --yes --phrase " PHRASE), -EINVAL);
    assert_int_equal(run(world, "nodes approve halo1 --yes --no-edge --edge-only"), -EINVAL);
}

/* The coordinator compares: what was typed goes there as it is. */
static void a_wrong_phrase_is_the_coordinator_s_to_refuse(void **state)
{
    struct world *world = *state;

    pend(world);
    answer(world, "POST /mesh/v1/nodes/approve", 409,
            "{\"error\":{\"message\":\"halo1 has another phrase\"}}");
    assert_int_equal(run(world, "nodes approve 10.0.0.2 --phrase not-it"), -EREMOTEIO);
    assert_string_equal(world->err.text, "halo1 has another phrase");
    assert_has(world->requests, "\"phrase\":\"not-it\"");
    assert_string_equal(world->out, "");
}

static void nobody_of_that_name_is_approved(void **state)
{
    struct world *world = *state;

    pend(world);
    assert_int_equal(run(world, "nodes approve hallo1 --yes"), -ENOENT);
    assert_has(world->err.text, "did you mean 'halo1'?");
    assert_string_equal(world->requests, "GET /mesh/v1/nodes \n");
}

/* A stranger's name must not look like the phrase that is to be compared. */
static void foreign_words_stay_in_their_line(void **state)
{
    struct world *world = *state;

    answer(world, "GET /mesh/v1/nodes", 200,
            "{\"pending\":[{\"key\":\"P1\",\"name\":\"x\\nphrase   " OTHER
            "\\u001b[8m\",\"address\":\"10.0.0.2\",\"phrase\":\"" PHRASE "\"}]}");
    answer(world, "POST /mesh/v1/nodes/approve", 200, "{\"name\":\"x\\u001b[2J\\ny\"}");
    assert_int_equal(run(world, "nodes approve P1 --yes"), 0);
    assert_null(strchr(world->notes, '\033'));
    assert_null(strstr(world->notes, "\nphrase   " OTHER));
    assert_has(world->notes, "\nphrase   " PHRASE "\n");
    assert_string_equal(world->out, "x[2J y is approved, and is in at its next try, in seconds.\n");
}

static void revoke_and_forget_say_what_follows(void **state)
{
    struct world *world = *state;

    answer(world, "POST /mesh/v1/nodes/revoke", 200, "{\"name\":\"halo1\"}");
    answer(world, "POST /mesh/v1/nodes/forget", 200, "{}");
    assert_int_equal(run(world, "nodes revoke halo1"), 0);
    assert_has(world->out, "halo1 is revoked, and its link is cut");
    assert_has(world->out, "modemesh nodes forget halo1");
    assert_string_equal(world->requests, "POST /mesh/v1/nodes/revoke {\"node\":\"halo1\"}\n");
    assert_int_equal(run(world, "nodes forget halo1"), 0);
    assert_has(world->out, "halo1 is forgotten");
    answer(world, "POST /mesh/v1/nodes/revoke", 404,
            "{\"error\":{\"message\":\"no member halo2\"}}");
    assert_int_equal(run(world, "nodes revoke halo2"), -EREMOTEIO);
    assert_string_equal(world->err.text, "no member halo2");
}

static void accept_opens_and_closes_the_window(void **state)
{
    struct world *world = *state;

    answer(world, "POST /mesh/v1/nodes/accept", 200, "{\"accept_ms_left\":600000}");
    assert_int_equal(run(world, "nodes accept --for 10m"), 0);
    assert_string_equal(world->requests, "POST /mesh/v1/nodes/accept {\"for_ms\":600000}\n");
    assert_has(world->out, "Until ");
    assert_has(world->out, "(10 min)");
    assert_has(world->out, "\"window\"");
    answer(world, "POST /mesh/v1/nodes/accept", 200, "{\"accept_ms_left\":0}");
    assert_int_equal(run(world, "nodes accept --for 0"), 0);
    assert_has(world->requests, "{\"for_ms\":0}");
    assert_string_equal(world->out, "No node is taken without approval any more.\n");
    assert_int_equal(run(world, "nodes accept"), -EINVAL);
    assert_has(world->err.text, "--for 10m");
    assert_int_equal(run(world, "nodes accept --for 10"), -EINVAL);
    assert_has(world->err.text, "--for: ");
    assert_string_equal(world->requests, "");
}

static void nodes_list_has_three_formats(void **state)
{
    static const char json[] = "{\"nodes\":[{\"name\":\"halo1\",\"state\":\"up\"}],\"x\":1}";
    struct world *world = *state;

    answer(world, "GET /mesh/v1/nodes", 200, json);
    assert_int_equal(run(world, "nodes"), 0);
    assert_has(world->out, "NAME  STATE");
    assert_has(world->out, "No node waits");
    assert_int_equal(run(world, "nodes list --raw"), 0);
    assert_has(world->out, "\nhalo1 up ");
    assert_int_equal(run(world, "nodes list --json"), 0);
    assert_memory_equal(world->out, json, strlen(json));
    assert_int_equal(run(world, "nodes list --json --raw"), -EINVAL);
}

static void a_token_is_the_only_line(void **state)
{
    struct world *world = *state;

    answer(world, "POST /mesh/v1/tokens", 200,
            "{\"token\":\"" TOKEN
            "\",\"id\":\"ab12cd34\",\"expires_ms\":1780272000000,\"uses\":0,\"uses_left\":3}");
    assert_int_equal(run(world, "token create"), 0);
    assert_string_equal(world->out, TOKEN "\n");
    assert_string_equal(world->requests, "POST /mesh/v1/tokens {}\n");
    assert_has(world->notes, "Token ab12cd34");
    assert_has(world->notes, "3 nodes in until 2026-06-01 00:00");
    assert_has(world->notes, "modemesh-node --join TOKEN");
    assert_null(strstr(world->notes, TOKEN));
    assert_int_equal(run(world, "token create --uses 3 --expires 2h --edge-only --address "
                                "box:8421 --address [::1]:1"),
            0);
    assert_string_equal(world->requests,
            "POST /mesh/v1/tokens {\"uses\":3,\"expires_in_ms\":7200000,\"roles\":[\"edge\"],"
            "\"addresses\":[\"box:8421\",\"[::1]:1\"]}\n");
}

static void token_create_checks_its_flags(void **state)
{
    struct world *world = *state;

    assert_int_equal(run(world, "token create --uses many"), -EINVAL);
    assert_has(world->err.text, "--uses");
    assert_int_equal(run(world, "token create --expires 1"), -EINVAL);
    assert_has(world->err.text, "--expires");
    assert_int_equal(run(world, "token create --address box"), -EINVAL);
    assert_has(world->err.text, "--address");
    assert_int_equal(run(world, "token create --edge-only --no-edge"), -EINVAL);
    assert_string_equal(world->requests, "");
}

static void what_is_no_secret_is_not_printed_as_one(void **state)
{
    static const char *const answers[] = {"{}", "{\"token\":7}", "{\"token\":\"mm_x\"}",
            "{\"token\":\"mmj_a b\"}", "{\"token\":\"mmj_a\\nb\"}",
            "{\"token\":\"mmj_\\u001b[2J\"}"};
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        answer(world, "POST /mesh/v1/tokens", 200, answers[i]);
        assert_int_equal(run(world, "token create"), -EPROTO);
        assert_string_equal(world->out, "");
    }
}

static void tokens_are_listed_and_ended(void **state)
{
    struct world *world = *state;

    answer(world, "GET /mesh/v1/tokens", 200,
            "{\"tokens\":[{\"id\":\"ab12cd34\",\"roles\":[\"node\",\"edge\"],\"uses\":1,"
            "\"uses_left\":2,\"created_ms\":1780272000000,\"expires_ms\":1780275600000}]}");
    answer(world, "POST /mesh/v1/tokens/revoke", 200, "{\"id\":\"ab12cd34\"}");
    assert_int_equal(run(world, "token"), 0);
    assert_string_equal(world->out,
            "TOKEN    FOR        USED LEFT MADE             UNTIL\n"
            "ab12cd34 node, edge    1    2 2026-06-01 00:00 2026-06-01 01:00\n");
    assert_int_equal(run(world, "token list --raw"), 0);
    assert_has(world->out, "\nab12cd34 node,edge 1 2 1780272000000 1780275600000\n");
    assert_int_equal(run(world, "token list --json"), 0);
    assert_has(world->out, "\"uses_left\":2");
    assert_int_equal(run(world, "token revoke ab12cd34"), 0);
    assert_string_equal(world->requests, "POST /mesh/v1/tokens/revoke {\"id\":\"ab12cd34\"}\n");
    assert_has(world->out, "Token ab12cd34 lets nobody in");
}

static void a_key_is_the_only_line(void **state)
{
    struct world *world = *state;

    answer(world, "POST /mesh/v1/keys", 200, "{\"key\":\"" KEY "\",\"name\":\"laptop\"}");
    assert_int_equal(run(world, "keys create laptop"), 0);
    assert_string_equal(world->out, KEY "\n");
    assert_string_equal(world->requests, "POST /mesh/v1/keys {\"name\":\"laptop\"}\n");
    assert_has(world->notes, "'laptop'");
    assert_has(world->notes, "this once");
    assert_null(strstr(world->notes, KEY));
    assert_int_equal(run(world, "keys create ci --modes ask,code --models m1 --models m2 --admin "
                                "--requests-per-minute 60"),
            0);
    assert_string_equal(world->requests,
            "POST /mesh/v1/keys {\"name\":\"ci\",\"modes\":[\"ask\",\"code\"],\"models\":"
            "[\"m1\",\"m2\"],\"requests_per_minute\":60,\"admin\":true}\n");
    assert_int_equal(run(world, "keys create ci --modes ask,,code"), -EINVAL);
    assert_int_equal(run(world, "keys create ci --models x,"), -EINVAL);
    assert_has(world->err.text, "--models");
}

static void keys_are_listed_and_ended(void **state)
{
    struct world *world = *state;

    answer(world, "GET /mesh/v1/keys", 200,
            "{\"keys\":[{\"name\":\"laptop\",\"admin\":true,\"modes\":null,\"models\":[],"
            "\"requests_per_minute\":0,\"created_ms\":1780272000000,\"last_used_ms\":0,"
            "\"requests\":0},{\"name\":\"ci\",\"modes\":[\"ask\",\"code\"],"
            "\"requests_per_minute\":60,\"created_ms\":1780272000000,"
            "\"last_used_ms\":1780272060000,\"requests\":7}]}");
    answer(world, "POST /mesh/v1/keys/revoke", 200, "{\"name\":\"ci\"}");
    assert_int_equal(run(world, "keys list"), 0);
    assert_string_equal(world->out,
            "KEY    ADMIN MODES     MODELS PER MINUTE MADE             LAST USED        REQUESTS\n"
            "laptop yes   all       all             - 2026-06-01 00:00 -                       0\n"
            "ci     -     ask, code all            60 2026-06-01 00:00 2026-06-01 00:01        7"
            "\n");
    assert_int_equal(run(world, "keys --raw"), 0);
    assert_has(world->out, "\nci no ask,code  60 1780272000000 1780272060000 7\n");
    assert_int_equal(run(world, "keys revoke ci"), 0);
    assert_string_equal(world->requests, "POST /mesh/v1/keys/revoke {\"name\":\"ci\"}\n");
    assert_has(world->out, "'ci'");
}

static bool is_blank(const struct world *world, size_t word, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (world->argv[word][i])
            return false;
    return true;
}

static void a_secret_in_place_of_its_name_is_wiped(void **state)
{
    struct world *world = *state;

    assert_int_equal(run(world, "token revoke " TOKEN), -EINVAL);
    assert_has(world->err.text, "modemesh token list");
    assert_null(strstr(world->err.text, TOKEN));
    assert_true(is_blank(world, 1, strlen(TOKEN)));
    assert_int_equal(run(world, "keys revoke " KEY), -EINVAL);
    assert_null(strstr(world->err.text, KEY));
    assert_true(is_blank(world, 1, strlen(KEY)));
    assert_int_equal(run(world, "keys create " KEY), -EINVAL);
    assert_string_equal(world->requests, "");
}

static void show_tls(struct world *world)
{
    answer(world, "GET /mesh/v1/tls", 200,
            "{\"ca_pem\":\"-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----\\n\","
            "\"fingerprint\":\"AB:CD\",\"server_fingerprint\":\"12:34\",\"ours\":true,"
            "\"names\":[\"box\",\"192.168.1.2\"],\"not_after_ms\":1780272000000,"
            "\"listeners\":[\"https://0.0.0.0:8443\"]}");
}

static void tls_shows_what_to_trust(void **state)
{
    struct world *world = *state;

    show_tls(world);
    assert_int_equal(run(world, "tls"), 0);
    for (const char *const *part = (const char *const[]){"AB:CD", "12:34", "box, 192.168.1.2",
                 "2026-06-01", "https://0.0.0.0:8443", "NODE_EXTRA_CA_CERTS=ca.pem",
                 "curl --cacert ca.pem", "--write ca.pem", NULL};
            *part; part++)
        assert_has(world->out, *part);
    assert_int_equal(run(world, "tls show --json"), 0);
    assert_int_equal(world->out[0], '{');
    assert_has(world->out, "\"ours\":true");
    assert_null(strstr(world->out, "curl"));
}

static char *read_all(const char *path)
{
    static char text[TEXT_MAX];
    FILE *file = fopen(path, "r");
    size_t len;

    assert_non_null(file);
    len = fread(text, 1, sizeof(text) - 1, file);
    text[len] = '\0';
    fclose(file);
    return text;
}

static int write_ca(struct world *world, const char *name)
{
    char words[PATH_MAX];

    snprintf(words, sizeof(words), "tls show --write %s", scratch_path(&world->scratch, name));
    return run(world, words);
}

static void tls_writes_for_everybody_to_read(void **state)
{
    struct world *world = *state;
    struct stat status;

    show_tls(world);
    assert_int_equal(write_ca(world, "ca.pem"), 0);
    assert_string_equal(read_all(scratch_path(&world->scratch, "ca.pem")), PEM);
    assert_int_equal(stat(scratch_path(&world->scratch, "ca.pem"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0644);
    assert_has(world->out, scratch_path(&world->scratch, "ca.pem"));
    scratch_write(&world->scratch, "ca.pem",
            "old\n-----BEGIN CERTIFICATE-----\nX\n-----END CERTIFICATE-----\n");
    assert_int_equal(write_ca(world, "ca.pem"), 0);
    assert_string_equal(read_all(scratch_path(&world->scratch, "ca.pem")), PEM);
    scratch_write(&world->scratch, "empty", "");
    assert_int_equal(write_ca(world, "empty"), 0);
}

static void tls_spares_what_is_no_certificate(void **state)
{
    static const char *const files[] = {"notes\n", PEM PEM,
            "-----BEGIN PRIVATE KEY-----\nX\n-----END PRIVATE KEY-----\n",
            PEM "-----BEGIN PRIVATE KEY-----\nX\n-----END PRIVATE KEY-----\n",
            "-----BEGIN CERTIFICATE-----\ncut"};
    struct world *world = *state;

    show_tls(world);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        scratch_write(&world->scratch, "mine", files[i]);
        assert_int_equal(write_ca(world, "mine"), -EEXIST);
        assert_string_equal(read_all(scratch_path(&world->scratch, "mine")), files[i]);
        assert_string_equal(world->out, "");
    }
    scratch_mkdir(&world->scratch, "folder");
    assert_int_equal(write_ca(world, "folder"), -EINVAL);
    assert_int_equal(write_ca(world, "missing/ca.pem"), -ENOENT);
}

static void tls_writes_nothing_that_is_no_certificate(void **state)
{
    struct world *world = *state;

    answer(world, "GET /mesh/v1/tls", 200, "{\"ca_pem\":\"-----BEGIN PRIVATE KEY-----\"}");
    assert_int_equal(write_ca(world, "ca.pem"), -EPROTO);
    assert_null(fopen(scratch_path(&world->scratch, "ca.pem"), "r"));
    assert_int_equal(run(world, "tls show --write="), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(a_person_compares_and_approves, set_up, tear_down),
            cmocka_unit_test_setup_teardown(anything_but_yes_approves_nothing, set_up, tear_down),
            cmocka_unit_test_setup_teardown(without_a_terminal_it_asks_nothing, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    a_wrong_phrase_is_the_coordinator_s_to_refuse, set_up, tear_down),
            cmocka_unit_test_setup_teardown(nobody_of_that_name_is_approved, set_up, tear_down),
            cmocka_unit_test_setup_teardown(foreign_words_stay_in_their_line, set_up, tear_down),
            cmocka_unit_test_setup_teardown(revoke_and_forget_say_what_follows, set_up, tear_down),
            cmocka_unit_test_setup_teardown(accept_opens_and_closes_the_window, set_up, tear_down),
            cmocka_unit_test_setup_teardown(nodes_list_has_three_formats, set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_token_is_the_only_line, set_up, tear_down),
            cmocka_unit_test_setup_teardown(token_create_checks_its_flags, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    what_is_no_secret_is_not_printed_as_one, set_up, tear_down),
            cmocka_unit_test_setup_teardown(tokens_are_listed_and_ended, set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_key_is_the_only_line, set_up, tear_down),
            cmocka_unit_test_setup_teardown(keys_are_listed_and_ended, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    a_secret_in_place_of_its_name_is_wiped, set_up, tear_down),
            cmocka_unit_test_setup_teardown(tls_shows_what_to_trust, set_up, tear_down),
            cmocka_unit_test_setup_teardown(tls_writes_for_everybody_to_read, set_up, tear_down),
            cmocka_unit_test_setup_teardown(tls_spares_what_is_no_certificate, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    tls_writes_nothing_that_is_no_certificate, set_up, tear_down),
    };

    setenv("TZ", "UTC", 1);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_admin", tests, NULL, NULL);
}

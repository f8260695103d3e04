#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/roster.h"
#include "common/json/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PHRASE_A "dakor-lusab-fitom-ranuk-bizop"
#define PHRASE_B "bizop-dakor-lusab-fitom-ranuk"
#define PHRASE_C "ranuk-bizop-dakor-lusab-fitom"

static const char two_kinds[] =
        "{\"nodes\":["
        "{\"name\":\"halo1\",\"key\":\"K1\",\"roles\":[\"node\",\"edge\"],\"not_after_ms\":"
        "1780272000000,\"revoked\":false,\"source\":\"token ab12cd34\",\"state\":\"up\"},"
        "{\"name\":\"old\",\"key\":\"K2\",\"roles\":[\"node\"],\"not_after_ms\":1780272000000,"
        "\"revoked\":true,\"source\":\"approved\",\"state\":\"offline\"}],"
        "\"pending\":["
        "{\"key\":\"P1\",\"name\":\"halo2\",\"address\":\"10.0.0.2\",\"phrase\":\"" PHRASE_A
        "\",\"first_ms_ago\":180000,\"last_ms_ago\":900,\"knocks\":12,\"note\":\"\"},"
        "{\"key\":\"P2\",\"name\":\"\",\"address\":\"10.0.0.3\",\"phrase\":\"" PHRASE_B
        "\",\"first_ms_ago\":1000,\"last_ms_ago\":100,\"knocks\":1,\"note\":\"expired\"}],"
        "\"accept_ms_left\":480000,\"refused\":{\"stranger\":12,\"crowded\":0,\"revoked\":1}}";

static const char nobody[] = "{\"nodes\":[],\"pending\":[],\"accept_ms_left\":0,\"refused\":{}}";

/* Two of one name, and one whose name is no word for a shell. */
static const char strangers[] =
        "{\"pending\":["
        "{\"key\":\"P1\",\"name\":\"halo2\",\"address\":\"10.0.0.2\",\"phrase\":\"" PHRASE_A "\"},"
        "{\"key\":\"P2\",\"name\":\"halo2\",\"address\":\"10.0.0.2\",\"phrase\":\"" PHRASE_B "\"},"
        "{\"key\":\"P3\",\"name\":\"x; "
        "rm\\u001b[2J\",\"address\":\"10.0.0.4\",\"phrase\":\"" PHRASE_C "\"}]}";

static cJSON *parse(const char *text)
{
    struct err err = {0};
    cJSON *json = NULL;

    if (json_parse(text, strlen(text), &json_limits_event, &json, &err) < 0)
        fail_msg("%s", err.text);
    return json;
}

/* The caller frees. */
static char *print(const char *answer, enum table_format format)
{
    cJSON *json = parse(answer);
    struct err err = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    assert_int_equal(roster_print(json, format, out, &err), 0);
    fclose(out);
    cJSON_Delete(json);
    return text;
}

static void people_see_who_is_in_and_who_waits(void **state)
{
    char *text = print(two_kinds, TABLE_TEXT);

    (void)state;
    assert_string_equal(text, "NAME  STATE   ROLES      UNTIL            SOURCE\n"
                              "halo1 up      node, edge 2026-06-01 00:00 token ab12cd34\n"
                              "old   revoked node       2026-06-01 00:00 approved\n"
                              "\n"
                              "Waiting for approval:\n"
                              "NAME  ADDRESS  PHRASE                        WAITING KNOCKS NOTE\n"
                              "halo2 10.0.0.2 " PHRASE_A "   3 min     12 \n"
                              "-     10.0.0.3 " PHRASE_B "     1 s      1 expired\n"
                              "\n"
                              "To let one in, where its own log shows the same phrase:\n"
                              "  modemesh nodes approve halo2\n"
                              "  modemesh nodes approve " PHRASE_B "\n"
                              "\n"
                              "Refused since the start: 12 stranger, 1 revoked\n"
                              "\n"
                              "Whoever comes in the next 8 min is taken without approval.\n"
                              "'modemesh nodes accept --for 0' ends that.\n");
    free(text);
}

static void an_empty_mesh_says_so(void **state)
{
    char *text = print(nobody, TABLE_TEXT), *bare = print("{}", TABLE_TEXT);

    (void)state;
    assert_string_equal(text, "No node is in the mesh yet.\n\nNo node waits for approval.\n");
    assert_string_equal(bare, text);
    free(text);
    free(bare);
}

static void scripts_get_one_row_a_node(void **state)
{
    char *text = print(two_kinds, TABLE_RAW);

    (void)state;
    assert_string_equal(text,
            "name state roles not_after_ms source key address phrase first_ms_ago last_ms_ago "
            "knocks note\n"
            "halo1 up node,edge 1780272000000 token\\x20ab12cd34 K1 - - - - - -\n"
            "old revoked node 1780272000000 approved K2 - - - - - -\n"
            "halo2 pending - - - P1 10.0.0.2 " PHRASE_A " 180000 900 12 -\n"
            "- pending - - - P2 10.0.0.3 " PHRASE_B " 1000 100 1 expired\n");
    free(text);
}

/* A person copies the printed command into a shell. */
static void a_stranger_s_name_is_no_command(void **state)
{
    char *text = print(strangers, TABLE_TEXT);

    (void)state;
    assert_non_null(strstr(text, "approve " PHRASE_A "\n"));
    assert_non_null(strstr(text, "approve " PHRASE_B "\n"));
    assert_non_null(strstr(text, "approve " PHRASE_C "\n"));
    assert_null(strstr(text, "approve halo2"));
    assert_null(strstr(text, "approve x"));
    assert_null(strchr(text, '\033'));
    free(text);
}

static void assert_found(const char *answer, const char *what, const char *phrase, const char *key)
{
    cJSON *json = parse(answer);
    const cJSON *node = NULL;
    struct err err = {0};

    if (roster_find_pending(json, what, phrase, &node, &err) != 0)
        fail_msg("%s", err.text);
    assert_string_equal(json_str(node, "key", ""), key);
    cJSON_Delete(json);
}

static void finds_by_name_address_key_and_phrase(void **state)
{
    (void)state;
    assert_found(two_kinds, "halo2", NULL, "P1");
    assert_found(two_kinds, "10.0.0.3", NULL, "P2");
    assert_found(two_kinds, "P2", NULL, "P2");
    assert_found(two_kinds, PHRASE_B, NULL, "P2");
    assert_found(two_kinds, "Dakor Lusab Fitom Ranuk Bizop", NULL, "P1");
}

static void a_phrase_tells_namesakes_apart(void **state)
{
    (void)state;
    assert_found(strangers, "halo2", PHRASE_A, "P1");
    assert_found(strangers, "10.0.0.2", PHRASE_B, "P2");
    assert_found(strangers, PHRASE_B, PHRASE_B, "P2");
}

/* What the node logs works too where nobody announces its name. */
static void a_phrase_finds_who_has_no_name(void **state)
{
    (void)state;
    assert_found(two_kinds, "halo3", PHRASE_B, "P2");
    assert_found(two_kinds, "halo2", PHRASE_B, "P2"); /* another one announces that name */
}

/* The coordinator compares, and refuses. */
static void a_wrong_phrase_finds_nobody_else(void **state)
{
    (void)state;
    assert_found(two_kinds, "halo2", PHRASE_C, "P1");
    assert_found(two_kinds, "10.0.0.3", PHRASE_A, "P2");
}

static void assert_lost(
        const char *answer, const char *what, const char *phrase, int code, const char *part)
{
    cJSON *json = parse(answer);
    const cJSON *node = NULL;
    struct err err = {0};

    assert_int_equal(roster_find_pending(json, what, phrase, &node, &err), code);
    assert_null(node);
    if (!strstr(err.text, part))
        fail_msg("\"%s\" does not say \"%s\"", err.text, part);
    cJSON_Delete(json);
}

static void says_why_nobody_is_meant(void **state)
{
    (void)state;
    assert_lost(two_kinds, "hallo2", NULL, -ENOENT, "did you mean 'halo2'?");
    assert_lost(two_kinds, "workstation", NULL, -ENOENT, "'modemesh nodes list'");
    assert_lost(two_kinds, "workstation", PHRASE_A, -ENOENT, "'modemesh nodes list'");
    assert_lost(two_kinds, "halo1", NULL, -ENOENT, "'halo1' is in the mesh already");
    assert_lost(two_kinds, "K2", NULL, -ENOENT, "'modemesh nodes forget K2'");
    assert_lost(two_kinds, "", NULL, -ENOENT, "nobody waits as ''");
    assert_lost("{}", "halo1", NULL, -ENOENT, "nobody waits as 'halo1'");
    assert_lost(strangers, "halo2", NULL, -EEXIST, "2 nodes wait as 'halo2'");
    assert_lost(strangers, "halo2", PHRASE_C, -EEXIST, "by the phrase");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(people_see_who_is_in_and_who_waits),
            cmocka_unit_test(an_empty_mesh_says_so),
            cmocka_unit_test(scripts_get_one_row_a_node),
            cmocka_unit_test(a_stranger_s_name_is_no_command),
            cmocka_unit_test(finds_by_name_address_key_and_phrase),
            cmocka_unit_test(a_phrase_tells_namesakes_apart),
            cmocka_unit_test(a_phrase_finds_who_has_no_name),
            cmocka_unit_test(a_wrong_phrase_finds_nobody_else),
            cmocka_unit_test(says_why_nobody_is_meant),
    };

    setenv("TZ", "UTC", 1);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_roster", tests, NULL, NULL);
}

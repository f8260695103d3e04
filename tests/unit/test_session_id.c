#include "coordinator/dialects/session_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct header {
    const char *name, *value;
};

static const char *find(void *ctx, const char *name)
{
    for (const struct header *header = ctx; header->name; header++)
        if (strcasecmp(header->name, name) == 0)
            return header->value;
    return NULL;
}

static void is(const struct header *headers, const char *text, const char *wanted)
{
    struct dialect_input input = {.header = find, .ctx = (void *)headers};
    struct request request = {.session = "old"};
    cJSON *body = text ? cJSON_Parse(text) : NULL;
    session_id_read(&input, body, &request);
    assert_string_equal(request.session, wanted);
    cJSON_Delete(body);
}

static const struct header none[] = {{NULL, NULL}};

static void headers_come_first_in_their_order(void **state)
{
    (void)state;
    static const struct header all[] = {{"x-claude-code-session-id", "c"}, {"Thread-Id", "t"},
            {"session-id", "s"}, {"x-session-id", "x"}, {"x-session-affinity", "a"},
            {"x-parent-session-id", "p"}, {"x-openwebui-chat-id", "w"}, {NULL, NULL}};
    static const char *const wanted[] = {"c", "t", "s", "x", "a", "p", "w", "k"};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        is(all + i, "{\"prompt_cache_key\":\"k\"}", wanted[i]);
}

static void an_agent_has_a_session_of_its_own(void **state)
{
    (void)state;
    static const struct header headers[] = {
            {"x-claude-code-session-id", "c"}, {"x-claude-code-agent-id", "a1"}, {NULL, NULL}};
    is(headers, NULL, "c/a1");
    is(headers + 1, NULL, "");
}

static void a_title_is_of_its_session(void **state)
{
    (void)state;
    static const struct header headers[] = {{"x-session-id", "title-ses_1"}, {NULL, NULL}};
    is(headers, NULL, "ses_1");
}

static void members_come_in_their_order(void **state)
{
    (void)state;
    is(none,
            "{\"prompt_cache_key\":\"k\",\"metadata\":{\"user_id\":\"{\\\"session_id\\\":\\\"m\\\"}"
            "\"},\"session_id\":\"s\",\"previous_response_id\":\"r\"}",
            "k");
    is(none, "{\"metadata\":{\"user_id\":\"{\\\"session_id\\\":\\\"m\\\"}\"},\"session_id\":\"s\"}",
            "m");
    is(none, "{\"session_id\":\"s\",\"previous_response_id\":\"r\"}", "s");
    is(none, "{\"previous_response_id\":\"r\"}", "r");
}

static void what_says_nothing_is_none(void **state)
{
    (void)state;
    char text[REQUEST_SESSION_MAX + 100], id[REQUEST_SESSION_MAX + 2];
    memset(id, 'i', sizeof(id) - 1);
    id[sizeof(id) - 1] = '\0';
    snprintf(text, sizeof(text), "{\"prompt_cache_key\":\"%s\",\"session_id\":\"s\"}", id);
    is(none, text, "s");
    is(none, NULL, "");
    is(none, "[]", "");
    is(none, "{\"prompt_cache_key\":7,\"metadata\":{\"user_id\":\"{\"},\"session_id\":\"\"}", "");
    is(none, "{\"metadata\":{\"user_id\":\"user_1\"}}", "");
}

static void the_longest_fits(void **state)
{
    (void)state;
    char id[REQUEST_SESSION_MAX + 1];
    memset(id, 'i', sizeof(id) - 1);
    id[sizeof(id) - 1] = '\0';
    const struct header headers[] = {{"session-id", id}, {NULL, NULL}};
    is(headers, NULL, id);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(headers_come_first_in_their_order),
            cmocka_unit_test(an_agent_has_a_session_of_its_own),
            cmocka_unit_test(a_title_is_of_its_session),
            cmocka_unit_test(members_come_in_their_order),
            cmocka_unit_test(what_says_nothing_is_none),
            cmocka_unit_test(the_longest_fits),
    };
    return cmocka_run_group_tests_name("session_id", tests, NULL, NULL);
}

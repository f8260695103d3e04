#include "coordinator/dialects/responses/response_store.h"

#include "common/json/json.h"
#include "tests/lib/virtual_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shelf {
    struct virtual_env world;
    struct response_store *store;
    struct err err;
};

static void open_shelf(struct shelf *shelf, size_t count_max, size_t bytes_max)
{
    *shelf = (struct shelf){0};
    virtual_env_init(&shelf->world);
    struct response_store_config config = {
            .env = &shelf->world.env, .count_max = count_max, .bytes_max = bytes_max};
    shelf->store = response_store_create(&config);
    assert_non_null(shelf->store);
}

static void close_shelf(struct shelf *shelf)
{
    response_store_destroy(shelf->store);
}

/* "resp_NAME" with one user's text NAME as its input, padded, and one message as its output. */
static int put_padded(struct shelf *shelf, const char *owner, const char *name,
        const char *previous, size_t padding)
{
    char id[80], object[400], *input = malloc(padding + 200);
    snprintf(id, sizeof(id), "resp_%s", name);
    int output_at = snprintf(object, sizeof(object), "{\"id\":\"%s\",\"output\":", id);
    int output_len = snprintf(object + output_at, sizeof(object) - (size_t)output_at,
            "[{\"id\":\"msg_%s_0\",\"type\":\"message\"},{\"id\":\"fc_%s_1\",\"type\":"
            "\"function_call\"}]",
            name, name);
    strcat(object, "}");
    sprintf(input, "[{\"role\":\"user\",\"content\":\"%s%*s\"},{\"id\":\"mine\"}]", name,
            (int)padding, "");
    struct stored_response response = {.id = id,
            .owner = owner,
            .previous = previous,
            .input = input,
            .object = object,
            .output_at = (size_t)output_at,
            .output_len = (size_t)output_len};
    int r = response_store_put(shelf->store, &response);
    free(input);
    return r;
}

static void put(struct shelf *shelf, const char *name, const char *previous)
{
    assert_int_equal(put_padded(shelf, "me", name, previous, 0), 0);
}

/* The texts and ids of the conversation up to it, in order. */
static void holds(struct shelf *shelf, const char *id, const char *expected)
{
    char got[400] = "";
    cJSON *items;
    const cJSON *item;
    int r = response_store_conversation(shelf->store, "me", id, &items, &shelf->err);
    if (r)
        fail_msg("%s: %s", id, shelf->err.text);
    cJSON_ArrayForEach(item, items)
    {
        strcat(got, json_str(item, "content", json_str(item, "id", "?")));
        strcat(got, " ");
    }
    assert_string_equal(got, expected);
    cJSON_Delete(items);
}

static void lacks(struct shelf *shelf, const char *id)
{
    cJSON *items;
    assert_int_equal(
            response_store_conversation(shelf->store, "me", id, &items, &shelf->err), -ENOENT);
    assert_non_null(strstr(shelf->err.text, "previous response not found"));
}

static bool has(struct shelf *shelf, const char *id)
{
    return response_store_object(shelf->store, "me", id) != NULL;
}

static void a_conversation_is_the_chain_of_its_responses(void **state)
{
    (void)state;
    struct shelf shelf;
    open_shelf(&shelf, 0, 0);
    put(&shelf, "a", "");
    put(&shelf, "b", "resp_a");
    put(&shelf, "c", "resp_b");
    put(&shelf, "d", "resp_a"); /* another way to go on */
    holds(&shelf, "resp_a", "a mine msg_a_0 fc_a_1 ");
    holds(&shelf, "resp_c", "a mine msg_a_0 fc_a_1 b mine msg_b_0 fc_b_1 c mine msg_c_0 fc_c_1 ");
    holds(&shelf, "resp_d", "a mine msg_a_0 fc_a_1 d mine msg_d_0 fc_d_1 ");
    holds(&shelf, "resp_b", "a mine msg_a_0 fc_a_1 b mine msg_b_0 fc_b_1 ");
    lacks(&shelf, "resp_e");
    lacks(&shelf, "");
    close_shelf(&shelf);
}

static void long_numbers_in_arguments_keep_their_text(void **state)
{
    (void)state;
    struct shelf shelf;
    cJSON *items;
    open_shelf(&shelf, 0, 0);
    struct stored_response response = {.id = "resp_n",
            .owner = "me",
            .previous = "",
            .input = "[{\"arguments\":{\"id\":12345678901234567890}}]",
            .object = "{\"output\":[]}"};
    assert_int_equal(response_store_put(shelf.store, &response), 0);
    assert_int_equal(
            response_store_conversation(shelf.store, "me", "resp_n", &items, &shelf.err), 0);
    char *text = cJSON_PrintUnformatted(items);
    assert_string_equal(text, response.input);
    free(text);
    cJSON_Delete(items);
    close_shelf(&shelf);
}

static void a_response_is_its_owners(void **state)
{
    (void)state;
    struct shelf shelf;
    cJSON *items;
    open_shelf(&shelf, 0, 0);
    put(&shelf, "a", "");
    assert_string_equal(response_store_object(shelf.store, "me", "resp_a"),
            "{\"id\":\"resp_a\",\"output\":[{\"id\":\"msg_a_0\",\"type\":\"message\"},{\"id\":"
            "\"fc_a_1\",\"type\":\"function_call\"}]}");
    assert_null(response_store_object(shelf.store, "you", "resp_a"));
    assert_int_equal(response_store_delete(shelf.store, "you", "resp_a"), -ENOENT);
    assert_int_equal(response_store_input(shelf.store, "you", "resp_a", &items), -ENOENT);
    assert_int_equal(
            response_store_conversation(shelf.store, "you", "resp_a", &items, &shelf.err), -ENOENT);
    assert_int_equal(put_padded(&shelf, "you", "b", "resp_a", 0), 0);
    assert_int_equal(
            response_store_conversation(shelf.store, "you", "resp_b", &items, &shelf.err), -ENOENT);
    close_shelf(&shelf);
}

static void what_was_deleted_stays_a_part_of_what_follows(void **state)
{
    (void)state;
    struct shelf shelf;
    open_shelf(&shelf, 0, 0);
    put(&shelf, "a", "");
    put(&shelf, "b", "resp_a");
    assert_int_equal(response_store_delete(shelf.store, "me", "resp_a"), 0);
    assert_int_equal(response_store_delete(shelf.store, "me", "resp_a"), -ENOENT);
    assert_false(has(&shelf, "resp_a"));
    holds(&shelf, "resp_b", "a mine msg_a_0 fc_a_1 b mine msg_b_0 fc_b_1 ");
    put(&shelf, "c", "resp_a");
    lacks(&shelf, "resp_c");
    assert_true(has(&shelf, "resp_c"));
    close_shelf(&shelf);
}

static void the_same_id_replaces(void **state)
{
    (void)state;
    struct shelf shelf;
    open_shelf(&shelf, 0, 0);
    put(&shelf, "a", "");
    put(&shelf, "b", "resp_a");
    put(&shelf, "b", "");
    holds(&shelf, "resp_b", "b mine msg_b_0 fc_b_1 ");
    put(&shelf, "b", "resp_b");
    holds(&shelf, "resp_b", "b mine msg_b_0 fc_b_1 b mine msg_b_0 fc_b_1 ");
    assert_int_equal(response_store_delete(shelf.store, "me", "resp_b"), 0);
    assert_false(has(&shelf, "resp_b"));
    close_shelf(&shelf);
}

static void the_one_used_longest_ago_makes_room(void **state)
{
    (void)state;
    struct shelf shelf;
    open_shelf(&shelf, 3, 0);
    put(&shelf, "a", "");
    put(&shelf, "b", "");
    put(&shelf, "c", "");
    assert_true(has(&shelf, "resp_a"));
    put(&shelf, "d", "");
    assert_false(has(&shelf, "resp_b"));
    assert_true(has(&shelf, "resp_a"));
    put(&shelf, "e", "resp_a");
    holds(&shelf, "resp_e", "a mine msg_a_0 fc_a_1 e mine msg_e_0 fc_e_1 ");
    close_shelf(&shelf);
}

/* A chain that is longer than all that may be kept holds nothing in the end, and leaks nothing. */
static void a_chain_goes_from_its_end(void **state)
{
    (void)state;
    struct shelf shelf;
    char name[16], previous[24] = "";
    open_shelf(&shelf, 8, 0);
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        put(&shelf, name, previous);
        snprintf(previous, sizeof(previous), "resp_%s", name);
    }
    for (int i = 8; i < 49; i++) {
        snprintf(previous, sizeof(previous), "resp_n%d", i);
        cJSON *items;
        int r = response_store_conversation(shelf.store, "me", previous, &items, &shelf.err);
        if (r == 0)
            cJSON_Delete(items);
        assert_true(r == 0 || r == -ENOENT);
    }
    close_shelf(&shelf);
}

static void inputs_make_room_before_whole_responses(void **state)
{
    (void)state;
    struct shelf shelf;
    cJSON *items;
    open_shelf(&shelf, 0, 10000);
    assert_int_equal(put_padded(&shelf, "me", "a", "", 4000), 0);
    assert_int_equal(put_padded(&shelf, "me", "b", "", 4000), 0);
    assert_int_equal(put_padded(&shelf, "me", "c", "", 4000), 0);
    assert_true(has(&shelf, "resp_a"));
    lacks(&shelf, "resp_a");
    assert_int_equal(response_store_input(shelf.store, "me", "resp_a", &items), -ENOENT);
    assert_int_equal(response_store_input(shelf.store, "me", "resp_b", &items), 0);
    cJSON_Delete(items);
    close_shelf(&shelf);
}

static void responses_leave_room_for_inputs(void **state)
{
    (void)state;
    struct shelf shelf;
    open_shelf(&shelf, 0, 20000);
    for (int i = 0; i < 200; i++) {
        char name[16], id[24];
        snprintf(name, sizeof(name), "x%d", i);
        snprintf(id, sizeof(id), "resp_%s", name);
        put(&shelf, name, "");
        cJSON *items;
        assert_int_equal(response_store_conversation(shelf.store, "me", id, &items, &shelf.err), 0);
        cJSON_Delete(items);
    }
    assert_false(has(&shelf, "resp_x0"));
    close_shelf(&shelf);
}

static void what_is_too_large_is_not_kept(void **state)
{
    (void)state;
    struct shelf shelf;
    char long_id[RESPONSE_ID_MAX + 2];
    char *large = malloc(RESPONSE_STORE_ONE_BYTES + 2);
    memset(large, ' ', RESPONSE_STORE_ONE_BYTES + 1);
    large[RESPONSE_STORE_ONE_BYTES + 1] = '\0';
    memset(long_id, 'x', sizeof(long_id) - 1);
    long_id[sizeof(long_id) - 1] = '\0';
    open_shelf(&shelf, 0, 0);
    struct stored_response response = {
            .id = "resp_l", .owner = "me", .previous = "", .input = "[]", .object = large};
    assert_int_equal(response_store_put(shelf.store, &response), -EMSGSIZE);
    response.object = "{}";
    response.input = large;
    assert_int_equal(response_store_put(shelf.store, &response), 0);
    lacks(&shelf, "resp_l");
    assert_true(has(&shelf, "resp_l"));
    response.input = "[]";
    response.id = long_id;
    assert_int_equal(response_store_put(shelf.store, &response), -EINVAL);
    response.id = "";
    assert_int_equal(response_store_put(shelf.store, &response), -EINVAL);
    free(large);
    close_shelf(&shelf);
}

static void what_is_not_used_goes_after_a_day(void **state)
{
    (void)state;
    struct shelf shelf;
    open_shelf(&shelf, 0, 0);
    put(&shelf, "a", "");
    put(&shelf, "b", "resp_a");
    put(&shelf, "c", "");
    virtual_env_advance_ms(&shelf.world, RESPONSE_STORE_AGE_MS);
    holds(&shelf, "resp_b", "a mine msg_a_0 fc_a_1 b mine msg_b_0 fc_b_1 ");
    virtual_env_advance_ms(&shelf.world, 1);
    response_store_expire(shelf.store);
    assert_false(has(&shelf, "resp_c"));
    holds(&shelf, "resp_b", "a mine msg_a_0 fc_a_1 b mine msg_b_0 fc_b_1 ");
    virtual_env_advance_ms(&shelf.world, RESPONSE_STORE_AGE_MS + 1);
    lacks(&shelf, "resp_b");
    close_shelf(&shelf);
}

static void each_item_of_an_input_has_an_id(void **state)
{
    (void)state;
    struct shelf shelf;
    cJSON *items;
    open_shelf(&shelf, 0, 0);
    put(&shelf, "a", "");
    assert_int_equal(response_store_input(shelf.store, "me", "resp_a", &items), 0);
    assert_string_equal(json_str(cJSON_GetArrayItem(items, 0), "id", ""), "in_a_0");
    assert_string_equal(json_str(cJSON_GetArrayItem(items, 1), "id", ""), "mine");
    cJSON_Delete(items);
    close_shelf(&shelf);
}

static int resolve(struct shelf *shelf, const char *owner, const char *text, cJSON **ret_items)
{
    *ret_items = cJSON_Parse(text);
    assert_non_null(*ret_items);
    return response_store_resolve(shelf->store, owner, *ret_items, &shelf->err);
}

static void references_are_replaced_in_place(void **state)
{
    (void)state;
    struct shelf shelf;
    cJSON *items;
    open_shelf(&shelf, 0, 0);
    put(&shelf, "a", "");
    put(&shelf, "b", "");
    assert_int_equal(resolve(&shelf, "me",
                             "[{\"type\":\"item_reference\",\"id\":\"fc_a_1\"},{\"role\":\"user\"},"
                             "{\"type\":\"item_reference\",\"id\":\"msg_b_0\"},1,"
                             "{\"type\":\"item_reference\",\"id\":\"msg_a_0\"}]",
                             &items),
            0);
    char *text = cJSON_PrintUnformatted(items);
    assert_string_equal(text, "[{\"id\":\"fc_a_1\",\"type\":\"function_call\"},{\"role\":\"user\"},"
                              "{\"id\":\"msg_b_0\",\"type\":\"message\"},1,{\"id\":\"msg_a_0\","
                              "\"type\":\"message\"}]");
    cJSON_free(text);
    cJSON_Delete(items);
    close_shelf(&shelf);
}

static void references_to_nothing_are_refused(void **state)
{
    (void)state;
    static const char *const ids[] = {"", "msg", "msg_", "msg_a", "msg_a_", "msg_a_2", "fc_a_0",
            "msg_a_0x", "msg_a_-1", "msg_a_9999999", "msg_b_0", "__", "in_a_0",
            "msg_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_0"};
    struct shelf shelf;
    open_shelf(&shelf, 0, 0);
    put(&shelf, "a", "");
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        char text[200];
        cJSON *items;
        snprintf(text, sizeof(text), "[{\"type\":\"item_reference\",\"id\":\"%s\"}]", ids[i]);
        if (resolve(&shelf, "me", text, &items) != -ENOENT)
            fail_msg("found: %s", ids[i]);
        cJSON_Delete(items);
    }
    cJSON *items;
    assert_int_equal(
            resolve(&shelf, "you", "[{\"type\":\"item_reference\",\"id\":\"msg_a_0\"}]", &items),
            -ENOENT);
    cJSON_Delete(items);
    close_shelf(&shelf);
}

static void references_cannot_make_a_request_grow_without_end(void **state)
{
    (void)state;
    struct shelf shelf;
    size_t len = 8 * 1024 * 1024;
    char *object = malloc(len + 100);
    cJSON *items;
    memset(object, 'x', len);
    memcpy(object, "[{\"id\":\"msg_a_0\",\"text\":\"", 25);
    strcpy(object + len, "\"}]");
    open_shelf(&shelf, 0, 0);
    struct stored_response response = {.id = "resp_a",
            .owner = "me",
            .previous = "",
            .input = "[]",
            .object = object,
            .output_len = strlen(object)};
    assert_int_equal(response_store_put(shelf.store, &response), 0);
#define REFERENCE "{\"type\":\"item_reference\",\"id\":\"msg_a_0\"}"
#define FOUR      REFERENCE "," REFERENCE "," REFERENCE "," REFERENCE
    assert_int_equal(resolve(&shelf, "me", "[" FOUR "]", &items), 0);
    cJSON_Delete(items);
    assert_int_equal(resolve(&shelf, "me", "[" FOUR "," FOUR "]", &items), -EMSGSIZE);
    cJSON_Delete(items);
    free(object);
    close_shelf(&shelf);
}

static void a_conversation_is_no_larger_than_a_request(void **state)
{
    (void)state;
    struct shelf shelf;
    cJSON *items;
    open_shelf(&shelf, 0, 0);
    assert_int_equal(put_padded(&shelf, "me", "a", "", 20 * 1024 * 1024), 0);
    assert_int_equal(put_padded(&shelf, "me", "b", "resp_a", 20 * 1024 * 1024), 0);
    assert_int_equal(response_store_conversation(shelf.store, "me", "resp_b", &items, &shelf.err),
            -EMSGSIZE);
    assert_int_equal(
            response_store_conversation(shelf.store, "me", "resp_a", &items, &shelf.err), 0);
    cJSON_Delete(items);
    close_shelf(&shelf);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_conversation_is_the_chain_of_its_responses),
            cmocka_unit_test(long_numbers_in_arguments_keep_their_text),
            cmocka_unit_test(a_response_is_its_owners),
            cmocka_unit_test(what_was_deleted_stays_a_part_of_what_follows),
            cmocka_unit_test(the_same_id_replaces),
            cmocka_unit_test(the_one_used_longest_ago_makes_room),
            cmocka_unit_test(a_chain_goes_from_its_end),
            cmocka_unit_test(inputs_make_room_before_whole_responses),
            cmocka_unit_test(responses_leave_room_for_inputs),
            cmocka_unit_test(what_is_too_large_is_not_kept),
            cmocka_unit_test(what_is_not_used_goes_after_a_day),
            cmocka_unit_test(each_item_of_an_input_has_an_id),
            cmocka_unit_test(references_are_replaced_in_place),
            cmocka_unit_test(references_to_nothing_are_refused),
            cmocka_unit_test(references_cannot_make_a_request_grow_without_end),
            cmocka_unit_test(a_conversation_is_no_larger_than_a_request),
    };
    return cmocka_run_group_tests_name("response_store", tests, NULL, NULL);
}

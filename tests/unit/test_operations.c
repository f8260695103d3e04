#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coordinator/api/operations.h"

#include "common/file.h"
#include "common/json/json.h"
#include "common/trust/join_token.h"
#include "common/trust/phrase.h"
#include "tests/lib/fake_mesh.h"
#include "tests/lib/modes_maker.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MEMBERS = 2,
    KNOCKER = 5, /* a peer that is no member */
    SECOND = 6,  /* another one */
    HOUR_MS = 60 * 60 * 1000,
    ANSWER_MAX = 1024 * 1024,
    BOOK_MAX = 64 * 1024,
};
#define DAY_MS (UINT64_C(24) * HOUR_MS)

struct world {
    struct fake_mesh mesh;
    struct api_keys *keys;
    struct operations operations;
    struct modes modes;
    struct buf text; /* of the last answer */
    cJSON *json;     /* … and what it says */
    struct err err;
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_mesh_init(&world->mesh, MEMBERS);
    assert_int_equal(api_keys_open(scratch_path(&world->mesh.scratch, "api-keys.json"),
                             &world->mesh.env.env, &world->keys, NULL),
            0);
    world->operations = (struct operations){.env = &world->mesh.env.env,
            .door = world->mesh.door,
            .keys = world->keys,
            .nodes = world->mesh.nodes,
            .modes = &world->modes,
            .router = world->mesh.router,
            .link_endpoint = "tcp://192.0.2.1:8421"};
    world->modes.derived = true;
    buf_init(&world->text, ANSWER_MAX);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    cJSON_Delete(world->json);
    buf_fini(&world->text);
    api_keys_close(world->keys);
    modes_fini(&world->modes);
    fake_mesh_fini(&world->mesh);
    free(world);
    return 0;
}

/* --- asking --- */

static const struct operation *find(const char *method, const char *path)
{
    const char *allowed;
    const struct operation *operation = operation_find(method, path, &allowed);
    assert_non_null(operation);
    return operation;
}

static int run(struct world *world, const char *method, const char *path, const char *body)
{
    struct json_writer writer;
    cJSON *json = NULL;
    if (body)
        assert_int_equal(json_parse(body, strlen(body), &json_limits_request, &json, NULL), 0);
    buf_clear(&world->text);
    json_writer_init(&writer, &world->text);
    json_writer_object(&writer, NULL);
    int r = find(method, path)->run(&world->operations, json, &writer, &world->err);
    json_writer_object_end(&writer);
    assert_int_equal(json_writer_result(&writer), 0);
    cJSON_Delete(json);
    return r;
}

/* What the operation answers, which must succeed. */
static const cJSON *ask(struct world *world, const char *method, const char *path, const char *body)
{
    if (run(world, method, path, body))
        fail_msg("%s", world->err.text);
    cJSON_Delete(world->json);
    world->json = NULL;
    assert_int_equal(json_parse(buf_at(&world->text), world->text.len, &json_limits_request,
                             &world->json, NULL),
            0);
    return world->json;
}

static const cJSON *get(struct world *world, const char *path)
{
    return ask(world, "GET", path, NULL);
}

static const cJSON *post(struct world *world, const char *path, const char *body)
{
    return ask(world, "POST", path, body);
}

static const cJSON *at(const cJSON *object, const char *list, int index)
{
    const cJSON *item = cJSON_GetArrayItem(json_array(object, list), index);
    assert_non_null(item);
    return item;
}

static int length(const cJSON *object, const char *list)
{
    assert_non_null(json_array(object, list));
    return cJSON_GetArraySize(json_array(object, list));
}

static void says(const cJSON *object, const char *key, const char *expected)
{
    assert_string_equal(json_str(object, key, "(none)"), expected);
}

static void counts(const cJSON *object, const char *key, uint64_t expected)
{
    assert_true(json_num(object, key, -1) == (double)expected);
}

/* "node,edge" */
static void has_roles(const cJSON *object, const char *expected)
{
    char roles[64] = "";
    const cJSON *role;
    cJSON_ArrayForEach(role, json_array(object, "roles"))
    {
        strcat(roles, *roles ? "," : "");
        strcat(roles, role->valuestring);
    }
    assert_string_equal(roles, expected);
}

/* All that operations can change. */
struct sum {
    unsigned members;
    size_t pending, tokens, keys;
    uint64_t window_ms;
};

static struct sum sum_of(const struct world *world)
{
    return (struct sum){.members = members_edition(world->mesh.members),
            .pending = pending_count(door_pending(world->mesh.door)),
            .tokens = tokens_count(world->mesh.tokens),
            .keys = api_keys_count(world->keys),
            .window_ms = door_window_left_ms(world->mesh.door)};
}

/* It is refused, says why, and nothing has changed. */
static void refuses(struct world *world, const char *path, const char *body, int code)
{
    struct sum before = sum_of(world), after;
    world->err.text[0] = '\0';
    int r = run(world, "POST", path, body);
    if (r != code)
        fail_msg("%s %s: %d, not %d", path, body, r, code);
    assert_true(*world->err.text);
    after = sum_of(world);
    assert_int_equal(after.members, before.members);
    assert_int_equal(after.pending, before.pending);
    assert_int_equal(after.tokens, before.tokens);
    assert_int_equal(after.keys, before.keys);
    assert_int_equal(after.window_ms, before.window_ms);
}

struct bad {
    const char *body;
    int code;
};

static void refuses_all(struct world *world, const char *path, const struct bad *bad, size_t count)
{
    for (size_t i = 0; i < count; i++)
        refuses(world, path, bad[i].body, bad[i].code);
}

#define REFUSES_ALL(world, path, bad) refuses_all(world, path, bad, sizeof(bad) / sizeof(bad[0]))

/* "{"KEY":["a","a",…]}" with `count` entries, and what else `rest` says. */
static const char *long_list(const char *key, size_t count, const char *rest)
{
    static char text[1024];
    int len = snprintf(text, sizeof(text), "{%s\"%s\":[\"a\"", rest, key);
    for (size_t i = 1; i < count; i++)
        len += snprintf(text + len, sizeof(text) - (size_t)len, ",\"a\"");
    (void)snprintf(text + len, sizeof(text) - (size_t)len, "]}");
    return text;
}

static void operations_are_found_by_path_and_method(void **state)
{
    (void)state;
    const char *allowed = "?";
    assert_null(operation_find("GET", "/mesh/v1", &allowed));
    assert_null(allowed);
    assert_null(operation_find("GET", "/mesh/v1/nodes/", &allowed));
    assert_null(allowed);
    assert_null(operation_find("POST", "/mesh/v1/nodes", &allowed));
    assert_string_equal(allowed, "GET");
    assert_null(operation_find("GET", "/mesh/v1/nodes/approve", &allowed));
    assert_string_equal(allowed, "POST");
    assert_ptr_not_equal(find("GET", "/mesh/v1/keys"), find("POST", "/mesh/v1/keys"));
    assert_string_equal(find("POST", "/mesh/v1/keys")->method, "POST");
}

/* --- nodes --- */

static const char approve[] = "/mesh/v1/nodes/approve";

/* The peer knocks, and its host announces a name. */
static void knock(struct world *world, size_t number, const char *name)
{
    struct link_peer peer = fake_link_peer(number);
    assert_false(door_allow(world->mesh.door, peer.key, peer.address));
    if (name)
        door_announced(world->mesh.door, peer.key, name);
}

static void phrase_of(const struct world *world, size_t number, char phrase[PHRASE_LEN + 1])
{
    phrase_make(world->mesh.keys.public_z85, fake_link_peer(number).key, phrase);
}

static const struct member *member_of(const struct world *world, size_t number)
{
    return members_find_key(world->mesh.members, fake_link_peer(number).key);
}

static void members_are_listed(void **state)
{
    struct world *world = *state;
    struct member laptop = *member_of(world, 1);
    laptop.roles = CERTIFICATE_ROLE_EDGE;
    assert_int_equal(members_put(world->mesh.members, &laptop, NULL), 0);
    fake_mesh_hello(&world->mesh, 1, "s");
    const cJSON *json = get(world, "/mesh/v1/nodes");
    assert_int_equal(length(json, "nodes"), 2);
    const cJSON *node = at(json, "nodes", 0);
    says(node, "name", "node0");
    says(node, "key", fake_link_peer(0).key);
    has_roles(node, "node,edge");
    counts(node, "serial", member_of(world, 0)->serial);
    counts(node, "not_after_ms", member_of(world, 0)->not_after_s * 1000);
    assert_false(json_bool(node, "revoked", true));
    says(node, "source", "approved");
    says(node, "state", "offline");
    node = at(json, "nodes", 1);
    has_roles(node, "edge");
    says(node, "state", "up");
    assert_int_equal(length(json, "pending"), 0);
    counts(json, "accept_ms_left", 0);
}

static void a_silent_and_a_revoked_node_are_listed_as_such(void **state)
{
    struct world *world = *state;
    fake_mesh_hello(&world->mesh, 0, "s");
    fake_mesh_hello(&world->mesh, 1, "s");
    for (unsigned ms = 0; ms <= SESSION_SUSPECT_MS; ms += 100) {
        virtual_env_advance_ms(&world->mesh.env, 100);
        node_table_tick(world->mesh.nodes);
    }
    assert_int_equal(door_revoke(world->mesh.door, "node1", NULL), 0);
    const cJSON *json = get(world, "/mesh/v1/nodes");
    says(at(json, "nodes", 0), "state", "suspect");
    says(at(json, "nodes", 1), "state", "revoked");
    assert_true(json_bool(at(json, "nodes", 1), "revoked", false));
}

static void pending_nodes_are_listed_with_their_phrases(void **state)
{
    struct world *world = *state;
    char phrase[PHRASE_LEN + 1];
    knock(world, KNOCKER, "strix");
    virtual_env_advance_ms(&world->mesh.env, 3000);
    knock(world, KNOCKER, NULL);
    knock(world, SECOND, NULL);
    virtual_env_advance_ms(&world->mesh.env, 500);
    const cJSON *json = get(world, "/mesh/v1/nodes");
    assert_int_equal(length(json, "pending"), 2);
    const cJSON *pending = at(json, "pending", 0);
    says(pending, "key", fake_link_peer(KNOCKER).key);
    says(pending, "name", "strix");
    says(pending, "address", "10.0.0.5");
    phrase_of(world, KNOCKER, phrase);
    says(pending, "phrase", phrase);
    counts(pending, "first_ms_ago", 3500);
    counts(pending, "last_ms_ago", 500);
    counts(pending, "knocks", 2);
    says(pending, "note", "");
    says(at(json, "pending", 1), "name", "");
    counts(json_obj(json, "refused"), "stranger", 3);
    counts(json_obj(json, "refused"), "bad_certificate", 0);
    assert_int_equal(cJSON_GetArraySize(json_obj(json, "refused")), DOOR_REFUSAL_COUNT);
}

static void notes_say_what_to_look_out_for(void **state)
{
    struct world *world = *state;
    struct member ended = *member_of(world, 1);
    ended.not_after_s = 1;
    assert_int_equal(members_put(world->mesh.members, &ended, NULL), 0);
    knock(world, 1, "node1");
    knock(world, KNOCKER, "node0");
    const cJSON *json = get(world, "/mesh/v1/nodes");
    assert_non_null(strstr(json_str(at(json, "pending", 0), "note", ""), "was a member as node1"));
    assert_non_null(strstr(
            json_str(at(json, "pending", 1), "note", ""), "node0 is a member with another key"));
}

static void a_node_is_approved_by_name_address_key_or_phrase(void **state)
{
    struct world *world = *state;
    char phrase[PHRASE_LEN + 1], body[200];
    phrase_of(world, KNOCKER, phrase);
    const char *const names[] = {"strix", "10.0.0.5", fake_link_peer(KNOCKER).key, phrase};
    for (size_t i = 0; i < 4; i++) {
        struct link_peer peer = fake_link_peer(KNOCKER);
        knock(world, KNOCKER, "strix");
        (void)snprintf(body, sizeof(body), "{\"node\":\"%s\"}", names[i]);
        const cJSON *json = post(world, approve, body);
        says(json, "name", "strix");
        says(json, "key", peer.key);
        says(json, "phrase", phrase);
        says(json, "address", "10.0.0.5");
        assert_true(door_allow(world->mesh.door, peer.key, peer.address));
        assert_int_equal(
                member_of(world, KNOCKER)->roles, CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE);
        assert_int_equal(door_forget(world->mesh.door, "strix", NULL), 0);
    }
}

static void a_phrase_must_be_that_of_the_node(void **state)
{
    struct world *world = *state;
    char phrase[PHRASE_LEN + 1], body[200];
    knock(world, KNOCKER, "strix");
    knock(world, SECOND, "halo");
    phrase_of(world, SECOND, phrase);
    (void)snprintf(body, sizeof(body), "{\"node\":\"strix\",\"phrase\":\"%s\"}", phrase);
    refuses(world, approve, body, -EACCES);
    refuses(world, approve, "{\"node\":\"strix\",\"phrase\":\"dakor\"}", -EACCES);
    assert_null(member_of(world, KNOCKER));
    assert_null(member_of(world, SECOND));
    phrase_of(world, KNOCKER, phrase);
    for (char *letter = phrase; *letter; letter++)
        *letter = *letter == '-' ? ' ' : (char)toupper((unsigned char)*letter);
    (void)snprintf(body, sizeof(body), "{\"node\":\"strix\",\"phrase\":\"%s\"}", phrase);
    says(post(world, approve, body), "name", "strix");
}

static void an_approved_node_gets_the_name_and_roles_asked_for(void **state)
{
    struct world *world = *state;
    knock(world, KNOCKER, "strix");
    const cJSON *json =
            post(world, approve, "{\"node\":\"strix\",\"name\":\"tower\",\"roles\":[\"edge\"]}");
    says(json, "name", "tower");
    assert_int_equal(member_of(world, KNOCKER)->roles, CERTIFICATE_ROLE_EDGE);
    knock(world, SECOND, "halo");
    post(world, approve, "{\"node\":\"halo\",\"roles\":[\"edge\",\"node\",\"edge\"]}");
    assert_int_equal(
            member_of(world, SECOND)->roles, CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE);
}

/* Who asks for nothing else does not make a node of an editor's machine. */
static void approving_again_keeps_name_and_roles(void **state)
{
    struct world *world = *state;
    struct member laptop = *member_of(world, 1);
    laptop.roles = CERTIFICATE_ROLE_EDGE;
    laptop.not_after_s = 1;
    assert_int_equal(members_put(world->mesh.members, &laptop, NULL), 0);
    knock(world, 1, "other");
    says(post(world, approve, "{\"node\":\"other\"}"), "name", "node1");
    assert_int_equal(member_of(world, 1)->roles, CERTIFICATE_ROLE_EDGE);
}

static void what_cannot_be_approved_is_refused(void **state)
{
    struct world *world = *state;
    static const struct bad bad[] = {
            {"{}", -EINVAL},
            {"{\"node\":1}", -EINVAL},
            {"{\"node\":\"\"}", -EINVAL},
            {"{\"node\":null}", -EINVAL},
            {"{\"Node\":\"strix\"}", -EINVAL},
            {"{\"node\":\"strix\",\"phrase\":\"\"}", -EINVAL},
            {"{\"node\":\"strix\",\"phrase\":true}", -EINVAL},
            {"{\"node\":\"strix\",\"name\":[]}", -EINVAL},
            {"{\"node\":\"strix\",\"name\":\"two words\"}", -EINVAL},
            {"{\"node\":\"strix\",\"roles\":\"node\"}", -EINVAL},
            {"{\"node\":\"strix\",\"roles\":[1]}", -EINVAL},
            {"{\"node\":\"strix\",\"roles\":[\"\"]}", -EINVAL},
            {"{\"node\":\"strix\",\"roles\":[\"coordinator\"]}", -EINVAL},
            {"{\"node\":\"strix\",\"roles\":[\"edge\",\"admin\"]}", -EINVAL},
            {"{\"node\":\"nobody\"}", -ENOENT},
            {"{\"node\":\"node0\"}", -ENOENT}, /* a member, but not pending */
            {"{\"node\":\"strix\",\"name\":\"node0\"}", -EEXIST},
            {"{\"node\":\"twin\"}", -EEXIST},
    };
    knock(world, KNOCKER, "strix");
    knock(world, SECOND, "twin");
    knock(world, SECOND + 1, "twin");
    REFUSES_ALL(world, approve, bad);
    refuses(world, approve, long_list("roles", API_KEY_SCOPE_MAX + 1, "\"node\":\"strix\","),
            -E2BIG);
}

static void what_is_revoked_is_cut_before_the_answer(void **state)
{
    struct world *world = *state;
    char body[100];
    fake_mesh_hello(&world->mesh, 0, "s");
    fake_mesh_hello(&world->mesh, 1, "s");
    says(post(world, "/mesh/v1/nodes/revoke", "{\"node\":\"node0\"}"), "name", "node0");
    assert_true(member_of(world, 0)->revoked);
    assert_int_equal(node_table_count(world->mesh.nodes), 1);
    assert_int_equal(world->mesh.cuts, 1);
    assert_string_equal(world->mesh.last_cut.key, fake_link_peer(0).key);
    (void)snprintf(body, sizeof(body), "{\"node\":\"%s\"}", fake_link_peer(1).key);
    says(post(world, "/mesh/v1/nodes/revoke", body), "name", "node1");
    assert_int_equal(node_table_count(world->mesh.nodes), 0);
}

static void what_is_forgotten_is_cut_and_a_stranger(void **state)
{
    struct world *world = *state;
    char body[100];
    struct link_peer peer = fake_link_peer(0);
    fake_mesh_hello(&world->mesh, 0, "s");
    (void)snprintf(body, sizeof(body), "{\"node\":\"%s\"}", peer.key);
    says(post(world, "/mesh/v1/nodes/forget", body), "name", "node0");
    assert_null(member_of(world, 0));
    assert_int_equal(world->mesh.cuts, 1);
    knock(world, 0, NULL);
    assert_int_equal(pending_count(door_pending(world->mesh.door)), 1);
}

/* One that was taken in by the window, and has not come yet. */
static void a_member_without_a_name_is_called_by_its_key(void **state)
{
    struct world *world = *state;
    struct link_peer peer = fake_link_peer(KNOCKER);
    char body[100];
    assert_int_equal(door_open_window(world->mesh.door, 1000, NULL), 0);
    assert_true(door_allow(world->mesh.door, peer.key, peer.address));
    (void)snprintf(body, sizeof(body), "{\"node\":\"%s\"}", peer.key);
    says(post(world, "/mesh/v1/nodes/revoke", body), "name", peer.key);
}

static void only_members_can_be_revoked_or_forgotten(void **state)
{
    struct world *world = *state;
    static const struct bad bad[] = {
            {"{}", -EINVAL},
            {"{\"node\":[]}", -EINVAL},
            {"{\"node\":\"\"}", -EINVAL},
            {"{\"node\":\"nobody\"}", -ENOENT},
            {"{\"node\":\"strix\"}", -ENOENT},
    };
    knock(world, KNOCKER, "strix");
    REFUSES_ALL(world, "/mesh/v1/nodes/revoke", bad);
    REFUSES_ALL(world, "/mesh/v1/nodes/forget", bad);
    refuses(world, "/mesh/v1/nodes/revoke", "{\"node\":\"nodeO\"}", -ENOENT);
    assert_non_null(strstr(world->err.text, "node0"));
}

static void the_window_opens_and_ends(void **state)
{
    struct world *world = *state;
    counts(post(world, "/mesh/v1/nodes/accept", "{\"for_ms\":60000}"), "accept_ms_left", 60000);
    virtual_env_advance_ms(&world->mesh.env, 1000);
    counts(get(world, "/mesh/v1/nodes"), "accept_ms_left", 59000);
    static const struct bad bad[] = {
            {"{}", -EINVAL},
            {"{\"FOR_MS\":0}", -EINVAL},
            {"{\"for_ms\":\"60000\"}", -EINVAL},
            {"{\"for_ms\":-1}", -EINVAL},
            {"{\"for_ms\":0.5}", -EINVAL},
            {"{\"for_ms\":1e300}", -EINVAL},
            {"{\"for_ms\":86400001}", -EINVAL},
    };
    REFUSES_ALL(world, "/mesh/v1/nodes/accept", bad);
    counts(post(world, "/mesh/v1/nodes/accept", "{\"for_ms\":0}"), "accept_ms_left", 0);
    counts(post(world, "/mesh/v1/nodes/accept", "{\"for_ms\":86400000}"), "accept_ms_left", DAY_MS);
}

/* --- tokens --- */

static const char tokens[] = "/mesh/v1/tokens";

/* Reads the answer's token; the caller finishes it. */
static struct join_token line_of(const cJSON *json)
{
    struct join_token line;
    struct err err;
    const char *text = json_str(json, "token", "");
    if (join_token_parse(text, strlen(text), &line, &err))
        fail_msg("%s", err.text);
    return line;
}

static uint64_t now_ms(const struct world *world)
{
    return (uint64_t)env_wall_ms(&world->mesh.env.env);
}

static void a_token_is_a_line_that_joins(void **state)
{
    struct world *world = *state;
    const cJSON *json = post(world, tokens, "{}");
    struct join_token line = line_of(json);
    assert_memory_equal(line.mesh, world->mesh.identity.public_key, IDENTITY_BYTES);
    assert_string_equal(line.coordinator_key, world->mesh.keys.public_z85);
    assert_int_equal(line.expires_s, (now_ms(world) + HOUR_MS) / 1000);
    assert_int_equal(line.address_count, 1);
    assert_string_equal(line.addresses[0], "192.0.2.1:8421");
    assert_true(door_allow(world->mesh.door, line.pair.public_z85, "10.0.0.9"));
    const struct token *token =
            tokens_find_key(world->mesh.tokens, line.pair.public_z85, (int64_t)now_ms(world));
    assert_non_null(token);
    says(json, "id", token->id);
    has_roles(json, "node,edge");
    counts(json, "uses_left", 1);
    counts(json, "expires_ms", now_ms(world) + HOUR_MS);
    join_token_fini(&line);
}

static void a_token_is_as_it_was_asked_for(void **state)
{
    struct world *world = *state;
    const cJSON *json = post(world, tokens,
            "{\"uses\":3,\"expires_in_ms\":86400000,\"roles\":[\"edge\"],"
            "\"addresses\":[\"mesh.example.org:8421\",\"[2001:db8::1]:9\"]}");
    struct join_token line = line_of(json);
    assert_int_equal(line.address_count, 2);
    assert_string_equal(line.addresses[0], "mesh.example.org:8421");
    assert_string_equal(line.addresses[1], "[2001:db8::1]:9");
    has_roles(json, "edge");
    counts(json, "uses_left", 3);
    counts(json, "expires_ms", now_ms(world) + DAY_MS);
    assert_int_equal(tokens_at(world->mesh.tokens, 0)->roles, CERTIFICATE_ROLE_EDGE);
    join_token_fini(&line);
}

static bool names_address(const struct join_token *line, const char *address)
{
    for (size_t i = 0; i < line->address_count; i++)
        if (strcmp(line->addresses[i], address) == 0)
            return true;
    return false;
}

static void a_link_that_listens_everywhere_is_found_on_this_host_too(void **state)
{
    struct world *world = *state;
    static const char *const endpoints[] = {"tcp://0.0.0.0:4711", "tcp://[::]:4711"};
    for (size_t i = 0; i < 2; i++) {
        world->operations.link_endpoint = endpoints[i];
        struct join_token line = line_of(post(world, tokens, "{}"));
        assert_true(line.address_count >= 2); /* the name of this host is one */
        assert_true(names_address(&line, "127.0.0.1:4711"));
        assert_false(names_address(&line, "0.0.0.0:4711"));
        join_token_fini(&line);
    }
}

/* Copies a file of the state directory; the caller frees it. */
static char *slurp(const struct world *world, const char *name)
{
    char *text;
    size_t len;
    assert_int_equal(
            file_read(scratch_path(&world->mesh.scratch, name), BOOK_MAX, &text, &len, NULL), 0);
    return text;
}

static void a_tokens_secret_is_in_its_one_answer_only(void **state)
{
    struct world *world = *state;
    char text[JOIN_TOKEN_TEXT_MAX + 1];
    const cJSON *json = post(world, tokens, "{}");
    (void)snprintf(text, sizeof(text), "%s", json_str(json, "token", ""));
    struct join_token line = line_of(json);
    json = get(world, tokens);
    assert_int_equal(length(json, "tokens"), 1);
    assert_null(cJSON_GetObjectItem(at(json, "tokens", 0), "token"));
    char *book = slurp(world, "tokens.json");
    assert_int_equal(buf_terminate(&world->text), 0);
    const char *const places[] = {book, buf_at(&world->text)};
    for (size_t i = 0; i < 2; i++) {
        assert_null(strstr(places[i], text));
        assert_null(strstr(places[i], line.pair.secret_z85));
    }
    free(book);
    join_token_fini(&line);
}

static void tokens_are_listed(void **state)
{
    struct world *world = *state;
    uint64_t created_ms = now_ms(world);
    post(world, tokens, "{\"uses\":2,\"roles\":[\"node\"]}");
    virtual_env_advance_ms(&world->mesh.env, 1000);
    post(world, tokens, "{\"expires_in_ms\":5000}");
    const struct token *first = tokens_at(world->mesh.tokens, 0);
    assert_int_equal(tokens_use(world->mesh.tokens, first->key, (int64_t)now_ms(world), NULL), 0);
    const cJSON *json = get(world, tokens);
    const cJSON *token = at(json, "tokens", 0);
    says(token, "id", tokens_at(world->mesh.tokens, 0)->id);
    has_roles(token, "node");
    counts(token, "uses", 1);
    counts(token, "uses_left", 1);
    counts(token, "created_ms", created_ms);
    counts(at(json, "tokens", 1), "expires_ms", created_ms + 6000);
}

static void what_is_no_token_is_refused(void **state)
{
    struct world *world = *state;
    static const struct bad bad[] = {
            {"{\"uses\":0}", -ERANGE},
            {"{\"uses\":-1}", -EINVAL},
            {"{\"uses\":1.5}", -EINVAL},
            {"{\"uses\":\"1\"}", -EINVAL},
            {"{\"uses\":null}", -EINVAL},
            {"{\"uses\":100001}", -EINVAL},
            {"{\"expires_in_ms\":0}", -ERANGE},
            {"{\"expires_in_ms\":999}", -ERANGE},
            {"{\"expires_in_ms\":1e18}", -EINVAL},
            {"{\"expires_in_ms\":true}", -EINVAL},
            {"{\"roles\":[\"coordinator\"]}", -EINVAL},
            {"{\"roles\":{}}", -EINVAL},
            {"{\"addresses\":\"a:1\"}", -EINVAL},
            {"{\"addresses\":[\"no port\"]}", -EINVAL},
            {"{\"addresses\":[\"a:1\",2]}", -EINVAL},
            {"{\"addresses\":[\"a:1\",\"\"]}", -EINVAL},
            {"{\"addresses\":[\"a:99999\"]}", -EINVAL},
            {"{\"addresses\":[\"a:0\"]}", -EINVAL},
    };
    REFUSES_ALL(world, tokens, bad);
    refuses(world, tokens, long_list("addresses", JOIN_TOKEN_ADDRESSES_MAX + 1, ""), -E2BIG);
    refuses(world, tokens, long_list("addresses", API_KEY_SCOPE_MAX + 1, ""), -E2BIG);
}

static void a_link_address_that_is_none_makes_no_token(void **state)
{
    struct world *world = *state;
    world->operations.link_endpoint = "tcp://nowhere";
    refuses(world, tokens, "{}", -EINVAL);
    post(world, tokens, "{\"addresses\":[\"mesh.example.org:8421\"]}");
}

static void tokens_have_a_limit(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < TOKENS_MAX; i++)
        post(world, tokens, "{}");
    refuses(world, tokens, "{}", -ENOSPC);
}

static void a_token_is_revoked_by_its_id(void **state)
{
    struct world *world = *state;
    char body[100], id[TOKEN_ID_LEN + 1];
    struct join_token line = line_of(post(world, tokens, "{}"));
    strcpy(id, tokens_at(world->mesh.tokens, 0)->id);
    (void)snprintf(body, sizeof(body), "{\"id\":\"%s\"}", id);
    says(post(world, "/mesh/v1/tokens/revoke", body), "id", id);
    assert_int_equal(tokens_count(world->mesh.tokens), 0);
    assert_false(door_allow(world->mesh.door, line.pair.public_z85, "10.0.0.9"));
    refuses(world, "/mesh/v1/tokens/revoke", body, -ENOENT);
    refuses(world, "/mesh/v1/tokens/revoke", "{}", -EINVAL);
    refuses(world, "/mesh/v1/tokens/revoke", "{\"id\":12}", -EINVAL);
    join_token_fini(&line);
}

/* --- API keys --- */

static const char keys[] = "/mesh/v1/keys";

static void a_key_is_made_as_it_was_asked_for(void **state)
{
    struct world *world = *state;
    const cJSON *json = post(world, keys,
            "{\"name\":\"coder\",\"modes\":[\"code\",\"ask\"],\"models\":[\"m\"],\"admin\":true,"
            "\"requests_per_minute\":12}");
    says(json, "name", "coder");
    const struct api_key *key = api_keys_check(world->keys, json_str(json, "key", ""));
    assert_non_null(key);
    assert_string_equal(key->name, "coder");
    assert_true(key->admin);
    assert_int_equal(key->mode_count, 2);
    assert_string_equal(key->modes[1], "ask");
    assert_int_equal(key->model_count, 1);
    assert_int_equal(key->requests_per_minute, 12);

    json = post(world, keys, "{\"name\":\"plain\"}");
    key = api_keys_check(world->keys, json_str(json, "key", ""));
    assert_non_null(key);
    assert_false(key->admin);
    assert_int_equal(key->mode_count + key->model_count + key->requests_per_minute, 0);
}

static void keys_are_listed_without_their_secrets(void **state)
{
    struct world *world = *state;
    char text[API_KEY_TEXT_LEN + 1];
    const cJSON *json = post(world, keys, "{\"name\":\"coder\",\"modes\":[\"code\"]}");
    (void)snprintf(text, sizeof(text), "%s", json_str(json, "key", ""));
    json = get(world, keys);
    assert_int_equal(length(json, "keys"), 1);
    const cJSON *key = at(json, "keys", 0);
    says(key, "name", "coder");
    assert_false(json_bool(key, "admin", true));
    assert_string_equal(at(key, "modes", 0)->valuestring, "code");
    assert_int_equal(length(key, "models"), 0);
    counts(key, "requests_per_minute", 0);
    counts(key, "created_ms", now_ms(world));
    counts(key, "last_used_ms", 0);
    counts(key, "requests", 0);
    assert_int_equal(cJSON_GetArraySize(key), 8); /* and nothing else: no hash */
    assert_int_equal(buf_terminate(&world->text), 0);
    assert_null(strstr(buf_at(&world->text), text));
    char *book = slurp(world, "api-keys.json");
    assert_null(strstr(book, text));
    free(book);
}

static void a_key_is_for_models_by_whatever_name(void **state)
{
    struct world *world = *state;
    static const char *const aliases[] = {"nick"};
    const struct msg_instance instance = {.model = "glm", .aliases = aliases, .alias_count = 1};
    fake_mesh_hello(&world->mesh, 0, "test");
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
    const cJSON *json =
            post(world, keys, "{\"name\":\"coder\",\"models\":[\"nick\",\"other\",\"glm\"]}");
    assert_int_equal(length(json, "notes"), 2);
    assert_string_equal(
            at(json, "notes", 0)->valuestring, "\"nick\" is the model glm: the key is for that");
    assert_string_equal(at(json, "notes", 1)->valuestring,
            "warning: there is no model \"other\" yet: the key is for it as soon as there is");
    const cJSON *key = at(get(world, keys), "keys", 0);
    assert_int_equal(length(key, "models"), 2);
    assert_string_equal(at(key, "models", 0)->valuestring, "glm");
    assert_string_equal(at(key, "models", 1)->valuestring, "other");
    refuses(world, keys, "{\"name\":\"a\",\"models\":[\"nick\",\"nick\"]}", -EINVAL);
}

static void have_modes(struct world *world)
{
    modes_fini(&world->modes);
    world->modes = modes_maker_make("modes: {ask: {models: [small]}, debug: {models: [small]}}\n"
                                    "mode-aliases: {fix: debug}\n"
                                    "model-aliases: {gpt-4o: fix, \"claude-*\": ask, gpt-5: auto, "
                                    "o9: small}\n");
}

static void have_models(struct world *world, const char *first, const char *second)
{
    const struct msg_instance instances[] = {{.model = first}, {.model = second}};
    fake_mesh_hello(&world->mesh, 0, "test");
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = instances, .instance_count = 2}});
}

/* The last key's list `list` is these, with ", " between them. */
static void assert_key_has(struct world *world, const char *list, const char *names)
{
    char text[128] = "";
    const cJSON *json = get(world, keys), *name;
    const cJSON *key = at(json, "keys", length(json, "keys") - 1);
    cJSON_ArrayForEach(name, json_array(key, list))
    {
        size_t len = strlen(text);
        (void)snprintf(text + len, sizeof(text) - len, "%s%s", len ? ", " : "", name->valuestring);
    }
    assert_string_equal(text, names);
}

/* Makes a key, which is for these modes and models; of its first name is noted `said`. */
static void makes_key(struct world *world, const char *body, const char *modes, const char *models,
        const char *said)
{
    const cJSON *json = post(world, keys, body);
    assert_string_equal(at(json, "notes", 0)->valuestring, said);
    assert_key_has(world, "modes", modes);
    assert_key_has(world, "models", models);
}

static void a_key_is_for_what_foreign_names_stand_for(void **state)
{
    struct world *world = *state;
    have_modes(world);
    makes_key(world, "{\"name\":\"a\",\"modes\":[\"gpt-4o\",\"ask\"]}", "debug, ask", "",
            "\"gpt-4o\" is the mode debug: the key is for that");
    makes_key(world, "{\"name\":\"b\",\"modes\":[\"gpt-4o:latest\"]}", "debug", "",
            "\"gpt-4o:latest\" is the mode debug: the key is for that");
    makes_key(world, "{\"name\":\"c\",\"models\":[\"o9\",\"other\"]}", "", "small, other",
            "warning: there is no model \"small\" yet: the key is for it as soon as there is");
    have_models(world, "small", "gpt-4o");
    makes_key(world, "{\"name\":\"d\",\"models\":[\"o9\",\"gpt-4o\"]}", "", "small, gpt-4o",
            "\"o9\" is the model small: the key is for that");
    makes_key(world, "{\"name\":\"e\",\"modes\":[\"gpt-4o\"]}", "debug", "",
            "\"gpt-4o\" is the mode debug: the key is for that");
}

/* By a pattern that any name fits, or by an editor's word. */
static void a_key_for_a_model_is_for_no_more(void **state)
{
    struct world *world = *state;
    have_modes(world);
    makes_key(world, "{\"name\":\"a\",\"models\":[\"claude-opus\"]}", "", "claude-opus",
            "warning: there is no model \"claude-opus\" yet: the key is for it as soon as there "
            "is");
    refuses(world, keys, "{\"name\":\"b\",\"models\":[\"chat\"]}", -EINVAL);
    assert_non_null(strstr(world->err.text, "\"chat\" is the mode ask, and no model"));
    refuses(world, keys, "{\"name\":\"b\",\"models\":[\"gpt-4o\",\"claude-opus\"]}", -EINVAL);
    modes_fini(&world->modes);
    world->modes = modes_maker_make("modes: {code: {models: [small]}}\n"
                                    "model-aliases: {gpt-5: auto, \"*\": code}\n");
    for (size_t i = 0; i < 2; i++) {
        refuses(world, keys,
                i ? "{\"name\":\"b\",\"models\":[\"auto\"]}"
                  : "{\"name\":\"b\",\"models\":[\"gpt-5\"]}",
                -EINVAL);
        assert_non_null(strstr(world->err.text, "chooses among the modes"));
    }
    makes_key(world, "{\"name\":\"b\",\"models\":[\"huge\"]}", "", "huge",
            "warning: there is no model \"huge\" yet: the key is for it as soon as there is");
    refuses(world, keys, "{\"name\":\"d\",\"modes\":[\"revue\"]}", -EINVAL);
    assert_non_null(strstr(world->err.text, "there is no mode \"revue\"; known are: code"));
}

/* As with requests, which by that name are for the mode. */
static void a_foreign_name_of_a_mode_is_no_models(void **state)
{
    struct world *world = *state;
    static const char *const aliases[] = {"debug"};
    const struct msg_instance instance = {.model = "glm", .aliases = aliases, .alias_count = 1};
    modes_fini(&world->modes);
    world->modes = modes_maker_make("modes: {debug: {models: [small]}}\n"
                                    "mode-aliases: {smart: auto}\n"
                                    "model-aliases: {gpt-4o: debug, smart: small}\n");
    fake_mesh_hello(&world->mesh, 0, "test");
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
    refuses(world, keys, "{\"name\":\"a\",\"models\":[\"gpt-4o\"]}", -EINVAL);
    refuses(world, keys, "{\"name\":\"a\",\"modes\":[\"mesh-auto\"]}", -EINVAL);
    assert_non_null(strstr(world->err.text, "chooses among the modes"));
    refuses(world, keys, "{\"name\":\"a\",\"models\":[\"smart\"]}", -EINVAL);
    assert_non_null(strstr(world->err.text, "chooses among the modes"));
    makes_key(world, "{\"name\":\"a\",\"models\":[\"debug\"]}", "", "glm",
            "\"debug\" is the model glm: the key is for that");
}

/* What both lists allow is no more than what one of them does. */
static void a_mode_among_models_is_refused(void **state)
{
    struct world *world = *state;
    static const char as_mode[] = "\"gpt-4o\" is the mode debug, and no model";
    have_modes(world);
    refuses(world, keys, "{\"name\":\"a\",\"models\":[\"small\",\"gpt-4o\"]}", -EINVAL);
    assert_non_null(strstr(world->err.text, as_mode));
    refuses(world, keys, "{\"name\":\"a\",\"modes\":[\"ask\"],\"models\":[\"gpt-4o\"]}", -EINVAL);
    assert_non_null(strstr(world->err.text, as_mode));
    refuses(world, keys, "{\"name\":\"a\",\"modes\":[\"o9\"]}", -EINVAL);
    assert_non_null(strstr(world->err.text, "\"o9\" is the model small, and no mode"));
    refuses(world, keys, "{\"name\":\"a\",\"models\":[\"gpt-5\"]}", -EINVAL);
    assert_non_null(strstr(world->err.text, "chooses among the modes"));
    refuses(world, keys, "{\"name\":\"a\",\"models\":[\"small\",\"gpt-5\"]}", -EINVAL);
    assert_non_null(strstr(world->err.text, "chooses among the modes"));
    assert_int_equal(length(get(world, keys), "keys"), 0);
}

static void a_key_is_for_modes_by_whatever_name(void **state)
{
    struct world *world = *state;
    have_modes(world);
    const cJSON *json = post(world, keys,
            "{\"name\":\"coder\",\"modes\":[\"fix\",\"mesh-ask\",\"debug\",\"chat\"]}");
    assert_int_equal(length(json, "notes"), 3);
    assert_string_equal(
            at(json, "notes", 0)->valuestring, "\"fix\" is the mode debug: the key is for that");
    assert_string_equal(
            at(json, "notes", 1)->valuestring, "\"mesh-ask\" is the mode ask: the key is for that");
    const cJSON *key = at(get(world, keys), "keys", 0);
    assert_int_equal(length(key, "modes"), 2);
    assert_string_equal(at(key, "modes", 0)->valuestring, "debug");
    assert_string_equal(at(key, "modes", 1)->valuestring, "ask");
    refuses(world, keys, "{\"name\":\"a\",\"modes\":[\"fix\",\"fix\"]}", -EINVAL);
}

static void a_key_for_no_mode_is_refused(void **state)
{
    struct world *world = *state;
    have_modes(world);
    refuses(world, keys, "{\"name\":\"a\",\"modes\":[\"ask\",\"nosuch\"]}", -EINVAL);
    assert_non_null(strstr(world->err.text, "there is no mode \"nosuch\"; known are: ask, debug"));
    refuses(world, keys, "{\"name\":\"a\",\"modes\":[\"auto\"]}", -EINVAL);
    assert_non_null(strstr(world->err.text, "chooses among the modes"));
    refuses(world, keys, "{\"name\":\"a\",\"modes\":[\"mesh-ask-small\"]}", -EINVAL);
}

/* They come and go with what the nodes have. */
static void a_derived_mode_may_come(void **state)
{
    struct world *world = *state;
    const cJSON *json = post(world, keys, "{\"name\":\"a\",\"modes\":[\"code\"]}");
    assert_string_equal(at(json, "notes", 0)->valuestring,
            "warning: there is no mode \"code\" yet: the key is for it as soon as there is");
    assert_string_equal(at(at(get(world, keys), "keys", 0), "modes", 0)->valuestring, "code");
}

static void what_is_no_key_is_refused(void **state)
{
    struct world *world = *state;
    static const struct bad bad[] = {
            {"{}", -EINVAL},
            {"{\"name\":\"\"}", -EINVAL},
            {"{\"name\":7}", -EINVAL},
            {"{\"name\":\"two words\"}", -EINVAL},
            {"{\"name\":\"a\",\"admin\":1}", -EINVAL},
            {"{\"name\":\"a\",\"admin\":\"true\"}", -EINVAL},
            {"{\"name\":\"a\",\"modes\":\"ask\"}", -EINVAL},
            {"{\"name\":\"a\",\"modes\":[\"\"]}", -EINVAL},
            {"{\"name\":\"a\",\"models\":[null]}", -EINVAL},
            {"{\"name\":\"a\",\"models\":{\"m\":1}}", -EINVAL},
            {"{\"name\":\"a\",\"requests_per_minute\":-1}", -EINVAL},
            {"{\"name\":\"a\",\"requests_per_minute\":1000001}", -EINVAL},
            {"{\"name\":\"taken\"}", -EEXIST},
    };
    post(world, keys, "{\"name\":\"taken\"}");
    REFUSES_ALL(world, keys, bad);
    refuses(world, keys, long_list("modes", API_KEY_SCOPE_MAX + 1, "\"name\":\"a\","), -E2BIG);
    refuses(world, keys, long_list("models", API_KEY_SCOPE_MAX + 1, "\"name\":\"a\","), -E2BIG);
}

static void a_key_is_revoked_by_its_name(void **state)
{
    struct world *world = *state;
    char text[API_KEY_TEXT_LEN + 1];
    const cJSON *json = post(world, keys, "{\"name\":\"coder\"}");
    (void)snprintf(text, sizeof(text), "%s", json_str(json, "key", ""));
    refuses(world, "/mesh/v1/keys/revoke", "{\"name\":\"codr\"}", -ENOENT);
    assert_non_null(strstr(world->err.text, "coder"));
    refuses(world, "/mesh/v1/keys/revoke", "{}", -EINVAL);
    refuses(world, "/mesh/v1/keys/revoke", "{\"name\":[\"coder\"]}", -EINVAL);
    says(post(world, "/mesh/v1/keys/revoke", "{\"name\":\"coder\"}"), "name", "coder");
    assert_null(api_keys_check(world->keys, text));
}

/* --- TLS --- */

static void without_tls_a_way_to_it_is_told(void **state)
{
    struct world *world = *state;
    assert_int_equal(run(world, "GET", "/mesh/v1/tls", NULL), -ENOENT);
    assert_non_null(strstr(world->err.text, "--http"));
}

static void the_certificate_is_shown(void **state)
{
    struct world *world = *state;
    static const char *const names[] = {"mesh.example.org", NULL};
    char dir[PATH_MAX];
    struct tls *tls;
    strcpy(dir, scratch_path(&world->mesh.scratch, "tls"));
    assert_int_equal(tls_create(&(struct tls_config){.env = &world->mesh.env.env,
                                        .dir = dir,
                                        .names = names,
                                        .mesh_id = "k3vqz7m2a5tdh4ef"},
                             &tls, &world->err),
            0);
    world->operations.tls = tls;
    world->operations.listeners[0] = "http://127.0.0.1:8420";
    world->operations.listeners[1] = "https://0.0.0.0:8443";
    const cJSON *json = get(world, "/mesh/v1/tls");
    says(json, "ca_pem", tls_ca_pem(tls));
    says(json, "fingerprint", tls_fingerprint(tls));
    says(json, "server_fingerprint", tls_server_fingerprint(tls));
    assert_true(json_bool(json, "ours", false));
    counts(json, "not_after_ms", (uint64_t)tls_not_after_s(tls) * 1000);
    int i = 0;
    for (const char *const *name = tls_names(tls); *name; name++)
        assert_string_equal(at(json, "names", i++)->valuestring, *name);
    assert_int_equal(length(json, "names"), i);
    assert_int_equal(length(json, "listeners"), 2);
    assert_string_equal(at(json, "listeners", 1)->valuestring, "https://0.0.0.0:8443");
    assert_int_equal(buf_terminate(&world->text), 0);
    assert_null(strstr(buf_at(&world->text), "PRIVATE"));
    tls_destroy(tls);
}

/* --- when the disk fails --- */

static void a_book_that_cannot_be_written_changes_nothing(void **state)
{
    struct world *world = *state;
    char away[PATH_MAX];
    knock(world, KNOCKER, "strix");
    post(world, keys, "{\"name\":\"coder\"}");
    (void)snprintf(away, sizeof(away), "%s.away", world->mesh.scratch.path);
    assert_int_equal(rename(world->mesh.scratch.path, away), 0);
    refuses(world, approve, "{\"node\":\"strix\"}", -ENOENT);
    refuses(world, "/mesh/v1/nodes/revoke", "{\"node\":\"node0\"}", -ENOENT);
    refuses(world, "/mesh/v1/nodes/forget", "{\"node\":\"node0\"}", -ENOENT);
    refuses(world, tokens, "{}", -ENOENT);
    refuses(world, keys, "{\"name\":\"other\"}", -ENOENT);
    refuses(world, "/mesh/v1/keys/revoke", "{\"name\":\"coder\"}", -ENOENT);
    assert_int_equal(rename(away, world->mesh.scratch.path), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(operations_are_found_by_path_and_method),
            TEST(members_are_listed),
            TEST(a_silent_and_a_revoked_node_are_listed_as_such),
            TEST(pending_nodes_are_listed_with_their_phrases),
            TEST(notes_say_what_to_look_out_for),
            TEST(a_node_is_approved_by_name_address_key_or_phrase),
            TEST(a_phrase_must_be_that_of_the_node),
            TEST(an_approved_node_gets_the_name_and_roles_asked_for),
            TEST(approving_again_keeps_name_and_roles),
            TEST(what_cannot_be_approved_is_refused),
            TEST(what_is_revoked_is_cut_before_the_answer),
            TEST(what_is_forgotten_is_cut_and_a_stranger),
            TEST(a_member_without_a_name_is_called_by_its_key),
            TEST(only_members_can_be_revoked_or_forgotten),
            TEST(the_window_opens_and_ends),
            TEST(a_token_is_a_line_that_joins),
            TEST(a_token_is_as_it_was_asked_for),
            TEST(a_link_that_listens_everywhere_is_found_on_this_host_too),
            TEST(a_tokens_secret_is_in_its_one_answer_only),
            TEST(tokens_are_listed),
            TEST(what_is_no_token_is_refused),
            TEST(a_link_address_that_is_none_makes_no_token),
            TEST(tokens_have_a_limit),
            TEST(a_token_is_revoked_by_its_id),
            TEST(a_key_is_made_as_it_was_asked_for),
            TEST(keys_are_listed_without_their_secrets),
            TEST(a_key_is_for_modes_by_whatever_name),
            TEST(a_key_is_for_what_foreign_names_stand_for),
            TEST(a_key_for_a_model_is_for_no_more),
            TEST(a_foreign_name_of_a_mode_is_no_models),
            TEST(a_mode_among_models_is_refused),
            TEST(a_key_for_no_mode_is_refused),
            TEST(a_derived_mode_may_come),
            TEST(a_key_is_for_models_by_whatever_name),
            TEST(what_is_no_key_is_refused),
            TEST(a_key_is_revoked_by_its_name),
            TEST(without_tls_a_way_to_it_is_told),
            TEST(the_certificate_is_shown),
            TEST(a_book_that_cannot_be_written_changes_nothing),
    };
    return cmocka_run_group_tests_name("operations", tests, NULL, NULL);
}

#include "coordinator/api/operations.h"

#include "common/daemon.h"
#include "common/host_addrs.h"
#include "common/json/json.h"
#include "common/text.h"
#include "common/trust/join_token.h"
#include "common/trust/phrase.h"
#include "coordinator/api/key_scope.h"
#include "coordinator/api/model_operations.h"
#include "coordinator/api/operation_body.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOST_NAME_BYTES = 128 };

static int take_roles(const cJSON *body, unsigned def, unsigned *ret_roles, struct err *err)
{
    struct operation_words list;
    int r = operation_take_list(body, "roles", &list, err);
    *ret_roles = list.count || r ? 0 : def;
    for (size_t i = 0; !r && i < list.count; i++) {
        if (strcmp(list.at[i], "node") == 0)
            *ret_roles |= CERTIFICATE_ROLE_NODE;
        else if (strcmp(list.at[i], "edge") == 0)
            *ret_roles |= CERTIFICATE_ROLE_EDGE;
        else
            r = err_set(err, -EINVAL, "\"%.40s\" is no role; there are node and edge", list.at[i]);
    }
    return r;
}

static void add_roles(struct json_writer *out, unsigned roles)
{
    json_writer_array(out, "roles");
    if (roles & CERTIFICATE_ROLE_NODE)
        json_writer_str(out, NULL, "node");
    if (roles & CERTIFICATE_ROLE_EDGE)
        json_writer_str(out, NULL, "edge");
    json_writer_array_end(out);
}

static uint64_t unix_ms(int64_t ms)
{
    return ms > 0 ? (uint64_t)ms : 0;
}

/* --- nodes --- */

static const char *state_of(const struct operations *operations, const struct member *member)
{
    const struct node_session *session = node_table_find_key(operations->nodes, member->key);
    if (member->revoked)
        return "revoked";
    return session ? session_state_name(node_session_state(session)) : "offline";
}

static void add_member(
        struct json_writer *out, const struct operations *operations, const struct member *member)
{
    json_writer_object(out, NULL);
    json_writer_str(out, "name", member->name);
    json_writer_str(out, "key", member->key);
    add_roles(out, member->roles);
    json_writer_u64(out, "serial", member->serial);
    json_writer_u64(out, "not_after_ms", member->not_after_s * 1000);
    json_writer_bool(out, "revoked", member->revoked);
    json_writer_u64(out, "added_ms", unix_ms(member->added_ms));
    json_writer_str(out, "source", member->source);
    json_writer_str(out, "state", state_of(operations, member));
    json_writer_object_end(out);
}

/* "" where a person has nothing to look out for. */
static void note_on(const struct operations *operations, const struct pending_node *node,
        char *note, size_t size)
{
    const struct member *same = members_find_key(door_members(operations->door), node->key);
    const struct member *other =
            *node->name ? members_find_name(door_members(operations->door), node->name) : NULL;
    *note = '\0';
    if (same)
        snprintf(note, size, "was a member as %s; approving renews that", same->name);
    else if (other)
        snprintf(note, size,
                "%s is a member with another key: forget it first, or give another name",
                node->name);
}

static void add_pending(struct json_writer *out, const struct operations *operations,
        const struct pending_node *node)
{
    uint64_t now_ms = env_now_ms(operations->env);
    char note[256];
    note_on(operations, node, note, sizeof(note));
    json_writer_object(out, NULL);
    json_writer_str(out, "key", node->key);
    json_writer_str(out, "name", node->name);
    json_writer_str(out, "address", node->address);
    json_writer_str(out, "phrase", node->phrase);
    json_writer_u64(out, "first_ms_ago", now_ms - node->first_ms);
    json_writer_u64(out, "last_ms_ago", now_ms - node->last_ms);
    json_writer_u64(out, "knocks", node->knocks);
    json_writer_str(out, "note", note);
    json_writer_object_end(out);
}

static void add_refused(struct json_writer *out, const struct door *door)
{
    json_writer_object(out, "refused");
    for (enum door_refusal i = 0; i < DOOR_REFUSAL_COUNT; i++)
        json_writer_u64(out, door_refusal_name(i), door_refused(door, i));
    json_writer_object_end(out);
}

static int list_nodes(const struct operations *operations, const cJSON *body,
        struct json_writer *out, struct err *err)
{
    const struct members *members = door_members(operations->door);
    const struct pending *pending = door_pending(operations->door);
    (void)body;
    (void)err;
    json_writer_array(out, "nodes");
    for (size_t i = 0; i < members_count(members); i++)
        add_member(out, operations, members_at(members, i));
    json_writer_array_end(out);
    json_writer_array(out, "pending");
    for (size_t i = 0; i < pending_count(pending); i++)
        add_pending(out, operations, pending_at(pending, i));
    json_writer_array_end(out);
    json_writer_u64(out, "accept_ms_left", door_window_left_ms(operations->door));
    add_refused(out, operations->door);
    return 0;
}

static int check_phrase(const struct pending_node *node, const char *typed, struct err *err)
{
    if (!*typed || phrase_equal(node->phrase, typed))
        return 0;
    return err_set(err, -EACCES,
            "the phrase is not that of this node: somebody may stand between the two, or it is "
            "another node; nothing was approved");
}

static int approve_node(const struct operations *operations, const cJSON *body,
        struct json_writer *out, struct err *err)
{
    const struct pending_node *found;
    const char *what = NULL, *typed = "", *name = "";
    unsigned roles;
    int r = operation_take_text(body, "node", NULL, &what, err);
    if (!r)
        r = operation_take_text(body, "phrase", "", &typed, err);
    if (!r)
        r = operation_take_text(body, "name", "", &name, err);
    if (!r)
        r = take_roles(body, 0, &roles, err); /* none: the door's choice */
    if (!r)
        r = door_find_pending(operations->door, what, &found, err);
    if (r)
        return r;
    struct pending_node node = *found; /* approval takes it off the list */
    r = check_phrase(&node, typed, err);
    if (!r)
        r = door_approve(operations->door, node.key, *name ? name : NULL, roles, err);
    if (r)
        return r;
    const struct member *member = members_find_key(door_members(operations->door), node.key);
    json_writer_str(out, "name", member->name);
    json_writer_str(out, "key", node.key);
    json_writer_str(out, "phrase", node.phrase);
    json_writer_str(out, "address", node.address);
    return 0;
}

/* Of a member by its name or key; one that has no name yet is called by its key. */
static void copy_name(
        const struct operations *operations, const char *what, char name[CERTIFICATE_NAME_MAX + 1])
{
    const struct member *member = members_find_key(door_members(operations->door), what);
    snprintf(name, CERTIFICATE_NAME_MAX + 1, "%s", member && *member->name ? member->name : what);
}

static int change_node(const struct operations *operations, const cJSON *body,
        int (*change)(struct door *door, const char *what, struct err *err),
        struct json_writer *out, struct err *err)
{
    char name[CERTIFICATE_NAME_MAX + 1];
    const char *what = NULL;
    int r = operation_take_text(body, "node", NULL, &what, err);
    if (r)
        return r;
    copy_name(operations, what, name);
    r = change(operations->door, what, err);
    if (r)
        return r;
    node_table_tick(operations->nodes); /* the link is cut before this is answered */
    json_writer_str(out, "name", name);
    return 0;
}

static int revoke_node(const struct operations *operations, const cJSON *body,
        struct json_writer *out, struct err *err)
{
    return change_node(operations, body, door_revoke, out, err);
}

static int forget_node(const struct operations *operations, const cJSON *body,
        struct json_writer *out, struct err *err)
{
    return change_node(operations, body, door_forget, out, err);
}

static int accept_nodes(const struct operations *operations, const cJSON *body,
        struct json_writer *out, struct err *err)
{
    uint64_t for_ms;
    if (!cJSON_GetObjectItemCaseSensitive(body, "for_ms"))
        return err_set(err, -EINVAL, "\"for_ms\" is missing: milliseconds, 0 to end it");
    int r = operation_take_whole(body, "for_ms", 0, DOOR_WINDOW_MAX_MS, &for_ms, err);
    if (!r)
        r = door_open_window(operations->door, for_ms, err);
    if (!r)
        json_writer_u64(out, "accept_ms_left", door_window_left_ms(operations->door));
    return r;
}

/* --- tokens --- */

static void add_token(struct json_writer *out, const struct token *token)
{
    json_writer_str(out, "id", token->id);
    add_roles(out, token->roles);
    json_writer_u64(out, "uses", token->uses);
    json_writer_u64(out, "uses_left", token->uses_left);
    json_writer_u64(out, "created_ms", unix_ms(token->created_ms));
    json_writer_u64(out, "expires_ms", unix_ms(token->expires_ms));
}

static int list_tokens(const struct operations *operations, const cJSON *body,
        struct json_writer *out, struct err *err)
{
    const struct tokens *tokens = door_tokens(operations->door);
    (void)body;
    (void)err;
    json_writer_array(out, "tokens");
    for (size_t i = 0; i < tokens_count(tokens); i++) {
        const struct token *token = tokens_at(tokens, i);
        json_writer_object(out, NULL);
        add_token(out, token);
        json_writer_bool(out, "local", strcmp(token->id, door_local_token(operations->door)) == 0);
        json_writer_object_end(out);
    }
    json_writer_array_end(out);
    return 0;
}

static void add_address(struct join_token *token, const char *host, unsigned port)
{
    bool brackets = strchr(host, ':') != NULL;
    if (token->address_count == JOIN_TOKEN_ADDRESSES_MAX)
        return;
    snprintf(token->addresses[token->address_count++], sizeof(token->addresses[0]), "%s%s%s:%u",
            brackets ? "[" : "", host, brackets ? "]" : "", port);
}

static bool is_any(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 || strcmp(host, "*") == 0;
}

/* Where this host can be reached: what the link is bound to, or all of its addresses and its name.
 */
static int add_own_addresses(
        const struct operations *operations, struct join_token *token, struct err *err)
{
    static const char scheme[] = "tcp://";
    char name[HOST_NAME_BYTES];
    struct host_addrs addrs;
    struct text_addr bound;
    int r = text_parse_addr(operations->link_endpoint + strlen(scheme), &bound, err);
    if (!r && !is_any(bound.host)) {
        add_address(token, bound.host, bound.port);
        return 0;
    }
    if (!r)
        r = host_addrs_get(&addrs, err);
    if (r)
        return r;
    daemon_host_name(name, sizeof(name));
    add_address(token, name, bound.port);
    /* The last place is kept: nodes on this host may reach no other. */
    for (size_t i = 0; i < addrs.count && token->address_count < JOIN_TOKEN_ADDRESSES_MAX - 1; i++)
        add_address(token, addrs.at[i], bound.port);
    add_address(token, "127.0.0.1", bound.port);
    return 0;
}

static int add_given_addresses(
        struct join_token *token, const char *const *addresses, size_t count, struct err *err)
{
    struct text_addr addr;
    if (count > JOIN_TOKEN_ADDRESSES_MAX)
        return err_set(err, -E2BIG, "a token holds at most %d addresses", JOIN_TOKEN_ADDRESSES_MAX);
    for (size_t i = 0; i < count; i++) {
        int r = text_parse_addr(addresses[i], &addr, err);
        if (r)
            return r;
        add_address(token, addr.host, addr.port);
    }
    return 0;
}

static int fill_token(const struct operations *operations, struct join_token *line,
        const char *const *addresses, size_t address_count, struct err *err)
{
    memcpy(line->mesh, door_identity(operations->door)->public_key, IDENTITY_BYTES);
    strcpy(line->coordinator_key, door_coordinator_key(operations->door));
    int r = keys_generate(&line->pair, err);
    if (r)
        return r;
    return address_count ? add_given_addresses(line, addresses, address_count, err)
                         : add_own_addresses(operations, line, err);
}

int operations_make_token(const struct operations *operations, unsigned roles, uint64_t uses,
        uint64_t expires_in_ms, const char *const *addresses, size_t address_count,
        struct token *ret_token, struct buf *out, struct err *err)
{
    if (uses < 1 || uses > TOKEN_USES_MAX)
        return err_set(err, -ERANGE, "\"uses\" is %llu; 1 to %d are allowed",
                (unsigned long long)uses, TOKEN_USES_MAX);
    if (expires_in_ms < 1000 || expires_in_ms > OPERATIONS_TOKEN_EXPIRES_MAX_MS)
        return err_set(err, -ERANGE, "a token lasts from 1 s to 366 d, not %llu ms",
                (unsigned long long)expires_in_ms);
    int64_t now_ms = env_wall_ms(operations->env);
    struct token token = {.roles = roles,
            .uses_left = uses,
            .created_ms = now_ms,
            .expires_ms = now_ms + (int64_t)expires_in_ms};
    struct join_token line = {.expires_s = (uint64_t)(token.expires_ms / 1000)};
    int r = fill_token(operations, &line, addresses, address_count, err);
    if (!r)
        r = join_token_append(out, &line, err);
    if (!r) {
        strcpy(token.key, line.pair.public_z85);
        r = tokens_add(door_tokens(operations->door), &token, err);
    }
    join_token_fini(&line);
    if (!r)
        *ret_token = token;
    return r;
}

static int create_token(const struct operations *operations, const cJSON *body,
        struct json_writer *out, struct err *err)
{
    char line[JOIN_TOKEN_TEXT_MAX + 1];
    struct token token;
    struct operation_words addresses;
    struct buf text;
    uint64_t uses, expires_in_ms;
    unsigned roles;
    void *room;
    int r = operation_take_whole(body, "uses", 1, TOKEN_USES_MAX, &uses, err);
    if (!r)
        r = operation_take_whole(body, "expires_in_ms", OPERATIONS_TOKEN_EXPIRES_MS,
                OPERATIONS_TOKEN_EXPIRES_MAX_MS, &expires_in_ms, err);
    if (!r)
        r = take_roles(body, CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE, &roles, err);
    if (!r)
        r = operation_take_list(body, "addresses", &addresses, err);
    if (r)
        return r;
    buf_init(&text, sizeof(line));
    r = buf_reserve(&text, sizeof(line), &room); /* so that no copy of the secret is left behind */
    if (r)
        return err_set(err, r, "no memory for a token");
    r = operations_make_token(operations, roles, uses, expires_in_ms, addresses.at, addresses.count,
            &token, &text, err);
    if (!r) {
        memcpy(line, buf_at(&text), text.len);
        line[text.len] = '\0';
        json_writer_str(out, "token", line);
        add_token(out, &token);
        explicit_bzero(line, sizeof(line));
    }
    explicit_bzero(text.data, text.cap);
    buf_fini(&text);
    return r;
}

static int revoke_token(const struct operations *operations, const cJSON *body,
        struct json_writer *out, struct err *err)
{
    const char *id = NULL;
    int r = operation_take_text(body, "id", NULL, &id, err);
    if (!r)
        r = tokens_revoke(door_tokens(operations->door), id, err);
    if (!r)
        json_writer_str(out, "id", id);
    return r;
}

/* --- API keys --- */

static void add_names(struct json_writer *out, const char *key, char *const *names, size_t count)
{
    json_writer_array(out, key);
    for (size_t i = 0; i < count; i++)
        json_writer_str(out, NULL, names[i]);
    json_writer_array_end(out);
}

static int list_keys(const struct operations *operations, const cJSON *body,
        struct json_writer *out, struct err *err)
{
    (void)body;
    (void)err;
    json_writer_array(out, "keys");
    for (size_t i = 0; i < api_keys_count(operations->keys); i++) {
        const struct api_key *key = api_keys_at(operations->keys, i);
        json_writer_object(out, NULL);
        json_writer_str(out, "name", key->name);
        json_writer_bool(out, "admin", key->admin);
        add_names(out, "modes", key->modes, key->mode_count);
        add_names(out, "models", key->models, key->model_count);
        json_writer_u64(out, "requests_per_minute", key->requests_per_minute);
        json_writer_u64(out, "created_ms", unix_ms(key->created_ms));
        json_writer_u64(out, "last_used_ms", unix_ms(key->last_used_ms));
        json_writer_u64(out, "requests", key->requests);
        json_writer_object_end(out);
    }
    json_writer_array_end(out);
    return 0;
}

static int create_key(const struct operations *operations, const cJSON *body,
        struct json_writer *out, struct err *err)
{
    char text[API_KEY_TEXT_LEN + 1];
    struct api_key_spec spec = {.name = NULL};
    struct key_scope scope = {
            .modes = operations->modes, .nodes = operations->nodes, .router = operations->router};
    int r = operation_take_text(body, "name", NULL, &spec.name, err);
    if (!r)
        r = operation_take_flag(body, "admin", &spec.admin, err);
    if (!r)
        r = operation_take_list(body, "modes", &scope.asked_modes, err);
    if (!r)
        r = operation_take_list(body, "models", &scope.asked_models, err);
    if (!r)
        r = operation_take_whole(
                body, "requests_per_minute", 0, API_KEY_RATE_MAX, &spec.requests_per_minute, err);
    if (!r)
        r = key_scope_resolve(&scope, err);
    if (r)
        return r;
    spec.modes = scope.for_modes.at;
    spec.mode_count = scope.for_modes.count;
    spec.models = scope.for_models.at;
    spec.model_count = scope.for_models.count;
    r = api_keys_create(operations->keys, &spec, text, err);
    if (r)
        return r;
    json_writer_str(out, "name", spec.name);
    json_writer_str(out, "key", text);
    key_scope_write_notes(&scope, out);
    explicit_bzero(text, sizeof(text));
    return 0;
}

static int revoke_key(const struct operations *operations, const cJSON *body,
        struct json_writer *out, struct err *err)
{
    const char *name = NULL;
    int r = operation_take_text(body, "name", NULL, &name, err);
    if (!r)
        r = api_keys_revoke(operations->keys, name, err);
    if (!r)
        json_writer_str(out, "name", name);
    return r;
}

/* --- TLS --- */

static int show_tls(const struct operations *operations, const cJSON *body, struct json_writer *out,
        struct err *err)
{
    const struct tls *tls = operations->tls;
    (void)body;
    if (!tls)
        return err_set(err, -ENOENT,
                "no address of this coordinator has TLS; give it one that is not loopback: "
                "--http 127.0.0.1:8420 --http 0.0.0.0:8443, without --http-plaintext");
    json_writer_str(out, "ca_pem", tls_ca_pem(tls));
    json_writer_str(out, "fingerprint", tls_fingerprint(tls));
    json_writer_str(out, "server_fingerprint", tls_server_fingerprint(tls));
    json_writer_bool(out, "ours", tls_is_ours(tls));
    json_writer_array(out, "names");
    for (const char *const *name = tls_names(tls); *name; name++)
        json_writer_str(out, NULL, *name);
    json_writer_array_end(out);
    json_writer_u64(out, "not_after_ms", (uint64_t)tls_not_after_s(tls) * 1000);
    json_writer_array(out, "listeners");
    for (const char *const *listener = operations->listeners; *listener; listener++)
        json_writer_str(out, NULL, *listener);
    json_writer_array_end(out);
    return 0;
}

static const struct operation operations_table[] = {
        {"GET", "/mesh/v1/nodes", list_nodes},
        {"POST", "/mesh/v1/nodes/approve", approve_node},
        {"POST", "/mesh/v1/nodes/revoke", revoke_node},
        {"POST", "/mesh/v1/nodes/forget", forget_node},
        {"POST", "/mesh/v1/nodes/accept", accept_nodes},
        {"GET", "/mesh/v1/tokens", list_tokens},
        {"POST", "/mesh/v1/tokens", create_token},
        {"POST", "/mesh/v1/tokens/revoke", revoke_token},
        {"GET", "/mesh/v1/keys", list_keys},
        {"POST", "/mesh/v1/keys", create_key},
        {"POST", "/mesh/v1/keys/revoke", revoke_key},
        {"GET", "/mesh/v1/tls", show_tls},
};

static const struct operation *find_in(const struct operation *table, size_t count,
        const char *method, const char *path, const char **ret_allowed)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].path, path) != 0)
            continue;
        if (strcmp(table[i].method, method) == 0)
            return &table[i];
        *ret_allowed = *ret_allowed ? "GET, POST" : table[i].method;
    }
    return NULL;
}

const struct operation *operation_find(
        const char *method, const char *path, const char **ret_allowed)
{
    *ret_allowed = NULL;
    const struct operation *found = find_in(operations_table,
            sizeof(operations_table) / sizeof(operations_table[0]), method, path, ret_allowed);
    return found || *ret_allowed
                   ? found
                   : find_in(model_operations, MODEL_OPERATIONS, method, path, ret_allowed);
}

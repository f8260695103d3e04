#include "coordinator/node_table.h"

#include "common/log.h"
#include "coordinator/http/edge_gate.h"
#include "proto/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024 }; /* power of two */

struct instance_list {
    struct instance **at;
    size_t count;
    bool stale; /* must be gathered again */
};

struct entry { /* one session's place in the table */
    struct list by_age, by_id, by_key;
    struct node_session *session;
    struct node_table *table;
    struct edge_gate *gate;     /* NULL: it has carried no editor yet */
    unsigned names_edition;     /* of the session, when it was looked at last */
    uint64_t certified_until_s; /* end of the newest certificate that the node has */
};

struct farewell { /* a connection that has been told why it ends */
    struct link_peer peer;
    uint64_t due_ms;
};

struct node_table {
    struct node_table_config config;
    struct list entries;       /* entry.by_age */
    struct list ids[BUCKETS];  /* entry.by_id */
    struct list keys[BUCKETS]; /* entry.by_key */
    size_t count;
    uint64_t last_tick_us;
    unsigned members_edition; /* that all sessions were checked against */
    uint64_t renewed_ms;
    struct farewell farewells[NODE_TABLE_FAREWELLS_MAX];
    size_t farewell_count;
    struct instance_list instances, by_name, models;
    struct aliases aliases;
    bool aliases_stale; /* they must be made again */
};

struct node_table *node_table_create(const struct node_table_config *config)
{
    struct node_table *table = calloc(1, sizeof(*table));
    if (!table)
        return NULL;
    table->config = *config;
    table->last_tick_us = env_now_us(config->env);
    table->members_edition = members_edition(door_members(config->door));
    table->renewed_ms = env_now_ms(config->env);
    list_init(&table->entries);
    for (size_t i = 0; i < BUCKETS; i++) {
        list_init(&table->ids[i]);
        list_init(&table->keys[i]);
    }
    return table;
}

static void forget_lists(struct node_table *table)
{
    table->instances.stale = true;
    table->by_name.stale = true;
    table->models.stale = true;
}

/* libzmq's routing ids are a counter, so they spread by themselves. */
static size_t bucket_of_id(const uint8_t *routing_id)
{
    return ((size_t)routing_id[LINK_ROUTING_ID_BYTES - 2] << 8 |
                   routing_id[LINK_ROUTING_ID_BYTES - 1]) %
           BUCKETS;
}

/* Keys are random, but a digit of Z85 holds less than 7 bits. */
static size_t bucket_of_key(const char *key)
{
    size_t hash = 0;
    for (size_t i = 0; i < 4 && key[i]; i++)
        hash = hash * 85 + (unsigned char)key[i];
    return hash % BUCKETS;
}

static struct entry *find_entry(const struct node_table *table, const struct link_peer *peer)
{
    list_for_each (it, &table->ids[bucket_of_id(peer->routing_id)]) {
        struct entry *entry = list_entry(it, struct entry, by_id);
        const struct link_peer *known = node_session_peer(entry->session);
        if (memcmp(known->routing_id, peer->routing_id, LINK_ROUTING_ID_BYTES) == 0)
            return entry;
    }
    return NULL;
}

static void entry_free(struct entry *entry)
{
    list_del(&entry->by_age);
    list_del(&entry->by_id);
    list_del(&entry->by_key);
    entry->table->count--;
    entry->table->aliases_stale = true;
    forget_lists(entry->table);
    edge_gate_destroy(entry->gate);
    node_session_destroy(entry->session);
    free(entry);
}

void node_table_destroy(struct node_table *table)
{
    if (!table)
        return;
    while (!list_empty(&table->entries))
        entry_free(list_entry(table->entries.next, struct entry, by_age));
    free(table->instances.at);
    free(table->by_name.at);
    free(table->models.at);
    aliases_fini(&table->aliases);
    free(table);
}

static void on_session_change(void *ctx, struct node_session *session)
{
    struct entry *entry = ctx;
    unsigned edition = node_session_names_edition(session);
    entry->table->aliases_stale |= edition != entry->names_edition;
    entry->names_edition = edition;
    forget_lists(entry->table);
    entry->table->config.on_change(entry->table->config.ctx);
}

static void on_session_instance(void *ctx, struct instance *instance, enum instance_event event)
{
    const struct entry *entry = ctx;
    const struct node_table_config *config = &entry->table->config;
    if (config->on_instance)
        config->on_instance(config->ctx, instance, event);
}

static void on_session_room(void *ctx, struct node_session *session)
{
    (void)session;
    struct entry *entry = ctx;
    entry->table->config.on_change(entry->table->config.ctx);
}

static void note_node(
        const struct node_table *table, const struct node_session *session, bool connected)
{
    if (table->config.away)
        away_note_node(table->config.away, node_session_peer(session)->key, connected);
}

static void on_session_gone(void *ctx, struct node_session *session, const char *reason)
{
    struct entry *entry = ctx;
    struct node_table *table = entry->table;
    bool expected = node_session_facts(session).draining;
    log_write(expected ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "node gone",
            LOG_FIELDS(LOG_S("node", node_session_name(session)), LOG_S("reason", reason)));
    note_node(table, session, false);
    entry_free(entry);
    table->config.on_change(table->config.ctx);
}

/* --- what nodes are told to believe --- */

struct proof {
    struct certificate_bytes certificates[NODE_TABLE_KEYS];
    struct msg_bytes coordinators[NODE_TABLE_KEYS];
    size_t count;
};

static struct msg_bytes bytes_of(const struct certificate_bytes *certificate)
{
    return (struct msg_bytes){.data = certificate->data, .len = certificate->len};
}

static struct msg_bytes mesh_of(const struct node_table *table)
{
    return (struct msg_bytes){
            .data = door_identity(table->config.door)->public_key, .len = IDENTITY_BYTES};
}

/* Made anew each time: two signatures cost less than a handshake, and they never get old. */
static void make_proof(const struct node_table *table, struct proof *ret_proof)
{
    const struct node_table_config *config = &table->config;
    ret_proof->count = 0;
    for (size_t i = 0; i < NODE_TABLE_KEYS && config->coordinator_keys[i]; i++) {
        struct certificate_bytes *bytes = &ret_proof->certificates[i];
        door_own_certificate(
                config->door, config->coordinator_keys[i], config->coordinator_name, bytes);
        ret_proof->coordinators[ret_proof->count++] = bytes_of(bytes);
    }
}

/* Unix time; 0 where it is none. */
static uint64_t end_of(struct msg_bytes bytes)
{
    struct certificate certificate;
    int r = certificate_parse(bytes.data, bytes.len, &certificate, NULL);
    return r ? 0 : certificate.not_after_s;
}

/* The end of the certificate that a node shows. 0 also where it says something else of the node
 * than the list: it is from before the node was approved anew. */
static uint64_t end_of_shown(struct msg_bytes shown, const struct member *member)
{
    struct certificate certificate;
    if (certificate_parse(shown.data, shown.len, &certificate, NULL) < 0 ||
            certificate.roles != member->roles || strcmp(certificate.name, member->name) != 0)
        return 0;
    return certificate.not_after_s;
}

/* --- connections without a session --- */

/* Where the link does not take it now, the peer learns less: its connection ends all the same. */
static void send_alone(
        struct node_table *table, const struct link_peer *peer, const struct msg *msg)
{
    (void)!codec_send(&table->config.transport, peer, msg, NULL);
}

/* What was said to the peer needs a moment to leave. */
static void say_farewell(struct node_table *table, const struct link_peer *peer)
{
    if (table->farewell_count == NODE_TABLE_FAREWELLS_MAX) {
        table->config.cut(table->config.ctx, peer);
        return;
    }
    table->farewells[table->farewell_count++] = (struct farewell){
            .peer = *peer, .due_ms = env_now_ms(table->config.env) + NODE_TABLE_FAREWELL_MS};
}

static void end_farewells(struct node_table *table)
{
    uint64_t now_ms = env_now_ms(table->config.env);
    size_t kept = 0;
    for (size_t i = 0; i < table->farewell_count; i++) {
        if (table->farewells[i].due_ms > now_ms)
            table->farewells[kept++] = table->farewells[i];
        else
            table->config.cut(table->config.ctx, &table->farewells[i].peer);
    }
    table->farewell_count = kept;
}

static enum refuse_code code_of(enum door_refusal refusal)
{
    switch (refusal) {
    case DOOR_REVOKED:
        return REFUSE_REVOKED;
    case DOOR_EXPIRED:
        return REFUSE_EXPIRED;
    case DOOR_FOREIGN_MESH:
        return REFUSE_FOREIGN_MESH;
    case DOOR_BAD_CERTIFICATE:
        return REFUSE_BAD_CERTIFICATE;
    case DOOR_OTHERS_NAME:
        return REFUSE_NAME_TAKEN;
    case DOOR_BAD_TOKEN:
        return REFUSE_TOKEN;
    default:
        return REFUSE_OTHER;
    }
}

static void refuse(struct node_table *table, const struct link_peer *peer, enum refuse_code code,
        const char *reason)
{
    struct msg msg = {.type = MSG_REFUSE, .refuse = {.code = code, .message = reason}};
    send_alone(table, peer, &msg);
    say_farewell(table, peer);
}

/* --- joining --- */

/* The door's answer to JOIN as a message. 0, or a negative errno with code and reason. */
static int answer_join(struct node_table *table, const struct link_peer *peer,
        const struct msg_join *join, struct certificate_bytes *ret_certificate,
        enum refuse_code *ret_code, struct err *err)
{
    char key[KEY_Z85_LEN + 1];
    enum door_refusal refusal;
    *ret_code = REFUSE_OTHER;
    key_from_raw(join->key.data, key);
    int r = door_join(table->config.door, peer->key, key, join->name, peer->address,
            ret_certificate, &refusal, err);
    if (r)
        *ret_code = code_of(refusal);
    return r;
}

static struct msg joined(const struct node_table *table,
        const struct certificate_bytes *certificate, const struct proof *proof)
{
    return (struct msg){.type = MSG_JOINED,
            .joined = {.mesh = mesh_of(table),
                    .certificate = bytes_of(certificate),
                    .coordinators = proof->coordinators,
                    .coordinator_count = proof->count}};
}

/* On a connection of a token's key. */
static void take_join(
        struct node_table *table, const struct link_peer *peer, const struct msg_join *join)
{
    struct certificate_bytes certificate;
    enum refuse_code code;
    struct proof proof;
    struct err err;
    if (answer_join(table, peer, join, &certificate, &code, &err)) {
        refuse(table, peer, code, err.text);
        return;
    }
    make_proof(table, &proof);
    struct msg msg = joined(table, &certificate, &proof);
    send_alone(table, peer, &msg);
    say_farewell(table, peer);
}

/* Within a session: the node changes its link key. */
static void on_session_join(void *ctx, struct node_session *session, const struct msg_join *join)
{
    struct entry *entry = ctx;
    struct certificate_bytes certificate;
    enum refuse_code code;
    struct proof proof;
    struct err err;
    if (answer_join(entry->table, node_session_peer(session), join, &certificate, &code, &err)) {
        struct msg msg = {.type = MSG_REFUSE, .refuse = {.code = code, .message = err.text}};
        node_session_send(session, &msg);
        return;
    }
    make_proof(entry->table, &proof);
    struct msg msg = joined(entry->table, &certificate, &proof);
    node_session_send(session, &msg);
}

static void close_tunnel(struct node_session *session, uint64_t id)
{
    struct msg msg = {.type = MSG_TUNNEL_CLOSE, .tunnel_close = {.tunnel = id}};
    node_session_send(session, &msg);
}

static int on_session_tunnel(
        void *ctx, struct node_session *session, const struct msg *msg, struct err *err)
{
    struct entry *entry = ctx;
    const struct node_table_config *config = &entry->table->config;
    if (!entry->gate && msg->type == MSG_TUNNEL_OPEN && config->edge_http)
        entry->gate = edge_gate_create(config->loop, config->edge_http, session);
    if (entry->gate)
        return edge_gate_on_msg(entry->gate, msg, err);
    if (msg->type == MSG_TUNNEL_OPEN)
        close_tunnel(session, msg->tunnel_open.tunnel);
    return 0;
}

static const struct node_session_events session_events = {.on_instance = on_session_instance,
        .on_change = on_session_change,
        .on_room = on_session_room,
        .on_join = on_session_join,
        .on_tunnel = on_session_tunnel,
        .on_gone = on_session_gone};

static void end_older_session(struct node_table *table, const char *key)
{
    struct node_session *older = node_table_find_key(table, key);
    if (older)
        node_session_end(older, "replaced by a newer connection of the same node");
}

static void add_entry(struct node_table *table, struct entry *entry)
{
    const struct link_peer *peer = node_session_peer(entry->session);
    entry->table = table;
    list_push_back(&table->entries, &entry->by_age);
    list_push_back(&table->ids[bucket_of_id(peer->routing_id)], &entry->by_id);
    list_push_back(&table->keys[bucket_of_key(peer->key)], &entry->by_key);
    table->count++;
    forget_lists(table);
}

/* A new certificate where the node should get one now. Where none can be made it goes on with its
 * own: the next tick tries again. */
static bool renew(struct node_table *table, const char *key, uint64_t until_s,
        struct certificate_bytes *ret_certificate)
{
    struct err err;
    ret_certificate->len = 0;
    int r = door_renew(table->config.door, key, until_s, ret_certificate, &err);
    if (r < 0)
        log_error("certificate not renewed", LOG_S("key", key), LOG_S("reason", err.text));
    return r == 1;
}

static int admit(struct node_table *table, const struct link_peer *peer,
        const struct msg_hello *hello, const struct member *member, struct err *err)
{
    struct certificate_bytes fresh;
    struct proof proof;
    struct entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return err_set(err, -ENOMEM, "no memory for a session");
    uint64_t shown_s = end_of_shown(hello->certificate, member);
    bool renewed = renew(table, peer->key, shown_s, &fresh);
    entry->certified_until_s = renewed ? end_of(bytes_of(&fresh)) : shown_s;
    make_proof(table, &proof);
    struct session_admission admission = {.name = member->name,
            .roles = member->roles,
            .coordinator_name = table->config.coordinator_name,
            .mesh = mesh_of(table),
            .certificate = bytes_of(&fresh),
            .coordinators = proof.coordinators,
            .coordinator_count = proof.count};
    int r = node_session_create(table->config.env, &table->config.transport, peer, hello,
            &admission, &session_events, entry, &entry->session, err);
    if (r) {
        free(entry);
        return r;
    }
    add_entry(table, entry);
    note_node(table, entry->session, true);
    return 0;
}

static void begin_session(
        struct node_table *table, const struct link_peer *peer, const struct msg_hello *hello)
{
    const struct member *found;
    enum door_refusal refusal;
    struct err err;
    int r = door_hello(table->config.door, peer->key, hello->name, hello->certificate.data,
            hello->certificate.len, peer->address, &found, &refusal, &err);
    if (r) {
        refuse(table, peer, code_of(refusal), err.text);
        return;
    }
    const struct member member = *found; /* a renewal makes the list of members anew */
    end_older_session(table, peer->key);
    r = admit(table, peer, hello, &member, &err);
    if (r) {
        log_warn("node refused", LOG_S("node", member.name), LOG_S("reason", err.text));
        refuse(table, peer, r == -EPROTONOSUPPORT ? REFUSE_VERSION : REFUSE_OTHER, err.text);
        return;
    }
    log_info("node joined", LOG_S("node", member.name), LOG_S("says", hello->name),
            LOG_S("address", peer->address), LOG_S("software", hello->software));
}

/* The first frame of a connection: HELLO of a member, JOIN of a token, or it ends. */
static void on_first_msg(
        struct node_table *table, const struct link_peer *peer, const struct msg *msg)
{
    bool token = door_is_token(table->config.door, peer->key);
    if (msg->type == MSG_HELLO && !token) {
        begin_session(table, peer, &msg->hello);
    } else if (msg->type == MSG_JOIN && token) {
        take_join(table, peer, &msg->join);
    } else {
        door_refuse_frame(table->config.door, peer->key, peer->address, msg_type_name(msg->type));
        table->config.cut(table->config.ctx, peer);
    }
}

static bool is_leaving(const struct node_table *table, const struct link_peer *peer)
{
    for (size_t i = 0; i < table->farewell_count; i++)
        if (memcmp(table->farewells[i].peer.routing_id, peer->routing_id, LINK_ROUTING_ID_BYTES) ==
                0)
            return true;
    return false;
}

static void on_first_frame(
        struct node_table *table, const struct link_peer *peer, const void *data, size_t len)
{
    struct arena arena;
    struct msg msg;
    struct err err;
    if (is_leaving(table, peer))
        return;
    arena_init(&arena, MSG_ARENA_BYTES);
    if (codec_decode(data, len, &arena, &msg, &err) == 0) {
        on_first_msg(table, peer, &msg);
    } else {
        door_refuse_frame(table->config.door, peer->key, peer->address, err.text);
        table->config.cut(table->config.ctx, peer);
    }
    arena_fini(&arena);
}

void node_table_on_frame(
        struct node_table *table, const struct link_peer *peer, const void *data, size_t len)
{
    struct entry *entry = find_entry(table, peer);
    if (!entry)
        on_first_frame(table, peer, data, len);
    else if (strcmp(node_session_peer(entry->session)->key, peer->key) == 0)
        node_session_on_frame(entry->session, data, len);
}

void node_table_on_disconnect_hint(struct node_table *table, int fd)
{
    list_for_each_safe (it, &table->entries) {
        struct entry *entry = list_entry(it, struct entry, by_age);
        if (node_session_peer(entry->session)->fd == fd)
            node_session_probe(entry->session);
    }
}

void node_table_flush(struct node_table *table)
{
    list_for_each_safe (it, &table->entries) {
        struct entry *entry = list_entry(it, struct entry, by_age);
        if (entry->gate && node_session_tunnel_room(entry->session))
            edge_gate_pump(entry->gate);
        node_session_flush(entry->session);
    }
}

/* A session frees its entry when it ends; the peer is needed after that. */
static void expel(struct node_table *table, struct entry *entry, const char *reason)
{
    struct link_peer peer = *node_session_peer(entry->session);
    node_session_end(entry->session, reason);
    table->config.cut(table->config.ctx, &peer);
}

/* The key it came with must still be a member's own: a member that changed its key comes anew. */
static const char *expulsion(const struct node_table *table, const char *key)
{
    const struct member *member = members_find_key(door_members(table->config.door), key);
    if (!member)
        return "it is a member no more";
    if (member->revoked)
        return "its membership was revoked";
    uint64_t now_s = (uint64_t)(env_wall_ms(table->config.env) / 1000);
    return member->not_after_s < now_s ? "its membership has ended" : NULL;
}

static void end_expelled(struct node_table *table)
{
    list_for_each_safe (it, &table->entries) {
        struct entry *entry = list_entry(it, struct entry, by_age);
        const char *reason = expulsion(table, node_session_peer(entry->session)->key);
        if (reason)
            expel(table, entry, reason);
    }
}

static bool may_return(void *ctx, const char *key)
{
    return expulsion(ctx, key) == NULL;
}

/* True where it got one. */
static bool send_certificate(struct node_table *table, struct entry *entry)
{
    struct certificate_bytes fresh;
    struct proof proof;
    const char *key = node_session_peer(entry->session)->key;
    if (!renew(table, key, entry->certified_until_s, &fresh))
        return false;
    make_proof(table, &proof);
    struct msg msg = {.type = MSG_CERTIFICATE,
            .certificate = {.certificate = bytes_of(&fresh),
                    .coordinators = proof.coordinators,
                    .coordinator_count = proof.count}};
    node_session_send(entry->session, &msg);
    entry->certified_until_s = end_of(bytes_of(&fresh));
    return true;
}

/* False where more wait for the next tick. */
static bool renew_certificates(struct node_table *table)
{
    unsigned renewed = 0;
    list_for_each (it, &table->entries) {
        renewed += send_certificate(table, list_entry(it, struct entry, by_age));
        if (renewed == NODE_TABLE_RENEWALS_MAX)
            return false;
    }
    return true;
}

static uint64_t renew_interval_ms(const struct node_table *table)
{
    uint64_t part_ms = door_membership_s(table->config.door) * 1000 / NODE_TABLE_RENEWS;
    return part_ms < NODE_TABLE_RENEW_MS ? part_ms : NODE_TABLE_RENEW_MS;
}

static void mind_members(struct node_table *table)
{
    uint64_t now_ms = env_now_ms(table->config.env);
    unsigned edition = members_edition(door_members(table->config.door));
    bool due = now_ms - table->renewed_ms >= renew_interval_ms(table);
    if (edition != table->members_edition || due) {
        end_expelled(table);
        if (table->config.away)
            away_keep(table->config.away, may_return, table);
    }
    table->members_edition = edition;
    if (due && renew_certificates(table))
        table->renewed_ms = now_ms;
}

void node_table_tick(struct node_table *table)
{
    mind_members(table);
    if (table->config.away)
        away_tick(table->config.away);
    end_farewells(table);
    uint64_t now_us = env_now_us(table->config.env);
    bool stalled = now_us - table->last_tick_us > NODE_TABLE_STALL_MS * 1000;
    table->last_tick_us = now_us;
    list_for_each_safe (it, &table->entries)
        node_session_tick(list_entry(it, struct entry, by_age)->session, stalled);
}

static size_t count_instances(const struct node_table *table)
{
    size_t count = 0;
    list_for_each (it, &table->entries)
        count += node_session_instance_count(list_entry(it, struct entry, by_age)->session);
    return count;
}

/* Where there is no memory, the list is empty in this turn and gathered again at the next. */
static void gather(const struct node_table *table, struct instance_list *list)
{
    size_t count = count_instances(table);
    struct instance **at = reallocarray(list->at, count ? count : 1, sizeof(struct instance *));
    list->count = 0;
    if (!at)
        return;
    list->at = at;
    list_for_each (it, &table->entries) {
        struct node_session *session = list_entry(it, struct entry, by_age)->session;
        for (size_t i = 0; i < node_session_instance_count(session); i++)
            at[list->count++] = node_session_instance(session, i);
    }
    list->stale = false;
}

static int by_model_then_context(const void *left, const void *right)
{
    const struct instance *a = *(struct instance *const *)left,
                          *b = *(struct instance *const *)right;
    int order = strcmp(a->model, b->model);
    return order ? order : (a->context < b->context) - (a->context > b->context);
}

static void gather_by_name(const struct node_table *table, struct instance_list *list)
{
    gather(table, list);
    if (list->count > 0)
        qsort(list->at, list->count, sizeof(struct instance *), by_model_then_context);
}

static void keep_first_of_each_model(struct instance_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (kept == 0 || strcmp(list->at[kept - 1]->model, list->at[i]->model) != 0)
            list->at[kept++] = list->at[i];
    list->count = kept;
}

struct instance *const *node_table_instances(struct node_table *table, size_t *ret_count)
{
    if (table->instances.stale)
        gather(table, &table->instances);
    *ret_count = table->instances.count;
    return table->instances.at;
}

struct instance *const *node_table_models(struct node_table *table, size_t *ret_count)
{
    if (table->models.stale) {
        gather_by_name(table, &table->models);
        keep_first_of_each_model(&table->models);
    }
    *ret_count = table->models.count;
    return table->models.at;
}

/* Where there is no memory there are none in this turn, and they are made again at the next. */
static const struct aliases *aliases_of(struct node_table *table)
{
    size_t count;
    struct instance *const *instances;
    if (!table->aliases_stale)
        return &table->aliases;
    aliases_fini(&table->aliases);
    instances = node_table_instances(table, &count);
    table->aliases_stale = aliases_init(&table->aliases, instances, count) < 0;
    return &table->aliases;
}

const struct alias *node_table_aliases(struct node_table *table, size_t *ret_count)
{
    const struct aliases *aliases = aliases_of(table);
    *ret_count = aliases->count;
    return aliases->at;
}

/* The first of those in the list that are named so; its end where there is none. */
static size_t first_named(const struct instance_list *list, const char *model)
{
    size_t from = 0, to = list->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (strcmp(list->at[middle]->model, model) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

const struct instance *node_table_differing(
        struct node_table *table, const struct instance *instance)
{
    struct instance_list *list = &table->by_name;
    if (list->stale)
        gather_by_name(table, list);
    for (size_t i = first_named(list, instance->model);
            i < list->count && strcmp(list->at[i]->model, instance->model) == 0; i++)
        if (list->at[i]->has_fingerprint)
            return instance_differs(instance, list->at[i]) ? list->at[i] : NULL;
    return NULL;
}

static bool is_here(struct node_table *table, const char *model)
{
    struct instance_list *list = &table->by_name;
    if (list->stale)
        gather_by_name(table, list);
    size_t at = first_named(list, model);
    return at < list->count && strcmp(list->at[at]->model, model) == 0;
}

/* The list by name is old after each word of a node, so it is asked last. */
const char *node_table_model(struct node_table *table, const char *name)
{
    const char *model = aliases_model(aliases_of(table), name);
    if (model != name || !table->config.away)
        return model;
    const char *away = away_model(table->config.away, name);
    return away && strcmp(away, name) != 0 && !is_here(table, name) ? away : name;
}

struct node_session *node_table_next(
        const struct node_table *table, const struct node_session *session)
{
    const struct list *at = &table->entries;
    if (session)
        at = &find_entry(table, node_session_peer(session))->by_age;
    return at->next == &table->entries ? NULL : list_entry(at->next, struct entry, by_age)->session;
}

struct node_session *node_table_find_key(const struct node_table *table, const char *key_z85)
{
    list_for_each (it, &table->keys[bucket_of_key(key_z85)]) {
        struct node_session *session = list_entry(it, struct entry, by_key)->session;
        if (strcmp(node_session_peer(session)->key, key_z85) == 0)
            return session;
    }
    return NULL;
}

struct node_session *node_table_find_name(const struct node_table *table, const char *name)
{
    list_for_each (it, &table->entries) {
        struct node_session *session = list_entry(it, struct entry, by_age)->session;
        if (strcmp(node_session_name(session), name) == 0)
            return session;
    }
    return NULL;
}

size_t node_table_editors(const struct node_table *table, const struct node_session *session)
{
    list_for_each (it, &table->entries) {
        const struct entry *entry = list_entry(it, struct entry, by_age);
        if (entry->session == session)
            return entry->gate ? edge_gate_count(entry->gate) : 0;
    }
    return 0;
}

size_t node_table_count(const struct node_table *table)
{
    return table->count;
}

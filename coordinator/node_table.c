#include "coordinator/node_table.h"

#include "common/log.h"

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
};

struct node_table {
    struct node_table_config config;
    struct list entries;       /* entry.by_age */
    struct list ids[BUCKETS];  /* entry.by_id */
    struct list keys[BUCKETS]; /* entry.by_key */
    size_t count;
    uint64_t last_tick_us;
    unsigned trust_edition; /* that all sessions were checked against */
    struct instance_list instances, models;
};

struct node_table *node_table_create(const struct node_table_config *config)
{
    struct node_table *table = calloc(1, sizeof(*table));
    if (!table)
        return NULL;
    table->config = *config;
    table->last_tick_us = env_now_us(config->env);
    table->trust_edition = trust_edition(config->trust);
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
    forget_lists(entry->table);
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
    free(table->models.at);
    free(table);
}

static void on_session_change(void *ctx, struct node_session *session)
{
    (void)session;
    struct entry *entry = ctx;
    forget_lists(entry->table);
    entry->table->config.on_change(entry->table->config.ctx);
}

static void on_session_room(void *ctx, struct node_session *session)
{
    (void)session;
    struct entry *entry = ctx;
    entry->table->config.on_change(entry->table->config.ctx);
}

static void on_session_gone(void *ctx, struct node_session *session, const char *reason)
{
    struct entry *entry = ctx;
    struct node_table *table = entry->table;
    bool expected = node_session_facts(session).draining;
    log_write(expected ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "node gone",
            LOG_FIELDS(LOG_S("node", node_session_name(session)), LOG_S("reason", reason)));
    entry_free(entry);
    table->config.on_change(table->config.ctx);
}

static const struct node_session_events session_events = {
        .on_change = on_session_change, .on_room = on_session_room, .on_gone = on_session_gone};

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

static void begin_session(
        struct node_table *table, const struct link_peer *peer, const struct msg_hello *hello)
{
    const struct trusted_node *trusted = trust_find(table->config.trust, peer->key);
    if (!trusted)
        return; /* its key was taken out of the list after it came in */
    end_older_session(table, peer->key);
    struct entry *entry = calloc(1, sizeof(*entry));
    struct err err = {.text = "no memory"};
    if (!entry || node_session_create(table->config.env, &table->config.transport, peer,
                          trusted->name, hello, table->config.coordinator_name, &session_events,
                          entry, &entry->session, &err)) {
        log_warn("node refused", LOG_S("node", trusted->name), LOG_S("reason", err.text));
        free(entry);
        return;
    }
    add_entry(table, entry);
    log_info("node joined", LOG_S("node", trusted->name), LOG_S("says", hello->name),
            LOG_S("address", peer->address), LOG_S("software", hello->software));
}

/* The first frame of a connection: HELLO, or it is not worth an answer. */
static void on_first_frame(
        struct node_table *table, const struct link_peer *peer, const void *data, size_t len)
{
    struct arena arena;
    struct msg msg;
    struct err err;
    arena_init(&arena, MSG_ARENA_BYTES);
    int r = codec_decode(data, len, &arena, &msg, &err);
    if (r == 0 && msg.type == MSG_HELLO)
        begin_session(table, peer, &msg.hello);
    else
        log_debug("frame without a session", LOG_S("address", peer->address),
                LOG_S("reason", r ? err.text : msg_type_name(msg.type)));
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
    list_for_each_safe (it, &table->entries)
        node_session_flush(list_entry(it, struct entry, by_age)->session);
}

static void end_untrusted(struct node_table *table)
{
    unsigned edition = trust_edition(table->config.trust);
    if (edition == table->trust_edition)
        return;
    table->trust_edition = edition;
    list_for_each_safe (it, &table->entries) {
        struct node_session *session = list_entry(it, struct entry, by_age)->session;
        if (!trust_find(table->config.trust, node_session_peer(session)->key))
            node_session_end(session, "its key was taken out of trusted-nodes");
    }
}

void node_table_tick(struct node_table *table)
{
    end_untrusted(table);
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

static void keep_first_of_each_model(struct instance_list *list)
{
    size_t kept = 0;
    if (list->count > 0)
        qsort(list->at, list->count, sizeof(struct instance *), by_model_then_context);
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
        gather(table, &table->models);
        keep_first_of_each_model(&table->models);
    }
    *ret_count = table->models.count;
    return table->models.at;
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

size_t node_table_count(const struct node_table *table)
{
    return table->count;
}

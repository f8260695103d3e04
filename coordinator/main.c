/* modemesh-coordinator: the one address that editors talk to. This file wires the parts together
 * and owns their life; what each of them does stands in its header. */
#include "common/config/config.h"
#include "common/daemon.h"
#include "common/discovery/discovery.h"
#include "common/env.h"
#include "common/host_addrs.h"
#include "common/link/link.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/netwatch.h"
#include "coordinator/api/access.h"
#include "coordinator/api/api.h"
#include "coordinator/api/local_token.h"
#include "coordinator/api/operations.h"
#include "coordinator/api/recordings.h"
#include "coordinator/auto/auto_sessions.h"
#include "coordinator/auto/classifier.h"
#include "coordinator/away.h"
#include "coordinator/deploy/mode_keeper.h"
#include "coordinator/deploy/plan_keeper.h"
#include "coordinator/deploy/tasks.h"
#include "coordinator/dialects/responses/response_store.h"
#include "coordinator/http/listeners.h"
#include "coordinator/http/tls.h"
#include "coordinator/ledger.h"
#include "coordinator/modes/mode_config.h"
#include "coordinator/plan/planner.h"
#include "coordinator/router/router.h"
#include "coordinator/settings.h"
#include "coordinator/state_dir.h"
#include "coordinator/trust/door.h"
#include "proto/rules.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "modemesh-coordinator"

enum {
    TICK_MS = 100,
    STOP_GRACE_MS = 5000, /* open answers may finish for so long after SIGTERM; a second signal ends
                             it at once */
    STOP_WORDS_MS = 500,  /* … and then their clients are told so for so long */
    TLS_REFRESH_MS = 60 * 60 * 1000, /* how often the certificate's age is looked at */
};

struct coordinator {
    int argc;
    char **argv;
    struct config *config;
    struct config_args args;
    char name[MSG_NAME_MAX + 1];
    struct state_dir state;

    struct loop loop;
    bool loop_is_up;
    struct loop_hook flush_hook;
    struct loop_timer *tick, *stop_timer;
    struct members *members;
    struct tokens *tokens;
    struct door *door;
    struct api_keys *api_keys;
    struct throttle *throttle;
    struct mode_moves *modes;
    struct mode_keeper *mode_keeper;
    const char *origins[CORS_ORIGINS_MAX]; /* of other pages that are let in; the config's */
    struct link_server *link;
    struct node_table *nodes;
    struct away *away;
    struct router *router;
    struct ledger *ledger;
    struct jobs *jobs;
    struct tasks *tasks;
    struct response_store *responses;
    struct recordings *recordings;
    struct affinities *affinities;
    struct auto_sessions *sessions;
    struct classifier *classifier;
    struct planner *planner;
    struct plan_keeper *plan_keeper;
    struct tls *tls;
    uint64_t tls_refreshed_ms;
    struct listeners *listeners;
    struct discovery *discovery;
    struct netwatch *netwatch;
    struct operations operations;
    struct admin_view view;
    struct api api;
    bool changed;         /* nodes or instances: the waiting requests may have a place now */
    bool stopping, ended; /* SIGTERM came; the open answers were ended for it */
};

/* --- link --- */

static bool on_allow(void *ctx, const char *key_z85, const char *address)
{
    struct coordinator *c = ctx;
    return door_allow(c->door, key_z85, address);
}

static void cut(void *ctx, const struct link_peer *peer)
{
    struct coordinator *c = ctx;
    link_server_cut(c->link, peer);
}

static void on_frame(void *ctx, const struct link_peer *peer, const void *data, size_t len)
{
    struct coordinator *c = ctx;
    node_table_on_frame(c->nodes, peer, data, len);
}

static void on_disconnect_hint(void *ctx, int fd)
{
    struct coordinator *c = ctx;
    node_table_on_disconnect_hint(c->nodes, fd);
}

static void on_bad_handshake(void *ctx, const char *address)
{
    struct coordinator *c = ctx;
    door_bad_handshake(c->door, address);
}

static const struct link_server_events link_events = {.allow = on_allow,
        .on_frame = on_frame,
        .on_disconnect_hint = on_disconnect_hint,
        .on_bad_handshake = on_bad_handshake};

/* --- the turn of the loop --- */

static void on_nodes_change(void *ctx)
{
    struct coordinator *c = ctx;
    c->changed = true;
}

static void on_instance(void *ctx, struct instance *instance, enum instance_event event)
{
    struct coordinator *c = ctx;
    router_on_instance(c->router, instance, event);
}

static void on_flush(void *ctx)
{
    struct coordinator *c = ctx;
    if (c->changed) {
        c->changed = false;
        jobs_dispatch(c->jobs);
    }
    jobs_dispatch_changed(c->jobs);
    node_table_flush(c->nodes);
}

static void on_stop_timer(void *ctx)
{
    struct coordinator *c = ctx;
    if (c->ended) {
        loop_stop(&c->loop);
        return;
    }
    c->ended = true;
    jobs_end_all(c->jobs);
    loop_timer_start(c->stop_timer, STOP_WORDS_MS, 0);
}

static void refresh_tls(struct coordinator *c)
{
    struct err err;
    c->tls_refreshed_ms = env_now_ms(&env_system);
    if (c->tls && tls_refresh(c->tls, &err))
        log_error("TLS certificate not renewed; the old one stays", LOG_S("reason", err.text));
}

/* Where the config has none. */
static void keep_modes(struct coordinator *c)
{
    if (mode_keeper_tick(c->mode_keeper))
        c->changed = true;
}

static void on_tick(void *ctx)
{
    struct coordinator *c = ctx;
    door_tick(c->door);
    node_table_tick(c->nodes);
    router_tick(c->router);
    jobs_dispatch(c->jobs);
    jobs_tick(c->jobs);
    tasks_tick(c->tasks);
    keep_modes(c);
    plan_keeper_tick(c->plan_keeper);
    response_store_expire(c->responses);
    recordings_tick(c->recordings);
    if (c->tls && env_now_ms(&env_system) - c->tls_refreshed_ms >= TLS_REFRESH_MS)
        refresh_tls(c);
    if (c->stopping && listeners_open_exchanges(c->listeners) == 0)
        loop_stop(&c->loop);
}

static void on_stop(void *ctx)
{
    struct coordinator *c = ctx;
    size_t open = listeners_open_exchanges(c->listeners);
    if (c->stopping || open == 0) {
        loop_stop(&c->loop);
        return;
    }
    c->stopping = true;
    listeners_quiesce(c->listeners);
    loop_timer_start(c->stop_timer, STOP_GRACE_MS, 0);
    log_info("stopping when the open answers are done", LOG_U("open", open));
}

/* --- settings --- */

static void apply_log_level(const struct config *config)
{
    enum log_level level;
    if (log_level_parse(config_str(config, "log-level"), &level) == 0)
        log_init(PROGRAM, level);
}

static void apply_residency(struct coordinator *c, const struct config *config)
{
    plan_keeper_set(c->plan_keeper, strcmp(config_str(config, "residency"), "planned") == 0);
}

static void apply_routing(struct coordinator *c, const struct config *config)
{
    router_set_policy(c->router, routing_policy_named(config_str(config, "routing")));
}

static int apply_auto_model(struct coordinator *c, const struct config *config, struct err *err)
{
    int r = classifier_set_model(c->classifier, config_str(config, "auto-model"));
    return r ? err_set(err, r, "no memory for the name of the auto-model") : 0;
}

static int read_modes(struct coordinator *c, const struct config *config, struct err *err)
{
    struct modes modes;
    int r = modes_from_config(config, &modes, err);
    if (!r)
        r = mode_moves_reload(c->modes, &modes, err);
    if (!r)
        keep_modes(c);
    return r;
}

static void warn_of_fixed(const struct coordinator *c, const struct config *config)
{
    const char *key;
    for (size_t i = 0; (key = config_restart_key(c->config, config, i)); i++)
        log_warn("setting changed that needs a restart to count; the old one stays",
                LOG_S("key", key), LOG_S("at", config_origin(config, key)));
}

static void on_reload(void *ctx)
{
    struct coordinator *c = ctx;
    struct config *config;
    struct err err;
    refresh_tls(c);
    int r = config_load_all(coordinator_keys, c->argc, c->argv, &c->args, &config, &err);
    if (!r) {
        r = read_modes(c, config, &err);
        if (!r)
            r = apply_auto_model(c, config, &err);
        if (r)
            config_destroy(config);
    }
    if (r) {
        log_error("settings not reloaded; the old ones stay", LOG_S("reason", err.text));
        return;
    }
    warn_of_fixed(c, config);
    apply_log_level(config);
    apply_residency(c, config);
    apply_routing(c, config);
    config_destroy(config); /* what runs borrows the words of c->config: that stays */
    c->changed = true;
    log_info("settings reloaded", LOG_U("modes", mode_moves_modes(c->modes)->count));
}

/* --- the local network --- */

/* What the link listens on, as others can reach it. */
static uint16_t link_port(const struct coordinator *c)
{
    const char *colon = strrchr(link_server_endpoint(c->link), ':');
    return (uint16_t)strtoul(colon + 1, NULL, 10);
}

static void announce(struct coordinator *c)
{
    struct announcement announcement = {.name = ""};
    struct err err;
    if (!c->discovery)
        return;
    snprintf(announcement.name, sizeof(announcement.name), "%s", c->name);
    strcpy(announcement.key, c->state.link.public_z85);
    strcpy(announcement.mesh, c->state.mesh_id);
    if (host_addrs_get(&announcement.addrs, &err))
        log_warn("this host's addresses cannot be told", LOG_S("reason", err.text));
    discovery_announce(c->discovery, ANNOUNCEMENT_COORDINATOR, link_port(c), &announcement);
}

static void on_found(void *ctx, const struct discovered *found)
{
    struct coordinator *c = ctx;
    door_announced(c->door, found->announcement.key, found->announcement.name);
}

static void on_lost(void *ctx, const char *label, const char *address)
{
    (void)ctx;
    log_debug("announcement gone", LOG_S("label", label), LOG_S("address", address));
}

static void on_available(void *ctx, bool available)
{
    (void)ctx;
    if (available)
        log_info("announced on the local network", LOG_S("service", ANNOUNCEMENT_COORDINATOR));
    else
        log_warn("no avahi-daemon answers: nodes do not find this coordinator by themselves",
                LOG_S("service", ANNOUNCEMENT_COORDINATOR));
}

static const struct discovery_events discovery_events = {
        .on_found = on_found, .on_lost = on_lost, .on_available = on_available};

static void on_network_change(void *ctx)
{
    struct coordinator *c = ctx;
    announce(c);
    refresh_tls(c);
}

/* --- start --- */

static int open_books(struct coordinator *c, struct err *err)
{
    char path[PATH_MAX];
    int r = state_dir_file(&c->state, "members.json", path, err);
    if (!r)
        r = members_open(path, &c->members, err);
    if (!r)
        r = state_dir_file(&c->state, "tokens.json", path, err);
    if (!r)
        r = tokens_open(path, &c->tokens, err);
    if (!r)
        r = state_dir_file(&c->state, "api-keys.json", path, err);
    return r ? r : api_keys_open(path, &env_system, &c->api_keys, err);
}

static int open_door(struct coordinator *c, struct err *err)
{
    int r = open_books(c, err);
    if (r)
        return r;
    const struct door_config config = {.env = &env_system,
            .identity = &c->state.identity,
            .coordinator_key = c->state.link.public_z85,
            .members = c->members,
            .tokens = c->tokens,
            .membership_s = config_uint(c->config, "membership") / 1000};
    c->door = door_create(&config);
    c->throttle = throttle_create();
    return c->door && c->throttle ? 0 : err_set(err, -ENOMEM, "no memory for the members");
}

static int open_loop(struct coordinator *c, struct err *err)
{
    int r = loop_init(&c->loop);
    if (r)
        return err_set(err, r, "the event loop does not start: %s", strerror(-r));
    c->loop_is_up = true;
    c->tick = loop_timer_create(&c->loop, on_tick, c);
    c->stop_timer = loop_timer_create(&c->loop, on_stop_timer, c);
    if (!c->tick || !c->stop_timer || loop_catch_signals(&c->loop, on_stop, on_reload, c))
        return err_set(err, -ENOMEM, "the event loop does not start");
    return 0;
}

static void log_ledger(const struct ledger_opening *opening, const char *path)
{
    if (opening->state == LEDGER_KEPT)
        log_debug("ledger read", LOG_S("path", path), LOG_U("rows", opening->rows),
                LOG_U("skipped", opening->skipped));
    else if (opening->state == LEDGER_PUT_ASIDE)
        log_warn("the ledger was broken and is put aside: speeds are learnt anew",
                LOG_S("path", path), LOG_S("reason", opening->why.text));
    else
        log_warn("what is learnt of speeds is lost at the next start: the ledger cannot be used",
                LOG_S("path", path), LOG_S("reason", opening->why.text));
}

/* What requests are sent by. */
static int open_router(struct coordinator *c, struct err *err)
{
    char path[PATH_MAX];
    struct ledger_opening opening;
    int r = state_dir_file(&c->state, LEDGER_FILE_NAME, path, err);
    if (!r)
        r = ledger_create(
                &(struct ledger_config){.loop = &c->loop, .env = &env_system, .path = path},
                &c->ledger, &opening, err);
    if (r)
        return r;
    log_ledger(&opening, path);
    c->away = away_create(&env_system);
    if (c->away)
        c->router = router_create(
                &(struct router_config){.env = &env_system, .ledger = c->ledger, .away = c->away});
    /* Nodes know conversations by their ids, also when this has been started again. */
    c->affinities = affinities_create(AFFINITIES_MAX, keys_seed(&c->state.link, "conversations"));
    return c->router && c->affinities ? 0 : err_set(err, -ENOMEM, "no memory for the router");
}

static int open_link(struct coordinator *c, struct err *err)
{
    const char *endpoint = config_str(c->config, "link");
    int r = link_server_create(&c->loop, endpoint, &c->state.link, &link_events, c, &c->link, err);
    if (r)
        return r;
    struct node_table_config config = {.env = &env_system,
            .transport = link_server_transport(c->link),
            .cut = cut,
            .door = c->door,
            .away = c->away,
            .coordinator_name = c->name,
            .coordinator_keys = {c->state.link.public_z85, c->state.next_link.public_z85},
            .loop = &c->loop,
            .edge_http = listeners_edge(c->listeners),
            .on_change = on_nodes_change,
            .on_instance = on_instance,
            .ctx = c};
    c->nodes = node_table_create(&config);
    if (!c->nodes)
        return err_set(err, -ENOMEM, "no memory for the nodes");
    c->jobs = jobs_create(&(struct jobs_config){
            .env = &env_system, .router = c->router, .affinities = c->affinities});
    c->responses = response_store_create(&(struct response_store_config){.env = &env_system});
    c->recordings = recordings_create(
            &(struct recordings_config){.env = &env_system, .store = c->responses});
    c->planner = planner_create(&(struct planner_config){
            .loop = &c->loop, .nodes = c->nodes, .modes = mode_moves_modes(c->modes)});
    if (c->jobs && c->planner)
        c->tasks = tasks_create(&(struct tasks_config){.env = &env_system,
                .nodes = c->nodes,
                .moves = c->modes,
                .jobs = c->jobs,
                .planner = c->planner});
    if (c->tasks)
        c->plan_keeper = plan_keeper_create(&(struct plan_keeper_config){
                .env = &env_system, .planner = c->planner, .tasks = c->tasks});
    c->mode_keeper = mode_keeper_create(
            &(struct mode_keeper_config){.env = &env_system, .nodes = c->nodes, .moves = c->modes});
    if (c->plan_keeper && c->responses && c->recordings && c->mode_keeper)
        return 0;
    return err_set(err, -ENOMEM, "no memory for the requests");
}

/* What `auto` is told by, beside the request. */
static int open_auto(struct coordinator *c, struct err *err)
{
    c->sessions = auto_sessions_create(&env_system, c->affinities);
    c->classifier = classifier_create(&(struct classifier_config){
            .loop = &c->loop, .env = &env_system, .nodes = c->nodes, .jobs = c->jobs});
    if (!c->sessions || !c->classifier)
        return err_set(err, -ENOMEM, "no memory for the conversations");
    return apply_auto_model(c, c->config, err);
}

static int open_tls(struct coordinator *c, struct err *err)
{
    const char *names[TLS_NAMES_MAX + 1] = {NULL};
    char dir[PATH_MAX];
    size_t count = config_list_len(c->config, "tls-names");
    if (!listeners_want_tls(c->config))
        return 0;
    if (count > TLS_NAMES_MAX)
        return err_set(err, -E2BIG, "tls-names has %zu entries, at most %d are allowed", count,
                TLS_NAMES_MAX);
    for (size_t i = 0; i < count; i++)
        names[i] = config_list_at(c->config, "tls-names", i);
    const struct tls_config config = {.env = &env_system,
            .dir = dir,
            .certificate = config_str(c->config, "tls-certificate"),
            .key = config_str(c->config, "tls-key"),
            .names = names,
            .mesh_id = c->state.mesh_id};
    int r = state_dir_file(&c->state, "tls", dir, err);
    return r ? r : tls_create(&config, &c->tls, err);
}

static int open_listeners(struct coordinator *c, struct err *err)
{
    char path[PATH_MAX];
    int r = open_tls(c, err);
    if (!r)
        r = state_dir_file(&c->state, "admin.sock", path, err);
    return r ? r : listeners_open(&c->loop, c->config, path, &c->api, &c->listeners, err);
}

static int open_network(struct coordinator *c, struct err *err)
{
    c->netwatch = netwatch_create(&c->loop, on_network_change, c);
    if (!c->netwatch)
        log_warn("changes of the network are noticed late", LOG_S("reason", strerror(errno)));
    if (config_bool(c->config, "no-mdns"))
        return 0;
    int r = discovery_create(&c->loop, ANNOUNCEMENT_NODE, &discovery_events, c, &c->discovery, err);
    if (!r)
        announce(c);
    return r;
}

static void fill_view(struct coordinator *c)
{
    c->view = (struct admin_view){.env = &env_system,
            .name = c->name,
            .version = MODEMESH_VERSION,
            .http = listeners_loopback(c->listeners),
            .link = link_server_endpoint(c->link),
            .key = c->state.link.public_z85,
            .mesh = c->state.mesh_id,
            .started_us = env_now_us(&env_system),
            .modes = mode_moves_modes(c->modes),
            .moves = c->modes,
            .nodes = c->nodes,
            .router = c->router,
            .jobs = c->jobs,
            .door = c->door};
    c->operations = (struct operations){.env = &env_system,
            .door = c->door,
            .keys = c->api_keys,
            .nodes = c->nodes,
            .modes = mode_moves_modes(c->modes),
            .router = c->router,
            .tasks = c->tasks,
            .tls = c->tls,
            .link_endpoint = link_server_endpoint(c->link)};
    listeners_urls(c->listeners, c->operations.listeners);
    c->api = (struct api){.view = &c->view,
            .jobs = c->jobs,
            .keys = c->api_keys,
            .throttle = c->throttle,
            .operations = &c->operations,
            .responses = c->responses,
            .recordings = c->recordings,
            .planner = c->planner,
            .affinities = c->affinities,
            .sessions = c->sessions,
            .classifier = c->classifier,
            .keyless_network = config_bool(c->config, "http-without-key"),
            .cors = {.origins = c->origins, .count = config_list_len(c->config, "cors-origins")},
            .own_name = c->name};
}

static int check_cors(struct coordinator *c, struct err *err)
{
    struct cors cors = {.origins = c->origins, .count = config_list_len(c->config, "cors-origins")};
    for (size_t i = 0; i < cors.count && i < CORS_ORIGINS_MAX; i++)
        c->origins[i] = config_list_at(c->config, "cors-origins", i);
    return cors_check(&cors, err);
}

/* --- what is left in the state directory --- */

/* The bound addresses, for scripts that let the system choose the ports. */
static int write_addresses(const struct coordinator *c, struct err *err)
{
    const char *http = listeners_loopback(c->listeners), *network = listeners_network(c->listeners);
    int r = state_dir_write_line(&c->state, "link.addr", c->view.link, err);
    if (!r && http)
        r = state_dir_write_line(&c->state, "http.addr", http, err);
    if (!r && network)
        r = state_dir_write_line(&c->state, "network.addr", network, err);
    return r;
}

/* Only what this run has written: another coordinator may have the directory. */
static void remove_files(struct coordinator *c)
{
    static const char *const names[] = {
            "http.addr", "network.addr", "link.addr", LOCAL_TOKEN_FILE_NAME};
    for (size_t i = 0; c->view.link && i < sizeof(names) / sizeof(names[0]); i++)
        state_dir_remove(&c->state, names[i]);
    local_token_revoke(&c->operations);
}

static int write_local_token(struct coordinator *c, struct err *err)
{
    char path[PATH_MAX];
    int r = state_dir_file(&c->state, LOCAL_TOKEN_FILE_NAME, path, err);
    if (!r)
        local_token_write(&c->operations, path);
    return r;
}

static int open_modes(struct coordinator *c, struct modes *modes, struct err *err)
{
    char path[PATH_MAX];
    int r = state_dir_file(&c->state, "mode-moves.json", path, err);
    return r ? r : mode_moves_open(path, modes, &c->modes, err);
}

static int open_all(struct coordinator *c, struct err *err)
{
    struct modes modes = {.count = 0};
    int r = modes_from_config(c->config, &modes, err);
    if (!r)
        r = check_cors(c, err);
    if (!r)
        r = state_dir_lock(&c->state, err);
    if (!r)
        r = open_modes(c, &modes, err);
    modes_fini(&modes);
    if (!r)
        r = open_door(c, err);
    if (!r)
        r = open_loop(c, err);
    if (!r)
        r = open_router(c, err);
    if (!r)
        r = open_listeners(c, err);
    if (!r)
        r = open_link(c, err);
    if (!r)
        r = open_auto(c, err);
    if (r)
        return r;
    fill_view(c);
    r = write_local_token(c, err);
    if (!r)
        r = write_addresses(c, err);
    return r ? r : open_network(c, err);
}

static void warn_of_open_doors(const struct coordinator *c)
{
    const char *address = listeners_network(c->listeners);
    if (!address)
        return;
    if (config_bool(c->config, "http-plaintext"))
        log_warn("http-plaintext: keys, prompts and answers cross the network in the clear",
                LOG_S("address", address));
    if (config_bool(c->config, "http-without-key"))
        log_warn("http-without-key: whoever reaches this address can use the mesh",
                LOG_S("address", address));
}

static int start(struct coordinator *c, struct err *err)
{
    int r = open_all(c, err);
    if (r)
        return r;
    apply_residency(c, c->config);
    apply_routing(c, c->config);
    /* Behind the listeners' hooks, so that what they bring is sent in the same turn. */
    loop_hook_add(&c->loop, &c->flush_hook, on_flush, c);
    loop_timer_start(c->tick, TICK_MS, TICK_MS);
    warn_of_open_doors(c);
    log_info("coordinator is up", LOG_S("version", MODEMESH_VERSION), LOG_S("http", c->view.http),
            LOG_S("network", listeners_network(c->listeners)), LOG_S("link", c->view.link),
            LOG_S("mesh", c->state.mesh_id), LOG_S("key", c->state.link.public_z85),
            LOG_U("modes", mode_moves_modes(c->modes)->count),
            LOG_U("members", members_count(c->members)),
            LOG_U("api_keys", api_keys_count(c->api_keys)));
    return 0;
}

/* Clients first, then the requests they waited for, then the nodes; the editors that nodes carry go
 * with their sessions, before the server that serves them. */
static void stop(struct coordinator *c)
{
    remove_files(c);
    discovery_destroy(c->discovery);
    netwatch_destroy(c->netwatch);
    plan_keeper_destroy(c->plan_keeper);
    mode_keeper_destroy(c->mode_keeper);
    tasks_destroy(c->tasks);
    classifier_destroy(c->classifier);
    jobs_destroy(c->jobs);
    auto_sessions_destroy(c->sessions);
    affinities_destroy(c->affinities);
    recordings_destroy(c->recordings);
    response_store_destroy(c->responses);
    node_table_destroy(c->nodes);
    router_destroy(c->router);
    away_destroy(c->away);
    ledger_destroy(c->ledger);
    listeners_close(c->listeners);
    planner_destroy(c->planner);
    link_server_destroy(c->link);
    tls_destroy(c->tls);
    door_destroy(c->door);
    throttle_destroy(c->throttle);
    members_close(c->members);
    tokens_close(c->tokens);
    api_keys_close(c->api_keys);
    loop_timer_destroy(c->tick);
    loop_timer_destroy(c->stop_timer);
    if (c->loop_is_up)
        loop_fini(&c->loop);
    mode_moves_close(c->modes);
    config_destroy(c->config);
    state_dir_close(&c->state);
}

static int rotate_key(struct coordinator *c, struct err *err)
{
    int r = state_dir_rotate_link_key(&c->state, err);
    if (!r)
        puts(c->state.next_link.public_z85);
    return r;
}

static int run(struct coordinator *c, struct err *err)
{
    int r = state_dir_open(&c->state, PROGRAM, config_str(c->config, "state"), err);
    if (r)
        return r;
    if (config_bool(c->config, "print-key")) {
        puts(c->state.link.public_z85);
        return 0;
    }
    if (config_bool(c->config, "rotate-key"))
        return rotate_key(c, err);
    r = start(c, err);
    if (r)
        return r;
    loop_run(&c->loop);
    log_info("coordinator stops", LOG_S("http", c->view.http));
    return 0;
}

static void print_help(void)
{
    printf("usage: " PROGRAM " [--config FILE] [OPTION…]\n\n"
           "The one address that editors talk to: assigns each mode to the best node and streams "
           "the tokens\n"
           "back. SIGHUP reads the file and the TLS certificate again: modes, aliases, auto-model, "
           "residency,\n"
           "routing and log-level count at once, of all else the log names what has changed and "
           "needs a\n"
           "restart. Where something in the file is not valid, all settings stay as they were, and "
           "the log says\n"
           "what.\n\n");
    config_print_help(coordinator_keys, stdout);
}

/* Nodes do not hear an announcement under a name of another form. */
static int set_name(struct coordinator *c, struct err *err)
{
    const char *name = config_str(c->config, "name");
    if (!name) {
        daemon_host_name(c->name, sizeof(c->name));
        return 0;
    }
    int r = rules_text(TEXT_NODE_NAME, "--name", name, strlen(name), err);
    if (!r)
        strcpy(c->name, name);
    return r;
}

int main(int argc, char **argv)
{
    struct coordinator c = {.argc = argc, .argv = argv, .state.lock = -1};
    struct err err;
    daemon_harden();
    log_init(PROGRAM, LOG_LEVEL_INFO);
    int r = config_load_all(coordinator_keys, argc, argv, &c.args, &c.config, &err);
    if (!r && c.args.help) {
        print_help();
    } else if (!r && c.args.version) {
        puts(PROGRAM " " MODEMESH_VERSION);
    } else if (!r) {
        apply_log_level(c.config);
        r = set_name(&c, &err);
        if (!r)
            r = run(&c, &err);
    }
    if (r)
        fprintf(stderr, PROGRAM ": %s\n", err.text);
    stop(&c);
    return r ? 1 : 0;
}

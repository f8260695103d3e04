/* modemesh-node: offers this host's models to the mesh. This file wires the parts together and owns
 * their life; what each of them does stands in its header. */
#include "common/config/config.h"
#include "common/daemon.h"
#include "common/discovery/discovery.h"
#include "common/env.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/netwatch.h"
#include "common/trust/keys.h"
#include "node/backends/slots/slot_files.h"
#include "node/backends/slots/slot_swap.h"
#include "node/link/advertise.h"
#include "node/link/editors.h"
#include "node/link/invitation.h"
#include "node/link/joining.h"
#include "node/link/uplink.h"
#include "node/models/models.h"
#include "node/process/guard.h"
#include "node/process/runtime_dir.h"
#include "node/residency/measurement_file.h"
#include "node/residency/orders.h"
#include "node/residency/standing_orders.h"
#include "node/residency/supervisor.h"
#include "node/settings.h"
#include "proto/rules.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "modemesh-node"

enum {
    LAST_WORDS_MS = 100, /* from the last engine's end to ours: what the link still has to say */
    SLOTS_TIMER_MS = 60 * 60 * 1000,
    STOP_MARGIN_MS = 5000, /* a stop that takes so much longer than it may is ended by force */
};

struct node {
    int argc;
    char **argv;
    struct config *config;
    struct config_args args;
    char name[MSG_NODE_NAME_MAX + 1];
    char said_name[MSG_NODE_NAME_MAX + 1]; /* in HELLO: what the mesh calls it */
    char state[PATH_MAX];
    char measurements[PATH_MAX];
    char self[PATH_MAX];
    int state_lock; /* descriptor, -1 while we do not have it */
    struct runtime_dir runtime;

    struct loop loop;
    bool loop_is_up;
    struct loop_hook flush_hook;
    struct loop_timer *tick, *stop_timer, *force_timer;
    struct key_pair keys;
    struct invitation invitation;
    struct http_client *http;
    struct slot_files *slot_files;  /* NULL: none are kept */
    struct loop_timer *slots_timer; /* looks for what is too old of them */
    struct supervisor *supervisor;
    struct standing_orders *standing;
    struct models *models; /* NULL: --edge-only */
    struct orders *orders;
    struct joining *joining;
    struct uplink *uplink;
    struct editors *editors; /* NULL: --no-edge */
    struct discovery *discovery;
    struct netwatch *netwatch;
    struct advertise advertise;
    bool stopping;
    bool edge_only; /* no models, no engine */
    const char *command[SETTINGS_WORDS_MAX + 1], *stop_command[SETTINGS_WORDS_MAX + 1];
};

/* --- stop --- */

static void on_last_words(void *ctx)
{
    struct node *node = ctx;

    loop_stop(&node->loop);
}

static void on_stopped(void *ctx)
{
    struct node *node = ctx;

    loop_timer_start(node->stop_timer, LAST_WORDS_MS, 0);
}

/* The guards end the engines when we are gone. */
static void on_force(void *ctx)
{
    (void)ctx;
    log_error("an engine does not stop; leaving it to its guard", LOG_S("program", PROGRAM));
    _exit(EXIT_FAILURE);
}

static void on_stop(void *ctx)
{
    struct node *node = ctx;
    uint64_t limit_ms = config_uint(node->config, "engine.stop-timeout") + SUPERVISOR_GRACE_MS +
                        SLOT_SWAP_MS + STOP_MARGIN_MS;

    supervisor_drain(node->supervisor);
    if (node->stopping)
        return;
    node->stopping = true;
    log_info("stopping", LOG_U("streams", uplink_stream_count(node->uplink)));
    uplink_draining(node->uplink);
    loop_timer_start(node->force_timer, limit_ms, 0);
}

/* --- models --- */

static void on_model_change(void *ctx, const char *model)
{
    struct node *node = ctx;

    if (node->uplink != NULL)
        uplink_model_changed(node->uplink, model);
}

static const struct supervisor_events supervisor_events = {
        .on_change = on_model_change, .on_stopped = on_stopped};

/* --- link --- */

static void on_link_up(void *ctx, const struct msg_bytes *certificate)
{
    struct node *node = ctx;

    strcpy(node->said_name, joining_name(node->joining));
    uplink_up(node->uplink, certificate);
}

static void on_link_frame(void *ctx, const void *data, size_t len)
{
    struct node *node = ctx;

    uplink_on_frame(node->uplink, data, len);
}

static void on_link_down(void *ctx, const char *reason)
{
    struct node *node = ctx;

    editors_down(node->editors, reason);
    if (node->orders != NULL)
        orders_session_end(node->orders);
    uplink_down(node->uplink);
}

/* --- membership --- */

static void change_key(struct node *node)
{
    struct msg join;

    if (uplink_is_up(node->uplink) && joining_wants_key(node->joining, &join))
        uplink_send(node->uplink, &join);
}

static void on_member(void *ctx, const char *coordinator, unsigned roles)
{
    struct node *node = ctx;

    log_info("joined", LOG_S("coordinator", coordinator),
            LOG_S("mesh", joining_mesh(node->joining)));
    editors_up(node->editors, joining_endpoint(node->joining), roles);
    change_key(node);
}

static const struct joining_events joining_events = {.on_up = on_link_up,
        .on_frame = on_link_frame,
        .on_down = on_link_down,
        .on_member = on_member};

static int on_welcome(void *ctx, const struct msg_welcome *welcome, struct err *err)
{
    struct node *node = ctx;

    return joining_on_welcome(node->joining, welcome, err);
}

static void on_membership(void *ctx, const struct msg *msg)
{
    struct node *node = ctx;

    joining_on_membership(node->joining, msg);
}

static void on_broken(void *ctx, const char *reason)
{
    struct node *node = ctx;

    joining_reset(node->joining, reason);
}

static int on_tunnel(void *ctx, const struct msg *msg, struct err *err)
{
    struct node *node = ctx;

    return editors_on_tunnel(node->editors, msg, err);
}

static void on_order(void *ctx, const struct msg *msg)
{
    struct node *node = ctx;

    orders_on_msg(node->orders, msg);
}

static void on_room(void *ctx)
{
    struct node *node = ctx;

    editors_on_room(node->editors);
}

static const struct uplink_events uplink_events = {.on_welcome = on_welcome,
        .on_membership = on_membership,
        .on_tunnel = on_tunnel,
        .on_order = on_order,
        .on_room = on_room,
        .on_broken = on_broken};

/* --- orders --- */

static void on_order_msg(void *ctx, const struct msg *msg)
{
    struct node *node = ctx;

    uplink_send(node->uplink, msg);
}

static void on_pause(void *ctx, bool paused)
{
    struct node *node = ctx;

    uplink_pause(node->uplink, paused);
}

static size_t on_running(void *ctx)
{
    const struct node *node = ctx;

    return uplink_stream_count(node->uplink);
}

static const struct orders_events orders_events = {
        .send = on_order_msg, .pause = on_pause, .running = on_running};

/* --- the local network --- */

static void on_found(void *ctx, const struct discovered *found)
{
    struct node *node = ctx;

    joining_found(node->joining, found);
}

static void on_lost(void *ctx, const char *label, const char *address)
{
    struct node *node = ctx;

    joining_lost(node->joining, label, address);
}

static void on_available(void *ctx, bool available)
{
    (void)ctx;
    if (available)
        log_info("looking for coordinators on the local network",
                LOG_S("service", ANNOUNCEMENT_COORDINATOR));
    else
        log_warn("no avahi-daemon answers: coordinators are not found by themselves until it does",
                LOG_S("service", ANNOUNCEMENT_COORDINATOR));
}

static const struct discovery_events discovery_events = {
        .on_found = on_found, .on_lost = on_lost, .on_available = on_available};

/* A link over an address that is gone says nothing more: three heartbeats decide. */
static void on_network_change(void *ctx)
{
    struct node *node = ctx;

    uplink_doubt(node->uplink);
    joining_hurry(node->joining);
}

static void on_flush(void *ctx)
{
    struct node *node = ctx;

    uplink_flush(node->uplink);
}

static void on_tick(void *ctx)
{
    struct node *node = ctx;

    uplink_tick(node->uplink);
    orders_tick(node->orders);
    if (node->discovery != NULL)
        advertise_tick(&node->advertise, node->discovery, node->edge_only ? NULL : node->supervisor,
                node->name, node->keys.public_z85, env_now_ms(&env_system));
}

/* --- settings --- */

static int take_lists(struct node *node, struct err *err)
{
    int r = settings_words(node->config, "engine.command", node->command, err);

    if (r == 0)
        r = settings_words(node->config, "engine.stop-command", node->stop_command, err);
    if (r == 0 && node->command[0] == NULL)
        r = err_set(err, -EINVAL,
                "engine.command is empty; name the engine's program, like llama-server");
    return r;
}

static int take_name(struct node *node, struct err *err)
{
    const char *name = config_str(node->config, "name");

    if (name == NULL) {
        daemon_host_name(node->name, sizeof node->name);
        return 0;
    }
    if (rules_text(TEXT_NODE_NAME, "name", name, strlen(name), err) < 0)
        return -EINVAL;
    (void)snprintf(node->name, sizeof node->name, "%s", name);
    return 0;
}

static void apply_log_level(const struct config *config)
{
    enum log_level level;

    if (log_level_parse(config_str(config, "log-level"), &level) == 0)
        log_init(PROGRAM, level);
}

static void warn_of_fixed(const struct node *node, const struct config *config)
{
    const char *key;

    for (size_t i = 0; (key = config_restart_key(node->config, config, i)) != NULL; i++)
        log_warn("setting changed that needs a restart to count; the old one stays",
                LOG_S("key", key), LOG_S("at", config_origin(config, key)));
}

/* What runs borrows the words of node->config, so that stays. */
static void take_settings(struct node *node, const struct config *config)
{
    struct err err;

    warn_of_fixed(node, config);
    apply_log_level(config);
    if (node->models != NULL && models_reload(node->models, config, &err) < 0)
        log_error("settings of models not reloaded; the old ones stay", LOG_S("reason", err.text));
}

static void reload_settings(struct node *node)
{
    struct config *config;
    struct err err;

    if (config_load_all(node_keys, node->argc, node->argv, &node->args, &config, &err) < 0) {
        log_error("settings not reloaded; the old ones stay", LOG_S("reason", err.text));
        return;
    }
    take_settings(node, config);
    config_destroy(config);
}

static void on_reload(void *ctx)
{
    struct node *node = ctx;

    reload_settings(node);
    change_key(node);
    joining_hurry(node->joining);
    if (node->models != NULL)
        models_rescan(node->models);
}

/* --- files --- */

static int open_state(struct node *node, struct err *err)
{
    char path[PATH_MAX];
    int r = daemon_open_state(
            PROGRAM, config_str(node->config, "state"), node->state, sizeof node->state, err);

    if (r == 0)
        r = daemon_state_path(node->state, MEASUREMENT_FILE_NAME, node->measurements, err);
    if (r == 0)
        r = daemon_state_path(node->state, "link.key", path, err);
    return r == 0 ? keys_load_or_create(path, &node->keys, err) : r;
}

/* --rotate-key */
static int make_next_key(struct node *node, struct err *err)
{
    struct key_pair next = {.secret_z85 = NULL};
    char path[PATH_MAX];
    int r = daemon_state_path(node->state, "link.key.next", path, err);

    if (r == 0)
        r = keys_load_or_create(path, &next, err);
    if (r == 0)
        puts(next.public_z85);
    keys_fini(&next);
    return r;
}

/* --leave */
static int leave(struct node *node, struct err *err)
{
    char path[PATH_MAX];
    int r = daemon_state_path(node->state, "membership.json", path, err);

    if (r == 0 && unlink(path) < 0 && errno != ENOENT)
        r = err_set(err, -errno, "cannot remove %s: %s", path, strerror(errno));
    return r;
}

static int find_self(struct node *node, struct err *err)
{
    ssize_t len = readlink("/proc/self/exe", node->self, sizeof node->self - 1);

    if (len < 0)
        return err_set(err, -errno, "cannot find this program's own file (is /proc mounted?): %s",
                strerror(errno));
    node->self[len] = '\0';
    return 0;
}

/* --- start --- */

static void on_slots_timer(void *ctx)
{
    struct node *node = ctx;

    if (node->slot_files != NULL)
        slot_files_prune(node->slot_files);
}

static int open_loop(struct node *node, struct err *err)
{
    int r = loop_init(&node->loop);

    if (r < 0)
        return err_set(err, r, "the event loop does not start: %s", strerror(-r));
    node->loop_is_up = true;
    node->tick = loop_timer_create(&node->loop, on_tick, node);
    node->stop_timer = loop_timer_create(&node->loop, on_last_words, node);
    node->force_timer = loop_timer_create(&node->loop, on_force, node);
    node->slots_timer = loop_timer_create(&node->loop, on_slots_timer, node);
    node->http = http_client_create(&node->loop);
    if (node->tick == NULL || node->stop_timer == NULL || node->force_timer == NULL ||
            node->slots_timer == NULL || node->http == NULL)
        return err_set(err, -ENOMEM, "the event loop does not start");
    return 0;
}

static const struct backend_ops *chosen_backend(const struct node *node)
{
    return strcmp(config_str(node->config, "engine.backend"), backend_fake.name) == 0
                   ? &backend_fake
                   : &backend_llama_server;
}

/* Who runs no engine leaves GPUs alone. */
static enum pool_choice chosen_pool(const struct node *node)
{
    enum pool_choice choice = POOL_CHOOSE_HOST;
    int r = node->edge_only ? 0
                            : pool_choice_parse(config_str(node->config, "memory-pool"), &choice);

    assert(r == 0); /* the config takes no other words */
    (void)r;
    return choice;
}

static int open_slot_files(struct node *node, struct err *err)
{
    char folder[PATH_MAX];
    int r = daemon_state_path(node->state, "slots", folder, err);

    if (r < 0)
        return r;
    loop_timer_start(node->slots_timer, SLOTS_TIMER_MS, SLOTS_TIMER_MS);
    return slot_files_open(folder, config_uint(node->config, "engine.slot-cache"), &env_system,
            &node->slot_files, err);
}

static int open_supervisor(struct node *node, struct err *err)
{
    const struct config *config = node->config;
    struct supervisor_config settings = {
            .ops = chosen_backend(node),
            .host = {.loop = &node->loop,
                    .http = node->http,
                    .env = &env_system,
                    .runtime_dir = node->runtime.path,
                    .self_path = node->self,
                    .command = node->command,
                    .stop_command = node->stop_command[0] == NULL ? NULL : node->stop_command,
                    .start_timeout_ms = (uint32_t)config_uint(config, "engine.start-timeout"),
                    .stop_timeout_ms = (uint32_t)config_uint(config, "engine.stop-timeout"),
                    .slot_files = node->slot_files},
            .node_name = node->name,
            .measurements = node->measurements,
            .memory = {.hardware = {.root = config_str(config, "host-root"),
                               .choice = chosen_pool(node)},
                    .limit_bytes = config_uint(config, "memory-limit"),
                    .reserve_bytes = config_is_set(config, "reserve")
                                             ? config_uint(config, "reserve")
                                             : MEMORY_RESERVE_DEFAULT},
            .swap_bytes = config_uint(config, "swap-allowance"),
            .bandwidth_bytes = config_uint(config, "memory-bandwidth"),
            .keeps_prompts = chosen_backend(node) == &backend_llama_server,
    };

    return supervisor_create(
            &node->loop, &settings, &supervisor_events, node, &node->supervisor, err);
}

static int open_joining(struct node *node, struct err *err)
{
    struct invitation *invitation = &node->invitation;
    const struct joining_config config = {.loop = &node->loop,
            .env = &env_system,
            .name = node->name,
            .software = "modemesh " MODEMESH_VERSION,
            .state = node->state,
            .pair = &node->keys,
            .token = invitation->has_token ? &invitation->token : NULL,
            .local_token = invitation->token_file[0] == '\0' ? NULL : invitation->token_file,
            .mesh = config_str(node->config, "mesh"),
            .coordinator_key = invitation->coordinator_key};
    int r = joining_create(&config, &joining_events, node, &node->joining, err);

    for (size_t i = 0; r == 0 && i < config_list_len(node->config, "coordinator"); i++)
        r = joining_add_address(node->joining, config_list_at(node->config, "coordinator", i), err);
    return r;
}

static int open_link(struct node *node, struct err *err)
{
    const struct uplink_config config = {
            .name = node->said_name, .software = "modemesh " MODEMESH_VERSION};
    struct transport transport;
    int r = open_joining(node, err);

    if (r < 0)
        return r;
    transport = joining_transport(node->joining);
    node->uplink =
            uplink_create(&env_system, &transport, node->supervisor, &config, &uplink_events, node);
    return node->uplink == NULL ? err_set(err, -ENOMEM, "no memory for the link") : 0;
}

static int open_editors(struct node *node, struct err *err)
{
    const struct editors_config config = {.loop = &node->loop,
            .uplink = node->uplink,
            .addr = config_addr(node->config, "edge"),
            .at_once = config_is_set(node->config, "edge") || node->edge_only};

    if (config_bool(node->config, "no-edge"))
        return 0;
    return editors_create(&config, &node->editors, err);
}

static int open_network(struct node *node, struct err *err)
{
    node->netwatch = netwatch_create(&node->loop, on_network_change, node);
    if (node->netwatch == NULL)
        log_warn("changes of the network are noticed late", LOG_S("reason", strerror(errno)));
    if (config_bool(node->config, "no-mdns"))
        return 0;
    return discovery_create(
            &node->loop, ANNOUNCEMENT_COORDINATOR, &discovery_events, node, &node->discovery, err);
}

static int open_models(struct node *node, struct err *err)
{
    const struct models_config config = {.loop = &node->loop,
            .http = node->http,
            .env = &env_system,
            .supervisor = node->supervisor,
            .orders = node->standing,
            .settings = node->config};

    return node->edge_only ? 0 : models_create(&config, &node->models, err);
}

static int open_standing(struct node *node, struct err *err)
{
    char path[PATH_MAX];
    int r = daemon_state_path(node->state, "standing-orders.json", path, err);

    return r == 0 ? standing_orders_open(path, &node->standing, err) : r;
}

static int open_orders(struct node *node, struct err *err)
{
    const struct orders_config config = {.env = &env_system,
            .supervisor = node->supervisor,
            .models = node->models,
            .standing = node->standing};

    node->orders = orders_create(&config, &orders_events, node);
    return node->orders == NULL ? err_set(err, -ENOMEM, "out of memory") : 0;
}

static int start(struct node *node, struct err *err)
{
    int r = find_self(node, err);

    if (r == 0)
        r = runtime_dir_open(node->name, &node->runtime, err);
    if (r == 0)
        r = open_loop(node, err);
    if (r == 0)
        r = open_slot_files(node, err);
    if (r == 0)
        r = open_supervisor(node, err);
    if (r == 0)
        r = open_link(node, err);
    if (r == 0)
        r = open_editors(node, err);
    if (r == 0)
        r = open_standing(node, err);
    if (r == 0)
        r = open_models(node, err);
    if (r == 0)
        r = open_orders(node, err);
    if (r == 0)
        r = open_network(node, err);
    if (r == 0 && loop_catch_signals(&node->loop, on_stop, on_reload, node) < 0)
        r = err_set(err, -ENOMEM, "signals cannot be caught");
    if (r < 0)
        return r;
    loop_hook_add(&node->loop, &node->flush_hook, on_flush, node);
    loop_timer_start(node->tick, UPLINK_TICK_MS, UPLINK_TICK_MS);
    log_info("node is up", LOG_S("version", MODEMESH_VERSION), LOG_S("name", node->name),
            LOG_S("key", node->keys.public_z85), LOG_S("mesh", joining_mesh(node->joining)),
            LOG_S("engine", node->edge_only ? NULL : chosen_backend(node)->name));
    return 0;
}

/* The link first, so that its end cancels what still runs; what runs needs the engines. The loop
 * waits for a scan that is under way, and a network folder may never answer it: hence the alarm. */
static void stop(struct node *node)
{
    alarm(STOP_MARGIN_MS / 1000);
    if (node->flush_hook.fn != NULL)
        loop_hook_remove(&node->flush_hook);
    discovery_destroy(node->discovery);
    netwatch_destroy(node->netwatch);
    models_destroy(node->models);
    joining_destroy(node->joining);
    editors_destroy(node->editors);
    uplink_destroy(node->uplink);
    node->uplink = NULL;
    orders_destroy(node->orders);
    supervisor_destroy(node->supervisor);
    slot_files_close(node->slot_files);
    standing_orders_close(node->standing);
    http_client_destroy(node->http);
    loop_timer_destroy(node->tick);
    loop_timer_destroy(node->stop_timer);
    loop_timer_destroy(node->force_timer);
    loop_timer_destroy(node->slots_timer);
    runtime_dir_close(&node->runtime);
    if (node->loop_is_up)
        loop_fini(&node->loop);
    keys_fini(&node->keys);
    invitation_fini(&node->invitation);
    config_destroy(node->config);
    if (node->state_lock >= 0)
        close(node->state_lock);
}

/* What the words of the command line that are not settings ask for; then nothing is served. */
static bool is_errand(const struct node *node)
{
    return config_bool(node->config, "print-key") || config_bool(node->config, "rotate-key");
}

static int run_errand(struct node *node, struct err *err)
{
    if (config_bool(node->config, "rotate-key"))
        return make_next_key(node, err);
    puts(node->keys.public_z85);
    return 0;
}

static int read_settings(struct node *node, struct err *err)
{
    int r = take_lists(node, err);

    if (r == 0)
        r = take_name(node, err);
    if (r == 0)
        r = invitation_read(node->config, &node->invitation, err);
    config_hide_secrets(node_keys, node->argc, node->argv);
    node->edge_only = config_bool(node->config, "edge-only");
    return r;
}

static int run(struct node *node, struct err *err)
{
    int r = read_settings(node, err);

    if (r == 0)
        r = open_state(node, err);
    if (r < 0)
        return r;
    if (is_errand(node))
        return run_errand(node, err);
    node->state_lock = daemon_lock_state(node->state, err);
    if (node->state_lock < 0)
        return node->state_lock;
    if (config_bool(node->config, "leave"))
        return leave(node, err);
    r = start(node, err);
    if (r < 0)
        return r;
    loop_run(&node->loop);
    log_info("node stops", LOG_S("name", node->name));
    return 0;
}

static void print_help(void)
{
    printf("usage: " PROGRAM " [--config FILE] [OPTION…]\n\n"
           "Offers this host's models to the mesh: runs an engine for each that is wanted and "
           "fits, and joins the\n"
           "coordinator. SIGHUP looks for new models at once, takes up the log level and what is "
           "said "
           "of models\n"
           "(model-settings, resident, engine.context, engine.slots, engine.extra-args), and warns "
           "of any other\n"
           "setting that has changed and needs a restart.\n\n");
    config_print_help(node_keys, stdout);
}

static int node_main(struct node *node)
{
    struct err err = {.text = ""};
    int r = config_load_all(node_keys, node->argc, node->argv, &node->args, &node->config, &err);

    if (r == 0 && node->args.help) {
        print_help();
    } else if (r == 0 && node->args.version) {
        puts(PROGRAM " " MODEMESH_VERSION);
    } else if (r == 0) {
        apply_log_level(node->config);
        r = run(node, &err);
    }
    if (r < 0)
        fprintf(stderr, PROGRAM ": %s\n", err.text);
    stop(node);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static struct node node = {.state_lock = -1};

    if (argc > 1 && strcmp(argv[1], "guard") == 0)
        return guard_main(argc - 1, argv + 1);
    daemon_harden();
    log_init(PROGRAM, LOG_LEVEL_INFO);
    node.argc = argc;
    node.argv = argv;
    return node_main(&node);
}

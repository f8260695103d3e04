/* modemesh-coordinator: the one address that editors talk to. This file wires the parts together
 * and owns their life; what each of them does stands in its header. */
#include "common/config.h"
#include "common/daemon.h"
#include "common/env.h"
#include "common/file.h"
#include "common/keys.h"
#include "common/link.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/trust.h"
#include "coordinator/access.h"
#include "coordinator/api.h"
#include "coordinator/refusals.h"
#include "coordinator/settings.h"
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
};

struct coordinator {
    int argc;
    char **argv;
    struct config *config;
    struct config_args args;
    char name[MSG_NAME_MAX + 1];
    char state[PATH_MAX];
    int state_lock; /* descriptor; -1: none */

    struct loop loop;
    bool loop_is_up;
    struct loop_hook flush_hook;
    struct loop_timer *tick, *stop_timer;
    struct key_pair keys;
    struct trust *trust;
    struct modes modes;
    struct link_server *link;
    struct node_table *nodes;
    struct jobs *jobs;
    struct http_server *http;
    struct admin_view view;
    struct api api;
    bool changed;         /* nodes or instances: the waiting requests may have a place now */
    bool stopping, ended; /* SIGTERM came; the open answers were ended for it */
    struct refusals refusals;
};

/* --- link --- */

static void refresh_trust(struct coordinator *c)
{
    struct err err;
    if (trust_refresh(c->trust, &err))
        log_error("trusted-nodes cannot be used; the last good list stays",
                LOG_S("reason", err.text));
}

static bool on_allow(void *ctx, const char *key_z85, const char *address)
{
    struct coordinator *c = ctx;
    refresh_trust(c);
    if (trust_find(c->trust, key_z85))
        return true;
    if (refusals_tell(&c->refusals, key_z85, env_now_ms(&env_system)))
        log_warn("node refused: its key is not in trusted-nodes", LOG_S("key", key_z85),
                LOG_S("address", address));
    return false;
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

static const struct link_server_events link_events = {
        .allow = on_allow, .on_frame = on_frame, .on_disconnect_hint = on_disconnect_hint};

/* --- the turn of the loop --- */

static void on_nodes_change(void *ctx)
{
    struct coordinator *c = ctx;
    c->changed = true;
}

static void on_flush(void *ctx)
{
    struct coordinator *c = ctx;
    if (c->changed) {
        c->changed = false;
        jobs_retry_waiting(c->jobs);
    }
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

static void on_tick(void *ctx)
{
    struct coordinator *c = ctx;
    refresh_trust(c);
    node_table_tick(c->nodes);
    jobs_retry_waiting(c->jobs);
    jobs_tick(c->jobs);
    if (c->stopping && http_server_open_exchanges(c->http) == 0)
        loop_stop(&c->loop);
}

static void on_stop(void *ctx)
{
    struct coordinator *c = ctx;
    size_t open = http_server_open_exchanges(c->http);
    if (c->stopping || open == 0) {
        loop_stop(&c->loop);
        return;
    }
    c->stopping = true;
    http_server_quiesce(c->http);
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

static void take_settings(struct coordinator *c, struct config *config, struct modes *modes)
{
    modes_fini(&c->modes);
    c->modes = *modes;
    config_destroy(c->config);
    c->config = config;
    apply_log_level(config);
}

static void on_reload(void *ctx)
{
    struct coordinator *c = ctx;
    struct config *config;
    struct modes modes;
    struct err err;
    int r = config_load_all(coordinator_keys, c->argc, c->argv, &c->args, &config, &err);
    if (!r) {
        r = modes_from_config(config, &modes, &err);
        if (r)
            config_destroy(config);
    }
    if (r) {
        log_error("settings not reloaded; the old ones stay", LOG_S("reason", err.text));
        return;
    }
    const char *fixed = config_restart_key(c->config, config);
    if (fixed)
        log_warn("setting changed that needs a restart to count", LOG_S("key", fixed));
    take_settings(c, config, &modes);
    refresh_trust(c);
    c->changed = true;
    log_info("settings reloaded", LOG_U("modes", c->modes.count));
}

static int check_http_address(const struct text_addr *addr, struct err *err)
{
    if (access_is_loopback(addr->host))
        return 0;
    return err_set(err, -EACCES,
            "--http %s:%u is not a loopback address: without keys and TLS, which this version "
            "lacks, everyone who "
            "reaches it could use the mesh; use 127.0.0.1, and an SSH tunnel from other machines",
            addr->host, addr->port);
}

/* --- start --- */

static int open_state(struct coordinator *c, struct err *err)
{
    char path[PATH_MAX];
    int r = daemon_open_state(
            PROGRAM, config_str(c->config, "state"), c->state, sizeof(c->state), err);
    if (!r)
        r = daemon_state_path(c->state, "link.key", path, err);
    return r ? r : keys_load_or_create(path, &c->keys, err);
}

static int open_trust(struct coordinator *c, struct err *err)
{
    char path[PATH_MAX];
    c->state_lock = daemon_lock_state(c->state, err);
    int r = c->state_lock < 0 ? c->state_lock : 0;
    if (!r)
        r = daemon_state_path(c->state, "trusted-nodes", path, err);
    if (!r)
        r = trust_create(path, &c->trust, err);
    return r;
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

static int open_link(struct coordinator *c, struct err *err)
{
    const char *endpoint = config_str(c->config, "link");
    int r = link_server_create(&c->loop, endpoint, &c->keys, &link_events, c, &c->link, err);
    if (r)
        return r;
    struct node_table_config config = {.env = &env_system,
            .transport = link_server_transport(c->link),
            .trust = c->trust,
            .coordinator_name = c->name,
            .on_change = on_nodes_change,
            .ctx = c};
    c->nodes = node_table_create(&config);
    if (!c->nodes)
        return err_set(err, -ENOMEM, "no memory for the nodes");
    c->jobs = jobs_create(&(struct jobs_config){.env = &env_system, .nodes = c->nodes});
    return c->jobs ? 0 : err_set(err, -ENOMEM, "no memory for the requests");
}

static int open_http(struct coordinator *c, struct err *err)
{
    struct http_server_config config = {.addr = config_addr(c->config, "http")};
    struct http_server_handler handler = api_handler(&c->api);
    int r = check_http_address(&config.addr, err);
    return r ? r : http_server_create(&c->loop, &config, &handler, &c->http, err);
}

static void fill_view(struct coordinator *c)
{
    c->view = (struct admin_view){.env = &env_system,
            .name = c->name,
            .version = MODEMESH_VERSION,
            .http = http_server_address(c->http),
            .link = link_server_endpoint(c->link),
            .key = c->keys.public_z85,
            .started_us = env_now_us(&env_system),
            .modes = &c->modes,
            .nodes = c->nodes,
            .jobs = c->jobs,
            .trust = c->trust};
    c->api = (struct api){.view = &c->view, .jobs = c->jobs};
}

static int write_line(
        const struct coordinator *c, const char *name, const char *line, struct err *err)
{
    char path[PATH_MAX], text[256];
    int r = daemon_state_path(c->state, name, path, err);
    if (r)
        return r;
    int len = snprintf(text, sizeof(text), "%s\n", line);
    return file_write_private(path, text, (size_t)len, err);
}

/* The bound addresses, for scripts that let the system choose the ports. */
static int write_addresses(const struct coordinator *c, struct err *err)
{
    int r = write_line(c, "link.addr", c->view.link, err);
    return r ? r : write_line(c, "http.addr", c->view.http, err);
}

static void remove_addresses(const struct coordinator *c)
{
    static const char *const names[] = {"http.addr", "link.addr"};
    char path[PATH_MAX];
    for (size_t i = 0; i < 2; i++)
        if (c->view.http && daemon_state_path(c->state, names[i], path, NULL) == 0)
            (void)unlink(path);
}

static int start(struct coordinator *c, struct err *err)
{
    int r = modes_from_config(c->config, &c->modes, err);
    if (!r)
        r = open_trust(c, err);
    if (!r)
        r = open_loop(c, err);
    if (!r)
        r = open_link(c, err);
    if (!r)
        r = open_http(c, err);
    if (r)
        return r;
    fill_view(c);
    r = write_addresses(c, err);
    if (r)
        return r;
    loop_hook_add(&c->loop, &c->flush_hook, on_flush, c);
    loop_timer_start(c->tick, TICK_MS, TICK_MS);
    log_info("coordinator is up", LOG_S("version", MODEMESH_VERSION), LOG_S("http", c->view.http),
            LOG_S("link", c->view.link), LOG_S("key", c->keys.public_z85),
            LOG_U("modes", c->modes.count), LOG_U("trusted_nodes", trust_count(c->trust)));
    return 0;
}

/* Clients first, then the requests they waited for, then the nodes. */
static void stop(struct coordinator *c)
{
    remove_addresses(c);
    jobs_destroy(c->jobs);
    http_server_destroy(c->http);
    node_table_destroy(c->nodes);
    link_server_destroy(c->link);
    trust_destroy(c->trust);
    loop_timer_destroy(c->tick);
    loop_timer_destroy(c->stop_timer);
    if (c->loop_is_up)
        loop_fini(&c->loop);
    keys_fini(&c->keys);
    modes_fini(&c->modes);
    config_destroy(c->config);
    if (c->state_lock >= 0)
        close(c->state_lock);
}

static int run(struct coordinator *c, struct err *err)
{
    int r = open_state(c, err);
    if (r)
        return r;
    if (config_bool(c->config, "print-key")) {
        puts(c->keys.public_z85);
        return 0;
    }
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
           "back. SIGHUP reads the modes again.\n\n");
    config_print_help(coordinator_keys, stdout);
}

/* A name that the link does not carry would keep every node out. */
static int set_name(struct coordinator *c, struct err *err)
{
    const char *name = config_str(c->config, "name");
    if (!name) {
        daemon_host_name(c->name, sizeof(c->name));
        return 0;
    }
    int r = rules_text(TEXT_LABEL, "--name", name, strlen(name), err);
    if (!r)
        strcpy(c->name, name);
    return r;
}

int main(int argc, char **argv)
{
    struct coordinator c = {.argc = argc, .argv = argv, .state_lock = -1};
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

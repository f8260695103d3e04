#include "node/link/editors.h"

#include "common/host_addrs.h"
#include "common/log.h"
#include "common/trust/certificate.h"
#include "node/link/edge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct editors {
    struct editors_config config;
    struct edge *edge; /* NULL: not open yet */
    bool told_here;    /* logged that the coordinator is on this host */
};

/* --- to the coordinator --- */

static void send_open(void *ctx, uint64_t id, uint32_t window)
{
    struct editors *editors = ctx;
    const struct msg msg = {
            .type = MSG_TUNNEL_OPEN, .tunnel_open = {.tunnel = id, .window = window}};

    uplink_send(editors->config.uplink, &msg);
}

static void send_data(void *ctx, uint64_t id, const void *data, size_t len)
{
    struct editors *editors = ctx;
    const struct msg msg = {
            .type = MSG_TUNNEL_DATA, .tunnel_data = {.tunnel = id, .data = data, .len = len}};

    uplink_send(editors->config.uplink, &msg);
}

static void send_credit(void *ctx, uint64_t id, uint32_t bytes)
{
    struct editors *editors = ctx;
    const struct msg msg = {
            .type = MSG_TUNNEL_CREDIT, .tunnel_credit = {.tunnel = id, .bytes = bytes}};

    uplink_send(editors->config.uplink, &msg);
}

static void send_close(void *ctx, uint64_t id)
{
    struct editors *editors = ctx;
    const struct msg msg = {.type = MSG_TUNNEL_CLOSE, .tunnel_close = {.tunnel = id}};

    uplink_send(editors->config.uplink, &msg);
}

static bool has_room(void *ctx)
{
    struct editors *editors = ctx;

    return uplink_tunnel_room(editors->config.uplink);
}

static const struct tunnel_events tunnel_events = {.send_open = send_open,
        .send_data = send_data,
        .send_credit = send_credit,
        .send_close = send_close,
        .has_room = has_room};

/* --- from the coordinator --- */

static struct tunnel_set *tunnels_of(const struct editors *editors)
{
    return editors == NULL || editors->edge == NULL ? NULL : edge_tunnels(editors->edge);
}

/* Where memory was missing that tunnel has ended, and the others go on. */
int editors_on_tunnel(struct editors *editors, const struct msg *msg, struct err *err)
{
    struct tunnel_set *tunnels = tunnels_of(editors);
    int r = 0;

    if (tunnels == NULL)
        return 0;
    if (msg->type == MSG_TUNNEL_DATA)
        r = tunnel_set_on_data(
                tunnels, msg->tunnel_data.tunnel, msg->tunnel_data.data, msg->tunnel_data.len);
    else if (msg->type == MSG_TUNNEL_CREDIT)
        r = tunnel_set_on_credit(tunnels, msg->tunnel_credit.tunnel, msg->tunnel_credit.bytes);
    else
        tunnel_set_on_close(tunnels, msg->tunnel_close.tunnel);
    return r == -EPROTO ? err_set(err, r, "the coordinator broke the credit of a tunnel") : 0;
}

void editors_on_room(struct editors *editors)
{
    struct tunnel_set *tunnels = tunnels_of(editors);

    if (tunnels != NULL)
        tunnel_set_pump(tunnels);
}

/* --- sessions --- */

static bool is_here(const char *endpoint)
{
    static const char scheme[] = "tcp://";
    struct text_addr addr;
    struct host_addrs here;

    if (text_parse_addr(endpoint + strlen(scheme), &addr, NULL) < 0 ||
            host_addrs_get(&here, NULL) < 0)
        return false;
    for (size_t i = 0; i < here.count; i++)
        if (strcmp(here.at[i], addr.host) == 0)
            return true;
    return strcmp(addr.host, "::1") == 0 || strncmp(addr.host, "127.", 4) == 0;
}

static int open_edge(struct editors *editors, struct err *err)
{
    return edge_create(editors->config.loop, &editors->config.addr, &editors->edge, err);
}

static void tell_here(struct editors *editors, const char *endpoint)
{
    if (!editors->told_here)
        log_info("no port for editors opened: the coordinator on this host serves them itself",
                LOG_S("coordinator", endpoint));
    editors->told_here = true;
}

static void open_if_needed(struct editors *editors, const char *endpoint)
{
    struct err err;

    if (editors->edge != NULL)
        return;
    if (is_here(endpoint))
        tell_here(editors, endpoint);
    else if (open_edge(editors, &err) < 0)
        log_error("editors on this host are not carried", LOG_S("reason", err.text));
}

void editors_up(struct editors *editors, const char *endpoint, unsigned roles)
{
    if (editors == NULL)
        return;
    open_if_needed(editors, endpoint);
    if (editors->edge == NULL)
        return;
    if (!(roles & CERTIFICATE_ROLE_EDGE))
        edge_forbidden(editors->edge, "this node may not carry editors: the coordinator let it in "
                                      "without that");
    else if (edge_up(editors->edge, uplink_epoch(editors->config.uplink), &tunnel_events, editors) <
             0)
        log_error("editors on this host are not carried", LOG_S("reason", "out of memory"));
}

void editors_down(struct editors *editors, const char *reason)
{
    char text[ERR_TEXT_MAX];

    if (editors == NULL || editors->edge == NULL)
        return;
    (void)snprintf(text, sizeof text,
            "the modemesh node on this host has no link to its coordinator: %s", reason);
    edge_down(editors->edge, text);
}

/* --- life --- */

int editors_create(
        const struct editors_config *config, struct editors **ret_editors, struct err *err)
{
    struct editors *editors = calloc(1, sizeof *editors);
    int r;

    if (editors == NULL)
        return err_set(err, -ENOMEM, "no memory for the editors on this host");
    editors->config = *config;
    r = config->at_once ? open_edge(editors, err) : 0;
    if (r < 0)
        free(editors);
    else
        *ret_editors = editors;
    return r;
}

void editors_destroy(struct editors *editors)
{
    if (editors == NULL)
        return;
    edge_destroy(editors->edge);
    free(editors);
}

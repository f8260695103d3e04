#include "coordinator/http/listeners.h"

#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    URL_MAX = 320,
    OWNER_CONNECTIONS_MAX = 64,  /* at once on the Unix socket */
    EDGE_CONNECTIONS_MAX = 4096, /* of editors that nodes carry */
};

struct listener {
    struct api_listener api;
    struct http_server *http;
    char url[URL_MAX];
};

struct listeners {
    struct listener addresses[LISTENERS_MAX];
    size_t count;
    struct listener socket, edge;
};

static bool has_tls(const struct config *config, const struct text_addr *addr)
{
    return !access_is_loopback(addr->host) && !config_bool(config, "http-plaintext");
}

static bool wants_tls(const struct config *config, const char *text)
{
    struct text_addr addr;
    return text_parse_addr(text, &addr, NULL) == 0 && has_tls(config, &addr);
}

bool listeners_want_tls(const struct config *config)
{
    const char *ollama = config_str(config, "ollama");
    for (size_t i = 0; i < config_list_len(config, "http"); i++)
        if (wants_tls(config, config_list_at(config, "http", i)))
            return true;
    return ollama && wants_tls(config, ollama);
}

static int open_listener(struct loop *loop, const struct http_server_config *config,
        enum access_listener kind, struct api *api, struct listener *listener, struct err *err)
{
    listener->api = (struct api_listener){.api = api, .kind = kind};
    struct http_server_handler handler = api_handler(&listener->api);
    return http_server_create(loop, config, &handler, &listener->http, err);
}

/* A name like "box.localhost" may stand for any address, and what is said to be loopback is plain
 * and needs no key. */
static int check_bound(
        const struct listener *listener, const char *setting, const char *text, struct err *err)
{
    const char *bound = http_server_address(listener->http);
    if (listener->api.kind != ACCESS_LOOPBACK || access_is_loopback(bound))
        return 0;
    return err_set(err, -EACCES, "--%s %s is %s on this host, which is no loopback address",
            setting, text, bound);
}

static int open_address(struct listeners *listeners, struct loop *loop, const struct config *config,
        const char *setting, const char *text, struct api *api, struct err *err)
{
    struct http_server_config server = {.listen = HTTP_LISTEN_TCP};
    int r = text_parse_addr(text, &server.addr, err);
    if (r)
        return err_prefix(err, r, "--%s", setting);
    if (listeners->count == LISTENERS_MAX)
        return err_set(err, -E2BIG, "--%s: at most %d addresses", setting, LISTENERS_MAX);
    server.tls = has_tls(config, &server.addr);
    bool loopback = access_is_loopback(server.addr.host);
    struct listener *listener = &listeners->addresses[listeners->count];
    r = open_listener(
            loop, &server, loopback ? ACCESS_LOOPBACK : ACCESS_NETWORK, api, listener, err);
    if (r)
        return r;
    listeners->count++;
    snprintf(listener->url, sizeof(listener->url), "%s://%s", server.tls ? "https" : "http",
            http_server_address(listener->http));
    return check_bound(listener, setting, text, err);
}

static int open_addresses(struct listeners *listeners, struct loop *loop,
        const struct config *config, struct api *api, struct err *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < config_list_len(config, "http"); i++)
        r = open_address(
                listeners, loop, config, "http", config_list_at(config, "http", i), api, err);
    return r;
}

/* The owners of strong machines run real Ollamas there. */
static int open_ollama(struct listeners *listeners, struct loop *loop, const struct config *config,
        struct api *api, struct err *err)
{
    const char *text = config_str(config, "ollama");
    int r = text ? open_address(listeners, loop, config, "ollama", text, api, err) : 0;
    if (r != -EADDRINUSE)
        return r;
    log_warn("not listening in Ollama's place: the port is taken", LOG_S("address", text));
    return 0;
}

int listeners_open(struct loop *loop, const struct config *config, const char *socket_path,
        struct api *api, struct listeners **ret_listeners, struct err *err)
{
    const struct http_server_config socket = {.listen = HTTP_LISTEN_UNIX,
                                            .path = socket_path,
                                            .connections_max = OWNER_CONNECTIONS_MAX},
                                    edge = {.listen = HTTP_LISTEN_NONE,
                                            .connections_max = EDGE_CONNECTIONS_MAX};
    struct listeners *listeners = calloc(1, sizeof(*listeners));
    if (!listeners)
        return err_set(err, -ENOMEM, "no memory for HTTP");
    int r = open_addresses(listeners, loop, config, api, err);
    if (!r)
        r = open_ollama(listeners, loop, config, api, err);
    if (!r)
        r = open_listener(loop, &socket, ACCESS_SOCKET, api, &listeners->socket, err);
    if (!r)
        r = open_listener(loop, &edge, ACCESS_EDGE, api, &listeners->edge, err);
    if (r)
        listeners_close(listeners);
    else
        *ret_listeners = listeners;
    return r;
}

void listeners_close(struct listeners *listeners)
{
    if (!listeners)
        return;
    for (size_t i = 0; i < listeners->count; i++)
        http_server_destroy(listeners->addresses[i].http);
    http_server_destroy(listeners->socket.http);
    http_server_destroy(listeners->edge.http);
    free(listeners);
}

void listeners_quiesce(struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++)
        http_server_quiesce(listeners->addresses[i].http);
    http_server_quiesce(listeners->socket.http);
    http_server_quiesce(listeners->edge.http);
}

size_t listeners_open_exchanges(const struct listeners *listeners)
{
    size_t open = http_server_open_exchanges(listeners->socket.http) +
                  http_server_open_exchanges(listeners->edge.http);
    for (size_t i = 0; i < listeners->count; i++)
        open += http_server_open_exchanges(listeners->addresses[i].http);
    return open;
}

static const char *first_of(const struct listeners *listeners, enum access_listener kind)
{
    for (size_t i = 0; i < listeners->count; i++)
        if (listeners->addresses[i].api.kind == kind)
            return http_server_address(listeners->addresses[i].http);
    return NULL;
}

const char *listeners_loopback(const struct listeners *listeners)
{
    return first_of(listeners, ACCESS_LOOPBACK);
}

const char *listeners_network(const struct listeners *listeners)
{
    return first_of(listeners, ACCESS_NETWORK);
}

void listeners_urls(
        const struct listeners *listeners, const char *ret_urls[OPERATIONS_LISTENERS_MAX + 1])
{
    for (size_t i = 0; i < listeners->count; i++)
        ret_urls[i] = listeners->addresses[i].url;
    ret_urls[listeners->count] = NULL;
}

struct http_server *listeners_edge(struct listeners *listeners)
{
    return listeners->edge.http;
}

#include "tests/lib/toy_http.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, HEAD_MAX = 16 * 1024, BODY_MAX = 64 * 1024 * 1024 };

struct connection {
    struct toy_server *server;
    pthread_t thread;
    int fd;
};

struct toy_server {
    toy_handler_fn handler;
    void *ctx;
    int fd;
    pthread_t thread;
    struct connection connections[CONNECTIONS_MAX];
    int count;
};

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

/* Bytes up to and with the empty line; 0 where the peer closed before. */
static size_t read_head(int fd, char *head)
{
    size_t len = 0;

    while (len < HEAD_MAX && recv(fd, head + len, 1, 0) == 1) {
        len++;
        if (len >= 4 && memcmp(head + len - 4, "\r\n\r\n", 4) == 0) {
            head[len] = '\0';
            return len;
        }
    }
    return 0;
}

static size_t body_length(const char *head)
{
    const char *field = strcasestr(head, "\r\nContent-Length:");
    size_t len = field ? strtoul(field + 17, NULL, 10) : 0;

    must(len <= BODY_MAX, "body of a test's request");
    return len;
}

static void serve(struct connection *connection)
{
    char *head = calloc(1, HEAD_MAX + 1);
    char *body = NULL;
    size_t want, got = 0;

    must(head != NULL, "calloc");
    if (read_head(connection->fd, head) == 0)
        goto out;
    want = body_length(head);
    body = calloc(1, want + 1);
    must(body != NULL, "calloc");
    while (got < want) {
        ssize_t n = recv(connection->fd, body + got, want - got, 0);

        if (n <= 0)
            goto out;
        got += (size_t)n;
    }
    connection->server->handler(connection->server->ctx, connection->fd,
            &(struct toy_request){.head = head, .body = body, .body_len = got});
out:
    free(body);
    free(head);
}

static void *connection_main(void *ctx)
{
    struct connection *connection = ctx;

    serve(connection);
    shutdown(connection->fd,
            SHUT_RDWR); /* closed when the server is: its number must not come back */
    return NULL;
}

static void *accept_main(void *ctx)
{
    struct toy_server *server = ctx;

    for (;;) {
        struct connection *connection = &server->connections[server->count];
        int fd = accept(server->fd, NULL, NULL);

        if (fd < 0)
            return NULL;
        must(server->count < CONNECTIONS_MAX - 1, "connections of a test");
        connection->server = server;
        connection->fd = fd;
        must(pthread_create(&connection->thread, NULL, connection_main, connection) == 0, "thread");
        server->count++;
    }
}

static int listen_unix(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    must(strlen(path) < sizeof(addr.sun_path), "path of a test's socket");
    strcpy(addr.sun_path, path);
    must(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0, "bind");
    return fd;
}

static int listen_tcp(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    must(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0, "bind");
    return fd;
}

struct toy_server *toy_server_create(const char *unix_path, toy_handler_fn handler, void *ctx)
{
    struct toy_server *server = calloc(1, sizeof(*server));

    must(server != NULL, "calloc");
    server->handler = handler;
    server->ctx = ctx;
    server->fd = unix_path ? listen_unix(unix_path) : listen_tcp();
    must(listen(server->fd, 64) == 0, "listen");
    must(pthread_create(&server->thread, NULL, accept_main, server) == 0, "thread");
    return server;
}

uint16_t toy_server_port(const struct toy_server *server)
{
    struct sockaddr_in addr = {0};
    socklen_t len = sizeof(addr);

    must(getsockname(server->fd, (struct sockaddr *)&addr, &len) == 0, "getsockname");
    return ntohs(addr.sin_port);
}

void toy_server_destroy(struct toy_server *server)
{
    if (!server)
        return;
    shutdown(server->fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->fd);
    for (int i = 0; i < server->count; i++)
        shutdown(server->connections[i].fd, SHUT_RDWR);
    for (int i = 0; i < server->count; i++) {
        pthread_join(server->connections[i].thread, NULL);
        close(server->connections[i].fd);
    }
    free(server);
}

bool toy_send(int fd, const void *data, size_t len)
{
    const char *at = data;

    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

bool toy_send_text(int fd, const char *text)
{
    return toy_send(fd, text, strlen(text));
}

bool toy_answer(int fd, int status, const char *content_type, const char *body)
{
    char head[256];

    snprintf(head, sizeof(head),
            "HTTP/1.1 %d Status\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
            "Connection: close\r\n\r\n",
            status, content_type, strlen(body));
    return toy_send_text(fd, head) && toy_send_text(fd, body);
}

bool toy_wait_closed(int fd, int timeout_ms)
{
    struct pollfd watch = {.fd = fd, .events = POLLRDHUP};

    return poll(&watch, 1, timeout_ms) == 1 && (watch.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/* A toy HTTP server for tests: a thread that accepts, and one thread for each connection, which
 * reads one request, calls the handler, and closes. The handler writes the answer's raw bytes
 * itself, so that a test can send what no real server would. Not for use outside tests. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct toy_server;

struct toy_request {
    const char *head; /* request line and headers, NUL-terminated */
    const char *body; /* NUL-terminated */
    size_t body_len;
};

/* On the connection's own thread; may block. `fd` is the server's to close. */
typedef void (*toy_handler_fn)(void *ctx, int fd, const struct toy_request *request);

/* `unix_path` NULL: 127.0.0.1 and a free port. Aborts where the system refuses. */
struct toy_server *toy_server_create(const char *unix_path, toy_handler_fn handler, void *ctx);
uint16_t toy_server_port(const struct toy_server *server);
/* Shuts all connections down and waits for their handlers. */
void toy_server_destroy(struct toy_server *server);

/* False where the peer is gone. */
bool toy_send(int fd, const void *data, size_t len);
bool toy_send_text(int fd, const char *text);
/* An answer with Content-Length and Connection: close. */
bool toy_answer(int fd, int status, const char *content_type, const char *body);
/* True once the peer has closed its side; false after `timeout_ms`. */
bool toy_wait_closed(int fd, int timeout_ms);

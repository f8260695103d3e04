#include "common/http_client.h"

#include "common/list.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONNECT_TIMEOUT_MS = 5000,
    HEADER_BYTES_MAX = 64 * 1024, /* of one answer, trailers included */
    IDLE_CONNECTIONS_MAX = 64,
};

struct http_client {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer *timer; /* libcurl's own deadlines */
    struct loop_timer *kick;  /* what start, resume and cancel left to do */
    struct list calls, due;
};

struct http_call {
    struct http_client *client;
    struct list link; /* in client->calls */
    struct list due;  /* in client->due */
    CURL *easy;
    struct curl_slist *headers;
    const struct http_events *events; /* NULL once cancelled or done */
    void *ctx;
    size_t header_bytes;
    bool added, told_status;
    bool paused;         /* what the owner wants */
    bool stopped;        /* what libcurl was told */
    const char *refusal; /* our own reason to end it, before libcurl's; static text */
    char error[CURL_ERROR_SIZE];
};

/* libcurl refuses most calls from inside its callbacks and makes callbacks from inside some of its
 * calls. So start, resume and cancel only note what is wanted, and the loop carries it out. */
static void call_schedule(struct http_call *call)
{
    if (list_linked(&call->due))
        return;
    list_push_back(&call->client->due, &call->due);
    loop_timer_start(call->client->kick, 0, 0);
}

static void call_free(struct http_call *call)
{
    if (call->added)
        curl_multi_remove_handle(call->client->multi, call->easy);
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    list_del(&call->link);
    list_del(&call->due);
    free(call);
}

static int result_of(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_COULDNT_CONNECT:
        return -ECONNREFUSED;
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
        return -EHOSTUNREACH;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return -ECONNRESET;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return -EINVAL;
    default:
        return -EPROTO;
    }
}

static const char *failure_words(const struct http_call *call, CURLcode code)
{
    if (call->refusal)
        return call->refusal;
    return call->error[0] ? call->error : curl_easy_strerror(code);
}

static void call_finish(struct http_call *call, CURLcode code)
{
    const struct http_events *events = call->events;
    struct err err = {0};
    int result = call->refusal ? -EPROTO : result_of(code);

    call->events = NULL;
    if (result < 0)
        err_set(&err, result, "%s", failure_words(call, code));
    events->on_done(call->ctx, result, &err);
    call_free(call);
}

static void client_collect(struct http_client *client)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(client->multi, &left))) {
        struct http_call *call;
        char *private = NULL;

        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private);
        call = (void *)private;
        if (call->events)
            call_finish(call, msg->data.result);
    }
}

static void client_act(struct http_client *client, curl_socket_t fd, int flags)
{
    int running;

    curl_multi_socket_action(client->multi, fd, flags, &running);
    client_collect(client);
}

static void on_timer(void *ctx)
{
    client_act(ctx, CURL_SOCKET_TIMEOUT, 0);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    struct http_client *client = ctx;

    (void)multi;
    if (timeout_ms < 0)
        loop_timer_stop(client->timer);
    else
        loop_timer_start(client->timer, (uint64_t)timeout_ms, 0);
    return 0;
}

struct socket_watch {
    struct http_client *client;
    struct loop_watch *watch;
    curl_socket_t fd;
};

static void on_socket(void *ctx, int status, int events)
{
    struct socket_watch *socket = ctx;
    int flags = 0;

    if (status < 0)
        flags |= CURL_CSELECT_ERR;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    client_act(socket->client, socket->fd, flags);
}

static void socket_watch_destroy(struct socket_watch *socket)
{
    if (!socket)
        return;
    loop_watch_destroy(socket->watch);
    free(socket);
}

static struct socket_watch *socket_watch_create(struct http_client *client, curl_socket_t fd)
{
    struct socket_watch *socket = calloc(1, sizeof(*socket));

    if (!socket)
        return NULL;
    socket->client = client;
    socket->fd = fd;
    socket->watch = loop_watch_create(client->loop, fd, on_socket, socket);
    if (!socket->watch) {
        free(socket);
        return NULL;
    }
    return socket;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *fd_ctx)
{
    struct http_client *client = ctx;
    struct socket_watch *socket = fd_ctx;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        socket_watch_destroy(socket);
        curl_multi_assign(client->multi, fd, NULL);
        return 0;
    }
    if (!socket) {
        socket = socket_watch_create(client, fd);
        if (!socket)
            return -1;
        curl_multi_assign(client->multi, fd, socket);
    }
    loop_watch_set(socket->watch,
            (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0));
    return 0;
}

static void tell_status(struct http_call *call)
{
    const char *content_type = NULL;
    long status = 0;

    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200) /* 100 Continue and its kind: the answer's own headers follow */
        return;
    curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &content_type);
    call->told_status = true;
    call->events->on_status(call->ctx, (int)status, content_type ? content_type : "");
}

static size_t on_curl_header(char *data, size_t size, size_t n, void *ctx)
{
    struct http_call *call = ctx;
    size_t len = size * n;

    if (!call->events)
        return 0;
    call->header_bytes += len;
    if (call->header_bytes > HEADER_BYTES_MAX) {
        call->refusal = "the headers of the answer are longer than 64 KiB";
        return 0;
    }
    if (!call->told_status && len <= 2 && (data[0] == '\r' || data[0] == '\n'))
        tell_status(call);
    return call->events ? len : 0;
}

static size_t on_curl_body(char *data, size_t size, size_t n, void *ctx)
{
    struct http_call *call = ctx;

    if (!call->events)
        return CURL_WRITEFUNC_ERROR;
    if (call->paused) {
        call->stopped = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    call->events->on_body(call->ctx, data, size * n);
    return call->events ? size * n : CURL_WRITEFUNC_ERROR;
}

static void call_add(struct http_call *call)
{
    if (curl_multi_add_handle(call->client->multi, call->easy) != CURLM_OK) {
        call_finish(call, CURLE_OUT_OF_MEMORY);
        return;
    }
    call->added = true;
}

static void call_continue(struct http_call *call)
{
    CURLcode code;

    call->stopped = false;
    code = curl_easy_pause(call->easy, CURLPAUSE_CONT);
    if (code != CURLE_OK && call->events)
        call_finish(call, code);
}

static void call_settle(struct http_call *call)
{
    if (!call->events)
        call_free(call);
    else if (!call->added)
        call_add(call);
    else if (call->stopped && !call->paused)
        call_continue(call);
}

/* Takes what was due when it began. What the callbacks add meanwhile lies behind the mark and has
 * armed the timer again, so that a call which fails and is retried at once cannot keep the loop. */
static void on_kick(void *ctx)
{
    struct http_client *client = ctx;
    struct list mark;

    list_push_back(&client->due, &mark);
    while (client->due.next != &mark) {
        struct list *first = client->due.next;

        list_del(first);
        call_settle(list_entry(first, struct http_call, due));
    }
    list_del(&mark);
    client_collect(client);
}

struct http_client *http_client_create(struct loop *loop)
{
    struct http_client *client = calloc(1, sizeof(*client));

    if (!client)
        return NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(client);
        return NULL;
    }
    client->loop = loop;
    list_init(&client->calls);
    list_init(&client->due);
    client->multi = curl_multi_init();
    client->timer = loop_timer_create(loop, on_timer, client);
    client->kick = loop_timer_create(loop, on_kick, client);
    if (!client->multi || !client->timer || !client->kick) {
        http_client_destroy(client);
        return NULL;
    }
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS_MAX);
    return client;
}

void http_client_destroy(struct http_client *client)
{
    if (!client)
        return;
    list_for_each_safe (it, &client->calls)
        call_free(list_entry(it, struct http_call, link));
    curl_multi_cleanup(client->multi);
    loop_timer_destroy(client->timer);
    loop_timer_destroy(client->kick);
    free(client);
    curl_global_cleanup();
}

static bool add_header(struct http_call *call, const char *header)
{
    struct curl_slist *longer = curl_slist_append(call->headers, header);

    if (longer)
        call->headers = longer;
    return longer != NULL;
}

static bool set_headers(struct http_call *call, const char *const *headers)
{
    /* Without this libcurl asks for leave before it sends a larger body, and waits a second for it.
     */
    bool ok = add_header(call, "Expect:");

    for (size_t i = 0; ok && headers && headers[i]; i++)
        ok = add_header(call, headers[i]);
    return ok && curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers) == CURLE_OK;
}

static bool set_body(struct http_call *call, const struct http_request *request)
{
    CURL *easy = call->easy;
    bool get = strcmp(request->method, "GET") == 0;
    CURLcode code =
            curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);

    if (code == CURLE_OK && request->body_len > 0)
        code = curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body);
    else if (code == CURLE_OK && !get)
        code = curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    return code == CURLE_OK;
}

static bool set_callbacks(struct http_call *call)
{
    CURL *easy = call->easy;

    return curl_easy_setopt(easy, CURLOPT_PRIVATE, call) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_curl_header) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, call) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_curl_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, call) == CURLE_OK;
}

/* One connection for each call in flight (HTTP/1.1), so that a pause is TCP's back-pressure and a
 * cancel closes the connection. Nothing comes from the environment, and no answer leads anywhere
 * else. */
static bool set_policy(CURL *easy)
{
    return curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK;
}

static bool set_target(CURL *easy, const struct http_request *request)
{
    uint32_t connect_ms =
            request->connect_timeout_ms ? request->connect_timeout_ms : CONNECT_TIMEOUT_MS;

    return curl_easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request->unix_socket) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->total_timeout_ms) == CURLE_OK;
}

int http_call_start(struct http_client *client, const struct http_request *request,
        const struct http_events *events, void *ctx, struct http_call **ret_call, struct err *err)
{
    struct http_call *call = calloc(1, sizeof(*call));

    if (!call)
        return err_set(err, -ENOMEM, "no memory for the call of %s", request->url);
    call->client = client;
    call->events = events;
    call->ctx = ctx;
    list_init(&call->due);
    list_push_back(&client->calls, &call->link);
    call->easy = curl_easy_init();
    if (!call->easy || !set_callbacks(call) || !set_policy(call->easy) ||
            !set_target(call->easy, request) || !set_headers(call, request->headers) ||
            !set_body(call, request)) {
        call_free(call);
        return err_set(err, -ENOMEM, "libcurl cannot prepare the call of %s", request->url);
    }
    call_schedule(call);
    *ret_call = call;
    return 0;
}

void http_call_cancel(struct http_call *call)
{
    if (!call || !call->events)
        return;
    call->events = NULL;
    call_schedule(call);
}

void http_call_pause(struct http_call *call)
{
    call->paused = true;
}

void http_call_resume(struct http_call *call)
{
    if (!call->paused)
        return;
    call->paused = false;
    if (call->stopped)
        call_schedule(call);
}

#include "cli/client.h"

#include "cli/interrupt.h"
#include "common/json/json.h"

#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    HTTP_OK = 200,
    HTTP_UNAUTHORIZED = 401,
    POLL_MS = 1000,         /* curl has timers of its own; this only bounds one wait */
    HEADER_LINE_MAX = 1024, /* bytes of an answer's header that we look at */
};

struct client {
    char url[CLIENT_URL_MAX];           /* tidy_url() */
    char socket[CLIENT_SOCKET_MAX + 1]; /* "": none, TCP */
    char ca[PATH_MAX];                  /* "": the system's */
    char *key;                          /* locked memory; NULL: none */
};

struct call {
    const struct client *client;
    CURL *easy;
    CURLM *multi;
    struct curl_slist *headers;
    const struct client_events *events; /* NULL: the body is collected */
    void *ctx;
    struct buf *answer; /* a body that is collected */
    struct buf refusal; /* body of any status but 200 */
    int result;         /* what a callback of ours ended the call with */
    struct err *err;
    char curl_text[CURL_ERROR_SIZE];
};

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || *text == 0x7f)
            return true;
    return false;
}

static const char *host_of(const char *url)
{
    const char *scheme_end = strstr(url, "://");

    return scheme_end ? scheme_end + 3 : url;
}

static int check_url(const char *url, struct err *err)
{
    const char *host = host_of(url);

    if (strpbrk(host, "@?#"))
        return err_set(
                err, -EINVAL, "a coordinator's address has no user and no query: http://HOST:8420");
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return err_set(err, -EINVAL,
                "'%s' is no coordinator's address, which looks like http://HOST:8420", url);
    if (has_control(url))
        return err_set(err, -EINVAL, "the coordinator's address '%s' has a blank in it", url);
    if (!*host || strchr("/:", *host))
        return err_set(err, -EINVAL, "the coordinator's address '%s' names no host", url);
    return 0;
}

static void drop_slashes(char *url)
{
    while (url[strlen(url) - 1] == '/')
        url[strlen(url) - 1] = '\0';
}

/* An address with a host in it; an editor's settings have it with /v1 behind. */
static void tidy_url(char *url)
{
    char *path;

    drop_slashes(url);
    path = strchr(host_of(url), '/');
    if (path && strcmp(url + strlen(url) - 3, "/v1") == 0) {
        url[strlen(url) - 3] = '\0';
        drop_slashes(url);
    }
}

static bool is_this_host(const char *host)
{
    static const char name[] = "localhost", v6[] = "[::1]";
    size_t len = strcspn(host, ":/");

    if (len == strlen(name) && strncasecmp(host, name, len) == 0)
        return true;
    if (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == len)
        return true;
    return strncmp(host, v6, strlen(v6)) == 0;
}

/* A key must not cross a network in the clear because nobody thought of a scheme. */
static const char *scheme_for(const char *url)
{
    if (strstr(url, "://"))
        return "";
    return is_this_host(url) ? "http://" : "https://";
}

static int keep_url(struct client *client, const char *url, struct err *err)
{
    const char *scheme = scheme_for(url);
    int len = snprintf(client->url, sizeof(client->url), "%s%s", scheme, url);
    int rc;

    if (len >= (int)sizeof(client->url))
        return err_set(
                err, -EINVAL, "a coordinator's address of more than %d bytes", CLIENT_URL_MAX - 1);
    rc = check_url(client->url, err);
    if (rc == 0)
        tidy_url(client->url);
    return rc;
}

int client_set_key(struct client *client, const char *key, struct err *err)
{
    char *kept;

    if (strlen(key) > CLIENT_KEY_MAX || has_control(key))
        return err_set(err, -EINVAL, "the key is no key: one word of at most %d characters",
                CLIENT_KEY_MAX);
    kept = sodium_malloc(strlen(key) + 1);
    if (!kept)
        return err_set(err, -ENOMEM, "no locked memory for the key");
    sodium_free(client->key);
    client->key = strcpy(kept, key);
    return 0;
}

static int keep_path(char *buf, size_t size, const char *path, const char *what, struct err *err)
{
    if (!*path || strlen(path) >= size)
        return err_set(
                err, -EINVAL, "'%.100s' is no path of %s: 1 to %zu bytes", path, what, size - 1);
    strcpy(buf, path);
    return 0;
}

static int configure(struct client *client, const struct client_config *config, struct err *err)
{
    int rc = keep_url(client, config->socket ? "http://localhost" : config->url, err);

    if (rc == 0 && config->socket)
        rc = keep_path(
                client->socket, sizeof(client->socket), config->socket, "a Unix socket", err);
    if (rc == 0 && config->ca)
        rc = keep_path(client->ca, sizeof(client->ca), config->ca, "a file of certificates", err);
    if (rc == 0 && config->key)
        rc = client_set_key(client, config->key, err);
    return rc;
}

int client_create(const struct client_config *config, struct client **ret_client, struct err *err)
{
    struct client *client = NULL;
    int rc;

    if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return err_set(err, -ENOSYS, "libsodium or libcurl cannot start");
    client = calloc(1, sizeof(*client));
    if (!client)
        return err_set(err, -ENOMEM, "out of memory");
    rc = configure(client, config, err);
    if (rc < 0) {
        client_destroy(client);
        return rc;
    }
    *ret_client = client;
    return 0;
}

void client_destroy(struct client *client)
{
    if (!client)
        return;
    sodium_free(client->key);
    free(client);
    curl_global_cleanup();
}

const char *client_url(const struct client *client)
{
    return *client->socket ? client->socket : client->url;
}

const char *client_key(const struct client *client)
{
    return client->key;
}

const char *client_ca(const struct client *client)
{
    return *client->ca ? client->ca : NULL;
}

bool client_url_is_loopback(const char *url)
{
    return is_this_host(host_of(url));
}

static long call_status(const struct call *call)
{
    long status = 0;

    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static int take_body(struct call *call, const char *data, size_t len)
{
    struct buf *buf = call->answer;

    if (call_status(call) != HTTP_OK)
        buf = &call->refusal;
    else if (call->events)
        return call->events->on_body(call->ctx, data, len, call->err);
    if (buf_append(buf, data, len) < 0)
        return err_set(call->err, -EMSGSIZE, "the answer of %s is larger than %zu bytes",
                client_url(call->client), buf->max);
    return 0;
}

static size_t on_write(char *data, size_t size, size_t count, void *ctx)
{
    struct call *call = ctx;

    call->result = take_body(call, data, size * count);
    return call->result < 0 ? 0 : size * count;
}

static size_t on_header(char *data, size_t size, size_t count, void *ctx)
{
    struct call *call = ctx;
    char line[HEADER_LINE_MAX];
    size_t len = size * count;
    char *value;

    if (!call->events || call_status(call) != HTTP_OK || len >= sizeof(line))
        return len;
    memcpy(line, data, len);
    line[len] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    value = strchr(line, ':');
    if (value) {
        *value++ = '\0';
        call->events->on_header(call->ctx, line, value + strspn(value, " \t"));
    }
    return len;
}

static int add_header(struct call *call, const char *line)
{
    struct curl_slist *longer = curl_slist_append(call->headers, line);

    if (!longer)
        return err_set(call->err, -ENOMEM, "out of memory");
    call->headers = longer;
    return 0;
}

static int add_key(struct call *call)
{
    char line[CLIENT_KEY_MAX + 32];
    int rc;

    snprintf(line, sizeof(line), "Authorization: Bearer %s", call->client->key);
    rc = add_header(call, line);
    sodium_memzero(line, sizeof(line));
    return rc;
}

static int call_init(struct call *call, const char *path)
{
    char url[CLIENT_URL_MAX + 256];
    CURL *easy = curl_easy_init();

    buf_init(&call->refusal, CLIENT_REFUSAL_MAX);
    call->easy = easy;
    call->multi = curl_multi_init();
    if (!easy || !call->multi)
        return err_set(call->err, -ENOMEM, "libcurl cannot start");
    snprintf(url, sizeof(url), "%s%s", call->client->url, path);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "modemesh");
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CLIENT_CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->curl_text);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    if (*call->client->socket)
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, call->client->socket);
    if (*call->client->ca)
        curl_easy_setopt(easy, CURLOPT_CAINFO, call->client->ca);
    return call->client->key ? add_key(call) : 0;
}

static void call_fini(struct call *call)
{
    for (struct curl_slist *header = call->headers; header; header = header->next)
        sodium_memzero(header->data, strlen(header->data));
    curl_slist_free_all(call->headers);
    if (call->multi && call->easy)
        curl_multi_remove_handle(call->multi, call->easy);
    curl_easy_cleanup(call->easy);
    curl_multi_cleanup(call->multi);
    buf_fini(&call->refusal);
}

static int no_socket(struct call *call)
{
    long code = 0;

    curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &code);
    return err_set(call->err, -EHOSTUNREACH,
            "no coordinator answers at %s (%s): run this on its host as its user, say where its "
            "state is with --state DIR, or go there with --coordinator https://HOST:PORT and, in "
            "MODEMESH_KEY, a key of 'modemesh keys create NAME --admin'",
            call->client->socket, code ? strerror((int)code) : call->curl_text);
}

static int unreachable(struct call *call)
{
    if (*call->client->socket)
        return no_socket(call);
    return err_set(call->err, -EHOSTUNREACH,
            "no coordinator answers at %s: start modemesh-coordinator, or say where it is with "
            "--coordinator URL or MODEMESH_COORDINATOR (%s)",
            call->client->url, call->curl_text);
}

static int no_http(struct call *call)
{
    return err_set(call->err, -EHOSTUNREACH,
            "no coordinator answers at %s: what listens there speaks no HTTP (the link port, or "
            "one "
            "for https://, perhaps? editors and this command use the HTTP port, 8420 by default)",
            client_url(call->client));
}

static int no_tls(struct call *call)
{
    return err_set(call->err, -EHOSTUNREACH,
            "no coordinator answers at %s: what listens there speaks no TLS (is it http://?) (%s)",
            call->client->url, call->curl_text);
}

static int not_trusted(struct call *call)
{
    return err_set(call->err, -EKEYREJECTED,
            "the certificate of %s is not trusted: 'modemesh tls show --write ca.pem' on the "
            "coordinator's host shows its names and writes what to trust; then --ca ca.pem or "
            "MODEMESH_CA (%s)",
            call->client->url, call->curl_text);
}

static int bad_ca(struct call *call)
{
    return err_set(call->err, -EKEYREJECTED,
            "cannot read the certificates to trust in '%.200s' (--ca, MODEMESH_CA): a PEM file, as "
            "'modemesh tls show --write FILE' makes it on the coordinator's host",
            call->client->ca);
}

/* A listener that wants TLS closes when it is greeted without. */
static bool may_want_tls(const struct call *call)
{
    return !*call->client->socket && !call_status(call) &&
           strncmp(call->client->url, "http://", 7) == 0;
}

static int broken(struct call *call)
{
    return err_set(call->err, -ECONNRESET,
            "the connection to %s broke before the answer was complete%s (%s)",
            client_url(call->client), may_want_tls(call) ? "; is it https://?" : "",
            call->curl_text);
}

static int map_curl_error(struct call *call, CURLcode code)
{
    if (call->result < 0)
        return call->result;
    if (!call->curl_text[0])
        snprintf(call->curl_text, sizeof(call->curl_text), "%s", curl_easy_strerror(code));
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return unreachable(call);
    case CURLE_OPERATION_TIMEDOUT:
        return call_status(call) ? broken(call) : unreachable(call);
    case CURLE_UNSUPPORTED_PROTOCOL: /* "Received HTTP/0.9 when not allowed" */
    case CURLE_WEIRD_SERVER_REPLY:
        return no_http(call);
    case CURLE_RECV_ERROR: /* the link's port resets who does not greet it */
        return call_status(call) ? broken(call) : no_http(call);
    case CURLE_PEER_FAILED_VERIFICATION:
        return not_trusted(call);
    case CURLE_SSL_CACERT_BADFILE:
        return bad_ca(call);
    case CURLE_SSL_CONNECT_ERROR:
        return no_tls(call);
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        return broken(call);
    default:
        return err_set(call->err, -EPROTO, "cannot talk to %s: %s", client_url(call->client),
                call->curl_text);
    }
}

/* The coordinator's own sentence where it gave one. */
static int refused(struct call *call)
{
    long status = call_status(call);
    cJSON *json = NULL;
    const char *message = NULL;

    if (json_parse(buf_at(&call->refusal), call->refusal.len, &json_limits_event, &json, NULL) == 0)
        message = json_str(json_obj(json, "error"), "message", NULL);
    if (message)
        (void)err_set(call->err, -EREMOTEIO, "%s%s", message,
                status == HTTP_UNAUTHORIZED
                        ? " ('modemesh keys create NAME' on the coordinator's host prints one, "
                          "with "
                          "--admin one that may run the mesh; give it with --key or MODEMESH_KEY)"
                        : "");
    else
        (void)err_set(call->err, -EPROTO,
                "what answers at %s is no modemesh coordinator (HTTP status %ld)",
                client_url(call->client), status);
    cJSON_Delete(json);
    return message ? -EREMOTEIO : -EPROTO;
}

static int transfer(struct call *call, int interrupt_fd)
{
    struct curl_waitfd wait = {.fd = interrupt_fd, .events = CURL_WAIT_POLLIN};
    const CURLMsg *done;
    int running = 0, left;

    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
    curl_multi_add_handle(call->multi, call->easy);
    do {
        if (curl_multi_perform(call->multi, &running) != CURLM_OK)
            return err_set(call->err, -EIO, "libcurl stopped working");
        if (running && curl_multi_poll(call->multi, &wait, 1, POLL_MS, NULL) != CURLM_OK)
            return err_set(call->err, -EIO, "libcurl cannot wait: %s", strerror(errno));
        if (wait.revents)
            return -EINTR;
    } while (running);
    done = curl_multi_info_read(call->multi, &left);
    return map_curl_error(call, done ? done->data.result : CURLE_OK);
}

static int call_perform(struct call *call)
{
    int interrupt_fd;
    int rc = interrupt_arm(&interrupt_fd, call->err);

    if (rc < 0)
        return rc;
    rc = transfer(call, interrupt_fd);
    interrupt_disarm();
    if (rc == 0 && call_status(call) != HTTP_OK)
        rc = refused(call);
    return rc;
}

static int perform_json(struct call *call, cJSON **ret_json)
{
    struct err why;
    int rc;

    curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, (long)CLIENT_TOTAL_TIMEOUT_MS);
    rc = call_perform(call);
    if (rc < 0)
        return rc;
    if (json_parse(buf_at(call->answer), call->answer->len, &json_limits_request, ret_json, &why) <
            0)
        return err_set(call->err, -EPROTO,
                "what answers at %s is no modemesh coordinator: not JSON: %s",
                client_url(call->client), why.text);
    return 0;
}

static int add_json(struct call *call, const struct buf *body)
{
    int rc = add_header(call, "Content-Type: application/json");

    if (rc == 0)
        rc = add_header(call, "Expect:"); /* a large body goes out at once */
    curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, buf_at(body));
    curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len);
    return rc;
}

int client_get_json(
        struct client *client, const char *path, struct buf *out, cJSON **ret_json, struct err *err)
{
    struct call call = {.client = client, .answer = out, .err = err};
    int rc = call_init(&call, path);

    if (rc == 0)
        rc = perform_json(&call, ret_json);
    call_fini(&call);
    return rc;
}

/* All its room is there before the first byte: a buffer that grows leaves copies behind. */
static int answer_init(struct buf *answer, struct err *err)
{
    void *room;

    buf_init(answer, CLIENT_REPLY_MAX);
    return buf_reserve(answer, CLIENT_REPLY_MAX, &room) < 0 ? err_set(err, -ENOMEM, "out of memory")
                                                            : 0;
}

static void answer_wipe(struct buf *answer)
{
    if (answer->data)
        explicit_bzero(answer->data, answer->cap);
    buf_fini(answer);
}

int client_post_json(struct client *client, const char *path, const struct buf *body,
        cJSON **ret_json, struct err *err)
{
    struct buf answer;
    struct call call = {.client = client, .answer = &answer, .err = err};
    int rc = answer_init(&answer, err);

    if (rc == 0)
        rc = call_init(&call, path);
    if (rc == 0)
        rc = add_json(&call, body);
    if (rc == 0)
        rc = perform_json(&call, ret_json);
    call_fini(&call);
    answer_wipe(&answer);
    return rc;
}

int client_post_stream(struct client *client, const char *path, const struct buf *body,
        const struct client_events *events, void *ctx, struct err *err)
{
    struct call call = {.client = client, .events = events, .ctx = ctx, .err = err};
    int rc = call_init(&call, path);

    if (rc == 0)
        rc = add_json(&call, body);
    if (rc == 0)
        rc = call_perform(&call);
    call_fini(&call);
    return rc;
}

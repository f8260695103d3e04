#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/client.h"
#include "tests/lib/scratch.h"
#include "tests/lib/toy_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char stream_head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                  "X-Modemesh-Node:  halo1 \r\nContent-Length: 1000\r\n\r\n";

struct world {
    struct toy_server *server;
    struct client *client;
    char url[64];
    struct buf out;
    cJSON *json;
    struct err err;

    char head[4096]; /* of the last request */
    char body[4096];
    int status;
    const char *answer;
    size_t flood_bytes; /* an answer of so many blanks */
    bool keep_open;     /* a stream that does not end by itself */
    bool saw_close;     /* the client left it */

    char node[64]; /* the header, as the client saw it */
    char seen[256];
    int refuse;
    bool interrupt; /* send SIGINT at the first piece of a body */
};

static void flood(int fd, size_t bytes)
{
    static char blanks[64 * 1024];
    char head[128];

    memset(blanks, ' ', sizeof(blanks));
    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", bytes);
    if (!toy_send_text(fd, head))
        return;
    for (size_t sent = 0; sent < bytes; sent += sizeof(blanks))
        if (!toy_send(fd, blanks, sizeof(blanks)))
            return;
}

static void handle(void *ctx, int fd, const struct toy_request *request)
{
    struct world *world = ctx;

    snprintf(world->head, sizeof(world->head), "%s", request->head);
    snprintf(world->body, sizeof(world->body), "%s", request->body);
    if (world->flood_bytes) {
        flood(fd, world->flood_bytes);
    } else if (world->keep_open) {
        toy_send_text(fd, stream_head);
        toy_send_text(fd, "data: x\n\n");
        world->saw_close = toy_wait_closed(fd, 10000);
    } else if (world->status == 0) {
        toy_send_text(fd, world->answer);
    } else {
        toy_answer(fd, world->status, "application/json", world->answer);
    }
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    if (!world)
        return -1;
    buf_init(&world->out, CLIENT_ANSWER_MAX);
    world->status = 200;
    world->answer = "{\"a\":1}";
    world->server = toy_server_create(NULL, handle, world);
    snprintf(
            world->url, sizeof(world->url), "http://127.0.0.1:%u/", toy_server_port(world->server));
    *state = world;
    return client_create(&(struct client_config){.url = world->url, .key = "mm_secret"},
            &world->client, &world->err);
}

static int tear_down(void **state)
{
    struct world *world = *state;

    client_destroy(world->client);
    toy_server_destroy(world->server);
    cJSON_Delete(world->json);
    buf_fini(&world->out);
    free(world);
    return 0;
}

static int get(struct world *world)
{
    return client_get_json(
            world->client, "/mesh/v1/status", &world->out, &world->json, &world->err);
}

static void on_header(void *ctx, const char *name, const char *value)
{
    struct world *world = ctx;

    if (strcmp(name, "X-Modemesh-Node") == 0)
        snprintf(world->node, sizeof(world->node), "%s", value);
}

static int on_body(void *ctx, const char *data, size_t len, struct err *err)
{
    struct world *world = ctx;

    strncat(world->seen, data, len);
    if (world->interrupt)
        raise(SIGINT);
    return world->refuse ? err_set(err, world->refuse, "enough") : 0;
}

static int post(struct world *world)
{
    static const struct client_events events = {.on_header = on_header, .on_body = on_body};
    struct buf body;
    int rc;

    buf_init(&body, 1024);
    assert_int_equal(buf_append_str(&body, "{\"q\":2}"), 0);
    rc = client_post_stream(
            world->client, "/v1/chat/completions", &body, &events, world, &world->err);
    buf_fini(&body);
    return rc;
}

static void assert_says(const struct world *world, const char *part)
{
    if (!strstr(world->err.text, part))
        fail_msg("\"%s\" does not say \"%s\"", world->err.text, part);
    assert_null(strstr(world->err.text, "mm_secret"));
}

static void gets_json_and_its_bytes(void **state)
{
    struct world *world = *state;

    assert_int_equal(get(world), 0);
    assert_int_equal(cJSON_GetObjectItem(world->json, "a")->valueint, 1);
    assert_memory_equal(buf_at(&world->out), "{\"a\":1}", 7);
    assert_non_null(strstr(world->head, "GET /mesh/v1/status HTTP/1.1\r\n"));
    assert_non_null(strstr(world->head, "Authorization: Bearer mm_secret\r\n"));
}

static int post_json(struct world *world)
{
    struct buf body;
    int rc;

    buf_init(&body, 1024);
    assert_int_equal(buf_append_str(&body, "{\"for_ms\":5}"), 0);
    rc = client_post_json(world->client, "/mesh/v1/nodes/accept", &body, &world->json, &world->err);
    buf_fini(&body);
    return rc;
}

static void posts_and_gets_json(void **state)
{
    struct world *world = *state;

    assert_int_equal(post_json(world), 0);
    assert_int_equal(cJSON_GetObjectItem(world->json, "a")->valueint, 1);
    assert_string_equal(world->body, "{\"for_ms\":5}");
    assert_non_null(strstr(world->head, "POST /mesh/v1/nodes/accept HTTP/1.1\r\n"));
    assert_non_null(strstr(world->head, "Content-Type: application/json\r\n"));
}

static void a_post_may_fail_as_a_get(void **state)
{
    struct world *world = *state;

    world->status = 409;
    world->answer = "{\"error\":{\"message\":\"that is not its phrase\"}}";
    assert_int_equal(post_json(world), -EREMOTEIO);
    assert_string_equal(world->err.text, "that is not its phrase");
    world->status = 200;
    world->answer = "no JSON";
    assert_int_equal(post_json(world), -EPROTO);
    world->flood_bytes = CLIENT_REPLY_MAX + 1;
    assert_int_equal(post_json(world), -EMSGSIZE);
    assert_null(world->json);
}

static void through_socket(struct world *world, const char *path)
{
    client_destroy(world->client);
    world->client = NULL;
    assert_int_equal(client_create(&(struct client_config){.url = "http://ignored", .socket = path},
                             &world->client, &world->err),
            0);
}

static void talks_through_a_unix_socket(void **state)
{
    struct world *world = *state;
    struct scratch scratch;
    struct toy_server *server;
    const char *path;

    scratch_init(&scratch);
    path = scratch_path(&scratch, "admin.sock");
    server = toy_server_create(path, handle, world);
    through_socket(world, path);
    assert_string_equal(client_url(world->client), path);
    assert_int_equal(post_json(world), 0);
    assert_non_null(strstr(world->head, "Host: localhost\r\n"));
    assert_null(strstr(world->head, "Authorization"));
    toy_server_destroy(server);
    assert_int_equal(get(world), -EHOSTUNREACH); /* the file is there, nobody listens */
    assert_says(world, "Connection refused");
    scratch_fini(&scratch);
}

static void a_missing_socket_says_the_ways_out(void **state)
{
    struct world *world = *state;
    struct scratch scratch;

    scratch_init(&scratch);
    through_socket(world, scratch_path(&scratch, "admin.sock"));
    assert_int_equal(get(world), -EHOSTUNREACH);
    assert_says(world, scratch_path(&scratch, "admin.sock"));
    assert_says(world, "No such file");
    assert_says(world, "as its user");
    assert_says(world, "--state DIR");
    assert_says(world, "--coordinator https://");
    assert_says(world, "MODEMESH_KEY, a key of 'modemesh keys create NAME --admin'");
    scratch_fini(&scratch);
}

static void a_socket_s_path_has_a_limit(void **state)
{
    char path[CLIENT_SOCKET_MAX + 2] = "/";
    struct client *client = NULL;
    struct err err;

    (void)state;
    memset(path + 1, 'a', CLIENT_SOCKET_MAX);
    assert_int_equal(
            client_create(&(struct client_config){.socket = path}, &client, &err), -EINVAL);
    assert_non_null(strstr(err.text, "107 bytes"));
    assert_int_equal(client_create(&(struct client_config){.socket = ""}, &client, &err), -EINVAL);
    path[CLIENT_SOCKET_MAX] = '\0';
    assert_int_equal(client_create(&(struct client_config){.socket = path}, &client, &err), 0);
    client_destroy(client);
}

static void over_tls(struct world *world, uint16_t port, const char *ca)
{
    char url[64];

    client_destroy(world->client);
    world->client = NULL;
    snprintf(url, sizeof(url), "https://127.0.0.1:%u", port);
    assert_int_equal(client_create(&(struct client_config){.url = url, .ca = ca}, &world->client,
                             &world->err),
            0);
}

static void a_file_to_trust_that_is_none_is_named(void **state)
{
    struct world *world = *state;
    struct scratch scratch;

    scratch_init(&scratch);
    over_tls(world, toy_server_port(world->server), scratch_path(&scratch, "ca.pem"));
    assert_int_equal(get(world), -EKEYREJECTED);
    assert_says(world, "ca.pem");
    assert_says(world, "MODEMESH_CA");
    assert_says(world, "modemesh tls show --write");
    scratch_fini(&scratch);
}

/* What speaks first, and no TLS. */
static void *greet(void *ctx)
{
    const int *listener = ctx;
    int fd = accept(*listener, NULL, NULL);

    toy_send_text(fd, "220 mail.example ESMTP\r\n");
    toy_wait_closed(fd, 10000);
    close(fd);
    return NULL;
}

static void what_speaks_no_tls_is_no_coordinator(void **state)
{
    struct world *world = *state;
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pthread_t thread;

    assert_int_equal(bind(listener, (const struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
    assert_int_equal(pthread_create(&thread, NULL, greet, &listener), 0);
    over_tls(world, ntohs(addr.sin_port), NULL);
    assert_int_equal(get(world), -EHOSTUNREACH);
    assert_says(world, "speaks no TLS");
    pthread_join(thread, NULL);
    close(listener);
}

static void posts_and_streams(void **state)
{
    struct world *world = *state;

    world->status = 0;
    world->answer = "HTTP/1.1 200 OK\r\nX-Modemesh-Node:  halo1\r\nContent-Length: 5\r\n\r\nhello";
    assert_int_equal(post(world), 0);
    assert_string_equal(world->body, "{\"q\":2}");
    assert_string_equal(world->node, "halo1");
    assert_string_equal(world->seen, "hello");
}

static void a_refusal_is_the_coordinator_s_sentence(void **state)
{
    struct world *world = *state;

    world->status = 404;
    world->answer = "{\"error\":{\"message\":\"there is no model x\"}}";
    assert_int_equal(get(world), -EREMOTEIO);
    assert_string_equal(world->err.text, "there is no model x");
    assert_int_equal(post(world), -EREMOTEIO);
    assert_string_equal(world->seen, "");
    world->status = 401;
    assert_int_equal(get(world), -EREMOTEIO);
    assert_says(world, "MODEMESH_KEY");
    assert_says(world, "'modemesh keys create NAME' on the coordinator's host prints one");
}

static void what_is_no_coordinator_is_said(void **state)
{
    struct world *world = *state;

    world->answer = "<html>";
    assert_int_equal(get(world), -EPROTO);
    assert_says(world, "no modemesh coordinator");
    world->status = 502;
    assert_int_equal(get(world), -EPROTO);
    assert_says(world, "502");
    world->status = 0;
    world->answer = "HTTP/1.1 many\r\n\r\n";
    assert_int_equal(get(world), -EHOSTUNREACH);
}

/* The link's port greets with bytes of its own, as most protocols that are not HTTP do. */
static void what_speaks_no_http_is_no_coordinator(void **state)
{
    struct world *world = *state;

    world->status = 0;
    world->answer = "\xff\x01\x7f greeting";
    assert_int_equal(get(world), -EHOSTUNREACH);
    assert_says(world, "speaks no HTTP");
    assert_says(world, client_url(world->client));
    assert_int_equal(post(world), -EHOSTUNREACH);
    world->answer = "SSH-2.0-OpenSSH_9.2\r\n";
    assert_int_equal(get(world), -EHOSTUNREACH);
    assert_says(world, "8420");
}

static void follows_no_redirect(void **state)
{
    struct world *world = *state;
    char answer[256];

    snprintf(answer, sizeof(answer),
            "HTTP/1.1 302 Found\r\nLocation: %selsewhere\r\nContent-Length: 0\r\n\r\n", world->url);
    world->status = 0;
    world->answer = answer;
    assert_int_equal(get(world), -EPROTO);
    assert_null(strstr(world->head, "elsewhere"));
}

static void an_answer_that_breaks_off_is_no_answer(void **state)
{
    struct world *world = *state;

    world->status = 0;
    world->answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":1}";
    assert_int_equal(get(world), -ECONNRESET);
    assert_says(world, "before the answer was complete");
    world->answer = "";
    assert_int_equal(post(world), -ECONNRESET);
    assert_says(world, "is it https://?");
}

static void bounds_the_answer(void **state)
{
    struct world *world = *state;

    world->flood_bytes = CLIENT_ANSWER_MAX + 64 * 1024;
    assert_int_equal(get(world), -EMSGSIZE);
    assert_says(world, "larger than");
}

static void a_callback_ends_the_call(void **state)
{
    struct world *world = *state;

    world->refuse = -EPIPE;
    assert_int_equal(post(world), -EPIPE);
    assert_says(world, "enough");
}

static void an_interrupt_ends_the_call_at_once(void **state)
{
    struct world *world = *state;

    world->keep_open = true;
    world->interrupt = true;
    assert_int_equal(post(world), -EINTR);
    assert_string_equal(world->seen, "data: x\n\n");
    toy_server_destroy(world->server);
    assert_true(world->saw_close);
    world->server = toy_server_create(NULL, handle, world);
}

static void nobody_there_says_what_to_do(void **state)
{
    struct world *world = *state;

    toy_server_destroy(world->server);
    assert_int_equal(get(world), -EHOSTUNREACH);
    world->url[strlen(world->url) - 1] = '\0';
    assert_says(world, world->url);
    assert_says(world, "start modemesh-coordinator");
    assert_says(world, "MODEMESH_COORDINATOR");
    world->server = toy_server_create(NULL, handle, world);
}

static void assert_url(const char *given, const char *wanted)
{
    struct client *client = NULL;
    struct err err;

    assert_int_equal(client_create(&(struct client_config){.url = given}, &client, &err), 0);
    assert_string_equal(client_url(client), wanted);
    client_destroy(client);
}

static void tidies_the_address(void **state)
{
    (void)state;
    assert_url("http://127.0.0.1:8420", "http://127.0.0.1:8420");
    assert_url("127.0.0.1:8420", "http://127.0.0.1:8420");
    assert_url("[::1]:8420/v1", "http://[::1]:8420");
    assert_url("Localhost/", "http://Localhost");
    assert_url("halo1:8443/", "https://halo1:8443");
    assert_url("192.168.1.5", "https://192.168.1.5");
    assert_url("localhost.lan:8443", "https://localhost.lan:8443");
    assert_url("127.0.0.1.lan:8443", "https://127.0.0.1.lan:8443");
    assert_url("https://host:1/v1//", "https://host:1");
    assert_url("https://host/mesh//v1", "https://host/mesh");
    assert_url("http://host/mesh/xv1", "http://host/mesh/xv1");
    assert_url("http://v1", "http://v1");
}

static void assert_bad_url(const char *url, const char *key, const char *part)
{
    struct client *client = NULL;
    struct err err = {0};

    assert_int_equal(
            client_create(&(struct client_config){.url = url, .key = key}, &client, &err), -EINVAL);
    assert_null(client);
    assert_null(strstr(err.text, "mm_secret"));
    if (!strstr(err.text, part))
        fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static void checks_address_and_key(void **state)
{
    char longer[CLIENT_URL_MAX + 16] = "http://";

    (void)state;
    memset(longer + 7, 'a', CLIENT_URL_MAX);
    assert_bad_url(longer, NULL, "255 bytes");
    assert_bad_url(longer + 7, NULL, "255 bytes");
    assert_bad_url("", NULL, "names no host");
    assert_bad_url(":8420", NULL, "names no host");
    assert_bad_url("/v1", NULL, "names no host");
    assert_bad_url("tcp://host:8421", NULL, "'tcp://host:8421' is no coordinator's address");
    assert_bad_url("http://", NULL, "'http://' names no host");
    assert_bad_url("http:///path", NULL, "names no host");
    assert_bad_url("http://me:mm_secret@host", NULL, "no user");
    assert_bad_url("me:mm_secret@host", NULL, "no user");
    assert_bad_url("ftp://me:mm_secret@host", NULL, "no user");
    assert_bad_url("http://host/?key=mm_secret", NULL, "no query");
    assert_bad_url("http://ho st", NULL, "'http://ho st' has a blank");
    assert_bad_url("http://host\r\nX-A: b", NULL, "has a blank");
    assert_bad_url("http://host", "mm_secret\r\nX-A: b", "the key is no key");
    client_destroy(NULL);
}

static void a_key_is_changed_whole_or_not_at_all(void **state)
{
    struct world *world = *state;
    cJSON *json = NULL;

    assert_int_equal(client_set_key(world->client, "two\nlines", &world->err), -EINVAL);
    assert_null(strstr(world->err.text, "lines"));
    assert_string_equal(client_key(world->client), "mm_secret");
    assert_int_equal(client_set_key(world->client, "mm_other", &world->err), 0);
    assert_string_equal(client_key(world->client), "mm_other");
    assert_int_equal(client_get_json(world->client, "/", &world->out, &json, &world->err), 0);
    cJSON_Delete(json);
    assert_non_null(strstr(world->head, "Authorization: Bearer mm_other\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(gets_json_and_its_bytes, set_up, tear_down),
            cmocka_unit_test_setup_teardown(posts_and_gets_json, set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_post_may_fail_as_a_get, set_up, tear_down),
            cmocka_unit_test_setup_teardown(talks_through_a_unix_socket, set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_missing_socket_says_the_ways_out, set_up, tear_down),
            cmocka_unit_test(a_socket_s_path_has_a_limit),
            cmocka_unit_test_setup_teardown(
                    a_file_to_trust_that_is_none_is_named, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    what_speaks_no_tls_is_no_coordinator, set_up, tear_down),
            cmocka_unit_test_setup_teardown(posts_and_streams, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    a_refusal_is_the_coordinator_s_sentence, set_up, tear_down),
            cmocka_unit_test_setup_teardown(what_is_no_coordinator_is_said, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    what_speaks_no_http_is_no_coordinator, set_up, tear_down),
            cmocka_unit_test_setup_teardown(follows_no_redirect, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    an_answer_that_breaks_off_is_no_answer, set_up, tear_down),
            cmocka_unit_test_setup_teardown(bounds_the_answer, set_up, tear_down),
            cmocka_unit_test_setup_teardown(a_callback_ends_the_call, set_up, tear_down),
            cmocka_unit_test_setup_teardown(an_interrupt_ends_the_call_at_once, set_up, tear_down),
            cmocka_unit_test_setup_teardown(nobody_there_says_what_to_do, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    a_key_is_changed_whole_or_not_at_all, set_up, tear_down),
            cmocka_unit_test(tidies_the_address),
            cmocka_unit_test(checks_address_and_key),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_client", tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coordinator/http/listeners.h"

#include "common/tcp_listener.h"
#include "coordinator/settings.h"
#include "tests/lib/fake_mesh.h"
#include "tests/lib/patience.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 30 * 1000,
    ANSWER_MAX = 16 * 1024,
    TLS_ALERT = 21, /* RFC 8446: the type of a record */
};

/* A coordinator's ways in; behind them a mesh with one node that is loading its model. */
struct world {
    struct fake_mesh mesh;
    struct loop loop;
    struct loop_timer *patience;
    struct jobs *jobs;
    struct modes modes;
    struct admin_view view;
    struct api_keys *keys;
    struct throttle *throttle;
    struct operations operations;
    struct api api;
    struct config *config;
    struct tls *tls;
    char socket_path[PATH_MAX];
    struct listeners *listeners;
    struct err err;
    char answer[ANSWER_MAX + 1];
};

static void fill_api(struct world *world)
{
    world->view = (struct admin_view){.env = &world->mesh.env.env,
            .name = "mesh",
            .version = "1",
            .http = "",
            .link = "",
            .key = "",
            .modes = &world->modes,
            .nodes = world->mesh.nodes,
            .router = world->mesh.router,
            .jobs = world->jobs,
            .door = world->mesh.door};
    world->operations = (struct operations){.env = &world->mesh.env.env,
            .door = world->mesh.door,
            .keys = world->keys,
            .nodes = world->mesh.nodes,
            .link_endpoint = "tcp://127.0.0.1:8421"};
    world->api = (struct api){.view = &world->view,
            .jobs = world->jobs,
            .keys = world->keys,
            .throttle = world->throttle,
            .operations = &world->operations,
            .own_name = "tower"};
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_int_equal(loop_init(&world->loop), 0);
    world->patience = patience_start(&world->loop, PATIENCE_MS);
    fake_mesh_init(&world->mesh, 1);
    world->jobs = jobs_create(
            &(struct jobs_config){.env = &world->mesh.env.env, .router = world->mesh.router});
    assert_int_equal(api_keys_open(scratch_path(&world->mesh.scratch, "api-keys.json"),
                             &world->mesh.env.env, &world->keys, NULL),
            0);
    world->throttle = throttle_create();
    strcpy(world->socket_path, scratch_path(&world->mesh.scratch, "admin.sock"));
    fill_api(world);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    jobs_destroy(world->jobs);
    listeners_close(world->listeners);
    tls_destroy(world->tls);
    throttle_destroy(world->throttle);
    api_keys_close(world->keys);
    fake_mesh_fini(&world->mesh);
    config_destroy(world->config);
    loop_timer_destroy(world->patience);
    loop_fini(&world->loop);
    free(world);
    return 0;
}

/* --- the ways in --- */

/* Settings as of the command line; `words` end with NULL. */
static void configure(struct world *world, const char *const *words)
{
    struct config_args args;
    int count = 0;
    while (words[count])
        count++;
    config_destroy(world->config);
    world->config = config_create(coordinator_keys);
    if (config_load_args(world->config, count, (char **)(uintptr_t)words, &args, &world->err))
        fail_msg("%s", world->err.text);
}

#define CONFIGURE(world, ...) configure(world, (const char *const[]){"test", __VA_ARGS__, NULL})

static int try_open(struct world *world)
{
    return listeners_open(&world->loop, world->config, world->socket_path, &world->api,
            &world->listeners, &world->err);
}

static void open_all(struct world *world)
{
    if (try_open(world))
        fail_msg("%s", world->err.text);
}

static void open_tls(struct world *world)
{
    char dir[PATH_MAX];
    strcpy(dir, scratch_path(&world->mesh.scratch, "tls"));
    assert_int_equal(tls_create(&(struct tls_config){.env = &world->mesh.env.env,
                                        .dir = dir,
                                        .mesh_id = "k3vqz7m2a5tdh4ef"},
                             &world->tls, &world->err),
            0);
}

/* --- a client --- */

static int connect_fd(int fd, const void *addr, size_t len)
{
    assert_true(fd >= 0);
    if (connect(fd, addr, (socklen_t)len) == 0) {
        assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        return fd;
    }
    int r = -errno;
    close(fd);
    return r;
}

/* To the port of `address`, which is bound to 127.0.0.1 or to all. */
static int connect_tcp(const char *address)
{
    struct text_addr addr;
    assert_non_null(address);
    assert_int_equal(text_parse_addr(address, &addr, NULL), 0);
    const struct sockaddr_in to = {.sin_family = AF_INET,
            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
            .sin_port = htons(addr.port)};
    return connect_fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), &to, sizeof(to));
}

static int connect_unix(const struct world *world)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    assert_true(strlen(world->socket_path) < sizeof(to.sun_path));
    strcpy(to.sun_path, world->socket_path);
    return connect_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), &to, sizeof(to));
}

/* As a node's tunnel brings it. */
static int connect_edge(struct world *world)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(http_server_adopt(listeners_edge(world->listeners), pair[0], "node0"), 0);
    return pair[1];
}

static void send_text(int fd, const char *text)
{
    assert_true(fd >= 0);
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* All that the server says until it closes, or cuts. Takes `fd`. */
static void read_all(struct world *world, int fd)
{
    size_t len = 0;
    ssize_t n;
    do {
        uv_run(&world->loop.uv, UV_RUN_NOWAIT);
        n = recv(fd, world->answer + len, ANSWER_MAX - len, 0);
        len += n > 0 ? (size_t)n : 0;
    } while (n > 0 || (n < 0 && errno == EAGAIN));
    world->answer[len] = '\0';
    close(fd);
}

/* The status of the answer to GET; takes `fd`. */
static int get(struct world *world, int fd, const char *path)
{
    char request[200];
    int status = 0;
    (void)snprintf(request, sizeof(request),
            "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    send_text(fd, request);
    read_all(world, fd);
    assert_int_equal(sscanf(world->answer, "HTTP/1.1 %d", &status), 1);
    return status;
}

static const char use[] = "/v1/models", operate[] = "/mesh/v1/nodes";

/* --- tests --- */

static void loopback_is_plain_and_needs_no_key(void **state)
{
    struct world *world = *state;
    const char *urls[OPERATIONS_LISTENERS_MAX + 1];
    char expected[100];
    CONFIGURE(world, "--http", "127.0.0.1:0");
    assert_false(listeners_want_tls(world->config));
    open_all(world);
    const char *address = listeners_loopback(world->listeners);
    assert_non_null(address);
    assert_null(listeners_network(world->listeners));
    listeners_urls(world->listeners, urls);
    (void)snprintf(expected, sizeof(expected), "http://%s", address);
    assert_string_equal(urls[0], expected);
    assert_null(urls[1]);
    assert_int_equal(get(world, connect_tcp(address), use), 200);
    assert_int_equal(get(world, connect_tcp(address), operate), 403);
}

static void any_other_address_has_tls(void **state)
{
    struct world *world = *state;
    const char *urls[OPERATIONS_LISTENERS_MAX + 1];
    CONFIGURE(world, "--http", "0.0.0.0:0", "--http", "127.0.0.1:0", "--http", "0.0.0.0:0");
    assert_true(listeners_want_tls(world->config));
    open_tls(world);
    open_all(world);
    listeners_urls(world->listeners, urls);
    assert_memory_equal(urls[0], "https://0.0.0.0:", 16);
    assert_memory_equal(urls[1], "http://127.0.0.1:", 17);
    assert_memory_equal(urls[2], "https://0.0.0.0:", 16);
    assert_null(urls[3]);
    assert_string_equal(listeners_network(world->listeners), urls[0] + strlen("https://"));
    assert_string_equal(listeners_loopback(world->listeners), urls[1] + strlen("http://"));

    int fd = connect_tcp(listeners_network(world->listeners));
    send_text(fd, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    read_all(world, fd);
    assert_true(world->answer[0] == '\0' || world->answer[0] == TLS_ALERT);
}

static void what_stands_in_for_ollama_is_a_listener_like_any(void **state)
{
    struct world *world = *state;
    const char *urls[OPERATIONS_LISTENERS_MAX + 1];
    CONFIGURE(world, "--http", "127.0.0.1:0", "--ollama", "0.0.0.0:0");
    assert_true(listeners_want_tls(world->config));
    open_tls(world);
    open_all(world);
    listeners_urls(world->listeners, urls);
    assert_memory_equal(urls[1], "https://0.0.0.0:", 16);
    assert_null(urls[2]);
    CONFIGURE(world, "--http", "127.0.0.1:0", "--ollama", "127.0.0.1:0");
    assert_false(listeners_want_tls(world->config));
    listeners_close(world->listeners);
    open_all(world);
    assert_int_equal(get(world, connect_tcp(listeners_loopback(world->listeners)), use), 200);
}

static void a_port_that_is_ollamas_is_left_to_it(void **state)
{
    struct world *world = *state;
    const char *urls[OPERATIONS_LISTENERS_MAX + 1];
    struct text_addr any = {.host = "127.0.0.1"};
    char taken[TCP_LISTENER_NAME_MAX + 1];
    int fd = -1;
    assert_int_equal(tcp_listener_open(&any, &fd, taken, NULL), 0);
    CONFIGURE(world, "--http", "127.0.0.1:0", "--ollama", taken);
    open_all(world);
    listeners_urls(world->listeners, urls);
    assert_non_null(urls[0]);
    assert_null(urls[1]);
    assert_int_equal(get(world, connect_tcp(listeners_loopback(world->listeners)), use), 200);
    close(fd);
    listeners_close(world->listeners);
    world->listeners = NULL;
    CONFIGURE(world, "--http", "127.0.0.1:0", "--ollama", "no port");
    assert_int_equal(try_open(world), -EINVAL);
    assert_non_null(strstr(world->err.text, "--ollama"));
}

static void plaintext_on_the_network_is_a_setting_and_still_needs_a_key(void **state)
{
    struct world *world = *state;
    const char *urls[OPERATIONS_LISTENERS_MAX + 1];
    CONFIGURE(world, "--http", "0.0.0.0:0", "--http-plaintext");
    assert_false(listeners_want_tls(world->config));
    open_all(world);
    listeners_urls(world->listeners, urls);
    assert_memory_equal(urls[0], "http://0.0.0.0:", 15);
    const char *address = listeners_network(world->listeners);
    assert_null(listeners_loopback(world->listeners));
    assert_int_equal(get(world, connect_tcp(address), use), 401);
    assert_int_equal(get(world, connect_tcp(address), "/health"), 200);
}

static void the_socket_is_the_owners(void **state)
{
    struct world *world = *state;
    struct stat st;
    CONFIGURE(world, "--http", "127.0.0.1:0");
    open_all(world);
    assert_int_equal(stat(world->socket_path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(get(world, connect_unix(world), operate), 200);
    assert_non_null(strstr(world->answer, "\"node0\""));
    listeners_close(world->listeners);
    world->listeners = NULL;
    assert_int_equal(stat(world->socket_path, &st), -1);
}

static void what_nodes_carry_may_use_the_mesh_and_not_run_it(void **state)
{
    struct world *world = *state;
    CONFIGURE(world, "--http", "127.0.0.1:0");
    open_all(world);
    assert_int_equal(get(world, connect_edge(world), use), 200);
    assert_int_equal(get(world, connect_edge(world), operate), 403);
}

static void it_listens_in_ollamas_place_where_that_is_free(void **state)
{
    struct world *world = *state;
    const char *urls[OPERATIONS_LISTENERS_MAX + 1];
    CONFIGURE(world, "--http", "127.0.0.1:0", "--ollama", "127.0.0.1:0");
    open_all(world);
    listeners_urls(world->listeners, urls);
    assert_non_null(urls[1]);
    assert_int_equal(get(world, connect_tcp(urls[1] + strlen("http://")), use), 200);
}

static void a_real_ollama_stays_where_it_is(void **state)
{
    struct world *world = *state;
    const char *urls[OPERATIONS_LISTENERS_MAX + 1];
    struct text_addr addr = {.host = "127.0.0.1"};
    char taken[TCP_LISTENER_NAME_MAX + 1];
    int fd;
    assert_int_equal(tcp_listener_open(&addr, &fd, taken, NULL), 0);
    CONFIGURE(world, "--http", "127.0.0.1:0", "--ollama", taken);
    open_all(world);
    listeners_urls(world->listeners, urls);
    assert_null(urls[1]);
    close(fd);
    listeners_close(world->listeners);
    world->listeners = NULL;
    CONFIGURE(world, "--http", "127.0.0.1:0", "--ollama", "no port");
    assert_int_equal(try_open(world), -EINVAL);
    assert_non_null(strstr(world->err.text, "--ollama"));
}

static void an_address_that_is_none_is_refused(void **state)
{
    struct world *world = *state;
    CONFIGURE(world, "--http", "127.0.0.1:0", "--http", "no port");
    assert_false(listeners_want_tls(world->config));
    assert_int_equal(try_open(world), -EINVAL);
    assert_non_null(strstr(world->err.text, "--http"));
    assert_non_null(strstr(world->err.text, "no port"));
    assert_null(world->listeners);
    assert_int_equal(access(world->socket_path, F_OK), -1);
}

static void addresses_have_a_limit(void **state)
{
    struct world *world = *state;
    const char *words[1 + 2 * (LISTENERS_MAX + 1) + 1] = {"test"};
    for (size_t i = 0; i < LISTENERS_MAX + 1; i++) {
        words[1 + 2 * i] = "--http";
        words[2 + 2 * i] = "127.0.0.1:0";
    }
    configure(world, words);
    assert_int_equal(try_open(world), -E2BIG);
    assert_null(world->listeners);
    words[1 + 2 * LISTENERS_MAX] = NULL;
    configure(world, words);
    open_all(world);
    const char *urls[OPERATIONS_LISTENERS_MAX + 1];
    listeners_urls(world->listeners, urls);
    assert_non_null(urls[LISTENERS_MAX - 1]);
    assert_null(urls[LISTENERS_MAX]);
}

static int lowest_free_descriptor(void)
{
    int fd = dup(STDERR_FILENO);
    assert_true(fd >= 0);
    close(fd);
    return fd;
}

/* What was open before it is closed again. */
static void what_cannot_be_opened_leaves_nothing_open(void **state)
{
    struct world *world = *state;
    struct listeners *first;
    char taken[64];
    CONFIGURE(world, "--http", "127.0.0.1:0");
    open_all(world);
    first = world->listeners;
    world->listeners = NULL;
    (void)snprintf(taken, sizeof(taken), "%s", listeners_loopback(first));
    int before = lowest_free_descriptor();
    CONFIGURE(world, "--http", "127.0.0.1:0", "--http", taken);
    assert_int_equal(try_open(world), -EADDRINUSE);
    CONFIGURE(world, "--http", "127.0.0.1:0"); /* but the socket is the first one's */
    assert_int_equal(try_open(world), -EADDRINUSE);
    assert_null(world->listeners);
    while (lowest_free_descriptor() > before) /* the first one was asked whether it lives */
        uv_run(&world->loop.uv, UV_RUN_NOWAIT);
    world->listeners = first;
    assert_int_equal(get(world, connect_unix(world), operate), 200);
}

static void begin_chat(int fd)
{
    static const char body[] =
            "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    char request[300];
    (void)snprintf(request, sizeof(request),
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            "Content-Length: %zu\r\n\r\n%s",
            strlen(body), body);
    send_text(fd, request);
}

/* Each waits for a model that is being loaded. */
static void begin_three_chats(struct world *world, int fds[3])
{
    struct msg_instance instance = {
            .model = "small", .state = INSTANCE_LOADING, .slots = 1, .engine = "", .note = ""};
    fake_mesh_hello(&world->mesh, 0, "s");
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
    fds[0] = connect_tcp(listeners_loopback(world->listeners));
    fds[1] = connect_unix(world);
    fds[2] = connect_edge(world);
    for (size_t i = 0; i < 3; i++)
        begin_chat(fds[i]);
    while (listeners_open_exchanges(world->listeners) < 3)
        uv_run(&world->loop.uv, UV_RUN_NOWAIT);
}

static void what_is_open_is_counted_and_goes_on_while_nothing_new_comes(void **state)
{
    struct world *world = *state;
    int fds[3], pair[2];
    CONFIGURE(world, "--http", "127.0.0.1:0");
    open_all(world);
    assert_int_equal(listeners_open_exchanges(world->listeners), 0);
    begin_three_chats(world, fds);

    listeners_quiesce(world->listeners);
    uv_run(&world->loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(connect_tcp(listeners_loopback(world->listeners)), -ECONNREFUSED);
    assert_int_equal(connect_unix(world), -ENOENT);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(
            http_server_adopt(listeners_edge(world->listeners), pair[0], "node0"), -ESHUTDOWN);
    close(pair[1]);

    assert_int_equal(listeners_open_exchanges(world->listeners), 3);
    jobs_end_all(world->jobs);
    for (size_t i = 0; i < 3; i++) {
        read_all(world, fds[i]);
        assert_non_null(strstr(world->answer, "HTTP/1.1 503"));
    }
    assert_int_equal(listeners_open_exchanges(world->listeners), 0);
}

static void closing_takes_nothing(void **state)
{
    (void)state;
    listeners_close(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(loopback_is_plain_and_needs_no_key),
            TEST(any_other_address_has_tls),
            TEST(what_stands_in_for_ollama_is_a_listener_like_any),
            TEST(a_port_that_is_ollamas_is_left_to_it),
            TEST(plaintext_on_the_network_is_a_setting_and_still_needs_a_key),
            TEST(the_socket_is_the_owners),
            TEST(what_nodes_carry_may_use_the_mesh_and_not_run_it),
            TEST(it_listens_in_ollamas_place_where_that_is_free),
            TEST(a_real_ollama_stays_where_it_is),
            TEST(an_address_that_is_none_is_refused),
            TEST(addresses_have_a_limit),
            TEST(what_cannot_be_opened_leaves_nothing_open),
            TEST(what_is_open_is_counted_and_goes_on_while_nothing_new_comes),
            cmocka_unit_test(closing_takes_nothing),
    };
    return cmocka_run_group_tests_name("listeners", tests, NULL, NULL);
}

#include "node/link/edge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/json/json.h"
#include "common/log.h"
#include "tests/lib/patience.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EPOCH = 4,
    PATIENCE_MS = 30 * 1000,
    OWN_TIMER_MAX_MS = EDGE_RETRY_MS, /* the edge's longest wait; the scene's own are longer */
    QUIET_MS = 30,
    QUIET_TURNS_MAX = 20,
    CROWD = 100, /* more connections than are accepted in one turn */
    UPLOAD_BYTES = 8 * 1024 * 1024,
    ANSWER_MAX = 4096,
};

struct scene {
    struct loop loop;
    struct loop_timer *patience;
    struct edge *edge;
    struct sockaddr_storage addr; /* of the edge */
    socklen_t addr_len;
    int editor;
    int opens, closes;
    uint64_t id;
    char heard[64]; /* what came through the tunnel */
    char answer[ANSWER_MAX + 1];
    size_t answer_len;
    int failure; /* errno of the editor's last read, 0 */
};

static void send_open(void *ctx, uint64_t id, uint32_t window)
{
    struct scene *s = ctx;
    s->opens++;
    s->id = id;
    assert_int_equal(window, TUNNEL_WINDOW);
    assert_int_equal(id >> 32, EPOCH);
}

static void send_data(void *ctx, uint64_t id, const void *data, size_t len)
{
    struct scene *s = ctx;
    assert_int_equal(id, s->id);
    assert_true(strlen(s->heard) + len < sizeof(s->heard));
    strncat(s->heard, data, len);
}

static void send_credit(void *ctx, uint64_t id, uint32_t bytes)
{
    struct scene *s = ctx;
    (void)bytes;
    assert_int_equal(id, s->id);
}

static void send_close(void *ctx, uint64_t id)
{
    struct scene *s = ctx;
    (void)id;
    s->closes++;
}

static bool has_room(void *ctx)
{
    (void)ctx;
    return true;
}

static const struct tunnel_events events = {
        send_open, send_data, send_credit, send_close, has_room};

/* --- the scene --- */

static const struct text_addr any_port = {.host = "127.0.0.1", .port = 0};

static int set_up(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    if (!s || loop_init(&s->loop) < 0)
        return -1;
    s->patience = patience_start(&s->loop, PATIENCE_MS);
    s->editor = -1;
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    edge_destroy(s->edge);
    if (s->editor >= 0)
        close(s->editor);
    loop_timer_destroy(s->patience);
    loop_fini(&s->loop);
    free(s);
    return 0;
}

static void turn(struct scene *s)
{
    uv_run(&s->loop.uv, UV_RUN_NOWAIT);
}

static void hurry_timer(uv_handle_t *handle, void *arg)
{
    int *count = arg;
    uv_timer_t *timer = (uv_timer_t *)handle;
    if (handle->type != UV_TIMER || !uv_is_active(handle))
        return;
    if (uv_timer_get_due_in(timer) > OWN_TIMER_MAX_MS)
        return;
    uv_timer_start(timer, timer->timer_cb, 0, 0);
    (*count)++;
}

/* What the edge waits for has its time now. Returns how many waits those were. */
static int time_passes(struct scene *s)
{
    int count = 0;
    uv_update_time(&s->loop.uv);
    uv_walk(&s->loop.uv, hurry_timer, &count);
    turn(s);
    return count;
}

static void read_address(struct scene *s)
{
    struct text_addr addr;
    struct sockaddr_in *v4 = (void *)&s->addr;
    struct sockaddr_in6 *v6 = (void *)&s->addr;
    assert_non_null(edge_address(s->edge));
    assert_int_equal(text_parse_addr(edge_address(s->edge), &addr, NULL), 0);
    assert_true(addr.port > 0);
    s->addr = (struct sockaddr_storage){.ss_family = strchr(addr.host, ':') ? AF_INET6 : AF_INET};
    if (s->addr.ss_family == AF_INET) {
        assert_int_equal(inet_pton(AF_INET, addr.host, &v4->sin_addr), 1);
        v4->sin_port = htons(addr.port);
        s->addr_len = sizeof(*v4);
    } else {
        assert_int_equal(inet_pton(AF_INET6, addr.host, &v6->sin6_addr), 1);
        v6->sin6_port = htons(addr.port);
        s->addr_len = sizeof(*v6);
    }
}

static void make_edge(struct scene *s, const struct text_addr *addr)
{
    struct err err = {.text = ""};
    if (edge_create(&s->loop, addr, &s->edge, &err) < 0)
        fail_msg("%s", err.text);
    read_address(s);
}

/* Connected once this returns, whether or not the edge has accepted it. */
static int connect_editor(const struct scene *s)
{
    int fd = socket(s->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&s->addr, s->addr_len), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void begin(struct scene *s)
{
    if (s->editor >= 0)
        close(s->editor);
    s->editor = connect_editor(s);
    s->answer_len = 0;
    s->failure = 0;
}

static void say(struct scene *s, const char *text)
{
    assert_int_equal(send(s->editor, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* False once the other side has closed. */
static bool hear(struct scene *s)
{
    ssize_t n = recv(s->editor, s->answer + s->answer_len, ANSWER_MAX - s->answer_len, 0);
    if (n > 0)
        s->answer_len += (size_t)n;
    s->answer[s->answer_len] = '\0';
    s->failure = n < 0 && errno != EAGAIN ? errno : 0;
    return n > 0 || (n < 0 && errno == EAGAIN);
}

static void hear_all(struct scene *s)
{
    while (hear(s))
        turn(s);
    assert_int_equal(s->failure, 0);
}

static void ask(struct scene *s, const char *request)
{
    begin(s);
    say(s, request);
    hear_all(s);
}

/* --- what an answer says --- */

static const char get[] = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n";

static const char *body_of(const struct scene *s)
{
    const char *end = strstr(s->answer, "\r\n\r\n");
    assert_non_null(end);
    return end + 4;
}

static void assert_header(const struct scene *s, const char *line)
{
    const char *at = strstr(s->answer, line);
    assert_non_null(at);
    assert_true(at < body_of(s));
}

static void assert_refusal(
        const struct scene *s, const char *status, const char *code, const char *message)
{
    char length[64];
    const char *body = body_of(s);
    cJSON *json;
    assert_memory_equal(s->answer, status, strlen(status));
    assert_header(s, "\r\nContent-Type: application/json\r\n");
    assert_header(s, "\r\nConnection: close\r\n");
    (void)snprintf(length, sizeof(length), "\r\nContent-Length: %zu\r\n", strlen(body));
    assert_header(s, length);

    assert_int_equal(json_parse(body, strlen(body), &json_limits_event, &json, NULL), 0);
    const cJSON *error = json_obj(json, "error");
    assert_string_equal(json_str(error, "message", ""), message);
    assert_string_equal(json_str(error, "type", ""), "api_error");
    assert_string_equal(json_str(error, "code", ""), code);
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(error, "param")));
    cJSON_Delete(json);
}

/* --- tests: listening --- */

static void only_loopback_is_served(void **state)
{
    static const char *const foreign[] = {
            "0.0.0.0", "10.1.2.3", "128.0.0.1", "::", "::ffff:127.0.0.1", "fe80::1", "box.local"};
    struct scene *s = *state;
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        struct text_addr addr = {.port = 0};
        struct err err = {.text = ""};
        strcpy(addr.host, foreign[i]);
        assert_int_equal(edge_create(&s->loop, &addr, &s->edge, &err), -EACCES);
        assert_null(s->edge);
        assert_non_null(strstr(err.text, foreign[i]));
        assert_non_null(strstr(err.text, "127.0.0.1"));
    }
}

static void each_loopback_address_works(void **state)
{
    static const char *const own[][2] = {{"127.0.0.1", "127.0.0.1:"}, {"127.8.7.6", "127.8.7.6:"},
            {"localhost", "127.0.0.1:"}, {"::1", "[::1]:"}};
    struct scene *s = *state;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        struct text_addr addr = {.port = 0};
        strcpy(addr.host, own[i][0]);
        if (edge_create(&s->loop, &addr, &s->edge, NULL) == -EADDRNOTAVAIL && i == 3)
            continue; /* this host has no IPv6 */
        read_address(s);
        assert_memory_equal(edge_address(s->edge), own[i][1], strlen(own[i][1]));
        ask(s, get);
        assert_memory_equal(s->answer, "HTTP/1.1 503 ", 13);
        edge_destroy(s->edge);
        s->edge = NULL;
    }
}

static void port_that_is_taken_is_tried_again(void **state)
{
    struct scene *s = *state;
    struct edge *holder;
    struct text_addr addr;
    assert_int_equal(edge_create(&s->loop, &any_port, &holder, NULL), 0);
    assert_int_equal(text_parse_addr(edge_address(holder), &addr, NULL), 0);
    assert_int_equal(edge_create(&s->loop, &addr, &s->edge, NULL), 0);
    assert_null(edge_address(s->edge));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(time_passes(s), 1);
        assert_null(edge_address(s->edge));
    }
    char address[64];
    strcpy(address, edge_address(holder));
    edge_destroy(holder);
    assert_null(edge_address(s->edge));
    assert_int_equal(time_passes(s), 1);
    assert_string_equal(edge_address(s->edge), address);
    assert_int_equal(time_passes(s), 0);
    read_address(s);
    ask(s, get);
    assert_memory_equal(s->answer, "HTTP/1.1 503 ", 13);
}

static void limit_descriptors(rlim_t limit)
{
    struct rlimit now;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    now.rlim_cur = limit;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
}

static rlim_t descriptors_limit(void)
{
    struct rlimit now;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    return now.rlim_cur;
}

/* No descriptor is free below it, and all that are open stay so. */
static rlim_t lowest_free_descriptor(void)
{
    int fd = dup(STDERR_FILENO);
    assert_true(fd >= 0);
    close(fd);
    return (rlim_t)fd;
}

static void failure_to_listen_is_told(void **state)
{
    struct scene *s = *state;
    struct err err = {.text = ""};
    rlim_t limit = descriptors_limit();
    limit_descriptors(lowest_free_descriptor());
    int r = edge_create(&s->loop, &any_port, &s->edge, &err);
    limit_descriptors(limit);
    assert_int_equal(r, -EMFILE);
    assert_null(s->edge);
    assert_non_null(strstr(err.text, "127.0.0.1"));
}

static void count_turn(void *ctx)
{
    int *turns = ctx;
    (*turns)++;
}

static void want_of_descriptors_does_not_spin(void **state)
{
    struct scene *s = *state;
    struct loop_hook hook;
    int turns = 0;
    rlim_t limit = descriptors_limit();
    make_edge(s, &any_port);
    begin(s);
    say(s, get);
    loop_hook_add(&s->loop, &hook, count_turn, &turns);
    limit_descriptors(lowest_free_descriptor());
    patience_run_for(&s->loop, QUIET_MS);
    assert_int_equal(time_passes(s), 1); /* it tries again, in vain */
    patience_run_for(&s->loop, QUIET_MS);
    limit_descriptors(limit);
    assert_in_range(turns, 1, QUIET_TURNS_MAX);
    assert_true(hear(s));

    assert_int_equal(time_passes(s), 1);
    hear_all(s);
    assert_memory_equal(s->answer, "HTTP/1.1 503 ", 13);
    loop_hook_remove(&hook);
}

/* --- tests: refusals --- */

static void without_a_session_the_answer_is_503(void **state)
{
    static const char reason[] = "the coordinator at \"box\" is silent\\gone";
    struct scene *s = *state;
    make_edge(s, &any_port);
    assert_null(edge_tunnels(s->edge));
    ask(s, get);
    assert_refusal(s, "HTTP/1.1 503 Service Unavailable\r\n", "no_coordinator",
            "the modemesh node on this host has not reached a coordinator yet");
    edge_down(s->edge, reason);
    ask(s, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
    assert_refusal(s, "HTTP/1.1 503 Service Unavailable\r\n", "no_coordinator", reason);
}

static void forbidden_is_403_until_the_next_session(void **state)
{
    struct scene *s = *state;
    make_edge(s, &any_port);
    assert_int_equal(edge_up(s->edge, EPOCH, &events, s), 0);
    edge_forbidden(s->edge, "this node has no role \"edge\"");
    ask(s, get);
    assert_refusal(s, "HTTP/1.1 403 Forbidden\r\n", "forbidden", "this node has no role \"edge\"");
    edge_down(s->edge, "lost");
    ask(s, get);
    assert_refusal(s, "HTTP/1.1 403 Forbidden\r\n", "forbidden", "this node has no role \"edge\"");
    assert_int_equal(s->opens, 0);

    assert_int_equal(edge_up(s->edge, EPOCH, &events, s), 0);
    begin(s);
    while (s->opens == 0)
        turn(s);
    edge_down(s->edge, "lost again");
    ask(s, get);
    assert_refusal(s, "HTTP/1.1 503 Service Unavailable\r\n", "no_coordinator", "lost again");
}

static void long_reason_is_cut_and_foreign_bytes_are_replaced(void **state)
{
    char reason[2 * ERR_TEXT_MAX];
    struct scene *s = *state;
    make_edge(s, &any_port);
    memset(reason, '\xff', sizeof(reason) - 1);
    reason[sizeof(reason) - 1] = '\0';
    edge_down(s->edge, reason);
    ask(s, get);
    cJSON *json;
    const char *body = body_of(s);
    assert_int_equal(json_parse(body, strlen(body), &json_limits_event, &json, NULL), 0);
    size_t len = strlen(json_str(json_obj(json, "error"), "message", ""));
    assert_int_equal(len, (ERR_TEXT_MAX - 1) * strlen("\xef\xbf\xbd"));
    cJSON_Delete(json);
}

static void head_gets_no_body(void **state)
{
    struct scene *s = *state;
    make_edge(s, &any_port);
    ask(s, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_memory_equal(s->answer, "HTTP/1.1 503 ", 13);
    assert_string_equal(body_of(s), "");
    assert_null(strstr(s->answer, "Content-Length: 0\r\n"));
}

static void answer_waits_for_the_request(void **state)
{
    struct scene *s = *state;
    make_edge(s, &any_port);
    begin(s);
    patience_run_for(&s->loop, QUIET_MS);
    assert_true(hear(s));
    assert_int_equal(s->answer_len, 0);
    assert_int_equal(time_passes(s), 1); /* … but not for ever */
    hear_all(s);
    assert_memory_equal(s->answer, "HTTP/1.1 503 ", 13);
}

static void editor_that_says_nothing_and_leaves_gets_nothing(void **state)
{
    struct scene *s = *state;
    make_edge(s, &any_port);
    begin(s);
    patience_run_for(&s->loop, QUIET_MS);
    shutdown(s->editor, SHUT_WR);
    hear_all(s);
    assert_int_equal(s->answer_len, 0);
    assert_int_equal(time_passes(s), 0);
}

/* It reads only once all is sent, as many clients do: without the lingering close its request would
 * break off. */
static void whole_upload_is_taken_before_the_close(void **state)
{
    static const char piece[64 * 1024];
    struct scene *s = *state;
    make_edge(s, &any_port);
    begin(s);
    say(s, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n");
    for (size_t left = UPLOAD_BYTES; left > 0; turn(s)) {
        ssize_t n =
                send(s->editor, piece, left < sizeof(piece) ? left : sizeof(piece), MSG_NOSIGNAL);
        if (n < 0)
            assert_int_equal(errno, EAGAIN);
        else
            left -= (size_t)n;
    }
    hear_all(s);
    assert_memory_equal(s->answer, "HTTP/1.1 503 ", 13);
    assert_non_null(strstr(body_of(s), "no_coordinator"));
}

static void editor_that_does_not_close_is_closed(void **state)
{
    struct scene *s = *state;
    make_edge(s, &any_port);
    ask(s, get);
    say(s, "more");
    turn(s);
    assert_int_equal(time_passes(s), 1);
    assert_int_equal(time_passes(s), 0);
    /* Nobody is there any more: the kernel answers by a reset. */
    while (send(s->editor, "more", 4, MSG_NOSIGNAL) == 4)
        turn(s);
    assert_true(errno == EPIPE || errno == ECONNRESET);
}

static void refusals_have_a_limit(void **state)
{
    struct scene *s = *state;
    int editors[EDGE_REFUSALS_MAX];
    make_edge(s, &any_port);
    for (int i = 0; i < EDGE_REFUSALS_MAX; i++)
        editors[i] = connect_editor(s);
    begin(s);
    hear_all(s); /* closed at once, being one too many */
    assert_int_equal(s->answer_len, 0);

    close(editors[7]);
    patience_run_for(&s->loop, QUIET_MS);
    ask(s, get);
    assert_memory_equal(s->answer, "HTTP/1.1 503 ", 13);
    for (int i = 0; i < EDGE_REFUSALS_MAX; i++) {
        if (i != 7)
            close(editors[i]);
    }
}

/* --- tests: sessions --- */

static void with_a_session_bytes_are_carried(void **state)
{
    struct scene *s = *state;
    make_edge(s, &any_port);
    assert_int_equal(edge_up(s->edge, EPOCH, &events, s), 0);
    assert_non_null(edge_tunnels(s->edge));
    begin(s);
    say(s, "hello");
    while (strcmp(s->heard, "hello") != 0)
        turn(s);
    assert_int_equal(s->opens, 1);
    assert_int_equal(tunnel_set_on_data(edge_tunnels(s->edge), s->id, "world", 5), 0);
    while (s->answer_len < 5) {
        turn(s);
        assert_true(hear(s));
    }
    assert_string_equal(s->answer, "world");
    close(s->editor);
    s->editor = -1;
    while (s->closes == 0)
        turn(s);
    assert_int_equal(tunnel_set_count(edge_tunnels(s->edge)), 0);
}

static void end_of_the_session_closes_connections(void **state)
{
    struct scene *s = *state;
    make_edge(s, &any_port);
    for (int i = 1; i <= 2; i++) {
        assert_int_equal(edge_up(s->edge, EPOCH, &events, s), 0);
        begin(s);
        while (s->opens < i)
            turn(s);
        edge_down(s->edge, "lost");
        assert_null(edge_tunnels(s->edge));
        hear_all(s);
        assert_int_equal(s->answer_len, 0);
    }
    edge_down(s->edge, "still lost");
    assert_int_equal(s->closes, 0);
}

static void crowd_of_editors_is_let_in(void **state)
{
    struct scene *s = *state;
    int editors[CROWD];
    make_edge(s, &any_port);
    assert_int_equal(edge_up(s->edge, EPOCH, &events, s), 0);
    for (int i = 0; i < CROWD; i++)
        editors[i] = connect_editor(s);
    turn(s);
    assert_in_range(s->opens, 1, CROWD / 2);
    while (s->opens < CROWD)
        turn(s);
    for (int i = 0; i < CROWD; i++)
        close(editors[i]);
    while (s->closes < CROWD)
        turn(s);
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void destroy_closes_everything(void **state)
{
    struct scene *s = *state;
    int before = open_descriptors();
    make_edge(s, &any_port);
    int refused = connect_editor(s);
    patience_run_for(&s->loop, QUIET_MS);
    assert_int_equal(edge_up(s->edge, EPOCH, &events, s), 0);
    begin(s);
    while (s->opens == 0)
        turn(s);
    assert_int_equal(open_descriptors(), before + 5);
    edge_destroy(s->edge);
    s->edge = NULL;
    edge_destroy(NULL);
    hear_all(s);
    close(refused);
    assert_int_equal(open_descriptors(), before + 1);
    assert_int_equal(time_passes(s), 0);
}

#define SCENE_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    log_init("test_edge", LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
            SCENE_TEST(only_loopback_is_served),
            SCENE_TEST(each_loopback_address_works),
            SCENE_TEST(port_that_is_taken_is_tried_again),
            SCENE_TEST(failure_to_listen_is_told),
            SCENE_TEST(want_of_descriptors_does_not_spin),
            SCENE_TEST(without_a_session_the_answer_is_503),
            SCENE_TEST(forbidden_is_403_until_the_next_session),
            SCENE_TEST(long_reason_is_cut_and_foreign_bytes_are_replaced),
            SCENE_TEST(head_gets_no_body),
            SCENE_TEST(answer_waits_for_the_request),
            SCENE_TEST(editor_that_says_nothing_and_leaves_gets_nothing),
            SCENE_TEST(whole_upload_is_taken_before_the_close),
            SCENE_TEST(editor_that_does_not_close_is_closed),
            SCENE_TEST(refusals_have_a_limit),
            SCENE_TEST(with_a_session_bytes_are_carried),
            SCENE_TEST(end_of_the_session_closes_connections),
            SCENE_TEST(crowd_of_editors_is_let_in),
            SCENE_TEST(destroy_closes_everything),
    };
    return cmocka_run_group_tests_name("edge", tests, NULL, NULL);
}

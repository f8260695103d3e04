#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/stream.h"
#include "node/link/worker.h"
#include "tests/lib/node_bench.h"

#include <errno.h>
#include <string.h>

enum { EPOCH = 7, WINDOW = STREAM_WINDOW };
static const uint64_t s1 = (uint64_t)EPOCH << 32 | 1 << 16 | 1,
                      s2 = (uint64_t)EPOCH << 32 | 1 << 16 | 2;

/* What the coordinator has been sent for one stream and for all. */
struct coordinator {
    struct buf text; /* DELTA_TEXT, joined */
    struct buf json; /* DELTA_TOOL_CALLS, joined; '|' where a value ends */
    unsigned deltas, usages, progress, ends, fails;
    size_t longest;
    uint64_t cost;   /* of all deltas */
    uint64_t credit; /* for bodies */
    uint64_t last_stream;
    struct msg_fail fail;
    char message[1100];
};

static struct node_bench bench;
static struct coordinator c;
static struct worker *worker;

static void take_delta(const struct msg_delta *delta)
{
    c.deltas++;
    c.cost += msg_delta_cost(delta);
    c.longest = delta->len > c.longest ? delta->len : c.longest;
    c.progress += delta->kind == DELTA_PROGRESS;
    c.usages += delta->kind == DELTA_USAGE;
    if (delta->kind == DELTA_TEXT)
        assert_int_equal(buf_append(&c.text, delta->data, delta->len), 0);
    if (delta->kind == DELTA_RESULT) {
        assert_false(delta->more);
        assert_int_equal(buf_append(&c.json, delta->data, delta->len), 0);
    }
    if (delta->kind == DELTA_TOOL_CALLS) {
        assert_int_equal(buf_append(&c.json, delta->data, delta->len), 0);
        if (!delta->more)
            assert_int_equal(buf_append_str(&c.json, "|"), 0);
    }
}

static void on_send(void *ctx, const struct msg *msg)
{
    (void)ctx;
    if (msg->type == MSG_DELTAS) {
        assert_int_equal(msg->deltas.count, 1);
        assert_int_equal(c.ends + c.fails, 0);
        take_delta(&msg->deltas.deltas[0]);
    } else if (msg->type == MSG_CREDIT) {
        c.credit += msg->credit.grants[0].bytes;
    } else if (msg->type == MSG_END) {
        c.ends++;
        c.last_stream = msg->end.stream;
    } else {
        assert_int_equal(msg->type, MSG_FAIL);
        c.fails++;
        c.fail = msg->fail;
        (void)snprintf(c.message, sizeof c.message, "%s", msg->fail.message);
        c.last_stream = msg->fail.stream;
    }
}

static int setup(void **state)
{
    const struct worker_sink sink = {.send = on_send};

    (void)state;
    node_bench_init(&bench);
    memset(&c, 0, sizeof c);
    buf_init(&c.text, 64 * 1024 * 1024);
    buf_init(&c.json, 64 * 1024 * 1024);
    worker = worker_create(&bench.world.env, bench.supervisor, &sink);
    return worker == NULL ? -1 : worker_session_begin(worker, EPOCH);
}

static int teardown(void **state)
{
    (void)state;
    worker_destroy(worker);
    node_bench_fini(&bench);
    buf_fini(&c.text);
    buf_fini(&c.json);
    return 0;
}

static int give(const struct msg *msg)
{
    struct err err;

    return worker_on_msg(worker, msg, &err);
}

static int start(uint64_t stream, const char *model, uint64_t body_bytes)
{
    const struct msg msg = {.type = MSG_START,
            .start = {.stream = stream,
                    .request_id = "r1",
                    .model = model,
                    .window = WINDOW,
                    .body_bytes = body_bytes}};

    return give(&msg);
}

static void body(uint64_t stream, const char *data, size_t len, bool last)
{
    const struct msg msg = {
            .type = MSG_BODY, .body = {.stream = stream, .data = data, .len = len, .last = last}};

    assert_int_equal(give(&msg), 0);
}

static void request(uint64_t stream, const char *model, const char *text)
{
    assert_int_equal(start(stream, model, strlen(text)), 0);
    body(stream, text, strlen(text), true);
}

static int credit(uint64_t stream, uint32_t bytes)
{
    const struct msg_grant grant = {.stream = stream, .bytes = bytes};
    const struct msg msg = {.type = MSG_CREDIT, .credit = {.grants = &grant, .count = 1}};

    return give(&msg);
}

static void cancel(uint64_t stream)
{
    const struct msg msg = {.type = MSG_CANCEL, .cancel = {.stream = stream}};

    assert_int_equal(give(&msg), 0);
}

static unsigned busy(const char *model)
{
    struct msg_instance instance;

    assert_true(supervisor_describe(bench.supervisor, model, &instance));
    return instance.busy;
}

static void assert_failed(enum fail_code code)
{
    assert_int_equal(c.fails, 1);
    assert_string_equal(fail_code_name(c.fail.code), fail_code_name(code));
    assert_int_equal(worker_stream_count(worker), 0);
}

static void test_request(void **state)
{
    const struct msg_usage usage = {
            .prompt_tokens = 100, .completion_tokens = 20, .prefill_ms = 100, .decode_ms = 200};
    struct msg_instance instance;

    (void)state;
    node_bench_load(&bench);
    request(s1, "m", "{\"messages\":[]}");
    assert_int_equal(puppet_run_count(), 1);
    assert_string_equal(puppet_run_body(0), "{\"messages\":[]}");
    assert_int_equal(busy("m"), 1);
    puppet_run_delta(0, DELTA_TEXT, "Hel", 3);
    puppet_run_delta(0, DELTA_TEXT, "lo", 2);
    puppet_run_delta(0, DELTA_FINISH, "stop", 4);
    puppet_run_usage(0, &usage);
    puppet_run_end(0, NULL);
    assert_int_equal(c.text.len, 5);
    assert_memory_equal(buf_at(&c.text), "Hello", 5);
    assert_int_equal(c.deltas, 4);
    assert_int_equal(c.usages, 1);
    assert_int_equal(c.ends, 1);
    assert_int_equal(c.last_stream, s1);
    assert_int_equal(busy("m"), 0);
    assert_int_equal(worker_stream_count(worker), 0);
    assert_true(supervisor_describe(bench.supervisor, "m", &instance));
    assert_float_equal(instance.decode_tok_s, 100, 0.1);
}

/* So that its engine can be asked for the slot that holds it. */
static void test_a_turn_says_whose_it_is(void **state)
{
    const struct msg msg = {.type = MSG_START,
            .start = {.stream = s1,
                    .request_id = "r1",
                    .model = "m",
                    .window = WINDOW,
                    .body_bytes = 2,
                    .session = UINT64_MAX,
                    .prompt_tokens = 30000}};

    (void)state;
    node_bench_load(&bench);
    assert_int_equal(give(&msg), 0);
    body(s1, "{}", 2, true);
    assert_int_equal(puppet_run_count(), 1);
    assert_true(puppet_run_session(0) == UINT64_MAX);
    assert_int_equal(puppet_run_prompt_tokens(0), 30000);
    puppet_run_end(0, NULL);
}

static void test_waits_for_a_load(void **state)
{
    (void)state;
    request(s1, "m", "{}");
    assert_int_equal(c.progress, 1);
    assert_int_equal(puppet_run_count(), 0);
    node_bench_tick(&bench, 0);
    puppet_ready("m", 2, 0);
    node_bench_tick(&bench, 0);
    assert_int_equal(puppet_run_count(), 1);
    puppet_run_end(0, NULL);
    assert_int_equal(c.ends, 1);
}

static void request_with(uint64_t stream, uint32_t needs)
{
    const struct msg msg = {.type = MSG_START,
            .start = {.stream = stream,
                    .request_id = "r1",
                    .model = "m",
                    .window = WINDOW,
                    .body_bytes = 2,
                    .needs = needs}};

    assert_int_equal(give(&msg), 0);
    body(stream, "{}", 2, true);
}

/* The puppet's engine talks, and says so once it runs: it takes no tools. */
static void test_an_engine_that_turns_out_unable_answers_nothing(void **state)
{
    (void)state;
    request_with(s1, CAPABILITY_CHAT | CAPABILITY_TOOLS);
    request_with(s2, CAPABILITY_CHAT);
    node_bench_tick(&bench, 0);
    assert_int_equal(c.fails, 0);
    puppet_ready("m", 2, 0);
    node_bench_tick(&bench, 0);
    assert_int_equal(c.fails, 1);
    assert_int_equal(c.last_stream, s1);
    assert_int_equal(c.fail.code, FAIL_NO_MODEL);
    assert_string_equal(c.message, "\"m\" cannot call tools: its chat template takes none");
    assert_int_equal(puppet_run_count(), 1);
    assert_int_equal(busy("m"), 1);
    puppet_run_end(0, NULL);
    assert_int_equal(c.last_stream, s2);
    request_with(s1, CAPABILITY_CHAT | CAPABILITY_TOOLS); /* loaded already */
    assert_int_equal(c.fails, 2);
    assert_int_equal(busy("m"), 0);
    assert_int_equal(worker_stream_count(worker), 0);
}

static void test_load_fails(void **state)
{
    (void)state;
    request(s1, "m", "{}");
    node_bench_tick(&bench, 0);
    puppet_exit("m", "exited with status 1");
    assert_failed(FAIL_ENGINE_DIED);
    assert_non_null(strstr(c.message, "exited with status 1"));
}

static void test_pauses_without_credit(void **state)
{
    char kilobyte[1024];

    (void)state;
    memset(kilobyte, 'x', sizeof kilobyte);
    node_bench_load(&bench);
    request(s1, "m", "{}");
    request(s2, "m", "{}");
    for (int i = 0; i < 20; i++)
        puppet_run_delta(0, DELTA_TEXT, kilobyte, sizeof kilobyte);
    assert_int_equal(c.deltas, 15);
    assert_true(c.cost <= WINDOW);
    assert_true(puppet_run_paused(0));
    /* The other stream has its own credit. */
    assert_false(puppet_run_paused(1));
    puppet_run_delta(1, DELTA_TEXT, "y", 1);
    assert_int_equal(c.deltas, 16);
    /* It ends while deltas still wait: END comes behind them. */
    puppet_run_end(0, NULL);
    assert_int_equal(busy("m"), 1);
    assert_int_equal(c.ends, 0);
    assert_int_equal(credit(s1, 2 * 1040), 0);
    assert_int_equal(c.deltas, 18);
    assert_int_equal(c.ends, 0);
    assert_int_equal(credit(s1, 8192), 0);
    assert_int_equal(c.deltas, 21);
    assert_int_equal(c.ends, 1);
    assert_int_equal(c.text.len, 20 * 1024 + 1);
    cancel(s2);
}

static void test_resumes_with_credit(void **state)
{
    char data[10000];

    (void)state;
    memset(data, 'x', sizeof data);
    node_bench_load(&bench);
    request(s1, "m", "{}");
    puppet_run_delta(0, DELTA_TEXT, data, sizeof data);
    assert_false(puppet_run_paused(0));
    puppet_run_delta(0, DELTA_TEXT, data, sizeof data);
    assert_true(puppet_run_paused(0));
    assert_int_equal(credit(s1, 1), 0);
    assert_true(puppet_run_paused(0));
    assert_int_equal(credit(s1, WINDOW), 0);
    assert_false(puppet_run_paused(0));
    assert_int_equal(c.text.len, 2 * sizeof data);
    cancel(s1);
}

static void test_splits_text_between_characters(void **state)
{
    static char data[30000];

    (void)state;
    for (size_t i = 0; i < sizeof data; i += 3)
        memcpy(data + i, "\xe2\x82\xac", 3);
    node_bench_load(&bench);
    request(s1, "m", "{}");
    assert_int_equal(credit(s1, 100000), 0);
    puppet_run_delta(0, DELTA_TEXT, data, sizeof data);
    assert_int_equal(c.deltas, 4);
    assert_true(c.longest <= MSG_DELTA_PIECE_MAX);
    assert_int_equal(c.longest % 3, 0);
    assert_int_equal(c.text.len, sizeof data);
    assert_memory_equal(buf_at(&c.text), data, sizeof data);
    cancel(s1);
}

static void test_splits_json_with_more(void **state)
{
    static char data[20000];

    (void)state;
    memset(data, '1', sizeof data);
    node_bench_load(&bench);
    request(s1, "m", "{}");
    puppet_run_delta(0, DELTA_TOOL_CALLS, data, sizeof data);
    puppet_run_delta(0, DELTA_TOOL_CALLS, "[]", 2);
    assert_int_equal(credit(s1, WINDOW), 0);
    assert_int_equal(c.json.len, sizeof data + 1 + 2 + 1);
    assert_int_equal(buf_at(&c.json)[sizeof data], '|');
    assert_true(c.longest <= MSG_DELTA_PIECE_MAX);
    cancel(s1);
}

static void test_splits_a_result_anywhere(void **state)
{
    static char data[20000];

    (void)state;
    memset(data, '1', sizeof data);
    node_bench_load(&bench);
    request(s1, "m", "{}");
    puppet_run_delta(0, DELTA_RESULT, data, sizeof data);
    assert_true(puppet_run_paused(0));
    assert_int_equal(credit(s1, WINDOW), 0);
    assert_int_equal(c.json.len, sizeof data);
    assert_memory_equal(buf_at(&c.json), data, sizeof data);
    assert_true(c.longest <= MSG_DELTA_PIECE_MAX);
    puppet_run_end(0, NULL);
    assert_int_equal(c.ends, 1);
}

static void test_the_kind_reaches_the_engine(void **state)
{
    struct msg msg = {.type = MSG_START,
            .start = {.stream = s1,
                    .request_id = "r1",
                    .model = "m",
                    .kind = REQUEST_RERANK,
                    .window = WINDOW,
                    .body_bytes = 2}};

    (void)state;
    node_bench_load(&bench);
    assert_int_equal(give(&msg), 0);
    body(s1, "{}", 2, true);
    assert_int_equal(puppet_run_kind(0), REQUEST_RERANK);
    cancel(s1);
}

static void test_a_kind_of_a_newer_coordinator(void **state)
{
    struct msg msg = {.type = MSG_START,
            .start = {.stream = s1,
                    .request_id = "r1",
                    .model = "m",
                    .kind = REQUEST_KIND_COUNT,
                    .window = WINDOW,
                    .body_bytes = 2}};

    (void)state;
    assert_int_equal(give(&msg), 0);
    assert_failed(FAIL_BAD_REQUEST);
    assert_non_null(strstr(c.message, "does not know that kind of request"));
    body(s1, "{}", 2, true);
    assert_int_equal(c.fails, 1);
}

static void test_reads_no_more_than_it_keeps(void **state)
{
    static char data[WORKER_PENDING_MAX / 4];

    (void)state;
    memset(data, 'x', sizeof data);
    node_bench_load(&bench);
    request(s1, "m", "{}");
    for (int i = 0; i < 4; i++)
        puppet_run_delta(0, DELTA_TEXT, data, sizeof data);
    assert_int_equal(c.fails, 0);
    puppet_run_delta(0, DELTA_TEXT, data, sizeof data);
    assert_failed(FAIL_OVERLOADED);
    assert_true(puppet_run_cancelled(0));
    assert_int_equal(busy("m"), 0);
}

static void test_body_under_credit(void **state)
{
    static char data[300000];
    size_t sent = 0, room = STREAM_WINDOW;

    (void)state;
    memset(data, '7', sizeof data);
    node_bench_load(&bench);
    assert_int_equal(start(s1, "m", sizeof data), 0);
    /* More room at once, so that a long prompt needs no round trip a window. */
    assert_int_equal(c.credit, WORKER_BODY_WINDOW - STREAM_WINDOW);
    while (sent < sizeof data) {
        size_t n = sizeof data - sent < MSG_CHUNK_MAX ? sizeof data - sent : MSG_CHUNK_MAX;
        assert_true(room + c.credit - sent >= n);
        body(s1, data + sent, n, sent + n == sizeof data);
        sent += n;
    }
    assert_int_equal(puppet_run_count(), 1);
    assert_int_equal(strlen(puppet_run_body(0)), sizeof data);
    puppet_run_end(0, NULL);
    assert_int_equal(c.ends, 1);
}

static void test_body_credit_comes_back(void **state)
{
    static char data[MSG_CHUNK_MAX];

    (void)state;
    assert_int_equal(start(s1, "m", 10 * 1024 * 1024), 0);
    c.credit = 0;
    for (int i = 0; i < 7; i++)
        body(s1, data, sizeof data, false);
    assert_int_equal(c.credit, 0);
    /* In one go, once half the window was taken. */
    body(s1, data, sizeof data, false);
    assert_int_equal(c.credit, WORKER_BODY_WINDOW / 2);
    cancel(s1);
}

static void test_body_past_its_length(void **state)
{
    static char data[MSG_CHUNK_MAX];

    (void)state;
    assert_int_equal(start(s2, "m", MSG_CHUNK_MAX + 10), 0);
    body(s2, data, sizeof data, false);
    assert_int_equal(c.fails, 0);
    body(s2, data, 11, true);
    assert_failed(FAIL_PROTOCOL);
}

static void test_body_that_lies(void **state)
{
    (void)state;
    assert_int_equal(start(s1, "m", 4), 0);
    body(s1, "12345", 5, true);
    assert_failed(FAIL_PROTOCOL);
    c.fails = 0;
    assert_int_equal(start(s1, "m", 4), 0);
    body(s1, "12", 2, true);
    assert_failed(FAIL_PROTOCOL);
    /* What is still on its way for a stream that is over changes nothing. */
    body(s1, "34", 2, true);
    assert_int_equal(c.fails, 1);
}

static void test_limits(void **state)
{
    (void)state;
    assert_int_equal(start(s1, "m", WORKER_BODY_MAX + 1), 0);
    assert_failed(FAIL_BAD_REQUEST);
    for (uint64_t i = 1; i <= WORKER_BODIES_MAX / WORKER_BODY_MAX; i++)
        assert_int_equal(start((uint64_t)EPOCH << 32 | i, "m", WORKER_BODY_MAX), 0);
    assert_int_equal(c.fails, 1);
    assert_int_equal(start(s1 + 100, "m", 1), 0);
    assert_int_equal(c.fails, 2);
    assert_int_equal(c.fail.code, FAIL_OVERLOADED);
    cancel((uint64_t)EPOCH << 32 | 1);
    assert_int_equal(start(s1 + 100, "m", 1), 0);
    assert_int_equal(c.fails, 2);
}

static void test_too_many_streams(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= WORKER_STREAMS_MAX; i++)
        assert_int_equal(start((uint64_t)EPOCH << 32 | i, "m", 1), 0);
    assert_int_equal(c.fails, 0);
    assert_int_equal(start((uint64_t)EPOCH << 32 | (WORKER_STREAMS_MAX + 1), "m", 1), 0);
    assert_int_equal(c.fails, 1);
    assert_int_equal(c.fail.code, FAIL_OVERLOADED);
    assert_int_equal(worker_stream_count(worker), WORKER_STREAMS_MAX);
}

static void test_unknown_model_and_empty_body(void **state)
{
    (void)state;
    assert_int_equal(start(s1, "nobody", 5), 0);
    assert_failed(FAIL_NO_MODEL);
    c.fails = 0;
    node_bench_load(&bench);
    assert_int_equal(start(s1, "m", 0), 0);
    assert_failed(FAIL_BAD_REQUEST);
    assert_int_equal(busy("m"), 0);
}

static void test_cancel_everywhere(void **state)
{
    (void)state;
    assert_int_equal(start(s1, "m", 100), 0);
    body(s1, "abc", 3, false);
    cancel(s1);
    assert_int_equal(worker_stream_count(worker), 0);

    request(s1, "m", "{}"); /* waits for the load */
    cancel(s1);
    node_bench_tick(&bench, 0);
    assert_false(puppet_running("m"));

    node_bench_load(&bench);
    request(s1, "m", "{}"); /* runs */
    cancel(s1);
    assert_true(puppet_run_cancelled(0));
    assert_int_equal(busy("m"), 0);
    cancel(s1);
    assert_int_equal(c.ends + c.fails, 0);
    assert_int_equal(worker_stream_count(worker), 0);
}

static void test_engine_dies(void **state)
{
    (void)state;
    node_bench_load(&bench);
    request(s1, "m", "{}");
    puppet_run_delta(0, DELTA_TEXT, "a", 1);
    puppet_exit("m", "killed by signal 9");
    assert_failed(FAIL_ENGINE_DIED);
    assert_int_equal(busy("m"), 0);
}

static void test_what_an_engine_has_no_endpoint_for(void **state)
{
    (void)state;
    node_bench_load(&bench);
    puppet_refuse_next_run(-ENOTSUP);
    request(s1, "m", "{}");
    assert_failed(FAIL_ENGINE_ERROR);
    assert_int_equal(c.fail.http_status, 501);
    assert_string_equal(c.message, "not here");
    assert_int_equal(busy("m"), 0);
    c.fails = 0;
    puppet_refuse_next_run(-EAGAIN);
    request(s2, "m", "{}");
    assert_failed(FAIL_ENGINE_DIED);
    assert_int_equal(c.fail.http_status, 0);
}

static void test_engine_error_keeps_its_words(void **state)
{
    const struct msg_fail fail = {
            .code = FAIL_ENGINE_ERROR, .http_status = 400, .message = "no such template"};

    (void)state;
    node_bench_load(&bench);
    request(s1, "m", "{}");
    puppet_run_end(0, &fail);
    assert_failed(FAIL_ENGINE_ERROR);
    assert_int_equal(c.fail.http_status, 400);
    assert_string_equal(c.message, "no such template");
}

static void test_lost_link_cancels_all(void **state)
{
    (void)state;
    node_bench_load(&bench);
    request(s1, "m", "{}");
    request(s2, "other", "{}");
    worker_session_end(worker);
    assert_true(puppet_run_cancelled(0));
    assert_int_equal(busy("m"), 0);
    assert_int_equal(worker_stream_count(worker), 0);
    assert_int_equal(c.ends + c.fails, 0);
    assert_int_equal(start(s1, "m", 1), -EPROTO);
    /* The ids of the last epoch are nobody's in the next. */
    assert_int_equal(worker_session_begin(worker, EPOCH + 1), 0);
    assert_int_equal(start(s1, "m", 1), -EPROTO);
    assert_int_equal(start(s1 + ((uint64_t)1 << 32), "m", 1), 0);
}

static void test_protocol_of_the_session(void **state)
{
    const struct msg hello = {.type = MSG_HELLO};

    (void)state;
    assert_int_equal(start(s1, "m", 1), 0);
    assert_int_equal(start(s1, "m", 1), -EPROTO);
    assert_int_equal(credit(s1, UINT32_MAX), -EPROTO);
    assert_int_equal(credit(s2, 5), 0);
    assert_int_equal(give(&hello), -EPROTO);
}

static void test_draining(void **state)
{
    (void)state;
    assert_int_equal(start(s1, "m", 2), 0);
    supervisor_drain(bench.supervisor);
    body(s1, "{}", 2, true);
    assert_failed(FAIL_DRAINING);
    assert_int_equal(start(s2, "m", 2), 0);
    assert_int_equal(c.fails, 2);
    assert_int_equal(c.fail.code, FAIL_DRAINING);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_request),
            TEST(test_a_turn_says_whose_it_is),
            TEST(test_waits_for_a_load),
            TEST(test_an_engine_that_turns_out_unable_answers_nothing),
            TEST(test_load_fails),
            TEST(test_pauses_without_credit),
            TEST(test_resumes_with_credit),
            TEST(test_splits_text_between_characters),
            TEST(test_splits_json_with_more),
            TEST(test_splits_a_result_anywhere),
            TEST(test_the_kind_reaches_the_engine),
            TEST(test_a_kind_of_a_newer_coordinator),
            TEST(test_reads_no_more_than_it_keeps),
            TEST(test_body_under_credit),
            TEST(test_body_credit_comes_back),
            TEST(test_body_past_its_length),
            TEST(test_body_that_lies),
            TEST(test_limits),
            TEST(test_too_many_streams),
            TEST(test_unknown_model_and_empty_body),
            TEST(test_cancel_everywhere),
            TEST(test_engine_dies),
            TEST(test_what_an_engine_has_no_endpoint_for),
            TEST(test_engine_error_keeps_its_words),
            TEST(test_lost_link_cancels_all),
            TEST(test_protocol_of_the_session),
            TEST(test_draining),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}

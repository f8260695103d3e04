#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/sse_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 64 };

/* Events as text: "<name|data>" each, with what the receiver shall do at the nth event. */
struct log {
    struct buf text;
    int events, fail_at, fail_with;
};

static int on_event(void *ctx, const char *name, const char *data, size_t len)
{
    struct log *log = ctx;

    assert_int_equal(data[len], '\0');
    assert_int_equal(buf_appendf(&log->text, "<%s|", name), 0);
    assert_int_equal(buf_append(&log->text, data, len), 0);
    assert_int_equal(buf_append_str(&log->text, ">"), 0);
    return ++log->events == log->fail_at ? log->fail_with : 0;
}

static void log_init_empty(struct log *log)
{
    *log = (struct log){.events = 0};
    buf_init(&log->text, 4096);
}

/* Each chunk lies in memory of its own, so that the sanitizer sees a read past its end. */
static int push(struct sse_reader *reader, const char *data, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, data, len);
    int r = sse_reader_push(reader, copy, len, NULL);
    free(copy);
    return r;
}

/* Pushes the text cut at `first` and then into pieces of `step` bytes; returns the first error. */
static int read_cut(const char *text, size_t len, size_t first, size_t step, struct log *log)
{
    struct sse_reader *reader = sse_reader_create(LIMIT, on_event, log);
    int r = push(reader, text, first);

    for (size_t at = first; r == 0 && at < len;) {
        size_t n = len - at < step ? len - at : step;
        r = push(reader, text + at, n);
        at += n;
    }
    sse_reader_destroy(reader);
    return r;
}

struct sample {
    const char *text;
    size_t len;
    const char *events;
    size_t events_len;
    int result;
};

#define SAMPLE(text, events, result)                                                               \
    {                                                                                              \
        text, sizeof(text) - 1, events, sizeof(events) - 1, result                                 \
    }
#define TEN "0123456789"

static const struct sample samples[] = {
        SAMPLE("", "", 0),
        SAMPLE("data: a\n\n", "<|a>", 0),
        SAMPLE("data: a\r\n\r\ndata: b\r\n\r\n", "<|a><|b>", 0),
        SAMPLE("data: a\r\rdata: b\r\r", "<|a><|b>", 0),
        SAMPLE("data: a\r\n\ndata: b\n\r\ndata: c\r\r\n", "<|a><|b><|c>", 0),
        SAMPLE("data:a\ndata: b\ndata:  c\n\n", "<|a\nb\n c>", 0),
        SAMPLE("data\n\ndata\ndata\n\ndata:\n\n", "<|><|\n><|>", 0),
        SAMPLE("event: delta\ndata: {\"x\":1}\n\ndata: y\n\n", "<delta|{\"x\":1}><|y>", 0),
        SAMPLE("event: lost\n\ndata: y\n\n", "<|y>", 0),
        SAMPLE("event: one\nevent: two\ndata: y\n\n", "<two|y>", 0),
        SAMPLE("event: one\nevent\ndata: y\n\n", "<|y>", 0),
        SAMPLE("event: a\0b\ndata: y\n\n", "<|y>", 0),
        SAMPLE(": comment\ndata: y\n:\n\n:\n\n", "<|y>", 0),
        SAMPLE("id: 1\nretry: 5\nother: x\nDATA: x\ndata : x\n data: x\nno colon\n\ndata: y\n\n",
                "<|y>", 0),
        SAMPLE("data: never ended\n", "", 0),
        SAMPLE("data: never ended", "", 0),
        SAMPLE("data: a:b: c\n\n", "<|a:b: c>", 0),
        SAMPLE("data: a\0b\n\n", "<|a\0b>", 0),
        SAMPLE("\xef\xbb\xbf"
               "data: a\n\n",
                "<|a>", 0),
        SAMPLE("\xef\xbb\xbf\n\xef\xbb\xbf"
               "data: a\n\ndata: b\n\n",
                "<|b>", 0),
        SAMPLE("\xef\xbb"
               "data: a\n\ndata: b\n\n",
                "<|b>", 0),
        SAMPLE("\xef\n\xef\xbb\ndata: b\n\n", "<|b>", 0),
        SAMPLE("\n\r\r\n\ndata: b\n\n", "<|b>", 0),
        /* Lines of the limit, events of the limit, and one byte more of each. */
        SAMPLE("data: b\n\n:" TEN TEN TEN TEN TEN TEN "012\ndata: c\n\n", "<|b><|c>", 0),
        SAMPLE("data: b\n\n:" TEN TEN TEN TEN TEN TEN "0123\ndata: c\n\n", "<|b>", -EMSGSIZE),
        SAMPLE("event:" TEN TEN "\ndata:" TEN TEN "\ndata:" TEN TEN "\ndata:01\n\n",
                "<" TEN TEN "|" TEN TEN "\n" TEN TEN "\n01>", 0),
        SAMPLE("event:" TEN TEN "\ndata:" TEN TEN "\ndata:" TEN TEN "\ndata:012\n\n", "",
                -EMSGSIZE),
        SAMPLE("data:" TEN TEN "\ndata:" TEN TEN "\nevent:" TEN TEN "012\n\n",
                "<" TEN TEN "012|" TEN TEN "\n" TEN TEN ">", 0),
        SAMPLE("data:" TEN TEN "\ndata:" TEN TEN "\nevent:" TEN TEN "0123\n\n", "", -EMSGSIZE),
};
enum { SAMPLE_COUNT = sizeof(samples) / sizeof(*samples) };

static void check_cut(const struct sample *sample, size_t first, size_t step)
{
    struct log log;

    log_init_empty(&log);
    int r = read_cut(sample->text, sample->len, first, step, &log);
    if (r != sample->result || log.text.len != sample->events_len)
        fail_msg("sample \"%s\" cut at %zu, step %zu: result %d", sample->text, first, step, r);
    assert_memory_equal(buf_at(&log.text), sample->events, sample->events_len);
    buf_fini(&log.text);
}

static void test_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_COUNT; i++)
        for (size_t first = 0; first <= samples[i].len; first++)
            check_cut(&samples[i], first, SIZE_MAX);
}

static void test_small_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_COUNT; i++)
        for (size_t step = 1; step <= 5; step++)
            check_cut(&samples[i], 0, step);
}

/* An event is given out with the byte that ends it: no reader waits for what may come after a CR.
 */
static void test_event_comes_at_once(void **state)
{
    static const char *const ends[] = {"\n\n", "\r\r", "\r\n\r"};
    (void)state;

    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        struct log log;
        log_init_empty(&log);
        struct sse_reader *reader = sse_reader_create(LIMIT, on_event, &log);
        assert_int_equal(push(reader, "data: x", 7), 0);
        assert_int_equal(log.events, 0);
        assert_int_equal(push(reader, ends[i], strlen(ends[i])), 0);
        assert_int_equal(log.events, 1);
        sse_reader_destroy(reader);
        buf_fini(&log.text);
    }
}

static void on_comment(void *ctx, const char *text, size_t len)
{
    struct log *log = ctx;

    assert_int_equal(buf_append_str(&log->text, "#"), 0);
    assert_int_equal(buf_append(&log->text, text, len), 0);
    assert_int_equal(buf_append_str(&log->text, "#"), 0);
}

/* In their place among the events, and only where they are asked for. */
static void test_comments_are_told(void **state)
{
    static const char text[] = ": a\n\n:\r\ndata: x\r\n:  b:c\r\n\r\ndata:y\n:z";
    (void)state;

    for (size_t step = 1; step <= sizeof(text); step++) {
        struct log log;
        log_init_empty(&log);
        struct sse_reader *reader = sse_reader_create(LIMIT, on_event, &log);
        sse_reader_tell_comments(reader, on_comment);
        for (size_t at = 0; at < sizeof(text) - 1; at += step) {
            size_t left = sizeof(text) - 1 - at;
            assert_int_equal(push(reader, text + at, left < step ? left : step), 0);
        }
        sse_reader_tell_comments(reader, NULL);
        assert_int_equal(push(reader, "\n\n: no more\n", 12), 0);
        assert_int_equal(buf_terminate(&log.text), 0);
        assert_string_equal(buf_at(&log.text), "#a#### b:c#<|x><|y>");
        sse_reader_destroy(reader);
        buf_fini(&log.text);
    }
}

static void test_callback_error_ends_the_stream(void **state)
{
    static const char text[] = "data: a\n\ndata: b\n\ndata: c\n\n";
    struct err err;
    struct log log;
    (void)state;

    log_init_empty(&log);
    log.fail_at = 2;
    log.fail_with = -ECANCELED;
    struct sse_reader *reader = sse_reader_create(LIMIT, on_event, &log);
    assert_int_equal(sse_reader_push(reader, text, strlen(text), &err), -ECANCELED);
    assert_non_null(strstr(err.text, "refused"));
    assert_int_equal(log.events, 2);
    assert_int_equal(sse_reader_push(reader, text, strlen(text), &err), -ECANCELED);
    assert_int_equal(log.events, 2);
    sse_reader_destroy(reader);
    buf_fini(&log.text);
}

static void test_limit_is_named(void **state)
{
    struct err err;
    struct log log;
    char line[LIMIT + 1];
    (void)state;

    log_init_empty(&log);
    memset(line, 'x', sizeof(line));
    struct sse_reader *reader = sse_reader_create(LIMIT, on_event, &log);
    assert_int_equal(sse_reader_push(reader, line, LIMIT, &err), 0);
    assert_int_equal(sse_reader_push(reader, line, 1, &err), -EMSGSIZE);
    assert_string_equal(err.text, "a line of the event stream is longer than 64 bytes");
    assert_int_equal(sse_reader_push(reader, "\n", 1, &err), -EMSGSIZE);
    sse_reader_destroy(reader);
    buf_fini(&log.text);
}

static void test_nothing(void **state)
{
    struct sse_reader *reader = sse_reader_create(LIMIT, on_event, NULL);
    (void)state;

    assert_int_equal(sse_reader_push(reader, NULL, 0, NULL), 0);
    sse_reader_destroy(reader);
    sse_reader_destroy(NULL);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_every_cut),
            cmocka_unit_test(test_small_pieces),
            cmocka_unit_test(test_event_comes_at_once),
            cmocka_unit_test(test_comments_are_told),
            cmocka_unit_test(test_callback_error_ends_the_stream),
            cmocka_unit_test(test_limit_is_named),
            cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests_name("sse_reader", tests, NULL, NULL);
}

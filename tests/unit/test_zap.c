#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link/zap.h"
#include "common/trust/keys.h"
#include "tests/lib/patience.h"

#include <stdlib.h>
#include <string.h>
#include <zmq.h>

/* The test plays libzmq's part: it asks the handler as a REQ socket would (RFC 27). */

enum { PATIENCE_MS = 20000, PARTS = 6, PART_MAX = 64 };

struct part {
    const void *data;
    size_t len;
};

struct fixture {
    struct loop loop;
    struct loop_timer *patience;
    void *context, *asker;
    struct zap *zap;
    bool allow;
    unsigned asked;
    char key[KEY_Z85_LEN + 1], address[64];
    char status[PART_MAX], user_id[PART_MAX], request_id[PART_MAX];
};

static const uint8_t key_bytes[KEY_BYTES] = {1, 2, 3};

static bool on_allow(void *ctx, const char *key_z85, const char *address)
{
    struct fixture *f = ctx;
    f->asked++;
    strcpy(f->key, key_z85);
    strcpy(f->address, address);
    return f->allow;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_int_equal(loop_init(&f->loop), 0);
    f->patience = patience_start(&f->loop, PATIENCE_MS);
    f->context = zmq_ctx_new();
    assert_int_equal(zap_create(&f->loop, f->context, on_allow, f, &f->zap, NULL), 0);
    f->asker = zmq_socket(f->context, ZMQ_REQ);
    int linger = 0;
    assert_int_equal(zmq_setsockopt(f->asker, ZMQ_LINGER, &linger, sizeof(linger)), 0);
    assert_int_equal(zmq_connect(f->asker, "inproc://zeromq.zap.01"), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    zmq_close(f->asker);
    zap_destroy(f->zap);
    zmq_ctx_term(f->context);
    loop_timer_destroy(f->patience);
    loop_fini(&f->loop);
    free(f);
    return 0;
}

static void read_part(struct fixture *f, char *text, size_t size)
{
    int len = zmq_recv(f->asker, text, size - 1, 0);
    assert_true(len >= 0 && (size_t)len < size);
    text[len] = '\0';
}

/* Called in every turn of the loop, until the answer is there. */
static void look_for_answer(void *ctx)
{
    struct fixture *f = ctx;
    char parts[PARTS][PART_MAX];
    zmq_pollitem_t item = {.socket = f->asker, .events = ZMQ_POLLIN};
    if (zmq_poll(&item, 1, 0) != 1)
        return;
    for (int i = 0; i < PARTS; i++)
        read_part(f, parts[i], sizeof(parts[i]));
    assert_string_equal(parts[0], "1.0");
    strcpy(f->request_id, parts[1]);
    strcpy(f->status, parts[2]);
    strcpy(f->user_id, parts[4]);
    loop_stop(&f->loop);
}

static void ask(struct fixture *f, const struct part *parts, size_t count)
{
    struct loop_timer *timer = loop_timer_create(&f->loop, look_for_answer, f);
    for (size_t i = 0; i < count; i++)
        assert_true(zmq_send(f->asker, parts[i].data, parts[i].len,
                            i + 1 < count ? ZMQ_SNDMORE : 0) >= 0);
    loop_timer_start(timer, 1, 1);
    loop_run(&f->loop);
    loop_timer_destroy(timer);
}

#define TEXT(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const struct part good[] = {TEXT("1.0"), TEXT("42"), TEXT(ZAP_DOMAIN), TEXT("192.0.2.7"),
        TEXT(""), TEXT("CURVE"), {key_bytes, KEY_BYTES}};

enum { AT_VERSION, AT_DOMAIN = 2, AT_MECHANISM = 5, AT_KEY = 6, GOOD_PARTS = 7 };

static void an_allowed_key_becomes_the_user_id(void **state)
{
    struct fixture *f = *state;
    char expected[KEY_Z85_LEN + 1];
    assert_non_null(zmq_z85_encode(expected, key_bytes, KEY_BYTES));
    f->allow = true;
    ask(f, good, GOOD_PARTS);
    assert_string_equal(f->status, "200");
    assert_string_equal(f->request_id, "42");
    assert_string_equal(f->user_id, expected);
    assert_string_equal(f->key, expected);
    assert_string_equal(f->address, "192.0.2.7");
}

static void a_key_that_is_not_allowed_gets_nothing(void **state)
{
    struct fixture *f = *state;
    ask(f, good, GOOD_PARTS);
    assert_string_equal(f->status, "400");
    assert_string_equal(f->user_id, "");
    assert_int_equal(f->asked, 1);
}

static void refuses_with(struct fixture *f, size_t at, struct part part)
{
    struct part parts[GOOD_PARTS];
    memcpy(parts, good, sizeof(parts));
    parts[at] = part;
    ask(f, parts, GOOD_PARTS);
    assert_string_equal(f->status, "400");
}

static void what_is_no_curve_request_of_ours_is_refused_unasked(void **state)
{
    struct fixture *f = *state;
    f->allow = true;
    refuses_with(f, AT_VERSION, (struct part)TEXT("1.1"));
    refuses_with(f, AT_DOMAIN, (struct part)TEXT("other"));
    refuses_with(f, AT_DOMAIN, (struct part)TEXT(""));
    refuses_with(f, AT_MECHANISM, (struct part)TEXT("NULL"));
    refuses_with(f, AT_MECHANISM, (struct part)TEXT("PLAIN"));
    refuses_with(f, AT_KEY, (struct part){key_bytes, KEY_BYTES - 1});
    refuses_with(f, AT_KEY, (struct part)TEXT(""));
    assert_int_equal(f->asked, 0);
}

static void too_few_and_too_many_parts_are_refused_and_the_next_is_not(void **state)
{
    struct fixture *f = *state;
    struct part long_one[GOOD_PARTS + 3];
    char large[4096] = "";
    f->allow = true;
    ask(f, good, GOOD_PARTS - 1);
    assert_string_equal(f->status, "400");
    memcpy(long_one, good, sizeof(good));
    for (size_t i = GOOD_PARTS; i < GOOD_PARTS + 3; i++)
        long_one[i] = (struct part){large, sizeof(large)};
    ask(f, long_one, GOOD_PARTS + 3);
    assert_string_equal(f->status, "400");
    assert_int_equal(f->asked, 0);
    ask(f, good, GOOD_PARTS);
    assert_string_equal(f->status, "200");
}

static void one_context_has_one_handler(void **state)
{
    struct fixture *f = *state;
    struct zap *second = NULL;
    struct err err;
    assert_true(zap_create(&f->loop, f->context, on_allow, f, &second, &err) < 0);
    assert_null(second);
    assert_true(strlen(err.text) > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(an_allowed_key_becomes_the_user_id),
            TEST(a_key_that_is_not_allowed_gets_nothing),
            TEST(what_is_no_curve_request_of_ours_is_refused_unasked),
            TEST(too_few_and_too_many_parts_are_refused_and_the_next_is_not),
            TEST(one_context_has_one_handler),
    };
    return cmocka_run_group_tests_name("zap", tests, NULL, NULL);
}

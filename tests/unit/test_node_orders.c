#include "coordinator/node_orders.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EPOCH = 7 };

struct told { /* of one order */
    struct node_order *order;
    struct node_orders *orders;
    uint64_t id;
    unsigned progresses, dones;
    bool forgets, again; /* in its callback: is forgotten; asks for the same once more */
    bool ok;
    enum order_way way;
    char text[MSG_TEXT_MAX + 1];
};

static void order(struct node_orders *orders, struct msg msg, struct told *told);

static void on_progress(void *ctx, const char *text)
{
    struct told *told = ctx;
    told->progresses++;
    snprintf(told->text, sizeof(told->text), "%s", text);
    if (told->forgets)
        node_order_forget(told->order);
}

static struct msg load_of(const char *model)
{
    return (struct msg){
            .type = MSG_LOAD, .load = {.model = model, .replaces = "", .type_k = "", .type_v = ""}};
}

static void on_done(void *ctx, const struct msg_done *done)
{
    struct told *told = ctx;
    told->dones++;
    told->ok = done->ok;
    told->way = done->way;
    snprintf(told->text, sizeof(told->text), "%s", done->message);
    if (told->again) {
        told->again = false;
        order(told->orders, load_of("large"), told);
    }
}

static const struct node_order_events events = {.on_progress = on_progress, .on_done = on_done};

static void order(struct node_orders *orders, struct msg msg, struct told *told)
{
    struct msg sent;
    assert_int_equal(node_orders_open(orders, &msg, &events, told, &sent, &told->order, NULL), 0);
    told->orders = orders;
    told->id = sent.type == MSG_LOAD     ? sent.load.order
               : sent.type == MSG_UNLOAD ? sent.unload.order
               : sent.type == MSG_PIN    ? sent.pin.order
                                         : sent.drain.order;
    assert_int_equal(told->id >> 32, EPOCH);
}

static int setup(void **state)
{
    *state = node_orders_create(EPOCH, "halo1");
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    node_orders_fail_all(*state, "the test is over");
    node_orders_destroy(*state);
    return 0;
}

static void say_done(struct node_orders *orders, uint64_t id)
{
    struct msg_done done = {
            .order = id, .ok = true, .way = ORDER_WAY_BESIDE, .message = "loaded in 3 s"};
    node_orders_on_done(orders, &done);
}

static void each_kind_has_an_id_of_its_own(void **state)
{
    struct told told[4] = {0};
    order(*state, load_of("large"), &told[0]);
    order(*state, (struct msg){.type = MSG_UNLOAD, .unload = {.model = "small"}}, &told[1]);
    order(*state, (struct msg){.type = MSG_PIN, .pin = {.model = "small"}}, &told[2]);
    order(*state, (struct msg){.type = MSG_DRAIN}, &told[3]);
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(told[i].id, told[j].id);
    assert_int_equal(node_orders_count(*state), 4);
    node_orders_fail_all(*state, "x");
}

static void progress_and_done_find_their_order(void **state)
{
    struct told told[2] = {0};
    order(*state, load_of("large"), &told[0]);
    order(*state, load_of("small"), &told[1]);
    struct msg_progress progress = {.order = told[1].id, .text = "waits for memory"};
    node_orders_on_progress(*state, &progress);
    assert_int_equal(told[0].progresses, 0);
    assert_int_equal(told[1].progresses, 1);
    assert_string_equal(told[1].text, "waits for memory");
    say_done(*state, told[1].id);
    assert_int_equal(told[1].dones, 1);
    assert_true(told[1].ok);
    assert_int_equal(told[1].way, ORDER_WAY_BESIDE);
    assert_string_equal(told[1].text, "loaded in 3 s");
    assert_int_equal(told[0].dones, 0);
    node_orders_fail_all(*state, "x");
}

static void an_unknown_id_is_late_and_harmless(void **state)
{
    struct told told = {0};
    order(*state, load_of("large"), &told);
    say_done(*state, told.id);
    say_done(*state, told.id);
    say_done(*state, 0);
    say_done(*state, UINT64_MAX);
    struct msg_progress progress = {.order = told.id, .text = "late"};
    node_orders_on_progress(*state, &progress);
    assert_int_equal(told.dones, 1);
    assert_int_equal(told.progresses, 0);
    /* The id of one that has ended is not that of the next. */
    struct told next = {0};
    order(*state, load_of("large"), &next);
    say_done(*state, told.id);
    assert_int_equal(next.dones, 0);
    node_orders_fail_all(*state, "x");
}

static void what_is_forgotten_hears_no_more(void **state)
{
    struct told told = {.forgets = true};
    order(*state, load_of("large"), &told);
    struct msg_progress progress = {.order = told.id, .text = "loading"};
    node_orders_on_progress(*state, &progress);
    node_orders_on_progress(*state, &progress);
    say_done(*state, told.id);
    assert_int_equal(told.progresses, 1);
    assert_int_equal(told.dones, 0);
    assert_int_equal(node_orders_count(*state), 0);
    node_order_forget(NULL);
}

static void past_the_limit_none_is_taken(void **state)
{
    struct told told[NODE_ORDERS_MAX] = {0}, more = {0};
    struct msg msg = {.type = MSG_DRAIN}, sent;
    struct err err;
    for (size_t i = 0; i < NODE_ORDERS_MAX; i++)
        order(*state, msg, &told[i]);
    assert_int_equal(
            node_orders_open(*state, &msg, &events, &more, &sent, &more.order, &err), -ENFILE);
    assert_non_null(strstr(err.text, "halo1"));
    say_done(*state, told[5].id);
    order(*state, msg, &more);
    node_orders_fail_all(*state, "x");
    assert_int_equal(more.dones, 1);
}

static void an_older_node_knows_none_of_the_kind(void **state)
{
    struct told told[3] = {0};
    order(*state, load_of("large"), &told[0]);
    order(*state, (struct msg){.type = MSG_DRAIN}, &told[1]);
    order(*state, load_of("small"), &told[2]);
    node_orders_on_unsupported(*state, MSG_LOAD);
    assert_int_equal(told[0].dones + told[2].dones, 2);
    assert_int_equal(told[1].dones, 0);
    assert_false(told[0].ok);
    assert_string_equal(told[2].text,
            "node \"halo1\" runs an older modemesh, which takes no such orders; update it");
    node_orders_on_unsupported(*state, 200);
    assert_int_equal(told[1].dones, 0);
    node_orders_fail_all(*state, "x");
}

static void a_node_that_is_gone_fails_them_all(void **state)
{
    struct told told[2] = {{.again = true}, {0}};
    char reason[2 * MSG_TEXT_MAX];
    order(*state, load_of("large"), &told[0]);
    order(*state, load_of("small"), &told[1]);
    node_orders_fail_all(*state, "unreachable");
    assert_int_equal(told[0].dones, 2); /* what was asked for meanwhile too */
    assert_int_equal(told[1].dones, 1);
    assert_string_equal(told[1].text, "node \"halo1\" is gone: unreachable");
    memset(reason, 'x', sizeof(reason));
    reason[sizeof(reason) - 1] = '\0';
    order(*state, load_of("small"), &told[1]);
    node_orders_fail_all(*state, reason);
    assert_int_equal(told[1].dones, 2);
}

static void only_a_load_in_earnest_makes_requests_wait(void **state)
{
    struct told told[3] = {0};
    struct msg rehearsal = load_of("large");
    rehearsal.load.rehearse = true;
    order(*state, rehearsal, &told[0]);
    order(*state, (struct msg){.type = MSG_UNLOAD, .unload = {.model = "large"}}, &told[1]);
    assert_false(node_orders_loading(*state, "large"));
    order(*state, load_of("large"), &told[2]);
    assert_true(node_orders_loading(*state, "large"));
    assert_false(node_orders_loading(*state, "small"));
    say_done(*state, told[2].id);
    assert_false(node_orders_loading(*state, "large"));
    node_orders_fail_all(*state, "x");
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(each_kind_has_an_id_of_its_own, setup, teardown),
            cmocka_unit_test_setup_teardown(progress_and_done_find_their_order, setup, teardown),
            cmocka_unit_test_setup_teardown(an_unknown_id_is_late_and_harmless, setup, teardown),
            cmocka_unit_test_setup_teardown(what_is_forgotten_hears_no_more, setup, teardown),
            cmocka_unit_test_setup_teardown(past_the_limit_none_is_taken, setup, teardown),
            cmocka_unit_test_setup_teardown(an_older_node_knows_none_of_the_kind, setup, teardown),
            cmocka_unit_test_setup_teardown(a_node_that_is_gone_fails_them_all, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    only_a_load_in_earnest_makes_requests_wait, setup, teardown),
    };
    return cmocka_run_group_tests_name("node_orders", tests, NULL, NULL);
}

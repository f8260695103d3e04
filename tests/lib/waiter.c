#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/waiter.h"

#include <stdio.h>

static void on_answer(void *ctx, const struct msg_fail *fail)
{
    struct waiter *waiter = ctx;

    waiter->calls++;
    waiter->code = fail == NULL ? -1 : (int)fail->code;
    (void)snprintf(
            waiter->message, sizeof waiter->message, "%s", fail == NULL ? "" : fail->message);
    if (fail == NULL)
        assert_non_null(instance_acquire(waiter->instance));
}

void waiter_begin(struct waiter *waiter, const struct supervisor *supervisor, const char *name)
{
    *waiter = (struct waiter){.wait = {.fn = on_answer, .ctx = waiter}};
    waiter->instance = supervisor_find(supervisor, name);
    assert_non_null(waiter->instance);
    instance_wait(waiter->instance, &waiter->wait);
    assert_int_equal(waiter->calls, 0);
}

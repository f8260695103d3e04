#include "coordinator/deploy/round.h"

#include "common/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct leg { /* the order to one node */
    struct round *round;
    struct node_order *order; /* NULL once it is answered */
    struct round_answer answer;
};

struct round {
    const struct env *env;
    uint64_t limit_ms, begun_ms;
    const struct round_events *events;
    void *ctx;
    struct leg *legs[ROUND_NODES_MAX];
    size_t count, waiting;
    bool ended;
};

struct round *round_create(
        const struct env *env, uint64_t limit_ms, const struct round_events *events, void *ctx)
{
    struct round *round = calloc(1, sizeof(*round));
    if (!round)
        return NULL;
    round->env = env;
    round->limit_ms = limit_ms;
    round->begun_ms = env_now_ms(env);
    round->events = events;
    round->ctx = ctx;
    return round;
}

void round_destroy(struct round *round)
{
    if (!round)
        return;
    for (size_t i = 0; i < round->count; i++) {
        node_order_forget(round->legs[i]->order);
        free(round->legs[i]);
    }
    free(round);
}

static void set_message(struct leg *leg, const char *message)
{
    size_t len = text_utf8_cut(message, strlen(message), MSG_TEXT_MAX);
    memcpy(leg->answer.message, message, len);
    leg->answer.message[len] = '\0';
}

/* May end the round, whose owner may destroy it. */
static void end_if_answered(struct round *round)
{
    if (round->waiting > 0 || round->ended)
        return;
    round->ended = true;
    round->events->on_end(round->ctx);
}

static void on_progress(void *ctx, const char *text)
{
    const struct leg *leg = ctx;
    leg->round->events->on_progress(leg->round->ctx, leg->answer.node, text);
}

static void on_done(void *ctx, const struct msg_done *done)
{
    struct leg *leg = ctx;
    leg->order = NULL;
    leg->answer.ok = done->ok;
    leg->answer.way = done->way;
    set_message(leg, done->message);
    leg->round->waiting--;
    end_if_answered(leg->round);
}

static const struct node_order_events order_events = {
        .on_progress = on_progress, .on_done = on_done};

int round_add(
        struct round *round, struct node_session *session, const struct msg *order, struct err *err)
{
    struct err why;
    if (round->count == ROUND_NODES_MAX)
        return err_set(err, -E2BIG, "more than %d nodes have it; name one", ROUND_NODES_MAX);
    struct leg *leg = calloc(1, sizeof(*leg));
    if (!leg)
        return err_set(err, -ENOMEM, "no memory for an order");
    leg->round = round;
    leg->answer.epoch = node_session_epoch(session);
    snprintf(leg->answer.node, sizeof(leg->answer.node), "%s", node_session_name(session));
    round->legs[round->count++] = leg;
    if (node_session_order(session, order, &order_events, leg, &leg->order, &why) == 0) {
        round->waiting++;
        return 0;
    }
    set_message(leg, why.text);
    return 0;
}

static void give_up(struct round *round)
{
    char limit[32], text[128];
    snprintf(text, sizeof(text), "it has not answered within %s",
            text_format_age(round->limit_ms, limit, sizeof(limit)));
    for (size_t i = 0; i < round->count; i++) {
        struct leg *leg = round->legs[i];
        if (!leg->order)
            continue;
        node_order_forget(leg->order);
        leg->order = NULL;
        set_message(leg, text);
    }
    round->waiting = 0;
}

void round_tick(struct round *round)
{
    if (round->waiting > 0 && env_now_ms(round->env) - round->begun_ms >= round->limit_ms)
        give_up(round);
    end_if_answered(round);
}

size_t round_count(const struct round *round)
{
    return round->count;
}

const struct round_answer *round_at(const struct round *round, size_t index)
{
    return &round->legs[index]->answer;
}

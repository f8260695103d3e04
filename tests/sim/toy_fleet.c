#include "tests/sim/toy_fleet.h"

#include "common/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEARTBEAT_MS = 250 };

static uint64_t now_ms(const struct toy_fleet *fleet)
{
    return fleet->mesh->env.now_us / 1000;
}

static struct toy_node *node_at(struct toy_fleet *fleet, size_t node)
{
    return &fleet->nodes[node];
}

static bool speaks(const struct toy_node *node)
{
    return node->here && !node->silent;
}

static void say(struct toy_fleet *fleet, size_t node, const struct msg *msg)
{
    if (!speaks(node_at(fleet, node)))
        return;
    node_at(fleet, node)->heard_ms = now_ms(fleet);
    fake_mesh_say(fleet->mesh, node, msg);
}

/* --- what it tells of its models --- */

bool toy_model_fits(const struct toy_node *node, const struct toy_model *model)
{
    return model->memory_bytes <= node->limit_bytes;
}

static struct msg_instance describe(const struct toy_model *model)
{
    bool runs = model->state == INSTANCE_RESIDENT || model->state == INSTANCE_LOADING;
    return (struct msg_instance){.model = model->name,
            .state = model->state,
            .memory_bytes = model->memory_bytes,
            .context = model->context,
            .slots = runs ? model->slots : 0,
            .prefill_tok_s = (float)model->prefill_tok_s,
            .decode_tok_s = (float)(1000 / model->step_ms),
            .engine = "toy",
            .note = "",
            .capabilities = model->capabilities,
            .architecture = "",
            .quantisation = "",
            .batch_only = model->batch_only,
            .load_ms = TOY_LOAD_MS,
            .run_context = model->context,
            .run_slots = model->slots,
            .cache_tokens = 4 * (uint64_t)model->context};
}

void toy_node_tell(struct toy_fleet *fleet, size_t node)
{
    const struct toy_node *it = node_at(fleet, node);
    struct msg_instance instances[TOY_MODELS];
    struct msg_state state = {.full = true,
            .draining = it->draining,
            .memory_total_bytes = it->limit_bytes,
            .memory_available_bytes = it->limit_bytes,
            .memory_limit_bytes = it->limit_bytes,
            .instances = instances};
    for (size_t m = 0; m < TOY_MODELS; m++)
        if (it->models[m].here)
            instances[state.instance_count++] = describe(&it->models[m]);
    say(fleet, node, &(struct msg){.type = MSG_STATE, .state = state});
}

/* --- runs --- */

static void drop_run(struct toy_node *node, size_t i)
{
    node->run_count--;
    memmove(&node->runs[i], &node->runs[i + 1], (node->run_count - i) * sizeof(node->runs[0]));
}

static void fail(struct toy_fleet *fleet, size_t node, size_t i, enum fail_code code, bool blamed)
{
    struct toy_node *it = node_at(fleet, node);
    struct toy_run run = it->runs[i];
    drop_run(it, i);
    fleet->events->on_failed(fleet->ctx, node, &run, code, blamed);
    say(fleet, node,
            &(struct msg){.type = MSG_FAIL,
                    .fail = {.stream = run.stream, .code = code, .message = "by chance"}});
}

static void say_deltas(
        struct toy_fleet *fleet, size_t node, const struct msg_delta *deltas, size_t count)
{
    say(fleet, node,
            &(struct msg){.type = MSG_DELTAS, .deltas = {.deltas = deltas, .count = count}});
}

static void say_first(struct toy_fleet *fleet, size_t node, const struct toy_run *run)
{
    const struct msg_delta delta = {
            .stream = run->stream, .kind = DELTA_TEXT, .data = "word", .len = 4};
    fleet->events->on_content(fleet->ctx, node, run);
    say_deltas(fleet, node, &delta, 1);
}

static void answer(struct toy_fleet *fleet, size_t node, size_t i)
{
    struct toy_node *it = node_at(fleet, node);
    struct toy_run run = it->runs[i];
    const struct msg_usage usage = {.prompt_tokens = run.work.prompt_tokens,
            .cached_tokens = run.cached_tokens,
            .completion_tokens = run.work.output_tokens,
            .prefill_ms = run.prefill_ms,
            .decode_ms = (float)(run.until_ms - run.since_ms)};
    const struct msg_delta deltas[] = {
            {.stream = run.stream, .kind = DELTA_FINISH, .data = "stop", .len = 4},
            {.stream = run.stream, .kind = DELTA_USAGE, .usage = usage}};
    drop_run(it, i);
    fleet->events->on_answered(fleet->ctx, node, &run);
    say_deltas(fleet, node, deltas, 2);
    say(fleet, node, &(struct msg){.type = MSG_END, .end = {.stream = run.stream}});
}

static void forget_runs(struct toy_fleet *fleet, size_t node)
{
    struct toy_node *it = node_at(fleet, node);
    while (it->run_count > 0) {
        struct toy_run run = it->runs[it->run_count - 1];
        drop_run(it, it->run_count - 1);
        fleet->events->on_dropped(fleet->ctx, node, &run);
    }
}

static size_t find_run(const struct toy_node *node, uint64_t stream)
{
    size_t i = 0;
    while (i < node->run_count && node->runs[i].stream != stream)
        i++;
    return i;
}

size_t toy_model_runs(const struct toy_fleet *fleet, size_t node, size_t model)
{
    const struct toy_node *it = &fleet->nodes[node];
    size_t count = 0;
    for (size_t i = 0; i < it->run_count; i++)
        count += it->runs[i].model == model;
    return count;
}

/* --- engines --- */

static void set_state(struct toy_fleet *fleet, size_t node, size_t model, enum instance_state state,
        uint64_t for_ms)
{
    struct toy_model *it = &node_at(fleet, node)->models[model];
    it->state = state;
    it->due_ms = now_ms(fleet) + for_ms;
    if (state != INSTANCE_RESIDENT)
        memset(it->held_tokens, 0, sizeof(it->held_tokens));
    toy_node_tell(fleet, node);
}

void toy_engine_dies(struct toy_fleet *fleet, size_t node, size_t model)
{
    struct toy_node *it = node_at(fleet, node);
    if (!it->models[model].here || it->models[model].state != INSTANCE_RESIDENT)
        return;
    for (size_t i = it->run_count; i-- > 0;)
        if (it->runs[i].model == model)
            fail(fleet, node, i, FAIL_ENGINE_DIED, true);
    set_state(fleet, node, model, INSTANCE_FAILED, TOY_RESTART_MS);
}

void toy_model_unloads(struct toy_fleet *fleet, size_t node, size_t model)
{
    const struct toy_model *it = &node_at(fleet, node)->models[model];
    if (it->here && it->state == INSTANCE_RESIDENT && toy_model_runs(fleet, node, model) == 0)
        set_state(fleet, node, model, INSTANCE_STOPPING, TOY_STOP_MS);
}

static bool changes_by_itself(const struct toy_model *model)
{
    return model->here && (model->state == INSTANCE_LOADING || model->state == INSTANCE_FAILED ||
                                  model->state == INSTANCE_STOPPING);
}

static void change_state(struct toy_fleet *fleet, size_t node, size_t model)
{
    switch (node_at(fleet, node)->models[model].state) {
    case INSTANCE_FAILED:
        set_state(fleet, node, model, INSTANCE_LOADING, TOY_LOAD_MS);
        break;
    case INSTANCE_LOADING:
        set_state(fleet, node, model, INSTANCE_RESIDENT, 0);
        break;
    default:
        set_state(fleet, node, model, INSTANCE_AVAILABLE, 0);
    }
}

static void begin_prefill(struct toy_fleet *fleet, struct toy_node *node, struct toy_run *run)
{
    struct toy_model *model = &node->models[run->model];
    bool remembers = run->work.session < TOY_SESSIONS;
    uint32_t held = remembers ? model->held_tokens[run->work.session] : 0;
    run->cached_tokens = held < run->work.prompt_tokens ? held : run->work.prompt_tokens - 1;
    if (remembers)
        model->held_tokens[run->work.session] = run->work.prompt_tokens;
    run->prefill_ms =
            (float)(1e3 * (run->work.prompt_tokens - run->cached_tokens) / model->prefill_tok_s);
    run->phase = TOY_PREFILL;
    run->since_ms = now_ms(fleet);
    run->until_ms = run->since_ms + 1 + (uint64_t)run->prefill_ms;
}

static void begin_decode(struct toy_fleet *fleet, size_t node, struct toy_run *run)
{
    const struct toy_model *model = &node_at(fleet, node)->models[run->model];
    run->phase = TOY_DECODE;
    run->since_ms = now_ms(fleet);
    run->until_ms = run->since_ms + 1 + (uint64_t)(run->work.output_tokens * model->step_ms);
    say_first(fleet, node, run);
}

/* The next that may compute its prompt; NULL: none may, or may yet. */
static struct toy_run *next_prefill(struct toy_node *node, size_t model)
{
    struct toy_run *first = NULL;
    size_t taken = 0;
    for (size_t i = 0; i < node->run_count; i++) {
        struct toy_run *run = &node->runs[i];
        if (run->model != model)
            continue;
        if (run->phase == TOY_PREFILL)
            return NULL;
        taken += run->phase == TOY_DECODE;
        if (run->phase == TOY_QUEUED && run->whole && run->refusal == FAIL_CODE_COUNT && !first)
            first = run;
    }
    return taken < node->models[model].slots ? first : NULL;
}

static void end_phase(struct toy_fleet *fleet, size_t node, size_t i)
{
    struct toy_run *run = &node_at(fleet, node)->runs[i];
    size_t model = run->model;
    if (run->phase == TOY_PREFILL)
        begin_decode(fleet, node, run);
    else if (run->work.fate == TOY_DIES)
        toy_engine_dies(fleet, node, model);
    else
        answer(fleet, node, i);
}

static bool is_due(const struct toy_fleet *fleet, const struct toy_run *run)
{
    return run->phase != TOY_QUEUED && run->until_ms <= now_ms(fleet);
}

static void end_phases(struct toy_fleet *fleet, size_t node)
{
    struct toy_node *it = node_at(fleet, node);
    for (size_t i = 0; i < it->run_count;) {
        uint64_t stream = it->runs[i].stream;
        if (is_due(fleet, &it->runs[i]))
            end_phase(fleet, node, i);
        if (i < it->run_count && it->runs[i].stream == stream && !is_due(fleet, &it->runs[i]))
            i++;
        else if (i < it->run_count && it->runs[i].stream != stream)
            i = 0; /* some have gone */
    }
}

/* Credit, and refusals. */
static void answer_at_once(struct toy_fleet *fleet, size_t node)
{
    struct toy_node *it = node_at(fleet, node);
    for (size_t i = it->run_count; i-- > 0;) {
        struct toy_run *run = &it->runs[i];
        const struct msg_grant grant = {.stream = run->stream, .bytes = run->owed_bytes};
        run->owed_bytes = 0;
        if (grant.bytes > 0)
            say(fleet, node,
                    &(struct msg){.type = MSG_CREDIT, .credit = {.grants = &grant, .count = 1}});
        if (run->refusal != FAIL_CODE_COUNT)
            fail(fleet, node, i, run->refusal, false);
    }
}

static void advance_node(struct toy_fleet *fleet, size_t node)
{
    struct toy_node *it = node_at(fleet, node);
    struct toy_run *next;
    for (size_t m = 0; m < TOY_MODELS; m++)
        if (changes_by_itself(&it->models[m]) && it->models[m].due_ms <= now_ms(fleet))
            change_state(fleet, node, m);
    answer_at_once(fleet, node);
    end_phases(fleet, node);
    for (size_t m = 0; m < TOY_MODELS; m++)
        if (it->models[m].state == INSTANCE_RESIDENT && (next = next_prefill(it, m)))
            begin_prefill(fleet, it, next);
    if (now_ms(fleet) - it->heard_ms >= HEARTBEAT_MS)
        say(fleet, node,
                &(struct msg){
                        .type = MSG_HEARTBEAT, .heartbeat = {.sent_us = now_ms(fleet) * 1000}});
}

/* Its session is over. */
static bool is_given_up(const struct toy_fleet *fleet, const struct toy_node *node)
{
    return node->silent && now_ms(fleet) - node->heard_ms > SESSION_GONE_MS;
}

static void speak_again(struct toy_fleet *fleet, size_t node)
{
    struct toy_node *it = node_at(fleet, node);
    bool was_given_up = is_given_up(fleet, it);
    it->silent = false;
    if (was_given_up)
        toy_node_comes(fleet, node);
    else
        toy_node_tell(fleet, node);
}

void toy_fleet_advance(struct toy_fleet *fleet)
{
    for (size_t n = 0; n < TOY_NODES; n++) {
        struct toy_node *it = node_at(fleet, n);
        if (it->here && is_given_up(fleet, it))
            forget_runs(fleet, n);
        if (it->here && it->silent && it->silent_until_ms <= now_ms(fleet))
            speak_again(fleet, n);
        if (speaks(it))
            advance_node(fleet, n);
    }
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t node_due_ms(const struct toy_node *node)
{
    uint64_t due_ms = node->heard_ms + HEARTBEAT_MS;
    if (node->silent)
        return node->silent_until_ms;
    for (size_t m = 0; m < TOY_MODELS; m++)
        if (changes_by_itself(&node->models[m]))
            due_ms = lesser(due_ms, node->models[m].due_ms);
    for (size_t i = 0; i < node->run_count; i++)
        if (node->runs[i].phase != TOY_QUEUED)
            due_ms = lesser(due_ms, node->runs[i].until_ms);
    return due_ms;
}

uint64_t toy_fleet_due_ms(const struct toy_fleet *fleet)
{
    uint64_t due_ms = UINT64_MAX;
    for (size_t n = 0; n < TOY_NODES; n++)
        if (fleet->nodes[n].here)
            due_ms = lesser(due_ms, node_due_ms(&fleet->nodes[n]));
    return due_ms;
}

/* --- what it is sent --- */

static size_t model_named(const struct toy_node *node, const char *name)
{
    size_t m = 0;
    while (strcmp(node->models[m].name, name) != 0)
        if (++m == TOY_MODELS)
            abort();
    return m;
}

static void load_if_needed(struct toy_fleet *fleet, size_t node, size_t model)
{
    if (node_at(fleet, node)->models[model].state == INSTANCE_AVAILABLE)
        set_state(fleet, node, model, INSTANCE_LOADING, TOY_LOAD_MS);
}

/* Why it cannot take this one at all; FAIL_CODE_COUNT: it can. */
static enum fail_code reason_against(const struct toy_node *node, const struct toy_run *run)
{
    const struct toy_model *model = &node->models[run->model];
    if (!model->here)
        return FAIL_NO_MODEL;
    if (run->work.fate == TOY_REFUSES)
        return FAIL_OVERLOADED;
    if (run->work.prompt_tokens + run->work.output_tokens > model->context)
        return FAIL_CONTEXT_EXCEEDED;
    return FAIL_CODE_COUNT;
}

static void on_start(struct toy_fleet *fleet, size_t node, const struct msg_start *start)
{
    struct toy_node *it = node_at(fleet, node);
    struct toy_run run = {.stream = start->stream, .model = model_named(it, start->model)};
    (void)snprintf(run.id, sizeof(run.id), "%s", start->request_id);
    if (it->run_count == TOY_RUNS_MAX)
        abort();
    fleet->events->on_start(fleet->ctx, node, run.model, start, &run.work);
    run.refusal = reason_against(it, &run);
    if (run.refusal == FAIL_CODE_COUNT)
        load_if_needed(fleet, node, run.model);
    it->runs[it->run_count++] = run;
}

static void on_body(struct toy_fleet *fleet, size_t node, const struct msg_body *body)
{
    struct toy_node *it = node_at(fleet, node);
    size_t i = find_run(it, body->stream);
    if (i == it->run_count)
        return;
    it->runs[i].whole = body->last;
    it->runs[i].owed_bytes += body->last ? 0 : (uint32_t)body->len;
}

static void on_cancel(struct toy_fleet *fleet, size_t node, uint64_t stream)
{
    struct toy_node *it = node_at(fleet, node);
    size_t i = find_run(it, stream);
    if (i == it->run_count)
        return;
    struct toy_run run = it->runs[i];
    drop_run(it, i);
    fleet->events->on_dropped(fleet->ctx, node, &run);
}

static void on_msg(struct toy_fleet *fleet, size_t node, const struct msg *msg)
{
    if (msg->type == MSG_WELCOME)
        node_at(fleet, node)->epoch = msg->welcome.epoch;
    else if (msg->type == MSG_START)
        on_start(fleet, node, &msg->start);
    else if (msg->type == MSG_BODY)
        on_body(fleet, node, &msg->body);
    else if (msg->type == MSG_CANCEL)
        on_cancel(fleet, node, msg->cancel.stream);
}

bool toy_fleet_read(struct toy_fleet *fleet)
{
    bool any = false;
    struct msg msg;
    for (size_t n = 0; n < TOY_NODES; n++)
        while (node_at(fleet, n)->here && fake_link_next(&fleet->mesh->link, n, &msg)) {
            on_msg(fleet, n, &msg);
            any = true;
        }
    return any;
}

/* --- what happens to it --- */

void toy_node_comes(struct toy_fleet *fleet, size_t node)
{
    struct toy_node *it = node_at(fleet, node);
    forget_runs(fleet, node);
    fake_link_forget(&fleet->mesh->link, node);
    fleet->mesh->link.result[node] = 0;
    it->here = true;
    it->silent = it->draining = false;
    it->heard_ms = now_ms(fleet);
    fake_mesh_hello(fleet->mesh, node, "toy");
    (void)toy_fleet_read(fleet);
    toy_node_tell(fleet, node);
}

void toy_node_goes(struct toy_fleet *fleet, size_t node)
{
    struct toy_node *it = node_at(fleet, node);
    if (!it->here)
        return;
    forget_runs(fleet, node);
    it->here = it->silent = false;
    fake_link_forget(&fleet->mesh->link, node);
    fleet->mesh->link.result[node] = -EHOSTUNREACH;
    node_table_on_disconnect_hint(fleet->mesh->nodes, fake_link_peer(node).fd);
}

void toy_node_falls_silent(struct toy_fleet *fleet, size_t node, uint64_t for_ms)
{
    struct toy_node *it = node_at(fleet, node);
    if (!speaks(it))
        return;
    it->silent = true;
    it->silent_until_ms = now_ms(fleet) + for_ms;
}

void toy_fleet_init(
        struct toy_fleet *fleet, struct fake_mesh *mesh, const struct toy_events *events, void *ctx)
{
    *fleet = (struct toy_fleet){.mesh = mesh, .events = events, .ctx = ctx};
}

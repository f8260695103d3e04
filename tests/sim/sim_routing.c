/* The whole way of requests in a coordinator, from the body of an HTTP request to the wire, driven
 * by chance on a virtual clock: the real API, modes, jobs, queue, router, fleet and sessions with
 * nodes, between clients that are this test and nodes that are not there (toy_fleet.h). First comes
 * a storm: nodes come, go, fall silent and drain, engines die in the middle of answers, models are
 * loaded, unloaded, deleted and changed, requests are refused and given up. Then a flood in calm
 * weather: one key, the highest priority and autocomplete take all that there is, for ever, and
 * others still have their turn. What routing promises is checked at every step against a naive
 * reading of what the nodes have told. MODEMESH_SEED repeats the run that failed. */
#include "coordinator/api/caller.h"
#include "coordinator/api/inference.h"
#include "coordinator/cursor.h"
#include "coordinator/dialects/openai/openai.h"
#include "coordinator/job/job_internal.h"
#include "coordinator/router/seat.h"
#include "coordinator/scheduling/affinity.h"
#include "tests/lib/fake_exchange.h"
#include "tests/lib/modes_maker.h"
#include "tests/sim/toy_fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STORM_MS = 90 * 1000,
    FLOOD_MS = 150 * 1000,
    DRAIN_MS = 11 * 60 * 1000, /* nothing lasts longer than the patience of all */
    TICK_MS = 100,
    LOOK_MS = 500, /* how often those that wait are looked at */
    ASK_GAP_MS = 150,
    EVENT_GAP_MS = 900,
    ASKS_MAX = 400,  /* open at once */
    ASKS_CALM = 150, /* … past which a storm brings no more of them */
    KEYS = 8,
    FLOOD_KEY = 0,
    CHAIN_MAX = 2,               /* modes that one request may go by */
    ELSEWHERE = CURSOR_KEYS_MAX, /* copies of its id before a request's cursor: no other is one
                                    keystroke away */
    TURN_ROUNDS = 1000,
    SLACK_MS = 200, /* what the coordinator does about ten times a second may be so late. */
    /* What waits in a flood has its turn after so long: FAIR_SHARE times its tokens have passed it
     * for each that is before it in its class, at a rate of some thousands a second. */
    WAIT_MAX_MS = 90 * 1000,
    ASK_TOKENS_MAX = 50000,   /* of one that is sent */
    WEARY_MS = 5 * 60 * 1000, /* after so long a client leaves, in a storm */
};

static const char config[] = "modes:\n"
                             "  ask: {models: [small, balanced], priority: interactive}\n"
                             "  code: {models: [balanced, large]}\n"
                             "  urgent: {models: [balanced], priority: 9}\n"
                             "  low: {models: [balanced], priority: 1}\n"
                             "  patient: {models: [small], priority: 1}\n"
                             "  chores: {models: [vast, small], batch: true}\n"
                             "  autocomplete: {models: [small]}\n"
                             "  picky: {models: [small, large], quality: {small: 40, large: 80},"
                             " floor: 60, when-none: refuse}\n"
                             "  rare: {models: [vast], when-none: ask, patience: 20s}\n";

enum { SMALL, BALANCED, LARGE, VAST };
static const char *const model_names[TOY_MODELS] = {"small", "balanced", "large", "vast"};

#define BIT(model) (1U << (model))

static const struct policy { /* what the config says, in the test's own words */
    const char *mode;
    unsigned models;
    bool batch, refuses;
    uint64_t patience_ms;
    int next; /* -1: none */
} policies[] = {
        {"ask", BIT(SMALL) | BIT(BALANCED), false, false, 600000, -1},
        {"code", BIT(BALANCED) | BIT(LARGE), false, false, 600000, -1},
        {"urgent", BIT(BALANCED), false, false, 600000, -1},
        {"low", BIT(BALANCED), false, false, 600000, -1},
        {"patient", BIT(SMALL), false, false, 600000, -1},
        {"chores", BIT(VAST) | BIT(SMALL), true, false, 600000, -1},
        {"autocomplete", BIT(SMALL), false, false, 600000, -1},
        {"picky", BIT(SMALL) | BIT(LARGE), false, true, 600000, -1},
        {"rare", BIT(VAST), false, false, 20000, 0},
};
enum { ASK, CODE, URGENT, LOW, PATIENT, CHORES, AUTOCOMPLETE, PICKY, RARE, POLICIES };

struct ask { /* a request, and its client */
    bool open, streams;
    struct http_exchange exchange;
    char id[REQUEST_ID_MAX];
    const struct policy *policy;
    size_t key, session;
    uint32_t prompt_tokens, output_tokens, needs;
    enum toy_fate fate;
    unsigned options[CHAIN_MAX]; /* models of its mode, and of the one that comes instead */
    uint64_t asked_ms, leaves_ms;
    uint64_t able_since_ms; /* it could have been sent all the time since; 0: it cannot be */

    bool runs;
    size_t node, model;
    uint64_t sent_ms;
    unsigned attempts;
    struct router_avoid failed[JOB_ATTEMPTS_MAX];
    size_t failed_count;
    bool has_content, answered;
    enum fail_code fail; /* the last; FAIL_CODE_COUNT: none */
};

struct circuit { /* of a model on a node, counted by ourselves */
    unsigned failures;
    uint64_t failed_ms, rests_until_ms;
};

struct tally {
    unsigned asked, answered, refused, unable, too_long, failed, left, moved, storms;
    uint64_t longest_wait_ms, longest_calm_ms;
    size_t most_open;
};

struct world {
    uint64_t seed, chance;
    struct fake_mesh mesh;
    struct toy_fleet fleet;
    struct modes modes;
    struct affinities *affinities;
    struct jobs *jobs;
    struct admin_view view;
    struct api api;
    struct api_key keys[KEYS];
    struct ask asks[ASKS_MAX];
    size_t open_count;
    struct circuit circuits[TOY_NODES][TOY_MODELS];
    uint64_t tick_ms, look_ms;
    bool calm;
    uint64_t tokens, tokens_beyond; /* that were sent; … to where there was no slot */
    struct tally tally;
};

static struct world *w;

static uint64_t now_ms(void)
{
    return w->mesh.env.now_us / 1000;
}

static void tell_ask(const struct ask *ask)
{
    print_error("  %s %s of key %zu, %u tokens, needs %u, models %u and %u, asked %" PRIu64
                ", able since %" PRIu64 "%s on node %zu, %s; %u attempts\n",
            ask->id, ask->policy->mode, ask->key, ask->prompt_tokens, ask->needs, ask->options[0],
            ask->options[1], ask->asked_ms, ask->able_since_ms, ask->runs ? ", runs" : ", was",
            ask->node, model_names[ask->model], ask->attempts);
    for (size_t i = 0; i < ask->failed_count; i++)
        print_error("    failed on %s in session %u\n", ask->failed[i].model, ask->failed[i].epoch);
}

static void tell_model(size_t n, size_t m)
{
    const struct toy_model *model = &w->fleet.nodes[n].models[m];
    if (model->here)
        print_error("    %s: %s, %zu of %u slots, context %u, can %u%s%s, rests until %" PRIu64
                    "\n",
                model->name, instance_state_name(model->state), toy_model_runs(&w->fleet, n, m),
                model->slots, model->context, model->capabilities,
                model->batch_only ? ", batch only" : "",
                toy_model_fits(&w->fleet.nodes[n], model) ? "" : ", too large",
                w->circuits[n][m].rests_until_ms);
}

/* Tells how everything stands. */
static void broken(const struct ask *ask, const char *promise)
{
    print_error("MODEMESH_SEED=%" PRIu64 ", %" PRIu64 " ms, %s: not %s\n", w->seed, now_ms(),
            w->calm ? "calm" : "storm", promise);
    for (size_t n = 0; n < TOY_NODES; n++) {
        const struct toy_node *node = &w->fleet.nodes[n];
        print_error("  node %zu, session %u%s%s%s, heard %" PRIu64 "\n", n, node->epoch,
                node->here ? "" : ", gone", node->silent ? ", silent" : "",
                node->draining ? ", drains" : "", node->heard_ms);
        for (size_t m = 0; m < TOY_MODELS; m++)
            tell_model(n, m);
    }
    if (ask)
        tell_ask(ask);
    if (ask && ask->exchange.status)
        print_error("  %d: %s\n", ask->exchange.status,
                fake_exchange_text((struct buf *)&ask->exchange.body));
    fail();
}

#define check(ask, condition) ((condition) ? (void)0 : broken(ask, #condition))

/* --- chance --- */

static uint64_t below(uint64_t bound)
{
    w->chance = w->chance * 6364136223846793005u + 1442695040888963407u;
    return (w->chance >> 33) % bound;
}

static bool chance(unsigned percent)
{
    return below(100) < percent;
}

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t gap_ms(uint64_t mean_ms)
{
    double part = ((double)below(1000000) + 1) / 1000000;
    return 1 + (uint64_t)(-log(part) * (double)mean_ms);
}

/* --- the naive reading: may this be sent there? --- */

enum standing {
    NEVER,    /* whatever happens to the node, but for models and settings that change */
    TOO_LONG, /* … as its context is too small */
    NOT_NOW,  /* it passes by itself */
    RESTS,    /* its circuit is open: only where nothing else can */
    UNSURE,   /* it changes in this moment */
    ABLE,
};

static bool lacks(const struct ask *ask, const struct toy_model *model)
{
    const uint32_t of_template = model->capabilities & CAPABILITY_TEMPLATE ? CAPABILITY_TOOLS : 0;
    const uint32_t of_file = CAPABILITY_CHAT | CAPABILITY_FIM | of_template;
    uint32_t lacking = ask->needs & ~model->capabilities;
    return model->capabilities & CAPABILITY_EXACT ? lacking : lacking & of_file;
}

/* Prompts are drawn so that no guess of their tokens is near a context. */
static bool is_too_long(const struct ask *ask, const struct toy_model *model)
{
    return ask->prompt_tokens > model->context;
}

static enum standing now_of_node(const struct toy_node *node)
{
    uint64_t silent_ms = now_ms() - node->heard_ms;
    if (silent_ms > SESSION_SUSPECT_MS + SLACK_MS)
        return NOT_NOW;
    return silent_ms >= SESSION_SUSPECT_MS - SLACK_MS ? UNSURE : ABLE;
}

static enum standing now_of_circuit(const struct circuit *circuit)
{
    if (now_ms() + SLACK_MS < circuit->rests_until_ms)
        return RESTS;
    return now_ms() < circuit->rests_until_ms + SLACK_MS ? UNSURE : ABLE;
}

static enum standing now_of_state(enum instance_state state)
{
    return state == INSTANCE_FAILED || state == INSTANCE_STOPPING ? NOT_NOW : ABLE;
}

static enum standing worse(enum standing a, enum standing b)
{
    return a < b ? a : b;
}

static bool is_connected(size_t n)
{
    const struct toy_node *node = &w->fleet.nodes[n];
    return node->here && now_ms() - node->heard_ms <= SESSION_GONE_MS;
}

static enum standing standing_of(const struct ask *ask, bool batch, size_t n, size_t m)
{
    const struct toy_node *node = &w->fleet.nodes[n];
    const struct toy_model *model = &node->models[m];
    if (!is_connected(n) || node->draining || !model->here || lacks(ask, model) ||
            (model->batch_only && !batch))
        return NEVER;
    if (model->state == INSTANCE_AVAILABLE && !toy_model_fits(node, model))
        return NEVER;
    if (is_too_long(ask, model))
        return TOO_LONG;
    return worse(worse(now_of_node(node), now_of_circuit(&w->circuits[n][m])),
            now_of_state(model->state));
}

/* "picky" wants 60 points, and says that the small one has 40. */
static unsigned models_of(const struct policy *policy)
{
    return policy == &policies[PICKY] ? BIT(LARGE) : policy->models;
}

static bool has_failed(const struct ask *ask, size_t n, size_t m)
{
    for (size_t i = 0; i < ask->failed_count; i++)
        if (ask->failed[i].epoch == w->fleet.nodes[n].epoch &&
                strcmp(ask->failed[i].model, model_names[m]) == 0)
            return true;
    return false;
}

static const struct policy *policy_at(const struct ask *ask, size_t link)
{
    return link == 0 ? ask->policy : ask->policy->next >= 0 ? &policies[ask->policy->next] : NULL;
}

/* The best that any of the models can do for it now, but for what it has failed on. */
static enum standing best_standing(const struct ask *ask, size_t link)
{
    enum standing best = NEVER;
    for (size_t n = 0; n < TOY_NODES; n++)
        for (size_t m = 0; m < TOY_MODELS; m++) {
            if (!(ask->options[link] & BIT(m)) || has_failed(ask, n, m))
                continue;
            enum standing it = standing_of(ask, policy_at(ask, link)->batch, n, m);
            best = it > best ? it : best;
        }
    return best;
}

/* It is there, or may come back, and has the memory. */
static bool may_hold(bool batch, size_t n, size_t m)
{
    const struct toy_node *node = &w->fleet.nodes[n];
    const struct toy_model *model = &node->models[m];
    return !node->draining && (!model->batch_only || batch) &&
           (model->state != INSTANCE_AVAILABLE || toy_model_fits(node, model));
}

/* Of those that are too short for it, and may hold a shorter one; or of all, where none may. */
static uint32_t largest_of(const struct ask *ask, size_t link, bool held)
{
    uint32_t largest = 0;
    bool batch = policy_at(ask, link)->batch;
    for (size_t n = 0; n < TOY_NODES; n++)
        for (size_t m = 0; m < TOY_MODELS; m++) {
            const struct toy_model *model = &w->fleet.nodes[n].models[m];
            if (ask->options[link] & BIT(m) && is_connected(n) && model->here &&
                    !lacks(ask, model) && is_too_long(ask, model) &&
                    (!model->batch_only || batch) && (!held || may_hold(batch, n, m)))
                largest = model->context > largest ? model->context : largest;
        }
    return largest;
}

static uint32_t largest_context(const struct ask *ask, size_t link)
{
    uint32_t largest = largest_of(ask, link, true);
    return largest ? largest : largest_of(ask, link, false);
}

/* --- which models may answer, when it is asked --- */

/* A model that no node has may come; one that none may hold, too. */
static bool serves(const struct ask *ask, bool batch, size_t m)
{
    bool any = false, able = false, held = false, long_enough = false;
    for (size_t n = 0; n < TOY_NODES; n++) {
        const struct toy_model *model = &w->fleet.nodes[n].models[m];
        if (!is_connected(n) || !model->here)
            continue;
        any = true;
        if (lacks(ask, model))
            continue;
        able = true;
        held |= may_hold(batch, n, m);
        long_enough |= may_hold(batch, n, m) && !is_too_long(ask, model);
    }
    return !any || (able && (long_enough || !held));
}

static void note_options(struct ask *ask)
{
    for (size_t link = 0; link < CHAIN_MAX && policy_at(ask, link); link++) {
        const struct policy *policy = policy_at(ask, link);
        ask->options[link] = 0;
        for (size_t m = 0; m < TOY_MODELS; m++)
            if (policy->models & BIT(m) && serves(ask, policy->batch, m))
                ask->options[link] |= BIT(m);
        if (ask->options[link] == 0)
            ask->options[link] = policy->models;
        ask->options[link] &= models_of(policy);
    }
}

/* --- what becomes of requests on nodes --- */

static struct ask *find_ask(const char *id)
{
    for (size_t i = 0; i < ASKS_MAX; i++)
        if (w->asks[i].open && strcmp(w->asks[i].id, id) == 0)
            return &w->asks[i];
    return NULL;
}

/* Nothing else can take it: one that has failed it may, or the longest, though it seems too short.
 */
static bool is_last_resort(const struct ask *ask, size_t link, size_t n, size_t m)
{
    const struct toy_model *model = &w->fleet.nodes[n].models[m];
    return best_standing(ask, link) <= TOO_LONG &&
           (!is_too_long(ask, model) || model->context == largest_context(ask, link));
}

static bool may_go(const struct ask *ask, size_t link, size_t n, size_t m)
{
    if (!(ask->options[link] & BIT(m)))
        return false;
    enum standing it = standing_of(ask, policy_at(ask, link)->batch, n, m);
    bool best = it >= UNSURE || (it == RESTS && best_standing(ask, link) <= UNSURE);
    if (best && !has_failed(ask, n, m))
        return true;
    return (it >= RESTS || it == TOO_LONG) && is_last_resort(ask, link, n, m);
}

static bool is_autocomplete(const struct ask *ask)
{
    return ask->policy == &policies[AUTOCOMPLETE];
}

/* Beyond what is let in otherwise, chat has room only for the least share of those who are passed
 * by others for too long: one token of FAIR_SHARE, and one request of each priority. */
static void count_room(const struct ask *ask, uint32_t tokens, size_t runs, size_t slots)
{
    w->tokens += tokens;
    if (is_autocomplete(ask) || runs < slots + ROUTING_BEYOND_SLOTS)
        return;
    w->tokens_beyond += tokens;
    check(ask, w->tokens_beyond * FAIR_SHARE <=
                       w->tokens + (uint64_t)FAIR_SHARE * ASK_TOKENS_MAX * (FAIR_PRIORITY_MAX + 1));
}

static void check_room(const struct ask *ask, size_t n, size_t m, uint32_t tokens)
{
    size_t runs = toy_model_runs(&w->fleet, n, m), slots = w->fleet.nodes[n].models[m].slots;
    check(ask, runs < slots + ROUTING_BEYOND_SLOTS + ROUTING_AUTOCOMPLETE_BEYOND);
    count_room(ask, tokens, runs, slots);
}

/* By the engine. A picture has as many as it is taken for. */
static uint32_t tokens_of(const struct ask *ask, const struct msg_start *start)
{
    double bytes = (double)start->body_bytes;
    if (ask->needs & CAPABILITY_VISION)
        bytes += PREFIX_IMAGE_BYTES;
    return (uint32_t)(bytes / TOKEN_RATIO_PRIOR);
}

static void on_start(
        void *ctx, size_t n, size_t m, const struct msg_start *start, struct toy_work *ret_work)
{
    struct ask *ask = find_ask(start->request_id);
    (void)ctx;
    check(ask, ask != NULL);
    check(ask, !ask->runs && !ask->has_content);
    check(ask, ask->attempts < JOB_ATTEMPTS_MAX);
    ask->node = n;
    ask->model = m;
    check(ask, may_go(ask, 0, n, m) || (policy_at(ask, 1) && may_go(ask, 1, n, m)));
    check_room(ask, n, m, start->prompt_tokens + ask->output_tokens);
    ask->runs = true;
    ask->sent_ms = now_ms();
    ask->attempts++;
    ask->able_since_ms = 0;
    *ret_work = (struct toy_work){.prompt_tokens = tokens_of(ask, start),
            .output_tokens = ask->output_tokens,
            .session = ask->session,
            .fate = ask->fate};
}

static void on_content(void *ctx, size_t n, const struct toy_run *run)
{
    struct ask *ask = find_ask(run->id);
    (void)ctx;
    (void)n;
    check(ask, ask && ask->runs);
    ask->has_content = ask->streams; /* a whole answer may begin again */
}

static void close_circuit(size_t n, size_t m)
{
    w->circuits[n][m] = (struct circuit){0};
}

static void on_answered(void *ctx, size_t n, const struct toy_run *run)
{
    struct ask *ask = find_ask(run->id);
    (void)ctx;
    check(ask, ask && ask->runs);
    close_circuit(n, run->model);
    ask->runs = false;
    ask->answered = true;
}

static void count_failure(const struct ask *ask, size_t n, size_t m)
{
    struct circuit *circuit = &w->circuits[n][m];
    if (circuit->failures > 0 && ask->sent_ms < circuit->failed_ms)
        return;
    circuit->failures++;
    circuit->failed_ms = now_ms();
    if (circuit->failures >= SEAT_TRIPS)
        circuit->rests_until_ms =
                now_ms() + (uint64_t)fmin(ldexp(SEAT_REST_MS, (int)circuit->failures - SEAT_TRIPS),
                                   SEAT_REST_MAX_MS);
}

static void note_failed(struct ask *ask, size_t n, size_t m)
{
    ask->runs = false;
    ask->failed[ask->failed_count++ % JOB_ATTEMPTS_MAX] =
            (struct router_avoid){.epoch = w->fleet.nodes[n].epoch, .model = model_names[m]};
    ask->failed_count = ask->failed_count < JOB_ATTEMPTS_MAX ? ask->failed_count : JOB_ATTEMPTS_MAX;
}

static void on_failed(
        void *ctx, size_t n, const struct toy_run *run, enum fail_code code, bool blamed)
{
    struct ask *ask = find_ask(run->id);
    (void)ctx;
    check(ask, ask && ask->runs);
    if (blamed)
        count_failure(ask, n, run->model);
    note_failed(ask, n, run->model);
    ask->fail = code;
    ask->fate = chance(70) ? TOY_ANSWERS : ask->fate;
}

/* The session is gone, or the coordinator has cancelled it: then its client has left. */
static void on_dropped(void *ctx, size_t n, const struct toy_run *run)
{
    struct ask *ask = find_ask(run->id);
    (void)ctx;
    if (!ask)
        return;
    note_failed(ask, n, run->model);
    ask->fail = FAIL_ENGINE_DIED;
}

static const struct toy_events fleet_events = {.on_start = on_start,
        .on_content = on_content,
        .on_answered = on_answered,
        .on_failed = on_failed,
        .on_dropped = on_dropped};

/* --- clients --- */

static struct ask *free_ask(void)
{
    for (size_t i = 0; i < ASKS_MAX; i++)
        if (!w->asks[i].open)
            return &w->asks[i];
    return NULL;
}

/* Prompts of one conversation begin alike. */
static void write_prompt(const struct ask *ask, struct buf *out)
{
    size_t bytes = (size_t)(ask->prompt_tokens * TOKEN_RATIO_PRIOR);
    char begin[64];
    int len = snprintf(begin, sizeof(begin), "%s ", ask->session < TOY_SESSIONS ? "" : ask->id);
    fake_exchange_must(buf_append(out, begin, (size_t)len));
    for (size_t i = (size_t)len; i < bytes; i++)
        fake_exchange_must(buf_append(out, &"abcdefghijklmnopqrstuvwxyz"[ask->session % 26], 1));
}

static void write_chat(const struct ask *ask, struct buf *out)
{
    static const char tools[] = "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
                                "\"parameters\":{\"type\":\"object\"}}}],";
    static const char image[] =
            "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AAAA\"}},";
    fake_exchange_must(buf_appendf(out, "{\"model\":\"%s\",\"stream\":%s,\"max_tokens\":%u,%s",
            ask->policy->mode, ask->streams ? "true" : "false", ask->output_tokens,
            ask->needs & CAPABILITY_TOOLS ? tools : ""));
    if (ask->session < TOY_SESSIONS)
        fake_exchange_must(buf_appendf(out, "\"prompt_cache_key\":\"s%zu\",", ask->session));
    fake_exchange_must(buf_appendf(out,
            "\"messages\":[{\"role\":\"user\",\"content\":[%s{\"type\":\"text\",\"text\":\"",
            ask->needs & CAPABILITY_VISION ? image : ""));
    write_prompt(ask, out);
    fake_exchange_must(buf_append_str(out, "\"}]}]}"));
}

static void write_completion(const struct ask *ask, struct buf *out)
{
    fake_exchange_must(buf_appendf(out,
            "{\"model\":\"autocomplete\",\"stream\":true,\"max_tokens\":%u,\"prompt\":\"",
            ask->output_tokens));
    write_prompt(ask, out);
    for (size_t i = 0; i < ELSEWHERE; i++)
        fake_exchange_must(buf_appendf(out, " %s", ask->id));
    fake_exchange_must(buf_append_str(out, "\",\"suffix\":\"b\"}"));
}

static void post(struct ask *ask)
{
    const struct dialect *dialect =
            is_autocomplete(ask) ? &dialect_openai_completions : &dialect_openai_chat;
    const struct caller caller = {.key = &w->keys[ask->key], .nodes = w->mesh.nodes};
    struct call call = {.api = &w->api,
            .exchange = &ask->exchange,
            .caller = &caller,
            .family = dialect->family,
            .dialect = dialect,
            .tail = ""};
    strcpy(call.request_id, ask->id);
    ask->exchange.more[0].name = "Content-Type";
    ask->exchange.more[0].value = "application/json";
    if (is_autocomplete(ask))
        write_completion(ask, &ask->exchange.request_body);
    else
        write_chat(ask, &ask->exchange.request_body);
    fake_exchange_must(buf_terminate(&ask->exchange.request_body));
    inference_serve(&call);
}

/* Of one of three lengths, each for one of three contexts, or longer than all. */
static uint32_t draw_tokens(void)
{
    uint64_t kind = below(1000);
    if (kind < 850)
        return 100 + (uint32_t)below(2400);
    if (kind < 975)
        return 6000 + (uint32_t)below(5000);
    return kind < 997 ? 25000 + (uint32_t)below(20000) : 90000;
}

static struct ask *open_ask(const struct policy *policy, size_t key)
{
    struct ask *ask = free_ask();
    assert_non_null(ask);
    *ask = (struct ask){.open = true,
            .policy = policy,
            .key = key,
            .streams = policy == &policies[AUTOCOMPLETE] || chance(70),
            .session = SIZE_MAX,
            .prompt_tokens = 100 + (uint32_t)below(1500),
            .output_tokens = 20 + (uint32_t)below(80),
            .needs = policy == &policies[AUTOCOMPLETE] ? CAPABILITY_FIM : CAPABILITY_CHAT,
            .asked_ms = now_ms(),
            .leaves_ms = UINT64_MAX,
            .fail = FAIL_CODE_COUNT};
    fake_exchange_init(&ask->exchange);
    (void)snprintf(ask->id, sizeof(ask->id), "req_%u", w->tally.asked++);
    w->open_count++;
    if (w->open_count > w->tally.most_open)
        w->tally.most_open = w->open_count;
    return ask;
}

static void go(struct ask *ask)
{
    note_options(ask);
    post(ask);
}

static void close_ask(struct ask *ask)
{
    fake_exchange_fini(&ask->exchange);
    ask->open = false;
    w->open_count--;
}

static void leave(struct ask *ask)
{
    ask->runs = false;
    ask->open = false;
    fake_exchange_leave(&ask->exchange);
    ask->open = true;
    w->tally.left++;
    close_ask(ask);
}

/* --- how requests end --- */

static bool said(struct ask *ask, const char *code)
{
    char text[64];
    (void)snprintf(text, sizeof(text), "\"%s\"", code);
    return fake_exchange_has(&ask->exchange, text);
}

static size_t last_link(const struct ask *ask)
{
    return policy_at(ask, 1) ? 1 : 0;
}

/* An answer is whole, and comes from one node that gave all of it. */
static bool is_whole(struct ask *ask)
{
    if (ask->exchange.status != 200 || ask->exchange.aborted)
        return false;
    return !fake_exchange_has(&ask->exchange, "\"error\"");
}

static uint64_t patience_ms(const struct ask *ask)
{
    uint64_t sum = 0;
    for (size_t link = 0; link < CHAIN_MAX && policy_at(ask, link); link++)
        sum += policy_at(ask, link)->patience_ms;
    return sum;
}

/* For a prompt that is too long it would be asked. */
static void check_nothing_is_loaded(const struct ask *ask)
{
    uint32_t longest = 0;
    for (size_t link = 0; link < CHAIN_MAX && policy_at(ask, link); link++)
        longest = (uint32_t)greater(longest, largest_context(ask, link));
    check(ask, ask->prompt_tokens > 2 * longest);
    for (size_t n = 0; n < TOY_NODES; n++)
        for (size_t m = 0; m < TOY_MODELS; m++) {
            const struct toy_model *model = &w->fleet.nodes[n].models[m];
            bool loaded = model->state == INSTANCE_RESIDENT || model->state == INSTANCE_LOADING;
            for (size_t link = 0; link < CHAIN_MAX && policy_at(ask, link); link++)
                check(ask,
                        !loaded || model->context < longest || !(ask->options[link] & BIT(m)) ||
                                standing_of(ask, policy_at(ask, link)->batch, n, m) != TOO_LONG ||
                                has_failed(ask, n, m) || now_of_node(&w->fleet.nodes[n]) != ABLE);
        }
}

static void check_refusal(struct ask *ask)
{
    if (said(ask, "no_node_available")) {
        check(ask, best_standing(ask, last_link(ask)) < TOO_LONG);
        w->tally.refused++;
    } else if (said(ask, "unsupported_by_model")) {
        check(ask, best_standing(ask, last_link(ask)) <= TOO_LONG);
        w->tally.unable++;
    } else if (fake_exchange_has(&ask->exchange, "the prompt has about ")) {
        check(ask, best_standing(ask, last_link(ask)) <= TOO_LONG);
        check_nothing_is_loaded(ask);
        w->tally.too_long++;
    } else if (fake_exchange_has(&ask->exchange, "no node can serve")) {
        check(ask, ask->policy->refuses || now_ms() - ask->asked_ms >= ask->policy->patience_ms);
        check(ask, ask->policy->refuses || !w->calm || now_ms() - ask->asked_ms < FLOOD_MS);
        check(ask, now_ms() - ask->asked_ms <= patience_ms(ask) + FLOOD_MS);
        w->tally.refused++;
    } else {
        check(ask, ask->fail != FAIL_CODE_COUNT);
        check(ask, ask->has_content || !fail_code_retryable(ask->fail) ||
                           ask->attempts == JOB_ATTEMPTS_MAX);
        w->tally.failed++;
    }
}

static bool has_ended(const struct ask *ask)
{
    return ask->exchange.status != 0 && !ask->exchange.open;
}

static void look_at_end(struct ask *ask)
{
    if (!has_ended(ask))
        return;
    check(ask, !ask->runs);
    check(ask, is_whole(ask) == ask->answered);
    w->tally.moved += ask->attempts > 1;
    if (ask->answered)
        w->tally.answered++;
    else
        check_refusal(ask);
    close_ask(ask);
}

/* --- how long they wait --- */

static bool is_able(const struct ask *ask, size_t n, size_t m)
{
    return ask->options[0] & BIT(m) && !has_failed(ask, n, m) &&
           standing_of(ask, ask->policy->batch, n, m) == ABLE;
}

static bool some_are_able(const struct ask *ask)
{
    for (size_t n = 0; n < TOY_NODES; n++)
        for (size_t m = 0; m < TOY_MODELS; m++)
            if (is_able(ask, n, m))
                return true;
    return false;
}

static uint64_t since(uint64_t since_ms, bool holds)
{
    if (!holds)
        return 0;
    return since_ms ? since_ms : now_ms();
}

static uint64_t for_ms(uint64_t since_ms)
{
    return since_ms ? now_ms() - since_ms : 0;
}

static void look_at_wait(struct ask *ask)
{
    struct tally *tally = &w->tally;
    if (ask->runs || ask->has_content)
        return;
    ask->able_since_ms = since(ask->able_since_ms, some_are_able(ask));
    tally->longest_wait_ms = greater(tally->longest_wait_ms, for_ms(ask->able_since_ms));
    if (w->calm)
        tally->longest_calm_ms = greater(tally->longest_calm_ms, for_ms(ask->able_since_ms));
    if (w->calm && ask->key != FLOOD_KEY)
        check(ask, for_ms(ask->able_since_ms) <= WAIT_MAX_MS);
}

static void look_at_waits(void)
{
    if (now_ms() < w->look_ms)
        return;
    w->look_ms = now_ms() + LOOK_MS;
    for (size_t i = 0; i < ASKS_MAX; i++)
        if (w->asks[i].open)
            look_at_wait(&w->asks[i]);
}

/* --- the coordinator's loop --- */

static void check_counts(void)
{
    size_t known = jobs_waiting(w->jobs) + jobs_running(w->jobs);
    check(NULL, known == w->open_count);
    check(NULL, fair_queue_active_keys(w->jobs->queue) <= KEYS);
    check(NULL, jobs_waiting(w->jobs) <= JOBS_WAITING_MAX);
}

static void look_at_clients(void)
{
    for (size_t i = 0; i < ASKS_MAX; i++) {
        struct ask *ask = &w->asks[i];
        if (ask->open && ask->exchange.events)
            fake_exchange_read(&ask->exchange);
        if (ask->open)
            look_at_end(ask);
        if (ask->open && ask->leaves_ms <= now_ms())
            leave(ask);
    }
}

static void turn(void)
{
    bool more = true;
    for (unsigned round = 0; more; round++) {
        check(NULL, round < TURN_ROUNDS);
        bool changed = w->mesh.changes > 0;
        w->mesh.changes = 0;
        if (changed)
            jobs_dispatch(w->jobs);
        jobs_dispatch_changed(w->jobs);
        node_table_flush(w->mesh.nodes);
        more = toy_fleet_read(&w->fleet) || changed;
        toy_fleet_advance(&w->fleet);
        look_at_clients();
    }
    check_counts();
}

static void tick(void)
{
    if (now_ms() < w->tick_ms)
        return;
    w->tick_ms = now_ms() + TICK_MS;
    node_table_tick(w->mesh.nodes);
    router_tick(w->mesh.router);
    jobs_dispatch(w->jobs);
    jobs_tick(w->jobs);
}

static void step(uint64_t until_ms)
{
    turn(); /* what was done since the last one */
    uint64_t next_ms = toy_fleet_due_ms(&w->fleet);
    next_ms = next_ms < w->tick_ms ? next_ms : w->tick_ms;
    next_ms = next_ms < until_ms ? next_ms : until_ms;
    if (next_ms > now_ms())
        virtual_env_advance_ms(&w->mesh.env, next_ms - now_ms());
    toy_fleet_advance(&w->fleet);
    tick();
    turn();
    look_at_waits();
}

/* --- a storm --- */

/* Its silence is too long, and the coordinator is about to see it. */
static bool one_is_being_given_up(void)
{
    for (size_t n = 0; n < TOY_NODES; n++) {
        const struct toy_node *node = &w->fleet.nodes[n];
        if (node->here && !is_connected(n) &&
                now_ms() - node->heard_ms <= SESSION_GONE_MS + SLACK_MS)
            return true;
    }
    return false;
}

static void ask_something(void)
{
    const struct policy *policy = &policies[below(POLICIES)];
    if (w->open_count >= ASKS_CALM || one_is_being_given_up())
        return;
    struct ask *ask = open_ask(policy, below(KEYS));
    ask->prompt_tokens = is_autocomplete(ask) ? 50 + (uint32_t)below(500) : draw_tokens();
    ask->output_tokens = 20 + (uint32_t)below(200);
    if (chance(30) && !is_autocomplete(ask) && ask->prompt_tokens < 12000)
        ask->session = below(TOY_SESSIONS);
    if (chance(25) && !is_autocomplete(ask))
        ask->needs |= CAPABILITY_TOOLS;
    if (chance(5) && !is_autocomplete(ask))
        ask->needs |= CAPABILITY_VISION;
    ask->fate = chance(94) ? TOY_ANSWERS : chance(50) ? TOY_DIES : TOY_REFUSES;
    ask->leaves_ms = now_ms() + (chance(10) ? below(20000) : WEARY_MS);
    go(ask);
}

static void draw_model(struct toy_model *model, size_t m)
{
    static const uint32_t contexts[] = {4096, 16384, 65536};
    model->name = model_names[m];
    model->context = contexts[below(3)];
    model->slots = 1 + (uint32_t)below(4);
    model->capabilities = CAPABILITY_CHAT | (chance(85) ? CAPABILITY_TOOLS : 0) |
                          (chance(30) ? CAPABILITY_VISION : 0) | (m == SMALL ? CAPABILITY_FIM : 0) |
                          (chance(60) ? CAPABILITY_EXACT : 0) |
                          (chance(50) ? CAPABILITY_TEMPLATE : 0);
}

static void node_comes_or_goes(size_t n)
{
    memset(w->circuits[n], 0, sizeof(w->circuits[n]));
    if (w->fleet.nodes[n].here)
        toy_node_goes(&w->fleet, n);
    else
        toy_node_comes(&w->fleet, n);
}

static void node_falls_silent(size_t n)
{
    uint64_t ms = chance(60) ? 300 + below(2000) : SESSION_GONE_MS + 500 + below(5000);
    if (ms > SESSION_GONE_MS)
        memset(w->circuits[n], 0, sizeof(w->circuits[n]));
    toy_node_falls_silent(&w->fleet, n, ms);
}

static void node_drains_or_not(size_t n)
{
    struct toy_node *node = &w->fleet.nodes[n];
    if (node->silent)
        return;
    node->draining = !node->draining && chance(30);
    toy_node_tell(&w->fleet, n);
}

static void engine_dies(size_t n)
{
    if (!w->fleet.nodes[n].silent)
        toy_engine_dies(&w->fleet, n, below(TOY_MODELS));
}

static void model_unloads(size_t n)
{
    if (!w->fleet.nodes[n].silent)
        toy_model_unloads(&w->fleet, n, below(TOY_MODELS));
}

/* Only where nothing of it runs. */
static void model_changes(size_t n)
{
    size_t m = below(TOY_MODELS);
    struct toy_model *model = &w->fleet.nodes[n].models[m];
    if (toy_model_runs(&w->fleet, n, m) > 0 || w->fleet.nodes[n].silent)
        return;
    draw_model(model, m);
    toy_node_tell(&w->fleet, n);
}

static void slots_change(size_t n)
{
    if (w->fleet.nodes[n].silent)
        return;
    w->fleet.nodes[n].models[below(TOY_MODELS)].slots = 1 + (uint32_t)below(4);
    toy_node_tell(&w->fleet, n);
}

static void model_is_deleted_or_comes(size_t n)
{
    size_t m = below(TOY_MODELS);
    struct toy_model *model = &w->fleet.nodes[n].models[m];
    if (toy_model_runs(&w->fleet, n, m) > 0 || w->fleet.nodes[n].silent)
        return;
    model->here = !model->here;
    model->state = INSTANCE_AVAILABLE;
    close_circuit(n, m);
    toy_node_tell(&w->fleet, n);
}

static void something_happens(void)
{
    static const struct {
        unsigned percent;
        void (*happen)(size_t n);
    } kinds[] = {{10, node_comes_or_goes}, {20, node_falls_silent}, {8, node_drains_or_not},
            {15, engine_dies}, {15, model_unloads}, {10, model_changes}, {12, slots_change},
            {10, model_is_deleted_or_comes}};
    uint64_t drawn = below(100);
    size_t k = 0;
    while (drawn >= kinds[k].percent)
        drawn -= kinds[k++].percent;
    kinds[k].happen(below(TOY_NODES));
    w->tally.storms++;
}

static void storm(void)
{
    uint64_t end_ms = now_ms() + STORM_MS, ask_ms = now_ms(), event_ms = now_ms();
    while (now_ms() < end_ms) {
        step(ask_ms < event_ms ? ask_ms : event_ms);
        if (ask_ms <= now_ms()) {
            ask_something();
            ask_ms = now_ms() + gap_ms(ASK_GAP_MS);
        } else if (event_ms <= now_ms()) {
            something_happens();
            event_ms = now_ms() + gap_ms(EVENT_GAP_MS);
        }
    }
}

/* --- a flood --- */

static void heal(size_t n)
{
    struct toy_node *node = &w->fleet.nodes[n];
    if (!node->here)
        node_comes_or_goes(n);
    node->draining = false;
    for (size_t m = 0; m < TOY_MODELS; m++) {
        node->models[m].here = true;
        node->models[m].capabilities |= CAPABILITY_TOOLS | CAPABILITY_VISION;
    }
    toy_node_tell(&w->fleet, n);
}

static size_t count_open(const struct policy *policy, size_t key)
{
    size_t count = 0;
    for (size_t i = 0; i < ASKS_MAX; i++)
        count += w->asks[i].open && w->asks[i].policy == policy && w->asks[i].key == key;
    return count;
}

static void keep_open(const struct policy *policy, size_t key, size_t count)
{
    for (size_t open = count_open(policy, key); open < count; open++)
        go(open_ask(policy, key));
}

/* More than all nodes can do. */
static void keep_flooding(void)
{
    keep_open(&policies[ASK], FLOOD_KEY, 60);
    for (size_t key = 1; key < KEYS; key++) {
        keep_open(&policies[URGENT], key, 8);
        keep_open(&policies[AUTOCOMPLETE], key, 8);
    }
}

/* Who comes by now and then, by what is served last. */
static void ask_modestly(void)
{
    static const size_t modest[] = {LOW, PATIENT, CHORES, ASK, CODE};
    const struct policy *policy = &policies[modest[below(5)]];
    size_t key = 1 + below(KEYS - 1);
    if (count_open(policy, key) == 0)
        go(open_ask(policy, key));
}

static void flood(void)
{
    uint64_t end_ms = now_ms() + FLOOD_MS, ask_ms = now_ms();
    while (now_ms() < end_ms) {
        keep_flooding();
        step(ask_ms);
        if (ask_ms > now_ms())
            continue;
        ask_modestly();
        ask_ms = now_ms() + gap_ms(2000);
    }
}

/* --- the end --- */

static void check_instance(const struct fleet_instance *instance)
{
    check(NULL, instance->running == 0 && instance->decoding == 0);
    check(NULL, list_empty(&instance->handle->flights));
    check(NULL, list_empty(&instance->handle->promised));
}

static void check_nothing_left(void)
{
    struct jobs *jobs = w->jobs;
    jobs_dispatch(jobs); /* a look in which nothing waits promises nothing */
    check(NULL, jobs_waiting(jobs) == 0 && jobs_running(jobs) == 0);
    check(NULL, jobs->gathered_bytes == 0);
    for (enum request_lane lane = 0; lane < LANE_COUNT; lane++)
        check(NULL, jobs->body_bytes[lane] == 0);
    check(NULL, fair_queue_active_keys(jobs->queue) == 0);
    for (size_t m = 0; m < TOY_MODELS; m++) {
        const struct fleet_model *model = router_model(w->mesh.router, model_names[m]);
        for (uint32_t i = 0; model && i < model->count; i++)
            check_instance(&model->at[i]);
    }
}

static void end_all(void)
{
    uint64_t end_ms = now_ms() + DRAIN_MS;
    while (w->open_count > 0) {
        check(NULL, now_ms() < end_ms);
        step(end_ms);
    }
    check_nothing_left();
}

/* --- runs --- */

/* Faster and slower ones; the last two have few models. */
static void furnish(size_t n)
{
    struct toy_node *node = &w->fleet.nodes[n];
    node->limit_bytes = 100;
    for (size_t m = 0; m < TOY_MODELS; m++) {
        struct toy_model *model = &node->models[m];
        double speed = n < 2 ? 1 : 0.2 + 0.1 * (double)below(4);
        draw_model(model, m);
        model->here = n < 4 || chance(50);
        model->memory_bytes = m == VAST && chance(50) ? 200 : 1 + below(90);
        model->batch_only = m == VAST && chance(50);
        model->prefill_tok_s = (6000 - 1000 * (double)m) * speed;
        model->step_ms = (4 + 3 * (double)m) / speed;
        model->state =
                chance(60) && toy_model_fits(node, model) ? INSTANCE_RESIDENT : INSTANCE_AVAILABLE;
    }
}

static void begin(uint64_t seed)
{
    w->seed = seed;
    w->chance = seed * 0x9e3779b97f4a7c15ULL;
    fake_mesh_init(&w->mesh, TOY_NODES);
    w->mesh.env.random = seed;
    w->modes = modes_maker_make(config);
    w->affinities = affinities_create(64, seed);
    w->jobs = jobs_create(&(struct jobs_config){
            .env = &w->mesh.env.env, .router = w->mesh.router, .affinities = w->affinities});
    w->view = (struct admin_view){.env = &w->mesh.env.env,
            .modes = &w->modes,
            .nodes = w->mesh.nodes,
            .router = w->mesh.router,
            .jobs = w->jobs};
    w->api = (struct api){.view = &w->view, .jobs = w->jobs, .affinities = w->affinities};
    for (size_t k = 0; k < KEYS; k++)
        (void)snprintf(w->keys[k].name, sizeof(w->keys[k].name), "k%zu", k);
    toy_fleet_init(&w->fleet, &w->mesh, &fleet_events, NULL);
    w->tick_ms = now_ms();
    for (size_t n = 0; n < TOY_NODES; n++) {
        furnish(n);
        toy_node_comes(&w->fleet, n);
    }
}

static void end(void)
{
    jobs_destroy(w->jobs);
    affinities_destroy(w->affinities);
    modes_fini(&w->modes);
    fake_mesh_fini(&w->mesh);
}

static void report(void)
{
    const struct tally *t = &w->tally;
    print_message("# %u requests: %u answered, %u refused, %u asked for what none can, %u too much "
                  "to load a model for, %u failed, "
                  "%u given up; %u moved, %u events, %zu open at most; could have been sent for "
                  "%" PRIu64 " ms at most, %" PRIu64 " ms in calm weather\n",
            t->asked, t->answered, t->refused, t->unable, t->too_long, t->failed, t->left, t->moved,
            t->storms, t->most_open, t->longest_wait_ms, t->longest_calm_ms);
}

static void run(uint64_t seed)
{
    print_message("# MODEMESH_SEED=%" PRIu64 "\n", seed);
    begin(seed);
    storm();
    for (size_t n = 0; n < TOY_NODES; n++)
        heal(n);
    end_all();
    w->calm = true;
    flood();
    end_all();
    report();
    end();
}

static void test_random_events(void **state)
{
    static const uint64_t seeds[] = {1, 2, 3, 5, 8, 13};
    const char *seed = getenv("MODEMESH_SEED");
    size_t count = seed ? 1 : sizeof(seeds) / sizeof(*seeds);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        w = calloc(1, sizeof(*w));
        assert_non_null(w);
        run(seed ? strtoull(seed, NULL, 10) : seeds[i]);
        free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_events)};
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("sim_routing", tests, NULL, NULL);
}

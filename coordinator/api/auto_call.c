#include "coordinator/api/auto_call.h"

#include "common/json/json.h"
#include "coordinator/api/request_signs.h"
#include "coordinator/auto/auto_sessions.h"
#include "coordinator/auto/classifier.h"
#include "coordinator/modes/mode_names.h"
#include "coordinator/modes/mode_needs.h"
#include "coordinator/router/router.h"
#include "coordinator/scheduling/refusal.h"
#include "proto/capability.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPENING_MAX = 32 };

struct auto_call { /* a request that waits for the small model */
    struct call call;
    struct caller caller;
    struct request request;
    struct facts facts;
    struct classifier_question *question;
    auto_call_fn *resume;
};

/* --- which modes it may go to --- */

struct wish {
    const struct call *call;
    const struct request *request;
    bool completes; /* code, by a model's own tokens */
};

struct ability {    /* of a model, for what a request needs */
    bool known;     /* some node has it */
    bool able;      /* one of its instances can all of it */
    uint32_t lacks; /* what none of them can */
};

/* As the decision sees it: not by its node's word alone (router/alike.h). */
static struct ability ability_of(const struct fleet_model *model, uint32_t needs)
{
    struct ability ability = {.known = model != NULL, .lacks = needs};
    for (uint32_t i = 0; model && i < model->count; i++) {
        uint32_t lacks = needs & ~refusal_abilities(&model->at[i]);
        ability.able |= lacks == 0;
        ability.lacks &= lacks;
    }
    return ability;
}

/* Of what connected nodes have. */
static struct ability find_ability(const struct wish *wish, const char *model, uint32_t needs)
{
    const struct admin_view *view = wish->call->api->view;
    return ability_of(router_model(view->router, node_table_model(view->nodes, model)), needs);
}

static bool may_do(const struct wish *wish, const char *model, uint32_t needs)
{
    struct ability ability = find_ability(wish, model, wish->request->needs | needs);
    return ability.able || !ability.known;
}

/* The best that a model may be for a request, or one of a mode's. */
enum chance {
    CHANCE_BARRED, /* not the caller's, or of a mode for other kinds of requests */
    CHANCE_UNABLE,
    CHANCE_UNKNOWN, /* no node has had it */
    CHANCE_AWAY,    /* able, but nodes have it that are away */
    CHANCE_ABLE,
};

static enum chance chance_of(const struct wish *wish, const char *model, uint32_t needs)
{
    const struct admin_view *view = wish->call->api->view;
    const char *name = node_table_model(view->nodes, model);
    const struct fleet_model *known = router_model_known(view->router, name);
    if (!known)
        return CHANCE_UNKNOWN;
    if (!ability_of(known, wish->request->needs | needs).able)
        return CHANCE_UNABLE;
    return known == router_model(view->router, name) ? CHANCE_ABLE : CHANCE_AWAY;
}

/* What serves other kinds of requests is none for a conversation. */
static bool serves(const struct wish *wish, uint32_t needs)
{
    return needs == CAPABILITY_CHAT || (needs == CAPABILITY_FIM && wish->completes);
}

static const struct mode *usable_mode(const struct wish *wish, const char *name)
{
    const char *allowed[MODE_MODELS_MAX];
    const struct mode *mode = modes_resolve(wish->call->api->view->modes, name);
    if (!mode || !serves(wish, mode_needs(mode->name)))
        return NULL;
    size_t count = caller_models_of_mode(wish->call->caller, mode, allowed);
    for (size_t i = 0; i < count; i++)
        if (may_do(wish, allowed[i], mode_needs(mode->name)))
            return mode;
    return NULL;
}

static enum chance chance_in(const struct wish *wish, const struct mode *mode)
{
    const char *allowed[MODE_MODELS_MAX];
    uint32_t needs = mode_needs(mode->name);
    enum chance best = CHANCE_BARRED;
    if (!serves(wish, needs))
        return best;
    size_t count = caller_models_of_mode(wish->call->caller, mode, allowed);
    for (size_t i = 0; i < count; i++) {
        enum chance chance = chance_of(wish, allowed[i], needs);
        best = chance > best ? chance : best;
    }
    return best;
}

/* What a prompt says may be any word: "auto" is no mode. */
static const char *find_mode(void *ctx, const char *name)
{
    const struct wish *wish = ctx;
    bool is_auto = modes_asks_auto(wish->call->api->view->modes, name);
    const struct mode *mode = is_auto ? NULL : usable_mode(wish, name);
    return mode ? mode->name : NULL;
}

/* "call tools", without by what that was seen of one model. */
static void tell_lacking(const struct wish *wish, const struct mode *mode, char *text, size_t size)
{
    const char *allowed[MODE_MODELS_MAX];
    uint32_t needs = wish->request->needs | mode_needs(mode->name), lacks = needs;
    size_t count = caller_models_of_mode(wish->call->caller, mode, allowed);
    for (size_t i = 0; i < count; i++) {
        struct ability ability = find_ability(wish, allowed[i], needs);
        lacks &= ability.known ? ability.lacks : 0;
    }
    const char *what = capability_lack_name(lacks);
    if (count == 0)
        (void)snprintf(text, size, "the key may not use %.40s", mode->name);
    else
        (void)snprintf(text, size, "no model of %.40s can %.*s", mode->name,
                (int)strcspn(what, ":"), what);
}

static bool tell_passed(void *ctx, const char *name, char *text, size_t size)
{
    const struct wish *wish = ctx;
    const struct mode *mode = modes_resolve(wish->call->api->view->modes, name);
    if (!mode || !serves(wish, mode_needs(mode->name)) || usable_mode(wish, name))
        return false;
    tell_lacking(wish, mode, text, size);
    return true;
}

/* --- what is known --- */

static const char *header_of(void *ctx, const char *name)
{
    return http_exchange_header(ctx, name);
}

static bool read_mark(const struct call *call, const cJSON *body, struct mode_mark *ret_mark)
{
    return mode_marks_find(body, header_of, call->exchange, ret_mark);
}

/* As its client calls it; where that does not, by how it began. */
static const char *conversation_of(
        const struct request *request, const struct facts *facts, char text[OPENING_MAX])
{
    if (request->session[0] || !facts->opening)
        return request->session;
    (void)snprintf(text, OPENING_MAX, "opening %016" PRIx64, facts->opening);
    return text;
}

/* What begins like another conversation is a new one. */
static struct auto_session find_session(
        const struct call *call, const struct request *request, const struct facts *facts)
{
    char opening[OPENING_MAX];
    struct auto_sessions *sessions = call->api->sessions;
    if (!sessions || (!request->session[0] && facts->answers == 0))
        return (struct auto_session){.level = 0};
    return auto_sessions_find(sessions, request->client, conversation_of(request, facts, opening));
}

/* What only asks about a conversation does not move it. */
static bool moves_session(const struct request *request)
{
    return (request->kind == REQUEST_CHAT || request->kind == REQUEST_COMPLETION) &&
           !request->settled;
}

static void learn(const struct call *call, const struct request *request, const struct facts *facts,
        const struct auto_choice *choice)
{
    char opening[OPENING_MAX];
    struct auto_session session = find_session(call, request, facts);
    if (!call->api->sessions || !moves_session(request))
        return;
    auto_learn(choice, &session);
    auto_sessions_note(call->api->sessions, request->client,
            conversation_of(request, facts, opening), &session);
}

/* --- the choice --- */

static struct auto_choice choose(const struct call *call, const struct request *request,
        const struct facts *facts, const struct mode_mark *mark, const enum task *answer)
{
    struct wish wish = {.call = call, .request = request, .completes = facts->fim != NULL};
    struct auto_choice choice;
    struct auto_input input = {.facts = facts,
            .mark = mark,
            .session = find_session(call, request, facts),
            .answered = answer != NULL,
            .answer = answer ? *answer : TASK_QUESTION,
            .find = find_mode,
            .tell_passed = tell_passed,
            .ctx = &wish};
    auto_choose(&input, &choice);
    return choice;
}

/* Where none of the modes that such a request may go to will do: of the others the first of the
 * best chance. Who could not be served by what is there is told so, and not of a model that never
 * was. */
static const struct mode *some_mode(const struct wish *wish)
{
    const struct modes *modes = wish->call->api->view->modes;
    const struct mode *mode = NULL;
    enum chance best = CHANCE_UNABLE;
    bool unable = false;
    for (size_t i = 0; i < modes->count; i++) {
        enum chance chance = chance_in(wish, &modes->list[i]);
        unable |= chance == CHANCE_UNABLE;
        if (chance <= best)
            continue;
        best = chance;
        mode = &modes->list[i];
    }
    return unable && best == CHANCE_UNKNOWN ? NULL : mode;
}

static void settle(const struct call *call, struct request *request, const struct facts *facts,
        const struct auto_choice *choice, auto_call_fn *resume)
{
    const struct wish wish = {.call = call, .request = request};
    const struct mode *mode =
            choice->mode ? modes_find(call->api->view->modes, choice->mode) : some_mode(&wish);
    learn(call, request, facts, choice);
    snprintf(request->told, sizeof(request->told), "%s", mode ? choice->reason : "");
    request->complexity = choice->complexity;
    request->beta = auto_beta(choice->patience);
    if (choice->task == TASK_COMPLETION) /* others would take the tokens for words */
        request->needs |= CAPABILITY_FIM;
    resume(call, request, mode);
}

/* --- asking the small model --- */

static void auto_call_free(struct auto_call *waiting)
{
    request_fini(&waiting->request);
    free(waiting);
}

static void on_gone(void *ctx)
{
    struct auto_call *waiting = ctx;
    classifier_cancel(waiting->question);
    auto_call_free(waiting);
}

/* Nothing was written. */
static void on_room(void *ctx)
{
    (void)ctx;
}

static const struct http_exchange_events exchange_events = {.on_room = on_room, .on_gone = on_gone};

static void on_answer(void *ctx, const enum task *task)
{
    struct auto_call *waiting = ctx;
    if (caller_renew(&waiting->caller, &waiting->call)) {
        struct auto_choice choice =
                choose(&waiting->call, &waiting->request, &waiting->facts, NULL, task);
        settle(&waiting->call, &waiting->request, &waiting->facts, &choice, waiting->resume);
    } else {
        call_fail(&waiting->call, 401, "invalid_api_key", NULL, "this API key was revoked");
    }
    auto_call_free(waiting);
}

static struct auto_call *auto_call_create(const struct call *call, struct request *request,
        const struct facts *facts, auto_call_fn *resume)
{
    struct auto_call *waiting = calloc(1, sizeof(*waiting));
    if (!waiting)
        return NULL;
    waiting->call = *call;
    waiting->caller = *call->caller;
    waiting->call.caller = &waiting->caller;
    waiting->call.mode = NULL;
    waiting->call.tail = "";
    waiting->facts = *facts;
    waiting->resume = resume;
    waiting->request = *request;
    request_init(request);
    return waiting;
}

/* False where nobody can be asked: then the request is still the caller's. */
static bool ask(const struct call *call, struct request *request, const struct facts *facts,
        auto_call_fn *resume)
{
    struct auto_call *waiting = auto_call_create(call, request, facts, resume);
    if (!waiting)
        return false;
    http_exchange_watch(call->exchange, &exchange_events, waiting);
    const struct classifier_reply reply = {.fn = on_answer, .ctx = waiting};
    int r = classifier_ask(call->api->classifier, &waiting->request, waiting->facts.words, &reply,
            &waiting->question);
    if (r == 0)
        return true;
    *request = waiting->request;
    request_init(&waiting->request);
    auto_call_free(waiting);
    return false;
}

/* It is asked for the caller, who may ask it no more than by its name. */
static bool may_ask(
        const struct call *call, const struct request *request, const struct auto_choice *choice)
{
    if (!choice->unsure || !call->api->classifier || !moves_session(request))
        return false;
    const char *model = classifier_model(call->api->classifier);
    return model && caller_may_name_model(call->caller, call->api->view->modes, model);
}

void auto_call_start(const struct call *call, struct request *request, auto_call_fn *resume)
{
    struct mode_mark mark;
    struct facts facts;
    cJSON *body = NULL;
    (void)!json_parse(
            buf_at(&request->body), request->body.len, &request_signs_limits, &body, NULL);
    facts_read(body, &facts);
    bool marked = read_mark(call, body, &mark);
    cJSON_Delete(body);
    request_signs_note(request, &facts, marked ? &mark : NULL);
    struct auto_choice choice = choose(call, request, &facts, marked ? &mark : NULL, NULL);
    if (!may_ask(call, request, &choice) || !ask(call, request, &facts, resume))
        settle(call, request, &facts, &choice, resume);
}

/* What goes through a translation and back is the same: stories out of a seed, told in four APIs.
 * MODEMESH_SEED repeats the one that failed. */
#include "common/json/json.h"
#include "common/text.h"
#include "tests/lib/chat_apis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STORIES = 400 };

struct scene { /* what a failure tells of */
    const struct chat_api *api;
    unsigned long seed;
};

static char seed_line[64]; /* ready for a signal handler */

static void note_seed(unsigned long seed)
{
    snprintf(seed_line, sizeof(seed_line), "MODEMESH_SEED=%lu\n", seed);
}

/* A client that understands nothing ends the program. */
static void on_abort(int signal)
{
    (void)signal;
    if (write(STDERR_FILENO, seed_line, strlen(seed_line)) < 0)
        _exit(EXIT_FAILURE);
}

/* --- comparing --- */

/* The same arguments have one text, as templates read them as a value. */
static void settle_arguments(cJSON *messages)
{
    cJSON *message, *call;
    cJSON_ArrayForEach(message, messages)
    {
        cJSON_ArrayForEach(call, cJSON_GetObjectItem(message, "tool_calls"))
        {
            cJSON *function = cJSON_GetObjectItem(call, "function");
            cJSON *arguments = cJSON_Parse(json_str(function, "arguments", ""));
            char *text = cJSON_PrintUnformatted(arguments);
            assert_true(cJSON_IsObject(arguments));
            cJSON_ReplaceItemInObject(function, "arguments", cJSON_CreateString(text));
            cJSON_Delete(arguments);
            free(text);
        }
    }
}

static void same(const struct scene *scene, const cJSON *got, const cJSON *wanted)
{
    if ((!got && !wanted) || cJSON_Compare(got, wanted, true))
        return;
    char *got_text = cJSON_Print(got), *wanted_text = cJSON_Print(wanted);
    print_error("MODEMESH_SEED=%lu, %s:\n%s\nand not\n%s\n", scene->seed, scene->api->name,
            got_text ? got_text : "nothing", wanted_text ? wanted_text : "nothing");
    fail();
}

/* --- requests --- */

static void parse(const struct scene *scene, cJSON *body, struct request *request)
{
    char *text = cJSON_PrintUnformatted(body);
    struct dialect_input input = {.body = text,
            .len = strlen(text),
            .content_type = "application/json",
            .owner = "local"};
    const char *param;
    struct err err;
    request_init(request);
    strcpy(request->id, "req_0123456789abcdef01234567");
    if (scene->api->dialect->parse(&input, request, &param, &err) != 0)
        fail_msg("MODEMESH_SEED=%lu, %s refuses %s: %s", scene->seed, scene->api->name, text,
                err.text);
    free(text);
}

/* The neutral chat of `body`. */
static cJSON *translate(const struct scene *scene, cJSON *body)
{
    struct request request;
    cJSON *chat;
    parse(scene, body, &request);
    assert_int_equal(
            json_parse(buf_at(&request.body), request.body.len, &json_limits_request, &chat, NULL),
            0);
    settle_arguments(cJSON_GetObjectItem(chat, "messages"));
    request_fini(&request);
    return chat;
}

static cJSON *tell(
        const struct scene *scene, const struct story *story, size_t last, struct dice *dice)
{
    cJSON *body = scene->api->tell(story, last, dice), *chat = translate(scene, body);
    cJSON_Delete(body);
    return chat;
}

static void check_request(
        const struct scene *scene, const struct story *story, size_t last, struct dice *dice)
{
    cJSON *chat = tell(scene, story, last, dice);
    cJSON *messages = story_messages(story, last), *tools = story_tools(story);
    settle_arguments(messages);
    same(scene, cJSON_GetObjectItem(chat, "messages"), messages);
    same(scene, cJSON_GetObjectItem(chat, "tools"), tools);
    cJSON_Delete(messages);
    cJSON_Delete(tools);
    cJSON_Delete(chat);
}

static void requests_are_the_same_in_every_api(
        const struct scene *scene, const struct story *story, struct dice *dice)
{
    check_request(scene, story, story->exchange_count - 1, dice);
}

/* What was said does not change when more is said, however the client writes it the next time. */
static void the_beginning_stays(
        const struct scene *scene, const struct story *story, struct dice *dice)
{
    for (size_t last = 0; last + 1 < story->exchange_count; last++) {
        cJSON *shorter = tell(scene, story, last, dice),
              *longer = tell(scene, story, last + 1, dice);
        const cJSON *message = cJSON_GetObjectItem(shorter, "messages")->child;
        const cJSON *again = cJSON_GetObjectItem(longer, "messages")->child;
        for (; message; message = message->next, again = again->next)
            same(scene, again, message);
        assert_non_null(again);
        same(scene, cJSON_GetObjectItem(longer, "tools"), cJSON_GetObjectItem(shorter, "tools"));
        cJSON_Delete(shorter);
        cJSON_Delete(longer);
    }
}

/* --- answers --- */

struct run { /* one answer */
    const struct scene *scene;
    struct request request;
    struct answer *answer;
    struct buf out;
    struct dice *dice;
};

static void give(struct run *run, const struct msg_delta *delta)
{
    const struct dialect *dialect = run->scene->api->dialect;
    int r = run->request.stream ? dialect->stream_delta(run->answer, delta, &run->out)
                                : dialect->gather(run->answer, delta);
    if (r == 0 && run->request.stream && dice_chance(run->dice, 10))
        r = dialect->stream_idle(run->answer, &run->out);
    if (r != 0)
        fail_msg("MODEMESH_SEED=%lu, %s: a delta fails: %d", run->scene->seed,
                run->scene->api->name, r);
}

/* A piece of `text` of a length that the dice say, at least one letter. */
static size_t piece_len(struct dice *dice, const char *text)
{
    size_t len = strlen(text), cut = text_utf8_cut(text, len, 4 + dice_below(dice, 40));
    return cut ? cut : len;
}

static void give_text(struct run *run, enum delta_kind kind, const char *text)
{
    while (*text) {
        struct msg_delta delta = {.kind = kind, .data = text, .len = piece_len(run->dice, text)};
        give(run, &delta);
        text += delta.len;
    }
}

static void give_fragment(struct run *run, size_t index, const struct story_call *first,
        const char *arguments, size_t len)
{
    struct buf json;
    int r = 0;
    buf_init(&json, 100 * 1000);
    r |= buf_appendf(&json, "[{\"index\":%zu,", index);
    if (first)
        r |= buf_appendf(&json, "\"id\":\"%s\",\"type\":\"function\",", first->id);
    r |= buf_append_str(&json, "\"function\":{");
    if (first)
        r |= buf_appendf(&json, "\"name\":\"%s\",", first->name);
    r |= buf_append_str(&json, "\"arguments\":");
    r |= json_append_str(&json, arguments, len);
    r |= buf_append_str(&json, "}}]");
    assert_int_equal(r, 0);
    struct msg_delta delta = {.kind = DELTA_TOOL_CALLS, .data = buf_at(&json), .len = json.len};
    give(run, &delta);
    buf_fini(&json);
}

/* Pieces of all calls, mixed; a call does not begin before the one in front of it. */
static void give_calls(struct run *run, const struct story_exchange *said)
{
    char *texts[STORY_CALLS_MAX];
    const char *at[STORY_CALLS_MAX];
    size_t begun = 0, left = said->call_count;
    for (size_t i = 0; i < said->call_count; i++)
        at[i] = texts[i] = cJSON_PrintUnformatted(said->calls[i].arguments);
    while (left > 0) {
        size_t i = dice_below(run->dice, begun < said->call_count ? begun + 1 : begun);
        bool first = i == begun;
        if (!first && !*at[i])
            continue;
        size_t len = first && dice_chance(run->dice, 2) ? 0 : piece_len(run->dice, at[i]);
        give_fragment(run, i, first ? &said->calls[i] : NULL, at[i], len);
        at[i] += len;
        begun += first;
        left -= !*at[i];
    }
    for (size_t i = 0; i < said->call_count; i++)
        free(texts[i]);
}

static void give_answer(struct run *run, const struct story_exchange *said)
{
    const char *reason = said->call_count ? "tool_calls" : "stop";
    struct msg_delta usage = {.kind = DELTA_USAGE,
            .data = "",
            .usage = {.prompt_tokens = 5, .cached_tokens = 2, .completion_tokens = 3}};
    struct msg_delta finish = {.kind = DELTA_FINISH, .data = reason, .len = strlen(reason)};
    give_text(run, DELTA_REASONING, said->reasoning);
    give_text(run, DELTA_TEXT, said->text);
    give_calls(run, said);
    give(run, &finish);
    give(run, &usage);
}

/* What the client keeps of the answer to `body`. */
static cJSON *answer(const struct scene *scene, cJSON *body, const struct story_exchange *said,
        struct dice *dice)
{
    static const struct answer_facts facts = {.request_id = "req_0123456789abcdef01234567",
            .model = "small",
            .created_s = 1795267000};
    const struct chat_api *api = scene->api;
    struct run run = {.scene = scene, .dice = dice};
    parse(scene, body, &run.request);
    buf_init(&run.out, DIALECT_ANSWER_MAX);
    run.answer = api->dialect->answer_create(&run.request, &facts);
    assert_non_null(run.answer);
    bool stream = run.request.stream;
    if (stream)
        assert_int_equal(api->dialect->stream_begin(run.answer, &run.out), 0);
    give_answer(&run, said);
    assert_int_equal(stream ? api->dialect->stream_end(run.answer, &run.out)
                            : api->dialect->whole(run.answer, &run.out),
            0);
    cJSON *history = (stream ? api->hear_stream : api->hear_whole)(buf_at(&run.out), run.out.len);
    api->dialect->answer_destroy(run.answer);
    buf_fini(&run.out);
    request_fini(&run.request);
    return history;
}

static void check_answer(const struct scene *scene, const struct story *story, size_t exchange,
        bool stream, struct dice *dice)
{
    cJSON *body = scene->api->tell(story, exchange, dice), *entry;
    cJSON *messages = story_messages(story, exchange), *chat;
    cJSON_AddBoolToObject(body, "stream", stream);
    cJSON *history = answer(scene, body, &story->exchanges[exchange], dice);
    while ((entry = cJSON_DetachItemFromArray(history, 0)))
        cJSON_AddItemToArray(cJSON_GetObjectItem(body, scene->api->history), entry);
    chat = translate(scene, body);
    cJSON_AddItemToArray(messages, story_answer(story, exchange));
    settle_arguments(messages);
    same(scene, cJSON_GetObjectItem(chat, "messages"), messages);
    cJSON_Delete(history);
    cJSON_Delete(messages);
    cJSON_Delete(chat);
    cJSON_Delete(body);
}

static void answers_come_back_as_they_were(
        const struct scene *scene, const struct story *story, struct dice *dice)
{
    size_t exchange = dice_below(dice, story->exchange_count);
    check_answer(scene, story, exchange, true, dice);
    check_answer(scene, story, exchange, false, dice);
}

/* --- all stories --- */

typedef void (*check_fn)(const struct scene *scene, const struct story *story, struct dice *dice);

static void check_story(unsigned long seed, check_fn check)
{
    struct dice dice;
    struct story story;
    note_seed(seed);
    dice_init(&dice, seed);
    story_make(&story, &dice);
    for (size_t i = 0; i < chat_apis_count; i++) {
        struct scene scene = {.api = &chat_apis[i], .seed = seed};
        if (chat_apis[i].can_tell(&story))
            check(&scene, &story, &dice);
    }
    story_fini(&story);
}

static void check_stories(check_fn check)
{
    const char *seed = getenv("MODEMESH_SEED");
    if (seed)
        check_story(strtoul(seed, NULL, 10), check);
    for (unsigned long i = 0; !seed && i < STORIES; i++)
        check_story(i, check);
}

static void requests(void **state)
{
    (void)state;
    check_stories(requests_are_the_same_in_every_api);
}

static void growth(void **state)
{
    (void)state;
    check_stories(the_beginning_stays);
}

static void answers(void **state)
{
    (void)state;
    check_stories(answers_come_back_as_they_were);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    (void)signal(SIGABRT, on_abort);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(requests),
            cmocka_unit_test(growth),
            cmocka_unit_test(answers),
    };
    return cmocka_run_group_tests_name("translations", tests, NULL, NULL);
}

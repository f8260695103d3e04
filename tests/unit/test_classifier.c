#include "coordinator/auto/classifier.h"

#include "coordinator/dialects/openai/openai.h"
#include "tests/lib/fake_exchange.h"
#include "tests/lib/fake_mesh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How a question goes to a node and comes back is tested with the request that waits for it
 * (test_auto_call); here, what is read of an answer, and who pays for it. */

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static bool read_content(const char *content, enum task *ret_task)
{
    char text[200];
    (void)snprintf(text, sizeof(text),
            "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
            "\"assistant\",\"content\":%s}}]}",
            content);
    return classifier_read_answer(text, strlen(text), ret_task);
}

static void a_letter_is_a_task(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        enum task task;
    } cases[] = {{"\"A\"", TASK_QUESTION}, {"\"B\"", TASK_CODE}, {"\"C\"", TASK_DEBUG},
            {"\"D\"", TASK_DESIGN}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        enum task task = TASK_COUNT;
        assert_true(read_content(cases[i].content, &task));
        assert_int_equal(task, cases[i].task);
    }
}

static void all_else_is_no_answer(void **state)
{
    (void)state;
    static const char *const contents[] = {
            "\"\"", "\"a\"", "\"E\"", "\"AB\"", "\" A\"", "null", "7", "[]", "\"Answer: A\""};
    static const char *const texts[] = {"", "{", "[]", "{}", "{\"choices\":[]}",
            "{\"choices\":[{}]}", "{\"choices\":{}}", "{\"error\":{\"message\":\"A\"}}"};
    enum task task = TASK_COUNT;
    for (size_t i = 0; i < LENGTH(contents); i++)
        assert_false(read_content(contents[i], &task));
    for (size_t i = 0; i < LENGTH(texts); i++)
        assert_false(classifier_read_answer(texts[i], strlen(texts[i]), &task));
    assert_int_equal(task, TASK_COUNT);
}

/* --- who asks --- */

enum { CLIENTS = 2, NEVER_MS = 10 * 60 * 1000 };

struct world {
    struct fake_mesh mesh;
    struct loop loop;
    struct jobs *jobs;
    struct classifier *classifier;
    struct http_exchange clients[CLIENTS];
    unsigned answers;
};

static void say(struct world *world, const char *model, enum instance_state state)
{
    struct msg_instance instance = {
            .model = model, .state = state, .slots = 1, .engine = "", .note = ""};
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
    jobs_dispatch(world->jobs);
    node_table_flush(world->mesh.nodes);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_mesh_init(&world->mesh, 1);
    assert_int_equal(loop_init(&world->loop), 0);
    world->jobs = jobs_create(
            &(struct jobs_config){.env = &world->mesh.env.env, .router = world->mesh.router});
    world->classifier = classifier_create(&(struct classifier_config){.loop = &world->loop,
            .env = &world->mesh.env.env,
            .nodes = world->mesh.nodes,
            .jobs = world->jobs,
            .deadline_ms = NEVER_MS});
    assert_int_equal(classifier_set_model(world->classifier, "tiny"), 0);
    for (size_t i = 0; i < CLIENTS; i++)
        fake_exchange_init(&world->clients[i]);
    fake_mesh_hello(&world->mesh, 0, "s");
    say(world, "tiny", INSTANCE_RESIDENT);
    say(world, "small", INSTANCE_FAILED);
    fake_link_forget(&world->mesh.link, 0);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    classifier_destroy(world->classifier);
    jobs_destroy(world->jobs);
    for (size_t i = 0; i < CLIENTS; i++)
        fake_exchange_fini(&world->clients[i]);
    fake_mesh_fini(&world->mesh);
    loop_fini(&world->loop);
    free(world);
    return 0;
}

static void count_answer(void *ctx, const enum task *task)
{
    struct world *world = ctx;
    assert_non_null(task);
    assert_int_equal(*task, TASK_DEBUG);
    world->answers++;
}

/* The request that goes to the node. */
static struct msg_start goes_out(struct world *world)
{
    struct msg msg;
    jobs_dispatch_changed(world->jobs);
    node_table_flush(world->mesh.nodes);
    assert_true(fake_link_next(&world->mesh.link, 0, &msg));
    assert_int_equal(msg.type, MSG_START);
    return msg.start;
}

static void say_data(struct world *world, uint64_t stream, enum delta_kind kind, const char *data)
{
    struct msg_delta delta = {.stream = stream, .kind = kind, .data = data, .len = strlen(data)};
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){.type = MSG_DELTAS, .deltas = {.deltas = &delta, .count = 1}});
}

static void is_asked_and_answers(struct world *world, const char *client)
{
    struct request request = {.id = "req_1"};
    struct classifier_question *question;
    const struct classifier_reply reply = {.fn = count_answer, .ctx = world};
    strcpy(request.client, client);
    assert_int_equal(classifier_ask(world->classifier, &request, "hm", &reply, &question), 0);
    const struct msg_start start = goes_out(world);
    assert_string_equal(start.model, "tiny");
    assert_string_equal(start.request_id, "req_1");
    uint64_t stream = start.stream;
    say_data(world, stream, DELTA_TEXT, "C");
    say_data(world, stream, DELTA_FINISH, "stop");
    fake_mesh_say(&world->mesh, 0, &(struct msg){.type = MSG_END, .end = {.stream = stream}});
    assert_int_equal(world->answers, 1);
    fake_link_forget(&world->mesh.link, 0);
}

static const char *no_header(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return NULL;
}

/* Comes from that client, under its name as id, and waits for the small model. */
static void comes(struct world *world, size_t at, const char *client)
{
    static const char body[] =
            "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    static const char *const small[] = {"small"};
    const struct dialect_input input = {
            .body = body, .len = strlen(body), .content_type = "", .header = no_header};
    const struct reply reply = reply_to_exchange(&world->clients[at]);
    const char *param;
    struct request request;
    request_init(&request);
    strcpy(request.id, client);
    strcpy(request.client, client);
    assert_int_equal(dialect_openai_chat.parse(&input, &request, &param, NULL), 0);
    assert_int_equal(request_chain(&request, jobs_prompt_seed(world->jobs)), 0);
    jobs_start(world->jobs, &reply, &dialect_openai_chat, &request,
            job_terms_of_models(NULL, small, 1));
    jobs_dispatch_changed(world->jobs);
}

static void both_wait(struct world *world)
{
    comes(world, 0, "key a");
    comes(world, 1, "key b");
}

static void is_served_first(struct world *world, const char *client)
{
    say(world, "small", INSTANCE_RESIDENT);
    assert_string_equal(goes_out(world).request_id, client);
}

static void who_comes_first_is_served_first(void **state)
{
    both_wait(*state);
    is_served_first(*state, "key a");
}

/* … unless it was given something meanwhile that the other was not. */
static void a_question_is_charged_to_its_client(void **state)
{
    both_wait(*state);
    is_asked_and_answers(*state, "key a");
    is_served_first(*state, "key b");
}

static void what_another_asks_is_not(void **state)
{
    both_wait(*state);
    is_asked_and_answers(*state, "key c");
    is_served_first(*state, "key a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_letter_is_a_task),
            cmocka_unit_test(all_else_is_no_answer),
            cmocka_unit_test_setup_teardown(who_comes_first_is_served_first, setup, teardown),
            cmocka_unit_test_setup_teardown(a_question_is_charged_to_its_client, setup, teardown),
            cmocka_unit_test_setup_teardown(what_another_asks_is_not, setup, teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("classifier", tests, NULL, NULL);
}

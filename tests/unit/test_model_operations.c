#include "coordinator/api/model_operations.h"

#include "common/json/json.h"
#include "coordinator/deploy/tasks.h"
#include "tests/lib/task_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 1024 * 1024 };

struct world {
    struct task_bench bench;
    struct operations operations;
    struct buf text;
    cJSON *json; /* the last answer */
    struct err err;
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    task_bench_init(&world->bench, 1, "modes:\n  code:\n    models: [small]\n");
    world->operations = (struct operations){.env = &world->bench.mesh.env.env,
            .nodes = world->bench.mesh.nodes,
            .tasks = world->bench.tasks};
    buf_init(&world->text, ANSWER_MAX);
    task_bench_say(&world->bench, 0, "small", INSTANCE_RESIDENT);
    task_bench_say(&world->bench, 0, "large", INSTANCE_AVAILABLE);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    cJSON_Delete(world->json);
    buf_fini(&world->text);
    task_bench_fini(&world->bench);
    free(world);
    return 0;
}

static int run(struct world *world, const char *method, const char *path, const char *body)
{
    static const struct json_limits limits = {
            .max_bytes = ANSWER_MAX, .max_depth = 8, .max_values = 4096};
    const char *allowed;
    const struct operation *operation = operation_find(method, path, &allowed);
    struct json_writer writer;
    cJSON *asked = body ? cJSON_Parse(body) : NULL;
    assert_non_null(operation);
    assert_true(!body || asked);
    buf_clear(&world->text);
    json_writer_init(&writer, &world->text);
    json_writer_object(&writer, NULL);
    int r = operation->run(&world->operations, asked, &writer, &world->err);
    json_writer_object_end(&writer);
    cJSON_Delete(asked);
    cJSON_Delete(world->json);
    world->json = NULL;
    if (r == 0)
        assert_int_equal(
                json_parse(buf_at(&world->text), world->text.len, &limits, &world->json, NULL), 0);
    return r;
}

static int post(struct world *world, const char *path, const char *body)
{
    return run(world, "POST", path, body);
}

static void is_refused(
        struct world *world, const char *path, const char *body, int code, const char *why)
{
    if (post(world, path, body) != code)
        fail_msg("%s %s was not refused so", path, body);
    if (!strstr(world->err.text, why))
        fail_msg("\"%s\" does not say \"%s\"", world->err.text, why);
    assert_true(task_bench_is_quiet(&world->bench, 0));
}

/* What the list tells of the newest. */
static const cJSON *newest(struct world *world)
{
    assert_int_equal(run(world, "GET", "/mesh/v1/operations", NULL), 0);
    return cJSON_GetArrayItem(json_array(world->json, "operations"), 0);
}

static void a_deploy_is_begun_and_told(void **state)
{
    struct world *world = *state;
    char id[TASK_ID_LEN + 1];
    assert_int_equal(post(world, "/mesh/v1/deploy",
                             "{\"mode\":\"code\",\"model\":\"large\",\"node\":\"node0\","
                             "\"context\":32768,\"slots\":2,\"kv\":\"Q8_0\",\"kv_v\":\"f16\"}"),
            0);
    const char *told = json_str(world->json, "operation", "");
    assert_int_equal(strlen(told), TASK_ID_LEN);
    strcpy(id, told);
    struct msg_load load = task_bench_next(&world->bench, 0, MSG_LOAD).load;
    assert_int_equal(load.context, 32768);
    assert_int_equal(load.slots, 2);
    assert_string_equal(load.type_k, "q8_0");
    assert_string_equal(load.type_v, "f16");
    const cJSON *operation = newest(world);
    assert_string_equal(json_str(operation, "id", ""), id);
    assert_string_equal(json_str(operation, "kind", ""), "deploy");
    assert_string_equal(json_str(operation, "state", ""), "running");
    assert_string_equal(json_str(operation, "way", ""), "none");
    assert_string_equal(json_str(operation, "mode", ""), "code");
    assert_string_equal(json_str(operation, "model", ""), "large");
    assert_int_equal((int)json_num(operation, "context", 0), 32768);
    assert_string_equal(json_str(operation, "kv_k", ""), "q8_0");
    assert_true(json_num(operation, "started_ms", 0) > 0);
    assert_int_equal((int)json_num(operation, "ended_ms", 1), 0);
    task_bench_done(&world->bench, 0, load.order, true, ORDER_WAY_BESIDE, "beside small");
    load = task_bench_next(&world->bench, 0, MSG_LOAD).load;
    operation = newest(world);
    assert_string_equal(json_str(operation, "way", ""), "beside");
    assert_string_equal(json_str(operation, "node", ""), "node0");
    assert_string_equal(json_str(operation, "progress", ""), "node0: beside small");
    task_bench_done(&world->bench, 0, load.order, false, ORDER_WAY_NONE, "a bad file");
    operation = newest(world);
    assert_string_equal(json_str(operation, "state", ""), "failed");
    assert_string_equal(json_str(operation, "message", ""), "node0: a bad file");
    assert_true(json_num(operation, "ended_ms", 0) > 0);
}

static void a_rehearsal_is_one(void **state)
{
    struct world *world = *state;
    assert_int_equal(post(world, "/mesh/v1/deploy",
                             "{\"mode\":\"code\",\"model\":\"large\",\"rehearse\":true}"),
            0);
    struct msg_load load = task_bench_next(&world->bench, 0, MSG_LOAD).load;
    assert_true(load.rehearse);
    assert_int_equal(load.context, 0);
    assert_string_equal(load.type_k, "");
    assert_true(json_bool(newest(world), "rehearse", false));
}

static void models_are_loaded_unloaded_and_pinned(void **state)
{
    struct world *world = *state;
    assert_int_equal(post(world, "/mesh/v1/models/load", "{\"model\":\"large\",\"keep\":true}"), 0);
    assert_true(task_bench_next(&world->bench, 0, MSG_LOAD).load.keep);
    assert_int_equal(post(world, "/mesh/v1/models/unload", "{\"model\":\"small\"}"), 0);
    task_bench_next(&world->bench, 0, MSG_UNLOAD);
    assert_string_equal(json_str(newest(world), "kind", ""), "unload");
    assert_int_equal(
            post(world, "/mesh/v1/models/pin", "{\"model\":\"small\",\"pinned\":true}"), 0);
    assert_true(task_bench_next(&world->bench, 0, MSG_PIN).pin.pinned);
    assert_int_equal(post(world, "/mesh/v1/models/pin",
                             "{\"model\":\"small\",\"pinned\":false,\"node\":\"node0\"}"),
            0);
    assert_false(task_bench_next(&world->bench, 0, MSG_PIN).pin.pinned);
    assert_false(json_bool(newest(world), "pinned", true));
}

static void nodes_are_drained(void **state)
{
    struct world *world = *state;
    assert_int_equal(
            post(world, "/mesh/v1/nodes/drain", "{\"node\":\"node0\",\"draining\":true}"), 0);
    assert_true(task_bench_next(&world->bench, 0, MSG_DRAIN).drain.draining);
    const cJSON *operation = newest(world);
    assert_true(json_bool(operation, "draining", false));
    assert_null(cJSON_GetObjectItemCaseSensitive(operation, "context"));
}

static void bad_requests_are_told_what_is_wrong(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *path, *body, *why;
    } bad[] = {
            {"deploy", "{\"model\":\"large\"}", "\"mode\""},
            {"deploy", "{\"mode\":\"code\"}", "\"model\""},
            {"deploy", "{\"mode\":\"code\",\"model\":7}", "\"model\""},
            {"deploy", "{\"mode\":\"code\",\"model\":\"a\\nb\"}", "model"},
            {"deploy", "{\"mode\":\"code\",\"model\":\"large\",\"node\":\"a b\"}", "node"},
            {"deploy", "{\"mode\":\"code\",\"model\":\"large\",\"context\":16777217}", "context"},
            {"deploy", "{\"mode\":\"code\",\"model\":\"large\",\"context\":\"32k\"}", "context"},
            {"deploy", "{\"mode\":\"code\",\"model\":\"large\",\"slots\":1025}", "slots"},
            {"deploy", "{\"mode\":\"code\",\"model\":\"large\",\"kv\":\"q9_0\"}", "\"kv\""},
            {"deploy", "{\"mode\":\"code\",\"model\":\"large\",\"rehearse\":1}", "rehearse"},
            {"deploy", "{\"mode\":\"code\",\"model\":\"large\",\"undo\":true}", "\"undo\""},
            {"deploy", "{\"mode\":\"code\",\"slots\":1,\"undo\":true}", "\"undo\""},
            {"models/load", "{}", "\"model\""},
            {"models/load", "{\"model\":\"large\",\"keep\":\"yes\"}", "keep"},
            {"models/unload", "{}", "\"model\""},
            {"models/pin", "{\"model\":\"small\"}", "\"pinned\" is missing"},
            {"models/pin", "{\"model\":\"small\",\"pinned\":1}", "pinned"},
            {"nodes/drain", "{\"draining\":true}", "\"node\""},
            {"nodes/drain", "{\"node\":\"node0\"}", "\"draining\" is missing"},
            {"plan", "{}", "\"apply\" is missing"},
            {"plan", "{\"apply\":false}", "GET tells the plan"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "/mesh/v1/%s", bad[i].path);
        is_refused(world, path, bad[i].body, -EINVAL, bad[i].why);
    }
    assert_int_equal(tasks_count(world->bench.tasks), 0);
}

static void what_is_not_there_is_not_found(void **state)
{
    struct world *world = *state;
    is_refused(world, "/mesh/v1/deploy", "{\"mode\":\"chat\",\"model\":\"large\"}", -ENOENT,
            "no mode \"chat\"");
    is_refused(world, "/mesh/v1/deploy", "{\"mode\":\"code\",\"undo\":true}", -ENOENT,
            "no deploy has moved");
    is_refused(world, "/mesh/v1/models/load", "{\"model\":\"huge\"}", -ENOENT, "huge");
    is_refused(world, "/mesh/v1/nodes/drain", "{\"node\":\"node9\",\"draining\":true}", -ENOENT,
            "node9");
}

#define OPERATION_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            OPERATION_TEST(a_deploy_is_begun_and_told),
            OPERATION_TEST(a_rehearsal_is_one),
            OPERATION_TEST(models_are_loaded_unloaded_and_pinned),
            OPERATION_TEST(nodes_are_drained),
            OPERATION_TEST(bad_requests_are_told_what_is_wrong),
            OPERATION_TEST(what_is_not_there_is_not_found),
    };
    return cmocka_run_group_tests_name("model_operations", tests, NULL, NULL);
}

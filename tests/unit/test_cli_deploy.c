#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/operation.h"
#include "tests/lib/cli_bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OPERATIONS "GET /mesh/v1/operations"
#define LIST(members)                                                                              \
    "{\"operations\":[{\"id\":\"0other00\",\"state\":\"failed\",\"message\":\"not ours\"},"        \
    "{\"id\":\"12ab34cd\"," members "}]}"
#define RUNNING(text) LIST("\"state\":\"running\",\"progress\":\"" text "\"")
#define DONE(text)    LIST("\"state\":\"done\",\"message\":\"" text "\",\"way\":\"swap\"")
#define FAILED(text)  LIST("\"state\":\"failed\",\"message\":\"" text "\"")

static void begins(struct cli_bench *bench, const char *request)
{
    cli_bench_answer(bench, request, 200, "{\"operation\":\"12ab34cd\"}");
}

static void deploy_says_what_it_will_do_and_does_it(void **state)
{
    struct cli_bench *bench = *state;

    begins(bench, "POST /mesh/v1/deploy");
    cli_bench_answer(bench, OPERATIONS, 200, DONE("halo1: drains old and swaps"));
    cli_bench_then(bench, OPERATIONS, RUNNING("halo1: old finishes 2 requests"));
    cli_bench_then(bench, OPERATIONS, RUNNING("halo1: loading"));
    cli_bench_then(bench, OPERATIONS, DONE("halo1: swapped in 40 s"));
    assert_int_equal(
            cli_bench_run(bench, "deploy code=new --context 32k --slots 2 --kv Q8_0 --node halo1"),
            0);
    cli_bench_assert_has(bench->requests,
            "POST /mesh/v1/deploy {\"mode\":\"code\",\"model\":\"new\",\"context\":32768,"
            "\"slots\":2,\"kv\":\"q8_0\",\"node\":\"halo1\",\"rehearse\":true}\n");
    cli_bench_assert_has(bench->requests, "\"node\":\"halo1\"}\n"); /* and in earnest */
    assert_string_equal(bench->notes, "code=new: halo1: drains old and swaps\n"
                                      "halo1: old finishes 2 requests\nhalo1: loading\n");
    assert_string_equal(bench->out, "halo1: swapped in 40 s\n");
}

static void a_dry_run_only_says_it(void **state)
{
    struct cli_bench *bench = *state;

    begins(bench, "POST /mesh/v1/deploy");
    cli_bench_answer(bench, OPERATIONS, 200, DONE("halo1: fits beside old"));
    assert_int_equal(cli_bench_run(bench, "deploy code=new --dry-run"), 0);
    assert_string_equal(bench->out, "halo1: fits beside old\n");
    assert_string_equal(bench->notes, "");
    assert_string_equal(bench->requests,
            "POST /mesh/v1/deploy {\"mode\":\"code\",\"model\":\"new\",\"rehearse\":true}\n"
            "GET /mesh/v1/operations \n");
    assert_int_equal(cli_bench_run(bench, "deploy code=new --dry-run --json"), 0);
    assert_string_equal(bench->out,
            "{\"id\":\"12ab34cd\",\"state\":\"done\",\"message\":\"halo1: fits beside old\","
            "\"way\":\"swap\"}\n");
}

static void what_cannot_be_is_not_tried(void **state)
{
    struct cli_bench *bench = *state;

    begins(bench, "POST /mesh/v1/deploy");
    cli_bench_answer(bench, OPERATIONS, 200, FAILED("halo1: needs 90 GiB, has 40 GiB"));
    assert_int_equal(cli_bench_run(bench, "deploy code=new"), -EREMOTEIO);
    assert_string_equal(bench->err.text, "halo1: needs 90 GiB, has 40 GiB");
    assert_null(strstr(bench->requests, "\"new\"}"));
    cli_bench_answer(bench, "POST /mesh/v1/deploy", 409,
            "{\"error\":{\"message\":\"mode \\\"code\\\" is being deployed already\"}}");
    assert_int_equal(cli_bench_run(bench, "deploy code=new"), -EREMOTEIO);
    cli_bench_assert_has(bench->err.text, "is being deployed already");
}

static void undo_names_a_mode_alone(void **state)
{
    struct cli_bench *bench = *state;

    begins(bench, "POST /mesh/v1/deploy");
    cli_bench_answer(bench, OPERATIONS, 200, DONE("halo1: back"));
    assert_int_equal(cli_bench_run(bench, "deploy --undo code"), 0);
    cli_bench_assert_has(bench->requests, "{\"mode\":\"code\",\"undo\":true}\n");
    assert_int_equal(cli_bench_run(bench, "deploy --undo code=new"), -EINVAL);
    assert_int_equal(cli_bench_run(bench, "deploy --undo code --context 8k"), -EINVAL);
    assert_string_equal(bench->requests, "");
}

static void a_wrong_command_line_is_told(void **state)
{
    static const char *const wrong[][2] = {
            {"deploy code", "MODE=MODEL"},
            {"deploy =new", "MODE=MODEL"},
            {"deploy code=", "MODE=MODEL"},
            {"deploy code=new --context 8kB", "--context"},
            {"deploy code=new --context 0", "--context"},
            {"deploy code=new --slots many", "--slots"},
            {"deploy code=new --slots 0", "from 1 to 1024"},
            {"models load new --slots 1025", "from 1 to 1024"},
            {"deploy code=new --kv q9_0", "--kv"},
            {"models load new --kv q9_0", "--kv"},
    };
    struct cli_bench *bench = *state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(cli_bench_run(bench, wrong[i][0]), -EINVAL);
        cli_bench_assert_has(bench->err.text, wrong[i][1]);
        assert_string_equal(bench->requests, "");
    }
}

static void models_are_loaded_and_let_go(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, OPERATIONS, 200, DONE("halo1: so it is"));
    begins(bench, "POST /mesh/v1/models/load");
    assert_int_equal(cli_bench_run(bench, "models load new --context 8k --keep"), 0);
    cli_bench_assert_has(bench->requests, "{\"model\":\"new\",\"context\":8192,\"keep\":true}\n");
    assert_string_equal(bench->out, "halo1: so it is\n");
    assert_int_equal(cli_bench_run(bench, "models load new --dry-run"), 0);
    cli_bench_assert_has(bench->requests, "{\"model\":\"new\",\"rehearse\":true}\n");
    begins(bench, "POST /mesh/v1/models/unload");
    assert_int_equal(cli_bench_run(bench, "models unload new --node halo1"), 0);
    cli_bench_assert_has(bench->requests, "{\"model\":\"new\",\"node\":\"halo1\"}\n");
    begins(bench, "POST /mesh/v1/models/pin");
    assert_int_equal(cli_bench_run(bench, "models pin new"), 0);
    cli_bench_assert_has(bench->requests, "{\"model\":\"new\",\"pinned\":true}\n");
    assert_int_equal(cli_bench_run(bench, "models unpin new"), 0);
    cli_bench_assert_has(bench->requests, "{\"model\":\"new\",\"pinned\":false}\n");
}

static void nodes_are_drained_and_resumed(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, OPERATIONS, 200, DONE("halo1: takes no new requests"));
    begins(bench, "POST /mesh/v1/nodes/drain");
    assert_int_equal(cli_bench_run(bench, "nodes drain halo1"), 0);
    cli_bench_assert_has(bench->requests, "{\"node\":\"halo1\",\"draining\":true}\n");
    assert_string_equal(bench->out, "halo1: takes no new requests\n");
    assert_int_equal(cli_bench_run(bench, "nodes resume halo1"), 0);
    cli_bench_assert_has(bench->requests, "{\"node\":\"halo1\",\"draining\":false}\n");
}

static void one_that_is_forgotten_is_not_followed_for_ever(void **state)
{
    struct cli_bench *bench = *state;

    begins(bench, "POST /mesh/v1/models/unload");
    cli_bench_answer(bench, OPERATIONS, 200, "{\"operations\":[]}");
    assert_int_equal(cli_bench_run(bench, "models unload new"), -EREMOTEIO);
    cli_bench_assert_has(bench->err.text, "knows nothing of operation 12ab34cd");
    cli_bench_answer(bench, "POST /mesh/v1/models/unload", 200, "{}");
    assert_int_equal(cli_bench_run(bench, "models unload new"), -EPROTO);
}

/* As when the coordinator stops in the middle of it. */
static void one_that_cannot_be_followed_was_begun_all_the_same(void **state)
{
    struct cli_bench *bench = *state;

    begins(bench, "POST /mesh/v1/models/unload");
    cli_bench_answer(bench, OPERATIONS, 503, "{\"error\":{\"message\":\"it is stopping\"}}");
    assert_true(cli_bench_run(bench, "models unload new") < 0);
    cli_bench_assert_has(bench->notes, "Operation 12ab34cd was begun");
    cli_bench_assert_has(bench->err.text, "it is stopping");
}

static void ctrl_c_leaves_it_going(void **state)
{
    struct cli_bench *bench = *state;

    begins(bench, "POST /mesh/v1/models/load");
    cli_bench_answer(bench, OPERATIONS, 200, RUNNING("halo1: loading"));
    bench->interrupted_at = 3;
    assert_int_equal(cli_bench_run(bench, "models load new"), -EINTR);
    assert_string_equal(bench->notes,
            "halo1: loading\n\nOperation 12ab34cd goes on; 'modemesh operations' shows how it "
            "ends.\n");
    assert_string_equal(bench->out, "");
}

static void foreign_words_stay_in_their_line(void **state)
{
    struct cli_bench *bench = *state;

    begins(bench, "POST /mesh/v1/models/unload");
    cli_bench_answer(bench, OPERATIONS, 200, RUNNING("x\\u001b[2J\\ny"));
    cli_bench_then(bench, OPERATIONS, DONE("done\\u001b[8m\\nmodemesh: nothing"));
    assert_int_equal(cli_bench_run(bench, "models unload new"), 0);
    assert_string_equal(bench->notes, "x[2J y\n");
    assert_string_equal(bench->out, "done[8m modemesh: nothing\n");
}

static void operations_are_listed(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, OPERATIONS, 200,
            "{\"operations\":[{\"id\":\"1\",\"kind\":\"deploy\",\"state\":\"running\",\"mode\":"
            "\"code\",\"model\":\"new\",\"node\":\"\",\"way\":\"none\",\"progress\":\"loading\","
            "\"message\":\"\",\"started_ms\":0},{\"id\":\"2\",\"kind\":\"pin\",\"pinned\":false,"
            "\"state\":\"done\",\"model\":\"old\",\"way\":\"none\",\"message\":\"gone\"}]}");
    assert_int_equal(cli_bench_run(bench, "operations"), 0);
    cli_bench_assert_has(bench->out, "NEWS");
    cli_bench_assert_has(bench->out, "loading");
    cli_bench_assert_has(bench->out, "unpin");
    assert_int_equal(cli_bench_run(bench, "operations --raw"), 0);
    cli_bench_assert_has(bench->out, "1 deploy code new");
    assert_int_equal(cli_bench_run(bench, "operations --json"), 0);
    cli_bench_assert_has(bench->out, "\"started_ms\":0");
    cli_bench_answer(bench, OPERATIONS, 200, "{\"operations\":[]}");
    assert_int_equal(cli_bench_run(bench, "operations"), 0);
    cli_bench_assert_has(bench->out, "Nothing was deployed");
}

static void modes_show_what_was_deployed(void **state)
{
    struct cli_bench *bench = *state;

    cli_bench_answer(bench, "GET /mesh/v1/status", 200,
            "{\"modes\":[{\"name\":\"code\",\"models\":[\"new\"],\"deployed\":\"new\","
            "\"replaced\":[\"old\"]},{\"name\":\"ask\",\"models\":[\"a\"],\"deployed\":\"\","
            "\"replaced\":[]}]}");
    assert_int_equal(cli_bench_run(bench, "modes"), 0);
    cli_bench_assert_has(bench->out, "new instead of old");
    assert_int_equal(cli_bench_run(bench, "modes --json"), 0);
    cli_bench_assert_has(bench->out, "\"deployed\":\"new\"");
}

#define DEPLOY_TEST(f) cmocka_unit_test_setup_teardown(f, cli_bench_set_up, cli_bench_tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            DEPLOY_TEST(deploy_says_what_it_will_do_and_does_it),
            DEPLOY_TEST(a_dry_run_only_says_it),
            DEPLOY_TEST(what_cannot_be_is_not_tried),
            DEPLOY_TEST(undo_names_a_mode_alone),
            DEPLOY_TEST(a_wrong_command_line_is_told),
            DEPLOY_TEST(models_are_loaded_and_let_go),
            DEPLOY_TEST(nodes_are_drained_and_resumed),
            DEPLOY_TEST(one_that_is_forgotten_is_not_followed_for_ever),
            DEPLOY_TEST(one_that_cannot_be_followed_was_begun_all_the_same),
            DEPLOY_TEST(ctrl_c_leaves_it_going),
            DEPLOY_TEST(foreign_words_stay_in_their_line),
            DEPLOY_TEST(operations_are_listed),
            DEPLOY_TEST(modes_show_what_was_deployed),
    };
    return cmocka_run_group_tests_name("cli_deploy", tests, NULL, NULL);
}

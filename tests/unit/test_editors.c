#include "node/link/editors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/log.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { LOG_TEXT_MAX = 4096 };

/* What is logged goes into a pipe. */
struct scene {
    struct loop loop;
    struct editors *editors;
    int pipe[2], saved_stderr;
    char log[LOG_TEXT_MAX + 1];
};

static struct scene scene;

static int setup(void **state)
{
    const struct editors_config config = {
            .loop = &scene.loop, .addr = {.host = "127.0.0.1", .port = 0}};
    struct err err;
    memset(&scene, 0, sizeof(scene));
    *state = &scene;
    log_init("test", LOG_LEVEL_INFO);
    assert_int_equal(loop_init(&scene.loop), 0);
    assert_int_equal(pipe2(scene.pipe, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(editors_create(&config, &scene.editors, &err), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    editors_destroy(scene.editors);
    loop_fini(&scene.loop);
    close(scene.pipe[0]);
    close(scene.pipe[1]);
    return 0;
}

/* A session with the coordinator at `endpoint`; returns what is logged. No role: the editors would
 * be refused, and no link is needed. */
static const char *session(const char *endpoint)
{
    scene.saved_stderr = dup(STDERR_FILENO);
    assert_int_equal(dup2(scene.pipe[1], STDERR_FILENO), STDERR_FILENO);
    editors_up(scene.editors, endpoint, 0);
    dup2(scene.saved_stderr, STDERR_FILENO);
    close(scene.saved_stderr);
    ssize_t n = read(scene.pipe[0], scene.log, LOG_TEXT_MAX);
    scene.log[n > 0 ? n : 0] = '\0';
    editors_down(scene.editors, "over");
    return scene.log;
}

static void a_coordinator_here_serves_the_editors_itself(void **state)
{
    (void)state;
    const char *log = session("tcp://127.0.0.1:8421");
    assert_non_null(strstr(log, "info"));
    assert_non_null(strstr(log, "no port for editors opened"));
    assert_non_null(strstr(log, "127.0.0.1:8421"));
    assert_null(strstr(log, "editors served"));
    assert_string_equal(session("tcp://127.0.0.1:8421"), ""); /* said once */
}

static void editors_of_a_coordinator_elsewhere_get_a_port(void **state)
{
    (void)state;
    const char *log = session("tcp://192.0.2.1:8421");
    assert_non_null(strstr(log, "editors served"));
    assert_null(strstr(log, "no port for editors opened"));
    assert_string_equal(session("tcp://192.0.2.1:8421"), "");
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(
                    a_coordinator_here_serves_the_editors_itself, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    editors_of_a_coordinator_elsewhere_get_a_port, setup, teardown),
    };
    return cmocka_run_group_tests_name("editors", tests, NULL, NULL);
}

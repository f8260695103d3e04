#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/fit/fit_tool.h"
#include "common/file.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

enum { PATIENT_MS = 60000 };

static struct scratch scratch;
static char usual_path[4096];

static int setup(void **state)
{
    char path[8192];

    (void)state;
    scratch_init(&scratch);
    scratch_mkdir(&scratch, "bin");
    (void)snprintf(path, sizeof path, "%s:%s", scratch_path(&scratch, "bin"), usual_path);
    return setenv("PATH", path, 1);
}

static int teardown(void **state)
{
    (void)state;
    scratch_fini(&scratch);
    return setenv("PATH", usual_path, 1);
}

/* A tool of the shell's commands `body`; $here is the test's folder. */
static void put_tool(const char *body)
{
    char script[4096];

    (void)snprintf(script, sizeof script, "#!/bin/sh\nhere='%s'\n%s\n", scratch.path, body);
    scratch_write(&scratch, "bin/llama-fit-params", script);
    assert_int_equal(chmod(scratch_path(&scratch, "bin/llama-fit-params"), 0700), 0);
}

static int ask(unsigned timeout_ms, struct fit_params *ret_params, struct err *err)
{
    const struct model_run run = {
            .context = 4096, .sequences = 2, .type_k = CACHE_TYPE_Q8_0, .type_v = CACHE_TYPE_Q8_0};

    return fit_tool_ask("/models/x.gguf", &run, timeout_ms, ret_params, err);
}

static char *read_back(const char *name)
{
    char *text = NULL;
    size_t len;
    struct err err;

    assert_int_equal(file_read(scratch_path(&scratch, name), 4096, &text, &len, &err), 0);
    return text;
}

static void sums_up_what_it_prints(void **state)
{
    struct fit_params params;
    struct err err;
    char *words;

    (void)state;
    assert_int_equal(setenv("MODEMESH_KEY", "mm_secret", 1), 0);
    put_tool("echo \"$@\" >\"$here/words\"\n"
             "echo \"key:$MODEMESH_KEY\" >\"$here/key\"\n"
             "echo 'noise on its own line'; echo noise >&2\n"
             "echo 'CUDA0 100 10 5 '; printf 'Host 7 0 1 '");
    assert_int_equal(ask(PATIENT_MS, &params, &err), 0);
    assert_int_equal(params.tensor_bytes, (101 + 8) * MIB);
    assert_int_equal(params.context_bytes, 11 * MIB);
    assert_int_equal(params.compute_bytes, (6 + 2) * MIB);
    words = read_back("words");
    assert_string_equal(words, "--model /models/x.gguf --ctx-size 8192 --parallel 2 "
                               "--cache-type-k q8_0 --cache-type-v q8_0 --fit-print on\n");
    free(words);
    words = read_back("key");
    assert_string_equal(words, "key:\n");
    free(words);
}

static void expect_failure(int rc, const char *word)
{
    struct fit_params params = {.tensor_bytes = 4711};
    struct err err;

    assert_int_equal(ask(PATIENT_MS, &params, &err), rc);
    assert_non_null(strstr(err.text, word));
    assert_int_equal(params.tensor_bytes, 4711);
}

static void tells_why_there_is_no_answer(void **state)
{
    (void)state;
    expect_failure(-ENOENT, "llama-fit-params");
    put_tool("echo 'error: unknown model architecture' >&2; exit 1");
    expect_failure(-EPROTO, "does not know");
    put_tool("echo '-c 4096 -ngl 99'");
    expect_failure(-EPROTO, "/models/x.gguf");
    put_tool("while echo 'CUDA0 1 1 1'; do :; done");
    expect_failure(-EMSGSIZE, "llama-fit-params");
}

/* Waits for the end of all that hold the other end of `fd`; true where they had begun to write. */
static bool drain(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    char bytes[16];
    bool begun = false;
    ssize_t n;

    do {
        if (begun)
            assert_int_equal(poll(&poll_fd, 1, PATIENT_MS), 1);
        n = read(fd, bytes, sizeof bytes);
        begun = begun || n > 0;
    } while (n > 0);
    assert_int_equal(n, 0);
    return begun;
}

/* Twice as long from try to try, until the tool has come so far: machines differ. */
static void is_ended_with_what_it_started(void **state)
{
    bool begun = false;

    (void)state;
    assert_int_equal(mkfifo(scratch_path(&scratch, "alive"), 0600), 0);
    assert_int_equal(mkfifo(scratch_path(&scratch, "never"), 0600), 0);
    put_tool("exec 3>\"$here/alive\"; cat \"$here/never\" & echo begun >&3; wait");
    for (unsigned timeout_ms = 100; !begun; timeout_ms *= 2) {
        int fd = open(scratch_path(&scratch, "alive"), O_RDONLY | O_NONBLOCK);
        struct fit_params params;
        struct err err;

        assert_true(fd >= 0 && timeout_ms < PATIENT_MS);
        assert_int_equal(ask(timeout_ms, &params, &err), -ETIMEDOUT);
        begun = drain(fd);
        close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(sums_up_what_it_prints, setup, teardown),
            cmocka_unit_test_setup_teardown(tells_why_there_is_no_answer, setup, teardown),
            cmocka_unit_test_setup_teardown(is_ended_with_what_it_started, setup, teardown),
    };

    (void)snprintf(usual_path, sizeof usual_path, "%s", getenv("PATH"));
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("fit_tool", tests, NULL, NULL);
}

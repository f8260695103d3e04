#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/log.h"
#include "node/link/invitation.h"
#include "node/settings.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
#define TOKEN                                                                                      \
    "mmj_AYA7sWoAAAAA11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURq7iEcdZeJlmzDFWlMhzrtaqytwo5hkXCb"  \
    "corL8tD_FGHu4ZLSJr6NnH75pEB-Us4ly8kgW37AbUWVrP-yN_QiIAg5ib3gubG9jYWw6ODQyMQ5bZmQwMDo6MV06OD"  \
    "QyMb9IjYo"

static struct scratch scratch;
static struct config *config;
static struct invitation invitation;
static struct err err;

static int setup(void **state)
{
    (void)state;
    log_init("test", LOG_LEVEL_ERROR);
    scratch_init(&scratch);
    setenv("XDG_STATE_HOME", scratch.path, 1);
    config = config_create(node_keys);
    invitation = (struct invitation){.has_token = false};
    return config == NULL;
}

static int teardown(void **state)
{
    (void)state;
    invitation_fini(&invitation);
    config_destroy(config);
    scratch_fini(&scratch);
    return 0;
}

/* With one setting. */
static int read_with(const char *key, const char *value)
{
    char text[2048];

    (void)snprintf(text, sizeof text, "%s: \"%s\"\n", key, value);
    assert_int_equal(config_load_text(config, "node.yaml", text, strlen(text), &err), 0);
    return invitation_read(config, &invitation, &err);
}

static const char *write_secret(const char *name, const char *text)
{
    const char *path = scratch_path(&scratch, name);

    assert_int_equal(file_write_private(path, text, strlen(text), &err), 0);
    return path;
}

static void test_nothing_given(void **state)
{
    (void)state;
    assert_int_equal(invitation_read(config, &invitation, &err), 0);
    assert_string_equal(invitation.coordinator_key, "");
    assert_false(invitation.has_token);
    assert_non_null(strstr(invitation.token_file, "modemesh-coordinator/local.token"));
}

static void test_a_key(void **state)
{
    (void)state;
    scratch_write(&scratch, "key", KEY "\n");
    assert_int_equal(read_with("coordinator-key", scratch_path(&scratch, "key")), 0);
    assert_string_equal(invitation.coordinator_key, KEY);
}

static void test_a_key_that_is_none(void **state)
{
    (void)state;
    scratch_write(&scratch, "key", "no key\n");
    assert_int_equal(read_with("coordinator-key", scratch_path(&scratch, "key")), -EINVAL);
    assert_string_equal(invitation.token_file, ""); /* untouched */
}

static void test_a_token(void **state)
{
    (void)state;
    assert_int_equal(read_with("join", TOKEN), 0);
    assert_true(invitation.has_token);
    assert_int_equal(invitation.token.address_count, 2);
}

static void test_a_file_with_a_token(void **state)
{
    (void)state;
    assert_int_equal(read_with("join", write_secret("token", TOKEN "\n")), 0);
    assert_true(invitation.has_token);
    assert_int_equal(invitation.token.address_count, 2);
}

/* Its text is a secret, also where it is wrong. */
static void test_a_mistyped_token(void **state)
{
    (void)state;
    assert_int_equal(read_with("join", "mmj_secret"), -EINVAL);
    assert_int_equal(strncmp(err.text, "--join: ", 8), 0);
    assert_null(strstr(err.text, "secret"));
    assert_false(invitation.has_token);
}

/* … which may come later; then it counts instead of that of a coordinator here. */
static void test_a_file_that_is_not_there(void **state)
{
    const char *path = scratch_path(&scratch, "later");

    (void)state;
    assert_int_equal(read_with("join", path), 0);
    assert_false(invitation.has_token);
    assert_string_equal(invitation.token_file, path);
}

static void test_a_place_for_tokens(void **state)
{
    (void)state;
    assert_int_equal(read_with("local-token", "/run/mesh/local.token"), 0);
    assert_string_equal(invitation.token_file, "/run/mesh/local.token");
}

static void test_no_token_at_all(void **state)
{
    (void)state;
    assert_int_equal(read_with("join", ""), 0);
    assert_false(invitation.has_token);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_nothing_given),
            TEST(test_a_key),
            TEST(test_a_key_that_is_none),
            TEST(test_a_token),
            TEST(test_a_file_with_a_token),
            TEST(test_a_mistyped_token),
            TEST(test_a_file_that_is_not_there),
            TEST(test_a_place_for_tokens),
            TEST(test_no_token_at_all),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("invitation", tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/setup/mesh.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mesh *mesh; /* of the current test */

static int set_up(void **state)
{
    (void)state;
    mesh = calloc(1, sizeof(*mesh));
    return mesh ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    free(mesh);
    return 0;
}

static int take(const char *status_text, const char *models_text, struct err *err)
{
    cJSON *status = cJSON_Parse(status_text), *models = cJSON_Parse(models_text);
    int rc;

    assert_true(status && models);
    rc = mesh_take_modes(mesh, status, models, err);
    cJSON_Delete(status);
    cJSON_Delete(models);
    return rc;
}

static void take_words(const char *words)
{
    struct err err = {.text = ""};

    if (mesh_take_words(mesh, words, 0, &err) < 0)
        fail_msg("%s: %s", words, err.text);
}

static const char nodes[] =
        "\"nodes\":[{\"models\":[{\"name\":\"big\",\"context\":65536},{\"name\":\"small\","
        "\"context\":8192}]},{\"models\":[{\"name\":\"big\",\"context\":32768},{\"name\":\"x\"}]}]";

static void test_takes_what_is_listed(void **state)
{
    char status[1024];
    struct err err;
    (void)state;

    snprintf(status, sizeof(status),
            "{\"modes\":[{\"name\":\"ask\",\"models\":[\"big\",\"small\"]},"
            "{\"name\":\"code\",\"models\":[\"big\",\"gone\"]},{\"name\":\"secret\",\"models\":[]},"
            "{\"name\":\"autocomplete\",\"models\":[\"qwen2.5-coder:7b\"]},"
            "{\"name\":\"a'b\"},{\"name\":7},{\"name\":\"debug\"}],%s}",
            nodes);
    assert_int_equal(take(status,
                             "{\"data\":[{\"id\":\"mesh-ask\"},{\"id\":\"mesh-autocomplete\"},"
                             "{\"id\":\"mesh-code\",\"context_length\":4096,\"capabilities\":"
                             "[\"tools\",\"vision\"]},{\"id\":\"a'b\"},{\"id\":\"debug\"},7]}",
                             &err),
            0);
    assert_int_equal(mesh->mode_count, 4);
    assert_string_equal(mesh->modes[0].id, "mesh-ask");
    assert_string_equal(mesh->modes[0].models, "big, small");
    assert_int_equal(mesh->modes[0].context, 8192);
    assert_false(mesh->modes[0].sees);
    assert_int_equal(mesh->modes[1].context, 4096);
    assert_true(mesh->modes[1].sees);
    assert_string_equal(mesh->modes[2].id, "mesh-autocomplete-qwen2.5-coder:7b");
    assert_string_equal(mesh->modes[3].name, "debug");
    assert_int_equal(mesh->modes[3].context, 0);
}

static void test_what_completes_is_called_as_it_is_listed(void **state)
{
    static const char status[] = "{\"modes\":[{\"name\":\"code\",\"models\":[\"a\",\"b\"]},"
                                 "{\"name\":\"autocomplete\",\"models\":[\"a\",7,\"b\"]}]}";
    static const char models[] = "{\"data\":[{\"id\":\"mesh-code\"},{\"id\":\"mesh-code-b\"},"
                                 "{\"id\":\"mesh-autocomplete\"}%s]}";
    static const char *const listed[] = {"", ",{\"id\":\"mesh-autocomplete-b\"}"};
    static const char *const ids[] = {"mesh-autocomplete-a", "mesh-autocomplete-b"};
    struct err err;
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        char text[512];
        snprintf(text, sizeof(text), models, listed[i]);
        assert_int_equal(take(status, text, &err), 0);
        assert_string_equal(mesh->modes[0].id, "mesh-code");
        assert_string_equal(mesh->modes[1].id, ids[i]);
    }
}

static void test_model_of_several_nodes_has_the_least_context(void **state)
{
    char status[1024];
    struct err err;
    (void)state;

    snprintf(status, sizeof(status), "{\"modes\":[{\"name\":\"ask\",\"models\":[\"big\"]}],%s}",
            nodes);
    assert_int_equal(take(status, "{\"data\":[{\"id\":\"mesh-ask\"}]}", &err), 0);
    assert_int_equal(mesh->modes[0].context, 32768);
}

static void test_what_no_model_of_a_mode_can_do(void **state)
{
    static const char status[] =
            "{\"modes\":[{\"name\":\"ask\",\"models\":[\"a\"]},{\"name\":\"code\",\"models\":"
            "[\"a\",\"b\"]},{\"name\":\"plan\",\"models\":[\"gone\"]},{\"name\":\"autocomplete\","
            "\"models\":[\"a\"]},{\"name\":\"complete\",\"models\":[\"gone\"]},{\"name\":\"embed\","
            "\"models\":[\"a\"]},{\"name\":\"rerank\",\"models\":[\"r\"]}]}";
    static const char models[] =
            "{\"data\":[{\"id\":\"mesh-ask\",\"meta\":{},\"capabilities\":[\"completion\"]},"
            "{\"id\":\"mesh-code\",\"meta\":{},\"capabilities\":[\"completion\"]},"
            "{\"id\":\"mesh-plan\",\"capabilities\":[\"completion\"]},"
            "{\"id\":\"mesh-autocomplete\",\"meta\":{},\"capabilities\":[\"completion\"]},"
            "{\"id\":\"mesh-complete\",\"capabilities\":[\"completion\",\"tools\"]},"
            "{\"id\":\"mesh-embed\",\"meta\":{},\"capabilities\":[\"completion\"]},"
            "{\"id\":\"mesh-rerank\",\"meta\":{},\"capabilities\":[\"rerank\"]},"
            "{\"id\":\"a\",\"meta\":{},\"capabilities\":[\"completion\"]},"
            "{\"id\":\"b\",\"meta\":{},\"capabilities\":[\"completion\",\"tools\"]}]}";
    static const bool toolless[] = {true, false, false, false, false, false, false};
    static const bool unfit[] = {false, false, false, true, false, true, false};
    struct err err;
    (void)state;

    assert_int_equal(take(status, models, &err), 0);
    assert_int_equal(mesh->mode_count, 7);
    for (size_t i = 0; i < mesh->mode_count; i++) {
        if (mesh->modes[i].toolless != toolless[i] || mesh->modes[i].unfit != unfit[i])
            fail_msg("%s", mesh->modes[i].name);
    }
    assert_string_equal(mesh_mode_for(mesh, "autocomplete")->name, "complete");
    assert_null(mesh_mode_for(mesh, "embed"));
    assert_non_null(mesh_mode_for(mesh, "rerank"));
}

/* What one mode can the mesh may choose; what is not listed the caller may not ask for. */
static void test_auto_is_a_mode_where_it_is_listed(void **state)
{
    static const char status[] = "{\"modes\":[{\"name\":\"embed\",\"models\":[\"e\"]},"
                                 "{\"name\":\"debug\",\"models\":[\"a\"]},"
                                 "{\"name\":\"review\",\"models\":[\"b\"]}]}";
    static const char plain[] = "\"meta\":{},\"capabilities\":[\"completion\"]}",
                      able[] =
                              "\"meta\":{},\"capabilities\":[\"completion\",\"tools\",\"vision\"]}";
    char models[1000];
    struct err err;
    (void)state;

    for (int toolless = 0; toolless < 2; toolless++) {
        snprintf(models, sizeof(models),
                "{\"data\":[{\"id\":\"mesh-embed\",%s,{\"id\":\"mesh-debug\",%s,"
                "{\"id\":\"mesh-review\",%s,{\"id\":\"mesh-auto\",\"context_length\":4096,%s]}",
                able, plain, toolless ? plain : able, plain);
        assert_int_equal(take(status, models, &err), 0);
        assert_int_equal(mesh->mode_count, 4);
        const struct mesh_mode *automatic = &mesh->modes[3];
        assert_string_equal(automatic->name, "auto");
        assert_string_equal(automatic->id, "mesh-auto");
        assert_int_equal(automatic->context, 4096);
        assert_int_equal(automatic->toolless, toolless);
        assert_int_equal(automatic->sees, !toolless);
        assert_true(mesh_mode_chats(automatic));
    }
    assert_string_equal(mesh_mode_for(mesh, "code")->name, "debug"); /* who means a role names it */
    assert_int_equal(take(status, "{\"data\":[{\"id\":\"mesh-debug\"}]}", &err), 0);
    assert_int_equal(mesh->mode_count, 1);
    assert_int_equal(take(status, "{\"data\":[{\"id\":\"mesh-auto\"}]}", &err), -ENOENT);
}

static void test_hostile_answers(void **state)
{
    static const char *const cases[][2] = {
            {"{}", "{}"},
            {"[]", "[]"},
            {"{\"modes\":{}}", "{\"data\":{}}"},
            {"{\"modes\":[null,[],{\"name\":{}}]}", "{\"data\":[null,{\"id\":3}]}"},
            {"{\"modes\":[{\"name\":\"x\\ny\"}]}", "{\"data\":[{\"id\":\"x\\ny\"}]}"},
            {"{\"modes\":[{\"name\":\"\"}]}", "{\"data\":[{\"id\":\"mesh-\"}]}"},
            {"{\"modes\":[{\"name\":\"embed\"}]}", "{\"data\":[{\"id\":\"mesh-embed\"}]}"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct err err = {.text = ""};

        assert_int_equal(take(cases[i][0], cases[i][1], &err), -ENOENT);
        assert_non_null(strstr(err.text, "no mode to talk to"));
    }
}

static void test_too_much_is_left_out(void **state)
{
    char name[MESH_WORD_MAX + 2], text[64 * 1024] = "{\"modes\":[", list[64 * 1024] = "{\"data\":[";
    struct err err;
    (void)state;

    for (int i = 0; i < MESH_MODES_MAX + 5; i++) {
        snprintf(name, sizeof(name), "m%d", i);
        snprintf(text + strlen(text), sizeof(text) - strlen(text),
                "%s{\"name\":\"%s\",\"models\":[\"%0100d\",\"%0100d\",\"%0100d\",\"%0100d\","
                "\"%0100d\",\"%0100d\"]}",
                i ? "," : "", name, 1, 2, 3, 4, 5, 6);
        snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s{\"id\":\"%s\"}",
                i ? "," : "", name);
    }
    strcat(text, "]}");
    strcat(list, "]}");
    assert_int_equal(take(text, list, &err), 0);
    assert_int_equal(mesh->mode_count, MESH_MODES_MAX);
    assert_true(strlen(mesh->modes[0].models) < MESH_LIST_MAX);
    assert_int_equal(strlen(mesh->modes[0].models), 5 * 100 + 4 * 2);
}

static void test_words(void **state)
{
    static const char *const bad[] = {
            "", ",", "ask,", "a b", "ask='", "ask=", "embed", "x\ny", "autocomplete=m", "mesh;rm"};
    char many[4 * MESH_MODES_MAX] = "a";
    struct err err;
    (void)state;

    assert_int_equal(mesh_take_words(mesh, "ask,autocomplete=qwen,embed=e", 512, &err), 0);
    assert_int_equal(mesh->mode_count, 3);
    assert_int_equal(mesh->modes[0].context, 512);
    assert_string_equal(mesh->modes[0].models, "");
    assert_string_equal(mesh->modes[1].id, "mesh-autocomplete-qwen");
    assert_string_equal(mesh->modes[2].id, "mesh-embed");
    assert_string_equal(mesh->modes[2].models, "e");
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(mesh_take_words(mesh, bad[i], 0, &err), -EINVAL);
    for (int i = 0; i < MESH_MODES_MAX; i++)
        strcat(many, ",a");
    assert_int_equal(mesh_take_words(mesh, many, 0, &err), -EINVAL);
}

static void assert_role(const char *role, const char *mode)
{
    const struct mesh_mode *found = mesh_mode_for(mesh, role);

    if (!mode && found)
        fail_msg("%s: %s", role, found->name);
    if (mode && (!found || strcmp(found->name, mode) != 0))
        fail_msg("%s: %s, not %s", role, found ? found->name : "none", mode);
}

static void test_roles_have_stand_ins(void **state)
{
    (void)state;
    take_words("ask,code,architect,debug");
    assert_role("ask", "ask");
    assert_role("plan", "architect");
    assert_role("orchestrator", "architect");
    assert_role("fast", "ask");
    assert_role("agent", "code");
    assert_role("edit", "code");
    assert_role("never-heard-of", "code");
    assert_role("autocomplete", NULL);
    assert_role("embed", NULL);
    take_words("complete,embed,strange");
    assert_role("code", "strange");
    assert_role("autocomplete", "complete");
    assert_role("embed", "embed");
    assert_role("rerank", NULL);
    assert_false(mesh_mode_chats(&mesh->modes[0]));
    assert_true(mesh_mode_chats(&mesh->modes[2]));
}

static void test_urls(void **state)
{
    static const struct {
        const char *url, *kept;
        bool local, https, open;
    } cases[] = {
            {"http://127.0.0.1:8420/v1/", "http://127.0.0.1:8420", true, false, false},
            {"localhost:8420", "http://localhost:8420", true, false, false},
            {"http://[::1]:8420", "http://[::1]:8420", true, false, false},
            {"attic:8443", "https://attic:8443", false, true, false},
            {"https://192.168.1.5:8443", "https://192.168.1.5:8443", false, true, false},
            {"https://10.0.0.1", "https://10.0.0.1", false, true, false},
            {"https://172.20.0.1", "https://172.20.0.1", false, true, false},
            {"https://172.32.0.1", "https://172.32.0.1", false, true, true},
            {"https://[fd00::1]:8443", "https://[fd00::1]:8443", false, true, false},
            {"https://[2001:db8::1]", "https://[2001:db8::1]", false, true, true},
            {"https://attic.local:8443", "https://attic.local:8443", false, true, false},
            {"https://mesh.example.com/x", "https://mesh.example.com/x", false, true, true},
    };
    static const char *const bad[] = {"ftp://x", "http://", "http://u:p@x", "http://x y",
            "http://x'y", "http://x\"y", "http://x\\y", "http://x$y", "http://x?q"};
    struct err err;
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        assert_int_equal(mesh_set_url(mesh, cases[i].url, &err), 0);
        assert_string_equal(mesh->url, cases[i].kept);
        assert_int_equal(mesh_is_local(mesh), cases[i].local);
        assert_int_equal(mesh_is_https(mesh), cases[i].https);
        if (mesh_is_public(mesh) != cases[i].open)
            fail_msg("%s is %spublic", cases[i].url, cases[i].open ? "not " : "");
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(mesh_set_url(mesh, bad[i], &err), -EINVAL);
}

static void test_keys(void **state)
{
    static const char *const bad[] = {"", "a b", "a'b", "a\"b", "a$b", "a\nb", "a`b"};
    char big[CLIENT_KEY_MAX + 2];
    struct err err = {.text = ""};
    (void)state;

    assert_int_equal(mesh_set_key(mesh, "mm_aZ9-_.+/=", &err), 0);
    assert_string_equal(mesh->key, "mm_aZ9-_.+/=");
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(mesh_set_key(mesh, bad[i], &err), -EINVAL);
    memset(big, 'a', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    assert_int_equal(mesh_set_key(mesh, big, &err), -EINVAL);
    assert_null(strstr(err.text, "aaa"));
}

static void test_certificates(void **state)
{
    struct scratch scratch;
    struct err err = {.text = ""};
    (void)state;

    scratch_init(&scratch);
    scratch_write(&scratch, "ca.pem", "x");
    scratch_write(&scratch, "it's.pem", "x");
    assert_int_equal(mesh_set_ca(mesh, scratch_path(&scratch, "ca.pem"), &err), 0);
    assert_int_equal(mesh->ca[0], '/');
    assert_int_equal(mesh_set_ca(mesh, scratch_path(&scratch, "it's.pem"), &err), -EINVAL);
    assert_int_equal(mesh_set_ca(mesh, scratch_path(&scratch, "none.pem"), &err), -ENOENT);
    assert_non_null(strstr(err.text, "none.pem"));
    scratch_fini(&scratch);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_takes_what_is_listed, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    test_what_completes_is_called_as_it_is_listed, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    test_model_of_several_nodes_has_the_least_context, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_what_no_model_of_a_mode_can_do, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    test_auto_is_a_mode_where_it_is_listed, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_hostile_answers, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_too_much_is_left_out, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_words, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_roles_have_stand_ins, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_urls, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_keys, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_certificates, set_up, tear_down),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("setup_mesh", tests, NULL, NULL);
}

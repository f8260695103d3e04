#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/loop.h"
#include "node/catalogue.h"
#include "proto/codec.h"
#include "tests/lib/gguf_maker.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct scratch scratch;

static int setup(void **state)
{
    (void)state;
    scratch_init(&scratch);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_fini(&scratch);
    return 0;
}

static void put_model(const char *name, size_t data_bytes)
{
    char folder[512];

    (void)snprintf(folder, sizeof folder, "%s", name);
    if (strrchr(folder, '/') != NULL) {
        *strrchr(folder, '/') = '\0';
        scratch_mkdir(&scratch, folder);
    }
    gguf_write_model(scratch_path(&scratch, name), data_bytes);
}

static struct catalogue_scan *scan(const struct catalogue_scan *previous)
{
    struct catalogue_scan *result;
    struct err err;

    assert_int_equal(catalogue_scan_create(scratch.path, previous, &result, &err), 0);
    return result;
}

static const struct catalogue_model *find(const struct catalogue_scan *s, const char *name)
{
    for (size_t i = 0; i < s->model_count; i++)
        if (strcmp(s->models[i].name, name) == 0)
            return &s->models[i];
    return NULL;
}

static void test_names(void **state)
{
    (void)state;
    put_model("coder/model.gguf", 64);
    put_model("deep/er/thinker/ggml-model-Q4_K_M.gguf", 64);
    put_model("anything/fast-Q8_0.gguf", 64);
    put_model("plain.gguf", 64);
    put_model("model.gguf", 64);
    put_model("coder/mmproj-f16.gguf", 64);
    put_model(".hidden/secret.gguf", 64);
    scratch_write(&scratch, "notes.txt", "hello");

    struct catalogue_scan *s = scan(NULL);
    assert_int_equal(s->model_count, 5);
    assert_string_equal(s->models[0].name, "coder");
    assert_string_equal(s->models[1].name, "fast-Q8_0");
    assert_string_equal(s->models[2].name, "model");
    assert_string_equal(s->models[3].name, "plain");
    assert_string_equal(s->models[4].name, "thinker");
    assert_int_equal(s->problem_count, 0);
    assert_int_equal(s->models[0].context, 2048);
    assert_string_equal(s->models[0].architecture, "llama");
    assert_string_equal(s->models[0].quantisation, "Q8_0");
    assert_int_equal(s->models[0].parameters, 8);
    assert_int_equal(s->models[0].capabilities, CAPABILITY_CHAT);
    assert_true(s->models[0].modified_ns > INT64_C(1500000000) * 1000000000);
    assert_string_equal(s->models[0].path, scratch_path(&scratch, "coder/model.gguf"));
    catalogue_scan_destroy(s);
}

static void test_same_names(void **state)
{
    (void)state;
    put_model("a/x.gguf", 64);
    put_model("b/x.gguf", 64);
    put_model("c/b/x.gguf", 64);

    struct catalogue_scan *s = scan(NULL);
    assert_int_equal(s->model_count, 2);
    assert_string_equal(find(s, "x")->path, scratch_path(&scratch, "a/x.gguf"));
    assert_string_equal(find(s, "b/x")->path, scratch_path(&scratch, "b/x.gguf"));
    assert_int_equal(s->problem_count, 1);
    assert_string_equal(s->problems[0].path, scratch_path(&scratch, "c/b/x.gguf"));
    assert_non_null(strstr(s->problems[0].text, "same name"));
    catalogue_scan_destroy(s);
}

static void put_part(const char *name, uint32_t no, uint32_t count)
{
    struct buf out;
    FILE *file = fopen(scratch_path(&scratch, name), "wb");

    buf_init(&out, 4096);
    gguf_put_head(&out, 3, 1, 3);
    gguf_put_key_text(&out, "general.architecture", "llama");
    gguf_put_key_u32(&out, "split.no", no);
    gguf_put_key_u32(&out, "split.count", count);
    gguf_put_tensor(&out, "t", 0);
    gguf_put_data(&out, 100);
    assert_non_null(file);
    assert_int_equal(fwrite(buf_at(&out), 1, out.len, file), out.len);
    assert_int_equal(fclose(file), 0);
    buf_fini(&out);
}

static void test_split(void **state)
{
    struct stat st;

    (void)state;
    put_part("big-00001-of-00003.gguf", 0, 3);
    put_part("big-00002-of-00003.gguf", 1, 3);

    struct catalogue_scan *cut = scan(NULL);
    assert_int_equal(cut->model_count, 0);
    assert_int_equal(cut->problem_count, 1);
    assert_string_equal(cut->problems[0].text, "part 3 of 3 is missing beside it");

    put_part("big-00003-of-00003.gguf", 2, 3);
    struct catalogue_scan *whole = scan(cut);
    assert_int_equal(whole->model_count, 1);
    assert_int_equal(whole->problem_count, 0);
    assert_string_equal(whole->models[0].name, "big");
    assert_int_equal(stat(scratch_path(&scratch, "big-00001-of-00003.gguf"), &st), 0);
    assert_int_equal(whole->models[0].file_bytes, 3 * st.st_size);
    assert_int_equal(whole->models[0].parameters, 0); /* each part counts its own only */

    assert_int_equal(unlink(scratch_path(&scratch, "big-00001-of-00003.gguf")), 0);
    struct catalogue_scan *headless = scan(whole);
    assert_int_equal(headless->model_count, 0);
    assert_int_equal(headless->problem_count, 2);
    assert_string_equal(headless->problems[0].text, "part 1 of 3 is missing beside it");
    catalogue_scan_destroy(cut);
    catalogue_scan_destroy(whole);
    catalogue_scan_destroy(headless);
}

static void test_split_by_name_only(void **state)
{
    (void)state;
    put_part("renamed.gguf", 0, 3);
    struct catalogue_scan *s = scan(NULL);
    assert_int_equal(s->model_count, 0);
    assert_non_null(strstr(s->problems[0].text, "part 1 of 3"));
    catalogue_scan_destroy(s);
}

static void test_links(void **state)
{
    (void)state;
    put_model("store/blob", 64);
    scratch_mkdir(&scratch, "hub");
    assert_int_equal(symlink("../store/blob", scratch_path(&scratch, "hub/linked.gguf")), 0);
    assert_int_equal(symlink("..", scratch_path(&scratch, "hub/loop")), 0);
    assert_int_equal(symlink("nowhere", scratch_path(&scratch, "hub/lost.gguf")), 0);

    struct catalogue_scan *s = scan(NULL);
    assert_int_equal(s->model_count, 1);
    assert_string_equal(s->models[0].name, "linked");
    assert_int_equal(s->problem_count, 1);
    assert_string_equal(s->problems[0].path, scratch_path(&scratch, "hub/lost.gguf"));
    catalogue_scan_destroy(s);
}

static void test_broken_files(void **state)
{
    (void)state;
    put_model("growing.gguf", 64);
    assert_int_equal(truncate(scratch_path(&scratch, "growing.gguf"), 100), 0);
    scratch_write(&scratch, "page.gguf", "<html>not what you asked for</html>");

    struct catalogue_scan *before = scan(NULL);
    assert_int_equal(before->model_count, 0);
    assert_int_equal(before->problem_count, 2);
    assert_non_null(strstr(before->problems[0].text, "still being copied"));
    assert_non_null(strstr(before->problems[1].text, "not a GGUF"));

    put_model("growing.gguf", 64);
    struct catalogue_scan *after = scan(before);
    assert_int_equal(after->model_count, 1);
    assert_int_equal(after->problem_count, 1);
    catalogue_scan_destroy(before);
    catalogue_scan_destroy(after);
}

static void test_depth(void **state)
{
    char path[256] = "";

    (void)state;
    for (int i = 0; i < CATALOGUE_DEPTH_MAX; i++)
        strcat(path, "d/");
    strcat(path, "in.gguf");
    put_model(path, 64);
    strcpy(strrchr(path, '/'), "/d/out.gguf");
    put_model(path, 64);

    struct catalogue_scan *s = scan(NULL);
    assert_int_equal(s->model_count, 1);
    assert_string_equal(s->models[0].name, "in");
    assert_int_equal(s->problem_count, 1);
    catalogue_scan_destroy(s);
}

static void test_names_that_cannot_travel(void **state)
{
    (void)state;
    put_model("t\xc3\xb6ne.gguf", 64);
    put_model("new\nline.gguf", 64);
    struct catalogue_scan *s = scan(NULL);
    assert_int_equal(s->model_count, 0);
    assert_int_equal(s->problem_count, 2);
    catalogue_scan_destroy(s);
}

static void test_no_folder(void **state)
{
    struct catalogue_scan *result = NULL;
    struct err err;

    (void)state;
    assert_int_equal(
            catalogue_scan_create(scratch_path(&scratch, "absent"), NULL, &result, &err), -ENOENT);
    assert_null(result);
    assert_non_null(strstr(err.text, "absent"));
}

/* --- on the loop --- */

struct watcher {
    struct loop *loop;
    int models, gone, scans;
    char last[128];
};

static void on_model(void *ctx, const struct catalogue_model *model)
{
    struct watcher *watcher = ctx;

    watcher->models++;
    (void)snprintf(watcher->last, sizeof watcher->last, "%s", model->name);
}

static void on_gone(void *ctx, const char *name)
{
    struct watcher *watcher = ctx;

    watcher->gone++;
    (void)snprintf(watcher->last, sizeof watcher->last, "%s", name);
}

static void on_scanned(void *ctx, size_t model_count)
{
    struct watcher *watcher = ctx;

    (void)model_count;
    watcher->scans++;
    loop_stop(watcher->loop);
}

static void test_changes(void **state)
{
    static const struct catalogue_events events = {
            .on_model = on_model, .on_gone = on_gone, .on_scanned = on_scanned};
    struct loop loop;
    struct watcher watcher = {.loop = &loop};

    (void)state;
    put_model("a.gguf", 64);
    put_model("b.gguf", 64);
    assert_int_equal(loop_init(&loop), 0);
    struct catalogue *catalogue = catalogue_create(&loop, scratch.path, &events, &watcher);
    assert_non_null(catalogue);
    loop_run(&loop);
    assert_int_equal(watcher.models, 2);

    catalogue_rescan(catalogue);
    loop_run(&loop);
    assert_int_equal(watcher.models, 2);
    assert_int_equal(watcher.gone, 0);

    put_model("b.gguf", 128);
    catalogue_rescan(catalogue);
    loop_run(&loop);
    assert_int_equal(watcher.models, 3);
    assert_string_equal(watcher.last, "b");

    assert_int_equal(unlink(scratch_path(&scratch, "a.gguf")), 0);
    catalogue_rescan(catalogue);
    loop_run(&loop);
    assert_int_equal(watcher.gone, 1);
    assert_string_equal(watcher.last, "a");
    assert_int_equal(watcher.scans, 4);

    /* Destroyed in mid-scan: nothing is told any more and nothing leaks. */
    catalogue_rescan(catalogue);
    catalogue_destroy(catalogue);
    loop_fini(&loop);
    assert_int_equal(watcher.scans, 4);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_names),
            TEST(test_same_names),
            TEST(test_split),
            TEST(test_split_by_name_only),
            TEST(test_links),
            TEST(test_broken_files),
            TEST(test_depth),
            TEST(test_names_that_cannot_travel),
            TEST(test_no_folder),
            TEST(test_changes),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("catalogue", tests, NULL, NULL);
}

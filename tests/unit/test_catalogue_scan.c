#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/model/model_folder.h"
#include "node/models/catalogue_scan.h"
#include "node/models/file_writer.h"
#include "proto/codec.h"
#include "tests/lib/gguf_maker.h"
#include "tests/lib/scratch.h"
#include "tests/lib/virtual_env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { UPTIME_MS = 60000, LONG_MS = 3600000 };

static struct scratch scratch;
static struct virtual_env world;

static int setup(void **state)
{
    (void)state;
    scratch_init(&scratch);
    virtual_env_init(&world);
    virtual_env_advance_ms(&world, UPTIME_MS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_fini(&scratch);
    return 0;
}

/* Makes it a file that was written so long ago. */
static void age(const char *name, int64_t ms)
{
    int64_t written_ms = env_wall_ms(&world.env) - ms;
    const struct timespec time = {
            .tv_sec = written_ms / 1000, .tv_nsec = written_ms % 1000 * 1000000};
    const struct timespec times[2] = {time, time};

    assert_int_equal(utimensat(AT_FDCWD, scratch_path(&scratch, name), times, 0), 0);
}

/* Changes the last byte. */
static void poke(const char *name, char byte)
{
    int fd = open(scratch_path(&scratch, name), O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &byte, 1, lseek(fd, 0, SEEK_END) - 1), 1);
    close(fd);
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
    age(name, LONG_MS);
}

static struct catalogue_scan *scan_roots(const char *const *roots, size_t root_count,
        struct folder_watch *watch, const struct catalogue_scan *previous)
{
    const struct catalogue_look look = {
            .roots = roots, .root_count = root_count, .env = &world.env, .watch = watch};
    struct catalogue_scan *result;
    struct err err;

    assert_int_equal(catalogue_scan_create(&look, previous, &result, &err), 0);
    return result;
}

static struct catalogue_scan *scan(const struct catalogue_scan *previous)
{
    const char *const root = scratch.path;

    return scan_roots(&root, 1, NULL, previous);
}

/* Looks again after `ms`. */
static void scan_after(uint64_t ms, struct catalogue_scan **scanned)
{
    struct catalogue_scan *before = *scanned;

    virtual_env_advance_ms(&world, ms);
    *scanned = scan(before);
    catalogue_scan_destroy(before);
}

/* Until what has changed is seen and written to the end. */
static void scan_settled(struct catalogue_scan **scanned)
{
    scan_after(0, scanned);
    scan_after(CATALOGUE_SETTLE_MS, scanned);
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
    assert_string_equal(catalogue_scan_find(s, "x")->path, scratch_path(&scratch, "a/x.gguf"));
    assert_string_equal(catalogue_scan_find(s, "b/x")->path, scratch_path(&scratch, "b/x.gguf"));
    assert_int_equal(s->problem_count, 1);
    assert_string_equal(s->problems[0].path, scratch_path(&scratch, "c/b/x.gguf"));
    assert_non_null(strstr(s->problems[0].text, "same name"));
    catalogue_scan_destroy(s);
}

static void put_part(const char *name, uint32_t no, uint32_t count)
{
    struct buf out;
    FILE *file = fopen(scratch_path(&scratch, name), "wb");

    buf_init(&out, 65536);
    gguf_put_head(&out, 3, 1, 3);
    gguf_put_key_text(&out, "general.architecture", "llama");
    gguf_put_key_u32(&out, "split.no", no);
    gguf_put_key_u32(&out, "split.count", count);
    gguf_put_tensor(&out, "t", 0);
    gguf_put_data(&out, 8192);
    assert_non_null(file);
    assert_int_equal(fwrite(buf_at(&out), 1, out.len, file), out.len);
    assert_int_equal(fclose(file), 0);
    buf_fini(&out);
    age(name, LONG_MS);
}

static void test_split(void **state)
{
    struct stat st;

    (void)state;
    put_part("big-00001-of-00003.gguf", 0, 3);
    put_part("big-00002-of-00003.gguf", 1, 3);

    struct catalogue_scan *s = scan(NULL);
    assert_int_equal(s->model_count, 0);
    assert_int_equal(s->problem_count, 1);
    assert_string_equal(s->problems[0].text, "part 3 of 3 is missing beside it");

    put_part("big-00003-of-00003.gguf", 2, 3);
    scan_settled(&s);
    assert_int_equal(s->model_count, 1);
    assert_int_equal(s->problem_count, 0);
    assert_string_equal(s->models[0].name, "big");
    assert_int_equal(stat(scratch_path(&scratch, "big-00001-of-00003.gguf"), &st), 0);
    assert_int_equal(s->models[0].file_bytes, 3 * st.st_size);
    assert_int_equal(s->models[0].parameters, 24);

    assert_int_equal(unlink(scratch_path(&scratch, "big-00001-of-00003.gguf")), 0);
    scan_after(0, &s);
    assert_int_equal(s->model_count, 0);
    assert_int_equal(s->problem_count, 2);
    assert_string_equal(s->problems[0].text, "part 1 of 3 is missing beside it");
    catalogue_scan_destroy(s);
}

/* A later part counts as much as the first. */
static void test_a_changed_part(void **state)
{
    struct fingerprint before;

    (void)state;
    put_part("big-00001-of-00002.gguf", 0, 2);
    put_part("big-00002-of-00002.gguf", 1, 2);
    struct catalogue_scan *s = scan(NULL);
    assert_int_equal(s->model_count, 1);
    before = s->models[0].fingerprint;

    poke("big-00002-of-00002.gguf", 1);
    age("big-00002-of-00002.gguf", LONG_MS / 2);
    scan_after(0, &s);
    assert_int_equal(s->model_count, 0);
    scan_after(CATALOGUE_SETTLE_MS, &s);
    assert_int_equal(s->model_count, 1);
    assert_memory_not_equal(&s->models[0].fingerprint, &before, sizeof before);
    catalogue_scan_destroy(s);
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
    age("growing.gguf", LONG_MS);
    scratch_write(&scratch, "page.gguf", "<html>not what you asked for</html>");
    age("page.gguf", LONG_MS);

    struct catalogue_scan *s = scan(NULL);
    assert_int_equal(s->model_count, 0);
    assert_int_equal(s->problem_count, 2);
    assert_non_null(strstr(s->problems[0].text, "still being copied"));
    assert_non_null(strstr(s->problems[1].text, "not a GGUF"));

    put_model("growing.gguf", 64);
    scan_settled(&s);
    assert_int_equal(s->model_count, 1);
    assert_int_equal(s->problem_count, 1);
    catalogue_scan_destroy(s);
}

static void test_depth(void **state)
{
    char path[256] = "";

    (void)state;
    for (int i = 0; i < MODEL_FOLDER_DEPTH_MAX; i++)
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

/* --- what is remembered --- */

static void test_what_a_model_is(void **state)
{
    (void)state;
    put_model("a.gguf", 64);
    put_model("copies/b.gguf", 64);
    put_model("other.gguf", 96);
    struct catalogue_scan *s = scan(NULL);
    const struct catalogue_model *a = catalogue_scan_find(s, "a");
    const struct catalogue_model *b = catalogue_scan_find(s, "b");
    const struct catalogue_model *other = catalogue_scan_find(s, "other");

    assert_int_equal(a->shape.tensor_bytes, 32);
    assert_int_equal(a->shape.context_trained, 2048);
    assert_memory_equal(&a->fingerprint, &b->fingerprint, sizeof a->fingerprint);
    assert_memory_not_equal(&a->fingerprint, &other->fingerprint, sizeof a->fingerprint);
    assert_ptr_equal(catalogue_scan_find_path(s, scratch_path(&scratch, "copies/b.gguf")), b);
    assert_null(catalogue_scan_find_path(s, scratch_path(&scratch, "b.gguf")));
    assert_null(catalogue_scan_find(s, "c"));
    catalogue_scan_destroy(s);
}

/* Bytes that this process has read so far; 0: not told. */
static uint64_t bytes_read(void)
{
    FILE *file = fopen("/proc/self/io", "r");
    unsigned long long bytes = 0;

    if (file == NULL)
        return 0;
    if (fscanf(file, "rchar: %llu", &bytes) != 1)
        bytes = 0;
    (void)fclose(file);
    return bytes;
}

/* 100 GB of F32, nearly all of it a hole. */
static void put_large(const char *name)
{
    struct buf out;
    FILE *file = fopen(scratch_path(&scratch, name), "wb");

    buf_init(&out, 65536);
    gguf_put_head(&out, 3, 1, 1);
    gguf_put_key_text(&out, "general.architecture", "llama");
    gguf_put_matrix(&out, "token_embd.weight", 25000, 1000000, 0, 0);
    gguf_put_data(&out, 0);
    assert_non_null(file);
    assert_int_equal(fwrite(buf_at(&out), 1, out.len, file), out.len);
    assert_int_equal(fclose(file), 0);
    if (truncate(scratch_path(&scratch, name), (off_t)out.len + INT64_C(100000000000)) < 0)
        skip();
    buf_fini(&out);
    age(name, LONG_MS);
}

static void test_little_is_read_and_once(void **state)
{
    uint64_t begin, middle, end;

    (void)state;
    put_large("large.gguf");
    begin = bytes_read();
    struct catalogue_scan *s = scan(NULL);
    middle = bytes_read();
    scan_after(0, &s);
    end = bytes_read();
    assert_int_equal(s->model_count, 1);
    assert_int_equal(s->models[0].shape.tensor_bytes, 100000000000);
    catalogue_scan_destroy(s);
    if (begin == 0)
        skip();
    assert_in_range(middle - begin, 64 * 4096, 1024 * 1024);
    assert_in_range(end - middle, 0, 4096);
}

/* Who changes a file and gives it its old size and time goes unseen: it is not read again. */
static void test_an_unchanged_file_is_not_read_again(void **state)
{
    struct fingerprint first;

    (void)state;
    put_model("a.gguf", 64);
    struct catalogue_scan *s = scan(NULL);
    first = s->models[0].fingerprint;
    poke("a.gguf", 1);
    age("a.gguf", LONG_MS);
    scan_after(0, &s);
    assert_memory_equal(&s->models[0].fingerprint, &first, sizeof first);
    catalogue_scan_destroy(s);
    s = scan(NULL);
    assert_memory_not_equal(&s->models[0].fingerprint, &first, sizeof first);
    catalogue_scan_destroy(s);
}

/* --- what is being written --- */

static int open_writer(const char *name)
{
    int fd = open(scratch_path(&scratch, name), O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* Not all file systems tell. */
static void need_leases(const char *name)
{
    if (file_writer_of(scratch_path(&scratch, name)) == FILE_WRITER_UNKNOWN)
        skip();
}

static void test_a_new_file_has_to_be_quiet(void **state)
{
    (void)state;
    put_model("a.gguf", 64);
    need_leases("a.gguf");
    age("a.gguf", 0);
    struct catalogue_scan *s = scan(NULL);
    assert_int_equal(s->model_count, 0);
    assert_int_equal(s->problem_count, 0);
    assert_int_equal(s->settle_ms, CATALOGUE_CLOSED_MS);
    scan_after(100, &s);
    assert_int_equal(s->model_count, 0);
    assert_int_equal(s->settle_ms, CATALOGUE_CLOSED_MS - 100);
    scan_after(s->settle_ms, &s);
    assert_int_equal(s->model_count, 1);
    assert_int_equal(s->settle_ms, 0);
    catalogue_scan_destroy(s);
}

static void test_a_file_open_for_writing_is_not_offered(void **state)
{
    (void)state;
    put_model("a.gguf", 64);
    need_leases("a.gguf");
    int fd = open_writer("a.gguf");
    age("a.gguf", CATALOGUE_CLOSED_MS);
    struct catalogue_scan *s = scan(NULL);
    assert_int_equal(s->model_count, 0);
    assert_int_equal(s->problem_count, 0);
    assert_int_equal(s->settle_ms, CATALOGUE_SETTLE_MS - CATALOGUE_CLOSED_MS);

    /* However long nothing comes: a download may stall. */
    scan_after(LONG_MS, &s);
    assert_int_equal(s->model_count, 0);
    assert_int_equal(s->settle_ms, 0);
    assert_int_equal(s->problem_count, 1);
    assert_non_null(strstr(s->problems[0].text, "open for writing"));
    close(fd);
    scan_after(0, &s);
    assert_int_equal(s->model_count, 1);
    assert_int_equal(s->problem_count, 0);
    catalogue_scan_destroy(s);
}

static void test_a_part_open_for_writing(void **state)
{
    (void)state;
    put_part("big-00001-of-00002.gguf", 0, 2);
    put_part("big-00002-of-00002.gguf", 1, 2);
    need_leases("big-00001-of-00002.gguf");
    int fd = open_writer("big-00002-of-00002.gguf");
    struct catalogue_scan *s = scan(NULL);
    assert_int_equal(s->model_count, 0);
    close(fd);
    scan_after(0, &s);
    assert_int_equal(s->model_count, 1);
    catalogue_scan_destroy(s);
}

/* An offered file that is written to is gone until that is over. The times of the file may be those
 * of another host, so they do not count here. */
static void test_a_known_file_is_written_to(void **state)
{
    (void)state;
    put_model("a.gguf", 64);
    struct catalogue_scan *s = scan(NULL);
    assert_int_equal(s->model_count, 1);
    put_model("a.gguf", 128);
    scan_after(0, &s);
    assert_int_equal(s->model_count, 0);
    assert_int_equal(s->settle_ms, CATALOGUE_CLOSED_MS);
    put_model("a.gguf", 192);
    scan_after(CATALOGUE_CLOSED_MS, &s);
    assert_int_equal(s->model_count, 0);
    scan_after(CATALOGUE_SETTLE_MS, &s);
    assert_int_equal(s->model_count, 1);
    catalogue_scan_destroy(s);
}

/* A clock that is ahead of ours must not hide a file for longer than any other. */
static void test_a_file_from_the_future(void **state)
{
    (void)state;
    put_model("a.gguf", 64);
    age("a.gguf", -LONG_MS);
    struct catalogue_scan *s = scan(NULL);
    assert_int_equal(s->model_count, 0);
    scan_after(CATALOGUE_SETTLE_MS, &s);
    assert_int_equal(s->model_count, 1);
    catalogue_scan_destroy(s);
}

/* --- several folders --- */

static struct catalogue_scan *scan_two(
        const char *first, const char *second, const struct catalogue_scan *previous)
{
    const char *const roots[2] = {scratch_path(&scratch, first), scratch_path(&scratch, second)};

    return scan_roots(roots, 2, NULL, previous);
}

static void test_the_earlier_folder_names_first(void **state)
{
    (void)state;
    put_model("z/x.gguf", 64);
    put_model("a/sub/x.gguf", 64);
    put_model("a/y.gguf", 64);
    struct catalogue_scan *s = scan_two("z", "a", NULL);
    assert_int_equal(s->model_count, 3);
    assert_string_equal(catalogue_scan_find(s, "x")->path, scratch_path(&scratch, "z/x.gguf"));
    assert_string_equal(
            catalogue_scan_find(s, "sub/x")->path, scratch_path(&scratch, "a/sub/x.gguf"));
    assert_non_null(catalogue_scan_find(s, "y"));
    catalogue_scan_destroy(s);
}

static void test_the_same_name_in_two_folders(void **state)
{
    (void)state;
    put_model("z/x.gguf", 64);
    put_model("a/x.gguf", 64);
    struct catalogue_scan *s = scan_two("z", "a", NULL);
    assert_int_equal(s->model_count, 1);
    assert_int_equal(s->problem_count, 1);
    assert_string_equal(s->problems[0].path, scratch_path(&scratch, "a/x.gguf"));
    assert_non_null(strstr(s->problems[0].text, "same name"));
    assert_false(s->problems[0].is_root);
    catalogue_scan_destroy(s);
}

static void test_a_folder_in_a_folder(void **state)
{
    (void)state;
    put_model("a/b/x.gguf", 64);
    put_model("a/y.gguf", 64);
    struct catalogue_scan *s = scan_two("a", "a/b", NULL);
    assert_int_equal(s->model_count, 2);
    assert_int_equal(s->problem_count, 0);
    catalogue_scan_destroy(s);
    s = scan_two("a", "a", NULL);
    assert_int_equal(s->model_count, 2);
    assert_int_equal(s->problem_count, 0);
    catalogue_scan_destroy(s);
}

static void test_a_folder_that_is_missing(void **state)
{
    (void)state;
    put_model("a/x.gguf", 64);
    struct catalogue_scan *s = scan_two("a", "b", NULL);
    assert_int_equal(s->model_count, 1);
    assert_int_equal(s->problem_count, 1);
    assert_true(s->problems[0].is_root);
    assert_string_equal(s->problems[0].path, scratch_path(&scratch, "b"));
    assert_string_equal(s->problems[0].text, "No such file or directory");

    put_model("b/y.gguf", 64);
    struct catalogue_scan *both = scan_two("a", "b", s);
    assert_int_equal(both->model_count, 2);
    assert_int_equal(both->problem_count, 0);

    /* Removed, it has no models. */
    assert_int_equal(unlink(scratch_path(&scratch, "b/y.gguf")), 0);
    assert_int_equal(rmdir(scratch_path(&scratch, "b")), 0);
    struct catalogue_scan *one = scan_two("a", "b", both);
    assert_int_equal(one->model_count, 1);
    catalogue_scan_destroy(s);
    catalogue_scan_destroy(both);
    catalogue_scan_destroy(one);
}

/* A network folder that is away for a moment (here: a link that leads to itself) keeps its models.
 */
static void test_a_folder_that_is_away(void **state)
{
    (void)state;
    put_model("a/x.gguf", 64);
    put_model("b/y.gguf", 64);
    scratch_write(&scratch, "b/broken.gguf", "not what you asked for");
    age("b/broken.gguf", LONG_MS);
    struct catalogue_scan *s = scan_two("a", "b", NULL);
    assert_int_equal(s->model_count, 2);
    assert_int_equal(rename(scratch_path(&scratch, "b"), scratch_path(&scratch, "c")), 0);
    assert_int_equal(symlink("b", scratch_path(&scratch, "b")), 0);

    for (int i = 0; i < 2; i++) {
        struct catalogue_scan *away = scan_two("a", "b", s);
        assert_int_equal(away->model_count, 2);
        assert_string_equal(
                catalogue_scan_find(away, "y")->path, scratch_path(&scratch, "b/y.gguf"));
        assert_int_equal(away->problem_count, 2);
        assert_true(away->problems[0].is_root);
        assert_non_null(strstr(away->problems[1].text, "not a GGUF"));
        catalogue_scan_destroy(s);
        s = away;
    }
    assert_int_equal(unlink(scratch_path(&scratch, "b")), 0);
    assert_int_equal(rename(scratch_path(&scratch, "c"), scratch_path(&scratch, "b")), 0);
    struct catalogue_scan *back = scan_two("a", "b", s);
    assert_int_equal(back->model_count, 2);
    assert_int_equal(back->problem_count, 1);
    catalogue_scan_destroy(s);
    catalogue_scan_destroy(back);
}

static void no_news(void *ctx, bool lost)
{
    (void)ctx;
    (void)lost;
}

static void test_folders_are_watched(void **state)
{
    const struct folder_watch_config config = {.folders_max = 3};
    const char *const root = scratch.path;
    struct folder_watch *watch;
    struct loop loop;
    struct err err;

    (void)state;
    put_model("a/b/x.gguf", 64);
    assert_int_equal(loop_init(&loop), 0);
    assert_int_equal(folder_watch_create(&loop, &config, no_news, NULL, &watch, &err), 0);
    struct catalogue_scan *s = scan_roots(&root, 1, watch, NULL);
    assert_int_equal(folder_watch_count(watch), 3);
    assert_int_equal(s->unwatched_count, 0);
    catalogue_scan_destroy(s);

    scratch_mkdir(&scratch, "c/d");
    s = scan_roots(&root, 1, watch, NULL);
    assert_int_equal(folder_watch_count(watch), 3);
    assert_int_equal(s->unwatched_count, 2);
    assert_non_null(strstr(s->unwatched.text, "3 folders"));
    catalogue_scan_destroy(s);
    folder_watch_destroy(watch);
    loop_fini(&loop);
}

/* --- projectors --- */

static void put_gguf(const char *name, const char *architecture, uint32_t embedding)
{
    struct buf out;
    FILE *file;
    char key[64];

    put_model(name, 64); /* its folders */
    file = fopen(scratch_path(&scratch, name), "wb");
    (void)snprintf(key, sizeof key, "%s.embedding_length", architecture);
    buf_init(&out, 4096);
    gguf_put_head(&out, 3, 1, 3);
    gguf_put_key_text(&out, "general.architecture", architecture);
    gguf_put_key_u32(&out, key, embedding);
    gguf_put_key_bool(&out, "clip.has_vision_encoder", strcmp(architecture, "clip") == 0);
    gguf_put_tensor(&out, "t", 0);
    gguf_put_data(&out, 100);
    assert_non_null(file);
    assert_int_equal(fwrite(buf_at(&out), 1, out.len, file), out.len);
    assert_int_equal(fclose(file), 0);
    buf_fini(&out);
    age(name, LONG_MS);
}

static void test_a_projector_goes_with_its_folder(void **state)
{
    const char *path;
    struct catalogue_projector projector;

    (void)state;
    put_gguf("eye/eye-Q4_K_M.gguf", "llama", 64);
    put_gguf("eye/eye-Q8_0.gguf", "llama", 64);
    put_gguf("eye/mmproj-F16.gguf", "clip", 64);
    put_gguf("eye/deeper/blind.gguf", "llama", 64);
    put_gguf("named/any.gguf", "llama", 64);
    put_gguf("named/looks.gguf", "clip", 64);
    struct catalogue_scan *s = scan(NULL);
    assert_int_equal(s->model_count, 4);
    assert_int_equal(s->problem_count, 0);
    path = scratch_path(&scratch, "eye/mmproj-F16.gguf");
    assert_true(catalogue_scan_projector(s, path, &projector));
    assert_int_equal(projector.senses, CAPABILITY_SENSES | CAPABILITY_VISION);
    assert_int_equal(catalogue_scan_find(s, "eye-Q8_0")->projector_senses, projector.senses);
    assert_int_equal(catalogue_scan_find(s, "blind")->projector_senses, 0);
    assert_string_equal(catalogue_scan_find(s, "eye-Q4_K_M")->projector, path);
    assert_string_equal(catalogue_scan_find(s, "eye-Q8_0")->projector, path);
    assert_int_equal(catalogue_scan_find(s, "eye-Q8_0")->projector_bytes, projector.bytes);
    assert_null(catalogue_scan_find(s, "blind")->projector);
    assert_string_equal(
            catalogue_scan_find(s, "any")->projector, scratch_path(&scratch, "named/looks.gguf"));
    assert_false(catalogue_scan_projector(s, scratch_path(&scratch, "named/any.gguf"), &projector));
    assert_false(catalogue_scan_projector(s, scratch_path(&scratch, "absent.gguf"), &projector));
    catalogue_scan_destroy(s);
}

static void test_a_projector_that_may_be_anybodys(void **state)
{
    (void)state;
    put_gguf("two/eye.gguf", "llama", 64);
    put_gguf("two/mmproj-F16.gguf", "clip", 64);
    put_gguf("two/mmproj-F32.gguf", "clip", 64);
    put_gguf("mixed/one.gguf", "llama", 64);
    put_gguf("mixed/other.gguf", "llama", 128);
    put_gguf("mixed/mmproj.gguf", "clip", 64);
    put_gguf("alone/mmproj.gguf", "clip", 64);
    struct catalogue_scan *s = scan(NULL);
    assert_int_equal(s->model_count, 3);
    for (size_t i = 0; i < s->model_count; i++)
        assert_null(s->models[i].projector);
    catalogue_scan_destroy(s);
}

static void test_a_broken_projector(void **state)
{
    struct catalogue_projector projector;

    (void)state;
    put_gguf("eye/eye.gguf", "llama", 64);
    scratch_write(&scratch, "eye/mmproj.gguf", "<html>not what you asked for</html>");
    age("eye/mmproj.gguf", LONG_MS);
    struct catalogue_scan *s = scan(NULL);
    assert_int_equal(s->problem_count, 1);
    assert_null(s->models[0].projector);
    assert_false(
            catalogue_scan_projector(s, scratch_path(&scratch, "eye/mmproj.gguf"), &projector));
    catalogue_scan_destroy(s);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_names),
            TEST(test_same_names),
            TEST(test_split),
            TEST(test_a_changed_part),
            TEST(test_split_by_name_only),
            TEST(test_links),
            TEST(test_broken_files),
            TEST(test_depth),
            TEST(test_names_that_cannot_travel),
            TEST(test_what_a_model_is),
            TEST(test_little_is_read_and_once),
            TEST(test_an_unchanged_file_is_not_read_again),
            TEST(test_a_new_file_has_to_be_quiet),
            TEST(test_a_file_open_for_writing_is_not_offered),
            TEST(test_a_part_open_for_writing),
            TEST(test_a_known_file_is_written_to),
            TEST(test_a_file_from_the_future),
            TEST(test_the_earlier_folder_names_first),
            TEST(test_the_same_name_in_two_folders),
            TEST(test_a_folder_in_a_folder),
            TEST(test_a_folder_that_is_missing),
            TEST(test_a_folder_that_is_away),
            TEST(test_folders_are_watched),
            TEST(test_a_projector_goes_with_its_folder),
            TEST(test_a_projector_that_may_be_anybodys),
            TEST(test_a_broken_projector),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("catalogue_scan", tests, NULL, NULL);
}

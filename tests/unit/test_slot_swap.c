#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/file.h"
#include "node/backends/slots/slot_swap.h"
#include "tests/lib/engine_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_BYTES = 1000000, TOKEN_BYTES = 100, SESSION = 0x4d };

#define SAVE_0    "POST /slots/0?action=save"
#define SAVE_1    "POST /slots/1?action=save"
#define RESTORE_0 "POST /slots/0?action=restore"
#define RESTORE_1 "POST /slots/1?action=restore"
#define FILE_0    "000000000000004d-0.state"
#define FILE_1    "0000000000000000-1.state"

/* The one used last is slot 1; slot 0 is that of SESSION. */
#define TWO_SLOTS                                                                                  \
    "[{\"id\":0,\"is_processing\":false,\"id_task\":4,\"n_prompt_tokens\":300},"                   \
    "{\"id\":1,\"is_processing\":false,\"id_task\":5,\"n_prompt_tokens\":400}]"

struct fixture {
    struct engine_bench bench;
    char dir[32], folder[64], key[PATH_MAX];
    struct slot_files *files;
    struct engine_slots *slots;
    struct slot_swap_config config;
    struct slot_swap *swap;
    unsigned ends;
    size_t count;
    uint64_t tokens, bytes;
};

static void on_end(void *ctx, size_t count, uint64_t tokens, uint64_t bytes)
{
    struct fixture *f = ctx;

    f->ends++;
    f->swap = NULL;
    f->count = count;
    f->tokens = tokens;
    f->bytes = bytes;
    loop_stop(&f->bench.loop);
}

/* An engine so slow that it always pays. */
static struct engine_slots *make_slots(struct fixture *f)
{
    const struct msg_usage slow = {.prompt_tokens = 1000, .prefill_ms = 1e6f};
    struct engine_slots *slots = engine_slots_create(f->bench.http, f->bench.address.url, NULL);
    struct slot_look look;

    assert_non_null(slots);
    engine_slots_note(slots, 0, &slow);
    assert_int_equal(slot_look_read(TWO_SLOTS, strlen(TWO_SLOTS), &look, NULL), 0);
    assert_true(slot_table_learn(engine_slots_table(slots), &look, SESSION, 300));
    return slots;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    engine_bench_init(&f->bench);
    strcpy(f->dir, "/tmp/swap-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->folder, sizeof(f->folder), "%s/slots", f->dir);
    assert_int_equal(slot_files_open(f->folder, MAX_BYTES, &env_system, &f->files, NULL), 0);
    assert_int_equal(slot_files_folder(f->files, "key", f->key, NULL), 0);
    f->slots = make_slots(f);
    f->config = (struct slot_swap_config){.loop = &f->bench.loop,
            .http = f->bench.http,
            .url = f->bench.address.url,
            .files = f->files,
            .folder = f->key,
            .slots = f->slots,
            .token_bytes = TOKEN_BYTES,
            .slot_count = 2};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct slot_files *none;

    slot_swap_cancel(f->swap);
    engine_slots_destroy(f->slots);
    slot_files_close(f->files);
    assert_int_equal(slot_files_open(f->folder, 0, &env_system, &none, NULL), 0);
    assert_int_equal(rmdir(f->dir), 0);
    engine_bench_fini(&f->bench);
    free(f);
    return 0;
}

/* What the engine has written, whole or not. */
static void put(const struct fixture *f, const char *name)
{
    char path[PATH_MAX];
    int fd;

    assert_int_equal(file_join(path, sizeof(path), f->key, name), 0);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "state", 5), 5);
    close(fd);
}

static bool is_there(const struct fixture *f, const char *name)
{
    char path[PATH_MAX];

    assert_int_equal(file_join(path, sizeof(path), f->key, name), 0);
    return access(path, F_OK) == 0;
}

static void wait_for_end(struct fixture *f)
{
    while (f->ends == 0)
        loop_run(&f->bench.loop);
}

static void save(struct fixture *f)
{
    assert_int_equal(slot_swap_save(&f->config, on_end, f, &f->swap, NULL), 0);
    wait_for_end(f);
}

static void restore(struct fixture *f)
{
    assert_int_equal(slot_swap_restore(&f->config, on_end, f, &f->swap, NULL), 0);
    wait_for_end(f);
}

static void stop_loop(void *ctx)
{
    loop_stop(ctx);
}

/* … and no answer has come. */
static void wait_until_asked(struct fixture *f, const char *request)
{
    struct loop_timer *timer = loop_timer_create(&f->bench.loop, stop_loop, &f->bench.loop);

    assert_non_null(timer);
    while (toy_answers_count(f->bench.toy, request, NULL) == 0) {
        loop_timer_start(timer, 1, 0);
        loop_run(&f->bench.loop);
    }
    loop_timer_destroy(timer);
    assert_int_equal(f->ends, 0);
}

static void test_what_is_saved_gets_its_name_when_it_is_whole(void **state)
{
    struct fixture *f = *state;

    toy_answers_set(f->bench.toy, "GET /slots", TWO_SLOTS);
    toy_answers_set(f->bench.toy, SAVE_0, "{\"n_saved\":300,\"n_written\":30000}");
    toy_answers_set(f->bench.toy, SAVE_1, "{\"n_saved\":400,\"n_written\":40000}");
    put(f, FILE_0 ".part");
    put(f, FILE_1 ".part");
    save(f);
    assert_int_equal(f->count, 2);
    assert_int_equal(f->tokens, 700);
    assert_int_equal(f->bytes, 70000);
    assert_int_equal(
            toy_answers_count(f->bench.toy, SAVE_0, "{\"filename\":\"" FILE_0 ".part\"}"), 1);
    assert_true(is_there(f, FILE_0) && is_there(f, FILE_1));
    assert_false(is_there(f, FILE_0 ".part") || is_there(f, FILE_1 ".part"));
    assert_true(slot_files_room(f->files) == MAX_BYTES); /* nothing is promised any more */
}

static void test_what_an_engine_says_it_has_saved(void **state)
{
    static const char *const answers[] = {"{}", "[]", "5", "no", "{\"n_saved\":0}",
            "{\"n_saved\":-1}", "{\"n_saved\":1e300}", "{\"n_saved\":\"300\"}"};
    struct fixture *f = *state;

    toy_answers_set(f->bench.toy, "GET /slots", TWO_SLOTS);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        toy_answers_set(f->bench.toy, SAVE_0, answers[i]);
        put(f, FILE_0 ".part");
        f->ends = 0;
        save(f);
        assert_int_equal(f->count, 0);
        assert_false(is_there(f, FILE_0) || is_there(f, FILE_0 ".part"));
    }
    toy_answers_set(f->bench.toy, SAVE_0, "{\"n_saved\":300}"); /* and it wrote nothing */
    f->ends = 0;
    save(f);
    assert_int_equal(f->count, 0);
}

/* The engine has died while it saved, or was ended. */
static void test_nothing_is_left_of_half_a_save(void **state)
{
    const struct toy_answer silence = {.request = SAVE_1};
    struct fixture *f = *state;

    toy_answers_set(f->bench.toy, "GET /slots", TWO_SLOTS);
    toy_answers_add(f->bench.toy, &silence);
    put(f, FILE_1 ".part");
    assert_int_equal(slot_swap_save(&f->config, on_end, f, &f->swap, NULL), 0);
    wait_until_asked(f, SAVE_1);
    assert_true(slot_files_room(f->files) < MAX_BYTES);
    slot_swap_cancel(f->swap);
    f->swap = NULL;
    assert_int_equal(f->ends, 0);
    assert_false(is_there(f, FILE_1 ".part") || is_there(f, FILE_1));
    assert_true(slot_files_room(f->files) == MAX_BYTES);
}

/* Else it would be offered it at each of its starts. */
static void test_an_engine_that_dies_of_a_state_is_not_offered_it_again(void **state)
{
    const struct toy_answer silence = {.request = RESTORE_0};
    struct fixture *f = *state;
    struct slot_file list[SLOT_FILES_MAX];

    toy_answers_add(f->bench.toy, &silence);
    put(f, FILE_0);
    assert_int_equal(slot_swap_restore(&f->config, on_end, f, &f->swap, NULL), 0);
    wait_until_asked(f, RESTORE_0);
    slot_swap_cancel(f->swap);
    f->swap = NULL;
    assert_int_equal(slot_files_list(f->files, f->key, list), 0);
}

static void test_what_is_restored_is_known_of_its_slot(void **state)
{
    static const char bare[] = "[{\"id\":0,\"is_processing\":false}]";
    struct fixture *f = *state;
    struct slot_look look;

    engine_slots_forget(f->slots);
    toy_answers_set(f->bench.toy, RESTORE_0, "{\"n_restored\":300,\"n_read\":30000}");
    put(f, FILE_0);
    restore(f);
    assert_int_equal(f->count, 1);
    assert_int_equal(f->tokens, 300);
    assert_false(is_there(f, FILE_0));
    assert_int_equal(slot_look_read(bare, strlen(bare), &look, NULL), 0);
    assert_int_equal(slot_table_find(engine_slots_table(f->slots), &look, SESSION), 0);
}

/* Of another model, cut short, or of a newer engine: it refuses, or takes nothing. */
static void test_what_an_engine_does_not_take(void **state)
{
    const struct toy_answer refusal = {
            .request = RESTORE_1, .status = 400, .body = "{\"error\":{\"message\":\"no\"}}"};
    struct fixture *f = *state;

    engine_slots_forget(f->slots);
    toy_answers_set(f->bench.toy, RESTORE_0, "{\"n_restored\":0,\"n_read\":0}");
    toy_answers_add(f->bench.toy, &refusal);
    put(f, FILE_0);
    put(f, FILE_1);
    restore(f);
    assert_int_equal(f->count, 0);
    assert_false(is_there(f, FILE_0) || is_there(f, FILE_1));
    assert_int_equal(slot_swap_restore(&f->config, on_end, f, &f->swap, NULL), -ENOENT);
}

/* An engine in the middle of a batch, which others wait to take the place of. */
static void test_an_engine_that_does_not_answer_is_not_waited_for(void **state)
{
    const struct toy_answer silences[] = {{.request = RESTORE_0}, {.request = RESTORE_1}};
    struct fixture *f = *state;

    for (size_t i = 0; i < 2; i++)
        toy_answers_add(f->bench.toy, &silences[i]);
    put(f, FILE_0);
    put(f, FILE_1);
    restore(f); /* SLOT_SWAP_MS in all, not for each */
    assert_int_equal(f->count, 0);
    assert_in_range(toy_answers_count(f->bench.toy, RESTORE_0, NULL) +
                            toy_answers_count(f->bench.toy, RESTORE_1, NULL),
            1, 2);
    assert_false(is_there(f, FILE_0) || is_there(f, FILE_1));
}

static void test_no_more_is_begun_than_a_disk_takes_in_that_time(void **state)
{
    const uint64_t most = SLOT_SWAP_DISK_BYTES_S * SLOT_SWAP_MS / 1000;
    struct fixture *f = *state;
    bool has_room;

    slot_files_close(f->files);
    assert_int_equal(slot_files_open(f->folder, UINT64_MAX, &env_system, &f->files, NULL), 0);
    f->config.files = f->files;
    f->config.token_bytes = most / 400 + 1; /* slot 1 is too much by a byte a token */
    has_room = slot_files_room(f->files) >= 300 * f->config.token_bytes;
    toy_answers_set(f->bench.toy, "GET /slots", TWO_SLOTS);
    save(f);
    assert_int_equal(toy_answers_count(f->bench.toy, SAVE_1, NULL), 0);
    assert_int_equal(toy_answers_count(f->bench.toy, SAVE_0, NULL), has_room);
}

static void test_no_more_is_begun_than_there_is_room_for(void **state)
{
    struct fixture *f = *state;

    toy_answers_set(f->bench.toy, "GET /slots",
            "[{\"id\":0,\"is_processing\":false,\"id_task\":4,\"n_prompt_tokens\":9007199254740991}"
            ","
            "{\"id\":1,\"is_processing\":false,\"id_task\":5,\"n_prompt_tokens\":9999}]");
    toy_answers_set(f->bench.toy, SAVE_1, "{\"n_saved\":9999}");
    put(f, FILE_1 ".part");
    f->config.token_bytes = UINT64_C(1) << 51; /* the product is past 64 bits */
    save(f);
    assert_int_equal(toy_answers_count(f->bench.toy, SAVE_0, NULL), 0);
    f->ends = 0;
    f->config.token_bytes = 100;
    slot_files_promise(f->files, 500000); /* to another engine, that ends too */
    save(f);
    assert_int_equal(toy_answers_count(f->bench.toy, SAVE_1, NULL), 0);
    slot_files_take_back(f->files, 500000);
    f->ends = 0;
    save(f);
    assert_int_equal(f->count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_what_is_saved_gets_its_name_when_it_is_whole),
            TEST(test_what_an_engine_says_it_has_saved),
            TEST(test_nothing_is_left_of_half_a_save),
            TEST(test_an_engine_that_dies_of_a_state_is_not_offered_it_again),
            TEST(test_what_is_restored_is_known_of_its_slot),
            TEST(test_what_an_engine_does_not_take),
            TEST(test_an_engine_that_does_not_answer_is_not_waited_for),
            TEST(test_no_more_is_begun_than_a_disk_takes_in_that_time),
            TEST(test_no_more_is_begun_than_there_is_room_for),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("slot_swap", tests, NULL, NULL);
}

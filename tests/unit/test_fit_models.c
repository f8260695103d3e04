#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/fit/fit_models.h"
#include "tests/lib/gguf_maker.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 64 * 1024, TENSOR_BYTES = 32 };

static struct scratch scratch;
static struct fit_models models;
static struct err err;

static int setup(void **state)
{
    (void)state;
    scratch_init(&scratch);
    fit_models_init(&models);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fit_models_fini(&models);
    scratch_fini(&scratch);
    return 0;
}

static void write_file(const char *name, const struct buf *content)
{
    FILE *file;

    scratch_write(&scratch, name, "");
    file = fopen(scratch_path(&scratch, name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(buf_at(content), 1, content->len, file), content->len);
    assert_int_equal(fclose(file), 0);
}

/* A model of one small tensor, with what its architecture needs. */
static void put(const char *name, const char *architecture, const char *type)
{
    static const struct {
        const char *key;
        uint32_t value;
    } keys[] = {{"block_count", 2}, {"embedding_length", 64}, {"feed_forward_length", 128},
            {"attention.head_count", 4}, {"attention.head_count_kv", 2}, {"context_length", 4096}};
    const size_t count = sizeof keys / sizeof *keys;
    struct buf out;
    char key[128];

    buf_init(&out, FILE_MAX);
    gguf_put_head(&out, 3, 1, count + 3);
    gguf_put_key_text(&out, "general.architecture", architecture);
    gguf_put_key_text(&out, "general.type", type);
    gguf_put_key_u32(&out, "general.file_type", 7);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "%s.%s", architecture, keys[i].key);
        gguf_put_key_u32(&out, key, keys[i].value);
    }
    gguf_put_tensor(&out, "output.weight", 0);
    gguf_put_data(&out, TENSOR_BYTES);
    write_file(name, &out);
    buf_fini(&out);
}

static void put_model(const char *name)
{
    put(name, "llama", "model");
}

static void add(const char *name)
{
    assert_int_equal(fit_models_add(&models, scratch_path(&scratch, name), &err), 0);
}

static void expect_names(const char *const *names, size_t count)
{
    assert_int_equal(models.count, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(models.list[i].name, names[i]);
}

static void reads_a_file(void **state)
{
    const struct fit_model *model;

    (void)state;
    put_model("coder/model.gguf");
    add("coder/model.gguf");
    assert_int_equal(models.count, 1);
    model = &models.list[0];
    assert_string_equal(model->name, "coder");
    assert_string_equal(model->path, scratch_path(&scratch, "coder/model.gguf"));
    assert_string_equal(model->architecture, "llama");
    assert_string_equal(model->quantisation, "Q8_0");
    assert_int_equal(model->basis, FIT_BY_HEADER);
    assert_false(model->shape.bound);
    assert_int_equal(model->shape.tensor_bytes, TENSOR_BYTES);
    assert_int_equal(model->shape.full.k_elements, 2 * 2 * 16);
    assert_int_equal(model->shape.context_trained, 4096);
}

static void reads_a_folder(void **state)
{
    static const char *const names[] = {"a", "b", "coder", "sub/a"};

    (void)state;
    put_model("m/b.gguf");
    put_model("m/a.gguf");
    put_model("m/sub/a.gguf");
    put_model("m/org/coder/ggml-model-f16.gguf");
    put("m/adapter.gguf", "llama", "adapter");
    put("m/vision.gguf", "clip", "mmproj");
    put("m/mmproj-f16.gguf", "clip", "mmproj");
    scratch_write(&scratch, "m/broken.gguf", "GGUFnonsense");
    add("m");
    expect_names(names, 4);
    assert_int_equal(models.problem_count, 1);
    assert_string_equal(models.problems[0].path, scratch_path(&scratch, "m/broken.gguf"));
    assert_true(*models.problems[0].text != '\0');
}

static void takes_the_current_folder(void **state)
{
    char before[PATH_MAX];

    (void)state;
    put_model("here/model.gguf");
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(scratch_path(&scratch, "here")), 0);
    assert_int_equal(fit_models_add(&models, ".", &err), 0);
    assert_int_equal(fit_models_add(&models, "model.gguf", &err), 0);
    assert_int_equal(chdir(before), 0);
    assert_string_equal(models.list[0].name, "here");
    assert_string_equal(models.list[0].path, scratch_path(&scratch, "here/model.gguf"));
    assert_string_equal(models.list[1].name, "here"); /* another instance of it */
    assert_string_equal(models.list[1].path, models.list[0].path);
}

static void names_stay_apart(void **state)
{
    (void)state;
    put_model("p/one/x.gguf");
    put_model("q/one/x.gguf");
    put_model("r/one/x.gguf");
    add("p");
    add("q");
    add("r");
    assert_int_equal(models.count, 3);
    assert_string_equal(models.list[0].name, "x");
    assert_string_equal(models.list[1].name, "one/x");
    assert_string_equal(models.list[2].name, scratch_path(&scratch, "r/one/x.gguf"));
}

static void a_link_has_its_own_name(void **state)
{
    (void)state;
    put_model("blobs/4f2a");
    scratch_mkdir(&scratch, "snapshot");
    assert_int_equal(
            symlink("../blobs/4f2a", scratch_path(&scratch, "snapshot/coder-Q8_0.gguf")), 0);
    add("snapshot/coder-Q8_0.gguf");
    assert_string_equal(models.list[0].name, "coder-Q8_0");
}

static void put_part(const char *name, uint32_t no, uint32_t count)
{
    struct buf out;

    buf_init(&out, FILE_MAX);
    gguf_put_head(&out, 3, 1, 3);
    gguf_put_key_text(&out, "general.architecture", "llama");
    gguf_put_key_u32(&out, "split.no", no);
    gguf_put_key_u32(&out, "split.count", count);
    gguf_put_tensor(&out, "output.weight", 0);
    gguf_put_data(&out, TENSOR_BYTES);
    write_file(name, &out);
    buf_fini(&out);
}

static void a_split_is_one_model(void **state)
{
    (void)state;
    put_part("m/big-00001-of-00002.gguf", 0, 2);
    put_part("m/big-00002-of-00002.gguf", 1, 2);
    add("m");
    add("m/big-00001-of-00002.gguf");
    assert_int_equal(models.count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(models.list[i].name, "big");
        assert_int_equal(models.list[i].shape.tensor_bytes, 2 * TENSOR_BYTES);
    }
    assert_int_equal(
            fit_models_add(&models, scratch_path(&scratch, "m/big-00002-of-00002.gguf"), &err),
            -EINVAL);
    assert_non_null(strstr(err.text, "name the first"));
    assert_int_equal(remove(scratch_path(&scratch, "m/big-00002-of-00002.gguf")), 0);
    assert_int_equal(
            fit_models_add(&models, scratch_path(&scratch, "m/big-00001-of-00002.gguf"), &err),
            -ENOENT);
    assert_non_null(strstr(err.text, "big-00002-of-00002.gguf"));
}

static void expect_refused(const char *name, int rc, const char *word)
{
    assert_int_equal(fit_models_add(&models, scratch_path(&scratch, name), &err), rc);
    assert_non_null(strstr(err.text, name));
    assert_non_null(strstr(err.text, word));
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    scratch_mkdir(&scratch, "empty");
    scratch_write(&scratch, "text.gguf", "hello, I am no model at all, whatever my name is");
    put("mmproj.gguf", "clip", "mmproj");
    put("adapter.gguf", "llama", "adapter");
    expect_refused("absent.gguf", -ENOENT, "--params 32b");
    expect_refused("empty", -ENOENT, "no model");
    expect_refused("text.gguf", -EBADMSG, "text.gguf");
    expect_refused("mmproj.gguf", -EINVAL, "--projector");
    expect_refused("adapter.gguf", -EINVAL, "adapter");
    assert_int_equal(models.count, 0);
}

static void knows_a_size(void **state)
{
    (void)state;
    assert_int_equal(fit_models_add_size(&models, "32b", "Q4_K_M", &err), 0);
    assert_int_equal(fit_models_add_size(&models, "32b", "q8_0", &err), 0);
    assert_string_equal(models.list[0].name, "32b");
    assert_string_equal(models.list[1].name, "32b-q8_0");
    assert_int_equal(models.list[0].basis, FIT_BY_SIZE);
    assert_true(models.list[0].shape.tensor_bytes < models.list[1].shape.tensor_bytes);
    assert_int_equal(fit_models_add_size(&models, "huge", "Q4_K_M", &err), -EINVAL);
    assert_non_null(strstr(err.text, "--params: \"huge\""));
    assert_int_equal(fit_models_add_size(&models, "8b", "Q4_K_X", &err), -EINVAL);
    assert_non_null(strstr(err.text, "--quant"));
    assert_int_equal(models.count, 2);
}

static int add_projector(const char *name)
{
    return fit_models_add_projector(&models, scratch_path(&scratch, name), &err);
}

static void a_projector_belongs_to_what_lies_beside_it(void **state)
{
    (void)state;
    put_model("a/a.gguf");
    put_model("b/b.gguf");
    put("b/mmproj.gguf", "clip", "mmproj");
    put("c/mmproj.gguf", "clip", "mmproj");
    add("a");
    assert_int_equal(add_projector("c/mmproj.gguf"), 0); /* there is one model only */
    assert_int_equal(models.list[0].projector_bytes, TENSOR_BYTES);
    models.list[0].projector_bytes = 0;
    add("b");
    assert_int_equal(add_projector("b/mmproj.gguf"), 0);
    assert_int_equal(models.list[0].projector_bytes, 0);
    assert_int_equal(models.list[1].projector_bytes, TENSOR_BYTES);
    assert_int_equal(add_projector("c/mmproj.gguf"), -EINVAL);
    assert_non_null(strstr(err.text, "beside none"));
    assert_int_equal(add_projector("a/a.gguf"), -EINVAL);
    assert_non_null(strstr(err.text, "no projector"));
    assert_int_equal(add_projector("absent.gguf"), -ENOENT);
}

/* The tool is found on PATH: 100 MiB, and 1 MiB for each 1024 tokens. */
static void put_tool(void)
{
    scratch_write(&scratch, "bin/llama-fit-params",
            "#!/bin/sh\n"
            "while [ \"$1\" != --ctx-size ]; do shift; done\n"
            "echo \"Host 100 $(($2 / 1024)) 0\"\n");
    assert_int_equal(chmod(scratch_path(&scratch, "bin/llama-fit-params"), 0700), 0);
}

static void asks_the_tool_about_what_is_not_known(void **state)
{
    const struct fit_ask ask = {.contexts = {8192},
            .context_count = 1,
            .together = 8192,
            .slots = 1,
            .memory_bytes = UINT64_C(1) << 40};
    struct model_run run = fit_ask_run(&ask, 8192);
    char *path = strdup(getenv("PATH")), both[8192];
    struct model_memory memory;

    (void)state;
    put("new.gguf", "nextgen9", "model");
    put_model("old.gguf");
    add("new.gguf");
    add("old.gguf");
    assert_int_equal(models.list[0].basis, FIT_BY_BOUND);
    assert_int_equal(setenv("PATH", scratch_path(&scratch, "bin"), 1), 0);
    fit_models_consult_tool(&models, &ask);
    assert_int_equal(models.list[0].basis, FIT_BY_BOUND); /* it is not installed */
    put_tool();
    (void)snprintf(both, sizeof both, "%s:%s", scratch_path(&scratch, "bin"), path);
    assert_int_equal(setenv("PATH", both, 1), 0);
    fit_models_consult_tool(&models, &ask);
    assert_int_equal(setenv("PATH", path, 1), 0);
    free(path);
    assert_int_equal(models.list[0].basis, FIT_BY_TOOL);
    assert_int_equal(models.list[1].basis, FIT_BY_HEADER);
    assert_false(models.list[0].shape.bound);
    estimate_memory(&models.list[0].shape, &run, &memory);
    assert_in_range(memory.total_bytes, UINT64_C(108) << 20, UINT64_C(120) << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(reads_a_file, setup, teardown),
            cmocka_unit_test_setup_teardown(reads_a_folder, setup, teardown),
            cmocka_unit_test_setup_teardown(takes_the_current_folder, setup, teardown),
            cmocka_unit_test_setup_teardown(names_stay_apart, setup, teardown),
            cmocka_unit_test_setup_teardown(a_link_has_its_own_name, setup, teardown),
            cmocka_unit_test_setup_teardown(a_split_is_one_model, setup, teardown),
            cmocka_unit_test_setup_teardown(says_what_is_wrong, setup, teardown),
            cmocka_unit_test_setup_teardown(knows_a_size, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    a_projector_belongs_to_what_lies_beside_it, setup, teardown),
            cmocka_unit_test_setup_teardown(asks_the_tool_about_what_is_not_known, setup, teardown),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("fit_models", tests, NULL, NULL);
}

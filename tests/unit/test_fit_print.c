#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/fit/fit_print.h"
#include "common/json/json.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIB (UINT64_C(1) << 30)

enum { MODELS_MAX = 20 };

static struct fit_model list[MODELS_MAX];
static struct fit_models models;

static const struct fit_ask ask = {.contexts = {8192, 65536},
        .context_count = 2,
        .together = 65536,
        .slots = 1,
        .type = CACHE_TYPE_F16,
        .memory_bytes = 96 * GIB,
        .memory_given = true};

static struct fit_model *add(const char *name, uint64_t tensor_bytes, uint32_t layers)
{
    struct fit_model *model = &list[models.count++];

    *model = (struct fit_model){.path = (char *)(uintptr_t)name};
    (void)snprintf(model->name, sizeof model->name, "%s", name);
    strcpy(model->quantisation, "Q4_K_M");
    strcpy(model->architecture, "llama");
    model->shape = (struct model_shape){.tensor_bytes = tensor_bytes,
            .full = {.layers = layers,
                    .k_elements = (uint64_t)layers * 1024,
                    .v_elements = (uint64_t)layers * 1024},
            .context_trained = 131072};
    return model;
}

static int setup(void **state)
{
    (void)state;
    models = (struct fit_models){.list = list};
    return 0;
}

/* The caller frees. */
static char *print(const struct fit_ask *asked, enum table_format format)
{
    struct fit_answer *answer;
    struct err err;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_int_equal(fit_answer_create(&models, asked, &answer, &err), 0);
    assert_int_equal(fit_print(&models, asked, answer, format, out, &err), 0);
    fit_answer_destroy(answer);
    fclose(out);
    return text;
}

static void expect(const struct fit_ask *asked, enum table_format format, const char *wanted)
{
    char *text = print(asked, format);

    assert_string_equal(text, wanted);
    free(text);
}

static void people_get_the_table_that_they_write_by_hand(void **state)
{
    (void)state;
    add("coder", 18 * GIB, 48);
    add("thinker", 62 * GIB, 94);
    add("giant", 140 * GIB, 61);
    expect(&ask, TABLE_TEXT,
            "In 96.0 GiB, 1 slot, cache in f16:\n"
            "MODEL   QUANT    WEIGHTS     +8k     +64k    AT 64k FITS MAX CONTEXT NOTE\n"
            "coder   Q4_K_M  18.0 GiB 1.5 GiB 12.1 GiB  30.1 GiB yes       131072 \n"
            "thinker Q4_K_M  62.0 GiB 2.9 GiB 23.6 GiB  85.6 GiB yes        81664 \n"
            "giant   Q4_K_M 140.0 GiB 1.9 GiB 15.3 GiB 155.3 GiB no             - \n"
            "\n"
            "Together, with a context of 64k each:\n"
            "MODELS     TOTAL     LEFT MAX CONTEXT EACH\n"
            "coder   30.1 GiB 65.9 GiB           131072\n"
            "thinker 85.6 GiB 10.4 GiB            81664\n"
            "\n"
            "What fits leaves at least 4.6 GiB free.\n");
}

static void one_model_stands_beside_nobody(void **state)
{
    struct fit_ask asked = ask;
    char *text;

    (void)state;
    add("coder", 18 * GIB, 48);
    asked.slots = 4;
    asked.memory_given = false;
    asked.memory_bytes = 30 * GIB;
    text = print(&asked, TABLE_TEXT);
    assert_non_null(strstr(text, "In 30.0 GiB (this host's memory; --memory "));
    assert_non_null(strstr(text, "4 slots"));
    assert_non_null(strstr(text, " to 8k "));
    assert_null(strstr(text, "Together"));
    free(text);
}

static void expect_note(const char *wanted)
{
    char *text = print(&ask, TABLE_TEXT);

    assert_non_null(strstr(text, wanted));
    free(text);
}

static void notes_say_how_sure_it_is(void **state)
{
    struct fit_model *model;

    (void)state;
    model = add("new", 18 * GIB, 48);
    model->basis = FIT_BY_BOUND;
    expect_note("at most: its header says too little\n");
    strcpy(model->architecture, "nextgen9");
    expect_note("at most: the architecture \"nextgen9\" is not known\n");
    model->basis = FIT_BY_TOOL;
    expect_note("as llama-fit-params says\n");
    model->basis = FIT_BY_SIZE;
    expect_note("from its size: weights about, context at most\n");
    model->basis = FIT_BY_HEADER;
    model->projector_bytes = GIB;
    model->shape.context_trained = 40960;
    expect_note("19.0 GiB "); /* with the weights */
    expect_note("weights with a projector of 1.0 GiB; trained for 40960 tokens\n");
}

static void what_a_file_says_cannot_move_the_cursor(void **state)
{
    char *text;

    (void)state;
    strcpy(add("evil\033[2Jname", GIB, 4)->architecture, "a\033]0;t\a");
    list[0].basis = FIT_BY_BOUND;
    text = print(&ask, TABLE_TEXT);
    assert_null(strchr(text, '\033'));
    assert_null(strchr(text, '\a'));
    free(text);
}

static void too_much_is_said_shortly(void **state)
{
    char names[MODELS_MAX][8];
    struct fit_ask asked = ask;
    char *text;

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        (void)snprintf(names[i], sizeof names[i], "m%zu", i);
        add(names[i], 20 * GIB, 4);
    }
    text = print(&asked, TABLE_TEXT); /* any four of eight */
    assert_non_null(strstr(text, "… and 50 more, which --json has\n"));
    free(text);
    for (size_t i = 8; i < 17; i++)
        add("more", GIB, 4);
    text = print(&asked, TABLE_TEXT);
    assert_non_null(strstr(text, "at most 16 models"));
    free(text);
    asked.memory_bytes = 2 * GIB;
    text = print(&asked, TABLE_TEXT);
    assert_non_null(strstr(text, "none of them fits"));
    free(text);
}

static void scripts_get_a_row_a_model(void **state)
{
    (void)state;
    add("coder 2", 18 * GIB, 48);
    list[0].shape.context_trained = 65536;
    expect(&ask, TABLE_RAW,
            "name quantisation weights_bytes context_8192_bytes context_65536_bytes total_bytes "
            "fits largest_context note\n"
            "coder\\x202 Q4_K_M 19327352832 1619001344 12952010752 32279363584 yes 65536 -\n");
}

static void programs_get_all_numbers(void **state)
{
    char *text;
    cJSON *json;
    const cJSON *model, *cell, *set;

    (void)state;
    add("coder", 18 * GIB, 48);
    add("thinker", 62 * GIB, 94)->basis = FIT_BY_BOUND;
    text = print(&ask, TABLE_JSON);
    json = cJSON_Parse(text);
    free(text);
    assert_non_null(json);
    assert_true(json_num(json, "memory_bytes", 0) == 96.0 * GIB);
    assert_true(json_num(json, "usable_bytes", 0) == (double)estimate_usable_bytes(96 * GIB));
    assert_true(json_bool(json, "memory_given", false));
    assert_string_equal(json_str(json, "kv", ""), "f16");
    assert_int_equal(cJSON_GetArraySize(json_array(json, "models")), 2);
    model = cJSON_GetArrayItem(json_array(json, "models"), 1);
    assert_string_equal(json_str(model, "name", ""), "thinker");
    assert_string_equal(json_str(model, "basis", ""), "bound");
    assert_int_equal((int)json_num(model, "fits_context", 0), 65536);
    cell = cJSON_GetArrayItem(json_array(model, "contexts"), 1);
    assert_int_equal((int)json_num(cell, "context", 0), 65536);
    assert_true(json_bool(cell, "fits", false));
    assert_false(json_bool(cell, "beyond_trained", true));
    assert_true(json_num(cell, "cache_bytes", 0) == 94.0 * 4096 * 65536);
    assert_true(json_num(cell, "total_bytes", 0) ==
                json_num(model, "weights_bytes", 0) + json_num(cell, "cache_bytes", 0) +
                        json_num(cell, "state_bytes", 0) + json_num(cell, "compute_bytes", 0));
    set = cJSON_GetArrayItem(json_array(json_obj(json, "together"), "sets"), 1);
    assert_string_equal(cJSON_GetArrayItem(json_array(set, "models"), 0)->valuestring, "thinker");
    assert_true(json_num(set, "total_bytes", 0) + json_num(set, "left_bytes", 0) == 96.0 * GIB);
    assert_int_equal(cJSON_GetArraySize(json_array(json, "problems")), 0);
    cJSON_Delete(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(people_get_the_table_that_they_write_by_hand, setup),
            cmocka_unit_test_setup(one_model_stands_beside_nobody, setup),
            cmocka_unit_test_setup(notes_say_how_sure_it_is, setup),
            cmocka_unit_test_setup(what_a_file_says_cannot_move_the_cursor, setup),
            cmocka_unit_test_setup(too_much_is_said_shortly, setup),
            cmocka_unit_test_setup(scripts_get_a_row_a_model, setup),
            cmocka_unit_test_setup(programs_get_all_numbers, setup),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("fit_print", tests, NULL, NULL);
}

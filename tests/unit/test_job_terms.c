#include "coordinator/job/job_terms.h"

#include "coordinator/scheduling/cost.h"
#include "coordinator/scheduling/fair_queue.h"
#include "tests/lib/short_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"small", "middle", "large"};

static struct job_terms *make(void)
{
    struct job_terms *terms = job_terms_of_models("code", names, 3);
    assert_non_null(terms);
    return terms;
}

static void are(const struct job_terms *terms, const char *const *models, size_t count)
{
    assert_int_equal(terms->model_count, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(terms->models[i], models[i]);
}

static void models_by_name_are_liked_in_their_order(void **state)
{
    (void)state;
    struct job_terms *terms = make();
    are(terms, names, 3);
    assert_string_equal(terms->mode, "code");
    assert_string_equal(terms->rule, "");
    assert_int_equal(terms->priority, FAIR_PRIORITY_DEFAULT);
    assert_true(fabs(terms->beta - COST_BETA_INTERACTIVE) < 1e-9);
    assert_true(terms->quality[0] > terms->quality[1] && terms->quality[1] > terms->quality[2]);
    assert_int_equal(terms->floor, 0);
    job_terms_destroy(terms);
    terms = job_terms_of_models(NULL, names, 1);
    assert_string_equal(terms->mode, "-");
    job_terms_destroy(terms);
}

static void whose_place_they_take_is_told(void **state)
{
    (void)state;
    char text[64];
    struct job_terms *terms = make();
    terms->next = job_terms_create("debug");
    terms->next->next = job_terms_create("ask");
    assert_string_equal(job_terms_passed(terms, terms, text, sizeof(text)), "");
    terms->waited_out = true;
    assert_string_equal(job_terms_passed(terms, terms->next->next, text, sizeof(text)),
            "code had none in time; debug has none for it; ");
    assert_string_equal(job_terms_passed(terms, terms->next->next, text, 9), "code had");
    job_terms_destroy(terms);
}

static void each_is_there_once_and_no_more_than_may_be(void **state)
{
    (void)state;
    char name[16];
    struct job_terms *terms = job_terms_create("code");
    for (int i = 0; i < MODE_MODELS_MAX + 3; i++) {
        (void)snprintf(name, sizeof(name), "m%d", i);
        assert_int_equal(job_terms_add(terms, name, 1), 0);
        assert_int_equal(job_terms_add(terms, name, 9), 0);
    }
    assert_int_equal(terms->model_count, MODE_MODELS_MAX);
    assert_int_equal(terms->quality[7], 1);
    assert_int_equal(job_terms_place(terms, "m7"), 7);
    assert_int_equal(job_terms_place(terms, "m32"), MODE_MODELS_MAX);
    job_terms_destroy(terms);
}

static void the_last_of_very_many_has_points_still(void **state)
{
    (void)state;
    const char *many[MODE_MODELS_MAX];
    char texts[MODE_MODELS_MAX][16];
    for (int i = 0; i < MODE_MODELS_MAX; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "m%d", i);
        many[i] = texts[i];
    }
    struct job_terms *terms = job_terms_of_models("code", many, MODE_MODELS_MAX);
    assert_int_equal(terms->quality[MODE_MODELS_MAX - 1], 1);
    job_terms_destroy(terms);
}

static void a_new_model_has_the_place_and_the_points_of_the_old(void **state)
{
    (void)state;
    struct job_terms *terms = make();
    uint8_t points = terms->quality[1];
    strcpy(terms->rule, "code up to 16k: small, middle, large");
    char *gone = job_terms_replace(terms, "middle", "newer");
    assert_string_equal(gone, "middle");
    free(gone);
    are(terms, (const char *const[]){"small", "newer", "large"}, 3);
    assert_int_equal(terms->quality[1], points);
    assert_string_equal(terms->rule, "code up to 16k: newer");
    job_terms_destroy(terms);
}

static void one_of_the_list_comes_forward_and_never_goes_back(void **state)
{
    (void)state;
    struct job_terms *terms = make();
    uint8_t first = terms->quality[0], second = terms->quality[1];
    free(job_terms_replace(terms, "small", "large"));
    are(terms, (const char *const[]){"large", "middle"}, 2);
    assert_int_equal(terms->quality[0], first);
    assert_int_equal(terms->quality[1], second);
    free(job_terms_replace(terms, "middle", "large"));
    are(terms, (const char *const[]){"large"}, 1);
    assert_int_equal(terms->quality[0], first);
    assert_null(job_terms_replace(terms, "large", "large"));
    are(terms, (const char *const[]){"large"}, 1);
    job_terms_destroy(terms);
}

static void what_stands_in_stays_behind_what_is_named(void **state)
{
    (void)state;
    struct job_terms *terms = make();
    assert_int_equal(terms->named_count, 3);
    terms->named_count = 1;
    strcpy(terms->rule, "ask up to 8k: small");
    free(job_terms_replace(terms, "large", "newer"));
    are(terms, (const char *const[]){"small", "middle", "newer"}, 3);
    assert_string_equal(terms->rule, "ask up to 8k: small");
    free(job_terms_replace(terms, "small", "newer"));
    are(terms, (const char *const[]){"newer", "middle"}, 2);
    assert_int_equal(terms->named_count, 1);
    assert_string_equal(terms->rule, "ask up to 8k: newer");
    terms->named_count = 2;
    free(job_terms_replace(terms, "newer", "middle"));
    assert_int_equal(terms->named_count, 1);
    job_terms_destroy(terms);
}

static void words_that_have_no_room_for_the_new_name_stay(void **state)
{
    (void)state;
    char name[MODE_RULE_TEXT_MAX];
    struct job_terms *terms = make();
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    strcpy(terms->rule, "code any model, as none is known to be able to serve it");
    free(job_terms_replace(terms, "small", "new"));
    assert_string_equal(terms->rule, "code any model, as none is known to be able to serve it");
    strcpy(terms->rule, "code any model: new");
    free(job_terms_replace(terms, "new", name));
    assert_string_equal(terms->rule, "code any model: new");
    job_terms_destroy(terms);
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    bool starved = true;
    for (size_t n = 0; starved; n++) {
        short_memory_begin(n);
        struct job_terms *terms = job_terms_of_models("code", names, 3);
        char *gone = terms ? job_terms_replace(terms, "small", "new") : NULL;
        starved = short_memory_end();
        if (terms && starved) /* nothing has changed */
            are(terms, names, 3);
        assert_int_equal(!gone, starved);
        free(gone);
        job_terms_destroy(terms);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(models_by_name_are_liked_in_their_order),
            cmocka_unit_test(whose_place_they_take_is_told),
            cmocka_unit_test(each_is_there_once_and_no_more_than_may_be),
            cmocka_unit_test(the_last_of_very_many_has_points_still),
            cmocka_unit_test(a_new_model_has_the_place_and_the_points_of_the_old),
            cmocka_unit_test(one_of_the_list_comes_forward_and_never_goes_back),
            cmocka_unit_test(what_stands_in_stays_behind_what_is_named),
            cmocka_unit_test(words_that_have_no_room_for_the_new_name_stay),
            cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("job_terms", tests, NULL, NULL);
}

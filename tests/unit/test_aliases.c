#include "coordinator/aliases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

enum { MODELS_MAX = 4, ALIASES_MAX = 4 };

/* Instances by "MODEL alias alias". */
struct fleet {
    struct instance instances[MODELS_MAX], *list[MODELS_MAX];
    char names[MODELS_MAX][ALIASES_MAX][MSG_NAME_MAX + 1];
    size_t count;
    struct aliases aliases;
};

static void add(struct fleet *fleet, const char *line)
{
    char text[256], *rest = text;
    struct instance *instance = &fleet->instances[fleet->count];
    instance->aliases = fleet->names[fleet->count];
    fleet->list[fleet->count++] = instance;
    (void)snprintf(text, sizeof(text), "%s", line);
    (void)snprintf(instance->model, sizeof(instance->model), "%s", strsep(&rest, " "));
    while (rest)
        (void)snprintf(instance->aliases[instance->alias_count++], MSG_NAME_MAX + 1, "%s",
                strsep(&rest, " "));
}

/* Lines up to a NULL. The caller ends it. */
static void make(struct fleet *fleet, const char *const *lines)
{
    *fleet = (struct fleet){.count = 0};
    for (size_t i = 0; lines[i]; i++)
        add(fleet, lines[i]);
    assert_int_equal(aliases_init(&fleet->aliases, fleet->list, fleet->count), 0);
}

static void means(const struct fleet *fleet, const char *name, const char *model)
{
    assert_string_equal(aliases_model(&fleet->aliases, name), model);
}

static void an_alias_means_its_model(void **state)
{
    (void)state;
    struct fleet fleet;
    make(&fleet, (const char *const[]){"glm fast coder", "qwen best", "glm coder", NULL});
    means(&fleet, "fast", "glm");
    means(&fleet, "coder", "glm");
    means(&fleet, "best", "qwen");
    means(&fleet, "glm", "glm");
    means(&fleet, "Coder", "Coder"); /* case counts */
    means(&fleet, "", "");
    assert_int_equal(fleet.aliases.count, 3);
    assert_string_equal(fleet.aliases.at[0].name, "best");
    assert_string_equal(fleet.aliases.at[2].name, "fast");
    aliases_fini(&fleet.aliases);
}

static void the_first_model_by_name_has_it(void **state)
{
    (void)state;
    struct fleet fleet;
    make(&fleet, (const char *const[]){"qwen coder", "glm coder", "zephyr coder", NULL});
    means(&fleet, "coder", "glm");
    assert_int_equal(fleet.aliases.count, 1);
    aliases_fini(&fleet.aliases);
}

static void a_models_own_name_is_no_alias(void **state)
{
    (void)state;
    struct fleet fleet;
    make(&fleet, (const char *const[]){"glm qwen", "qwen glm", "small small tiny", NULL});
    means(&fleet, "glm", "glm");
    means(&fleet, "qwen", "qwen");
    means(&fleet, "small", "small");
    means(&fleet, "tiny", "small");
    assert_int_equal(fleet.aliases.count, 1);
    aliases_fini(&fleet.aliases);
}

static void an_alias_of_an_alias_is_none(void **state)
{
    (void)state;
    struct fleet fleet;
    make(&fleet, (const char *const[]){"a b", "c d", NULL});
    means(&fleet, "b", "a");
    means(&fleet, aliases_model(&fleet.aliases, "b"), "a");
    aliases_fini(&fleet.aliases);
}

static void where_there_are_none_names_are_what_they_are(void **state)
{
    (void)state;
    struct fleet fleet;
    make(&fleet, (const char *const[]){NULL});
    means(&fleet, "glm", "glm");
    make(&fleet, (const char *const[]){"glm", "qwen", NULL});
    means(&fleet, "qwen", "qwen");
    means(&fleet, "coder", "coder");
    assert_null(fleet.aliases.at);
    aliases_fini(&fleet.aliases);
    aliases_fini(&fleet.aliases);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(an_alias_means_its_model),
            cmocka_unit_test(the_first_model_by_name_has_it),
            cmocka_unit_test(a_models_own_name_is_no_alias),
            cmocka_unit_test(an_alias_of_an_alias_is_none),
            cmocka_unit_test(where_there_are_none_names_are_what_they_are),
    };
    return cmocka_run_group_tests_name("aliases", tests, NULL, NULL);
}

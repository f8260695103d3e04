/* What a client may ask for: lines "MODE MODEL MODEL…", "=ALIAS MODE" and "~FOREIGN TARGET", an
 * empty line, and a name of any bytes. A mode is found by each of its spellings and of its
 * aliases', and whatever is found is one of them. */
#include "coordinator/modes/mode_names.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MODES_TRIED = 4, MODELS_TRIED = 4, ALIASES_TRIED = 8 };

struct world {
    struct mode list[MODES_TRIED];
    char *models[MODES_TRIED][MODELS_TRIED];
    struct mode_alias aliases[ALIASES_TRIED];
    struct modes modes;
};

static void add_alias(struct world *world, char *line)
{
    char *rest, *name = strtok_r(line + 1, " ", &rest), *target = strtok_r(NULL, " ", &rest);
    if (!name || !target || world->modes.alias_count == ALIASES_TRIED)
        return;
    world->aliases[world->modes.alias_count++] =
            (struct mode_alias){.name = name, .target = target, .foreign = *line == '~'};
}

/* A mode that is called as if it ended in ":latest" is found by its own name only: left out. */
static void add_line(struct world *world, char *line)
{
    char *rest, *name = strtok_r(line, " ", &rest), *model;
    struct mode *mode = &world->list[world->modes.count];
    if (!name || strpbrk(name, ":[") || modes_find(&world->modes, name) ||
            strcmp(name, MODE_AUTO) == 0)
        return;
    *mode = (struct mode){.name = name, .models = world->models[world->modes.count]};
    while (mode->model_count < MODELS_TRIED && (model = strtok_r(NULL, " ", &rest)))
        mode->models[mode->model_count++] = model;
    world->modes.count++;
}

/* Returns what stands behind the empty line. */
static const char *read_world(struct world *world, char *text)
{
    *world = (struct world){.modes.list = world->list, .modes.aliases = world->aliases};
    for (char *end; (end = strchr(text, '\n')); text = end + 1) {
        *end = '\0';
        if (end == text)
            return end + 1;
        if (*text == '=' || *text == '~')
            add_alias(world, text);
        else if (world->modes.count < MODES_TRIED)
            add_line(world, text);
    }
    return text;
}

/* Any spelling may be that of another mode, too: its own name comes first. */
static void check_spellings(const struct modes *modes, const struct mode *mode)
{
    static const char *const heads[] = {"", MODE_ALIAS, MODE_ALIAS_CLAUDE};
    static const char *const tails[] = {"", ":latest", "[1m]"};
    char name[2 * MSG_NAME_MAX];
    for (size_t i = 0; i < 9; i++) {
        snprintf(name, sizeof(name), "%s%s%s", heads[i / 3], mode->name, tails[i % 3]);
        assert(strlen(name) > MSG_NAME_MAX || modes_resolve(modes, name));
    }
    assert(modes_resolve(modes, mode->name) == mode);
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), tail = strlen(end);
    return len > tail && strcmp(text + len - tail, end) == 0;
}

static void check_plain(const char *name)
{
    char plain[MSG_NAME_MAX + 1];
    modes_plain_name(name, plain);
    size_t len = strlen(plain);
    assert(len <= MSG_NAME_MAX && strncmp(plain, name, len) == 0);
    if (strlen(name) <= MSG_NAME_MAX && !ends_with(name, ":latest") && !ends_with(name, "[1m]"))
        assert(strcmp(plain, name) == 0);
}

/* Its own name, or that of an alias of it, stands in what was asked for. */
static bool is_in(const struct modes *modes, const struct mode *mode, const char *name)
{
    struct mode_alias_view alias;
    for (size_t i = 0; modes_alias_at(modes, i, &alias); i++)
        if (!alias.foreign && modes_find(modes, alias.target) == mode && strstr(name, alias.name))
            return true;
    return strstr(name, mode->name) || strstr(name, MODE_AUTO);
}

static void check_models(const struct modes *modes, const struct mode *mode, const char *name)
{
    size_t left = 0;
    for (size_t i = 0; i < mode->model_count; i++)
        left += modes_name_leaves(modes, mode, name, mode->models[i]);
    assert(left > 0 || mode->model_count == 0);
    assert(!modes_name_is_open(modes, mode, name) || left == mode->model_count);
}

static void check_name(const struct modes *modes, const char *name)
{
    const struct mode *mode = modes_resolve(modes, name), *own = modes_resolve_own(modes, name);
    check_plain(name);
    assert(!own || own == mode);
    if (!mode)
        return;
    assert(mode >= modes->list && mode < modes->list + modes->count);
    assert(is_in(modes, mode, name));
    check_models(modes, mode, name);
}

static void check_foreign(const struct modes *modes, const char *name)
{
    const char *meant = modes_foreign(modes, name);
    size_t like = 0;
    for (size_t i = 0; i < modes->alias_count; i++) {
        const struct mode_alias *alias = &modes->aliases[i];
        size_t len = strcspn(alias->name, "*");
        like += alias->foreign && meant == alias->target && strncmp(alias->name, name, len) == 0;
    }
    assert(!meant || like > 0);
    (void)modes_asks_auto(modes, name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world;
    char *text = strndup((const char *)data, size);
    const char *name = read_world(&world, text);
    for (size_t i = 0; i < world.modes.count; i++)
        check_spellings(&world.modes, &world.list[i]);
    check_name(&world.modes, name);
    check_foreign(&world.modes, name);
    free(text);
    return 0;
}

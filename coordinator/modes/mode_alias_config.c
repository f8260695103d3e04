#include "coordinator/modes/mode_alias_config.h"

#include "coordinator/modes/mode_names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 256 };

static int no_memory(struct err *err)
{
    return err_set(err, -ENOMEM, "no memory for the modes");
}

static bool has_alias(const struct modes *modes, const char *name)
{
    for (size_t i = 0; i < modes->alias_count; i++)
        if (!modes->aliases[i].foreign && strcmp(modes->aliases[i].name, name) == 0)
            return true;
    return false;
}

static bool is_mode(const struct modes *modes, const char *name)
{
    return strcmp(name, MODE_AUTO) == 0 || modes_find(modes, name);
}

/* Without modes in the config there is nothing to hold it against. */
static bool means_something(const struct modes *modes, const char *target, bool foreign)
{
    if (modes->count == 0 || is_mode(modes, target))
        return true;
    return foreign && (has_alias(modes, target) || modes_resolve(modes, target) ||
                              modes_some_lists(modes, target));
}

/* The mode that has the name for one of its own spellings, which come first; NULL: none. */
static const char *spelt_mode(const struct modes *modes, const char *name)
{
    const struct mode *mode = modes_resolve_own(modes, name);
    if (modes_spells_auto(name))
        return MODE_AUTO;
    return mode ? mode->name : NULL;
}

static int check_name(const struct modes *modes, const char *origin, const char *kind,
        const char *name, struct err *err)
{
    const char *star = strchr(name, '*'), *mode = spelt_mode(modes, name);
    if (star && star[1])
        return err_set(
                err, -EINVAL, "%s: %s: \"%s\" has a * that is not at its end", origin, kind, name);
    if (is_mode(modes, name))
        return err_set(
                err, -EINVAL, "%s: %s: \"%s\" is the name of a mode already", origin, kind, name);
    if (mode)
        return err_set(err, -EINVAL,
                "%s: %s: \"%.100s\" asks for the mode \"%s\" already, and would never mean "
                "anything else; take another name",
                origin, kind, name, mode);
    return 0;
}

static int check_alias(const struct modes *modes, const char *origin, const char *name,
        const char *target, bool foreign, struct err *err)
{
    int r = check_name(modes, origin, foreign ? "model-aliases" : "mode-aliases", name, err);
    if (r)
        return r;
    if (means_something(modes, target, foreign))
        return 0;
    if (foreign)
        return err_set(err, -EINVAL,
                "%s: model-aliases: \"%s\" means \"%.100s\", which is neither a mode nor a model "
                "of "
                "one; add it under modes",
                origin, name, target);
    return err_set(err, -EINVAL,
            "%s: mode-aliases: \"%s\" means \"%.100s\", which is no mode; add it under modes",
            origin, name, target);
}

static int add_alias(struct modes *modes, const char *name, const char *target, bool foreign)
{
    struct mode_alias *alias = &modes->aliases[modes->alias_count++];
    *alias =
            (struct mode_alias){.name = strdup(name), .target = strdup(target), .foreign = foreign};
    return alias->name && alias->target ? 0 : -ENOMEM;
}

static int read_aliases(
        struct modes *modes, const struct config *config, bool foreign, struct err *err)
{
    const char *section = foreign ? "model-aliases" : "mode-aliases", *name;
    char path[PATH_BYTES];
    for (size_t i = 0; (name = config_name_at(config, section, i)); i++) {
        snprintf(path, sizeof(path), "%s.%s", section, name);
        const char *target = config_str(config, path), *origin = config_origin(config, path);
        if (modes->alias_count == MODES_ALIASES_MAX)
            return err_set(err, -EINVAL, "%s: %s: at most %d aliases are taken", origin, section,
                    MODES_ALIASES_MAX);
        int r = check_alias(modes, origin, name, target, foreign, err);
        if (r)
            return r;
        if (add_alias(modes, name, target, foreign))
            return no_memory(err);
    }
    return 0;
}

int mode_aliases_read(const struct config *config, struct modes *modes, struct err *err)
{
    if (!(modes->aliases = calloc(MODES_ALIASES_MAX, sizeof(*modes->aliases))))
        return no_memory(err);
    int r = read_aliases(modes, config, false, err);
    return r ? r : read_aliases(modes, config, true, err);
}

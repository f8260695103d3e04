#include "coordinator/modes/mode_names.h"

#include "coordinator/modes/mode_needs.h"
#include "proto/codec.h"

#include <string.h>
#include <strings.h>

/* What editors call their modes, where ours have other names. */
static const struct {
    const char *name, *target;
} known_aliases[] = {
        {"agent", "code"},
        {"edit", "code"},
        {"plan", "architect"},
        {"chat", "ask"},
        {"fast", "ask"},
        {"big", "architect"},
        {"complete", "autocomplete"},
};
enum { KNOWN_ALIASES = sizeof(known_aliases) / sizeof(known_aliases[0]) };

/* What a name asks for. */
struct wish {
    const struct mode *mode; /* NULL: nothing */
    const char *part;        /* MODEL of mesh-MODE-MODEL, within the name; NULL: none */
};

static size_t without_ending(const char *name, size_t len)
{
    static const char *const endings[] = {":latest", "[1m]"};
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        size_t tail = strlen(endings[i]);
        if (len > tail && memcmp(name + len - tail, endings[i], tail) == 0)
            return len - tail;
    }
    return len;
}

size_t modes_head_len(const char *name)
{
    static const char *const heads[] = {MODE_ALIAS, MODE_ALIAS_CLAUDE};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        size_t len = strlen(heads[i]);
        if (strncmp(name, heads[i], len) == 0)
            return len;
    }
    return 0;
}

void modes_plain_name(const char *name, char ret_plain[MSG_NAME_MAX + 1])
{
    size_t len = strnlen(name, MSG_NAME_MAX), before;
    do {
        before = len;
        len = without_ending(name, len);
    } while (len < before);
    memcpy(ret_plain, name, len);
    ret_plain[len] = '\0';
}

/* --- aliases --- */

static bool is_taken(const struct modes *modes, const char *name)
{
    for (size_t i = 0; i < modes->alias_count; i++)
        if (!modes->aliases[i].foreign && strcmp(modes->aliases[i].name, name) == 0)
            return true;
    return modes_find(modes, name);
}

/* The one that is known counts where nothing else is called so. */
static bool known_counts(const struct modes *modes, size_t known)
{
    return modes_find(modes, known_aliases[known].target) &&
           !is_taken(modes, known_aliases[known].name);
}

bool modes_alias_at(const struct modes *modes, size_t index, struct mode_alias_view *ret_alias)
{
    if (index < modes->alias_count) {
        const struct mode_alias *alias = &modes->aliases[index];
        *ret_alias = (struct mode_alias_view){
                .name = alias->name, .target = alias->target, .foreign = alias->foreign};
        return true;
    }
    index -= modes->alias_count;
    for (size_t i = 0; i < KNOWN_ALIASES; i++) {
        if (!known_counts(modes, i) || index-- > 0)
            continue;
        *ret_alias = (struct mode_alias_view){
                .name = known_aliases[i].name, .target = known_aliases[i].target, .known = true};
        return true;
    }
    return false;
}

/* It stands for whatever begins like it. */
static bool is_cut(const struct mode_alias *alias)
{
    size_t len = strlen(alias->name);
    return len > 0 && alias->name[len - 1] == '*';
}

/* How well the alias stands for `name`: the letters that they share; 0: not at all. A whole name
 * counts more than any that is cut, also without what clients add to it. */
static size_t foreign_rank(const struct mode_alias *alias, const char *name, const char *plain)
{
    size_t len = strlen(alias->name);
    if (!alias->foreign)
        return 0;
    if (is_cut(alias))
        return strncmp(alias->name, name, len - 1) == 0 ? len : 0;
    if (strcmp(alias->name, name) == 0)
        return SIZE_MAX;
    return strcmp(alias->name, plain) == 0 ? SIZE_MAX - 1 : 0;
}

/* `whole`: by no alias that is cut. */
static const char *find_foreign(const struct modes *modes, const char *name, bool whole)
{
    char plain[MSG_NAME_MAX + 1];
    const char *target = NULL;
    size_t best = 0;
    modes_plain_name(name, plain);
    for (size_t i = 0; i < modes->alias_count; i++) {
        const struct mode_alias *alias = &modes->aliases[i];
        size_t rank = whole && is_cut(alias) ? 0 : foreign_rank(alias, name, plain);
        if (rank <= best)
            continue;
        best = rank;
        target = alias->target;
    }
    return target;
}

const char *modes_foreign(const struct modes *modes, const char *name)
{
    return find_foreign(modes, name, false);
}

const char *modes_foreign_whole(const struct modes *modes, const char *name)
{
    return find_foreign(modes, name, true);
}

/* --- spellings --- */

static bool begins_with(const char *model, const char *part)
{
    return strncasecmp(model, part, strlen(part)) == 0;
}

/* MODEL of "CALLED-MODEL", where it is the beginning of one of the mode's models' names; else NULL.
 */
static const char *model_part(const struct mode *mode, const char *called, const char *name)
{
    size_t len = strlen(called);
    if (strncmp(name, called, len) != 0 || name[len] != '-' || name[len + 1] == '\0')
        return NULL;
    for (size_t i = 0; i < mode->model_count; i++)
        if (begins_with(mode->models[i], name + len + 1))
            return name + len + 1;
    return NULL;
}

static struct wish own_wish(const struct modes *modes, const char *name, bool with_model)
{
    struct wish wish = {.mode = modes_find(modes, name)};
    for (size_t i = 0; with_model && !wish.mode && i < modes->count; i++) {
        wish.part = model_part(&modes->list[i], modes->list[i].name, name);
        wish.mode = wish.part ? &modes->list[i] : NULL;
    }
    return wish;
}

static struct wish alias_wish(const struct modes *modes, const char *name, bool with_model)
{
    struct mode_alias_view alias;
    struct wish wish = {.mode = NULL};
    for (size_t i = 0; modes_alias_at(modes, i, &alias); i++)
        if (!alias.foreign && strcmp(alias.name, name) == 0)
            return (struct wish){.mode = modes_find(modes, alias.target)};
    for (size_t i = 0; with_model && !wish.mode && modes_alias_at(modes, i, &alias); i++) {
        const struct mode *mode = alias.foreign ? NULL : modes_find(modes, alias.target);
        wish.part = mode ? model_part(mode, alias.name, name) : NULL;
        wish.mode = wish.part ? mode : NULL;
    }
    return wish;
}

typedef struct wish (*wish_fn)(const struct modes *modes, const char *name, bool with_model);

/* `plain` in all spellings; the part points into it. */
static struct wish spelled_wish(const struct modes *modes, const char *plain, wish_fn look)
{
    struct wish wish = look(modes, plain, false);
    size_t len = modes_head_len(plain);
    return wish.mode || len == 0 ? wish : look(modes, plain + len, true);
}

static struct wish wish_of(const struct modes *modes, const char *plain)
{
    struct wish wish = spelled_wish(modes, plain, own_wish);
    return wish.mode ? wish : spelled_wish(modes, plain, alias_wish);
}

const struct mode *modes_resolve_own(const struct modes *modes, const char *name)
{
    char plain[MSG_NAME_MAX + 1];
    const struct mode *mode = modes_find(modes, name);
    modes_plain_name(name, plain);
    return mode ? mode : spelled_wish(modes, plain, own_wish).mode;
}

const struct mode *modes_resolve(const struct modes *modes, const char *name)
{
    char plain[MSG_NAME_MAX + 1];
    const struct mode *mode = modes_find(modes, name);
    modes_plain_name(name, plain);
    return mode ? mode : wish_of(modes, plain).mode;
}

bool modes_name_is_open(const struct modes *modes, const struct mode *mode, const char *name)
{
    char plain[MSG_NAME_MAX + 1];
    modes_plain_name(name, plain);
    struct wish wish = wish_of(modes, plain);
    return wish.mode != mode || !wish.part;
}

bool modes_name_leaves(
        const struct modes *modes, const struct mode *mode, const char *name, const char *model)
{
    char plain[MSG_NAME_MAX + 1];
    modes_plain_name(name, plain);
    struct wish wish = wish_of(modes, plain);
    return wish.mode != mode || !wish.part || begins_with(model, wish.part);
}

/* --- auto --- */

static bool means_auto(const struct modes *modes, const char *name)
{
    struct mode_alias_view alias;
    if (strcmp(name, MODE_AUTO) == 0)
        return true;
    for (size_t i = 0; modes_alias_at(modes, i, &alias); i++)
        if (!alias.foreign && strcmp(alias.name, name) == 0)
            return strcmp(alias.target, MODE_AUTO) == 0;
    return false;
}

bool modes_calls_auto(const struct modes *modes, const char *name)
{
    char plain[MSG_NAME_MAX + 1];
    modes_plain_name(name, plain);
    return means_auto(modes, plain) || means_auto(modes, plain + modes_head_len(plain));
}

bool modes_spells_auto(const char *name)
{
    static const struct modes none = {.count = 0};
    return modes_calls_auto(&none, name);
}

bool modes_asks_auto(const struct modes *modes, const char *name)
{
    const char *foreign = modes_foreign(modes, name);
    if (modes_calls_auto(modes, name))
        return true;
    return foreign && !modes_resolve(modes, name) && means_auto(modes, foreign);
}

const struct mode *modes_fallback(const struct modes *modes,
        bool (*may)(const void *ctx, const struct mode *mode), const void *ctx)
{
    static const char *const first[] = {"ask", "chat", "code"};
    for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
        const struct mode *mode = modes_resolve(modes, first[i]);
        if (mode && mode_needs(mode->name) == CAPABILITY_CHAT && may(ctx, mode))
            return mode;
    }
    for (size_t i = 0; i < modes->count; i++)
        if (mode_needs(modes->list[i].name) == CAPABILITY_CHAT && may(ctx, &modes->list[i]))
            return &modes->list[i];
    return NULL;
}

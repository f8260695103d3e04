#include "coordinator/placement/placement_explain.h"

#include "common/text.h"
#include "coordinator/placement/placement_seating.h"

#include <stdio.h>
#include <string.h>

/* What is explained, and the text as far as it is written. */
struct words {
    const struct placement_fleet *fleet;
    const struct placement *placement;
    struct text_writer out;
};

static void say_size(struct words *words, uint64_t bytes)
{
    char size[32];
    text_write(&words->out, "%s", text_format_size(bytes, size, sizeof(size)));
}

static const char *model_name(const struct words *words, size_t file)
{
    return words->fleet->models[words->fleet->files[file].model];
}

static const char *node_name(const struct words *words, size_t file)
{
    return words->fleet->nodes[words->fleet->files[file].node].name;
}

/* ---- names of modes */

/* Copies of the mode that sit at that engine (PLACEMENT_NONE: at any) of that node, but for one. */
static uint32_t copies_at(const struct words *words, size_t mode, size_t engine, size_t node,
        const struct placement_service *but)
{
    const struct placement *placement = words->placement;
    uint32_t copies = 0;
    for (size_t i = 0; i < placement->service_count; i++) {
        const struct placement_service *it = &placement->services[i];
        if (it == but || it->mode != mode || it->engine == PLACEMENT_NONE)
            continue;
        if (engine != PLACEMENT_NONE && it->engine != engine)
            continue;
        copies += words->fleet->files[placement->engines[it->engine].file].node == node;
    }
    return copies;
}

static size_t say_modes(struct words *words, const char *before, size_t engine, size_t node,
        const struct placement_service *but)
{
    size_t said = 0;
    for (size_t m = 0; m < words->fleet->mode_count; m++) {
        uint32_t copies = copies_at(words, m, engine, node, but);
        if (!copies)
            continue;
        text_write(&words->out, "%s%s", said++ ? ", " : before, words->fleet->modes[m].name);
        if (copies > 1)
            text_write(&words->out, " (%u copies)", copies);
    }
    return said;
}

/* ---- engines */

static void say_uses(struct words *words, size_t engine)
{
    size_t file = words->placement->engines[engine].file;
    bool pinned = words->fleet->files[file].pinned;
    if (pinned)
        text_write(&words->out,
                words->fleet->files[file].foreign ? "not ours, left as it is" : "pinned");
    say_modes(words, pinned ? "; for " : "for ", engine, words->fleet->files[file].node, NULL);
}

static bool gets_loaded(const struct placement_engine *engine)
{
    return engine->action == PLACEMENT_LOAD || engine->action == PLACEMENT_RELOAD;
}

/* What gets loaded on that node, in whose favour another goes. */
static void say_loads(struct words *words, size_t node)
{
    size_t said = 0;
    for (size_t i = 0; i < words->placement->engine_count; i++) {
        const struct placement_engine *it = &words->placement->engines[i];
        if (words->fleet->files[it->file].node == node && gets_loaded(it))
            text_write(&words->out, "%s\"%s\"", said++ ? ", " : "its room is needed for ",
                    model_name(words, it->file));
    }
    if (!said)
        text_write(&words->out, "there is no room for it");
}

static void say_refusal(struct words *words, const struct placement_engine *engine)
{
    const struct placement_host *host =
            &words->placement->hosts[words->fleet->files[engine->file].node];
    text_write(&words->out, "pinned, but it takes ");
    say_size(words, engine->memory_bytes);
    text_write(
            &words->out, ", and beside what is pinned there before it the node has less of its ");
    say_size(words, host->capacity_bytes);
}

static void say_swap(struct words *words, const struct placement_engine *engine)
{
    if (!engine->swap_bytes)
        return;
    text_write(&words->out, "; ");
    say_size(words, engine->swap_bytes);
    text_write(&words->out, " of it in swap");
}

const char *placement_explain_engine(const struct placement_fleet *fleet,
        const struct placement *placement, size_t engine, char text[PLACEMENT_TEXT_MAX])
{
    struct words words = {.fleet = fleet,
            .placement = placement,
            .out = {.text = text, .size = PLACEMENT_TEXT_MAX}};
    const struct placement_engine *it = &placement->engines[engine];
    const struct placement_file *file = &fleet->files[it->file];

    text[0] = '\0';
    if (it->action == PLACEMENT_SPARE)
        text_write(&words.out, "no mode uses it, and nothing needs its room");
    else if (it->action == PLACEMENT_REFUSE)
        say_refusal(&words, it);
    else if (it->action == PLACEMENT_UNLOAD)
        say_loads(&words, file->node);
    else
        say_uses(&words, engine);
    if (it->action == PLACEMENT_RELOAD)
        text_write(&words.out, "; had %u tokens and %u slots", file->context, file->slots);
    say_swap(&words, it);
    return text;
}

/* ---- what stands against a model or a context */

struct obstacle {
    size_t roomiest; /* file on the node that has most room for it, of those that can run it */
    uint64_t needed, room;
};

/* The least that would do for the mode, and that its prices allow. */
static uint32_t least_context(const struct placement_mode *mode)
{
    uint32_t floor = mode->context_floor ? mode->context_floor : PLACEMENT_CONTEXT_FLOOR;
    uint32_t least = mode->context;
    for (int halvings = 1; halvings <= PLACEMENT_HALVINGS_MAX; halvings++)
        if (mode->context >> halvings >= floor)
            least = mode->context >> halvings;
    return least;
}

/* What an engine for that file could fill: the node, or what the plan leaves of it to that engine
 * (a spare one would go). */
static uint64_t room_for(const struct words *words, size_t file, bool beside)
{
    const struct placement_host *host = &words->placement->hosts[words->fleet->files[file].node];
    uint64_t room = beside ? host->free_bytes + host->spare_bytes : host->capacity_bytes;

    for (size_t i = 0; beside && i < words->placement->engine_count; i++) {
        const struct placement_engine *it = &words->placement->engines[i];
        if (it->file == file && (it->action == PLACEMENT_KEEP || gets_loaded(it)))
            room += it->memory_bytes;
    }
    return room;
}

/* The node where the engine misses least, be it alone there or beside the rest of the plan. False:
 * no node has the model and could run it so; what is pinned runs as it is. */
static bool find_obstacle(const struct words *words, size_t model, uint32_t context, uint32_t slots,
        bool beside, struct obstacle *ret_obstacle)
{
    const struct placement_fleet *fleet = words->fleet;
    bool found = false;
    for (size_t i = 0; i < fleet->file_count; i++) {
        const struct placement_file *it = &fleet->files[i];
        if (it->model != model || it->pinned || (it->context_max && it->context_max < context))
            continue;
        uint64_t room = room_for(words, i, beside);
        if (found && room <= ret_obstacle->room)
            continue;
        found = true;
        *ret_obstacle = (struct obstacle){
                .roomiest = i, .needed = seating_bytes(fleet, i, context, slots), .room = room};
    }
    return found;
}

static bool is_on_a_disk(const struct placement_fleet *fleet, size_t model)
{
    for (size_t i = 0; i < fleet->file_count; i++)
        if (fleet->files[i].model == model)
            return true;
    return false;
}

/* The one with the largest context; PLACEMENT_NONE: it is pinned nowhere. */
static size_t find_pinned(const struct placement_fleet *fleet, size_t model)
{
    size_t found = PLACEMENT_NONE;
    for (size_t i = 0; i < fleet->file_count; i++) {
        const struct placement_file *it = &fleet->files[i];
        if (it->model == model && it->pinned &&
                (found == PLACEMENT_NONE || it->context > fleet->files[found].context))
            found = i;
    }
    return found;
}

static bool is_refused(const struct words *words, size_t file)
{
    for (size_t i = 0; i < words->placement->engine_count; i++)
        if (words->placement->engines[i].file == file)
            return words->placement->engines[i].action == PLACEMENT_REFUSE;
    return false;
}

/* No plan changes it, and it does not do for the mode. */
static void say_pinned(struct words *words, size_t file, uint32_t context)
{
    const struct placement_file *it = &words->fleet->files[file];

    text_write(&words->out, "\"%s\" %s on \"%s\"", model_name(words, file),
            it->foreign ? "is not ours" : "is pinned", node_name(words, file));
    if (is_refused(words, file))
        text_write(&words->out, ", where there is no room for it");
    else if (it->context < context)
        text_write(&words->out, " with %u tokens, fewer than %u", it->context, context);
    else
        text_write(&words->out, ": its slots are %u, too few", it->slots);
}

static void say_obstacle(
        struct words *words, const struct obstacle *obstacle, uint32_t context, bool beside)
{
    text_write(&words->out, "\"%s\" takes ", model_name(words, obstacle->roomiest));
    say_size(words, obstacle->needed);
    text_write(&words->out, " with %u tokens; \"%s\" has %s", context,
            node_name(words, obstacle->roomiest), beside ? "beside the rest of this plan " : "");
    say_size(words, obstacle->room);
}

static void say_why_not(
        struct words *words, const struct placement_mode *mode, size_t choice, uint32_t context)
{
    size_t model = mode->choices[choice].model, pinned = find_pinned(words->fleet, model);
    struct obstacle obstacle;
    bool possible = find_obstacle(words, model, context, mode->slots, false, &obstacle);

    if (!is_on_a_disk(words->fleet, model))
        text_write(&words->out, "no node of this plan has \"%s\" to load",
                words->fleet->models[model]);
    else if (!possible && pinned != PLACEMENT_NONE)
        say_pinned(words, pinned, context);
    else if (!possible)
        text_write(&words->out, "\"%s\" was not trained for %u tokens", words->fleet->models[model],
                context);
    else if (obstacle.needed > obstacle.room)
        say_obstacle(words, &obstacle, context, false);
    else if (find_obstacle(words, model, context, mode->slots, true, &obstacle) &&
             obstacle.needed > obstacle.room)
        say_obstacle(words, &obstacle, context, true);
    else
        text_write(&words->out, "\"%s\" with %u tokens would cost the fleet more than it gains",
                words->fleet->models[model], context);
}

/* ---- services */

static void say_choice(struct words *words, const struct placement_service *service)
{
    const struct placement_mode *mode = &words->fleet->modes[service->mode];
    if (service->engine == PLACEMENT_NONE)
        text_write(&words->out, "not served: ");
    else if (service->choice == 0)
        text_write(&words->out, "first choice");
    else
        text_write(&words->out, "choice %zu of %zu: ", service->choice + 1, mode->choice_count);
    if (service->engine == PLACEMENT_NONE || service->choice > 0)
        say_why_not(words, mode, 0, least_context(mode));
}

static void say_context(struct words *words, const struct placement_service *service)
{
    const struct placement_mode *mode = &words->fleet->modes[service->mode];
    if (service->engine == PLACEMENT_NONE)
        return;
    if (service->context == mode->context) {
        text_write(&words->out, "; its whole context");
        return;
    }
    text_write(&words->out, "; %u of %u tokens: ", service->context, mode->context);
    say_why_not(words, mode, service->choice, mode->context);
}

static void say_company(struct words *words, const struct placement_service *service)
{
    if (service->engine == PLACEMENT_NONE)
        return;
    size_t file = words->placement->engines[service->engine].file;
    char before[PLACEMENT_TEXT_MAX];
    snprintf(before, sizeof(before), "; shares \"%s\" with ", node_name(words, file));
    if (!say_modes(words, before, PLACEMENT_NONE, words->fleet->files[file].node, service))
        text_write(&words->out, "; alone on \"%s\"", node_name(words, file));
}

const char *placement_explain_service(const struct placement_fleet *fleet,
        const struct placement *placement, size_t service, char text[PLACEMENT_TEXT_MAX])
{
    struct words words = {.fleet = fleet,
            .placement = placement,
            .out = {.text = text, .size = PLACEMENT_TEXT_MAX}};
    const struct placement_service *it = &placement->services[service];

    text[0] = '\0';
    say_choice(&words, it);
    say_context(&words, it);
    say_company(&words, it);
    return text;
}

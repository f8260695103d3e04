#include "coordinator/plan/plan.h"

#include "common/arena.h"
#include "common/model/estimate.h"
#include "common/number.h"
#include "common/saturating.h"
#include "coordinator/aliases.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOTE_MAX = 320 };

struct file { /* what a model on a node takes, beside struct placement_file */
    const char *model;
    struct model_shape shape;         /* tensor_bytes 0: not known, then … */
    uint64_t memory_bytes;            /* … it takes this, … */
    uint32_t context, slots;          /* … and these are the most */
    struct model_run run;             /* context and sequences are not read */
    uint64_t over_bytes, under_bytes; /* what was measured, against the estimate of that run */
    uint32_t quality;
    const uint8_t *fingerprint; /* NULL: not known */
};

struct node { /* beside struct placement_node */
    const char *key;
    bool unsettled;
};

struct plan {
    struct arena arena;
    struct placement_fleet fleet;
    struct file *files;
    struct node *nodes;
    const char *notes[PLAN_NOTES_MAX + 1]; /* the last one counts the others */
    size_t note_count;
    struct placement *placement;
};

/* What is only needed while a plan is made. */
struct making {
    struct plan *plan;
    const struct modes *modes;
    struct aliases aliases;
    const char **wanted; /* all models in the lists of modes, in the order of names */
    size_t wanted_count;
    /* What the fleet points to: */
    struct placement_node *nodes;
    struct placement_file *files;
    const char **models;
    struct placement_mode *list;
};

static int no_memory(struct err *err)
{
    return err_set(err, -ENOMEM, "no memory for a plan, or the fleet is too large for one");
}

/* ---- notes */

__attribute__((format(printf, 2, 3))) static void note(struct plan *plan, const char *fmt, ...)
{
    char text[NOTE_MAX];
    va_list args;
    if (plan->note_count++ >= PLAN_NOTES_MAX)
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    plan->notes[plan->note_count - 1] = arena_strdup(&plan->arena, text);
}

static void count_other_notes(struct plan *plan)
{
    char text[NOTE_MAX];
    if (plan->note_count <= PLAN_NOTES_MAX)
        return;
    (void)snprintf(text, sizeof(text), "%zu more like these", plan->note_count - PLAN_NOTES_MAX);
    plan->notes[PLAN_NOTES_MAX] = arena_strdup(&plan->arena, text);
}

/* ---- names */

static int by_text(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static size_t unique_texts(const char **texts, size_t count)
{
    size_t kept = 0;
    if (count > 0)
        qsort(texts, count, sizeof(*texts), by_text);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || strcmp(texts[kept - 1], texts[i]) != 0)
            texts[kept++] = texts[i];
    return kept;
}

static bool is_wanted(const struct making *making, const char *model)
{
    return bsearch(&model, making->wanted, making->wanted_count, sizeof(*making->wanted), by_text);
}

static int take_wanted(struct making *making)
{
    size_t count = 0;
    for (size_t m = 0; m < making->modes->count; m++)
        count += making->modes->list[m].model_count;
    making->wanted = calloc(count + 1, sizeof(*making->wanted));
    if (!making->wanted)
        return -ENOMEM;
    for (size_t m = 0; m < making->modes->count; m++)
        for (size_t i = 0; i < making->modes->list[m].model_count; i++)
            making->wanted[making->wanted_count++] =
                    aliases_model(&making->aliases, making->modes->list[m].models[i]);
    making->wanted_count = unique_texts(making->wanted, making->wanted_count);
    return 0;
}

/* ---- what an engine takes */

static uint64_t estimate(const struct file *file, uint32_t context, uint32_t slots)
{
    struct model_run run = file->run;
    struct model_memory memory;
    run.context = context;
    run.sequences = slots;
    estimate_memory(&file->shape, &run, &memory);
    return memory.total_bytes;
}

static uint64_t engine_bytes(void *ctx, size_t index, uint32_t context, uint32_t slots)
{
    const struct plan *plan = ctx;
    const struct file *file = &plan->files[index];
    if (file->shape.tensor_bytes == 0)
        return context <= file->context && slots <= file->slots ? file->memory_bytes : UINT64_MAX;
    uint64_t bytes = saturating_sum(estimate(file, context, slots), file->over_bytes);
    return saturating_difference(bytes, file->under_bytes);
}

static void take_measured(struct file *file, const struct instance *instance)
{
    if (!instance->measured_bytes || !instance->run_context || !instance->run_slots)
        return;
    uint64_t estimated = estimate(file, instance->run_context, instance->run_slots);
    file->over_bytes = saturating_difference(instance->measured_bytes, estimated);
    file->under_bytes = saturating_difference(estimated, instance->measured_bytes);
}

/* ---- nodes and what they have */

static bool is_resident(const struct instance *instance)
{
    return instance->state == INSTANCE_RESIDENT || instance->state == INSTANCE_LOADING;
}

static uint32_t first_known(uint32_t a, uint32_t b, uint32_t c)
{
    if (a)
        return a;
    return b ? b : c;
}

static uint32_t context_of(const struct instance *instance)
{
    return first_known(instance->state == INSTANCE_RESIDENT ? instance->context : 0,
            instance->run_context,
            first_known(instance->context, instance->context_trained, PLACEMENT_CONTEXT_FLOOR));
}

static uint32_t slots_of(const struct instance *instance)
{
    return first_known(instance->state == INSTANCE_RESIDENT ? instance->slots : 0,
            instance->run_slots, instance->slots ? instance->slots : 1);
}

/* Whether a plan has to know of it. Where a mode names it and it is left out all the same, a note
 * says why. */
static bool counts(struct making *making, const char *node, const struct instance *instance)
{
    if (!is_resident(instance) && !instance->pinned && !is_wanted(making, instance->model))
        return false;
    if (instance->foreign && instance->state != INSTANCE_RESIDENT) {
        note(making->plan,
                "\"%s\" on \"%s\" is not ours and not loaded: whoever asks for it has it loaded, "
                "no plan can",
                instance->model, node);
        return false;
    }
    if (instance->state == INSTANCE_FAILED && !instance->pinned) {
        note(making->plan, "\"%s\" on \"%s\" is left out: its engine failed%s%.160s",
                instance->model, node, *instance->note ? ": " : "", instance->note);
        return false;
    }
    return true;
}

static struct placement_file placement_file_of(const struct instance *instance, size_t node)
{
    uint64_t bytes = instance->memory_bytes ? instance->memory_bytes : 1;
    return (struct placement_file){.node = node,
            .file_bytes = instance->file_bytes,
            .load_ms = instance->load_ms,
            .context_max =
                    first_known(instance->context_trained, instance->shape.context_trained, 0),
            .resident = is_resident(instance),
            .pinned = instance->pinned || instance->foreign,
            .foreign = instance->foreign,
            .context = context_of(instance),
            .slots = slots_of(instance),
            .resident_bytes = instance->foreign ? 1 : bytes};
}

/* False: no memory. */
static bool fill_file(
        struct plan *plan, const char *model, const struct instance *instance, struct file *file)
{
    *file = (struct file){.model = model,
            .shape = instance->shape,
            .memory_bytes = number_greater(instance->memory_bytes, instance->file_bytes),
            .context = context_of(instance),
            .slots = slots_of(instance),
            .run = {.type_k = instance->type_k,
                    .type_v = instance->type_v,
                    .batch_tokens = instance->batch_tokens,
                    .output_rows = instance->output_rows,
                    .projector_bytes = instance->side_bytes},
            .quality = instance->quality};
    if (file->shape.tensor_bytes)
        take_measured(file, instance);
    if (!instance->has_fingerprint)
        return true;
    file->fingerprint = (const uint8_t *)arena_memdup(
            &plan->arena, instance->fingerprint, MSG_FINGERPRINT_BYTES);
    return file->fingerprint != NULL;
}

static int add_file(struct making *making, const struct instance *instance)
{
    struct plan *plan = making->plan;
    const char *model = arena_strdup(&plan->arena, instance->model);
    size_t node = plan->fleet.node_count - 1, file = plan->fleet.file_count++;
    if (!model || !fill_file(plan, model, instance, &plan->files[file]))
        return -ENOMEM;
    making->files[file] = placement_file_of(instance, node);
    return 0;
}

/* What people have asked for just now: a load, or an answer of a model that no mode names. */
static bool is_unsettled(const struct making *making, const struct instance *instance)
{
    bool serves = instance->busy > 0 || instance->running > 0;
    return instance->ordered || instance->state == INSTANCE_LOADING ||
           instance->state == INSTANCE_STOPPING ||
           (serves && !instance->foreign && !is_wanted(making, instance->model));
}

/* What others hold is not the plan's; what is loaded there already is, though a little is missing
 * of what should stay free beside it. */
static uint64_t pool_bytes(const struct node_facts *facts)
{
    uint64_t room = number_greater(facts->memory_room_bytes, facts->memory_used_bytes);
    return facts->memory_room_bytes == 0 ? facts->memory_limit_bytes
                                         : number_lesser(room, facts->memory_limit_bytes);
}

static int add_node(struct making *making, const struct plan_host *host)
{
    struct plan *plan = making->plan;
    const struct node_facts *facts = &host->facts;
    size_t node = plan->fleet.node_count++;
    making->nodes[node] = (struct placement_node){.name = arena_strdup(&plan->arena, host->name),
            .pool_bytes = pool_bytes(facts),
            .swap_bytes = facts->swap_allowance_bytes,
            .bandwidth_mib_s = (uint32_t)(facts->memory_bandwidth_bytes >> 20)};
    plan->nodes[node].key = host->key ? arena_strdup(&plan->arena, host->key) : NULL;
    bool complete = making->nodes[node].name && (!host->key || plan->nodes[node].key);
    int r = complete ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < host->count; i++) {
        plan->nodes[node].unsettled |= is_unsettled(making, host->instances[i]);
        if (counts(making, making->nodes[node].name, host->instances[i]))
            r = add_file(making, host->instances[i]);
    }
    return r;
}

static int take_hosts(struct making *making, const struct plan_host *const *hosts, size_t count)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < count; i++) {
        if (hosts[i]->facts.draining)
            note(making->plan, "\"%s\" is left out: it is draining, and takes no work",
                    hosts[i]->name);
        else if (!hosts[i]->facts.memory_limit_bytes)
            note(making->plan, "\"%s\" is left out: it has not told its memory yet",
                    hosts[i]->name);
        else
            r = add_node(making, hosts[i]);
    }
    return r;
}

/* ---- models */

static size_t model_index(const struct plan *plan, const char *model)
{
    const char *const *found = bsearch(&model, plan->fleet.models, plan->fleet.model_count,
            sizeof(*plan->fleet.models), by_text);
    return (size_t)(found - plan->fleet.models);
}

/* Also those that modes name and no node has. */
static int take_models(struct making *making)
{
    struct plan *plan = making->plan;
    size_t count = 0;
    for (size_t i = 0; i < plan->fleet.file_count; i++)
        making->models[count++] = plan->files[i].model;
    for (size_t i = 0; i < making->wanted_count; i++) {
        making->models[count] = arena_strdup(&plan->arena, making->wanted[i]);
        if (!making->models[count++])
            return -ENOMEM;
    }
    plan->fleet.model_count = unique_texts(making->models, count);
    for (size_t i = 0; i < plan->fleet.file_count; i++)
        making->files[i].model = model_index(plan, plan->files[i].model);
    return 0;
}

/* Who was met first under the name stands for it. */
static void compare_contents(struct making *making)
{
    struct plan *plan = making->plan;
    const struct placement_file *files = making->files;
    size_t *first = calloc(plan->fleet.model_count + 1, sizeof(*first));
    for (size_t i = 0; first && i < plan->fleet.file_count; i++) {
        const uint8_t *own = plan->files[i].fingerprint;
        size_t *of_model = &first[files[i].model]; /* a file's number, from 1 */
        if (own && !*of_model)
            *of_model = i + 1;
        else if (own &&
                 memcmp(own, plan->files[*of_model - 1].fingerprint, MSG_FINGERPRINT_BYTES) != 0)
            note(plan, "\"%s\" is not the same file on \"%s\" and on \"%s\": both count as it",
                    plan->files[i].model, making->nodes[files[*of_model - 1].node].name,
                    making->nodes[files[i].node].name);
    }
    free(first);
}

/* ---- modes */

static uint32_t quality_of(const struct plan *plan, size_t model)
{
    uint32_t quality = 0;
    for (size_t i = 0; i < plan->fleet.file_count; i++)
        if (plan->fleet.files[i].model == model && plan->files[i].quality > quality)
            quality = plan->files[i].quality;
    return quality;
}

static bool is_chosen(const struct placement_choice *choices, size_t count, size_t model)
{
    for (size_t i = 0; i < count; i++)
        if (choices[i].model == model)
            return true;
    return false;
}

/* `points`: what the mode's config says of it; 0: what nodes say counts. */
static size_t add_choice(const struct plan *plan, struct placement_choice *choices, size_t count,
        const char *name, uint32_t points)
{
    size_t model = model_index(plan, name);
    if (count == PLACEMENT_CHOICES_MAX || is_chosen(choices, count, model))
        return count;
    choices[count] = (struct placement_choice){
            .model = model, .quality = points ? points : quality_of(plan, model)};
    return count + 1;
}

static size_t take_choices(
        const struct making *making, const struct mode *mode, struct placement_choice *choices)
{
    size_t count = 0;
    for (size_t i = 0; i < mode->model_count; i++)
        count = add_choice(making->plan, choices, count,
                aliases_model(&making->aliases, mode->models[i]),
                mode_said_points(mode, mode->models[i]));
    return count;
}

/* The most that one of the mode's models was trained for; UINT32_MAX where one does not say. */
static uint32_t most_trained(const struct plan *plan, const struct placement_mode *mode)
{
    uint32_t most = 0;
    for (size_t i = 0; i < plan->fleet.file_count; i++) {
        const struct placement_file *it = &plan->fleet.files[i];
        uint32_t trained = it->context_max ? it->context_max : UINT32_MAX;
        if (is_chosen(mode->choices, mode->choice_count, it->model) && trained > most)
            most = trained;
    }
    return most ? most : UINT32_MAX;
}

static int add_mode(struct making *making, const struct mode *mode)
{
    struct plan *plan = making->plan;
    struct placement_mode *it = &making->list[plan->fleet.mode_count++];
    struct placement_choice *choices =
            arena_alloc(&plan->arena, PLACEMENT_CHOICES_MAX * sizeof(*choices));
    *it = (struct placement_mode){.name = arena_strdup(&plan->arena, mode->name),
            .choices = choices,
            .context = mode->context,
            .slots = mode->slots,
            .copies = mode->copies,
            .weight = mode->weight,
            .batch = mode->batch};
    if (!choices || !it->name)
        return -ENOMEM;
    it->choice_count = take_choices(making, mode, choices);
    if (!mode->context_is_set)
        it->context = (uint32_t)number_lesser(it->context, most_trained(plan, it));
    it->context_floor = (uint32_t)number_lesser(mode->context_floor, it->context);
    return 0;
}

/* ---- life */

static int by_node_name(const void *left, const void *right)
{
    const struct plan_host *a = *(const struct plan_host *const *)left,
                           *b = *(const struct plan_host *const *)right;
    return strcmp(a->name, b->name);
}

/* The hosts in the order of names, so that who connected first makes no difference. */
static const struct plan_host **sorted(const struct plan_host *hosts, size_t count)
{
    const struct plan_host **list = calloc(count + 1, sizeof(const struct plan_host *));
    for (size_t i = 0; list && i < count; i++)
        list[i] = &hosts[i];
    if (list && count > 0)
        qsort(list, count, sizeof(const struct plan_host *), by_node_name);
    return list;
}

static size_t count_instances(const struct plan_host *hosts, size_t host_count)
{
    size_t count = 0;
    for (size_t i = 0; i < host_count; i++)
        count += hosts[i].count;
    return count;
}

/* Also of models that do not count: requests go by them. */
static int take_aliases(struct making *making, const struct plan_host *hosts, size_t host_count)
{
    size_t count = 0;
    struct instance **all =
            calloc(count_instances(hosts, host_count) + 1, sizeof(struct instance *));
    for (size_t i = 0; all && i < host_count; i++)
        for (size_t k = 0; k < hosts[i].count; k++)
            all[count++] = hosts[i].instances[k];
    int r = all ? aliases_init(&making->aliases, all, count) : -ENOMEM;
    free(all);
    return r;
}

static void *make_array(struct plan *plan, size_t count, size_t size)
{
    return arena_alloc(&plan->arena, (count + 1) * size);
}

static int make_room(struct making *making, const struct plan_host *hosts, size_t host_count)
{
    struct plan *plan = making->plan;
    size_t files = count_instances(hosts, host_count);
    making->nodes = make_array(plan, host_count, sizeof(*making->nodes));
    making->files = make_array(plan, files, sizeof(*making->files));
    making->models = make_array(plan, files + making->wanted_count, sizeof(*making->models));
    making->list = make_array(plan, making->modes->count, sizeof(*making->list));
    plan->nodes = make_array(plan, host_count, sizeof(*plan->nodes));
    plan->files = make_array(plan, files, sizeof(*plan->files));
    bool complete = making->nodes && making->files && making->models && making->list &&
                    plan->nodes && plan->files;
    plan->fleet = (struct placement_fleet){.nodes = making->nodes,
            .models = making->models,
            .files = making->files,
            .modes = making->list,
            .bytes = engine_bytes,
            .ctx = plan};
    return complete ? 0 : -ENOMEM;
}

static int make(struct making *making, const struct plan_host *hosts, size_t host_count)
{
    const struct plan_host **list = sorted(hosts, host_count);
    int r = list ? take_aliases(making, hosts, host_count) : -ENOMEM;
    if (r == 0)
        r = take_wanted(making);
    if (r == 0)
        r = make_room(making, hosts, host_count);
    if (r == 0)
        r = take_hosts(making, list, host_count);
    if (r == 0)
        r = take_models(making);
    for (size_t i = 0; r == 0 && i < making->modes->count; i++)
        r = add_mode(making, &making->modes->list[i]);
    if (r == 0) {
        compare_contents(making);
        count_other_notes(making->plan);
    }
    free(list);
    return r;
}

int plan_create(const struct plan_host *hosts, size_t host_count, const struct modes *modes,
        struct plan **ret_plan, struct err *err)
{
    struct making making = {.plan = calloc(1, sizeof(*making.plan)), .modes = modes};
    if (!making.plan)
        return no_memory(err);
    arena_init(&making.plan->arena, PLAN_BYTES_MAX);
    int r = make(&making, hosts, host_count);
    free(making.wanted);
    aliases_fini(&making.aliases);
    if (r == 0) {
        *ret_plan = making.plan;
        return 0;
    }
    plan_destroy(making.plan);
    return no_memory(err);
}

void plan_destroy(struct plan *plan)
{
    if (!plan)
        return;
    placement_destroy(plan->placement);
    arena_fini(&plan->arena);
    free(plan);
}

int plan_place(struct plan *plan, struct err *err)
{
    return placement_create(&plan->fleet, &plan->placement, err);
}

const struct placement *plan_placement(const struct plan *plan)
{
    return plan->placement;
}

const struct placement_fleet *plan_fleet(const struct plan *plan)
{
    return &plan->fleet;
}

const char *plan_key(const struct plan *plan, size_t node)
{
    return plan->nodes[node].key;
}

void plan_cache_types(
        const struct plan *plan, size_t file, enum cache_type *ret_k, enum cache_type *ret_v)
{
    *ret_k = plan->files[file].run.type_k;
    *ret_v = plan->files[file].run.type_v;
}

bool plan_is_unsettled(const struct plan *plan, size_t node)
{
    return plan->nodes[node].unsettled;
}

const char *plan_note(const struct plan *plan, size_t index)
{
    return index <= PLAN_NOTES_MAX ? plan->notes[index] : NULL;
}

#include "node/residency/source.h"

#include "common/number.h"
#include "common/saturating.h"
#include "node/residency/footprint.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NS_PER_S = 1000000000 };

static struct source *create(const struct backend_ops *ops, const char *text)
{
    size_t size = strlen(text) + 1;
    struct source *source = calloc(1, sizeof *source + size);

    if (source == NULL)
        return NULL;
    source->ops = ops;
    memcpy(source->text, text, size);
    return source;
}

static void set_kind(struct source *source, const char *architecture, const char *quantisation)
{
    (void)snprintf(source->architecture, sizeof source->architecture, "%s", architecture);
    (void)snprintf(source->quantisation, sizeof source->quantisation, "%s", quantisation);
}

static void take_file(struct source *source, const struct catalogue_model *model)
{
    source->modified_s = model->modified_ns / NS_PER_S;
    source->modified_ns = model->modified_ns;
    source->fingerprint = model->fingerprint;
    source->shape = model->shape;
    set_kind(source, model->architecture, model->quantisation);
}

struct source *source_of_file(const struct backend_ops *ops, const struct catalogue_model *model,
        struct model_settings *settings, const struct footprint_room *room)
{
    struct source *source = create(ops, model->path);
    struct footprint footprint;

    if (source == NULL) {
        model_settings_destroy(settings);
        return NULL;
    }
    footprint_of(model, settings, room, &footprint);
    source->settings = settings;
    source->pin = settings->pin;
    source->path = source->text;
    source->here = true;
    source->file_bytes = model->file_bytes;
    source->load_bytes = footprint.memory.total_bytes;
    source->context = footprint.context;
    source->run = footprint_run(model, settings, footprint.context);
    source->prompt_cache_bytes = footprint.prompt_cache_bytes;
    source->checkpoint_bytes = footprint.checkpoint_bytes;
    source->slots = settings->slots;
    source->context_trained = model->context;
    source->capabilities = model->capabilities | settings->senses;
    source->parameters = model->parameters;
    take_file(source, model);
    return source;
}

/* Of an engine's model no more is known than its size. */
static uint64_t load_bytes_of(uint64_t file_bytes)
{
    const struct catalogue_model model = {.file_bytes = file_bytes};
    const struct model_settings settings = {.slots = 1};
    const struct footprint_room room = {.limit_bytes = UINT64_MAX};
    struct footprint footprint;

    footprint_of(&model, &settings, &room, &footprint);
    return footprint.memory.total_bytes;
}

static void take_facts(struct source *source, const struct found_model *facts)
{
    source->resident = facts->resident;
    source->file_bytes = facts->file_bytes;
    source->memory_bytes = facts->memory_bytes;
    source->context = facts->context;
    source->slots = facts->slots;
    source->context_trained = facts->context_trained;
    source->capabilities = facts->capabilities;
    source->parameters = facts->parameters;
    set_kind(source, facts->architecture, facts->quantisation);
    (void)snprintf(source->version, sizeof source->version, "%s", facts->version);
}

struct source *source_of_engine(
        const struct backend_ops *ops, const struct engines_model *model, bool pin)
{
    struct source *source = create(ops, model->place.id);

    if (source == NULL)
        return NULL;
    source->pin = pin;
    source->place = model->place;
    source->place.id = source->text;
    source->loads = engine_manner(model->place.kind)->loads;
    source->here = model->here;
    source->load_bytes = model->here ? load_bytes_of(model->facts->file_bytes) : 0;
    take_facts(source, model->facts);
    return source;
}

/* One that makes vectors reserves a row for each token of a batch in any case, and none more. */
struct model_run source_run(const struct source *source, uint32_t rows_of_sequence)
{
    struct model_run run = source->run;

    footprint_set_rows(&run, rows_of_sequence);
    return run;
}

uint64_t source_load_bytes(const struct source *source, uint32_t rows_of_sequence)
{
    return footprint_bytes(&source->shape, source->run, rows_of_sequence, source->load_bytes);
}

void source_destroy(struct source *source)
{
    if (source == NULL)
        return;
    model_settings_destroy(source->settings);
    free(source);
}

uint32_t source_context_within(
        const struct source *source, uint32_t rows_of_sequence, uint64_t bytes)
{
    const struct model_run run = source_run(source, rows_of_sequence);

    return source->shape.tensor_bytes == 0 ? 0 : estimate_context(&source->shape, &run, bytes);
}

bool source_is_adopted(const struct source *source)
{
    return source->path == NULL;
}

static bool same_file(const struct source *one, const struct source *other)
{
    return strcmp(one->text, other->text) == 0 && one->modified_ns == other->modified_ns &&
           one->file_bytes == other->file_bytes &&
           memcmp(&one->fingerprint, &other->fingerprint, sizeof one->fingerprint) == 0 &&
           model_settings_same_engine(one->settings, other->settings);
}

static bool same_place(const struct source *one, const struct source *other)
{
    return one->place.kind == other->place.kind && strcmp(one->place.url, other->place.url) == 0 &&
           strcmp(one->text, other->text) == 0 && strcmp(one->version, other->version) == 0;
}

bool source_is_same(const struct source *one, const struct source *other)
{
    if (one == other)
        return true;
    if (source_is_adopted(one) != source_is_adopted(other))
        return false;
    return source_is_adopted(one) ? same_place(one, other) : same_file(one, other);
}

static void describe_file(const struct source *source, struct msg_instance *instance)
{
    const struct model_run *run = &source->run;

    instance->aliases = source->settings->aliases;
    while (instance->aliases[instance->alias_count] != NULL &&
            instance->alias_count < MSG_ALIASES_MAX)
        instance->alias_count++;
    instance->quality = source->settings->quality;
    instance->fingerprint = (struct msg_bytes){
            .data = source->fingerprint.bytes, .len = sizeof source->fingerprint.bytes};
    instance->shape = source->shape;
    instance->type_k = run->type_k;
    instance->type_v = run->type_v;
    instance->batch_tokens = run->batch_tokens;
    instance->output_rows = run->output_rows;
    instance->side_bytes = saturating_sum(run->projector_bytes, run->draft_bytes);
}

void source_describe(const struct source *source, struct msg_instance *ret_instance)
{
    ret_instance->run_context = source->context;
    ret_instance->run_slots = source->slots;
    if (source->settings != NULL)
        describe_file(source, ret_instance);
}

/* A window's and a recurrent state's part is spread over all of them. */
uint64_t source_token_bytes(const struct source *source, uint32_t context, uint32_t slots)
{
    uint64_t cells = (uint64_t)context * slots, bytes;
    struct model_memory memory;
    struct model_run run = source->run;

    if (cells == 0 || source->shape.tensor_bytes == 0)
        return 0;
    run.context = context;
    run.sequences = slots;
    estimate_memory(&source->shape, &run, &memory);
    bytes = saturating_sum(
            saturating_sum(memory.full_bytes, memory.window_bytes), memory.state_bytes);
    return bytes / cells;
}

uint64_t source_cache_tokens(
        const struct source *source, uint32_t context, uint32_t slots, uint64_t prompt_cache_bytes)
{
    uint64_t cells = (uint64_t)context * slots;
    uint64_t bytes = source_token_bytes(source, context, slots);

    return bytes == 0 ? cells : number_greater(cells, prompt_cache_bytes / bytes);
}

uint64_t source_taken_bytes(const struct source *source)
{
    if (!source->here)
        return 0;
    return source->memory_bytes > 0 ? source->memory_bytes : source->file_bytes;
}

/* --- of one model --- */

const struct source *sources_current(const struct sources *sources)
{
    return sources->file != NULL ? sources->file : sources->engine;
}

static void drop(const struct sources *sources, struct source **source)
{
    if (*source != sources->loaded)
        source_destroy(*source);
    *source = NULL;
}

void sources_put(struct sources *sources, struct source *source)
{
    struct source **place = source_is_adopted(source) ? &sources->engine : &sources->file;

    if (sources->gone)
        drop(sources, sources->file != NULL ? &sources->file : &sources->engine);
    drop(sources, place);
    *place = source;
    sources->gone = false;
}

void sources_lose(struct sources *sources, bool adopted)
{
    struct source **lost = adopted ? &sources->engine : &sources->file;
    const struct source *left = adopted ? sources->file : sources->engine;

    if (*lost != NULL && left != NULL)
        drop(sources, lost);
    else if (*lost != NULL)
        sources->gone = true;
}

void sources_load(struct sources *sources)
{
    assert(sources->loaded == NULL);
    sources->loaded = sources->file != NULL ? sources->file : sources->engine;
}

void sources_unload(struct sources *sources)
{
    struct source *loaded = sources->loaded;

    sources->loaded = NULL;
    if (loaded != sources->file && loaded != sources->engine)
        source_destroy(loaded);
}

void sources_fini(struct sources *sources)
{
    assert(sources->loaded == NULL);
    drop(sources, &sources->file);
    drop(sources, &sources->engine);
}

/* STATE: what a node says of its models and its memory. */
#include "proto/codec_parts.h"
#include "proto/mesh.pb-c.h"

#include <string.h>

enum {
    /* Of an instance in a STATE: tags, numbers, lengths, the fingerprint; all but its texts. */
    INSTANCE_WIRE_MAX = 400,
    ALIAS_WIRE_MAX = 4, /* the same of an alias */
};

_Static_assert((int)MODEMESH__INSTANCE_STATE__INSTANCE_FAILED == INSTANCE_FAILED, "same numbers");
_Static_assert((int)MODEMESH__CACHE_TYPE__CACHE_IQ4_NL == CACHE_TYPE_IQ4_NL, "same numbers");

const char *instance_state_name(enum instance_state state)
{
    static const char *const names[INSTANCE_STATE_COUNT] = {
            [INSTANCE_AVAILABLE] = "available",
            [INSTANCE_LOADING] = "loading",
            [INSTANCE_RESIDENT] = "resident",
            [INSTANCE_STOPPING] = "stopping",
            [INSTANCE_FAILED] = "failed",
    };

    return codec_word(names, ARRAY_SIZE(names), state);
}

static size_t text_bytes(const char *text)
{
    return text ? strlen(text) : 0;
}

size_t msg_instance_bytes(const struct msg_instance *instance)
{
    size_t note = text_bytes(instance->note);
    size_t bytes = INSTANCE_WIRE_MAX + text_bytes(instance->model) + text_bytes(instance->engine) +
                   text_bytes(instance->architecture) + text_bytes(instance->quantisation) +
                   (note < MSG_TEXT_MAX ? note : MSG_TEXT_MAX);

    for (size_t i = 0; i < instance->alias_count; i++)
        bytes += ALIAS_WIRE_MAX + text_bytes(instance->aliases[i]);
    return bytes;
}

static Modemesh__Cell *put_cell(struct encoder *enc, const struct model_cell *cell)
{
    Modemesh__Cell *pb = encoder_alloc(enc, sizeof *pb);

    if (!pb)
        return NULL;
    modemesh__cell__init(pb);
    pb->layers = cell->layers;
    pb->k_elements = cell->k_elements;
    pb->v_elements = cell->v_elements;
    return pb;
}

static Modemesh__Shape *put_shape(struct encoder *enc, const struct model_shape *shape)
{
    Modemesh__Shape *pb = encoder_alloc(enc, sizeof *pb);

    if (!pb)
        return NULL;
    modemesh__shape__init(pb);
    pb->tensor_bytes = shape->tensor_bytes;
    pb->input_bytes = shape->input_bytes;
    if (shape->full.layers > 0)
        pb->full = put_cell(enc, &shape->full);
    if (shape->window.layers > 0)
        pb->window = put_cell(enc, &shape->window);
    pb->window_tokens = shape->window_tokens;
    pb->state_bytes = shape->state_bytes;
    pb->layers = shape->layers;
    pb->embedding = shape->embedding;
    pb->vocabulary = shape->vocabulary;
    pb->feed_forward = shape->feed_forward;
    pb->heads = shape->heads;
    pb->context_trained = shape->context_trained;
    pb->bound = shape->bound;
    return pb;
}

static void put_plan(
        struct encoder *enc, const struct msg_instance *instance, Modemesh__Instance *pb)
{
    if (rules_plan(instance, NULL) < 0)
        return;
    if (instance->shape.tensor_bytes > 0)
        pb->shape = put_shape(enc, &instance->shape);
    pb->run_context = instance->run_context;
    pb->run_slots = instance->run_slots;
    pb->type_k = (Modemesh__CacheType)instance->type_k;
    pb->type_v = (Modemesh__CacheType)instance->type_v;
    pb->batch_tokens = instance->batch_tokens;
    pb->output_rows = instance->output_rows;
    pb->side_bytes = instance->side_bytes;
    pb->measured_bytes = instance->measured_bytes;
}

static void put_aliases(
        struct encoder *enc, const struct msg_instance *instance, Modemesh__Instance *pb)
{
    if (instance->alias_count == 0 || enc->rc < 0)
        return;
    pb->aliases = encoder_alloc(enc, instance->alias_count * sizeof *pb->aliases);
    for (size_t i = 0; enc->rc == 0 && i < instance->alias_count; i++)
        pb->aliases[i] = encoder_put_text(enc, TEXT_MODEL_NAME, "aliases", instance->aliases[i]);
    pb->n_aliases = instance->alias_count;
}

static void put_instance(
        struct encoder *enc, const struct msg_instance *instance, Modemesh__Instance *ret_pb)
{
    modemesh__instance__init(ret_pb);
    ret_pb->model = encoder_put_text(enc, TEXT_MODEL_NAME, "model", instance->model);
    ret_pb->state = (Modemesh__InstanceState)instance->state;
    ret_pb->pinned = instance->pinned;
    ret_pb->file_bytes = instance->file_bytes;
    ret_pb->memory_bytes = instance->memory_bytes;
    ret_pb->context = instance->context;
    ret_pb->slots = instance->slots;
    ret_pb->busy = instance->busy;
    ret_pb->prefill_tok_s = instance->prefill_tok_s;
    ret_pb->decode_tok_s = instance->decode_tok_s;
    ret_pb->restarts = instance->restarts;
    ret_pb->engine = encoder_put_text(enc, TEXT_LABEL, "engine", instance->engine);
    ret_pb->note = encoder_put_sentence(enc, instance->note);
    ret_pb->capabilities = instance->capabilities;
    ret_pb->context_trained = instance->context_trained;
    ret_pb->parameters = instance->parameters;
    ret_pb->modified_s = instance->modified_s;
    ret_pb->architecture =
            encoder_put_text(enc, TEXT_LABEL, "architecture", instance->architecture);
    ret_pb->quantisation =
            encoder_put_text(enc, TEXT_LABEL, "quantisation", instance->quantisation);
    put_aliases(enc, instance, ret_pb);
    ret_pb->quality = instance->quality;
    ret_pb->fingerprint = encoder_put_bytes(&instance->fingerprint);
    ret_pb->foreign = instance->foreign;
    ret_pb->batch_only = instance->batch_only;
    ret_pb->load_ms = instance->load_ms;
    ret_pb->cache_tokens = instance->cache_tokens;
    ret_pb->cache_swaps = instance->cache_swaps;
    put_plan(enc, instance, ret_pb);
}

static void put_instances(struct encoder *enc, const struct msg_state *state, Modemesh__State *pb)
{
    Modemesh__Instance *entries;

    if (state->instance_count == 0)
        return;
    pb->instances = encoder_alloc(enc, state->instance_count * sizeof *pb->instances);
    entries = encoder_alloc(enc, state->instance_count * sizeof *entries);
    for (size_t i = 0; enc->rc == 0 && i < state->instance_count; i++) {
        put_instance(enc, &state->instances[i], &entries[i]);
        pb->instances[i] = &entries[i];
        if (enc->rc < 0)
            err_prefix(enc->err, enc->rc, "instances[%zu]", i);
    }
    pb->n_instances = state->instance_count;
}

static void put_removed(struct encoder *enc, const struct msg_state *state, Modemesh__State *pb)
{
    if (state->removed_count == 0 || enc->rc < 0)
        return;
    pb->removed = encoder_alloc(enc, state->removed_count * sizeof *pb->removed);
    for (size_t i = 0; enc->rc == 0 && i < state->removed_count; i++)
        pb->removed[i] = encoder_put_text(enc, TEXT_MODEL_NAME, "removed", state->removed[i]);
    pb->n_removed = state->removed_count;
}

static void encode_state(const struct msg *msg, struct encoder *enc)
{
    const struct msg_state *state = &msg->state;
    Modemesh__State pb = MODEMESH__STATE__INIT;

    pb.full = state->full;
    pb.draining = state->draining;
    pb.memory_total_bytes = state->memory_total_bytes;
    pb.memory_available_bytes = state->memory_available_bytes;
    pb.memory_limit_bytes = state->memory_limit_bytes;
    pb.memory_used_bytes = state->memory_used_bytes;
    pb.memory_room_bytes = state->memory_room_bytes;
    pb.swap_allowance_bytes = state->swap_allowance_bytes;
    pb.memory_bandwidth_bytes = state->memory_bandwidth_bytes;
    put_instances(enc, state, &pb);
    put_removed(enc, state, &pb);
    encoder_pack(enc, MSG_STATE, &pb.base);
}

static void take_cell(const Modemesh__Cell *pb, struct model_cell *ret_cell)
{
    if (pb && pb->layers > 0)
        *ret_cell = (struct model_cell){
                .layers = pb->layers,
                .k_elements = pb->k_elements,
                .v_elements = pb->v_elements,
        };
}

static void take_shape(const Modemesh__Shape *pb, struct model_shape *ret_shape)
{
    if (!pb || pb->tensor_bytes == 0)
        return;
    *ret_shape = (struct model_shape){
            .tensor_bytes = pb->tensor_bytes,
            .input_bytes = pb->input_bytes,
            .window_tokens = pb->window_tokens,
            .state_bytes = pb->state_bytes,
            .layers = pb->layers,
            .embedding = pb->embedding,
            .vocabulary = pb->vocabulary,
            .feed_forward = pb->feed_forward,
            .heads = pb->heads,
            .context_trained = pb->context_trained,
            .bound = pb->bound,
    };
    take_cell(pb->full, &ret_shape->full);
    take_cell(pb->window, &ret_shape->window);
}

/* All of it or nothing: half of it would be a plan's mistake. */
static void take_plan(const Modemesh__Instance *pb, struct msg_instance *instance)
{
    struct msg_instance said = {
            .run_context = pb->run_context,
            .run_slots = pb->run_slots,
            .type_k = (enum cache_type)pb->type_k,
            .type_v = (enum cache_type)pb->type_v,
            .batch_tokens = pb->batch_tokens,
            .output_rows = pb->output_rows,
            .side_bytes = pb->side_bytes,
            .measured_bytes = pb->measured_bytes,
    };

    take_shape(pb->shape, &said.shape);
    if (rules_plan(&said, NULL) < 0)
        return;
    instance->shape = said.shape;
    instance->run_context = said.run_context;
    instance->run_slots = said.run_slots;
    instance->type_k = said.type_k;
    instance->type_v = said.type_v;
    instance->batch_tokens = said.batch_tokens;
    instance->output_rows = said.output_rows;
    instance->side_bytes = said.side_bytes;
    instance->measured_bytes = said.measured_bytes;
}

static const char *const *take_aliases(struct decoder *dec, const Modemesh__Instance *pb)
{
    const char **aliases =
            decoder_take_array(dec, "aliases", pb->n_aliases, MSG_ALIASES_MAX, sizeof *aliases);

    for (size_t i = 0; dec->rc == 0 && i < pb->n_aliases; i++)
        aliases[i] = decoder_take_text(dec, TEXT_MODEL_NAME, "aliases", &pb->aliases[i]);
    return aliases;
}

static void take_instance(
        struct decoder *dec, const Modemesh__Instance *pb, struct msg_instance *ret_instance)
{
    *ret_instance = (struct msg_instance){
            .model = decoder_take_text(dec, TEXT_MODEL_NAME, "model", &pb->model),
            .state = (enum instance_state)pb->state,
            .pinned = pb->pinned,
            .file_bytes = pb->file_bytes,
            .memory_bytes = pb->memory_bytes,
            .context = pb->context,
            .slots = pb->slots,
            .busy = pb->busy,
            .prefill_tok_s = pb->prefill_tok_s,
            .decode_tok_s = pb->decode_tok_s,
            .restarts = pb->restarts,
            .engine = decoder_take_text(dec, TEXT_LABEL, "engine", &pb->engine),
            .note = decoder_take_text(dec, TEXT_SENTENCE, "note", &pb->note),
            /* A bit that nobody here knows would be passed on as if somebody did. */
            .capabilities = pb->capabilities & CAPABILITY_ALL,
            .context_trained = pb->context_trained,
            .parameters = pb->parameters,
            .modified_s = pb->modified_s,
            .architecture = decoder_take_text(dec, TEXT_LABEL, "architecture", &pb->architecture),
            .quantisation = decoder_take_text(dec, TEXT_LABEL, "quantisation", &pb->quantisation),
            .aliases = take_aliases(dec, pb),
            .alias_count = pb->n_aliases,
            .quality = pb->quality,
            .fingerprint = decoder_take_bytes(&pb->fingerprint),
            .foreign = pb->foreign,
            .batch_only = pb->batch_only,
            .load_ms = pb->load_ms,
            .cache_tokens = pb->cache_tokens,
            .cache_swaps = pb->cache_swaps,
    };
    take_plan(pb, ret_instance);
}

static const struct msg_instance *take_instances(struct decoder *dec, const Modemesh__State *pb)
{
    struct msg_instance *instances = decoder_take_array(
            dec, "instances", pb->n_instances, MSG_INSTANCES_MAX, sizeof *instances);

    for (size_t i = 0; dec->rc == 0 && i < pb->n_instances; i++) {
        take_instance(dec, pb->instances[i], &instances[i]);
        if (dec->rc < 0)
            err_prefix(dec->err, dec->rc, "instances[%zu]", i);
    }
    return instances;
}

static const char *const *take_removed(struct decoder *dec, const Modemesh__State *pb)
{
    const char **removed =
            decoder_take_array(dec, "removed", pb->n_removed, MSG_INSTANCES_MAX, sizeof *removed);

    for (size_t i = 0; dec->rc == 0 && i < pb->n_removed; i++)
        removed[i] = decoder_take_text(dec, TEXT_MODEL_NAME, "removed", &pb->removed[i]);
    return removed;
}

static void decode_state(const ProtobufCMessage *base, struct decoder *dec, struct msg *ret_msg)
{
    const Modemesh__State *pb = (const Modemesh__State *)base;

    ret_msg->state = (struct msg_state){
            .full = pb->full,
            .draining = pb->draining,
            .memory_total_bytes = pb->memory_total_bytes,
            .memory_available_bytes = pb->memory_available_bytes,
            .memory_limit_bytes = pb->memory_limit_bytes,
            .memory_used_bytes = pb->memory_used_bytes,
            .memory_room_bytes = pb->memory_room_bytes,
            .swap_allowance_bytes = pb->swap_allowance_bytes,
            .memory_bandwidth_bytes = pb->memory_bandwidth_bytes,
            .instances = take_instances(dec, pb),
            .instance_count = pb->n_instances,
            .removed = take_removed(dec, pb),
            .removed_count = pb->n_removed,
    };
}

const struct codec codec_state = {
        "state", &modemesh__state__descriptor, encode_state, decode_state};

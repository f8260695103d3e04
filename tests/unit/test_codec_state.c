#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/codec.h"
#include "proto/frame.h"
#include "tests/lib/codec_bench.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof *(array))

static void assert_same_cell(const struct model_cell *got, const struct model_cell *want)
{
    assert_int_equal(got->layers, want->layers);
    assert_int_equal(got->k_elements, want->k_elements);
    assert_int_equal(got->v_elements, want->v_elements);
}

static void assert_same_shape(const struct model_shape *got, const struct model_shape *want)
{
    assert_int_equal(got->tensor_bytes, want->tensor_bytes);
    assert_int_equal(got->input_bytes, want->input_bytes);
    assert_same_cell(&got->full, &want->full);
    assert_same_cell(&got->window, &want->window);
    assert_int_equal(got->window_tokens, want->window_tokens);
    assert_int_equal(got->state_bytes, want->state_bytes);
    assert_int_equal(got->layers, want->layers);
    assert_int_equal(got->embedding, want->embedding);
    assert_int_equal(got->vocabulary, want->vocabulary);
    assert_int_equal(got->feed_forward, want->feed_forward);
    assert_int_equal(got->heads, want->heads);
    assert_int_equal(got->context_trained, want->context_trained);
    assert_int_equal(got->bound, want->bound);
}

static void assert_same_plan(const struct msg_instance *got, const struct msg_instance *want)
{
    assert_same_shape(&got->shape, &want->shape);
    assert_int_equal(got->run_context, want->run_context);
    assert_int_equal(got->run_slots, want->run_slots);
    assert_int_equal(got->type_k, want->type_k);
    assert_int_equal(got->type_v, want->type_v);
    assert_int_equal(got->batch_tokens, want->batch_tokens);
    assert_int_equal(got->output_rows, want->output_rows);
    assert_int_equal(got->side_bytes, want->side_bytes);
    assert_int_equal(got->measured_bytes, want->measured_bytes);
}

static void assert_same_aliases(const struct msg_instance *got, const struct msg_instance *want)
{
    assert_int_equal(got->alias_count, want->alias_count);
    for (size_t i = 0; i < want->alias_count; i++)
        assert_string_equal(got->aliases[i], want->aliases[i]);
}

static void assert_same_instance(const struct msg_instance *got, const struct msg_instance *want)
{
    assert_string_equal(got->model, want->model);
    assert_int_equal(got->state, want->state);
    assert_int_equal(got->pinned, want->pinned);
    assert_int_equal(got->file_bytes, want->file_bytes);
    assert_int_equal(got->memory_bytes, want->memory_bytes);
    assert_int_equal(got->context, want->context);
    assert_int_equal(got->slots, want->slots);
    assert_int_equal(got->busy, want->busy);
    assert_float_equal(got->prefill_tok_s, want->prefill_tok_s, 0);
    assert_float_equal(got->decode_tok_s, want->decode_tok_s, 0);
    assert_int_equal(got->restarts, want->restarts);
    assert_string_equal(got->engine, want->engine);
    assert_string_equal(got->note, want->note);
    assert_int_equal(got->capabilities, want->capabilities);
    assert_int_equal(got->context_trained, want->context_trained);
    assert_int_equal(got->parameters, want->parameters);
    assert_int_equal(got->modified_s, want->modified_s);
    assert_string_equal(got->architecture, want->architecture);
    assert_string_equal(got->quantisation, want->quantisation);
    assert_same_aliases(got, want);
    assert_int_equal(got->quality, want->quality);
    codec_bench_assert_bytes(&got->fingerprint, &want->fingerprint);
    assert_int_equal(got->foreign, want->foreign);
    assert_int_equal(got->batch_only, want->batch_only);
    assert_int_equal(got->load_ms, want->load_ms);
    assert_int_equal(got->cache_tokens, want->cache_tokens);
    assert_int_equal(got->cache_swaps, want->cache_swaps);
    assert_same_plan(got, want);
}

static void test_state(void **state)
{
    const struct msg_state *want = &codec_sample(MSG_STATE)->state;
    const struct msg_state *got = &codec_bench_round_trip(*state, codec_sample(MSG_STATE))->state;

    assert_true(got->full);
    assert_true(got->draining);
    assert_int_equal(got->memory_total_bytes, want->memory_total_bytes);
    assert_int_equal(got->memory_available_bytes, want->memory_available_bytes);
    assert_int_equal(got->memory_limit_bytes, want->memory_limit_bytes);
    assert_int_equal(got->memory_used_bytes, want->memory_used_bytes);
    assert_int_equal(got->memory_room_bytes, want->memory_room_bytes);
    assert_int_equal(got->swap_allowance_bytes, want->swap_allowance_bytes);
    assert_int_equal(got->memory_bandwidth_bytes, want->memory_bandwidth_bytes);
    assert_int_equal(got->instance_count, want->instance_count);
    for (size_t i = 0; i < want->instance_count; i++)
        assert_same_instance(&got->instances[i], &want->instances[i]);
    assert_int_equal(got->removed_count, 2);
    assert_string_equal(got->removed[0], "gone-1");
    assert_string_equal(got->removed[1], "gone-2");
}

static void put_instance_head(struct buf *out)
{
    wire_put_bytes(out, 1, "m", 1);
    wire_put_number(out, 6, 4096);
}

static const struct msg_instance *decode_instance(
        struct codec_bench *fix, const struct buf *instance)
{
    wire_put_header(&fix->out, MSG_STATE);
    wire_put_bytes(&fix->out, 7, buf_at(instance), instance->len);
    codec_bench_assert_decodes(fix);
    return &fix->msg.state.instances[0];
}

/* What a node says that does not know what models can do, nor what a plan needs. */
static void test_older_instance(void **state)
{
    static const struct msg_instance nothing;
    struct codec_bench *fix = *state;
    const struct msg_instance *got;
    struct buf instance;

    buf_init(&instance, 256);
    put_instance_head(&instance);
    got = decode_instance(*state, &instance);
    assert_string_equal(got->model, "m");
    assert_int_equal(got->context, 4096);
    assert_int_equal(got->capabilities | got->context_trained, 0);
    assert_int_equal(got->parameters, 0);
    assert_int_equal(got->modified_s, 0);
    assert_string_equal(got->architecture, "");
    assert_string_equal(got->quantisation, "");
    assert_int_equal(got->alias_count, 0);
    assert_int_equal(got->quality | got->load_ms, 0);
    assert_int_equal(got->cache_tokens, 0);
    assert_int_equal(got->fingerprint.len, 0);
    assert_false(got->foreign || got->batch_only || got->cache_swaps);
    assert_same_plan(got, &nothing);
    assert_int_equal(fix->msg.state.swap_allowance_bytes, 0);
    assert_int_equal(fix->msg.state.memory_bandwidth_bytes, 0);
    buf_fini(&instance);
}

static void test_newer_capabilities_are_dropped(void **state)
{
    const struct msg_instance *got;
    struct buf instance;

    buf_init(&instance, 256);
    put_instance_head(&instance);
    wire_put_number(&instance, 14, UINT32_MAX);
    got = decode_instance(*state, &instance);
    assert_int_equal(got->capabilities, CAPABILITY_ALL);
    buf_fini(&instance);
}

static void check_instance_field(
        struct codec_bench *fix, const struct buf *field, const char *refused)
{
    struct buf entry;

    buf_init(&entry, SIZE_MAX);
    wire_put_bytes(&entry, 1, "m", 1);
    assert_int_equal(buf_append(&entry, buf_at(field), field->len), 0);
    codec_bench_encode(fix, codec_sample(MSG_STATE));
    wire_put_bytes(&fix->out, 7, buf_at(&entry), entry.len);
    if (refused)
        codec_bench_assert_refused(fix, -EPROTO, MSG_STATE, refused);
    else
        codec_bench_assert_decodes(fix);
    buf_fini(&entry);
}

static void test_instance_limits(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY, -0.5f};
    struct buf field;

    buf_init(&field, SIZE_MAX);
    wire_put_number(&field, 2, INSTANCE_STATE_COUNT - 1);
    check_instance_field(*state, &field, NULL);
    buf_clear(&field);
    wire_put_number(&field, 2, INSTANCE_STATE_COUNT);
    check_instance_field(*state, &field, "instances[2]: state");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        buf_clear(&field);
        wire_put_float(&field, 9, bad[i]);
        check_instance_field(*state, &field, "instances[2]: prefill_tok_s");
        buf_clear(&field);
        wire_put_float(&field, 10, bad[i]);
        check_instance_field(*state, &field, "instances[2]: decode_tok_s");
    }
    buf_fini(&field);
}

static void check_number(
        struct codec_bench *fix, unsigned field, uint64_t value, const char *refused)
{
    struct buf entry;

    buf_init(&entry, SIZE_MAX);
    wire_put_number(&entry, field, value);
    check_instance_field(fix, &entry, refused);
    buf_fini(&entry);
}

static void check_bytes(struct codec_bench *fix, unsigned field, size_t len, const char *refused)
{
    static const uint8_t zeros[64];
    struct buf entry;

    buf_init(&entry, SIZE_MAX);
    wire_put_bytes(&entry, field, zeros, len);
    check_instance_field(fix, &entry, refused);
    buf_fini(&entry);
}

static void check_aliases(struct codec_bench *fix, size_t count, const char *refused)
{
    struct buf entry;

    buf_init(&entry, SIZE_MAX);
    for (size_t i = 0; i < count; i++)
        wire_put_bytes(&entry, 20, "a", 1);
    check_instance_field(fix, &entry, refused);
    buf_fini(&entry);
}

static void test_limits_of_what_people_set(void **state)
{
    check_number(*state, 21, MSG_QUALITY_MAX, NULL);
    check_number(*state, 21, MSG_QUALITY_MAX + 1, "instances[2]: quality");
    check_bytes(*state, 22, 0, NULL);
    check_bytes(*state, 22, MSG_FINGERPRINT_BYTES, NULL);
    check_bytes(*state, 22, MSG_FINGERPRINT_BYTES - 1, "instances[2]: fingerprint");
    check_bytes(*state, 22, MSG_FINGERPRINT_BYTES + 1, "instances[2]: fingerprint");
    check_bytes(*state, 22, 1, "instances[2]: fingerprint");
    check_aliases(*state, MSG_ALIASES_MAX, NULL);
    check_aliases(*state, MSG_ALIASES_MAX + 1, "instances[2]: aliases");
}

static const struct msg_instance *trip_instance(
        struct codec_bench *fix, const struct msg_instance *instance)
{
    struct msg msg = {.type = MSG_STATE, .state = {.instances = instance, .instance_count = 1}};

    return &codec_bench_round_trip(fix, &msg)->state.instances[0];
}

static void test_encode_keeps_the_rules(void **state)
{
    static const char *const aliases[MSG_ALIASES_MAX + 1] = {"good", "b\nd"};
    struct msg_instance instance = {.model = "m", .aliases = aliases, .alias_count = 2};
    struct msg msg = {.type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}};

    codec_bench_assert_not_encoded(*state, -EINVAL, &msg, "instances[0]: aliases");
    instance.alias_count = ARRAY_SIZE(aliases);
    codec_bench_assert_not_encoded(*state, -EINVAL, &msg, "instances[0]: aliases");
    instance.alias_count = 1;
    instance.quality = MSG_QUALITY_MAX + 1;
    codec_bench_assert_not_encoded(*state, -EINVAL, &msg, "instances[0]: quality");
    instance.quality = 0;
    instance.fingerprint = (struct msg_bytes){(const uint8_t *)"x", 1};
    codec_bench_assert_not_encoded(*state, -EINVAL, &msg, "instances[0]: fingerprint");
}

static void test_every_value(void **state)
{
    struct msg_instance instance = {.model = "m"};

    for (unsigned s = 0; s < INSTANCE_STATE_COUNT; s++) {
        instance.state = (enum instance_state)s;
        assert_int_equal(trip_instance(*state, &instance)->state, s);
    }
    for (unsigned type = 0; type < CACHE_TYPE_COUNT; type++) {
        instance.type_k = (enum cache_type)type;
        instance.type_v = (enum cache_type)(CACHE_TYPE_COUNT - 1 - type);
        assert_same_plan(trip_instance(*state, &instance), &instance);
    }
}

/* --- what is for planning --- */

/* Sets the number to its limit and `by` more. */
static void pass_limit(struct msg_instance *instance, size_t which, uint32_t by)
{
    uint32_t *const numbers[] = {&instance->shape.layers, &instance->shape.full.layers,
            &instance->shape.window.layers, &instance->shape.window_tokens,
            &instance->shape.context_trained, &instance->run_context, &instance->run_slots,
            &instance->batch_tokens, &instance->output_rows};
    static const uint32_t limits[] = {MSG_LAYERS_MAX, MSG_LAYERS_MAX, MSG_LAYERS_MAX,
            MSG_CONTEXT_MAX, MSG_CONTEXT_MAX, MSG_CONTEXT_MAX, MSG_SLOTS_MAX, MSG_BATCH_TOKENS_MAX,
            MSG_BATCH_TOKENS_MAX};

    *numbers[which] = limits[which] + by;
}

enum { PLAN_LIMITS = 9 };

static void assert_no_plan(const struct msg_instance *got)
{
    static const struct msg_instance nothing;

    assert_same_plan(got, &nothing);
    assert_string_equal(got->model, codec_sample(MSG_STATE)->state.instances[0].model);
    assert_int_equal(got->load_ms, codec_sample(MSG_STATE)->state.instances[0].load_ms);
}

/* It is read off a file that may say anything, and must not stop a STATE. */
static void test_a_plan_past_a_limit_is_not_sent(void **state)
{
    for (size_t i = 0; i < PLAN_LIMITS; i++) {
        struct msg_instance instance = codec_sample(MSG_STATE)->state.instances[0];

        pass_limit(&instance, i, 0);
        assert_same_plan(trip_instance(*state, &instance), &instance);
        pass_limit(&instance, i, 1);
        assert_no_plan(trip_instance(*state, &instance));
        pass_limit(&instance, i, UINT32_MAX - MSG_CONTEXT_MAX);
        assert_no_plan(trip_instance(*state, &instance));
    }
}

/* The sample's first instance with one number more, which replaces what it said before. */
static const struct msg_instance *decode_more(
        struct codec_bench *fix, unsigned field, uint64_t value)
{
    struct buf entry;

    buf_init(&entry, SIZE_MAX);
    trip_instance(fix, &codec_sample(MSG_STATE)->state.instances[0]);
    assert_int_equal(buf_append(&entry, buf_at(&fix->out), fix->out.len), 0);
    wire_put_number(&entry, field, value);
    buf_clear(&fix->out);
    wire_put_header(&fix->out, MSG_STATE);
    /* A STATE of one instance: header, tag and two bytes of length come before it. */
    wire_put_bytes(&fix->out, 7, (const char *)buf_at(&entry) + FRAME_HEADER_BYTES + 3,
            entry.len - FRAME_HEADER_BYTES - 3);
    buf_fini(&entry);
    codec_bench_assert_decodes(fix);
    return &fix->msg.state.instances[0];
}

static void test_a_plan_past_a_limit_is_not_taken(void **state)
{
    static const struct {
        unsigned field;
        uint64_t limit;
    } cases[] = {{27, MSG_CONTEXT_MAX}, {28, MSG_SLOTS_MAX}, {29, CACHE_TYPE_COUNT - 1},
            {30, CACHE_TYPE_COUNT - 1}, {31, MSG_BATCH_TOKENS_MAX}, {32, MSG_BATCH_TOKENS_MAX}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(decode_more(*state, cases[i].field, cases[i].limit)->shape.heads, 32);
        assert_no_plan(decode_more(*state, cases[i].field, cases[i].limit + 1));
        assert_no_plan(decode_more(*state, cases[i].field, UINT32_MAX));
    }
    assert_no_plan(decode_more(*state, 29, UINT64_MAX)); /* −1 */
}

static void put_shape(struct buf *out, const struct buf *shape)
{
    wire_put_bytes(out, 1, "m", 1);
    wire_put_bytes(out, 26, buf_at(shape), shape->len);
}

static void test_wire_format_of_a_shape(void **state)
{
    const struct model_shape *got;
    struct buf cell, shape, instance;

    buf_init(&cell, SIZE_MAX);
    buf_init(&shape, SIZE_MAX);
    buf_init(&instance, SIZE_MAX);
    wire_put_number(&cell, 1, 2);
    wire_put_number(&cell, 2, 3);
    wire_put_number(&shape, 1, 4);
    wire_put_bytes(&shape, 3, buf_at(&cell), cell.len);
    wire_put_number(&shape, 9, 5);
    put_shape(&instance, &shape);
    got = &decode_instance(*state, &instance)->shape;
    assert_same_shape(got,
            &(struct model_shape){
                    .tensor_bytes = 4, .full = {.layers = 2, .k_elements = 3}, .vocabulary = 5});
    buf_fini(&cell);
    buf_fini(&shape);
    buf_fini(&instance);
}

/* No bytes of tensors: nothing is known of the rest either. */
static void test_a_shape_of_no_tensors_is_none(void **state)
{
    static const struct model_shape nothing;
    struct msg_instance said = codec_sample(MSG_STATE)->state.instances[0];
    struct buf shape, instance;

    buf_init(&shape, SIZE_MAX);
    buf_init(&instance, SIZE_MAX);
    wire_put_number(&shape, 7, 8);
    put_shape(&instance, &shape);
    assert_same_shape(&decode_instance(*state, &instance)->shape, &nothing);
    said.shape.tensor_bytes = 0;
    assert_same_shape(&trip_instance(*state, &said)->shape, &nothing);
    assert_int_equal(trip_instance(*state, &said)->run_slots, said.run_slots);
    buf_fini(&shape);
    buf_fini(&instance);
}

/* --- how large it gets --- */

/* The most that each field can take on the wire. */
struct largest {
    char name[MSG_NAME_MAX + 1], note[MSG_TEXT_MAX + 100];
    uint8_t fingerprint[MSG_FINGERPRINT_BYTES];
    const char *aliases[MSG_ALIASES_MAX];
    struct msg_instance instance;
};

static void make_largest(struct largest *largest)
{
    static const struct model_cell cell = {MSG_LAYERS_MAX, UINT64_MAX, UINT64_MAX};

    memset(largest->name, 'n', MSG_NAME_MAX);
    largest->name[MSG_NAME_MAX] = '\0';
    memset(largest->note, 'x', sizeof largest->note - 1);
    largest->note[sizeof largest->note - 1] = '\0';
    memset(largest->fingerprint, 255, sizeof largest->fingerprint);
    for (size_t i = 0; i < MSG_ALIASES_MAX; i++)
        largest->aliases[i] = largest->name;
    largest->instance = (struct msg_instance){.model = largest->name,
            .state = INSTANCE_FAILED,
            .pinned = true,
            .file_bytes = UINT64_MAX,
            .memory_bytes = UINT64_MAX,
            .context = UINT32_MAX,
            .slots = UINT32_MAX,
            .busy = UINT32_MAX,
            .prefill_tok_s = 1,
            .decode_tok_s = 1,
            .restarts = UINT32_MAX,
            .engine = largest->name,
            .note = largest->note,
            .capabilities = CAPABILITY_ALL,
            .context_trained = UINT32_MAX,
            .parameters = UINT64_MAX,
            .modified_s = -1,
            .architecture = largest->name,
            .quantisation = largest->name,
            .aliases = largest->aliases,
            .alias_count = MSG_ALIASES_MAX,
            .quality = MSG_QUALITY_MAX,
            .fingerprint = {largest->fingerprint, MSG_FINGERPRINT_BYTES},
            .foreign = true,
            .batch_only = true,
            .load_ms = UINT32_MAX,
            .cache_tokens = UINT64_MAX,
            .cache_swaps = true,
            .shape = {.tensor_bytes = UINT64_MAX,
                    .input_bytes = UINT64_MAX,
                    .full = cell,
                    .window = cell,
                    .window_tokens = MSG_CONTEXT_MAX,
                    .state_bytes = UINT64_MAX,
                    .layers = MSG_LAYERS_MAX,
                    .embedding = UINT32_MAX,
                    .vocabulary = UINT32_MAX,
                    .feed_forward = UINT32_MAX,
                    .heads = UINT32_MAX,
                    .context_trained = MSG_CONTEXT_MAX,
                    .bound = true},
            .run_context = MSG_CONTEXT_MAX,
            .run_slots = MSG_SLOTS_MAX,
            .type_k = CACHE_TYPE_IQ4_NL,
            .type_v = CACHE_TYPE_IQ4_NL,
            .batch_tokens = MSG_BATCH_TOKENS_MAX,
            .output_rows = MSG_BATCH_TOKENS_MAX,
            .side_bytes = UINT64_MAX,
            .measured_bytes = UINT64_MAX};
}

static size_t body_bytes(struct codec_bench *fix, const struct msg_instance *instance)
{
    trip_instance(fix, instance);
    return fix->out.len - FRAME_HEADER_BYTES;
}

/* Never less than it takes, and not so much more that it would waste frames. */
static void test_instance_bytes(void **state)
{
    static const struct msg_instance smallest = {.model = "m"};
    struct largest largest;
    size_t bytes;

    make_largest(&largest);
    bytes = body_bytes(*state, &largest.instance);
    assert_in_range(msg_instance_bytes(&largest.instance), bytes, bytes + bytes / 50);
    largest.instance.note = "short";
    bytes = body_bytes(*state, &largest.instance);
    assert_in_range(msg_instance_bytes(&largest.instance), bytes, bytes + bytes / 50);
    assert_true(body_bytes(*state, &smallest) <= msg_instance_bytes(&smallest));
}

/* As many of the largest as are counted to fit do fit; all that one STATE may name do not. */
static void test_largest_state(void **state)
{
    struct codec_bench *fix = *state;
    struct msg_instance *instances = calloc(MSG_INSTANCES_MAX, sizeof *instances);
    struct msg msg = {
            .type = MSG_STATE, .state = {.memory_total_bytes = UINT64_MAX, .instances = instances}};
    struct largest largest;

    assert_non_null(instances);
    make_largest(&largest);
    for (size_t i = 0; i < MSG_INSTANCES_MAX; i++)
        instances[i] = largest.instance;
    msg.state.instance_count = (FRAME_BODY_MAX - 100) / msg_instance_bytes(&largest.instance);
    assert_true(msg.state.instance_count > 10);
    codec_bench_round_trip(fix, &msg);
    largest.note[MSG_TEXT_MAX] = '\0'; /* the rest is cut off */
    assert_same_instance(
            &fix->msg.state.instances[msg.state.instance_count - 1], &largest.instance);
    msg.state.instance_count = MSG_INSTANCES_MAX;
    codec_bench_assert_not_encoded(fix, -EMSGSIZE, &msg, "at most 65536");
    free(instances);
}

/* The entries that cost most memory, as many as a message may hold. */
static void test_any_legal_state_fits_the_arena(void **state)
{
    static const char *const aliases[MSG_ALIASES_MAX] = {
            "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"};
    static const struct msg_instance costly = {.model = "m",
            .engine = "e",
            .note = "n",
            .architecture = "a",
            .quantisation = "q",
            .aliases = aliases,
            .alias_count = MSG_ALIASES_MAX,
            .shape = {.tensor_bytes = 1, .full = {1, 1, 1}, .window = {1, 1, 1}}};
    struct msg_instance *instances = calloc(MSG_INSTANCES_MAX, sizeof *instances);
    const char **removed = calloc(MSG_INSTANCES_MAX, sizeof *removed);
    struct msg msg = {.type = MSG_STATE,
            .state = {.instances = instances,
                    .instance_count = MSG_INSTANCES_MAX,
                    .removed = removed,
                    .removed_count = MSG_INSTANCES_MAX}};

    assert_true(instances != NULL && removed != NULL);
    for (size_t i = 0; i < MSG_INSTANCES_MAX; i++) {
        instances[i] = costly;
        removed[i] = "r";
    }
    codec_bench_round_trip(*state, &msg);
    free(instances);
    free(removed);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, codec_bench_setup, codec_bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_state),
            TEST(test_older_instance),
            TEST(test_newer_capabilities_are_dropped),
            TEST(test_instance_limits),
            TEST(test_limits_of_what_people_set),
            TEST(test_encode_keeps_the_rules),
            TEST(test_every_value),
            TEST(test_a_plan_past_a_limit_is_not_sent),
            TEST(test_a_plan_past_a_limit_is_not_taken),
            TEST(test_wire_format_of_a_shape),
            TEST(test_a_shape_of_no_tensors_is_none),
            TEST(test_instance_bytes),
            TEST(test_largest_state),
            TEST(test_any_legal_state_fits_the_arena),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("codec_state", tests, NULL, NULL);
}

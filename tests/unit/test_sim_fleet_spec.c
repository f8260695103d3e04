#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/sim/nodes/fleet_spec.h"

#include <errno.h>
#include <string.h>

static const struct node_params common = {.chunk_tokens = 2048, .load_s = 20};

static void assert_refused(const char *text, const char *words)
{
    struct fleet_spec spec;
    struct err err = {""};
    if (fleet_spec_parse(text, &common, &spec, &err) != -EINVAL)
        fail_msg("'%s' is taken", text);
    if (!strstr(err.text, words))
        fail_msg("'%s': '%s' does not say '%s'", text, err.text, words);
}

static void presets_and_parts_are_nodes(void **state)
{
    struct fleet_spec spec;
    (void)state;
    assert_int_equal(fleet_spec_parse("1+2", &common, &spec, NULL), 0);
    assert_int_equal(spec.count, 3);
    assert_int_equal(spec.nodes[0].slots, 8);
    assert_float_equal(spec.nodes[2].rates.prefill_tok_s, 1000, 1e-3);
    fleet_spec_fini(&spec);
    assert_int_equal(fleet_spec_parse("2x4500/8/0/0.7,1x801/4/23/3", &common, &spec, NULL), 0);
    assert_int_equal(spec.count, 3);
    assert_float_equal(spec.nodes[1].rates.step_s, 0, 0);
    assert_float_equal(spec.nodes[2].rates.step_sequence_s, 0.003, 1e-9);
    assert_int_equal(spec.nodes[2].chunk_tokens, 2048);
    fleet_spec_fini(&spec);
}

static void speeds_have_limits(void **state)
{
    struct fleet_spec spec;
    (void)state;
    assert_int_equal(fleet_spec_parse("1x1e7/256/1e6/1e6,1x1/1/0.001/0", &common, &spec, NULL), 0);
    assert_true(spec.nodes[1].rates.step_s > 0);
    fleet_spec_fini(&spec);
    assert_refused("1x1e39/4/1/1", "1 to 10000000 prompt tok/s, not 1e+39");
    assert_refused("1x0.5/4/1/1", "1 to 10000000 prompt tok/s, not 0.5");
    assert_refused("1x1000/257/1/1", "1 to 256 slots, whole ones, not 257");
    assert_refused("1x1000/0/1/1", "1 to 256 slots, whole ones, not 0");
    assert_refused("1x1000/4/1e300/0", "0 ms, or 0.001 to 1000000, not 1e+300");
    assert_refused("1x1000/4/0/1e-300", "0 ms, or 0.001 to 1000000, not 1e-300");
    assert_refused("1x1000/4/0/0", "more than 0 ms");
    assert_refused("1x1000/4/1", "no part of a fleet");
}

static void nodes_and_slots_are_whole_and_counted(void **state)
{
    struct fleet_spec spec;
    (void)state;
    assert_int_equal(fleet_spec_parse("999+1", &common, &spec, NULL), 0);
    assert_int_equal(spec.count, 1000);
    fleet_spec_fini(&spec);
    assert_int_equal(fleet_spec_parse("0+1", &common, &spec, NULL), 0);
    assert_int_equal(spec.count, 1);
    fleet_spec_fini(&spec);
    assert_refused("1.5+2", "1 to 1000 nodes, whole ones, not 1.5");
    assert_refused("1+2.5", "not 2.5 more");
    assert_refused("equal:2.9", "not 2.9");
    assert_refused("0.5x1000/4/1/1", "not 0.5");
    assert_refused("1x1000/4.9/1/1", "1 to 256 slots, whole ones, not 4.9");
    assert_refused("1001+0", "1 to 1000 nodes, whole ones, not 1001");
    assert_refused("1+1e300", "not 1e+300 more");
    assert_refused("0+0", "not 0");
    assert_refused("equal:0", "not 0");
    assert_refused("600x1000/4/1/1,600x1000/4/1/1", "not 600 more than 600");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(presets_and_parts_are_nodes),
            cmocka_unit_test(speeds_have_limits),
            cmocka_unit_test(nodes_and_slots_are_whole_and_counted),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("sim_fleet_spec", tests, NULL, NULL);
}

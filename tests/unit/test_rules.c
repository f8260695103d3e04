#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/rules.h"

#include <errno.h>
#include <string.h>

static int check(enum text_rule rule, const char *text)
{
    return rules_text(rule, "field", text, strlen(text), NULL);
}

static void test_node_names(void **state)
{
    (void)state;
    assert_int_equal(check(TEXT_NODE_NAME, "strix-1.local_A"), 0);
    assert_int_equal(check(TEXT_NODE_NAME, ""), -EINVAL);
    assert_int_equal(check(TEXT_NODE_NAME, "a b"), -EINVAL);
    assert_int_equal(check(TEXT_NODE_NAME, "a/b"), -EINVAL);
    assert_int_equal(check(TEXT_NODE_NAME, "büro"), -EINVAL);
}

static void test_model_names(void **state)
{
    (void)state;
    assert_int_equal(check(TEXT_MODEL_NAME, "org/model:30b+draft Q4_K-M.2"), 0);
    assert_int_equal(check(TEXT_MODEL_NAME, "a\"b"), -EINVAL);
    assert_int_equal(check(TEXT_MODEL_NAME, "a\tb"), -EINVAL);
    assert_int_equal(rules_text(TEXT_MODEL_NAME, "field", "a\0b", 3, NULL), -EINVAL);
    assert_int_equal(check(TEXT_MODEL_NAME, ""), -EINVAL);
    assert_int_equal(check(TEXT_MODEL_OR_NONE, ""), 0);
    assert_int_equal(check(TEXT_MODEL_OR_NONE, "org/model:30b+draft Q4_K-M.2"), 0);
    assert_int_equal(check(TEXT_MODEL_OR_NONE, "a\"b"), -EINVAL);
}

static void test_labels_and_ids(void **state)
{
    (void)state;
    assert_int_equal(check(TEXT_LABEL, ""), 0);
    assert_int_equal(check(TEXT_LABEL, "größer – \"模型\" 🙂"), 0);
    assert_int_equal(check(TEXT_LABEL, "a\nb"), -EINVAL);
    assert_int_equal(check(TEXT_REQUEST_ID, ""), -EINVAL);
    assert_int_equal(check(TEXT_REQUEST_ID, "é"), 0);
    assert_int_equal(check(TEXT_SENTENCE, ""), 0);
    assert_int_equal(check(TEXT_SENTENCE, "a\xc2\x80"), -EINVAL);
}

static void test_text_says_what_is_wrong(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(rules_text(TEXT_NODE_NAME, "name", "ab/", 3, &err), -EINVAL);
    assert_string_equal(err.text, "name: byte 2 is 0x2f; letters, digits and \"._-\" are allowed");
    assert_int_equal(rules_text(TEXT_NODE_NAME, "name", "", 0, &err), -EINVAL);
    assert_string_equal(err.text, "name: 0 bytes, 1 to 63 are allowed");
    assert_int_equal(rules_text(TEXT_LABEL, "engine", "é\xff", 3, &err), -EINVAL);
    assert_string_equal(err.text, "engine: not UTF-8 at byte 2");
    assert_int_equal(rules_text(TEXT_LABEL, "engine", "\r", 1, &err), -EINVAL);
    assert_string_equal(err.text, "engine: control character at byte 0");
}

static void test_fit_keeps_what_is_good(void **state)
{
    char text[] = "läuft: 模型 🙂";
    char bad[] = "a\nb\xff\xc3";

    (void)state;
    rules_fit_sentence(text, strlen(text));
    assert_string_equal(text, "läuft: 模型 🙂");
    rules_fit_sentence(bad, strlen(bad));
    assert_string_equal(bad, "a b??");
}

/* Any three bytes fit afterwards. */
static void test_fit_makes_all_bytes_fit(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 1u << 24; bits += 97) {
        char text[] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits};

        rules_fit_sentence(text, sizeof text);
        assert_int_equal(rules_text(TEXT_SENTENCE, "text", text, sizeof text, NULL), 0);
    }
}

static void test_count(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(rules_count("grants", 0, 2, &err), 0);
    assert_int_equal(rules_count("grants", 2, 2, &err), 0);
    assert_int_equal(rules_count("grants", 3, 2, &err), -EINVAL);
    assert_string_equal(err.text, "grants: 3 entries, at most 2 are allowed");
}

/* The text of the refusal; "" where the message keeps the rules. */
static const char *refusal(const struct msg *msg)
{
    static struct err err;

    err.text[0] = '\0';
    return rules_check(msg, &err) < 0 ? err.text : "";
}

static void test_keys_and_certificates(void **state)
{
    static const uint8_t bytes[MSG_CERTIFICATE_MAX + 1];
    struct msg_bytes coordinators[MSG_CERTIFICATES_MAX + 1];
    struct msg msg = {.type = MSG_JOINED,
            .joined = {.mesh = {bytes, MSG_KEY_BYTES},
                    .certificate = {bytes, MSG_CERTIFICATE_MAX},
                    .coordinators = coordinators,
                    .coordinator_count = MSG_CERTIFICATES_MAX}};

    (void)state;
    for (size_t i = 0; i <= MSG_CERTIFICATES_MAX; i++)
        coordinators[i] = (struct msg_bytes){bytes, MSG_CERTIFICATE_MAX};
    assert_string_equal(refusal(&msg), "");
    msg.joined.coordinator_count++;
    assert_string_equal(refusal(&msg), "coordinators: 9 entries, at most 8 are allowed");
    msg.joined.coordinator_count = 2;
    coordinators[1].len++;
    assert_string_equal(refusal(&msg), "coordinators: 222 bytes, 1 to 221 are allowed");
    msg.joined.coordinator_count = 0;
    assert_string_equal(refusal(&msg), "");
    msg.joined.certificate.len = 0;
    assert_string_equal(refusal(&msg), "certificate: 0 bytes, 1 to 221 are allowed");
    msg.joined.mesh.len--;
    assert_string_equal(refusal(&msg), "mesh: 31 bytes, 32 to 32 are allowed");
}

static void test_tunnels(void **state)
{
    struct msg msg = {.type = MSG_TUNNEL_DATA, .tunnel_data = {.tunnel = 1, .len = MSG_CHUNK_MAX}};

    (void)state;
    assert_string_equal(refusal(&msg), "");
    msg.tunnel_data.len++;
    assert_string_equal(refusal(&msg), "data (bytes): is 16385, 1 to 16384 are allowed");
    msg.tunnel_data.tunnel = 0;
    assert_string_equal(refusal(&msg), "tunnel: is 0");
    msg = (struct msg){.type = MSG_TUNNEL_CLOSE, .tunnel_close = {.tunnel = 1}};
    assert_string_equal(refusal(&msg), "");
}

static void test_orders(void **state)
{
    struct msg msg = {.type = MSG_LOAD,
            .load = {.order = 1, .context = MSG_CONTEXT_MAX, .slots = MSG_SLOTS_MAX}};

    (void)state;
    assert_string_equal(refusal(&msg), "");
    msg.load.slots++;
    assert_string_equal(refusal(&msg), "slots: is 1025, 0 to 1024 are allowed");
    msg.load.context++;
    assert_string_equal(refusal(&msg), "context: is 16777217, 0 to 16777216 are allowed");
    msg.load.order = 0;
    assert_string_equal(refusal(&msg), "order: is 0");
    msg = (struct msg){.type = MSG_DONE, .done = {.order = 1, .way = ORDER_WAY_COUNT}};
    assert_string_equal(refusal(&msg), "way: 4 is not known");
    msg.done.code = FAIL_CODE_COUNT;
    assert_string_equal(refusal(&msg), "code: 9 is not known");
}

/* The text of what breaks a limit of what is for planning. */
static const char *plan_refusal(const struct msg_instance *instance)
{
    static struct err err;

    err.text[0] = '\0';
    return rules_plan(instance, &err) < 0 ? err.text : "";
}

static void test_plan(void **state)
{
    struct msg_instance instance = {.type_k = CACHE_TYPE_COUNT - 1};

    (void)state;
    assert_string_equal(plan_refusal(&instance), "");
    instance.type_v = CACHE_TYPE_COUNT;
    assert_string_equal(plan_refusal(&instance), "type_v: 9 is not known");
    instance.run_slots = MSG_SLOTS_MAX + 1;
    assert_string_equal(plan_refusal(&instance), "run_slots: is 1025, 0 to 1024 are allowed");
    instance.shape.full.layers = MSG_LAYERS_MAX + 1;
    assert_string_equal(
            plan_refusal(&instance), "shape.full.layers: is 1025, 0 to 1024 are allowed");
}

/* It never breaks a message. */
static void test_plan_is_no_rule_of_a_state(void **state)
{
    const struct msg_instance instance = {.run_context = UINT32_MAX};
    struct msg msg = {.type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}};

    (void)state;
    assert_true(rules_plan(&instance, NULL) < 0);
    assert_string_equal(refusal(&msg), "");
}

static void test_message_of_no_type(void **state)
{
    struct msg msg = {.type = (enum msg_type)0};
    struct err err;

    (void)state;
    assert_int_equal(rules_check(&msg, &err), -EINVAL);
    assert_non_null(strstr(err.text, "type"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_node_names),
            cmocka_unit_test(test_model_names),
            cmocka_unit_test(test_labels_and_ids),
            cmocka_unit_test(test_text_says_what_is_wrong),
            cmocka_unit_test(test_fit_keeps_what_is_good),
            cmocka_unit_test(test_fit_makes_all_bytes_fit),
            cmocka_unit_test(test_count),
            cmocka_unit_test(test_keys_and_certificates),
            cmocka_unit_test(test_tunnels),
            cmocka_unit_test(test_orders),
            cmocka_unit_test(test_plan),
            cmocka_unit_test(test_plan_is_no_rule_of_a_state),
            cmocka_unit_test(test_message_of_no_type),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}

#include "coordinator/api/offer_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void a_digest_tells_names_and_sizes_apart(void **state)
{
    (void)state;
    struct instance small = {.file_bytes = 1}, large = {.file_bytes = 2};
    struct offer a = {.id = "a", .instance = &small}, b = {.id = "b", .instance = &small},
                 c = {.id = "a", .instance = &large}, none = {.id = "a"};
    char first[OFFER_DIGEST_MAX], again[OFFER_DIGEST_MAX];
    assert_int_equal(strspn(offer_digest(&a, first), "0123456789abcdef"), 64);
    assert_int_equal(strlen(first), 64);
    assert_string_equal(offer_digest(&a, again), first);
    assert_string_not_equal(offer_digest(&b, again), first);
    assert_string_not_equal(offer_digest(&c, again), first);
    assert_string_not_equal(offer_digest(&none, again), first);
}

static void times_are_rfc_3339(void **state)
{
    (void)state;
    static const struct {
        int64_t unix_s;
        const char *text;
    } cases[] = {{0, "1970-01-01T00:00:00Z"}, {1795267000, "2026-11-21T13:16:40Z"},
            {INT64_C(253402300799), "9999-12-31T23:59:59Z"},
            {INT64_C(253402300800), "1970-01-01T00:00:00Z"}, {-1, "1970-01-01T00:00:00Z"},
            {INT64_MAX, "1970-01-01T00:00:00Z"}, {INT64_MIN, "1970-01-01T00:00:00Z"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[OFFER_TIME_MAX];
        struct instance instance = {.modified_s = cases[i].unix_s};
        struct offer offer = {.instance = &instance};
        assert_string_equal(offer_time(cases[i].unix_s, text), cases[i].text);
        assert_string_equal(offer_time(offer_modified_s(&offer), text), cases[i].text);
    }
    assert_int_equal(offer_modified_s(&(struct offer){.id = ""}), 0);
}

static void parameters_have_a_persons_digits(void **state)
{
    (void)state;
    static const struct {
        uint64_t count;
        const char *text;
    } cases[] = {{0, ""}, {1, "1"}, {999, "999"}, {939136, "939K"}, {1540000, "1.5M"},
            {494032768, "494M"}, {7600000000, "7.6B"}, {70553706496, "70.6B"},
            {671026419200, "671B"}, {1000000000000, "1.0T"}, {UINT64_MAX, "18446744T"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[OFFER_PARAMETERS_MAX];
        struct instance instance = {.parameters = cases[i].count};
        assert_string_equal(
                offer_parameters(&(struct offer){.instance = &instance}, text), cases[i].text);
    }
    char text[OFFER_PARAMETERS_MAX];
    assert_string_equal(offer_parameters(&(struct offer){.id = ""}, text), "");
}

static void what_is_not_known_has_a_word(void **state)
{
    (void)state;
    struct instance instance = {.architecture = "", .quantisation = "Q4_K_M"};
    struct offer known = {.instance = &instance, .context = 4096}, none = {.id = ""};
    assert_string_equal(offer_architecture(&known), "unknown");
    assert_string_equal(offer_architecture(&none), "unknown");
    assert_string_equal(offer_quantisation(&known), "Q4_K_M");
    assert_string_equal(offer_quantisation(&none), "");
    assert_int_equal(offer_answer_tokens(&known), 1024);
    assert_int_equal(offer_answer_tokens(&none), 0);
    strcpy(instance.architecture, "qwen3");
    assert_string_equal(offer_architecture(&known), "qwen3");
}

static void says(uint32_t capabilities, const char *text)
{
    struct offer offer = {.capabilities = capabilities};
    struct json_writer writer;
    struct buf out;
    buf_init(&out, 1000);
    json_writer_init(&writer, &out);
    json_writer_object(&writer, NULL);
    offer_write_capabilities(&writer, &offer);
    json_writer_object_end(&writer);
    assert_int_equal(json_writer_result(&writer), 0);
    assert_int_equal(buf_terminate(&out), 0);
    assert_string_equal(buf_at(&out), text);
    buf_fini(&out);
}

static void capabilities_have_ollamas_words(void **state)
{
    (void)state;
    says(0, "{\"capabilities\":[\"completion\",\"tools\"]}");
    says(CAPABILITY_CHAT, "{\"capabilities\":[\"completion\"]}");
    says(CAPABILITY_EXACT, "{\"capabilities\":[]}");
    says(CAPABILITY_ALL, "{\"capabilities\":[\"completion\",\"tools\",\"insert\",\"vision\","
                         "\"audio\",\"embedding\",\"rerank\",\"thinking\"]}");
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_digest_tells_names_and_sizes_apart),
            cmocka_unit_test(times_are_rfc_3339),
            cmocka_unit_test(parameters_have_a_persons_digits),
            cmocka_unit_test(what_is_not_known_has_a_word),
            cmocka_unit_test(capabilities_have_ollamas_words),
    };
    return cmocka_run_group_tests_name("offer_words", tests, NULL, NULL);
}

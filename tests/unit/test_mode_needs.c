#include "coordinator/modes/mode_needs.h"

#include "proto/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void a_mode_needs_what_its_requests_are(void **state)
{
    (void)state;
    static const struct {
        const char *mode, *words;
        uint32_t needs;
    } cases[] = {{"ask", "chat", CAPABILITY_CHAT}, {"my own", "chat", CAPABILITY_CHAT},
            {"autocomplete", "fill in the middle", CAPABILITY_FIM},
            {"embed", "make embeddings", CAPABILITY_EMBEDDINGS},
            {"rerank", "rank documents", CAPABILITY_RERANK},
            {"transcribe", "hear audio", CAPABILITY_AUDIO}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(mode_needs(cases[i].mode), cases[i].needs);
        assert_string_equal(mode_needs_words(cases[i].needs), cases[i].words);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_mode_needs_what_its_requests_are)};
    return cmocka_run_group_tests_name("mode_needs", tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/engine_batch.h"
#include "proto/codec.h"

static void test_what_writes_text_has_none_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(engine_batch_tokens(CAPABILITY_CHAT | CAPABILITY_TOOLS, 8192), 0);
    assert_int_equal(engine_batch_tokens(0, 0), 0);
}

static void test_what_makes_vectors_reads_a_whole_text(void **state)
{
    static const uint32_t kinds[] = {CAPABILITY_EMBEDDINGS, CAPABILITY_RERANK};

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        assert_int_equal(engine_batch_tokens(kinds[i], 512), 512);
        assert_int_equal(engine_batch_tokens(kinds[i], 8192), ENGINE_EMBEDDING_BATCH);
        assert_int_equal(engine_batch_tokens(kinds[i], 0), ENGINE_EMBEDDING_BATCH);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_what_writes_text_has_none_of_its_own),
            cmocka_unit_test(test_what_makes_vectors_reads_a_whole_text),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("engine_batch", tests, NULL, NULL);
}

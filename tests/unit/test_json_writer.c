#include "common/json/json_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void values_get_their_commas(void **state)
{
    (void)state;
    struct json_writer writer;
    struct buf out;
    buf_init(&out, 1000);
    json_writer_init(&writer, &out);
    json_writer_object(&writer, NULL);
    json_writer_array(&writer, "list");
    json_writer_u64(&writer, NULL, UINT64_MAX);
    json_writer_object(&writer, NULL);
    json_writer_object_end(&writer);
    json_writer_num(&writer, NULL, 12.5);
    json_writer_array_end(&writer);
    json_writer_str(&writer, "text", "a\"\n\xff");
    json_writer_bool(&writer, "yes", true);
    json_writer_bool(&writer, "no", false);
    json_writer_null(&writer, "none");
    json_writer_array(&writer, "empty");
    json_writer_array_end(&writer);
    json_writer_object_end(&writer);
    assert_int_equal(json_writer_result(&writer), 0);
    assert_int_equal(buf_terminate(&out), 0);
    assert_string_equal(buf_at(&out),
            "{\"list\":[18446744073709551615,{},12.5],\"text\":\"a\\\"\\n\xef\xbf\xbd\","
            "\"yes\":true,\"no\":false,\"none\":null,\"empty\":[]}");
    buf_fini(&out);
}

static void the_first_failure_sticks(void **state)
{
    (void)state;
    struct json_writer writer;
    struct buf out;
    buf_init(&out, 8);
    json_writer_init(&writer, &out);
    json_writer_array(&writer, NULL);
    json_writer_str(&writer, NULL, "too long for the buffer");
    assert_int_equal(json_writer_result(&writer), -ENOBUFS);
    size_t len = out.len;
    json_writer_u64(&writer, NULL, 1);
    json_writer_array_end(&writer);
    assert_int_equal(json_writer_result(&writer), -ENOBUFS);
    assert_int_equal(out.len, len);
    buf_fini(&out);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(values_get_their_commas),
            cmocka_unit_test(the_first_failure_sticks),
    };
    return cmocka_run_group_tests_name("json_writer", tests, NULL, NULL);
}

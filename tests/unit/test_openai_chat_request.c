#include "coordinator/dialects/openai/openai.h"
#include "tests/lib/dialect_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGES   "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define TOOL(name) "{\"type\":\"function\",\"function\":{\"name\":\"" name "\"}}"
#define PICTURE    "data:image/png;base64,AAAA"

static const struct dialect *const chat = &dialect_openai_chat;

static void passes(const char *body, const char *text)
{
    dialect_case_passes(chat, body, text);
}

static void passes_as_it_is(const char *body)
{
    dialect_case_passes(chat, body, body);
}

static void refuses(const char *body, const char *param, const char *text)
{
    dialect_case_refuses(chat, body, param, text);
}

static void a_request_is_read_and_kept_byte_for_byte(void **state)
{
    (void)state;
    static const char body[] =
            " {\"model\" : \"ask\", " MESSAGES ", \"n\":3, \"stream\":true,"
            "\"stream_options\":{\"include_usage\":true}, \"unknown\":1.000000000000000000001}\n";
    struct dialect_case test;
    assert_int_equal(dialect_case_parse(&test, chat, body), 0);
    assert_string_equal(test.request.asked, "ask");
    assert_int_equal(test.request.choices, 3);
    assert_true(test.request.stream);
    assert_true(test.request.include_usage);
    assert_int_equal(test.request.kind, REQUEST_CHAT);
    assert_int_equal(test.request.lane, LANE_CHAT);
    assert_int_equal(test.request.needs, CAPABILITY_CHAT);
    assert_string_equal(test.request.skipped, "");
    assert_null(test.request.kept);
    dialect_case_fini(&test);
    passes_as_it_is(body);
}

static void what_is_absent_or_null_has_its_default(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{" MESSAGES "}", "{\"model\":\"\"," MESSAGES "}",
            "{" MESSAGES ",\"model\":null,\"n\":null,\"stream\":null,\"stream_options\":null,"
            "\"max_tokens\":null,\"max_completion_tokens\":null,\"stop\":null,\"seed\":null,"
            "\"temperature\":null,\"tool_choice\":null,\"response_format\":null,\"logprobs\":null,"
            "\"top_logprobs\":null,\"functions\":null,\"modalities\":null,\"reasoning\":null}",
            "{" MESSAGES ",\"stream_options\":{\"include_usage\":null}}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct dialect_case test;
        assert_int_equal(dialect_case_parse(&test, chat, bodies[i]), 0);
        assert_string_equal(test.request.asked, "");
        assert_int_equal(test.request.choices, 1);
        assert_false(test.request.stream);
        assert_false(test.request.include_usage);
        assert_null(test.request.kept);
        dialect_case_fini(&test);
        passes_as_it_is(bodies[i]);
    }
}

static void bad_requests_name_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param, *text;
    } cases[] = {
            {"", NULL, "line 1, column 1"},
            {"{\n \"model\": }", NULL, "line 2, column 11"},
            {"[]", NULL, "JSON object, not an array"},
            {"\"text\"", NULL, "JSON object, not a string"},
            {"{}", "messages", "not nothing"},
            {"{\"messages\":[]}", "messages", "at least one"},
            {"{\"messages\":{}}", "messages", "an array of at least one message, not an object"},
            {"{\"messages\":[1]}", "messages", "\"messages[0]\" must be an object"},
            {"{\"messages\":[{\"content\":\"hi\"}]}", "messages", "\"role\", not nothing"},
            {"{\"messages\":[{\"role\":1,\"content\":\"hi\"}]}", "messages", "not a number"},
            {"{\"messages\":[{\"role\":\"robot\",\"content\":\"hi\"}]}", "messages", "\"robot\""},
            {"{\"messages\":[{\"role\":\"user\"}]}", "messages",
                    "\"messages[0].content\" must be a string or an array of parts, not nothing"},
            {"{\"messages\":[{\"role\":\"user\",\"content\":7}]}", "messages", "not a number"},
            {"{\"messages\":[{\"role\":\"assistant\",\"content\":{}}]}", "messages",
                    "not an object"},
            {"{" MESSAGES ",\"model\":1}", "model", "not a number"},
            {"{" MESSAGES ",\"n\":0}", "n", "from 1 to 16, not 0"},
            {"{" MESSAGES ",\"n\":17}", "n", "from 1 to 16, not 17"},
            {"{" MESSAGES ",\"n\":1.5}", "n", "whole"},
            {"{" MESSAGES ",\"n\":\"2\"}", "n", "not a string"},
            {"{" MESSAGES ",\"n\":-1e300}", "n", "whole"},
            {"{" MESSAGES ",\"stream\":\"true\"}", "stream", "true or false, not a string"},
            {"{" MESSAGES ",\"stream\":1}", "stream", "true or false, not a number"},
            {"{" MESSAGES ",\"stream_options\":true}", "stream_options", "an object, not a bool"},
            {"{" MESSAGES ",\"stream_options\":{\"include_usage\":1}}",
                    "stream_options.include_usage", "true or false, not a number"},
            {"{" MESSAGES ",\"temperature\":2.5}", "temperature", "from 0 to 2, not 2.5"},
            {"{" MESSAGES ",\"temperature\":\"0\"}", "temperature", "not a string"},
            {"{" MESSAGES ",\"top_p\":-1}", "top_p", "from 0 to 1, not -1"},
            {"{" MESSAGES ",\"presence_penalty\":3}", "presence_penalty", "from -2 to 2"},
            {"{" MESSAGES ",\"frequency_penalty\":[]}", "frequency_penalty", "not an array"},
            {"{" MESSAGES ",\"seed\":0.5}", "seed", "whole"},
            {"{" MESSAGES ",\"seed\":1e30}", "seed", "whole"},
            {"{" MESSAGES ",\"max_tokens\":-2}", "max_tokens", "from -1 to 2147483647, not -2"},
            {"{" MESSAGES ",\"max_completion_tokens\":1e10}", "max_completion_tokens", "from -1"},
            {"{" MESSAGES ",\"n_predict\":\"9\"}", "n_predict", "not a string"},
            {"{" MESSAGES ",\"n_predict\":-3}", "n_predict", "from -2"},
            {"{" MESSAGES ",\"max_tokens\":true}", "max_tokens", "not a boolean"},
            {"{" MESSAGES ",\"logit_bias\":[]}", "logit_bias", "an object, not an array"},
            {"{" MESSAGES ",\"stop\":1}", "stop", "not a number"},
            {"{" MESSAGES ",\"stop\":[\"a\",null]}", "stop", "not null"},
            {"{" MESSAGES ",\"logprobs\":1}", "logprobs", "not a number"},
            {"{" MESSAGES ",\"logprobs\":true,\"top_logprobs\":21}", "top_logprobs", "0 to 20"},
            {"{" MESSAGES ",\"top_logprobs\":2}", "top_logprobs", "needs \"logprobs\""},
            {"{" MESSAGES ",\"reasoning_effort\":3}", "reasoning_effort", "not a number"},
            {"{" MESSAGES ",\"reasoning\":\"high\"}", "reasoning", "not a string"},
            {"{" MESSAGES ",\"reasoning\":{\"effort\":3}}", "reasoning.effort", "not a number"},
            {"{" MESSAGES ",\"modalities\":[\"text\",\"audio\"]}", "modalities", "sound"},
            {"{" MESSAGES ",\"modalities\":\"text\"}", "modalities", "not a string"},
            {"{" MESSAGES ",\"parallel_tool_calls\":0}", "parallel_tool_calls", "not a number"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuses(cases[i].body, cases[i].param, cases[i].text);
}

static void a_name_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char body[400], name[MSG_NAME_MAX + 2];
    memset(name, 'm', sizeof(name));
    for (size_t len = MSG_NAME_MAX; len <= MSG_NAME_MAX + 1; len++) {
        struct dialect_case test;
        name[len] = '\0';
        (void)snprintf(body, sizeof(body), "{\"model\":\"%s\"," MESSAGES "}", name);
        assert_int_equal(dialect_case_parse(&test, chat, body), len == MSG_NAME_MAX ? 0 : -EINVAL);
        dialect_case_fini(&test);
        name[len] = 'm';
    }
}

static void stop_words_have_a_limit(void **state)
{
    (void)state;
    char body[1024] = "{" MESSAGES ",\"stop\":[\"a\"";
    for (int i = 1; i < 64; i++)
        strcat(body, ",\"a\"");
    size_t len = strlen(body);
    strcat(body, "]}");
    passes_as_it_is(body);
    strcpy(body + len, ",\"a\"]}");
    refuses(body, "stop", "at most 64 strings, not 65");
    passes_as_it_is("{" MESSAGES ",\"stop\":\"\\n\"}");
}

static void the_newer_limit_wins_under_the_name_that_engines_know(void **state)
{
    (void)state;
    passes_as_it_is("{\"max_tokens\":5," MESSAGES "}");
    passes("{\"max_completion_tokens\":7," MESSAGES "}", "{" MESSAGES ",\"max_tokens\":7}");
    passes("{\"max_tokens\":5,\"max_completion_tokens\":7," MESSAGES "}",
            "{\"max_tokens\":7," MESSAGES "}");
}

/* llama.cpp lets it win over what a mode would put there. */
static void the_limit_of_llama_cpp_wins_under_that_name_too(void **state)
{
    (void)state;
    passes("{\"n_predict\":9," MESSAGES "}", "{" MESSAGES ",\"max_tokens\":9}");
    passes("{\"max_tokens\":5,\"n_predict\":9,\"max_completion_tokens\":7," MESSAGES "}",
            "{\"max_tokens\":9," MESSAGES "}");
    passes("{\"max_tokens\":5,\"n_predict\":-2," MESSAGES "}", "{\"max_tokens\":-2," MESSAGES "}");
}

static void log_probs_always_come_with_the_chosen_token(void **state)
{
    (void)state;
    struct dialect_case test;
    passes("{" MESSAGES ",\"logprobs\":true}",
            "{" MESSAGES ",\"logprobs\":true,\"top_logprobs\":1}");
    passes("{" MESSAGES ",\"logprobs\":true,\"top_logprobs\":0}",
            "{" MESSAGES ",\"logprobs\":true,\"top_logprobs\":1}");
    passes_as_it_is("{" MESSAGES ",\"logprobs\":true,\"top_logprobs\":4}");
    passes_as_it_is("{" MESSAGES ",\"logprobs\":false,\"top_logprobs\":0}");
    assert_int_equal(dialect_case_parse(&test, chat, "{" MESSAGES ",\"logprobs\":true}"), 0);
    assert_non_null(test.request.kept);
    dialect_case_fini(&test);
}

static void effort_has_one_name(void **state)
{
    (void)state;
    passes_as_it_is("{" MESSAGES ",\"reasoning_effort\":\"none\"}");
    passes("{" MESSAGES ",\"reasoning\":{\"effort\":\"high\",\"exclude\":false}}",
            "{" MESSAGES ",\"reasoning_effort\":\"high\"}");
    passes("{" MESSAGES ",\"reasoning\":{\"effort\":\"high\"},\"reasoning_effort\":\"low\"}",
            "{" MESSAGES ",\"reasoning_effort\":\"low\"}");
    passes("{\"reasoning\":{\"summary\":\"auto\"}," MESSAGES "}", "{" MESSAGES "}");
}

static void a_format_is_checked_for_its_shape(void **state)
{
    (void)state;
    static const char *const good[] = {"{\"type\":\"text\"}", "{\"type\":\"json_object\"}",
            "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"schema\":{}}}",
            "{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\"}}"};
    static const struct {
        const char *format, *param, *text;
    } bad[] = {
            {"\"json\"", "response_format", "not a string"},
            {"{}", "response_format.type", "json_schema"},
            {"{\"type\":\"xml\"}", "response_format.type", "json_schema"},
            {"{\"type\":\"json_schema\"}", "response_format.json_schema.schema", "not nothing"},
            {"{\"type\":\"json_schema\",\"json_schema\":{\"schema\":[]}}",
                    "response_format.json_schema.schema", "not an array"},
            {"{\"type\":\"json_schema\",\"json_schema\":7}", "response_format.json_schema.schema",
                    "not nothing"},
    };
    char body[400];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(body, sizeof(body), "{" MESSAGES ",\"response_format\":%s}", good[i]);
        passes_as_it_is(body);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(body, sizeof(body), "{" MESSAGES ",\"response_format\":%s}", bad[i].format);
        refuses(body, bad[i].param, bad[i].text);
    }
}

static void what_an_answer_does_without_is_skipped_and_named(void **state)
{
    (void)state;
    static const char body[] = "{" MESSAGES ",\"prediction\":{\"type\":\"content\"},\"store\":true,"
                               "\"web_search_options\":{},\"modalities\":[\"text\"]}";
    struct dialect_case test;
    assert_int_equal(dialect_case_parse(&test, chat, body), 0);
    assert_string_equal(test.request.skipped, "field prediction, field web_search_options");
    dialect_case_fini(&test);
    passes(body, "{" MESSAGES ",\"store\":true,\"modalities\":[\"text\"]}");
}

static void the_session_is_read(void **state)
{
    (void)state;
    static const char body[] = "{" MESSAGES ",\"prompt_cache_key\":\"k1\"}";
    struct dialect_case test;
    assert_int_equal(dialect_case_parse(&test, chat, body), 0);
    assert_string_equal(test.request.session, "k1");
    dialect_case_fini(&test);
    assert_int_equal(dialect_case_parse_with(
                             &test, chat, body, strlen(body), "", "x-session-id", "title-ses_1"),
            0);
    assert_string_equal(test.request.session, "ses_1");
    dialect_case_fini(&test);
}

/* --- messages --- */

static void a_sound_history_is_not_printed_anew(void **state)
{
    (void)state;
    passes_as_it_is(
            "{\"messages\": [ {\"role\":\"system\",\"content\":\"s\"},"
            "{\"role\":\"user\",\"content\":\"\\u0061b\",\"name\":\"ann\"},"
            "{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"hm\",\"tool_calls\":["
            "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"read\",\"arguments\":"
            "\"{ }\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"x\"},"
            "{\"role\":\"assistant\",\"content\":\"done\"},{\"role\":\"user\",\"content\":[{"
            "\"type\":\"text\",\"text\":\"see\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"
            "\"" PICTURE "\",\"detail\":\"low\"}}]}]}");
}

#define USER "{\"role\":\"user\",\"content\":\"hi\"}"

static void history(const char *came, const char *text)
{
    char body[2000], wanted[2000];
    snprintf(body, sizeof(body), "{\"messages\":[" USER ",%s],\"x\":1}", came);
    snprintf(wanted, sizeof(wanted), "{\"messages\":[" USER ",%s],\"x\":1}", text);
    passes(body, wanted);
}

static void a_turn_without_content_has_an_empty_one(void **state)
{
    (void)state;
    static const char empty[] = "{\"role\":\"assistant\",\"content\":\"\"}";
    history("{\"role\":\"assistant\"}", empty);
    history("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[]}", empty);
    history("{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"}",
            "{\"role\":\"assistant\",\"refusal\":\"no\",\"content\":\"no\"}");
    history("{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":null}",
            "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"\"}");
}

static void thoughts_have_one_name(void **state)
{
    (void)state;
    static const char turn[] =
            "{\"role\":\"assistant\",\"reasoning_content\":\"hm\",\"content\":\"a\"}";
    history("{\"role\":\"assistant\",\"content\":\"a\",\"reasoning\":\"hm\"}", turn);
    history("{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":\"hm\",\"reasoning\":"
            "\"other\"}",
            turn);
    history("{\"role\":\"assistant\",\"content\":\"a\",\"reasoning\":null}",
            "{\"role\":\"assistant\",\"content\":\"a\"}");
    refuses("{\"messages\":[{\"role\":\"assistant\",\"content\":\"\",\"reasoning_content\":[]}]}",
            "messages", "reasoning_content");
}

static void parts_of_other_spellings_are_renamed(void **state)
{
    (void)state;
    history("{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"a\"},"
            "{\"type\":\"input_image\",\"image_url\":\"" PICTURE "\",\"detail\":\"high\"}]}",
            "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
            "{\"type\":\"image_url\",\"image_url\":{\"url\":\"" PICTURE
            "\",\"detail\":\"high\"}}]}");
    history("{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":\"" PICTURE
            "\"}]}",
            "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
            "\"" PICTURE "\"}}]}");
    history("{\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"a\"},"
            "{\"type\":\"refusal\",\"refusal\":\"b\"}]}",
            "{\"role\":\"assistant\",\"content\":\"a\\nb\"}");
    history("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\",\"cache_control\":"
            "{\"type\":\"ephemeral\"}}]}",
            "{\"role\":\"user\",\"content\":\"a\"}");
}

static void thoughts_among_the_parts_are_skipped_and_named(void **state)
{
    (void)state;
    static const char body[] =
            "{\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\","
            "\"thinking\":\"hm\",\"signature\":\"x\"},{\"type\":\"text\",\"text\":\"a\"}]}]}";
    struct dialect_case test;
    assert_int_equal(dialect_case_parse(&test, chat, body), 0);
    assert_string_equal(test.request.skipped, "part thinking");
    dialect_case_fini(&test);
    passes(body, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"}]}");
}

static void pictures_and_sound_need_a_model_that_takes_them(void **state)
{
    (void)state;
    struct dialect_case test;
    assert_int_equal(
            dialect_case_parse(&test, chat,
                    "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
                    "\"image_url\":{\"url\":\"" PICTURE "\"}}]}]}"),
            0);
    assert_int_equal(test.request.needs, CAPABILITY_CHAT | CAPABILITY_VISION);
    dialect_case_fini(&test);
    assert_int_equal(
            dialect_case_parse(&test, chat,
                    "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\","
                    "\"input_audio\":{\"data\":\"AAAA\",\"format\":\"wav\"}}]}]}"),
            0);
    assert_int_equal(test.request.needs, CAPABILITY_CHAT | CAPABILITY_AUDIO);
    dialect_case_fini(&test);
}

static void parts_that_nobody_can_read_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *part, *text;
    } cases[] = {
            {"1", "\"messages[0].content[1]\" must be an object"},
            {"{}", "a string in \"type\", not nothing"},
            {"{\"type\":\"text\"}", "a string in \"text\", not nothing"},
            {"{\"type\":\"file\",\"file\":{}}", "is a file"},
            {"{\"type\":\"video_url\",\"video_url\":{}}", "\"video_url\""},
            {"{\"type\":\"image_url\"}", "not nothing"},
            {"{\"type\":\"image_url\",\"image_url\":{\"url\":7}}", "not a number"},
            {"{\"type\":\"image_url\",\"image_url\":{\"url\":\"http://10.0.0.1/a.png\"}}",
                    "not fetched"},
            {"{\"type\":\"image_url\",\"image_url\":{\"url\":\"file:///etc/passwd\"}}",
                    "not fetched"},
            {"{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:text/html;base64,AA\"}}",
                    "not fetched"},
            {"{\"type\":\"input_audio\",\"input_audio\":{\"format\":\"wav\"}}", "input_audio.data"},
            {"{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AA\",\"format\":\"ogg\"}}",
                    "\"wav\" or \"mp3\""},
    };
    char body[400];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(body, sizeof(body),
                "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}"
                ",%s]}]}",
                cases[i].part);
        refuses(body, "messages", cases[i].text);
    }
}

static void calls_have_the_form_that_templates_read(void **state)
{
    (void)state;
    static const struct {
        const char *came, *text;
    } cases[] = {
            {"{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":{"
             "\"x\":1}}}",
                    "{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                    "\"arguments\":\"{\\\"x\\\":1}\"}}"},
            {"{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":{"
             "\"x\":12345678901234567890}}}",
                    "{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                    "\"arguments\":\"{\\\"x\\\":12345678901234567890}\"}}"},
            {"{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
             "\"\"}}",
                    "{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                    "\"arguments\":\"{}\"}}"},
            {"{\"id\":\"a\",\"type\":\"custom\",\"custom\":{\"name\":\"f\",\"input\":\"go\"}}",
                    "{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":"
                    "\"{\\\"input\\\":\\\"go\\\"}\"},\"type\":\"function\"}"},
    };
    char came[400], text[400];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(came, sizeof(came),
                "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[%s]}", cases[i].came);
        snprintf(text, sizeof(text),
                "{\"role\":\"assistant\",\"tool_calls\":[%s],\"content\":null}", cases[i].text);
        history(came, text);
    }
}

static void bad_calls_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *call, *text;
    } cases[] = {{"1", "\"messages[0].tool_calls[0]\" must be an object"},
            {"{\"id\":1}", "\"id\", not a number"}, {"{}", "function.name"},
            {"{\"function\":{\"name\":7}}", "not a number"},
            {"{\"function\":{\"name\":\"f\",\"arguments\":[]}}", "not an array"},
            {"{\"custom\":{}}", "custom.name"}};
    char body[400];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(body, sizeof(body),
                "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[%s]}]}", cases[i].call);
        refuses(body, "messages", cases[i].text);
    }
    refuses("{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":{}}]}", "messages",
            "must be an array");
    refuses("{\"messages\":[{\"role\":\"tool\",\"tool_call_id\":3,\"content\":\"\"}]}", "messages",
            "tool_call_id");
}

static void functions_of_the_older_form_become_tools(void **state)
{
    (void)state;
    static const char body[] =
            "{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":null,\"function_call\":{"
            "\"name\":\"f\",\"arguments\":\"{}\"}},{\"role\":\"function\",\"name\":\"f\","
            "\"content\":\"x\"}],\"functions\":[{\"name\":\"f\"}],\"function_call\":{\"name\":"
            "\"f\"}}";
    struct dialect_case test;
    assert_int_equal(dialect_case_parse(&test, chat, body), 0);
    assert_int_equal(test.request.needs, CAPABILITY_CHAT | CAPABILITY_TOOLS);
    assert_non_null(test.request.kept);
    dialect_case_fini(&test);
    passes(body,
            "{\"messages\":[" USER
            ",{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":"
            "\"{}\"},\"id\":\"call_1\",\"type\":\"function\"}],\"content\":null},{\"name\":\"f\","
            "\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"x\"}],"
            "\"tool_choice\":\"required\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":"
            "\"f\"}}]}");
    passes("{" MESSAGES ",\"functions\":[]}", "{" MESSAGES "}");
    refuses("{" MESSAGES ",\"functions\":{}}", "functions", "not an object");
    refuses("{" MESSAGES ",\"functions\":[7]}", "tools", "name");
}

static void later_system_messages_are_folded_in_place(void **state)
{
    (void)state;
    passes("{\"messages\":[" USER ",{\"role\":\"system\",\"content\":\"now\"}]}",
            "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\\nnow\"}]}");
    passes("{\"messages\":[{\"role\":\"developer\",\"content\":\"s\"}," USER "]}",
            "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"}," USER "]}");
}

/* --- tools --- */

static void tools_pass_as_they_are(void **state)
{
    (void)state;
    static const char body[] = "{" MESSAGES ",\"tools\":[ " TOOL(
            "f") ",{\"type\":\"function\","
                 "\"function\":{\"name\":\"g\",\"parameters\":{\"type\":\"object\"},"
                 "\"strict\":true},\"x\":1}],\"tool_choice\":\"auto\"}";
    struct dialect_case test;
    passes_as_it_is(body);
    assert_int_equal(dialect_case_parse(&test, chat, body), 0);
    assert_int_equal(test.request.needs, CAPABILITY_CHAT | CAPABILITY_TOOLS);
    dialect_case_fini(&test);
    passes_as_it_is("{" MESSAGES ",\"tools\":[" TOOL("f") "],\"tool_choice\":\"required\"}");
}

static void tools_that_may_not_be_called_are_not_needed(void **state)
{
    (void)state;
    static const char body[] = "{" MESSAGES ",\"tools\":[" TOOL("f") "],\"tool_choice\":\"none\"}";
    struct dialect_case test;
    passes_as_it_is(body);
    assert_int_equal(dialect_case_parse(&test, chat, body), 0);
    assert_int_equal(test.request.needs, CAPABILITY_CHAT);
    dialect_case_fini(&test);
}

static void tools(const char *came, const char *text)
{
    char body[1000], wanted[1000];
    snprintf(body, sizeof(body), "{" MESSAGES ",\"tools\":[%s]}", came);
    snprintf(wanted, sizeof(wanted), "{" MESSAGES ",\"tools\":[%s]}", text);
    passes(body, wanted);
}

static void tools_of_other_shapes_are_brought_into_one(void **state)
{
    (void)state;
    tools("{\"type\":\"function\",\"name\":\"f\",\"description\":\"d\",\"parameters\":{\"a\":1},"
          "\"strict\":false}",
            "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","
            "\"parameters\":{\"a\":1},\"strict\":false}}");
    tools("{\"name\":\"f\",\"input_schema\":{\"a\":1}}",
            "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"a\":1}}}");
    tools("{\"function\":{\"name\":\"f\"}}", TOOL("f"));
    tools("{\"type\":\"namespace\",\"name\":\"n\",\"tools\":[{\"type\":\"function\",\"name\":\"f\"}"
          ",{\"type\":\"web_search\"}," TOOL("g") "]}," TOOL("f"),
            TOOL("n__f") "," TOOL("n__g") "," TOOL("f"));
    tools("{\"type\":\"namespace\",\"name\":\"mcp__n__\",\"tools\":[" TOOL("f") "]}",
            TOOL("mcp__n__f"));
}

static void tools_that_a_provider_would_run_are_skipped_and_named(void **state)
{
    (void)state;
    static const char body[] = "{" MESSAGES ",\"tools\":[{\"type\":\"web_search\"}," TOOL(
            "f") ","
                 "{\"type\":\"image_generation\"},{\"type\":\"a\\nb\"}]}";
    struct dialect_case test;
    assert_int_equal(dialect_case_parse(&test, chat, body), 0);
    assert_string_equal(test.request.skipped,
            "tool web_search, tool image_generation, tool of an unknown type");
    dialect_case_fini(&test);
    passes(body, "{" MESSAGES ",\"tools\":[" TOOL("f") "]}");
    passes("{" MESSAGES ",\"tools\":[{\"type\":\"custom\",\"custom\":{}}],\"tool_choice\":"
           "\"auto\"}",
            "{" MESSAGES "}");
    passes("{\"tools\":[]," MESSAGES ",\"tool_choice\":\"none\"}", "{" MESSAGES "}");
}

static void a_choice_leaves_the_other_tools_out(void **state)
{
    (void)state;
    static const char *const one[] = {"{\"type\":\"function\",\"function\":{\"name\":\"g\"}}",
            "{\"type\":\"function\",\"name\":\"g\"}", "{\"type\":\"tool\",\"name\":\"g\"}"};
    static const char *const some[] = {
            "{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"required\",\"tools\":["
            "{\"type\":\"function\",\"function\":{\"name\":\"g\"}}]}}",
            "{\"type\":\"allowed_tools\",\"mode\":\"required\",\"tools\":[{\"type\":\"function\","
            "\"name\":\"g\"}]}"};
    static const char wanted[] =
            "{" MESSAGES ",\"tools\":[" TOOL("g") "],\"tool_choice\":\"required\"}";
    char body[1000];
    for (size_t i = 0; i < sizeof(one) / sizeof(one[0]); i++) {
        snprintf(body, sizeof(body),
                "{" MESSAGES ",\"tools\":[" TOOL("f") "," TOOL("g") "],\"tool_choice\":%s}",
                one[i]);
        passes(body, wanted);
    }
    for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
        snprintf(body, sizeof(body),
                "{" MESSAGES ",\"tools\":[" TOOL("f") "," TOOL("g") "],\"tool_choice\":%s}",
                some[i]);
        passes(body, wanted);
    }
    passes("{" MESSAGES ",\"tools\":[" TOOL("f") "],\"tool_choice\":\"any\"}",
            "{" MESSAGES ",\"tools\":[" TOOL("f") "],\"tool_choice\":\"required\"}");
    passes("{" MESSAGES ",\"tools\":[" TOOL("f") "],\"tool_choice\":{\"type\":\"auto\"}}",
            "{" MESSAGES ",\"tools\":[" TOOL("f") "],\"tool_choice\":\"auto\"}");
}

static void tools_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *members, *param, *text;
    } cases[] = {
            {"\"tools\":{}", "tools", "not an object"},
            {"\"tools\":[1]", "tools", "\"tools[0]\" must be an object, not a number"},
            {"\"tools\":[" TOOL("f") "," TOOL("") "]", "tools", "tools[1].function.name"},
            {"\"tools\":[{\"type\":\"function\"}]", "tools", "not nothing"},
            {"\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":[]}]", "tools",
                    "not an array"},
            {"\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":3}}]",
                    "tools", "not a number"},
            {"\"tool_choice\":\"required\"", "tool_choice", "no tool"},
            {"\"tools\":[{\"type\":\"web_search\"}],\"tool_choice\":\"required\"", "tool_choice",
                    "no tool"},
            {"\"tools\":[{\"type\":\"web_search\"}],\"tool_choice\":{\"type\":\"web_search\"}",
                    "tool_choice", "\"web_search\""},
            {"\"tools\":[" TOOL("f") "],\"tool_choice\":\"maybe\"", "tool_choice", "\"maybe\""},
            {"\"tools\":[" TOOL("f") "],\"tool_choice\":7", "tool_choice", "not a number"},
            {"\"tools\":[" TOOL("f") "],\"tool_choice\":{\"type\":\"function\",\"name\":\"g\"}",
                    "tool_choice", "\"g\""},
            {"\"tools\":[" TOOL("f") "],\"tool_choice\":{\"type\":\"allowed_tools\"}",
                    "tool_choice", "not nothing"},
    };
    char body[400];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(body, sizeof(body), "{" MESSAGES ",%s}", cases[i].members);
        refuses(body, cases[i].param, cases[i].text);
    }
}

static void tools_have_a_limit(void **state)
{
    (void)state;
    static const char one[] = "{\"name\":\"f\"}";
    static char body[1026 * sizeof(one) + 200] = "{" MESSAGES ",\"tools\":[";
    size_t len = strlen(body);
    struct dialect_case test;
    for (size_t i = 0; i < 1024; i++)
        len += (size_t)sprintf(body + len, "%s%s", i ? "," : "", one);
    strcpy(body + len, "]}");
    assert_int_equal(dialect_case_parse(&test, chat, body), 0);
    dialect_case_fini(&test);
    sprintf(body + len, ",%s]}", one);
    refuses(body, "tools", "at most 1024");
}

/* A namespace's name is told again with each of its tools. */
static void names_have_a_limit(void **state)
{
    (void)state;
    static const char *const ends[] = {"\"}]}", "\",\"type\":\"namespace\",\"tools\":[]}]}"};
    char name[258], body[1024];
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        for (size_t len = 256; len <= 257; len++) {
            struct dialect_case test;
            memset(name, 'n', len);
            name[len] = '\0';
            snprintf(
                    body, sizeof(body), "{" MESSAGES ",\"tools\":[{\"name\":\"%s%s", name, ends[i]);
            assert_int_equal(dialect_case_parse(&test, chat, body), len > 256 ? -EINVAL : 0);
            dialect_case_fini(&test);
        }
    refuses(body, "tools", "at most 256 bytes");
}

/* --- bodies in the shape of Responses --- */

static void a_body_with_input_becomes_a_chat(void **state)
{
    (void)state;
    passes("{\"model\":\"m\",\"input\":\"hi\",\"instructions\":\"be "
           "brief\",\"max_output_tokens\":9,"
           "\"reasoning\":{\"effort\":\"low\"},\"store\":false,\"text\":{\"format\":{\"type\":"
           "\"json_schema\",\"name\":\"x\",\"schema\":{}}}}",
            "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"be brief\"},{"
            "\"role\":\"user\",\"content\":\"hi\"}],\"response_format\":{\"type\":\"json_schema\","
            "\"json_schema\":{\"type\":\"json_schema\",\"name\":\"x\",\"schema\":{}}},"
            "\"max_tokens\":9,\"reasoning_effort\":\"low\"}");
}

static void items_become_turns(void **state)
{
    (void)state;
    passes("{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"hi\"}]}"
           ",{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"{}\"},"
           "{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":\"x\"}],\"tools\":[{"
           "\"type\":\"function\",\"name\":\"f\",\"parameters\":{}}]}",
            "{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{}}}],"
            "\"messages\":[" USER
            ",{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":"
            "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\","
            "\"tool_call_id\":\"c1\",\"content\":\"x\"}]}");
    refuses("{\"input\":7}", "input", "");
    refuses("{\"input\":\"hi\",\"instructions\":7}", "instructions", "not a number");
    refuses("{\"input\":\"hi\",\"max_output_tokens\":\"9\"}", "max_tokens", "not a string");
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_request_is_read_and_kept_byte_for_byte),
            cmocka_unit_test(what_is_absent_or_null_has_its_default),
            cmocka_unit_test(bad_requests_name_what_is_wrong),
            cmocka_unit_test(a_name_that_is_too_long_is_refused),
            cmocka_unit_test(stop_words_have_a_limit),
            cmocka_unit_test(the_newer_limit_wins_under_the_name_that_engines_know),
            cmocka_unit_test(the_limit_of_llama_cpp_wins_under_that_name_too),
            cmocka_unit_test(log_probs_always_come_with_the_chosen_token),
            cmocka_unit_test(effort_has_one_name),
            cmocka_unit_test(a_format_is_checked_for_its_shape),
            cmocka_unit_test(what_an_answer_does_without_is_skipped_and_named),
            cmocka_unit_test(the_session_is_read),
            cmocka_unit_test(a_sound_history_is_not_printed_anew),
            cmocka_unit_test(a_turn_without_content_has_an_empty_one),
            cmocka_unit_test(thoughts_have_one_name),
            cmocka_unit_test(parts_of_other_spellings_are_renamed),
            cmocka_unit_test(thoughts_among_the_parts_are_skipped_and_named),
            cmocka_unit_test(pictures_and_sound_need_a_model_that_takes_them),
            cmocka_unit_test(parts_that_nobody_can_read_are_refused),
            cmocka_unit_test(calls_have_the_form_that_templates_read),
            cmocka_unit_test(bad_calls_are_refused),
            cmocka_unit_test(functions_of_the_older_form_become_tools),
            cmocka_unit_test(later_system_messages_are_folded_in_place),
            cmocka_unit_test(tools_pass_as_they_are),
            cmocka_unit_test(tools_that_may_not_be_called_are_not_needed),
            cmocka_unit_test(tools_of_other_shapes_are_brought_into_one),
            cmocka_unit_test(tools_that_a_provider_would_run_are_skipped_and_named),
            cmocka_unit_test(a_choice_leaves_the_other_tools_out),
            cmocka_unit_test(tools_that_make_no_sense_are_refused),
            cmocka_unit_test(tools_have_a_limit),
            cmocka_unit_test(names_have_a_limit),
            cmocka_unit_test(a_body_with_input_becomes_a_chat),
            cmocka_unit_test(items_become_turns),
    };
    return cmocka_run_group_tests_name("openai_chat_request", tests, NULL, NULL);
}

#include "coordinator/dialects/ollama/ollama.h"

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

#define USER      "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define HEAD      "{\"model\":\"mesh-code\",\"created_at\":\"1970-01-01T00:00:17.000000Z\""
#define SAID(x)   HEAD ",\"message\":{\"role\":\"assistant\"," x "},\"done\":false}\n"
#define SPOKEN(x) HEAD ",\"response\":" x ",\"done\":false}\n"
#define DURATIONS                                                                                  \
    ",\"total_duration\":10500000,\"load_duration\":0,\"prompt_eval_count\":8,"                    \
    "\"prompt_eval_duration\":2500000,\"eval_count\":4,\"eval_duration\":8000000}"
#define DONE(why) ",\"done\":true,\"done_reason\":\"" why "\"" DURATIONS
#define PNG       "iVBORw0KGgoAAAANSUhEUg=="

static const struct dialect *const chat = &dialect_ollama_chat;
static const struct dialect *const generate = &dialect_ollama_generate;

static const struct msg_usage usage = {.prompt_tokens = 8,
        .cached_tokens = 3,
        .completion_tokens = 4,
        .prefill_ms = 2.5f,
        .decode_ms = 8};

/* --- chat requests --- */

static void a_chat_becomes_a_neutral_one(void **state)
{
    (void)state;
    struct dialect_case test;
    dialect_case_reads(&test, chat,
            "{\"model\":\"mesh-code\",\"messages\":[{\"role\":\"system\",\"content\":\"be brief\"},"
            "{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"b\"},"
            "{\"role\":\"assistant\",\"content\":\"c\",\"thinking\":\"hm\"},"
            "{\"role\":\"user\",\"content\":\"\\u00e9\"}]}",
            "{\"messages\":[{\"role\":\"system\",\"content\":\"be brief\"},"
            "{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"b\"},"
            "{\"role\":\"assistant\",\"content\":\"c\",\"reasoning_content\":\"hm\"},"
            "{\"role\":\"user\",\"content\":\"é\"}]}");
    assert_string_equal(test.request.asked, "mesh-code");
    assert_int_equal(test.request.kind, REQUEST_CHAT);
    assert_int_equal(test.request.lane, LANE_CHAT);
    assert_int_equal(test.request.needs, 0);
    assert_int_equal(test.request.choices, 1);
    assert_false(test.request.settled);
    assert_string_equal(test.request.skipped, "");
    dialect_case_fini(&test);
}

static void a_chat_streams_unless_it_is_told_not_to(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        bool stream;
    } cases[] = {{"{" USER "}", true}, {"{" USER ",\"stream\":null}", true},
            {"{" USER ",\"stream\":true}", true}, {"{" USER ",\"stream\":false}", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dialect_case test;
        dialect_case_reads(&test, chat, cases[i].body, NULL);
        assert_int_equal(test.request.stream, cases[i].stream);
        assert_string_equal(test.request.asked, "");
        dialect_case_fini(&test);
    }
}

static void calls_and_results_find_each_other(void **state)
{
    (void)state;
    struct dialect_case test;
    dialect_case_reads(&test, chat,
            "{\"messages\":[{\"role\":\"user\",\"content\":\"go\"},"
            "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":["
            "{\"function\":{\"name\":\"read\",\"arguments\":{\"p\":1}}},"
            "{\"id\":\"x9\",\"function\":{\"name\":\"list\",\"arguments\":\"{\\\"q\\\": 2}\"}},"
            "{\"function\":{\"name\":\"read\"}}]},"
            "{\"role\":\"tool\",\"tool_name\":\"list\",\"content\":\"L\"},"
            "{\"role\":\"tool\",\"tool_name\":\"read\",\"content\":\"R1\"},"
            "{\"role\":\"tool\",\"content\":\"R2\"},"
            "{\"role\":\"tool\",\"content\":\"orphan\"},"
            "{\"role\":\"assistant\",\"content\":\"more\",\"tool_calls\":["
            "{\"function\":{\"name\":\"read\",\"arguments\":{}}}]},"
            "{\"role\":\"tool\",\"tool_call_id\":\"call_4\",\"content\":\"R3\"}]}",
            "{\"messages\":[{\"role\":\"user\",\"content\":\"go\"},"
            "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
            "{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"read\","
            "\"arguments\":\"{\\\"p\\\":1}\"}},"
            "{\"id\":\"x9\",\"type\":\"function\",\"function\":{\"name\":\"list\","
            "\"arguments\":\"{\\\"q\\\": 2}\"}},"
            "{\"id\":\"call_3\",\"type\":\"function\",\"function\":{\"name\":\"read\","
            "\"arguments\":\"{}\"}}]},"
            "{\"role\":\"tool\",\"tool_call_id\":\"x9\",\"content\":\"L\"},"
            "{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"R1\"},"
            "{\"role\":\"tool\",\"tool_call_id\":\"call_3\",\"content\":\"R2\"},"
            "{\"role\":\"tool\",\"tool_call_id\":\"call_0\",\"content\":\"orphan\"},"
            "{\"role\":\"assistant\",\"content\":\"more\",\"tool_calls\":["
            "{\"id\":\"call_4\",\"type\":\"function\",\"function\":{\"name\":\"read\","
            "\"arguments\":\"{}\"}}]},"
            "{\"role\":\"tool\",\"tool_call_id\":\"call_4\",\"content\":\"R3\"}]}");
    dialect_case_fini(&test);
}

static void tools_are_nested_or_flat(void **state)
{
    (void)state;
    struct dialect_case test;
    dialect_case_reads(&test, chat,
            "{" USER ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"read\","
            "\"description\":\"d\",\"parameters\":{\"type\":\"object\",\"$schema\":\"s\"}}},"
            "{\"type\":\"function\",\"name\":\"flat\"},{\"type\":\"web_search\"}],"
            "\"tool_choice\":\"required\"}",
            "{" USER ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"read\","
            "\"description\":\"d\",\"parameters\":{\"type\":\"object\",\"$schema\":\"s\"}}},"
            "{\"type\":\"function\",\"function\":{\"name\":\"flat\",\"parameters\":{"
            "\"type\":\"object\",\"properties\":{}}}}],\"tool_choice\":\"required\"}");
    assert_int_equal(test.request.needs, CAPABILITY_TOOLS);
    assert_string_equal(test.request.skipped, "a tool that is no function");
    dialect_case_fini(&test);
}

static void a_choice_of_tools_needs_tools_and_words_that_we_know(void **state)
{
    (void)state;
    struct dialect_case test;
    dialect_case_reads(
            &test, chat, "{" USER ",\"tools\":[],\"tool_choice\":\"auto\"}", "{" USER "}");
    dialect_case_fini(&test);
    dialect_case_reads(&test, chat,
            "{" USER ",\"tools\":[{\"function\":{\"name\":\"f\"}}],\"tool_choice\":{\"x\":1}}",
            NULL);
    assert_string_equal(test.request.skipped, "tool_choice");
    assert_int_equal(test.request.needs, CAPABILITY_TOOLS);
    dialect_case_fini(&test);
    dialect_case_reads(&test, chat,
            "{" USER ",\"tools\":[{\"function\":{\"name\":\"f\"}}],\"tool_choice\":\"none\"}",
            NULL);
    assert_int_equal(test.request.needs, 0);
    dialect_case_fini(&test);
}

static void long_numbers_in_arguments_keep_their_text(void **state)
{
    (void)state;
    dialect_case_passes(chat,
            "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
            "\"arguments\":{\"id\":12345678901234567890}}}]}]}",
            "{\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
            "\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
            "\"{\\\"id\\\":12345678901234567890}\"}}]}]}");
}

static void pictures_become_urls_of_their_type(void **state)
{
    (void)state;
    static const struct {
        const char *base64, *type;
    } cases[] = {{PNG, "png"}, {"/9j/4AAQSkZJRg==", "jpeg"}, {"R0lGODlhAQABAAAAACw=", "gif"},
            {"UklGRiQAAABXRUJQVlA4IA==", "webp"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dialect_case test;
        char body[300], neutral[400];
        (void)snprintf(body, sizeof(body),
                "{\"messages\":[{\"role\":\"user\",\"content\":\"what?\",\"images\":[\"%s\"]}]}",
                cases[i].base64);
        (void)snprintf(neutral, sizeof(neutral),
                "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
                "\"what?\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"
                "\"data:image/%s;base64,%s\"}}]}]}",
                cases[i].type, cases[i].base64);
        dialect_case_reads(&test, chat, body, neutral);
        assert_int_equal(test.request.needs, CAPABILITY_VISION);
        dialect_case_fini(&test);
    }
}

static void options_reach_the_sampler_and_not_the_loader(void **state)
{
    (void)state;
    struct dialect_case test;
    dialect_case_reads(&test, chat,
            "{" USER ",\"options\":{\"temperature\":0.5,\"top_k\":20.9,\"top_p\":0.25,\"min_p\":0,"
            "\"typical_p\":1,\"repeat_last_n\":-1,\"repeat_penalty\":1.25,\"presence_penalty\":-1,"
            "\"frequency_penalty\":1,\"mirostat\":2,\"mirostat_tau\":5,\"mirostat_eta\":0.5,"
            "\"seed\":42,\"num_predict\":100,\"stop\":[\"\\n\",\"user:\"],\"num_ctx\":131072,"
            "\"num_gpu\":99,\"num_thread\":8,\"use_mmap\":true,\"penalize_newline\":true,"
            "\"unheard_of\":{}},\"keep_alive\":-1,\"truncate\":false,\"shift\":false}",
            "{" USER ",\"temperature\":0.5,\"top_k\":20,\"top_p\":0.25,\"min_p\":0,"
            "\"typical_p\":1,\"repeat_last_n\":-1,\"repeat_penalty\":1.25,"
            "\"presence_penalty\":-1,\"frequency_penalty\":1,\"mirostat\":2,\"mirostat_tau\":5,"
            "\"mirostat_eta\":0.5,\"seed\":42,\"max_tokens\":100,\"stop\":[\"\\n\",\"user:\"]}");
    assert_string_equal(test.request.skipped, "option num_ctx");
    dialect_case_fini(&test);
}

static void what_asks_for_the_default_is_left_out(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{" USER ",\"options\":{\"num_predict\":-1}}",
            "{" USER ",\"options\":{\"num_predict\":-2,\"seed\":-1}}",
            "{" USER ",\"options\":{\"num_predict\":0,\"stop\":null}}",
            "{" USER ",\"options\":null,\"format\":null,\"think\":null,\"tools\":null}",
            "{" USER ",\"format\":\"\",\"logprobs\":false,\"top_logprobs\":3}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct dialect_case test;
        dialect_case_reads(&test, chat, bodies[i], "{" USER "}");
        dialect_case_fini(&test);
    }
}

static void formats_thoughts_and_logprobs_are_asked_for(void **state)
{
    (void)state;
    static const struct {
        const char *asked, *neutral;
    } cases[] = {{"\"format\":\"json\"", "\"response_format\":{\"type\":\"json_object\"}"},
            {"\"format\":{\"type\":\"array\"}",
                    "\"response_format\":{\"json_schema\":{\"name\":\"format\",\"schema\":"
                    "{\"type\":\"array\"}},\"type\":\"json_schema\"}"},
            {"\"think\":true", "\"chat_template_kwargs\":{\"enable_thinking\":true}"},
            {"\"think\":false", "\"chat_template_kwargs\":{\"enable_thinking\":false}"},
            {"\"think\":\"high\"", "\"reasoning_effort\":\"high\","
                                   "\"chat_template_kwargs\":{\"enable_thinking\":true}"},
            {"\"logprobs\":true", "\"logprobs\":true,\"top_logprobs\":0"},
            {"\"logprobs\":true,\"top_logprobs\":5", "\"logprobs\":true,\"top_logprobs\":5"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dialect_case test;
        char body[300], neutral[300];
        (void)snprintf(body, sizeof(body), "{" USER ",%s}", cases[i].asked);
        (void)snprintf(neutral, sizeof(neutral), "{" USER ",%s}", cases[i].neutral);
        dialect_case_reads(&test, chat, body, neutral);
        dialect_case_fini(&test);
    }
}

static void bad_chats_name_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param, *says;
    } cases[] = {
            {"", NULL, "line 1, column 1"},
            {"[]", NULL, "JSON object"},
            {"{\"messages\":{}}", "messages", "array"},
            {"{\"messages\":[1]}", "messages", "role"},
            {"{\"messages\":[{\"role\":\"robot\",\"content\":\"\"}]}", "messages", "\"tool\""},
            {"{\"messages\":[{\"role\":\"user\",\"content\":[]}]}", "messages", "images"},
            {"{\"messages\":[{\"role\":\"user\",\"images\":[1]}]}", "images", "base64"},
            {"{\"messages\":[{\"role\":\"user\",\"images\":[\"%\"]}]}", "images", "PNG"},
            {"{\"messages\":[{\"role\":\"user\",\"images\":[\"Qk0AAAAAAAAAAAAA\"]}]}", "images",
                    "PNG"},
            {"{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{}]}]}", "messages",
                    "tool_calls"},
            {"{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
             "\"arguments\":\"[]\"}}]}]}",
                    "messages", "tool_calls"},
            {"{" USER ",\"model\":1}", "model", "string"},
            {"{" USER ",\"stream\":\"no\"}", "stream", "true or false"},
            {"{" USER ",\"tools\":{}}", "tools", "array"},
            {"{" USER ",\"tools\":[{\"type\":\"function\"}]}", "tools", "name"},
            {"{" USER ",\"options\":[]}", "options", "object"},
            {"{" USER ",\"options\":{\"temperature\":\"1\"}}", "temperature", "number"},
            {"{" USER ",\"options\":{\"top_k\":1e10}}", "top_k", "2147483647"},
            {"{" USER ",\"options\":{\"seed\":1e300}}", "seed", "number"},
            {"{" USER ",\"options\":{\"stop\":[1]}}", "stop", "strings"},
            {"{" USER ",\"format\":\"xml\"}", "format", "JSON schema"},
            {"{" USER ",\"format\":[]}", "format", "JSON schema"},
            {"{" USER ",\"think\":\"very\"}", "think", "medium"},
            {"{" USER ",\"logprobs\":1}", "logprobs", "true or false"},
            {"{" USER ",\"logprobs\":true,\"top_logprobs\":21}", "top_logprobs", "20"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        dialect_case_refuses(chat, cases[i].body, cases[i].param, cases[i].says);
}

static void a_turn_has_a_bounded_number_of_calls(void **state)
{
    (void)state;
    struct buf body;
    struct dialect_case test;
    for (int calls = 128; calls <= 129; calls++) {
        buf_init(&body, 100000);
        assert_int_equal(
                buf_append_str(&body, "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":["),
                0);
        for (int i = 0; i < calls; i++)
            assert_int_equal(
                    buf_appendf(&body, "%s{\"function\":{\"name\":\"f\"}}", i ? "," : ""), 0);
        assert_int_equal(buf_append_str(&body, "]}]}"), 0);
        assert_int_equal(buf_terminate(&body), 0);
        assert_int_equal(
                dialect_case_parse(&test, chat, buf_at(&body)), calls == 128 ? 0 : -EINVAL);
        dialect_case_fini(&test);
        buf_fini(&body);
    }
}

/* --- generate requests --- */

static void a_prompt_is_a_users_turn(void **state)
{
    (void)state;
    struct dialect_case test;
    dialect_case_reads(&test, generate,
            "{\"model\":\"m\",\"prompt\":\"p\",\"system\":\"s\",\"images\":[\"" PNG "\"],"
            "\"format\":\"json\",\"think\":false,\"suffix\":\"\",\"context\":[],\"template\":\"\"}",
            "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\","
            "\"content\":[{\"type\":\"text\",\"text\":\"p\"},{\"type\":\"image_url\","
            "\"image_url\":{\"url\":\"data:image/png;base64," PNG "\"}}]}],"
            "\"response_format\":{\"type\":\"json_object\"},"
            "\"chat_template_kwargs\":{\"enable_thinking\":false}}");
    assert_int_equal(test.request.kind, REQUEST_CHAT);
    assert_int_equal(test.request.needs, CAPABILITY_VISION);
    assert_true(test.request.stream);
    dialect_case_fini(&test);
}

static void a_suffix_fills_in_the_middle(void **state)
{
    (void)state;
    struct dialect_case test;
    dialect_case_reads(&test, generate,
            "{\"prompt\":\"int a\",\"suffix\":\"}\",\"stream\":false,\"think\":true,"
            "\"logprobs\":true,\"options\":{\"num_predict\":7,\"temperature\":0}}",
            "{\"input_prefix\":\"int a\",\"input_suffix\":\"}\",\"temperature\":0,"
            "\"n_predict\":7}");
    assert_int_equal(test.request.kind, REQUEST_INFILL);
    assert_int_equal(test.request.lane, LANE_AUTOCOMPLETE);
    assert_int_equal(test.request.needs, CAPABILITY_FIM);
    assert_string_equal(test.request.skipped, "logprobs");
    assert_non_null(test.request.cursor);
    dialect_case_fini(&test);
    dialect_case_reads(&test, generate, "{\"prompt\":\"\",\"suffix\":\"}\",\"system\":\"s\"}",
            "{\"input_prefix\":\"\",\"input_suffix\":\"}\"}");
    assert_string_equal(test.request.skipped, "system (of an infill)");
    dialect_case_fini(&test);
}

static void a_raw_prompt_is_completed_as_it_stands(void **state)
{
    (void)state;
    struct dialect_case test;
    dialect_case_reads(&test, generate,
            "{\"prompt\":\"<s>x\",\"raw\":true,\"suffix\":\"y\",\"format\":{\"type\":\"array\"},"
            "\"logprobs\":true,\"options\":{\"num_predict\":7,\"stop\":\"z\"}}",
            "{\"prompt\":\"<s>x\",\"max_tokens\":7,\"stop\":\"z\","
            "\"json_schema\":{\"type\":\"array\"},\"logprobs\":1}");
    assert_int_equal(test.request.kind, REQUEST_COMPLETION);
    assert_int_equal(test.request.lane, LANE_CHAT);
    assert_int_equal(test.request.needs, 0);
    assert_string_equal(test.request.skipped, "suffix (the prompt is raw)");
    dialect_case_fini(&test);
    dialect_case_reads(&test, generate,
            "{\"prompt\":\"x\",\"raw\":true,\"format\":\"json\",\"logprobs\":true,"
            "\"top_logprobs\":4}",
            "{\"prompt\":\"x\",\"json_schema\":{\"type\":\"object\"},\"logprobs\":4}");
    dialect_case_fini(&test);
    dialect_case_reads(&test, generate, "{\"prompt\":\"<PRE> x <SUF>y <MID>\",\"raw\":true}",
            "{\"prompt\":\"<PRE> x <SUF>y <MID>\"}");
    assert_int_equal(test.request.kind, REQUEST_COMPLETION);
    assert_int_equal(test.request.lane, LANE_AUTOCOMPLETE); /* written for a model's own tokens */
    assert_non_null(test.request.cursor);
    dialect_case_fini(&test);
}

static void what_generate_cannot_keep_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param, *says;
    } cases[] = {
            {"{\"prompt\":1}", "prompt", "string"},
            {"{\"prompt\":\"p\",\"suffix\":[]}", "suffix", "string"},
            {"{\"prompt\":\"p\",\"template\":\"{{ .Prompt }}\"}", "template", "raw"},
            {"{\"prompt\":\"p\",\"context\":[1,2]}", "context", "/api/chat"},
            {"{\"prompt\":\"p\",\"context\":\"x\"}", "context", "array"},
            {"{\"prompt\":\"p\",\"raw\":true,\"system\":\"s\"}", "system", "raw"},
            {"{\"prompt\":\"p\",\"raw\":true,\"images\":[\"" PNG "\"]}", "images", "raw"},
            {"{\"prompt\":\"p\",\"suffix\":\"s\",\"images\":[\"" PNG "\"]}", "images", "suffix"},
            {"{\"prompt\":\"p\",\"images\":[\"AAAA\"]}", "images", "PNG"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        dialect_case_refuses(generate, cases[i].body, cases[i].param, cases[i].says);
}

/* --- loading and unloading --- */

static void nothing_to_say_is_a_load_that_no_engine_hears_of(void **state)
{
    (void)state;
    static const struct {
        bool chat;
        const char *body, *answer;
    } cases[] = {
            {true, "{\"model\":\"mesh-code\"}",
                    ",\"message\":{\"role\":\"assistant\",\"content\":"
                    "\"\"},\"done\":true,\"done_reason\":\"load\""},
            {true, "{\"model\":\"mesh-code\",\"messages\":[],\"keep_alive\":\"5m\"}",
                    ",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,"
                    "\"done_reason\":\"load\""},
            {true, "{\"model\":\"mesh-code\",\"keep_alive\":0}",
                    ",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,"
                    "\"done_reason\":\"unload\""},
            {false, "{\"model\":\"mesh-code\",\"keep_alive\":\"0s\",\"prompt\":\"\"}",
                    ",\"response\":\"\",\"done\":true,\"done_reason\":\"unload\""},
            {false, "{\"model\":\"mesh-code\",\"keep_alive\":\"x\"}",
                    ",\"response\":\"\",\"done\":true,\"done_reason\":\"load\""},
    };
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        struct dialect_case test;
        char text[500];
        dialect_case_reads(&test, cases[i / 2].chat ? chat : generate, cases[i / 2].body, "");
        assert_true(test.request.settled);
        test.request.stream = i % 2;
        dialect_case_answer(&test);
        assert_int_equal(dialect_case_end(&test), 0);
        (void)snprintf(text, sizeof(text),
                HEAD "%s,\"total_duration\":0,\"load_duration\":0,\"prompt_eval_count\":0,"
                     "\"prompt_eval_duration\":0,\"eval_count\":0,\"eval_duration\":0}%s",
                cases[i / 2].answer, i % 2 ? "\n" : "");
        dialect_case_wrote(&test, text);
        dialect_case_fini(&test);
    }
}

/* --- answers --- */

static void open_answer(struct dialect_case *test, const struct dialect *dialect, bool stream)
{
    dialect_case_reads(test, dialect,
            "{\"model\":\"mesh-code\",\"prompt\":\"p\",\"messages\":[{\"role\":\"user\","
            "\"content\":\"p\"}]}",
            NULL);
    test->request.stream = stream;
    dialect_case_answer(test);
}

static void a_chat_is_streamed_a_line_at_a_time(void **state)
{
    (void)state;
    struct dialect_case test;
    open_answer(&test, chat, true);
    assert_string_equal(chat->stream_type, "application/x-ndjson");
    assert_int_equal(chat->stream_begin(test.answer, &test.out), 0);
    dialect_case_wrote(&test, "");
    assert_int_equal(dialect_case_delta(&test, DELTA_PROGRESS, 0, "prefill"), 0);
    dialect_case_wrote(&test, "");
    assert_int_equal(chat->stream_idle(test.answer, &test.out), 0);
    dialect_case_wrote(&test, SAID("\"content\":\"\""));
    assert_int_equal(dialect_case_delta(&test, DELTA_REASONING, 0, "hm"), 0);
    dialect_case_wrote(&test, SAID("\"content\":\"\",\"thinking\":\"hm\""));
    assert_int_equal(dialect_case_delta(&test, DELTA_TEXT, 0, "a\n\"é"), 0);
    dialect_case_wrote(&test, SAID("\"content\":\"a\\n\\\"é\""));
    assert_int_equal(dialect_case_delta(&test, DELTA_LOGPROBS, 0,
                             "{\"content\":[ {\"token\":\"a\",\n\"logprob\":-0.5},{\"x\":1}]}"),
            0);
    dialect_case_wrote(&test,
            HEAD ",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":["
                 "{\"token\":\"a\",\"logprob\":-0.5},{\"x\":1}],\"done\":false}\n");
    assert_int_equal(dialect_case_end(&test), -EPROTO);
    dialect_case_wrote(&test, "");
    assert_int_equal(dialect_case_delta(&test, DELTA_FINISH, 0, "stop"), 0);
    dialect_case_wrote(&test, "");
    assert_int_equal(dialect_case_usage(&test, &usage), 0);
    assert_int_equal(dialect_case_end(&test), 0);
    dialect_case_wrote(
            &test, HEAD ",\"message\":{\"role\":\"assistant\",\"content\":\"\"}" DONE("stop") "\n");
    dialect_case_fini(&test);
}

static void a_prompt_is_answered_in_response(void **state)
{
    (void)state;
    struct dialect_case test;
    open_answer(&test, generate, true);
    assert_int_equal(dialect_case_delta(&test, DELTA_REASONING, 0, "hm"), 0);
    dialect_case_wrote(&test, SPOKEN("\"\",\"thinking\":\"hm\""));
    assert_int_equal(dialect_case_delta(&test, DELTA_TEXT, 0, "a"), 0);
    dialect_case_wrote(&test, SPOKEN("\"a\""));
    assert_int_equal(dialect_case_delta(&test, DELTA_TOOL_CALLS, 0, "[]"), -EPROTO);
    assert_int_equal(dialect_case_delta(&test, DELTA_FINISH, 0, "length"), 0);
    assert_int_equal(dialect_case_usage(&test, &usage), 0);
    assert_int_equal(dialect_case_end(&test), 0);
    dialect_case_wrote(&test, HEAD ",\"response\":\"\"" DONE("length") "\n");
    dialect_case_fini(&test);
}

static void calls_are_said_whole_before_the_end(void **state)
{
    (void)state;
    struct dialect_case test;
    open_answer(&test, chat, true);
    static const char *const pieces[] = {
            "[{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"read\",\"arguments\":\"\"}}]",
            "[{\"index\":0,\"function\":{\"arguments\":\"{\\\"p\\\": \"}}]",
            "[{\"index\":0,\"function\":{\"arguments\":\"[1]}\"}}]",
            "[{\"index\":1,\"function\":{\"name\":\"list\"}}]"};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        assert_int_equal(dialect_case_delta(&test, DELTA_TOOL_CALLS, 0, pieces[i]), 0);
        dialect_case_wrote(&test, "");
    }
    assert_int_equal(dialect_case_delta(&test, DELTA_FINISH, 0, "tool_calls"), 0);
    dialect_case_wrote(
            &test, SAID("\"content\":\"\",\"tool_calls\":[{\"id\":\"c1\",\"function\":{\"index\":0,"
                        "\"name\":\"read\",\"arguments\":{\"p\":[1]}}},{\"function\":{\"index\":1,"
                        "\"name\":\"list\",\"arguments\":{}}}]"));
    assert_int_equal(dialect_case_delta(&test, DELTA_FINISH, 0, "tool_calls"), 0);
    dialect_case_wrote(&test, "");
    assert_int_equal(dialect_case_usage(&test, &usage), 0);
    assert_int_equal(dialect_case_end(&test), 0);
    dialect_case_wrote(
            &test, HEAD ",\"message\":{\"role\":\"assistant\",\"content\":\"\"}" DONE("stop") "\n");
    dialect_case_fini(&test);
}

static void a_call_that_was_cut_is_not_made(void **state)
{
    (void)state;
    struct dialect_case test;
    for (int calls = 1; calls <= 2; calls++) {
        open_answer(&test, chat, true);
        if (calls == 2)
            assert_int_equal(dialect_case_delta(&test, DELTA_TOOL_CALLS, 0,
                                     "[{\"index\":0,\"function\":{\"name\":\"a\"}}]"),
                    0);
        char piece[200];
        (void)snprintf(piece, sizeof(piece),
                "[{\"index\":%d,\"function\":{\"name\":\"write\",\"arguments\":\"{\\\"p\"}}]",
                calls - 1);
        assert_int_equal(dialect_case_delta(&test, DELTA_TOOL_CALLS, 0, piece), 0);
        assert_int_equal(dialect_case_delta(&test, DELTA_FINISH, 0, "length"), 0);
        dialect_case_wrote(&test, calls == 1
                                          ? ""
                                          : SAID("\"content\":\"\",\"tool_calls\":[{\"function\":{"
                                                 "\"index\":0,\"name\":\"a\",\"arguments\":{}}}]"));
        dialect_case_fini(&test);
    }
}

static void an_answer_may_come_whole(void **state)
{
    (void)state;
    struct dialect_case test;
    open_answer(&test, chat, false);
    assert_int_equal(dialect_case_delta(&test, DELTA_REASONING, 0, "h"), 0);
    assert_int_equal(dialect_case_delta(&test, DELTA_REASONING, 0, "m"), 0);
    assert_int_equal(dialect_case_delta(&test, DELTA_TEXT, 0, "a"), 0);
    assert_int_equal(dialect_case_delta(&test, DELTA_TEXT, 0, "b"), 0);
    assert_int_equal(dialect_case_delta(&test, DELTA_LOGPROBS, 0, "{\"content\":[{\"x\":1}]}"), 0);
    assert_int_equal(dialect_case_delta(&test, DELTA_LOGPROBS, 0, "{\"content\":[{\"x\":2}]}"), 0);
    assert_int_equal(dialect_case_delta(&test, DELTA_TOOL_CALLS, 0,
                             "[{\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]"),
            0);
    assert_int_equal(dialect_case_end(&test), -EPROTO);
    assert_int_equal(dialect_case_delta(&test, DELTA_FINISH, 0, "tool_calls"), 0);
    assert_int_equal(dialect_case_usage(&test, &usage), 0);
    assert_int_equal(dialect_case_end(&test), 0);
    dialect_case_wrote(&test,
            HEAD ",\"message\":{\"role\":\"assistant\",\"content\":\"ab\",\"thinking\":\"hm\","
                 "\"tool_calls\":[{\"function\":{\"index\":0,\"name\":\"f\",\"arguments\":{}}}]},"
                 "\"logprobs\":[{\"x\":1},{\"x\":2}]" DONE("stop"));
    dialect_case_fini(&test);
    open_answer(&test, generate, false);
    assert_int_equal(dialect_case_delta(&test, DELTA_TEXT, 0, "ab"), 0);
    assert_int_equal(dialect_case_delta(&test, DELTA_FINISH, 0, "stop"), 0);
    assert_int_equal(dialect_case_usage(&test, &usage), 0);
    assert_int_equal(dialect_case_end(&test), 0);
    dialect_case_wrote(&test, HEAD ",\"response\":\"ab\"" DONE("stop"));
    dialect_case_fini(&test);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    for (int stream = 0; stream < 2; stream++) {
        struct dialect_case test;
        open_answer(&test, chat, stream);
        assert_int_equal(dialect_case_delta(&test, DELTA_TEXT, 1, "x"), -EPROTO);
        assert_int_equal(dialect_case_delta(&test, DELTA_LOGPROBS, 0, "{"), -EPROTO);
        assert_int_equal(dialect_case_delta(&test, DELTA_TOOL_CALLS, 0, "{}"), -EPROTO);
        assert_int_equal(
                dialect_case_delta(&test, DELTA_TOOL_CALLS, 0, "[{\"index\":3}]"), -EPROTO);
        assert_int_equal(dialect_case_delta(&test, DELTA_FINISH, 0, ""), -EPROTO);
        dialect_case_fini(&test);
    }
}

static void without_a_name_the_model_says_its_own(void **state)
{
    (void)state;
    struct dialect_case test;
    dialect_case_reads(&test, chat, "{" USER "}", NULL);
    dialect_case_answer(&test);
    assert_int_equal(chat->stream_idle(test.answer, &test.out), 0);
    assert_memory_equal(buf_at(&test.out), "{\"model\":\"small\",", 17);
    dialect_case_fini(&test);
}

/* --- errors --- */

static void errors_are_one_text(void **state)
{
    (void)state;
    struct dialect_case test;
    struct api_error error = {.status = 404, .code = "x", .message = "no \"m\"\n"};
    open_answer(&test, chat, true);
    assert_int_equal(family_ollama.error_body(&error, "req_1", &test.out), 0);
    dialect_case_wrote(&test, "{\"error\":\"no \\\"m\\\"\\n\"}");
    assert_int_equal(chat->stream_error(test.answer, &error, &test.out), 0);
    dialect_case_wrote(&test, "{\"error\":\"no \\\"m\\\"\\n\"}\n");
    error.message = NULL;
    assert_int_equal(family_ollama.error_body(&error, "req_1", &test.out), 0);
    dialect_case_wrote(&test, "{\"error\":\"\"}");
    dialect_case_fini(&test);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_chat_becomes_a_neutral_one),
            cmocka_unit_test(a_chat_streams_unless_it_is_told_not_to),
            cmocka_unit_test(calls_and_results_find_each_other),
            cmocka_unit_test(tools_are_nested_or_flat),
            cmocka_unit_test(a_choice_of_tools_needs_tools_and_words_that_we_know),
            cmocka_unit_test(long_numbers_in_arguments_keep_their_text),
            cmocka_unit_test(pictures_become_urls_of_their_type),
            cmocka_unit_test(options_reach_the_sampler_and_not_the_loader),
            cmocka_unit_test(what_asks_for_the_default_is_left_out),
            cmocka_unit_test(formats_thoughts_and_logprobs_are_asked_for),
            cmocka_unit_test(bad_chats_name_what_is_wrong),
            cmocka_unit_test(a_turn_has_a_bounded_number_of_calls),
            cmocka_unit_test(a_prompt_is_a_users_turn),
            cmocka_unit_test(a_suffix_fills_in_the_middle),
            cmocka_unit_test(a_raw_prompt_is_completed_as_it_stands),
            cmocka_unit_test(what_generate_cannot_keep_is_refused),
            cmocka_unit_test(nothing_to_say_is_a_load_that_no_engine_hears_of),
            cmocka_unit_test(a_chat_is_streamed_a_line_at_a_time),
            cmocka_unit_test(a_prompt_is_answered_in_response),
            cmocka_unit_test(calls_are_said_whole_before_the_end),
            cmocka_unit_test(a_call_that_was_cut_is_not_made),
            cmocka_unit_test(an_answer_may_come_whole),
            cmocka_unit_test(what_makes_no_sense_is_refused),
            cmocka_unit_test(without_a_name_the_model_says_its_own),
            cmocka_unit_test(errors_are_one_text),
    };
    return cmocka_run_group_tests_name("ollama", tests, NULL, NULL);
}

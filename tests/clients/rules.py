"""The rules that real clients hold a server to, each with the test that shows it and with mutants: changes of one place
in the sources that break this rule. mutants.py makes each and sees that the test fails; test_rules.py that the table is
not out of date. `where` is the place in the report on what clients really send (wire.md): its section, then its words.
"""

from typing import NamedTuple

MUST, SHOULD = "MUST", "SHOULD"

# Where mutants live.
API = "coordinator/api/api.c"
ACCESS = "coordinator/api/access.c"
CALLER = "coordinator/api/caller.c"
INFERENCE = "coordinator/api/inference.c"
LIST_LLAMACPP = "coordinator/api/list_llamacpp.c"
LIST_MODELS = "coordinator/api/list_models.c"
LIST_OLLAMA = "coordinator/api/list_ollama.c"
OFFERS = "coordinator/api/offers.c"
OFFER_WORDS = "coordinator/api/offer_words.c"
JOB_ANSWER = "coordinator/job/job_answer.c"
JOB_REFUSAL = "coordinator/job/job_refusal.c"
JOB_H = "coordinator/job/job.h"
MODE_NAMES = "coordinator/modes/mode_names.c"
ANTHROPIC = "coordinator/dialects/anthropic/anthropic.c"
ANTHROPIC_ANSWER = "coordinator/dialects/anthropic/anthropic_answer.c"
ANTHROPIC_MESSAGES = "coordinator/dialects/anthropic/anthropic_messages.c"
ANTHROPIC_REQUEST = "coordinator/dialects/anthropic/anthropic_request.c"
ANTHROPIC_TOOLS = "coordinator/dialects/anthropic/anthropic_tools.c"
CONVERSATION = "coordinator/dialects/conversation.c"
LLAMACPP = "coordinator/dialects/llamacpp/llamacpp.c"
LLAMACPP_ANSWER = "coordinator/dialects/llamacpp/llamacpp_answer.c"
OLLAMA = "coordinator/dialects/ollama/ollama.c"
OLLAMA_ANSWER = "coordinator/dialects/ollama/ollama_answer.c"
OLLAMA_MESSAGES = "coordinator/dialects/ollama/ollama_messages.c"
OLLAMA_OPTIONS = "coordinator/dialects/ollama/ollama_options.c"
OPENAI_ANSWER = "coordinator/dialects/openai/openai_answer.c"
OPENAI_BODY = "coordinator/dialects/openai/openai_body.c"
OPENAI_CHAT_ANSWER = "coordinator/dialects/openai/openai_chat_answer.c"
OPENAI_CHAT_REQUEST = "coordinator/dialects/openai/openai_chat_request.c"
OPENAI_EMBEDDINGS = "coordinator/dialects/openai/openai_embeddings.c"
OPENAI_ERRORS = "coordinator/dialects/openai/openai_errors.c"
OPENAI_MESSAGES = "coordinator/dialects/openai/openai_messages.c"
OPENAI_TOOLS = "coordinator/dialects/openai/openai_tools.c"
RESPONSES = "coordinator/dialects/responses/responses.c"
RESPONSES_INPUT = "coordinator/dialects/responses/responses_input.c"
RESPONSES_REQUEST = "coordinator/dialects/responses/responses_request.c"
RESPONSES_TOOLS = "coordinator/dialects/responses/responses_tools.c"
SESSION = "coordinator/dialects/session_id.c"
HTTP = "coordinator/http/http_exchange.c"
ENGINE_ANSWER = "node/backends/answers/engine_answer.c"
ENGINE_POST = "node/backends/engine_post.c"
SETUP_CLAUDE = "cli/setup/editor_claude_code.c"


class Test(NamedTuple):
    kind: str     # "sdk", "unit" or "captures"
    program: str  # sdk/PROGRAM.cases.mjs, tests/unit/test_PROGRAM.c; captures has one only
    case: str


class Mutant(NamedTuple):
    file: str
    old: str  # stands there once
    new: str


class Rule(NamedTuple):
    words: str
    level: str
    where: str
    test: Test
    mutants: tuple


def sdk(program, case):
    return Test("sdk", program, case)


def unit(program, case):
    return Test("unit", program, case)


def captures(case):
    return Test("captures", "captures", case)


def rule(words, level, where, test, *mutants):
    return Rule(words, level, where, test, mutants)


def change(file, old, new):
    return Mutant(file, old, new)


def drop(file, text, part=None):
    """The text less its part, or nothing at all."""
    return Mutant(file, text, text.replace(part, "", 1) if part else "")


def before(file, place, statements):
    return Mutant(file, place, f"{statements}\n{place}")


def field(file, line):
    """Less one line that writes a field."""
    return drop(file, f"    {line}\n")


CHAT, OTHER, STREAMS, MESSAGES, OLLAMA_JS, RAW = (
    "openai_chat", "openai_other", "openai_responses", "anthropic", "ollama", "rules")

# --- 2. What the coordinator must support: endpoints

ENDPOINTS = [
    rule("POST /v1/chat/completions streams", MUST, "2 MUST endpoints",
         sdk(CHAT, "openai chat: the pieces of a stream make the whole answer"),
         change(OPENAI_BODY, 'body->request->stream = json_bool(body->json, "stream", false);',
                "body->request->stream = false;")),
    rule("POST /v1/chat/completions answers whole unless asked to stream", MUST, "2 MUST endpoints",
         sdk(CHAT, "openai chat: a whole answer is the engine's own"),
         change(OPENAI_BODY, 'body->request->stream = json_bool(body->json, "stream", false);',
                "body->request->stream = true;"),
         drop(API, '{"POST", "/v1/chat/completions", SCOPE_USE, &family_openai, NULL, &dialect_openai_chat},')),
    rule("the same stands at /chat/completions", MUST, "2 MUST endpoints",
         sdk(CHAT, "openai chat: the path works without /v1 too"),
         drop(API, '{"POST", "/chat/completions", SCOPE_USE, &family_openai, NULL, &dialect_openai_chat},')),
    rule("POST /v1/responses answers whole", MUST, "2 MUST endpoints",
         sdk(STREAMS, "responses: a whole answer of the real engine"),
         drop(API, '{"POST", "/v1/responses", SCOPE_USE, &family_openai, NULL, &dialect_responses},'),
         change(RESPONSES_REQUEST, 'fields_bool(&reading->fields, "stream", false,',
                'fields_bool(&reading->fields, "stream", true,')),
    rule("POST /v1/responses streams", MUST, "2 MUST endpoints",
         sdk(STREAMS, "responses: the SDK's stream helper ends with the final response"),
         change(RESPONSES_REQUEST, 'fields_bool(&reading->fields, "stream", false,',
                'fields_bool(&reading->fields, "streamed", false,')),
    rule("POST /v1/messages answers whole unless asked to stream", MUST, "2 MUST endpoints",
         sdk(MESSAGES, "anthropic: a whole answer of the real engine"),
         drop(API, '{"POST", "/v1/messages", SCOPE_USE, &family_anthropic, NULL, &dialect_anthropic_messages},'),
         change(ANTHROPIC_REQUEST, 'fields_bool(&reading->fields, "stream", false,',
                'fields_bool(&reading->fields, "stream", true,')),
    rule("POST /v1/messages streams", MUST, "2 MUST endpoints",
         sdk(MESSAGES, "anthropic: the pieces of a stream make the whole answer"),
         change(ANTHROPIC_REQUEST, 'fields_bool(&reading->fields, "stream", false,',
                'fields_bool(&reading->fields, "streamed", false,')),
    rule("a path's query string does not matter", MUST, "2 MUST endpoints",
         sdk(MESSAGES, "anthropic: fields of newer clients are accepted"),
         change(API, "    find_route(exchange, ret_found);\n",
                '    if (!http_exchange_query(exchange, "beta"))\n        find_route(exchange, ret_found);\n')),
    rule("POST /v1/messages/count_tokens says what the request then costs", MUST, "2 MUST endpoints",
         sdk(MESSAGES, "anthropic: count_tokens is what the request then costs"),
         drop(API, """{"POST", "/v1/messages/count_tokens", SCOPE_USE, &family_anthropic, NULL,
                &dialect_anthropic_count},"""),
         change(ANTHROPIC, "(unsigned long long)tokens);", "(unsigned long long)tokens + 1);")),
    rule("GET /v1/models lists modes and models", MUST, "2 MUST endpoints",
         sdk(OTHER, "openai models: modes and models are listed with their context"),
         drop(API, '{"GET", "/v1/models", SCOPE_USE, NULL, serve_models, NULL},')),
    rule("GET /v1/models has Anthropic's shape for Anthropic's clients", MUST, "2 MUST endpoints",
         sdk(RAW, "rules: Anthropic's clients get models by pages"),
         change("coordinator/api/serve_list.c", "call->family == &family_anthropic", "call->family == NULL"),
         field(LIST_MODELS, 'json_writer_bool(&page.writer, "has_more", more);')),
    rule("GET /health", MUST, "2 MUST endpoints", sdk(OTHER, "openai health: GET /health needs no key"),
         drop(API, '{"GET", "/health", SCOPE_OPEN, &family_openai, serve_health, NULL},'),
         change(API, '"/health", SCOPE_OPEN,', '"/health", SCOPE_USE,')),
    rule("HEAD is answered as GET is, without the body", MUST, "2 MUST endpoints",
         sdk(RAW, "rules: HEAD and paths that are not there are answered at once"),
         change(HTTP, "exchange->method = exchange->head_only ? MHD_HTTP_METHOD_GET : method;",
                "exchange->method = method;")),
    rule("paths that are not there are answered with 404 at once", MUST, "2 MUST endpoints",
         sdk(RAW, "rules: HEAD and paths that are not there are answered at once"),
         change(API, 'call_fail(call, 404, "not_found", NULL, text);',
                'call_fail(call, 501, "not_found", NULL, text);'),
         before(API, "    const char *path = http_exchange_path(call->exchange);\n    char text[ERR_TEXT_MAX];",
                "    extern unsigned sleep(unsigned seconds);\n    sleep(2);")),
    rule("GET /v1/responses with an Upgrade is 426", MUST, "2 MUST endpoints",
         sdk(STREAMS, "responses: a websocket is refused with 426"),
         change(API, 'call_fail(call, 426, "upgrade_required",', 'call_fail(call, 405, "upgrade_required",'),
         drop(API, '{"GET", "/v1/responses", SCOPE_USE, &family_openai, serve_no_websocket, NULL},')),
]

# --- 2. What is accepted

ACCEPTED = [
    rule("unknown fields of a chat, at every level", MUST, "2 MUST accept",
         sdk(RAW, "rules: unknown fields are accepted at every level of a chat"),
         change(OPENAI_CHAT_REQUEST, "r = read_conversation(body);",
                'r = cJSON_HasObjectItem(body->json, "x_new")\n'
                '                    ? fields_refuse(&body->fields, "x_new", "unknown")\n'
                "                    : read_conversation(body);"),
         change(OPENAI_MESSAGES, 'const char *role = json_str(message, "role", NULL);',
                'const char *role = cJSON_HasObjectItem(message, "x_new") ? NULL\n'
                '                                                         : json_str(message, "role", NULL);'),
         change(OPENAI_MESSAGES, 'if (!cJSON_IsString(type))\n        return refuse(messages, "must be an object with',
                'if (!cJSON_IsString(type) || cJSON_HasObjectItem(part, "x_new"))\n'
                '        return refuse(messages, "must be an object with'),
         change(OPENAI_MESSAGES, "if (!cJSON_IsObject(call))",
                'if (!cJSON_IsObject(call) || cJSON_HasObjectItem(call, "x_new"))'),
         change(OPENAI_TOOLS, "if (!cJSON_IsObject(tool))",
                'if (!cJSON_IsObject(tool) || cJSON_HasObjectItem(tool, "x_new"))')),
    rule("unknown fields of a chat reach the engine", MUST, "2 MUST accept",
         sdk(CHAT, "openai chat: unknown fields reach the engine"),
         before(OPENAI_CHAT_REQUEST, "    skip_fields(body);\n    return",
                '    openai_body_drop(body, "some_new_field");')),
    rule("unknown fields of a response, at every level", MUST, "2 MUST accept",
         sdk(RAW, "rules: unknown fields are accepted at every level of a response"),
         change(RESPONSES_REQUEST, 'if (fields_given(&reading->fields, "conversation"))',
                'if (fields_given(&reading->fields, "conversation") ||\n'
                '            fields_given(&reading->fields, "x_new"))'),
         change(RESPONSES_INPUT, "if (!cJSON_IsObject(item))",
                'if (!cJSON_IsObject(item) || cJSON_HasObjectItem(item, "x_new"))'),
         before(RESPONSES_INPUT, "    if (text)\n        add(reader->conversation, text);",
                '    if (cJSON_HasObjectItem(part, "x_new"))\n        return refuse_part(place, part);'),
         change(RESPONSES_TOOLS, "if (!cJSON_IsObject(item))",
                'if (!cJSON_IsObject(item) || cJSON_HasObjectItem(item, "x_new"))')),
    rule("unknown fields of a message, at every level", MUST, "2 MUST accept",
         sdk(RAW, "rules: unknown fields are accepted at every level of a message"),
         change(ANTHROPIC_REQUEST, 'if (!fields_given(&reading->fields, "max_tokens"))',
                'if (!fields_given(&reading->fields, "max_tokens") ||\n'
                '            fields_given(&reading->fields, "x_new"))'),
         change(ANTHROPIC_MESSAGES, "if (!cJSON_IsString(content) && !cJSON_IsArray(content))",
                'if (cJSON_HasObjectItem(message, "x_new") ||\n'
                "            (!cJSON_IsString(content) && !cJSON_IsArray(content)))"),
         change(ANTHROPIC_MESSAGES, "    if (!type)\n", '    if (!type || cJSON_HasObjectItem(block, "x_new"))\n'),
         change(ANTHROPIC_TOOLS, "if (!cJSON_IsObject(tool))",
                'if (!cJSON_IsObject(tool) || cJSON_HasObjectItem(tool, "x_new"))')),
    rule("unknown fields of Ollama's chat, at every level", MUST, "2 MUST accept",
         sdk(RAW, "rules: unknown fields are accepted at every level of Ollama's chat"),
         change(OLLAMA, "    int r = fields_model(fields, request);",
                '    int r = fields_given(fields, "x_new") ? fields_refuse(fields, "x_new", "unknown")\n'
                "                                          : fields_model(fields, request);"),
         change(OLLAMA_MESSAGES, 'const char *role = json_str(message, "role", "");',
                'const char *role = cJSON_HasObjectItem(message, "x_new") ? "" : json_str(message, "role", "");'),
         change(OLLAMA_MESSAGES, "    if (*name == '\\0')\n",
                "    if (*name == '\\0' || cJSON_HasObjectItem(tool, \"x_new\"))\n"),
         change(OLLAMA_OPTIONS, "if (!cJSON_IsObject(options.object))",
                'if (!cJSON_IsObject(options.object) || fields_given(&options, "x_new"))')),
    rule("tools of unknown types are left out wherever they stand", MUST, "2 MUST accept",
         sdk(RAW, "rules: a tool of an unknown type is left out wherever it stands"),
         change(OPENAI_TOOLS, "    else\n        skip(tools, type);",
                "    else\n        return add_function(tools, tool);"),
         change(RESPONSES_TOOLS, '    skip_tool(tools->request, json_str(item, "type", ""));\n    return 0;',
                "    return add_callable(tools, item, NULL, ret_param, err);"),
         change(RESPONSES_TOOLS, '            skip_tool(tools->request, json_str(inner, "type", ""));',
                "            r = add_callable(tools, inner, space, ret_param, err);"),
         drop(ANTHROPIC_TOOLS, "        skip(reading, type);\n        return 0;", "        return 0;"),
         drop(OLLAMA_MESSAGES, """        request_skip(reading->request, "a tool that is no function");
        return 0;""", "        return 0;")),
    rule("hosted tools of a chat are skipped, and named", MUST, "2 MUST accept; 6 Codex tool types",
         sdk(CHAT, "openai chat: hosted tools are skipped and named"),
         change(OPENAI_TOOLS, "    else\n        skip(tools, type);", "    else\n        return add(tools, tool);"),
         change(JOB_ANSWER, "if (job->request.skipped[0])", "if (!job->request.skipped[0])")),
    rule("hosted tools of a response are skipped, and named", MUST, "2 MUST accept; 6 Codex tool types",
         sdk(STREAMS, "responses: hosted tools are skipped, namespaces are flattened"),
         drop(RESPONSES_TOOLS, '{"tool web_search", "tool web_search_preview",', '"tool web_search", ')),
    rule("server tools of a message are skipped, and named", MUST, "2 MUST accept",
         sdk(MESSAGES, "anthropic: server tools are skipped and named"),
         change(ANTHROPIC_TOOLS, 'if (strcmp(type, "custom") != 0) {', 'if (strcmp(type, "") == 0) {')),
    rule("what a provider ran, told in a response's items, is skipped", MUST, "2 MUST accept",
         unit("responses_input", "what_a_provider_ran_is_skipped_and_named"),
         change(RESPONSES_INPUT, """    request_skip(reader->request, type ? type->note : "item of an unknown type");
    return 0;""", '    return refuse(place, "unknown type");')),
    rule("namespaces of tools are flattened", MUST, "2 MUST accept",
         sdk(RAW, "rules: a tool of an unknown type is left out wherever it stands"),
         change(OPENAI_TOOLS, 'strcmp(type, "namespace") == 0', 'strcmp(type, "namespaces") == 0'),
         change(RESPONSES_TOOLS, 'if (is_type(item, "namespace"))', 'if (is_type(item, "namespaces"))')),
    rule("a call goes back under the client's own names", MUST, "2 MUST accept",
         unit("responses_answer", "calls_go_back_under_the_clients_names"),
         change(RESPONSES, 'json_str(alias, "name", call->name)', "call->name")),
    rule("developer messages of a chat", MUST, "2 MUST accept",
         sdk(CHAT, "openai chat: developer and later system messages are accepted in place"),
         change(CONVERSATION, '    if (strcmp(name, "developer") == 0)\n        return ROLE_SYSTEM;',
                '    if (strcmp(name, "developer") == 0)\n        return ROLE_OTHER;'),
         drop(OPENAI_MESSAGES, ' || strcmp(role, "developer") == 0)', ' || strcmp(role, "developer") == 0')),
    rule("developer items of a response", MUST, "2 MUST accept",
         sdk(STREAMS, "responses: instructions, developer items and session fields are taken"),
         drop(RESPONSES_INPUT, ' || strcmp(role, "developer") == 0;', ' || strcmp(role, "developer") == 0')),
    rule("a later system message of a chat is folded in its place", MUST, "2 MUST accept; 6 non-leading system role",
         sdk(CHAT, "openai chat: developer and later system messages are accepted in place"),
         change(CONVERSATION, "    case ROLE_SYSTEM:\n        adopt_system(conversation, message);",
                "    case ROLE_SYSTEM:\n        if (conversation->role == ROLE_NONE)\n"
                "            adopt_system(conversation, message);\n        else\n"
                "            adopt_other(conversation, message);")),
    rule("a system message in the middle of messages stays in its place", MUST,
         "1a Claude Code; 2 MUST accept; 6 non-leading system role",
         sdk(MESSAGES, "anthropic: a system message in the middle stays in its place"),
         change(ANTHROPIC_MESSAGES, 'if (is(message, "role", "system"))', 'if (is(message, "role", "systems"))'),
         change(CONVERSATION, "    else if (!at_start(conversation) && *text)\n        begin_folded(conversation);",
                "    else if (!at_start(conversation) && *text)\n        begin_turn(conversation, ROLE_SYSTEM);")),
    rule("… and is not hoisted, which would break the prompt's beginning", MUST, "6 non-leading system role",
         sdk(MESSAGES, "anthropic: a system message in the middle stays in its place"),
         change(CONVERSATION, "    else if (!at_start(conversation) && *text)\n        begin_folded(conversation);",
                """    else if (!at_start(conversation) && *text) {
        cJSON *first = cJSON_CreateObject();
        cJSON_AddStringToObject(first, "role", "system");
        cJSON_AddStringToObject(first, "content", text);
        cJSON_InsertItemInArray(conversation->messages, 0, first);
        return;
    }""")),
    rule("instructions in the middle of a response's items stay in their place", MUST,
         "2 MUST accept; 6 non-leading system role",
         sdk(RAW, "rules: instructions in the middle of a response's items stay in their place"),
         change(CONVERSATION, "    else if (!at_start(conversation) && *text)\n        begin_folded(conversation);",
                "    else if (!at_start(conversation) && *text)\n        return;")),
    rule("a chat's content is a string or an array", MUST, "2 MUST accept",
         sdk(CHAT, "openai chat: content may be an array of texts or null"),
         drop(OPENAI_MESSAGES, "    if (cJSON_IsArray(content))\n        return read_parts(messages, at, content);\n")),
    rule("a message's content is a string or an array, which say the same", MUST,
         "2 MUST accept; 5 flips of string and array",
         sdk(MESSAGES, "anthropic: strings and arrays of one text are the same"),
         change(ANTHROPIC_MESSAGES, "if (!cJSON_IsString(content) && !cJSON_IsArray(content))",
                "if (!cJSON_IsString(content))"),
         change(ANTHROPIC_MESSAGES, """    if (cJSON_IsString(content))
        say(reading, content->valuestring);
    int r""", "    int r")),
    rule("a response's content is a string or an array", MUST, "2 MUST accept",
         unit("responses_input", "messages_may_lack_a_type"),
         drop(RESPONSES_INPUT, "        add(reader->conversation, content->valuestring);\n"),
         change(RESPONSES_INPUT, "if (content && !cJSON_IsNull(content) && !cJSON_IsArray(content))",
                "if (content && !cJSON_IsNull(content))")),
    rule("an assistant's content may be null", MUST, "2 MUST accept",
         sdk(CHAT, "openai chat: content may be an array of texts or null"),
         change(OPENAI_MESSAGES, "if (!may_lack || (content && !cJSON_IsNull(content)))", "if (!may_lack || content)")),
    rule("reasoning_content in the history", MUST, "2 MUST accept",
         sdk(CHAT, "openai chat: reasoning_content in the history is accepted"),
         change(OPENAI_MESSAGES, "if (known && !cJSON_IsString(known))", "if (known)")),
    rule("max_tokens", MUST, "2 MUST accept", sdk(CHAT, "openai chat: max_tokens cuts the answer too"),
         change(OPENAI_BODY, "static int read_length(struct openai_body *body)\n{\n",
                'static int read_length(struct openai_body *body)\n{\n    openai_body_drop(body, "max_tokens");\n')),
    rule("max_completion_tokens", MUST, "2 MUST accept",
         sdk(CHAT, "openai chat: max_completion_tokens cuts the answer with the reason length"),
         drop(OPENAI_BODY, '    openai_body_set(body, "max_tokens", length);\n')),
    rule("a tool's result may be an array", MUST, "2 MUST accept",
         sdk(MESSAGES, "anthropic: a tool's result goes back"),
         change(ANTHROPIC_MESSAGES, "else if (content && !cJSON_IsNull(content) && !cJSON_IsArray(content))",
                "else if (content && !cJSON_IsNull(content))")),
    rule("… with references to tools in it", MUST, "2 MUST accept",
         sdk(MESSAGES, "anthropic: a result as a string, with an error, with a reference"),
         drop(ANTHROPIC_MESSAGES, '        {"tool_reference", IN_USER | IN_RESULT, read_tool_reference},\n')),
    rule("a response's result may be other than text", MUST, "6 Codex tool types (non-text tool output)",
         sdk(RAW, "rules: a result that is no text is taken"),
         change(RESPONSES_INPUT, "    if (!cJSON_IsArray(output))\n        return output",
                "    if (1)\n        return output"),
         before(RESPONSES_INPUT, "    cJSON_ArrayForEach(part, output)\n    {\n        if (!r && text_of(part))",
                "    if (cJSON_GetArraySize(output) > 1)\n        return -ENOMEM;")),
    rule("output_config is never refused", MUST, "1c output_config rejection is fatal",
         unit("anthropic_request", "effort_is_passed_on_and_never_refused"),
         change(ANTHROPIC_REQUEST,
                'return add(reading, "reasoning_effort", cJSON_CreateString(efforts[i][1]));\n    return 0;',
                'return add(reading, "reasoning_effort", cJSON_CreateString(efforts[i][1]));\n'
                '    return *effort ? fields_refuse(&reading->fields, "output_config", "unknown") : 0;')),
    rule("adaptive thinking, context_management and other beta fields", MUST, "1a Claude Code",
         sdk(MESSAGES, "anthropic: fields of newer clients are accepted"),
         change(ANTHROPIC_REQUEST, 'if (!thinking || strcmp(type, "adaptive") == 0)', "if (!thinking)"),
         change(ANTHROPIC_REQUEST, 'if (!fields_given(&reading->fields, "max_tokens"))',
                'if (fields_given(&reading->fields, "context_management"))')),
    rule("cache_control on blocks", MUST, "1a Claude Code; 5 cache_control moves",
         sdk(MESSAGES, "anthropic: strings and arrays of one text are the same"),
         change(ANTHROPIC_MESSAGES, "    if (!type)\n",
                '    if (!type || cJSON_HasObjectItem(block, "cache_control"))\n')),
    rule("an empty input of a response", MUST, "1a Codex --oss lmstudio",
         sdk(STREAMS, "responses: an empty input succeeds"),
         change(RESPONSES_REQUEST, "cJSON *items = message_of(given->valuestring);",
                "cJSON *items = *given->valuestring ? message_of(given->valuestring) : NULL;")),
    rule("Ollama's clients name a model by `name`, too", MUST, "1a Continue; 2 SHOULD Ollama",
         sdk(OLLAMA_JS, "ollama show: name instead of model, and .Suffix where FIM works"),
         change(LIST_OLLAMA, 'name = json_str(body, "name", "");', 'name = "";')),
]

# --- 2. Who may come

AUTH = [
    rule("Authorization: Bearer", MUST, "2 MUST auth", sdk(CHAT, "openai chat: a whole answer is the engine's own"),
         change(ACCESS, "return token ? token : x_api_key;", "return x_api_key;")),
    rule("x-api-key", MUST, "2 MUST auth", sdk(MESSAGES, "anthropic: x-api-key is a key too"),
         change(ACCESS, "return token ? token : x_api_key;", "return token;")),
    rule("discovery on this machine needs no key", MUST, "2 MUST auth; 1a Cline, Copilot",
         sdk(RAW, "rules: what clients look for on this machine needs no key"),
         change(API, '{"GET", "/v1/models", SCOPE_USE,', '{"GET", "/v1/models", SCOPE_RUN,'),
         change(API, '{"GET", "/models", SCOPE_USE,', '{"GET", "/models", SCOPE_RUN,'),
         change(API, '{"GET", "/api/v0/models", SCOPE_USE,', '{"GET", "/api/v0/models", SCOPE_RUN,'),
         change(API, '{"GET", "/api/tags", SCOPE_USE,', '{"GET", "/api/tags", SCOPE_RUN,'),
         change(API, '{"POST", "/api/show", SCOPE_USE,', '{"POST", "/api/show", SCOPE_RUN,'),
         change(API, '{"GET", "/props", SCOPE_USE,', '{"GET", "/props", SCOPE_RUN,')),
    rule("… and elsewhere it does", MUST, "2 MUST auth (trusted listeners)",
         sdk(RAW, "rules: the same from elsewhere needs one"),
         change(ACCESS, "    if (!facts->keyless)\n", "    if (!facts->host)\n")),
    rule("anthropic-version 2023-06-01", MUST, "2 MUST auth",
         sdk(MESSAGES, "anthropic: both versions of the API are accepted"),
         before(INFERENCE, "    identify_request(call, &request);",
                """    const char *version = http_exchange_header(call->exchange, "anthropic-version");
    if (version && strcmp(version, "2023-06-01") == 0) {
        call_fail(call, 400, "invalid_request", NULL, "unknown version");
        return;
    }""")),
    rule("anthropic-version 2026-10-21", MUST, "2 MUST auth; 1a anthropic-js",
         sdk(MESSAGES, "anthropic: both versions of the API are accepted"),
         before(INFERENCE, "    identify_request(call, &request);",
                """    const char *version = http_exchange_header(call->exchange, "anthropic-version");
    if (version && strcmp(version, "2026-10-21") == 0) {
        call_fail(call, 400, "invalid_request", NULL, "unknown version");
        return;
    }""")),
]

# --- 2 and 1c. Errors

WHOLE_SECONDS = change(JOB_REFUSAL, 'snprintf(seconds, sizeof(seconds), "%u", retry_after_s);',
                       'snprintf(seconds, sizeof(seconds), "%u.5", retry_after_s);')

ERRORS = [
    rule("429 has Retry-After in whole seconds", MUST, "2 MUST errors; 1c",
         sdk(CHAT, "openai chat: 429 has an integer Retry-After"), WHOLE_SECONDS,
         drop(JOB_REFUSAL, '        reply_set_header(reply, "Retry-After", seconds);\n')),
    rule("Anthropic's 429, too, and is a rate_limit_error", MUST, "2 MUST errors; 1c",
         sdk(MESSAGES, "anthropic: 429 is rate_limit_error with Retry-After"), WHOLE_SECONDS,
         drop(ANTHROPIC, '            {429, "rate_limit_error"},\n')),
    rule("503 has Retry-After", MUST, "2 MUST errors; 1c", unit("job", "the_queue_has_an_end"),
         change(JOB_REFUSAL, "(error->status == 429 || error->status == 503)", "(error->status == 429)")),
    rule("an engine's 429 has Retry-After", MUST, "2 MUST errors; 1c",
         unit("heartbeats", "a_refusal_of_the_first_moment_keeps_its_status"),
         change(JOB_REFUSAL, "(error->status == 429 || error->status == 503)", "(error->status == 503)")),
    rule("clients' own retries wait for it and succeed", MUST, "1c Retry-After honoured",
         sdk(OTHER, "openai retry: the SDK waits as Retry-After says and succeeds"),
         change(JOB_REFUSAL, "ret_error->status = status_of_engine(fail->http_status);", "ret_error->status = 418;")),
    rule("a limit is told before the 200", MUST, "2 MUST errors",
         sdk(RAW, "rules: a limit is told before a stream begins"),
         change(JOB_REFUSAL, "reply_send(reply, error->status, \"application/json\",",
                "reply_send(reply, error->status == 429 ? 200 : error->status, \"application/json\",")),
    rule("an engine's refusal keeps its status though a stream was asked for", MUST, "2 MUST errors",
         unit("heartbeats", "a_refusal_of_the_first_moment_keeps_its_status"),
         change(JOB_H, "JOB_HEADERS_RUNNING_MS = 1000,", "JOB_HEADERS_RUNNING_MS = 500,")),
    rule("OpenAI's errors have message, type, param and code", MUST, "2 MUST errors",
         unit("openai_errors", "errors_have_openais_shape"),
         change(OPENAI_ERRORS, '"{\\"error\\":{\\"message\\":"', '"{\\"error\\":{\\"text\\":"'),
         change(OPENAI_ERRORS, ',\\"type\\":\\"%s\\",\\"param\\":', ',\\"kind\\":\\"%s\\",\\"param\\":'),
         change(OPENAI_ERRORS, ',\\"type\\":\\"%s\\",\\"param\\":', ',\\"type\\":\\"%s\\",\\"field\\":'),
         change(OPENAI_ERRORS, '",\\"code\\":"', '",\\"id\\":"')),
    rule("Anthropic's errors have type, error.type and error.message", MUST, "2 MUST errors",
         captures("an_unknown_model_is_refused_in_each_form"),
         change(ANTHROPIC, '"{\\"type\\":\\"error\\",\\"error\\":', '"{\\"error\\":'),
         change(ANTHROPIC, '{\\"type\\":\\"%s\\",\\"message\\":"', '{\\"kind\\":\\"%s\\",\\"message\\":"'),
         change(ANTHROPIC, '{\\"type\\":\\"%s\\",\\"message\\":"', '{\\"type\\":\\"%s\\",\\"text\\":"'),
         drop(ANTHROPIC, '            {404, "not_found_error"},\n')),
    rule("Ollama's errors are one text", MUST, "2 MUST errors",
         captures("an_unknown_model_is_refused_in_each_form"),
         change(OLLAMA, '"{\\"error\\":"', '"{\\"message\\":"')),
    rule("llama.cpp's errors have code, message and type", MUST, "2 MUST errors",
         captures("an_unknown_model_is_refused_in_each_form"),
         change(LLAMACPP, '"{\\"error\\":{\\"code\\":%d,', '"{\\"error\\":{\\"status\\":%d,')),
    rule("what fails before its API is known has the caller's form", MUST, "2 MUST errors",
         captures("an_unknown_path_is_refused_at_once_in_the_caller_s_form"),
         drop(API, """    if (http_exchange_header(exchange, "anthropic-version"))
        return &family_anthropic;
"""),
         drop(API, """    if (found->path && strncmp(found->path, "/api/", 5) == 0)
        return &family_ollama;
""")),
    rule("an unknown model is 404 model_not_found", MUST, "1c", sdk(
        CHAT, "openai chat: an unknown model is 404 model_not_found and lists what there is"),
         change(INFERENCE, '    call_fail(call, 404, "model_not_found", "model", text);\n}',
                '    call_fail(call, 400, "model_not_found", "model", text);\n}'),
         change(INFERENCE, '    call_fail(call, 404, "model_not_found", "model", text);\n}',
                '    call_fail(call, 404, "not_found", "model", text);\n}')),
    rule("a prompt past the context: status 400, param messages, code context_length_exceeded", MUST,
         "1c context overflow", sdk(CHAT, "openai chat: context overflow has the text that makes agents compact"),
         change(JOB_REFUSAL, '        ret_error->status = 400;\n        ret_error->param = "messages";',
                '        ret_error->status = 413;\n        ret_error->param = "messages";'),
         drop(JOB_REFUSAL, '        ret_error->param = "messages";\n'),
         change("proto/codec_stream.c", '"context_length_exceeded"', '"context_exceeded"')),
    rule("… and the words that make agents compact, with both numbers", MUST, "1c context overflow",
         captures("a_prompt_past_the_context_is_refused_in_the_words_that_make_clients_compact"),
         change(ENGINE_ANSWER, "exceeds the available context size", "is longer than the context"),
         change(ENGINE_ANSWER, "prompt is too long, maximum", "prompt is long, maximum"),
         change(ENGINE_ANSWER, "too long, maximum context length is %", "too long, maximum context is %"),
         change(ENGINE_ANSWER, "past->prompt, past->limit, past->limit);", "past->limit, past->limit, past->limit);")),
    rule("… in every API that generates", MUST, "1c context overflow",
         sdk(STREAMS, "responses: context overflow has its code"),
         change("proto/codec_stream.c", '"context_length_exceeded"', '"context_exceeded"')),
    rule("… in Anthropic's own words", MUST, "1c context overflow, Anthropic form",
         sdk(MESSAGES, "anthropic: context overflow reads as its clients parse it"),
         change(ANTHROPIC, "prompt is too long: %u tokens > %u maximum", "prompt is too long: %u of %u tokens"),
         drop(JOB_REFUSAL, "        read_context_numbers(ret_error->message, ret_error);\n")),
    rule("… never with `rate limit` or `per minute` in it", MUST, "1c Cline veto",
         sdk(CHAT, "openai chat: the real engine's context overflow reads the same"),
         change(ENGINE_ANSWER, '" tokens): prompt is too long,', '" tokens, a rate limit): prompt is too long,')),
]

# --- 2. Stream order: chat

CHAT_ORDER = [
    rule("a chat's first chunk brings the role", MUST, "2 MUST stream order chat",
         sdk(CHAT, "openai chat: the first chunk brings the role"),
         drop(OPENAI_CHAT_ANSWER, '"\\"delta\\":{\\"role\\":\\"assistant\\",\\"content\\":\\"\\"},"',
              '\\"role\\":\\"assistant\\",')),
    rule("reasoning comes as reasoning_content before the content", MUST, "2 MUST stream order chat",
         sdk(CHAT, "openai chat: reasoning comes before the text, streamed"),
         change(OPENAI_CHAT_ANSWER, 'delta, "reasoning_content", NULL, out)', 'delta, "reasoning", NULL, out)')),
    rule("content comes in pieces", MUST, "2 MUST stream order chat",
         sdk(CHAT, "openai chat: the pieces of a stream make the whole answer"),
         change(OPENAI_CHAT_ANSWER, 'text_chunk(answer, delta, "content", logprobs, out)',
                'text_chunk(answer, delta, "text", logprobs, out)')),
    rule("a tool call begins with its id and its name", MUST, "2 MUST stream order chat",
         sdk(CHAT, "openai chat: a streamed tool call has id and name first and then its arguments in pieces"),
         change(OPENAI_CHAT_ANSWER, 'if (first && (buf_append_str(out, "\\"id\\":")',
                'if (!first && (buf_append_str(out, "\\"id\\":")'),
         change(OPENAI_CHAT_ANSWER, "if (name_is_new(fragments->shown, fragment) &&",
                "if (!name_is_new(fragments->shown, fragment) && fragment->name &&")),
    rule("… and goes on with pieces of its arguments", MUST, "2 MUST stream order chat",
         sdk(CHAT, "openai chat: a streamed tool call has id and name first and then its arguments in pieces"),
         change(OPENAI_CHAT_ANSWER, "json_append_str(out, fragment->arguments, strlen(fragment->arguments)))",
                'json_append_str(out, "", 0))')),
    rule("calls keep their index", MUST, "2 MUST stream order chat",
         sdk(CHAT, "openai chat: parallel calls keep their indexes"),
         change(OPENAI_CHAT_ANSWER, 'fragments->count++ ? "," : "", fragment->index)',
                'fragments->count++ ? "," : "", 0u)')),
    rule("exactly one chunk has a finish reason", MUST, "2 MUST stream order chat",
         sdk(CHAT, "openai chat: exactly one chunk has a finish reason, and it is the last choice"),
         change(OPENAI_CHAT_ANSWER, '    return buf_append_str(out, ",\\"finish_reason\\":null}]}\\n\\n");',
                '    return buf_append_str(out, ",\\"finish_reason\\":\\"stop\\"}]}\\n\\n");')),
    rule("an answer that calls tools finishes with tool_calls", MUST, "2 MUST stream order chat",
         unit("openai_chat_answer", "calls_say_id_and_name_once"),
         change(OPENAI_CHAT_ANSWER, 'bool calls = called && strcmp(reason, "stop") == 0;',
                'bool calls = called && strcmp(reason, "") == 0;')),
    rule("the usage chunk has no choices and comes where it was asked for", MUST, "2 MUST stream order chat",
         sdk(CHAT, "openai chat: usage comes in a last chunk without choices when asked"),
         change(OPENAI_ANSWER, "if (answer->request->include_usage && usage_chunk(answer, out))",
                "if (!answer->request->include_usage && usage_chunk(answer, out))"),
         change(OPENAI_ANSWER, '",\\"choices\\":[],") ||', '",\\"choices\\":[{\\"index\\":0,\\"delta\\":{}}],") ||')),
    rule("… and only there", MUST, "2 MUST stream order chat",
         sdk(CHAT, "openai chat: no usage chunk when not asked"),
         change(OPENAI_ANSWER, "if (answer->request->include_usage && usage_chunk(answer, out))",
                "if (usage_chunk(answer, out))")),
    rule("[DONE] is last, behind the usage", MUST, "2 MUST stream order chat",
         sdk(RAW, "rules: a chat's stream ends with its usage and then [DONE]"),
         change(OPENAI_ANSWER, 'return buf_append_str(out, "data: [DONE]\\n\\n");', "return 0;"),
         before(OPENAI_ANSWER, "    if (answer->request->include_usage && usage_chunk(answer, out))",
                '    if (buf_append_str(out, "data: [DONE]\\n\\n"))\n        return -ENOBUFS;')),
    rule("every chunk has id, object, created, model and each choice its index", MUST, "1a Zed",
         sdk(CHAT, "openai chat: every chunk has id, object, created, model and index"),
         change(OPENAI_ANSWER, '",\\"choices\\":[{\\"index\\":%u,"', '",\\"choices\\":[{\\"number\\":%u,"'),
         change(OPENAI_ANSWER, '\\"created\\":%lld,\\"model\\":"', '\\"created\\":%lld,\\"name\\":"'),
         change(OPENAI_ANSWER, '\\"object\\":\\"%s\\",\\"created\\"', '\\"kind\\":\\"%s\\",\\"created\\"'),
         change(OPENAI_ANSWER, '\\"created\\":%lld,', '\\"time\\":%lld,')),
]

# --- 2. Stream order: responses

TEXT_EVENTS = sdk(STREAMS, "responses: the whole event sequence of a text")
ITEM_EVENTS = sdk(RAW, "rules: each item of a response has its events in order")

RESPONSES_ORDER = [
    rule("response.created is first", MUST, "2 MUST stream order responses", TEXT_EVENTS,
         change(RESPONSES, 'int r = append_lifecycle(answer, "response.created", &object, out);', "int r = 0;")),
    rule("response.in_progress follows", MUST, "2 MUST stream order responses", TEXT_EVENTS,
         drop(RESPONSES, 'return r ? r : append_lifecycle(answer, "response.in_progress", &object, out);',
              ' ? r : append_lifecycle(answer, "response.in_progress", &object, out)')),
    rule("an item begins with output_item.added", MUST, "2 MUST stream order responses", ITEM_EVENTS,
         drop(RESPONSES, '    tell_item(answer, "response.output_item.added", index, true);\n')),
    rule("a message's part begins with content_part.added", MUST, "2 MUST stream order responses", ITEM_EVENTS,
         change(RESPONSES, '        tell_part(answer, "added", index, true);', "        (void)index;")),
    rule("its text comes in output_text.delta", MUST, "2 MUST stream order responses",
         sdk(STREAMS, "responses: the deltas make the done text and the completed output"),
         change(RESPONSES, "        tell_delta(answer, index, &inside, logprobs);", "        (void)tell_delta;")),
    rule("… and ends with output_text.done", MUST, "2 MUST stream order responses", ITEM_EVENTS,
         change(RESPONSES, "    tell_done(answer, index);\n", "    (void)tell_done;\n")),
    rule("… and content_part.done", MUST, "2 MUST stream order responses", TEXT_EVENTS,
         change(RESPONSES, '        tell_part(answer, "done", index, false);', "        (void)index;")),
    rule("a call's arguments come in function_call_arguments.delta", MUST, "2 MUST stream order responses",
         sdk(STREAMS, "responses: a function call streams its arguments and is an output item"),
         change(RESPONSES, "    if (call->item == no_item || is_custom(answer, call))\n        return;",
                "    if (call->item != no_item)\n        return;")),
    rule("… and end with function_call_arguments.done", MUST, "2 MUST stream order responses",
         sdk(STREAMS, "responses: a function call streams its arguments and is an output item"),
         change(RESPONSES, "    tell_done(answer, index);\n",
                "    if (answer->items.list[index].kind != ITEM_FUNCTION_CALL)\n        tell_done(answer, index);\n")),
    rule("an item ends with output_item.done", MUST, "2 MUST stream order responses; 1c Codex", ITEM_EVENTS,
         drop(RESPONSES, '    tell_item(answer, "response.output_item.done", index, false);\n')),
    rule("response.completed is last", MUST, "2 MUST stream order responses; 1c Codex", TEXT_EVENTS,
         change(RESPONSES, '"response.incomplete" : "response.completed"', '"response.incomplete" : "response.done"')),
    rule("… with the usage", MUST, "2 MUST stream order responses",
         sdk(STREAMS, "responses: the deltas make the done text and the completed output"),
         change(RESPONSES, "answer->has_usage ? &answer->usage : NULL", "NULL")),
]

# --- 2. Stream order: messages

MESSAGE_EVENTS = sdk(MESSAGES, "anthropic: the events of a text come in order")
BLOCK_KINDS = sdk(RAW, "rules: the kinds of a message's blocks are streamed each in its own deltas")

MESSAGES_ORDER = [
    rule("message_start is first", MUST, "2 MUST stream order messages", MESSAGE_EVENTS,
         change(ANTHROPIC_ANSWER, 'begin_event(out, "message_start")', 'begin_event(out, "ping")')),
    rule("a block begins with content_block_start", MUST, "2 MUST stream order messages", MESSAGE_EVENTS,
         change(ANTHROPIC_ANSWER, 'begin_event(out, "content_block_start");', 'begin_event(out, "ping");')),
    rule("its text comes in content_block_delta", MUST, "2 MUST stream order messages",
         sdk(MESSAGES, "anthropic: the pieces of a stream make the whole answer"),
         change(ANTHROPIC_ANSWER, '{"text_delta", "text"}', '{"text_delta", "content"}')),
    rule("a block ends with content_block_stop before the next begins", MUST, "2 MUST stream order messages",
         sdk(MESSAGES, "anthropic: parallel tool blocks do not overlap"),
         change(ANTHROPIC_ANSWER, 'r = begin_event(out, "content_block_stop");', 'r = begin_event(out, "ping");')),
    rule("thinking comes in thinking_delta", MUST, "2 MUST stream order messages", BLOCK_KINDS,
         change(ANTHROPIC_ANSWER, '{"thinking_delta", "thinking"}', '{"text_delta", "text"}')),
    rule("… and ends with signature_delta", MUST, "2 MUST stream order messages",
         sdk(MESSAGES, "anthropic: streamed thinking ends with a signature"),
         change(ANTHROPIC_ANSWER, "    if (answer->open == BLOCK_THINKING)\n        r = append_delta",
                "    if (answer->open == BLOCK_NONE)\n        r = append_delta")),
    rule("a tool's input comes in pieces of input_json_delta", MUST, "2 MUST stream order messages",
         sdk(MESSAGES, "anthropic: a streamed tool input comes in pieces of JSON"),
         change(ANTHROPIC_ANSWER, '{"input_json_delta", "partial_json"}', '{"text_delta", "text"}')),
    rule("message_delta brings the stop reason", MUST, "2 MUST stream order messages",
         sdk(MESSAGES, "anthropic: the last delta brings stop reason and usage"),
         change(ANTHROPIC_ANSWER, ',\\"delta\\":{\\"stop_reason\\":\\"%s\\",', ',\\"delta\\":{\\"reason\\":\\"%s\\",')),
    rule("… and the usage", MUST, "2 MUST stream order messages",
         sdk(MESSAGES, "anthropic: the last delta brings stop reason and usage"),
         change(ANTHROPIC_ANSWER, '\\"output_tokens\\":%u}"', '\\"tokens\\":%u}"')),
    rule("a tool call's stop reason is tool_use", MUST, "2 MUST stream order messages",
         sdk(MESSAGES, "anthropic: a tool is used with its input"),
         change(ANTHROPIC_ANSWER, 'return answer->calls.count > 0 ? "tool_use" : "end_turn";', 'return "end_turn";')),
    rule("message_stop is last", MUST, "2 MUST stream order messages", MESSAGE_EVENTS,
         change(ANTHROPIC_ANSWER, 'r = begin_event(out, "message_stop");', 'r = begin_event(out, "ping");')),
    rule("every event has its event: line", MUST, "2 MUST stream order messages; 1c",
         sdk(RAW, "rules: every event of a message is named in a line of its own"),
         change(ANTHROPIC_ANSWER, '"event: %s\\ndata: {\\"type\\":\\"%s\\"", name, name)',
                '"data: {\\"type\\":\\"%s\\"", name)')),
]

# --- 3. Heartbeats and failover

RARER = change(JOB_H, "JOB_IDLE_MS = 15 * 1000,", "JOB_IDLE_MS = 20 * 1000,")
COMMENT = 'buf_append_str(out, ": keepalive\\n\\n")'
CHAT_LIFE = change(OPENAI_ANSWER, "return r ? r : answer->form->text(answer, &nothing, NULL, out);",
                   f"return r ? r : {COMMENT};")

SILENT = "    if (error)\n        return 0;"

HEARTBEATS = [
    rule("a silent chat shows an empty content every 15 s", MUST, "2 MUST heartbeats; 3",
         unit("heartbeats", "a_chat_shows_empty_content"), RARER, CHAT_LIFE,
         change(OPENAI_ANSWER, "return r ? r : answer->form->text(answer, &nothing, NULL, out);", "return r;")),
    rule("a silent completion shows an empty text", MUST, "2 MUST heartbeats; 3",
         unit("heartbeats", "a_completion_shows_empty_text"), CHAT_LIFE),
    rule("a silent response says response.in_progress", MUST, "2 MUST heartbeats; 3",
         unit("heartbeats", "a_response_says_that_it_is_in_progress"), RARER,
         change(RESPONSES, '        r = append_lifecycle(answer, "response.in_progress", &object, out);',
                f"        r = {COMMENT};")),
    rule("a silent message pings", MUST, "2 MUST heartbeats; 3", unit("heartbeats", "a_message_pings"), RARER,
         change(ANTHROPIC_ANSWER, '    int r = begin_event(out, "ping");\n    return r ? r : end_event(out);',
                f"    return {COMMENT};")),
    rule("Ollama says lines of empty content with done:false", MUST, "2 MUST heartbeats; 3",
         unit("heartbeats", "ollama_says_lines_of_nothing"), RARER,
         change(OLLAMA_ANSWER, "{\n    return line(answer, nothing, nothing, false, out);",
                '{\n    (void)answer;\n    return buf_append_str(out, "\\n");')),
    rule("llama.cpp says chunks of empty content", MUST, "2 MUST heartbeats; 3",
         unit("heartbeats", "llamacpp_says_chunks_of_nothing"), RARER,
         change(LLAMACPP_ANSWER, "return chunk(0, \"\", 0, NULL, out);", f"return {COMMENT};")),
    rule("a comment is never all that comes, least of all `: ping`", MUST,
         "1b comments do not count, Continue's reader", unit("heartbeats", "a_chat_shows_empty_content"),
         change(OPENAI_ANSWER, "    int r = flush(answer, nothing.choice, NULL, out);",
                '    int r = buf_append_str(out, ": ping\\n\\n");')),
    rule("headers and the opening event come at once", MUST, "3 keepalive",
         unit("heartbeats", "the_opening_comes_at_once"),
         change(JOB_H, "JOB_HEADERS_RUNNING_MS = 1000,", "JOB_HEADERS_RUNNING_MS = 10 * 1000,")),
    rule("who waits in the queue sees life, too", MUST, "3 keepalive",
         unit("heartbeats", "who_waits_in_the_queue_sees_life_too"),
         change(JOB_H, "JOB_HEADERS_WAITING_MS = 15 * 1000,", "JOB_HEADERS_WAITING_MS = 60 * 1000,")),
    rule("before its first token a request moves silently to another node", MUST, "3 failover",
         unit("job", "what_fails_before_its_content_moves"),
         change(JOB_ANSWER, "return fail_code_retryable(fail->code) && !job->committed", "return !job && !job->committed")),
    rule("… and not after it", MUST, "3 failover", unit("job", "after_its_content_it_ends_with_an_error"),
         change(JOB_ANSWER, "return fail_code_retryable(fail->code) && !job->committed &&",
                "return fail_code_retryable(fail->code) &&")),
    rule("a chat that breaks ends with data: {\"error\":…}", MUST, "3 failover",
         sdk(RAW, "rules: a chat whose engine is lost ends with an error and no [DONE]"),
         before(OPENAI_ANSWER, '    if (buf_append_str(out, "data: ") ||\n            family_openai', SILENT)),
    rule("a message that breaks ends with event: error", MUST, "3 failover",
         sdk(RAW, "rules: a message whose engine is lost ends with an error event"),
         before(ANTHROPIC_ANSWER, '    int r = buf_append_str(out, "event: error\\ndata: ");', SILENT)),
    rule("a response that breaks ends with response.failed", MUST, "3 failover",
         sdk(RAW, "rules: a response whose engine is lost ends as failed"),
         change(RESPONSES, '    int r = append_lifecycle(answer, "response.failed", &object, out);', "    int r = 0;")),
    rule("Ollama's answer that breaks ends with an error line", MUST, "3 failover",
         sdk(RAW, "rules: Ollama's answer whose engine is lost ends with an error line"),
         before(OLLAMA_ANSWER, '    int r = family_ollama.error_body(error, "", out);', SILENT)),
    rule("a chat has a finish reason always, streamed or not", MUST, "1c missing finish_reason",
         unit("job", "an_answer_without_a_finish_is_not_complete"),
         change(OPENAI_ANSWER, "if (first_open(answer) < answer->request->choices)\n        return -EPROTO;",
                "if (first_open(answer) > answer->request->choices)\n        return -EPROTO;"),
         change(OPENAI_ANSWER, "if (!*gathered_finish(answer->gathered, i))\n            return -EPROTO;", ";")),
    rule("a message has a stop reason always, streamed or not", MUST, "1c missing finish_reason",
         unit("anthropic_answer", "an_answer_without_a_reason_is_broken"),
         change(ANTHROPIC_ANSWER, "int anthropic_stream_end(struct answer *answer, struct buf *out)\n{\n"
                "    if (answer->finish[0] == '\\0')\n        return -EPROTO;\n",
                "int anthropic_stream_end(struct answer *answer, struct buf *out)\n{\n"),
         change(ANTHROPIC_ANSWER, "int anthropic_whole(struct answer *answer, struct buf *out)\n{\n"
                "    if (answer->finish[0] == '\\0')\n        return -EPROTO;\n",
                "int anthropic_whole(struct answer *answer, struct buf *out)\n{\n")),
    rule("a response has its end always", MUST, "1c missing response.completed",
         unit("responses_answer", "nonsense_is_refused"),
         drop(RESPONSES, "    if (!answer->finish[0])\n        return -EPROTO;\n")),
    rule("Ollama's answer has a reason always", MUST, "1c missing finish_reason",
         unit("ollama", "a_chat_is_streamed_a_line_at_a_time"),
         change(OLLAMA_ANSWER, "return *answer->finish || answer->request->settled ? 0 : -EPROTO;",
                "return answer ? 0 : -EPROTO;")),
    rule("a node takes no answer without a reason for a whole one", MUST, "1c missing finish_reason",
         unit("engine_run", "test_infill_that_is_cut"),
         change("node/backends/engine_run.c", "if (run->answer.finished && (run->answer.done || !fail)) {",
                "if (run->answer.done || !fail) {")),
]

# --- 2. SHOULD

ONE_OBJECT = unit("list_models", "one_object_serves_all_readers")
SHOWN = unit("list_ollama", "a_model_shows_what_clients_look_for")
TAGS = unit("list_ollama", "tags_name_modes_and_models")


FURTHER = [
    rule("/v1/completions", SHOULD, "2 SHOULD completions",
         sdk(OTHER, "openai completions: text goes on where the prompt ends"),
         drop(API, '{"POST", "/v1/completions", SCOPE_USE, &family_openai, NULL, &dialect_openai_completions},')),
    rule("/v1/embeddings as base64", SHOULD, "2 SHOULD embeddings; 1a openai-js",
         sdk(OTHER, "openai embeddings: explicit base64 is a string of float32"),
         change(OPENAI_EMBEDDINGS, '*ret_base64 = strcmp(format, "base64") == 0;', "*ret_base64 = false;")),
    rule("/v1/embeddings as numbers", SHOULD, "2 SHOULD embeddings",
         sdk(OTHER, "openai embeddings: base64 and float say the same"),
         change(OPENAI_EMBEDDINGS, "return wanted->base64 ? embedding_append_base64(embedding, out)",
                "return !wanted->base64 ? embedding_append_base64(embedding, out)")),
    rule("/infill", SHOULD, "2 SHOULD infill",
         sdk(OTHER, "llama.cpp: infill, tokenize, detokenize, apply-template and props"),
         drop(API, '{"POST", "/infill", SCOPE_USE, &family_llamacpp, NULL, &dialect_llamacpp_infill},')),
    rule("warm-ups and response_fields of llama.cpp's plug-ins", SHOULD, "1a llama.vim",
         sdk(OTHER, "llama.cpp: a warm-up with n_predict 0 succeeds, and response_fields are heeded"),
         change(LLAMACPP_ANSWER, "if (object && paths) {", "if (!object && paths) {")),
    rule("/props", SHOULD, "2 SHOULD props", sdk(RAW, "rules: what clients look for on this machine needs no key"),
         drop(API, '{"GET", "/props", SCOPE_USE, &family_llamacpp, serve_props, NULL},')),
    rule("/props?model=", SHOULD, "2 SHOULD props", unit("list_llamacpp", "props_tell_of_what_was_asked_for"),
         change(LIST_LLAMACPP, "if (name && *name)", "if (name && !*name)")),
    rule("/api/version is 0.13.4 or newer", SHOULD, "2 SHOULD Ollama; 1a Codex --oss",
         sdk(OLLAMA_JS, "ollama version: new enough for its clients"),
         change(LIST_OLLAMA, 'version[] = "0.30.0"', 'version[] = "0.13.3"')),
    rule("/api/tags", SHOULD, "2 SHOULD Ollama", sdk(OLLAMA_JS, "ollama tags: what strict readers need of every model"),
         drop(API, '{"GET", "/api/tags", SCOPE_USE, &family_ollama, serve_ollama_tags, NULL},')),
    rule("… with name, modified_at, size, digest and details", SHOULD, "1a Zed", TAGS,
         field(LIST_OLLAMA, 'json_writer_str(out, "name", offer->id);'),
         field(LIST_OLLAMA, 'json_writer_str(out, "modified_at", offer_time(offer_modified_s(offer), time));'),
         field(LIST_OLLAMA, 'json_writer_u64(out, "size", size);'),
         field(LIST_OLLAMA, 'json_writer_str(out, "digest", offer_digest(offer, digest));'),
         field(LIST_OLLAMA, 'json_writer_str(out, "format", "gguf");'),
         field(LIST_OLLAMA, 'json_writer_str(out, "family", offer_architecture(offer));'),
         field(LIST_OLLAMA, 'json_writer_str(out, "parameter_size", offer_parameters(offer, parameters));'),
         field(LIST_OLLAMA, 'json_writer_str(out, "quantization_level", offer_quantisation(offer));')),
    rule("/api/show takes `model`", SHOULD, "2 SHOULD Ollama",
         sdk(OLLAMA_JS, "ollama show: capabilities and context length"),
         change(LIST_OLLAMA, 'const char *name = json_str(body, "model", "");', 'const char *name = "";'),
         drop(API, '{"POST", "/api/show", SCOPE_USE, &family_ollama, serve_ollama_show, NULL},')),
    rule("/api/show takes `name`", SHOULD, "2 SHOULD Ollama", SHOWN,
         change(LIST_OLLAMA, 'name = json_str(body, "name", "");', 'name = "";')),
    rule("… tells capabilities, tools among them", SHOULD, "2 SHOULD Ollama; 1d Roo",
         sdk(OLLAMA_JS, "ollama show: capabilities and context length"),
         change(OFFER_WORDS, '{CAPABILITY_TOOLS, "tools"}', '{CAPABILITY_TOOLS, "functions"}'),
         field(LIST_OLLAMA, "offer_write_capabilities(&writer, offer);")),
    rule("… tells general.architecture", SHOULD, "2 SHOULD Ollama", SHOWN,
         field(LIST_OLLAMA, 'json_writer_str(out, "general.architecture", architecture);')),
    rule("… tells ARCHITECTURE.context_length", SHOULD, "2 SHOULD Ollama", SHOWN,
         change(LIST_OLLAMA, '"%s.context_length", architecture)', '"%s.context", architecture)')),
    rule("… tells parameters as `num_ctx N`", SHOULD, "2 SHOULD Ollama", SHOWN,
         change(LIST_OLLAMA, '"num_ctx %" PRIu32', '"num_ctx=%" PRIu32')),
    rule("… tells a template with .Suffix where FIM works", SHOULD, "2 SHOULD Ollama",
         sdk(OLLAMA_JS, "ollama show: name instead of model, and .Suffix where FIM works"),
         change(LIST_OLLAMA, "{{ if .Suffix }}{{ .Prompt }}{{ .Suffix }}", "{{ if .After }}{{ .Prompt }}{{ .After }}")),
    rule("… and only there", SHOULD, "2 SHOULD Ollama",
         unit("list_ollama", "a_mode_that_has_no_model_shows_what_it_can"),
         change(LIST_OLLAMA, "            offer_can(offer, CAPABILITY_FIM)\n", "            offer\n")),
    rule("/api/chat streams unless told not to", SHOULD, "2 SHOULD Ollama",
         unit("ollama", "a_chat_streams_unless_it_is_told_not_to"),
         change(OLLAMA, 'fields_bool(fields, "stream", true,', 'fields_bool(fields, "stream", false,')),
    rule("/api/chat", SHOULD, "2 SHOULD Ollama", sdk(OLLAMA_JS, "ollama chat: a whole answer of the real engine"),
         drop(API, '{"POST", "/api/chat", SCOPE_USE, &family_ollama, NULL, &dialect_ollama_chat},')),
    rule("/api/generate", SHOULD, "2 SHOULD Ollama", sdk(OLLAMA_JS, "ollama generate: a prompt is answered"),
         drop(API, '{"POST", "/api/generate", SCOPE_USE, &family_ollama, NULL, &dialect_ollama_generate},')),
    rule("/api/generate fills in before a suffix", SHOULD, "1a Continue",
         unit("ollama", "a_suffix_fills_in_the_middle"),
         change(OLLAMA, 'bool fills = *text_of(fields, "suffix") && !raw;', "bool fills = raw && !raw;")),
    rule("/api/ps", SHOULD, "2 SHOULD Ollama", sdk(OLLAMA_JS, "ollama ps: what is resident"),
         drop(API, '{"GET", "/api/ps", SCOPE_USE, &family_ollama, serve_ollama_ps, NULL},')),
    rule("/api/embed", SHOULD, "2 SHOULD Ollama", sdk(OLLAMA_JS, "ollama embed: one and many"),
         drop(API, '{"POST", "/api/embed", SCOPE_USE, &family_ollama, NULL, &dialect_ollama_embed},')),
    rule("no blank lines between Ollama's", SHOULD, "2 SHOULD NDJSON",
         sdk(OLLAMA_JS, "ollama chat: no blank lines in a stream"),
         change(OLLAMA_ANSWER, """    int r = append_said(answer, text, thinking, calls, out);
    return r ? r : buf_append_str(out, ",\\"done\\":false}\\n");""",
                """    int r = append_said(answer, text, thinking, calls, out);
    return r ? r : buf_append_str(out, ",\\"done\\":false}\\n\\n");""")),
    rule("/v1/model/info tells the context", SHOULD, "2 SHOULD LiteLLM",
         sdk(RAW, "rules: what clients look for on this machine needs no key"),
         drop(API, '{"GET", "/v1/model/info", SCOPE_USE, &family_openai, serve_litellm, NULL},'),
         drop(API, '{"GET", "/model/info", SCOPE_USE, &family_openai, serve_litellm, NULL},'),
         change(LIST_MODELS, '        json_writer_u64(out, "max_input_tokens", offer->context);',
                '        json_writer_u64(out, "max_prompt", offer->context);')),
    rule("a model has id, object and type", SHOULD, "2 SHOULD one model object", ONE_OBJECT,
         drop(LIST_MODELS, """    json_writer_str(out, "id", offer->id);
    json_writer_str(out, "object", "model");
    json_writer_str(out, "type", "model");""", 'json_writer_str(out, "id", offer->id);'),
         drop(LIST_MODELS, """    json_writer_str(out, "id", offer->id);
    json_writer_str(out, "object", "model");
    json_writer_str(out, "type", "model");""", 'json_writer_str(out, "object", "model");'),
         field(LIST_MODELS, 'json_writer_str(out, "type", "model");')),
    rule("… created and created_at", SHOULD, "2 SHOULD one model object", ONE_OBJECT,
         field(LIST_MODELS, 'json_writer_u64(out, "created", (uint64_t)offer_modified_s(offer));'),
         field(LIST_MODELS, 'json_writer_str(out, "created_at", offer_time(offer_modified_s(offer), time));')),
    rule("… owned_by and display_name", SHOULD, "2 SHOULD one model object", ONE_OBJECT,
         field(LIST_MODELS, 'json_writer_str(out, "owned_by", "modemesh");'),
         field(LIST_MODELS, 'json_writer_str(out, "display_name", offer->id);')),
    rule("… context_length, max_model_len, max_input_tokens and max_tokens", SHOULD, "2 SHOULD one model object",
         ONE_OBJECT,
         field(LIST_MODELS, 'json_writer_u64(out, "context_length", offer->context);'),
         field(LIST_MODELS, 'json_writer_u64(out, "max_model_len", offer->context);'),
         change(LIST_MODELS, """json_writer_u64(out, "max_model_len", offer->context);
    json_writer_u64(out, "max_input_tokens", offer->context);""",
                'json_writer_u64(out, "max_model_len", offer->context);'),
         change(LIST_MODELS, """json_writer_u64(out, "max_input_tokens", offer->context);
    json_writer_u64(out, "max_tokens", offer_answer_tokens(offer));""",
                'json_writer_u64(out, "max_input_tokens", offer->context);')),
    rule("… meta.n_ctx and meta.n_ctx_train", SHOULD, "2 SHOULD one model object; 1d Zed", ONE_OBJECT,
         change(LIST_MODELS, '    json_writer_object(out, "meta");\n    json_writer_u64(out, "n_ctx", offer->context);',
                '    json_writer_object(out, "meta");'),
         field(LIST_MODELS, 'json_writer_u64(out, "n_ctx_train", instance->context_trained);')),
]

# --- 4. Names of modes

SPELLINGS = unit("mode_names", "editors_spell_modes_in_many_ways")
LISTED_NAME = 'snprintf(id, sizeof(id), "%s%s", MODE_ALIAS, name);'
PREFER_HEADER = "    else if (header && *header)\n        r = take_header(call, request, header, &target);"

NAMES = [
    rule("each mode is listed as mesh-MODE", SHOULD, "4 model alias per mode",
         sdk(OTHER, "openai models: modes and models are listed with their context"),
         change(OFFERS, LISTED_NAME, 'snprintf(id, sizeof(id), "%s", name);')),
    rule("… and answers to it", SHOULD, "4 model alias per mode", SPELLINGS,
         change(MODE_NAMES, "{MODE_ALIAS, MODE_ALIAS_CLAUDE}", "{MODE_ALIAS_CLAUDE}")),
    rule("names have letters, digits and hyphens only", SHOULD, "4 model alias per mode",
         sdk(RAW, "rules: modes have plain names"),
         change(OFFERS, LISTED_NAME, 'snprintf(id, sizeof(id), "%s%s.", MODE_ALIAS, name);')),
    rule("… and nothing in them that clients take for another vendor's model", SHOULD, "4 avoid the substrings",
         sdk(OTHER, "openai models: no id holds what clients take for something else"),
         change(OFFERS, LISTED_NAME, 'snprintf(id, sizeof(id), "%sgpt-%s", MODE_ALIAS, name);')),
    rule("a suffix :latest", SHOULD, "4 suffixes", SPELLINGS,
         change(MODE_NAMES, '{":latest", "[1m]"}', '{"[1m]"}')),
    rule("a suffix [1m]", SHOULD, "4 suffixes", SPELLINGS,
         change(MODE_NAMES, '{":latest", "[1m]"}', '{":latest"}')),
    rule("callers with anthropic-version see claude-mesh-MODE", SHOULD, "4 claude-mesh-*",
         sdk(MESSAGES, "anthropic: models are listed in its own shape, with names that its clients keep"),
         change(CALLER, 'http_exchange_header(call->exchange, "anthropic-version") != NULL', "false")),
    rule("… and nobody else", SHOULD, "4 claude-mesh-*",
         sdk(RAW, "rules: names that begin with claude are for its clients only"),
         change(CALLER, 'http_exchange_header(call->exchange, "anthropic-version") != NULL', "true")),
    rule("claude-mesh-MODE answers", SHOULD, "4 claude-mesh-*", SPELLINGS,
         change(MODE_NAMES, "{MODE_ALIAS, MODE_ALIAS_CLAUDE}", "{MODE_ALIAS}")),
    rule("autocomplete has a name that tells the model's family", SHOULD, "4 Continue picks FIM tokens from the name",
         sdk(RAW, "rules: autocomplete answers to a name that tells the model's family"),
         change(MODE_NAMES, "look(modes, plain + len, true)", "look(modes, plain + len, false)")),
    rule("… which is listed", SHOULD, "4 Continue picks FIM tokens from the name",
         sdk(RAW, "rules: autocomplete is listed once by a name that tells the model's family"),
         change(OFFERS, "if (!r)\n            r = offer_with_model(offers, mode, fn, ctx);", "")),
    rule("X-Modemesh-Mode overrides the name", SHOULD, "4 header",
         sdk(CHAT, "openai chat: the header X-Modemesh-Mode overrides the model"),
         change(INFERENCE, PREFER_HEADER, PREFER_HEADER.replace("header && *header", "header && !*header"))),
    rule("what a prompt says changes no mode that is asked for", SHOULD, "4 prompt markers are off by default",
         sdk(RAW, "rules: a mode that is asked for is not changed by what a prompt says"),
         before(INFERENCE, "    if (automatic)\n        r = take_default(call, request, &target);",
                """    if (memmem(buf_at(&request->body), request->body.len, "Plan mode is active", 19))
        header = "ask";""")),
]

# --- 5. Sessions

BY_HEADER = unit("session_id", "headers_come_first_in_their_order")
BY_MEMBER = unit("session_id", "members_come_in_their_order")

SESSIONS = [
    rule("X-Claude-Code-Session-Id comes first", SHOULD, "5 first match wins", BY_HEADER,
         change(SESSION, "if (!take_claude(input, ret_request) && !take_header(input, ret_request))",
                "if (!take_header(input, ret_request) && !take_claude(input, ret_request))")),
    rule("… with the agent's id", SHOULD, "5 first match wins",
         unit("session_id", "an_agent_has_a_session_of_its_own"),
         change(SESSION, '"%s/%s", session, agent)', '"%s", session)')),
    rule("then thread-id and session-id", SHOULD, "5 first match wins", BY_HEADER,
         change(SESSION, '{"thread-id", "session-id", "x-session-id",', '{"x-session-id", "session-id", "thread-id",'),
         change(SESSION, '{"thread-id", "session-id", "x-session-id",', '{"thread-id", "x-session-id", "session-id",')),
    rule("then x-session-id and x-session-affinity", SHOULD, "5 first match wins", BY_HEADER,
         drop(SESSION, '"session-id", "x-session-id",', ' "x-session-id",'),
         drop(SESSION, '"x-session-affinity", "x-parent-session-id",', '"x-session-affinity", ')),
    rule("… less `title-`", SHOULD, "5 strip title-", unit("session_id", "a_title_is_of_its_session"),
         change(SESSION, "            text += strlen(title_prefix);", "            text += 0;")),
    rule("then the parent's", SHOULD, "5 parent id as fallback", BY_HEADER,
         change(SESSION, '"x-parent-session-id", "X-OpenWebUI-Chat-Id"}',
                '"X-OpenWebUI-Chat-Id", "x-parent-session-id"}')),
    rule("then X-OpenWebUI-Chat-Id", SHOULD, "5 first match wins", BY_HEADER,
         drop(SESSION, '"x-parent-session-id", "X-OpenWebUI-Chat-Id"}', ', "X-OpenWebUI-Chat-Id"')),
    rule("then prompt_cache_key", SHOULD, "5 first match wins", BY_MEMBER,
         change(SESSION, 'json_str(body, "prompt_cache_key", NULL)', "NULL"),
         change(SESSION, 'return take(json_str(body, "prompt_cache_key", NULL), request) ||',
                'return take_user_id(body, request) || take(json_str(body, "prompt_cache_key", NULL), request) ||')),
    rule("then the session in metadata.user_id", SHOULD, "5 first match wins; 1a JSON in a string", BY_MEMBER,
         drop(SESSION, " || take_user_id(body, request) ||", " || take_user_id(body, request)")),
    rule("then session_id and previous_response_id", SHOULD, "5 first match wins", BY_MEMBER,
         drop(SESSION, '           take(json_str(body, "session_id", NULL), request) ||\n'),
         change(SESSION, 'take(json_str(body, "previous_response_id", NULL), request);', "false;")),
]

# --- 6. Traps

KEEP_BILLING = change(ANTHROPIC_MESSAGES, "if (strncmp(text, billing, strlen(billing)) == 0) {",
                      "if (strcmp(text, billing) == 0) {")


def passing_on(option):
    return before(OLLAMA_OPTIONS, "    return r ? r : add_stop(options, body);",
                  f'    if (!r && fields_given(options, "{option}"))\n        cJSON_AddItemToObject(body, "{option}",\n'
                  f'                cJSON_Duplicate(fields_given(options, "{option}"), true));')


TRAPS = [
    rule("the billing block is no part of the prompt", MUST, "6 Claude billing block",
         captures("the_billing_block_is_no_part_of_the_prompt"),
         KEEP_BILLING),
    rule("… wherever it stands, and the other blocks stay", MUST, "6 Claude billing block",
         sdk(MESSAGES, "anthropic: system blocks are one message, without the billing block"),
         KEEP_BILLING),
    rule("id_slot and num_ctx of a chat never reach the engine", MUST, "6 id_slot and num_ctx",
         sdk(CHAT, "openai chat: slot and context size from clients are left out"),
         drop(ENGINE_POST, """{"stream_options", "{\\"include_usage\\":true}"}, {"model", NULL}, {"id_slot", NULL},
        {"num_ctx", NULL},""", ' {"id_slot", NULL},'),
         drop(ENGINE_POST, """{"stream_options", "{\\"include_usage\\":true}"}, {"model", NULL}, {"id_slot", NULL},
        {"num_ctx", NULL},""", '{"num_ctx", NULL},')),
    rule("id_slot of an infill never does", MUST, "6 id_slot and num_ctx; 1a llama.vim",
         unit("llamacpp", "an_infill_goes_on_as_it_came"),
         drop(LLAMACPP, '{"model", NULL}, {"stream", NULL}, {"id_slot", NULL}, {LLAMACPP_KEPT_FIELDS, NULL}};',
              ' {"id_slot", NULL},')),
    rule("Ollama's num_ctx never does, nor what else is for the loader", MUST, "6 id_slot and num_ctx; 1a Aider, Cline",
         unit("ollama", "options_reach_the_sampler_and_not_the_loader"),
         passing_on("num_ctx"), passing_on("num_gpu")),
    rule("responses are stored, so that previous_response_id goes on", MUST, "6 Copilot previous_response_id",
         sdk(STREAMS, "responses: previous_response_id continues what was stored"),
         change(RESPONSES, "if (answer->request->responses)", "if (!answer->request)")),
    rule("… unless store is false", MUST, "6 Copilot previous_response_id; 1a Codex",
         sdk(STREAMS, "responses: store false is not kept"),
         change(RESPONSES_REQUEST, 'fields_bool(&reading->fields, "store", true, &reading->store)',
                'fields_bool(&reading->fields, "stored", true, &reading->store)')),
    rule("setup tells Claude Code how long the context is", MUST, "6 Claude's 1M assumption; 1d",
         unit("setup", "test_each_has_its_own_form"),
         change(SETUP_CLAUDE, 'put_str(setup, env, "CLAUDE_CODE_MAX_CONTEXT_TOKENS",',
                'put_str(setup, env, "CLAUDE_CODE_CONTEXT",')),
]

RULES = [*ENDPOINTS, *ACCEPTED, *AUTH, *ERRORS, *CHAT_ORDER, *RESPONSES_ORDER, *MESSAGES_ORDER, *HEARTBEATS, *FURTHER,
         *NAMES, *SESSIONS, *TRAPS]

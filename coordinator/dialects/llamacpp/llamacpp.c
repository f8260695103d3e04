#include "coordinator/dialects/llamacpp/llamacpp.h"

#include "common/json/json.h"
#include "coordinator/dialects/fields.h"
#include "coordinator/dialects/llamacpp/llamacpp_answer.h"
#include "coordinator/dialects/samplers.h"
#include "coordinator/dialects/session_id.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    RESPONSE_FIELDS_MAX = 64,
    EXTRAS_MAX = 4096, /* chunks of other files in one infill */
    PROBS_MAX = 1000,
    NUMBER_MAX = 16, /* of a number's text */
};

/* --- errors --- */

static const char *error_type(const struct api_error *error)
{
    if (error->context_tokens)
        return "exceed_context_size_error";
    switch (error->status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 501:
        return "not_supported_error";
    case 429:
    case 503:
        return "unavailable_error";
    default:
        return error->status < 500 ? "invalid_request_error" : "server_error";
    }
}

static int error_body(const struct api_error *error, const char *request_id, struct buf *out)
{
    const char *message = error->message ? error->message : "";
    (void)request_id;
    if (buf_appendf(out, "{\"error\":{\"code\":%d,\"message\":", error->status) ||
            json_append_str(out, message, strlen(message)) ||
            buf_appendf(out, ",\"type\":\"%s\"", error_type(error)))
        return -ENOBUFS;
    if (error->context_tokens &&
            buf_appendf(out, ",\"n_prompt_tokens\":%" PRIu32 ",\"n_ctx\":%" PRIu32,
                    error->prompt_tokens, error->context_tokens))
        return -ENOBUFS;
    return buf_append_str(out, "}}");
}

const struct dialect_family family_llamacpp = {.name = "llama.cpp", .error_body = error_body};

/* --- what both requests say --- */

struct parsing {
    const struct dialect_input *input;
    struct fields fields;
    struct request *request;
};

static int no_memory(const struct parsing *parsing)
{
    return err_set(parsing->fields.err, -ENOMEM, "no memory for the request");
}

static int read_choices(struct parsing *parsing)
{
    double choices = 1;
    bool given;
    int r = fields_number(&parsing->fields, "n_cmpl", 1, REQUEST_CHOICES_MAX, &choices, &given);
    parsing->request->choices = (uint32_t)choices;
    return r;
}

static int keep(struct parsing *parsing, const char *key, cJSON *item)
{
    struct request *request = parsing->request;
    if (!request->kept)
        request->kept = cJSON_CreateObject();
    if (item && cJSON_AddItemToObject(request->kept, key, item))
        return 0;
    cJSON_Delete(item);
    return no_memory(parsing);
}

static int read_response_fields(struct parsing *parsing)
{
    const cJSON *paths, *path;
    int r = fields_array(&parsing->fields, LLAMACPP_KEPT_FIELDS, &paths);
    if (r || !paths)
        return r;
    bool sound = cJSON_GetArraySize(paths) <= RESPONSE_FIELDS_MAX;
    cJSON_ArrayForEach(path, paths) sound = sound && cJSON_IsString(path);
    if (!sound)
        return fields_refuse(&parsing->fields, LLAMACPP_KEPT_FIELDS,
                "\"response_fields\" must be an array of at most %d strings", RESPONSE_FIELDS_MAX);
    return keep(parsing, LLAMACPP_KEPT_FIELDS, cJSON_Duplicate(paths, true));
}

static int read_common(struct parsing *parsing)
{
    const struct fields *fields = &parsing->fields;
    double slot;
    bool given;
    int r = fields_model(fields, parsing->request);
    if (!r)
        r = fields_bool(fields, "stream", false, &parsing->request->stream);
    if (!r)
        r = read_choices(parsing);
    if (!r)
        r = read_response_fields(parsing);
    if (!r)
        r = samplers_check(fields);
    if (!r)
        r = fields_check_number(fields, "seed", -(double)JSON_WHOLE_MAX, (double)JSON_WHOLE_MAX);
    if (!r)
        r = fields_number(fields, "id_slot", -1, INT32_MAX, &slot, &given);
    if (!r && given && slot >= 0)
        request_skip(parsing->request, "id_slot");
    session_id_read(parsing->input, fields->object, parsing->request);
    return r;
}

static int write_body(struct parsing *parsing, const struct json_member *set, size_t count)
{
    return fields_written(&parsing->fields, json_edit(&parsing->request->body, parsing->input->body,
                                                    parsing->input->len, set, count));
}

static int parse_with(int (*read)(struct parsing *parsing), const struct dialect_input *input,
        struct request *request, const char **ret_param, struct err *err)
{
    cJSON *body;
    *ret_param = NULL;
    int r = fields_parse_body(input, &body, err);
    if (r)
        return r;
    struct parsing parsing = {.input = input,
            .fields = {.object = body, .ret_param = ret_param, .err = err},
            .request = request};
    r = read_common(&parsing);
    if (!r)
        r = read(&parsing);
    cJSON_Delete(body);
    return r;
}

/* --- completion --- */

/* One prompt: a text, or token ids with texts between them. */
static bool is_mixed_prompt(const cJSON *prompt)
{
    const cJSON *item;
    bool has_number = false;
    cJSON_ArrayForEach(item, prompt)
    {
        if (!cJSON_IsNumber(item) && !cJSON_IsString(item))
            return false;
        has_number = has_number || cJSON_IsNumber(item);
    }
    return has_number;
}

/* The prompt as it goes on: an array of one text is that text. NULL where it is no single prompt.
 */
static const cJSON *single_prompt(const cJSON *prompt)
{
    const cJSON *first = cJSON_IsArray(prompt) ? prompt->child : NULL;
    if (cJSON_IsString(prompt) || (first && is_mixed_prompt(prompt)))
        return prompt;
    return cJSON_IsString(first) && !first->next ? first : NULL;
}

static int read_prompt(struct parsing *parsing, const cJSON **ret_prompt)
{
    const cJSON *prompt = single_prompt(fields_given(&parsing->fields, "prompt"));
    if (!prompt)
        return fields_refuse(&parsing->fields, "prompt",
                "\"prompt\" must be one prompt: a string, or an array of token ids with strings "
                "between them; send several prompts in several requests, and pictures to "
                "/v1/chat/completions");
    *ret_prompt = prompt;
    return 0;
}

struct counts { /* as JSON; "" where the client said nothing */
    char max_tokens[NUMBER_MAX], logprobs[NUMBER_MAX], choices[NUMBER_MAX];
};

static void print_count(double count, char text[NUMBER_MAX])
{
    snprintf(text, NUMBER_MAX, "%d", (int)count);
}

/* Without limit is what a completion is by itself. */
static int read_limit(struct parsing *parsing, struct counts *counts)
{
    double limit;
    bool given;
    int r = fields_number(&parsing->fields, "n_predict", INT32_MIN, INT32_MAX, &limit, &given);
    if (!r && !given)
        r = fields_number(&parsing->fields, "max_tokens", INT32_MIN, INT32_MAX, &limit, &given);
    if (!r && given && limit >= 0)
        print_count(limit, counts->max_tokens);
    return r;
}

/* The ids of the tokens come with their probabilities only. */
static int read_probs(struct parsing *parsing, struct counts *counts)
{
    double probs = 0;
    bool given, tokens;
    int r = fields_number(&parsing->fields, LLAMACPP_KEPT_PROBS, 0, PROBS_MAX, &probs, &given);
    if (!r)
        r = fields_bool(&parsing->fields, LLAMACPP_KEPT_TOKENS, false, &tokens);
    if (r || (probs < 1 && !tokens))
        return r;
    print_count(probs < 1 ? 1 : probs, counts->logprobs);
    r = keep(parsing, LLAMACPP_KEPT_PROBS, cJSON_CreateNumber(trunc(probs)));
    return r ? r : keep(parsing, LLAMACPP_KEPT_TOKENS, cJSON_CreateBool(tokens));
}

static const char *or_none(const char *text)
{
    return *text ? text : NULL;
}

static int write_completion(
        struct parsing *parsing, const cJSON *prompt, const struct counts *counts)
{
    char *text = cJSON_PrintUnformatted(prompt);
    if (!text)
        return no_memory(parsing);
    const struct json_member set[] = {{"prompt", text}, {"max_tokens", or_none(counts->max_tokens)},
            {"logprobs", or_none(counts->logprobs)}, {"n", or_none(counts->choices)},
            {"n_predict", NULL}, {LLAMACPP_KEPT_PROBS, NULL}, {"n_cmpl", NULL}, {"model", NULL},
            {"stream", NULL}, {"stream_options", NULL}, {"id_slot", NULL},
            {LLAMACPP_KEPT_FIELDS, NULL}, {LLAMACPP_KEPT_TOKENS, NULL},
            /* OpenAI's completions know these, llama.cpp's own does not. */
            {"suffix", NULL}, {"echo", NULL}, {"best_of", NULL}};
    int r = write_body(parsing, set, sizeof(set) / sizeof(set[0]));
    cJSON_free(text);
    return r;
}

static int note_tokens(struct parsing *parsing, const cJSON *prompt, bool warms_up)
{
    if (cJSON_IsString(prompt) && request_note_fim(parsing->request, prompt->valuestring, warms_up))
        return no_memory(parsing);
    return 0;
}

static int read_completion(struct parsing *parsing)
{
    struct counts counts = {.max_tokens = ""};
    const cJSON *prompt = NULL;
    parsing->request->kind = REQUEST_COMPLETION;
    if (parsing->request->choices > 1)
        print_count(parsing->request->choices, counts.choices);
    int r = read_prompt(parsing, &prompt);
    if (!r)
        r = read_limit(parsing, &counts);
    if (!r)
        r = note_tokens(parsing, prompt, strcmp(counts.max_tokens, "0") == 0);
    if (!r)
        r = read_probs(parsing, &counts);
    return r ? r : write_completion(parsing, prompt, &counts);
}

static int parse_completion(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    return parse_with(read_completion, input, ret_request, ret_param, err);
}

/* --- infill --- */

static int check_extras(const struct parsing *parsing)
{
    const cJSON *extras, *extra;
    int r = fields_array(&parsing->fields, "input_extra", &extras);
    if (r)
        return r;
    if (cJSON_GetArraySize(extras) > EXTRAS_MAX)
        return fields_refuse(&parsing->fields, "input_extra",
                "\"input_extra\" must have at most %d chunks", EXTRAS_MAX);
    cJSON_ArrayForEach(extra, extras)
    {
        const cJSON *name = cJSON_GetObjectItemCaseSensitive(extra, "filename");
        if (!json_str(extra, "text", NULL) || (name && !cJSON_IsString(name)))
            return fields_refuse(&parsing->fields, "input_extra",
                    "each of \"input_extra\" must be like {\"text\":\"…\",\"filename\":\"…\"}");
    }
    return 0;
}

/* A request for no token only fills the cache: it is at no cursor. */
static int note_cursor(const struct parsing *parsing, const char *line)
{
    const cJSON *body = parsing->fields.object;
    if (json_num(body, "n_predict", -1) == 0)
        return 0;
    int r = request_set_cursor(parsing->request, json_str(body, "input_prefix", ""), line,
            json_str(body, "input_suffix", ""));
    return r ? no_memory(parsing) : 0;
}

static int check_infill(const struct parsing *parsing)
{
    static const char *const keys[] = {"input_prefix", "input_suffix"};
    const struct fields *fields = &parsing->fields;
    const char *line;
    double limit;
    bool given;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (!json_str(fields->object, keys[i], NULL))
            return fields_refuse(fields, keys[i],
                    "\"%s\" must be a string: the text before or behind the cursor", keys[i]);
    int r = fields_text(fields, "prompt", "", &line);
    if (!r)
        r = fields_number(fields, "n_predict", INT32_MIN, INT32_MAX, &limit, &given);
    if (!r)
        r = check_extras(parsing);
    return r ? r : note_cursor(parsing, line);
}

static int read_infill(struct parsing *parsing)
{
    static const struct json_member set[] = {
            {"model", NULL}, {"stream", NULL}, {"id_slot", NULL}, {LLAMACPP_KEPT_FIELDS, NULL}};
    struct request *request = parsing->request;
    request->kind = REQUEST_INFILL;
    request->lane = LANE_AUTOCOMPLETE;
    request->needs |= CAPABILITY_FIM;
    int r = check_infill(parsing);
    return r ? r : write_body(parsing, set, sizeof(set) / sizeof(set[0]));
}

static int parse_infill(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    return parse_with(read_infill, input, ret_request, ret_param, err);
}

/* --- the dialects --- */

const struct dialect dialect_llamacpp_completion = {
        .name = "llama.cpp completion",
        .family = &family_llamacpp,
        .stream_type = "text/event-stream",
        .whole_type = "application/json",
        .parse = parse_completion,
        .answer_create = llamacpp_answer_create,
        .answer_destroy = llamacpp_answer_destroy,
        .stream_begin = llamacpp_answer_begin,
        .stream_delta = llamacpp_answer_delta,
        .stream_idle = llamacpp_answer_idle,
        .stream_end = llamacpp_answer_end,
        .stream_error = llamacpp_answer_error,
        .gather = llamacpp_answer_gather,
        .whole = llamacpp_answer_whole,
};

const struct dialect dialect_llamacpp_infill = {
        .name = "llama.cpp infill",
        .family = &family_llamacpp,
        .stream_type = "text/event-stream",
        .whole_type = "application/json",
        .parse = parse_infill,
        .answer_create = llamacpp_answer_create,
        .answer_destroy = llamacpp_answer_destroy,
        .stream_begin = llamacpp_answer_begin,
        .stream_delta = llamacpp_answer_delta,
        .stream_idle = llamacpp_answer_idle,
        .stream_end = llamacpp_answer_end,
        .stream_error = llamacpp_answer_error,
        .gather = llamacpp_answer_gather,
        .whole = llamacpp_answer_whole,
};

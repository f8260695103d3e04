#include "node/backends/engine_post.h"

#include "common/json/json.h"
#include "node/backends/answers/chat_chunk.h"
#include "node/backends/answers/completion_chunk.h"
#include "node/backends/answers/native_chunk.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BODY_ROOM = 1024,      /* bytes that the edited members may add to a body */
    FORM_ROOM = 16 * 1024, /* … and that a form's fields and headers may */
    MEMBERS_MAX = 8,       /* that one kind edits */
};

#define MEMBERS(name) name, sizeof(name) / sizeof((name)[0])

/* Of llama-server's own last event only what native_chunk.c reads: it would hold the whole prompt.
 */
static const char native_fields[] =
        "[\"index\",\"content\",\"completion_probabilities\",\"stop\",\"stop_type\","
        "\"truncated\",\"tokens_evaluated\",\"timings\"]";

static const struct json_member streamed[] = {{"stream", "true"},
        {"stream_options", "{\"include_usage\":true}"}, {"model", NULL}, {"id_slot", NULL},
        {"num_ctx", NULL}, {"lora", NULL}, {"response_fields", NULL}};
static const struct json_member native[] = {{"stream", "true"}, {"response_fields", native_fields},
        {"model", NULL}, {"id_slot", NULL}, {"num_ctx", NULL}, {"lora", NULL}};
static const struct json_member whole[] = {{"stream", NULL}, {"stream_options", NULL},
        {"model", NULL}, {"id_slot", NULL}, {"num_ctx", NULL}, {"lora", NULL},
        {"response_fields", NULL}};

struct kind {
    const char *path;
    enum engine_form form;
    engine_chunk_fn read_chunk;
    const struct json_member *members; /* NULL: the body is no JSON */
    size_t member_count;
};

static const struct kind kinds[REQUEST_KIND_COUNT] = {
        [REQUEST_CHAT] = {"/v1/chat/completions", ENGINE_FORM_EVENTS, chat_chunk_read,
                MEMBERS(streamed)},
        [REQUEST_COMPLETION] = {"/v1/completions", ENGINE_FORM_EVENTS, completion_chunk_read,
                MEMBERS(streamed)},
        [REQUEST_INFILL] = {"/infill", ENGINE_FORM_EVENTS, native_chunk_read, MEMBERS(native)},
        [REQUEST_EMBEDDINGS] = {"/v1/embeddings", ENGINE_FORM_RESULT, NULL, MEMBERS(whole)},
        [REQUEST_RERANK] = {"/v1/rerank", ENGINE_FORM_RESULT, NULL, MEMBERS(whole)},
        [REQUEST_TOKENIZE] = {"/tokenize", ENGINE_FORM_RESULT, NULL, MEMBERS(whole)},
        [REQUEST_DETOKENIZE] = {"/detokenize", ENGINE_FORM_RESULT, NULL, MEMBERS(whole)},
        [REQUEST_TEMPLATE] = {"/apply-template", ENGINE_FORM_RESULT, NULL, MEMBERS(whole)},
        [REQUEST_COUNT] = {"/apply-template", ENGINE_FORM_PROMPT, NULL, MEMBERS(whole)},
        [REQUEST_TRANSCRIPTION] = {"/v1/audio/transcriptions", ENGINE_FORM_RESULT, NULL, NULL, 0},
};

static void set_member(struct json_member *members, size_t n, const char *key, const char *value)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(members[i].key, key) == 0)
            members[i].value = value;
}

/* `model`: a JSON string, or NULL. */
static int edit_members(struct engine_post *post, const struct run_spec *spec,
        const struct kind *kind, const char *model)
{
    struct json_member members[MEMBERS_MAX];

    memcpy(members, kind->members, kind->member_count * sizeof(members[0]));
    set_member(members, kind->member_count, "model", model);
    return json_edit(&post->body, spec->body, spec->body_len, members, kind->member_count);
}

static int edit_body(struct engine_post *post, const struct run_spec *spec, const struct kind *kind,
        const char *model, struct err *err)
{
    struct buf name;
    int r = 0;

    buf_init(&name, BODY_ROOM);
    if (model) {
        r = json_append_str(&name, model, strlen(model));
        if (r == 0)
            r = buf_terminate(&name);
    }
    if (r == 0)
        r = edit_members(post, spec, kind, model ? buf_at(&name) : NULL);
    buf_fini(&name);
    if (r < 0)
        return err_set(err, r, "the request's body cannot be used as a JSON object");
    (void)snprintf(post->content_type, sizeof(post->content_type), "application/json");
    return 0;
}

struct sound { /* the file to write down */
    uint8_t *data;
    size_t len;
};

static int decode_file(const cJSON *file, struct sound *ret_sound, struct err *err)
{
    const char *text = json_str(file, "data", NULL);
    size_t room = text ? strlen(text) / 4 * 3 + 3 : 0;
    struct sound sound = {.data = room ? malloc(room) : NULL};

    if (!text)
        return err_set(err, -EINVAL, "file: there is no sound in the request");
    if (!sound.data)
        return err_set(err, -ENOMEM, "no memory for the sound");
    if (sodium_base642bin(sound.data, room, text, strlen(text), "\r\n", &sound.len, NULL,
                sodium_base64_VARIANT_ORIGINAL) < 0) {
        free(sound.data);
        return err_set(err, -EINVAL, "file: its data is not base64");
    }
    *ret_sound = sound;
    return 0;
}

/* Texts as they are, numbers as JSON writes them; what else a client says is of no use to an
 * engine, and the answer is always JSON. */
static int append_fields(struct multipart *form, const cJSON *json)
{
    static const char *const names[] = {"language", "prompt", "temperature"};
    int r = multipart_field(form, "response_format", "json");

    for (size_t i = 0; r == 0 && i < sizeof(names) / sizeof(names[0]); i++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(json, names[i]);
        char number[32];

        if (cJSON_IsString(value)) {
            r = multipart_field(form, names[i], value->valuestring);
        } else if (cJSON_IsNumber(value)) {
            (void)snprintf(number, sizeof(number), "%.17g", value->valuedouble);
            r = multipart_field(form, names[i], number);
        }
    }
    return r;
}

static int write_form(
        struct multipart *form, const cJSON *json, const struct sound *sound, const char *model)
{
    int r = append_fields(form, json);

    if (r == 0 && model)
        r = multipart_field(form, "model", model);
    if (r == 0)
        r = multipart_file(form, "file", json_str(json_obj(json, "file"), "name", "sound"),
                sound->data, sound->len);
    return r < 0 ? r : multipart_end(form);
}

static int make_form(struct engine_post *post, const struct run_spec *spec, const char *model,
        const struct env *env, struct err *err)
{
    struct multipart form;
    struct sound sound = {0};
    cJSON *json = NULL;
    int r = json_parse(spec->body, spec->body_len, &json_limits_request, &json, err);

    if (r < 0)
        return err_prefix(err, r == -ENOMEM ? r : -EINVAL, "the request's body cannot be used");
    r = decode_file(json_obj(json, "file"), &sound, err);
    if (r == 0) {
        multipart_init(&form, env, &post->body);
        multipart_type(&form, post->content_type);
        r = write_form(&form, json, &sound, model);
        if (r < 0)
            err_set(err, -ENOMEM, "no memory for the form with the sound");
    }
    free(sound.data);
    cJSON_Delete(json);
    return r;
}

int engine_post_init(struct engine_post *post, const struct run_spec *spec, const char *model,
        const struct env *env, struct err *err)
{
    const struct kind *kind = spec->kind < REQUEST_KIND_COUNT ? &kinds[spec->kind] : NULL;
    int r;

    if (!kind)
        return err_set(err, -ENOTSUP, "this engine does not know that kind of request");
    *post = (struct engine_post){
            .path = kind->path, .form = kind->form, .read_chunk = kind->read_chunk};
    buf_init(&post->body, json_limits_request.max_bytes + FORM_ROOM);
    r = kind->members ? edit_body(post, spec, kind, model, err)
                      : make_form(post, spec, model, env, err);
    if (r < 0)
        engine_post_fini(post);
    return r;
}

/* As the engine itself reads what its template made of a chat. */
int engine_post_init_tokenize(
        struct engine_post *post, const char *prompt, size_t prompt_len, struct err *err)
{
    int r;

    *post = (struct engine_post){
            .path = "/tokenize", .form = ENGINE_FORM_TOKENS, .content_type = "application/json"};
    buf_init(&post->body, prompt_len + BODY_ROOM);
    r = buf_append_str(&post->body, "{\"add_special\":true,\"parse_special\":true,\"content\":");
    if (r == 0)
        r = buf_append(&post->body, prompt, prompt_len);
    if (r == 0)
        r = buf_append_str(&post->body, "}");
    if (r == 0)
        return 0;
    engine_post_fini(post);
    return err_set(err, r, "no memory for the prompt whose tokens are counted");
}

int engine_post_pin(struct engine_post *post, unsigned slot)
{
    char number[16];
    const struct json_member member = {"id_slot", number};
    struct buf body;
    int r;

    (void)snprintf(number, sizeof(number), "%u", slot);
    buf_init(&body, json_limits_request.max_bytes + FORM_ROOM);
    r = json_edit(&body, buf_at(&post->body), post->body.len, &member, 1);
    if (r < 0) {
        buf_fini(&body);
        return r;
    }
    buf_fini(&post->body);
    post->body = body;
    return 0;
}

void engine_post_fini(struct engine_post *post)
{
    buf_fini(&post->body);
}

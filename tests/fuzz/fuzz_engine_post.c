/* The body of a run, any bytes, as a post to the engine; the first byte is its kind, and its
 * highest bit whether the engine wants a model's name. What a client has no say in is not in it,
 * what must be set is, and a form holds the file as it came. */
#include "common/json/json.h"
#include "coordinator/dialects/form_data.h"
#include "node/backends/engine_post.h"
#include "tests/lib/virtual_env.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *model; /* what the engine calls it */

static bool is_streamed(enum request_kind kind)
{
    return kind == REQUEST_CHAT || kind == REQUEST_COMPLETION || kind == REQUEST_INFILL;
}

static void check_members(const struct run_spec *spec, const cJSON *body)
{
    static const char *const never[] = {"id_slot", "num_ctx", "lora"};
    assert(strcmp(json_str(body, "model", ""), model ? model : "") == 0);
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        assert(!cJSON_GetObjectItemCaseSensitive(body, never[i]));
    assert(json_bool(body, "stream", false) == is_streamed(spec->kind));
    assert(spec->kind == REQUEST_INFILL ||
            !cJSON_GetObjectItemCaseSensitive(body, "response_fields"));
}

/* What came as JSON goes out as JSON. */
static void check_json(const struct run_spec *spec, const struct engine_post *post)
{
    cJSON *came, *body;
    if (json_parse(spec->body, spec->body_len, &json_limits_event, &came, NULL))
        return;
    assert(cJSON_IsObject(came));
    cJSON_Delete(came);
    struct json_limits limits = json_limits_event;
    limits.max_bytes *= 2;
    limits.max_values *= 2;
    int r = json_parse(buf_at(&post->body), post->body.len, &limits, &body, NULL);
    assert(r == 0);
    check_members(spec, body);
    cJSON_Delete(body);
}

struct form {
    const cJSON *json; /* what came */
    unsigned files;
};

static int check_file(const cJSON *file, const struct form_part *part)
{
    const char *text = json_str(file, "data", "");
    size_t room = strlen(text) + 4, len;
    uint8_t *data = malloc(room);
    assert(data);
    int r = sodium_base642bin(
            data, room, text, strlen(text), "\r\n", &len, NULL, sodium_base64_VARIANT_ORIGINAL);
    assert(r == 0 && part->len == len && memcmp(part->data, data, len) == 0);
    free(data);
    return 0;
}

static int check_part(void *ctx, const struct form_part *part)
{
    struct form *form = ctx;
    if (strcmp(part->name, "file") == 0) {
        form->files++;
        return check_file(json_obj(form->json, "file"), part);
    }
    const char *text = json_str(form->json, part->name, NULL);
    if (strcmp(part->name, "response_format") == 0)
        text = "json";
    if (strcmp(part->name, "model") == 0)
        text = model;
    assert(!text || (strlen(text) == part->len && memcmp(text, part->data, part->len) == 0));
    return 0;
}

static void check_form(const struct run_spec *spec, const struct engine_post *post)
{
    cJSON *json;
    struct err err;
    int r = json_parse(spec->body, spec->body_len, &json_limits_request, &json, NULL);
    assert(r == 0);
    struct form form = {.json = json};
    r = form_data_each(
            post->content_type, buf_at(&post->body), post->body.len, check_part, &form, &err);
    assert(r == 0 && form.files == 1);
    cJSON_Delete(json);
}

static void check_tokenize(const char *text, size_t len)
{
    struct engine_post post;
    struct buf prompt;
    cJSON *body;
    buf_init(&prompt, 6 * len + 16);
    int r = json_append_str(&prompt, text, len);
    assert(r == 0);
    r = engine_post_init_tokenize(&post, buf_at(&prompt), prompt.len, NULL);
    assert(r == 0);
    r = json_parse(buf_at(&post.body), post.body.len, &json_limits_request, &body, NULL);
    assert(r == 0 || memchr(text, '\0', len));
    assert(r || json_str(body, "content", NULL));
    if (r == 0)
        cJSON_Delete(body);
    engine_post_fini(&post);
    buf_fini(&prompt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct virtual_env world;
    struct engine_post post;
    struct err err = {.text = ""};
    if (size == 0)
        return 0;
    struct run_spec spec = {.request_id = "req_1",
            .kind = (enum request_kind)(data[0] % (REQUEST_KIND_COUNT + 1)),
            .body = (const char *)data + 1,
            .body_len = size - 1};
    model = data[0] & 0x80 ? "a \"model\"" : NULL;
    virtual_env_init(&world);
    int r = engine_post_init(&post, &spec, model, &world.env, &err);
    assert(r == 0 || (r == -EINVAL || r == -ENOTSUP || r == -ENOBUFS));
    assert((r == 0) == (err.text[0] == '\0'));
    if (r == 0) {
        assert(post.content_type[0] && post.path[0] == '/' && post.form < ENGINE_FORM_COUNT);
        if (spec.kind == REQUEST_TRANSCRIPTION)
            check_form(&spec, &post);
        else
            check_json(&spec, &post);
        engine_post_fini(&post);
    }
    check_tokenize(spec.body, spec.body_len);
    return 0;
}

#include "coordinator/api/list_ollama.h"

#include "common/json/json.h"
#include "common/json/json_writer.h"
#include "coordinator/api/offer_words.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Clients refuse a server that is older than the features they use (0.13.4 is the highest bar known
 * so far), and none minds one that is newer. */
static const char version[] = "0.30.0";

/* What Ollama says of a model that is to stay in memory. */
static const char never[] = "2318-01-01T00:00:00Z";

static const struct json_limits show_limits = {
        .max_bytes = 64 * 1024, .max_depth = 16, .max_values = 1024, .unambiguous = true};

const struct api_error list_ollama_read_only = {.status = 501,
        .code = "not_supported",
        .message = "models cannot be pulled, created, copied or deleted here: a mesh offers the "
                   "files that lie in its nodes' model directories"};

/* --- what several say --- */

static void write_details(struct json_writer *out, const struct offer *offer)
{
    char parameters[OFFER_PARAMETERS_MAX];
    const struct instance *instance = offer->instance;
    json_writer_object(out, "details");
    json_writer_str(
            out, "parent_model", offer->kind != OFFER_MODEL && instance ? instance->model : "");
    json_writer_str(out, "format", "gguf");
    json_writer_str(out, "family", offer_architecture(offer));
    json_writer_array(out, "families");
    json_writer_str(out, NULL, offer_architecture(offer));
    json_writer_array_end(out);
    json_writer_str(out, "parameter_size", offer_parameters(offer, parameters));
    json_writer_str(out, "quantization_level", offer_quantisation(offer));
    json_writer_object_end(out);
}

static void write_names(struct json_writer *out, const struct offer *offer, uint64_t size)
{
    char digest[OFFER_DIGEST_MAX];
    json_writer_str(out, "name", offer->id);
    json_writer_str(out, "model", offer->id);
    json_writer_u64(out, "size", size);
    json_writer_str(out, "digest", offer_digest(offer, digest));
    write_details(out, offer);
}

static void write_modified(struct json_writer *out, const struct offer *offer)
{
    char time[OFFER_TIME_MAX];
    json_writer_str(out, "modified_at", offer_time(offer_modified_s(offer), time));
}

static int list(const struct offers *offers, int (*fn)(void *ctx, const struct offer *offer),
        struct buf *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_writer_object(&writer, NULL);
    json_writer_array(&writer, "models");
    int r = offers_each(offers, fn, &writer);
    if (r)
        return r;
    json_writer_array_end(&writer);
    json_writer_object_end(&writer);
    return json_writer_result(&writer);
}

/* --- the lists --- */

static int write_tag(void *ctx, const struct offer *offer)
{
    struct json_writer *out = ctx;
    json_writer_object(out, NULL);
    write_names(out, offer, offer->instance ? offer->instance->file_bytes : 0);
    write_modified(out, offer);
    json_writer_object_end(out);
    return json_writer_result(out);
}

int list_ollama_tags(const struct offers *offers, struct buf *out)
{
    return list(offers, write_tag, out);
}

static int write_resident(void *ctx, const struct offer *offer)
{
    struct json_writer *out = ctx;
    const struct instance *instance = offer->instance;
    if (offer->kind != OFFER_MODEL || !instance || instance->state != INSTANCE_RESIDENT)
        return 0;
    json_writer_object(out, NULL);
    write_names(out, offer, instance->memory_bytes);
    json_writer_str(out, "expires_at", never);
    json_writer_u64(out, "size_vram", instance->memory_bytes);
    json_writer_u64(out, "context_length", offer->context);
    json_writer_object_end(out);
    return json_writer_result(out);
}

int list_ollama_ps(const struct offers *offers, struct buf *out)
{
    return list(offers, write_resident, out);
}

int list_ollama_version(struct buf *out)
{
    return buf_appendf(out, "{\"version\":\"%s\"}", version);
}

/* --- one model --- */

/* Keys of a model's file, of which the length of its context has its architecture in its name. A
 * name that would need escaping is none. */
static void write_info(struct json_writer *out, const struct offer *offer)
{
    char key[OFFER_ARCHITECTURE_MAX + sizeof(".context_length")];
    const char *architecture = offer_architecture(offer);
    if (architecture[strspn(architecture, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789_-.")])
        architecture = "unknown";
    snprintf(key, sizeof(key), "%s.context_length", architecture);
    json_writer_object(out, "model_info");
    json_writer_str(out, "general.architecture", architecture);
    if (offer->instance && offer->instance->parameters)
        json_writer_u64(out, "general.parameter_count", offer->instance->parameters);
    if (offer->context)
        json_writer_u64(out, key, offer->context);
    json_writer_object_end(out);
}

/* Some clients read the context's length here, each line a name and a value. */
static void write_parameters(struct json_writer *out, const struct offer *offer)
{
    char text[64] = "";
    if (offer->context)
        snprintf(text, sizeof(text), "num_ctx %" PRIu32, offer->context);
    json_writer_str(out, "parameters", text);
}

/* Some clients look here for whether the model fills in the middle. The real template is the
 * engine's own. */
static void write_template(struct json_writer *out, const struct offer *offer)
{
    json_writer_str(out, "template",
            offer_can(offer, CAPABILITY_FIM)
                    ? "{{ if .Suffix }}{{ .Prompt }}{{ .Suffix }}{{ else }}{{ .Prompt }}{{ end }}"
                    : "{{ .Prompt }}");
}

static int write_show(const struct offer *offer, struct buf *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_writer_object(&writer, NULL);
    json_writer_str(&writer, "license", "");
    json_writer_str(&writer, "modelfile", "");
    write_parameters(&writer, offer);
    write_template(&writer, offer);
    write_details(&writer, offer);
    write_info(&writer, offer);
    offer_write_capabilities(&writer, offer);
    write_modified(&writer, offer);
    json_writer_object_end(&writer);
    return json_writer_result(&writer);
}

static int show(const struct offers *offers, const cJSON *body, struct buf *out, struct err *err)
{
    struct offer offer;
    const char *name = json_str(body, "model", "");
    if (!*name)
        name = json_str(body, "name", "");
    if (!*name)
        return err_set(err, -EINVAL, "\"model\" must be the name of a model");
    if (strlen(name) > MSG_NAME_MAX || !offers_find(offers, name, &offer))
        return err_set(err, -ENOENT, "there is no model \"%.128s\" that you may use", name);
    return write_show(&offer, out);
}

int list_ollama_show(
        const struct offers *offers, const char *body, size_t len, struct buf *out, struct err *err)
{
    cJSON *json;
    int r = json_parse(body, len, &show_limits, &json, err);
    if (r)
        return r == -ENOMEM ? r : err_prefix(err, -EINVAL, "the body is no usable JSON");
    r = show(offers, json, out, err);
    cJSON_Delete(json);
    return r;
}

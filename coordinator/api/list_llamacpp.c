#include "coordinator/api/list_llamacpp.h"

#include "common/json/json_writer.h"
#include "coordinator/api/offer_words.h"

#include <errno.h>

static int take_first(void *ctx, const struct offer *offer)
{
    *(struct offer *)ctx = *offer;
    return 1;
}

static bool find(const struct offers *offers, const char *name, struct offer *ret_offer)
{
    if (name && *name)
        return offers_find(offers, name, ret_offer);
    return offers_find(offers, MODE_AUTO, ret_offer) ||
           offers_each(offers, take_first, ret_offer) == 1;
}

static uint32_t slots_of(const struct offer *offer)
{
    uint32_t slots = offer->instance ? offer->instance->slots : 0;
    return slots < LIST_SLOTS_MAX ? slots : LIST_SLOTS_MAX;
}

static void write_settings(struct json_writer *out, const struct offer *offer)
{
    json_writer_object(out, "default_generation_settings");
    json_writer_object(out, "params");
    json_writer_object_end(out);
    json_writer_u64(out, "n_ctx", offer->context);
    json_writer_object_end(out);
}

static void write_abilities(struct json_writer *out, const struct offer *offer)
{
    bool tools = offer_can(offer, CAPABILITY_TOOLS);
    json_writer_object(out, "modalities");
    json_writer_bool(out, "vision", offer_can(offer, CAPABILITY_VISION));
    json_writer_bool(out, "audio", offer_can(offer, CAPABILITY_AUDIO));
    json_writer_object_end(out);
    json_writer_str(out, "chat_template", "");
    json_writer_object(out, "chat_template_caps");
    json_writer_bool(out, "supports_tools", tools);
    json_writer_bool(out, "supports_tool_calls", tools);
    json_writer_bool(out, "supports_parallel_tool_calls", tools);
    json_writer_bool(out, "supports_system_role", true);
    json_writer_bool(out, "supports_string_content", true);
    json_writer_object_end(out);
}

/* The path of a model's file is a node's own business: its name stands there. */
int list_llamacpp_props(
        const struct offers *offers, const char *name, const char *build, struct buf *out)
{
    struct json_writer writer;
    struct offer offer;
    if (!find(offers, name, &offer))
        return -ENOENT;
    json_writer_init(&writer, out);
    json_writer_object(&writer, NULL);
    write_settings(&writer, &offer);
    json_writer_u64(&writer, "total_slots", slots_of(&offer));
    json_writer_str(&writer, "model_alias", offer.id);
    json_writer_str(&writer, "model_path", offer.instance ? offer.instance->model : offer.id);
    json_writer_str(&writer, "model_ftype", offer_quantisation(&offer));
    write_abilities(&writer, &offer);
    json_writer_str(&writer, "build_info", build);
    json_writer_bool(&writer, "endpoint_slots", true);
    json_writer_bool(&writer, "endpoint_props", false);
    json_writer_bool(&writer, "endpoint_metrics", false);
    json_writer_object_end(&writer);
    return json_writer_result(&writer);
}

int list_llamacpp_slots(const struct offers *offers, const char *name, struct buf *out)
{
    struct json_writer writer;
    struct offer offer;
    if (!find(offers, name, &offer))
        return -ENOENT;
    json_writer_init(&writer, out);
    json_writer_array(&writer, NULL);
    for (uint32_t i = 0; i < slots_of(&offer); i++) {
        json_writer_object(&writer, NULL);
        json_writer_u64(&writer, "id", i);
        json_writer_u64(&writer, "n_ctx", offer.context);
        json_writer_bool(&writer, "is_processing", i < offer.instance->busy);
        json_writer_object_end(&writer);
    }
    json_writer_array_end(&writer);
    return json_writer_result(&writer);
}

#include "coordinator/api/list_models.h"

#include "common/json/json_writer.h"
#include "coordinator/api/offer_words.h"

#include <errno.h>
#include <string.h>

/* --- one model --- */

static void write_meta(struct json_writer *out, const struct offer *offer)
{
    const struct instance *instance = offer->instance;
    json_writer_object(out, "meta");
    json_writer_u64(out, "n_ctx", offer->context);
    json_writer_u64(out, "n_ctx_train", instance->context_trained);
    json_writer_u64(out, "n_params", instance->parameters);
    json_writer_u64(out, "size", instance->file_bytes);
    json_writer_object_end(out);
}

/* Each server has its own name for the length of a context. */
static void write_lengths(struct json_writer *out, const struct offer *offer)
{
    if (offer->context == 0)
        return;
    json_writer_u64(out, "context_length", offer->context);
    json_writer_u64(out, "max_model_len", offer->context);
    json_writer_u64(out, "max_input_tokens", offer->context);
    json_writer_u64(out, "max_tokens", offer_answer_tokens(offer));
}

static void write_model(struct json_writer *out, const struct offer *offer)
{
    char time[OFFER_TIME_MAX];
    json_writer_object(out, NULL);
    json_writer_str(out, "id", offer->id);
    json_writer_str(out, "object", "model");
    json_writer_str(out, "type", "model");
    json_writer_str(out, "display_name", offer->id);
    json_writer_u64(out, "created", (uint64_t)offer_modified_s(offer));
    json_writer_str(out, "created_at", offer_time(offer_modified_s(offer), time));
    json_writer_str(out, "owned_by", "modemesh");
    write_lengths(out, offer);
    if (offer->instance)
        write_meta(out, offer);
    offer_write_capabilities(out, offer);
    json_writer_object(out, "modemesh");
    json_writer_str(out, "kind", offer_kind_name(offer->kind));
    json_writer_object_end(out);
    json_writer_object_end(out);
}

int list_models_one(const struct offers *offers, const char *id, struct buf *out)
{
    struct json_writer writer;
    struct offer offer;
    if (!offers_find(offers, id, &offer))
        return -ENOENT;
    json_writer_init(&writer, out);
    write_model(&writer, &offer);
    return json_writer_result(&writer);
}

/* --- lists --- */

typedef void (*write_fn)(struct json_writer *out, const struct offer *offer);

struct listing {
    struct json_writer writer;
    write_fn write;
};

static int list_offer(void *ctx, const struct offer *offer)
{
    struct listing *listing = ctx;
    listing->write(&listing->writer, offer);
    return json_writer_result(&listing->writer);
}

/* {"object":"list","data":[…]}; readers of the other shapes do not mind the first. */
static int list_all(const struct offers *offers, write_fn write, struct buf *out)
{
    struct listing listing = {.write = write};
    json_writer_init(&listing.writer, out);
    json_writer_object(&listing.writer, NULL);
    json_writer_str(&listing.writer, "object", "list");
    json_writer_array(&listing.writer, "data");
    int r = offers_each(offers, list_offer, &listing);
    if (r)
        return r;
    json_writer_array_end(&listing.writer);
    json_writer_object_end(&listing.writer);
    return json_writer_result(&listing.writer);
}

int list_models_openai(const struct offers *offers, struct buf *out)
{
    return list_all(offers, write_model, out);
}

/* --- Anthropic's pages --- */

struct page {
    const struct list_page *asked;
    size_t at;         /* of the offer that comes next */
    size_t begin, end; /* of the page */
    bool ended;        /* `before_id` was found */
    struct json_writer writer;
    char first[OFFER_ID_MAX + 1], last[OFFER_ID_MAX + 1];
};

static bool is_id(const char *id, const struct offer *offer)
{
    return id && strcmp(id, offer->id) == 0;
}

static int find_anchors(void *ctx, const struct offer *offer)
{
    struct page *page = ctx;
    if (is_id(page->asked->before_id, offer) && !page->ended) {
        page->end = page->at;
        page->ended = true;
    }
    page->at++;
    if (is_id(page->asked->after_id, offer))
        page->begin = page->at;
    return 0;
}

/* Counted from the end where that was named, else from the beginning. `*ret_more` tells whether
 * there is more in that direction. */
static void cut(struct page *page, bool *ret_more)
{
    size_t limit = page->asked->limit;
    size_t total = page->ended ? page->end : page->at;
    if (limit == 0 || limit > LIST_PAGE_MAX)
        limit = LIST_PAGE_MAX;
    if (page->begin > total)
        page->begin = total;
    *ret_more = total - page->begin > limit;
    page->end = total;
    if (*ret_more && page->ended)
        page->begin = total - limit;
    else if (*ret_more)
        page->end = page->begin + limit;
}

static int write_paged(void *ctx, const struct offer *offer)
{
    struct page *page = ctx;
    size_t at = page->at++;
    if (at < page->begin || at >= page->end)
        return 0;
    if (at == page->begin)
        strcpy(page->first, offer->id);
    strcpy(page->last, offer->id);
    write_model(&page->writer, offer);
    return json_writer_result(&page->writer);
}

static void write_id(struct json_writer *out, const char *key, const char *id)
{
    if (*id)
        json_writer_str(out, key, id);
    else
        json_writer_null(out, key);
}

int list_models_anthropic(
        const struct offers *offers, const struct list_page *asked, struct buf *out)
{
    struct page page = {.asked = asked};
    bool more;
    int r = offers_each(offers, find_anchors, &page);
    if (r)
        return r;
    cut(&page, &more);
    page.at = 0;
    json_writer_init(&page.writer, out);
    json_writer_object(&page.writer, NULL);
    json_writer_array(&page.writer, "data");
    r = offers_each(offers, write_paged, &page);
    if (r)
        return r;
    json_writer_array_end(&page.writer);
    json_writer_bool(&page.writer, "has_more", more);
    write_id(&page.writer, "first_id", page.first);
    write_id(&page.writer, "last_id", page.last);
    json_writer_object_end(&page.writer);
    return json_writer_result(&page.writer);
}

/* --- LiteLLM --- */

static const char *litellm_mode(const struct offer *offer)
{
    if (offer_can(offer, CAPABILITY_CHAT))
        return "chat";
    if (offer_can(offer, CAPABILITY_RERANK))
        return "rerank";
    return offer_can(offer, CAPABILITY_EMBEDDINGS) ? "embedding" : "completion";
}

static void write_litellm_info(struct json_writer *out, const struct offer *offer)
{
    json_writer_object(out, "model_info");
    json_writer_str(out, "id", offer->id);
    json_writer_str(out, "key", offer->id);
    json_writer_str(out, "mode", litellm_mode(offer));
    json_writer_str(out, "litellm_provider", "modemesh");
    if (offer->context) {
        json_writer_u64(out, "max_tokens", offer_answer_tokens(offer));
        json_writer_u64(out, "max_output_tokens", offer_answer_tokens(offer));
        json_writer_u64(out, "max_input_tokens", offer->context);
    }
    json_writer_u64(out, "input_cost_per_token", 0);
    json_writer_u64(out, "output_cost_per_token", 0);
    json_writer_bool(out, "supports_function_calling", offer_can(offer, CAPABILITY_TOOLS));
    json_writer_bool(out, "supports_vision", offer_can(offer, CAPABILITY_VISION));
    json_writer_bool(out, "supports_audio_input", offer_can(offer, CAPABILITY_AUDIO));
    json_writer_bool(out, "supports_reasoning", offer_can(offer, CAPABILITY_REASONING));
    json_writer_bool(out, "supports_prompt_caching", true);
    json_writer_bool(out, "supports_response_schema", true);
    json_writer_object_end(out);
}

static void write_litellm(struct json_writer *out, const struct offer *offer)
{
    json_writer_object(out, NULL);
    json_writer_str(out, "model_name", offer->id);
    json_writer_object(out, "litellm_params");
    json_writer_str(out, "model", offer->id);
    json_writer_object_end(out);
    write_litellm_info(out, offer);
    json_writer_object_end(out);
}

int list_models_litellm(const struct offers *offers, struct buf *out)
{
    return list_all(offers, write_litellm, out);
}

/* --- LM Studio --- */

static const char *lmstudio_type(const struct offer *offer)
{
    if (!offer_can(offer, CAPABILITY_CHAT) && offer_can(offer, CAPABILITY_EMBEDDINGS))
        return "embeddings";
    return offer_can(offer, CAPABILITY_VISION) ? "vlm" : "llm";
}

static void write_lmstudio(struct json_writer *out, const struct offer *offer)
{
    bool loaded = offer->instance && offer->instance->state == INSTANCE_RESIDENT;
    json_writer_object(out, NULL);
    json_writer_str(out, "id", offer->id);
    json_writer_str(out, "object", "model");
    json_writer_str(out, "type", lmstudio_type(offer));
    json_writer_str(out, "publisher", "modemesh");
    json_writer_str(out, "arch", offer_architecture(offer));
    json_writer_str(out, "compatibility_type", "gguf");
    json_writer_str(out, "quantization", offer_quantisation(offer));
    json_writer_str(out, "state", loaded ? "loaded" : "not-loaded");
    json_writer_u64(out, "max_context_length", offer->context);
    if (loaded)
        json_writer_u64(out, "loaded_context_length", offer->context);
    json_writer_array(out, "capabilities");
    if (offer_can(offer, CAPABILITY_TOOLS))
        json_writer_str(out, NULL, "tool_use");
    json_writer_array_end(out);
    json_writer_object_end(out);
}

int list_models_lmstudio(const struct offers *offers, struct buf *out)
{
    return list_all(offers, write_lmstudio, out);
}

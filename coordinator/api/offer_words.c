#include "coordinator/api/offer_words.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DIGEST_BYTES = 32, ANSWER_SHARE = 4 };

static_assert(OFFER_DIGEST_MAX == 2 * DIGEST_BYTES + 1, "two digits a byte, and the end");

static const int64_t latest_s = INT64_C(253402300799); /* the end of the year 9999 */
static const uint32_t assumed = CAPABILITY_CHAT | CAPABILITY_TOOLS;

const char *offer_kind_name(enum offer_kind kind)
{
    static const char *const names[] = {
            [OFFER_MODE] = "mode", [OFFER_MODEL] = "model", [OFFER_ALIAS] = "alias"};
    return names[kind];
}

const char *offer_digest(const struct offer *offer, char ret_digest[OFFER_DIGEST_MAX])
{
    unsigned char hash[DIGEST_BYTES];
    char text[OFFER_ID_MAX + 32];
    int len = snprintf(text, sizeof(text), "%s %" PRIu64, offer->id,
            offer->instance ? offer->instance->file_bytes : 0);
    crypto_generichash(
            hash, sizeof(hash), (const unsigned char *)text, (unsigned long long)len, NULL, 0);
    return sodium_bin2hex(ret_digest, OFFER_DIGEST_MAX, hash, sizeof(hash));
}

int64_t offer_modified_s(const struct offer *offer)
{
    int64_t modified_s = offer->instance ? offer->instance->modified_s : 0;
    return modified_s > 0 && modified_s <= latest_s ? modified_s : 0;
}

const char *offer_time(int64_t unix_s, char ret_time[OFFER_TIME_MAX])
{
    struct tm tm;
    time_t time = unix_s > 0 && unix_s <= latest_s ? (time_t)unix_s : 0;
    if (!gmtime_r(&time, &tm) || !strftime(ret_time, OFFER_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm))
        strcpy(ret_time, "1970-01-01T00:00:00Z");
    return ret_time;
}

const char *offer_parameters(const struct offer *offer, char ret_text[OFFER_PARAMETERS_MAX])
{
    static const struct {
        double unit;
        const char *name;
    } units[] = {{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "K"}, {1, ""}};
    double count = offer->instance ? (double)offer->instance->parameters : 0;
    ret_text[0] = '\0';
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (count < units[i].unit)
            continue;
        double amount = count / units[i].unit;
        snprintf(ret_text, OFFER_PARAMETERS_MAX, "%.*f%s", amount < 100 && units[i].unit > 1,
                amount, units[i].name);
        break;
    }
    return ret_text;
}

const char *offer_architecture(const struct offer *offer)
{
    return offer->instance && offer->instance->architecture[0] ? offer->instance->architecture
                                                               : "unknown";
}

const char *offer_quantisation(const struct offer *offer)
{
    return offer->instance ? offer->instance->quantisation : "";
}

uint32_t offer_answer_tokens(const struct offer *offer)
{
    return offer->context / ANSWER_SHARE;
}

bool offer_can(const struct offer *offer, enum capability capability)
{
    uint32_t known = offer->capabilities ? offer->capabilities : assumed;
    return known & capability;
}

void offer_write_capabilities(struct json_writer *writer, const struct offer *offer)
{
    static const struct {
        enum capability capability;
        const char *name;
    } words[] = {{CAPABILITY_CHAT, "completion"}, {CAPABILITY_TOOLS, "tools"},
            {CAPABILITY_FIM, "insert"}, {CAPABILITY_VISION, "vision"}, {CAPABILITY_AUDIO, "audio"},
            {CAPABILITY_EMBEDDINGS, "embedding"}, {CAPABILITY_RERANK, "rerank"},
            {CAPABILITY_REASONING, "thinking"}};
    json_writer_array(writer, "capabilities");
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (offer_can(offer, words[i].capability))
            json_writer_str(writer, NULL, words[i].name);
    json_writer_array_end(writer);
}

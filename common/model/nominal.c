#include "common/model/nominal.h"

#include "common/saturating.h"
#include "common/text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <strings.h>

#define MILLION      UINT64_C(1000000)
#define BILLION      (1000 * MILLION)
#define TRILLION     (1000 * BILLION)
#define PARAMS_MAX   (100 * TRILLION)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
    EXPERTS_MAX = 1024,
    EXPERTS_ACTIVE = 2,           /* of "8x7b" */
    KV_WIDTH = 8 * 128,           /* elements of a layer's keys, and of its values */
    VOCABULARY = 151936,          /* Qwen3's; most others' are smaller */
    CONTEXT_TRAINED = 128 * 1024, /* what most models since 2024 are offered with */
    MILLIBITS_OF_BYTE = 8000,
};

/* A published dense model, whose row holds for sizes up to `parameters_max`: about 10 % more than
 * the model's own, as names are rounded. */
struct published {
    uint64_t parameters_max;
    uint32_t layers, embedding, feed_forward, heads;
};

static const struct published published[] = {
        {700 * MILLION, 28, 1024, 3072, 16},   /* Qwen3-0.6B */
        {2200 * MILLION, 28, 2048, 6144, 16},  /* Qwen3-1.7B */
        {4500 * MILLION, 36, 2560, 9728, 32},  /* Qwen3-4B */
        {9500 * MILLION, 36, 4096, 12288, 32}, /* Qwen3-8B */
        {16 * BILLION, 48, 5120, 13824, 40},   /* Qwen2.5-14B */
        {36 * BILLION, 64, 5120, 25600, 64},   /* Qwen3-32B */
        {78 * BILLION, 80, 8192, 29568, 64},   /* Qwen2.5-72B */
        {135 * BILLION, 88, 12288, 28672, 96}, /* Mistral Large 2 */
        {UINT64_MAX, 126, 16384, 53248, 128},  /* Llama 3.1 405B */
};

struct quantisation {
    const char *name;
    uint32_t millibits;
};

static const struct quantisation quantisations[] = {{"F32", 32000}, {"F16", 16001}, {"BF16", 16001},
        {"Q8_0", 8501}, {"Q6_K", 6563}, {"Q5_K_M", 5704}, {"Q5_K_S", 5570}, {"Q5_1", 6048},
        {"Q5_0", 5577}, {"Q4_K_M", 4894}, {"Q4_K_S", 4667}, {"Q4_1", 5117}, {"Q4_0", 4646},
        {"MXFP4", 4640}, {"IQ4_NL", 4682}, {"IQ4_XS", 4460}, {"Q3_K_L", 4298}, {"Q3_K_M", 3996},
        {"Q3_K_S", 3643}, {"IQ3_M", 3763}, {"IQ3_S", 3661}, {"IQ3_XS", 3498}, {"IQ3_XXS", 3255},
        {"Q2_K", 3159}, {"Q2_K_S", 2970}, {"IQ2_M", 2929}, {"IQ2_S", 2740}, {"IQ2_XS", 2588},
        {"IQ2_XXS", 2382}, {"IQ1_M", 2146}, {"IQ1_S", 2004}};

static uint64_t unit_of(char c)
{
    switch (tolower((unsigned char)c)) {
    case 'm':
        return MILLION;
    case 'b':
        return BILLION;
    case 't':
        return TRILLION;
    default:
        return 0;
    }
}

/* Reads "235b" or "0.6B" and moves `*at` behind it. Digits below one parameter are dropped. */
static bool read_size(const char **at, uint64_t *ret_parameters)
{
    const char *p = *at, *point;
    uint64_t digits = 0, scale = 1;

    if (!isdigit((unsigned char)*p))
        return false;
    for (; isdigit((unsigned char)*p); p++)
        digits = saturating_sum(saturating_product(digits, 10), (uint64_t)(*p - '0'));
    point = p;
    if (*p == '.')
        for (p++; isdigit((unsigned char)*p) && scale < MILLION; p++, scale *= 10)
            digits = saturating_sum(saturating_product(digits, 10), (uint64_t)(*p - '0'));
    if ((*point == '.' && scale == 1) || unit_of(*p) == 0)
        return false;
    *ret_parameters = saturating_product(digits, unit_of(*p) / scale);
    *at = p + 1;
    return true;
}

/* "8x7b": the experts share attention, so that there are fewer than 8 · 7 in truth. */
static bool read_experts(const char **at, struct nominal_size *ret_size)
{
    const char *p = *at;
    uint64_t experts = 0, each;

    for (; isdigit((unsigned char)*p) && experts <= EXPERTS_MAX; p++)
        experts = experts * 10 + (uint64_t)(*p - '0');
    if (tolower((unsigned char)*p) != 'x' || experts < EXPERTS_ACTIVE || experts > EXPERTS_MAX)
        return false;
    p++;
    if (!read_size(&p, &each))
        return false;
    ret_size->parameters = saturating_product(experts, each);
    ret_size->active = saturating_product(EXPERTS_ACTIVE, each);
    *at = p;
    return true;
}

static bool read_text(const char *text, struct nominal_size *ret_size)
{
    if (read_experts(&text, ret_size))
        return *text == '\0';
    if (!read_size(&text, &ret_size->parameters))
        return false;
    ret_size->active = ret_size->parameters;
    if (*text == '\0')
        return true;
    if (text[0] != '-' || tolower((unsigned char)text[1]) != 'a')
        return false;
    text += 2;
    return read_size(&text, &ret_size->active) && *text == '\0';
}

int nominal_parse(const char *text, struct nominal_size *ret_size, struct err *err)
{
    struct nominal_size size;

    if (!read_text(text, &size))
        return err_set(err, -EINVAL,
                "\"%.40s\" is no number of parameters: write 7b, 0.6B, 270m, 235b-a22b or 8x7b",
                text);
    if (size.active < MILLION || size.active > size.parameters || size.parameters > PARAMS_MAX)
        return err_set(err, -ERANGE,
                "\"%.40s\": a model has 1 million to 100 trillion parameters, of which no more "
                "than all are active",
                text);
    *ret_size = size;
    return 0;
}

static int refuse_quantisation(const char *text, struct err *err)
{
    const char *names[COUNT(quantisations) + 1] = {NULL};
    const char *nearest;

    for (size_t i = 0; i < COUNT(quantisations); i++)
        names[i] = quantisations[i].name;
    nearest = text_nearest(text, names);
    return err_set(err, -EINVAL, "the quantisation \"%.40s\" is not known; %s \"%s\"%s", text,
            nearest ? "did you mean" : "one is", nearest ? nearest : "Q4_K_M", nearest ? "?" : "");
}

int nominal_parse_quantisation(const char *text, uint32_t *ret_millibits, struct err *err)
{
    for (size_t i = 0; i < COUNT(quantisations); i++) {
        if (strcasecmp(text, quantisations[i].name) == 0) {
            *ret_millibits = quantisations[i].millibits;
            return 0;
        }
    }
    return refuse_quantisation(text, err);
}

static const struct published *published_for(const struct nominal_size *size)
{
    double mean = sqrt((double)size->parameters * (double)size->active);
    size_t i = 0;

    while (mean > (double)published[i].parameters_max)
        i++;
    return &published[i];
}

static uint64_t bytes_of(uint64_t elements, uint32_t millibits)
{
    return saturating_product(elements, millibits) / MILLIBITS_OF_BYTE;
}

void nominal_shape(
        const struct nominal_size *size, uint32_t millibits, struct model_shape *ret_shape)
{
    const struct published *like = published_for(size);
    uint64_t input = (uint64_t)VOCABULARY * like->embedding;
    uint64_t width = (uint64_t)like->layers * KV_WIDTH;

    *ret_shape = (struct model_shape){.tensor_bytes = bytes_of(size->parameters, millibits),
            .full = {.layers = like->layers, .k_elements = width, .v_elements = width},
            .layers = like->layers,
            .embedding = like->embedding,
            .vocabulary = VOCABULARY,
            .feed_forward = like->feed_forward,
            .heads = like->heads,
            .context_trained = CONTEXT_TRAINED,
            .bound = true};
    input = input < size->parameters ? input : size->parameters;
    ret_shape->input_bytes = bytes_of(input, millibits);
}

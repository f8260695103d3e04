#include "coordinator/modes/mode_suggest.h"

#include "coordinator/scheduling/rates_prior.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    SUGGESTED_MAX = 8,    /* modes */
    SHORT_CONTEXT = 8192, /* tokens of what is completed, embedded or ranked */
    SLOWEST = 63,         /* powers of two */
};

#define ROUNDING 1e-9 /* of what is twice as slow to the last digit, and has to count as that */

/* --- what is there --- */

/* Where the model is, or would be. */
static size_t place_of(const struct suggest_models *models, const char *name)
{
    size_t low = 0, high = models->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(models->at[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct suggest_model *find_model(struct suggest_models *models, const char *name)
{
    size_t at = place_of(models, name);
    bool found = at < models->count && strcmp(models->at[at].name, name) == 0;
    return found ? &models->at[at] : NULL;
}

/* What is gone leaves its place to what is there. False where all are there. */
static bool make_room(struct suggest_models *models)
{
    size_t gone = 0;
    if (models->count < SUGGEST_MODELS_MAX)
        return true;
    while (gone < models->count && models->at[gone].seen)
        gone++;
    if (gone == models->count)
        return false;
    models->count--;
    memmove(&models->at[gone], &models->at[gone + 1],
            (models->count - gone) * sizeof(models->at[0]));
    return true;
}

/* NULL: there is no room. */
static struct suggest_model *add_model(struct suggest_models *models, const char *name)
{
    if (!make_room(models))
        return NULL;
    size_t at = place_of(models, name);
    memmove(&models->at[at + 1], &models->at[at], (models->count - at) * sizeof(models->at[0]));
    models->count++;
    models->at[at] = (struct suggest_model){.seen = false};
    strcpy(models->at[at].name, name);
    return &models->at[at];
}

/* A node of an earlier version says nothing, and knows nothing but chat. */
static uint32_t capabilities_of(const struct instance *instance)
{
    return instance->capabilities ? instance->capabilities : CAPABILITY_CHAT;
}

static void take_in(struct suggest_model *model, const struct instance *instance)
{
    if (!model->seen) {
        model->capabilities = 0;
        model->swaps = true;
        model->seen = true;
    }
    model->capabilities |= capabilities_of(instance);
    model->swaps = model->swaps && instance->batch_only;
    if (instance->parameters)
        model->parameters = instance->parameters;
    model->active_share = rates_active_share(instance->model, instance->architecture);
    if (instance->decode_tok_s > model->decode_tok_s)
        model->decode_tok_s = instance->decode_tok_s;
}

static void take_in_known(
        struct suggest_models *models, struct instance *const *instances, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct suggest_model *model = find_model(models, instances[i]->model);
        if (model)
            take_in(model, instances[i]);
    }
}

/* --- how quick it is --- */

/* That a token goes through; 0: not known. */
static double parameters_of(const struct suggest_model *model)
{
    return (double)model->parameters * model->active_share;
}

/* Parameters that are done in a second, in the mean of the models that were measured. */
static double parameters_s(const struct suggest_models *models)
{
    double sum = 0;
    unsigned count = 0;
    for (size_t i = 0; i < models->count; i++) {
        double done = (double)models->at[i].decode_tok_s * parameters_of(&models->at[i]);
        if (done > 0) {
            sum += log(done);
            count++;
        }
    }
    return count ? exp(sum / count) : SUGGEST_PARAMETERS_S;
}

/* 0: nothing is known. */
static double speed_of(const struct suggest_model *model, double done_s)
{
    if (model->decode_tok_s > 0)
        return (double)model->decode_tok_s;
    return model->parameters ? done_s / parameters_of(model) : 0;
}

static void place(struct suggest_model *model, double slower)
{
    double off = slower - model->slower;
    if (model->placed && off >= -SUGGEST_SLACK && off <= 1 + SUGGEST_SLACK)
        return;
    model->slower = (uint8_t)(slower + ROUNDING);
    model->placed = true;
}

static void place_all(struct suggest_models *models)
{
    double done_s = parameters_s(models), quickest = 0;
    for (size_t i = 0; i < models->count; i++)
        if ((models->at[i].capabilities & CAPABILITY_CHAT) && !models->at[i].swaps)
            quickest = fmax(quickest, speed_of(&models->at[i], done_s));
    for (size_t i = 0; i < models->count; i++) {
        double speed = speed_of(&models->at[i], done_s);
        double slower = speed > 0 && quickest > 0 ? log2(quickest / speed) : SLOWEST;
        place(&models->at[i], fmin(fmax(slower, 0), SLOWEST));
    }
}

void suggest_look(struct suggest_models *models, struct instance *const *instances, size_t count)
{
    for (size_t i = 0; i < models->count; i++)
        models->at[i].seen = false;
    take_in_known(models, instances, count);
    for (size_t i = 0; i < count; i++) {
        struct suggest_model *model = find_model(models, instances[i]->model);
        if (!model)
            model = add_model(models, instances[i]->model);
        if (model)
            take_in(model, instances[i]);
    }
    place_all(models);
}

/* --- orders: less than 0 where `a` comes first --- */

typedef int (*order_fn)(const struct suggest_model *a, const struct suggest_model *b);

static int by_name(const struct suggest_model *a, const struct suggest_model *b)
{
    return strcmp(a->name, b->name);
}

static int larger_first(const struct suggest_model *a, const struct suggest_model *b)
{
    if (a->parameters != b->parameters)
        return a->parameters > b->parameters ? -1 : 1;
    return by_name(a, b);
}

static int smaller_first(const struct suggest_model *a, const struct suggest_model *b)
{
    if (a->parameters != b->parameters)
        return a->parameters < b->parameters ? -1 : 1;
    return by_name(a, b);
}

static int quicker_first(const struct suggest_model *a, const struct suggest_model *b)
{
    return a->slower != b->slower ? a->slower - b->slower : larger_first(a, b);
}

static bool is_coder(const struct suggest_model *model)
{
    static const char *const words[] = {"code", "codestral", "devstral"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasestr(model->name, words[i]))
            return true;
    return false;
}

static int coders_first(const struct suggest_model *a, const struct suggest_model *b)
{
    int difference = is_coder(b) - is_coder(a);
    return difference ? difference : larger_first(a, b);
}

static bool reasons(const struct suggest_model *model)
{
    return model->capabilities & CAPABILITY_REASONING;
}

static int reasoners_first(const struct suggest_model *a, const struct suggest_model *b)
{
    int difference = reasons(b) - reasons(a);
    return difference ? difference : larger_first(a, b);
}

/* --- lists --- */

struct listed { /* models of one mode, in its order */
    const struct suggest_model *at[SUGGEST_MODELS_MAX];
    size_t count;
};

static void insert(struct listed *listed, const struct suggest_model *model, order_fn order)
{
    size_t at = listed->count++;
    for (; at > 0 && order(model, listed->at[at - 1]) < 0; at--)
        listed->at[at] = listed->at[at - 1];
    listed->at[at] = model;
}

static void list_those(const struct suggest_models *models, uint32_t capability, order_fn order,
        struct listed *ret_listed)
{
    ret_listed->count = 0;
    for (size_t i = 0; i < models->count; i++)
        if ((models->at[i].capabilities & capability) && !models->at[i].swaps)
            insert(ret_listed, &models->at[i], order);
}

static void move(struct listed *listed, size_t from, size_t to)
{
    const struct suggest_model *model = listed->at[from];
    for (; from < to; from++)
        listed->at[from] = listed->at[from + 1];
    for (; from > to; from--)
        listed->at[from] = listed->at[from - 1];
    listed->at[to] = model;
}

static void put_last(struct listed *listed, const struct suggest_model *model)
{
    for (size_t i = 0; model && i < listed->count; i++)
        if (listed->at[i] == model) {
            move(listed, i, listed->count - 1);
            return;
        }
}

/* From the smallest: the middle one first, what is larger behind it, then what is smaller, the
 * largest of that first. The last one stays where it is where it is `kept_last`. */
static void middle_first(struct listed *listed, bool kept_last)
{
    size_t count = listed->count - kept_last, middle = count / 2;
    for (size_t i = 0; i < count - middle; i++)
        move(listed, middle + i, i);
    for (size_t i = count - middle; i + 1 < count; i++)
        move(listed, count - 1, i);
}

/* --- modes --- */

struct suggesting {
    const struct suggest_models *models;
    const struct suggest_model *completes; /* autocomplete's first; NULL: there is none */
    struct modes modes;
};

static int copy_names(struct mode *mode, const struct listed *listed, size_t max)
{
    size_t count = listed->count < max ? listed->count : max;
    if (!(mode->models = calloc(count, sizeof(*mode->models))))
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        if (!(mode->models[i] = strdup(listed->at[i]->name)))
            return -ENOMEM;
        mode->model_count++;
    }
    return 0;
}

/* No mode where there are no models. */
static int add_mode(
        struct suggesting *suggesting, const char *name, const struct listed *listed, size_t max)
{
    if (listed->count == 0)
        return 0;
    struct mode *mode = &suggesting->modes.list[suggesting->modes.count++];
    mode_init(mode);
    if (!(mode->name = strdup(name)))
        return -ENOMEM;
    return copy_names(mode, listed, max);
}

static int add_chat(struct suggesting *suggesting, const char *name, order_fn order)
{
    struct listed listed;
    list_those(suggesting->models, CAPABILITY_CHAT, order, &listed);
    put_last(&listed, suggesting->completes);
    return add_mode(suggesting, name, &listed, MODE_MODELS_MAX);
}

/* Who plans: a model that reasons and that the mode lists. */
static int add_planner(struct mode *mode, const struct suggest_model *planner)
{
    if (!reasons(planner) || strcmp(mode->models[0], planner->name) == 0 ||
            !mode_lists(mode, planner->name))
        return 0;
    if (!(mode->planning.names = calloc(1, sizeof(*mode->planning.names))) ||
            !(mode->planning.names[0] = strdup(planner->name)))
        return -ENOMEM;
    mode->planning.count = 1;
    return 0;
}

static int add_orchestrator(struct suggesting *suggesting)
{
    struct listed listed, planners;
    list_those(suggesting->models, CAPABILITY_CHAT, smaller_first, &listed);
    list_those(suggesting->models, CAPABILITY_CHAT, reasoners_first, &planners);
    if (listed.count == 0)
        return 0;
    put_last(&listed, suggesting->completes);
    middle_first(&listed, listed.at[listed.count - 1] == suggesting->completes);
    put_last(&planners, suggesting->completes);
    int r = add_mode(suggesting, "orchestrator", &listed, MODE_MODELS_MAX);
    return r ? r
             : add_planner(&suggesting->modes.list[suggesting->modes.count - 1], planners.at[0]);
}

static int add_short(struct suggesting *suggesting, const char *name, uint32_t capability,
        order_fn order, size_t max)
{
    struct listed listed;
    list_those(suggesting->models, capability, order, &listed);
    int r = add_mode(suggesting, name, &listed, max);
    if (r || listed.count == 0)
        return r;
    struct mode *mode = &suggesting->modes.list[suggesting->modes.count - 1];
    mode->context = SHORT_CONTEXT;
    mode->context_is_set = true;
    return 0;
}

static const struct suggest_model *find_completer(const struct suggest_models *models)
{
    struct listed listed;
    list_those(models, CAPABILITY_FIM, smaller_first, &listed);
    return listed.count ? listed.at[0] : NULL;
}

static int add_all(struct suggesting *suggesting)
{
    int r = add_chat(suggesting, "ask", quicker_first);
    if (!r)
        r = add_chat(suggesting, "code", coders_first);
    if (!r)
        r = add_chat(suggesting, "architect", reasoners_first);
    if (!r)
        r = add_chat(suggesting, "debug", reasoners_first);
    if (!r)
        r = add_orchestrator(suggesting);
    if (!r)
        r = add_short(suggesting, "autocomplete", CAPABILITY_FIM, smaller_first, MODE_MODELS_MAX);
    if (!r)
        r = add_short(suggesting, "embed", CAPABILITY_EMBEDDINGS, larger_first, 1);
    return r ? r
             : add_short(suggesting, "rerank", CAPABILITY_RERANK, larger_first, MODE_MODELS_MAX);
}

int suggest_modes(const struct suggest_models *models, struct modes *ret_modes, struct err *err)
{
    struct suggesting suggesting = {.models = models,
            .completes = find_completer(models),
            .modes = {.derived = true, .list = calloc(SUGGESTED_MAX, sizeof(struct mode))}};
    int r = suggesting.modes.list ? add_all(&suggesting) : -ENOMEM;
    if (r) {
        modes_fini(&suggesting.modes);
        return err_set(err, r, "no memory for the modes");
    }
    *ret_modes = suggesting.modes;
    return 0;
}

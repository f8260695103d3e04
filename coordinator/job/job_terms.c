#include "coordinator/job/job_terms.h"

#include "coordinator/scheduling/cost.h"
#include "coordinator/scheduling/fair_queue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job_terms *job_terms_create(const char *mode)
{
    struct job_terms *terms = calloc(1, sizeof(*terms));
    if (!terms)
        return NULL;
    snprintf(terms->mode, sizeof(terms->mode), "%s", mode ? mode : JOB_TERMS_NO_MODE);
    terms->priority = FAIR_PRIORITY_DEFAULT;
    terms->beta = COST_BETA_INTERACTIVE;
    return terms;
}

/* As a mode's without a word of their points. */
static uint8_t points_at(size_t place)
{
    size_t less = place * MODE_POINTS_STEP;
    return less < MODE_POINTS_FIRST ? (uint8_t)(MODE_POINTS_FIRST - less) : 1;
}

struct job_terms *job_terms_of_models(
        const char *mode, const char *const *models, size_t model_count)
{
    struct job_terms *terms = job_terms_create(mode);
    int r = 0;
    for (size_t i = 0; terms && !r && i < model_count; i++)
        r = job_terms_add(terms, models[i], points_at(i));
    if (terms)
        terms->named_count = terms->model_count;
    if (!r)
        return terms;
    job_terms_destroy(terms);
    return NULL;
}

void job_terms_destroy(struct job_terms *terms)
{
    while (terms) {
        struct job_terms *next = terms->next;
        for (size_t i = 0; i < terms->model_count; i++)
            free(terms->models[i]);
        job_terms_destroy(terms->spare);
        free(terms);
        terms = next;
    }
}

const char *job_terms_passed(const struct job_terms *first, const struct job_terms *in_force,
        char *ret_text, size_t room)
{
    size_t len = 0;
    ret_text[0] = '\0';
    for (; first != in_force && len < room; first = first->next)
        len += (size_t)snprintf(ret_text + len, room - len, "%s %s; ", first->mode,
                first->waited_out ? "had none in time" : "has none for it");
    return ret_text;
}

size_t job_terms_place(const struct job_terms *terms, const char *model)
{
    size_t i = 0;
    while (i < terms->model_count && strcmp(terms->models[i], model) != 0)
        i++;
    return i;
}

int job_terms_add(struct job_terms *terms, const char *model, uint8_t quality)
{
    size_t at = job_terms_place(terms, model);
    if (at < terms->model_count || at == MODE_MODELS_MAX)
        return 0;
    if (!(terms->models[at] = strdup(model)))
        return -ENOMEM;
    terms->quality[at] = quality;
    terms->model_count++;
    return 0;
}

/* --- when a mode moves --- */

/* "code up to 16k: small, large" names the new one instead. */
static void rename_in_rule(struct job_terms *terms, const char *model)
{
    static const char colon[] = ": ";
    char *names = strstr(terms->rule, colon);
    if (!names)
        return;
    names += strlen(colon);
    size_t room = sizeof(terms->rule) - (size_t)(names - terms->rule);
    if (strlen(model) < room)
        strcpy(names, model);
}

static void take_out(struct job_terms *terms, size_t at)
{
    size_t behind = --terms->model_count - at;
    terms->named_count -= at < terms->named_count;
    memmove(&terms->models[at], &terms->models[at + 1], behind * sizeof(terms->models[0]));
    memmove(&terms->quality[at], &terms->quality[at + 1], behind * sizeof(terms->quality[0]));
}

char *job_terms_replace(struct job_terms *terms, const char *replaced, const char *model)
{
    size_t old = job_terms_place(terms, replaced), new = job_terms_place(terms, model);
    bool listed = new < terms->model_count;
    if (old == new)
        return NULL;
    char *gone = terms->models[old], *name = listed ? terms->models[new] : strdup(model);
    if (!name)
        return NULL;
    uint8_t quality = terms->quality[old];
    if (listed && terms->quality[new] > quality)
        quality = terms->quality[new];
    size_t at = old < new ? old : new;
    terms->models[at] = name;
    terms->quality[at] = quality;
    if (at < terms->named_count)
        rename_in_rule(terms, name);
    if (listed)
        take_out(terms, old < new ? new : old);
    return gone;
}

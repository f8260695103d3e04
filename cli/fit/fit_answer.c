#include "cli/fit/fit_answer.h"

#include "common/saturating.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Sums of models that are looked for. */
struct search {
    const struct fit_models *models;
    const struct fit_ask *ask;
    struct fit_answer *answer;
    uint64_t usable;
    uint64_t bytes[COMBINATIONS_MODELS_MAX]; /* of the candidates */
};

static struct model_run run_of(
        const struct fit_model *model, const struct fit_ask *ask, uint32_t context)
{
    struct model_run run = fit_ask_run(ask, context);

    run.projector_bytes = model->projector_bytes;
    return run;
}

/* --- alone --- */

static void fill_cell(const struct fit_model *model, const struct fit_ask *ask, uint32_t context,
        uint64_t usable, struct fit_cell *ret_cell)
{
    struct model_run run = run_of(model, ask, context);
    uint32_t trained = model->shape.context_trained;

    estimate_memory(&model->shape, &run, &ret_cell->memory);
    ret_cell->fits = ret_cell->memory.total_bytes <= usable;
    ret_cell->beyond = trained > 0 && context > trained;
}

static void fill_row(const struct fit_model *model, const struct fit_ask *ask, uint64_t usable,
        struct fit_row *ret_row)
{
    struct model_run run = run_of(model, ask, 0);

    for (size_t i = 0; i < ask->context_count; i++) {
        fill_cell(model, ask, ask->contexts[i], usable, &ret_row->cells[i]);
        if (ret_row->cells[i].fits)
            ret_row->longest = ask->contexts[i];
    }
    ret_row->largest = estimate_context(&model->shape, &run, usable);
}

/* --- together --- */

static const struct fit_model *candidate(const struct search *search, size_t i)
{
    return &search->models->list[search->answer->candidates[i]];
}

/* Nobody asks a model for more than it was trained for because another can do more. */
static uint64_t bytes_together(const struct fit_model *model, const struct fit_ask *ask)
{
    uint32_t trained = model->shape.context_trained;
    struct model_run run =
            run_of(model, ask, trained > 0 && trained < ask->together ? trained : ask->together);
    struct model_memory memory;

    estimate_memory(&model->shape, &run, &memory);
    return memory.total_bytes;
}

static void choose_candidates(struct search *search)
{
    struct fit_answer *answer = search->answer;

    for (size_t i = 0; i < search->models->count; i++) {
        uint64_t bytes = bytes_together(&search->models->list[i], search->ask);

        if (bytes > search->usable)
            continue;
        if (answer->candidate_count == COMBINATIONS_MODELS_MAX) {
            answer->too_many = true;
            answer->candidate_count = 0;
            return;
        }
        search->bytes[answer->candidate_count] = bytes;
        answer->candidates[answer->candidate_count++] = i;
    }
}

static bool same_model(const struct fit_model *a, const struct fit_model *b)
{
    return *a->path && strcmp(a->path, b->path) == 0;
}

/* Of two instances of one model the first is taken: a set with the second in its place says
 * nothing new. */
static bool repeats_another(const struct search *search, uint16_t members)
{
    for (size_t i = 0; i < search->answer->candidate_count; i++)
        for (size_t j = 0; j < i && members >> i & 1; j++)
            if (!(members >> j & 1) && same_model(candidate(search, i), candidate(search, j)))
                return true;
    return false;
}

static void fill_set(const struct search *search, uint16_t members, struct fit_set *ret_set)
{
    struct combination_member list[COMBINATIONS_MODELS_MAX];
    size_t count = 0;

    *ret_set = (struct fit_set){.members = members};
    for (size_t i = 0; i < search->answer->candidate_count; i++) {
        const struct fit_model *model = candidate(search, i);

        if (!(members >> i & 1))
            continue;
        list[count].shape = &model->shape;
        list[count++].run = run_of(model, search->ask, 0);
        ret_set->total_bytes = saturating_sum(ret_set->total_bytes, search->bytes[i]);
    }
    ret_set->left_bytes = search->ask->memory_bytes - ret_set->total_bytes;
    ret_set->largest = combinations_context(list, count, search->usable);
}

static int find_sets(struct search *search)
{
    struct fit_answer *answer = search->answer;
    uint16_t *found = calloc(COMBINATIONS_SETS_MAX, sizeof *found);
    size_t count;

    if (found == NULL)
        return -ENOMEM;
    count = combinations_find(search->bytes, answer->candidate_count, search->usable, found);
    answer->sets = calloc(count > 0 ? count : 1, sizeof *answer->sets);
    for (size_t i = 0; answer->sets && i < count; i++)
        if (!repeats_another(search, found[i]))
            fill_set(search, found[i], &answer->sets[answer->set_count++]);
    free(found);
    return answer->sets == NULL ? -ENOMEM : 0;
}

int fit_answer_create(const struct fit_models *models, const struct fit_ask *ask,
        struct fit_answer **ret_answer, struct err *err)
{
    struct fit_answer *answer = calloc(1, sizeof *answer);
    struct search search = {.models = models,
            .ask = ask,
            .answer = answer,
            .usable = estimate_usable_bytes(ask->memory_bytes)};

    if (answer != NULL)
        answer->rows = calloc(models->count, sizeof *answer->rows);
    if (answer == NULL || answer->rows == NULL)
        goto fail;
    for (size_t i = 0; i < models->count; i++)
        fill_row(&models->list[i], ask, search.usable, &answer->rows[i]);
    choose_candidates(&search);
    if (find_sets(&search) < 0)
        goto fail;
    *ret_answer = answer;
    return 0;
fail:
    fit_answer_destroy(answer);
    return err_set(err, -ENOMEM, "out of memory");
}

void fit_answer_destroy(struct fit_answer *answer)
{
    if (answer == NULL)
        return;
    free(answer->rows);
    free(answer->sets);
    free(answer);
}

#include "cli/fit/fit_print.h"
#include "common/json/json_writer.h"
#include "common/saturating.h"

#include <errno.h>

enum { JSON_MAX = 64 * 1024 * 1024 };

static void write_cell(struct json_writer *writer, uint32_t context, const struct fit_cell *cell)
{
    const struct model_memory *memory = &cell->memory;

    json_writer_object(writer, NULL);
    json_writer_u64(writer, "context", context);
    json_writer_bool(writer, "beyond_trained", cell->beyond);
    json_writer_u64(
            writer, "cache_bytes", saturating_sum(memory->full_bytes, memory->window_bytes));
    json_writer_u64(writer, "state_bytes", memory->state_bytes);
    json_writer_u64(writer, "compute_bytes", memory->compute_bytes);
    json_writer_u64(writer, "total_bytes", memory->total_bytes);
    json_writer_u64(writer, "margin_bytes", memory->margin_bytes);
    json_writer_bool(writer, "fits", cell->fits);
    json_writer_object_end(writer);
}

static void write_model(struct json_writer *writer, const struct fit_model *model,
        const struct fit_row *row, const struct fit_ask *ask)
{
    json_writer_object(writer, NULL);
    json_writer_str(writer, "name", model->name);
    json_writer_str(writer, "path", model->path);
    json_writer_str(writer, "architecture", model->architecture);
    json_writer_str(writer, "quantisation", model->quantisation);
    json_writer_str(writer, "basis", fit_basis_name(model->basis));
    json_writer_bool(writer, "at_most", model->shape.bound);
    json_writer_u64(writer, "context_trained", model->shape.context_trained);
    json_writer_u64(writer, "weights_bytes", model->shape.tensor_bytes);
    json_writer_u64(writer, "projector_bytes", model->projector_bytes);
    json_writer_u64(writer, "fits_context", row->longest);
    json_writer_u64(writer, "largest_context", row->largest);
    json_writer_array(writer, "contexts");
    for (size_t i = 0; i < ask->context_count; i++)
        write_cell(writer, ask->contexts[i], &row->cells[i]);
    json_writer_array_end(writer);
    json_writer_object_end(writer);
}

static void write_set(struct json_writer *writer, const struct fit_models *models,
        const struct fit_answer *answer, const struct fit_set *set)
{
    json_writer_object(writer, NULL);
    json_writer_array(writer, "models");
    for (size_t i = 0; i < answer->candidate_count; i++)
        if (set->members >> i & 1)
            json_writer_str(writer, NULL, models->list[answer->candidates[i]].name);
    json_writer_array_end(writer);
    json_writer_u64(writer, "total_bytes", set->total_bytes);
    json_writer_u64(writer, "left_bytes", set->left_bytes);
    json_writer_u64(writer, "largest_context", set->largest);
    json_writer_object_end(writer);
}

static void write_together(struct json_writer *writer, const struct fit_models *models,
        const struct fit_ask *ask, const struct fit_answer *answer)
{
    json_writer_object(writer, "together");
    json_writer_u64(writer, "context", ask->together);
    json_writer_bool(writer, "too_many_models", answer->too_many);
    json_writer_array(writer, "sets");
    for (size_t i = 0; i < answer->set_count; i++)
        write_set(writer, models, answer, &answer->sets[i]);
    json_writer_array_end(writer);
    json_writer_object_end(writer);
}

static void write_problems(struct json_writer *writer, const struct fit_models *models)
{
    json_writer_array(writer, "problems");
    for (size_t i = 0; i < models->problem_count; i++) {
        json_writer_object(writer, NULL);
        json_writer_str(writer, "path", models->problems[i].path);
        json_writer_str(writer, "text", models->problems[i].text);
        json_writer_object_end(writer);
    }
    json_writer_array_end(writer);
}

static void write_all(struct json_writer *writer, const struct fit_models *models,
        const struct fit_ask *ask, const struct fit_answer *answer)
{
    json_writer_object(writer, NULL);
    json_writer_u64(writer, "memory_bytes", ask->memory_bytes);
    json_writer_bool(writer, "memory_given", ask->memory_given);
    json_writer_u64(writer, "usable_bytes", estimate_usable_bytes(ask->memory_bytes));
    json_writer_u64(writer, "slots", ask->slots);
    json_writer_str(writer, "kv", cache_type_name(ask->type));
    json_writer_array(writer, "models");
    for (size_t i = 0; i < models->count; i++)
        write_model(writer, &models->list[i], &answer->rows[i], ask);
    json_writer_array_end(writer);
    write_together(writer, models, ask, answer);
    write_problems(writer, models);
    json_writer_object_end(writer);
}

int fit_print_json(const struct fit_models *models, const struct fit_ask *ask,
        const struct fit_answer *answer, FILE *out, struct err *err)
{
    struct json_writer writer;
    struct buf text;
    int rc;

    buf_init(&text, JSON_MAX);
    json_writer_init(&writer, &text);
    write_all(&writer, models, ask, answer);
    rc = json_writer_result(&writer);
    if (rc == 0)
        fprintf(out, "%.*s\n", (int)text.len, buf_at(&text));
    buf_fini(&text);
    return rc < 0 ? err_set(err, rc, "the answer does not fit into memory: name fewer models") : 0;
}

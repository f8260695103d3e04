#include "cli/fit/fit_models.h"

#include "cli/fit/fit_tool.h"
#include "common/model/fit_params.h"
#include "common/model/model_file.h"
#include "common/model/nominal.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct finding { /* a folder that is being read */
    struct fit_models *models;
    char **paths;
    size_t count, cap;
};

const char *fit_basis_name(enum fit_basis basis)
{
    static const char *const names[] = {
            [FIT_BY_HEADER] = "header",
            [FIT_BY_TOOL] = "llama-fit-params",
            [FIT_BY_BOUND] = "bound",
            [FIT_BY_SIZE] = "size",
    };

    return names[basis];
}

void fit_models_init(struct fit_models *models)
{
    *models = (struct fit_models){.list = NULL};
}

void fit_models_fini(struct fit_models *models)
{
    for (size_t i = 0; i < models->count; i++)
        free(models->list[i].path);
    for (size_t i = 0; i < models->problem_count; i++) {
        free(models->problems[i].path);
        free(models->problems[i].text);
    }
    free(models->list);
    free(models->problems);
}

/* Room for one more of `size` bytes in `*list`. */
static int grow(void *list, size_t count, size_t *cap, size_t size)
{
    void **entries = list, *grown;
    size_t wanted = *cap > 0 ? *cap * 2 : 16;

    if (count < *cap)
        return 0;
    grown = realloc(*entries, wanted * size);
    if (grown == NULL)
        return -ENOMEM;
    *entries = grown;
    *cap = wanted;
    return 0;
}

static int add_problem(struct fit_models *models, const char *path, const char *text)
{
    struct fit_problem problem = {0};
    int rc = grow(&models->problems, models->problem_count, &models->problem_cap, sizeof problem);

    if (rc < 0)
        return rc;
    problem.path = strdup(path);
    problem.text = strdup(text);
    if (problem.path == NULL || problem.text == NULL) {
        free(problem.path);
        free(problem.text);
        return -ENOMEM;
    }
    models->problems[models->problem_count++] = problem;
    return 0;
}

/* Takes the model over, but for its path, which is copied. */
static int add_model(
        struct fit_models *models, const struct fit_model *model, const char *path, struct err *err)
{
    struct fit_model *added;

    if (models->count >= FIT_MODELS_MAX)
        return err_set(err, -E2BIG, "more than %d models: name fewer", FIT_MODELS_MAX);
    if (grow(&models->list, models->count, &models->cap, sizeof *models->list) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    added = &models->list[models->count];
    *added = *model;
    added->path = strdup(path);
    if (added->path == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    models->count++;
    return 0;
}

/* --- names --- */

static const struct fit_model *find_name(const struct fit_models *models, const char *name)
{
    for (size_t i = 0; i < models->count; i++)
        if (strcmp(models->list[i].name, name) == 0)
            return &models->list[i];
    return NULL;
}

static bool is_taken(const struct fit_models *models, const char *name, const char *path)
{
    const struct fit_model *other = find_name(models, name);

    return other != NULL && (*path == '\0' || strcmp(other->path, path) != 0);
}

/* As a node would, seen from the root of the file system; where all else is taken, the path. */
static void name_model(const struct fit_models *models, const char *path, struct fit_model *model)
{
    model_folder_name("", path, false, model->name);
    if (is_taken(models, model->name, path))
        model_folder_name("", path, true, model->name);
    if (is_taken(models, model->name, path))
        (void)snprintf(model->name, sizeof model->name, "%s", path);
}

/* --- one file --- */

static int read_facts(const char *path, struct gguf_facts *ret_facts, struct err *err)
{
    struct model_file *file = NULL;
    int rc = model_file_open(path, &file, err);

    if (rc < 0)
        return rc;
    rc = gguf_parse_facts(model_file_parts(file), model_file_part_count(file), ret_facts, err);
    model_file_close(file);
    return rc < 0 ? err_prefix(err, rc, "%s", path) : 0;
}

static int add_facts(struct fit_models *models, const char *path, const struct gguf_facts *facts,
        struct err *err)
{
    struct fit_model model = {.basis = FIT_BY_HEADER};

    (void)snprintf(model.architecture, sizeof model.architecture, "%s", facts->info.architecture);
    (void)snprintf(model.quantisation, sizeof model.quantisation, "%s", facts->info.quantisation);
    model_shape_of(facts, &model.shape);
    if (model.shape.bound)
        model.basis = FIT_BY_BOUND;
    name_model(models, path, &model);
    return add_model(models, &model, path, err);
}

static int add_file(struct fit_models *models, const char *path, struct err *err)
{
    struct gguf_facts facts;
    int rc = read_facts(path, &facts, err);

    if (rc < 0)
        return rc;
    if (gguf_is_projector(&facts.info))
        return err_set(err, -EINVAL,
                "%s is a projector: it counts with its model, MODEL --projector %s", path, path);
    if (!gguf_is_model(&facts.info))
        return err_set(err, -EINVAL, "%s holds no model but %s", path,
                *facts.info.type ? facts.info.type : "something else");
    return add_facts(models, path, &facts, err);
}

/* --- a folder --- */

static int on_file(void *ctx, const char *path, const struct stat *st)
{
    struct finding *finding = ctx;
    char stem[NAME_MAX + 1];
    unsigned part, parts;

    (void)st;
    model_folder_stem(path, stem, &part, &parts);
    if (part != 1)
        return 0; /* read with its first */
    if (grow(&finding->paths, finding->count, &finding->cap, sizeof *finding->paths) < 0)
        return -ENOMEM;
    finding->paths[finding->count] = strdup(path);
    return finding->paths[finding->count] == NULL ? -ENOMEM : (finding->count++, 0);
}

static int on_problem(void *ctx, const char *path, const char *text)
{
    struct finding *finding = ctx;

    return add_problem(finding->models, path, text);
}

/* A file that cannot be read is told and passed over; an adapter or a vocabulary is no problem. */
static int add_found(struct fit_models *models, const char *path, struct err *err)
{
    struct gguf_facts facts;

    if (read_facts(path, &facts, err) < 0)
        return add_problem(models, path, err->text);
    return gguf_is_model(&facts.info) ? add_facts(models, path, &facts, err) : 0;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct fit_model *)a)->name, ((const struct fit_model *)b)->name);
}

static int add_all_found(struct finding *finding, const char *folder, struct err *err)
{
    struct fit_models *models = finding->models;
    size_t before = models->count;
    int rc = 0;

    if (finding->count > 0)
        qsort(finding->paths, finding->count, sizeof *finding->paths, compare_paths);
    for (size_t i = 0; rc == 0 && i < finding->count; i++)
        rc = add_found(models, finding->paths[i], err);
    if (rc < 0)
        return rc;
    if (models->count == before)
        return err_set(err, -ENOENT,
                "no model below the folder %s%s: name a GGUF file, another folder, or a size as "
                "--params 32b --quant Q4_K_M",
                folder, models->problem_count > 0 ? " that can be read" : "");
    qsort(models->list + before, models->count - before, sizeof *models->list, compare_names);
    return 0;
}

static int add_folder(struct fit_models *models, const char *folder, struct err *err)
{
    static const struct model_folder_events events = {.on_file = on_file, .on_problem = on_problem};
    struct finding finding = {.models = models};
    int rc = model_folder_walk(folder, &events, &finding);

    if (rc < 0)
        rc = err_set(err, rc, "cannot read the folder %s: %s", folder, strerror(-rc));
    else
        rc = add_all_found(&finding, folder, err);
    for (size_t i = 0; i < finding.count; i++)
        free(finding.paths[i]);
    free(finding.paths);
    return rc;
}

/* --- what people name --- */

/* The folder's true path and the file's own name: where that is a link, people know the model by
 * the link's name, and the parts of a split lie beside it. */
static int resolve(const char *path, char ret_path[PATH_MAX])
{
    char copy[PATH_MAX], folder[PATH_MAX];
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    size_t len;

    if (strlen(path) >= sizeof copy)
        return -ENAMETOOLONG;
    memcpy(copy, path, strlen(path) + 1);
    if (realpath(dirname(copy), folder) == NULL)
        return -errno;
    len = strlen(folder);
    if (len + 1 + strlen(base) >= PATH_MAX)
        return -ENAMETOOLONG;
    (void)snprintf(ret_path, PATH_MAX, "%s/%.*s", strcmp(folder, "/") == 0 ? "" : folder,
            (int)(PATH_MAX - 2 - len), base);
    return 0;
}

static int refuse_path(const char *path, int rc, struct err *err)
{
    return err_set(err, rc,
            "\"%.200s\": %s; name a GGUF file, a folder of them, or a size as --params 32b "
            "--quant Q4_K_M",
            path, strerror(-rc));
}

int fit_models_add(struct fit_models *models, const char *path, struct err *err)
{
    char resolved[PATH_MAX];
    struct stat st;
    int rc;

    if (stat(path, &st) < 0)
        return refuse_path(path, -errno, err);
    if (S_ISDIR(st.st_mode))
        return realpath(path, resolved) ? add_folder(models, resolved, err)
                                        : refuse_path(path, -errno, err);
    rc = resolve(path, resolved);
    return rc < 0 ? refuse_path(path, rc, err) : add_file(models, resolved, err);
}

int fit_models_add_size(
        struct fit_models *models, const char *params, const char *quantisation, struct err *err)
{
    struct fit_model model = {.basis = FIT_BY_SIZE};
    struct nominal_size size;
    uint32_t millibits;
    int rc = nominal_parse(params, &size, err);

    if (rc < 0)
        return err_prefix(err, rc, "--params");
    rc = nominal_parse_quantisation(quantisation, &millibits, err);
    if (rc < 0)
        return err_prefix(err, rc, "--quant");
    nominal_shape(&size, millibits, &model.shape);
    (void)snprintf(model.quantisation, sizeof model.quantisation, "%s", quantisation);
    (void)snprintf(model.name, sizeof model.name, "%s", params);
    if (is_taken(models, model.name, ""))
        (void)snprintf(model.name, sizeof model.name, "%s-%s", params, quantisation);
    return add_model(models, &model, "", err);
}

/* --- projectors --- */

static size_t folder_len(const char *path)
{
    return (size_t)(strrchr(path, '/') - path);
}

static bool lies_beside(const char *path, const struct fit_model *model)
{
    size_t len = folder_len(path);

    return *model->path && folder_len(model->path) == len && memcmp(model->path, path, len) == 0;
}

int fit_models_add_projector(struct fit_models *models, const char *path, struct err *err)
{
    char resolved[PATH_MAX];
    struct gguf_facts facts;
    bool used = false;
    int rc = resolve(path, resolved);

    if (rc < 0)
        return err_set(err, rc, "--projector: \"%.200s\": %s", path, strerror(-rc));
    rc = read_facts(resolved, &facts, err);
    if (rc < 0)
        return err_prefix(err, rc, "--projector");
    if (!gguf_is_projector(&facts.info))
        return err_set(err, -EINVAL,
                "--projector: %s is no projector (its name mostly begins with mmproj)", path);
    for (size_t i = 0; i < models->count; i++) {
        if (models->count > 1 && !lies_beside(resolved, &models->list[i]))
            continue;
        models->list[i].projector_bytes = facts.tensor_bytes;
        used = true;
    }
    return used ? 0
                : err_set(err, -EINVAL,
                          "--projector: %s lies beside none of the models; name its model alone",
                          path);
}

/* --- llama-fit-params --- */

static uint32_t longest_of_interest(const struct fit_model *model, const struct fit_ask *ask)
{
    uint32_t asked = ask->contexts[ask->context_count - 1], least = 2 * ESTIMATE_CONTEXT_STEP;
    uint32_t trained = model->shape.context_trained;
    uint32_t longest = asked > trained ? asked : trained;

    if (longest > FIT_CONTEXT_MAX)
        longest = FIT_CONTEXT_MAX;
    return longest < least ? least : longest;
}

/* At the longest context that is of interest, and at half of it: what lies between is nearly a
 * line, and what lies below is not above it. */
static int consult_tool(struct fit_model *model, const struct fit_ask *ask)
{
    uint32_t longest = longest_of_interest(model, ask);
    struct fit_point low = {.context = longest / 2}, high = {.context = longest};
    struct model_run run = fit_ask_run(ask, high.context);
    int rc = fit_tool_ask(model->path, &run, FIT_TOOL_TIMEOUT_MS, &high.params, NULL);

    if (rc < 0)
        return rc;
    run.context = low.context;
    rc = fit_tool_ask(model->path, &run, FIT_TOOL_TIMEOUT_MS, &low.params, NULL);
    if (rc < 0)
        return rc;
    model->shape = fit_params_shape(&model->shape, &run, &low, &high);
    model->basis = FIT_BY_TOOL;
    return 0;
}

/* Where it is missing or hangs for one model, it is not tried for the next. */
void fit_models_consult_tool(struct fit_models *models, const struct fit_ask *ask)
{
    int rc = 0;

    for (size_t i = 0; i < models->count && rc != -ENOENT && rc != -ETIMEDOUT; i++)
        if (models->list[i].basis == FIT_BY_BOUND)
            rc = consult_tool(&models->list[i], ask);
}

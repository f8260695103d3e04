#include "node/models/catalogue_scan.h"

#include "common/model/model_folder.h"
#include "node/models/capabilities.h"
#include "node/models/catalogue_file.h"
#include "proto/rules.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct root_id { /* a model folder, where it could be looked at */
    dev_t dev;
    ino_t ino;
    bool there;
};

/* A scan in the making. */
struct walk {
    const struct catalogue_look *look;
    const struct catalogue_scan *previous;
    struct catalogue_scan *scan;
    struct root_id ids[CATALOGUE_ROOTS_MAX];
    size_t root; /* the one that is walked */
    size_t file_cap;
};

static const char *root_of(const struct walk *walk)
{
    return walk->look->roots[walk->root];
}

static int grow(struct walk *walk)
{
    size_t cap = walk->file_cap == 0 ? 64 : walk->file_cap * 2;
    struct catalogue_file *grown;

    if (walk->scan->file_count < walk->file_cap)
        return 0;
    grown = reallocarray(walk->scan->files, cap, sizeof *grown);
    if (grown == NULL)
        return -ENOMEM;
    walk->scan->files = grown;
    walk->file_cap = cap;
    return 0;
}

static struct catalogue_file *add_file(struct walk *walk, const char *path)
{
    struct catalogue_scan *scan = walk->scan;
    struct catalogue_file *file;

    if (grow(walk) < 0)
        return NULL;
    file = &scan->files[scan->file_count];
    memset(file, 0, sizeof *file);
    file->root = walk->root;
    file->path = strdup(path);
    if (file->path == NULL)
        return NULL;
    scan->file_count++;
    return file;
}

/* --- walking the folders --- */

static int on_problem(void *ctx, const char *path, const char *text)
{
    struct walk *walk = ctx;
    struct catalogue_file *file = add_file(walk, path);

    if (file == NULL)
        return -ENOMEM;
    file->is_root = strcmp(path, root_of(walk)) == 0;
    return catalogue_file_set_problem(file, text);
}

static int on_file(void *ctx, const char *path, const struct stat *st)
{
    struct walk *walk = ctx;
    struct catalogue_file *file;

    if (walk->scan->file_count >= CATALOGUE_FILES_MAX)
        return -E2BIG;
    file = add_file(walk, path);
    if (file == NULL)
        return -ENOMEM;
    catalogue_file_see(file, st);
    return 0;
}

/* True where the folder at `path` is one of the first `count` model folders. */
static bool is_root(const struct walk *walk, const char *path, size_t count)
{
    struct stat st;

    if (count == 0 || stat(path, &st) < 0)
        return false;
    for (size_t i = 0; i < count; i++)
        if (walk->ids[i].there && walk->ids[i].dev == st.st_dev && walk->ids[i].ino == st.st_ino)
            return true;
    return false;
}

static void watch_folder(struct walk *walk, const char *folder)
{
    struct catalogue_scan *scan = walk->scan;
    struct err err;
    int rc;

    if (walk->look->watch == NULL)
        return;
    rc = folder_watch_add(walk->look->watch, folder, &err);
    if (rc == 0 || rc == -ENOENT || rc == -ENOTDIR || rc == -EACCES)
        return; /* it is gone, or cannot be read, which listing it will show */
    if (scan->unwatched_count++ == 0)
        scan->unwatched = err;
}

/* A model folder within another is walked by itself, and of two entries for one the first. */
static int on_folder(void *ctx, const char *path)
{
    struct walk *walk = ctx;
    bool itself = strcmp(path, root_of(walk)) == 0;

    if (is_root(walk, path, itself ? walk->root : walk->look->root_count))
        return 1;
    watch_folder(walk, path);
    return 0;
}

static const struct model_folder_events folder_events = {.on_folder = on_folder,
        .on_file = on_file,
        .on_projector = on_file,
        .on_problem = on_problem};

/* --- the model folders --- */

static int keep_file(struct walk *walk, const struct catalogue_file *known)
{
    struct catalogue_file *file = add_file(walk, known->path);
    char *path;

    if (file == NULL)
        return -ENOMEM;
    path = file->path;
    *file = *known;
    file->path = path;
    file->problem = NULL;
    file->name[0] = '\0';
    file->projector = NULL;
    file->kept = true;
    return known->problem == NULL ? 0 : catalogue_file_set_problem(file, known->problem);
}

/* What was known of this model folder, but for what was wrong with the folder itself. */
static int keep_known(struct walk *walk)
{
    const struct catalogue_scan *previous = walk->previous;
    int rc = 0;

    for (size_t i = 0; rc == 0 && previous != NULL && i < previous->file_count; i++)
        if (previous->files[i].root == walk->root && !previous->files[i].is_root)
            rc = keep_file(walk, &previous->files[i]);
    return rc;
}

/* That it appears is told of the folder above it. */
static void watch_above(struct walk *walk)
{
    const char *root = root_of(walk);
    int len = (int)(catalogue_file_base(root) - root);
    char folder[PATH_MAX];

    (void)snprintf(folder, sizeof folder, "%.*s", len == 0 ? 1 : len, len == 0 ? "." : root);
    watch_folder(walk, folder);
}

static int unreadable(struct walk *walk, int rc)
{
    bool absent = rc == -ENOENT || rc == -ENOTDIR;
    int kept = absent ? 0 : keep_known(walk);

    if (absent)
        watch_above(walk);
    return kept < 0 ? kept : on_problem(walk, root_of(walk), strerror(-rc));
}

static int walk_root(struct walk *walk)
{
    int rc = model_folder_walk(root_of(walk), &folder_events, walk);

    if (rc == -E2BIG)
        return on_problem(walk, root_of(walk),
                "too many files in all model folders; from here on they were not looked at");
    return rc < 0 && rc != -ENOMEM ? unreadable(walk, rc) : rc;
}

static int walk_roots(struct walk *walk)
{
    struct stat st;
    int rc = 0;

    for (size_t i = 0; i < walk->look->root_count; i++)
        if (stat(walk->look->roots[i], &st) == 0)
            walk->ids[i] = (struct root_id){.dev = st.st_dev, .ino = st.st_ino, .there = true};
    for (size_t i = 0; rc == 0 && i < walk->look->root_count; i++) {
        walk->root = i;
        rc = walk_root(walk);
    }
    return rc;
}

static int walk_watched(struct walk *walk)
{
    int rc;

    if (walk->look->watch == NULL)
        return walk_roots(walk);
    folder_watch_begin(walk->look->watch);
    rc = walk_roots(walk);
    folder_watch_end(walk->look->watch);
    return rc;
}

/* --- the files --- */

static int compare_files(const void *a, const void *b)
{
    return strcmp(
            ((const struct catalogue_file *)a)->path, ((const struct catalogue_file *)b)->path);
}

static const struct catalogue_file *find_file(const struct catalogue_scan *scan, const char *path)
{
    const struct catalogue_file key = {.path = (char *)path};

    if (scan == NULL || scan->file_count == 0)
        return NULL;
    return bsearch(&key, scan->files, scan->file_count, sizeof key, compare_files);
}

static int examine_all(struct walk *walk)
{
    struct catalogue_scan *scan = walk->scan;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < scan->file_count; i++) {
        struct catalogue_file *file = &scan->files[i];
        if (file->problem == NULL && !file->kept)
            rc = catalogue_file_examine(
                    file, find_file(walk->previous, file->path), walk->look->env, &scan->settle_ms);
    }
    return rc;
}

/* --- names --- */

static bool name_taken(const struct catalogue_scan *scan, const char *name)
{
    for (size_t i = 0; i < scan->file_count; i++)
        if (strcmp(scan->files[i].name, name) == 0)
            return true;
    return false;
}

static int name_file(struct walk *walk, struct catalogue_file *file)
{
    const char *root = walk->look->roots[file->root];
    char name[MODEL_FOLDER_NAME_SIZE];

    model_folder_name(root, file->path, false, name);
    if (name_taken(walk->scan, name))
        model_folder_name(root, file->path, true, name);
    if (strlen(name) > CATALOGUE_NAME_MAX ||
            rules_text(TEXT_MODEL_NAME, "name", name, strlen(name), NULL) < 0)
        return catalogue_file_set_problem(file,
                "its name is longer than 127 bytes or has other characters than letters, digits, "
                "spaces and ._:+-; rename it");
    if (name_taken(walk->scan, name))
        return catalogue_file_set_problem(
                file, "another file has the same name already; rename one of them");
    memcpy(file->name, name, strlen(name) + 1);
    return 0;
}

/* An earlier model folder chooses first. */
static int name_all(struct walk *walk)
{
    struct catalogue_scan *scan = walk->scan;
    int rc = 0;

    for (size_t root = 0; root < walk->look->root_count; root++)
        for (size_t i = 0; rc == 0 && i < scan->file_count; i++)
            if (scan->files[i].root == root && scan->files[i].is_model)
                rc = name_file(walk, &scan->files[i]);
    return rc;
}

/* --- projectors --- */

static bool same_folder(const struct catalogue_file *a, const struct catalogue_file *b)
{
    size_t len = (size_t)(catalogue_file_base(a->path) - a->path);

    return (size_t)(catalogue_file_base(b->path) - b->path) == len &&
           strncmp(a->path, b->path, len) == 0;
}

static bool same_family(const struct catalogue_file *a, const struct catalogue_file *b)
{
    return strcmp(a->info.architecture, b->info.architecture) == 0 &&
           a->shape.layers == b->shape.layers && a->shape.embedding == b->shape.embedding;
}

/* True where it is the only projector in its folder, and there is one family of models. */
static bool belongs_to_its_folder(
        const struct catalogue_scan *scan, const struct catalogue_file *projector)
{
    const struct catalogue_file *model = NULL;

    for (size_t i = 0; i < scan->file_count; i++) {
        const struct catalogue_file *file = &scan->files[i];
        if (file == projector || !same_folder(file, projector))
            continue;
        if (file->is_projector || (file->is_model && model != NULL && !same_family(file, model)))
            return false;
        if (file->is_model)
            model = file;
    }
    return model != NULL;
}

static void give_projectors(struct catalogue_scan *scan)
{
    for (size_t i = 0; i < scan->file_count; i++) {
        const struct catalogue_file *projector = &scan->files[i];
        if (!projector->is_projector || !belongs_to_its_folder(scan, projector))
            continue;
        for (size_t k = 0; k < scan->file_count; k++)
            if (scan->files[k].is_model && same_folder(&scan->files[k], projector))
                scan->files[k].projector = projector;
    }
}

/* --- the result --- */

static int compare_models(const void *a, const void *b)
{
    return strcmp(
            ((const struct catalogue_model *)a)->name, ((const struct catalogue_model *)b)->name);
}

static struct catalogue_model model_of(const struct catalogue_file *file)
{
    const struct catalogue_file *projector = file->projector;
    uint64_t context = file->info.context_length;

    return (struct catalogue_model){
            .name = file->name,
            .path = file->path,
            .file_bytes = file->stamp.bytes,
            .context = context > UINT32_MAX ? UINT32_MAX : (uint32_t)context,
            .architecture = file->info.architecture,
            .quantisation = file->info.quantisation,
            .modified_ns = file->modified_ns,
            .parameters = file->info.parameters,
            .capabilities = capabilities_of_file(&file->info),
            .shape = file->shape,
            .fingerprint = file->fingerprint,
            .projector = projector == NULL ? NULL : projector->path,
            .projector_bytes = projector == NULL ? 0 : projector->stamp.bytes,
            .projector_senses = projector == NULL ? 0 : capabilities_of_projector(&projector->info),
    };
}

static void publish(struct catalogue_scan *scan, const struct catalogue_file *file)
{
    if (file->problem != NULL)
        scan->problems[scan->problem_count++] = (struct catalogue_problem){
                .path = file->path, .text = file->problem, .is_root = file->is_root};
    else if (file->is_model)
        scan->models[scan->model_count++] = model_of(file);
}

static int publish_all(struct catalogue_scan *scan)
{
    size_t n = scan->file_count;

    if (n == 0)
        return 0;
    scan->models = calloc(n, sizeof *scan->models);
    scan->problems = calloc(n, sizeof *scan->problems);
    if (scan->models == NULL || scan->problems == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        publish(scan, &scan->files[i]);
    if (scan->model_count > 0)
        qsort(scan->models, scan->model_count, sizeof *scan->models, compare_models);
    return 0;
}

int catalogue_scan_create(const struct catalogue_look *look, const struct catalogue_scan *previous,
        struct catalogue_scan **ret_scan, struct err *err)
{
    struct walk walk = {.look = look, .previous = previous, .scan = calloc(1, sizeof *walk.scan)};
    struct catalogue_scan *scan = walk.scan;
    int rc = scan == NULL ? -ENOMEM : walk_watched(&walk);

    if (rc == 0 && scan->file_count > 0)
        qsort(scan->files, scan->file_count, sizeof *scan->files, compare_files);
    if (rc == 0)
        rc = examine_all(&walk);
    if (rc == 0)
        rc = name_all(&walk);
    if (rc == 0) {
        give_projectors(scan);
        rc = publish_all(scan);
    }
    if (rc < 0) {
        catalogue_scan_destroy(scan);
        return err_set(err, rc, "cannot look at the model folders: %s", strerror(-rc));
    }
    *ret_scan = scan;
    return 0;
}

void catalogue_scan_destroy(struct catalogue_scan *scan)
{
    if (scan == NULL)
        return;
    for (size_t i = 0; i < scan->file_count; i++) {
        free(scan->files[i].path);
        free(scan->files[i].problem);
    }
    free(scan->files);
    free(scan->models);
    free(scan->problems);
    free(scan);
}

const struct catalogue_model *catalogue_scan_find(
        const struct catalogue_scan *scan, const char *name)
{
    const struct catalogue_model key = {.name = name};

    if (scan->model_count == 0)
        return NULL;
    return bsearch(&key, scan->models, scan->model_count, sizeof key, compare_models);
}

const struct catalogue_model *catalogue_scan_find_path(
        const struct catalogue_scan *scan, const char *path)
{
    for (size_t i = 0; i < scan->model_count; i++)
        if (strcmp(scan->models[i].path, path) == 0)
            return &scan->models[i];
    return NULL;
}

bool catalogue_scan_projector(const struct catalogue_scan *scan, const char *path,
        struct catalogue_projector *ret_projector)
{
    const struct catalogue_file *file = find_file(scan, path);

    if (file == NULL || !file->is_projector)
        return false;
    *ret_projector = (struct catalogue_projector){
            .bytes = file->stamp.bytes, .senses = capabilities_of_projector(&file->info)};
    return true;
}

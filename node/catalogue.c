#include "node/catalogue.h"

#include "common/log.h"
#include "common/model/gguf.h"
#include "node/capabilities.h"
#include "proto/rules.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct catalogue_file {
    char *path;
    char *problem; /* NULL: none */
    bool is_model;
    uint64_t size_bytes; /* of this file */
    int64_t modified_ns;
    uint64_t total_bytes; /* with the other parts of a split */
    struct gguf_info info;
    char name[CATALOGUE_NAME_MAX + 1]; /* "" where it is not offered */
};

/* A scan in the making. */
struct walk {
    struct catalogue_scan *scan;
    size_t file_cap, entries;
    const char *root;
};

static const char suffix[] = ".gguf";

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

static bool has_suffix(const char *name)
{
    size_t len = strlen(name);

    return len > sizeof suffix - 1 && strcmp(name + len - (sizeof suffix - 1), suffix) == 0;
}

static int64_t modified_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static struct catalogue_file *add_file(struct walk *walk, const char *path)
{
    struct catalogue_scan *scan = walk->scan;
    struct catalogue_file *file;

    if (scan->file_count == walk->file_cap) {
        size_t cap = walk->file_cap == 0 ? 64 : walk->file_cap * 2;
        struct catalogue_file *grown = realloc(scan->files, cap * sizeof *grown);
        if (grown == NULL)
            return NULL;
        scan->files = grown;
        walk->file_cap = cap;
    }
    file = &scan->files[scan->file_count];
    memset(file, 0, sizeof *file);
    file->path = strdup(path);
    if (file->path == NULL)
        return NULL;
    scan->file_count++;
    return file;
}

static int set_problem(struct catalogue_file *file, const char *text)
{
    free(file->problem);
    file->problem = strdup(text);
    file->is_model = false;
    return file->problem == NULL ? -ENOMEM : 0;
}

/* A problem with a folder or with the scan itself. */
static int add_problem(struct walk *walk, const char *path, const char *text)
{
    struct catalogue_file *file = add_file(walk, path);

    return file == NULL ? -ENOMEM : set_problem(file, text);
}

/* --- walking the folders --- */

static int walk_folder(struct walk *walk, const char *folder, unsigned depth);

static int add_gguf(struct walk *walk, const char *path, const struct stat *st)
{
    struct catalogue_file *file = add_file(walk, path);

    if (file == NULL)
        return -ENOMEM;
    file->is_model = true;
    file->size_bytes = (uint64_t)st->st_size;
    file->modified_ns = modified_ns(st);
    return 0;
}

static int walk_entry(struct walk *walk, const char *path, const char *name, unsigned depth)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return 0; /* gone since it was listed */
    if (S_ISDIR(st.st_mode))
        return depth < CATALOGUE_DEPTH_MAX
                       ? walk_folder(walk, path, depth + 1)
                       : add_problem(walk, path, "folders nested too deep; not read");
    if (!has_suffix(name) || strncmp(name, "mmproj", 6) == 0)
        return 0;
    if (S_ISLNK(st.st_mode) && stat(path, &st) < 0)
        return add_problem(walk, path, "a symbolic link that leads nowhere");
    return S_ISREG(st.st_mode) ? add_gguf(walk, path, &st) : 0;
}

static bool walk_full(const struct walk *walk)
{
    return walk->scan->file_count >= CATALOGUE_FILES_MAX || walk->entries >= CATALOGUE_ENTRIES_MAX;
}

static int walk_folder(struct walk *walk, const char *folder, unsigned depth)
{
    char path[PATH_MAX];
    struct dirent *entry;
    DIR *dir = opendir(folder);
    int rc = 0;

    if (dir == NULL)
        return depth == 0 ? -errno : add_problem(walk, folder, strerror(errno));
    while (rc == 0 && !walk_full(walk) && (entry = readdir(dir)) != NULL) {
        walk->entries++;
        if (entry->d_name[0] == '.')
            continue;
        if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= sizeof path)
            rc = add_problem(walk, folder, "a path in this folder is too long");
        else
            rc = walk_entry(walk, path, entry->d_name, depth);
    }
    closedir(dir);
    return rc;
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(
            ((const struct catalogue_file *)a)->path, ((const struct catalogue_file *)b)->path);
}

/* --- looking into the files --- */

static const struct catalogue_file *find_known(
        const struct catalogue_scan *previous, const struct catalogue_file *file)
{
    const struct catalogue_file *known;

    if (previous == NULL || previous->file_count == 0)
        return NULL;
    known = bsearch(file, previous->files, previous->file_count, sizeof *file, compare_files);
    if (known == NULL || known->size_bytes != file->size_bytes ||
            known->modified_ns != file->modified_ns)
        return NULL;
    return known->info.version != 0 ? known : NULL;
}

static int read_info(struct catalogue_file *file)
{
    struct err err;
    int rc, fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return set_problem(file, strerror(errno));
    rc = gguf_parse_fd(fd, file->size_bytes, &file->info, &err);
    close(fd);
    return rc < 0 ? set_problem(file, err.text) : 0;
}

/* The name without folder, ".gguf" and split suffix; `*ret_parts` is 1 where it is not split. */
static void file_stem(
        const char *path, char ret_stem[NAME_MAX + 1], unsigned *ret_part, unsigned *ret_parts)
{
    const char *base = base_name(path);
    size_t len = strlen(base) - (sizeof suffix - 1);

    memcpy(ret_stem, base, len);
    ret_stem[len] = '\0';
    *ret_part = *ret_parts = 1;
    if (gguf_split_name(ret_stem, &len, ret_part, ret_parts))
        ret_stem[len] = '\0';
}

static int part_size(const struct catalogue_file *file, const char *stem, unsigned part,
        unsigned parts, uint64_t *ret_bytes)
{
    int folder_len = (int)(base_name(file->path) - file->path);
    char path[PATH_MAX];
    struct stat st;

    if ((size_t)snprintf(path, sizeof path, "%.*s%s-%05u-of-%05u%s", folder_len, file->path, stem,
                part, parts, suffix) >= sizeof path)
        return -ENAMETOOLONG;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return -ENOENT;
    *ret_bytes = (uint64_t)st.st_size;
    return 0;
}

static int missing_part(struct catalogue_file *file, unsigned part, unsigned parts)
{
    char text[80];

    (void)snprintf(text, sizeof text, "part %u of %u is missing beside it", part, parts);
    return set_problem(file, text);
}

/* Of a split the first part stands for all; the others are no models. */
static int sum_parts(struct catalogue_file *file)
{
    char stem[NAME_MAX + 1];
    unsigned part, parts;
    uint64_t bytes;

    file_stem(file->path, stem, &part, &parts);
    file->total_bytes = file->size_bytes;
    if (part > 1) {
        file->is_model = false;
        return part_size(file, stem, 1, parts, &bytes) < 0 ? missing_part(file, 1, parts) : 0;
    }
    for (unsigned i = 2; i <= parts; i++) {
        if (part_size(file, stem, i, parts, &bytes) < 0)
            return missing_part(file, i, parts);
        file->total_bytes =
                bytes > UINT64_MAX - file->total_bytes ? UINT64_MAX : file->total_bytes + bytes;
    }
    return 0;
}

static int check_split(struct catalogue_file *file)
{
    char stem[NAME_MAX + 1], text[160];
    unsigned part, parts;

    file_stem(file->path, stem, &part, &parts);
    if (file->info.split_count <= 1 ? parts == 1
                                    : file->info.split_count == parts && file->info.split_no == 0)
        return 0;
    (void)snprintf(text, sizeof text,
            "its metadata says part %u of %u, which is not what its name says; engines find the "
            "parts by name",
            file->info.split_no + 1u, file->info.split_count == 0 ? 1u : file->info.split_count);
    return set_problem(file, text);
}

static int examine(struct catalogue_file *file, const struct catalogue_scan *previous)
{
    const struct catalogue_file *known;
    int rc = sum_parts(file);

    if (rc < 0 || !file->is_model)
        return rc;
    known = find_known(previous, file);
    if (known != NULL)
        file->info = known->info;
    else
        rc = read_info(file);
    if (rc < 0 || !file->is_model)
        return rc;
    file->is_model = gguf_is_model(&file->info);
    return file->is_model ? check_split(file) : 0;
}

/* --- names --- */

static bool name_taken(const struct catalogue_scan *scan, size_t before, const char *name)
{
    for (size_t i = 0; i < before; i++)
        if (strcmp(scan->files[i].name, name) == 0)
            return true;
    return false;
}

/* The last folder of `path`, "" where that is the root. */
static void parent_name(const char *root, const char *path, char ret_name[NAME_MAX + 1])
{
    const char *begin = path + strlen(root) + 1, *end = base_name(path) - 1, *at = end;

    ret_name[0] = '\0';
    if (end <= begin)
        return;
    while (at > begin && at[-1] != '/')
        at--;
    memcpy(ret_name, at, (size_t)(end - at));
    ret_name[end - at] = '\0';
}

static bool stem_is_generic(const char *stem)
{
    return strcmp(stem, "model") == 0 || strncmp(stem, "ggml-model", 10) == 0;
}

static int name_file(struct walk *walk, size_t index)
{
    struct catalogue_file *file = &walk->scan->files[index];
    char stem[NAME_MAX + 1], parent[NAME_MAX + 1], name[2 * NAME_MAX + 2];
    unsigned part, parts;

    file_stem(file->path, stem, &part, &parts);
    parent_name(walk->root, file->path, parent);
    (void)snprintf(
            name, sizeof name, "%s", stem_is_generic(stem) && parent[0] != '\0' ? parent : stem);
    if (name_taken(walk->scan, index, name) && parent[0] != '\0')
        (void)snprintf(name, sizeof name, "%s/%s", parent, stem);
    if (strlen(name) > CATALOGUE_NAME_MAX ||
            rules_text(TEXT_MODEL_NAME, "name", name, strlen(name), NULL) < 0)
        return set_problem(file, "its name is longer than 127 bytes or has other characters than "
                                 "letters, digits, spaces and "
                                 "._:+-; rename it");
    if (name_taken(walk->scan, index, name))
        return set_problem(file, "another file has the same name already; rename one of them");
    memcpy(file->name, name, strlen(name) + 1);
    return 0;
}

/* --- the result --- */

static int compare_models(const void *a, const void *b)
{
    return strcmp(
            ((const struct catalogue_model *)a)->name, ((const struct catalogue_model *)b)->name);
}

static void publish(struct catalogue_scan *scan, const struct catalogue_file *file)
{
    uint64_t context = file->info.context_length;

    if (file->problem != NULL)
        scan->problems[scan->problem_count++] =
                (struct catalogue_problem){.path = file->path, .text = file->problem};
    else if (file->is_model)
        scan->models[scan->model_count++] = (struct catalogue_model){
                .name = file->name,
                .path = file->path,
                .file_bytes = file->total_bytes,
                .context = context > UINT32_MAX ? UINT32_MAX : (uint32_t)context,
                .architecture = file->info.architecture,
                .quantisation = file->info.quantisation,
                .modified_ns = file->modified_ns,
                .parameters = file->info.split_count > 1 ? 0 : file->info.parameters,
                .capabilities = capabilities_of_file(&file->info),
        };
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

static int examine_all(struct walk *walk, const struct catalogue_scan *previous)
{
    struct catalogue_scan *scan = walk->scan;
    int rc = 0;

    if (scan->file_count > 0)
        qsort(scan->files, scan->file_count, sizeof *scan->files, compare_files);
    for (size_t i = 0; rc == 0 && i < scan->file_count; i++) {
        if (scan->files[i].is_model)
            rc = examine(&scan->files[i], previous);
        if (rc == 0 && scan->files[i].is_model)
            rc = name_file(walk, i);
    }
    return rc == 0 ? publish_all(scan) : rc;
}

int catalogue_scan_create(const char *root, const struct catalogue_scan *previous,
        struct catalogue_scan **ret_scan, struct err *err)
{
    struct walk walk = {.root = root, .scan = calloc(1, sizeof *walk.scan)};
    int rc = walk.scan == NULL ? -ENOMEM : walk_folder(&walk, root, 0);

    if (rc == 0 && walk_full(&walk))
        rc = add_problem(&walk, root, "too many files below this folder; not all were looked at");
    if (rc == 0)
        rc = examine_all(&walk, previous);
    if (rc < 0) {
        catalogue_scan_destroy(walk.scan);
        return err_set(err, rc, "cannot scan the model folder %s: %s", root, strerror(-rc));
    }
    *ret_scan = walk.scan;
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

/* --- on the loop --- */

struct catalogue {
    struct loop *loop;
    const struct catalogue_events *events; /* NULL once destroyed */
    void *ctx;
    struct loop_timer *timer;
    uv_work_t work;
    bool running, again;
    struct catalogue_scan *now, *next; /* `next` belongs to the work while it runs */
    struct err last_error;             /* told already */
    struct err work_error;
    int work_result;
    char root[];
};

static void start_scan(struct catalogue *catalogue);

static void on_work(uv_work_t *work)
{
    struct catalogue *catalogue = work->data;

    catalogue->work_result = catalogue_scan_create(
            catalogue->root, catalogue->now, &catalogue->next, &catalogue->work_error);
}

static bool problem_known(
        const struct catalogue_scan *scan, const struct catalogue_problem *problem)
{
    for (size_t i = 0; scan != NULL && i < scan->problem_count; i++)
        if (strcmp(scan->problems[i].path, problem->path) == 0 &&
                strcmp(scan->problems[i].text, problem->text) == 0)
            return true;
    return false;
}

static void tell_problems(const struct catalogue_scan *before, const struct catalogue_scan *after)
{
    for (size_t i = 0; i < after->problem_count; i++)
        if (!problem_known(before, &after->problems[i]))
            log_warn("model file skipped", LOG_S("path", after->problems[i].path),
                    LOG_S("reason", after->problems[i].text));
}

static bool same_file(const struct catalogue_model *a, const struct catalogue_model *b)
{
    return strcmp(a->path, b->path) == 0 && a->file_bytes == b->file_bytes &&
           a->modified_ns == b->modified_ns;
}

/* Merges two lists that are sorted by name. */
static void tell_models(struct catalogue *catalogue, const struct catalogue_scan *before,
        const struct catalogue_scan *after)
{
    size_t i = 0, k = 0, old_count = before == NULL ? 0 : before->model_count;

    while (i < old_count || k < after->model_count) {
        int order = i == old_count ? 1
                    : k == after->model_count
                            ? -1
                            : compare_models(&before->models[i], &after->models[k]);
        if (order < 0)
            catalogue->events->on_gone(catalogue->ctx, before->models[i].name);
        else if (order > 0 || !same_file(&before->models[i], &after->models[k]))
            catalogue->events->on_model(catalogue->ctx, &after->models[k]);
        i += order <= 0;
        k += order >= 0;
    }
}

static void take_scan(struct catalogue *catalogue)
{
    struct catalogue_scan *before = catalogue->now;

    catalogue->now = catalogue->next;
    catalogue->next = NULL;
    catalogue->last_error.text[0] = '\0';
    tell_problems(before, catalogue->now);
    tell_models(catalogue, before, catalogue->now);
    catalogue->events->on_scanned(catalogue->ctx, catalogue->now->model_count);
    catalogue_scan_destroy(before);
}

/* A folder that cannot be read keeps what is known: a network folder may be away for a moment. */
static void take_failure(struct catalogue *catalogue)
{
    if (strcmp(catalogue->last_error.text, catalogue->work_error.text) != 0)
        log_error("model folder unreadable", LOG_S("reason", catalogue->work_error.text));
    catalogue->last_error = catalogue->work_error;
    catalogue->events->on_scanned(
            catalogue->ctx, catalogue->now == NULL ? 0 : catalogue->now->model_count);
}

static void catalogue_free(struct catalogue *catalogue)
{
    catalogue_scan_destroy(catalogue->now);
    catalogue_scan_destroy(catalogue->next);
    free(catalogue);
}

static void after_work(uv_work_t *work, int status)
{
    struct catalogue *catalogue = work->data;

    catalogue->running = false;
    if (catalogue->events == NULL) {
        catalogue_free(catalogue);
        return;
    }
    if (status == 0 && catalogue->work_result == 0)
        take_scan(catalogue);
    else if (status == 0)
        take_failure(catalogue);
    if (catalogue->again)
        start_scan(catalogue);
}

static void start_scan(struct catalogue *catalogue)
{
    catalogue->again = false;
    catalogue->work.data = catalogue;
    catalogue->running =
            uv_queue_work(&catalogue->loop->uv, &catalogue->work, on_work, after_work) == 0;
}

void catalogue_rescan(struct catalogue *catalogue)
{
    if (catalogue->running)
        catalogue->again = true;
    else
        start_scan(catalogue);
}

static void on_timer(void *ctx)
{
    struct catalogue *catalogue = ctx;

    if (!catalogue->running)
        start_scan(catalogue);
}

struct catalogue *catalogue_create(
        struct loop *loop, const char *root, const struct catalogue_events *events, void *ctx)
{
    size_t len = strlen(root);
    struct catalogue *catalogue = calloc(1, sizeof *catalogue + len + 1);

    if (catalogue == NULL)
        return NULL;
    while (len > 1 && root[len - 1] == '/')
        len--;
    memcpy(catalogue->root, root, len);
    catalogue->loop = loop;
    catalogue->events = events;
    catalogue->ctx = ctx;
    catalogue->timer = loop_timer_create(loop, on_timer, catalogue);
    if (catalogue->timer == NULL) {
        free(catalogue);
        return NULL;
    }
    loop_timer_start(catalogue->timer, CATALOGUE_RESCAN_MS, CATALOGUE_RESCAN_MS);
    start_scan(catalogue);
    return catalogue;
}

void catalogue_destroy(struct catalogue *catalogue)
{
    if (catalogue == NULL)
        return;
    loop_timer_destroy(catalogue->timer);
    catalogue->events = NULL;
    if (!catalogue->running)
        catalogue_free(catalogue);
}

#include "common/model/model_folder.h"

#include "common/model/gguf.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct walk {
    const struct model_folder_events *events;
    void *ctx;
    size_t files, entries;
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

static bool is_full(const struct walk *walk)
{
    return walk->files >= MODEL_FOLDER_FILES_MAX || walk->entries >= MODEL_FOLDER_ENTRIES_MAX;
}

static int tell_problem(struct walk *walk, const char *path, const char *text)
{
    walk->files++;
    return walk->events->on_problem(walk->ctx, path, text);
}

bool model_folder_is_projector(const char *path)
{
    return strncmp(base_name(path), "mmproj", 6) == 0;
}

static int tell_file(struct walk *walk, const char *path, const struct stat *st)
{
    const struct model_folder_events *events = walk->events;

    walk->files++;
    return model_folder_is_projector(path) ? events->on_projector(walk->ctx, path, st)
                                           : events->on_file(walk->ctx, path, st);
}

static bool is_wanted(const struct walk *walk, const char *name)
{
    return has_suffix(name) &&
           (walk->events->on_projector != NULL || !model_folder_is_projector(name));
}

static int walk_folder(struct walk *walk, const char *folder, unsigned depth);

static int walk_entry(struct walk *walk, const char *path, const char *name, unsigned depth)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 /* gone since it was listed */ : -errno;
    if (S_ISDIR(st.st_mode))
        return depth < MODEL_FOLDER_DEPTH_MAX
                       ? walk_folder(walk, path, depth + 1)
                       : tell_problem(walk, path, "folders nested too deep; not read");
    if (!is_wanted(walk, name))
        return 0;
    if (S_ISLNK(st.st_mode) && stat(path, &st) < 0)
        return tell_problem(walk, path, "a symbolic link that leads nowhere");
    return S_ISREG(st.st_mode) ? tell_file(walk, path, &st) : 0;
}

static int walk_entries(struct walk *walk, const char *folder, DIR *dir, unsigned depth)
{
    char path[PATH_MAX];
    struct dirent *entry;
    int rc = 0;

    while (rc == 0 && !is_full(walk)) {
        errno = 0;
        entry = readdir(dir);
        if (entry == NULL)
            return -errno;
        walk->entries++;
        if (entry->d_name[0] == '.')
            continue;
        if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= sizeof path)
            rc = tell_problem(walk, folder, "a path in this folder is too long");
        else
            rc = walk_entry(walk, path, entry->d_name, depth);
    }
    return rc;
}

/* A network folder that does not answer now: what is in it is not known, and not gone. */
static bool is_away(int error)
{
    return error == EIO || error == ESTALE || error == ETIMEDOUT || error == EHOSTDOWN;
}

static int walk_folder(struct walk *walk, const char *folder, unsigned depth)
{
    int rc = walk->events->on_folder == NULL ? 0 : walk->events->on_folder(walk->ctx, folder);
    DIR *dir;

    if (rc != 0)
        return rc < 0 ? rc : 0;
    dir = opendir(folder);
    if (dir == NULL)
        return depth == 0 || is_away(errno) ? -errno : tell_problem(walk, folder, strerror(errno));
    rc = walk_entries(walk, folder, dir, depth);
    closedir(dir);
    return rc;
}

int model_folder_walk(const char *root, const struct model_folder_events *events, void *ctx)
{
    struct walk walk = {.events = events, .ctx = ctx};
    int rc = walk_folder(&walk, root, 0);

    if (rc == 0 && is_full(&walk))
        rc = tell_problem(&walk, root, "too many files below this folder; not all were looked at");
    return rc;
}

void model_folder_stem(
        const char *path, char ret_stem[NAME_MAX + 1], unsigned *ret_part, unsigned *ret_parts)
{
    const char *base = base_name(path);
    size_t len = strlen(base);

    if (has_suffix(base))
        len -= sizeof suffix - 1;
    if (len > NAME_MAX)
        len = NAME_MAX;
    memcpy(ret_stem, base, len);
    ret_stem[len] = '\0';
    *ret_part = *ret_parts = 1;
    if (gguf_split_name(ret_stem, &len, ret_part, ret_parts))
        ret_stem[len] = '\0';
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

static bool is_generic(const char *stem)
{
    return strcmp(stem, "model") == 0 || strncmp(stem, "ggml-model", 10) == 0;
}

void model_folder_name(
        const char *root, const char *path, bool again, char ret_name[MODEL_FOLDER_NAME_SIZE])
{
    char stem[NAME_MAX + 1], parent[NAME_MAX + 1];
    unsigned part, parts;

    model_folder_stem(path, stem, &part, &parts);
    parent_name(root, path, parent);
    if (parent[0] == '\0' || (!again && !is_generic(stem)))
        (void)snprintf(ret_name, MODEL_FOLDER_NAME_SIZE, "%s", stem);
    else if (again)
        (void)snprintf(ret_name, MODEL_FOLDER_NAME_SIZE, "%s/%s", parent, stem);
    else
        (void)snprintf(ret_name, MODEL_FOLDER_NAME_SIZE, "%s", parent);
}

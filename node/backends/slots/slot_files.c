#include "node/backends/slots/slot_files.h"

#include "common/file.h"
#include "common/number.h"
#include "common/saturating.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct slot_files {
    const struct env *env;
    uint64_t max_bytes, promised_bytes;
    char folder[];
};

struct found { /* a file, while all are looked through */
    char path[PATH_MAX];
    uint64_t bytes;
    int64_t written_s;
};

/* --- names --- */

void slot_file_name(struct slot_file *file)
{
    (void)snprintf(file->name, sizeof(file->name), "%016" PRIx64 "-%" PRIu32 ".state",
            file->session, file->slot);
}

static bool parse_name(const char *name, struct slot_file *ret_file)
{
    struct slot_file file = {0};

    if (strlen(name) >= sizeof(file.name) ||
            sscanf(name, "%16" SCNx64 "-%10" SCNu32, &file.session, &file.slot) != 2)
        return false;
    slot_file_name(&file);
    if (strcmp(file.name, name) != 0)
        return false;
    *ret_file = file;
    return true;
}

static const char part_suffix[] = ".part";
_Static_assert(SLOT_FILE_PART_MAX == SLOT_FILE_NAME_MAX + sizeof(part_suffix) - 1, "its length");

void slot_file_part(const struct slot_file *file, char ret_name[SLOT_FILE_PART_MAX])
{
    (void)snprintf(ret_name, SLOT_FILE_PART_MAX, "%s%s", file->name, part_suffix);
}

static bool is_part(const char *name)
{
    size_t len = strlen(name), suffix = sizeof(part_suffix) - 1;

    return len >= suffix && strcmp(name + len - suffix, part_suffix) == 0;
}

static void remove_entry(void *ctx, const char *folder, const char *name)
{
    char path[PATH_MAX];

    (void)ctx;
    if (file_join(path, sizeof(path), folder, name) == 0)
        (void)unlink(path);
}

bool slot_file_keep(const char *folder, const struct slot_file *file)
{
    char part[SLOT_FILE_PART_MAX], from[PATH_MAX], to[PATH_MAX];

    slot_file_part(file, part);
    return file_join(from, sizeof(from), folder, part) == 0 &&
           file_join(to, sizeof(to), folder, file->name) == 0 && rename(from, to) == 0;
}

void slot_file_remove(const char *folder, const struct slot_file *file)
{
    char part[SLOT_FILE_PART_MAX];

    slot_file_part(file, part);
    remove_entry(NULL, folder, part);
    remove_entry(NULL, folder, file->name);
}

/* --- all of them --- */

/* Or from a day that is still to come: a clock was wrong, and it would stay for too long. */
static bool is_old(const struct slot_files *files, int64_t written_s)
{
    int64_t age_s = env_wall_ms(files->env) / 1000 - written_s;

    return age_s > SLOT_FILES_AGE_S || age_s < -SLOT_FILES_AGE_S;
}

typedef void (*entry_fn)(void *ctx, const char *folder, const char *name);

static void each_entry(const char *folder, entry_fn fn, void *ctx)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    if (!dir)
        return;
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            fn(ctx, folder, entry->d_name);
    closedir(dir);
}

/* The oldest of those that are looked through, and what all take. */
struct survey {
    const struct slot_files *files;
    uint64_t bytes;
    struct found oldest;
};

static void survey_file(void *ctx, const char *folder, const char *name)
{
    struct survey *survey = ctx;
    struct found found = {.bytes = 0};
    struct stat st;

    if (file_join(found.path, sizeof(found.path), folder, name) < 0 || lstat(found.path, &st) < 0)
        return;
    if (!S_ISREG(st.st_mode) || is_old(survey->files, st.st_mtime)) {
        (void)unlink(found.path);
        return;
    }
    if (is_part(name))
        return;
    found.bytes = (uint64_t)st.st_size;
    found.written_s = st.st_mtime;
    survey->bytes += found.bytes;
    if (!survey->oldest.path[0] || found.written_s < survey->oldest.written_s)
        survey->oldest = found;
}

static void survey_key(void *ctx, const char *folder, const char *name)
{
    char path[PATH_MAX];

    if (file_join(path, sizeof(path), folder, name) == 0)
        each_entry(path, survey_file, ctx);
}

static void survey_all(const struct slot_files *files, struct survey *ret_survey)
{
    *ret_survey = (struct survey){.files = files};
    each_entry(files->folder, survey_key, ret_survey);
}

void slot_files_prune(const struct slot_files *files)
{
    struct survey survey;

    survey_all(files, &survey);
    while (saturating_sum(survey.bytes, files->promised_bytes) > files->max_bytes &&
            survey.oldest.path[0] && unlink(survey.oldest.path) == 0)
        survey_all(files, &survey);
}

uint64_t slot_files_room(const struct slot_files *files)
{
    struct statvfs disk;
    uint64_t most;

    if (statvfs(files->folder, &disk) < 0)
        return 0;
    most = saturating_product(disk.f_bavail, disk.f_frsize) / SLOT_FILES_FREE_DIVISOR;
    return saturating_difference(number_lesser(most, files->max_bytes), files->promised_bytes);
}

void slot_files_promise(struct slot_files *files, uint64_t bytes)
{
    files->promised_bytes = saturating_sum(files->promised_bytes, bytes);
    slot_files_prune(files);
}

void slot_files_take_back(struct slot_files *files, uint64_t bytes)
{
    files->promised_bytes = saturating_difference(files->promised_bytes, bytes);
}

/* --- of one key --- */

int slot_files_folder(
        const struct slot_files *files, const char *key, char ret_path[PATH_MAX], struct err *err)
{
    int r = file_join(ret_path, PATH_MAX, files->folder, key);

    if (r < 0)
        return err_set(err, r, "%s is too long a folder", files->folder);
    return file_make_private_dir(ret_path, err);
}

static void remove_part(void *ctx, const char *folder, const char *name)
{
    if (is_part(name))
        remove_entry(ctx, folder, name);
}

void slot_files_drop_parts(const char *folder)
{
    each_entry(folder, remove_part, NULL);
}

struct listing {
    const struct slot_files *files;
    struct slot_file *list;
    size_t count;
};

static void list_file(void *ctx, const char *folder, const char *name)
{
    struct listing *listing = ctx;
    struct slot_file file;
    char path[PATH_MAX];
    struct stat st;

    if (is_part(name) || file_join(path, sizeof(path), folder, name) < 0 || lstat(path, &st) < 0)
        return;
    if (!S_ISREG(st.st_mode) || is_old(listing->files, st.st_mtime) || !parse_name(name, &file))
        (void)unlink(path);
    else if (listing->count < SLOT_FILES_MAX)
        listing->list[listing->count++] = file;
}

size_t slot_files_list(const struct slot_files *files, const char *folder,
        struct slot_file ret_list[SLOT_FILES_MAX])
{
    struct listing listing = {.files = files, .list = ret_list};

    each_entry(folder, list_file, &listing);
    return listing.count;
}

/* --- life --- */

static void remove_key(void *ctx, const char *folder, const char *name)
{
    char path[PATH_MAX];

    (void)ctx;
    if (file_join(path, sizeof(path), folder, name) < 0)
        return;
    each_entry(path, remove_entry, NULL);
    (void)rmdir(path);
}

static void remove_all(const char *folder)
{
    each_entry(folder, remove_key, NULL);
    (void)rmdir(folder);
}

/* No engine writes yet. A key's folder stays where it has files that are whole. */
static void tidy_key(void *ctx, const char *folder, const char *name)
{
    char path[PATH_MAX];

    (void)ctx;
    if (file_join(path, sizeof(path), folder, name) < 0)
        return;
    slot_files_drop_parts(path);
    (void)rmdir(path);
}

int slot_files_open(const char *folder, uint64_t max_bytes, const struct env *env,
        struct slot_files **ret_files, struct err *err)
{
    size_t size = strlen(folder) + 1;
    struct slot_files *files;
    int r;

    if (max_bytes == 0) {
        remove_all(folder);
        *ret_files = NULL;
        return 0;
    }
    r = file_make_private_dir(folder, err);
    if (r < 0)
        return r;
    files = calloc(1, sizeof(*files) + size);
    if (!files)
        return err_set(err, -ENOMEM, "no memory for the states of slots");
    files->env = env;
    files->max_bytes = max_bytes;
    memcpy(files->folder, folder, size);
    slot_files_prune(files);
    each_entry(files->folder, tidy_key, NULL);
    *ret_files = files;
    return 0;
}

void slot_files_close(struct slot_files *files)
{
    free(files);
}

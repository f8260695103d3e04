#include "node/models/catalogue_file.h"

#include "common/model/model_file.h"
#include "common/model/model_folder.h"
#include "common/saturating.h"
#include "node/models/file_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NS_PER_MS = 1000000 };

struct split { /* how the name of a file is to be read */
    char stem[NAME_MAX + 1];
    unsigned part, parts; /* 1, 1: not split */
};

const char *catalogue_file_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

static struct split split_of(const char *path)
{
    struct split split;

    model_folder_stem(path, split.stem, &split.part, &split.parts);
    return split;
}

int catalogue_file_set_problem(struct catalogue_file *file, const char *text)
{
    free(file->problem);
    file->problem = strdup(text);
    file->is_model = file->is_projector = false;
    return file->problem == NULL ? -ENOMEM : 0;
}

/* --- all parts --- */

static int64_t modified_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static void see_part(struct catalogue_file *file, const struct stat *st)
{
    file->stamp.bytes = saturating_sum(file->stamp.bytes, (uint64_t)st->st_size);
    file->stamp.times += (uint64_t)modified_ns(st);
    if (modified_ns(st) > file->last_modified_ns)
        file->last_modified_ns = modified_ns(st);
}

void catalogue_file_see(struct catalogue_file *file, const struct stat *st)
{
    file->modified_ns = modified_ns(st);
    see_part(file, st);
}

static bool part_path(const struct catalogue_file *file, const struct split *split, unsigned part,
        char ret_path[PATH_MAX])
{
    int folder_len = (int)(catalogue_file_base(file->path) - file->path);

    return (size_t)snprintf(ret_path, PATH_MAX, "%.*s%s-%05u-of-%05u" CATALOGUE_SUFFIX, folder_len,
                   file->path, split->stem, part, split->parts) < PATH_MAX;
}

static bool stat_part(const struct catalogue_file *file, const struct split *split, unsigned part,
        struct stat *ret_st)
{
    char path[PATH_MAX];

    return part_path(file, split, part, path) && stat(path, ret_st) == 0 &&
           S_ISREG(ret_st->st_mode);
}

static int missing_part(struct catalogue_file *file, const struct split *split, unsigned part)
{
    char text[80];

    (void)snprintf(text, sizeof text, "part %u of %u is missing beside it", part, split->parts);
    return catalogue_file_set_problem(file, text);
}

/* Of a split the first part stands for all; the others are no models. */
static int see_other_parts(struct catalogue_file *file, const struct split *split)
{
    struct stat st;

    if (split->part > 1) {
        file->is_model = false;
        return stat_part(file, split, 1, &st) ? 0 : missing_part(file, split, 1);
    }
    for (unsigned part = 2; part <= split->parts; part++) {
        if (!stat_part(file, split, part, &st))
            return missing_part(file, split, part);
        see_part(file, &st);
    }
    return 0;
}

/* --- being written --- */

static bool same_stamp(const struct catalogue_file *a, const struct catalogue_file *b)
{
    return a->stamp.bytes == b->stamp.bytes && a->stamp.times == b->stamp.times;
}

/* A time to come, as by another host's clock, says nothing. */
static uint64_t age_ms(const struct catalogue_file *file, const struct env *env)
{
    int64_t written_ms = file->last_modified_ns / NS_PER_MS, now_ms = env_wall_ms(env);

    return now_ms <= written_ms ? 0 : (uint64_t)(now_ms - written_ms);
}

static uint64_t quiet_since(const struct catalogue_file *file, const struct catalogue_file *before,
        const struct env *env)
{
    uint64_t now_ms = env_now_ms(env), age = age_ms(file, env);

    if (before != NULL)
        return same_stamp(file, before) ? before->since_ms : now_ms;
    return age < now_ms ? now_ms - age : 0;
}

static enum file_writer writer_of_parts(
        const struct catalogue_file *file, const struct split *split)
{
    enum file_writer writer = file_writer_of(file->path);
    char path[PATH_MAX];

    for (unsigned part = 2; part <= split->parts && writer == FILE_WRITER_NONE; part++)
        if (part_path(file, split, part, path))
            writer = file_writer_of(path);
    return writer;
}

static void look_again(uint64_t *settle_ms, uint64_t wait_ms)
{
    if (*settle_ms == 0 || wait_ms < *settle_ms)
        *settle_ms = wait_ms;
}

/* Who holds the file open for long without writing may do so forever: that is told. */
static int settle(struct catalogue_file *file, const struct split *split, const struct env *env,
        uint64_t *settle_ms)
{
    uint64_t quiet_ms = env_now_ms(env) - file->since_ms;
    enum file_writer writer = FILE_WRITER_UNKNOWN;

    if (quiet_ms >= CATALOGUE_CLOSED_MS)
        writer = writer_of_parts(file, split);
    if (writer == FILE_WRITER_SOME && quiet_ms >= CATALOGUE_SETTLE_MS)
        return catalogue_file_set_problem(
                file, "another program has it open for writing; offered once that has closed it");
    file->settled = writer == FILE_WRITER_NONE ||
                    (writer == FILE_WRITER_UNKNOWN && quiet_ms >= CATALOGUE_SETTLE_MS);
    if (file->settled)
        return 0;
    file->is_model = false;
    look_again(settle_ms,
            (quiet_ms < CATALOGUE_CLOSED_MS ? CATALOGUE_CLOSED_MS : CATALOGUE_SETTLE_MS) -
                    quiet_ms);
    return 0;
}

/* --- what it holds --- */

static void sort_out(struct catalogue_file *file)
{
    file->is_projector = model_folder_is_projector(file->path) || gguf_is_projector(&file->info);
    file->is_model = !file->is_projector && gguf_is_model(&file->info);
}

static int read_facts(
        struct catalogue_file *file, const struct model_file *open_file, struct err *err)
{
    struct gguf_facts *facts = malloc(sizeof *facts);
    int rc;

    if (facts == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    rc = gguf_parse_facts(
            model_file_parts(open_file), model_file_part_count(open_file), facts, err);
    if (rc == 0) {
        file->info = facts->info;
        model_shape_of(facts, &file->shape);
    }
    free(facts);
    return rc;
}

static int read_model(struct catalogue_file *file, struct err *err)
{
    struct model_file *open_file;
    int rc = model_file_open(file->path, &open_file, err);

    if (rc < 0)
        return rc;
    rc = read_facts(file, open_file, err);
    if (rc == 0)
        sort_out(file);
    if (rc == 0 && file->is_model)
        rc = fingerprint_read(model_file_parts(open_file), model_file_part_count(open_file),
                &file->fingerprint, err);
    model_file_close(open_file);
    return rc;
}

static int read_content(struct catalogue_file *file)
{
    struct err err;
    int rc = read_model(file, &err);

    if (rc == -ENOMEM)
        return rc;
    file->known = rc == 0;
    return rc < 0 ? catalogue_file_set_problem(file, err.text) : 0;
}

static void take_known(struct catalogue_file *file, const struct catalogue_file *before)
{
    file->known = true;
    file->info = before->info;
    file->shape = before->shape;
    file->fingerprint = before->fingerprint;
    sort_out(file);
}

/* Of a split whose name says so, the reader of the parts has compared them. */
static int check_split(struct catalogue_file *file, const struct split *split)
{
    char text[160];

    if (split->parts > 1 || file->info.split_count <= 1)
        return 0;
    (void)snprintf(text, sizeof text,
            "its metadata says part %u of %u, which is not what its name says; engines find the "
            "parts by name",
            file->info.split_no + 1u, (unsigned)file->info.split_count);
    return catalogue_file_set_problem(file, text);
}

static int look_inside(
        struct catalogue_file *file, const struct catalogue_file *before, const struct split *split)
{
    int rc = 0;

    if (before != NULL && before->known && same_stamp(file, before))
        take_known(file, before);
    else
        rc = read_content(file);
    return rc == 0 && file->is_model ? check_split(file, split) : rc;
}

int catalogue_file_examine(struct catalogue_file *file, const struct catalogue_file *before,
        const struct env *env, uint64_t *settle_ms)
{
    struct split split = split_of(file->path);
    int rc;

    file->is_model = true;
    rc = see_other_parts(file, &split);
    if (rc < 0 || !file->is_model)
        return rc;
    file->since_ms = quiet_since(file, before, env);
    file->settled = before != NULL && before->settled && same_stamp(file, before);
    if (!file->settled)
        rc = settle(file, &split, env, settle_ms);
    return rc == 0 && file->settled ? look_inside(file, before, &split) : rc;
}

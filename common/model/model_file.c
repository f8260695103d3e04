#include "common/model/model_file.h"

#include "common/model/gguf.h"
#include "common/saturating.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct model_file {
    size_t count; /* parts that are open */
    int fds[MODEL_PARTS_MAX];
    struct gguf_source parts[MODEL_PARTS_MAX];
};

struct split { /* how a path is to be read */
    int stem_len;
    unsigned part, parts; /* 1, 1: not split */
};

static const char suffix[] = ".gguf";

static int add_part(struct model_file *file, const char *path, struct err *err)
{
    size_t index = file->count;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0)
        return err_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
    file->fds[index] = fd;
    file->count++;
    if (fstat(fd, &st) < 0)
        return err_set(err, -errno, "cannot look at %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "%s is no regular file", path);
    file->parts[index] = gguf_source_fd(&file->fds[index], (uint64_t)st.st_size);
    return 0;
}

static struct split split_of(const char *path)
{
    struct split split = {.part = 1, .parts = 1};
    size_t len = strlen(path), suffix_len = sizeof suffix - 1, stem_len;
    char stem[PATH_MAX];

    if (len <= suffix_len || len - suffix_len >= sizeof stem ||
            strcmp(path + len - suffix_len, suffix) != 0)
        return split;
    memcpy(stem, path, len - suffix_len);
    stem[len - suffix_len] = '\0';
    if (gguf_split_name(stem, &stem_len, &split.part, &split.parts))
        split.stem_len = (int)stem_len;
    return split;
}

static int add_split(
        struct model_file *file, const char *path, const struct split *split, struct err *err)
{
    char part_path[PATH_MAX];
    int rc = 0;

    if (split->part != 1)
        return err_set(err, -EINVAL, "%s is part %u of %u; name the first", path, split->part,
                split->parts);
    if (split->parts > MODEL_PARTS_MAX)
        return err_set(err, -EMSGSIZE, "%s has %u parts; at most %d are read", path, split->parts,
                MODEL_PARTS_MAX);
    for (unsigned part = 1; rc == 0 && part <= split->parts; part++) {
        (void)snprintf(part_path, sizeof part_path, "%.*s-%05u-of-%05u%s", split->stem_len, path,
                part, split->parts, suffix);
        rc = add_part(file, part_path, err);
    }
    return rc;
}

int model_file_open(const char *path, struct model_file **ret_file, struct err *err)
{
    struct model_file *file = calloc(1, sizeof *file);
    struct split split = split_of(path);
    int rc;

    if (file == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    rc = split.stem_len > 0 ? add_split(file, path, &split, err) : add_part(file, path, err);
    if (rc < 0) {
        model_file_close(file);
        return rc;
    }
    *ret_file = file;
    return 0;
}

void model_file_close(struct model_file *file)
{
    if (file == NULL)
        return;
    for (size_t i = 0; i < file->count; i++)
        close(file->fds[i]);
    free(file);
}

const struct gguf_source *model_file_parts(const struct model_file *file)
{
    return file->parts;
}

size_t model_file_part_count(const struct model_file *file)
{
    return file->count;
}

uint64_t model_file_bytes(const struct model_file *file)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < file->count; i++)
        bytes = saturating_sum(bytes, file->parts[i].size_bytes);
    return bytes;
}

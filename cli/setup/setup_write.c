#include "cli/setup/setup_write.h"

#include "cli/setup/config_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct change {
    const struct setup_file *noted;
    struct config_file file;
    struct buf text; /* as it will be */
};

static int prepare(struct change *change, const struct setup_file *noted, struct err *err)
{
    int rc = config_file_open(&change->file, noted->path, err);

    change->noted = noted;
    if (rc < 0)
        return rc;
    rc = merge_text(
            noted->format, change->file.text, change->file.len, noted->patch, &change->text, err);
    return rc < 0 ? err_prefix(err, rc, "%s stays as it is", change->file.path) : 0;
}

/* What others may read holds a key now. */
static void warn(const struct cli *cli, const struct change *change)
{
    if (change->noted->secret && change->file.exists &&
            (change->file.stat.st_mode & (S_IRWXG | S_IRWXO)))
        fprintf(cli->notes, "%s holds the key and other users can open it: chmod 600 it\n",
                change->file.path);
}

static int commit(const struct cli *cli, const struct change *change, struct err *err)
{
    const struct config_file *file = &change->file;
    char backup[PATH_MAX] = "";
    int rc;

    if (file->exists && change->text.len == file->len &&
            memcmp(buf_at(&change->text), file->text, file->len) == 0) {
        fprintf(cli->out, "%s: has it all already\n", file->path);
        return 0;
    }
    rc = config_file_replace(file, &change->text, backup, err);
    if (rc < 0)
        return rc;
    if (*backup)
        fprintf(cli->out, "%s: merged; as it was: %s\n", file->path, backup);
    else
        fprintf(cli->out, "%s: made\n", file->path);
    warn(cli, change);
    return 0;
}

static void drop(struct change *change)
{
    config_file_close(&change->file);
    if (change->text.data)
        explicit_bzero(change->text.data, change->text.cap);
    buf_fini(&change->text);
}

int setup_write(const struct cli *cli, const struct setup *setup, struct err *err)
{
    struct change *changes = calloc(setup->file_count, sizeof(*changes));
    int rc = 0;

    if (!changes)
        return err_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < setup->file_count; i++)
        buf_init(&changes[i].text, MERGE_FILE_MAX);
    for (size_t i = 0; i < setup->file_count && rc == 0; i++)
        rc = prepare(&changes[i], &setup->files[i], err);
    for (size_t i = 0; i < setup->file_count && rc == 0; i++)
        rc = commit(cli, &changes[i], err);
    for (size_t i = 0; i < setup->file_count; i++)
        drop(&changes[i]);
    free(changes);
    return rc;
}

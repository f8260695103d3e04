#include "node/residency/measurement_file.h"

#include "common/file.h"
#include "common/log.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct measurement_file {
    struct loop *loop;
    struct measurements *table;
    uv_work_t work;
    bool writing, changed, closing, failure_told;
    struct buf text; /* the worker's while it writes */
    int result;      /* of the last write */
    struct err err;
    char path[]; /* "": none */
};

static void start_write(struct measurement_file *file);

static void file_free(struct measurement_file *file)
{
    buf_fini(&file->text);
    measurements_destroy(file->table);
    free(file);
}

/* --- in the work queue --- */

static void on_work(uv_work_t *work)
{
    struct measurement_file *file = work->data;

    file->result = file_write_private(file->path, buf_at(&file->text), file->text.len, &file->err);
}

/* --- writing --- */

static void take_result(struct measurement_file *file)
{
    if (file->result < 0 && !file->failure_told)
        log_warn("measurements not kept", LOG_S("reason", file->err.text));
    file->failure_told = file->result < 0;
}

static void after_work(uv_work_t *work, int status)
{
    struct measurement_file *file = work->data;

    file->writing = false;
    if (status == 0)
        take_result(file);
    if (file->changed)
        start_write(file);
    if (file->closing && !file->writing)
        file_free(file);
}

static void start_write(struct measurement_file *file)
{
    buf_clear(&file->text);
    file->changed = false;
    file->result = measurements_print(file->table, &file->text);
    if (file->result < 0) {
        err_set(&file->err, file->result, "%s", strerror(-file->result));
        take_result(file);
        return;
    }
    file->work.data = file;
    file->writing = uv_queue_work(&file->loop->uv, &file->work, on_work, after_work) == 0;
}

void measurement_file_save(struct measurement_file *file)
{
    if (file->path[0] == '\0')
        return;
    file->changed = true;
    if (!file->writing)
        start_write(file);
}

/* --- reading --- */

/* Empties the table where it cannot be used. */
static int read_text(struct measurement_file *file, const char *text, size_t len, struct err *err)
{
    int rc = measurements_parse(file->table, text, len, err);

    if (rc == 0)
        return 0;
    measurements_destroy(file->table);
    file->table = measurements_create();
    return file->table == NULL ? -ENOMEM : rc;
}

/* -ENOMEM; all else is told. */
static int read_file(struct measurement_file *file)
{
    struct err err = {.text = ""};
    char *text;
    size_t len;
    int rc = file_read_guarded(file->path, MEASUREMENTS_TEXT_MAX, &text, &len, &err);

    if (rc == 0) {
        rc = read_text(file, text, len, &err);
        free(text);
    }
    if (rc < 0 && rc != -ENOENT && rc != -ENOMEM)
        log_warn("measurements not used; the next one replaces them", LOG_S("path", file->path),
                LOG_S("reason", err.text));
    return rc == -ENOMEM ? rc : 0;
}

/* --- life --- */

struct measurements *measurement_file_table(struct measurement_file *file)
{
    return file->table;
}

static struct measurement_file *file_alloc(struct loop *loop, const char *path)
{
    size_t size = strlen(path) + 1;
    struct measurement_file *file = calloc(1, sizeof *file + size);

    if (file == NULL)
        return NULL;
    memcpy(file->path, path, size);
    file->loop = loop;
    buf_init(&file->text, MEASUREMENTS_TEXT_MAX);
    file->table = measurements_create();
    if (file->table != NULL)
        return file;
    free(file);
    return NULL;
}

int measurement_file_create(
        struct loop *loop, const char *path, struct measurement_file **ret_file, struct err *err)
{
    struct measurement_file *file = file_alloc(loop, path != NULL ? path : "");
    int rc = file == NULL ? -ENOMEM : 0;

    if (rc == 0 && file->path[0] != '\0')
        rc = read_file(file);
    if (rc == 0) {
        *ret_file = file;
        return 0;
    }
    measurement_file_destroy(file);
    return err_set(err, rc, "no memory for measurements");
}

void measurement_file_destroy(struct measurement_file *file)
{
    if (file == NULL)
        return;
    file->closing = true;
    if (!file->writing)
        file_free(file);
}

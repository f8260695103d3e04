#include "node/backends/multipart.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Nobody who writes a part can know 128 random bits: the boundary occurs in none. */
void multipart_init(struct multipart *multipart, const struct env *env, struct buf *out)
{
    multipart->out = out;
    env_random_hex(env, multipart->boundary, MULTIPART_BOUNDARY_BYTES);
}

static int append_name(struct multipart *multipart, const char *name)
{
    return buf_appendf(multipart->out, "--%s\r\nContent-Disposition: form-data; name=\"%s\"",
            multipart->boundary, name);
}

static int append_filename(struct buf *out, const char *filename)
{
    int r = buf_append_str(out, "; filename=\"");

    for (; r == 0 && *filename; filename++) {
        bool plain = (unsigned char)*filename >= ' ' && *filename != '"' && *filename != 0x7f;

        r = plain ? buf_append(out, filename, 1)
                  : buf_appendf(out, "%%%02X", (unsigned)(unsigned char)*filename);
    }
    return r < 0 ? r : buf_append_str(out, "\"");
}

static int append_data(struct multipart *multipart, const void *data, size_t len)
{
    int r = buf_append(multipart->out, data, len);

    return r < 0 ? r : buf_append_str(multipart->out, "\r\n");
}

int multipart_field(struct multipart *multipart, const char *name, const char *value)
{
    int r = append_name(multipart, name);

    if (r == 0)
        r = buf_append_str(multipart->out, "\r\n\r\n");
    return r < 0 ? r : append_data(multipart, value, strlen(value));
}

int multipart_file(struct multipart *multipart, const char *name, const char *filename,
        const void *data, size_t len)
{
    int r = append_name(multipart, name);

    if (r == 0)
        r = append_filename(multipart->out, filename);
    if (r == 0)
        r = buf_append_str(multipart->out, "\r\nContent-Type: application/octet-stream\r\n\r\n");
    return r < 0 ? r : append_data(multipart, data, len);
}

int multipart_end(struct multipart *multipart)
{
    return buf_appendf(multipart->out, "--%s--\r\n", multipart->boundary);
}

void multipart_type(const struct multipart *multipart, char ret_type[MULTIPART_TYPE_MAX])
{
    (void)snprintf(
            ret_type, MULTIPART_TYPE_MAX, "multipart/form-data; boundary=%s", multipart->boundary);
}

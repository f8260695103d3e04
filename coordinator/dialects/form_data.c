#include "coordinator/dialects/form_data.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct span { /* bytes of the text that is read */
    const char *at;
    size_t len;
};

struct form {
    struct span left;                      /* behind the boundary that came last */
    char delimiter[FORM_BOUNDARY_MAX + 5]; /* CRLF, two dashes, the boundary */
    size_t delimiter_len;
    struct err *err;
};

static int malformed(const struct form *form, const char *what)
{
    return err_set(form->err, -EINVAL, "the form cannot be read: %s", what);
}

/* --- parameters of a header: `value; name=token; name="quoted"` --- */

static void skip(struct span *span, size_t len)
{
    span->at += len;
    span->len -= len;
}

static void skip_blanks(struct span *span)
{
    while (span->len > 0 && (*span->at == ' ' || *span->at == '\t'))
        skip(span, 1);
}

static struct span take_until(struct span *span, const char *ends)
{
    struct span taken = {span->at, 0};
    while (span->len > 0 && !strchr(ends, *span->at)) {
        skip(span, 1);
        taken.len++;
    }
    return taken;
}

/* What stands between two quotes, as it is. Clients write a quote within as %22, or as \". */
static struct span take_quoted(struct span *span)
{
    struct span taken = {span->at + 1, 0};
    skip(span, 1);
    while (span->len > 0 && *span->at != '"') {
        size_t step = *span->at == '\\' && span->len > 1 ? 2 : 1;
        skip(span, step);
        taken.len += step;
    }
    if (span->len > 0)
        skip(span, 1);
    return taken;
}

static bool is_word(struct span span, const char *word)
{
    return span.len == strlen(word) && strncasecmp(span.at, word, span.len) == 0;
}

/* False where there is no such parameter. */
static bool find_param(struct span header, const char *name, struct span *ret_value)
{
    (void)take_until(&header, ";");
    while (header.len > 0) {
        skip(&header, 1);
        skip_blanks(&header);
        struct span key = take_until(&header, "=;");
        if (header.len == 0 || *header.at == ';')
            continue;
        skip(&header, 1);
        struct span value =
                header.len > 0 && *header.at == '"' ? take_quoted(&header) : (struct span){0};
        struct span rest = take_until(&header, ";");
        if (is_word(key, name)) {
            *ret_value = value.at ? value : rest;
            return true;
        }
    }
    return false;
}

/* --- the boundary --- */

static int read_boundary(struct form *form, const char *content_type)
{
    static const char wanted[] = "multipart/form-data";
    struct span header = {content_type, strlen(content_type)}, boundary;
    struct span type = take_until(&header, "; \t");
    if (!is_word(type, wanted))
        return malformed(form, "its Content-Type must be multipart/form-data");
    header = (struct span){content_type, strlen(content_type)};
    if (!find_param(header, "boundary", &boundary) || boundary.len == 0 ||
            boundary.len > FORM_BOUNDARY_MAX)
        return malformed(form, "its Content-Type must name a boundary of 1 to 70 bytes");
    memcpy(form->delimiter, "\r\n--", 4);
    memcpy(form->delimiter + 4, boundary.at, boundary.len);
    form->delimiter_len = 4 + boundary.len;
    return 0;
}

static bool starts_with(struct span span, const char *text, size_t len)
{
    return span.len >= len && memcmp(span.at, text, len) == 0;
}

/* Takes the first boundary; what stands before it means nothing. */
static int take_first(struct form *form)
{
    const char *delimiter = form->delimiter;
    size_t len = form->delimiter_len;
    if (starts_with(form->left, delimiter + 2, len - 2)) {
        skip(&form->left, len - 2);
        return 0;
    }
    const char *at = memmem(form->left.at, form->left.len, delimiter, len);
    if (!at)
        return malformed(form, "the boundary of its Content-Type does not occur");
    skip(&form->left, (size_t)(at - form->left.at) + len);
    return 0;
}

/* --- parts --- */

/* Behind a boundary: two dashes at the end, else the rest of its line. */
static int take_line_end(struct form *form, bool *ret_last)
{
    *ret_last = starts_with(form->left, "--", 2);
    if (*ret_last)
        return 0;
    skip_blanks(&form->left);
    if (!starts_with(form->left, "\r\n", 2))
        return malformed(form, "a boundary is not alone on its line");
    skip(&form->left, 2);
    return 0;
}

static void copy_name(char *to, size_t max, struct span from)
{
    size_t len = from.len < max ? from.len : max;
    memcpy(to, from.at, len);
    to[len] = '\0';
}

static int read_disposition(const struct form *form, struct span value, struct form_part *part)
{
    struct span name, filename;
    if (!find_param(value, "name", &name) || name.len == 0 || name.len > FORM_NAME_MAX ||
            memchr(name.at, '\0', name.len))
        return malformed(form, "a part must have a name of 1 to 64 bytes");
    copy_name(part->name, FORM_NAME_MAX, name);
    if (find_param(value, "filename", &filename) && !memchr(filename.at, '\0', filename.len))
        copy_name(part->filename, FORM_FILENAME_MAX, filename);
    return 0;
}

static struct span take_line(struct span *headers)
{
    struct span line = *headers;
    const char *end = memmem(headers->at, headers->len, "\r\n", 2);
    if (end)
        line.len = (size_t)(end - headers->at);
    skip(headers, end ? line.len + 2 : line.len);
    return line;
}

static int read_headers(const struct form *form, struct span headers, struct form_part *part)
{
    while (headers.len > 0) {
        struct span line = take_line(&headers);
        struct span key = take_until(&line, ":");
        if (line.len == 0 || !is_word(key, "Content-Disposition"))
            continue;
        skip(&line, 1);
        return read_disposition(form, line, part);
    }
    return malformed(form, "a part has no Content-Disposition");
}

static int take_headers(struct form *form, struct form_part *part)
{
    size_t room = form->left.len < FORM_HEADERS_MAX ? form->left.len : FORM_HEADERS_MAX;
    const char *end = memmem(form->left.at, room, "\r\n\r\n", 4);
    if (!end)
        return malformed(form, "the headers of a part have no end, or more than 4096 bytes");
    struct span headers = {form->left.at, (size_t)(end - form->left.at)};
    skip(&form->left, headers.len + 4);
    return read_headers(form, headers, part);
}

static int take_data(struct form *form, struct form_part *part)
{
    const char *end = memmem(form->left.at, form->left.len, form->delimiter, form->delimiter_len);
    if (!end)
        return malformed(form, "it ends in the middle of a part");
    part->data = form->left.at;
    part->len = (size_t)(end - form->left.at);
    skip(&form->left, part->len + form->delimiter_len);
    return 0;
}

static int take_part(struct form *form, struct form_part *ret_part)
{
    *ret_part = (struct form_part){.name = ""};
    int r = take_headers(form, ret_part);
    return r ? r : take_data(form, ret_part);
}

int form_data_each(const char *content_type, const char *body, size_t len, form_part_fn fn,
        void *ctx, struct err *err)
{
    struct form form = {.left = {body, len}, .err = err};
    struct form_part part;
    bool last = false;
    int r = read_boundary(&form, content_type);
    if (!r)
        r = take_first(&form);
    for (size_t count = 0; !r; count++) {
        r = take_line_end(&form, &last);
        if (r || last)
            break;
        r = count < FORM_PARTS_MAX ? take_part(&form, &part)
                                   : malformed(&form, "it has more than 64 parts");
        if (!r)
            r = fn(ctx, &part);
    }
    return r;
}

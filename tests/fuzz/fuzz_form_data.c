/* A form: the Content-Type up to the first line feed, then the body. The parts lie in the body, one
 * behind the other. */
#include "coordinator/dialects/form_data.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    const char *at, *end; /* what is left of the body */
    size_t count;
};

static int see(void *ctx, const struct form_part *part)
{
    struct seen *seen = ctx;
    assert(part->name[0] != '\0' && strlen(part->name) <= FORM_NAME_MAX);
    assert(strlen(part->filename) <= FORM_FILENAME_MAX);
    assert(part->data >= seen->at && part->data <= seen->end);
    assert(part->len <= (size_t)(seen->end - part->data));
    assert(++seen->count <= FORM_PARTS_MAX);
    seen->at = part->data + part->len;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *line = size ? memchr(text, '\n', size) : NULL;
    if (!line)
        return 0;
    char *type = strndup(text, (size_t)(line - text));
    struct seen seen = {.at = line + 1, .end = text + size};
    struct err err = {.text = ""};
    int r = form_data_each(type, line + 1, (size_t)(seen.end - seen.at), see, &seen, &err);
    assert(r == 0 || (r == -EINVAL && err.text[0] != '\0' && !strchr(err.text, '\n')));
    free(type);
    return 0;
}

#include "common/trust.h"

#include "common/file.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* A file system may date by whole seconds, FAT by two: a file that was changed less than this
 * before we read it can change again and look the same. */
enum { MTIME_GRAIN_S = 3, DIGEST_BYTES = 32 };

/* Tells one version of the file from another. */
struct version {
    dev_t dev;
    ino_t ino; /* 0: no file that we could look at */
    off_t size;
    struct timespec mtime;
    bool settled; /* whoever changes it now leaves another `mtime` */
};

struct node_list {
    struct trusted_node *nodes;
    size_t count;
};

struct trust {
    char *path;
    struct version seen;
    uint8_t digest[DIGEST_BYTES]; /* of the text that was parsed last, good or bad */
    int unreadable;               /* the last read's error, which has been told; or 0 */
    struct node_list list;
    unsigned edition; /* counts the lists that were taken */
};

bool trust_name_valid(const char *name)
{
    static const char allowed[] =
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strlen(name);
    return len > 0 && len <= TRUST_NAME_MAX && strspn(name, allowed) == len;
}

static struct version current_version(const char *path)
{
    struct stat st;
    struct timespec now;
    if (stat(path, &st))
        return (struct version){0};
    clock_gettime(CLOCK_REALTIME, &now);
    return (struct version){.dev = st.st_dev,
            .ino = st.st_ino,
            .size = st.st_size,
            .mtime = st.st_mtim,
            .settled = now.tv_sec - st.st_mtim.tv_sec > MTIME_GRAIN_S};
}

static bool unchanged(const struct version *seen, const struct version *now)
{
    return seen->settled && now->dev == seen->dev && now->ino == seen->ino &&
           now->size == seen->size && now->mtime.tv_sec == seen->mtime.tv_sec &&
           now->mtime.tv_nsec == seen->mtime.tv_nsec;
}

static const struct trusted_node *list_find(const struct node_list *list, const char *key)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->nodes[i].key, key) == 0)
            return &list->nodes[i];
    return NULL;
}

static bool list_has_name(const struct node_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->nodes[i].name, name) == 0)
            return true;
    return false;
}

static int list_add(struct node_list *list, const char *key, const char *name)
{
    if (list->count == TRUST_NODES_MAX)
        return -E2BIG;
    struct trusted_node *nodes = reallocarray(list->nodes, list->count + 1, sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    list->nodes = nodes;
    struct trusted_node *node = &nodes[list->count++];
    memcpy(node->key, key, KEY_Z85_LEN + 1);
    strcpy(node->name, name);
    return 0;
}

/* One line without its end. Empty lines and comments add nothing. Five characters of Z85 that begin
 * with '#' are past 32 bits, so that a '#' in front is never a key's. */
static int parse_line(
        struct node_list *list, char *line, const char *where, unsigned number, struct err *err)
{
    char *save;
    const char *key = strtok_r(line, " \t\r", &save);
    if (!key || *key == '#')
        return 0;
    const char *name = strtok_r(NULL, " \t\r", &save);
    if (!key_z85_valid(key))
        return err_set(err, -EINVAL, "%s:%u: \"%.60s\" is no public key (40 Z85 characters)", where,
                number, key);
    if (!name || !trust_name_valid(name) || strtok_r(NULL, " \t\r", &save))
        return err_set(err, -EINVAL,
                "%s:%u: one name of 1 to %d of [A-Za-z0-9._-] must follow the key", where, number,
                TRUST_NAME_MAX);
    if (list_find(list, key))
        return err_set(err, -EINVAL, "%s:%u: the key of \"%s\" stands in the file twice", where,
                number, name);
    if (list_has_name(list, name))
        return err_set(err, -EINVAL, "%s:%u: two keys have the name \"%s\"", where, number, name);
    int r = list_add(list, key, name);
    if (r)
        return err_set(
                err, r, "%s:%u: more than %d nodes, or no memory", where, number, TRUST_NODES_MAX);
    return 0;
}

static int parse(struct node_list *list, char *text, const char *where, struct err *err)
{
    unsigned number = 1;
    int r = 0;
    for (char *line = text, *end; line && !r; line = end, number++) {
        end = strchr(line, '\n');
        if (end)
            *end++ = '\0';
        r = parse_line(list, line, where, number, err);
    }
    return r;
}

/* The whole file as a string; a missing one reads as an empty one. The caller frees. */
static int read_text(const char *path, char **ret_text, size_t *ret_len, struct err *err)
{
    int r = file_read_guarded(path, TRUST_FILE_MAX, ret_text, ret_len, err);
    if (r != -ENOENT)
        return r;
    *ret_len = 0;
    *ret_text = calloc(1, 1);
    return *ret_text ? 0 : err_set(err, -ENOMEM, "no memory for %s", path);
}

/* True where this is not the text that was parsed last, which it then counts as. */
static bool is_news(struct trust *trust, const char *text, size_t len)
{
    uint8_t digest[DIGEST_BYTES];
    crypto_generichash(digest, sizeof(digest), (const uint8_t *)text, len, NULL, 0);
    bool news = memcmp(digest, trust->digest, sizeof(digest)) != 0;
    memcpy(trust->digest, digest, sizeof(digest));
    return news;
}

static int take_text(struct trust *trust, char *text, size_t len, struct err *err)
{
    if (!is_news(trust, text, len))
        return 0;
    if (strlen(text) < len)
        return err_set(err, -EINVAL, "%s is no text: it holds a zero byte", trust->path);
    struct node_list list = {0};
    int r = parse(&list, text, trust->path, err);
    if (r) {
        free(list.nodes);
        return r;
    }
    free(trust->list.nodes);
    trust->list = list;
    trust->edition++;
    return 0;
}

int trust_refresh(struct trust *trust, struct err *err)
{
    struct version now = current_version(trust->path);
    if (unchanged(&trust->seen, &now))
        return 0;
    char *text;
    size_t len;
    int r = read_text(trust->path, &text, &len, err);
    if (r) {
        bool told = trust->unreadable == r;
        trust->unreadable = r;
        return told ? 0 : r;
    }
    trust->unreadable = 0;
    trust->seen = now;
    r = take_text(trust, text, len, err);
    free(text);
    return r;
}

int trust_create(const char *path, struct trust **ret_trust, struct err *err)
{
    struct trust *trust = calloc(1, sizeof(*trust));
    if (!trust || !(trust->path = strdup(path))) {
        free(trust);
        return err_set(err, -ENOMEM, "no memory for the list of trusted nodes");
    }
    int r = trust_refresh(trust, err);
    if (r) {
        trust_destroy(trust);
        return r;
    }
    *ret_trust = trust;
    return 0;
}

void trust_destroy(struct trust *trust)
{
    if (!trust)
        return;
    free(trust->list.nodes);
    free(trust->path);
    free(trust);
}

const struct trusted_node *trust_find(const struct trust *trust, const char *key_z85)
{
    return list_find(&trust->list, key_z85);
}

size_t trust_count(const struct trust *trust)
{
    return trust->list.count;
}

const struct trusted_node *trust_at(const struct trust *trust, size_t index)
{
    return index < trust->list.count ? &trust->list.nodes[index] : NULL;
}

unsigned trust_edition(const struct trust *trust)
{
    return trust->edition;
}

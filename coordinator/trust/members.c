#include "coordinator/trust/members.h"

#include "common/book.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* Twice what can stand in it: each member has up to two keys. A power of two. */
enum { INDEX_SLOTS = 4 * MEMBERS_MAX };

static_assert(MEMBERS_MAX < UINT16_MAX, "a slot holds the place in the list, plus 1");
static_assert(CERTIFICATE_ROLE_NODE == 1 && CERTIFICATE_ROLE_EDGE == 2, "bits of member_roles");

const char *const member_roles[] = {"node", "edge", NULL};

/* Open addressing; 0 is an empty slot. Seeded, so that nobody can choose keys that collide. */
struct member_index {
    uint16_t at[INDEX_SLOTS];
};

struct members {
    char *path;
    struct book_list list;
    unsigned edition;
    uint8_t seed[crypto_shorthash_KEYBYTES];
    struct member_index by_key, by_name;
};

typedef bool has_fn(const struct member *member, const char *text);

/* --- the file --- */

static bool source_valid(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return len > 0 && len <= MEMBERS_SOURCE_MAX;
}

/* By name; those without one by key. */
static int compare(const void *a, const void *b)
{
    const struct member *one = a, *other = b;
    int r = strcmp(one->name, other->name);
    return r ? r : strcmp(one->key, other->key);
}

static const struct book_field fields[] = {
        {.name = "key",
                .type = BOOK_TEXT,
                .offset = offsetof(struct member, key),
                .size = KEY_Z85_LEN + 1,
                .valid = key_z85_valid,
                .form = "a link key (40 characters of Z85)"},
        {.name = "next_key",
                .type = BOOK_TEXT,
                .optional = true,
                .offset = offsetof(struct member, next_key),
                .size = KEY_Z85_LEN + 1,
                .valid = key_z85_valid,
                .form = "a link key (40 characters of Z85)"},
        {.name = "name",
                .type = BOOK_TEXT,
                .optional = true,
                .offset = offsetof(struct member, name),
                .size = CERTIFICATE_NAME_MAX + 1,
                .valid = certificate_name_valid,
                .form = "a name (1 to 63 of [A-Za-z0-9._-])"},
        {.name = "roles",
                .type = BOOK_WORDS,
                .offset = offsetof(struct member, roles),
                .words = member_roles,
                .form = "a list of \"node\", \"edge\" or both"},
        {.name = "serial",
                .type = BOOK_NUMBER,
                .offset = offsetof(struct member, serial),
                .form = "a whole number"},
        {.name = "not_after_s",
                .type = BOOK_NUMBER,
                .offset = offsetof(struct member, not_after_s),
                .form = "a Unix time in seconds"},
        {.name = "revoked",
                .type = BOOK_FLAG,
                .optional = true,
                .offset = offsetof(struct member, revoked),
                .form = "true or false"},
        {.name = "added_ms",
                .type = BOOK_NUMBER,
                .offset = offsetof(struct member, added_ms),
                .form = "a Unix time in milliseconds"},
        {.name = "source",
                .type = BOOK_TEXT,
                .offset = offsetof(struct member, source),
                .size = MEMBERS_SOURCE_MAX + 1,
                .valid = source_valid,
                .form = "1 to 63 printable characters"},
};

static const struct book_format format = {
        .list = "members",
        .entry = "member",
        .counter = "next_serial",
        .fields = fields,
        .field_count = sizeof(fields) / sizeof(fields[0]),
        .entry_size = sizeof(struct member),
        .max_entries = MEMBERS_MAX,
        .max_bytes = MEMBERS_FILE_MAX,
        .order = compare,
};

/* --- the indexes --- */

static bool has_key(const struct member *member, const char *key)
{
    return strcmp(member->key, key) == 0 || strcmp(member->next_key, key) == 0;
}

static bool has_name(const struct member *member, const char *name)
{
    return strcmp(member->name, name) == 0;
}

static size_t first_slot(const struct members *members, const char *text)
{
    uint64_t hash;
    static_assert(sizeof(hash) == crypto_shorthash_BYTES, "one hash is one number");
    crypto_shorthash((uint8_t *)&hash, (const uint8_t *)text, strlen(text), members->seed);
    return (size_t)hash % INDEX_SLOTS;
}

/* The slot of the member that has `text`, or the empty one where it belongs. */
static size_t find_slot(const struct members *members, const struct member_index *index,
        const char *text, has_fn *has)
{
    const struct member *list = members->list.entries;
    size_t slot = first_slot(members, text);
    while (index->at[slot] && !has(&list[index->at[slot] - 1], text))
        slot = (slot + 1) % INDEX_SLOTS;
    return slot;
}

static const struct member *find(const struct members *members, const struct member_index *index,
        const char *text, has_fn *has)
{
    const struct member *list = members->list.entries;
    size_t slot = *text ? find_slot(members, index, text, has) : 0;
    return *text && index->at[slot] ? &list[index->at[slot] - 1] : NULL;
}

/* "" is in no index. False where it is another member's too. Probing may come upon the member
 * itself, by its other key: who looks for this one then finds it there. */
static bool index_text(struct members *members, struct member_index *index, const char *text,
        size_t at, has_fn *has)
{
    if (!*text)
        return true;
    size_t slot = find_slot(members, index, text, has);
    if (!index->at[slot])
        index->at[slot] = (uint16_t)(at + 1);
    return index->at[slot] == at + 1;
}

static int index_member(struct members *members, size_t at, struct err *err)
{
    const struct member *member = members_at(members, at);
    if (!index_text(members, &members->by_key, member->key, at, has_key) ||
            !index_text(members, &members->by_key, member->next_key, at, has_key))
        return err_set(err, -EINVAL, "member %zu (\"%s\"): its key stands in the list twice",
                at + 1, member->name);
    if (!index_text(members, &members->by_name, member->name, at, has_name))
        return err_set(
                err, -EINVAL, "member %zu: another one is called \"%s\" too", at + 1, member->name);
    return 0;
}

static int index_all(struct members *members, struct err *err)
{
    int r = 0;
    memset(&members->by_key, 0, sizeof(members->by_key));
    memset(&members->by_name, 0, sizeof(members->by_name));
    for (size_t i = 0; !r && i < members->list.count; i++)
        r = index_member(members, i, err);
    return r;
}

static void reindex(struct members *members)
{
    struct err err;
    int r = index_all(members, &err);
    assert(r == 0); /* what is written was checked */
    (void)r;
}

/* --- opening --- */

static int check_member(const struct member *member, struct err *err)
{
    if (!*member->name && member->serial)
        return err_set(err, -EINVAL, "a member that has a certificate must have a name");
    if (strcmp(member->key, member->next_key) == 0)
        return err_set(err, -EINVAL, "a member's next key must be another one");
    return 0;
}

static int check_all(struct members *members, struct err *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < members->list.count; i++) {
        const struct member *member = members_at(members, i);
        r = check_member(member, err);
        if (r)
            err_prefix(err, r, "member %zu", i + 1);
        if (member->serial >= members->list.counter)
            members->list.counter = member->serial + 1;
    }
    return r ? r : index_all(members, err);
}

static int load(struct members *members, struct err *err)
{
    int r = book_read(&format, members->path, &members->list, err);
    if (r)
        return r;
    if (members->list.counter == 0)
        members->list.counter = 1;
    r = check_all(members, err);
    if (r)
        return err_prefix(err, r, "%s", members->path);
    book_sort(&format, &members->list);
    reindex(members);
    return 0;
}

int members_open(const char *path, struct members **ret_members, struct err *err)
{
    struct members *members = calloc(1, sizeof(*members));
    if (!members || !(members->path = strdup(path))) {
        free(members);
        return err_set(err, -ENOMEM, "no memory for the list of members");
    }
    randombytes_buf(members->seed, sizeof(members->seed));
    int r = load(members, err);
    if (r) {
        members_close(members);
        return r;
    }
    *ret_members = members;
    return 0;
}

void members_close(struct members *members)
{
    if (!members)
        return;
    book_list_fini(&members->list);
    free(members->path);
    free(members);
}

/* --- looking --- */

const struct member *members_find_key(const struct members *members, const char *key_z85)
{
    return find(members, &members->by_key, key_z85, has_key);
}

const struct member *members_find_name(const struct members *members, const char *name)
{
    return find(members, &members->by_name, name, has_name);
}

size_t members_count(const struct members *members)
{
    return members->list.count;
}

const struct member *members_at(const struct members *members, size_t index)
{
    const struct member *list = members->list.entries;
    return index < members->list.count ? &list[index] : NULL;
}

unsigned members_edition(const struct members *members)
{
    return members->edition;
}

uint64_t members_next_serial(struct members *members)
{
    return members->list.counter++;
}

/* --- changing --- */

static int commit(struct members *members, struct book_list *next, struct err *err)
{
    int r = book_commit(&format, members->path, &members->list, next, err);
    if (r)
        return r;
    reindex(members);
    members->edition++;
    return 0;
}

/* True where somebody else than `own` (NULL: anybody) has the key. */
static bool key_taken(const struct members *members, const char *key, const struct member *own)
{
    const struct member *holder = members_find_key(members, key);
    return holder && holder != own;
}

static int check_conflicts(const struct members *members, const struct member *member,
        const struct member *own, struct err *err)
{
    const struct member *namesake = members_find_name(members, member->name);
    if (!own && members->list.count == MEMBERS_MAX)
        return err_set(err, -ENOSPC,
                "the mesh has %d members already; forget some: modemesh nodes forget NAME",
                MEMBERS_MAX);
    if (namesake && namesake != own)
        return err_set(err, -EEXIST, "another member is called \"%s\"%s; take another name, or %s",
                member->name, namesake->revoked ? " (revoked)" : "", "forget that one first");
    if (key_taken(members, member->next_key, own))
        return err_set(err, -EEXIST, "the key %s is a member's already", member->next_key);
    return check_member(member, err);
}

int members_put(struct members *members, const struct member *member, struct err *err)
{
    const struct member *own = members_find_key(members, member->key);
    struct book_list next;
    int r = check_conflicts(members, member, own, err);
    if (!r)
        r = book_copy(&format, &members->list, &next, err);
    if (r)
        return r;
    size_t at = own ? (size_t)(own - members_at(members, 0)) : next.count++;
    ((struct member *)next.entries)[at] = *member;
    return commit(members, &next, err);
}

int members_remove(struct members *members, const char *key_z85, struct err *err)
{
    const struct member *own = members_find_key(members, key_z85);
    struct book_list next;
    if (!own)
        return err_set(err, -ENOENT, "no member has the key %s", key_z85);
    int r = book_copy(&format, &members->list, &next, err);
    if (r)
        return r;
    size_t at = (size_t)(own - members_at(members, 0));
    struct member *gap = (struct member *)next.entries + at;
    memmove(gap, gap + 1, (next.count - at - 1) * sizeof(*gap));
    next.count--;
    return commit(members, &next, err);
}

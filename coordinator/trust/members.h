/* Who belongs to the mesh: STATE/members.json, written by the coordinator alone, whole, after every
 * change. A member that was revoked stays in it, so that its key is never taken again by mistake;
 * one that was forgotten is a stranger. A key and a name each stand in it once (two keys for one
 * member while its link key changes). Writes block on one small file (some 200 bytes a member).
 * Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/trust/certificate.h"
#include "common/trust/keys.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MEMBERS_MAX = 4096,
    MEMBERS_FILE_MAX = 4 * 1024 * 1024, /* bytes */
    MEMBERS_SOURCE_MAX = 63,
};

struct member {
    char key[KEY_Z85_LEN + 1];
    char next_key[KEY_Z85_LEN +
                  1]; /* "" or the link key that takes the place of `key` when it first comes */
    char name[CERTIFICATE_NAME_MAX + 1]; /* "" until it first comes, where nobody named it */
    unsigned roles;                      /* CERTIFICATE_ROLE_NODE, …_EDGE */
    uint64_t serial;                     /* of its newest certificate; 0: it has none yet */
    uint64_t not_after_s;                /* … and its end, Unix time */
    bool revoked;
    int64_t added_ms;                    /* Unix time */
    char source[MEMBERS_SOURCE_MAX + 1]; /* "approved", "window", "local", "token ab12cd34" */
};

struct members;

/* What files and people call the roles: bit i is member_roles[i]. Ends with NULL. */
extern const char *const member_roles[];

/* A missing file is an empty list. `path` is copied. -EINVAL names line and column or the member
 * that is wrong, -EPERM where others can write the file, or what file_read_guarded() returns. */
MUST_CHECK int members_open(const char *path, struct members **ret_members, struct err *err);
void members_close(struct members *members); /* takes NULL */

/* NULL where there is none. Borrowed until the next change. Finding by key also finds a `next_key`;
 * no name is "". O(1). */
const struct member *members_find_key(const struct members *members, const char *key_z85);
const struct member *members_find_name(const struct members *members, const char *name);
size_t members_count(const struct members *members);
/* In the order of names; NULL past the last. */
const struct member *members_at(const struct members *members, size_t index);
/* Another number after each change. */
unsigned members_edition(const struct members *members);
/* A number that no certificate had before; written with the next change. Never 0. */
uint64_t members_next_serial(struct members *members);

/* Adds `member`, or changes the one that members_find_key() finds for its key, so that a next key
 * takes its place by being put as `key`. On failure the list and the file are as they were: -EEXIST
 * (another one has the name or a key), -ENOSPC at MEMBERS_MAX, -EINVAL (names what the file cannot
 * hold), or what file_write_private() returns. */
MUST_CHECK int members_put(struct members *members, const struct member *member, struct err *err);
/* Removes it. -ENOENT, or what file_write_private() returns. */
MUST_CHECK int members_remove(struct members *members, const char *key_z85, struct err *err);

#include "coordinator/trust/door_internal.h"

#include "common/log.h"
#include "common/text.h"
#include "common/trust/phrase.h"

#include <errno.h>
#include <string.h>

/* --- finding --- */

/* `names` ends with NULL. */
static int fail_unknown(
        const char *kind, const char *what, const char *const *names, struct err *err)
{
    const char *nearest = text_nearest(what, names);
    if (nearest)
        return err_set(err, -ENOENT, "no %s is called \"%.100s\"; did you mean \"%s\"?", kind, what,
                nearest);
    return err_set(err, -ENOENT, "no %s is called \"%.100s\"; see: modemesh nodes", kind, what);
}

static int fail_no_pending(const struct door *door, const char *what, struct err *err)
{
    const char *names[2 * PENDING_MAX + 1];
    size_t count = 0;
    for (size_t i = 0; i < pending_count(door->pending); i++) {
        const struct pending_node *node = pending_at(door->pending, i);
        names[count++] = node->name;
        names[count++] = node->address;
    }
    names[count] = NULL;
    if (count == 0)
        return err_set(err, -ENOENT, "no node is pending, so that \"%.100s\" cannot be", what);
    return fail_unknown("pending node", what, names, err);
}

/* By what is proven, and so nobody else's. */
static const struct pending_node *find_proven(const struct door *door, const char *what)
{
    for (size_t i = 0; i < pending_count(door->pending); i++) {
        const struct pending_node *node = pending_at(door->pending, i);
        if (strcmp(node->key, what) == 0 || phrase_equal(node->phrase, what))
            return node;
    }
    return NULL;
}

/* Anybody may announce any name, and several nodes come from one address. */
static int find_said(const struct door *door, const char *what,
        const struct pending_node **ret_node, struct err *err)
{
    const struct pending_node *found = NULL;
    size_t count = 0;
    for (size_t i = 0; i < pending_count(door->pending); i++) {
        const struct pending_node *node = pending_at(door->pending, i);
        if (!*what || (strcmp(node->name, what) != 0 && strcmp(node->address, what) != 0))
            continue;
        found = node;
        count++;
    }
    if (count == 0)
        return fail_no_pending(door, what, err);
    if (count > 1)
        return err_set(err, -EEXIST,
                "%zu pending nodes are called \"%s\" or come from there; take the phrase that the "
                "right one shows, or its key",
                count, what);
    *ret_node = found;
    return 0;
}

int door_find_pending(const struct door *door, const char *what,
        const struct pending_node **ret_node, struct err *err)
{
    const struct pending_node *node = find_proven(door, what);
    if (!node)
        return find_said(door, what, ret_node, err);
    *ret_node = node;
    return 0;
}

/* --- deciding --- */

int door_approve(
        struct door *door, const char *key_z85, const char *name, unsigned roles, struct err *err)
{
    const struct pending_node *node = pending_find(door->pending, key_z85);
    if (!node)
        return err_set(err, -ENOENT, "no node with the key %s is pending", key_z85);
    if (name && !certificate_name_valid(name))
        return err_set(err, -EINVAL, "\"%.100s\" is no name: 1 to %d of [A-Za-z0-9._-]", name,
                CERTIFICATE_NAME_MAX);
    const struct pending_node approved =
            *node; /* the key that was handed in may be the list's own */
    struct member member = door_member_for(door, approved.key, "approved");
    if (name)
        strcpy(member.name, name);
    else if (!*member.name && *approved.name)
        door_give_name(door, &member, approved.name);
    if (roles)
        member.roles = roles;
    door_prolong(door, &member);
    int r = members_put(door->config.members, &member, err);
    if (r)
        return r;
    door_log_member("member approved", &member);
    pending_remove(door->pending, approved.key);
    return 0;
}

/* By its key first: a name is what somebody chose. */
static int find_member(
        const struct door *door, const char *what, struct member *ret_member, struct err *err)
{
    const struct members *members = door->config.members;
    const char *names[MEMBERS_MAX + 1];
    const struct member *member = members_find_key(members, what);
    if (!member)
        member = members_find_name(members, what);
    if (member) {
        *ret_member = *member;
        return 0;
    }
    for (size_t i = 0; i < members_count(members); i++)
        names[i] = members_at(members, i)->name;
    names[members_count(members)] = NULL;
    return fail_unknown("member", what, names, err);
}

int door_revoke(struct door *door, const char *what, struct err *err)
{
    struct member member;
    int r = find_member(door, what, &member, err);
    if (r || member.revoked)
        return r;
    member.revoked = true;
    r = members_put(door->config.members, &member, err);
    if (r)
        return r;
    log_warn("member revoked", LOG_S("node", member.name), LOG_S("key", member.key));
    pending_remove(door->pending, member.key);
    pending_remove(door->pending, member.next_key);
    return 0;
}

int door_forget(struct door *door, const char *what, struct err *err)
{
    struct member member;
    int r = find_member(door, what, &member, err);
    if (!r)
        r = members_remove(door->config.members, member.key, err);
    if (!r)
        log_warn("member forgotten", LOG_S("node", member.name), LOG_S("key", member.key));
    return r;
}

#include "coordinator/trust/door_internal.h"

#include "common/log.h"
#include "common/trust/phrase.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROLES_DEFAULT = CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE,
    NAME_STEM_MAX = CERTIFICATE_NAME_MAX - 11, /* "-" and a number may follow */
};

/* Who stands at the door, and where the answer goes. */
struct visit {
    struct door *door;
    const char *key, *address;
    enum door_refusal *ret_refusal;
    struct err *err;
};

const char *door_refusal_name(enum door_refusal refusal)
{
    static const char *const names[DOOR_REFUSAL_COUNT] = {
            [DOOR_STRANGER] = "stranger",
            [DOOR_CROWDED] = "crowded",
            [DOOR_REVOKED] = "revoked",
            [DOOR_EXPIRED] = "expired",
            [DOOR_FOREIGN_MESH] = "foreign_mesh",
            [DOOR_BAD_CERTIFICATE] = "bad_certificate",
            [DOOR_OTHERS_NAME] = "others_name",
            [DOOR_BAD_TOKEN] = "bad_token",
            [DOOR_NOT_HELLO] = "not_hello",
            [DOOR_BAD_HANDSHAKE] = "bad_handshake",
    };
    assert(refusal < DOOR_REFUSAL_COUNT);
    return names[refusal];
}

struct door *door_create(const struct door_config *config)
{
    struct door *door = calloc(1, sizeof(*door));
    if (!door)
        return NULL;
    door->config = *config;
    door->pending = pending_create(config->coordinator_key);
    if (!door->pending) {
        free(door);
        return NULL;
    }
    return door;
}

void door_destroy(struct door *door)
{
    if (!door)
        return;
    pending_destroy(door->pending);
    free(door);
}

/* --- time --- */

static uint64_t now_ms(const struct door *door)
{
    return env_now_ms(door->config.env);
}

/* A clock before 1970 is no worse than any other wrong one. */
static int64_t wall_ms(const struct door *door)
{
    int64_t ms = env_wall_ms(door->config.env);
    return ms < 0 ? 0 : ms;
}

static uint64_t wall_s(const struct door *door)
{
    return (uint64_t)wall_ms(door) / 1000;
}

static bool has_ended(const struct door *door, const struct member *member)
{
    return wall_s(door) > member->not_after_s;
}

static bool in_last_third(const struct door *door, uint64_t not_after_s)
{
    uint64_t now_s = wall_s(door);
    return not_after_s < now_s || not_after_s - now_s < door->config.membership_s / 3;
}

/* --- refusing --- */

static bool may_tell(struct door *door, enum door_refusal refusal, const char *key)
{
    return told_tell(&door->told, refusal, key, now_ms(door));
}

static void note_refusal(struct door *door, enum door_refusal refusal, const char *key,
        const char *address, const char *reason)
{
    door->refused[refusal]++;
    if (may_tell(door, refusal, key))
        log_warn("node refused", LOG_S("kind", door_refusal_name(refusal)), LOG_S("key", key),
                LOG_S("address", address), LOG_S("reason", reason));
}

/* Says how to let it in, and the phrase that the node shows. */
static void note_pending(
        struct door *door, enum door_refusal refusal, const struct pending_node *node)
{
    char advice[128];
    door->refused[refusal]++;
    if (!may_tell(door, refusal, node->key))
        return;
    (void)snprintf(advice, sizeof(advice), "modemesh nodes approve %s",
            *node->name ? node->name : node->address);
    log_warn("node refused", LOG_S("kind", door_refusal_name(refusal)), LOG_S("key", node->key),
            LOG_S("address", node->address), LOG_S("phrase", node->phrase), LOG_S("do", advice));
}

__attribute__((format(printf, 3, 4))) static int refuse(
        const struct visit *visit, enum door_refusal refusal, const char *fmt, ...)
{
    char reason[ERR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(reason, sizeof(reason), fmt, args);
    va_end(args);
    note_refusal(visit->door, refusal, visit->key, visit->address, reason);
    *visit->ret_refusal = refusal;
    return err_set(visit->err, -EACCES, "%s", reason);
}

static void note_failure(struct door *door, const char *key, const struct err *why)
{
    if (may_tell(door, DOOR_REFUSAL_COUNT, key))
        log_error("node not taken in", LOG_S("key", key), LOG_S("reason", why->text));
}

/* What we could not write is our owner's business, not the node's. */
static int fail(const struct visit *visit, int code, const struct err *why)
{
    note_failure(visit->door, visit->key, why);
    *visit->ret_refusal = DOOR_REFUSAL_COUNT;
    return err_set(visit->err, code, "the coordinator could not do that now; its log says why");
}

/* --- members --- */

void door_log_member(const char *event, const struct member *member)
{
    log_info(event, LOG_S("node", *member->name ? member->name : "-"), LOG_S("key", member->key),
            LOG_S("source", member->source));
}

/* What the names of hosts may hold and ours may not becomes a hyphen. */
static void clean_name(const char *says, char ret_name[CERTIFICATE_NAME_MAX + 1])
{
    size_t len = 0;
    for (; says[len] && len < CERTIFICATE_NAME_MAX; len++) {
        const char letter[] = {says[len], '\0'};
        ret_name[len] = certificate_name_valid(letter) ? says[len] : '-';
    }
    ret_name[len] = '\0';
    if (len == 0)
        strcpy(ret_name, "node");
}

void door_give_name(const struct door *door, struct member *member, const char *says)
{
    char stem[CERTIFICATE_NAME_MAX + 1];
    clean_name(says, stem);
    strcpy(member->name, stem);
    for (unsigned n = 2; members_find_name(door->config.members, member->name); n++)
        (void)snprintf(member->name, sizeof(member->name), "%.*s-%u", NAME_STEM_MAX, stem, n);
}

void door_prolong(const struct door *door, struct member *member)
{
    member->not_after_s = wall_s(door) + door->config.membership_s;
    member->serial = *member->name ? members_next_serial(door->config.members) : 0;
}

struct member door_member_for(const struct door *door, const char *key_z85, const char *source)
{
    const struct member *known = members_find_key(door->config.members, key_z85);
    struct member member = {.roles = ROLES_DEFAULT, .added_ms = wall_ms(door)};
    if (known)
        return *known;
    (void)snprintf(member.key, sizeof(member.key), "%s", key_z85);
    (void)snprintf(member.source, sizeof(member.source), "%s", source);
    return member;
}

/* The certificate that the list has for the member, with a key of its own. */
static void certify(const struct door *door, const struct member *member, const char *key,
        struct certificate_bytes *ret_certificate)
{
    struct certificate certificate = {.roles = member->roles,
            .serial = member->serial,
            .not_before_s = wall_s(door),
            .not_after_s = member->not_after_s};
    (void)snprintf(certificate.key, sizeof(certificate.key), "%s", key);
    strcpy(certificate.name, member->name);
    certificate_sign(door->config.identity, &certificate, ret_certificate);
}

/* --- the window --- */

static void close_window(struct door *door, const char *reason)
{
    door->window.open = false;
    log_info("window closed", LOG_S("reason", reason), LOG_U("nodes", door->window.nodes));
}

int door_open_window(struct door *door, uint64_t for_ms, struct err *err)
{
    if (for_ms > DOOR_WINDOW_MAX_MS)
        return err_set(err, -ERANGE,
                "nodes are accepted for at most 24h at once, not for %" PRIu64 " ms", for_ms);
    if (for_ms > 0) {
        door->window = (struct door_window){.open = true, .ends_ms = now_ms(door) + for_ms};
        log_warn("window open: every node that comes is taken", LOG_U("for_ms", for_ms));
    } else if (door->window.open) {
        close_window(door, "asked");
    }
    return 0;
}

uint64_t door_window_left_ms(const struct door *door)
{
    uint64_t now = now_ms(door);
    return door->window.open && door->window.ends_ms > now ? door->window.ends_ms - now : 0;
}

static void count_in_window(struct door *door)
{
    door->window.nodes++;
    if (door->window.nodes == DOOR_WINDOW_NODES_MAX)
        close_window(door, "it has taken as many nodes as one window takes");
}

/* An announced name is a wish: where it is taken the node gets its name when it comes. */
static bool take_in_by_window(struct door *door, const char *key)
{
    const struct pending_node *node = pending_find(door->pending, key);
    struct member member = door_member_for(door, key, "window");
    struct err err;
    if (!*member.name && node && !members_find_name(door->config.members, node->name))
        strcpy(member.name, node->name);
    door_prolong(door, &member);
    if (members_put(door->config.members, &member, &err) < 0) {
        note_failure(door, key, &err);
        return false;
    }
    door_log_member("member added", &member);
    pending_remove(door->pending, key);
    count_in_window(door);
    return true;
}

/* --- the handshake --- */

/* `member`: one whose time is over, or NULL. */
static void knock(
        struct door *door, const char *key, const char *address, const struct member *member)
{
    enum pending_verdict verdict = pending_knock(door->pending, key, address, now_ms(door));
    if (verdict == PENDING_REFUSED) {
        note_refusal(door, member ? DOOR_EXPIRED : DOOR_CROWDED, key, address,
                "it is not a member, and too many knock to remember this one");
        return;
    }
    if (verdict == PENDING_NEW && member)
        pending_name(door->pending, key, member->name);
    note_pending(door, member ? DOOR_EXPIRED : DOOR_STRANGER, pending_find(door->pending, key));
}

bool door_allow(struct door *door, const char *key_z85, const char *address)
{
    const struct member *member = members_find_key(door->config.members, key_z85);
    if (member && member->revoked) {
        note_refusal(door, DOOR_REVOKED, key_z85, address, "its membership was revoked");
        return false;
    }
    if (member && !has_ended(door, member))
        return true;
    if (tokens_find_key(door->config.tokens, key_z85, wall_ms(door)))
        return true;
    if (tokens_was_key(door->config.tokens, key_z85, wall_ms(door))) {
        note_refusal(door, DOOR_BAD_TOKEN, key_z85, address,
                "its join token is used up, expired or revoked");
        return false;
    }
    if (door_window_left_ms(door) > 0 && take_in_by_window(door, key_z85))
        return true;
    knock(door, key_z85, address, member);
    return false;
}

void door_bad_handshake(struct door *door, const char *address)
{
    char from[KEY_Z85_LEN + 1]; /* takes the place of the key that there is none of */
    (void)snprintf(from, sizeof(from), "%s", address ? address : "");
    door->refused[DOOR_BAD_HANDSHAKE]++;
    if (may_tell(door, DOOR_BAD_HANDSHAKE, from))
        log_warn("node refused", LOG_S("kind", door_refusal_name(DOOR_BAD_HANDSHAKE)),
                LOG_S("address", address),
                LOG_S("reason", "it proved no key: no CURVE, or a handshake that is broken, "
                                "replayed or never done"));
}

/* --- HELLO --- */

static int check_member(const struct visit *visit, const struct member **ret_member)
{
    const struct member *member = members_find_key(visit->door->config.members, visit->key);
    if (!member)
        return refuse(visit, DOOR_STRANGER, "this node is not a member of the mesh");
    if (member->revoked)
        return refuse(visit, DOOR_REVOKED, "the membership of \"%s\" was revoked", member->name);
    if (has_ended(visit->door, member))
        return refuse(visit, DOOR_EXPIRED,
                "the membership of \"%s\" has ended; it has to be approved again", member->name);
    *ret_member = member;
    return 0;
}

/* Either role makes a node. */
static enum certificate_fault fault_of(
        const struct visit *visit, const struct certificate *certificate)
{
    const uint8_t *mesh = visit->door->config.identity->public_key;
    uint64_t now_s = wall_s(visit->door);
    enum certificate_fault fault =
            certificate_check(certificate, mesh, visit->key, CERTIFICATE_ROLE_NODE, now_s);
    if (fault == CERTIFICATE_WRONG_ROLE)
        fault = certificate_check(certificate, mesh, visit->key, CERTIFICATE_ROLE_EDGE, now_s);
    return fault;
}

/* `*ret_knows_name`: it is certified under the name that the member has here. */
static int check_certificate(const struct visit *visit, const struct member *member,
        const void *data, size_t len, bool *ret_knows_name)
{
    struct certificate certificate;
    struct err err;
    *ret_knows_name = false;
    if (len == 0)
        return 0;
    if (certificate_parse(data, len, &certificate, &err) < 0)
        return refuse(visit, DOOR_BAD_CERTIFICATE, "%s", err.text);
    *ret_knows_name = strcmp(certificate.name, member->name) == 0;
    enum certificate_fault fault = fault_of(visit, &certificate);
    switch (fault) {
    case CERTIFICATE_FOREIGN:
        return refuse(visit, DOOR_FOREIGN_MESH, "the certificate is of another mesh");
    case CERTIFICATE_OTHER_KEY:
    case CERTIFICATE_WRONG_ROLE:
        return refuse(visit, DOOR_BAD_CERTIFICATE, "the certificate is %s",
                certificate_fault_text(fault));
    default:
        return 0; /* time is up to the list of members, and that was asked */
    }
}

/* A node that has no certificate yet, or was approved anew under another name, does not know what
 * it is called here. */
static int check_says(
        const struct visit *visit, const struct member *member, const char *says, bool knows_name)
{
    const struct member *namesake = members_find_name(visit->door->config.members, says);
    if (!knows_name || !namesake || namesake == member)
        return 0;
    return refuse(visit, DOOR_OTHERS_NAME,
            "\"%s\" is another member's name; this one is called \"%s\"", says, member->name);
}

/* The first HELLO gives a name, the first one with a new key retires the old one. */
static int settle(const struct visit *visit, const char *says, const struct member **member)
{
    struct door *door = visit->door;
    struct member next = **member;
    bool unnamed = !*next.name, moved = strcmp(next.key, visit->key) != 0;
    struct err err;
    if (!unnamed && !moved)
        return 0;
    if (unnamed) {
        door_give_name(door, &next, says);
        door_prolong(door, &next);
    }
    if (moved) {
        memcpy(next.key, next.next_key, sizeof(next.key));
        next.next_key[0] = '\0';
    }
    int r = members_put(door->config.members, &next, &err);
    if (r)
        return fail(visit, r, &err);
    door_log_member(moved ? "member has its new key" : "member named", &next);
    *member = members_find_key(door->config.members, visit->key);
    return 0;
}

int door_hello(struct door *door, const char *key_z85, const char *says, const void *certificate,
        size_t len, const char *address, const struct member **ret_member,
        enum door_refusal *ret_refusal, struct err *err)
{
    const struct visit visit = {.door = door,
            .key = key_z85,
            .address = address,
            .ret_refusal = ret_refusal,
            .err = err};
    const struct member *member = NULL;
    bool knows_name = false;
    int r = check_member(&visit, &member);
    if (!r)
        r = check_certificate(&visit, member, certificate, len, &knows_name);
    if (!r)
        r = check_says(&visit, member, says, knows_name);
    if (!r)
        r = settle(&visit, says, &member);
    if (!r)
        *ret_member = member;
    return r;
}

bool door_is_token(const struct door *door, const char *key_z85)
{
    int64_t now = wall_ms(door);
    return tokens_find_key(door->config.tokens, key_z85, now) ||
           tokens_was_key(door->config.tokens, key_z85, now);
}

void door_set_local_token(struct door *door, const char *id)
{
    (void)snprintf(door->local_token, sizeof(door->local_token), "%s", id);
}

const char *door_local_token(const struct door *door)
{
    return door->local_token;
}

void door_refuse_frame(
        struct door *door, const char *key_z85, const char *address, const char *what)
{
    note_refusal(door, DOOR_NOT_HELLO, key_z85, address, what);
}

/* --- JOIN --- */

/* Puts the list back after the token's book could not be written. */
static void undo(struct door *door, const struct member *before, const char *key)
{
    struct members *members = door->config.members;
    struct err err;
    int r = before ? members_put(members, before, &err) : members_remove(members, key, &err);
    if (r)
        log_error("a member stays that has not paid with its token", LOG_S("key", key),
                LOG_S("reason", err.text));
}

/* Writes the member and takes the use, or neither. `before` as in undo(). */
static int pay(const struct visit *visit, const struct member *member, const struct member *before)
{
    struct door *door = visit->door;
    struct err err;
    int r = members_put(door->config.members, member, &err);
    if (r)
        return fail(visit, r, &err);
    if (before && !has_ended(door, before))
        return 0;
    r = tokens_use(door->config.tokens, visit->key, wall_ms(door), &err);
    if (!r)
        return 0;
    undo(door, before, member->key);
    return fail(visit, r, &err);
}

static int join_by_token(const struct visit *visit, const struct token *token, const char *key,
        const char *says, struct certificate_bytes *ret_certificate)
{
    struct door *door = visit->door;
    const struct member *known = members_find_key(door->config.members, key);
    if (known && *known->name && !has_ended(door, known)) {
        certify(door, known, key, ret_certificate);
        return 0;
    }
    struct member before = known ? *known : (struct member){.roles = 0};
    char source[MEMBERS_SOURCE_MAX + 1];
    bool local = strcmp(token->id, visit->door->local_token) == 0;
    (void)snprintf(
            source, sizeof(source), "%s%s", local ? "local" : "token ", local ? "" : token->id);
    struct member member = door_member_for(door, key, source);
    if (!known)
        member.roles = token->roles;
    if (!*member.name)
        door_give_name(door, &member, says);
    door_prolong(door, &member);
    int r = pay(visit, &member, known ? &before : NULL);
    if (r)
        return r;
    door_log_member("member added", &member);
    pending_remove(door->pending, key);
    certify(door, &member, key, ret_certificate);
    return 0;
}

static int change_key(const struct visit *visit, const struct member *holder, const char *key,
        struct certificate_bytes *ret_certificate)
{
    struct door *door = visit->door;
    struct member next = *holder;
    struct err err;
    if (!rate_take(&door->key_changes, DOOR_KEY_CHANGES_PER_MINUTE, now_ms(door))) {
        err_set(&err, -EAGAIN, "more than %d link keys change in a minute",
                DOOR_KEY_CHANGES_PER_MINUTE);
        return fail(visit, -EAGAIN, &err);
    }
    strcpy(next.next_key, key);
    door_prolong(door, &next);
    int r = members_put(door->config.members, &next, &err);
    if (r)
        return fail(visit, r, &err);
    door_log_member("member changes its key", &next);
    pending_remove(door->pending, key);
    certify(door, &next, key, ret_certificate);
    return 0;
}

static int join_by_member(
        const struct visit *visit, const char *key, struct certificate_bytes *ret_certificate)
{
    const struct members *members = visit->door->config.members;
    const struct member *known = members_find_key(members, key), *holder = NULL;
    int r = check_member(visit, &holder);
    if (r)
        return r;
    if (strcmp(holder->key, visit->key) != 0 || !*holder->name)
        return refuse(visit, DOOR_NOT_HELLO, "HELLO comes before JOIN");
    if (known && known != holder)
        return refuse(visit, DOOR_NOT_HELLO, "the new link key is another member's");
    if (!known)
        return change_key(visit, holder, key, ret_certificate);
    certify(visit->door, holder, key, ret_certificate);
    return 0;
}

/* What nobody may join with, whoever vouches for it. */
static int check_new_key(const struct visit *visit, const char *key)
{
    const struct member *known = members_find_key(visit->door->config.members, key);
    if (!key_z85_valid(key))
        return refuse(visit, DOOR_NOT_HELLO, "the new link key is none");
    if (door_is_token(visit->door, key))
        return refuse(visit, DOOR_BAD_TOKEN, "a token's key cannot be a node's link key");
    if (known && known->revoked)
        return refuse(visit, DOOR_REVOKED, "the membership of \"%s\" was revoked", known->name);
    return 0;
}

int door_join(struct door *door, const char *via_key, const char *key_z85, const char *says,
        const char *address, struct certificate_bytes *ret_certificate,
        enum door_refusal *ret_refusal, struct err *err)
{
    const struct visit visit = {.door = door,
            .key = via_key,
            .address = address,
            .ret_refusal = ret_refusal,
            .err = err};
    const struct token *token = tokens_find_key(door->config.tokens, via_key, wall_ms(door));
    int r = check_new_key(&visit, key_z85);
    if (r)
        return r;
    if (token)
        return join_by_token(&visit, token, key_z85, says, ret_certificate);
    if (!members_find_key(door->config.members, via_key))
        return refuse(&visit, DOOR_BAD_TOKEN, "the join token is used up, expired or revoked");
    return join_by_member(&visit, key_z85, ret_certificate);
}

/* --- certificates --- */

static int renew(struct door *door, struct member *member, struct err *err)
{
    door_prolong(door, member);
    int r = members_put(door->config.members, member, err);
    if (!r)
        log_info("membership renewed", LOG_S("node", member->name),
                LOG_U("not_after_s", member->not_after_s));
    return r;
}

int door_renew(struct door *door, const char *key_z85, uint64_t shown_s,
        struct certificate_bytes *ret_certificate, struct err *err)
{
    const struct member *known = members_find_key(door->config.members, key_z85);
    if (!known || known->revoked || has_ended(door, known) || !*known->name)
        return err_set(
                err, -ENOENT, "no member that could have a certificate has the key %s", key_z85);
    if (shown_s && !in_last_third(door, shown_s))
        return 0;
    struct member member = *known;
    int r = in_last_third(door, member.not_after_s) ? renew(door, &member, err) : 0;
    if (r)
        return r;
    certify(door, &member, key_z85, ret_certificate);
    return 1;
}

void door_own_certificate(const struct door *door, const char *key_z85, const char *name,
        struct certificate_bytes *ret_certificate)
{
    struct member self = {.roles = CERTIFICATE_ROLE_COORDINATOR};
    clean_name(name, self.name);
    door_prolong(door, &self);
    certify(door, &self, key_z85, ret_certificate);
}

/* --- the rest --- */

void door_tick(struct door *door)
{
    pending_tick(door->pending, now_ms(door));
    tokens_tick(door->config.tokens, wall_ms(door));
    if (door->window.open && door_window_left_ms(door) == 0)
        close_window(door, "its time is over");
}

void door_announced(struct door *door, const char *key_z85, const char *name)
{
    pending_name(door->pending, key_z85, name);
}

struct members *door_members(const struct door *door)
{
    return door->config.members;
}

struct tokens *door_tokens(const struct door *door)
{
    return door->config.tokens;
}

const struct pending *door_pending(const struct door *door)
{
    return door->pending;
}

const struct identity *door_identity(const struct door *door)
{
    return door->config.identity;
}

const char *door_coordinator_key(const struct door *door)
{
    return door->config.coordinator_key;
}

uint64_t door_membership_s(const struct door *door)
{
    return door->config.membership_s;
}

uint64_t door_refused(const struct door *door, enum door_refusal refusal)
{
    assert(refusal < DOOR_REFUSAL_COUNT);
    return door->refused[refusal];
}

#include "node/link/joining.h"

#include "common/daemon.h"
#include "common/file.h"
#include "common/link/link.h"
#include "common/log.h"
#include "common/trust/phrase.h"
#include "node/link/contact.h"
#include "proto/frame.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ANSWER_MS = 5000,  /* to JOIN with a token */
    REMINDERS_MAX = 8, /* coordinators that the log's reminders are counted for */
};

struct reminder {
    char key[KEY_Z85_LEN + 1]; /* coordinator that the log said to wait for … */
    uint64_t said_ms;          /* … and when */
};

struct joining {
    struct joining_config config;
    const struct joining_events *events;
    void *ctx;
    char membership_path[PATH_MAX], key_path[PATH_MAX], next_key_path[PATH_MAX];
    struct membership membership, kept; /* now, and as the file has it */
    char mesh[IDENTITY_ID_LEN + 1];
    char name[CERTIFICATE_NAME_MAX + 1]; /* in the mesh */
    struct contact *contact;
    struct link_client *link;
    struct loop_timer *patience;  /* for the answer to JOIN */
    struct contact_target target; /* of this connection */
    bool via_token;               /* this connection shows the token's key */
    bool believed;                /* its WELCOME or JOINED was */
    bool shut_out;   /* a coordinator of the pinned mesh does not let this node in any more */
    bool token_done; /* it worked, or will not work */
    struct join_token local;          /* of a coordinator on this host */
    bool token_rests;                 /* it led nowhere: the next try goes without it */
    char dead_local[KEY_Z85_LEN + 1]; /* one that the coordinator does not take */
    struct key_pair next;             /* link key to change to; all zero: none */
    uint8_t join_key[KEY_BYTES];      /* what JOIN points to */
    struct reminder reminders[REMINDERS_MAX];
    size_t next_reminder;    /* a ring */
    uint64_t hurried_ms;     /* when something that was found made it try at once */
    char told[ERR_TEXT_MAX]; /* last reason for having no link, so that it is logged once */
};

/* A new connection that is meant to be: its end is no news. */
static void reset_quietly(struct joining *joining, const char *reason)
{
    (void)snprintf(joining->told, sizeof joining->told, "%s", reason);
    link_client_reset(joining->link, reason);
}

static void tell_once(struct joining *joining, const char *event, const char *reason)
{
    if (strncmp(joining->told, reason, sizeof joining->told - 1) == 0)
        return;
    (void)snprintf(joining->told, sizeof joining->told, "%s", reason);
    log_warn(event, LOG_S("reason", reason));
}

static uint64_t now_s(const struct joining *joining)
{
    return (uint64_t)(env_wall_ms(joining->config.env) / 1000);
}

/* --- what is remembered --- */

bool joining_is_member(const struct joining *joining)
{
    return joining->membership.certificate.len > 0;
}

const char *joining_mesh(const struct joining *joining)
{
    return joining->mesh;
}

const char *joining_name(const struct joining *joining)
{
    return joining->name;
}

const char *joining_endpoint(const struct joining *joining)
{
    return joining->target.endpoint;
}

/* What the mesh is called, and what it calls this node. */
static void take_names(struct joining *joining)
{
    const struct certificate_bytes *bytes = &joining->membership.certificate;
    struct certificate certificate;

    joining->mesh[0] = '\0';
    if (joining->membership.pinned)
        identity_id(joining->membership.mesh, joining->mesh);
    if (bytes->len > 0 && certificate_parse(bytes->data, bytes->len, &certificate, NULL) == 0)
        strcpy(joining->name, certificate.name);
    else
        (void)snprintf(joining->name, sizeof joining->name, "%s", joining->config.name);
}

/* Where it cannot be written, the node goes on with what it knows now. */
static void remember(struct joining *joining)
{
    struct err err;

    if (membership_equal(&joining->membership, &joining->kept))
        return;
    if (membership_write(joining->membership_path, &joining->membership, &err) < 0)
        log_error("membership not kept; a restart will not know of it", LOG_S("reason", err.text));
    else
        joining->kept = joining->membership;
    contact_set_membership(joining->contact, &joining->membership);
    take_names(joining);
}

/* Takes `bytes` where it is a certificate of `key` in `mesh` that is good now. */
static int check_own(const struct joining *joining, const struct msg_bytes *bytes,
        const uint8_t *mesh, const char *key, struct err *err)
{
    struct certificate certificate;
    enum certificate_fault fault;
    int r = certificate_parse(bytes->data, bytes->len, &certificate, err);

    if (r < 0)
        return r;
    fault = certificate_check(
            &certificate, mesh, key, (enum certificate_role)certificate.roles, now_s(joining));
    if (fault == CERTIFICATE_FINE)
        return 0;
    return err_set(err, -EPERM, "the certificate from the coordinator is %s",
            certificate_fault_text(fault));
}

static void keep_certificate(struct joining *joining, const struct msg_bytes *bytes)
{
    assert(bytes->len <= sizeof joining->membership.certificate.data);
    joining->membership.certificate.len = bytes->len;
    memcpy(joining->membership.certificate.data, bytes->data, bytes->len);
}

/* The roles of our certificate, 0 where it is not for our present key: then it is of no use. */
static unsigned own_roles(const struct joining *joining)
{
    const struct certificate_bytes *bytes = &joining->membership.certificate;
    struct certificate certificate;

    if (bytes->len == 0 || certificate_parse(bytes->data, bytes->len, &certificate, NULL) < 0 ||
            strcmp(certificate.key, joining->config.pair->public_z85) != 0)
        return 0;
    return certificate.roles;
}

static struct msg_bytes own_certificate(const struct joining *joining)
{
    const struct certificate_bytes *bytes = &joining->membership.certificate;

    return own_roles(joining) == 0 ? (struct msg_bytes){.len = 0}
                                   : (struct msg_bytes){.data = bytes->data, .len = bytes->len};
}

/* --- whom to believe --- */

static const struct join_token *token_of(const struct joining *joining)
{
    if (joining->config.token != NULL)
        return joining->config.token;
    return joining->local.pair.secret_z85 != NULL ? &joining->local : NULL;
}

struct claim { /* what a coordinator says of itself */
    const uint8_t *mesh;
    const struct msg_bytes *coordinators;
    size_t count;
};

/* True where `bytes` says that `*ret_key` is a coordinator's of that mesh. */
static bool is_coordinator(const struct joining *joining, const uint8_t *mesh,
        const struct msg_bytes *bytes, char ret_key[KEY_Z85_LEN + 1])
{
    struct certificate certificate;

    if (certificate_parse(bytes->data, bytes->len, &certificate, NULL) < 0 ||
            certificate_check(&certificate, mesh, certificate.key, CERTIFICATE_ROLE_COORDINATOR,
                    now_s(joining)) != CERTIFICATE_FINE)
        return false;
    memcpy(ret_key, certificate.key, KEY_Z85_LEN + 1);
    return true;
}

/* The one mesh that is believed at this end of the link; NULL: whichever comes first. A token's key
 * belongs to the token's mesh. */
static const uint8_t *pinned_mesh(const struct joining *joining)
{
    const struct join_token *token = token_of(joining);

    if (joining->membership.pinned)
        return joining->membership.mesh;
    if (token != NULL && strcmp(token->coordinator_key, joining->target.key) == 0)
        return token->mesh;
    return NULL;
}

/* Nobody can announce a mesh, or be named as one, and then turn out to be another. */
static int check_mesh_id(const struct joining *joining, const uint8_t *mesh, struct err *err)
{
    const char *ids[] = {joining->target.mesh, joining->config.mesh};
    char id[IDENTITY_ID_LEN + 1];

    identity_id(mesh, id);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (ids[i] != NULL && *ids[i] != '\0' && strcmp(ids[i], id) != 0)
            return err_set(err, -EPERM, "%s is of mesh %s, and not of mesh %s",
                    joining->target.endpoint, id, ids[i]);
    return 0;
}

static int check_claim(const struct joining *joining, const struct claim *claim, struct err *err)
{
    const uint8_t *pinned = pinned_mesh(joining);
    char key[KEY_Z85_LEN + 1];

    if (pinned == NULL && check_mesh_id(joining, claim->mesh, err) < 0)
        return -EPERM;

    if (pinned != NULL && memcmp(claim->mesh, pinned, IDENTITY_BYTES) != 0)
        return err_set(err, -EPERM,
                "%s belongs to another mesh than this node; `modemesh-node --leave` makes the node "
                "forget its own",
                joining->target.endpoint);
    for (size_t i = 0; i < claim->count; i++)
        if (is_coordinator(joining, claim->mesh, &claim->coordinators[i], key) &&
                strcmp(key, joining->target.key) == 0)
            return 0;
    return err_set(err, -EPERM,
            "%s does not prove that it is a coordinator of this mesh (or the clock of one of the "
            "two hosts is wrong)",
            joining->target.endpoint);
}

/* Of a claim that was checked. The key that the link has proven comes first. */
static void keep_coordinators(struct joining *joining, const struct claim *claim)
{
    static const char scheme[] = "tcp://";
    char key[KEY_Z85_LEN + 1];

    joining->membership.pinned = true;
    memcpy(joining->membership.mesh, claim->mesh, IDENTITY_BYTES);
    for (size_t i = 0; i < claim->count; i++)
        if (is_coordinator(joining, claim->mesh, &claim->coordinators[i], key))
            membership_add_key(&joining->membership, key);
    membership_add_key(&joining->membership, joining->target.key);
    membership_add_address(&joining->membership, joining->target.endpoint + strlen(scheme));
}

static void settle(struct joining *joining)
{
    joining->believed = true;
    joining->shut_out = false;
    contact_worked(joining->contact);
    link_client_settled(joining->link);
}

int joining_on_welcome(struct joining *joining, const struct msg_welcome *welcome, struct err *err)
{
    const struct claim claim = {.mesh = welcome->mesh.data,
            .coordinators = welcome->coordinators,
            .count = welcome->coordinator_count};
    int r = check_claim(joining, &claim, err);

    if (r == 0 && welcome->certificate.len > 0)
        r = check_own(
                joining, &welcome->certificate, claim.mesh, joining->config.pair->public_z85, err);
    if (r == 0 && welcome->certificate.len == 0 && own_roles(joining) == 0)
        r = err_set(err, -EPROTO, "%s gave this node no certificate", joining->target.endpoint);
    if (r < 0)
        return r;
    keep_coordinators(joining, &claim);
    if (welcome->certificate.len > 0)
        keep_certificate(joining, &welcome->certificate);
    remember(joining);
    joining->told[0] = '\0';
    memset(joining->reminders, 0, sizeof joining->reminders);
    settle(joining);
    joining->events->on_member(joining->ctx, welcome->coordinator, own_roles(joining));
    return 0;
}

/* --- a join token --- */

/* A token file of a coordinator on this host is made anew at its every start. */
static void look_for_local_token(struct joining *joining)
{
    struct join_token token;

    if (joining->config.token != NULL || joining->config.local_token == NULL)
        return;
    join_token_fini(&joining->local);
    if (join_token_read(joining->config.local_token, &token, NULL) < 0)
        return;
    if (strcmp(token.pair.public_z85, joining->dead_local) == 0)
        join_token_fini(&token);
    else
        joining->local = token;
}

static bool token_fits(struct joining *joining, const struct join_token *token)
{
    if (!joining->membership.pinned ||
            memcmp(token->mesh, joining->membership.mesh, IDENTITY_BYTES) == 0)
        return true;
    if (token == joining->config.token)
        tell_once(joining, "join token not used",
                "it is of another mesh than this node's; `modemesh-node --leave` makes the node "
                "forget its own");
    return false;
}

/* One that led nowhere and the other ways in take turns: it may be stale, or its coordinator busy.
 */
static bool is_due(struct joining *joining, const struct join_token *token)
{
    bool rests = joining->token_rests;

    joining->token_rests = false;
    return !rests && !(token == joining->config.token && joining->token_done);
}

static bool should_use_token(struct joining *joining)
{
    const struct join_token *token;

    if (joining_is_member(joining) && !joining->shut_out)
        return false;
    look_for_local_token(joining);
    token = token_of(joining);
    return token != NULL && is_due(joining, token) && token_fits(joining, token);
}

/* At the token's coordinator. */
static int aim_at_token(struct joining *joining)
{
    const struct join_token *token = token_of(joining);
    struct text_addr addresses[JOIN_TOKEN_ADDRESSES_MAX];
    size_t count = 0;
    struct err err;

    for (size_t i = 0; i < token->address_count; i++)
        if (text_parse_addr(token->addresses[i], &addresses[count], NULL) == 0)
            count++;
    if (contact_set_token(joining->contact, token->coordinator_key, addresses, count, &err) < 0) {
        tell_once(joining, "join token not used", err.text);
        return -EINVAL;
    }
    return 0;
}

/* A token that is spent still says where to knock; it may have been spent for us, with the answer
 * lost. */
static void aim_as_self(struct joining *joining)
{
    bool knows_more = joining->membership.pinned || joining->config.token == NULL;

    link_client_set_pair(joining->link, joining->config.pair);
    if (knows_more || aim_at_token(joining) < 0)
        /* Without a key nothing is copied, and nothing can fail. */
        (void)!contact_set_token(joining->contact, NULL, NULL, 0, NULL);
}

static bool aim_by_token(struct joining *joining)
{
    if (!should_use_token(joining) || aim_at_token(joining) < 0)
        return false;
    link_client_set_pair(joining->link, &token_of(joining)->pair);
    return true;
}

static struct msg make_join(struct joining *joining, const char *key)
{
    bool valid = key_to_raw(key, joining->join_key);

    assert(valid);
    (void)valid;
    return (struct msg){.type = MSG_JOIN,
            .join = {.name = joining->config.name,
                    .software = joining->config.software,
                    .version_min = FRAME_VERSION_MIN,
                    .version_max = FRAME_VERSION,
                    .key = {.data = joining->join_key, .len = KEY_BYTES}}};
}

static void give_up_token(struct joining *joining, const char *reason)
{
    if (token_of(joining) == &joining->local) {
        strcpy(joining->dead_local, joining->local.pair.public_z85);
        tell_once(joining, "the coordinator on this host does not take its join token", reason);
    } else {
        joining->token_done = true;
        tell_once(joining, "join token refused; ask for another: modemesh token create", reason);
    }
}

/* JOINED on the token's connection. */
static int take_joined(struct joining *joining, const struct msg_joined *joined, struct err *err)
{
    const struct join_token *token = token_of(joining);
    const struct claim claim = {.mesh = joined->mesh.data,
            .coordinators = joined->coordinators,
            .count = joined->coordinator_count};
    int r = check_claim(joining, &claim, err);

    if (r == 0)
        r = check_own(
                joining, &joined->certificate, claim.mesh, joining->config.pair->public_z85, err);
    if (r < 0)
        return r;
    for (size_t i = token->address_count; i-- > 0;)
        membership_add_address(&joining->membership, token->addresses[i]);
    keep_coordinators(joining, &claim);
    keep_certificate(joining, &joined->certificate);
    remember(joining);
    joining->token_done = true;
    settle(joining);
    return 0;
}

/* Where the coordinator itself has failed (its disk is full, say) the token may do later. */
static void take_token_refusal(struct joining *joining, const struct msg_refuse *refuse)
{
    if (refuse->code != REFUSE_OTHER) {
        give_up_token(joining, refuse->message);
        return;
    }
    joining->token_rests = true;
    tell_once(joining, "join token not taken now; trying on", refuse->message);
}

static void on_token_msg(struct joining *joining, const struct msg *msg)
{
    struct err err;

    if (msg->type == MSG_JOINED && take_joined(joining, &msg->joined, &err) < 0) {
        give_up_token(joining, err.text);
        link_client_reset(joining->link, "the answer to the join token is not to be believed");
    } else if (msg->type == MSG_JOINED) {
        log_info("joined by token", LOG_S("mesh", joining->mesh));
        link_client_reset(joining->link, "coming back as a member");
    } else if (msg->type == MSG_REFUSE) {
        take_token_refusal(joining, &msg->refuse);
        link_client_reset(joining->link, msg->refuse.message);
    }
}

static void on_token_frame(struct joining *joining, const void *data, size_t len)
{
    struct arena arena;
    struct msg msg;
    struct err err;

    arena_init(&arena, MSG_ARENA_BYTES);
    if (codec_decode(data, len, &arena, &msg, &err) == 0)
        on_token_msg(joining, &msg);
    arena_fini(&arena);
}

static void on_patience(void *ctx)
{
    struct joining *joining = ctx;

    link_client_reset(joining->link, "the coordinator does not answer JOIN");
}

/* --- a key to change to --- */

bool joining_wants_key(struct joining *joining, struct msg *ret_join)
{
    struct err err;

    if (access(joining->next_key_path, F_OK) != 0)
        return false;
    keys_fini(&joining->next);
    if (keys_load_or_create(joining->next_key_path, &joining->next, &err) < 0) {
        log_error("link key not changed", LOG_S("reason", err.text));
        return false;
    }
    *ret_join = make_join(joining, joining->next.public_z85);
    return true;
}

/* JOINED within a session: the next connection shows the new key. */
static void change_key(struct joining *joining, const struct msg_joined *joined)
{
    struct err err;

    if (joining->next.secret_z85 == NULL)
        return; /* nothing was asked */
    if (check_own(joining, &joined->certificate, joining->membership.mesh, joining->next.public_z85,
                &err) < 0) {
        log_error("link key not changed", LOG_S("reason", err.text));
        return;
    }
    if (rename(joining->next_key_path, joining->key_path) < 0) {
        log_error("link key not changed", LOG_S("reason", strerror(errno)));
        return;
    }
    keep_certificate(joining, &joined->certificate);
    remember(joining);
    keys_fini(joining->config.pair);
    *joining->config.pair = joining->next;
    joining->next = (struct key_pair){.secret_z85 = NULL};
    log_info("link key changed", LOG_S("key", joining->config.pair->public_z85));
    reset_quietly(joining, "coming back with the new link key");
}

static void take_certificate(struct joining *joining, const struct msg_certificate *said)
{
    const struct claim claim = {.mesh = joining->membership.mesh,
            .coordinators = said->coordinators,
            .count = said->coordinator_count};
    struct err err;
    int r = check_claim(joining, &claim, &err);

    if (r == 0 && said->certificate.len > 0)
        r = check_own(
                joining, &said->certificate, claim.mesh, joining->config.pair->public_z85, &err);
    if (r < 0) {
        log_warn("certificate not taken", LOG_S("reason", err.text));
        return;
    }
    keep_coordinators(joining, &claim);
    if (said->certificate.len > 0)
        keep_certificate(joining, &said->certificate);
    remember(joining);
    log_info("certificate renewed", LOG_S("mesh", joining->mesh));
}

/* Before WELCOME it is the end of this connection. */
static void take_refusal(struct joining *joining, const struct msg_refuse *refuse)
{
    tell_once(joining, "refused by the coordinator", refuse->message);
    if (!joining->believed)
        link_client_reset(joining->link, refuse->message);
}

void joining_on_membership(struct joining *joining, const struct msg *msg)
{
    if (msg->type == MSG_CERTIFICATE)
        take_certificate(joining, &msg->certificate);
    else if (msg->type == MSG_JOINED)
        change_key(joining, &msg->joined);
    else if (msg->type == MSG_REFUSE)
        take_refusal(joining, &msg->refuse);
}

/* --- the link --- */

static void on_seek(void *ctx)
{
    struct joining *joining = ctx;

    joining->via_token = aim_by_token(joining);
    if (!joining->via_token)
        aim_as_self(joining);
    contact_seek(joining->contact);
}

static void on_target(void *ctx, const struct contact_target *target)
{
    struct joining *joining = ctx;

    joining->target = *target;
    joining->believed = false;
    link_client_connect(joining->link, target->endpoint, target->key);
}

static void on_none(void *ctx, const char *reason)
{
    struct joining *joining = ctx;

    if (joining->via_token && token_of(joining) == &joining->local)
        joining->token_rests = true;
    else
        tell_once(joining, "no link to a coordinator; trying on", reason);
    link_client_wait(joining->link);
}

static const struct contact_events contact_events = {.on_target = on_target, .on_none = on_none};

static void on_up(void *ctx)
{
    struct joining *joining = ctx;

    if (joining->via_token) {
        const struct msg join = make_join(joining, joining->config.pair->public_z85);
        struct transport transport = link_client_transport(joining->link);
        loop_timer_start(joining->patience, ANSWER_MS, 0);
        /* Where it does not leave, on_patience() makes a new connection. */
        (void)!codec_send(&transport, NULL, &join, NULL);
    } else {
        const struct msg_bytes certificate = own_certificate(joining);
        joining->events->on_up(joining->ctx, &certificate);
    }
}

static void on_frame(void *ctx, const void *data, size_t len)
{
    struct joining *joining = ctx;

    if (joining->via_token)
        on_token_frame(joining, data, len);
    else
        joining->events->on_frame(joining->ctx, data, len);
}

static struct reminder *find_reminder(struct joining *joining, const char *key)
{
    struct reminder *oldest = &joining->reminders[joining->next_reminder];

    for (size_t i = 0; i < REMINDERS_MAX; i++)
        if (strcmp(joining->reminders[i].key, key) == 0)
            return &joining->reminders[i];
    joining->next_reminder = (joining->next_reminder + 1) % REMINDERS_MAX;
    oldest->key[0] = '\0';
    return oldest;
}

/* True where it is time to say it (again). */
static bool may_remind(struct joining *joining)
{
    struct reminder *reminder = find_reminder(joining, joining->target.key);
    uint64_t now_ms = env_now_ms(joining->config.env);

    if (reminder->key[0] != '\0' && now_ms - reminder->said_ms < JOINING_REMIND_MS)
        return false;
    strcpy(reminder->key, joining->target.key);
    reminder->said_ms = now_ms;
    return true;
}

/* Says what a person has to do, once a while. */
static void remind(struct joining *joining)
{
    char phrase[PHRASE_LEN + 1], command[PHRASE_LEN + MSG_NODE_NAME_MAX + 64];

    if (!may_remind(joining))
        return;
    phrase_make(joining->target.key, joining->config.pair->public_z85, phrase);
    (void)snprintf(command, sizeof command, "modemesh nodes approve %s --phrase %s",
            joining->config.name, phrase);
    log_warn(joining->shut_out
                     ? "this node's membership has ended; it waits for approval (where it "
                       "was revoked, `modemesh nodes forget` comes first)"
                     : "this node waits for approval",
            LOG_S("run_on_the_coordinator", command), LOG_S("phrase", phrase),
            LOG_S("coordinator", joining->target.endpoint));
}

/* A refusal of the handshake is not proven: who answers at an address can say it without a key. So
 * it counts only where the address was not merely announced. */
static bool is_refusal(const struct joining *joining, enum link_failure failure)
{
    return failure == LINK_REFUSED && !joining->target.announced;
}

static void on_token_down(struct joining *joining, enum link_failure failure, const char *reason)
{
    if (is_refusal(joining, failure))
        give_up_token(joining,
                "the coordinator does not know it: it is used up, has expired or was revoked");
    else if (failure == LINK_REFUSED || token_of(joining) == &joining->local)
        joining->token_rests = true;
    else if (!joining->token_done && !joining->token_rests)
        tell_once(joining, "no link to the coordinator; trying on", reason);
}

/* Anybody may announce the id of our mesh; only its coordinators can end the membership. */
static void on_refused(struct joining *joining)
{
    if (joining_is_member(joining) && is_refusal(joining, LINK_REFUSED) &&
            membership_has_key(&joining->membership, joining->target.key))
        joining->shut_out = true;
    remind(joining);
}

/* A coordinator's other keys are tried too while it does not let this node in: that they fail is no
 * news. */
static void on_down(void *ctx, enum link_failure failure, const char *reason)
{
    static const char excluded[] =
            "this host is no member of the mesh any more; its node waits for "
            "approval";
    struct joining *joining = ctx;
    bool via_token = joining->via_token;

    loop_timer_stop(joining->patience);
    if (via_token)
        on_token_down(joining, failure, reason);
    else if (failure == LINK_REFUSED)
        on_refused(joining);
    else if (!joining->shut_out || failure != LINK_HANDSHAKE)
        tell_once(joining, "no link to the coordinator; trying on", reason);
    if (!joining->believed)
        contact_failed(joining->contact, failure == LINK_HANDSHAKE || failure == LINK_REFUSED);
    if (!via_token)
        joining->events->on_down(joining->ctx, joining->shut_out ? excluded : reason);
}

static const struct link_client_events link_events = {
        .on_seek = on_seek, .on_up = on_up, .on_frame = on_frame, .on_down = on_down};

void joining_reset(struct joining *joining, const char *reason)
{
    link_client_reset(joining->link, reason);
}

void joining_hurry(struct joining *joining)
{
    link_client_hurry(joining->link);
}

struct transport joining_transport(struct joining *joining)
{
    return link_client_transport(joining->link);
}

void joining_found(struct joining *joining, const struct discovered *found)
{
    uint64_t now_ms = env_now_ms(joining->config.env);

    contact_found(joining->contact, found);
    if (now_ms - joining->hurried_ms < JOINING_HURRY_MS || !contact_has_news(joining->contact))
        return;
    joining->hurried_ms = now_ms;
    link_client_hurry(joining->link);
}

void joining_lost(struct joining *joining, const char *label, const char *address)
{
    contact_lost(joining->contact, label, address);
}

int joining_add_address(struct joining *joining, const char *address, struct err *err)
{
    return contact_add_static(joining->contact, address, err);
}

/* --- life --- */

static int open_files(struct joining *joining, struct err *err)
{
    const char *dir = joining->config.state;
    int r = daemon_state_path(dir, "membership.json", joining->membership_path, err);

    if (r == 0)
        r = daemon_state_path(dir, "link.key", joining->key_path, err);
    if (r == 0)
        r = daemon_state_path(dir, "link.key.next", joining->next_key_path, err);
    if (r == 0)
        r = membership_read(joining->membership_path, &joining->membership, err);
    joining->kept = joining->membership;
    return r;
}

static int open_link(struct joining *joining, struct err *err)
{
    const struct joining_config *config = &joining->config;

    joining->contact = contact_create(config->loop, &contact_events, joining);
    joining->patience = loop_timer_create(config->loop, on_patience, joining);
    if (joining->contact == NULL || joining->patience == NULL)
        return err_set(err, -ENOMEM, "no memory for the link");
    if (config->coordinator_key != NULL && config->coordinator_key[0] != '\0')
        contact_expect_key(joining->contact, config->coordinator_key);
    if (config->mesh != NULL)
        contact_name_mesh(joining->contact, config->mesh);
    contact_set_membership(joining->contact, &joining->membership);
    take_names(joining);
    return link_client_create(
            config->loop, config->env, config->pair, &link_events, joining, &joining->link, err);
}

int joining_create(const struct joining_config *config, const struct joining_events *events,
        void *ctx, struct joining **ret_joining, struct err *err)
{
    struct joining *joining = calloc(1, sizeof *joining);
    int r;

    if (joining == NULL)
        return err_set(err, -ENOMEM, "no memory for the link");
    joining->config = *config;
    joining->events = events;
    joining->ctx = ctx;
    r = open_files(joining, err);
    if (r == 0)
        r = open_link(joining, err);
    if (r < 0) {
        joining_destroy(joining);
        return r;
    }
    *ret_joining = joining;
    return 0;
}

void joining_destroy(struct joining *joining)
{
    if (joining == NULL)
        return;
    link_client_destroy(joining->link);
    contact_destroy(joining->contact);
    loop_timer_destroy(joining->patience);
    join_token_fini(&joining->local);
    keys_fini(&joining->next);
    free(joining);
}

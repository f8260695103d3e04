#include "node/link/contact.h"

#include "common/link/dialer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEYS_MAX = MEMBERSHIP_COORDINATOR_KEYS_MAX + CONTACT_DISCOVERED_MAX + CONTACT_EXPECTED_MAX,
    /* Anybody may announce anything: */
    ANNOUNCED_MAX = DIALER_TARGETS_MAX / 2, /* addresses of one dial */
    STRANGERS_MAX = 4,                      /* keys of one seek that are only announced */
    WRONG_MAX = 32,
};

struct key_list {
    size_t count;
    char at[KEYS_MAX][KEY_Z85_LEN + 1];
};

struct addr_list {
    size_t count;
    struct text_addr at[DIALER_TARGETS_MAX];
};

struct place { /* an address and who is, or is not, there */
    char key[KEY_Z85_LEN + 1];
    struct text_addr addr;
};

struct found {
    struct list link;
    struct discovered what;
};

struct contact {
    const struct contact_events *events;
    void *ctx;
    struct dialer *dialer;
    struct loop_timer *timer; /* begins a seek from the loop */

    /* What is known. */
    struct addr_list statics, member_addrs, token_addrs;
    struct key_list expected, members;
    char mesh[IDENTITY_ID_LEN + 1];  /* pinned; "": none */
    char named[IDENTITY_ID_LEN + 1]; /* by the settings; "": none */
    char token_key[KEY_Z85_LEN + 1]; /* "": none */
    struct list found;
    size_t found_count;
    bool has_news;

    /* What was learnt. */
    struct key_list tried;         /* had their turn in this round */
    struct place good;             /* worked last; key "": none yet */
    struct place wrong[WRONG_MAX]; /* a ring; key "": free */
    size_t next_wrong;
    bool wary; /* an address that is only announced was the last to fail */

    /* One seek. */
    struct key_list line;
    size_t turn;              /* in the line */
    bool second_try;          /* of the turn's key: with the addresses that were wrong */
    struct addr_list dialled; /* now */
    size_t known_count;       /* of these; behind them come those that are only announced */
    struct addr_list dead;    /* did not answer in this seek */
    char reason[ERR_TEXT_MAX];
    struct place last; /* that on_target told */
    bool last_announced;
};

/* --- lists --- */

static bool key_list_has(const struct key_list *list, const char *key)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->at[i], key) == 0)
            return true;
    return false;
}

static void key_list_add(struct key_list *list, const char *key)
{
    if (list->count < KEYS_MAX && !key_list_has(list, key))
        (void)snprintf(list->at[list->count++], sizeof(list->at[0]), "%s", key);
}

static void key_list_add_all(struct key_list *list, const struct key_list *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        key_list_add(list, keys->at[i]);
}

static bool same_addr(const struct text_addr *a, const struct text_addr *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static bool addr_list_has(const struct addr_list *list, const struct text_addr *addr)
{
    for (size_t i = 0; i < list->count; i++)
        if (same_addr(&list->at[i], addr))
            return true;
    return false;
}

static void addr_list_add(struct addr_list *list, const struct text_addr *addr)
{
    if (list->count < DIALER_TARGETS_MAX && !addr_list_has(list, addr))
        list->at[list->count++] = *addr;
}

/* --- addresses that are somebody else's --- */

static bool is_wrong(const struct contact *contact, const char *key, const struct text_addr *addr)
{
    for (size_t i = 0; i < WRONG_MAX; i++)
        if (strcmp(contact->wrong[i].key, key) == 0 && same_addr(&contact->wrong[i].addr, addr))
            return true;
    return false;
}

static void note_wrong(struct contact *contact, const struct place *place)
{
    contact->wrong[contact->next_wrong] = *place;
    contact->next_wrong = (contact->next_wrong + 1) % WRONG_MAX;
}

static void forget_wrong(struct contact *contact, const char *key)
{
    for (size_t i = 0; i < WRONG_MAX; i++)
        if (strcmp(contact->wrong[i].key, key) == 0)
            contact->wrong[i].key[0] = '\0';
}

/* --- which keys --- */

static bool is_wanted(const struct contact *contact, const struct announcement *announcement)
{
    if (*contact->token_key)
        return strcmp(announcement->key, contact->token_key) == 0;
    if (*contact->mesh)
        return key_list_has(&contact->members, announcement->key) ||
               strcmp(announcement->mesh, contact->mesh) == 0;
    if (contact->expected.count > 0)
        return key_list_has(&contact->expected, announcement->key);
    return !*contact->named || strcmp(announcement->mesh, contact->named) == 0;
}

/* Those that are not only announced. */
static void gather_known(const struct contact *contact, struct key_list *ret_keys)
{
    if (*contact->token_key)
        key_list_add(ret_keys, contact->token_key);
    else
        *ret_keys = *contact->mesh ? contact->members : contact->expected;
}

/* Best first. */
static void gather_keys(const struct contact *contact, struct key_list *ret_keys)
{
    gather_known(contact, ret_keys);
    list_for_each (it, &contact->found) {
        const struct announcement *announcement =
                &list_entry(it, struct found, link)->what.announcement;
        if (is_wanted(contact, announcement))
            key_list_add(ret_keys, announcement->key);
    }
}

/* All that are known, and the first few of the others. */
static void shorten_line(struct contact *contact)
{
    struct key_list known = {.count = 0}, line = contact->line;
    size_t strangers = 0;
    gather_known(contact, &known);
    contact->line.count = 0;
    for (size_t i = 0; i < line.count; i++)
        if (key_list_has(&known, line.at[i]) || strangers++ < STRANGERS_MAX)
            key_list_add(&contact->line, line.at[i]);
}

/* Those that had no turn yet go before those that had; when all had one, the round is over. */
static void form_line(struct contact *contact)
{
    struct key_list all = {.count = 0}, keys = {.count = 0};
    gather_keys(contact, &all);
    if (key_list_has(&all, contact->good.key))
        key_list_add(&keys, contact->good.key);
    key_list_add_all(&keys, &all);
    contact->line.count = 0;
    for (size_t i = 0; i < keys.count; i++)
        if (!key_list_has(&contact->tried, keys.at[i]))
            key_list_add(&contact->line, keys.at[i]);
    if (contact->line.count == 0)
        contact->tried.count = 0;
    key_list_add_all(&contact->line, &keys);
    shorten_line(contact);
}

/* A key that is known waits for the turn of one that is only announced, not of them all. */
static void note_turn(struct contact *contact, const char *key)
{
    struct key_list known = {.count = 0}, tried = contact->tried;
    gather_known(contact, &known);
    if (!key_list_has(&known, key)) {
        contact->tried.count = 0;
        for (size_t i = 0; i < tried.count; i++)
            if (!key_list_has(&known, tried.at[i]))
                key_list_add(&contact->tried, tried.at[i]);
    }
    key_list_add(&contact->tried, key);
}

/* --- where a key may be --- */

static void add_addr(struct contact *contact, const char *key, const struct text_addr *addr)
{
    if (!addr_list_has(&contact->dead, addr) && !is_wrong(contact, key, addr))
        addr_list_add(&contact->dialled, addr);
}

static void add_addrs(struct contact *contact, const char *key, const struct addr_list *addrs)
{
    for (size_t i = 0; i < addrs->count; i++)
        add_addr(contact, key, &addrs->at[i]);
}

static void add_announced(struct contact *contact, const char *key, const char *host, uint16_t port)
{
    struct text_addr addr = {.port = port};
    (void)snprintf(addr.host, sizeof(addr.host), "%s", host);
    if (port != 0 && contact->dialled.count - contact->known_count < ANNOUNCED_MAX)
        add_addr(contact, key, &addr);
}

static void add_found(struct contact *contact, const char *key)
{
    list_for_each (it, &contact->found) {
        const struct discovered *what = &list_entry(it, struct found, link)->what;
        const struct host_addrs *addrs = &what->announcement.addrs;
        if (strcmp(what->announcement.key, key) != 0)
            continue;
        add_announced(contact, key, what->address, what->port);
        for (size_t i = 0; i < addrs->count; i++)
            add_announced(contact, key, addrs->at[i], what->port);
    }
}

static void add_known(struct contact *contact, const char *key)
{
    if (strcmp(contact->good.key, key) == 0)
        add_addr(contact, key, &contact->good.addr);
    if (*contact->token_key) {
        add_addrs(contact, key, &contact->token_addrs);
    } else if (*contact->mesh) {
        if (!key_list_has(&contact->members, key))
            return;
        add_addrs(contact, key, &contact->member_addrs);
        add_addrs(contact, key, &contact->statics);
    } else if (key_list_has(&contact->expected, key)) {
        add_addrs(contact, key, &contact->statics);
    }
}

/* The first that answers wins, and who answers at an announced address may be anybody: after one
 * that did not do, the known ones are dialled alone. */
static void gather_addrs(struct contact *contact, const char *key)
{
    contact->dialled.count = 0;
    add_known(contact, key);
    contact->known_count = contact->dialled.count;
    if (!contact->wary)
        add_found(contact, key);
}

/* --- seeking --- */

static void explain_nobody(struct contact *contact)
{
    const struct text_addr *first = &contact->statics.at[0];
    char *reason = contact->reason;
    size_t size = sizeof(contact->reason);
    if (contact->line.count > 0)
        (void)snprintf(reason, size,
                "no address of the coordinator is known; name one with --coordinator HOST");
    else if (*contact->mesh)
        (void)snprintf(reason, size, "no coordinator of mesh %s was found on the local network",
                contact->mesh);
    else if (contact->statics.count > 0)
        (void)snprintf(reason, size,
                "the key of the coordinator at %s port %u is not known: give a join token "
                "(--join), its key (--coordinator-key) or, where it is of the same user on this "
                "host, its local.token (--local-token), or let discovery find it",
                first->host, first->port);
    else
        (void)snprintf(reason, size,
                "no coordinator was found on the local network; give a join token (--join), or "
                "name one with --coordinator HOST and --coordinator-key");
}

/* Another mesh than the first that is announced; NULL where there is one at most, or where it does
 * not matter. */
static const struct announcement *second_mesh(const struct contact *contact)
{
    const struct announcement *first = NULL;
    if (*contact->token_key || *contact->mesh || *contact->named || contact->expected.count > 0)
        return NULL;
    list_for_each (it, &contact->found) {
        const struct announcement *announcement =
                &list_entry(it, struct found, link)->what.announcement;
        if (first && strcmp(announcement->mesh, first->mesh) != 0)
            return announcement;
        if (!first)
            first = announcement;
    }
    return NULL;
}

static void explain_choice(struct contact *contact, const struct announcement *second)
{
    const struct found *found = list_entry(contact->found.next, struct found, link);
    const struct announcement *first = &found->what.announcement;
    (void)snprintf(contact->reason, sizeof(contact->reason),
            "several meshes are announced on the local network, mesh %s by %s and mesh %s by %s: "
            "say which one is yours with --mesh ID (its coordinator's log and `modemesh status` "
            "show it), or give a join token",
            first->mesh, first->name, second->mesh, second->name);
}

static void give_up(struct contact *contact)
{
    if (!*contact->reason)
        explain_nobody(contact);
    contact->events->on_none(contact->ctx, contact->reason);
}

/* To the addresses of the turn's key that are only announced, then to those that were wrong before,
 * then to the next key. */
static void go_on(struct contact *contact)
{
    const char *key = contact->line.at[contact->turn];
    if (contact->wary) {
        contact->wary = false;
        return;
    }
    if (!contact->second_try) {
        forget_wrong(contact, key);
    } else {
        note_turn(contact, key);
        contact->turn++;
    }
    contact->second_try = !contact->second_try;
}

static void dial(struct contact *contact)
{
    for (; contact->turn < contact->line.count; go_on(contact)) {
        gather_addrs(contact, contact->line.at[contact->turn]);
        if (contact->dialled.count > 0) {
            dialer_dial(contact->dialer, contact->dialled.at, contact->dialled.count);
            return;
        }
    }
    give_up(contact);
}

static void on_timer(void *ctx)
{
    struct contact *contact = ctx;
    form_line(contact);
    contact->turn = contact->dead.count = 0;
    contact->second_try = false;
    contact->reason[0] = '\0';
    const struct announcement *second = second_mesh(contact);
    if (second) {
        explain_choice(contact, second);
        give_up(contact);
    } else {
        dial(contact);
    }
}

static const char *announced_mesh(const struct contact *contact, const char *key)
{
    list_for_each (it, &contact->found) {
        const struct discovered *what = &list_entry(it, struct found, link)->what;
        if (strcmp(what->announcement.key, key) == 0)
            return what->announcement.mesh;
    }
    return "";
}

static void tell_target(struct contact *contact, const struct dialer_result *result)
{
    struct contact_target target;
    const char *key = contact->line.at[contact->turn];
    bool is_ipv6 = strchr(result->address, ':') != NULL;
    (void)snprintf(target.endpoint, sizeof(target.endpoint),
            is_ipv6 ? "tcp://[%s]:%u" : "tcp://%s:%u", result->address, result->port);
    (void)snprintf(target.key, sizeof(target.key), "%s", key);
    (void)snprintf(target.mesh, sizeof(target.mesh), "%s", announced_mesh(contact, key));
    target.announced = result->target >= contact->known_count;
    memcpy(contact->last.key, target.key, sizeof(target.key));
    contact->last.addr = contact->dialled.at[result->target];
    contact->last_announced = target.announced;
    contact->events->on_target(contact->ctx, &target);
}

static void on_dialled(void *ctx, const struct dialer_result *result, const char *reason)
{
    struct contact *contact = ctx;
    if (loop_timer_active(contact->timer)) /* another seek is about to begin */
        return;
    if (result) {
        tell_target(contact, result);
        return;
    }
    if (!*contact->reason) /* the best key's */
        (void)snprintf(
                contact->reason, sizeof(contact->reason), "no coordinator answers: %s", reason);
    for (size_t i = 0; i < contact->dialled.count; i++)
        addr_list_add(&contact->dead, &contact->dialled.at[i]);
    go_on(contact);
    dial(contact);
}

void contact_seek(struct contact *contact)
{
    loop_timer_start(contact->timer, 0, 0);
}

void contact_failed(struct contact *contact, bool wrong_host)
{
    if (!*contact->last.key)
        return;
    note_turn(contact, contact->last.key);
    contact->wary = contact->last_announced;
    if (wrong_host)
        note_wrong(contact, &contact->last);
}

void contact_worked(struct contact *contact)
{
    contact->good = contact->last;
    contact->tried.count = 0;
    contact->wary = false;
}

/* --- what is known --- */

static size_t count_of(const char *text, char letter)
{
    size_t count = 0;
    for (; *text; text++)
        count += *text == letter;
    return count;
}

/* "HOST:PORT" of an address whose port, and brackets around an IPv6 address, may be missing. */
static void complete(const char *address, char *buf, size_t size)
{
    size_t colons = count_of(address, ':');
    bool has_brackets = *address == '[';
    bool has_port = has_brackets ? strstr(address, "]:") != NULL : colons == 1;
    if (has_port)
        (void)snprintf(buf, size, "%s", address);
    else if (!has_brackets && colons > 0)
        (void)snprintf(buf, size, "[%s]:%d", address, CONTACT_PORT);
    else
        (void)snprintf(buf, size, "%s:%d", address, CONTACT_PORT);
}

int contact_add_static(struct contact *contact, const char *address, struct err *err)
{
    static const char scheme[] = "tcp://";
    char text[512];
    struct text_addr addr;
    bool has_scheme = strncmp(address, scheme, strlen(scheme)) == 0;
    complete(has_scheme ? address + strlen(scheme) : address, text, sizeof(text));
    if (text_parse_addr(text, &addr, NULL) || addr.port == 0)
        return err_set(err, -EINVAL,
                "\"%.100s\" is no address of a coordinator; write HOST, HOST:PORT or "
                "tcp://HOST:PORT",
                address);
    if (contact->statics.count == CONTACT_STATIC_MAX)
        return err_set(err, -E2BIG, "more than %d addresses of coordinators", CONTACT_STATIC_MAX);
    addr_list_add(&contact->statics, &addr);
    return 0;
}

void contact_name_mesh(struct contact *contact, const char *mesh_id)
{
    (void)snprintf(contact->named, sizeof(contact->named), "%s", mesh_id);
}

void contact_expect_key(struct contact *contact, const char *key_z85)
{
    if (contact->expected.count < CONTACT_EXPECTED_MAX)
        key_list_add(&contact->expected, key_z85);
}

void contact_set_membership(struct contact *contact, const struct membership *membership)
{
    struct text_addr addr;
    contact->mesh[0] = '\0';
    contact->members.count = contact->member_addrs.count = 0;
    if (!membership->pinned)
        return;
    identity_id(membership->mesh, contact->mesh);
    for (size_t i = 0; i < membership->key_count; i++)
        key_list_add(&contact->members, membership->keys[i]);
    for (size_t i = 0; i < membership->address_count; i++)
        if (text_parse_addr(membership->addresses[i], &addr, NULL) == 0 && addr.port != 0)
            addr_list_add(&contact->member_addrs, &addr);
}

static int check_token(
        const char *key_z85, const struct text_addr *addresses, size_t count, struct err *err)
{
    if (!key_z85_valid(key_z85))
        return err_set(err, -EINVAL, "\"%.60s\" is no link key (40 Z85 characters)", key_z85);
    if (count > CONTACT_STATIC_MAX)
        return err_set(err, -E2BIG, "a join token with %zu addresses; at most %d are allowed",
                count, CONTACT_STATIC_MAX);
    for (size_t i = 0; i < count; i++)
        if (addresses[i].port == 0)
            return err_set(err, -EINVAL, "a join token with port 0 at %s", addresses[i].host);
    return 0;
}

int contact_set_token(struct contact *contact, const char *key_z85,
        const struct text_addr *addresses, size_t count, struct err *err)
{
    int r = key_z85 ? check_token(key_z85, addresses, count, err) : 0;
    if (r)
        return r;
    (void)snprintf(contact->token_key, sizeof(contact->token_key), "%s", key_z85 ? key_z85 : "");
    contact->token_addrs.count = 0;
    for (size_t i = 0; key_z85 && i < count; i++)
        addr_list_add(&contact->token_addrs, &addresses[i]);
    return 0;
}

/* --- what discovery says --- */

static struct found *find(struct contact *contact, const char *label, const char *address)
{
    list_for_each (it, &contact->found) {
        struct found *found = list_entry(it, struct found, link);
        if (strcmp(found->what.label, label) == 0 && strcmp(found->what.address, address) == 0)
            return found;
    }
    return NULL;
}

static void drop(struct contact *contact, struct found *found)
{
    list_del(&found->link);
    contact->found_count--;
    free(found);
}

static bool is_known(const struct contact *contact, const char *key)
{
    struct key_list known = {.count = 0};
    gather_known(contact, &known);
    return key_list_has(&known, key);
}

/* Where strangers have filled the list, a key that is known takes the place of one of them. */
static void make_room(struct contact *contact, const char *key)
{
    if (contact->found_count < CONTACT_DISCOVERED_MAX || !is_known(contact, key))
        return;
    list_for_each (it, &contact->found) {
        struct found *found = list_entry(it, struct found, link);
        if (!is_known(contact, found->what.announcement.key)) {
            drop(contact, found);
            return;
        }
    }
}

static struct found *add(struct contact *contact, const char *key)
{
    make_room(contact, key);
    if (contact->found_count == CONTACT_DISCOVERED_MAX)
        return NULL;
    struct found *found = calloc(1, sizeof(*found));
    if (!found)
        return NULL;
    list_push_back(&contact->found, &found->link);
    contact->found_count++;
    return found;
}

void contact_found(struct contact *contact, const struct discovered *what)
{
    struct found *found = find(contact, what->label, what->address);
    bool is_new = !found || found->what.port != what->port ||
                  strcmp(found->what.announcement.key, what->announcement.key) != 0;
    if (!found)
        found = add(contact, what->announcement.key);
    if (!found)
        return;
    found->what = *what;
    if (is_new && is_wanted(contact, &what->announcement))
        contact->has_news = true;
}

void contact_lost(struct contact *contact, const char *label, const char *address)
{
    struct found *found = find(contact, label, address);
    if (found)
        drop(contact, found);
}

bool contact_has_news(struct contact *contact)
{
    bool has_news = contact->has_news;
    contact->has_news = false;
    return has_news;
}

/* --- life --- */

struct contact *contact_create(struct loop *loop, const struct contact_events *events, void *ctx)
{
    struct contact *contact = calloc(1, sizeof(*contact));
    if (!contact)
        return NULL;
    contact->events = events;
    contact->ctx = ctx;
    list_init(&contact->found);
    contact->dialer = dialer_create(loop, on_dialled, contact);
    contact->timer = loop_timer_create(loop, on_timer, contact);
    if (contact->dialer && contact->timer)
        return contact;
    contact_destroy(contact);
    return NULL;
}

void contact_destroy(struct contact *contact)
{
    if (!contact)
        return;
    dialer_destroy(contact->dialer);
    loop_timer_destroy(contact->timer);
    list_for_each_safe (it, &contact->found)
        drop(contact, list_entry(it, struct found, link));
    free(contact);
}

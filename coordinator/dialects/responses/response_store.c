#include "coordinator/dialects/responses/response_store.h"

#include "common/json/json.h"
#include "common/list.h"
#include "coordinator/dialects/exact_numbers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUCKETS = 1024,
    HASH_SEED = 5381, /* Bernstein's string hash */
    HASH_FACTOR = 33,
    INDEX_DIGITS_MAX = 6, /* of an item's place in its output */
};

static const char id_prefix[] = "resp_";

struct entry {
    struct list used;       /* in store.used while it can be asked for; newest first */
    struct list bucket;     /* in store.buckets[…], likewise */
    struct entry *previous; /* holds a reference to it; NULL: none, or it was gone */
    bool orphan;            /* there was one, and it was gone */
    unsigned refs;          /* one while listed, one of each that follows it */
    uint64_t used_us;
    char *id, *owner;
    char *input; /* NULL: not kept, or dropped */
    char *object;
    size_t output_at, output_len;
};

struct response_store {
    struct response_store_config config;
    struct list used;
    struct list buckets[BUCKETS];
    size_t count, bytes; /* of all entries, listed or not */
    size_t input_bytes;  /* part of `bytes` */
};

/* --- entries --- */

static size_t text_bytes(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static size_t entry_bytes(const struct entry *entry)
{
    return sizeof(*entry) + text_bytes(entry->id) + text_bytes(entry->owner) +
           text_bytes(entry->input) + text_bytes(entry->object);
}

static void entry_free(struct entry *entry)
{
    free(entry->id);
    free(entry->owner);
    free(entry->input);
    free(entry->object);
    free(entry);
}

/* What only it held on to goes with it. */
static void entry_unref(struct response_store *store, struct entry *entry)
{
    while (entry && --entry->refs == 0) {
        struct entry *previous = entry->previous;
        store->count--;
        store->bytes -= entry_bytes(entry);
        store->input_bytes -= text_bytes(entry->input);
        entry_free(entry);
        entry = previous;
    }
}

static void unlist(struct response_store *store, struct entry *entry)
{
    list_del(&entry->used);
    list_del(&entry->bucket);
    entry_unref(store, entry);
}

static void drop_input(struct response_store *store, struct entry *entry)
{
    store->bytes -= text_bytes(entry->input);
    store->input_bytes -= text_bytes(entry->input);
    free(entry->input);
    entry->input = NULL;
}

static struct list *bucket_of(struct response_store *store, const char *id)
{
    size_t hash = HASH_SEED;
    for (; *id; id++)
        hash = hash * HASH_FACTOR + (unsigned char)*id;
    return &store->buckets[hash % BUCKETS];
}

/* --- limits --- */

static struct entry *oldest(const struct response_store *store)
{
    return list_empty(&store->used) ? NULL : list_entry(store->used.prev, struct entry, used);
}

void response_store_expire(struct response_store *store)
{
    uint64_t now_us = env_now_us(store->config.env);
    struct entry *entry;
    while ((entry = oldest(store)) &&
            now_us - entry->used_us > (uint64_t)RESPONSE_STORE_AGE_MS * 1000)
        unlist(store, entry);
}

static void drop_old_inputs(struct response_store *store)
{
    for (struct list *at = store->used.prev;
            at != &store->used && store->bytes > store->config.bytes_max; at = at->prev)
        drop_input(store, list_entry(at, struct entry, used));
}

/* Half of the bytes is the inputs' if they need it: else what is only looked at would leave none to
 * build on. */
static void enforce_limits(struct response_store *store)
{
    struct entry *entry;
    while ((store->bytes - store->input_bytes > store->config.bytes_max / 2 ||
                   store->count > store->config.count_max) &&
            (entry = oldest(store)))
        unlist(store, entry);
    drop_old_inputs(store);
}

/* The chain is used with it: those before it count as used later, so that it goes before them. */
static void touch(struct response_store *store, struct entry *entry)
{
    uint64_t now_us = env_now_us(store->config.env);
    for (; entry; entry = entry->previous) {
        entry->used_us = now_us;
        if (!list_linked(&entry->used))
            continue;
        list_del(&entry->used);
        list_push_front(&store->used, &entry->used);
    }
}

static struct entry *find(struct response_store *store, const char *owner, const char *id)
{
    response_store_expire(store);
    list_for_each (it, bucket_of(store, id)) {
        struct entry *entry = list_entry(it, struct entry, bucket);
        if (strcmp(entry->id, id) == 0 && strcmp(entry->owner, owner) == 0)
            return entry;
    }
    return NULL;
}

/* --- store --- */

struct response_store *response_store_create(const struct response_store_config *config)
{
    struct response_store *store = calloc(1, sizeof(*store));
    if (!store)
        return NULL;
    store->config = *config;
    if (!store->config.count_max)
        store->config.count_max = RESPONSE_STORE_COUNT;
    if (!store->config.bytes_max)
        store->config.bytes_max = RESPONSE_STORE_BYTES;
    list_init(&store->used);
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&store->buckets[i]);
    return store;
}

void response_store_destroy(struct response_store *store)
{
    struct entry *entry;
    if (!store)
        return;
    while ((entry = oldest(store)))
        unlist(store, entry);
    free(store);
}

static struct entry *entry_create(const struct stored_response *response)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return NULL;
    list_init(&entry->used);
    list_init(&entry->bucket);
    bool keeps_input = strlen(response->input) <= RESPONSE_STORE_ONE_BYTES;
    entry->id = strdup(response->id);
    entry->owner = strdup(response->owner);
    entry->object = strdup(response->object);
    entry->input = keeps_input ? strdup(response->input) : NULL;
    entry->output_at = response->output_at;
    entry->output_len = response->output_len;
    if (entry->id && entry->owner && entry->object && (entry->input || !keeps_input))
        return entry;
    entry_free(entry);
    return NULL;
}

static void follow(struct response_store *store, struct entry *entry, const char *previous)
{
    if (!*previous)
        return;
    entry->previous = find(store, entry->owner, previous);
    entry->orphan = !entry->previous;
    if (entry->previous)
        entry->previous->refs++;
}

static void list_new(struct response_store *store, struct entry *entry)
{
    entry->refs = 1;
    store->count++;
    store->bytes += entry_bytes(entry);
    store->input_bytes += text_bytes(entry->input);
    list_push_front(&store->used, &entry->used);
    list_push_front(bucket_of(store, entry->id), &entry->bucket);
    touch(store, entry);
}

int response_store_put(struct response_store *store, const struct stored_response *response)
{
    if (!*response->id || strlen(response->id) > RESPONSE_ID_MAX)
        return -EINVAL;
    if (strlen(response->object) > RESPONSE_STORE_ONE_BYTES)
        return -EMSGSIZE;
    struct entry *entry = entry_create(response);
    if (!entry)
        return -ENOMEM;
    follow(store, entry, response->previous);
    struct entry *same = find(store, response->owner, response->id);
    if (same)
        unlist(store, same);
    list_new(store, entry);
    enforce_limits(store);
    return 0;
}

const char *response_store_object(struct response_store *store, const char *owner, const char *id)
{
    struct entry *entry = find(store, owner, id);
    if (!entry)
        return NULL;
    touch(store, entry);
    return entry->object;
}

int response_store_delete(struct response_store *store, const char *owner, const char *id)
{
    struct entry *entry = find(store, owner, id);
    if (!entry)
        return -ENOENT;
    unlist(store, entry);
    return 0;
}

/* --- items --- */

/* Where the client gave it none. */
static int name_item(const char *id, cJSON *item, size_t index)
{
    char name[RESPONSE_ID_MAX + 32];
    const char *mark = strchr(id, '_');
    if (!cJSON_IsObject(item) || json_str(item, "id", NULL))
        return 0;
    cJSON_DeleteItemFromObjectCaseSensitive(item, "id");
    snprintf(name, sizeof(name), "in_%.*s_%zu", RESPONSE_ID_MAX, mark ? mark + 1 : id, index);
    return cJSON_AddStringToObject(item, "id", name) ? 0 : -ENOMEM;
}

int response_input_parse(const char *id, const char *input, cJSON **ret_items)
{
    cJSON *items, *item;
    size_t index = 0;
    int r = json_parse(input, strlen(input), &json_limits_request, &items, NULL);
    if (r)
        return r == -ENOMEM ? r : -ENOENT;
    cJSON_ArrayForEach(item, items)
    {
        if (!r)
            r = name_item(id, item, index++);
    }
    if (r)
        cJSON_Delete(items);
    else
        *ret_items = items;
    return r;
}

int response_store_input(
        struct response_store *store, const char *owner, const char *id, cJSON **ret_items)
{
    struct entry *entry = find(store, owner, id);
    if (!entry || !entry->input)
        return -ENOENT;
    touch(store, entry);
    return response_input_parse(id, entry->input, ret_items);
}

/* Appends what stands between the brackets of an array. */
static int join_array(struct buf *joined, const char *array, size_t len)
{
    if (len <= strlen("[]"))
        return 0;
    int r = joined->len > 1 ? buf_append_str(joined, ",") : 0;
    return r ? r : buf_append(joined, array + 1, len - strlen("[]"));
}

static int join_entry(const struct entry *entry, struct buf *joined)
{
    int r = join_array(joined, entry->input, strlen(entry->input));
    return r ? r : join_array(joined, entry->object + entry->output_at, entry->output_len);
}

/* Turns the chain round, so that it can be walked from its beginning, and round again. */
static struct entry *reverse(struct entry *entry)
{
    struct entry *behind = NULL;
    while (entry) {
        struct entry *next = entry->previous;
        entry->previous = behind;
        behind = entry;
        entry = next;
    }
    return behind;
}

static int join_chain(struct entry *last, struct buf *joined)
{
    struct entry *first = reverse(last);
    int r = buf_append_str(joined, "[");
    for (const struct entry *entry = first; entry && !r; entry = entry->previous)
        r = join_entry(entry, joined);
    reverse(first);
    return r ? r : buf_append_str(joined, "]");
}

static bool is_complete(const struct entry *entry)
{
    for (; entry; entry = entry->previous)
        if (!entry->input || entry->orphan)
            return false;
    return true;
}

static int parse_joined(const struct buf *joined, cJSON **ret_items)
{
    cJSON *items;
    int r = json_parse(buf_at(joined), joined->len, &json_limits_request, &items, NULL);
    if (r)
        return r == -ENOMEM || r == -EMSGSIZE ? r : -ENOENT;
    r = exact_numbers_keep(items, "arguments", buf_at(joined), joined->len);
    if (r)
        cJSON_Delete(items);
    else
        *ret_items = items;
    return r;
}

static int fail_conversation(int r, struct err *err)
{
    if (r == -ENOENT)
        return err_set(err, r,
                "previous response not found: what \"previous_response_id\" names is not kept (any "
                "more); send the whole conversation as \"input\"");
    if (r == -ENOMEM)
        return err_set(err, r, "no memory for the conversation");
    return err_set(err, -EMSGSIZE, "the conversation is larger than a request may be");
}

int response_store_conversation(struct response_store *store, const char *owner, const char *id,
        cJSON **ret_items, struct err *err)
{
    struct entry *entry = find(store, owner, id);
    struct buf joined;
    if (!entry || !is_complete(entry))
        return fail_conversation(-ENOENT, err);
    touch(store, entry);
    buf_init(&joined, json_limits_request.max_bytes);
    int r = join_chain(entry, &joined);
    if (!r)
        r = parse_joined(&joined, ret_items);
    buf_fini(&joined);
    return r ? fail_conversation(r, err) : 0;
}

/* --- references --- */

struct search {
    struct response_store *store;
    const char *owner;
    const struct entry *entry; /* whose output is parsed; NULL: none yet */
    cJSON *output;
    size_t left; /* bytes that may still be looked at */
};

/* "msg_HEX_3": the response "resp_HEX", and 3. */
static bool split_id(const char *item_id, char *ret_id, size_t *ret_index)
{
    const char *hex = strchr(item_id, '_'), *last = strrchr(item_id, '_');
    if (!hex || hex == last)
        return false;
    size_t digits = strspn(last + 1, "0123456789"), len = (size_t)(last - hex - 1);
    if (digits == 0 || digits > INDEX_DIGITS_MAX || last[1 + digits] != '\0' ||
            len > RESPONSE_ID_MAX - strlen(id_prefix))
        return false;
    snprintf(ret_id, RESPONSE_ID_MAX + 1, "%s%.*s", id_prefix, (int)len, hex + 1);
    *ret_index = strtoul(last + 1, NULL, 10);
    return true;
}

static int spend(struct search *search, size_t bytes)
{
    if (bytes > search->left)
        return -EMSGSIZE;
    search->left -= bytes;
    return 0;
}

static int open_output(struct search *search, struct entry *entry)
{
    if (search->entry == entry)
        return 0;
    int r = spend(search, entry->output_len);
    cJSON_Delete(search->output);
    search->output = NULL;
    search->entry = NULL;
    if (!r)
        r = json_parse(entry->object + entry->output_at, entry->output_len, &json_limits_request,
                &search->output, NULL);
    if (r)
        return r == -ENOMEM || r == -EMSGSIZE ? r : -ENOENT;
    search->entry = entry;
    touch(search->store, entry);
    return 0;
}

static int copy_item(struct search *search, const cJSON *item, cJSON **ret_copy)
{
    char *text = cJSON_PrintUnformatted(item);
    int r = text ? spend(search, strlen(text)) : -ENOMEM;
    free(text);
    if (r)
        return r;
    *ret_copy = cJSON_Duplicate(item, true);
    return *ret_copy ? 0 : -ENOMEM;
}

static int look_up(struct search *search, const char *item_id, cJSON **ret_copy)
{
    char id[RESPONSE_ID_MAX + 1];
    size_t index;
    if (!split_id(item_id, id, &index))
        return -ENOENT;
    struct entry *entry = find(search->store, search->owner, id);
    int r = entry ? open_output(search, entry) : -ENOENT;
    if (r)
        return r;
    const cJSON *item = cJSON_GetArrayItem(search->output, (int)index);
    if (!item || strcmp(json_str(item, "id", ""), item_id) != 0)
        return -ENOENT;
    return copy_item(search, item, ret_copy);
}

static int resolve_item(struct search *search, cJSON *items, cJSON **item, struct err *err)
{
    cJSON *copy;
    if (strcmp(json_str(*item, "type", ""), "item_reference") != 0)
        return 0;
    int r = look_up(search, json_str(*item, "id", ""), &copy);
    if (r == -ENOENT)
        return err_set(err, r,
                "\"input\" refers to an item that is not there (any more); send the item itself");
    if (r)
        return err_set(err, r,
                r == -ENOMEM ? "no memory for the items that \"input\" refers to"
                             : "\"input\" refers to more than a request may hold");
    (void)cJSON_ReplaceItemViaPointer(items, *item, copy);
    *item = copy;
    return 0;
}

int response_store_resolve(
        struct response_store *store, const char *owner, cJSON *items, struct err *err)
{
    struct search search = {.store = store, .owner = owner, .left = RESPONSE_REFERENCES_BYTES};
    int r = 0;
    for (cJSON *item = items ? items->child : NULL; item && !r; item = item->next)
        r = resolve_item(&search, items, &item, err);
    cJSON_Delete(search.output);
    return r;
}

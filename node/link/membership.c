#include "node/link/membership.h"

#include "common/file.h"
#include "common/json/json.h"
#include "common/text.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1 };

static const char *const member_names[] = {"version", "mesh", "certificate", "keys", "addresses"};

static const struct json_limits limits = {.max_bytes = MEMBERSHIP_FILE_MAX,
        .max_depth = 2,
        .max_values = 2 * (MEMBERSHIP_COORDINATOR_KEYS_MAX + MEMBERSHIP_ADDRESSES_MAX)};

/* --- lists --- */

/* Strings behind each other, `width` bytes each, newest first. */
struct string_list {
    const char *name, *entry; /* in the file; what one of it is */
    char *at;
    size_t width, max;
    size_t *count;
    bool (*valid)(const char *text);
};

static_assert((int)MEMBERSHIP_ADDRESS_MAX >= (int)KEY_Z85_LEN, "addresses are the longest strings");

static bool address_valid(const char *address)
{
    struct text_addr addr;
    return strlen(address) <= MEMBERSHIP_ADDRESS_MAX &&
           text_parse_addr(address, &addr, NULL) == 0 && addr.port != 0;
}

static struct string_list keys_of(struct membership *membership)
{
    return (struct string_list){.name = "keys",
            .entry = "link key",
            .at = (char *)membership->keys,
            .width = sizeof(membership->keys[0]),
            .max = MEMBERSHIP_COORDINATOR_KEYS_MAX,
            .count = &membership->key_count,
            .valid = key_z85_valid};
}

static struct string_list addresses_of(struct membership *membership)
{
    return (struct string_list){.name = "addresses",
            .entry = "address (HOST:PORT)",
            .at = (char *)membership->addresses,
            .width = sizeof(membership->addresses[0]),
            .max = MEMBERSHIP_ADDRESSES_MAX,
            .count = &membership->address_count,
            .valid = address_valid};
}

/* `count` where it is not among them. */
static size_t find(const char *at, size_t width, size_t count, const char *text)
{
    size_t i = 0;
    while (i < count && strcmp(at + i * width, text) != 0)
        i++;
    return i;
}

static bool put_first(const struct string_list *list, const char *text)
{
    char copy[MEMBERSHIP_ADDRESS_MAX + 1]; /* `text` may be one of the list */
    size_t place = find(list->at, list->width, *list->count, text);
    if (!list->valid(text) || (place == 0 && *list->count > 0))
        return false;
    strcpy(copy, text);
    if (place == *list->count && place < list->max)
        (*list->count)++;
    else if (place == *list->count)
        place--;
    memmove(list->at + list->width, list->at, place * list->width);
    strcpy(list->at, copy);
    return true;
}

bool membership_add_key(struct membership *membership, const char *key_z85)
{
    struct string_list keys = keys_of(membership);
    return put_first(&keys, key_z85);
}

bool membership_add_address(struct membership *membership, const char *address)
{
    struct string_list addresses = addresses_of(membership);
    return put_first(&addresses, address);
}

static bool same_certificate(const struct certificate_bytes *a, const struct certificate_bytes *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static bool same_keys(const struct membership *a, const struct membership *b)
{
    if (a->key_count != b->key_count)
        return false;
    for (size_t i = 0; i < a->key_count; i++)
        if (strcmp(a->keys[i], b->keys[i]) != 0)
            return false;
    return true;
}

static bool same_addresses(const struct membership *a, const struct membership *b)
{
    if (a->address_count != b->address_count)
        return false;
    for (size_t i = 0; i < a->address_count; i++)
        if (strcmp(a->addresses[i], b->addresses[i]) != 0)
            return false;
    return true;
}

bool membership_equal(const struct membership *a, const struct membership *b)
{
    return a->pinned == b->pinned && memcmp(a->mesh, b->mesh, sizeof a->mesh) == 0 &&
           same_certificate(&a->certificate, &b->certificate) && same_keys(a, b) &&
           same_addresses(a, b);
}

bool membership_has_key(const struct membership *membership, const char *key_z85)
{
    return find((const char *)membership->keys, sizeof(membership->keys[0]), membership->key_count,
                   key_z85) < membership->key_count;
}

/* --- reading --- */

static const cJSON *member_of(const cJSON *json, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(json, name);
}

static int check_version(const cJSON *json, struct err *err)
{
    const cJSON *version = member_of(json, "version");
    if (!cJSON_IsNumber(version))
        return err_set(err, -EINVAL, "\"version\" is missing or no number");
    if (version->valuedouble != VERSION)
        return err_set(err, -EINVAL, "\"version\" is %g, and only %d is known here",
                version->valuedouble, VERSION);
    return 0;
}

static bool is_known(const char *name)
{
    for (size_t i = 0; i < sizeof(member_names) / sizeof(*member_names); i++)
        if (strcmp(name, member_names[i]) == 0)
            return true;
    return false;
}

static int check_names(const cJSON *json, struct err *err)
{
    for (const cJSON *item = json->child; item; item = item->next) {
        if (!is_known(item->string))
            return err_set(err, -EINVAL, "\"%.60s\" is unknown", item->string);
        if (member_of(json, item->string) != item)
            return err_set(err, -EINVAL, "\"%s\" is there twice", item->string);
    }
    return 0;
}

static int read_mesh(const cJSON *json, struct membership *membership, struct err *err)
{
    const cJSON *mesh = member_of(json, "mesh");
    if (!mesh)
        return 0;
    if (!cJSON_IsString(mesh))
        return err_set(err, -EINVAL, "\"mesh\" is no string");
    int r = identity_from_text(mesh->valuestring, membership->mesh, err);
    if (r)
        return err_prefix(err, r, "\"mesh\"");
    membership->pinned = true;
    return 0;
}

static int check_certificate(const struct membership *membership, struct err *err)
{
    const struct certificate_bytes *bytes = &membership->certificate;
    struct certificate certificate;
    int r = certificate_parse(bytes->data, bytes->len, &certificate, err);
    if (r)
        return err_prefix(err, r, "\"certificate\"");
    if (!membership->pinned || memcmp(certificate.mesh, membership->mesh, IDENTITY_BYTES) != 0)
        return err_set(err, -EINVAL, "\"certificate\" is not of the mesh in \"mesh\"");
    return 0;
}

static int read_certificate(const cJSON *json, struct membership *membership, struct err *err)
{
    const cJSON *certificate = member_of(json, "certificate");
    if (!certificate)
        return 0;
    if (!cJSON_IsString(certificate))
        return err_set(err, -EINVAL, "\"certificate\" is no string");
    int r = certificate_bytes_from_text(certificate->valuestring, &membership->certificate, err);
    if (r)
        return err_prefix(err, r, "\"certificate\"");
    return check_certificate(membership, err);
}

static int read_entry(const cJSON *item, const struct string_list *list, struct err *err)
{
    size_t place = *list->count;
    if (place == list->max)
        return err_set(err, -EINVAL, "\"%s\" has more than %zu entries", list->name, list->max);
    if (!cJSON_IsString(item) || !list->valid(item->valuestring))
        return err_set(
                err, -EINVAL, "entry %zu of \"%s\" is no %s", place + 1, list->name, list->entry);
    if (find(list->at, list->width, place, item->valuestring) < place)
        return err_set(err, -EINVAL, "entry %zu of \"%s\" is there twice", place + 1, list->name);
    strcpy(list->at + place * list->width, item->valuestring);
    (*list->count)++;
    return 0;
}

static int read_list(const cJSON *json, const struct string_list *list, struct err *err)
{
    const cJSON *array = member_of(json, list->name);
    if (!cJSON_IsArray(array))
        return err_set(err, -EINVAL, "\"%s\" is missing or no list", list->name);
    int r = 0;
    for (const cJSON *item = array->child; item && !r; item = item->next)
        r = read_entry(item, list, err);
    return r;
}

static int read_json(const cJSON *json, struct membership *membership, struct err *err)
{
    struct string_list keys = keys_of(membership), addresses = addresses_of(membership);
    if (!cJSON_IsObject(json))
        return err_set(err, -EINVAL, "it is no JSON object");
    int r = check_version(json, err); /* first: another version has other members */
    if (!r)
        r = check_names(json, err);
    if (!r)
        r = read_mesh(json, membership, err);
    if (!r)
        r = read_certificate(json, membership, err);
    if (!r)
        r = read_list(json, &keys, err);
    if (!r)
        r = read_list(json, &addresses, err);
    return r;
}

static int read_text(const char *text, size_t len, struct membership *membership, struct err *err)
{
    cJSON *json;
    int r = json_parse(text, len, &limits, &json, err);
    if (r)
        return r;
    r = read_json(json, membership, err);
    cJSON_Delete(json);
    return r;
}

static int fail_read(const char *path, int code, const char *why, struct err *err)
{
    if (code == -ENOMEM)
        return err_set(err, code, "%s: %s", path, why);
    return err_set(err, -EINVAL, "%s: %s; `modemesh-node --leave` starts anew", path, why);
}

int membership_read(const char *path, struct membership *ret_membership, struct err *err)
{
    struct membership membership = {.pinned = false};
    struct err why = {.text = ""};
    char *text;
    size_t len;
    int r = file_read_guarded(path, MEMBERSHIP_FILE_MAX, &text, &len, err);
    if (r == 0) {
        r = read_text(text, len, &membership, &why);
        free(text);
        if (r)
            return fail_read(path, r, why.text, err);
    } else if (r != -ENOENT) {
        return r;
    }
    *ret_membership = membership;
    return 0;
}

/* --- writing --- */

static bool add_mesh(cJSON *json, const struct membership *membership)
{
    char text[IDENTITY_TEXT_LEN + 1];
    if (!membership->pinned)
        return true;
    identity_to_text(membership->mesh, text);
    return cJSON_AddStringToObject(json, "mesh", text);
}

static bool add_certificate(cJSON *json, const struct membership *membership)
{
    char text[CERTIFICATE_TEXT_MAX + 1];
    if (membership->certificate.len == 0)
        return true;
    return certificate_bytes_to_text(&membership->certificate, text, sizeof(text)) == 0 &&
           cJSON_AddStringToObject(json, "certificate", text);
}

static bool add_list(cJSON *json, const char *name, const char *at, size_t width, size_t count)
{
    cJSON *array = cJSON_AddArrayToObject(json, name);
    bool added = array;
    for (size_t i = 0; i < count && added; i++)
        added = cJSON_AddItemToArray(array, cJSON_CreateString(at + i * width));
    return added;
}

static bool fill(cJSON *json, const struct membership *membership)
{
    return cJSON_AddNumberToObject(json, "version", VERSION) && add_mesh(json, membership) &&
           add_certificate(json, membership) &&
           add_list(json, "keys", (const char *)membership->keys, sizeof(membership->keys[0]),
                   membership->key_count) &&
           add_list(json, "addresses", (const char *)membership->addresses,
                   sizeof(membership->addresses[0]), membership->address_count);
}

static int write_text(const struct membership *membership, struct buf *out)
{
    cJSON *json = cJSON_CreateObject();
    int r = fill(json, membership) ? json_append(out, json) : -ENOMEM;
    cJSON_Delete(json);
    return r ? r : buf_append_str(out, "\n");
}

int membership_write(const char *path, const struct membership *membership, struct err *err)
{
    struct buf text;
    buf_init(&text, MEMBERSHIP_FILE_MAX);
    int r = write_text(membership, &text);
    if (r)
        err_set(err, r, "no memory to write %s", path);
    else
        r = file_write_private(path, buf_at(&text), text.len, err);
    buf_fini(&text);
    return r;
}

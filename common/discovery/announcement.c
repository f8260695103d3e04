#include "common/discovery/announcement.h"

#include "common/text.h"
#include "common/trust/certificate.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char version[] = "1";

/* True for printable UTF-8 that can stand between two commas. */
static bool item_valid(const char *item, size_t len)
{
    for (size_t at = 0, seq; at < len; at += seq) {
        const unsigned char *c = (const unsigned char *)item + at;
        seq = text_utf8_seq(item + at, len - at);
        if (seq == 0 || *c < ' ' || *c == 0x7f || *c == ',')
            return false;
        if (seq == 2 && c[0] == 0xc2 && c[1] < 0xa0) /* U+0080 … U+009F */
            return false;
    }
    return len > 0;
}

/* `size` counts the list's NUL. */
static bool list_add(char *list, size_t size, const char *item, size_t len)
{
    size_t used = strlen(list);
    size_t comma = used > 0;
    if (len >= size || used + comma >= size - len)
        return false;
    (void)snprintf(list + used, size - used, "%s%.*s", comma ? "," : "", (int)len, item);
    return true;
}

bool announcement_add_model(struct announcement *announcement, const char *model)
{
    size_t len = strlen(model);
    return item_valid(model, len) &&
           list_add(announcement->models, sizeof(announcement->models), model, len);
}

static void put(struct txt_records *records, const char *key, const char *value)
{
    assert(records->count < TXT_RECORDS_MAX);
    char *record = records->at[records->count++];
    int len = snprintf(record, TXT_RECORD_MAX + 1, "%s=%s", key, value);
    assert(len > 0 && len <= TXT_RECORD_MAX);
    (void)len;
}

static void put_text(struct txt_records *records, const char *key, const char *value)
{
    if (*value)
        put(records, key, value);
}

static void put_bytes(struct txt_records *records, const char *key, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    if (value > 0)
        put(records, key, text);
}

static void put_addrs(struct txt_records *records, const struct host_addrs *addrs)
{
    static const char *const keys[] = {"addrs", "addrs2"};
    size_t next = 0;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char list[TXT_RECORD_MAX + 1] = "";
        size_t size = sizeof(list) - strlen(keys[i]) - strlen("=");
        while (next < addrs->count &&
                list_add(list, size, addrs->at[next], strlen(addrs->at[next])))
            next++;
        put_text(records, keys[i], list);
    }
}

void announcement_to_txt(const struct announcement *announcement, struct txt_records *ret_records)
{
    *ret_records = (struct txt_records){.count = 0};
    put(ret_records, "txtvers", version);
    put(ret_records, "name", announcement->name);
    put(ret_records, "key", announcement->key);
    put_text(ret_records, "mesh", announcement->mesh);
    put_addrs(ret_records, &announcement->addrs);
    put_text(ret_records, "models", announcement->models);
    put_bytes(ret_records, "free", announcement->memory_available_bytes);
    put_bytes(ret_records, "total", announcement->memory_total_bytes);
}

/* The value of the first record with this key ("" where there is none, or it has no value). Letters
 * are equal in both cases: RFC 6763, section 6.4. */
static const char *find(const struct txt_records *records, const char *key)
{
    size_t len = strlen(key);
    for (size_t i = 0; i < records->count; i++) {
        const char *record = records->at[i];
        if (strncasecmp(record, key, len) != 0)
            continue;
        if (record[len] == '=')
            return record + len + 1;
        if (record[len] == '\0')
            break;
    }
    return "";
}

typedef void (*item_fn)(struct announcement *announcement, const char *item);

static void add_addr(struct announcement *announcement, const char *item)
{
    struct host_addrs *addrs = &announcement->addrs;
    if (addrs->count < HOST_ADDRS_MAX && host_addr_valid(item))
        memcpy(addrs->at[addrs->count++], item, strlen(item) + 1);
}

static void add_model(struct announcement *announcement, const char *item)
{
    (void)announcement_add_model(announcement, item);
}

static void read_list(struct announcement *announcement, const char *list, item_fn fn)
{
    for (;;) {
        char item[TXT_RECORD_MAX + 1];
        size_t len = strcspn(list, ",");
        memcpy(item, list, len);
        item[len] = '\0';
        fn(announcement, item);
        if (list[len] == '\0')
            return;
        list += len + 1;
    }
}

/* Base32 in lower case, as identity_id() makes it. */
static bool mesh_id_valid(const char *id)
{
    return strlen(id) == IDENTITY_ID_LEN &&
           strspn(id, "abcdefghijklmnopqrstuvwxyz234567") == IDENTITY_ID_LEN;
}

static void read_mesh(struct announcement *announcement, const char *id)
{
    if (mesh_id_valid(id))
        memcpy(announcement->mesh, id, IDENTITY_ID_LEN + 1);
}

static void read_bytes(uint64_t *bytes, const char *text)
{
    if (text_parse_u64(text, bytes, NULL) < 0)
        *bytes = 0;
}

static int read_who(
        struct announcement *announcement, const struct txt_records *records, struct err *err)
{
    const char *name = find(records, "name"), *key = find(records, "key");
    const char *txtvers = find(records, "txtvers");
    if (*txtvers && strcmp(txtvers, version) != 0)
        return err_set(err, -EINVAL, "announcement: record \"txtvers\" is not %s", version);
    if (!certificate_name_valid(name))
        return err_set(err, -EINVAL, "announcement: record \"name\" is missing or no name");
    if (!key_z85_valid(key))
        return err_set(err, -EINVAL, "announcement: record \"key\" is missing or no link key");
    memcpy(announcement->name, name, strlen(name) + 1);
    memcpy(announcement->key, key, KEY_Z85_LEN + 1);
    return 0;
}

int announcement_from_txt(
        const struct txt_records *records, struct announcement *ret_announcement, struct err *err)
{
    struct announcement announcement = {.name = ""};
    int r = read_who(&announcement, records, err);
    if (r < 0)
        return r;
    read_mesh(&announcement, find(records, "mesh"));
    read_list(&announcement, find(records, "addrs"), add_addr);
    read_list(&announcement, find(records, "addrs2"), add_addr);
    read_list(&announcement, find(records, "models"), add_model);
    read_bytes(&announcement.memory_available_bytes, find(records, "free"));
    read_bytes(&announcement.memory_total_bytes, find(records, "total"));
    *ret_announcement = announcement;
    return 0;
}

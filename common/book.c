#include "common/book.h"

#include "common/file.h"
#include "common/json/json.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    BOOK_VERSION = 1,
    BOOK_DEPTH = 4, /* file, list, entry, words */
    BOOK_VALUES_PER_ENTRY = 64,
    BOOK_FIELDS_MAX = 32,
};

/* --- one value --- */

static bool *flag_at(const struct book_field *field, void *entry)
{
    return (bool *)(void *)((char *)entry + field->offset);
}

static char *text_at(const struct book_field *field, void *entry)
{
    return (char *)entry + field->offset;
}

static unsigned *words_at(const struct book_field *field, void *entry)
{
    return (unsigned *)(void *)((char *)entry + field->offset);
}

/* Signed or not: numbers that are not negative look the same. */
static uint64_t get_number(const struct book_field *field, const void *entry)
{
    uint64_t number;
    memcpy(&number, (const char *)entry + field->offset, sizeof(number));
    return number;
}

static bool is_empty(const struct book_field *field, void *entry)
{
    switch (field->type) {
    case BOOK_TEXT:
        return *text_at(field, entry) == '\0';
    case BOOK_NUMBER:
        return get_number(field, entry) == 0;
    case BOOK_FLAG:
        return !*flag_at(field, entry);
    case BOOK_WORDS:
        return *words_at(field, entry) == 0;
    }
    return true;
}

static unsigned all_words(const struct book_field *field)
{
    unsigned all = 0;
    for (unsigned i = 0; field->words[i]; i++)
        all |= 1u << i;
    return all;
}

static bool is_sound(const struct book_field *field, void *entry)
{
    if (field->optional && is_empty(field, entry))
        return true;
    switch (field->type) {
    case BOOK_TEXT:
        return memchr(text_at(field, entry), '\0', field->size) &&
               field->valid(text_at(field, entry));
    case BOOK_NUMBER:
        return get_number(field, entry) >= field->min &&
               get_number(field, entry) <= (field->max ? field->max : JSON_WHOLE_MAX);
    case BOOK_FLAG:
        return true;
    case BOOK_WORDS:
        return *words_at(field, entry) != 0 && (*words_at(field, entry) & ~all_words(field)) == 0;
    }
    return false;
}

/* --- reading --- */

static bool read_text(const struct book_field *field, void *entry, const cJSON *value)
{
    if (!cJSON_IsString(value) || strlen(value->valuestring) >= field->size)
        return false;
    strcpy(text_at(field, entry), value->valuestring);
    return true;
}

static bool read_number(const struct book_field *field, void *entry, const cJSON *value)
{
    uint64_t number;
    if (!json_whole(value, &number))
        return false;
    memcpy((char *)entry + field->offset, &number, sizeof(number));
    return true;
}

static bool read_flag(const struct book_field *field, void *entry, const cJSON *value)
{
    *flag_at(field, entry) = cJSON_IsTrue(value);
    return cJSON_IsBool(value);
}

static unsigned find_word(const struct book_field *field, const cJSON *value)
{
    if (!cJSON_IsString(value))
        return 0;
    for (unsigned i = 0; field->words[i]; i++)
        if (strcmp(field->words[i], value->valuestring) == 0)
            return 1u << i;
    return 0;
}

static bool read_words(const struct book_field *field, void *entry, const cJSON *value)
{
    unsigned *words = words_at(field, entry);
    const cJSON *item;
    if (!cJSON_IsArray(value))
        return false;
    cJSON_ArrayForEach(item, value)
    {
        unsigned word = find_word(field, item);
        if (!word || (*words & word))
            return false;
        *words |= word;
    }
    return true;
}

static bool read_value(const struct book_field *field, void *entry, const cJSON *value)
{
    static bool (*const readers[])(const struct book_field *, void *, const cJSON *) = {
            [BOOK_TEXT] = read_text,
            [BOOK_NUMBER] = read_number,
            [BOOK_FLAG] = read_flag,
            [BOOK_WORDS] = read_words,
    };
    return readers[field->type](field, entry, value) && is_sound(field, entry);
}

static size_t find_field(const struct book_format *format, const char *name)
{
    size_t i = 0;
    while (i < format->field_count && strcmp(format->fields[i].name, name) != 0)
        i++;
    return i;
}

static int read_member(const struct book_format *format, void *entry, const cJSON *value,
        uint32_t *seen, struct err *err)
{
    size_t i = find_field(format, value->string);
    if (i == format->field_count)
        return err_set(err, -EINVAL, "its field \"%.60s\" is unknown", value->string);
    if (*seen & 1u << i)
        return err_set(err, -EINVAL, "it has \"%s\" twice", value->string);
    *seen |= 1u << i;
    if (!read_value(&format->fields[i], entry, value))
        return err_set(err, -EINVAL, "its \"%s\" is not %s", value->string, format->fields[i].form);
    return 0;
}

static int read_entry(
        const struct book_format *format, void *entry, const cJSON *object, struct err *err)
{
    const cJSON *value;
    uint32_t seen = 0;
    if (!cJSON_IsObject(object))
        return err_set(err, -EINVAL, "it is no object");
    cJSON_ArrayForEach(value, object)
    {
        int r = read_member(format, entry, value, &seen, err);
        if (r)
            return r;
    }
    for (size_t i = 0; i < format->field_count; i++)
        if (!format->fields[i].optional && !(seen & 1u << i))
            return err_set(err, -EINVAL, "its \"%s\" is missing", format->fields[i].name);
    return 0;
}

static int read_entries(const struct book_format *format, const cJSON *array,
        struct book_list *list, struct err *err)
{
    const cJSON *object;
    size_t count = (size_t)cJSON_GetArraySize(array);
    if (count > format->max_entries)
        return err_set(err, -EINVAL, "\"%s\" has %zu entries; at most %zu are taken", format->list,
                count, format->max_entries);
    list->entries = calloc(count + 1, format->entry_size);
    if (!list->entries)
        return err_set(err, -ENOMEM, "no memory for %zu entries", count);
    cJSON_ArrayForEach(object, array)
    {
        char *entry = (char *)list->entries + list->count * format->entry_size;
        int r = read_entry(format, entry, object, err);
        list->count++;
        if (r)
            return err_prefix(err, r, "%s %zu", format->entry, list->count);
    }
    return 0;
}

struct head {
    const cJSON *version, *counter, *list;
};

static const cJSON **head_place(
        const struct book_format *format, struct head *head, const char *name)
{
    if (strcmp(name, "version") == 0)
        return &head->version;
    if (strcmp(name, format->list) == 0)
        return &head->list;
    if (format->counter && strcmp(name, format->counter) == 0)
        return &head->counter;
    return NULL;
}

static int find_head(
        const struct book_format *format, const cJSON *json, struct head *head, struct err *err)
{
    const cJSON *value;
    if (!cJSON_IsObject(json))
        return err_set(err, -EINVAL, "it is no object");
    cJSON_ArrayForEach(value, json)
    {
        const cJSON **place = head_place(format, head, value->string);
        if (!place)
            return err_set(err, -EINVAL, "its field \"%.60s\" is unknown", value->string);
        if (*place)
            return err_set(err, -EINVAL, "it has \"%s\" twice", value->string);
        *place = value;
    }
    return 0;
}

static int read_book(const struct book_format *format, const cJSON *json, struct book_list *list,
        struct err *err)
{
    struct head head = {0};
    uint64_t version;
    int r = find_head(format, json, &head, err);
    if (r)
        return r;
    if (!head.version || !json_whole(head.version, &version) || version != BOOK_VERSION)
        return err_set(err, -EINVAL,
                "its \"version\" is not %d; another version of modemesh wrote it", BOOK_VERSION);
    if (format->counter && (!head.counter || !json_whole(head.counter, &list->counter)))
        return err_set(err, -EINVAL, "its \"%s\" is not a whole number", format->counter);
    if (!cJSON_IsArray(head.list))
        return err_set(err, -EINVAL, "its \"%s\" is not a list", format->list);
    return read_entries(format, head.list, list, err);
}

static int parse_book(const struct book_format *format, const char *text, size_t len,
        struct book_list *ret_list, struct err *err)
{
    const struct json_limits limits = {.max_bytes = format->max_bytes,
            .max_depth = BOOK_DEPTH,
            .max_values = (format->max_entries + 1) * BOOK_VALUES_PER_ENTRY};
    struct book_list list = {0};
    cJSON *json;
    int r = json_parse(text, len, &limits, &json, err);
    if (r)
        return r;
    r = read_book(format, json, &list, err);
    cJSON_Delete(json);
    if (r)
        book_list_fini(&list);
    else
        *ret_list = list;
    return r;
}

int book_read(const struct book_format *format, const char *path, struct book_list *ret_list,
        struct err *err)
{
    char *text;
    size_t len;
    assert(format->field_count <= BOOK_FIELDS_MAX);
    int r = file_read_guarded(path, format->max_bytes, &text, &len, err);
    if (r == -ENOENT) {
        *ret_list = (struct book_list){0};
        return 0;
    }
    if (r)
        return r;
    r = parse_book(format, text, len, ret_list, err);
    free(text);
    return r ? err_prefix(err, r, "%s", path) : 0;
}

/* --- writing --- */

static cJSON *make_words(const struct book_field *field, unsigned words)
{
    cJSON *array = cJSON_CreateArray();
    for (unsigned i = 0; array && field->words[i]; i++) {
        if (!(words & 1u << i))
            continue;
        if (!cJSON_AddItemToArray(array, cJSON_CreateString(field->words[i]))) {
            cJSON_Delete(array);
            return NULL;
        }
    }
    return array;
}

static cJSON *make_value(const struct book_field *field, void *entry)
{
    switch (field->type) {
    case BOOK_TEXT:
        return cJSON_CreateString(text_at(field, entry));
    case BOOK_NUMBER:
        return cJSON_CreateNumber((double)get_number(field, entry));
    case BOOK_FLAG:
        return cJSON_CreateBool(*flag_at(field, entry));
    case BOOK_WORDS:
        return make_words(field, *words_at(field, entry));
    }
    return NULL;
}

static cJSON *make_object(const struct book_format *format, void *entry)
{
    cJSON *object = cJSON_CreateObject();
    for (size_t i = 0; object && i < format->field_count; i++) {
        const struct book_field *field = &format->fields[i];
        if (field->optional && is_empty(field, entry))
            continue;
        cJSON *value = make_value(field, entry);
        if (!value || !cJSON_AddItemToObject(object, field->name, value)) {
            cJSON_Delete(value);
            cJSON_Delete(object);
            return NULL;
        }
    }
    return object;
}

static int check_entry(const struct book_format *format, void *entry, struct err *err)
{
    for (size_t i = 0; i < format->field_count; i++)
        if (!is_sound(&format->fields[i], entry))
            return err_set(err, -EINVAL, "the %s's \"%s\" is not %s", format->entry,
                    format->fields[i].name, format->fields[i].form);
    return 0;
}

/* Only -EINVAL writes the error. */
static int append_entry(
        const struct book_format *format, struct buf *out, void *entry, struct err *err)
{
    int r = check_entry(format, entry, err);
    if (r)
        return r;
    cJSON *object = make_object(format, entry);
    r = object ? json_append(out, object) : -ENOMEM;
    cJSON_Delete(object);
    return r;
}

static int append_head(
        const struct book_format *format, struct buf *out, const struct book_list *list)
{
    int r = buf_appendf(out, "{\"version\":%d,", BOOK_VERSION);
    if (!r && format->counter)
        r = buf_appendf(out, "\"%s\":%llu,", format->counter, (unsigned long long)list->counter);
    return r ? r : buf_appendf(out, "\"%s\":[", format->list);
}

static int append_book(const struct book_format *format, struct buf *out,
        const struct book_list *list, struct err *err)
{
    int r = append_head(format, out, list);
    for (size_t i = 0; !r && i < list->count; i++) {
        r = buf_append_str(out, i ? ",\n" : "\n");
        if (!r)
            r = append_entry(format, out, (char *)list->entries + i * format->entry_size, err);
    }
    if (!r)
        r = buf_append_str(out, "\n]}\n");
    if (r && r != -EINVAL)
        err_set(err, r, "no room to write the list of %s", format->list);
    return r;
}

static int write_book(const struct book_format *format, const char *path,
        const struct book_list *list, struct err *err)
{
    struct buf out;
    buf_init(&out, format->max_bytes);
    int r = append_book(format, &out, list, err);
    if (!r)
        r = file_write_private(path, buf_at(&out), out.len, err);
    buf_fini(&out);
    return r;
}

/* --- changing --- */

void book_list_fini(struct book_list *list)
{
    free(list->entries);
    *list = (struct book_list){0};
}

void book_sort(const struct book_format *format, struct book_list *list)
{
    if (list->count)
        qsort(list->entries, list->count, format->entry_size, format->order);
}

int book_copy(const struct book_format *format, const struct book_list *list,
        struct book_list *ret_copy, struct err *err)
{
    void *entries = calloc(list->count + 1, format->entry_size);
    if (!entries)
        return err_set(err, -ENOMEM, "no memory to change the list of %s", format->list);
    if (list->count)
        memcpy(entries, list->entries, list->count * format->entry_size);
    *ret_copy = *list;
    ret_copy->entries = entries;
    return 0;
}

int book_commit(const struct book_format *format, const char *path, struct book_list *list,
        struct book_list *next, struct err *err)
{
    book_sort(format, next);
    int r = write_book(format, path, next, err);
    if (r) {
        book_list_fini(next);
        return r;
    }
    free(list->entries);
    *list = *next;
    return 0;
}

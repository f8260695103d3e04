#include "coordinator/api/api_keys.h"

#include "common/base64url.h"
#include "common/file.h"
#include "common/json/json.h"
#include "common/json/json_writer.h"
#include "common/text.h"
#include "proto/rules.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static_assert(API_KEY_NAME_MAX == (int)MSG_NODE_NAME_MAX, "a key's name follows TEXT_NODE_NAME");
static_assert(
        API_KEY_SCOPE_NAME_MAX == (int)MSG_NAME_MAX, "a scope's names follow TEXT_MODEL_NAME");

enum {
    SECRET_BYTES = 32,
    MS_PER_MINUTE = 60 * 1000,
    FILE_VERSION = 1,
    FILE_DEPTH_MAX = 4,
    /* Values of one key in the file, member names included. */
    FILE_KEY_VALUES_MAX = 2 * API_KEY_SCOPE_MAX + 16,
};

/* Sums of fractions may miss a whole token by their rounding. */
static const double ONE_TOKEN = 1 - 1e-9;

static const char key_prefix[] = "mm_";
static_assert(sizeof(key_prefix) - 1 + BASE64URL_LEN(SECRET_BYTES) == API_KEY_TEXT_LEN,
        "prefix and text");

struct api_keys {
    char *path;
    const struct env *env;
    struct api_key *list;
    size_t count;
};

/* One key as the file has it; points into the JSON. */
struct record {
    struct api_key_spec spec;
    const char *modes[API_KEY_SCOPE_MAX], *models[API_KEY_SCOPE_MAX];
    uint8_t hash[API_KEY_HASH_BYTES];
    uint64_t created_ms;
};

static int no_memory(struct err *err)
{
    return err_set(err, -ENOMEM, "no memory for the API keys");
}

/* --- one key --- */

static bool list_has(char *const *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

static int scope_add(
        char **list, size_t *count, const char *what, const char *name, struct err *err)
{
    int r = rules_text(TEXT_MODEL_NAME, what, name, strlen(name), err);
    if (r)
        return r;
    if (list_has(list, *count, name))
        return err_set(err, -EINVAL, "%s \"%s\" is named twice", what, name);
    char *copy = strdup(name);
    if (!copy)
        return no_memory(err);
    list[(*count)++] = copy;
    return 0;
}

/* What has been added stays in `*list` on failure too; the key's owner frees it. */
static int scope_copy(char ***list, size_t *count, const char *what, const char *const *names,
        size_t name_count, struct err *err)
{
    if (name_count == 0)
        return 0;
    if (name_count > API_KEY_SCOPE_MAX)
        return err_set(err, -E2BIG, "%zu names of a %s; one key takes at most %d", name_count, what,
                API_KEY_SCOPE_MAX);
    *list = calloc(name_count, sizeof(**list));
    int r = *list ? 0 : no_memory(err);
    for (size_t i = 0; !r && i < name_count; i++)
        r = scope_add(*list, count, what, names[i], err);
    return r;
}

static void scope_free(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i]);
    free(list);
}

static void key_fini(struct api_key *key)
{
    scope_free(key->modes, key->mode_count);
    scope_free(key->models, key->model_count);
}

static int check_spec(const struct api_key_spec *spec, struct err *err)
{
    int r = rules_text(TEXT_NODE_NAME, "name", spec->name, strlen(spec->name), err);
    if (!r && spec->requests_per_minute > API_KEY_RATE_MAX)
        r = err_set(err, -ERANGE, "requests_per_minute: at most %d, or 0 for no limit",
                API_KEY_RATE_MAX);
    return r;
}

static int key_init(struct api_key *ret_key, const struct api_key_spec *spec, const struct env *env,
        struct err *err)
{
    int r = check_spec(spec, err);
    if (r)
        return r;
    struct api_key key = {.admin = spec->admin,
            .requests_per_minute = (uint32_t)spec->requests_per_minute,
            .tokens = (double)spec->requests_per_minute,
            .tokens_at_ms = env_now_ms(env)};
    strcpy(key.name, spec->name);
    r = scope_copy(&key.modes, &key.mode_count, "mode", spec->modes, spec->mode_count, err);
    if (!r)
        r = scope_copy(
                &key.models, &key.model_count, "model", spec->models, spec->model_count, err);
    if (r)
        key_fini(&key);
    else
        *ret_key = key;
    return r;
}

static bool allows(char *const *list, size_t count, const char *name)
{
    return count == 0 || list_has(list, count, name);
}

bool api_key_allows_mode(const struct api_key *key, const char *mode)
{
    return allows(key->modes, key->mode_count, mode);
}

bool api_key_allows_model(const struct api_key *key, const char *model)
{
    return allows(key->models, key->model_count, model);
}

static void refill(struct api_key *key, uint64_t now_ms)
{
    double rate = key->requests_per_minute;
    if (now_ms <= key->tokens_at_ms)
        return;
    double fresh = (double)(now_ms - key->tokens_at_ms) * rate / MS_PER_MINUTE;
    key->tokens = fmin(rate, key->tokens + fresh);
    key->tokens_at_ms = now_ms;
}

int api_key_take(struct api_key *key, uint64_t now_ms, uint32_t *ret_retry_s)
{
    double rate = key->requests_per_minute;
    if (rate > 0) {
        refill(key, now_ms);
        if (key->tokens < ONE_TOKEN) {
            *ret_retry_s = (uint32_t)ceil((1 - key->tokens) * 60 / rate);
            return -EBUSY;
        }
        key->tokens -= 1;
    }
    key->requests++;
    return 0;
}

/* --- the list --- */

static struct api_key *find_name(const struct api_keys *keys, const char *name)
{
    for (size_t i = 0; i < keys->count; i++)
        if (strcmp(keys->list[i].name, name) == 0)
            return &keys->list[i];
    return NULL;
}

/* Looks at every key, so that the time does not tell which hash is near. */
static struct api_key *find_hash(
        const struct api_keys *keys, const uint8_t hash[API_KEY_HASH_BYTES])
{
    struct api_key *found = NULL;
    for (size_t i = 0; i < keys->count; i++)
        if (sodium_memcmp(keys->list[i].hash, hash, API_KEY_HASH_BYTES) == 0)
            found = &keys->list[i];
    return found;
}

/* Takes `key` over on success. */
static int append(struct api_keys *keys, const struct api_key *key, struct err *err)
{
    if (find_name(keys, key->name))
        return err_set(err, -EEXIST,
                "an API key has the name \"%s\" already; revoke it first, or take another name",
                key->name);
    if (keys->count == API_KEYS_MAX)
        return err_set(err, -ENOSPC, "there are %d API keys, which is the limit; revoke one",
                API_KEYS_MAX);
    struct api_key *list = reallocarray(keys->list, keys->count + 1, sizeof(*list));
    if (!list)
        return no_memory(err);
    keys->list = list;
    list[keys->count++] = *key;
    return 0;
}

/* --- reading the file --- */

static bool read_names(const cJSON *value, const char *names[API_KEY_SCOPE_MAX], size_t *ret_count)
{
    size_t count = 0;
    const cJSON *name;
    if (!cJSON_IsArray(value))
        return false;
    cJSON_ArrayForEach(name, value)
    {
        if (!cJSON_IsString(name) || count == API_KEY_SCOPE_MAX)
            return false;
        names[count++] = name->valuestring;
    }
    *ret_count = count;
    return true;
}

static bool read_name(const cJSON *value, struct record *record)
{
    record->spec.name = value->valuestring;
    return cJSON_IsString(value);
}

static bool read_hash(const cJSON *value, struct record *record)
{
    size_t len = 0;
    return cJSON_IsString(value) &&
           sodium_hex2bin(record->hash, sizeof(record->hash), value->valuestring,
                   strlen(value->valuestring), NULL, &len, NULL) == 0 &&
           len == sizeof(record->hash);
}

static bool read_admin(const cJSON *value, struct record *record)
{
    record->spec.admin = cJSON_IsTrue(value);
    return cJSON_IsBool(value);
}

static bool read_modes(const cJSON *value, struct record *record)
{
    record->spec.modes = record->modes;
    return read_names(value, record->modes, &record->spec.mode_count);
}

static bool read_models(const cJSON *value, struct record *record)
{
    record->spec.models = record->models;
    return read_names(value, record->models, &record->spec.model_count);
}

static bool read_rate(const cJSON *value, struct record *record)
{
    return json_whole(value, &record->spec.requests_per_minute);
}

static bool read_created(const cJSON *value, struct record *record)
{
    return json_whole(value, &record->created_ms);
}

static const struct field {
    const char *name;
    bool (*read)(const cJSON *value, struct record *record);
    const char *want;
} fields[] = {
        {"name", read_name, "text"},
        {"hash", read_hash, "64 hex digits"},
        {"admin", read_admin, "true or false"},
        {"modes", read_modes, "a list of at most 64 names"},
        {"models", read_models, "a list of at most 64 names"},
        {"requests_per_minute", read_rate, "a whole number"},
        {"created_ms", read_created, "a whole number"},
};
enum { FIELD_COUNT = sizeof(fields) / sizeof(fields[0]) };

/* Every member once and no other: one that was mistaken for a limit would be none. */
static int read_record(const cJSON *json, struct record *ret_record, struct err *err)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(json, fields[i].name);
        if (!value || !fields[i].read(value, ret_record))
            return err_set(err, -EINVAL, "\"%s\" must be %s", fields[i].name, fields[i].want);
    }
    if (cJSON_GetArraySize(json) != FIELD_COUNT)
        return err_set(err, -EINVAL, "a member is unknown, or stands in it twice");
    return 0;
}

static int take_record(struct api_keys *keys, const struct record *record, struct err *err)
{
    struct api_key key;
    if (find_hash(keys, record->hash))
        return err_set(err, -EINVAL, "its hash stands in the file twice");
    int r = key_init(&key, &record->spec, keys->env, err);
    if (r)
        return r;
    memcpy(key.hash, record->hash, sizeof(key.hash));
    key.created_ms = (int64_t)record->created_ms;
    r = append(keys, &key, err);
    if (r)
        key_fini(&key);
    return r;
}

static int take_json(struct api_keys *keys, const cJSON *json, struct err *err)
{
    const cJSON *array = json_array(json, "keys"), *entry;
    if (!array || json_num(json, "version", 0) != FILE_VERSION || cJSON_GetArraySize(json) != 2)
        return err_set(err, -EINVAL, "%s is no list of API keys: {\"version\":%d,\"keys\":[…]}",
                keys->path, FILE_VERSION);
    size_t number = 1;
    cJSON_ArrayForEach(entry, array)
    {
        struct record record = {0};
        int r = read_record(entry, &record, err);
        if (!r)
            r = take_record(keys, &record, err);
        if (r)
            return err_prefix(err, r == -ENOMEM ? r : -EINVAL, "%s: key %zu", keys->path, number);
        number++;
    }
    return 0;
}

static int take_text(struct api_keys *keys, const char *text, size_t len, struct err *err)
{
    static const struct json_limits limits = {.max_bytes = API_KEYS_FILE_MAX,
            .max_depth = FILE_DEPTH_MAX,
            .max_values = (size_t)API_KEYS_MAX * FILE_KEY_VALUES_MAX};
    cJSON *json;
    int r = json_parse(text, len, &limits, &json, err);
    if (r)
        return err_prefix(err, r, "%s", keys->path);
    r = take_json(keys, json, err);
    cJSON_Delete(json);
    return r;
}

/* A missing file is an empty list. */
static int load(struct api_keys *keys, struct err *err)
{
    char *text;
    size_t len;
    int r = file_read_guarded(keys->path, API_KEYS_FILE_MAX, &text, &len, err);
    if (r)
        return r == -ENOENT ? 0 : r;
    r = take_text(keys, text, len, err);
    free(text);
    return r;
}

int api_keys_open(
        const char *path, const struct env *env, struct api_keys **ret_keys, struct err *err)
{
    if (sodium_init() < 0)
        return err_set(err, -EIO, "libsodium does not start: no source of randomness");
    struct api_keys *keys = calloc(1, sizeof(*keys));
    if (!keys)
        return no_memory(err);
    keys->env = env;
    keys->path = strdup(path);
    int r = keys->path ? load(keys, err) : no_memory(err);
    if (r)
        api_keys_close(keys);
    else
        *ret_keys = keys;
    return r;
}

void api_keys_close(struct api_keys *keys)
{
    if (!keys)
        return;
    for (size_t i = 0; i < keys->count; i++)
        key_fini(&keys->list[i]);
    free(keys->list);
    free(keys->path);
    free(keys);
}

/* --- writing the file --- */

static void write_names(
        struct json_writer *writer, const char *member, char *const *names, size_t count)
{
    json_writer_array(writer, member);
    for (size_t i = 0; i < count; i++)
        json_writer_str(writer, NULL, names[i]);
    json_writer_array_end(writer);
}

static void write_key(struct json_writer *writer, const struct api_key *key)
{
    char hex[2 * API_KEY_HASH_BYTES + 1];
    json_writer_object(writer, NULL);
    json_writer_str(writer, "name", key->name);
    json_writer_str(writer, "hash", sodium_bin2hex(hex, sizeof(hex), key->hash, sizeof(key->hash)));
    json_writer_bool(writer, "admin", key->admin);
    write_names(writer, "modes", key->modes, key->mode_count);
    write_names(writer, "models", key->models, key->model_count);
    json_writer_u64(writer, "requests_per_minute", key->requests_per_minute);
    json_writer_u64(writer, "created_ms", (uint64_t)key->created_ms);
    json_writer_object_end(writer);
}

static int write_keys(const struct api_keys *keys, const struct api_key *without, struct buf *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_writer_object(&writer, NULL);
    json_writer_u64(&writer, "version", FILE_VERSION);
    json_writer_array(&writer, "keys");
    for (size_t i = 0; i < keys->count; i++)
        if (&keys->list[i] != without)
            write_key(&writer, &keys->list[i]);
    json_writer_array_end(&writer);
    json_writer_object_end(&writer);
    return json_writer_result(&writer);
}

/* Writes all keys but `without`, which may be NULL. */
static int save(const struct api_keys *keys, const struct api_key *without, struct err *err)
{
    struct buf text;
    buf_init(&text, API_KEYS_FILE_MAX);
    int r = write_keys(keys, without, &text);
    if (r == -ENOBUFS)
        r = err_set(err, -ENOSPC, "%s would pass its limit of %d bytes; revoke a key", keys->path,
                API_KEYS_FILE_MAX);
    else if (r)
        r = no_memory(err);
    else
        r = file_write_private(keys->path, buf_at(&text), text.len, err);
    buf_fini(&text);
    return r;
}

/* --- changes --- */

static void make_text(const struct env *env, char text[API_KEY_TEXT_LEN + 1])
{
    const size_t prefix_len = sizeof(key_prefix) - 1;
    uint8_t secret[SECRET_BYTES];
    env->random(env->ctx, secret, sizeof(secret));
    memcpy(text, key_prefix, prefix_len);
    base64url_encode(secret, sizeof(secret), text + prefix_len);
    sodium_memzero(secret, sizeof(secret));
}

static void hash_text(const char *text, uint8_t ret_hash[API_KEY_HASH_BYTES])
{
    (void)crypto_generichash(
            ret_hash, API_KEY_HASH_BYTES, (const uint8_t *)text, strlen(text), NULL, 0);
}

/* Takes `key` over, whatever comes of it. */
static int append_and_save(struct api_keys *keys, struct api_key *key, struct err *err)
{
    int r = append(keys, key, err);
    if (!r) {
        r = save(keys, NULL, err);
        if (r)
            keys->count--;
    }
    if (r)
        key_fini(key);
    return r;
}

int api_keys_create(struct api_keys *keys, const struct api_key_spec *spec,
        char ret_text[API_KEY_TEXT_LEN + 1], struct err *err)
{
    char text[API_KEY_TEXT_LEN + 1];
    struct api_key key;
    int r = key_init(&key, spec, keys->env, err);
    if (r)
        return r;
    make_text(keys->env, text);
    hash_text(text, key.hash);
    key.created_ms = env_wall_ms(keys->env);
    r = append_and_save(keys, &key, err);
    if (!r)
        memcpy(ret_text, text, sizeof(text));
    sodium_memzero(text, sizeof(text));
    return r;
}

static int no_such_name(const struct api_keys *keys, const char *name, struct err *err)
{
    const char **names = calloc(keys->count + 1, sizeof(*names)), *nearest = NULL;
    for (size_t i = 0; names && i < keys->count; i++)
        names[i] = keys->list[i].name;
    if (names)
        nearest = text_nearest(name, names);
    free(names);
    if (nearest)
        return err_set(err, -ENOENT, "no API key has the name \"%.100s\"; the nearest is \"%s\"",
                name, nearest);
    return err_set(err, -ENOENT, "no API key has the name \"%.100s\"", name);
}

int api_keys_revoke(struct api_keys *keys, const char *name, struct err *err)
{
    struct api_key *key = find_name(keys, name);
    if (!key)
        return no_such_name(keys, name, err);
    int r = save(keys, key, err);
    if (r)
        return r;
    key_fini(key);
    size_t index = (size_t)(key - keys->list);
    memmove(key, key + 1, (keys->count - index - 1) * sizeof(*key));
    keys->count--;
    return 0;
}

/* --- questions --- */

bool api_key_is_ours(const char *text)
{
    return strncmp(text, key_prefix, sizeof(key_prefix) - 1) == 0;
}

struct api_key *api_keys_check(struct api_keys *keys, const char *text)
{
    uint8_t hash[API_KEY_HASH_BYTES];
    if (!api_key_is_ours(text) || strlen(text) != API_KEY_TEXT_LEN)
        return NULL;
    hash_text(text, hash);
    struct api_key *key = find_hash(keys, hash);
    if (key)
        key->last_used_ms = env_wall_ms(keys->env);
    return key;
}

size_t api_keys_count(const struct api_keys *keys)
{
    return keys->count;
}

const struct api_key *api_keys_at(const struct api_keys *keys, size_t index)
{
    return index < keys->count ? &keys->list[index] : NULL;
}

#include "node/residency/measurements.h"

#include "common/json/json.h"
#include "common/json/json_writer.h"
#include "common/saturating.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 1,
    KEY_TEXT_LEN = 2 * MEASUREMENT_KEY_BYTES,
};

struct entry {
    struct measurement_key key;
    struct measurement measurement; /* of a start */
    uint64_t output_rows;           /* of a kind of engine */
};

/* Oldest first. */
struct table {
    struct entry *entries;
    size_t count, max;
};

struct measurements {
    struct entry start_entries[MEASUREMENTS_MAX], engine_entries[MEASUREMENTS_ENGINES_MAX];
    struct table starts, engines;
};

/* --- keys --- */

static void hash_init(crypto_generichash_state *hash, const char *kind)
{
    (void)crypto_generichash_init(hash, NULL, 0, MEASUREMENT_KEY_BYTES);
    (void)crypto_generichash_update(hash, (const unsigned char *)kind, strlen(kind) + 1);
}

static void hash_number(crypto_generichash_state *hash, uint64_t number)
{
    (void)crypto_generichash_update(hash, (const unsigned char *)&number, sizeof number);
}

/* NULL is a word too, and another one than "". */
static void hash_word(crypto_generichash_state *hash, const char *word)
{
    hash_number(hash, word != NULL ? strlen(word) : UINT64_MAX);
    if (word != NULL)
        (void)crypto_generichash_update(hash, (const unsigned char *)word, strlen(word));
}

static void hash_words(crypto_generichash_state *hash, const char *const *words)
{
    for (; words != NULL && *words != NULL; words++)
        hash_word(hash, *words);
    hash_word(hash, NULL);
}

static void hash_fini(crypto_generichash_state *hash, struct measurement_key *ret_key)
{
    (void)crypto_generichash_final(hash, ret_key->bytes, sizeof ret_key->bytes);
}

void measurement_key_of_start(const struct backend_host *host, const struct backend_model *model,
        const struct fingerprint *fingerprint, struct measurement_key *ret_key)
{
    crypto_generichash_state hash;

    hash_init(&hash, "start");
    (void)crypto_generichash_update(&hash, fingerprint->bytes, sizeof fingerprint->bytes);
    hash_number(&hash, model->context);
    hash_number(&hash, model->slots);
    hash_word(&hash, model->type_k);
    hash_word(&hash, model->type_v);
    hash_word(&hash, model->projector);
    hash_word(&hash, model->draft);
    hash_words(&hash, model->extra_args);
    hash_words(&hash, host->command);
    hash_fini(&hash, ret_key);
}

void measurement_key_of_adopted(
        const char *url, const char *id, const char *version, struct measurement_key *ret_key)
{
    crypto_generichash_state hash;

    hash_init(&hash, "adopted");
    hash_word(&hash, url);
    hash_word(&hash, id);
    hash_word(&hash, version);
    hash_fini(&hash, ret_key);
}

void measurement_key_of_engine(const struct backend_host *host, struct measurement_key *ret_key)
{
    crypto_generichash_state hash;

    hash_init(&hash, "engine");
    hash_words(&hash, host->command);
    hash_fini(&hash, ret_key);
}

uint64_t measurement_bytes(const struct measurement *measurement, enum pool_kind pool)
{
    if (pool == POOL_GPU)
        return measurement->device_bytes;
    return saturating_sum(measurement->device_bytes, measurement->host_bytes);
}

/* --- the table --- */

/* `count` where it is not there. */
static size_t find(const struct table *table, const struct measurement_key *key)
{
    size_t i = 0;

    while (i < table->count && memcmp(&table->entries[i].key, key, sizeof *key) != 0)
        i++;
    return i;
}

static void take_out(struct table *table, size_t index)
{
    table->count--;
    memmove(table->entries + index, table->entries + index + 1,
            (table->count - index) * sizeof *table->entries);
}

/* What is put again is the newest. */
static bool put(struct table *table, const struct entry *entry)
{
    size_t index = find(table, &entry->key);
    bool known = index < table->count;
    bool same = known && memcmp(&table->entries[index], entry, sizeof *entry) == 0;

    if (known)
        take_out(table, index);
    else if (table->count == table->max)
        take_out(table, 0);
    table->entries[table->count++] = *entry;
    return !same;
}

static bool fits(const struct measurement *measurement)
{
    return measurement->device_bytes <= MEASUREMENT_BYTES_MAX &&
           measurement->host_bytes <= MEASUREMENT_BYTES_MAX &&
           (measurement->device_bytes > 0 || measurement->host_bytes > 0);
}

bool measurements_put(struct measurements *measurements, const struct measurement_key *key,
        const struct measurement *measurement)
{
    const struct entry entry = {.key = *key, .measurement = *measurement};

    return fits(measurement) && put(&measurements->starts, &entry);
}

bool measurements_find(const struct measurements *measurements, const struct measurement_key *key,
        struct measurement *ret_measurement)
{
    size_t index = find(&measurements->starts, key);

    if (index == measurements->starts.count)
        return false;
    *ret_measurement = measurements->starts.entries[index].measurement;
    return true;
}

bool measurements_put_rows(
        struct measurements *measurements, const struct measurement_key *engine, uint32_t rows)
{
    const struct entry entry = {.key = *engine, .output_rows = rows};

    return rows <= MEASUREMENT_ROWS_MAX && put(&measurements->engines, &entry);
}

bool measurements_find_rows(const struct measurements *measurements,
        const struct measurement_key *engine, uint32_t *ret_rows)
{
    size_t index = find(&measurements->engines, engine);

    if (index == measurements->engines.count)
        return false;
    *ret_rows = (uint32_t)measurements->engines.entries[index].output_rows;
    return true;
}

struct measurements *measurements_create(void)
{
    struct measurements *measurements = calloc(1, sizeof *measurements);

    if (measurements == NULL)
        return NULL;
    measurements->starts =
            (struct table){.entries = measurements->start_entries, .max = MEASUREMENTS_MAX};
    measurements->engines = (struct table){
            .entries = measurements->engine_entries, .max = MEASUREMENTS_ENGINES_MAX};
    return measurements;
}

void measurements_destroy(struct measurements *measurements)
{
    free(measurements);
}

/* --- its text --- */

static void print_key(struct json_writer *writer, const struct measurement_key *key)
{
    char text[KEY_TEXT_LEN + 1];

    sodium_bin2hex(text, sizeof text, key->bytes, sizeof key->bytes);
    json_writer_str(writer, "key", text);
}

static void print_starts(struct json_writer *writer, const struct table *starts)
{
    json_writer_array(writer, "starts");
    for (size_t i = 0; i < starts->count; i++) {
        json_writer_object(writer, NULL);
        print_key(writer, &starts->entries[i].key);
        json_writer_u64(writer, "device_bytes", starts->entries[i].measurement.device_bytes);
        json_writer_u64(writer, "host_bytes", starts->entries[i].measurement.host_bytes);
        json_writer_object_end(writer);
    }
    json_writer_array_end(writer);
}

static void print_engines(struct json_writer *writer, const struct table *engines)
{
    json_writer_array(writer, "engines");
    for (size_t i = 0; i < engines->count; i++) {
        json_writer_object(writer, NULL);
        print_key(writer, &engines->entries[i].key);
        json_writer_u64(writer, "output_rows", engines->entries[i].output_rows);
        json_writer_object_end(writer);
    }
    json_writer_array_end(writer);
}

int measurements_print(const struct measurements *measurements, struct buf *out)
{
    struct json_writer writer;

    json_writer_init(&writer, out);
    json_writer_object(&writer, NULL);
    json_writer_u64(&writer, "version", VERSION);
    print_starts(&writer, &measurements->starts);
    print_engines(&writer, &measurements->engines);
    json_writer_object_end(&writer);
    return json_writer_result(&writer);
}

static bool read_key(const cJSON *item, struct measurement_key *ret_key)
{
    const char *text = json_str(item, "key", "");
    size_t len;

    return strlen(text) == KEY_TEXT_LEN &&
           sodium_hex2bin(ret_key->bytes, sizeof ret_key->bytes, text, KEY_TEXT_LEN, NULL, &len,
                   NULL) == 0 &&
           len == sizeof ret_key->bytes;
}

static bool read_number(const cJSON *item, const char *name, uint64_t max, uint64_t *ret_number)
{
    return json_whole(cJSON_GetObjectItemCaseSensitive(item, name), ret_number) &&
           *ret_number <= max;
}

static bool read_start(const cJSON *item, struct entry *ret_entry)
{
    struct measurement *measurement = &ret_entry->measurement;

    return read_key(item, &ret_entry->key) &&
           read_number(item, "device_bytes", MEASUREMENT_BYTES_MAX, &measurement->device_bytes) &&
           read_number(item, "host_bytes", MEASUREMENT_BYTES_MAX, &measurement->host_bytes) &&
           fits(measurement);
}

static bool read_engine(const cJSON *item, struct entry *ret_entry)
{
    return read_key(item, &ret_entry->key) &&
           read_number(item, "output_rows", MEASUREMENT_ROWS_MAX, &ret_entry->output_rows);
}

static int read_list(struct table *table, const cJSON *json, const char *name,
        bool (*read)(const cJSON *item, struct entry *ret_entry), struct err *err)
{
    const cJSON *list = json_array(json, name), *item;

    if (list == NULL)
        return err_set(err, -EINVAL, "\"%s\" is missing or no list", name);
    cJSON_ArrayForEach(item, list)
    {
        struct entry entry = {.output_rows = 0};
        if (table->count == table->max)
            return err_set(err, -EINVAL, "\"%s\" has more than %zu entries", name, table->max);
        if (!cJSON_IsObject(item) || !read(item, &entry))
            return err_set(err, -EINVAL, "entry %zu of \"%s\" is none", table->count + 1, name);
        if (find(table, &entry.key) < table->count)
            return err_set(
                    err, -EINVAL, "entry %zu of \"%s\" is there twice", table->count + 1, name);
        (void)put(table, &entry);
    }
    return 0;
}

static int read_json(struct measurements *measurements, const cJSON *json, struct err *err)
{
    uint64_t version;
    int rc;

    if (!cJSON_IsObject(json))
        return err_set(err, -EINVAL, "it is no JSON object");
    if (!read_number(json, "version", JSON_WHOLE_MAX, &version) || version != VERSION)
        return err_set(err, -EINVAL, "\"version\" is not %d", VERSION);
    rc = read_list(&measurements->starts, json, "starts", read_start, err);
    if (rc == 0)
        rc = read_list(&measurements->engines, json, "engines", read_engine, err);
    return rc;
}

int measurements_parse(
        struct measurements *measurements, const char *text, size_t len, struct err *err)
{
    static const struct json_limits limits = {.max_bytes = MEASUREMENTS_TEXT_MAX,
            .max_depth = 3,
            .max_values = 8 * (MEASUREMENTS_MAX + MEASUREMENTS_ENGINES_MAX),
            .unambiguous = true};
    cJSON *json;
    int rc = json_parse(text, len, &limits, &json, err);

    if (rc < 0)
        return rc;
    rc = read_json(measurements, json, err);
    cJSON_Delete(json);
    return rc;
}

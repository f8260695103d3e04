#include "common/config/config_internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

enum {
    DECIMAL_PLACES = 3,
    DECIMAL_WHOLE_MAX = 9, /* digits before the point */
};

static const char name_letters[] = "abcdefghijklmnopqrstuvwxyz"
                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789._-";

static int refuse(
        const struct config_key *key, const char *text, const char *accepted, struct err *err)
{
    if (key->secret)
        return err_set(err, -EINVAL, "this secret is not %s", accepted);
    return err_set(err, -EINVAL, "\"%s\" is not %s", text, accepted);
}

static int parse_bool(const char *text, uint64_t *ret_value, struct err *err)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        if (strcasecmp(text, words[i]) != 0)
            continue;
        *ret_value = i % 2;
        return 0;
    }
    return err_set(err, -EINVAL, "\"%s\" is neither true nor false (yes, no, on, off)", text);
}

static size_t count_digits(const char *text)
{
    return strspn(text, "0123456789");
}

/* Thousandths. */
static int parse_decimal(const char *text, uint64_t *ret_value, struct err *err)
{
    size_t whole = count_digits(text);
    const char *behind = text + whole + (text[whole] == '.');
    size_t places = count_digits(behind);
    uint64_t value = 0;

    if (whole == 0 || whole > DECIMAL_WHOLE_MAX || places > DECIMAL_PLACES || behind[places] ||
            (behind != text + whole && places == 0))
        return err_set(err, -EINVAL, "\"%s\" is no number such as 0.25, of at most %d places", text,
                DECIMAL_PLACES);
    for (size_t i = 0; i < whole + DECIMAL_PLACES; i++) {
        char digit = i < whole ? text[i] : i - whole < places ? behind[i - whole] : '0';
        value = value * 10 + (uint64_t)(digit - '0');
    }
    *ret_value = value;
    return 0;
}

struct number_type {
    int (*parse)(const char *text, uint64_t *ret_value, struct err *err);
    const char *metavar, *form;
};

static const struct number_type number_types[] = {
        [CONFIG_BOOL] = {parse_bool, "true|false", "true or false"},
        [CONFIG_UINT] = {text_parse_u64, "N", "a whole number"},
        [CONFIG_DECIMAL] = {parse_decimal, "NUMBER", "a number such as 0.25"},
        [CONFIG_SIZE] = {text_parse_size, "SIZE", "a size such as 512M or 1.5G"},
        [CONFIG_DURATION] = {text_parse_duration, "TIME", "a duration such as 250ms, 3s or 10m"},
};

static bool in_range(const struct config_key *key, uint64_t value)
{
    return value >= key->min && (key->max == 0 || value <= key->max);
}

static int check_number(const struct config_key *key, const char *text, struct err *err)
{
    const struct number_type *type = &number_types[key->type];
    char range[128];
    uint64_t value;
    int r = type->parse(text, &value, key->secret ? NULL : err);

    if (r < 0)
        return key->secret ? refuse(key, text, type->form, err) : r;
    if (in_range(key, value))
        return 0;
    config_range(key, range, sizeof(range));
    if (key->secret)
        return err_set(err, -ERANGE, "this secret is out of range; accepted: %s", range);
    return err_set(err, -ERANGE, "%s is out of range; accepted: %s", text, range);
}

static int check_addr(const struct config_key *key, const char *text, struct err *err)
{
    struct text_addr addr;
    int r = text_parse_addr(text, &addr, key->secret ? NULL : err);

    return r < 0 && key->secret ? refuse(key, text, "an address such as 127.0.0.1:8420", err) : r;
}

static int check_enum(const struct config_key *key, const char *text, struct err *err)
{
    size_t len = strlen(text);

    for (const char *at = key->choices; at; at = strchr(at, '|')) {
        at += *at == '|' ? 1 : 0;
        if (strcspn(at, "|") == len && strncmp(at, text, len) == 0)
            return 0;
    }
    return refuse(key, text, key->choices, err);
}

int config_check(const struct config_key *key, const char *text, struct err *err)
{
    switch (key->type) {
    case CONFIG_BOOL:
    case CONFIG_UINT:
    case CONFIG_DECIMAL:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
        return check_number(key, text, err);
    case CONFIG_ADDR:
        return check_addr(key, text, err);
    case CONFIG_ENUM:
        return check_enum(key, text, err);
    case CONFIG_STR:
    case CONFIG_LIST:
        break;
    }
    return 0;
}

uint64_t config_number(const struct config_key *key, const char *text)
{
    uint64_t value = 0;
    int r = number_types[key->type].parse(text, &value, NULL);

    assert(r == 0);
    (void)r;
    return value;
}

const char *config_metavar(const struct config_key *key)
{
    if (key->metavar)
        return key->metavar;
    switch (key->type) {
    case CONFIG_ADDR:
        return "ADDR:PORT";
    case CONFIG_ENUM:
        return key->choices;
    case CONFIG_STR:
    case CONFIG_LIST:
        return "TEXT";
    default:
        return number_types[key->type].metavar;
    }
}

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit no_units[] = {{"", 1}};
static const struct unit size_units[] = {
        {"T", UINT64_C(1) << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}};
static const struct unit duration_units[] = {{"d", 24 * 60 * 60 * 1000}, {"h", 60 * 60 * 1000},
        {"m", 60 * 1000}, {"s", 1000}, {"ms", 1}};

static const struct unit *units_of(enum config_type type)
{
    if (type == CONFIG_SIZE)
        return size_units;
    return type == CONFIG_DURATION ? duration_units : no_units;
}

/* As the user would write it: in the largest unit that leaves a whole number. */
static const char *format_bound(enum config_type type, uint64_t value, char *buf, size_t size)
{
    const struct unit *unit = units_of(type);

    if (type == CONFIG_DECIMAL) {
        snprintf(buf, size, "%g", (double)value / 1000);
        return buf;
    }
    while (unit->factor > 1 && (value < unit->factor || value % unit->factor != 0))
        unit++;
    snprintf(buf, size, "%" PRIu64 "%s", value / unit->factor, unit->name);
    return buf;
}

const char *config_range(const struct config_key *key, char *buf, size_t size)
{
    const char *unit = key->type == CONFIG_UINT && key->unit ? key->unit : "";
    const char *space = *unit ? " " : "";
    char min[32], max[32];

    format_bound(key->type, key->min, min, sizeof(min));
    format_bound(key->type, key->max, max, sizeof(max));
    if (key->max > 0)
        snprintf(buf, size, "%s … %s%s%s", min, max, space, unit);
    else if (key->min > 0)
        snprintf(buf, size, "at least %s%s%s", min, space, unit);
    else
        buf[0] = '\0';
    return buf;
}

static bool only_letters(const char *name, const char *more)
{
    while (*name && (strchr(name_letters, *name) || strchr(more, *name)))
        name++;
    return !*name;
}

const char *config_name_letters(const struct config_key *keys, const char *star, size_t len)
{
    for (; keys->path; keys++)
        if (strncmp(keys->path, star, len) == 0 && !strchr(keys->path + len, '*'))
            return keys->name_letters;
    return NULL;
}

int config_check_name(const char *letters, const char *name, struct err *err)
{
    const char *more = letters ? letters : "";
    size_t len = strlen(name), max = letters ? CONFIG_WIDE_NAME_MAX : CONFIG_NAME_MAX;

    if (len > 0 && len <= max && only_letters(name, more))
        return 0;
    if (*more)
        return err_set(err, -EINVAL, "\"%s\" is no name: 1 to %zu letters, digits or of \"._-%s\"",
                name, max, more);
    return err_set(err, -EINVAL,
            "\"%s\" is no name: 1 to %zu letters, digits, \".\", \"_\" or \"-\"", name, max);
}

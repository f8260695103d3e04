#include "coordinator/modes/mode_yaml.h"

#include "common/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct writing { /* the first failure sticks */
    struct buf *out;
    int result;
};

static void put(struct writing *writing, const char *text)
{
    if (!writing->result)
        writing->result = buf_append_str(writing->out, text);
}

/* Letters that mean nothing to YAML, and no word that does. Names hold no quotes and no
 * backslashes. */
static bool is_plain(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789._/-";
    return strspn(name, letters) == strlen(name) && !strchr("._/-", name[0]) &&
           strcmp(name, "null") != 0;
}

static void put_name(struct writing *writing, const char *name)
{
    const char *quote = is_plain(name) ? "" : "\"";
    put(writing, quote);
    put(writing, name);
    put(writing, quote);
}

static void put_key(struct writing *writing, const char *key)
{
    put(writing, "    ");
    put(writing, key);
    put(writing, ": ");
}

static void put_number(struct writing *writing, const char *key, uint32_t value, uint32_t def)
{
    char text[32];
    if (value == def)
        return;
    snprintf(text, sizeof(text), "%u\n", value);
    put_key(writing, key);
    put(writing, text);
}

static void put_decimal(struct writing *writing, const char *key, double value)
{
    char text[32];
    snprintf(text, sizeof(text), "%.9g\n", value);
    put_key(writing, key);
    put(writing, text);
}

static void put_word(struct writing *writing, const char *key, const char *word)
{
    put_key(writing, key);
    put_name(writing, word);
    put(writing, "\n");
}

static void put_list(struct writing *writing, char *const *names, size_t count)
{
    put(writing, "[");
    for (size_t i = 0; i < count; i++) {
        put(writing, i ? ", " : "");
        put_name(writing, names[i]);
    }
    put(writing, "]\n");
}

static void put_points(struct writing *writing, const struct mode *mode)
{
    char text[16];
    if (mode->point_count == 0)
        return;
    put(writing, "    quality: {");
    for (size_t i = 0; i < mode->point_count; i++) {
        snprintf(text, sizeof(text), ": %u", mode->points[i].points);
        put(writing, i ? ", " : "");
        put_name(writing, mode->points[i].model);
        put(writing, text);
    }
    put(writing, "}\n");
}

static void put_rules(struct writing *writing, const struct mode *mode)
{
    char tokens[32];
    if (mode->rule_count)
        put(writing, "    up-to:\n");
    for (size_t i = 0; i < mode->rule_count; i++) {
        put(writing, "      ");
        put(writing, text_format_tokens(mode->rules[i].tokens, tokens, sizeof(tokens)));
        put(writing, ": ");
        put_list(writing, mode->rules[i].models.names, mode->rules[i].models.count);
    }
    if (mode->planning.count == 0)
        return;
    put_key(writing, "planning");
    put_list(writing, mode->planning.names, mode->planning.count);
}

static void put_floors(struct writing *writing, const struct mode *mode)
{
    char text[48], tokens[32];
    put_number(writing, "floor", mode->floor, 0);
    if (mode->floor_count)
        put(writing, "    floor-up-to:\n");
    for (size_t i = 0; i < mode->floor_count; i++) {
        snprintf(text, sizeof(text), "      %s: %u\n",
                text_format_tokens(mode->floors[i].tokens, tokens, sizeof(tokens)),
                mode->floors[i].points);
        put(writing, text);
    }
}

static void put_patience(struct writing *writing, const struct mode *mode, uint32_t def)
{
    static const struct {
        const char *name;
        uint32_t ms;
    } units[] = {{"m", 60000}, {"s", 1000}, {"ms", 1}};
    char text[32];
    size_t unit = 0;
    if (mode->patience_ms == def)
        return;
    while (mode->patience_ms % units[unit].ms)
        unit++;
    snprintf(text, sizeof(text), "%u%s\n", mode->patience_ms / units[unit].ms, units[unit].name);
    put_key(writing, "patience");
    put(writing, text);
}

/* The priority follows from `batch` by default. */
static void put_place(struct writing *writing, const struct mode *mode)
{
    struct mode bare;
    mode_init(&bare);
    mode_set_batch(&bare, mode->batch);
    if (mode->batch)
        put_word(writing, "batch", "true");
    put_number(writing, "priority", mode->priority, bare.priority);
    if (mode->beta_is_set)
        put_decimal(writing, "beta", mode->beta);
}

static void put_service(struct writing *writing, const struct mode *mode, const struct mode *bare)
{
    if (mode->stand_in)
        put_word(writing, "stand-in", "true");
    put_floors(writing, mode);
    put_place(writing, mode);
    if (mode->has_temperature)
        put_decimal(writing, "temperature", mode->temperature);
    put_number(writing, "max-output", mode->max_output, bare->max_output);
    if (mode->when_none != WHEN_NONE_WAIT)
        put_word(writing, "when-none",
                mode->when_none == WHEN_NONE_NEXT ? mode->next
                                                  : mode_when_none_name(mode->when_none));
    put_patience(writing, mode, bare->patience_ms);
}

/* A floor that is not below the default is said where the context does not say it. */
static void put_needs(struct writing *writing, const struct mode *mode, const struct mode *bare)
{
    uint32_t floor = mode->context < bare->context_floor ? mode->context : bare->context_floor;
    if (mode->context_is_set)
        put_number(writing, "context", mode->context, 0);
    put_number(writing, "context-floor", mode->context_floor, floor);
    put_number(writing, "slots", mode->slots, bare->slots);
    put_number(writing, "copies", mode->copies, bare->copies);
    put_number(writing, "weight", mode->weight, bare->weight);
}

static void put_mode(struct writing *writing, const struct mode *mode)
{
    struct mode bare;
    mode_init(&bare);
    put(writing, "  ");
    put_name(writing, mode->name);
    put(writing, ":\n");
    put_key(writing, "models");
    put_list(writing, mode->models, mode->model_count);
    put_points(writing, mode);
    put_rules(writing, mode);
    put_service(writing, mode, &bare);
    put_needs(writing, mode, &bare);
}

int mode_yaml_append(const struct modes *modes, struct buf *out)
{
    struct writing writing = {.out = out};
    if (modes->count)
        put(&writing, "modes:\n");
    for (size_t i = 0; i < modes->count; i++)
        put_mode(&writing, &modes->list[i]);
    return writing.result;
}

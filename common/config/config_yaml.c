#include "common/arena.h"
#include "common/config/config_internal.h"
#include "common/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* One file on its way into a batch. `event` is the current one; errors carry its place. `path` and
 * `pattern` name the mapping that is being read: as the file has it, and as the table has it (with
 * '*'). */
struct yaml_load {
    const struct config_key *keys;
    const char *name;
    const char *text;
    struct config_batch batch;
    struct err *err;
    yaml_parser_t parser;
    yaml_event_t event;
    unsigned depth;
    char path[CONFIG_PATH_MAX], pattern[CONFIG_PATH_MAX];
};

/* What a key of the file means: a key of the table, or a section where `key` is NULL. */
struct meaning {
    const struct config_key *key;
    const struct config_key *within; /* a key of the section, or `key` */
    bool picked;                     /* the user chose the name */
};

/* Who writes "*" first in a text most likely means no alias. */
static const char quote_hint[] = "; put what begins with \"*\" in quotes";

static int read_mapping(struct yaml_load *load);

/* Puts the place of the current event before the text that `load->err` holds. */
static int fail_here(struct yaml_load *load, int code)
{
    const yaml_mark_t *mark = &load->event.start_mark;

    return err_prefix(load->err, code, "%s:%zu:%zu", load->name, mark->line + 1, mark->column + 1);
}

/* libyaml has no mark for bytes that it cannot decode, only their offset. */
static yaml_mark_t mark_at_offset(const char *text, size_t offset)
{
    yaml_mark_t mark = {.index = offset};

    for (size_t i = 0; i < offset; i++) {
        mark.column++;
        if (text[i] != '\n')
            continue;
        mark.line++;
        mark.column = 0;
    }
    return mark;
}

static int fail_parser(struct yaml_load *load)
{
    const yaml_parser_t *parser = &load->parser;
    bool alias = parser->context && strcmp(parser->context, "while scanning an alias") == 0;
    yaml_mark_t mark = parser->problem_mark;

    if (parser->error == YAML_MEMORY_ERROR)
        return err_set(load->err, -ENOMEM, "%s: no memory to read it", load->name);
    if (parser->error == YAML_READER_ERROR)
        mark = mark_at_offset(load->text, parser->problem_offset);
    return err_set(load->err, -EINVAL, "%s:%zu:%zu: %s%s", load->name, mark.line + 1,
            mark.column + 1, parser->problem ? parser->problem : "not YAML",
            alias ? quote_hint : "");
}

/* The feature of YAML behind the current event that we do not take, or NULL. */
static const char *refused_feature(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return "aliases";
    case YAML_SCALAR_EVENT:
        if (event->data.scalar.anchor)
            return "anchors";
        return event->data.scalar.tag ? "tags" : NULL;
    case YAML_SEQUENCE_START_EVENT:
        if (event->data.sequence_start.anchor)
            return "anchors";
        return event->data.sequence_start.tag ? "tags" : NULL;
    case YAML_MAPPING_START_EVENT:
        if (event->data.mapping_start.anchor)
            return "anchors";
        return event->data.mapping_start.tag ? "tags" : NULL;
    default:
        return NULL;
    }
}

static int next_event(struct yaml_load *load)
{
    yaml_event_delete(&load->event);
    if (!yaml_parser_parse(&load->parser, &load->event))
        return fail_parser(load);

    const char *feature = refused_feature(&load->event);
    if (!feature)
        return 0;
    return fail_here(load, err_set(load->err, -EINVAL, "%s are not supported%s", feature,
                                   load->event.type == YAML_ALIAS_EVENT ? quote_hint : ""));
}

static const char *scalar(const struct yaml_load *load)
{
    return (const char *)load->event.data.scalar.value;
}

static bool holds_nul(const struct yaml_load *load)
{
    return strlen(scalar(load)) != load->event.data.scalar.length;
}

/* `key:` with nothing behind it, and the other ways of YAML to write that. */
static bool is_nothing(const struct yaml_load *load)
{
    const char *text = scalar(load);

    return load->event.type == YAML_SCALAR_EVENT &&
           load->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

static const char *event_kind(const struct yaml_load *load)
{
    switch (load->event.type) {
    case YAML_MAPPING_START_EVENT:
        return "a mapping";
    case YAML_SEQUENCE_START_EVENT:
        return "a list";
    default:
        return is_nothing(load) ? "nothing" : "a single value";
    }
}

static int fail_kind(struct yaml_load *load, const struct config_value *value, const char *expected)
{
    int r = err_set(load->err, -EINVAL, "\"%s\" is %s, but here is %s", value->path, expected,
            event_kind(load));

    return fail_here(load, r);
}

/* The part of `path` right below the prefix, or NULL where the path does not lie there. */
static const char *below(const char *path, const char *prefix)
{
    size_t len = strlen(prefix);

    if (len == 0)
        return path;
    return strncmp(path, prefix, len) == 0 && path[len] == '.' ? path + len + 1 : NULL;
}

/* True where the table has `step` right below the current mapping. */
static bool find_step(const struct yaml_load *load, const char *step, struct meaning *ret_meaning)
{
    size_t len = strlen(step);

    ret_meaning->key = ret_meaning->within = NULL;
    for (const struct config_key *key = load->keys; key->path; key++) {
        const char *rest = below(key->path, load->pattern);
        if (!rest || strncmp(rest, step, len) != 0 || (rest[len] && rest[len] != '.'))
            continue;
        ret_meaning->within = key;
        if (!rest[len])
            ret_meaning->key = key;
    }
    return ret_meaning->within != NULL;
}

/* Fills `names` with what the table has right below the current mapping. */
static void known_names(const struct yaml_load *load, struct arena *arena, const char **names)
{
    size_t n = 0;

    for (const struct config_key *key = load->keys; key->path; key++) {
        const char *rest = below(key->path, load->pattern);
        if (!rest)
            continue;
        const char *name = arena_memdup(arena, rest, strcspn(rest, "."));
        if (name)
            names[n++] = name;
    }
    names[n] = NULL;
}

static const char *nearest_name(const struct yaml_load *load, struct arena *arena, const char *word)
{
    const char **names = arena_alloc(arena, (config_key_count(load->keys) + 1) * sizeof(*names));

    if (!names)
        return NULL;
    known_names(load, arena, names);
    return text_nearest(word, names);
}

static int fail_unknown(struct yaml_load *load, const char *word)
{
    const char *under = *load->path ? " under " : "";
    struct arena arena;
    int r;

    arena_init(&arena, CONFIG_NEAREST_MAX);
    const char *nearest = nearest_name(load, &arena, word);
    if (strcmp(word, "<<") == 0)
        r = err_set(load->err, -EINVAL, "merge keys are not supported");
    else if (nearest)
        r = err_set(load->err, -EINVAL, "unknown key \"%s\"%s%s; did you mean \"%s\"?", word, under,
                load->path, nearest);
    else
        r = err_set(load->err, -EINVAL, "unknown key \"%s\"%s%s", word, under, load->path);
    arena_fini(&arena);
    return fail_here(load, r);
}

static const char *letters_here(const struct yaml_load *load)
{
    char star[CONFIG_PATH_MAX + 2];
    int len = snprintf(star, sizeof(star), "%s%s*", load->pattern, *load->pattern ? "." : "");

    return config_name_letters(load->keys, star, (size_t)len);
}

/* A word with a dot or a star in it is none of the table's own names. */
static int find_meaning(struct yaml_load *load, const char *word, struct meaning *ret_meaning)
{
    *ret_meaning = (struct meaning){.picked = false};
    if (*word && !strpbrk(word, ".*") && find_step(load, word, ret_meaning))
        return 0;
    if (!find_step(load, "*", ret_meaning))
        return fail_unknown(load, word);
    ret_meaning->picked = true;
    int r = config_check_name(letters_here(load), word, load->err);
    return r < 0 ? fail_here(load, r) : 0;
}

static bool append_step(char *path, const char *step)
{
    size_t len = strlen(path);
    size_t room = CONFIG_PATH_MAX - len;
    int n = snprintf(path + len, room, "%s%s", len > 0 ? "." : "", step);

    return n >= 0 && (size_t)n < room;
}

static int enter(struct yaml_load *load, const char *word, const struct meaning *meaning)
{
    if (append_step(load->path, word) && append_step(load->pattern, meaning->picked ? "*" : word))
        return 0;
    return fail_here(load, err_set(load->err, -E2BIG, "the path of this key has more than %d bytes",
                                   CONFIG_PATH_MAX - 1));
}

static int add_value(
        struct yaml_load *load, const struct config_key *key, struct config_value **ret_value)
{
    struct config_value blueprint = {.key = key, .path = load->path};

    if (asprintf(&blueprint.origin, "%s:%zu", load->name, load->event.start_mark.line + 1) < 0)
        return err_set(load->err, -ENOMEM, "%s: no memory to read it", load->name);
    int r = config_batch_add(&load->batch, &blueprint, ret_value, load->err);
    free(blueprint.origin);
    return r < 0 ? fail_here(load, r) : 0;
}

/* A section, also for a value under a name that the user picked, so that config_name_at() knows the
 * name. */
static int add_section(struct yaml_load *load, const char *name, struct config_value **ret_value)
{
    int r = add_value(load, NULL, ret_value);

    if (r < 0 || !name)
        return r;
    r = config_batch_add_item(&load->batch, *ret_value, name, load->err);
    return r < 0 ? fail_here(load, r) : 0;
}

static int read_item(struct yaml_load *load, struct config_value *value)
{
    if (holds_nul(load))
        return fail_here(load,
                err_set(load->err, -EINVAL, "\"%s\" cannot hold a NUL character", value->path));
    int r = config_batch_set(&load->batch, value, scalar(load), load->err);
    return r < 0 ? fail_here(load, r) : 0;
}

static int descend(struct yaml_load *load)
{
    if (load->depth == CONFIG_DEPTH_MAX)
        return fail_here(
                load, err_set(load->err, -E2BIG, "nested deeper than %d levels", CONFIG_DEPTH_MAX));
    load->depth++;
    return 0;
}

/* A single value is a list of one. */
static int read_list(struct yaml_load *load, struct config_value *value)
{
    if (load->event.type == YAML_SCALAR_EVENT && !is_nothing(load))
        return read_item(load, value);
    if (load->event.type != YAML_SEQUENCE_START_EVENT)
        return fail_kind(load, value, "a list, as in [a, b]");
    int r = descend(load);
    if (r < 0)
        return r;
    for (;;) {
        r = next_event(load);
        if (r < 0)
            return r;
        if (load->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        if (load->event.type != YAML_SCALAR_EVENT || is_nothing(load))
            return fail_kind(load, value, "a list of single values");
        r = read_item(load, value);
        if (r < 0)
            return r;
    }
    load->depth--;
    return 0;
}

static int read_scalar(struct yaml_load *load, struct config_value *value)
{
    char expected[128];

    if (load->event.type == YAML_SCALAR_EVENT && !is_nothing(load))
        return read_item(load, value);
    snprintf(expected, sizeof(expected), "a single value (%s)", config_metavar(value->key));
    return fail_kind(load, value, expected);
}

static int read_section(struct yaml_load *load, struct config_value *value)
{
    if (load->event.type == YAML_MAPPING_START_EVENT)
        return read_mapping(load);
    return is_nothing(load) ? 0 : fail_kind(load, value, "a mapping of keys");
}

static int read_value(struct yaml_load *load, struct config_value *value)
{
    int r = next_event(load);

    if (r < 0)
        return r;
    if (!value->key)
        return read_section(load, value);
    return value->key->type == CONFIG_LIST ? read_list(load, value) : read_scalar(load, value);
}

/* The current event is the key of a member of the current mapping. */
static int read_member(struct yaml_load *load)
{
    struct config_value *value = NULL;
    struct meaning meaning;
    const char *word;
    int r;

    if (load->event.type != YAML_SCALAR_EVENT || holds_nul(load))
        return fail_here(load, err_set(load->err, -EINVAL, "a key must be plain text"));
    word = scalar(load);
    r = find_meaning(load, word, &meaning);
    if (r == 0)
        r = enter(load, word, &meaning);
    if (r == 0 && (meaning.picked || !meaning.key))
        r = add_section(load, meaning.picked ? word : NULL, &value);
    if (r == 0 && meaning.key)
        r = add_value(load, meaning.key, &value);
    return r < 0 ? r : read_value(load, value);
}

/* The recursion is bounded by descend(). */
static int read_mapping(struct yaml_load *load)
{
    size_t path_len = strlen(load->path), pattern_len = strlen(load->pattern);
    int r = descend(load);

    if (r < 0)
        return r;
    for (;;) {
        r = next_event(load);
        if (r == 0 && load->event.type == YAML_MAPPING_END_EVENT)
            break;
        if (r == 0)
            r = read_member(load);
        if (r < 0)
            return r;
        load->path[path_len] = '\0';
        load->pattern[pattern_len] = '\0';
    }
    load->depth--;
    return 0;
}

static int read_document(struct yaml_load *load)
{
    int r = next_event(load);

    if (r == 0 && load->event.type == YAML_MAPPING_START_EVENT)
        r = read_mapping(load);
    else if (r == 0 && !is_nothing(load))
        r = fail_here(
                load, err_set(load->err, -EINVAL, "the file must hold lines of \"key: value\""));
    return r < 0 ? r : next_event(load); /* the end of the document */
}

static int read_stream(struct yaml_load *load)
{
    int r = next_event(load); /* the start of the stream */

    if (r == 0)
        r = next_event(load);
    if (r < 0 || load->event.type == YAML_STREAM_END_EVENT)
        return r;
    r = read_document(load);
    if (r == 0)
        r = next_event(load);
    if (r == 0 && load->event.type != YAML_STREAM_END_EVENT)
        r = fail_here(load, err_set(load->err, -EINVAL, "a second document is not supported"));
    return r;
}

int config_load_text(
        struct config *config, const char *name, const char *text, size_t len, struct err *err)
{
    struct yaml_load load = {.keys = config->keys, .name = name, .text = text, .err = err};
    int r;

    if (len > CONFIG_FILE_MAX)
        return err_set(err, -E2BIG, "%s: more than %d bytes", name, CONFIG_FILE_MAX);
    if (!yaml_parser_initialize(&load.parser))
        return err_set(err, -ENOMEM, "%s: no memory to read it", name);
    yaml_parser_set_encoding(&load.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&load.parser, (const unsigned char *)text, len);
    r = read_stream(&load);
    if (r == 0)
        r = config_batch_commit(&load.batch, config, err);
    yaml_event_delete(&load.event);
    yaml_parser_delete(&load.parser);
    config_batch_fini(&load.batch);
    return r;
}

int config_load_file(struct config *config, const char *path, struct err *err)
{
    char *text = NULL;
    size_t len = 0;
    int r = file_read(path, CONFIG_FILE_MAX, &text, &len, err);

    if (r == -EFBIG)
        return -E2BIG;
    if (r < 0)
        return r;
    r = config_load_text(config, path, text, len, err);
    explicit_bzero(text, len);
    free(text);
    return r;
}

#include "common/arena.h"
#include "common/config/config_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const own_flags[] = {"help", "version", "config"};
enum { OWN_FLAG_COUNT = sizeof(own_flags) / sizeof(*own_flags) };

/* The words of a command line on their way into a batch. */
struct args_load {
    const struct config_key *keys;
    struct config_batch batch;
    struct config_args args;
    char **words;
    int count, next;
    struct err *err;
};

static int add_env(struct config_batch *batch, const struct config_key *key, struct err *err)
{
    const char *text = getenv(key->env);
    struct config_value blueprint = {
            .key = key, .path = (char *)key->path, .origin = (char *)"environment"};
    struct config_value *value;

    if (!text || !*text)
        return 0;
    int r = config_batch_add(batch, &blueprint, &value, err);
    if (r == 0)
        r = config_batch_set_line(batch, value, text, err);
    return r < 0 ? err_prefix(err, r, "environment variable %s", key->env) : 0;
}

int config_load_env(struct config *config, struct err *err)
{
    struct config_batch batch = {0};
    int r = 0;

    for (const struct config_key *key = config->keys; r == 0 && key->path; key++)
        if (key->env)
            r = add_env(&batch, key, err);
    if (r == 0)
        r = config_batch_commit(&batch, config, err);
    config_batch_fini(&batch);
    return r;
}

/* "http" is in "--http=ADDR" and in "--http". */
static bool word_is_flag(const char *word, const char *flag)
{
    size_t len = strlen(flag);

    return strncmp(word, "--", 2) == 0 && strncmp(word + 2, flag, len) == 0 &&
           (word[2 + len] == '\0' || word[2 + len] == '=');
}

static const struct config_key *find_flag(const struct config_key *keys, const char *word)
{
    for (const struct config_key *key = keys; key->path; key++)
        if (key->flag && word_is_flag(word, key->flag))
            return key;
    return NULL;
}

static const char *nearest_flag(
        const struct config_key *keys, struct arena *arena, const char *word)
{
    size_t n = 0;
    const char **names =
            arena_alloc(arena, (config_key_count(keys) + OWN_FLAG_COUNT + 1) * sizeof(*names));
    const char *flag = arena_memdup(arena, word + 2, strcspn(word + 2, "="));

    if (!names || !flag)
        return NULL;
    for (size_t i = 0; i < OWN_FLAG_COUNT; i++)
        names[n++] = own_flags[i];
    for (const struct config_key *key = keys; key->path; key++)
        if (key->flag)
            names[n++] = key->flag;
    names[n] = NULL;
    return text_nearest(flag, names);
}

/* What stands behind "=" is left out of the error: it may be a secret. */
static int fail_unknown(const struct args_load *load, const char *word)
{
    int len = (int)strcspn(word, "=");
    struct arena arena;
    int r;

    arena_init(&arena, CONFIG_NEAREST_MAX);
    const char *nearest = nearest_flag(load->keys, &arena, word);
    if (nearest)
        r = err_set(load->err, -EINVAL, "unknown option \"%.*s\"; did you mean \"--%s\"?", len,
                word, nearest);
    else
        r = err_set(load->err, -EINVAL, "unknown option \"%.*s\"; --help lists them", len, word);
    arena_fini(&arena);
    return r;
}

/* The text behind "=" or the next word. */
static int take_text(struct args_load *load, const char *word, const char **ret_text)
{
    const char *equals = strchr(word, '=');

    if (!equals && load->next == load->count)
        return err_set(load->err, -EINVAL, "%s needs a value", word);
    *ret_text = equals ? equals + 1 : load->words[load->next++];
    return 0;
}

static int refuse_text(const struct args_load *load, const char *word)
{
    const char *equals = strchr(word, '=');

    if (!equals)
        return 0;
    return err_set(load->err, -EINVAL, "%.*s takes no value", (int)(equals - word), word);
}

static int take_own_flag(struct args_load *load, const char *word)
{
    if (word_is_flag(word, "config")) {
        if (load->args.config_path)
            return err_set(load->err, -EINVAL, "--config is given twice");
        return take_text(load, word, &load->args.config_path);
    }
    bool *noted = word_is_flag(word, "help") ? &load->args.help : &load->args.version;
    *noted = true;
    return refuse_text(load, word);
}

static bool is_own_flag(const char *word)
{
    for (size_t i = 0; i < OWN_FLAG_COUNT; i++)
        if (word_is_flag(word, own_flags[i]))
            return true;
    return false;
}

/* The value that the flag goes to: a list takes its flag again and again. */
static int find_value(
        struct args_load *load, const struct config_key *key, struct config_value **ret_value)
{
    struct config_value blueprint = {
            .key = key, .path = (char *)key->path, .origin = (char *)"command line"};

    for (size_t i = 0; i < load->batch.values.count; i++) {
        if (load->batch.values.at[i]->key != key)
            continue;
        if (key->type != CONFIG_LIST)
            return err_set(load->err, -EINVAL, "--%s is given twice", key->flag);
        *ret_value = load->batch.values.at[i];
        return 0;
    }
    return config_batch_add(&load->batch, &blueprint, ret_value, load->err);
}

static int take_flag(struct args_load *load, const struct config_key *key, const char *word)
{
    bool bare = key->type == CONFIG_BOOL;
    const char *text = "true";
    struct config_value *value;
    int r = bare ? refuse_text(load, word) : take_text(load, word, &text);

    if (r == 0)
        r = find_value(load, key, &value);
    if (r < 0)
        return r;
    r = config_batch_set(&load->batch, value, text, load->err);
    return r < 0 ? err_prefix(load->err, r, "--%s", key->flag) : 0;
}

static int take_word(struct args_load *load, const char *word)
{
    const struct config_key *key = find_flag(load->keys, word);

    if (key)
        return take_flag(load, key, word);
    if (is_own_flag(word))
        return take_own_flag(load, word);
    if (strncmp(word, "--", 2) == 0 && word[2])
        return fail_unknown(load, word);
    return err_set(load->err, -EINVAL, "unexpected word \"%s\"; options begin with --", word);
}

static int load_all(
        struct config *config, int argc, char **argv, struct config_args *ret_args, struct err *err)
{
    int r = config_load_args(config, argc, argv, ret_args, err);

    if (r < 0 || ret_args->help || ret_args->version)
        return r;
    if (ret_args->config_path)
        r = config_load_file(config, ret_args->config_path, err);
    if (r == 0)
        r = config_load_env(config, err);
    return r == 0 ? config_load_args(config, argc, argv, ret_args, err) : r;
}

int config_load_all(const struct config_key *keys, int argc, char **argv,
        struct config_args *ret_args, struct config **ret_config, struct err *err)
{
    struct config *config = config_create(keys);
    int r = config ? load_all(config, argc, argv, ret_args, err)
                   : err_set(err, -ENOMEM, "no memory for the settings");

    if (r < 0)
        config_destroy(config);
    else
        *ret_config = config;
    return r;
}

int config_load_args(
        struct config *config, int argc, char **argv, struct config_args *ret_args, struct err *err)
{
    struct args_load load = {
            .keys = config->keys, .words = argv, .count = argc, .next = 1, .err = err};
    int r = 0;

    while (r == 0 && load.next < load.count) {
        const char *word = load.words[load.next++];
        r = take_word(&load, word);
    }
    if (r == 0)
        r = config_batch_commit(&load.batch, config, err);
    if (r == 0)
        *ret_args = load.args;
    config_batch_fini(&load.batch);
    return r;
}

/* Goes through the words as config_load_args() does, as a value may look like a flag. */
static void hide_words(const struct config_key *keys, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const struct config_key *key = find_flag(keys, argv[i]);
        char *value = strchr(argv[i], '=');
        bool takes_next = key ? key->type != CONFIG_BOOL : word_is_flag(argv[i], "config");

        if (value)
            value++;
        else if (takes_next && i + 1 < argc)
            value = argv[++i];
        if (key && key->secret && value)
            explicit_bzero(value, strlen(value));
    }
}

static void hide_variable(const char *name)
{
    char *value = getenv(name);

    if (value)
        explicit_bzero(value, strlen(value));
    unsetenv(name);
}

void config_hide_secrets(const struct config_key *keys, int argc, char **argv)
{
    hide_words(keys, argc, argv);
    for (const struct config_key *key = keys; key->path; key++)
        if (key->secret && key->env)
            hide_variable(key->env);
}

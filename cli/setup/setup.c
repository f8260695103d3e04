#include "cli/setup/setup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char harmless_key[] = "no-key-needed";
static const char missing_key[] = "YOUR-API-KEY";
static const char *const environment_files[] = {".config/modemesh/env.sh", NULL};

void setup_init(struct setup *setup, const struct mesh *mesh, const struct setup_place *place,
        const char *editor, const char *title)
{
    *setup = (struct setup){.mesh = mesh, .place = place, .editor = editor, .title = title};
    buf_init(&setup->steps, SETUP_TEXT_MAX);
    buf_init(&setup->notes, SETUP_TEXT_MAX);
    buf_init(&setup->environment, SETUP_TEXT_MAX);
    arena_init(&setup->words, SETUP_WORDS_MAX);
}

static void wipe(cJSON *value)
{
    cJSON *child;

    if (cJSON_IsString(value))
        explicit_bzero(value->valuestring, strlen(value->valuestring));
    cJSON_ArrayForEach(child, value)
    {
        wipe(child);
    }
}

static void wipe_buf(struct buf *buf)
{
    if (buf->data)
        explicit_bzero(buf->data, buf->cap);
    buf_fini(buf);
}

void setup_fini(struct setup *setup)
{
    for (size_t i = 0; i < setup->file_count; i++) {
        wipe(setup->files[i].patch);
        cJSON_Delete(setup->files[i].patch);
    }
    wipe_buf(&setup->steps);
    wipe_buf(&setup->notes);
    wipe_buf(&setup->environment);
    arena_fini(&setup->words);
}

/* --- the mesh as editors name it --- */

const char *setup_words(struct setup *setup, const char *fmt, ...)
{
    va_list args, again;
    char *text;
    int len;

    va_start(args, fmt);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, fmt, args);
    text = arena_alloc(&setup->words, (size_t)len + 1);
    if (text)
        vsnprintf(text, (size_t)len + 1, fmt, again);
    else
        setup->failed = true;
    va_end(again);
    va_end(args);
    return text ? text : "";
}

const char *setup_url(struct setup *setup, const char *path)
{
    return setup_words(setup, "%s%s", setup->mesh->url, path);
}

const char *setup_key(const struct setup *setup)
{
    if (*setup->mesh->key)
        return setup->mesh->key;
    return setup->mesh->keyless ? harmless_key : missing_key;
}

bool setup_has_key(const struct setup *setup)
{
    return *setup->mesh->key;
}

const char *setup_use_mode(struct setup *setup, const char *what, const struct mesh_mode *mode)
{
    if (!mode)
        return NULL;
    if (setup->use_count == SETUP_USES_MAX)
        setup->failed = true;
    else
        setup->uses[setup->use_count++] = (struct setup_use){.what = what, .mode = mode};
    return mode->id;
}

const char *setup_use(struct setup *setup, const char *what, const char *role)
{
    return setup_use_mode(setup, what, mesh_mode_for(setup->mesh, role));
}

uint64_t setup_context(const struct setup *setup)
{
    uint64_t least = 0;

    for (size_t i = 0; i < setup->use_count; i++) {
        const struct mesh_mode *mode = setup->uses[i].mode;

        if (mesh_mode_chats(mode) && mode->context && (!least || mode->context < least))
            least = mode->context;
    }
    return least;
}

uint64_t setup_answer_tokens(uint64_t context)
{
    enum { SHARE = 4, MOST = 32000 };

    return context / SHARE < MOST ? context / SHARE : MOST;
}

/* --- files --- */

static bool join(struct setup *setup, char path[PATH_MAX], const char *dir, const char *name)
{
    int len = snprintf(path, PATH_MAX, "%s/%s", dir, name);

    if (len >= PATH_MAX)
        setup->failed = true;
    return len < PATH_MAX;
}

/* A path below the home; what belongs to ~/.config follows XDG_CONFIG_HOME. */
static bool join_home(struct setup *setup, char path[PATH_MAX], const char *name)
{
    static const char config[] = ".config/";
    const char *dir = setup->place->foreign ? NULL : getenv("XDG_CONFIG_HOME");

    if (dir && *dir == '/' && strncmp(name, config, strlen(config)) == 0)
        return join(setup, path, dir, name + strlen(config));
    return join(setup, path, setup->place->home, name);
}

static void choose_candidate(
        struct setup *setup, const char *const *candidates, char path[PATH_MAX])
{
    for (size_t i = 0; candidates[i]; i++)
        if (join_home(setup, path, candidates[i]) && access(path, F_OK) == 0)
            return;
    join_home(setup, path, candidates[0]);
}

static void choose_path(struct setup *setup, const struct setup_where *where, char path[PATH_MAX])
{
    const char *given = where->variable ? getenv(where->variable) : NULL;

    if (setup->place->file && setup->file_count == 0)
        snprintf(path, PATH_MAX, "%s", setup->place->file);
    else if (!given || !*given || setup->place->foreign)
        choose_candidate(setup, where->candidates, path);
    else if (where->name)
        join(setup, path, given, where->name);
    else
        snprintf(path, PATH_MAX, "%s", given);
}

bool setup_finds(struct setup *setup, const struct setup_where *where, const char *suffix)
{
    char path[PATH_MAX] = "";
    size_t len, suffix_len = strlen(suffix);

    choose_path(setup, where, path);
    len = strlen(path);
    return len >= suffix_len && strcmp(path + len - suffix_len, suffix) == 0;
}

static struct setup_file *add_file(struct setup *setup, enum merge_format format, cJSON *patch)
{
    struct setup_file *file = &setup->files[setup->file_count];

    if (!patch || setup->file_count == SETUP_FILES_MAX) {
        cJSON_Delete(patch);
        setup->failed = true;
        return NULL;
    }
    *file = (struct setup_file){.format = format, .patch = patch};
    return file;
}

static cJSON *add_file_at(struct setup *setup, enum merge_format format,
        const struct setup_where *where, cJSON *patch)
{
    struct setup_file *file = add_file(setup, format, patch);

    if (!file)
        return NULL;
    choose_path(setup, where, file->path);
    setup->file_count++;
    return file->patch;
}

cJSON *setup_file(struct setup *setup, enum merge_format format, const struct setup_where *where)
{
    return add_file_at(setup, format, where, cJSON_CreateObject());
}

cJSON *setup_list_file(
        struct setup *setup, enum merge_format format, const struct setup_where *where)
{
    return add_file_at(setup, format, where, cJSON_CreateArray());
}

cJSON *setup_file_beside(struct setup *setup, enum merge_format format, const char *name)
{
    struct setup_file *file = add_file(setup, format, cJSON_CreateObject());
    const char *slash;

    if (!file)
        return NULL;
    slash = strrchr(setup->files[0].path, '/');
    snprintf(file->path, sizeof(file->path), "%.*s%s",
            slash ? (int)(slash - setup->files[0].path) + 1 : 0, setup->files[0].path, name);
    setup->file_count++;
    return file->patch;
}

static cJSON *put(struct setup *setup, cJSON *parent, const char *key, cJSON *value)
{
    bool kept =
            parent && value &&
            (key ? cJSON_AddItemToObject(parent, key, value) : cJSON_AddItemToArray(parent, value));

    if (kept)
        return value;
    cJSON_Delete(value);
    setup->failed = true;
    return NULL;
}

cJSON *put_object(struct setup *setup, cJSON *parent, const char *key)
{
    return put(setup, parent, key, cJSON_CreateObject());
}

cJSON *put_array(struct setup *setup, cJSON *parent, const char *key)
{
    return put(setup, parent, key, cJSON_CreateArray());
}

void put_str(struct setup *setup, cJSON *parent, const char *key, const char *value)
{
    put(setup, parent, key, cJSON_CreateString(value));
}

void put_number(struct setup *setup, cJSON *parent, const char *key, uint64_t value)
{
    put(setup, parent, key, cJSON_CreateNumber((double)value));
}

void put_bool(struct setup *setup, cJSON *parent, const char *key, bool value)
{
    put(setup, parent, key, cJSON_CreateBool(value));
}

void put_key(struct setup *setup, cJSON *parent, const char *key)
{
    put_str(setup, parent, key, setup_key(setup));
    if (setup_has_key(setup) && setup->file_count > 0)
        setup->files[setup->file_count - 1].secret = true;
}

/* --- for people --- */

static void append_text(struct setup *setup, struct buf *buf, const char *fmt, va_list args)
        __attribute__((format(printf, 3, 0)));

static void append_text(struct setup *setup, struct buf *buf, const char *fmt, va_list args)
{
    char *text = NULL;

    if (vasprintf(&text, fmt, args) < 0 || buf_appendf(buf, "%s\n", text) < 0)
        setup->failed = true;
    free(text);
}

void setup_step(struct setup *setup, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    append_text(setup, &setup->steps, fmt, args);
    va_end(args);
}

void setup_note(struct setup *setup, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    append_text(setup, &setup->notes, fmt, args);
    va_end(args);
}

void setup_variable(struct setup *setup, const char *name, const char *value)
{
    if (buf_appendf(&setup->environment, "export %s='%s'\n", name, value) < 0)
        setup->failed = true;
}

void setup_certificate(struct setup *setup, const char *variable)
{
    if (*setup->mesh->ca)
        setup_variable(setup, variable, setup->mesh->ca);
}

/* A file of ours, that a shell reads: other people's start-up files are theirs. */
static void add_environment_file(struct setup *setup)
{
    static const struct setup_where where = {.candidates = environment_files};
    bool secret = *setup->mesh->key && strstr(buf_at(&setup->environment), setup->mesh->key);
    const struct setup_place *place = setup->place;
    struct setup_place whole = *place;
    cJSON *patch;

    whole.file = NULL; /* --file names a file of the editor */
    setup->place = &whole;
    patch = setup_file(setup, MERGE_SHELL, &where);
    setup->place = place;
    put_str(setup, patch, setup->editor, buf_at(&setup->environment));
    if (!patch)
        return;
    setup->files[setup->file_count - 1].secret = secret;
    setup_note(setup,
            "The variables must be in the environment that %s starts with: in a shell's start-up "
            "file, the line\n  . %s",
            setup->title, setup->files[setup->file_count - 1].path);
}

int setup_result(struct setup *setup, struct err *err)
{
    if (setup->environment.len > 0 && buf_terminate(&setup->environment) == 0)
        add_environment_file(setup);
    if (buf_terminate(&setup->steps) < 0 || buf_terminate(&setup->notes) < 0)
        setup->failed = true;
    return setup->failed ? err_set(err, -ENOMEM, "out of memory, or of room for the settings") : 0;
}

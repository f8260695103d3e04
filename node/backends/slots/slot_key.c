#include "node/backends/slots/slot_key.h"

#include <limits.h>
#include <sodium.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

static const char option_prefix[] = "LLAMA_ARG_";

static void hash_number(crypto_generichash_state *hash, uint64_t number)
{
    (void)crypto_generichash_update(hash, (const unsigned char *)&number, sizeof(number));
}

static void hash_text(crypto_generichash_state *hash, const char *text)
{
    (void)crypto_generichash_update(hash, (const unsigned char *)text, strlen(text) + 1);
}

/* --- files --- */

/* What may be no path at all. */
static void hash_file(crypto_generichash_state *hash, const char *text, size_t len)
{
    char path[PATH_MAX];
    struct stat st;

    if (len >= sizeof(path))
        return;
    memcpy(path, text, len);
    path[len] = '\0';
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    hash_text(hash, path);
    hash_number(hash, st.st_ino);
    hash_number(hash, (uint64_t)st.st_size);
    hash_number(hash, (uint64_t)st.st_mtim.tv_sec);
    hash_number(hash, (uint64_t)st.st_mtim.tv_nsec);
}

/* With what an option may have behind it: FILE:SCALE. */
static void hash_part(crypto_generichash_state *hash, const char *part, size_t len)
{
    const char *colon = memrchr(part, ':', len);

    hash_file(hash, part, len);
    if (colon)
        hash_file(hash, part, (size_t)(colon - part));
}

static void hash_list(crypto_generichash_state *hash, const char *list)
{
    size_t len = strlen(list);

    hash_part(hash, list, len); /* a path may hold a comma */
    if (!strchr(list, ','))
        return;
    for (; *list; list += len + (list[len] == ',')) {
        len = strcspn(list, ",");
        hash_part(hash, list, len);
    }
}

static void hash_files(crypto_generichash_state *hash, const char *word)
{
    const char *value = strchr(word, '=');

    hash_list(hash, word);
    if (value)
        hash_list(hash, value + 1);
}

/* --- variables --- */

/* The one that comes after `last` (NULL: the first) in the order of their texts; NULL: none does.
 */
static const char *next_option(const char *const *environment, const char *last)
{
    const char *next = NULL;

    for (; *environment; environment++)
        if (strncmp(*environment, option_prefix, sizeof(option_prefix) - 1) == 0 &&
                (!last || strcmp(*environment, last) > 0) &&
                (!next || strcmp(*environment, next) < 0))
            next = *environment;
    return next;
}

static void hash_options(crypto_generichash_state *hash, const char *const *environment)
{
    for (const char *option = NULL; (option = next_option(environment, option));) {
        hash_text(hash, option);
        hash_files(hash, option);
    }
}

void slot_key_make(const char *start, const char *const *words, const char *const *environment,
        char ret_key[SLOT_KEY_MAX])
{
    unsigned char bytes[SLOT_KEY_BYTES];
    crypto_generichash_state hash;

    (void)crypto_generichash_init(&hash, NULL, 0, sizeof(bytes));
    hash_text(&hash, start);
    hash_options(&hash, environment);
    for (; *words; words++)
        hash_files(&hash, *words);
    (void)crypto_generichash_final(&hash, bytes, sizeof(bytes));
    (void)sodium_bin2hex(ret_key, SLOT_KEY_MAX, bytes, sizeof(bytes));
}

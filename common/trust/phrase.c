#include "common/trust/phrase.h"

#include <assert.h>
#include <ctype.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* A group says 16 bits, high ones first, as proquints do (arXiv:0901.4016): a consonant 4 of them,
 * a vowel 2. */
enum { GROUP_LEN = 5, GROUP_BYTES = 2, CONSONANTS = 16, VOWELS = 4 };

/* About 6 ms and 8 MiB a phrase. */
enum { BITS_BYTES = crypto_pwhash_BYTES_MIN, PASSES = 1, MEMORY_BYTES = 8 * 1024 * 1024 };

static const char consonants[] = "bdfghjklmnprstvz";
static const char vowels[] = "aiou";
static const char context[] = "modemesh phrase"; /* with its NUL: what the salt is the hash of */
static const char separators[] = "- ._\t\r\n";

static_assert(PHRASE_LEN == PHRASE_GROUPS * (GROUP_LEN + 1) - 1, "hyphens between the groups");
static_assert(PHRASE_GROUPS * GROUP_BYTES <= BITS_BYTES, "the hash is enough");

static bool is_vowel_at(size_t index)
{
    return index % 2 == 1;
}

static const char *letters_at(size_t index)
{
    return is_vowel_at(index) ? vowels : consonants;
}

static void write_group(unsigned bits, char ret_group[GROUP_LEN])
{
    for (size_t i = GROUP_LEN; i > 0; i--) {
        unsigned count = is_vowel_at(i - 1) ? VOWELS : CONSONANTS;
        ret_group[i - 1] = letters_at(i - 1)[bits % count];
        bits /= count;
    }
}

static void put_key(const char *key_z85, uint8_t ret_raw[KEY_BYTES])
{
    bool valid = key_to_raw(key_z85, ret_raw);
    assert(valid);
    (void)valid;
}

static void derive(const char *coordinator_key, const char *node_key, uint8_t ret_bits[BITS_BYTES])
{
    uint8_t keys[2 * KEY_BYTES] = {0}, salt[crypto_pwhash_SALTBYTES];
    put_key(coordinator_key, keys);
    put_key(node_key, keys + KEY_BYTES);
    crypto_generichash(salt, sizeof(salt), (const uint8_t *)context, sizeof(context), NULL, 0);
    /* It fails where there is no memory, and then no phrase would be safer than a weak one. */
    if (crypto_pwhash(ret_bits, BITS_BYTES, (const char *)keys, sizeof(keys), salt, PASSES,
                MEMORY_BYTES, crypto_pwhash_ALG_ARGON2ID13))
        abort();
}

void phrase_make(const char *coordinator_key, const char *node_key, char ret_phrase[PHRASE_LEN + 1])
{
    uint8_t bits[BITS_BYTES];
    derive(coordinator_key, node_key, bits);
    for (size_t i = 0; i < PHRASE_GROUPS; i++) {
        char *group = ret_phrase + i * (GROUP_LEN + 1);
        write_group((unsigned)bits[2 * i] << 8 | bits[2 * i + 1], group);
        group[GROUP_LEN] = i + 1 < PHRASE_GROUPS ? '-' : '\0';
    }
}

static bool read_group(const char *text, char ret_group[GROUP_LEN])
{
    for (size_t i = 0; i < GROUP_LEN; i++) {
        int letter = tolower((unsigned char)text[i]);
        if (!letter || !strchr(letters_at(i), letter))
            return false;
        ret_group[i] = (char)letter;
    }
    return true;
}

/* Writes the phrase as phrase_make() would. False where `text` is none. */
static bool read_phrase(const char *text, char ret_phrase[PHRASE_LEN + 1])
{
    for (size_t i = 0; i < PHRASE_GROUPS; i++) {
        char *group = ret_phrase + i * (GROUP_LEN + 1);
        size_t gap = strspn(text, separators);
        if ((i > 0 && gap == 0) || !read_group(text + gap, group))
            return false;
        text += gap + GROUP_LEN;
        group[GROUP_LEN] = i + 1 < PHRASE_GROUPS ? '-' : '\0';
    }
    return text[strspn(text, separators)] == '\0';
}

bool phrase_valid(const char *text)
{
    char phrase[PHRASE_LEN + 1];
    return read_phrase(text, phrase);
}

bool phrase_equal(const char *phrase, const char *typed)
{
    char a[PHRASE_LEN + 1], b[PHRASE_LEN + 1];
    return read_phrase(phrase, a) && read_phrase(typed, b) && strcmp(a, b) == 0;
}

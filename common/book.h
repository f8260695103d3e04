/* A list of plain structs that outlives a daemon in one JSON file of its state directory:
 *
 *   {"version":1,"next_serial":7,"members":[
 *   {"key":"…","name":"strix","roles":["node","edge"],…},
 *   …
 *   ]}
 *
 * A table says which fields an entry has. Reading is strict: an unknown version, an unknown,
 * missing or repeated field, a value out of its range, too many entries: each is refused with its
 * place, as whoever guesses at such a list guesses wrong. What could not be read back is not
 * written. Changes are made to a copy that takes the list's place once it is written, so that a
 * write that fails changes nothing. Blocking on one small file. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum book_type {
    BOOK_TEXT,   /* char[size] */
    BOOK_NUMBER, /* uint64_t, or int64_t that is not negative */
    BOOK_FLAG,   /* bool */
    BOOK_WORDS,  /* unsigned; bit i is words[i]; at least one is set */
};

struct book_field {
    const char *name;
    enum book_type type;
    size_t offset;
    bool optional;                   /* left out where it is "", 0, false or no word */
    size_t size;                     /* BOOK_TEXT: with its NUL */
    bool (*valid)(const char *text); /* BOOK_TEXT */
    uint64_t min, max;               /* BOOK_NUMBER; max 0: JSON_WHOLE_MAX */
    const char *const *words;        /* BOOK_WORDS: ends with NULL */
    const char *form;                /* "40 characters of Z85": what it has to be, for people */
};

struct book_format {
    const char *list;    /* "members" */
    const char *entry;   /* "member" */
    const char *counter; /* name of the number beside the list; NULL: none */
    const struct book_field *fields;
    size_t field_count;
    size_t entry_size;
    size_t max_entries;
    size_t max_bytes; /* of the file */
    int (*order)(const void *a, const void *b);
};

struct book_list {
    uint64_t counter;
    size_t count;
    void *entries; /* malloc */
};

/* In the order of the file; a missing file is an empty list. -EINVAL or -EMSGSIZE names the place
 * (line and column, or the entry), -EPERM where others can write the file, or what
 * file_read_guarded() returns. */
MUST_CHECK int book_read(const struct book_format *format, const char *path,
        struct book_list *ret_list, struct err *err);
void book_list_fini(struct book_list *list);
void book_sort(const struct book_format *format, struct book_list *list);

/* A copy with room for one entry more, for a change. -ENOMEM. */
MUST_CHECK int book_copy(const struct book_format *format, const struct book_list *list,
        struct book_list *ret_copy, struct err *err);
/* Takes `next`: sorts and writes it, and puts it in the place of `list`. -EINVAL names an entry
 * that could not be read back, -ENOMEM, or what file_write_private() returns; then `list` and the
 * file are as they were. */
MUST_CHECK int book_commit(const struct book_format *format, const char *path,
        struct book_list *list, struct book_list *next, struct err *err);

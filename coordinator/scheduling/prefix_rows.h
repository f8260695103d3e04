/* Rows of bits, two for each holder, for blocks that more hold than fit in a table's entry. They
 * come out of pages of rows of one width, in memory that the caller gave: a page whose rows are all
 * back serves any width again. One thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    PREFIX_ROWS_WIDTHS = 7, /* 1, 2, 4 … 64 words for each of the two bits */
    PREFIX_ROWS_PAGE_BYTES = 4096,
    PREFIX_ROWS_NONE = 0,
};

struct prefix_rows {
    struct prefix_rows_page *pages; /* the caller's memory */
    uint32_t page_count, pages_used;
    uint32_t empty;                    /* pages that serve no width now; 0: none … */
    uint32_t open[PREFIX_ROWS_WIDTHS]; /* … that have a row left; else the page's number + 1 */
};

/* `memory` is zeroed, aligned as malloc's, and stays where it is; it need not be touched before. */
void prefix_rows_init(struct prefix_rows *rows, void *memory, size_t bytes);
/* Memory that was ever in use. */
size_t prefix_rows_bytes(const struct prefix_rows *rows);

/* The least width whose rows have a place for this number; PREFIX_ROWS_WIDTHS where none has. */
unsigned prefix_rows_width(uint32_t number);
static inline uint32_t prefix_rows_words(unsigned width)
{
    return 1u << width;
}

/* A row of zeroes, or PREFIX_ROWS_NONE where no memory is left for that width. */
uint32_t prefix_rows_take(struct prefix_rows *rows, unsigned width);
void prefix_rows_give(struct prefix_rows *rows, uint32_t row);
/* Its words: prefix_rows_words() of the first bits, and as many of the second. */
static inline uint64_t *prefix_rows_at(const struct prefix_rows *rows, uint32_t row)
{
    return (uint64_t *)(void *)((char *)rows->pages + (size_t)row * 2 * sizeof(uint64_t));
}

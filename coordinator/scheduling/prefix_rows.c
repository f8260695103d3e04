#include "coordinator/scheduling/prefix_rows.h"

#include <stdbool.h>
#include <string.h>

enum {
    UNIT_BYTES = 2 * sizeof(uint64_t), /* of the narrowest row; rows are numbered in these */
    UNITS = PREFIX_ROWS_PAGE_BYTES / UNIT_BYTES,
};

struct prefix_rows_page { /* its first unit is this; none of it is a row, so no row is 0 */
    uint32_t next, prev;  /* in its list, as the list's head has them */
    uint16_t used;        /* rows */
    uint16_t fresh;       /* the first unit that was never a row */
    uint16_t free;        /* unit of a row that is back, which names the next one; 0: none */
    uint16_t width;
    char rows[PREFIX_ROWS_PAGE_BYTES - UNIT_BYTES];
};
_Static_assert(sizeof(struct prefix_rows_page) == PREFIX_ROWS_PAGE_BYTES, "a page is a page");
_Static_assert(offsetof(struct prefix_rows_page, rows) == UNIT_BYTES, "its head is one unit");

void prefix_rows_init(struct prefix_rows *rows, void *memory, size_t bytes)
{
    size_t count = bytes / PREFIX_ROWS_PAGE_BYTES;
    *rows = (struct prefix_rows){.pages = memory,
            .page_count = (uint32_t)(count < UINT32_MAX / UNITS ? count : UINT32_MAX / UNITS)};
}

size_t prefix_rows_bytes(const struct prefix_rows *rows)
{
    return (size_t)rows->pages_used * PREFIX_ROWS_PAGE_BYTES;
}

unsigned prefix_rows_width(uint32_t number)
{
    unsigned width = 0;
    while (width < PREFIX_ROWS_WIDTHS && number / 64 >= prefix_rows_words(width))
        width++;
    return width;
}

/* --- lists of pages */

static struct prefix_rows_page *page_at(const struct prefix_rows *rows, uint32_t link)
{
    return &rows->pages[link - 1];
}

static void push(struct prefix_rows *rows, uint32_t *head, uint32_t link)
{
    struct prefix_rows_page *page = page_at(rows, link);
    page->prev = 0;
    page->next = *head;
    if (*head)
        page_at(rows, *head)->prev = link;
    *head = link;
}

static void unlink_page(struct prefix_rows *rows, uint32_t *head, uint32_t link)
{
    const struct prefix_rows_page *page = page_at(rows, link);
    if (page->prev)
        page_at(rows, page->prev)->next = page->next;
    else
        *head = page->next;
    if (page->next)
        page_at(rows, page->next)->prev = page->prev;
}

/* --- rows of a page */

static bool is_full(const struct prefix_rows_page *page)
{
    return !page->free && page->fresh + prefix_rows_words(page->width) > UNITS;
}

/* 0 where there is none. */
static uint32_t open_page(struct prefix_rows *rows, unsigned width)
{
    uint32_t link = rows->empty;
    if (link)
        unlink_page(rows, &rows->empty, link);
    else if (rows->pages_used < rows->page_count)
        link = ++rows->pages_used;
    else
        return 0;
    struct prefix_rows_page *page = page_at(rows, link);
    page->used = 0;
    page->fresh = 1;
    page->free = 0;
    page->width = (uint16_t)width;
    push(rows, &rows->open[width], link);
    return link;
}

static uint16_t take_unit(struct prefix_rows *rows, struct prefix_rows_page *page)
{
    uint16_t unit = page->free;
    if (unit) {
        uint32_t row = (uint32_t)(page - rows->pages) * UNITS + unit;
        memcpy(&page->free, prefix_rows_at(rows, row), sizeof(page->free));
    } else {
        unit = page->fresh;
        page->fresh = (uint16_t)(page->fresh + prefix_rows_words(page->width));
    }
    page->used++;
    return unit;
}

uint32_t prefix_rows_take(struct prefix_rows *rows, unsigned width)
{
    uint32_t link = rows->open[width] ? rows->open[width] : open_page(rows, width);
    if (!link)
        return PREFIX_ROWS_NONE;
    struct prefix_rows_page *page = page_at(rows, link);
    uint32_t row = (link - 1) * UNITS + take_unit(rows, page);
    if (is_full(page))
        unlink_page(rows, &rows->open[width], link);
    memset(prefix_rows_at(rows, row), 0, (size_t)prefix_rows_words(width) * UNIT_BYTES);
    return row;
}

void prefix_rows_give(struct prefix_rows *rows, uint32_t row)
{
    uint32_t link = row / UNITS + 1;
    struct prefix_rows_page *page = page_at(rows, link);
    uint32_t *open = &rows->open[page->width];
    if (is_full(page))
        push(rows, open, link);
    memcpy(prefix_rows_at(rows, row), &page->free, sizeof(page->free));
    page->free = (uint16_t)(row % UNITS);
    if (--page->used)
        return;
    unlink_page(rows, open, link);
    push(rows, &rows->empty, link);
}

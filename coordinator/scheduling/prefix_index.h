/* Which instance holds the beginning of which prompt in its KV cache: the coordinator's guess, from
 * what it has sent there, corrected by what engines say they reused. A prompt is a chain of hashes,
 * one for each block of it, each made of the one before (prefix_chain.h), so that equal hashes mean
 * equal beginnings.
 *
 * One open-addressing table for all: a block's entry names the few instances that hold it, or a row
 * of bits where many do (prefix_table.h). Each holder keeps what it has in a ring that grows to the
 * size of its engine's real cache, and forgets by CLOCK (prefix_ring.h). A holder that dies is a
 * number that nobody asks for any more: O(1); its entries are cleared bit by bit
 * (prefix_index_work()), then the number is free.
 *
 * All memory together is bounded, and each part has its share of the bound: nine sixteenths the
 * table, four the rings, two the rows, one the holders themselves. The addresses of table, rings
 * and rows are taken at creation (mmap) and memory as they are touched: a table that grew would
 * have to move all it holds at once, or keep two of itself and look into both. Where a share is
 * used up, what dropped holders left goes first; then a holder that has at least as much as the
 * others have on average forgets what is its own, and one that has less takes from one that has
 * more. One thread. */
#pragma once

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PREFIX_HOLDERS_MAX = 4096, /* of one group, the dying ones too */
    PREFIX_BYTES_MIN = 64 * 1024,
};
#define PREFIX_BYTES_MAX ((size_t)16 << 30)
#define PREFIX_NO_HOLDER UINT32_MAX

struct prefix_index;
struct prefix_group; /* the holders of one model: only their blocks are comparable */

/* `max_bytes` is taken as PREFIX_BYTES_MIN … PREFIX_BYTES_MAX. NULL where memory is refused. */
struct prefix_index *prefix_index_create(size_t max_bytes);
/* With all groups. Takes NULL. */
void prefix_index_destroy(struct prefix_index *index);
/* The whole table, and of the rest what was ever in use. */
size_t prefix_index_bytes(const struct prefix_index *index);
/* Blocks that are held, each once for each holder. */
size_t prefix_index_held(const struct prefix_index *index);

/* `seed` says where in the table blocks are: who may send prompts must not know it. -ENOMEM;
 * -ENOSPC: the share of the holders is used up. */
MUST_CHECK int prefix_group_create(
        struct prefix_index *index, uint64_t seed, struct prefix_group **ret_group);
/* With all its holders, as prefix_holder_drop(). Takes NULL. */
void prefix_group_destroy(struct prefix_group *group);

/* `capacity`: blocks that its engine's cache has room for. Numbers are small and used again.
 * -ENOMEM, -ENOSPC past PREFIX_HOLDERS_MAX, or where the share of the holders is used up. */
MUST_CHECK int prefix_holder_add(
        struct prefix_group *group, uint32_t capacity, uint32_t *ret_holder);
/* Its engine's cache turned out to have room for another number of blocks: what is too much goes as
 * CLOCK has it. O(blocks that go). Takes PREFIX_NO_HOLDER. */
void prefix_holder_resize(struct prefix_group *group, uint32_t holder, uint32_t capacity);
/* Blocks that it holds. Takes PREFIX_NO_HOLDER. */
uint32_t prefix_holder_held(const struct prefix_group *group, uint32_t holder);
/* It holds nothing any more. O(1). Takes PREFIX_NO_HOLDER. */
void prefix_holder_drop(struct prefix_group *group, uint32_t holder);
/* The numbers of holders are below this: the size of what prefix_find() fills. */
uint32_t prefix_group_holders(const struct prefix_group *group);

/* It has computed all `count` blocks, and holds as many of them from the beginning as its capacity
 * and the memory allow: for these it forgets others, never one of them for another. Of what was not
 * noted before, the beginning is forgotten last. Takes PREFIX_NO_HOLDER. */
void prefix_note(struct prefix_group *group, uint32_t holder, const uint64_t *chain, size_t count);
/* It turned out to hold only the first `kept` of these. Takes PREFIX_NO_HOLDER. */
void prefix_correct(struct prefix_group *group, uint32_t holder, const uint64_t *chain,
        size_t count, size_t kept);
/* Fills ret_blocks[0 … prefix_group_holders()): how many blocks from the beginning each holds.
 * Changes nothing. */
void prefix_find(const struct prefix_group *group, const uint64_t *chain, size_t count,
        uint32_t *ret_blocks);

/* Clears what dropped holders have left, at most `steps` entries of it; true while some is left. */
bool prefix_index_work(struct prefix_index *index, size_t steps);

#include "coordinator/scheduling/prefix_index.h"

#include "common/list.h"
#include "common/number.h"
#include "coordinator/scheduling/prefix_ring.h"
#include "coordinator/scheduling/prefix_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    SHARES = 16, /* of the bound: */
    SHARES_TABLE = 9,
    SHARES_RINGS = 4,
    SHARES_ROWS = 2, /* … and one for what is taken piece by piece */
    SHARE_ALIGN = 4096,

    WORDS_MAX = PREFIX_HOLDERS_MAX / 64,
    NUMBERS_STEP = 64, /* a group has room for so many holders more at a time */
    BATCH = 16, /* blocks that are looked up side by side, so that memory is waited for once */
    RELIEFS_MAX = 16,  /* attempts to make room for one prompt */
    RICHER_LOOKS = 16, /* holders that are looked at to find one with more than its part */
    LAPS_MAX = 3,      /* the rest of one, one over blocks that were all used, one that finds one */
    WORK_STEPS = 256,  /* of what the dead have left, where memory is short */
};
_Static_assert((int)PREFIX_HOLDERS_MAX <= (int)PREFIX_NUMBERS_MAX, "numbers fit in an entry");

struct prefix_holder {
    struct list link; /* in `living` or `dying` */
    struct prefix_group *group;
    struct prefix_ring ring;
    uint32_t number, capacity;
    uint32_t held;
};

struct prefix_group {
    struct list link;
    struct prefix_index *index;
    uint64_t salt;
    struct prefix_holder **holders; /* by number, the dying ones too; NULL: free */
    uint64_t *live;                 /* bits: neither free nor dying */
    uint32_t room, count;
    uint32_t top; /* all numbers in use are below */
    bool closed;  /* goes with its last holder */
};

struct prefix_index {
    struct prefix_table table;
    struct prefix_chunks chunks;
    struct list groups, living, dying;
    void *entries, *rings, *rows;
    size_t small_bytes, small_max; /* of what is taken piece by piece */
    size_t held, living_count;
    uint64_t serial; /* of the last group */
};

/* --- memory */

static void *take_small(struct prefix_index *index, size_t bytes)
{
    if (bytes > index->small_max - index->small_bytes)
        return NULL;
    void *memory = calloc(1, bytes);
    if (memory)
        index->small_bytes += bytes;
    return memory;
}

static void give_small(struct prefix_index *index, void *memory, size_t bytes)
{
    if (memory)
        index->small_bytes -= bytes;
    free(memory);
}

/* Each block is looked up in a place of its own: with small pages most of a look is spent on
 * finding the page. A hint, which kernels may not know. */
static void use_huge_pages(void *memory, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)memory + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)memory + bytes) / page * page;
    if (begin < end)
        (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE);
}

static bool take_shares(struct prefix_index *index, size_t share)
{
    index->entries = calloc(SHARES_TABLE, share);
    index->rings = calloc(SHARES_RINGS, share);
    index->rows = calloc(SHARES_ROWS, share);
    if (!index->entries || !index->rings || !index->rows)
        return false;
    prefix_table_init(
            &index->table, index->entries, SHARES_TABLE * share, index->rows, SHARES_ROWS * share);
    prefix_chunks_init(&index->chunks, index->rings, SHARES_RINGS * share);
    use_huge_pages(index->entries, SHARES_TABLE * share);
    use_huge_pages(index->rows, SHARES_ROWS * share);
    use_huge_pages(index->rings, SHARES_RINGS * share);
    return true;
}

struct prefix_index *prefix_index_create(size_t max_bytes)
{
    size_t bytes = number_lesser(number_greater(max_bytes, PREFIX_BYTES_MIN), PREFIX_BYTES_MAX);
    struct prefix_index *index = calloc(1, sizeof(*index));
    if (!index)
        return NULL;
    list_init(&index->groups);
    list_init(&index->living);
    list_init(&index->dying);
    index->small_bytes = sizeof(*index);
    index->small_max = bytes / SHARES / SHARE_ALIGN * SHARE_ALIGN;
    if (take_shares(index, index->small_max))
        return index;
    prefix_index_destroy(index);
    return NULL;
}

size_t prefix_index_bytes(const struct prefix_index *index)
{
    return index->table.room * sizeof(struct prefix_entry) + prefix_chunks_bytes(&index->chunks) +
           prefix_rows_bytes(&index->table.rows) + index->small_bytes;
}

size_t prefix_index_held(const struct prefix_index *index)
{
    return index->held;
}

/* --- keys */

/* The finaliser of MurmurHash3: each bit of `x` moves each bit of the result. */
static uint64_t mixed(uint64_t x)
{
    x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
    x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 33;
}

/* Different blocks of a group have different keys. */
static uint64_t key_of(const struct prefix_group *group, uint64_t hash)
{
    uint64_t key = mixed(hash ^ group->salt);
    return key == PREFIX_KEY_NONE ? 1 : key;
}

static void prefetch(const struct prefix_group *group, const uint64_t *chain, size_t count)
{
    for (size_t i = 0; i < count; i++)
        prefix_table_prefetch(&group->index->table, key_of(group, chain[i]));
}

/* --- groups and holders */

int prefix_group_create(struct prefix_index *index, uint64_t seed, struct prefix_group **ret_group)
{
    struct prefix_group *group = take_small(index, sizeof(*group));
    if (!group)
        return index->small_max - index->small_bytes < sizeof(*group) ? -ENOSPC : -ENOMEM;
    group->index = index;
    group->salt = mixed(mixed(++index->serial) ^ seed);
    list_push_back(&index->groups, &group->link);
    *ret_group = group;
    return 0;
}

static void free_group(struct prefix_group *group)
{
    struct prefix_index *index = group->index;
    list_del(&group->link);
    give_small(index, group->holders, group->room * sizeof(struct prefix_holder *));
    give_small(index, group->live, group->room / 8);
    give_small(index, group, sizeof(*group));
}

static void free_holder(struct prefix_holder *holder)
{
    struct prefix_group *group = holder->group;
    list_del(&holder->link);
    group->holders[holder->number] = NULL;
    group->count--;
    while (group->top && !group->holders[group->top - 1])
        group->top--;
    give_small(group->index, holder, sizeof(*holder));
    if (group->closed && group->count == 0)
        free_group(group);
}

void prefix_index_destroy(struct prefix_index *index)
{
    if (!index)
        return;
    list_for_each_safe (it, &index->groups) {
        struct prefix_group *group = list_entry(it, struct prefix_group, link);
        for (uint32_t i = 0; i < group->top; i++)
            free(group->holders[i]);
        free_group(group);
    }
    free(index->entries);
    free(index->rings);
    free(index->rows);
    free(index);
}

/* Room for NUMBERS_STEP more. */
static int widen(struct prefix_group *group)
{
    struct prefix_index *index = group->index;
    uint32_t room = group->room + NUMBERS_STEP;
    size_t holders_bytes = room * sizeof(struct prefix_holder *), live_bytes = room / 8;
    if (holders_bytes + live_bytes > index->small_max - index->small_bytes)
        return -ENOSPC;
    struct prefix_holder **holders = take_small(index, holders_bytes);
    uint64_t *live = take_small(index, live_bytes);
    if (!holders || !live) {
        give_small(index, holders, holders_bytes);
        give_small(index, live, live_bytes);
        return -ENOMEM;
    }
    if (group->room) {
        memcpy(holders, group->holders, group->room * sizeof(*holders));
        memcpy(live, group->live, group->room / 8);
    }
    give_small(index, group->holders, group->room * sizeof(*holders));
    give_small(index, group->live, group->room / 8);
    group->holders = holders;
    group->live = live;
    group->room = room;
    return 0;
}

static uint32_t free_number(const struct prefix_group *group)
{
    uint32_t number = 0;
    while (number < group->top && group->holders[number])
        number++;
    return number;
}

int prefix_holder_add(struct prefix_group *group, uint32_t capacity, uint32_t *ret_holder)
{
    struct prefix_index *index = group->index;
    uint32_t number = free_number(group);
    if (number == PREFIX_HOLDERS_MAX)
        return -ENOSPC;
    int r = number == group->room ? widen(group) : 0;
    if (r < 0)
        return r;
    struct prefix_holder *holder = take_small(index, sizeof(*holder));
    if (!holder)
        return index->small_max - index->small_bytes < sizeof(*holder) ? -ENOSPC : -ENOMEM;
    holder->group = group;
    holder->number = number;
    holder->capacity = capacity;
    list_push_back(&index->living, &holder->link);
    index->living_count++;
    group->holders[number] = holder;
    group->live[number / 64] |= UINT64_C(1) << number % 64;
    group->count++;
    group->top = (uint32_t)number_greater(group->top, number + 1);
    *ret_holder = number;
    return 0;
}

static bool is_live(const struct prefix_group *group, uint32_t number)
{
    return number < group->top && group->live[number / 64] >> number % 64 & 1;
}

void prefix_holder_drop(struct prefix_group *group, uint32_t number)
{
    if (number == PREFIX_NO_HOLDER)
        return;
    assert(is_live(group, number));
    struct prefix_index *index = group->index;
    struct prefix_holder *holder = group->holders[number];
    group->live[number / 64] &= ~(UINT64_C(1) << number % 64);
    index->held -= holder->held;
    index->living_count--;
    list_del(&holder->link);
    list_push_back(&index->dying, &holder->link);
    if (!holder->ring.places)
        free_holder(holder);
}

void prefix_group_destroy(struct prefix_group *group)
{
    if (!group)
        return;
    for (uint32_t i = 0; i < group->top; i++)
        if (is_live(group, i))
            prefix_holder_drop(group, i);
    group->closed = true;
    if (group->count == 0)
        free_group(group);
}

uint32_t prefix_group_holders(const struct prefix_group *group)
{
    return group->top;
}

bool prefix_index_work(struct prefix_index *index, size_t steps)
{
    while (!list_empty(&index->dying)) {
        struct prefix_holder *holder = list_entry(index->dying.next, struct prefix_holder, link);
        for (; holder->ring.places; steps--) {
            if (!steps)
                return true;
            uint64_t key = prefix_ring_shrink(&index->chunks, &holder->ring);
            prefix_table_set(&index->table, key, holder->number, PREFIX_HELD_NOT);
        }
        free_holder(holder);
    }
    return false;
}

/* --- forgetting */

static bool is_held(enum prefix_held held)
{
    return held == PREFIX_HELD_COLD || held == PREFIX_HELD_HOT;
}

static enum prefix_held state_of(const struct prefix_holder *holder, uint64_t key)
{
    return prefix_table_get(&holder->group->index->table, key, holder->number);
}

static void set_state(struct prefix_holder *holder, uint64_t key, enum prefix_held held)
{
    struct prefix_index *index = holder->group->index;
    bool before = is_held(state_of(holder, key)), after = is_held(held);
    if (!prefix_table_set(&index->table, key, holder->number, held) || before == after)
        return;
    holder->held += after ? 1 : UINT32_MAX;
    index->held += after ? 1 : SIZE_MAX;
}

/* A chunk of its ring is free again, and maybe entries of the table. */
static void give_up_chunk(struct prefix_holder *holder)
{
    uint64_t keys[PREFIX_CHUNK_KEYS];
    size_t count = prefix_ring_give_chunk(&holder->group->index->chunks, &holder->ring, keys);
    for (size_t i = 0; i < count; i++)
        if (keys[i] != PREFIX_KEY_NONE)
            set_state(holder, keys[i], PREFIX_HELD_NOT);
}

/* What each would have if all had the same. */
static size_t fair_part(const struct prefix_index *index)
{
    return index->held / index->living_count;
}

/* NULL where none of the next few has more than that. They take turns. */
static struct prefix_holder *find_richer(struct prefix_index *index)
{
    for (size_t i = 0; i < number_lesser(RICHER_LOOKS, index->living_count); i++) {
        struct prefix_holder *it = list_entry(index->living.next, struct prefix_holder, link);
        list_del(&it->link);
        list_push_back(&index->living, &it->link);
        if (it->held > fair_part(index) && it->ring.places)
            return it;
    }
    return NULL;
}

/* --- noting */

struct noting {
    struct prefix_index *index;
    struct prefix_holder *holder;
    const uint64_t *chain;
    size_t count;
    uint32_t budget; /* places that the hand may go over before it comes to where it was when the
                        chain was touched */
};

static uint64_t key_at(const struct noting *noting, size_t i)
{
    return key_of(noting->holder->group, noting->chain[i]);
}

static void advance(struct noting *noting)
{
    prefix_ring_advance(&noting->index->chunks, &noting->holder->ring);
    if (noting->budget)
        noting->budget--;
}

/* Moves the hand to a free place, or to a block that was not used since it came by last, which is
 * forgotten. NULL where it came around and found none. */
static uint64_t *sweep(struct noting *noting)
{
    struct prefix_index *index = noting->index;
    struct prefix_holder *holder = noting->holder;
    for (; noting->budget; advance(noting)) {
        uint64_t *place = prefix_ring_at_hand(&index->chunks, &holder->ring);
        prefix_table_prefetch(&index->table, prefix_ring_ahead(&index->chunks, &holder->ring));
        if (*place == PREFIX_KEY_NONE)
            return place;
        if (state_of(holder, *place) != PREFIX_HELD_HOT) {
            set_state(holder, *place, PREFIX_HELD_NOT);
            *place = PREFIX_KEY_NONE;
            return place;
        }
        set_state(holder, *place, PREFIX_HELD_COLD);
    }
    return NULL;
}

/* None of the chain that is held is forgotten before the hand has come around. */
static void touch(struct noting *noting)
{
    const struct prefix_group *group = noting->holder->group;
    for (size_t i = 0; i < noting->count; i++) {
        if (i % BATCH == 0)
            prefetch(group, noting->chain + i, number_lesser(BATCH, noting->count - i));
        uint64_t key = key_at(noting, i);
        enum prefix_held held = state_of(noting->holder, key);
        if (held == PREFIX_HELD_COLD || held == PREFIX_HELD_GHOST)
            set_state(noting->holder, key, PREFIX_HELD_HOT);
    }
    noting->budget = noting->holder->ring.places;
}

/* The hand goes back to where the free places begin, which are the next ones taken. */
static bool forget_own(struct noting *noting, size_t blocks)
{
    struct prefix_holder *holder = noting->holder;
    const struct prefix_ring ring = holder->ring;
    size_t before = holder->held;
    for (size_t i = 0; i < blocks && sweep(noting); i++)
        advance(noting);
    holder->ring.hand = ring.hand;
    holder->ring.hand_at = ring.hand_at;
    touch(noting);
    return holder->held < before;
}

/* Makes some room: at least a chunk or an entry, unless there was nothing to forget or it is still
 * others' too. False where nothing can be done any more. */
static bool relieve(struct noting *noting, size_t entries)
{
    struct prefix_index *index = noting->index;
    struct prefix_holder *holder = noting->holder, *richer;
    if (!list_empty(&index->dying)) {
        prefix_index_work(index, WORK_STEPS);
        return true;
    }
    if (holder->held < fair_part(index) && (richer = find_richer(index))) {
        give_up_chunk(richer);
        return true;
    }
    return forget_own(noting, entries);
}

/* Places that its ring can have. */
static size_t places_max(const struct noting *noting)
{
    const struct prefix_ring *ring = &noting->holder->ring;
    size_t started = ring->last ? PREFIX_CHUNK_KEYS - ring->fill : 0;
    size_t max =
            ring->places + started + prefix_chunks_left(&noting->index->chunks) * PREFIX_CHUNK_KEYS;
    return number_lesser(max, noting->holder->capacity);
}

/* How many blocks of the chain can have an entry, from the beginning; all: SIZE_MAX. Writes how
 * many entries lack. */
static size_t entries_fit(const struct noting *noting, size_t *ret_lacking)
{
    const struct prefix_table *table = &noting->index->table;
    size_t left = table->count_max - table->count, fit = SIZE_MAX, added = 0;
    for (size_t i = 0; i < noting->count; i++) {
        if (prefix_table_find(table, key_at(noting, i)) || added++ < left)
            continue;
        fit = number_lesser(fit, i);
    }
    *ret_lacking = added > left ? added - left : 0;
    return fit;
}

/* Cuts off what cannot be noted. */
static void make_room(struct noting *noting)
{
    size_t fit, lacking;
    for (unsigned i = 0; i < RELIEFS_MAX && places_max(noting) < noting->count; i++)
        if (!relieve(noting, 0))
            break;
    for (unsigned i = 0;; i++) {
        fit = entries_fit(noting, &lacking);
        if (!lacking || i == RELIEFS_MAX || !relieve(noting, lacking))
            break;
    }
    noting->count = number_lesser(noting->count, number_lesser(fit, places_max(noting)));
}

/* NULL where there is none. */
static uint64_t *find_place(struct noting *noting)
{
    struct prefix_ring *ring = &noting->holder->ring;
    struct prefix_chunks *chunks = &noting->index->chunks;
    uint64_t *place = ring->places ? prefix_ring_at_hand(chunks, ring) : NULL;
    if (place && *place == PREFIX_KEY_NONE)
        return place;
    place = ring->places < noting->holder->capacity ? prefix_ring_grow(chunks, ring) : NULL;
    for (unsigned lap = 0; !place && lap < LAPS_MAX; lap++)
        if (!(place = sweep(noting)))
            touch(noting);
    return place;
}

static void add(struct noting *noting, uint64_t key)
{
    struct prefix_holder *holder = noting->holder;
    set_state(holder, key, PREFIX_HELD_COLD);
    if (state_of(holder, key) == PREFIX_HELD_NOT)
        return; /* it would be one of many, and no row is left */
    uint64_t *place = find_place(noting);
    set_state(holder, key, place ? PREFIX_HELD_COLD : PREFIX_HELD_NOT); /* also if just touched */
    if (!place)
        return;
    *place = key;
    if (place == prefix_ring_at_hand(&noting->index->chunks, &holder->ring))
        advance(noting);
}

void prefix_note(struct prefix_group *group, uint32_t number, const uint64_t *chain, size_t count)
{
    if (number == PREFIX_NO_HOLDER)
        return;
    assert(is_live(group, number));
    struct prefix_holder *holder = group->holders[number];
    struct noting noting = {.index = group->index,
            .holder = holder,
            .chain = chain,
            .count = number_lesser(count, holder->capacity)};
    touch(&noting);
    make_room(&noting);
    for (size_t i = noting.count; i-- > 0;)
        if (state_of(holder, key_at(&noting, i)) == PREFIX_HELD_NOT)
            add(&noting, key_at(&noting, i));
}

void prefix_correct(struct prefix_group *group, uint32_t number, const uint64_t *chain,
        size_t count, size_t kept)
{
    if (number == PREFIX_NO_HOLDER)
        return;
    assert(is_live(group, number));
    struct prefix_holder *holder = group->holders[number];
    for (size_t i = kept; i < count; i++) {
        uint64_t key = key_of(group, chain[i]);
        if (is_held(state_of(holder, key)))
            set_state(holder, key, PREFIX_HELD_GHOST);
    }
}

/* --- another size */

/* Forgets what the hand finds, and lets the last place move into the gap: it is looked at next. */
static void take_place_out(struct noting *noting)
{
    struct prefix_chunks *chunks = &noting->index->chunks;
    struct prefix_ring *ring = &noting->holder->ring;
    noting->budget = 2 * ring->places; /* one lap over blocks that were all used, and one more */
    uint64_t *gap = sweep(noting);
    assert(gap);
    uint64_t key = prefix_ring_shrink(chunks, ring);
    if (key != PREFIX_KEY_NONE) /* else that was the gap, or another one */
        *gap = key;
}

void prefix_holder_resize(struct prefix_group *group, uint32_t number, uint32_t capacity)
{
    if (number == PREFIX_NO_HOLDER)
        return;
    assert(is_live(group, number));
    struct prefix_holder *holder = group->holders[number];
    struct noting noting = {.index = group->index, .holder = holder};
    holder->capacity = capacity;
    while (holder->ring.places > capacity)
        take_place_out(&noting);
}

uint32_t prefix_holder_held(const struct prefix_group *group, uint32_t number)
{
    if (number == PREFIX_NO_HOLDER)
        return 0;
    assert(is_live(group, number));
    return group->holders[number]->held;
}

/* --- finding */

struct finding {
    const struct prefix_group *group;
    uint32_t *blocks;        /* what is found, by number */
    uint64_t set[WORDS_MAX]; /* those that hold all blocks so far … */
    uint32_t begin, end;     /* … are in these words */
};

static void write_blocks(struct finding *finding, uint32_t word, uint64_t bits, uint32_t blocks)
{
    for (; bits; bits &= bits - 1)
        finding->blocks[word * 64 + (uint32_t)__builtin_ctzll(bits)] = blocks;
}

static void narrow_words(struct finding *finding)
{
    while (finding->begin < finding->end && !finding->set[finding->begin])
        finding->begin++;
    while (finding->begin < finding->end && !finding->set[finding->end - 1])
        finding->end--;
}

/* Those that are not in `held` drop out with the blocks that they have. */
static void keep(struct finding *finding, const uint64_t *held, uint32_t words, uint32_t blocks)
{
    for (uint32_t w = finding->begin; w < finding->end; w++) {
        uint64_t stay = w < words ? finding->set[w] & held[w] : 0;
        write_blocks(finding, w, finding->set[w] ^ stay, blocks);
        finding->set[w] = stay;
    }
    narrow_words(finding);
}

static void keep_few(struct finding *finding, const struct prefix_entry *entry, uint32_t blocks)
{
    uint64_t held[WORDS_MAX];
    size_t words = finding->end - finding->begin;
    memset(&held[finding->begin], 0, words * sizeof(*held));
    for (uint16_t i = 0; i < entry->tag; i++) {
        uint32_t number = prefix_few_number(entry->few[i]), word = number / 64;
        if (word >= finding->begin && word < finding->end &&
                is_held(prefix_few_held(entry->few[i])))
            held[word] |= UINT64_C(1) << number % 64;
    }
    keep(finding, held, WORDS_MAX, blocks);
}

static void keep_holders(struct finding *finding, const struct prefix_entry *entry, uint32_t blocks)
{
    const struct prefix_rows *rows = &finding->group->index->table.rows;
    if (!entry)
        keep(finding, NULL, 0, blocks);
    else if (entry->tag & PREFIX_TAG_ROW)
        keep(finding, prefix_rows_at(rows, prefix_entry_row(entry)), prefix_entry_words(entry),
                blocks);
    else
        keep_few(finding, entry, blocks);
}

static void find_entries(const struct prefix_group *group, const uint64_t *chain, size_t count,
        const struct prefix_entry **ret_entries)
{
    const struct prefix_table *table = &group->index->table;
    for (size_t i = 0; i < count; i++) {
        const struct prefix_entry *entry = prefix_table_find(table, key_of(group, chain[i]));
        if (entry && entry->tag & PREFIX_TAG_ROW)
            __builtin_prefetch(prefix_rows_at(&table->rows, prefix_entry_row(entry)));
        ret_entries[i] = entry;
    }
}

/* A batch is on its way from memory while the one before is looked at. */
static size_t fetch(
        const struct prefix_group *group, const uint64_t *chain, size_t count, size_t at)
{
    size_t batch = number_lesser(BATCH, count - at);
    prefetch(group, chain + at, batch);
    return batch;
}

static bool is_one(const struct finding *finding)
{
    uint64_t set = finding->set[finding->begin];
    return finding->end - finding->begin == 1 && !(set & (set - 1));
}

/* Goes on from `at` with the one that is left, as most of a long prompt is known to one holder
 * only. Returns how many blocks it has. */
static uint32_t walk_with_one(
        const struct finding *finding, const uint64_t *chain, size_t count, size_t at)
{
    const struct prefix_group *group = finding->group;
    const struct prefix_table *table = &group->index->table;
    uint32_t number = finding->begin * 64 + (uint32_t)__builtin_ctzll(finding->set[finding->begin]);
    for (size_t i = at; i < count; i++) {
        if ((i - at) % BATCH == 0 && count - i > BATCH)
            prefetch(group, chain + i + BATCH, number_lesser(BATCH, count - i - BATCH));
        if (!is_held(prefix_table_get(table, key_of(group, chain[i]), number)))
            return (uint32_t)i;
    }
    return (uint32_t)count;
}

/* Narrows the set until nobody is left. Returns how many blocks those have that are. */
static uint32_t walk(struct finding *finding, const uint64_t *chain, size_t count)
{
    const struct prefix_entry *entries[BATCH];
    uint32_t blocks = 0;
    size_t batch = fetch(finding->group, chain, count, 0);
    for (size_t at = 0; batch && finding->begin < finding->end;) {
        if (is_one(finding))
            return walk_with_one(finding, chain, count, at);
        size_t next = fetch(finding->group, chain, count, at + batch);
        find_entries(finding->group, chain + at, batch, entries);
        for (size_t i = 0; i < batch && finding->begin < finding->end; i++)
            keep_holders(finding, entries[i], blocks++);
        at += batch;
        batch = next;
    }
    return blocks;
}

void prefix_find(
        const struct prefix_group *group, const uint64_t *chain, size_t count, uint32_t *ret_blocks)
{
    struct finding finding = {.group = group, .blocks = ret_blocks, .end = (group->top + 63) / 64};
    if (!group->top)
        return;
    memset(ret_blocks, 0, group->top * sizeof(*ret_blocks));
    if (!count || !prefix_table_find(&group->index->table, key_of(group, chain[0])))
        return; /* as with most prompts that another model has */
    memcpy(finding.set, group->live, finding.end * sizeof(*finding.set));
    narrow_words(&finding);
    uint32_t blocks = walk(&finding, chain, count);
    for (uint32_t w = finding.begin; w < finding.end; w++)
        write_blocks(&finding, w, finding.set[w], blocks);
}

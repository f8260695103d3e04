/* Intrusive doubly linked list. A `struct list` is a head or a member; a member that is in no list
 * points to itself once list_init() or list_del() has run, so list_del() is safe to repeat. The
 * list owns nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *l)
{
    l->prev = l->next = l;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

/* True while the member is in some list. */
static inline bool list_linked(const struct list *member)
{
    return member->next != member;
}

static inline void list_insert_after(struct list *at, struct list *member)
{
    member->prev = at;
    member->next = at->next;
    at->next->prev = member;
    at->next = member;
}

static inline void list_push_front(struct list *head, struct list *member)
{
    list_insert_after(head, member);
}

static inline void list_push_back(struct list *head, struct list *member)
{
    list_insert_after(head->prev, member);
}

static inline void list_del(struct list *member)
{
    member->prev->next = member->next;
    member->next->prev = member->prev;
    list_init(member);
}

#define list_entry(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define list_for_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)

/* The current member may be removed or freed inside the loop; its successor may not. */
#define list_for_each_safe(it, head)                                                               \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                      \
            it = it##_next, it##_next = it->next)

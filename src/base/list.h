/* SPDX-License-Identifier: BSD-2-Clause */
/* Circular doubly linked list whose links are embedded in the entries. */
#pragma once

#include <stdbool.h>

#include "base/bits.h"

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *list)
{
	list->next = list->prev = list;
}

static inline bool list_is_empty(const struct list *list)
{
	return list->next == list;
}

/* Appends entry to the list that head names. */
static inline void list_add(struct list *head, struct list *entry)
{
	entry->prev = head->prev;
	entry->next = head;
	head->prev->next = entry;
	head->prev = entry;
}

/* Takes the entry out and leaves it an empty list, so twice is harmless. */
static inline void list_remove(struct list *entry)
{
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
	list_init(entry);
}

#define list_for_each(item, head, member)                                  \
	for (item = container_of((head)->next, __typeof__(*item), member); \
	     &item->member != (head);                                      \
	     item = container_of(item->member.next, __typeof__(*item),     \
				 member))

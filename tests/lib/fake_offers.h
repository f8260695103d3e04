/* Models on nodes that are not there, for what is offered to callers. To be included by one file of
 * a program: it defines the functions of node_table.h that offers need, so that the linker
 * takes these and leaves the nodes out. */
#pragma once

#include "coordinator/api/offers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FAKE_OFFERS_MAX = 32 };

static struct instance fake_offers_instances[FAKE_OFFERS_MAX];
static struct instance *fake_offers_list[FAKE_OFFERS_MAX];
static size_t fake_offers_count;

/* The instance may be filled in further. */
static inline struct instance *fake_offers_add(const char *model, uint32_t capabilities)
{
    assert(fake_offers_count < FAKE_OFFERS_MAX);
    struct instance *instance = &fake_offers_instances[fake_offers_count];
    *instance = (struct instance){.state = INSTANCE_RESIDENT,
            .usable = true,
            .file_bytes = 1000,
            .memory_bytes = 3000,
            .context = 4096,
            .context_trained = 32768,
            .slots = 2,
            .busy = 1,
            .parameters = 7600000000,
            .modified_s = 1795267000,
            .capabilities = capabilities};
    strcpy(instance->model, model);
    strcpy(instance->architecture, "llama");
    strcpy(instance->quantisation, "Q8_0");
    fake_offers_list[fake_offers_count++] = instance;
    return instance;
}

/* "nick", once a model is called so. */
static struct alias fake_offers_alias = {.name = "nick"};

static inline void fake_offers_clear(void)
{
    fake_offers_count = 0;
    fake_offers_alias.model = NULL;
}

/* The models come in the order in which they were added. */
struct instance *const *node_table_instances(struct node_table *table, size_t *ret_count)
{
    (void)table;
    *ret_count = fake_offers_count;
    return fake_offers_list;
}

struct instance *const *node_table_models(struct node_table *table, size_t *ret_count)
{
    return node_table_instances(table, ret_count);
}

const char *node_table_model(struct node_table *table, const char *name)
{
    (void)table;
    bool known = fake_offers_alias.model && strcmp(name, fake_offers_alias.name) == 0;
    return known ? fake_offers_alias.model : name;
}

const struct alias *node_table_aliases(struct node_table *table, size_t *ret_count)
{
    (void)table;
    *ret_count = fake_offers_alias.model ? 1 : 0;
    return &fake_offers_alias;
}

/* A fleet as its nodes would tell it, built from what people know of it: how much memory a host may
 * load, and which models of which size are on its disk. Then a coordinator's config is planned
 * without daemons. What fails that should not aborts with its reason. */
#pragma once

#include "coordinator/plan/plan.h"

#include <stddef.h>
#include <stdint.h>

enum { PLAN_SETUP_NODES_MAX = 16, PLAN_SETUP_MODELS_MAX = 64 /* of one node */ };

struct plan_setup;

struct plan_setup *plan_setup_create(void);
void plan_setup_destroy(struct plan_setup *setup);

/* A node by that name which may load so much; the facts are the caller's to change. */
struct plan_host *plan_setup_node(
        struct plan_setup *setup, const char *name, double limit_gib, uint32_t bandwidth_gib_s);
/* A model on its disk, by what people call its size (common/model/nominal.h): "30b-a3b", "Q4_K_M".
 * It was trained for 131,072 tokens and would be started with 8,192 and one slot; what it is
 * otherwise is the caller's to change. */
struct instance *plan_setup_model(
        struct plan_host *host, const char *model, const char *size, const char *quantisation);
/* A model that takes `weights_gib`, and `token_kib` for each token of each slot. */
struct instance *plan_setup_plain_model(
        struct plan_host *host, const char *model, double weights_gib, double token_kib);
/* It is loaded so, and takes what the estimate says. */
void plan_setup_reside(struct instance *instance, uint32_t context, uint32_t slots);

/* The modes of a coordinator's config; from the file of that name below configs/. */
void plan_setup_modes(struct plan_setup *setup, const char *yaml);
void plan_setup_config(struct plan_setup *setup, const char *name);
/* All of them, to be changed; those of the last call. */
struct modes *plan_setup_all_modes(struct plan_setup *setup);
const struct plan_host *plan_setup_hosts(const struct plan_setup *setup, size_t *ret_count);

/* The plan of it all, placed; the setup's, until the next call. */
const struct plan *plan_setup_plan(struct plan_setup *setup);
/* Does what the last plan says: what it would make resident is, and what it lets go is not. */
void plan_setup_apply(struct plan_setup *setup);

/* What the last plan has for a model on a node; NULL: nothing. */
const struct placement_engine *plan_setup_engine(
        const struct plan_setup *setup, const char *node, const char *model);
/* What a copy of a mode gets, counted from 0. */
const struct placement_service *plan_setup_service(
        const struct plan_setup *setup, const char *mode, uint32_t copy);
/* "MODEL on NODE, CONTEXT" of it, "nothing" where it is not served; valid until the next call. */
const char *plan_setup_gets(struct plan_setup *setup, const char *mode, uint32_t copy);

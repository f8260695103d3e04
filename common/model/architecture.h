/* How the architectures of llama.cpp keep what they have read: which layers have a cache, which
 * only see a window, which keep a recurrent state instead. What the files leave to the engine to
 * know is in one table here, by general.architecture; each line was compared with what an engine
 * allocates. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum layer_plan {   /* what a layer keeps of a sequence */
    PLAN_ATTENTION, /* each: keys and values */
    PLAN_NOTHING,   /* none: it reads all at once (encoders, diffusion, projectors) */
    PLAN_STATE,     /* each: a recurrent state */
    PLAN_BOTH,      /* each: keys and values, and a state beside them */
    PLAN_BY_HEADS,  /* keys and values where it has heads for them, else a state */
    PLAN_BY_PART,   /* likewise, and nothing where it is a feed-forward network */
    PLAN_INTERVAL,  /* keys and values in every n-th layer, a state in the others */
};

enum window_plan {  /* which layers with keys and values see a window only */
    WINDOW_NOWHERE, /* also where the file has a window */
    WINDOW_PERIOD,  /* all but one in a period */
    WINDOW_EVERYWHERE,
};

enum state_plan { /* what a recurrent state is made of */
    STATE_SSM,    /* convolution and state space (Mamba) or gated delta net (Qwen3-Next) */
    STATE_WKV,    /* RWKV */
    STATE_CONV,   /* a short convolution (LFM2) */
    STATE_KDA,    /* Kimi delta attention */
    STATE_SQUARE, /* linear attention: a square matrix of each head (MiniMax-01) */
    STATE_PLAN_COUNT,
};

struct architecture {
    const char *name;
    enum layer_plan plan;
    enum state_plan state;
    enum window_plan window;
    uint32_t period;         /* of the window, where the file has no pattern; 1: no layer has one */
    bool full_first;         /* the layer without a window is the first of a period, not the last */
    uint32_t window_default; /* tokens, where the file says none */
    uint32_t window_fixed;   /* tokens, whatever the file says; 0: as it says */
    uint32_t window_layers;  /* only models of so many layers have windows; 0: all */
    uint32_t cached_layers;  /* so many have a cache and the others use theirs; 0: all */
    bool shared_tail;        /* likewise, without as many at the end as the file says */
    bool looped;             /* the layers are gone through several times, with a cache each time */
    bool latent;             /* keeps keys only, where the file has the latent form (MLA) */
    bool indexer;            /* further keys of each layer, which choose what attention looks at */
    uint32_t interval;       /* of PLAN_INTERVAL, where the file says none */
};

/* NULL where the architecture is not known. */
const struct architecture *architecture_find(const char *name);

#include "coordinator/modes/mode_needs.h"

#include "proto/codec.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *mode; /* the last one's: any other */
    uint32_t needs;
    const char *words;
} kinds[] = {
        {"autocomplete", CAPABILITY_FIM, "fill in the middle"},
        {"embed", CAPABILITY_EMBEDDINGS, "make embeddings"},
        {"rerank", CAPABILITY_RERANK, "rank documents"},
        {"transcribe", CAPABILITY_AUDIO, "hear audio"},
        {NULL, CAPABILITY_CHAT, "chat"},
};

uint32_t mode_needs(const char *mode)
{
    size_t i = 0;
    while (kinds[i].mode && strcmp(kinds[i].mode, mode) != 0)
        i++;
    return kinds[i].needs;
}

const char *mode_needs_words(uint32_t needs)
{
    size_t i = 0;
    while (kinds[i].mode && kinds[i].needs != needs)
        i++;
    return kinds[i].words;
}

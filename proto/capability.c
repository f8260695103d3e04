#include "proto/capability.h"

#include <stddef.h>

/* What a model's file tells for sure. */
static const uint32_t told_by_file =
        CAPABILITY_CHAT | CAPABILITY_FIM | CAPABILITY_EMBEDDINGS | CAPABILITY_RERANK;

static uint32_t told_by(uint32_t said)
{
    uint32_t told = told_by_file;

    if (said & CAPABILITY_EXACT)
        return UINT32_MAX;
    if (said & CAPABILITY_TEMPLATE)
        told |= CAPABILITY_TOOLS | CAPABILITY_REASONING;
    if (said & CAPABILITY_SENSES)
        told |= CAPABILITY_VISION | CAPABILITY_AUDIO;
    return told;
}

uint32_t capability_lacking(uint32_t said, uint32_t needs)
{
    if (said == 0)
        said = CAPABILITY_CHAT;
    return needs & told_by(said) & ~said;
}

const char *capability_lack_name(uint32_t lacking)
{
    static const struct {
        enum capability capability;
        const char *text;
    } names[] = {
            {CAPABILITY_VISION, "see images"},
            {CAPABILITY_AUDIO, "hear audio"},
            {CAPABILITY_FIM, "fill in the middle: it has no FIM tokens"},
            {CAPABILITY_EMBEDDINGS, "make embeddings"},
            {CAPABILITY_RERANK, "rank documents"},
            {CAPABILITY_TOOLS, "call tools: its chat template takes none"},
            {CAPABILITY_CHAT, "chat"},
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (lacking & (uint32_t)names[i].capability)
            return names[i].text;
    return "do what was asked";
}

#include "proto/capability.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

static const struct need {
    const char *name;
    uint32_t bit;
} needs_list[] = {
        {"chat", CAPABILITY_CHAT},
        {"tools", CAPABILITY_TOOLS},
        {"vision", CAPABILITY_VISION},
        {"audio", CAPABILITY_AUDIO},
        {"fim", CAPABILITY_FIM},
        {"embeddings", CAPABILITY_EMBEDDINGS},
        {"rerank", CAPABILITY_RERANK},
};

enum { NEED_COUNT = sizeof(needs_list) / sizeof(needs_list[0]), NEED_NAMES_MAX = 128 };

const char *capability_need_at(size_t n, uint32_t *ret_need)
{
    if (n >= NEED_COUNT)
        return NULL;
    *ret_need = needs_list[n].bit;
    return needs_list[n].name;
}

static int refuse_need(const char *name, size_t len, struct err *err)
{
    char all[NEED_NAMES_MAX];
    size_t used = 0;

    for (size_t i = 0; i < NEED_COUNT && used < sizeof(all); i++)
        used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s",
                i == 0                ? ""
                : i == NEED_COUNT - 1 ? " and "
                                      : ", ",
                needs_list[i].name);
    return err_set(err, -EINVAL, "\"%.*s\" is none of %s (several have commas between them)",
            len < 40 ? (int)len : 40, name, all);
}

static int add_need(const char *name, size_t len, uint32_t *needs, struct err *err)
{
    for (size_t i = 0; i < NEED_COUNT; i++) {
        if (strlen(needs_list[i].name) != len || memcmp(needs_list[i].name, name, len) != 0)
            continue;
        *needs |= needs_list[i].bit;
        return 0;
    }
    return refuse_need(name, len, err);
}

int capability_parse_needs(const char *text, uint32_t *ret_needs, struct err *err)
{
    uint32_t needs = 0;

    while (*text) {
        size_t len = strcspn(text, ",");
        int r = add_need(text, len, &needs, err);

        if (r)
            return r;
        text += len + (text[len] == ',');
    }
    *ret_needs = needs;
    return 0;
}

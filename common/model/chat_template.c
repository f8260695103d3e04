#include "common/model/chat_template.h"

#include "common/number.h"
#include "proto/codec.h"

#include <string.h>

static const char *const tool_words[] = {"tools", NULL};
static const char *const thinking_words[] = {"<think", "thinking", "reasoning", NULL};

static bool has_word(const char *text, size_t len, const char *const *words)
{
    for (; *words; words++)
        if (memmem(text, len, *words, strlen(*words)))
            return true;
    return false;
}

static void look(struct chat_template_scan *scan, const char *text, size_t len)
{
    scan->tools |= has_word(text, len, tool_words);
    scan->thinking |= has_word(text, len, thinking_words);
}

/* The seam: the end of what came before and the beginning of what comes now. */
static void look_at_seam(struct chat_template_scan *scan, const char *text, size_t len)
{
    char seam[2 * CHAT_TEMPLATE_WORD_MAX];
    size_t more = number_lesser(len, CHAT_TEMPLATE_WORD_MAX), keep;

    memcpy(seam, scan->tail, scan->tail_len);
    memcpy(seam + scan->tail_len, text, more);
    look(scan, seam, scan->tail_len + more);
    keep = number_lesser(scan->tail_len + more, CHAT_TEMPLATE_WORD_MAX);
    memcpy(scan->tail, seam + scan->tail_len + more - keep, keep);
    scan->tail_len = keep;
}

void chat_template_scan(struct chat_template_scan *scan, const char *text, size_t len)
{
    if (len == 0)
        return;
    look(scan, text, len);
    look_at_seam(scan, text, len);
    if (len >= CHAT_TEMPLATE_WORD_MAX)
        memcpy(scan->tail, text + len - CHAT_TEMPLATE_WORD_MAX, CHAT_TEMPLATE_WORD_MAX);
}

uint32_t chat_template_capabilities(const struct chat_template_scan *scan)
{
    return (scan->tools ? CAPABILITY_TOOLS : 0u) | (scan->thinking ? CAPABILITY_REASONING : 0u);
}

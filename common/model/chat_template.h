/* What a model's chat template knows of, told from the words in it: templates are programs, and
 * running one to find out is the engine's business. The text may come in pieces cut anywhere. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHAT_TEMPLATE_WORD_MAX = 16 }; /* bytes of the longest word that is looked for */

struct chat_template_scan {            /* zeroed at first */
    char tail[CHAT_TEMPLATE_WORD_MAX]; /* of what came before: a word may be cut in two */
    size_t tail_len;
    bool tools, thinking;
};

void chat_template_scan(struct chat_template_scan *scan, const char *text, size_t len);
/* CAPABILITY_TOOLS and CAPABILITY_REASONING, as far as the template has them. */
uint32_t chat_template_capabilities(const struct chat_template_scan *scan);

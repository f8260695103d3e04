/* What may be written to a terminal: foreign text (a model's answer, a node's name, an error from
 * the other side) must not move the cursor, set a title or hide what was printed. Pure but for
 * terminal_is_smart(). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Takes control characters (C0 but newline and tab, DEL, and C1 as UTF-8 writes them) out of
 * `text`, in place. Returns the new length. */
size_t terminal_strip(char *text, size_t len);

/* Copies foreign text that stands in a line of ours into `buf`, cut at `size`: stripped, and with
 * blanks for newlines and tabs, so that it cannot look like a line of its own. Returns `buf`. */
const char *terminal_line(const char *text, char *buf, size_t size);

/* True where `out` is a terminal that knows colours and nobody asked for none (NO_COLOR). */
bool terminal_is_smart(FILE *out);

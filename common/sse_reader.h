/* Reader of Server-Sent Events (WHATWG HTML, "9.2.6 Interpreting an event stream"): bytes in chunks
 * cut anywhere, events out. LF, CR and CRLF; comments; several data lines joined by LF; a byte
 * order mark at the start; fields it does not know are skipped. Bounded by the size of one event.
 * One thread; no I/O. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stddef.h>

struct sse_reader;

/* `name` is "" where the event has none (or one that holds a NUL); `data` is NUL-terminated, may
 * hold NULs, and is valid during the call. Return 0 to go on, or a negative errno that ends
 * sse_reader_push() with that value. The callback must not destroy the reader. */
typedef int (*sse_event_fn)(void *ctx, const char *name, const char *data, size_t len);

/* `text` is what stands behind the colon and the blank after it; not NUL-terminated, gone after the
 * call. */
typedef void (*sse_comment_fn)(void *ctx, const char *text, size_t len);

/* NULL where malloc refuses. `max_event_bytes` bounds name and data of one event, and one line. */
struct sse_reader *sse_reader_create(size_t max_event_bytes, sse_event_fn fn, void *ctx);
void sse_reader_destroy(struct sse_reader *reader);
/* From now on comments are told too, as they come, with the `ctx` of events. NULL: no more. */
void sse_reader_tell_comments(struct sse_reader *reader, sse_comment_fn fn);
/* -EMSGSIZE (names the limit) for an event past it, the callback's error, or -ENOMEM; after an
 * error the reader takes nothing more. */
MUST_CHECK int sse_reader_push(
        struct sse_reader *reader, const char *data, size_t len, struct err *err);

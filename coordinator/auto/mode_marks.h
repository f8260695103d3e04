/* The marks by which editors' own prompts and headers tell the mode that their user has chosen, or
 * what a request beside the conversation is for. One table (mode_marks.c), read off what the
 * editors really send. A mark counts only where its editor puts it:
 *
 * - MARK_SYSTEM: in the message of the system at the start;
 * - MARK_USER: in what the user said last, and there only within the block that its editor puts it
 *   in; of several the one that stands last. What was said before is past, and may be a quotation;
 * - MARK_HEADER: in an HTTP header of the request.
 *
 * A mark that is a line of its own has to begin a line. Of a message that has more than
 * MODE_MARKS_SCAN_MAX bytes, or than MODE_MARKS_TEXTS_MAX texts, only the first and the last half
 * of that are looked at: editors put their marks at either end. A mark grants nothing: it chooses
 * among the modes that the caller may use anyway, and only where the mesh was asked to choose.
 * Pure; linear in what is looked at. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>

enum {
    MODE_MARKS_SCAN_MAX = 256 * 1024,
    MODE_MARKS_TEXTS_MAX = 64,
    MODE_MARK_WORD_MAX = 32,
};

struct mode_mark {
    const char *editor; /* static: "Roo Code" */
    /* What the editor calls it: "plan", "act", "agent", "chat", "ask", "architect", "debug",
     * "orchestrator", "code", "subagent"; a mode that its user has made, by its name; or, beside
     * the conversation, "title", "compaction". [a-z0-9-_] */
    char word[MODE_MARK_WORD_MAX + 1];
};

/* False where there is no mark. `body` is the neutral one, of any shape; `header` gives NULL for
 * what is absent. What is beside the conversation comes before a mode, and what the user's message
 * says before what the system's does. */
bool mode_marks_find(const cJSON *body, const char *(*header)(void *ctx, const char *name),
        void *ctx, struct mode_mark *ret_mark);

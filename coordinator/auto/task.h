/* What a request is about, as the mesh tells it for `auto`. The first four are guessed, in the
 * order in which a guess may move a conversation on (auto_mode.h); the others only an editor says,
 * or shows.
 */
#pragma once

#include <stdbool.h>

enum task {
    TASK_QUESTION,                  /* an explanation, a chat */
    TASK_CODE,                      /* files are to be changed */
    TASK_DEBUG,                     /* something does not work, and why is not known */
    TASK_DESIGN,                    /* a plan, an architecture, a look at a whole code base */
    TASK_GUESSED,                   /* number of those before */
    TASK_COORDINATE = TASK_GUESSED, /* hand out the work of others */
    TASK_TITLE,                     /* a few words beside the conversation: its title, its tags */
    TASK_SUMMARY,                   /* the conversation itself, shorter */
    TASK_COMPLETION,                /* what belongs at the cursor in a file */
    TASK_COUNT,
};

/* "question", "code", …; for people. */
const char *task_name(enum task task);
/* True for what an editor asks beside the conversation: it does not move that. */
bool task_is_beside(enum task task);

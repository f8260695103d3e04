/* A toy HTTP server that answers each request by a table which the test changes while it runs, and
 * that remembers what it was asked. Its own threads answer; all functions here are for the test's.
 * Aborts where the system refuses. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { TOY_ANSWERS_MAX = 64, TOY_ASKED_MAX = 4096 };

struct toy_answer {      /* texts are borrowed as long as the server */
    const char *request; /* "GET /api/ps" */
    const char *holds;   /* the request's body must hold this; NULL: any */
    int status;          /* 0: 200 */
    const char *body;    /* "data: …" is a stream of events; NULL: says nothing until the other
                            side closes; "…" with `stalls`: says that first */
    bool stalls;
    const char *then;      /* from then on this request … */
    const char *then_body; /* … is answered with this */
};

struct toy_answers;
struct toy_answers *toy_answers_create(void);
/* The server is gone after it: nobody listens. Takes NULL. */
void toy_answers_destroy(struct toy_answers *toy);
const char *toy_answers_url(const struct toy_answers *toy); /* "http://127.0.0.1:PORT" */

/* The last one that fits a request answers it; where none does, status 404. */
void toy_answers_add(struct toy_answers *toy, const struct toy_answer *answer);
/* The same for a good answer to any such request. */
void toy_answers_set(struct toy_answers *toy, const char *request, const char *body);

/* How often this was asked, with a body that holds `holds` (NULL: any). */
unsigned toy_answers_count(struct toy_answers *toy, const char *request, const char *holds);
/* Head and body of the last such request, into `ret_text`; "" where there was none. */
void toy_answers_last(struct toy_answers *toy, const char *request, char ret_text[TOY_ASKED_MAX]);
/* How many requests the other side has closed while they stalled. */
unsigned toy_answers_closed(struct toy_answers *toy);

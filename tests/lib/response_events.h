/* A client of /v1/responses that believes nothing: it puts the response together from the events,
 * as the official SDK does, and compares every "done", every sign of life and the end with that.
 * Aborts with a word on stderr where an event breaks the rules. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

struct response_events { /* zeroed at first */
    cJSON *response;     /* as far as it was told; NULL: before response.created */
    size_t next;         /* the sequence number that must come */
    bool ended;          /* nothing may follow */
};

/* Any number of whole events. */
void response_events_feed(struct response_events *events, const char *text, size_t len);
void response_events_fini(struct response_events *events);

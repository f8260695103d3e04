/* Copies of one file, known by its fingerprint, have one chat template: what a running engine says
 * of it holds for the copies that are not loaded too. So a request with tools has no copy loaded
 * that cannot call them either. Where engines differ, as one was started with a template of its
 * owner's, nothing is known of the others. */
#pragma once

#include "coordinator/router/seat.h"

/* The seat's instance, which is in the fleet, has come or has said something. O(1) where it says
 * nothing new of its content, else O(instances of its model). */
void alike_update(struct seat *seat);
/* It goes, and is still in the fleet. */
void alike_leave(struct seat *seat);

/* How a placement is sought: greedily with moves and swaps, and exactly. Both change the seating
 * they are given, and never to the worse. */
#pragma once

#include "coordinator/placement/placement_seating.h"

/* Seats who sits nowhere, the weightiest first, wherever it costs least; then moves one service, or
 * rebuilds one node around it, as long as that costs less, up to PLACEMENT_GREEDY_STEPS. -ENOMEM.
 */
MUST_CHECK int placement_search_greedy(struct seating *seating);

/* Puts the best of all seatings in the place of the present one, which tells it where not to look.
 * True where it has looked everywhere within PLACEMENT_EXACT_STEPS; else the best that it has seen.
 * At most PLACEMENT_EXACT_SERVICES services. */
bool placement_search_exact(struct seating *seating);

/* What others do, each as its authors would wish, with what it knows in their own system. All send
 * at once and let requests wait at the node. Ties are drawn by lot, unless told otherwise. */
#pragma once

#include "bench/sim/policies/balancer.h"

/* The nodes in turn. */
extern const struct balancer baseline_round_robin;
/* The node with the fewest requests (nginx: least_conn). */
extern const struct balancer baseline_least_requests;
/* The fewest requests for its speed: least (requests + 1) ÷ prefill speed as told (nginx:
 * least_conn with weights; Envoy: weighted least request). */
extern const struct balancer baseline_speed_weighted;
/* Of two drawn by lot, the one with fewer requests (Mitzenmacher, 2001). */
extern const struct balancer baseline_power_of_two;
/* What people do by hand today: each editor mode has the address of one machine, and stays there,
 * also while it is down. Traces name no modes: each session has one, and they spread evenly. */
extern const struct balancer baseline_port_per_mode;
/* The same by an owner who has measured his machines and gives each its share of the sessions. */
extern const struct balancer baseline_port_by_speed;
/* Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, 2018), as inference
 * gateways have it: the session is the key, 256 points for each node on the ring, and a node takes
 * no more than 1.25 × the mean of requests. */
extern const struct balancer baseline_bounded_hash;
/* The same by an owner who has measured his machines: each has points and a bound by its speed. */
extern const struct balancer baseline_hash_by_speed;
/* LMetric (Zhang et al., "Simple is Better: Multiplication May Be All You Need for LLM Request
 * Scheduling", arXiv 2603.15202): least product of the prompt tokens that the node would have to
 * compute, those that wait there included, and its requests, this one included. */
extern const struct balancer baseline_lmetric;
/* NVIDIA Dynamo's KV router: least weight × blocks of prompts to compute + blocks in use, both
 * with this request, the weight 1 and the temperature 0 that it is shipped with
 * (docs.nvidia.com/dynamo, "Router Design"). */
extern const struct balancer baseline_dynamo;

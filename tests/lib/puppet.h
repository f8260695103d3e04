/* A backend whose every move the test makes: engines become ready, die and exit, and runs bring
 * deltas and end, when the test says so and not before. One set of puppets in a process;
 * puppet_reset() between tests. */
#pragma once

#include "node/backends/backend.h"

#include <stdbool.h>
#include <stddef.h>

enum { PUPPET_RUNS_MAX = 64 };

extern const struct backend_ops puppet_ops;

/* Forgets all counts and checks that no engine and no run is left. */
void puppet_reset(void);

/* The engine of `model` as it is now. While one takes the place of another, "NAME" means the newer
 * and "NAME@old" the older one. */
bool puppet_running(const char *model);  /* started and not yet exited */
bool puppet_stopping(const char *model); /* asked to stop */
bool puppet_lent(const char *model);     /* made for what somebody else has loaded */
unsigned puppet_starts(const char *model);
/* The next run() fails so; 0: it does not. */
void puppet_refuse_next_run(int error);
/* The process that each engine says it is from now on; 0: none. */
void puppet_set_pid(int64_t pid);
/* The next start() fails. */
void puppet_fail_next_start(void);

void puppet_ready(const char *model, uint32_t slots, uint32_t context);
/* It says what it took: `bytes` on GPUs, and as much again in the host's memory. */
void puppet_measured(const char *model, uint64_t bytes, uint32_t output_rows);
void puppet_says(const char *model, const struct backend_measured *measured); /* likewise, whole */
/* Ends its runs as the contract of backend.h asks for, then on_exit. A stop that was asked for
 * makes it wanted. */
void puppet_exit(const char *model, const char *reason);

/* Runs in the order of their start; ended ones keep their index. */
size_t puppet_run_count(void);
const char *puppet_run_body(size_t index);
enum request_kind puppet_run_kind(size_t index);
uint64_t puppet_run_session(size_t index);
uint32_t puppet_run_prompt_tokens(size_t index);
bool puppet_run_paused(size_t index);
bool puppet_run_cancelled(size_t index);
bool puppet_run_open(size_t index);
void puppet_run_delta(size_t index, enum delta_kind kind, const char *data, size_t len);
void puppet_run_usage(size_t index, const struct msg_usage *usage);
void puppet_run_end(size_t index, const struct msg_fail *fail);

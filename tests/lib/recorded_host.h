/* The hosts of tests/lib/hardware/, and the NVML stand-in that answers for their GPUs. */
#pragma once

/* The folder of the host `name`, for a `root`. Valid until the next call. */
const char *recorded_host(const char *name);

/* The stand-in, which lies beside the test's own program; from now on it answers from the file at
 * `answers`, NULL: no GPUs. Valid until the next call. */
const char *recorded_nvml(const char *answers);
/* As recorded_nvml(), of a driver before R450. */
const char *recorded_old_nvml(const char *answers);
/* The answers that are recorded for the host `name`. */
const char *recorded_nvml_of(const char *name);

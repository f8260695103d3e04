/* The guard: a tiny process between the node and one engine, so that the death of either leaves
 * nothing behind.
 *
 *   modemesh-node guard --parent PID --stop-timeout-ms MS [--socket PATH] [--nice N]
 *                       [--stop WORD]… -- COMMAND [WORD]…
 *
 * The kernel's parent-death signal, which `setpriv --pdeathsig` could set, reaches one process
 * only: behind a wrapper script or `podman run` the engine itself would live on and hold its
 * memory. So the node runs itself again as the guard, which is the subreaper of all that the
 * command starts, and ends when none of it is left.
 *
 * - The guard gets SIGTERM when the node asks for a stop, and from the kernel when the node dies in
 * any way (in fact when the thread that started it does: the node's loop thread is its main
 * thread).
 * - Then it runs the stop command where there is one (a container is stopped by its own means),
 * waits for it, sends SIGTERM to the engine's process group, and SIGKILL once --stop-timeout-ms
 * have passed since the beginning.
 * - When the engine has ended, for whatever reason, the stop command has run once too, and every
 * other descendant is killed and reaped. A process that the kernel cannot kill keeps the guard
 * alive: its memory is not free.
 * - Then it removes the engine's socket, and where the node has died the directory that held it,
 * once that is empty.
 * - Where the guard itself is killed by SIGKILL, the engine's own parent-death signal (SIGKILL)
 * ends the engine, and the node what else is in the guard's session: guard_sweep_session().
 *
 * --nice (1 to 19) is added to the engine's niceness, not to the guard's. Linux may divide the
 * processors among sessions first (sched_autogroup, which desktops and most distributions have on),
 * and the guard leads one of its own: an engine's niceness alone would count for nothing against
 * other engines. So that of the session is set to --nice too.
 *
 * The guard ends as the engine did: with its exit status, or by its signal. 127: the command could
 * not be run; 125: the guard itself could not start. One thread, no signal handlers (it waits for
 * signals), no descriptors but 0 to 2, which the engine inherits. */
#pragma once

#include <sys/types.h>

enum { GUARD_STATUS_NOT_RUN = 127, GUARD_NICE_MAX = 19 };
/* How the guard's one line begins where the command could not be run; for people. */
#define GUARD_NOT_RUN "the engine's command "

/* `argv[0]` is "guard". Does not return to a running node: the result is for exit(). */
int guard_main(int argc, char **argv);

/* For the node, once the guard of this process id has ended: kills what is still in its session,
 * which is nothing unless the guard was killed. Blocks for as long as they take to die, 50 ms at
 * most. */
void guard_sweep_session(pid_t guard);

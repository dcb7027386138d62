/*
 * check: `--check` asks a running program whether it is ready, and that program answers.
 *
 * The program answers from its event loop, so a program that hangs does not answer. Request and
 * answer are datagrams on a socket in the abstract namespace, "@pregon-feeder/PID". Such a socket
 * needs no port and no file that could be stale or read-only. The kernel lists these sockets per
 * network namespace: in a container that is the one program in the container, on a host all
 * programs of that name. Any local user may send a request; the answer contains only the state.
 *
 * check_open belongs to the loop's thread. check_request blocks its caller.
 */
#ifndef SHARED_BASE_CHECK_H
#define SHARED_BASE_CHECK_H

#include <stdio.h>

#include "shared/base/loop.h"

#define CHECK_PATIENCE_MS 2000
#define CHECK_STATE_MAX 200

struct check;

/* Returns "ready", or the reason why the program is not ready; valid until the next turn. */
typedef const char *check_state_fn(const void *ctx);

/*
 * Answers requests from now on; `l` and `ctx` must outlive the check. On failure it logs a warning
 * and returns NULL: the program then runs without, and `--check` reports that it is not running.
 */
struct check *check_open(struct loop *l, const char *program, check_state_fn *state,
                         const void *ctx);
void check_close(struct check *c); /* NULL is allowed */

/*
 * Asks every running `program` and prints a line for each ("pregon-feeder 7: ready"). Returns the
 * exit code: 0 if at least one runs and all are ready, else 1.
 */
int check_request(const char *program, int patience_ms, FILE *to);

#endif

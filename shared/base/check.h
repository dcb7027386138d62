/*
 * check: `--check` asks a running program whether it is ready, and the program says so itself.
 *
 * The program answers from its loop, so one that hangs does not answer.  Question and
 * answer are datagrams on a socket in the abstract namespace, "@pregon-feeder/PID": it needs no
 * port, no file that could be stale or not writable, and no descriptor for who asks.
 * The kernel lists them per network namespace: in a container that is the one program in it,
 * on a host all of that name.  Any local user may ask; nothing but the state is told.
 *
 * The side that answers belongs to the loop's thread.  The side that asks blocks.
 */
#ifndef SHARED_BASE_CHECK_H
#define SHARED_BASE_CHECK_H

#include <stdio.h>

#include "shared/base/loop.h"

#define CHECK_PATIENCE_MS 2000
#define CHECK_STATE_MAX 200

struct check;

/* "ready", or in a few words why not; valid until the next turn. */
typedef const char *check_state_fn(const void *ctx);

/*
 * Answer from now on; `l` and `ctx` must outlive it.  NULL with a warning logged: it runs without,
 * and whoever asks is told that it is not there.
 */
struct check *check_open(struct loop *l, const char *program, check_state_fn *state,
                         const void *ctx);
void check_close(struct check *c); /* NULL is allowed */

/*
 * Ask every running `program`, print a line for each ("pregon-feeder 7: ready").
 * Returns the exit code: 0 if there is one and all are ready, else 1.
 */
int check_ask(const char *program, int patience_ms, FILE *to);

#endif

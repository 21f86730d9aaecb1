/* loop.h - the one thread that owns all state of the daemon, and the way back to it.
 *
 * Workers (base/pool.h) get an owned job, touch nothing else, and hand the result back with
 * loop_post.  Everything else in daemon/ is called on the loop thread only. */
#ifndef HOLDFAST_DAEMON_LOOP_H
#define HOLDFAST_DAEMON_LOOP_H

#include "base/err.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

struct loop; /* opaque */

typedef void loop_fn(void *arg);

/* NULL: no memory, no event base. */
struct loop *loop_new(void);
/* What was posted and not run is forgotten.  All events of the base were freed before.
 * NULL is allowed. */
void loop_free(struct loop *loop);

struct event_base *loop_base(struct loop *loop);

/* Milliseconds of the clock that also counts while the machine sleeps (CLOCK_BOOTTIME). */
uint64_t loop_now_ms(void);

/* Runs fn(arg) on the loop thread, soon and in order.  Any thread; never fails (ends the
 * process when out of memory: a lost completion would be a lost promise). */
void loop_post(struct loop *loop, loop_fn *fn, void *arg);

/* Takes back what was posted with this arg and has not run: for an owner that goes away.
 * Loop thread, or when no loop runs. */
void loop_forget(struct loop *loop, const void *arg);

/* Runs until loop_stop; what was posted before that is run.  Runs again when called
 * again. */
HF_MUST_CHECK enum hf_code loop_run(struct loop *loop, struct hf_err *err);
/* Any thread. */
void loop_stop(struct loop *loop);

#endif

/* trace.h - a fast hash of all that happened: two runs with one trace did the same.
 *
 * Not against anybody who wants to cheat: it compares runs of one program.  Cannot fail. */
#ifndef HOLDFAST_SIM_TRACE_H
#define HOLDFAST_SIM_TRACE_H

#include <stddef.h>
#include <stdint.h>

struct trace {
    uint64_t state;
};

void trace_add(struct trace *trace, uint64_t word);
void trace_add_bytes(struct trace *trace, const void *bytes, size_t n);

#endif

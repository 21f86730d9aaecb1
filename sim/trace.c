#include "sim/trace.h"

#include "sim/draw.h"

#include <string.h>

void trace_add(struct trace *trace, uint64_t word)
{
    trace->state = draw_mix(trace->state * UINT64_C(0x100000001b3) + word);
}

void trace_add_bytes(struct trace *trace, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;

    trace_add(trace, n);
    for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
        uint64_t word = 0;

        memcpy(&word, p + i, n - i < sizeof word ? n - i : sizeof word);
        trace_add(trace, word);
    }
}

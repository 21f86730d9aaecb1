/* The bytes of a link: they are frames, or refused; nothing is read beyond what came.  The
 * first byte says whether the other end is known, and how large the reads are. */
#include "daemon/inflow.h"

#include <event2/buffer.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* False: the link would be closed. */
static bool take(struct inflow *inflow, struct evbuffer *input)
{
    for (;;) {
        switch (inflow_take(inflow, input)) {
        case INFLOW_MORE: return true;
        case INFLOW_PIECE: break;
        case INFLOW_FRAME:
            if (inflow->now.header == NULL || inflow->now.have != inflow->now.payload_size)
                abort();
            inflow_release(&inflow->now);
            break;
        case INFLOW_BAD:
        case INFLOW_NO_MEMORY: return false;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct inflow inflow = {.settled = n > 0 && (bytes[0] & 1) != 0};
    struct evbuffer *input = evbuffer_new();
    const size_t step = n > 0 ? (size_t)bytes[0] / 2 + 1 : 1;

    if (input == NULL) return 0;
    for (size_t at = 1; at < n; at += step) {
        const size_t size = n - at < step ? n - at : step;

        if (evbuffer_add(input, bytes + at, size) != 0 || !take(&inflow, input)) break;
    }
    inflow_done(&inflow);
    evbuffer_free(input);
    return 0;
}

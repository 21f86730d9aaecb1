/* incompressible.h - telling, from a sample, what a compressor can do nothing for: photos,
 * films, archives, what is encrypted. */
#ifndef HOLDFAST_SNAPSHOT_INCOMPRESSIBLE_H
#define HOLDFAST_SNAPSHOT_INCOMPRESSIBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True when the bytes of a sample are spread nearly evenly.  It may be wrong both ways, and
 * only ever costs a little space.  False for less than 512 bytes.  Any thread. */
bool looks_incompressible(const uint8_t *bytes, size_t n);

#endif

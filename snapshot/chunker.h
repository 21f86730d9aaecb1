/* chunker.h - keyed FastCDC: where a file is cut into chunks.
 *
 * Xia et al., "The Design of Fast Content-Defined Chunking", IEEE TPDS 31(9), 2020:
 * gear hash, normalised chunking, several bytes per step.  The gear table comes from the
 * vault's secret, so that two vaults cut differently. */
#ifndef HOLDFAST_SNAPSHOT_CHUNKER_H
#define HOLDFAST_SNAPSHOT_CHUNKER_H

#include <stddef.h>
#include <stdint.h>

struct chunker {
    uint64_t gear[256];
    uint64_t gear_shifted[256]; /* gear[i] << 1, for the first of two bytes */
};

void chunker_init(struct chunker *chunker, const uint8_t key[static 32]);

/* The size of the first chunk of the n bytes at p: n itself when n <= CHUNK_SIZE_MIN, else
 * between CHUNK_SIZE_MIN and CHUNK_SIZE_MAX.  Give at least CHUNK_SIZE_MAX bytes unless
 * the file ends before.  The cut depends on the 64 bytes before it and the chunk's
 * beginning only. */
size_t chunker_cut(const struct chunker *chunker, const uint8_t *p, size_t n);

#endif

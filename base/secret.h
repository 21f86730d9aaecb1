/* secret.h - key bytes in memory that is locked, not dumped, and wiped. */
#ifndef HOLDFAST_BASE_SECRET_H
#define HOLDFAST_BASE_SECRET_H

#include <stddef.h>
#include <stdint.h>

/* Overwrites n bytes even when the optimiser can prove nobody reads them. */
void hf_wipe(void *p, size_t n);

struct hf_secret {
    size_t size;
    uint8_t *b; /* `size` bytes */
};

/* Zeroed memory for `size` bytes, kept out of swap (as far as RLIMIT_MEMLOCK
 * allows) and out of core dumps.  NULL when out of memory. */
struct hf_secret *hf_secret_new(size_t size);
/* Wipes and releases.  NULL is allowed. */
void hf_secret_free(struct hf_secret *secret);

/* No core dumps and no ptrace by others for this process.  Called once by main. */
void hf_secret_harden_process(void);

#endif

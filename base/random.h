/* random.h - the operating system's random bytes. */
#ifndef HOLDFAST_BASE_RANDOM_H
#define HOLDFAST_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* n bytes from the kernel's generator; ends the process if the kernel has none
 * (there is nothing safe that could be done instead).  Any thread. */
void hf_random(void *bytes, size_t n);

/* n bytes for filling space that must look random: AES-CTR under a fresh key.
 * Much faster than hf_random for large n.  Any thread. */
void hf_random_fill(void *bytes, size_t n);

#endif

/* buffer.h - bytes with several owners: a fragment on its way from a link to the disk,
 * or to fourteen peers at once, is never copied. */
#ifndef HOLDFAST_BASE_BUFFER_H
#define HOLDFAST_BASE_BUFFER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct hf_buffer {
    atomic_uint references;
    size_t size;
    uint8_t *b; /* written only while there is one reference */
};

/* `size` bytes, not zeroed, one reference.  NULL: no memory. */
struct hf_buffer *hf_buffer_new(size_t size);
/* Adds a reference; returns buffer (NULL is allowed). */
struct hf_buffer *hf_buffer_ref(struct hf_buffer *buffer);
/* Drops one; the last frees it.  NULL is allowed.  Any thread. */
void hf_buffer_unref(struct hf_buffer *buffer);

#endif

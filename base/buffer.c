#include "base/buffer.h"

#include <stdlib.h>

struct hf_buffer *hf_buffer_new(size_t size)
{
    struct hf_buffer *buffer;
    size_t total;

    if (__builtin_add_overflow(sizeof *buffer, size, &total)) return NULL;
    buffer = malloc(total);
    if (buffer == NULL) return NULL;
    atomic_init(&buffer->references, 1);
    buffer->size = size;
    buffer->b = (uint8_t *)(buffer + 1);
    return buffer;
}

struct hf_buffer *hf_buffer_ref(struct hf_buffer *buffer)
{
    if (buffer != NULL)
        (void)atomic_fetch_add_explicit(&buffer->references, 1, memory_order_relaxed);
    return buffer;
}

void hf_buffer_unref(struct hf_buffer *buffer)
{
    if (buffer != NULL &&
        atomic_fetch_sub_explicit(&buffer->references, 1, memory_order_acq_rel) == 1)
        free(buffer);
}

#include "snapshot/reference.h"

#include "snapshot/limits.h"

#include "blockstore/block_store.h"

#include <string.h>

#define FORMAT 1u /* the key stands in the reference */

void chunk_ref_put(struct hf_writer *w, const struct chunk_ref *ref, bool same_block)
{
    hf_put_array(w, 8);
    hf_put_uint(w, FORMAT);
    if (same_block)
        hf_put_null(w);
    else
        hf_put_id(w, &ref->frame.block);
    hf_put_uint(w, ref->frame.offset);
    hf_put_uint(w, ref->frame.size);
    hf_put_bytes(w, ref->frame.key, sizeof ref->frame.key);
    hf_put_uint(w, ref->offset);
    hf_put_uint(w, ref->size);
    hf_put_id(w, &ref->id);
}

void chunk_ref_get(struct hf_reader *r, struct chunk_ref *ref, const struct hf_id *block)
{
    memset(ref, 0, sizeof *ref);
    if (hf_get_array(r, 8, 1) != 8 || hf_get_u32(r) != FORMAT) hf_reader_fail(r);
    if (block != NULL && hf_get_if_null(r))
        ref->frame.block = *block;
    else
        hf_get_id(r, &ref->frame.block);
    ref->frame.offset = (uint32_t)hf_get_uint(r, BLOCK_SIZE_MAX);
    ref->frame.size = (uint32_t)hf_get_uint(r, FRAME_SEALED_MAX);
    hf_get_fixed(r, ref->frame.key, sizeof ref->frame.key);
    ref->offset = (uint32_t)hf_get_uint(r, FRAME_PLAIN_MAX);
    ref->size = (uint32_t)hf_get_uint(r, CHUNK_SIZE_MAX);
    hf_get_id(r, &ref->id);
    if (ref->frame.offset + ref->frame.size > BLOCK_SIZE_MAX ||
        ref->offset + ref->size > FRAME_PLAIN_MAX)
        hf_reader_fail(r);
}

void stream_root_put(struct hf_writer *w, const struct stream_root *root, bool same_block)
{
    hf_put_array(w, 3);
    hf_put_uint(w, root->size);
    hf_put_uint(w, root->depth);
    if (root->size == 0)
        hf_put_null(w);
    else
        chunk_ref_put(w, &root->chunk, same_block);
}

void stream_root_get(struct hf_reader *r, struct stream_root *root,
                     const struct hf_id *block)
{
    memset(root, 0, sizeof *root);
    if (hf_get_array(r, 3, 1) != 3) hf_reader_fail(r);
    root->size = hf_get_uint(r, INT64_MAX);
    root->depth = (uint32_t)hf_get_uint(r, STREAM_DEPTH_MAX);
    if (hf_get_if_null(r)) {
        if (root->size != 0 || root->depth != 0) hf_reader_fail(r);
        return;
    }
    if (root->size == 0) hf_reader_fail(r);
    chunk_ref_get(r, &root->chunk, block);
    if (root->depth == 0 && root->chunk.size != root->size) hf_reader_fail(r);
}

bool stream_root_same(const struct stream_root *a, const struct stream_root *b)
{
    return a->size == b->size && a->depth == b->depth &&
           (a->size == 0 || hf_id_equal(&a->chunk.id, &b->chunk.id));
}

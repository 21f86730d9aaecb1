#include "snapshot/stream.h"

#include "base/alloc.h"
#include "base/types.h"

#include <stdlib.h>
#include <string.h>

#define VERSION 1u

enum key { KEY_LEVEL = 2, KEY_CHILDREN = 3 };

/* From so many children on, finished groups are written now and then rather than at the
 * end; and when so many wait for their block (of a huge sparse file, whose zeros are all
 * one chunk), what is open is stored. */
#define EARLY_COUNT (2 * STREAM_FANOUT_MAX)
#define EARLY_STEP  512u
#define WAITING_MAX (16 * STREAM_FANOUT_MAX)

void stream_writer_init(struct stream_writer *writer, struct packer *packer)
{
    memset(writer, 0, sizeof *writer);
    writer->packer = packer;
}

void stream_writer_done(struct stream_writer *writer)
{
    for (size_t i = 0; i <= STREAM_DEPTH_MAX; i++) {
        struct stream_level *level = &writer->levels[i];

        for (size_t j = 0; j < level->count; j++)
            packed_done(&level->children[j].packed);
        free(level->children);
    }
    memset(writer, 0, sizeof *writer);
}

static enum hf_code level_add(struct stream_level *level, uint64_t size,
                              struct packed *packed, struct hf_err *err)
{
    struct stream_child *grown =
        hf_grow_array(level->children, &level->capacity, level->count + 1, sizeof *grown);

    if (grown == NULL) {
        packed_done(packed);
        return hf_fail(err, HF_NO_MEMORY, "stream: out of memory");
    }
    level->children = grown;
    grown[level->count].size = size;
    grown[level->count++].packed = *packed;
    packed->pending = NULL;
    return HF_OK;
}

/* A group ends where the child's id says so, so that an insertion moves few ends. */
static bool ends_group(const struct stream_child *child, size_t count)
{
    const uint8_t *id = child->packed.ref.id.b;

    if (count >= STREAM_FANOUT_MAX) return true;
    return count >= STREAM_FANOUT_MIN && (((unsigned)id[0] << 8 | id[1]) & 0x3ffu) == 0;
}

static size_t group_size(const struct stream_level *level, size_t from)
{
    size_t count = 0;

    while (from + count < level->count) {
        count++;
        if (ends_group(&level->children[from + count - 1], count)) break;
    }
    return count;
}

/* The first group, if all of it, its end included, can be referred to; else 0. */
static size_t first_group(const struct stream_level *level)
{
    for (size_t count = 1; count <= level->ready; count++) {
        if (ends_group(&level->children[count - 1], count)) return count;
    }
    return 0;
}

struct node {
    struct stream_child *children;
    size_t count, level;
};

static void encode_node(void *arg, struct packer *packer, struct hf_writer *w)
{
    struct node *node = arg;

    hf_put_header(w, 2, HF_TYPE_STREAM_NODE, VERSION);
    hf_put_key(w, KEY_LEVEL);
    hf_put_uint(w, node->level + 1);
    hf_put_key(w, KEY_CHILDREN);
    hf_put_array(w, node->count);
    for (size_t i = 0; i < node->count; i++) {
        hf_put_array(w, 2);
        hf_put_uint(w, node->children[i].size);
        packer_put_chunk(packer, w, &node->children[i].packed);
    }
}

/* True when all children are ready to be referred to. */
static bool level_ready(struct stream_writer *writer, struct stream_level *level)
{
    while (level->ready < level->count &&
           packed_ready(writer->packer, &level->children[level->ready].packed))
        level->ready++;
    return level->ready == level->count;
}

/* Writes the node over children [from, from + count) of a level into the level above. */
static enum hf_code write_group(struct stream_writer *writer, size_t at, size_t from,
                                size_t count, struct hf_err *err)
{
    struct stream_level *level = &writer->levels[at];
    struct node node = {level->children + from, count, at};
    struct packed packed;
    uint64_t size = 0;
    bool ready = true;
    enum hf_code rc;

    if (at == STREAM_DEPTH_MAX)
        return hf_fail(err, HF_TOO_LARGE, "stream: too many chunks");
    /* What is written refers to all of these at once: make sure of the last moment. */
    for (size_t i = from; i < from + count; i++) {
        if (!packed_ready(writer->packer, &level->children[i].packed)) ready = false;
    }
    if (!ready)
        return hf_fail(err, HF_INVALID, "stream: written before its chunks have a place");
    rc = packer_add_tree(writer->packer, FRAME_TREE, encode_node, &node, &packed, err);
    if (rc != HF_OK) return rc;
    for (size_t i = from; i < from + count; i++) {
        size += level->children[i].size;
        packed_done(&level->children[i].packed);
    }
    return level_add(&writer->levels[at + 1], size, &packed, err);
}

static void drop_front(struct stream_level *level, size_t count)
{
    level->count -= count;
    level->ready -= count;
    memmove(level->children, level->children + count,
            level->count * sizeof *level->children);
}

/* Writes the finished groups that can be written, while there are many children. */
static enum hf_code write_early(struct stream_writer *writer, struct hf_err *err)
{
    struct stream_level *level = &writer->levels[0];
    enum hf_code rc = HF_OK;
    size_t count;

    (void)level_ready(writer, level);
    while (rc == HF_OK && level->count >= EARLY_COUNT && (count = first_group(level)) > 0) {
        rc = write_group(writer, 0, 0, count, err);
        if (rc == HF_OK) drop_front(level, count);
    }
    return rc;
}

enum hf_code stream_writer_add(struct stream_writer *writer, uint64_t size,
                               struct packed *packed, struct hf_err *err)
{
    struct stream_level *level = &writer->levels[0];
    enum hf_code rc = level_add(level, size, packed, err);

    writer->size += size;
    if (rc != HF_OK || level->count < EARLY_COUNT) return rc;
    return level->count % EARLY_STEP == 0 ? write_early(writer, err) : HF_OK;
}

enum hf_code stream_writer_relieve(struct stream_writer *writer, struct hf_err *err)
{
    struct stream_level *level = &writer->levels[0];
    enum hf_code rc = HF_OK;

    if (level->count < WAITING_MAX) return HF_OK;
    if (!level_ready(writer, level)) rc = packer_finish_data(writer->packer, err);
    return rc == HF_OK ? write_early(writer, err) : rc;
}

bool stream_writer_ready(struct stream_writer *writer)
{
    struct stream_level *level = &writer->levels[0];

    if (level->count <= 1 && writer->levels[1].count == 0) return true;
    return level_ready(writer, level);
}

enum hf_code stream_writer_finish(struct stream_writer *writer, struct stream_packed *out,
                                  struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    memset(out, 0, sizeof *out);
    out->size = writer->size;
    for (size_t at = 0; rc == HF_OK && at <= STREAM_DEPTH_MAX; at++) {
        struct stream_level *level = &writer->levels[at];
        bool top = at == STREAM_DEPTH_MAX || writer->levels[at + 1].count == 0;

        if (level->count == 0 && top) break;
        if (level->count == 1 && top) {
            out->depth = (uint32_t)at;
            out->chunk = level->children[0].packed;
            level->count = 0;
            break;
        }
        for (size_t from = 0; rc == HF_OK && from < level->count;) {
            size_t count = group_size(level, from);

            rc = write_group(writer, at, from, count, err);
            from += count;
        }
        level->count = rc == HF_OK ? 0 : level->count;
    }
    return rc;
}

void stream_packed_done(struct stream_packed *stream)
{
    packed_done(&stream->chunk);
}

struct stream_packed stream_packed_known(const struct stream_root *root)
{
    return (struct stream_packed){root->size, root->depth, packed_known(&root->chunk)};
}

#include "snapshot/parent_dir.h"

#include "base/log.h"

#include <string.h>

void parent_dir_open(struct parent_dir *dir, struct fetcher *fetcher, struct index *index,
                     const struct stream_root *root)
{
    *dir = (struct parent_dir){.fetcher = fetcher, .index = index};
    dir->reader = tree_reader_new(fetcher, root);
}

void parent_dir_close(struct parent_dir *dir)
{
    tree_reader_free(dir->reader);
    dir->reader = NULL;
    dir->next = NULL;
}

/* Only small files share frames: their stream is one chunk. */
static void count_file(const struct parent_dir *dir, const struct tree_entry *file)
{
    if (file->has_stream && file->stream.size > 0 && file->stream.depth == 0)
        index_frame_shift(dir->index, &file->stream.chunk.frame,
                          (int64_t)file->stream.size);
}

/* What cannot be read is not counted. */
static void count_tree(const struct parent_dir *dir, const struct tree_entry *top)
{
    struct tree_reader *readers[TREE_DEPTH_MAX];
    size_t depth = 0;

    readers[depth++] = tree_reader_new(dir->fetcher, &top->stream);
    while (depth > 0) {
        const struct tree_entry *entry = NULL;
        struct hf_err err;

        if (readers[depth - 1] == NULL ||
            tree_reader_next(readers[depth - 1], &entry, &err) != HF_OK || entry == NULL) {
            tree_reader_free(readers[--depth]);
        } else if (entry->type == TREE_FILE) {
            count_file(dir, entry);
        } else if (entry->type == TREE_DIR && depth < TREE_DEPTH_MAX) {
            readers[depth] = tree_reader_new(dir->fetcher, &entry->stream);
            depth++;
        }
    }
}

void parent_dir_count_dead(const struct parent_dir *dir, const struct tree_entry *entry)
{
    if (dir->index == NULL) return;
    if (entry->type == TREE_FILE) count_file(dir, entry);
    if (entry->type == TREE_DIR) count_tree(dir, entry);
}

/* Reads the next entry, if it has not been; false: there is none. */
static bool look_ahead(struct parent_dir *dir, const char *path)
{
    struct hf_err err;

    if (dir->reader == NULL) return false;
    if (dir->next == NULL && tree_reader_next(dir->reader, &dir->next, &err) != HF_OK) {
        hf_log(HF_LOG_WARN, "backup", "%s: the parent snapshot cannot be read here: %s",
               path, err.msg);
        dir->next = NULL;
        dir->differs = true;
    }
    if (dir->next == NULL) parent_dir_close(dir);
    return dir->next != NULL;
}

static void pass_over(struct parent_dir *dir)
{
    dir->differs = true;
    parent_dir_count_dead(dir, dir->next);
    dir->next = NULL;
}

const struct tree_entry *parent_dir_find(struct parent_dir *dir, struct span name,
                                         const char *path)
{
    while (look_ahead(dir, path)) {
        const struct tree_entry *entry = dir->next;
        int order = tree_name_compare(entry->name, name);

        if (order > 0) return NULL;
        if (order == 0) {
            dir->next = NULL; /* used up */
            return entry;
        }
        pass_over(dir);
    }
    return NULL;
}

void parent_dir_finish(struct parent_dir *dir, const char *path)
{
    while (look_ahead(dir, path))
        pass_over(dir);
}

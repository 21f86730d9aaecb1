#include "snapshot/restore_file.h"

#include "snapshot/restore_delete.h"
#include "snapshot/restore_entry.h"
#include "snapshot/restore_links.h"
#include "snapshot/restore_there.h"
#include "snapshot/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- life ---- */

struct restore_file *restore_file_new(struct restore_job *job, struct restore_dir *dir,
                                      struct tree_entry *entry)
{
    struct restore_file *f = calloc(1, sizeof *f);

    if (f == NULL) {
        free(entry);
        return NULL;
    }
    f->job = job;
    f->dir = dir;
    f->entry = entry;
    f->fd = f->write_fd = f->dir_fd = -1;
    atomic_init(&f->parts, 1);
    (void)pthread_mutex_init(&f->mutex, NULL);
    restore_turn_init(&f->turn);
    (void)atomic_fetch_add(&dir->pending, 1);
    return f;
}

size_t restore_file_bytes(const struct restore_file *file)
{
    return sizeof *file + restore_entry_bytes(file->entry);
}

void restore_file_hold(struct restore_file *file)
{
    (void)atomic_fetch_add(&file->parts, 1);
}

void restore_file_fail(struct restore_file *f, const struct hf_err *err, bool reading)
{
    (void)pthread_mutex_lock(&f->mutex);
    if (!atomic_load(&f->failed)) {
        f->err = *err;
        f->reading = reading;
        atomic_store(&f->failed, true);
    }
    (void)pthread_mutex_unlock(&f->mutex);
}

static void release(struct restore_worker *worker, struct restore_file *f)
{
    struct restore_dir *dir = f->dir;

    (void)restore_file_close(f);
    if (f->has_dir) restore_dir_give(f->job->dirs, dir);
    hole_map_done(&f->holes);
    restore_turn_done(&f->turn);
    (void)pthread_mutex_destroy(&f->mutex);
    free(f->entry);
    free(f);
    restore_dir_finish(worker, dir);
}

/* ---- content ---- */

/* What is not there yet: true when it is to be written. */
static bool begin_change(struct restore_file *f, uint64_t offset, size_t size,
                         enum hf_code *rc, struct hf_err *err)
{
    bool in_place = true;

    *rc = HF_OK;
    if (f->job->pass == RESTORE_VERIFY) {
        *rc =
            hf_fail(err, HF_CORRUPT, "verify: %zu bytes at %llu are not as in the snapshot",
                    size, (unsigned long long)offset);
        return false;
    }
    (void)atomic_fetch_add(&f->written, size);
    if (f->job->pass == RESTORE_LOOK) {
        atomic_store(&f->changed, true);
        return false;
    }
    if (!f->fresh) restore_make_writable(f, &in_place);
    return in_place;
}

static struct restore_output output_of(const struct restore_file *f)
{
    return (struct restore_output){f->write_fd, &f->holes, f->fresh};
}

static void note_holes(struct restore_file *f, const uint8_t *bytes, size_t n,
                       uint64_t offset)
{
    if (!f->fresh && !restore_holes_true(&f->holes, bytes, n, offset))
        atomic_store(&f->holes_lie, true);
}

static enum hf_code put_inline(struct restore_worker *worker, struct restore_file *f,
                               struct hf_err *err)
{
    const struct span content = f->entry->content;
    struct restore_output output;
    enum hf_code rc;

    if (!f->fresh &&
        restore_bytes_there(&worker->buffer, f->fd, content.bytes, content.size))
        return HF_OK;
    if (!begin_change(f, 0, content.size, &rc, err)) return rc;
    output = output_of(f);
    return restore_output_write(&output, content.bytes, content.size, 0, err);
}

static void hold(void *arg)
{
    restore_file_hold(arg);
}

/* Whoever writes has a part of the file, so this is not the last one. */
static void unhold(void *arg, const struct hf_err *err)
{
    struct restore_file *f = arg;

    if (err != NULL) restore_file_fail(f, err, false);
    (void)atomic_fetch_sub(&f->parts, 1);
}

static enum hf_code put_chunk(struct restore_worker *worker, struct restore_file *f,
                              const struct restore_chunk *chunk, bool *reading,
                              struct hf_err *err)
{
    const struct restore_turn_calls calls = {hold, unhold, f};
    const struct fetch_company company = {worker->at_hand, worker->at_hand_count};
    struct restore_output output;
    struct fetched fetched;
    enum hf_code rc;

    *reading = false;
    memset(&fetched, 0, sizeof fetched);
    if (!f->fresh && restore_hole_there(f->fd, chunk) &&
        restore_chunk_in_hole(&worker->buffer, &f->holes, chunk))
        return HF_OK; /* nothing need be read */
    if (!f->fresh && restore_chunk_there(&worker->buffer, f->fd, chunk)) {
        note_holes(f, worker->buffer.bytes, chunk->ref.size, chunk->offset);
        return HF_OK;
    }
    if (f->fresh && restore_chunk_in_hole(&worker->buffer, &f->holes, chunk)) return HF_OK;
    if (f->job->pass == RESTORE_WRITE) { /* before anything that is there is changed */
        rc = fetch_chunk_among(f->job->options->fetcher, FRAME_DATA, &chunk->ref, &company,
                               &fetched, err);
        *reading = rc != HF_OK;
        if (rc != HF_OK) return rc;
    }
    if (begin_change(f, chunk->offset, chunk->ref.size, &rc, err)) {
        output = output_of(f);
        note_holes(f, fetched.bytes, fetched.size, chunk->offset);
        rc = restore_turn_write(&f->turn, &output, &fetched, chunk->offset, &calls, err);
    }
    fetched_done(&fetched);
    return rc;
}

static bool goes_on(const struct restore_file *f)
{
    return f->state == RESTORE_FILE_OPEN && !atomic_load(&f->failed) &&
           !atomic_load(&f->job->stop);
}

static void put_chunks(struct restore_worker *worker, struct restore_file *f,
                       const struct restore_chunk *chunks, size_t count)
{
    struct hf_err err;
    bool reading = false;
    enum hf_code rc = HF_OK;

    if (!f->entry->has_stream && goes_on(f)) rc = put_inline(worker, f, &err);
    for (size_t i = 0; rc == HF_OK && i < count && goes_on(f) && !atomic_load(&f->again);
         i++)
        rc = put_chunk(worker, f, &chunks[i], &reading, &err);
    if (rc != HF_OK) restore_file_fail(f, &err, reading);
}

/* The whole content, by one thread. */
static void put_stream(struct restore_worker *worker, struct restore_file *f)
{
    struct stream_cursor *cursor =
        stream_cursor_new(f->job->options->fetcher, FRAME_DATA, &f->entry->stream);
    struct restore_chunk chunk;
    struct hf_err err;
    enum hf_code rc = HF_OK;

    if (cursor == NULL) {
        (void)hf_fail(&err, HF_NO_MEMORY, "out of memory");
        restore_file_fail(f, &err, false);
        return;
    }
    while (goes_on(f)) {
        rc = stream_cursor_next_ref(cursor, &chunk.ref, &chunk.offset, &err);
        if (rc != HF_OK || chunk.ref.size == 0) break;
        put_chunks(worker, f, &chunk, 1);
    }
    if (rc != HF_OK) restore_file_fail(f, &err, true);
    stream_cursor_free(cursor);
}

/* A new file in the place of one that could not be changed. */
static void write_again(struct restore_worker *worker, struct restore_file *f)
{
    struct hf_err err;
    enum hf_code rc;

    (void)restore_file_close(f);
    atomic_store(&f->again, false);
    atomic_store(&f->written, 0);
    rc = restore_replace(f, &err);
    if (rc == HF_OK) rc = restore_prepare_content(f, true, &err);
    if (rc != HF_OK)
        restore_file_fail(f, &err, false);
    else if (f->entry->has_stream)
        put_stream(worker, f);
    else
        put_chunks(worker, f, NULL, 0);
}

/* ---- parts ---- */

static void begin(struct restore_file *f, bool several)
{
    struct hf_err err;
    enum hf_code rc = HF_OK;

    (void)pthread_mutex_lock(&f->mutex);
    if (f->state == RESTORE_FILE_NEW) {
        if (f->entry->type == TREE_FILE) {
            rc = restore_prepare(f, &err);
            if (rc == HF_OK) rc = restore_prepare_content(f, several, &err);
        } else {
            rc = restore_prepare_other(f, &err);
        }
        if (rc != HF_OK) f->state = RESTORE_FILE_FAILED;
    }
    (void)pthread_mutex_unlock(&f->mutex);
    if (rc != HF_OK) restore_file_fail(f, &err, false);
}

void restore_file_part(struct restore_worker *worker, struct restore_file *file,
                       const struct restore_chunk *chunks, size_t count)
{
    bool several = count > 0 && (chunks[0].offset > 0 ||
                                 chunks[count - 1].offset + chunks[count - 1].ref.size <
                                     file->entry->size);

    if (atomic_load(&file->failed) || atomic_load(&file->job->stop)) return;
    begin(file, several);
    if (file->entry->type == TREE_FILE) put_chunks(worker, file, chunks, count);
}

/* ---- the end ---- */

static void set_meta(struct restore_worker *worker, struct restore_file *f)
{
    const struct restore_output output = output_of(f);
    struct hf_err err;
    enum hf_code rc;

    if (!f->fresh && output.fd >= 0 && f->entry->has_stream && !atomic_load(&f->holes_lie))
        restore_output_punch_all(&output);
    if (f->fd >= 0)
        rc = restore_meta_set(&worker->meta, f->fd, f->dir_fd, restore_file_name(f),
                              f->entry, &err);
    else
        rc = restore_meta_set_at(&worker->meta, f->dir_fd, restore_file_name(f), f->entry,
                                 &err);
    if (rc != HF_OK) restore_report(f->job, f->dir, restore_file_name(f), &err, false);
}

static void count_done(struct restore_file *f)
{
    struct restore_counts *c = &f->job->counts;
    bool file = f->entry->type == TREE_FILE;

    (void)pthread_mutex_lock(&f->job->mutex);
    if (f->job->pass == RESTORE_VERIFY) {
        if (file && f->state != RESTORE_FILE_KEPT) c->verified++;
    } else if (f->state == RESTORE_FILE_KEPT) {
        c->kept++;
    } else if (!atomic_load(&f->changed) && f->state != RESTORE_FILE_ABSENT) {
        c->unchanged++;
    } else {
        *(file ? &c->files : &c->others) += 1;
        c->bytes += f->entry->size;
        c->bytes_written +=
            f->state == RESTORE_FILE_ABSENT ? f->entry->size : atomic_load(&f->written);
    }
    (void)pthread_mutex_unlock(&f->job->mutex);
}

/* The inode that others of its group may be linked to; 0: none. */
static ino_t inode_of(const struct restore_file *f, dev_t *device)
{
    struct stat st;

    if (f->state == RESTORE_FILE_KEPT ||
        fstatat(f->dir_fd, restore_file_name(f), &st, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    *device = st.st_dev;
    return st.st_ino;
}

/* Some file systems say only now that there was no room. */
static void close_written(struct restore_file *f)
{
    struct hf_err err;
    int errnum = restore_file_close(f);

    if (errnum == 0) return;
    (void)hf_fail_errno(&err, errnum, "close");
    restore_file_fail(f, &err, false);
}

/* Everything is there.  Sets *device and *inode for the group. */
static void complete(struct restore_worker *worker, struct restore_file *f, dev_t *device,
                     ino_t *inode)
{
    bool changed =
        atomic_load(&f->changed) || f->touched || f->state == RESTORE_FILE_ABSENT;

    if (f->job->pass == RESTORE_WRITE && f->state != RESTORE_FILE_KEPT) {
        set_meta(worker, f);
        close_written(f);
        if (atomic_load(&f->failed)) return;
    }
    if (f->group != NULL && f->job->pass == RESTORE_WRITE) *inode = inode_of(f, device);
    count_done(f);
    if (changed && f->job->pass != RESTORE_VERIFY && f->state != RESTORE_FILE_KEPT)
        restore_tell(f->job, f->dir, restore_file_name(f), "write");
}

static void give_up(struct restore_file *f)
{
    /* A part of a file is no file. */
    if (f->touched && f->job->pass == RESTORE_WRITE && f->dir_fd >= 0)
        (void)unlinkat(f->dir_fd, restore_file_name(f), 0);
    if (f->job->pass == RESTORE_VERIFY)
        restore_report_mismatch(f->job, f->dir, restore_file_name(f), &f->err);
    else
        restore_report(f->job, f->dir, restore_file_name(f), &f->err, f->reading);
}

/* A file that is to be read back, and is not there or is something else. */
static void check_presence(struct restore_file *f)
{
    struct hf_err err;

    if (f->job->pass != RESTORE_VERIFY || f->state != RESTORE_FILE_ABSENT) return;
    (void)hf_fail(&err, HF_NOT_FOUND,
                  "verify: no such file of this type and size that can be read is there");
    restore_file_fail(f, &err, false);
}

static void link_waiting(struct restore_worker *worker, struct restore_file *waiting)
{
    while (waiting != NULL) {
        struct restore_file *next = waiting->next;

        restore_file_link(worker, waiting);
        waiting = next;
    }
}

/* Ends a file of which nothing is left to be done. */
static void finish(struct restore_worker *worker, struct restore_file *f)
{
    struct restore_file *waiting = NULL;
    dev_t device = 0;
    ino_t inode = 0;

    if (atomic_load(&f->again) && goes_on(f)) write_again(worker, f);
    check_presence(f);
    if (!atomic_load(&f->failed) && !atomic_load(&f->job->stop) &&
        f->state != RESTORE_FILE_NEW)
        complete(worker, f, &device, &inode);
    if (atomic_load(&f->failed)) give_up(f);
    if (f->group != NULL && f->job->links != NULL)
        waiting = restore_links_done(f->job->links, f, f->first, device, inode);
    release(worker, f);
    link_waiting(worker, waiting);
}

void restore_file_end(struct restore_worker *worker, struct restore_file *file)
{
    if (atomic_fetch_sub(&file->parts, 1) == 1) finish(worker, file);
}

/* ---- hard links ---- */

/* HF_OK: it is another name of the file at `place`, or stays as `overwrite` says. */
static enum hf_code link_to(struct restore_file *f, const struct restore_place *place,
                            int from_fd, struct hf_err *err)
{
    struct stat st;
    enum hf_code rc;

    if (fstatat(from_fd, place->name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        st.st_dev != place->device || st.st_ino != place->inode)
        return hf_fail(err, HF_IO, "the first of its names is no longer there");
    if (fstatat(f->dir_fd, restore_file_name(f), &st, AT_SYMLINK_NOFOLLOW) == 0) {
        f->state = RESTORE_FILE_RIGHT;
        if (st.st_dev == place->device && st.st_ino == place->inode) return HF_OK;
        f->state = RESTORE_FILE_KEPT;
        if (restore_file_stays(f, &st)) return HF_OK;
        rc = restore_clear_way(f->job, f->dir, f->dir_fd, restore_file_name(f), err);
        if (rc != HF_OK) return rc;
    }
    if (linkat(from_fd, place->name, f->dir_fd, restore_file_name(f), 0) != 0)
        return hf_fail_errno(err, errno, "link");
    atomic_store(&f->changed, true);
    f->state = RESTORE_FILE_RIGHT;
    return HF_OK;
}

static enum hf_code try_link(struct restore_file *f, struct hf_err *err)
{
    struct restore_place place;
    int from_fd;
    enum hf_code rc;

    if (!restore_links_place(f->job->links, f, &place))
        return hf_fail(err, HF_NOT_FOUND, "the first of its names failed");
    rc = restore_file_take_dir(f, err);
    if (rc == HF_OK) {
        rc = restore_dir_take(f->job->dirs, place.dir, &from_fd, err);
        if (rc == HF_OK) {
            rc = link_to(f, &place, from_fd, err);
            restore_dir_give(f->job->dirs, place.dir);
        }
    }
    restore_links_place_done(f->job->links, &place);
    return rc;
}

void restore_file_link(struct restore_worker *worker, struct restore_file *f)
{
    struct hf_err err;

    if (!atomic_load(&f->job->stop) && try_link(f, &err) == HF_OK) {
        count_done(f);
        if (atomic_load(&f->changed))
            restore_tell(f->job, f->dir, restore_file_name(f), "write");
        release(worker, f);
        return;
    }
    f->state = RESTORE_FILE_NEW;
    if (!atomic_load(&f->job->stop)) begin(f, true);
    if (f->entry->type == TREE_FILE && f->entry->has_stream)
        put_stream(worker, f);
    else if (f->entry->type == TREE_FILE)
        put_chunks(worker, f, NULL, 0);
    restore_file_end(worker, f);
}

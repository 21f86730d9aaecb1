#include "snapshot/restore_file.h"

#include "snapshot/restore_delete.h"
#include "snapshot/restore_entry.h"
#include "snapshot/restore_links.h"
#include "snapshot/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum state {
    NEW,     /* nothing was looked at */
    WRITING, /* fd is open */
    ABSENT,  /* not there, and only looked at */
    RIGHT,   /* content taken as right; metadata is set */
    KEPT,    /* stays as it is */
    FAILED
};

struct restore_file {
    struct restore_job *job;
    struct restore_dir *dir;
    struct tree_entry *entry;
    struct restore_group *group; /* or NULL */
    bool first;                  /* of the group */
    struct restore_file *next;   /* of those that wait */
    atomic_uint parts;
    atomic_bool failed, changed; /* changed: something was, or would be, written */
    atomic_bool again;           /* cannot be changed in place: write a new one */
    atomic_bool holes_lie;       /* something stands where the map says that nothing does */
    atomic_uint_fast64_t written;

    pthread_mutex_t mutex; /* guards all below while there are several parts */
    enum state state;
    int dir_fd;   /* borrowed from dir while has_dir */
    int fd;       /* read, or written when fresh; -1 */
    int write_fd; /* fd, or another one of the same file, or -1 */
    bool has_dir;
    bool fresh;    /* made by us */
    bool own_name; /* it has no other names: may be changed in place */
    struct hole_map holes;
    struct hf_err err;
    bool reading; /* the error is one of reading the store */
    bool touched; /* what is at the name now is not whole */
};

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
    (void)atomic_fetch_add(&dir->pending, 1);
    return f;
}

const struct tree_entry *restore_file_entry(const struct restore_file *file)
{
    return file->entry;
}

struct restore_dir *restore_file_dir(const struct restore_file *file)
{
    return file->dir;
}

size_t restore_file_bytes(const struct restore_file *file)
{
    return sizeof *file + restore_entry_bytes(file->entry);
}

struct restore_group *restore_file_group(const struct restore_file *file)
{
    return file->group;
}

void restore_file_set_group(struct restore_file *file, struct restore_group *group,
                            bool first)
{
    file->group = group;
    file->first = first;
}

struct restore_file *restore_file_next(const struct restore_file *file)
{
    return file->next;
}

void restore_file_set_next(struct restore_file *file, struct restore_file *next)
{
    file->next = next;
}

void restore_file_hold(struct restore_file *file)
{
    (void)atomic_fetch_add(&file->parts, 1);
}

static const char *name_of(const struct restore_file *f)
{
    return restore_entry_name(f->entry);
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

static void close_handles(struct restore_file *f)
{
    if (f->write_fd >= 0 && f->write_fd != f->fd) (void)close(f->write_fd);
    if (f->fd >= 0) (void)close(f->fd);
    f->fd = f->write_fd = -1;
}

static void release(struct restore_worker *worker, struct restore_file *f)
{
    struct restore_dir *dir = f->dir;

    close_handles(f);
    if (f->has_dir) restore_dir_give(f->job->dirs, dir);
    hole_map_done(&f->holes);
    (void)pthread_mutex_destroy(&f->mutex);
    free(f->entry);
    free(f);
    restore_dir_finish(worker, dir);
}

/* ---- what is there already ---- */

static bool can_be_kept(const struct restore_file *f, const struct stat *st)
{
    if (restore_unfinished(st)) return false;
    switch (f->job->options->overwrite) {
    case RESTORE_NEVER:
        return f->job->pass != RESTORE_VERIFY || !restore_time_same(st, f->entry);
    case RESTORE_IF_NEWER:
        if (f->job->pass == RESTORE_VERIFY) return !restore_time_same(st, f->entry);
        return !restore_time_newer(st, f->entry);
    case RESTORE_ALWAYS:
    case RESTORE_IF_CHANGED: return false;
    }
    return false;
}

static bool taken_as_right(const struct restore_file *f, const struct stat *st)
{
    return f->job->options->overwrite == RESTORE_IF_CHANGED &&
           f->job->pass != RESTORE_VERIFY && S_ISREG(st->st_mode) &&
           !restore_unfinished(st) && (uint64_t)st->st_size == f->entry->size &&
           restore_time_same(st, f->entry);
}

static enum hf_code create(struct restore_file *f, struct hf_err *err)
{
    f->fd = f->write_fd =
        openat(f->dir_fd, name_of(f), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
               RESTORE_UNFINISHED_MODE);
    if (f->fd < 0) return hf_fail_errno(err, errno, "create");
    f->fresh = true;
    f->touched = true;
    atomic_store(&f->changed, true);
    f->state = WRITING;
    return HF_OK;
}

static enum hf_code replace(struct restore_file *f, struct hf_err *err)
{
    enum hf_code rc = restore_clear_way(f->job, f->dir, f->dir_fd, name_of(f), err);

    return rc == HF_OK ? create(f, err) : rc;
}

/* Opens what is there to compare it.  False: it is to be replaced. */
static bool open_there(struct restore_file *f, const struct stat *st)
{
    struct stat now;
    bool same;

    if (!S_ISREG(st->st_mode) || (uint64_t)st->st_size != f->entry->size) return false;
    /* One with other names is compared only where it should have others. */
    f->own_name = st->st_nlink == 1;
    if (!f->own_name && f->entry->link_group == 0 && f->job->pass != RESTORE_VERIFY)
        return false;
    f->fd = openat(f->dir_fd, name_of(f), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (f->fd < 0) return false;
    same = fstat(f->fd, &now) == 0 && S_ISREG(now.st_mode) && now.st_ino == st->st_ino &&
           now.st_dev == st->st_dev;
    if (!same) close_handles(f);
    return same;
}

static enum hf_code prepare_there(struct restore_file *f, const struct stat *st,
                                  struct hf_err *err)
{
    if (can_be_kept(f, st)) {
        f->state = KEPT;
    } else if (taken_as_right(f, st)) {
        f->state = RIGHT;
    } else if (open_there(f, st)) {
        f->state = WRITING;
        f->touched = restore_unfinished(st);
        if (f->job->pass == RESTORE_VERIFY)
            (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED); /* from the disk */
    } else if (f->job->pass == RESTORE_WRITE) {
        return replace(f, err);
    } else {
        f->state = ABSENT;
    }
    return HF_OK;
}

static enum hf_code take_dir(struct restore_file *f, struct hf_err *err)
{
    enum hf_code rc = restore_dir_take(f->job->dirs, f->dir, &f->dir_fd, err);

    f->has_dir = rc == HF_OK;
    return rc;
}

static enum hf_code prepare(struct restore_file *f, struct hf_err *err)
{
    bool write = f->job->pass == RESTORE_WRITE;
    struct stat st;
    enum hf_code rc = HF_OK;

    if (f->dir->missing) {
        f->state = ABSENT;
        return HF_OK;
    }
    if (!f->has_dir) rc = take_dir(f, err);
    if (rc != HF_OK) return rc;
    if (write && create(f, err) == HF_OK) return HF_OK;
    if (write && err->errnum != EEXIST) return err->code;
    if (fstatat(f->dir_fd, name_of(f), &st, AT_SYMLINK_NOFOLLOW) == 0)
        return prepare_there(f, &st, err);
    if (errno != ENOENT || write) return hf_fail_errno(err, errno, "look at what is there");
    f->state = ABSENT;
    return HF_OK;
}

/* Sets up a regular file's size and holes. */
static enum hf_code prepare_content(struct restore_file *f, bool several,
                                    struct hf_err *err)
{
    struct hf_err why;

    if (f->state != WRITING || f->job->pass != RESTORE_WRITE) return HF_OK;
    if (f->entry->holes.bytes != NULL &&
        hole_map_decode(&f->holes, f->entry->holes, f->entry->size, &why) != HF_OK) {
        f->holes.count = 0; /* the content is what counts */
        restore_report(f->job, f->dir, name_of(f), &why, false);
    }
    if (f->fresh && (several || f->holes.count > 0) &&
        ftruncate(f->fd, (off_t)f->entry->size) != 0)
        return hf_fail_errno(err, errno, "set the size");
    return HF_OK;
}

/* A file that is there may be written to from now on; *in_place is false when a new one has
 * to take its place (a running program, other names, no permission). */
static void make_writable(struct restore_file *f, bool *in_place)
{
    char path[32];

    (void)pthread_mutex_lock(&f->mutex);
    if (f->write_fd < 0 && f->own_name && !atomic_load(&f->again) &&
        fchmod(f->fd, RESTORE_UNFINISHED_MODE) == 0) {
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", f->fd);
        f->write_fd = open(path, O_WRONLY | O_CLOEXEC);
        f->touched = f->write_fd >= 0;
    }
    *in_place = f->write_fd >= 0;
    if (!*in_place) atomic_store(&f->again, true);
    atomic_store(&f->changed, true);
    (void)pthread_mutex_unlock(&f->mutex);
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
    if (!f->fresh) make_writable(f, &in_place);
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

static enum hf_code put_chunk(struct restore_worker *worker, struct restore_file *f,
                              const struct restore_chunk *chunk, bool *reading,
                              struct hf_err *err)
{
    struct restore_output output;
    struct fetched fetched;
    enum hf_code rc;

    *reading = false;
    memset(&fetched, 0, sizeof fetched);
    if (!f->fresh && restore_chunk_there(&worker->buffer, f->fd, chunk)) {
        note_holes(f, worker->buffer.bytes, chunk->ref.size, chunk->offset);
        return HF_OK;
    }
    if (f->fresh && restore_chunk_in_hole(&worker->buffer, &f->holes, chunk)) return HF_OK;
    if (f->job->pass == RESTORE_WRITE) { /* before anything that is there is changed */
        rc = fetch_chunk(f->job->options->fetcher, FRAME_DATA, &chunk->ref, &fetched, err);
        *reading = rc != HF_OK;
        if (rc != HF_OK) return rc;
    }
    if (begin_change(f, chunk->offset, chunk->ref.size, &rc, err)) {
        output = output_of(f);
        note_holes(f, fetched.bytes, fetched.size, chunk->offset);
        rc = restore_output_write(&output, fetched.bytes, fetched.size, chunk->offset, err);
    }
    fetched_done(&fetched);
    return rc;
}

static bool goes_on(const struct restore_file *f)
{
    return f->state == WRITING && !atomic_load(&f->failed) && !atomic_load(&f->job->stop);
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

    close_handles(f);
    atomic_store(&f->again, false);
    atomic_store(&f->written, 0);
    rc = replace(f, &err);
    if (rc == HF_OK) rc = prepare_content(f, true, &err);
    if (rc != HF_OK)
        restore_file_fail(f, &err, false);
    else if (f->entry->has_stream)
        put_stream(worker, f);
    else
        put_chunks(worker, f, NULL, 0);
}

/* ---- links, FIFOs, sockets, devices ---- */

static mode_t type_of(const struct tree_entry *e)
{
    switch (e->type) {
    case TREE_FILE: return S_IFREG;
    case TREE_DIR: return S_IFDIR;
    case TREE_SYMLINK: return S_IFLNK;
    case TREE_FIFO: return S_IFIFO;
    case TREE_SOCKET: return S_IFSOCK;
    case TREE_CHAR: return S_IFCHR;
    case TREE_BLOCK: return S_IFBLK;
    }
    return 0;
}

static dev_t device_of(const struct tree_entry *e)
{
    return makedev(e->device_major, e->device_minor);
}

static bool other_same(const struct restore_file *f, const struct stat *st)
{
    const struct tree_entry *e = f->entry;
    char target[TREE_TARGET_MAX + 2];
    ssize_t n;

    if ((st->st_mode & S_IFMT) != type_of(e)) return false;
    if (e->type == TREE_CHAR || e->type == TREE_BLOCK) return st->st_rdev == device_of(e);
    if (e->type != TREE_SYMLINK) return true;
    n = readlinkat(f->dir_fd, name_of(f), target, sizeof target);
    return n == (ssize_t)e->target.size && memcmp(target, e->target.bytes, (size_t)n) == 0;
}

static int make_other(const struct restore_file *f)
{
    const struct tree_entry *e = f->entry;

    if (e->type == TREE_SYMLINK)
        return symlinkat((const char *)e->target.bytes, f->dir_fd, name_of(f));
    return mknodat(f->dir_fd, name_of(f), type_of(e) | 0600, device_of(e));
}

static enum hf_code prepare_other(struct restore_file *f, struct hf_err *err)
{
    bool write = f->job->pass == RESTORE_WRITE;
    struct stat st;
    enum hf_code rc = HF_OK;

    f->state = ABSENT;
    if (f->dir->missing) return HF_OK;
    if (!f->has_dir) rc = take_dir(f, err);
    if (rc != HF_OK) return rc;
    if (write && make_other(f) == 0) goto made;
    if (write && errno != EEXIST) return hf_fail_errno(err, errno, "make it");
    if (fstatat(f->dir_fd, name_of(f), &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT && !write
                   ? HF_OK
                   : hf_fail_errno(err, errno, "look at what is there");
    f->state = can_be_kept(f, &st) ? KEPT : other_same(f, &st) ? RIGHT : ABSENT;
    if (f->state != ABSENT || !write) return HF_OK;
    rc = restore_clear_way(f->job, f->dir, f->dir_fd, name_of(f), err);
    if (rc != HF_OK) return rc;
    if (make_other(f) != 0) return hf_fail_errno(err, errno, "make it");
made:
    atomic_store(&f->changed, true);
    f->state = RIGHT;
    return HF_OK;
}

/* ---- parts ---- */

static void begin(struct restore_file *f, bool several)
{
    struct hf_err err;
    enum hf_code rc = HF_OK;

    (void)pthread_mutex_lock(&f->mutex);
    if (f->state == NEW) {
        if (f->entry->type == TREE_FILE) {
            rc = prepare(f, &err);
            if (rc == HF_OK) rc = prepare_content(f, several, &err);
        } else {
            rc = prepare_other(f, &err);
        }
        if (rc != HF_OK) f->state = FAILED;
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
        rc = restore_meta_set(&worker->meta, f->fd, f->dir_fd, name_of(f), f->entry, &err);
    else
        rc = restore_meta_set_at(&worker->meta, f->dir_fd, name_of(f), f->entry, &err);
    if (rc != HF_OK) restore_report(f->job, f->dir, name_of(f), &err, false);
}

static void count_done(struct restore_file *f)
{
    struct restore_counts *c = &f->job->counts;
    bool file = f->entry->type == TREE_FILE;

    (void)pthread_mutex_lock(&f->job->mutex);
    if (f->job->pass == RESTORE_VERIFY) {
        if (file && f->state != KEPT) c->verified++;
    } else if (f->state == KEPT) {
        c->kept++;
    } else if (!atomic_load(&f->changed) && f->state != ABSENT) {
        c->unchanged++;
    } else {
        *(file ? &c->files : &c->others) += 1;
        c->bytes += f->entry->size;
        c->bytes_written += f->state == ABSENT ? f->entry->size : atomic_load(&f->written);
    }
    (void)pthread_mutex_unlock(&f->job->mutex);
}

/* The inode that others of its group may be linked to; 0: none. */
static ino_t inode_of(const struct restore_file *f, dev_t *device)
{
    struct stat st;

    if (f->state == KEPT || fstatat(f->dir_fd, name_of(f), &st, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    *device = st.st_dev;
    return st.st_ino;
}

/* Everything is there.  Sets *device and *inode for the group. */
static void complete(struct restore_worker *worker, struct restore_file *f, dev_t *device,
                     ino_t *inode)
{
    bool changed = atomic_load(&f->changed) || f->touched || f->state == ABSENT;

    if (f->job->pass == RESTORE_WRITE && f->state != KEPT) set_meta(worker, f);
    if (f->group != NULL && f->job->pass == RESTORE_WRITE) *inode = inode_of(f, device);
    count_done(f);
    if (changed && f->job->pass != RESTORE_VERIFY && f->state != KEPT)
        restore_tell(f->job, f->dir, name_of(f), "write");
}

static void give_up(struct restore_file *f)
{
    /* A part of a file is no file. */
    if (f->touched && f->job->pass == RESTORE_WRITE && f->dir_fd >= 0)
        (void)unlinkat(f->dir_fd, name_of(f), 0);
    if (f->job->pass == RESTORE_VERIFY)
        restore_report_mismatch(f->job, f->dir, name_of(f), &f->err);
    else
        restore_report(f->job, f->dir, name_of(f), &f->err, f->reading);
}

/* A file that is to be read back, and is not there or is something else. */
static void check_presence(struct restore_file *f)
{
    struct hf_err err;

    if (f->job->pass != RESTORE_VERIFY || f->state != ABSENT) return;
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
    if (atomic_load(&f->failed))
        give_up(f);
    else if (!atomic_load(&f->job->stop) && f->state != NEW)
        complete(worker, f, &device, &inode);
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
    if (fstatat(f->dir_fd, name_of(f), &st, AT_SYMLINK_NOFOLLOW) == 0) {
        f->state = RIGHT;
        if (st.st_dev == place->device && st.st_ino == place->inode) return HF_OK;
        f->state = KEPT;
        if (can_be_kept(f, &st)) return HF_OK;
        rc = restore_clear_way(f->job, f->dir, f->dir_fd, name_of(f), err);
        if (rc != HF_OK) return rc;
    }
    if (linkat(from_fd, place->name, f->dir_fd, name_of(f), 0) != 0)
        return hf_fail_errno(err, errno, "link");
    atomic_store(&f->changed, true);
    f->state = RIGHT;
    return HF_OK;
}

static enum hf_code try_link(struct restore_file *f, struct hf_err *err)
{
    struct restore_place place;
    int from_fd;
    enum hf_code rc;

    if (!restore_links_place(f->job->links, f, &place))
        return hf_fail(err, HF_NOT_FOUND, "the first of its names failed");
    rc = take_dir(f, err);
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
        if (atomic_load(&f->changed)) restore_tell(f->job, f->dir, name_of(f), "write");
        release(worker, f);
        return;
    }
    f->state = NEW;
    if (!atomic_load(&f->job->stop)) begin(f, true);
    if (f->entry->type == TREE_FILE && f->entry->has_stream)
        put_stream(worker, f);
    else if (f->entry->type == TREE_FILE)
        put_chunks(worker, f, NULL, 0);
    restore_file_end(worker, f);
}

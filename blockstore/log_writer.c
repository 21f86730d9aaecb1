/* One mutex guards everything.  It is not held while an entry is written or a segment
 * is synced, but it is while a segment is begun: nobody could go on anyway. */
#include "blockstore/log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct log_writer {
    struct log_writer_config config;
    pthread_mutex_t lock;   /* guards all below */
    pthread_cond_t changed; /* anything below */
    uint64_t next_sequence;
    bool paused;

    /* the newest segment; fd < 0: none is open */
    int fd;
    uint64_t segment, end;
    uint64_t durable_end; /* of the last entry known to be durable */
    bool closing;         /* full or failed: a new one when the slots are released */
    bool failed;
    struct hf_err failure; /* why */
    struct log_slot *first, *last;

    /* A round is what one sync covers: the entries written before it began.  Rounds
     * are counted on from segment to segment. */
    uint64_t forming;
    bool syncing;
};

void log_segment_name(uint64_t number, char name[static LOG_SEGMENT_NAME_SIZE])
{
    (void)snprintf(name, LOG_SEGMENT_NAME_SIZE, "%016" PRIx64 ".log", number);
}

struct log_writer *log_writer_new(const struct log_writer_config *config)
{
    struct log_writer *writer = calloc(1, sizeof *writer);

    if (writer == NULL) return NULL;
    writer->config = *config;
    (void)pthread_mutex_init(&writer->lock, NULL);
    (void)pthread_cond_init(&writer->changed, NULL);
    writer->next_sequence = config->next_sequence;
    writer->segment = config->last_segment;
    writer->end = writer->durable_end = config->last_size;
    writer->forming = 1;
    writer->fd = -1;
    return writer;
}

/* ---- segments ---- */

static void segment_fail(struct log_writer *writer, const struct hf_err *why)
{
    if (writer->failed) return;
    writer->failed = writer->closing = true;
    writer->failure = *why;
    (void)pthread_cond_broadcast(&writer->changed);
}

/* What could not be made durable is cut off as far as that works: nobody was told that
 * it is stored, and a later run shall not find it in the page cache alone. */
static void segment_end(struct log_writer *writer)
{
    struct hf_files *files = writer->config.files;
    char name[LOG_SEGMENT_NAME_SIZE];

    if (writer->fd >= 0) {
        if (writer->failed)
            (void)files->truncate(files, writer->fd, (off_t)writer->durable_end);
        (void)files->close(files, writer->fd);
        if (writer->failed && writer->durable_end == 0) {
            log_segment_name(writer->segment, name);
            (void)files->unlink(files, writer->config.segments_fd, name);
        }
    }
    writer->fd = -1;
    writer->end = writer->durable_end = 0;
    writer->closing = writer->failed = false;
}

/* Begins segment `segment + 1`, or goes on in the last one of an earlier run. */
static enum hf_code segment_begin(struct log_writer *writer, struct hf_err *err)
{
    struct hf_files *files = writer->config.files;
    int dir = writer->config.segments_fd;
    bool fresh = writer->end == 0;
    char name[LOG_SEGMENT_NAME_SIZE];

    log_segment_name(fresh ? writer->segment + 1 : writer->segment, name);
    writer->fd =
        files->open(files, dir, name, fresh ? O_RDWR | O_CREAT | O_EXCL : O_RDWR, 0600);
    if (writer->fd < 0) {
        enum hf_code rc = hf_fail_errno(err, errno, "open segment %s", name);

        /* A number that is taken is never the next one again. */
        if (fresh && err->errnum == EEXIST) writer->segment++;
        writer->end = writer->durable_end = 0;
        return rc;
    }
    if (fresh) writer->segment++;
    if (fresh && files->sync(files, dir) != 0) {
        (void)hf_fail_errno(err, errno, "sync the directory of segment %s", name);
        segment_fail(writer, err);
        segment_end(writer);
        return err->code;
    }
    return HF_OK;
}

/* The lock is held.  Counts what others are writing, which the disk does not know yet. */
static enum hf_code check_space(const struct log_writer *writer, uint64_t footprint,
                                struct hf_err *err)
{
    struct hf_files *files = writer->config.files;
    uint64_t taken = 0;
    uint64_t free_bytes;

    if (files->room(files, writer->config.segments_fd, &free_bytes) != 0)
        return hf_fail_errno(err, errno, "ask for free space");
    for (const struct log_slot *s = writer->first; s != NULL; s = s->next)
        if (!s->written) taken += s->end - s->offset;
    free_bytes -= taken < free_bytes ? taken : free_bytes;
    if (free_bytes >= footprint && free_bytes - footprint >= writer->config.reserve)
        return HF_OK;
    return hf_fail(err, HF_NO_SPACE,
                   "%" PRIu64 " MiB are left on the disk of the store, of which %" PRIu64
                   " stay free for its index; make room there",
                   free_bytes >> 20, writer->config.reserve >> 20);
}

void log_writer_free(struct log_writer *writer)
{
    if (writer == NULL) return;
    segment_end(writer);
    (void)pthread_cond_destroy(&writer->changed);
    (void)pthread_mutex_destroy(&writer->lock);
    free(writer);
}

/* ---- slots ---- */

/* All below it is durable. */
static uint64_t durable_prefix(const struct log_writer *writer)
{
    for (const struct log_slot *s = writer->first; s != NULL; s = s->next)
        if (!s->durable) return s->offset;
    return writer->end;
}

static void slot_remove(struct log_writer *writer, struct log_slot *slot)
{
    *(slot->previous != NULL ? &slot->previous->next : &writer->first) = slot->next;
    *(slot->next != NULL ? &slot->next->previous : &writer->last) = slot->previous;
    (void)pthread_cond_broadcast(&writer->changed);
}

static size_t place(struct log_writer *writer, struct log_entry *entry,
                    uint8_t frame[static LOG_FRAME_MAX])
{
    entry->sequence = writer->next_sequence;
    entry->segment = writer->segment;
    entry->offset = writer->end;
    entry->durable = durable_prefix(writer);
    return log_entry_encode(writer->config.identity, entry, frame);
}

/* Chooses the entry's place and encodes it there.  The lock is held. */
static enum hf_code reserve(struct log_writer *writer, struct log_entry *entry,
                            uint8_t frame[static LOG_FRAME_MAX], struct log_slot *slot,
                            struct hf_err *err)
{
    uint64_t footprint = log_entry_footprint(LOG_FRAME_MAX, entry->payload_size);

    for (;;) {
        enum hf_code rc;

        while (writer->paused || (writer->closing && writer->first != NULL))
            (void)pthread_cond_wait(&writer->changed, &writer->lock);
        rc = check_space(writer, footprint, err);
        /* Removals are let through: they are what makes space. */
        if (rc != HF_OK && (rc != HF_NO_SPACE || entry->key.b[0] != LOG_REMOVAL)) return rc;
        if (writer->closing) segment_end(writer);
        if (writer->fd < 0 && segment_begin(writer, err) != HF_OK) return err->code;
        (void)place(writer, entry, frame);
        slot->offset = writer->end;
        slot->end =
            writer->end + log_entry_footprint(entry->frame_size, entry->payload_size);
        if (slot->end <= writer->config.segment_size || writer->end == 0) break;
        writer->closing = true;
    }
    writer->next_sequence++;
    writer->end = slot->end;
    slot->round = 0;
    slot->written = slot->durable = false;
    slot->next = NULL;
    slot->previous = writer->last;
    *(writer->last != NULL ? &writer->last->next : &writer->first) = slot;
    writer->last = slot;
    return HF_OK;
}

/* ---- group commit ---- */

/* Syncs for everybody whose entry is written.  The lock is held, but not during it. */
static void lead_round(struct log_writer *writer)
{
    struct hf_files *files = writer->config.files;
    uint64_t round = writer->forming++;
    struct hf_err err;
    int fd = writer->fd, failed;

    writer->syncing = true;
    (void)pthread_mutex_unlock(&writer->lock);
    failed = files->datasync(files, fd) != 0 ? errno : 0;
    (void)pthread_mutex_lock(&writer->lock);
    writer->syncing = false;
    if (failed != 0) {
        (void)hf_fail_errno(&err, failed, "sync segment %" PRIx64, writer->segment);
        segment_fail(writer, &err);
        return;
    }
    for (struct log_slot *s = writer->first; s != NULL; s = s->next) {
        if (!s->written || s->round > round) continue;
        s->durable = true;
        if (s->end > writer->durable_end) writer->durable_end = s->end;
    }
    (void)pthread_cond_broadcast(&writer->changed);
}

static enum hf_code commit(struct log_writer *writer, struct log_slot *slot,
                           struct hf_err *err)
{
    slot->round = writer->forming;
    slot->written = true;
    while (!slot->durable && !writer->failed) {
        if (writer->syncing) {
            (void)pthread_cond_wait(&writer->changed, &writer->lock);
        } else {
            lead_round(writer);
        }
    }
    if (slot->durable) return HF_OK;
    *err = writer->failure;
    return err->code;
}

static enum hf_code write_entry(struct log_writer *writer, const struct log_entry *entry,
                                uint8_t *frame, const uint8_t *payload, struct hf_err *err)
{
    static uint8_t zeros[LOG_ALIGN];
    union {
        const uint8_t *from;
        uint8_t *to;
    } bytes = {.from = payload}; /* an iovec is not const; writing does not change it */
    uint64_t used = (uint64_t)entry->frame_size + entry->payload_size;
    uint64_t pad = log_entry_footprint(entry->frame_size, entry->payload_size) - used;
    struct iovec iov[3] = {{.iov_base = frame, .iov_len = entry->frame_size}};
    int count = 1;

    if (entry->payload_size > 0)
        iov[count++] = (struct iovec){.iov_base = bytes.to, .iov_len = entry->payload_size};
    if (pad > 0) iov[count++] = (struct iovec){.iov_base = zeros, .iov_len = (size_t)pad};
    return hf_file_writev(writer->config.files, writer->fd, iov, count,
                          (off_t)entry->offset, err);
}

enum hf_code log_writer_append(struct log_writer *writer, struct log_entry *entry,
                               const uint8_t *payload, struct log_slot *slot,
                               struct hf_err *err)
{
    uint8_t frame[LOG_FRAME_MAX];
    enum hf_code rc;

    (void)pthread_mutex_lock(&writer->lock);
    rc = reserve(writer, entry, frame, slot, err);
    if (rc != HF_OK) goto out;
    (void)pthread_mutex_unlock(&writer->lock);
    /* While a slot is held the segment stays open. */
    rc = write_entry(writer, entry, frame, payload, err);
    (void)pthread_mutex_lock(&writer->lock);
    if (rc == HF_OK) {
        rc = commit(writer, slot, err);
    } else {
        (void)hf_prefix(err, "segment %" PRIx64, writer->segment);
        segment_fail(writer, err);
    }
    if (rc != HF_OK) slot_remove(writer, slot);
out:
    (void)pthread_mutex_unlock(&writer->lock);
    return rc;
}

void log_writer_release(struct log_writer *writer, struct log_slot *slot)
{
    (void)pthread_mutex_lock(&writer->lock);
    slot_remove(writer, slot);
    (void)pthread_mutex_unlock(&writer->lock);
}

void log_writer_pause(struct log_writer *writer, struct log_position *position,
                      uint64_t *next_sequence)
{
    (void)pthread_mutex_lock(&writer->lock);
    writer->paused = true;
    while (writer->first != NULL)
        (void)pthread_cond_wait(&writer->changed, &writer->lock);
    position->segment = writer->segment;
    position->offset = writer->end;
    *next_sequence = writer->next_sequence;
    /* On a full disk this makes room for the index. */
    if (writer->failed) segment_end(writer);
    (void)pthread_mutex_unlock(&writer->lock);
}

void log_writer_resume(struct log_writer *writer)
{
    (void)pthread_mutex_lock(&writer->lock);
    writer->paused = false;
    (void)pthread_cond_broadcast(&writer->changed);
    (void)pthread_mutex_unlock(&writer->lock);
}

/* log_writer.h - appending to the newest segment, with group commit.
 *
 * Each thread writes its own entry at a place reserved for it; then one of those that
 * wait syncs for all whose bytes are written.  A failed write or sync is final for the
 * segment: it is never tried again (ext4 and others drop the dirty pages, so a second
 * fsync would lie), what was not durable in it fails, and the next append begins a new
 * segment.
 *
 * Any thread. */
#ifndef HOLDFAST_BLOCKSTORE_LOG_WRITER_H
#define HOLDFAST_BLOCKSTORE_LOG_WRITER_H

#include "base/err.h"
#include "base/file.h"
#include "blockstore/log_row.h"

#define LOG_SEGMENT_NAME_SIZE 21u /* 16 hex digits, ".log", NUL */

struct log_writer; /* opaque */

struct log_writer_config {
    struct hf_files *files; /* borrowed, as the next two */
    const struct log_identity *identity;
    int segments_fd;       /* the directory of the segments */
    uint64_t segment_size; /* a segment ends before it would exceed this */
    uint64_t reserve;      /* bytes to leave free in the file system */
    uint64_t last_segment; /* the highest number that was ever used; 0: none */
    uint64_t last_size;    /* its size, to go on in it; 0: begin a new one */
    uint64_t next_sequence;
};

/* "00000000000000ff.log" */
void log_segment_name(uint64_t number, char name[static LOG_SEGMENT_NAME_SIZE]);

struct log_writer *log_writer_new(const struct log_writer_config *config); /* or NULL */
/* No append may be in progress.  NULL is allowed. */
void log_writer_free(struct log_writer *writer);

/* An entry between its reservation and its release; the caller's, not to be touched. */
struct log_slot {
    struct log_slot *previous, *next; /* in order of offset */
    uint64_t offset, end, round;
    bool written, durable;
};

/* Appends *entry (key, arrival, payload_size, payload_root and meta set; the writer
 * sets the rest) with its payload, which is not copied.  HF_OK: durable, and the slot is
 * held until log_writer_release: before that the caller makes the entry known.  On any
 * failure no slot is held, and the entry counts as never written.  HF_NO_SPACE: refused
 * before anything was written, or the disk filled up meanwhile. */
HF_MUST_CHECK enum hf_code log_writer_append(struct log_writer *writer,
                                             struct log_entry *entry,
                                             const uint8_t *payload, struct log_slot *slot,
                                             struct hf_err *err);

void log_writer_release(struct log_writer *writer, struct log_slot *slot);

/* Waits until no slot is held and keeps new appends waiting.  All that was ever
 * acknowledged is then before *position and *next_sequence.  One thread at a time. */
void log_writer_pause(struct log_writer *writer, struct log_position *position,
                      uint64_t *next_sequence);
void log_writer_resume(struct log_writer *writer);

#endif

#include "snapshot/file_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_SIZE 4194304u

enum hf_code file_reader_init(struct file_reader *reader, struct packer *packer,
                              const uint8_t chunker_key[static 32], struct hf_err *err)
{
    memset(reader, 0, sizeof *reader);
    reader->packer = packer;
    chunker_init(&reader->chunker, chunker_key);
    reader->buffer = malloc(BUFFER_SIZE);
    return reader->buffer != NULL ? HF_OK
                                  : hf_fail(err, HF_NO_MEMORY, "read: out of memory");
}

void file_reader_done(struct file_reader *reader)
{
    free(reader->buffer);
    memset(reader, 0, sizeof *reader);
}

struct reading {
    int fd;
    size_t have; /* bytes in the buffer */
    bool end;
};

static enum hf_code fill(struct file_reader *reader, struct reading *r, struct hf_err *err)
{
    while (!r->end && r->have < BUFFER_SIZE) {
        ssize_t n = read(r->fd, reader->buffer + r->have, BUFFER_SIZE - r->have);

        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return hf_fail_errno(err, errno, "read");
        if (n == 0) r->end = true;
        r->have += (size_t)n;
        reader->bytes_read += (uint64_t)n;
    }
    return HF_OK;
}

/* Chunks what is in the buffer; all of it when the file has ended. */
static enum hf_code chunk_buffer(struct file_reader *reader, struct reading *r,
                                 struct stream_writer *stream, struct hf_err *err)
{
    size_t at = 0;

    while (at < r->have && (r->end || r->have - at >= CHUNK_SIZE_MAX)) {
        size_t n = chunker_cut(&reader->chunker, reader->buffer + at, r->have - at);
        struct packed packed;
        enum hf_code rc = packer_add(reader->packer, reader->buffer + at, n, &packed, err);

        if (rc == HF_OK) rc = stream_writer_add(stream, n, &packed, err);
        if (rc != HF_OK) return rc;
        at += n;
    }
    memmove(reader->buffer, reader->buffer + at, r->have - at);
    r->have -= at;
    return HF_OK;
}

enum hf_code file_reader_read(struct file_reader *reader, int fd, struct tree_entry *entry,
                              struct stream_writer *stream, bool *fatal, struct hf_err *err)
{
    struct reading r = {.fd = fd};
    enum hf_code rc = fill(reader, &r, err);

    *fatal = false;
    if (rc == HF_OK && r.end && r.have <= TREE_INLINE_MAX) {
        memcpy(reader->small, reader->buffer, r.have);
        entry->content = (struct span){reader->small, r.have};
        entry->size = r.have;
        return HF_OK;
    }
    while (rc == HF_OK && r.have > 0) {
        rc = chunk_buffer(reader, &r, stream, err);
        *fatal = rc != HF_OK;
        if (rc == HF_OK && !r.end) rc = fill(reader, &r, err);
        if (reader->cancelled != NULL && reader->cancelled(reader->arg)) {
            *fatal = true;
            return hf_fail(err, HF_CANCELLED, "interrupted");
        }
    }
    entry->size = stream->size;
    return rc;
}

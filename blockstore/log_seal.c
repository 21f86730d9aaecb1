#include "blockstore/log_seal.h"

#include "base/cbor.h"
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define SEAL_SIZE   34u /* a byte string of 32 */
#define BUFFER_SIZE ((size_t)32 << 10)

static enum hf_code hash_index(struct hf_files *files, int dir_fd, struct hf_id *sum,
                               struct hf_err *err)
{
    enum hf_code rc = HF_OK;
    struct hf_sha256 h;
    off_t at = 0;
    size_t got = BUFFER_SIZE;
    uint8_t *buf = malloc(BUFFER_SIZE);
    int fd = -1;

    if (buf == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory to check the index");
    fd = files->open(files, dir_fd, LOG_SEAL_DATA, O_RDONLY, 0);
    if (fd < 0) {
        rc = hf_fail_errno(err, errno, "open index/%s", LOG_SEAL_DATA);
        goto out;
    }
    hf_sha256_init(&h);
    while (rc == HF_OK && got == BUFFER_SIZE) {
        rc = hf_file_read(files, fd, buf, BUFFER_SIZE, at, &got, err);
        hf_sha256_add(&h, buf, got);
        at += (off_t)got;
    }
    hf_sha256_final(&h, sum);
out:
    if (fd >= 0) (void)files->close(files, fd);
    free(buf);
    return rc;
}

static enum hf_code load_seal(struct hf_files *files, int dir_fd, struct hf_id *sum,
                              struct hf_err *err)
{
    uint8_t bytes[SEAL_SIZE];
    struct hf_reader r;
    size_t n;
    enum hf_code rc =
        hf_file_load(files, dir_fd, LOG_SEAL_NAME, bytes, sizeof bytes, &n, err);

    if (rc != HF_OK) return rc;
    r = hf_reader_init(bytes, n);
    hf_get_id(&r, sum);
    return hf_reader_done(&r) ? HF_OK : hf_fail(err, HF_CORRUPT, "index/seal is damaged");
}

/* HF_NOT_FOUND: there is no index. */
static enum hf_code look_for_index(struct hf_files *files, int dir_fd, struct hf_err *err)
{
    int fd = files->open(files, dir_fd, LOG_SEAL_DATA, O_RDONLY, 0);

    if (fd < 0) return hf_fail_errno(err, errno, "open index/%s", LOG_SEAL_DATA);
    (void)files->close(files, fd);
    return HF_OK;
}

enum hf_code log_seal_check(struct hf_files *files, int dir_fd, struct hf_err *err)
{
    struct hf_id want, have, again;
    enum hf_code rc = look_for_index(files, dir_fd, err);

    if (rc != HF_OK) return rc;
    rc = load_seal(files, dir_fd, &want, err);
    if (rc == HF_NOT_FOUND) return hf_fail(err, HF_INCOMPLETE, "the index has no seal");
    if (rc == HF_TOO_LARGE) return hf_fail(err, HF_CORRUPT, "index/seal is damaged");
    if (rc == HF_OK) rc = hash_index(files, dir_fd, &have, err);
    if (rc != HF_OK || hf_id_equal(&want, &have)) return rc;
    /* A writer that has just begun, or come to its end, explains it. */
    if (load_seal(files, dir_fd, &again, err) == HF_OK && hf_id_equal(&want, &again))
        return hf_fail(err, HF_CORRUPT, "the index does not match its seal");
    return hf_fail(err, HF_INCOMPLETE, "the index is being changed");
}

enum hf_code log_seal_write(struct hf_files *files, int dir_fd, struct hf_err *err)
{
    uint8_t bytes[SEAL_SIZE];
    struct hf_writer w = hf_writer_init(bytes, sizeof bytes);
    struct hf_id sum;
    enum hf_code rc = hash_index(files, dir_fd, &sum, err);

    if (rc != HF_OK) return rc;
    hf_put_id(&w, &sum);
    return hf_file_replace(files, dir_fd, LOG_SEAL_NAME, bytes, hf_writer_size(&w), 0600,
                           err);
}

enum hf_code log_seal_remove(struct hf_files *files, int dir_fd, struct hf_err *err)
{
    if (files->unlink(files, dir_fd, LOG_SEAL_NAME) != 0 && errno != ENOENT)
        return hf_fail_errno(err, errno, "remove index/%s", LOG_SEAL_NAME);
    return HF_OK;
}

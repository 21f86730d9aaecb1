#include "blockstore/log_identity.h"

#include "base/cbor.h"
#include "base/hash.h"
#include "base/types.h"

#define STORE_VERSION  1u
#define STORE_BODY_MAX 128u
#define STORE_FILE_MAX 256u

static const char *const names[] = {"store", "store.copy"};

static size_t encode(const struct log_identity *identity,
                     uint8_t out[static STORE_FILE_MAX])
{
    uint8_t body[STORE_BODY_MAX];
    struct hf_writer w = hf_writer_init(body, sizeof body);
    struct hf_id check;
    size_t n;

    hf_put_header(&w, 2, HF_TYPE_LOG_STORE, STORE_VERSION);
    hf_put_key(&w, 2);
    hf_put_id(&w, &identity->store);
    hf_put_key(&w, 3);
    hf_put_bytes(&w, identity->check_key, sizeof identity->check_key);
    n = hf_writer_size(&w);
    hf_sha256(body, n, &check);
    w = hf_writer_init(out, STORE_FILE_MAX);
    hf_put_array(&w, 2);
    hf_put_bytes(&w, body, n);
    hf_put_id(&w, &check);
    return hf_writer_size(&w);
}

static bool parse(const uint8_t *bytes, size_t n, struct log_identity *identity)
{
    struct hf_reader r = hf_reader_init(bytes, n);
    struct hf_id check, want;
    struct hf_map m;
    const uint8_t *body;
    size_t body_size = 0;
    int64_t key;

    if (hf_get_array(&r, 2, 1) != 2) return false;
    body = hf_get_bytes(&r, STORE_BODY_MAX, &body_size);
    hf_get_id(&r, &check);
    if (!hf_reader_done(&r)) return false;
    hf_sha256(body, body_size, &want);
    if (!hf_id_equal(&check, &want)) return false;
    r = hf_reader_init(body, body_size);
    m = hf_get_header(&r, 16, HF_TYPE_LOG_STORE, STORE_VERSION);
    while (hf_map_next(&r, &m, &key)) {
        switch (key) {
        case 2: hf_get_id(&r, &identity->store); break;
        case 3: hf_get_fixed(&r, identity->check_key, sizeof identity->check_key); break;
        default: hf_map_other(&r, key);
        }
    }
    hf_map_require(&r, &m, 1u << 2 | 1u << 3);
    return hf_reader_done(&r);
}

static enum hf_code load_one(struct hf_files *files, int dir_fd, const char *name,
                             struct log_identity *identity, struct hf_err *err)
{
    uint8_t bytes[STORE_FILE_MAX];
    size_t n;
    enum hf_code rc = hf_file_load(files, dir_fd, name, bytes, sizeof bytes, &n, err);

    if (rc == HF_TOO_LARGE || (rc == HF_OK && !parse(bytes, n, identity)))
        return hf_fail(err, HF_CORRUPT, "file %s is damaged or written by a newer version",
                       name);
    return rc;
}

enum hf_code log_identity_load(struct hf_files *files, int dir_fd,
                               struct log_identity *identity, struct hf_err *err)
{
    struct hf_err second;
    enum hf_code rc = load_one(files, dir_fd, names[0], identity, err);

    if (rc == HF_OK) return HF_OK;
    if (load_one(files, dir_fd, names[1], identity, &second) == HF_OK) return HF_OK;
    /* Damage tells more than absence. */
    if (rc == HF_NOT_FOUND) *err = second;
    return err->code;
}

enum hf_code log_identity_save(struct hf_files *files, int dir_fd,
                               const struct log_identity *identity, struct hf_err *err)
{
    uint8_t bytes[STORE_FILE_MAX];
    size_t n = encode(identity, bytes);

    for (size_t i = 0; i < 2; i++) {
        struct log_identity there;
        enum hf_code rc = load_one(files, dir_fd, names[i], &there, err);

        if (rc == HF_OK && hf_id_equal(&there.store, &identity->store)) continue;
        if (rc != HF_OK && rc != HF_NOT_FOUND && rc != HF_CORRUPT) return rc;
        rc = hf_file_replace(files, dir_fd, names[i], bytes, n, 0600, err);
        if (rc != HF_OK) return hf_prefix(err, "write %s", names[i]);
    }
    return HF_OK;
}

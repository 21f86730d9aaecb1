/* daemon_block.h - what tests of daemon/ store: coded and signed blocks, records; what
 * happens to them on disk, and what the log says of it. */
#ifndef HOLDFAST_TESTS_DAEMON_BLOCK_H
#define HOLDFAST_TESTS_DAEMON_BLOCK_H

#include "base/buffer.h"
#include "base/record.h"
#include "dht/action.h"
#include "erasure/manifest.h"

/* An owner of a vault. */
struct test_owner {
    struct hf_signer *signer;
    struct coder *coder;
    struct hf_id vault;
    struct hf_id source; /* of the blocks made for it: zero, or set by the test */
};

void test_owner_init(struct test_owner *owner, uint8_t seed);
void test_owner_done(struct test_owner *owner);

struct test_block {
    struct manifest manifest;
    struct hf_buffer *manifest_bytes;
    struct hf_buffer *fragments[CODE_FRAGMENTS_MAX];
    uint8_t *bytes;
    size_t size;
};

/* A block of `size` bytes made from `content`, coded k of n. */
struct test_block *test_block_new(const struct test_owner *owner, uint64_t content,
                                  size_t size, uint32_t k, uint32_t n, uint32_t generation);
void test_block_free(struct test_block *block);
/* Fragment `index`, borrowed from the block. */
struct dht_item test_block_item(const struct test_block *block, uint32_t index);

/* A signed record of host `host` (a byte) with a payload of one byte; the caller's. */
struct hf_buffer *test_record(const struct test_owner *owner, uint8_t host, uint64_t seq,
                              uint8_t payload);

/* Changes one bit behind every place where the n bytes stand in the segments of the store
 * in `dir`: returns how many. */
size_t test_alter(const char *dir, const uint8_t *bytes, size_t n);

/* From here on the log is kept (in memory); the last call's counts. */
void test_log_capture(void);
/* How many lines hold both texts. */
size_t test_log_lines(const char *a, const char *b);

#endif

/* log_entry.h - one entry of the segment log, as it stands on disk.
 *
 *     offset, a multiple of 64
 *     | [magic, header, check]      the frame: a CBOR array of three byte strings
 *     | payload                     as many bytes as the header says
 *     | zeros to a multiple of 64
 *
 * The header (HF_TYPE_LOG_ENTRY, docs/formats.md) describes the entry completely, its
 * own place included, so that the log can be read back without any index.  `check` is
 * HMAC-SHA256(header), cut to 16 bytes, under a key that never leaves the store:
 * a peer that chooses the payload of a fragment cannot hide entries in it for a
 * recovery scan to find.  The payload is checked by its RFC 6962 tree hash: for a
 * block its id, for a fragment the root in its manifest, so nothing is hashed twice.
 *
 * Pure: no I/O, no allocation.  Any thread. */
#ifndef HOLDFAST_BLOCKSTORE_LOG_ENTRY_H
#define HOLDFAST_BLOCKSTORE_LOG_ENTRY_H

#include "base/id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_ALIGN       64u  /* entries start at multiples of this */
#define LOG_KEY_MIN     16u  /* bytes of a key after its kind */
#define LOG_KEY_MAX     112u /* the same */
#define LOG_META_MAX    4096u
#define LOG_PAYLOAD_MAX ((size_t)8 << 20) /* HF_LEAVES_MAX leaves */
#define LOG_FRAME_MAX   4608u             /* the longest frame, with LOG_META_MAX of meta */
/* The most that an entry can take on disk. */
#define LOG_FOOTPRINT_MAX (LOG_PAYLOAD_MAX + LOG_FRAME_MAX + LOG_ALIGN)
#define LOG_CHECK_SIZE    16u

/* Numbers on disk. */
enum log_kind {
    LOG_BLOCK = 1,    /* key: vault, block id.  A whole block of a local store */
    LOG_FRAGMENT = 2, /* key: vault, block id, generation, index.  meta: its manifest */
    LOG_RECORD = 3,   /* key: vault, host.  meta: the signed record; no payload */
    LOG_REMOVAL = 4,  /* key: kind and key of what is removed.  meta: the owner's order */
    LOG_FILLER = 5    /* what a removed entry is overwritten with; no key */
};

/* A key, or the beginning of one: b[0] is the kind.  Ordered as bytes. */
struct log_key {
    size_t size;
    uint8_t b[3 + LOG_KEY_MAX]; /* the removal of a removal holds three kinds */
};

struct log_key log_key_block(const struct hf_id *vault, const struct hf_id *block);
struct log_key log_key_fragment(const struct hf_id *vault, const struct hf_id *block,
                                uint32_t generation, uint16_t index);
struct log_key log_key_record(const struct hf_id *vault, const struct hf_id *host);
/* The prefix of all keys of `kind` in a vault, and of all fragments of a block. */
struct log_key log_prefix_vault(enum log_kind kind, const struct hf_id *vault);
struct log_key log_prefix_block(const struct hf_id *vault, const struct hf_id *block);
/* The key under which the removal of `key` is remembered.  `key` is at most the removal
 * of something, not the removal of a removal. */
struct log_key log_key_removal(const struct log_key *key);
/* The key that a removal removes: `removal` without its first byte. */
struct log_key log_removal_target(const struct log_key *removal);
/* < 0, 0, > 0. */
int log_key_compare(const struct log_key *a, const struct log_key *b);
bool log_key_has_prefix(const struct log_key *key, const struct log_key *prefix);

/* What makes one store's entries its own. */
struct log_identity {
    struct hf_id store;    /* random; public, in the roster */
    uint8_t check_key[32]; /* random; never leaves the store */
};

struct log_entry {
    struct log_key key;
    uint64_t sequence;        /* from 1; one more with each entry of the store */
    uint64_t segment, offset; /* where it stands */
    uint64_t durable; /* all below this offset of the segment was durable before it */
    int64_t arrival_ns;
    uint32_t payload_size;
    struct hf_id payload_root; /* RFC 6962, leaves of HF_LEAF_SIZE */
    const uint8_t *meta;       /* borrowed; never NULL after log_entry_parse */
    size_t meta_size;
    uint32_t frame_size; /* set by both functions below */
};

/* Writes the frame of *entry and sets entry->frame_size, which it returns.  The limits
 * above must hold (asserted: they are the caller's). */
size_t log_entry_encode(const struct log_identity *identity, struct log_entry *entry,
                        uint8_t frame[static LOG_FRAME_MAX]);

/* Reads the frame at the start of bytes[0..n), n may exceed it.  False: no frame of this
 * store, or damaged; *entry is then unspecified.  entry->meta points into bytes. */
bool log_entry_parse(const struct log_identity *identity, const uint8_t *bytes, size_t n,
                     struct log_entry *entry);

/* Bytes from the start of the entry to the start of the next. */
uint64_t log_entry_footprint(uint32_t frame_size, uint32_t payload_size);

/* The frame of a filler that takes exactly the place of a removed entry. */
size_t log_filler_encode(const struct log_identity *identity, uint64_t segment,
                         uint64_t offset, uint64_t sequence, uint64_t footprint,
                         uint8_t frame[static LOG_FRAME_MAX]);

/* True when the bytes could start a frame (the magic): cheap, for a scan. */
bool log_entry_maybe(const uint8_t *bytes, size_t n);

#endif

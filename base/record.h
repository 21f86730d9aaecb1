/* record.h - a record: the small signed mutable value of one host in one vault.
 *
 * All records of a vault live under one key, a slot for each host.  A holder, who
 * can open nothing, checks the owner's signature and keeps the highest
 * {incarnation, seq} of each slot (docs/design.md section 7, Records).  The payload
 * is sealed by snapshot/head.c.  Layout: docs/formats.md, Head record. */
#ifndef HOLDFAST_BASE_RECORD_H
#define HOLDFAST_BASE_RECORD_H

#include "base/sign.h"

#define HF_RECORD_PAYLOAD_MAX 2048u
#define HF_RECORD_MAX         4096u /* a signed record, encoded */

struct hf_record {
    struct hf_id vault; /* SHA-256 of the vault's first owner key, for ever */
    uint32_t epoch;     /* of the key that signed */
    struct hf_public_key owner;
    struct hf_id host; /* the slot */
    uint32_t incarnation;
    uint64_t seq;          /* from 1; one more with each write */
    struct hf_id previous; /* SHA-256 of the record before, as stored; zero for the first */
    int64_t time_ns;
    uint8_t payload[HF_RECORD_PAYLOAD_MAX];
    size_t payload_size;
};

/* Signs and encodes to w.  HF_TOO_LARGE: w or the payload's limit is too small. */
HF_MUST_CHECK enum hf_code hf_record_put(struct hf_writer *w,
                                         const struct hf_record *record,
                                         const struct hf_signer *signer,
                                         struct hf_err *err);

/* Verifies and parses n bytes.  HF_CORRUPT: malformed, or not signed by the key whose
 * hash is the vault; *record is then unspecified. */
HF_MUST_CHECK enum hf_code hf_record_parse(const void *bytes, size_t n,
                                           struct hf_record *record, struct hf_err *err);

/* By {incarnation, seq}: < 0 when a is older than b, 0 when equal, > 0. */
int hf_record_compare(const struct hf_record *a, const struct hf_record *b);

/* The key under which all records of a vault live: SHA-256("hf1/records" || vault). */
void hf_record_key(const struct hf_id *vault, struct hf_id *key);

#endif

/* facts.h - the signed facts about a ring and its members.
 *
 * Ring parameters, certificates and revocations are signed by the ring's authority,
 * announcements by the member itself.  On disk and wire each is [body, signature]
 * (base/sign.h); the layouts are in docs/formats.md.  The parsers verify before they
 * parse.  Any thread. */
#ifndef HOLDFAST_MEMBERSHIP_FACTS_H
#define HOLDFAST_MEMBERSHIP_FACTS_H

#include "base/err.h"
#include "base/id.h"
#include "base/sign.h"
#include "membership/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FACT_SIZE_MAX             1024u /* encoded, any of them */
#define ANNOUNCEMENT_ADDRESSES    ADDRESS_LIST_MAX
#define CERTIFICATE_LIFE_S        (INT64_C(365) * 24 * 3600)
#define CERTIFICATE_POSITIONS_MAX 64u

struct ring_parameters {
    char name[NAME_SIZE];
    uint32_t version;    /* of these parameters; the higher replaces the lower */
    uint32_t successors; /* r of chord/: 2, 4, 8 or 16 */
    uint32_t k, n;       /* redundancy; 0, 0: automatic */
    struct hf_public_key authority;
    int64_t created_s; /* since 1970, UTC */
};

struct certificate {
    struct hf_public_key key;
    uint64_t number; /* chosen by the authority when it had seen the key */
    struct hf_id id; /* not stored: SHA-256(key || number) */
    char name[NAME_SIZE];
    uint64_t serial;    /* of this node's certificates; the higher replaces the lower */
    uint32_t authority; /* number of the authority's key: 1 */
    uint32_t positions; /* it may hold on the ring, 1..CERTIFICATE_POSITIONS_MAX */
    bool steward;
    int64_t not_before_s, not_after_s;
};

/* Makes the certificates of `node` up to `serial` worthless. */
struct revocation {
    struct hf_id node;
    uint64_t serial;
    int64_t time_s;
};

struct announcement {
    struct hf_id node;
    uint64_t seq;       /* the higher replaces the lower */
    struct hf_id store; /* of the store that it keeps fragments in; zero: none yet */
    char addresses[ANNOUNCEMENT_ADDRESSES][ADDRESS_SIZE];
    size_t address_count; /* 1..ANNOUNCEMENT_ADDRESSES, best first */
    uint64_t space_bytes; /* offered */
    char site[SITE_SIZE]; /* "": a site of its own */
    int64_t time_s;
};

/* SHA-256 of the authority's public key: what an invitation code names the ring by. */
void authority_fingerprint(const struct hf_public_key *authority, struct hf_id *out);
/* SHA-256(key || number, 8 bytes big-endian). */
void certificate_node_id(const struct hf_public_key *key, uint64_t number,
                         struct hf_id *id);

/* Signed and written to bytes[0..*n), at most FACT_SIZE_MAX.  HF_INVALID: a field is out of
 * its range (a name or address that is malformed). */
HF_MUST_CHECK enum hf_code ring_parameters_sign(const struct ring_parameters *ring,
                                                const struct hf_signer *authority,
                                                uint8_t bytes[static FACT_SIZE_MAX],
                                                size_t *n, struct hf_err *err);
HF_MUST_CHECK enum hf_code certificate_sign(const struct certificate *certificate,
                                            const struct hf_signer *authority,
                                            uint8_t bytes[static FACT_SIZE_MAX], size_t *n,
                                            struct hf_err *err);
HF_MUST_CHECK enum hf_code revocation_sign(const struct revocation *revocation,
                                           const struct hf_signer *authority,
                                           uint8_t bytes[static FACT_SIZE_MAX], size_t *n,
                                           struct hf_err *err);
HF_MUST_CHECK enum hf_code announcement_sign(const struct announcement *announcement,
                                             const struct hf_signer *member,
                                             uint8_t bytes[static FACT_SIZE_MAX], size_t *n,
                                             struct hf_err *err);

/* Verify and parse n bytes.  HF_CORRUPT: malformed, or a field out of range.
 * HF_WRONG_KEY: not signed by whom it must be signed by.  *out is then unspecified. */
/* With the authority whose fingerprint is given (the key itself is in the parameters); NULL
 * for one's own file, whose key is the one to trust. */
HF_MUST_CHECK enum hf_code ring_parameters_parse(const void *bytes, size_t n,
                                                 const struct hf_id *fingerprint,
                                                 struct ring_parameters *ring,
                                                 struct hf_err *err);
HF_MUST_CHECK enum hf_code certificate_parse(const void *bytes, size_t n,
                                             const struct hf_public_key *authority,
                                             struct certificate *certificate,
                                             struct hf_err *err);
HF_MUST_CHECK enum hf_code revocation_parse(const void *bytes, size_t n,
                                            const struct hf_public_key *authority,
                                            struct revocation *revocation,
                                            struct hf_err *err);
/* `member` is the key in the certificate of the node that announcement_node names. */
HF_MUST_CHECK enum hf_code announcement_parse(const void *bytes, size_t n,
                                              const struct hf_public_key *member,
                                              struct announcement *announcement,
                                              struct hf_err *err);

/* What an unverified fact speaks of and which version of it this is: enough to decide
 * whether to verify it.  False: malformed. */
struct fact_peek {
    uint32_t type;     /* HF_TYPE_CERTIFICATE, _REVOCATION, _ANNOUNCEMENT or _RING */
    struct hf_id node; /* zero: of the ring itself */
    uint64_t version;  /* serial, seq or version */
};
bool fact_peek(const void *bytes, size_t n, struct fact_peek *peek);

#endif

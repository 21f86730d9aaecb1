/* join.h - what is said when a link opens, and when a machine joins.
 *
 *     joiner or client                        steward or server
 *                      <---- LINK_HELLO ----  ring parameters, own certificate
 *     verifies both against the code's fingerprint and the key that TLS proved,
 *     before it says anything
 *     JOIN_REQUEST ---------------------->    key, name, proof of the invitation
 *                      <---- JOIN_REPLY ----  parameters, certificate, roster; or why not
 *     ROSTER (its announcement) --------->
 *
 * On every other link the client answers the HELLO with its own.  Encoding and decisions
 * only; no I/O.  Any thread. */
#ifndef HOLDFAST_MEMBERSHIP_JOIN_H
#define HOLDFAST_MEMBERSHIP_JOIN_H

#include "base/cbor.h"
#include "membership/facts.h"
#include "membership/roster.h"

#define LINK_HELLO_MAX   4096u /* encoded, without the frame's kind */
#define JOIN_REQUEST_MAX 512u
#define JOIN_REPLY_MAX   4096u

/* An encoded fact. */
struct fact_bytes {
    uint8_t b[FACT_SIZE_MAX];
    size_t size;
};

/* The signed ring parameters and the sender's own certificate. */
struct link_hello {
    struct fact_bytes ring, certificate;
};

struct join_request {
    struct hf_public_key key;
    char name[NAME_SIZE]; /* wished for: the machine's host name */
    struct hf_id proof;   /* invitation_prove */
};

struct join_reply {
    enum hf_code
        code;       /* HF_OK, or why not: HF_DENIED no such invitation, HF_TIMED_OUT
                       expired, HF_NO_SPACE used up, HF_TOO_LARGE the ring is full, ... */
    char text[160]; /* why not, in words */
    struct fact_bytes ring, certificate; /* HF_OK only */
};

void link_hello_put(struct hf_writer *w, const struct link_hello *hello);
void join_request_put(struct hf_writer *w, const struct join_request *request);
void join_reply_put(struct hf_writer *w, const struct join_reply *reply);

/* HF_CORRUPT: malformed; *out is unspecified.  The facts within are not yet verified. */
HF_MUST_CHECK enum hf_code link_hello_parse(const void *bytes, size_t n,
                                            struct link_hello *hello, struct hf_err *err);
HF_MUST_CHECK enum hf_code join_request_parse(const void *bytes, size_t n,
                                              struct join_request *request,
                                              struct hf_err *err);
HF_MUST_CHECK enum hf_code join_reply_parse(const void *bytes, size_t n,
                                            struct join_reply *reply, struct hf_err *err);

/* Who the other end of a link is. */
struct link_peer {
    struct ring_parameters ring;
    struct certificate certificate;
};

/* Verifies a hello: the ring is the one with `fingerprint`, and its authority certified
 * the key that TLS proved.  HF_WRONG_KEY: another ring.  HF_DENIED: the certificate is
 * forged or of another key.  HF_CORRUPT.  That the certificate was not revoked is for the
 * caller to see, who has a roster. */
HF_MUST_CHECK enum hf_code link_hello_verify(const struct link_hello *hello,
                                             const struct hf_id *fingerprint,
                                             const struct hf_public_key *tls_key,
                                             struct link_peer *peer, struct hf_err *err);

#endif

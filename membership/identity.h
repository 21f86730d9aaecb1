/* identity.h - the key that one node is known by.
 *
 * The file node.key (mode 0600) holds the 32 bytes of an Ed25519 seed.  For TLS the key
 * travels in a self-signed X.509 certificate that says nothing else: who a key belongs to
 * is on the roster.  Any thread, once made. */
#ifndef HOLDFAST_MEMBERSHIP_IDENTITY_H
#define HOLDFAST_MEMBERSHIP_IDENTITY_H

#include "base/file.h"
#include "base/sign.h"

#include <openssl/types.h>

#define IDENTITY_FILE "node.key"

struct identity; /* opaque */

/* A new key, written to dir/node.key.  HF_EXISTS: there is one already. */
HF_MUST_CHECK enum hf_code identity_create(struct hf_files *files, int dir_fd,
                                           struct identity **identity, struct hf_err *err);
/* HF_NOT_FOUND, HF_DENIED (others may read it), HF_CORRUPT. */
HF_MUST_CHECK enum hf_code identity_load(struct hf_files *files, int dir_fd,
                                         struct identity **identity, struct hf_err *err);
/* From a seed, which is copied.  HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code identity_from_seed(const uint8_t seed[static HF_SEED_SIZE],
                                              struct identity **identity,
                                              struct hf_err *err);
void identity_free(struct identity *identity); /* NULL is allowed */

/* Borrowed until identity_free. */
const struct hf_signer *identity_signer(const struct identity *identity);
const struct hf_public_key *identity_public(const struct identity *identity);
X509 *identity_x509(const struct identity *identity);
EVP_PKEY *identity_private_key(const struct identity *identity);

/* The Ed25519 key in a peer's certificate.  False: it holds no such key. */
HF_MUST_CHECK bool identity_public_key_of_x509(X509 *x509, struct hf_public_key *key);

#endif

/* tls.h - how nodes talk: TLS 1.3, both sides with an Ed25519 key, nothing else.
 *
 * The handshake proves which key the peer holds; whether that key may do anything is
 * decided afterwards, from the roster.  No tickets, no early data, no renegotiation. */
#ifndef HOLDFAST_MEMBERSHIP_TLS_H
#define HOLDFAST_MEMBERSHIP_TLS_H

#include "base/err.h"
#include "membership/identity.h"

#include <openssl/types.h>

enum tls_side { TLS_SERVER, TLS_CLIENT };

/* The caller's, to be released with SSL_CTX_free; `identity` need not outlive it.  A peer
 * without a certificate, or whose certificate is not one well-formed Ed25519 key signed
 * by itself, is refused in the handshake.  HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code tls_context_new(const struct identity *identity,
                                           enum tls_side side, SSL_CTX **context,
                                           struct hf_err *err);

/* The key that the peer of a finished handshake proved to hold.  False: none. */
HF_MUST_CHECK bool tls_peer_key(const SSL *ssl, struct hf_public_key *key);

#endif

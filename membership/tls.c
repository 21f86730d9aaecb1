#include "membership/tls.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>

/* Called in place of OpenSSL's chain building, which has nothing to say of keys that no
 * X.509 authority knows. */
static int verify_leaf(X509_STORE_CTX *store, void *arg)
{
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    const STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(store);
    struct hf_public_key key;

    (void)arg;
    if (leaf != NULL && identity_public_key_of_x509(leaf, &key) && sk_X509_num(sent) == 1 &&
        X509_verify(leaf, X509_get0_pubkey(leaf)) == 1)
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    return 0;
}

static bool configure(SSL_CTX *context, const struct identity *identity)
{
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(context, verify_leaf, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                           SSL_OP_NO_COMPRESSION);
    return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set1_sigalgs_list(context, "ed25519") == 1 &&
           SSL_CTX_set_num_tickets(context, 0) == 1 &&
           SSL_CTX_set_max_early_data(context, 0) == 1 &&
           SSL_CTX_set_recv_max_early_data(context, 0) == 1 &&
           SSL_CTX_use_certificate(context, identity_x509(identity)) == 1 &&
           SSL_CTX_use_PrivateKey(context, identity_private_key(identity)) == 1;
}

enum hf_code tls_context_new(const struct identity *identity, enum tls_side side,
                             SSL_CTX **out, struct hf_err *err)
{
    SSL_CTX *context =
        SSL_CTX_new(side == TLS_SERVER ? TLS_server_method() : TLS_client_method());

    *out = NULL;
    if (context == NULL || !configure(context, identity)) {
        SSL_CTX_free(context);
        return hf_fail(err, HF_NO_MEMORY, "TLS: cannot set up");
    }
    *out = context;
    return HF_OK;
}

bool tls_peer_key(const SSL *ssl, struct hf_public_key *key)
{
    return identity_public_key_of_x509(SSL_get0_peer_certificate(ssl), key);
}

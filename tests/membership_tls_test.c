#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "membership/tls.h"
#include "membership_world.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct identity *identity_of(uint8_t number)
{
    uint8_t seed[HF_SEED_SIZE];
    struct identity *identity;
    struct hf_err err;

    memset(seed, number, sizeof seed);
    assert_int_equal(identity_from_seed(seed, &identity, &err), HF_OK);
    return identity;
}

static SSL_CTX *context_of(const struct identity *identity, enum tls_side side)
{
    SSL_CTX *context;
    struct hf_err err;

    assert_int_equal(tls_context_new(identity, side, &context, &err), HF_OK);
    return context;
}

/* Two ends over a socket pair, driven in turn until both are done or one fails. */
struct ends {
    SSL *server, *client;
    int fds[2];
    bool server_done, client_done, failed;
};

static bool drive(SSL *ssl, bool *failed)
{
    const int rc = SSL_do_handshake(ssl);
    const int reason = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl, rc);

    if (rc != 1 && reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE)
        *failed = true;
    return rc == 1;
}

static void shake(struct ends *ends, SSL_CTX *server, SSL_CTX *client)
{
    memset(ends, 0, sizeof *ends);
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends->fds), 0);
    ends->server = SSL_new(server);
    ends->client = SSL_new(client);
    assert_int_equal(SSL_set_fd(ends->server, ends->fds[0]), 1);
    assert_int_equal(SSL_set_fd(ends->client, ends->fds[1]), 1);
    SSL_set_accept_state(ends->server);
    SSL_set_connect_state(ends->client);
    for (int i = 0; i < 10 && !ends->failed && !(ends->server_done && ends->client_done);
         i++) {
        if (!ends->client_done) ends->client_done = drive(ends->client, &ends->failed);
        if (!ends->server_done) ends->server_done = drive(ends->server, &ends->failed);
    }
}

static void ends_free(struct ends *ends)
{
    SSL_free(ends->server);
    SSL_free(ends->client);
    (void)close(ends->fds[0]);
    (void)close(ends->fds[1]);
}

static void both_learn_the_others_key(void **state)
{
    struct identity *a = identity_of(1);
    struct identity *b = identity_of(2);
    SSL_CTX *server = context_of(a, TLS_SERVER);
    SSL_CTX *client = context_of(b, TLS_CLIENT);
    struct hf_public_key key;
    struct ends ends;
    char byte = 'x';

    (void)state;
    shake(&ends, server, client);
    assert_true(ends.server_done && ends.client_done && !ends.failed);
    assert_string_equal(SSL_get_version(ends.client), "TLSv1.3");
    assert_true(tls_peer_key(ends.client, &key));
    assert_memory_equal(key.b, identity_public(a)->b, HF_PUBLIC_KEY_SIZE);
    assert_true(tls_peer_key(ends.server, &key));
    assert_memory_equal(key.b, identity_public(b)->b, HF_PUBLIC_KEY_SIZE);
    assert_int_equal(SSL_write(ends.client, &byte, 1), 1);
    assert_int_equal(SSL_read(ends.server, &byte, 1), 1);
    /* Nothing to resume with was sent. */
    assert_int_equal(SSL_write(ends.server, &byte, 1), 1);
    assert_int_equal(SSL_read(ends.client, &byte, 1), 1);
    assert_false(SSL_SESSION_is_resumable(SSL_get0_session(ends.client)));
    ends_free(&ends);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    identity_free(a);
    identity_free(b);
}

static void server_refuses_a_client_without_certificate(void **state)
{
    struct identity *a = identity_of(1);
    SSL_CTX *server = context_of(a, TLS_SERVER);
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());
    struct ends ends;

    (void)state;
    SSL_CTX_set_verify(client, SSL_VERIFY_NONE, NULL);
    shake(&ends, server, client);
    assert_true(ends.failed);
    assert_false(ends.server_done);
    ends_free(&ends);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    identity_free(a);
}

static void older_tls_is_refused(void **state)
{
    struct identity *a = identity_of(1);
    struct identity *b = identity_of(2);
    SSL_CTX *server = context_of(a, TLS_SERVER);
    SSL_CTX *client = context_of(b, TLS_CLIENT);
    struct ends ends;

    (void)state;
    assert_int_equal(SSL_CTX_set_min_proto_version(client, TLS1_2_VERSION), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(client, TLS1_2_VERSION), 1);
    shake(&ends, server, client);
    assert_true(ends.failed);
    assert_false(ends.server_done);
    ends_free(&ends);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    identity_free(a);
    identity_free(b);
}

/* A self-signed certificate with `key`, signed by `signer`. */
static X509 *certificate_of(EVP_PKEY *key, EVP_PKEY *signer, const EVP_MD *md)
{
    X509 *x509 = X509_new();

    assert_int_equal(X509_set_version(x509, X509_VERSION_3), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x509), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x509), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x509), 1000));
    assert_int_equal(X509_set_pubkey(x509, key), 1);
    assert_true(X509_sign(x509, signer, md) > 0);
    return x509;
}

static bool server_accepts(X509 *x509, EVP_PKEY *key)
{
    struct identity *a = identity_of(1);
    SSL_CTX *server = context_of(a, TLS_SERVER);
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());
    struct ends ends;
    bool accepted;

    SSL_CTX_set_verify(client, SSL_VERIFY_NONE, NULL);
    assert_int_equal(SSL_CTX_use_certificate(client, x509), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(client, key), 1);
    shake(&ends, server, client);
    accepted = ends.server_done;
    ends_free(&ends);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    identity_free(a);
    return accepted;
}

static void only_ed25519_signed_by_itself_is_accepted(void **state)
{
    EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    EVP_PKEY *other = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    EVP_PKEY *ec = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *good = certificate_of(ed, ed, NULL);
    X509 *cross = certificate_of(ed, other, NULL);
    X509 *curve = certificate_of(ec, ec, EVP_sha256());
    struct hf_public_key key;

    (void)state;
    assert_true(server_accepts(good, ed));
    assert_false(server_accepts(cross, ed));
    assert_false(server_accepts(curve, ec));
    assert_false(identity_public_key_of_x509(curve, &key));
    assert_true(identity_public_key_of_x509(good, &key));
    X509_free(good);
    X509_free(cross);
    X509_free(curve);
    EVP_PKEY_free(ed);
    EVP_PKEY_free(other);
    EVP_PKEY_free(ec);
}

static void node_key_survives_and_is_private(void **state)
{
    struct identity *made;
    struct identity *back;
    char path[64];
    struct stat st;
    struct hf_err err;
    int fd;

    (void)state;
    world_directory(path, &fd);
    assert_int_equal(identity_load(hf_files_system(), fd, &back, &err), HF_NOT_FOUND);
    assert_int_equal(identity_create(hf_files_system(), fd, &made, &err), HF_OK);
    assert_int_equal(fstatat(fd, IDENTITY_FILE, &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(identity_load(hf_files_system(), fd, &back, &err), HF_OK);
    assert_memory_equal(identity_public(made), identity_public(back), HF_PUBLIC_KEY_SIZE);
    identity_free(back);
    assert_int_equal(identity_create(hf_files_system(), fd, &back, &err), HF_EXISTS);
    assert_int_equal(fchmodat(fd, IDENTITY_FILE, 0644, 0), 0);
    assert_int_equal(identity_load(hf_files_system(), fd, &back, &err), HF_DENIED);
    assert_int_equal(
        hf_file_replace(hf_files_system(), fd, IDENTITY_FILE, "short", 5, 0600, &err),
        HF_OK);
    assert_int_equal(identity_load(hf_files_system(), fd, &back, &err), HF_CORRUPT);
    identity_free(made);
    world_remove(path, fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_learn_the_others_key),
        cmocka_unit_test(server_refuses_a_client_without_certificate),
        cmocka_unit_test(older_tls_is_refused),
        cmocka_unit_test(only_ed25519_signed_by_itself_is_accepted),
        cmocka_unit_test(node_key_survives_and_is_private),
    };
    return cmocka_run_group_tests_name("membership/tls", tests, NULL, NULL);
}

#include "snapshot/vault.h"

#include "base/aead.h"
#include "base/cbor.h"
#include "base/file.h"
#include "base/random.h"
#include "base/types.h"
#include "snapshot/keys.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VERSION        1u
#define VAULT_FILE_MAX 1024u
#define SALT_SIZE      32u
#define SCRYPT_LOG_N   15u
#define SCRYPT_MEMORY  (64u * 1024u * 1024u)

enum key {
    KEY_HOST = 2,
    KEY_INCARNATION = 3,
    KEY_NAME = 4,
    KEY_SECRET = 5,
    KEY_SALT = 6,
    KEY_LOG_N = 7
};

enum hf_code vault_new(struct vault *vault, const char *host_name, struct hf_err *err)
{
    memset(vault, 0, sizeof *vault);
    vault->secret = hf_secret_new(VAULT_SECRET_SIZE);
    if (vault->secret == NULL) return hf_fail(err, HF_NO_MEMORY, "vault: out of memory");
    hf_random(vault->secret->b, vault->secret->size);
    hf_random(vault->host.b, sizeof vault->host.b);
    vault->incarnation = 1;
    (void)snprintf(vault->host_name, sizeof vault->host_name, "%s", host_name);
    return HF_OK;
}

void vault_done(struct vault *vault)
{
    hf_secret_free(vault->secret);
    memset(vault, 0, sizeof *vault);
}

/* The wrapping key for a passphrase. */
static enum hf_code stretch(const char *passphrase, const uint8_t *salt, uint64_t log_n,
                            uint8_t key[static HF_AEAD_KEY_SIZE], struct hf_err *err)
{
    if (EVP_PBE_scrypt(passphrase, strlen(passphrase), salt, SALT_SIZE, 1ull << log_n, 8, 1,
                       SCRYPT_MEMORY, key, HF_AEAD_KEY_SIZE) != 1)
        return hf_fail(err, HF_NO_MEMORY, "passphrase: scrypt wants %u MiB of memory",
                       SCRYPT_MEMORY >> 20);
    return HF_OK;
}

static const struct hf_aad wrap_aad = {"hf1/vault-wrap", 14};

static enum hf_code wrap(const struct vault *vault, const char *passphrase, uint8_t *salt,
                         uint8_t *sealed, struct hf_err *err)
{
    uint8_t key[HF_AEAD_KEY_SIZE];
    struct hf_aead *aead = hf_aead_new();
    enum hf_code rc;

    if (aead == NULL) return hf_fail(err, HF_NO_MEMORY, "vault: out of memory");
    hf_random(salt,
              SALT_SIZE); /* a fresh key for each wrapping, so the nonce may be zero */
    rc = stretch(passphrase, salt, SCRYPT_LOG_N, key, err);
    if (rc == HF_OK)
        rc = hf_aead_seal(aead, key, wrap_aad, vault->secret->b, VAULT_SECRET_SIZE, sealed,
                          err);
    hf_wipe(key, sizeof key);
    hf_aead_free(aead);
    return rc;
}

enum hf_code vault_save(const struct vault *vault, int dir_fd, const char *passphrase,
                        struct hf_err *err)
{
    uint8_t bytes[VAULT_FILE_MAX];
    uint8_t salt[SALT_SIZE];
    uint8_t sealed[VAULT_SECRET_SIZE + HF_AEAD_TAG_SIZE];
    struct hf_writer w = hf_writer_init(bytes, sizeof bytes);
    enum hf_code rc = HF_OK;

    if (faccessat(dir_fd, VAULT_FILE, F_OK, 0) == 0)
        return hf_fail(err, HF_EXISTS, "vault: there is one already; nothing was changed");
    if (passphrase != NULL) rc = wrap(vault, passphrase, salt, sealed, err);
    if (rc != HF_OK) return rc;
    hf_put_header(&w, passphrase != NULL ? 6 : 4, HF_TYPE_VAULT, VERSION);
    hf_put_key(&w, KEY_HOST);
    hf_put_id(&w, &vault->host);
    hf_put_key(&w, KEY_INCARNATION);
    hf_put_uint(&w, vault->incarnation);
    hf_put_key(&w, KEY_NAME);
    hf_put_bytes(&w, vault->host_name, strlen(vault->host_name));
    hf_put_key(&w, KEY_SECRET);
    if (passphrase != NULL) {
        hf_put_bytes(&w, sealed, sizeof sealed);
        hf_put_key(&w, KEY_SALT);
        hf_put_bytes(&w, salt, sizeof salt);
        hf_put_key(&w, KEY_LOG_N);
        hf_put_uint(&w, SCRYPT_LOG_N);
    } else {
        hf_put_bytes(&w, vault->secret->b, vault->secret->size);
    }
    if (w.failed)
        rc = hf_fail(err, HF_TOO_LARGE, "vault: the host name is too long");
    else
        rc = hf_file_replace(hf_files_system(), dir_fd, VAULT_FILE, bytes,
                             hf_writer_size(&w), 0600, err);
    hf_wipe(bytes, sizeof bytes);
    return rc;
}

static enum hf_code unwrap(struct vault *vault, const uint8_t *sealed, const uint8_t *salt,
                           uint64_t log_n, const char *passphrase, struct hf_err *err)
{
    uint8_t key[HF_AEAD_KEY_SIZE];
    struct hf_aead *aead = hf_aead_new();
    enum hf_code rc;

    if (aead == NULL) return hf_fail(err, HF_NO_MEMORY, "vault: out of memory");
    rc = stretch(passphrase, salt, log_n, key, err);
    if (rc == HF_OK &&
        hf_aead_open(aead, key, wrap_aad, sealed, VAULT_SECRET_SIZE + HF_AEAD_TAG_SIZE,
                     vault->secret->b, err) != HF_OK)
        rc = hf_fail(err, HF_WRONG_KEY, "vault: wrong passphrase");
    hf_wipe(key, sizeof key);
    hf_aead_free(aead);
    return rc;
}

struct vault_file {
    const uint8_t *secret, *salt;
    size_t secret_size, salt_size;
    uint64_t log_n;
};

static bool parse(const uint8_t *bytes, size_t n, struct vault *vault,
                  struct vault_file *file)
{
    struct hf_reader r = hf_reader_init(bytes, n);
    struct hf_map m = hf_get_header(&r, 16, HF_TYPE_VAULT, VERSION);
    const uint8_t *name = NULL;
    size_t name_size = 0;
    int64_t key;

    while (hf_map_next(&r, &m, &key)) {
        switch (key) {
        case KEY_HOST: hf_get_id(&r, &vault->host); break;
        case KEY_INCARNATION: vault->incarnation = hf_get_u32(&r); break;
        case KEY_NAME:
            name = hf_get_bytes(&r, sizeof vault->host_name - 1, &name_size);
            break;
        case KEY_SECRET: file->secret = hf_get_bytes(&r, 64, &file->secret_size); break;
        case KEY_SALT: file->salt = hf_get_bytes(&r, SALT_SIZE, &file->salt_size); break;
        case KEY_LOG_N: file->log_n = hf_get_uint(&r, SCRYPT_LOG_N); break;
        default: hf_map_other(&r, key);
        }
    }
    hf_map_require(&r, &m, 0x3c);
    if (!hf_reader_done(&r)) return false;
    memcpy(vault->host_name, name, name_size);
    if (file->salt == NULL) return file->secret_size == VAULT_SECRET_SIZE;
    return file->salt_size == SALT_SIZE && file->log_n > 0 &&
           file->secret_size == VAULT_SECRET_SIZE + HF_AEAD_TAG_SIZE;
}

enum hf_code vault_load(struct vault *vault, int dir_fd, vault_passphrase_fn *ask,
                        void *arg, struct hf_err *err)
{
    uint8_t bytes[VAULT_FILE_MAX];
    char passphrase[VAULT_PASSPHRASE_MAX];
    struct vault_file file = {0};
    size_t n;
    enum hf_code rc;

    memset(vault, 0, sizeof *vault);
    rc = hf_file_load_private(hf_files_system(), dir_fd, VAULT_FILE, bytes, sizeof bytes,
                              &n, err);
    if (rc == HF_NOT_FOUND)
        return hf_fail(err, HF_NOT_FOUND, "vault: no vault here; run 'holdfast init'");
    if (rc != HF_OK) return hf_prefix(err, "vault");
    if (!parse(bytes, n, vault, &file)) {
        rc = hf_fail(err, HF_CORRUPT,
                     "vault: %s does not parse; restore it, or 'holdfast recover'",
                     VAULT_FILE);
        goto out;
    }
    vault->secret = hf_secret_new(VAULT_SECRET_SIZE);
    if (vault->secret == NULL) {
        rc = hf_fail(err, HF_NO_MEMORY, "vault: out of memory");
    } else if (file.salt == NULL) {
        memcpy(vault->secret->b, file.secret, VAULT_SECRET_SIZE);
    } else if (ask == NULL || !ask(arg, passphrase, sizeof passphrase)) {
        rc = hf_fail(err, HF_WRONG_KEY,
                     "vault: a passphrase protects it; set HOLDFAST_PASSPHRASE_FILE");
    } else {
        rc = unwrap(vault, file.secret, file.salt, file.log_n, passphrase, err);
    }
out:
    hf_wipe(bytes, sizeof bytes);
    hf_wipe(passphrase, sizeof passphrase);
    if (rc != HF_OK) vault_done(vault);
    return rc;
}

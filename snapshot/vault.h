/* vault.h - the vault as this machine keeps it: its secret, this host's identity, and
 * the recovery code that holds the same on paper. */
#ifndef HOLDFAST_SNAPSHOT_VAULT_H
#define HOLDFAST_SNAPSHOT_VAULT_H

#include "base/err.h"
#include "base/id.h"
#include "base/secret.h"
#include "snapshot/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_FILE           "vault.key" /* in the configuration directory, mode 0600 */
#define VAULT_ADDRESSES_MAX  4u
#define VAULT_ADDRESS_SIZE   80u /* "host:port" and its NUL */
#define VAULT_PASSPHRASE_MAX 1024u
#define RECOVERY_CODE_MAX    1024u

/* What the vault file holds. */
struct vault {
    struct hf_secret *secret; /* VAULT_SECRET_SIZE bytes; owned */
    struct hf_id host;        /* this machine, random */
    uint32_t incarnation;     /* raised when the host is recovered */
    char host_name[NAME_TEXT_MAX];
};

/* A new vault with a random secret and host id.  HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code vault_new(struct vault *vault, const char *host_name,
                                     struct hf_err *err);
/* Wipes.  A zeroed struct is allowed. */
void vault_done(struct vault *vault);

/* Writes the vault file into directory dir_fd.  With a passphrase (not NULL) the secret is
 * wrapped: scrypt N = 2^15, r = 8, p = 1, then AES-256-GCM.  HF_EXISTS when there is one.
 */
HF_MUST_CHECK enum hf_code vault_save(const struct vault *vault, int dir_fd,
                                      const char *passphrase, struct hf_err *err);

/* Asks for a passphrase: writes at most `size` bytes with a NUL to buf; false: there is
 * none. */
typedef bool vault_passphrase_fn(void *arg, char *buf, size_t size);

/* Reads the vault file.  HF_NOT_FOUND: no vault here.  HF_DENIED: its mode is too open.
 * HF_WRONG_KEY: wrapped, and the passphrase is wrong or not to be had.  `ask` is only
 * called for a wrapped secret. */
HF_MUST_CHECK enum hf_code vault_load(struct vault *vault, int dir_fd,
                                      vault_passphrase_fn *ask, void *arg,
                                      struct hf_err *err);

/* What the recovery code holds: enough to find and read everything from a bare machine. */
struct recovery {
    struct hf_secret *secret; /* owned */
    bool on_ring;
    struct hf_id authority; /* fingerprint of the ring's authority */
    char addresses[VAULT_ADDRESSES_MAX][VAULT_ADDRESS_SIZE];
    size_t address_count;
};

/* Writes "hfr1-" and groups of base32 with a checksum, NUL-terminated. */
HF_MUST_CHECK enum hf_code recovery_encode(const struct recovery *recovery,
                                           char code[static RECOVERY_CODE_MAX],
                                           struct hf_err *err);
/* Takes lower or upper case, with or without dashes and spaces; 0 and 1 read as O and I.
 * HF_WRONG_KEY says whether it is no recovery code or a mistyped one. */
HF_MUST_CHECK enum hf_code recovery_decode(const char *code, struct recovery *recovery,
                                           struct hf_err *err);
void recovery_done(struct recovery *recovery);

#endif

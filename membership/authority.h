/* authority.h - the key that a ring's certificates hang on.
 *
 * Kept by its stewards in the file authority.key (mode 0600) of their configuration, and
 * by people on paper as the authority's recovery code.  Any thread. */
#ifndef HOLDFAST_MEMBERSHIP_AUTHORITY_H
#define HOLDFAST_MEMBERSHIP_AUTHORITY_H

#include "base/file.h"
#include "base/sign.h"
#include "membership/text.h"

#define AUTHORITY_FILE        "authority.key"
#define AUTHORITY_CODE_PREFIX "hfa1-"

struct authority; /* opaque */

/* A new key, not yet on disk.  HF_NO_MEMORY. */
HF_MUST_CHECK enum hf_code authority_new(struct authority **authority, struct hf_err *err);
void authority_free(struct authority *authority); /* NULL is allowed */

/* HF_DENIED: others may read the file.  HF_NOT_FOUND: this home is no steward's. */
HF_MUST_CHECK enum hf_code authority_load(struct hf_files *files, int dir_fd,
                                          struct authority **authority, struct hf_err *err);
HF_MUST_CHECK enum hf_code authority_save(const struct authority *authority,
                                          struct hf_files *files, int dir_fd,
                                          struct hf_err *err);

/* The recovery code; whoever has it owns the ring.  Wipe text after use. */
void authority_code(const struct authority *authority, char text[static CODE_TEXT_SIZE]);
/* From a recovery code.  HF_WRONG_KEY: mistyped or another kind of code. */
HF_MUST_CHECK enum hf_code
authority_from_code(const char *text, struct authority **authority, struct hf_err *err);

/* Borrowed. */
const struct hf_signer *authority_signer(const struct authority *authority);
const struct hf_public_key *authority_public(const struct authority *authority);
/* Of the key, in certificates: 1 until a ring changes its key. */
uint32_t authority_number(const struct authority *authority);

#endif

/* conf.h - holdfast.conf, an INI file (inih). */
#ifndef HOLDFAST_BASE_CONF_H
#define HOLDFAST_BASE_CONF_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HF_CONF_ENTRIES_MAX 1024u

struct hf_conf; /* opaque */

/* Reads `path`; a missing file is an empty configuration.  HF_INVALID names the line.
 * With `base`, which it then owns, entries not found here are looked up there. */
HF_MUST_CHECK enum hf_code hf_conf_load(const char *path, struct hf_conf *base,
                                        struct hf_conf **conf, struct hf_err *err);
void hf_conf_free(struct hf_conf *conf);

/* The value of `key` in [section]: HOLDFAST_<KEY> of the environment first (upper case,
 * '-' as '_'), then the file; NULL when neither has it.  Borrowed until hf_conf_free. */
const char *hf_conf_get(const struct hf_conf *conf, const char *section, const char *key);

/* As hf_conf_get, for a key that may stand on several lines: the i-th of them in the file
 * that has any; the environment's is the only one.  NULL behind the last. */
const char *hf_conf_get_line(const struct hf_conf *conf, const char *section,
                             const char *key, size_t i);

#define HF_CONF_WHERE_SIZE 128u

/* Where what hf_conf_get_line gives stands: "FILE: line 7", or the environment variable. */
void hf_conf_where(const struct hf_conf *conf, const char *section, const char *key,
                   size_t i, char where[static HF_CONF_WHERE_SIZE]);

/* "64K", "10G", "1024": powers of 1024.  False: not a size, or too large. */
bool hf_size_parse(const char *text, uint64_t *bytes);
/* "2y5m7d3h", "90s": y (365 d), m (30 d), w, d, h, s. */
bool hf_duration_parse(const char *text, uint64_t *seconds);

#endif

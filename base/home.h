/* home.h - where one node keeps its things (docs/cli.md, "Where things are"). */
#ifndef HOLDFAST_BASE_HOME_H
#define HOLDFAST_BASE_HOME_H

#include "base/err.h"

#define HF_PATH_MAX 1024u /* of our own directories; users' paths have no such limit */

struct hf_home {
    char config[HF_PATH_MAX]; /* holdfast.conf, vault, node and authority keys */
    char state[HF_PATH_MAX];  /* local store, fragments, heads, roster */
    char cache[HF_PATH_MAX];  /* what can be rebuilt: the chunk index */
    char run[HF_PATH_MAX];    /* socket, locks */
};

/* From --home DIR (may be NULL), else HOLDFAST_HOME, else root's or the user's own
 * directories.  Makes nothing.  HF_INVALID: no home to be found, or a path too long. */
HF_MUST_CHECK enum hf_code hf_home_find(const char *dir, struct hf_home *home,
                                        struct hf_err *err);

/* dir + "/" + name to out; HF_TOO_LARGE beyond HF_PATH_MAX. */
HF_MUST_CHECK enum hf_code hf_path_join(const char *dir, const char *name,
                                        char out[static HF_PATH_MAX], struct hf_err *err);

/* Makes all four with mode 0700, and refuses (HF_DENIED, with the remedy) a config or
 * state directory that others may write, or that another user owns. */
HF_MUST_CHECK enum hf_code hf_home_make(const struct hf_home *home, struct hf_err *err);
/* The same check without making anything; HF_NOT_FOUND when there is no home yet. */
HF_MUST_CHECK enum hf_code hf_home_check(const struct hf_home *home, struct hf_err *err);

#endif

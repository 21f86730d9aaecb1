/* settings.h - how a member listens and what it offers, in the file `settings` of its
 * state.  Any thread. */
#ifndef HOLDFAST_MEMBERSHIP_SETTINGS_H
#define HOLDFAST_MEMBERSHIP_SETTINGS_H

#include "base/file.h"
#include "membership/text.h"

#define MEMBER_PORT_DEFAULT "4774"

struct member_settings {
    char listen[ADDRESS_SIZE];
    char advertise[ADDRESS_LIST_SIZE]; /* one or several (address_list_parse) */
    uint64_t space_bytes;
    char site[SITE_SIZE]; /* "": a site of its own */
};

/* What `ring create` and `ring join` are told.  NULL and 0: the default. */
struct member_options {
    const char *host_name; /* of this machine: gethostname */
    const char *listen;    /* 0.0.0.0:MEMBER_PORT_DEFAULT */
    const char *advertise; /* one or several, by commas; as listen, or the host name when
                              that is a wildcard */
    const char *site;
    uint64_t space_bytes;
    int64_t now_s; /* since 1970, UTC */
};

/* The host name wished for, or this machine's.  HF_INVALID: too long. */
HF_MUST_CHECK enum hf_code member_host_name(const struct member_options *options,
                                            char name[static NAME_SIZE],
                                            struct hf_err *err);

/* HF_INVALID: an address or the site is malformed; the message names it. */
HF_MUST_CHECK enum hf_code settings_from(const struct member_options *options,
                                         const char *host_name,
                                         struct member_settings *settings,
                                         struct hf_err *err);

HF_MUST_CHECK enum hf_code settings_save(const struct member_settings *settings,
                                         struct hf_files *files, int dir_fd,
                                         struct hf_err *err);
/* HF_NOT_FOUND, HF_CORRUPT. */
HF_MUST_CHECK enum hf_code settings_load(struct member_settings *settings,
                                         struct hf_files *files, int dir_fd,
                                         struct hf_err *err);

#endif

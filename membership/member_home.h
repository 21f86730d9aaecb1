/* member_home.h - all that a member's home holds of its ring.
 *
 *     config: node.key, authority.key (stewards)
 *     state:  ring, certificate, roster, settings, invitations (stewards)
 *
 * The file `ring` is written last: a home without it is in no ring, whatever an
 * interrupted create or join left behind, and both may be run again. */
#ifndef HOLDFAST_MEMBERSHIP_MEMBER_HOME_H
#define HOLDFAST_MEMBERSHIP_MEMBER_HOME_H

#include "base/file.h"
#include "base/home.h"
#include "membership/authority.h"
#include "membership/identity.h"
#include "membership/invitations.h"
#include "membership/join.h"
#include "membership/roster.h"
#include "membership/settings.h"
#include "membership/steward.h"

/* A member as loaded.  Not thread-safe: one owner. */
struct member_home {
    struct hf_files *files;
    int config_fd, state_fd;
    struct identity *identity;
    struct ring_parameters ring;
    struct certificate certificate;
    struct fact_bytes ring_bytes, certificate_bytes;
    struct roster *roster;
    struct member_settings settings;
    struct authority *authority;     /* NULL: not a steward */
    struct invitations *invitations; /* likewise */
};

struct ring_wish {
    const char *name;
    uint32_t k, n; /* as in ring_parameters; 0, 0: automatic */
};

/* A new ring with this machine as its first member and steward.  `recovery` gets the
 * authority's recovery code: print it once, wipe it.  Makes the home.  HF_EXISTS: this
 * home is in a ring already.  HF_INVALID: a bad name, redundancy or address.  Other codes:
 * files. */
HF_MUST_CHECK enum hf_code member_home_create_ring(const struct hf_home *home,
                                                   const struct ring_wish *wish,
                                                   const struct member_options *options,
                                                   char recovery[static CODE_TEXT_SIZE],
                                                   struct hf_err *err);

/* Joins by an invitation code (join_client.h).  A malformed or expired code is
 * HF_WRONG_KEY before anything is made.  HF_EXISTS as above. */
HF_MUST_CHECK enum hf_code member_home_join(const struct hf_home *home, const char *code,
                                            const struct member_options *options,
                                            struct hf_err *err);

/* The same over a stream socket that is connected to the steward, and stays the caller's;
 * fd < 0: connects. */
HF_MUST_CHECK enum hf_code member_home_join_over(const struct hf_home *home, int fd,
                                                 const char *code,
                                                 const struct member_options *options,
                                                 struct hf_err *err);

/* Opens a member's home.  HF_NOT_FOUND: it is in no ring.  HF_CORRUPT, HF_WRONG_KEY: a
 * file is damaged or of another ring.  Release with member_home_close. */
HF_MUST_CHECK enum hf_code member_home_load(const struct hf_home *home,
                                            struct member_home *member, struct hf_err *err);
void member_home_close(struct member_home *member); /* zeroed is allowed */

/* The hello that this member opens its links with. */
void member_home_hello(const struct member_home *member, struct link_hello *hello);

/* The parts of a steward, borrowed from member.  HF_DENIED: this member is none. */
HF_MUST_CHECK enum hf_code member_home_steward(struct member_home *member,
                                               struct steward *steward, struct hf_err *err);

/* Signs an announcement of the settings and the given store, with a seq above the highest
 * that the roster has, and puts it there. */
HF_MUST_CHECK enum hf_code member_home_announce(struct member_home *member,
                                                const struct hf_id *store, int64_t now_s,
                                                struct hf_err *err);

/* Signs parameters with another r, and puts them on the roster.  HF_DENIED: not a steward.
 */
HF_MUST_CHECK enum hf_code member_home_lengthen(struct member_home *member,
                                                uint32_t successors, struct hf_err *err);

/* Writes the roster; and the own certificate, and the ring's parameters, when the roster
 * has newer ones. */
HF_MUST_CHECK enum hf_code member_home_save(struct member_home *member, struct hf_err *err);

#endif

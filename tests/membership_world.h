/* membership_world.h - an authority and members made from numbers, for tests. */
#ifndef HOLDFAST_TESTS_MEMBERSHIP_WORLD_H
#define HOLDFAST_TESTS_MEMBERSHIP_WORLD_H

#include "base/file.h"
#include "membership/facts.h"
#include "membership/join.h"

#define WORLD_NOW INT64_C(1800000000)

/* A signer whose seed is made of `number`; hf_signer_free it. */
struct hf_signer *world_signer(unsigned number);

/* Facts about the member whose key is world_signer(member), signed by `signer`.  A node's
 * number is its member number. */
struct fact_bytes world_certificate(const struct hf_signer *signer, unsigned member,
                                    uint64_t serial, const char *name);
struct fact_bytes world_revocation(const struct hf_signer *signer, unsigned member,
                                   uint64_t serial, int64_t time_s);
struct fact_bytes world_announcement(const struct hf_signer *signer, unsigned member,
                                     uint64_t seq, const char *address);
struct fact_bytes world_ring(const struct hf_signer *signer, const char *name,
                             uint32_t version);
void world_node(unsigned member, struct hf_id *id);

/* A new directory below /tmp, in *fd; world_remove removes it with what is in it. */
void world_directory(char path[static 64], int *fd);
void world_remove(const char *path, int fd);

#endif

#include "membership_world.h"

#include <assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct hf_signer *world_signer(unsigned number)
{
    uint8_t seed[HF_SEED_SIZE] = {0};
    struct hf_signer *signer;

    seed[0] = 0x5e;
    memcpy(seed + 1, &number, sizeof number);
    signer = hf_signer_new(seed);
    assert(signer != NULL);
    return signer;
}

static struct hf_public_key key_of(unsigned member)
{
    struct hf_signer *signer = world_signer(member);
    const struct hf_public_key key = *hf_signer_public(signer);

    hf_signer_free(signer);
    return key;
}

void world_node(unsigned member, struct hf_id *id)
{
    const struct hf_public_key key = key_of(member);

    certificate_node_id(&key, member, id);
}

static void must(enum hf_code rc, const struct hf_err *err)
{
    if (rc != HF_OK) (void)fprintf(stderr, "%s\n", err->msg);
    assert(rc == HF_OK);
}

struct fact_bytes world_certificate(const struct hf_signer *signer, unsigned member,
                                    uint64_t serial, const char *name)
{
    struct certificate certificate = {.key = key_of(member),
                                      .number = member,
                                      .serial = serial,
                                      .authority = 1,
                                      .positions = 1,
                                      .steward = member == 1,
                                      .not_before_s = WORLD_NOW,
                                      .not_after_s = WORLD_NOW + CERTIFICATE_LIFE_S};
    struct fact_bytes fact;
    struct hf_err err;

    (void)snprintf(certificate.name, sizeof certificate.name, "%s", name);
    must(certificate_sign(&certificate, signer, fact.b, &fact.size, &err), &err);
    return fact;
}

struct fact_bytes world_revocation(const struct hf_signer *signer, unsigned member,
                                   uint64_t serial, int64_t time_s)
{
    struct revocation revocation = {.serial = serial, .time_s = time_s};
    struct fact_bytes fact;
    struct hf_err err;

    world_node(member, &revocation.node);
    must(revocation_sign(&revocation, signer, fact.b, &fact.size, &err), &err);
    return fact;
}

struct fact_bytes world_announcement(const struct hf_signer *signer, unsigned member,
                                     uint64_t seq, const char *address)
{
    struct announcement announcement = {.seq = seq,
                                        .address_count = 2,
                                        .space_bytes = UINT64_C(100) << 30,
                                        .site = "attic",
                                        .time_s = WORLD_NOW};
    struct fact_bytes fact;
    struct hf_err err;

    world_node(member, &announcement.node);
    memset(&announcement.store, 0x77, sizeof announcement.store);
    (void)snprintf(announcement.addresses[0], ADDRESS_SIZE, "%s", address);
    (void)snprintf(announcement.addresses[1], ADDRESS_SIZE, "[2001:db8::1]:4774");
    must(announcement_sign(&announcement, signer, fact.b, &fact.size, &err), &err);
    return fact;
}

struct fact_bytes world_ring(const struct hf_signer *signer, const char *name,
                             uint32_t version)
{
    struct ring_parameters ring = {.version = version,
                                   .successors = 4,
                                   .k = 3,
                                   .n = 7,
                                   .authority = *hf_signer_public(signer),
                                   .created_s = WORLD_NOW};
    struct fact_bytes fact;
    struct hf_err err;

    (void)snprintf(ring.name, sizeof ring.name, "%s", name);
    must(ring_parameters_sign(&ring, signer, fact.b, &fact.size, &err), &err);
    return fact;
}

/* ---- directories ---- */

void world_directory(char path[static 64], int *fd)
{
    struct hf_err err;

    (void)snprintf(path, 64, "/tmp/holdfast-test-XXXXXX");
    if (mkdtemp(path) == NULL) abort();
    must(hf_dir_open(path, fd, &err), &err);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void world_remove(const char *path, int fd)
{
    (void)close(fd);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): no thread is left when a test ends */
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

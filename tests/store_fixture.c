#include "store_fixture.h"

#include "base/record.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void scratch_make(char path[static SCRATCH_PATH_MAX])
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    (void)snprintf(path, SCRATCH_PATH_MAX, "%s/holdfast-test-XXXXXX", base);
    if (mkdtemp(path) == NULL) abort();
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void scratch_remove(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void scratch_remove_below(const char *path, const char *name)
{
    char below[SCRATCH_PATH_MAX + 256];

    (void)snprintf(below, sizeof below, "%s/%s", path, name);
    scratch_remove(below);
}

/* splitmix64 */
static uint64_t mix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void pattern_fill(uint8_t *bytes, size_t n, uint64_t seed)
{
    uint64_t state = seed;

    for (size_t i = 0; i < n; i += sizeof state) {
        uint64_t word = mix(&state);

        memcpy(bytes + i, &word, n - i < sizeof word ? n - i : sizeof word);
    }
}

bool pattern_matches(const uint8_t *bytes, size_t n, uint64_t seed)
{
    uint64_t state = seed;

    for (size_t i = 0; i < n; i += sizeof state) {
        uint64_t word = mix(&state);

        if (memcmp(bytes + i, &word, n - i < sizeof word ? n - i : sizeof word) != 0)
            return false;
    }
    return true;
}

struct block_owner owner_make(uint8_t vault, uint8_t host)
{
    struct block_owner owner = {0};
    uint8_t seed[HF_SEED_SIZE];
    struct hf_signer *signer;

    memset(seed, vault, sizeof seed);
    memset(owner.host.b, host, sizeof owner.host.b);
    signer = hf_signer_new(seed);
    if (signer == NULL) abort();
    hf_public_key_id(hf_signer_public(signer), &owner.vault);
    owner.signer = signer;
    return owner;
}

void owner_done(struct block_owner *owner)
{
    union {
        const struct hf_signer *held;
        struct hf_signer *made;
    } signer = {.held = owner->signer}; /* owner_make made it */

    hf_signer_free(signer.made);
    owner->signer = NULL;
}

size_t record_make(const struct block_owner *owner, uint32_t incarnation, uint64_t seq,
                   uint8_t payload, uint8_t *out, size_t max)
{
    struct hf_record record = {.vault = owner->vault,
                               .owner = *hf_signer_public(owner->signer),
                               .host = owner->host,
                               .incarnation = incarnation,
                               .seq = seq,
                               .payload = {payload},
                               .payload_size = 1};
    struct hf_writer w = hf_writer_init(out, max);
    struct hf_err err;

    if (hf_record_put(&w, &record, owner->signer, &err) != HF_OK) abort();
    return hf_writer_size(&w);
}

#include "base/hash_leaves.h"

#include "base/hash.h"

#include <stdint.h>

static void hash_one(const struct hash_leaf *leaf)
{
    static const uint8_t prefix = 0x00;
    struct hf_sha256 h;

    hf_sha256_init(&h);
    hf_sha256_add(&h, &prefix, 1);
    hf_sha256_add(&h, leaf->bytes, leaf->size);
    hf_sha256_final(&h, leaf->hash);
}

#ifdef HF_HAVE_IPSEC_MB

#include <intel-ipsec-mb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define LANES     16u         /* of the widest registers */
#define WORTH     (LANES / 2) /* fewer leaves are faster one by one */
#define SLOTS     (2 * LANES) /* on their way: ends of unequal leaves overlap */
#define SLOT_SIZE (HF_LEAF_SIZE + 64u)

struct lanes {
    _Alignas(64) uint8_t slots[SLOTS][SLOT_SIZE]; /* the prefix and a leaf */
    IMB_MGR *manager;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t lanes_key; /* of one thread; NULL: none yet */
static bool lanes_usable;       /* false: no key, or an earlier trial hashed wrongly */

static void lanes_free(void *arg)
{
    struct lanes *lanes = arg;

    if (lanes->manager != NULL) free_mb_mgr(lanes->manager);
    free(lanes);
}

/* All of them, to lanes that are empty before and after. */
static void hash_in_lanes(struct lanes *lanes, const struct hash_leaf *leaves, size_t count)
{
    size_t done = 0;

    for (size_t i = 0; i < count; i++) {
        uint8_t *slot = lanes->slots[i % SLOTS];
        IMB_JOB *job;

        while (i - done >= SLOTS) { /* jobs come back in the order that they went */
            if (IMB_FLUSH_JOB(lanes->manager) != NULL) done++;
        }
        slot[0] = 0x00;
        memcpy(slot + 1, leaves[i].bytes, leaves[i].size);
        job = IMB_GET_NEXT_JOB(lanes->manager);
        memset(job, 0, sizeof *job);
        job->src = slot;
        job->msg_len_to_hash_in_bytes = leaves[i].size + 1;
        job->auth_tag_output = leaves[i].hash->b;
        job->auth_tag_output_len_in_bytes = HF_ID_SIZE;
        job->hash_alg = IMB_AUTH_SHA_256;
        job->cipher_mode = IMB_CIPHER_NULL;
        job->cipher_direction = IMB_DIR_ENCRYPT;
        job->chain_order = IMB_ORDER_HASH_CIPHER;
        for (job = IMB_SUBMIT_JOB(lanes->manager); job != NULL;
             job = IMB_GET_COMPLETED_JOB(lanes->manager))
            done++;
    }
    while (IMB_FLUSH_JOB(lanes->manager) != NULL) {
    }
}

/* Names of data depend on them, so they show on known leaves that they hash rightly. */
static bool hashes_rightly(struct lanes *lanes)
{
    static const uint8_t bytes[HF_LEAF_SIZE];
    struct hash_leaf leaves[SLOTS + 1];
    struct hf_id hashes[SLOTS + 1];
    struct hf_id right;

    memset(hashes, 0, sizeof hashes);
    for (size_t i = 0; i <= SLOTS; i++)
        leaves[i] = (struct hash_leaf){
            .bytes = bytes, .size = sizeof bytes - 61 * i, .hash = &hashes[i]};
    hash_in_lanes(lanes, leaves, SLOTS + 1);
    for (size_t i = 0; i <= SLOTS; i++) {
        struct hash_leaf leaf = leaves[i];

        leaf.hash = &right;
        hash_one(&leaf);
        if (!hf_id_equal(&right, &hashes[i])) return false;
    }
    return true;
}

static struct lanes *lanes_new(void)
{
    struct lanes *lanes = aligned_alloc(_Alignof(struct lanes), sizeof *lanes);

    if (lanes == NULL) return NULL;
    lanes->manager = alloc_mb_mgr(0);
    if (lanes->manager != NULL) init_mb_mgr_auto(lanes->manager, NULL);
    if (lanes->manager != NULL && imb_get_errno(lanes->manager) == 0 &&
        hashes_rightly(lanes))
        return lanes;
    lanes_free(lanes);
    return NULL;
}

/* The first thread tries whether lanes can be had at all. */
static void try_lanes(void)
{
    struct lanes *lanes;

    if (pthread_key_create(&lanes_key, lanes_free) != 0) return;
    lanes = lanes_new();
    lanes_usable = lanes != NULL;
    if (lanes != NULL && pthread_setspecific(lanes_key, lanes) != 0) lanes_free(lanes);
}

/* This thread's; NULL: do without. */
static struct lanes *own_lanes(void)
{
    struct lanes *lanes;

    (void)pthread_once(&once, try_lanes);
    if (!lanes_usable) return NULL;
    lanes = pthread_getspecific(lanes_key);
    if (lanes != NULL) return lanes;
    lanes = lanes_new();
    if (lanes == NULL || pthread_setspecific(lanes_key, lanes) == 0) return lanes;
    lanes_free(lanes);
    return NULL;
}

/* The first leaves, as many as are worth it; returns their number. */
static size_t hash_many(const struct hash_leaf *leaves, size_t count)
{
    size_t rest = count % LANES;
    size_t worth = rest < WORTH ? count - rest : count;
    struct lanes *lanes;

    for (size_t i = 0; i < worth; i++) {
        if (leaves[i].size > HF_LEAF_SIZE) return 0;
    }
    lanes = worth > 0 ? own_lanes() : NULL;
    if (lanes == NULL) return 0;
    hash_in_lanes(lanes, leaves, worth);
    return worth;
}

#else

static size_t hash_many(const struct hash_leaf *leaves, size_t count)
{
    (void)leaves;
    (void)count;
    return 0;
}

#endif

void hash_leaves(const struct hash_leaf *leaves, size_t count)
{
    for (size_t i = hash_many(leaves, count); i < count; i++)
        hash_one(&leaves[i]);
}

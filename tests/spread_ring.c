#include "spread_ring.h"

#include "membership_world.h"
#include "sim/gossip_numbers.h"

#include <assert.h>
#include <stdlib.h>

#define AUTHORITY   100000u
#define PAYLOAD_MAX ((size_t)1 << 20) /* of a real roster */

struct member {
    struct hf_id id;
    unsigned number; /* of its key, in membership_world.h */
    struct roster *roster;
};

struct rosters {
    struct member *members; /* in ascending order of id */
    size_t count;
};

static struct gossip_world_options options(size_t count, uint64_t seed)
{
    return (struct gossip_world_options){
        .seed = seed,
        .nodes = count,
        .network = {.delay_us = SPREAD_TICK_US},
        .round_us = SPREAD_ROUND_US,
        .pass_on_us = SPREAD_TICK_US,
        .connect_us = SPREAD_TICK_US,
    };
}

struct gossip_world *spread_ring_new(size_t count, uint64_t seed)
{
    const struct gossip_world_options plain = options(count, seed);
    struct gossip_world *world = gossip_numbers_new(&plain);

    assert(world != NULL);
    return world;
}

/* ---- what a world of real rosters asks ---- */

static const struct roster *roster_of(const void *context, size_t at)
{
    return ((const struct rosters *)context)->members[at].roster;
}

static struct spread_knowledge knowledge(const void *context, size_t at)
{
    const struct roster *roster = roster_of(context, at);
    struct spread_knowledge known = {.revision = roster_revision(roster)};

    roster_digest(roster, &known.digest);
    return known;
}

static bool encode(void *context, size_t at, uint64_t since, struct gossip_bundle *bundle)
{
    size_t cursor = 0;
    bool more;

    bundle->bytes = malloc(PAYLOAD_MAX);
    assert(bundle->bytes != NULL);
    more = roster_encode(roster_of(context, at), since, &cursor, bundle->bytes, PAYLOAD_MAX,
                         &bundle->size);
    assert(!more);
    (void)more;
    return true;
}

static void merge(void *context, size_t at, const struct gossip_bundle *bundle)
{
    const struct rosters *rosters = context;
    struct roster_merge merged;
    struct hf_err err;
    const enum hf_code rc = roster_merge(rosters->members[at].roster, bundle->bytes,
                                         bundle->size, &merged, &err);

    assert(rc == HF_OK && merged.rejected == 0);
    (void)rc;
}

static uint64_t announced(const void *context, size_t at, size_t of)
{
    const struct rosters *rosters = context;
    const struct roster_member *member =
        roster_find(rosters->members[at].roster, &rosters->members[of].id);

    return member != NULL && member->announced ? member->announcement.seq : 0;
}

static void free_rosters(void *context)
{
    struct rosters *rosters = context;

    for (size_t i = 0; i < rosters->count; i++)
        roster_free(rosters->members[i].roster);
    free(rosters->members);
    free(rosters);
}

/* ---- making ---- */

static void take_fact(struct roster *roster, struct fact_bytes fact)
{
    struct hf_err err;
    bool news;
    const enum hf_code rc = roster_add(roster, fact.b, fact.size, &news, &err);

    assert(rc == HF_OK);
    (void)rc;
}

static struct fact_bytes announcement(unsigned number, uint64_t seq, const char *address)
{
    struct hf_signer *signer = world_signer(number);
    const struct fact_bytes fact = world_announcement(signer, number, seq, address);

    hf_signer_free(signer);
    return fact;
}

static int compare_members(const void *a, const void *b)
{
    return hf_id_compare(&((const struct member *)a)->id, &((const struct member *)b)->id);
}

static void learn(struct rosters *rosters)
{
    struct hf_signer *authority = world_signer(AUTHORITY);

    for (size_t i = 0; i < rosters->count; i++) {
        rosters->members[i].roster = roster_new(hf_signer_public(authority));
        assert(rosters->members[i].roster != NULL);
    }
    for (size_t of = 0; of < rosters->count; of++) {
        const unsigned number = rosters->members[of].number;
        const struct fact_bytes certificate =
            world_certificate(authority, number, 1, "node");
        const struct fact_bytes first = announcement(number, 1, "host:1");

        for (size_t at = 0; at < rosters->count; at++) {
            take_fact(rosters->members[at].roster, certificate);
            take_fact(rosters->members[at].roster, first);
        }
    }
    hf_signer_free(authority);
}

struct gossip_world *spread_ring_new_real(size_t count, uint64_t seed)
{
    const struct gossip_world_options plain = options(count, seed);
    struct rosters *rosters = calloc(1, sizeof *rosters);
    struct hf_id *ids = calloc(count, sizeof *ids);
    struct gossip_world *world;

    assert(rosters != NULL && ids != NULL);
    rosters->count = count;
    rosters->members = calloc(count, sizeof *rosters->members);
    assert(rosters->members != NULL);
    for (unsigned i = 0; i < count; i++) {
        rosters->members[i].number = i + 1;
        world_node(i + 1, &rosters->members[i].id);
    }
    qsort(rosters->members, count, sizeof *rosters->members, compare_members);
    learn(rosters);
    for (size_t i = 0; i < count; i++)
        ids[i] = rosters->members[i].id;
    world = gossip_world_new(&plain, ids,
                             &(struct gossip_facts){.context = rosters,
                                                    .known = knowledge,
                                                    .encode = encode,
                                                    .merge = merge,
                                                    .announced = announced,
                                                    .free = free_rosters});
    assert(world != NULL);
    free(ids);
    return world;
}

/* ---- using ---- */

void spread_ring_announce_real(struct gossip_world *world, size_t at, const char *address)
{
    struct rosters *rosters = world->facts.context;
    const uint64_t seq = announced(rosters, at, at) + 1;

    take_fact(rosters->members[at].roster,
              announcement(rosters->members[at].number, seq, address));
    gossip_world_told(world, at);
}

const struct roster_member *spread_ring_member(const struct gossip_world *world, size_t at,
                                               size_t of)
{
    return roster_find(roster_of(world->facts.context, at), &world->nodes[of].id);
}

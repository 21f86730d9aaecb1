#include "sim/gossip_numbers.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

struct known {
    uint32_t seq, taken_at; /* revision */
};

struct numbers {
    size_t count;
    struct known *known; /* [at * count + of] */
    uint64_t *sums;
    uint32_t *revisions;
};

struct number {
    uint32_t of, seq;
};

static uint64_t weight(uint64_t of, uint64_t seq)
{
    return draw_mix((of << 32 | seq) + UINT64_C(0x9e3779b97f4a7c15));
}

static void take(struct numbers *numbers, size_t at, size_t of, uint32_t seq)
{
    struct known *known = &numbers->known[at * numbers->count + of];

    if (seq <= known->seq) return;
    if (known->seq > 0) numbers->sums[at] -= weight(of, known->seq);
    numbers->sums[at] += weight(of, seq);
    known->seq = seq;
    known->taken_at = ++numbers->revisions[at];
}

/* ---- what a gossip_world asks ---- */

static struct spread_knowledge knowledge(const void *context, size_t at)
{
    const struct numbers *numbers = context;
    struct spread_knowledge known = {.revision = numbers->revisions[at]};

    memcpy(known.digest.b, &numbers->sums[at], sizeof numbers->sums[at]);
    return known;
}

static bool encode(void *context, size_t at, uint64_t since, struct gossip_bundle *bundle)
{
    const struct numbers *numbers = context;
    const struct known *known = &numbers->known[at * numbers->count];
    const uint64_t taken = numbers->revisions[at] - since;
    struct number *out = hf_alloc_array(
        (taken < numbers->count ? (size_t)taken : numbers->count) + 1, sizeof *out);
    size_t count = 0;

    if (out == NULL) return false;
    for (size_t of = 0; of < numbers->count && taken > 0; of++) {
        if (known[of].taken_at > since)
            out[count++] = (struct number){(uint32_t)of, known[of].seq};
    }
    *bundle = (struct gossip_bundle){
        .bytes = (uint8_t *)out, .size = count * sizeof *out, .count = count};
    return true;
}

static void merge(void *context, size_t at, const struct gossip_bundle *bundle)
{
    for (size_t i = 0; i < bundle->size; i += sizeof(struct number)) {
        struct number number;

        memcpy(&number, bundle->bytes + i, sizeof number);
        take(context, at, number.of, number.seq);
    }
}

static void free_numbers(void *context)
{
    struct numbers *numbers = context;

    if (numbers == NULL) return;
    free(numbers->known);
    free(numbers->sums);
    free(numbers->revisions);
    free(numbers);
}

/* ---- making ---- */

static struct numbers *new_numbers(size_t count)
{
    struct numbers *numbers = hf_alloc_array(1, sizeof *numbers);

    if (numbers == NULL) return NULL;
    numbers->count = count;
    numbers->known = hf_alloc_array(count * count, sizeof *numbers->known);
    numbers->sums = hf_alloc_array(count, sizeof *numbers->sums);
    numbers->revisions = hf_alloc_array(count, sizeof *numbers->revisions);
    if (numbers->known == NULL || numbers->sums == NULL || numbers->revisions == NULL) {
        free_numbers(numbers);
        return NULL;
    }
    for (size_t at = 0; at < count; at++) {
        for (size_t of = 0; of < count; of++)
            take(numbers, at, of, 1);
    }
    return numbers;
}

static int compare_ids(const void *a, const void *b)
{
    return hf_id_compare(a, b);
}

static struct hf_id *draw_ids(const struct gossip_world_options *options)
{
    struct hf_id *ids = hf_alloc_array(options->nodes, sizeof *ids);
    struct draw draw = draw_init(options->seed, 3);

    if (ids == NULL) return NULL;
    for (size_t i = 0; i < options->nodes; i++)
        draw_id(&draw, &ids[i]);
    qsort(ids, options->nodes, sizeof *ids, compare_ids);
    return ids;
}

struct gossip_world *gossip_numbers_new(const struct gossip_world_options *options)
{
    struct hf_id *ids = draw_ids(options);
    struct numbers *numbers = new_numbers(options->nodes);
    const struct gossip_facts facts = {.context = numbers,
                                       .known = knowledge,
                                       .encode = encode,
                                       .merge = merge,
                                       .free = free_numbers};
    struct gossip_world *world = NULL;

    if (ids != NULL && numbers != NULL)
        world = gossip_world_new(options, ids, &facts);
    else
        free_numbers(numbers);
    free(ids);
    return world;
}

void gossip_numbers_announce(struct gossip_world *world, size_t at)
{
    take(world->facts.context, at, at, gossip_numbers_seq(world, at, at) + 1);
    gossip_world_told(world, at);
}

uint32_t gossip_numbers_seq(const struct gossip_world *world, size_t at, size_t of)
{
    const struct numbers *numbers = world->facts.context;

    return numbers->known[at * numbers->count + of].seq;
}

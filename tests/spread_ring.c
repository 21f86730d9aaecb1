#include "spread_ring.h"

#include "base/hash.h"
#include "membership_world.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define AUTHORITY   100000u
#define PAYLOAD_MAX ((size_t)1 << 20) /* of a real roster */

enum message_kind { MESSAGE_DIGEST, MESSAGE_ROSTER, MESSAGE_UP, MESSAGE_DOWN };

struct spread_message {
    enum message_kind kind;
    size_t from, to;
    struct hf_id digest;
    uint8_t *bytes;
    size_t size;
};

/* A fact of the numbers. */
struct number {
    uint32_t of, seq;
};

uint64_t spread_ring_random(struct spread_ring *ring, uint64_t below)
{
    uint64_t z = (ring->generator += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

static uint64_t draw(struct spread_ring *ring)
{
    return spread_ring_random(ring, UINT64_MAX);
}

static uint64_t now_ms(const struct spread_ring *ring)
{
    return ring->tick * SPREAD_TICK_MS;
}

static size_t place_of(const struct spread_ring *ring, const struct hf_id *id)
{
    size_t low = 0;
    size_t high = ring->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (hf_id_compare(&ring->nodes[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    assert(low < ring->count);
    return low;
}

/* ---- what a node knows ---- */

static uint64_t weight(uint64_t of, uint64_t seq)
{
    uint64_t z = (of << 32 | seq) + UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void take_number(struct spread_node *node, size_t of, uint32_t seq)
{
    if (seq <= node->seq[of]) return;
    if (node->seq[of] > 0) node->sum -= weight(of, node->seq[of]);
    node->sum += weight(of, seq);
    node->seq[of] = seq;
    node->taken_at[of] = ++node->revision;
}

static struct spread_knowledge knowledge(const struct spread_node *node)
{
    struct spread_knowledge known = {.revision = node->revision};

    memcpy(known.digest.b, &node->sum, sizeof node->sum);
    if (node->roster == NULL) return known;
    known.revision = roster_revision(node->roster);
    roster_digest(node->roster, &known.digest);
    return known;
}

uint64_t spread_ring_seq(const struct spread_ring *ring, size_t at, size_t of)
{
    const struct spread_node *node = &ring->nodes[at];
    const struct roster_member *member;

    if (node->roster == NULL) return node->seq[of];
    member = roster_find(node->roster, &ring->nodes[of].id);
    return member != NULL && member->announced ? member->announcement.seq : 0;
}

static void take_fact(struct spread_node *node, struct fact_bytes fact)
{
    struct hf_err err;
    bool news;
    const enum hf_code rc = roster_add(node->roster, fact.b, fact.size, &news, &err);

    assert(rc == HF_OK);
    (void)rc;
}

static struct fact_bytes announcement(const struct spread_node *of, uint64_t seq,
                                      const char *address)
{
    struct hf_signer *signer = world_signer(of->number);
    const struct fact_bytes fact = world_announcement(signer, of->number, seq, address);

    hf_signer_free(signer);
    return fact;
}

static void encode(struct spread_ring *ring, size_t at, uint64_t since,
                   struct spread_message *message)
{
    const struct spread_node *node = &ring->nodes[at];
    struct number *numbers;
    size_t cursor = 0;
    size_t count = 0;
    bool more;

    if (node->roster != NULL) {
        message->bytes = malloc(PAYLOAD_MAX);
        assert(message->bytes != NULL);
        more = roster_encode(node->roster, since, &cursor, message->bytes, PAYLOAD_MAX,
                             &message->size);
        assert(!more);
        (void)more;
        return;
    }
    numbers = malloc(ring->count * sizeof *numbers);
    assert(numbers != NULL);
    for (size_t i = 0; i < ring->count; i++) {
        if (node->seq[i] > 0 && node->taken_at[i] > since)
            numbers[count++] = (struct number){(uint32_t)i, node->seq[i]};
    }
    ring->facts += count;
    message->bytes = (uint8_t *)numbers;
    message->size = count * sizeof *numbers;
}

static void merge(struct spread_node *node, const struct spread_message *message)
{
    struct spread_knowledge known;
    struct roster_merge merged;
    struct hf_err err;
    enum hf_code rc;

    if (node->roster != NULL) {
        rc = roster_merge(node->roster, message->bytes, message->size, &merged, &err);
        assert(rc == HF_OK && merged.rejected == 0);
        (void)rc;
    } else {
        for (size_t i = 0; i < message->size; i += sizeof(struct number)) {
            struct number number;

            memcpy(&number, message->bytes + i, sizeof number);
            take_number(node, number.of, number.seq);
        }
    }
    known = knowledge(node);
    spread_knows(node->spread, &known);
}

/* ---- messages ---- */

static struct spread_message *queue(struct spread_ring *ring, enum message_kind kind,
                                    size_t from, size_t to)
{
    struct spread_message *message;

    if (ring->next_count == ring->next_capacity) {
        ring->next_capacity = ring->next_capacity ? 2 * ring->next_capacity : 1024;
        ring->next = realloc(ring->next, ring->next_capacity * sizeof *ring->next);
        assert(ring->next != NULL);
    }
    message = &ring->next[ring->next_count++];
    *message = (struct spread_message){.kind = kind, .from = from, .to = to};
    return message;
}

static bool *link_of(const struct spread_ring *ring, size_t a, size_t b)
{
    return &ring->linked[a * ring->count + b];
}

static void set_link(struct spread_ring *ring, size_t a, size_t b, bool up)
{
    if (*link_of(ring, a, b) == up) return;
    *link_of(ring, a, b) = up;
    *link_of(ring, b, a) = up;
    ring->nodes[a].links += up ? 1 : (size_t)-1;
    ring->nodes[b].links += up ? 1 : (size_t)-1;
    (void)queue(ring, up ? MESSAGE_UP : MESSAGE_DOWN, a, b);
    (void)queue(ring, up ? MESSAGE_UP : MESSAGE_DOWN, b, a);
}

static void connect_to(struct spread_ring *ring, size_t from, size_t to)
{
    const struct spread_node *a = &ring->nodes[from];
    const struct spread_node *b = &ring->nodes[to];

    if (b->alive && a->side == b->side)
        set_link(ring, from, to, true);
    else
        (void)queue(ring, MESSAGE_DOWN, to, from);
}

static bool is_lost(struct spread_ring *ring, size_t from, size_t to)
{
    return !*link_of(ring, from, to) || spread_ring_random(ring, 100) < ring->loss_percent;
}

static void perform(struct spread_ring *ring, size_t at, const struct spread_action *action)
{
    struct spread_node *node = &ring->nodes[at];
    const size_t to = action->kind == SPREAD_NEWS ? at : place_of(ring, &action->node);

    switch (action->kind) {
    case SPREAD_DIGEST:
        ring->digests++;
        if (!is_lost(ring, at, to))
            queue(ring, MESSAGE_DIGEST, at, to)->digest =
                spread_known(node->spread)->digest;
        break;
    case SPREAD_ROSTER:
        if (!is_lost(ring, at, to))
            encode(ring, at, action->since, queue(ring, MESSAGE_ROSTER, at, to));
        break;
    case SPREAD_CONNECT: connect_to(ring, at, to); break;
    case SPREAD_READDRESS: node->readdressed++; break;
    case SPREAD_DROP: set_link(ring, at, to, false); break;
    case SPREAD_NEWS: node->pass_at = ring->tick + 1; break;
    }
}

static void perform_all(struct spread_ring *ring, size_t at)
{
    const struct spread_action *action;

    while ((action = spread_next(ring->nodes[at].spread)) != NULL)
        perform(ring, at, action);
}

static void deliver(struct spread_ring *ring, const struct spread_message *message)
{
    struct spread_node *node = &ring->nodes[message->to];
    const struct hf_id *from = &ring->nodes[message->from].id;

    if (!node->alive) return;
    switch (message->kind) {
    case MESSAGE_UP: spread_up(node->spread, from, now_ms(ring)); break;
    case MESSAGE_DOWN: spread_down(node->spread, from, now_ms(ring)); break;
    case MESSAGE_DIGEST:
        spread_compare(node->spread, from, &message->digest, now_ms(ring));
        break;
    case MESSAGE_ROSTER: merge(node, message); break;
    }
    perform_all(ring, message->to);
}

/* ---- time ---- */

static void set_members(struct spread_ring *ring, size_t at)
{
    struct spread_member *members = calloc(ring->count, sizeof *members);
    struct hf_err err;
    enum hf_code rc;

    assert(members != NULL);
    for (size_t i = 0; i < ring->count; i++)
        members[i] = (struct spread_member){.node = ring->nodes[i].id,
                                            .up = *link_of(ring, at, i),
                                            .announced = spread_ring_seq(ring, at, i)};
    rc = spread_set_members(ring->nodes[at].spread, members, ring->count, now_ms(ring),
                            &err);
    assert(rc == HF_OK);
    (void)rc;
    free(members);
}

static void run_timers(struct spread_ring *ring, size_t at)
{
    struct spread_node *node = &ring->nodes[at];

    if (node->pass_at == ring->tick) {
        set_members(ring, at);
        perform_all(ring, at);
        spread_pass_on(node->spread, draw(ring));
        perform_all(ring, at);
    }
    if (node->round_at <= ring->tick) {
        spread_round(node->spread, draw(ring));
        perform_all(ring, at);
        node->round_at =
            ring->tick + SPREAD_ROUND / 2 + spread_ring_random(ring, SPREAD_ROUND);
    }
}

void spread_ring_step(struct spread_ring *ring)
{
    struct spread_message *delivered = ring->next;
    const size_t capacity = ring->next_capacity;

    ring->tick++;
    ring->now_count = ring->next_count;
    ring->next = ring->now;
    ring->next_capacity = ring->now_capacity;
    ring->next_count = 0;
    ring->now = delivered;
    ring->now_capacity = capacity;
    for (size_t i = 0; i < ring->now_count; i++) {
        deliver(ring, &ring->now[i]);
        free(ring->now[i].bytes);
    }
    ring->now_count = 0;
    for (size_t i = 0; i < ring->count; i++) {
        if (ring->nodes[i].alive) run_timers(ring, i);
    }
}

uint64_t spread_ring_until(struct spread_ring *ring,
                           bool (*holds)(const struct spread_ring *ring), uint64_t max)
{
    uint64_t ticks = 0;

    while (!holds(ring) && ticks <= max) {
        spread_ring_step(ring);
        ticks++;
    }
    return ticks;
}

void spread_ring_run(struct spread_ring *ring, uint64_t ticks)
{
    while (ticks-- > 0)
        spread_ring_step(ring);
}

/* ---- what happens to nodes ---- */

void spread_ring_announce(struct spread_ring *ring, size_t at, const char *address)
{
    struct spread_node *node = &ring->nodes[at];
    const uint64_t seq = spread_ring_seq(ring, at, at) + 1;
    struct spread_knowledge known;

    if (node->roster != NULL)
        take_fact(node, announcement(node, seq, address));
    else
        take_number(node, at, (uint32_t)seq);
    known = knowledge(node);
    spread_knows(node->spread, &known);
    perform_all(ring, at);
}

bool spread_ring_agrees(const struct spread_ring *ring)
{
    const struct spread_node *first = NULL;

    for (size_t i = 0; i < ring->count; i++) {
        const struct spread_node *node = &ring->nodes[i];

        if (!node->alive) continue;
        if (first == NULL) first = node;
        if (!hf_id_equal(&spread_known(first->spread)->digest,
                         &spread_known(node->spread)->digest))
            return false;
    }
    return true;
}

void spread_ring_sleep(struct spread_ring *ring, size_t at)
{
    for (size_t i = 0; i < ring->count; i++)
        set_link(ring, at, i, false);
    ring->nodes[at].alive = false;
}

void spread_ring_wake(struct spread_ring *ring, size_t at)
{
    struct spread_node *node = &ring->nodes[at];

    node->alive = true;
    node->pass_at = 0;
    node->round_at = ring->tick + 1;
    /* It finds its links broken. */
    for (size_t i = 0; i < ring->count; i++)
        spread_down(node->spread, &ring->nodes[i].id, now_ms(ring));
    perform_all(ring, at);
}

void spread_ring_cut(struct spread_ring *ring)
{
    for (size_t a = 0; a < ring->count; a++) {
        for (size_t b = 0; b < a; b++) {
            if (ring->nodes[a].side != ring->nodes[b].side) set_link(ring, a, b, false);
        }
    }
}

static void start(struct spread_ring *ring, size_t at)
{
    struct spread_node *node = &ring->nodes[at];
    const struct spread_knowledge known = knowledge(node);

    spread_free(node->spread);
    node->spread = spread_new(&node->id, &known);
    assert(node->spread != NULL);
    node->alive = true;
    node->pass_at = 0;
    node->round_at = ring->tick + 1 + spread_ring_random(ring, SPREAD_ROUND);
    set_members(ring, at);
    while (spread_next(node->spread) != NULL)
        node->readdressed = 0; /* there are no links yet */
}

void spread_ring_restart(struct spread_ring *ring)
{
    for (size_t i = 0; i < ring->next_count; i++)
        free(ring->next[i].bytes);
    ring->next_count = 0;
    memset(ring->linked, 0, ring->count * ring->count * sizeof *ring->linked);
    for (size_t i = 0; i < ring->count; i++) {
        ring->nodes[i].links = 0;
        start(ring, i);
    }
}

/* ---- making ---- */

static int compare_nodes(const void *a, const void *b)
{
    return hf_id_compare(&((const struct spread_node *)a)->id,
                         &((const struct spread_node *)b)->id);
}

static void learn_real(struct spread_ring *ring, struct spread_node *node,
                       const struct fact_bytes *facts)
{
    node->roster = roster_new(hf_signer_public(ring->authority));
    assert(node->roster != NULL);
    for (size_t i = 0; i < 2 * ring->count; i++)
        take_fact(node, facts[i]);
}

static void make_real(struct spread_ring *ring)
{
    struct fact_bytes *facts = calloc(2 * ring->count, sizeof *facts);

    assert(facts != NULL);
    ring->authority = world_signer(AUTHORITY);
    for (size_t i = 0; i < ring->count; i++) {
        facts[i] = world_certificate(ring->authority, ring->nodes[i].number, 1, "node");
        facts[ring->count + i] = announcement(&ring->nodes[i], 1, "host:1");
    }
    for (size_t i = 0; i < ring->count; i++)
        learn_real(ring, &ring->nodes[i], facts);
    free(facts);
}

static void make_numbers(struct spread_ring *ring)
{
    for (size_t i = 0; i < ring->count; i++) {
        struct spread_node *node = &ring->nodes[i];

        node->seq = calloc(ring->count, sizeof *node->seq);
        node->taken_at = calloc(ring->count, sizeof *node->taken_at);
        assert(node->seq != NULL && node->taken_at != NULL);
        for (size_t of = 0; of < ring->count; of++)
            take_number(node, of, 1);
    }
}

struct spread_ring *spread_ring_new(size_t count, bool real, uint64_t seed)
{
    struct spread_ring *ring = calloc(1, sizeof *ring);

    assert(ring != NULL);
    ring->count = count;
    ring->generator = seed;
    ring->nodes = calloc(count, sizeof *ring->nodes);
    ring->linked = calloc(count * count, sizeof *ring->linked);
    assert(ring->nodes != NULL && ring->linked != NULL);
    for (unsigned i = 0; i < count; i++) {
        ring->nodes[i].number = i + 1;
        if (real)
            world_node(i + 1, &ring->nodes[i].id);
        else
            hf_sha256(&i, sizeof i, &ring->nodes[i].id);
    }
    qsort(ring->nodes, count, sizeof *ring->nodes, compare_nodes);
    if (real)
        make_real(ring);
    else
        make_numbers(ring);
    for (size_t i = 0; i < count; i++)
        start(ring, i);
    return ring;
}

void spread_ring_free(struct spread_ring *ring)
{
    for (size_t i = 0; i < ring->count; i++) {
        struct spread_node *node = &ring->nodes[i];

        spread_free(node->spread);
        roster_free(node->roster);
        free(node->seq);
        free(node->taken_at);
    }
    for (size_t i = 0; i < ring->next_count; i++)
        free(ring->next[i].bytes);
    free(ring->now);
    free(ring->next);
    free(ring->nodes);
    free(ring->linked);
    hf_signer_free(ring->authority);
    free(ring);
}

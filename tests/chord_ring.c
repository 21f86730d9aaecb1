#include "chord_ring.h"
#include "base/hash.h"

#include "chord/circle.h"
#include "chord/message.h"
#include "chord/ring.h" /* looks inside a node: what it is about to adopt */
#include "chord/state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RPC_TIMEOUT_MS UINT64_C(200)
#define STABILISE_MS   UINT64_C(2000)

struct ring_packet {
    uint64_t at_ms, sequence;
    size_t from, to;
    size_t size;
    uint8_t bytes[CHORD_MESSAGE_MAX];
};

/* ---- the network's queue: a binary heap by {time, sequence} ---- */

static bool packet_before(const struct ring_packet *a, const struct ring_packet *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->sequence < b->sequence;
}

static void packet_swap(struct ring_packet *a, struct ring_packet *b)
{
    const struct ring_packet c = *a;

    *a = *b;
    *b = c;
}

static struct ring_packet *packet_push(struct chord_ring *ring, uint64_t at_ms)
{
    size_t i = ring->packet_count++;

    if (ring->packet_count > ring->packet_capacity) {
        ring->packet_capacity = ring->packet_capacity ? 2 * ring->packet_capacity : 64;
        ring->packets =
            realloc(ring->packets, ring->packet_capacity * sizeof *ring->packets);
        assert(ring->packets != NULL);
    }
    ring->packets[i].at_ms = at_ms;
    ring->packets[i].sequence = ring->sequence++;
    while (i > 0 && packet_before(&ring->packets[i], &ring->packets[(i - 1) / 2])) {
        packet_swap(&ring->packets[i], &ring->packets[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    return &ring->packets[i];
}

static struct ring_packet packet_pop(struct chord_ring *ring)
{
    const struct ring_packet top = ring->packets[0];
    size_t i = 0;

    ring->packets[0] = ring->packets[--ring->packet_count];
    for (;;) {
        size_t least = i;

        for (size_t child = 2 * i + 1; child <= 2 * i + 2; child++) {
            if (child < ring->packet_count &&
                packet_before(&ring->packets[child], &ring->packets[least]))
                least = child;
        }
        if (least == i) return top;
        packet_swap(&ring->packets[i], &ring->packets[least]);
        i = least;
    }
}

/* ---- making ---- */

uint64_t chord_ring_random(struct chord_ring *ring, uint64_t below)
{
    uint64_t z = (ring->generator += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

static int compare_members(const void *a, const void *b)
{
    const struct ring_member *x = a;
    const struct ring_member *y = b;

    return hf_id_compare(&x->peer.position, &y->peer.position);
}

struct chord_ring *chord_ring_new(const struct ring_options *options, size_t count)
{
    struct chord_ring *ring = calloc(1, sizeof *ring);

    assert(ring != NULL && count <= RING_NODES_MAX);
    ring->options = *options;
    ring->generator = options->seed;
    ring->now_ms = 1;
    ring->member_count = count;
    hf_sha256_init(&ring->trace);
    for (size_t i = 0; i < count; i++) {
        const uint64_t draw[2] = {options->seed, i};

        hf_sha256(draw, sizeof draw, &ring->members[i].peer.position);
        ring->members[i].peer = chord_peer_of(&ring->members[i].peer.position, 0);
        ring->members[i].deadline_ms = UINT64_MAX;
    }
    qsort(ring->members, count, sizeof ring->members[0], compare_members);
    return ring;
}

void chord_ring_free(struct chord_ring *ring)
{
    for (size_t i = 0; i < ring->member_count; i++)
        chord_node_free(ring->members[i].node);
    free(ring->packets);
    free(ring->lookups);
    free(ring);
}

/* ---- carrying messages ---- */

static size_t index_of(const struct chord_ring *ring, const struct hf_id *position)
{
    for (size_t i = 0; i < ring->member_count; i++) {
        if (hf_id_equal(&ring->members[i].peer.position, position)) return i;
    }
    return RING_NODES_MAX;
}

/* Classes within which no two messages in a row are lost: a question with its tries, an
 * answer whatever it says. */
static size_t loss_class(enum chord_message_kind kind)
{
    switch (kind) {
    case CHORD_MESSAGE_GET_STATE: return 0;
    case CHORD_MESSAGE_PING: return 1;
    case CHORD_MESSAGE_NEXT_HOP: return 2;
    case CHORD_MESSAGE_NOTIFY: return 3;
    case CHORD_MESSAGE_STATE:
    case CHORD_MESSAGE_BUSY:
    case CHORD_MESSAGE_REFUSED: return 4;
    case CHORD_MESSAGE_PONG: return 5;
    case CHORD_MESSAGE_NEXT: return 6;
    case CHORD_MESSAGE_LEAVING: return 7;
    case CHORD_MESSAGE_WITNESS: return 8;
    case CHORD_MESSAGE_WITNESSED: return 9;
    case CHORD_MESSAGE_CHANGED: return 10;
    }
    return 7;
}

static void transmit(struct chord_ring *ring, size_t from, const struct chord_peer *peer,
                     const struct chord_message *sent)
{
    const size_t to = index_of(ring, &peer->position);
    struct chord_message message = *sent;
    bool *lost_last;
    unsigned copies = 1;

    if (ring->tamper != NULL) ring->tamper(ring, from, &message);
    if (to == RING_NODES_MAX) return; /* a position that a liar made up */
    ring->messages++;
    lost_last = &ring->lost_last[from][to][loss_class(message.kind)];
    *lost_last = !*lost_last && chord_ring_random(ring, 100) < ring->options.loss_percent;
    if (*lost_last) return;
    if (chord_ring_random(ring, 100) < ring->options.duplicate_percent) copies = 2;
    while (copies-- > 0) {
        const uint64_t delay = 1 + chord_ring_random(ring, ring->options.delay_max_ms);
        struct ring_packet *packet = packet_push(ring, ring->now_ms + delay);
        struct hf_writer w = hf_writer_init(packet->bytes, sizeof packet->bytes);

        chord_message_put(&w, &message);
        packet->size = hf_writer_size(&w);
        assert(packet->size > 0);
        packet->from = from;
        packet->to = to;
    }
}

static void take_lookup(struct chord_ring *ring, const struct chord_action *action)
{
    struct ring_lookup *lookup = &ring->lookups[action->tag];

    lookup->ended++;
    lookup->found = action->kind == CHORD_FOUND;
    lookup->peer_count = action->peer_count;
    for (size_t i = 0; i < action->peer_count; i++)
        lookup->peers[i] = action->peers[i];
}

static void step(struct chord_ring *ring, size_t index, struct chord_event *event)
{
    struct ring_member *member = &ring->members[index];
    bool changed = false;

    event->now_ms = ring->now_ms;
    chord_step(member->node, event, &ring->out);
    ring->steps++;
    member->deadline_ms = ring->out.deadline_ms;
    for (size_t i = 0; i < ring->out.action_count; i++) {
        const struct chord_action *action = &ring->out.actions[i];

        switch (action->kind) {
        case CHORD_SEND: transmit(ring, index, &action->peer, action->message); break;
        case CHORD_FOUND:
        case CHORD_FAILED: take_lookup(ring, action); break;
        case CHORD_NEIGHBOURS: changed = true; break;
        case CHORD_WRONG: ring->named[index_of(ring, &action->peer.position)]++; break;
        }
    }
    if (!chord_node_check(member->node)) ring->violation = "a node's own rules";
    /* The rest of the invariant speaks of neighbours only: it holds while none change. */
    if (changed) chord_ring_check(ring);
}

static void deliver(struct chord_ring *ring, const struct ring_packet *packet)
{
    struct ring_member *member = &ring->members[packet->to];
    struct chord_message message;
    struct hf_err err;
    struct chord_event event = {.kind = CHORD_MESSAGE,
                                .peer = &ring->members[packet->from].peer,
                                .message = &message};
    const uint64_t when[3] = {packet->at_ms, packet->from, packet->to};

    if (!member->alive || member->frozen || member->node == NULL) return;
    if (chord_message_parse(packet->bytes, packet->size, &message, &err) != HF_OK) {
        ring->violation = "a message does not parse";
        return;
    }
    hf_sha256_add(&ring->trace, when, sizeof when);
    hf_sha256_add(&ring->trace, packet->bytes, packet->size);
    step(ring, packet->to, &event);
}

void chord_ring_run(struct chord_ring *ring, uint64_t duration_ms)
{
    const uint64_t end = ring->now_ms + duration_ms;

    while (ring->violation == NULL) {
        uint64_t next = ring->packet_count > 0 ? ring->packets[0].at_ms : UINT64_MAX;
        size_t due = RING_NODES_MAX;

        for (size_t i = 0; i < ring->member_count; i++) {
            const struct ring_member *member = &ring->members[i];

            if (!member->alive || member->frozen || member->deadline_ms >= next) continue;
            next = member->deadline_ms;
            due = i;
        }
        if (next > end) break;
        if (next > ring->now_ms) ring->now_ms = next;
        if (due != RING_NODES_MAX) {
            struct chord_event event = {.kind = CHORD_TICK};

            step(ring, due, &event);
        } else {
            const struct ring_packet packet = packet_pop(ring);

            deliver(ring, &packet);
        }
    }
    ring->now_ms = end;
}

/* ---- what happens to nodes ---- */

void chord_ring_start(struct chord_ring *ring, size_t index)
{
    struct ring_member *member = &ring->members[index];
    const struct chord_config config = {
        .stabilise_ms = STABILISE_MS,
        .rpc_timeout_ms = RPC_TIMEOUT_MS,
        .lookup_timeout_ms = 20 * RPC_TIMEOUT_MS,
        .successors = ring->options.successors,
        .lookups = CHORD_LOOKUPS_MAX,
        .seed = ring->options.seed * 1000 + index + ring->steps,
    };

    chord_node_free(member->node);
    member->node = chord_node_new(&member->peer, &config);
    assert(member->node != NULL);
    member->alive = true;
    member->frozen = false;
}

void chord_ring_roster(struct chord_ring *ring, size_t index,
                       const struct chord_peer *peers, size_t count)
{
    struct chord_event event = {.kind = CHORD_ROSTER, .peers = peers, .peer_count = count};

    step(ring, index, &event);
}

void chord_ring_found(struct chord_ring *ring, const size_t *indices, size_t count)
{
    struct chord_peer roster[RING_NODES_MAX];

    for (size_t i = 0; i < count; i++) {
        chord_ring_start(ring, indices[i]);
        roster[i] = ring->members[indices[i]].peer;
    }
    for (size_t i = 0; i < count; i++) {
        chord_ring_roster(ring, indices[i], roster, count);
        chord_ring_roster(ring, indices[i], NULL, 0);
    }
    ring->check_principals = true;
    chord_ring_check(ring);
}

void chord_ring_contact(struct chord_ring *ring, size_t index, size_t via)
{
    struct chord_event event = {.kind = CHORD_JOIN, .peer = &ring->members[via].peer};

    step(ring, index, &event);
}

void chord_ring_join(struct chord_ring *ring, size_t index, size_t via)
{
    chord_ring_start(ring, index);
    chord_ring_contact(ring, index, via);
}

void chord_ring_kill(struct chord_ring *ring, size_t index)
{
    ring->members[index].alive = false;
    chord_ring_check(ring);
}

void chord_ring_leave(struct chord_ring *ring, size_t index)
{
    struct chord_event event = {.kind = CHORD_LEAVE};

    step(ring, index, &event);
    ring->members[index].alive = false;
    chord_ring_check(ring);
}

void chord_ring_unreachable(struct chord_ring *ring, size_t at, size_t index)
{
    struct chord_event event = {.kind = CHORD_UNREACHABLE,
                                .peer = &ring->members[index].peer};

    step(ring, at, &event);
}

void chord_ring_lengthen(struct chord_ring *ring, uint32_t successors)
{
    struct chord_event event = {.kind = CHORD_LENGTH, .wanted = successors};

    for (size_t i = 0; i < ring->member_count; i++) {
        if (ring->members[i].alive) step(ring, i, &event);
    }
}

size_t chord_ring_lookup(struct chord_ring *ring, size_t at, const struct hf_id *key,
                         uint32_t wanted)
{
    struct chord_event event = {
        .kind = CHORD_LOOKUP, .key = *key, .tag = ring->lookup_count, .wanted = wanted};

    if (ring->lookup_count == ring->lookup_capacity) {
        ring->lookup_capacity = ring->lookup_capacity ? 2 * ring->lookup_capacity : 64;
        ring->lookups =
            realloc(ring->lookups, ring->lookup_capacity * sizeof *ring->lookups);
        assert(ring->lookups != NULL);
    }
    memset(&ring->lookups[ring->lookup_count++], 0, sizeof *ring->lookups);
    step(ring, at, &event);
    return ring->lookup_count - 1;
}

/* ---- judging ---- */

static bool is_member(const struct ring_member *member)
{
    return member->alive && !member->frozen && member->node != NULL &&
           (chord_node_mode(member->node) == CHORD_MODE_RING ||
            chord_node_mode(member->node) == CHORD_MODE_ALONE);
}

/* Extended successor lists as indices into members[]. */
struct lists {
    size_t entry[RING_NODES_MAX][CHORD_SUCCESSORS_MAX + 1];
    size_t count[RING_NODES_MAX];
    bool member[RING_NODES_MAX];
    bool skipped[RING_NODES_MAX];
    bool dead_pending;           /* a list about to be adopted has no live entry */
    size_t next[RING_NODES_MAX]; /* first live entry; itself when alone */
    size_t member_count;
};

static void mark_skipped(const struct chord_ring *ring, struct lists *lists,
                         const size_t *entry, size_t count)
{
    const size_t n = ring->member_count;

    for (size_t k = 0; k + 1 < count; k++) {
        for (size_t j = (entry[k] + 1) % n; j != entry[k + 1]; j = (j + 1) % n)
            lists->skipped[j] = true;
    }
}

static void lists_read(const struct chord_ring *ring, struct lists *lists)
{
    memset(lists, 0, sizeof *lists);
    for (size_t i = 0; i < ring->member_count; i++) {
        struct chord_peer successors[CHORD_SUCCESSORS_MAX];
        size_t n;

        lists->member[i] = is_member(&ring->members[i]);
        if (!lists->member[i]) continue;
        lists->member_count++;
        lists->entry[i][0] = i;
        n = chord_node_successors(ring->members[i].node, successors);
        for (size_t k = 0; k < n; k++)
            lists->entry[i][k + 1] = index_of(ring, &successors[k].position);
        lists->count[i] = n + 1;
        mark_skipped(ring, lists, lists->entry[i], lists->count[i]);
    }
}

static void pending_add(const struct chord_ring *ring, struct lists *lists, size_t index,
                        const struct chord_peer *list, size_t count)
{
    size_t entry[CHORD_SUCCESSORS_MAX + 1] = {index};
    bool live = false;

    for (size_t k = 0; k < count; k++) {
        entry[k + 1] = index_of(ring, &list[k].position);
        live = live || lists->member[entry[k + 1]];
    }
    if (!live) lists->dead_pending = true;
    mark_skipped(ring, lists, entry, count + 1);
}

static void pending_answer(const struct chord_ring *ring, struct lists *lists, size_t index,
                           const struct chord_message *m)
{
    const struct chord_node *node = ring->members[index].node;
    struct chord_peer list[CHORD_SUCCESSORS_MAX];
    size_t count;

    if (m->rpc != node->query.rpc || node->query.kind == QUERY_NONE) return;
    if (m->kind == CHORD_MESSAGE_REFUSED && node->query.kind == QUERY_STABILISE) {
        pending_add(ring, lists, index, &node->successors[1], node->successor_count - 1);
        return;
    }
    if (m->kind != CHORD_MESSAGE_STATE) return;
    if (node->query.kind == QUERY_JOIN_STATE && m->peer_count > 0)
        count = ring_copy_list(node, &m->peers[0], &m->peers[1], m->peer_count - 1, list);
    else
        count = ring_copy_list(node, &m->from, m->peers, m->peer_count, list);
    pending_add(ring, lists, index, list, count);
}

/* An operation takes effect, in Zave's sense, when the asked answers or is found dead; the
 * asker changes only when the answer arrives or its patience ends.  What will come of the
 * questions that are out counts as done already. */
static void lists_add_pending(const struct chord_ring *ring, struct lists *lists)
{
    for (size_t i = 0; i < ring->packet_count; i++) {
        const struct ring_packet *packet = &ring->packets[i];
        struct chord_message m;
        struct hf_err err;

        if (ring->members[packet->to].alive &&
            chord_message_parse(packet->bytes, packet->size, &m, &err) == HF_OK)
            pending_answer(ring, lists, packet->to, &m);
    }
    for (size_t i = 0; i < ring->member_count; i++) {
        const struct chord_node *node = ring->members[i].node;

        if (!ring->members[i].alive) continue;
        if (node->query.kind == QUERY_JOIN_PING)
            pending_add(ring, lists, i, node->join.successors, node->join.successor_count);
        /* A witness may have looked before the asked came back. */
        if (node->query.kind == QUERY_STABILISE &&
            (node->query.witnessed ||
             !lists->member[index_of(ring, &node->query.to.position)]))
            pending_add(ring, lists, i, &node->successors[1], node->successor_count - 1);
    }
}

/* Clause 1: every member has a live entry. */
static bool clause_live_entry(const struct chord_ring *ring, struct lists *lists)
{
    for (size_t i = 0; i < ring->member_count; i++) {
        lists->next[i] = RING_NODES_MAX;
        if (!lists->member[i]) continue;
        if (lists->count[i] == 1) lists->next[i] = i;
        for (size_t k = lists->count[i]; k-- > 1;) {
            if (lists->member[lists->entry[i][k]]) lists->next[i] = lists->entry[i][k];
        }
        if (lists->next[i] == RING_NODES_MAX) return false;
        if (lists->next[i] == i && lists->member_count > 1 && ring->check_principals)
            return false;
    }
    return true;
}

/* Clause 2: r + 1 members are skipped by no adjacent pair of any extended list. */
static bool clause_principals(const struct chord_ring *ring, const struct lists *lists)
{
    size_t principals = 0;

    for (size_t i = 0; i < ring->member_count; i++)
        principals += lists->member[i] && !lists->skipped[i];
    return principals >= ring->options.successors + 1u;
}

/* What the two clauses imply: the first live entries lead all members to one and the same
 * cycle, and that goes round the circle once. */
static bool one_ordered_ring(const struct chord_ring *ring, const struct lists *lists)
{
    const size_t n = ring->member_count;
    bool on_ring[RING_NODES_MAX] = {false};
    size_t at = 0;
    size_t way = 0;
    size_t start;

    while (at < n && !lists->member[at])
        at++;
    if (at == n) return true;
    for (size_t i = 0; i < n; i++)
        at = lists->next[at];
    start = at;
    do {
        const size_t next = lists->next[at];

        on_ring[at] = true;
        way += next == at ? n : (next + n - at) % n;
        at = next;
    } while (at != start);
    if (way != n) return false;
    for (size_t i = 0; i < n; i++) {
        if (!lists->member[i]) continue;
        at = i;
        for (size_t k = 0; k < n; k++)
            at = lists->next[at];
        if (!on_ring[at]) return false;
    }
    return true;
}

static const char *judge(const struct chord_ring *ring, bool with_pending)
{
    struct lists lists;

    lists_read(ring, &lists);
    if (with_pending) lists_add_pending(ring, &lists);
    if (!ring->check_principals || lists.member_count == 0) return NULL;
    if (!clause_live_entry(ring, &lists) || lists.dead_pending)
        return "a member has no live successor";
    if (!clause_principals(ring, &lists)) return "too few principals";
    if (!one_ordered_ring(ring, &lists)) return "not one ordered ring";
    return NULL;
}

void chord_ring_check(struct chord_ring *ring)
{
    if (ring->violation == NULL) ring->violation = judge(ring, false);
}

bool chord_ring_may_fail(struct chord_ring *ring, size_t index)
{
    bool may;

    ring->members[index].alive = false;
    may = judge(ring, true) == NULL;
    ring->members[index].alive = true;
    return may;
}

size_t chord_ring_live(const struct chord_ring *ring)
{
    size_t live = 0;

    for (size_t i = 0; i < ring->member_count; i++)
        live += ring->members[i].alive;
    return live;
}

size_t chord_ring_owner(const struct chord_ring *ring, const struct hf_id *key, size_t k)
{
    const size_t n = ring->member_count;
    size_t at = 0;

    assert(n > 0);
    while (at < n && hf_id_compare(&ring->members[at].peer.position, key) < 0)
        at++;
    for (;; at++) {
        if (!ring->members[at % n].alive) continue;
        if (k-- == 0) return at % n;
    }
}

static size_t live_neighbour(const struct chord_ring *ring, size_t at, size_t step_by)
{
    const size_t n = ring->member_count;

    do {
        at = (at + step_by) % n;
    } while (!ring->members[at].alive);
    return at;
}

bool chord_ring_is_ideal(const struct chord_ring *ring)
{
    const size_t live = chord_ring_live(ring);
    const size_t want =
        live - 1 < ring->options.successors ? live - 1 : ring->options.successors;

    for (size_t i = 0; i < ring->member_count; i++) {
        struct chord_peer successors[CHORD_SUCCESSORS_MAX];
        struct chord_peer predecessor;
        size_t at = i;

        if (!ring->members[i].alive) continue;
        if (!is_member(&ring->members[i]) ||
            chord_node_successors(ring->members[i].node, successors) != want)
            return false;
        for (size_t k = 0; k < want; k++) {
            at = live_neighbour(ring, at, 1);
            if (!chord_peer_equal(&successors[k], &ring->members[at].peer)) return false;
        }
        at = live_neighbour(ring, i, ring->member_count - 1);
        if (live > 1 && (!chord_node_predecessor(ring->members[i].node, &predecessor) ||
                         !chord_peer_equal(&predecessor, &ring->members[at].peer)))
            return false;
    }
    return true;
}

void chord_ring_trace(const struct chord_ring *ring, struct hf_id *out)
{
    struct hf_sha256 copy = ring->trace;

    hf_sha256_final(&copy, out);
}

struct chord_statistics chord_ring_statistics(const struct chord_ring *ring, size_t index)
{
    struct chord_statistics statistics;

    chord_node_statistics(ring->members[index].node, &statistics);
    return statistics;
}

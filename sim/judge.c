#include "sim/judge.h"

#include "base/alloc.h"
#include "chord/ring.h" /* what a node is about to adopt */
#include "chord/state.h"
#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

/* The extended successor list of one member: itself, then its entries, as places. */
struct list {
    uint32_t entry[CHORD_SUCCESSORS_MAX + 1];
    uint32_t count; /* 0: not a member */
};

struct judge {
    size_t count, successors;
    bool founded;
    struct list *lists;
    int32_t *skips; /* difference array: pairs that skip each place */
    uint32_t *next; /* first live entry; itself when alone */
    uint8_t *on_ring;
    bool dead_pending; /* a list about to be adopted has no live entry */
};

struct judge *judge_new(size_t places, uint32_t successors)
{
    struct judge *judge = calloc(1, sizeof *judge);

    if (judge == NULL) return NULL;
    judge->count = places;
    judge->successors = successors;
    judge->lists = hf_alloc_array(places, sizeof *judge->lists);
    judge->skips = hf_alloc_array(places + 1, sizeof *judge->skips);
    judge->next = hf_alloc_array(places, sizeof *judge->next);
    judge->on_ring = hf_alloc_array(places, 1);
    if (judge->lists == NULL || judge->skips == NULL || judge->next == NULL ||
        judge->on_ring == NULL) {
        judge_free(judge);
        return NULL;
    }
    return judge;
}

void judge_free(struct judge *judge)
{
    if (judge == NULL) return;
    free(judge->lists);
    free(judge->skips);
    free(judge->next);
    free(judge->on_ring);
    free(judge);
}

void judge_found(struct judge *judge)
{
    judge->founded = true;
}

static void list_set(const struct world *world, struct list *list, size_t place,
                     const struct chord_peer *peers, size_t count)
{
    list->entry[0] = (uint32_t)place;
    list->count = 1;
    for (size_t i = 0; i < count; i++) {
        const size_t entry = world_place_of(world, &peers[i].position);

        if (entry != WORLD_NOBODY) list->entry[list->count++] = (uint32_t)entry;
    }
}

void judge_refresh(struct judge *judge, const struct world *world, size_t place)
{
    struct chord_peer successors[CHORD_SUCCESSORS_MAX];

    judge->lists[place].count = 0;
    if (!world_is_member(world, place)) return;
    list_set(world, &judge->lists[place], place, successors,
             chord_node_successors(world->nodes[place].node, successors));
}

/* ---- clauses ---- */

static bool is_member(const struct judge *judge, size_t place)
{
    return judge->lists[place].count > 0;
}

static void skip(struct judge *judge, const struct list *list)
{
    for (size_t k = 0; k + 1 < list->count; k++) {
        const uint32_t a = list->entry[k];
        const uint32_t b = list->entry[k + 1];

        judge->skips[a + 1]++;
        judge->skips[b]--;
        if (b <= a) judge->skips[0]++; /* across zero */
    }
}

static size_t skip_all(struct judge *judge)
{
    size_t members = 0;

    memset(judge->skips, 0, (judge->count + 1) * sizeof *judge->skips);
    for (size_t i = 0; i < judge->count; i++) {
        skip(judge, &judge->lists[i]);
        members += is_member(judge, i);
    }
    return members;
}

static size_t principals(const struct judge *judge)
{
    size_t found = 0;
    int32_t skipped = 0;

    for (size_t i = 0; i < judge->count; i++) {
        skipped += judge->skips[i];
        found += is_member(judge, i) && skipped == 0;
    }
    return found;
}

static bool live_entries(struct judge *judge, size_t members)
{
    for (size_t i = 0; i < judge->count; i++) {
        const struct list *list = &judge->lists[i];

        judge->next[i] = WORLD_NOBODY;
        if (list->count == 0) continue;
        if (list->count == 1 && members == 1) judge->next[i] = (uint32_t)i;
        for (size_t k = list->count; k-- > 1;) {
            if (is_member(judge, list->entry[k])) judge->next[i] = list->entry[k];
        }
        if (judge->next[i] == WORLD_NOBODY) return false;
    }
    return true;
}

/* From any member the first live entries lead to a cycle; it must go round once, and
 * everybody must come to it. */
static bool one_ordered_ring(struct judge *judge)
{
    size_t at = 0;
    size_t way = 0;
    size_t start;

    memset(judge->on_ring, 0, judge->count);
    while (!is_member(judge, at))
        at++;
    for (size_t i = 0; i < judge->count; i++)
        at = judge->next[at];
    start = at;
    do {
        const size_t next = judge->next[at];

        judge->on_ring[at] = 1;
        way += next > at ? next - at : next + judge->count - at;
        at = next;
    } while (at != start && way <= judge->count);
    if (way != judge->count) return false;
    for (size_t i = 0; i < judge->count; i++) {
        if (!is_member(judge, i)) continue;
        at = i;
        for (size_t k = 0; k < judge->count && !judge->on_ring[at]; k++)
            at = judge->next[at];
        if (!judge->on_ring[at]) return false;
    }
    return true;
}

static const char *clauses(struct judge *judge, size_t members)
{
    if (members == 0) return "no member is left";
    if (!live_entries(judge, members) || judge->dead_pending)
        return "a member has no live successor";
    if (principals(judge) < judge->successors + 1) return "too few principals";
    if (!one_ordered_ring(judge)) return "not one ordered ring";
    return NULL;
}

const char *judge_check(struct judge *judge, const struct world *world)
{
    (void)world;
    if (!judge->founded) return NULL;
    judge->dead_pending = false;
    return clauses(judge, skip_all(judge));
}

/* ---- what is about to happen ---- */

struct pending {
    struct judge *judge;
    const struct world *world;
};

static void pending_add(struct pending *pending, size_t place,
                        const struct chord_peer *peers, size_t count)
{
    struct list list;
    bool live = false;

    list_set(pending->world, &list, place, peers, count);
    for (size_t k = 1; k < list.count; k++)
        live = live || is_member(pending->judge, list.entry[k]);
    if (!live) pending->judge->dead_pending = true;
    skip(pending->judge, &list);
}

static void pending_answer(void *context, size_t to, const struct chord_message *m)
{
    struct pending *pending = context;
    const struct chord_node *node = pending->world->nodes[to].node;
    struct chord_peer list[CHORD_SUCCESSORS_MAX];
    size_t count;

    if (node == NULL || node->query.kind == QUERY_NONE || m->rpc != node->query.rpc) return;
    if (m->kind == CHORD_MESSAGE_REFUSED && node->query.kind == QUERY_STABILISE) {
        pending_add(pending, to, &node->successors[1], node->successor_count - 1);
        return;
    }
    if (m->kind != CHORD_MESSAGE_STATE) return;
    if (node->query.kind == QUERY_JOIN_STATE && m->peer_count > 0)
        count = ring_copy_list(node, &m->peers[0], &m->peers[1], m->peer_count - 1, list);
    else
        count = ring_copy_list(node, &m->from, m->peers, m->peer_count, list);
    pending_add(pending, to, list, count);
}

static void pending_question(struct pending *pending, size_t place)
{
    const struct chord_node *node = pending->world->nodes[place].node;
    size_t asked;

    if (node == NULL) return;
    if (node->query.kind == QUERY_JOIN_PING)
        pending_add(pending, place, node->join.successors, node->join.successor_count);
    if (node->query.kind != QUERY_STABILISE) return;
    asked = world_place_of(pending->world, &node->query.to.position);
    /* The witness may have looked before the asked came back. */
    if (node->query.witnessed || asked == WORLD_NOBODY || !is_member(pending->judge, asked))
        pending_add(pending, place, &node->successors[1], node->successor_count - 1);
}

bool judge_may_fail(struct judge *judge, struct world *world, size_t host)
{
    const struct world_host *h = &world->hosts[host];
    struct list lists[CHORD_POSITIONS_MAX];
    struct pending pending = {judge, world};
    size_t members;
    bool may;

    for (uint32_t i = 0; i < h->place_count; i++) {
        lists[i] = judge->lists[h->places[i]];
        judge->lists[h->places[i]].count = 0;
    }
    judge->dead_pending = false;
    members = skip_all(judge);
    world_each_message(world, &pending, pending_answer);
    for (size_t i = 0; i < judge->count; i++) {
        if (world_host_of(world, i) != host) pending_question(&pending, i);
    }
    may = clauses(judge, members) == NULL;
    for (uint32_t i = 0; i < h->place_count; i++)
        judge->lists[h->places[i]] = lists[i];
    return may;
}

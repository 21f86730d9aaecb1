#include "membership/spread.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

/* Most actions of one event: each member told or dropped, and called; and some more. */
#define ACTIONS_PER_MEMBER 2u
#define ACTIONS_MORE       8u

struct spread {
    struct hf_id self;
    struct spread_knowledge known;
    struct spread_peer *peers; /* in ascending order of node id, without this node */
    size_t count;
    bool news;         /* they wait for spread_pass_on */
    size_t whole_left; /* may be told everything before the next round */
    struct spread_action *actions;
    size_t action_capacity, action_count, action_next;
};

struct spread *spread_new(const struct hf_id *self, const struct spread_knowledge *known)
{
    struct spread *spread = hf_alloc_array(1, sizeof *spread);

    if (spread == NULL) return NULL;
    spread->self = *self;
    spread->known = *known;
    spread->whole_left = SPREAD_WHOLE_MAX;
    spread->actions = hf_alloc_array(ACTIONS_MORE, sizeof *spread->actions);
    spread->action_capacity = ACTIONS_MORE;
    if (spread->actions != NULL) return spread;
    free(spread);
    return NULL;
}

void spread_free(struct spread *spread)
{
    if (spread == NULL) return;
    free(spread->peers);
    free(spread->actions);
    free(spread);
}

/* ---- actions ---- */

const struct spread_action *spread_next(struct spread *spread)
{
    if (spread->action_next < spread->action_count)
        return &spread->actions[spread->action_next++];
    spread->action_next = 0;
    spread->action_count = 0;
    return NULL;
}

/* One too many is lost, as a message is: rounds make up for it. */
static void act(struct spread *spread, enum spread_action_kind kind,
                const struct hf_id *node, uint64_t since)
{
    struct spread_action *action;

    if (spread->action_count == spread->action_capacity) return;
    action = &spread->actions[spread->action_count++];
    *action = (struct spread_action){.kind = kind, .since = since};
    if (node != NULL) action->node = *node;
}

/* ---- the table ---- */

static struct spread_peer *find(const struct spread *spread, const struct hf_id *node)
{
    size_t low = 0;
    size_t high = spread->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = hf_id_compare(&spread->peers[middle].node, node);

        if (order == 0) return &spread->peers[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct spread_peer *spread_peer(const struct spread *spread, const struct hf_id *node)
{
    return find(spread, node);
}

const struct spread_knowledge *spread_known(const struct spread *spread)
{
    return &spread->known;
}

static bool is_large(const struct spread *spread)
{
    return spread->count + 1 > SPREAD_LINKED_MAX;
}

bool spread_believes(const struct spread *spread, const struct hf_id *node)
{
    const struct spread_peer *peer = find(spread, node);

    if (peer == NULL || peer->evicted) return false;
    return peer->up || (is_large(spread) && peer->announced > 0 && !peer->missed);
}

/* What the roster says of a member that concerns its link. */
static void look_at(struct spread *spread, struct spread_peer *peer,
                    const struct spread_member *member)
{
    if (member->evicted && (peer->up || !peer->evicted))
        act(spread, SPREAD_DROP, &peer->node, 0);
    else if (!member->evicted && member->announced > peer->announced)
        act(spread, SPREAD_READDRESS, &peer->node, 0);
    peer->evicted = member->evicted;
    peer->announced = member->announced;
}

static enum hf_code reserve(struct spread *spread, size_t count, struct spread_peer **peers,
                            struct hf_err *err)
{
    const size_t capacity = count * ACTIONS_PER_MEMBER + ACTIONS_MORE;
    struct spread_action *actions;

    *peers = hf_alloc_array(count, sizeof **peers);
    if (*peers == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for the members");
    if (capacity <= spread->action_capacity) return HF_OK;
    actions = hf_alloc_array(capacity, sizeof *actions);
    if (actions == NULL) {
        free(*peers);
        return hf_fail(err, HF_NO_MEMORY, "no memory for the members");
    }
    memcpy(actions, spread->actions, spread->action_count * sizeof *actions);
    free(spread->actions);
    spread->actions = actions;
    spread->action_capacity = capacity;
    return HF_OK;
}

enum hf_code spread_set_members(struct spread *spread, const struct spread_member *members,
                                size_t count, uint64_t now_ms, struct hf_err *err)
{
    struct spread_peer *peers;
    size_t kept = 0;

    if (reserve(spread, count, &peers, err) != HF_OK) return err->code;
    for (size_t i = 0; i < count; i++) {
        const struct spread_peer *old = find(spread, &members[i].node);
        struct spread_peer *peer = &peers[kept];

        if (hf_id_equal(&members[i].node, &spread->self)) continue;
        kept++;
        if (old != NULL) {
            *peer = *old;
        } else {
            peer->node = members[i].node;
            peer->since_ms = now_ms;
            peer->up = members[i].up;
        }
        look_at(spread, peer, &members[i]);
    }
    free(spread->peers);
    spread->peers = peers;
    spread->count = kept;
    return HF_OK;
}

/* ---- choosing ---- */

/* splitmix64: more numbers from the one that was given. */
static uint64_t mix(uint64_t *random)
{
    uint64_t z = (*random += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

enum wanted { WANT_UP, WANT_AWAY, WANT_MISSED };

static bool is_wanted(const struct spread_peer *peer, enum wanted wanted)
{
    if (peer->evicted) return false;
    if (wanted == WANT_UP) return peer->up;
    return !peer->up && (wanted == WANT_AWAY || peer->missed);
}

static size_t count_of(const struct spread *spread, enum wanted wanted)
{
    size_t count = 0;

    for (size_t i = 0; i < spread->count; i++)
        count += is_wanted(&spread->peers[i], wanted);
    return count;
}

/* Asks for the same with up to `max` of those wanted: the first from one at random on.  Who
 * follows a gap comes up more often, which does no harm: ids are random. */
static void act_some(struct spread *spread, enum spread_action_kind kind,
                     enum wanted wanted, size_t max, uint64_t random)
{
    const size_t start = spread->count == 0 ? 0 : (size_t)(random % spread->count);

    for (size_t i = 0; i < spread->count && max > 0; i++) {
        const struct spread_peer *peer = &spread->peers[(start + i) % spread->count];

        if (!is_wanted(peer, wanted)) continue;
        act(spread, kind, &peer->node, 0);
        max--;
    }
}

static void connect_more(struct spread *spread, uint64_t random)
{
    if (!is_large(spread)) {
        act_some(spread, SPREAD_CONNECT, WANT_AWAY, spread->count, 0);
        return;
    }
    if (count_of(spread, WANT_UP) >= SPREAD_LINKED_MAX) {
        act_some(spread, SPREAD_CONNECT, WANT_MISSED, 1, random);
        return;
    }
    for (size_t i = 0; i < SPREAD_CALLS_MAX; i++)
        act_some(spread, SPREAD_CONNECT, WANT_AWAY, 1, mix(&random));
}

/* ---- events ---- */

void spread_knows(struct spread *spread, const struct spread_knowledge *known)
{
    const bool more = known->revision > spread->known.revision;

    spread->known = *known;
    if (!more || spread->news) return;
    spread->news = true;
    act(spread, SPREAD_NEWS, NULL, 0);
}

void spread_pass_on(struct spread *spread, uint64_t random)
{
    const size_t fanout = is_large(spread) ? SPREAD_FANOUT : spread->count;

    spread->news = false;
    act_some(spread, SPREAD_DIGEST, WANT_UP, fanout, mix(&random));
    connect_more(spread, mix(&random));
}

static void set_up(const struct spread *spread, struct spread_peer *peer, bool up,
                   bool missed, uint64_t now_ms)
{
    if (peer->up != up || (peer->missed != missed && is_large(spread)))
        peer->since_ms = now_ms;
    peer->up = up;
    peer->missed = missed;
}

void spread_up(struct spread *spread, const struct hf_id *node, uint64_t now_ms)
{
    struct spread_peer *peer = find(spread, node);

    if (peer != NULL) {
        set_up(spread, peer, true, false, now_ms);
        peer->told_revision = 0;
    }
    act(spread, SPREAD_DIGEST, node, 0);
}

void spread_down(struct spread *spread, const struct hf_id *node, uint64_t now_ms)
{
    struct spread_peer *peer = find(spread, node);

    if (peer != NULL) set_up(spread, peer, false, true, now_ms);
}

void spread_rest(struct spread *spread, const struct hf_id *node, uint64_t now_ms)
{
    struct spread_peer *peer = find(spread, node);

    if (peer != NULL) set_up(spread, peer, false, false, now_ms);
}

static void tell(struct spread *spread, struct spread_peer *peer, uint64_t since,
                 uint64_t now_ms)
{
    peer->told_revision = spread->known.revision;
    peer->told_ms = now_ms;
    act(spread, SPREAD_ROSTER, &peer->node, since);
    act(spread, SPREAD_DIGEST, &peer->node, 0);
}

/* Tells everything.  In a large ring others tell the same: when it is the turn of those
 * who are left over, they may know. */
static void tell_whole(struct spread *spread, struct spread_peer *peer, uint64_t now_ms)
{
    if (is_large(spread)) {
        if (spread->whole_left == 0) return;
        spread->whole_left--;
    }
    tell(spread, peer, 0, now_ms);
}

void spread_compare(struct spread *spread, const struct hf_id *node,
                    const struct hf_id *digest, uint64_t now_ms)
{
    struct spread_peer *peer = find(spread, node);
    bool again;

    if (peer == NULL) return;
    again = hf_id_equal(digest, &peer->heard);
    peer->heard = *digest;
    if (hf_id_equal(digest, &spread->known.digest)) {
        peer->told_revision = spread->known.revision; /* by whomever */
        peer->told_ms = now_ms;
    } else if (peer->told_revision == 0) {
        tell_whole(spread, peer, now_ms);
    } else if (peer->told_revision < spread->known.revision) {
        tell(spread, peer, peer->told_revision, now_ms);
    } else if (!again) {
        act(spread, SPREAD_DIGEST, node, 0); /* the news are the other's */
    } else if (now_ms - peer->told_ms >= SPREAD_AGAIN_MS) {
        tell_whole(spread, peer, now_ms); /* what it was told was lost */
    }
}

void spread_round(struct spread *spread, uint64_t random)
{
    spread->whole_left = SPREAD_WHOLE_MAX;
    act_some(spread, SPREAD_DIGEST, WANT_UP, 1, mix(&random));
    connect_more(spread, mix(&random));
}

#include "daemon/gossip.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"

#include <stdlib.h>
#include <string.h>

#define PART_SIZE ((size_t)256 << 10) /* of a roster, in one frame */

struct gossip {
    struct gossip_config config;
    struct hf_id self;
    struct event *round, *spread;
    struct presence *members; /* the roster's, in its order */
    size_t count;
    bool evicted; /* this node itself: said once */
};

static int64_t now_s(void)
{
    return hf_clock_realtime_ns() / 1000000000;
}

/* ---- the table ---- */

static struct presence *find(const struct gossip *gossip, const struct hf_id *node)
{
    size_t low = 0;
    size_t high = gossip->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = hf_id_compare(&gossip->members[middle].node, node);

        if (order == 0) return &gossip->members[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct presence *gossip_presence(const struct gossip *gossip,
                                       const struct hf_id *node)
{
    return hf_id_equal(node, &gossip->self) ? NULL : find(gossip, node);
}

/* What the roster says of a member that concerns its link. */
static void look_at(struct gossip *gossip, struct presence *presence,
                    const struct roster_member *member)
{
    if (member->evicted) {
        links_drop(gossip->config.links, &presence->node);
    } else if (member->announced && member->announcement.seq != presence->announced) {
        presence->announced = member->announcement.seq;
        links_readdress(gossip->config.links, &presence->node);
    }
}

/* Brings the table up to the roster, from which nobody ever goes.  Without memory the old
 * one stays, until there is news again. */
static void sync_table(struct gossip *gossip)
{
    const struct roster *roster = gossip->config.member->roster;
    const size_t count = roster_count(roster);
    struct presence *members = hf_alloc_array(count, sizeof *members);

    if (members == NULL) return;
    for (size_t i = 0; i < count; i++) {
        const struct roster_member *member = roster_at(roster, i);
        const struct presence *old = find(gossip, &member->certificate.id);

        if (old != NULL) {
            members[i] = *old;
        } else {
            members[i].node = member->certificate.id;
            members[i].since_ms = loop_now_ms();
            members[i].since_s = now_s();
            members[i].up = links_is_up(gossip->config.links, &members[i].node);
        }
        if (!hf_id_equal(&members[i].node, &gossip->self))
            look_at(gossip, &members[i], member);
    }
    free(gossip->members);
    gossip->members = members;
    gossip->count = count;
}

/* ---- telling ---- */

static void send_digest(struct gossip *gossip, const struct hf_id *node)
{
    uint8_t body[HF_ID_SIZE + HF_CBOR_HEAD_MAX];
    struct hf_writer w = hf_writer_init(body, sizeof body);
    struct hf_id digest;

    roster_digest(gossip->config.member->roster, &digest);
    hf_put_id(&w, &digest);
    links_send(gossip->config.links, node, LINK_ROSTER_DIGEST, body, hf_writer_size(&w),
               NULL);
}

static void send_roster(struct gossip *gossip, const struct hf_id *node, uint64_t since)
{
    uint8_t body[HF_CBOR_HEAD_MAX];
    struct hf_writer w = hf_writer_init(body, sizeof body);
    size_t cursor = 0;
    bool more = true;

    hf_put_null(&w);
    while (more) {
        struct hf_buffer *part = hf_buffer_new(PART_SIZE);

        if (part == NULL) return;
        more = roster_encode(gossip->config.member->roster, since, &cursor, part->b,
                             PART_SIZE, &part->size);
        links_send(gossip->config.links, node, LINK_ROSTER, body, hf_writer_size(&w), part);
        hf_buffer_unref(part);
    }
}

/* Tells one whose digest differs what it was not told before; all, when that did not
 * help. */
static void tell(struct gossip *gossip, struct presence *presence)
{
    const uint64_t revision = roster_revision(gossip->config.member->roster);
    const uint64_t now_ms = loop_now_ms();
    uint64_t since = presence->told_revision;

    if (since == revision) {
        if (now_ms - presence->told_ms < GOSSIP_AGAIN_MS) return;
        since = 0;
    }
    presence->told_revision = revision;
    presence->told_ms = now_ms;
    send_roster(gossip, &presence->node, since);
    send_digest(gossip, &presence->node);
}

/* ---- connecting ---- */

static const struct presence *random_member(const struct gossip *gossip, bool up)
{
    uint32_t random;
    size_t start;

    if (gossip->count == 0) return NULL;
    hf_random(&random, sizeof random);
    start = random % gossip->count;
    for (size_t i = 0; i < gossip->count; i++) {
        const struct presence *p = &gossip->members[(start + i) % gossip->count];

        if (p->up == up && !hf_id_equal(&p->node, &gossip->self)) return p;
    }
    return NULL;
}

static void connect_more(struct gossip *gossip)
{
    const struct presence *one;

    if (gossip->count > GOSSIP_LINKED_MAX) {
        one = random_member(gossip, false);
        if (one != NULL) links_connect(gossip->config.links, &one->node);
        return;
    }
    for (size_t i = 0; i < gossip->count; i++) {
        if (!gossip->members[i].up)
            links_connect(gossip->config.links, &gossip->members[i].node);
    }
}

static void wait_ms(struct event *timer, uint32_t ms)
{
    const struct timeval wait = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000};

    (void)event_add(timer, &wait);
}

static void on_round(evutil_socket_t fd, short what, void *arg)
{
    struct gossip *gossip = arg;
    const struct presence *one = random_member(gossip, true);
    uint32_t random;

    (void)fd;
    (void)what;
    if (one != NULL) send_digest(gossip, &one->node);
    connect_more(gossip);
    hf_random(&random, sizeof random);
    wait_ms(gossip->round, GOSSIP_ROUND_MS / 2 + random % GOSSIP_ROUND_MS);
}

/* ---- news ---- */

/* Whether the newest announcement of this node is what it would say today; a node that was
 * set back to an older state finds at its peers one that it cannot remember. */
static bool announced_well(const struct gossip *gossip, const struct roster_member *self)
{
    const struct member_settings *settings = &gossip->config.member->settings;
    const struct announcement *a = &self->announcement;

    return self->announced && hf_id_equal(&a->store, &gossip->config.store) &&
           a->address_count == 1 && strcmp(a->addresses[0], settings->advertise) == 0 &&
           a->space_bytes == settings->space_bytes && strcmp(a->site, settings->site) == 0;
}

static void look_at_self(struct gossip *gossip)
{
    struct member_home *member = gossip->config.member;
    const struct roster_member *self = roster_find(member->roster, &gossip->self);
    struct hf_err err;

    if (self == NULL) return;
    if (self->evicted && !gossip->evicted)
        hf_log(HF_LOG_ERROR, "ring",
               "this machine was evicted from the ring; nobody talks to it any more");
    gossip->evicted = self->evicted;
    if (self->evicted || announced_well(gossip, self)) return;
    hf_log(
        HF_LOG_WARN, "ring",
        "the others hold a newer announcement of this machine; it announces itself anew");
    if (member_home_announce(member, &gossip->config.store, now_s(), &err) != HF_OK)
        hf_log(HF_LOG_ERROR, "ring", "announce: %s", err.msg);
}

static void on_spread(evutil_socket_t fd, short what, void *arg)
{
    struct gossip *gossip = arg;
    struct hf_err err;

    (void)fd;
    (void)what;
    look_at_self(gossip);
    if (member_home_save(gossip->config.member, &err) != HF_OK)
        hf_log(HF_LOG_ERROR, "ring", "save the roster: %s", err.msg);
    sync_table(gossip);
    for (size_t i = 0; i < gossip->count; i++) {
        if (gossip->members[i].up) send_digest(gossip, &gossip->members[i].node);
    }
    connect_more(gossip);
    gossip->config.changed(gossip->config.arg);
}

void gossip_news(struct gossip *gossip)
{
    if (event_pending(gossip->spread, EV_TIMEOUT, NULL) == 0)
        wait_ms(gossip->spread, GOSSIP_SPREAD_MS);
}

/* ---- from the links ---- */

static bool take_digest(struct gossip *gossip, const struct hf_id *node,
                        const uint8_t *body, size_t n)
{
    struct hf_reader r = hf_reader_init(body, n);
    struct presence *presence = find(gossip, node);
    struct hf_id theirs;
    struct hf_id ours;

    hf_get_id(&r, &theirs);
    if (!hf_reader_done(&r)) return false;
    roster_digest(gossip->config.member->roster, &ours);
    if (presence != NULL && !hf_id_equal(&theirs, &ours)) tell(gossip, presence);
    return true;
}

static bool take_roster(struct gossip *gossip, const struct hf_id *node,
                        const struct hf_buffer *payload)
{
    struct roster_merge merge = {0};
    char hex[HF_ID_HEX_SIZE];
    struct hf_err err;
    enum hf_code rc;

    if (payload == NULL) return true;
    rc = roster_merge(gossip->config.member->roster, payload->b, payload->size, &merge,
                      &err);
    if (rc != HF_OK || merge.rejected > 0)
        hf_log(HF_LOG_WARN, "ring", "roster from %.16s: %zu facts rejected%s%s",
               hf_id_hex(node, hex), merge.rejected, rc != HF_OK ? "; " : "",
               rc != HF_OK ? err.msg : "");
    if (merge.added > 0) gossip_news(gossip);
    return rc != HF_CORRUPT;
}

bool gossip_frame(struct gossip *gossip, const struct hf_id *node, enum link_kind kind,
                  const uint8_t *body, size_t n, const struct hf_buffer *payload)
{
    struct hf_reader r = hf_reader_init(body, n);

    if (kind == LINK_ROSTER_DIGEST) return take_digest(gossip, node, body, n);
    hf_get_null(&r);
    return kind == LINK_ROSTER && hf_reader_done(&r) && take_roster(gossip, node, payload);
}

static void set_up(struct presence *presence, bool up)
{
    if (presence->up == up) return;
    presence->up = up;
    presence->since_ms = loop_now_ms();
    presence->since_s = now_s();
}

void gossip_up(struct gossip *gossip, const struct hf_id *node)
{
    struct presence *presence = find(gossip, node);

    if (presence != NULL) {
        set_up(presence, true);
        presence->told_revision = 0;
    }
    send_digest(gossip, node);
}

void gossip_down(struct gossip *gossip, const struct hf_id *node)
{
    struct presence *presence = find(gossip, node);

    if (presence != NULL) set_up(presence, false);
}

/* ---- making ---- */

enum hf_code gossip_new(const struct gossip_config *config, struct gossip **gossip,
                        struct hf_err *err)
{
    struct gossip *made = hf_alloc_array(1, sizeof *made);
    enum hf_code rc;

    *gossip = NULL;
    if (made == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for the roster");
    made->config = *config;
    made->self = config->member->certificate.id;
    made->round = evtimer_new(loop_base(config->loop), on_round, made);
    made->spread = evtimer_new(loop_base(config->loop), on_spread, made);
    rc = made->round == NULL || made->spread == NULL
             ? hf_fail(err, HF_NO_MEMORY, "no memory for the roster")
             : member_home_announce(config->member, &config->store, now_s(), err);
    if (rc == HF_OK) rc = member_home_save(config->member, err);
    if (rc != HF_OK) {
        gossip_free(made);
        return rc;
    }
    sync_table(made);
    wait_ms(made->round, 0);
    *gossip = made;
    return HF_OK;
}

void gossip_free(struct gossip *gossip)
{
    if (gossip == NULL) return;
    if (gossip->round != NULL) event_free(gossip->round);
    if (gossip->spread != NULL) event_free(gossip->spread);
    free(gossip->members);
    free(gossip);
}

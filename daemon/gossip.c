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
    struct spread *spread;
    struct event *round, *pass_on;
    bool evicted; /* this node itself: said once */
};

static int64_t now_s(void)
{
    return hf_clock_realtime_ns() / 1000000000;
}

static uint64_t draw(void)
{
    uint64_t random;

    hf_random(&random, sizeof random);
    return random;
}

static struct spread_knowledge knowledge(const struct gossip *gossip)
{
    const struct roster *roster = gossip->config.member->roster;
    struct spread_knowledge known = {.revision = roster_revision(roster)};

    roster_digest(roster, &known.digest);
    return known;
}

const struct spread_peer *gossip_peer(const struct gossip *gossip, const struct hf_id *node)
{
    return spread_peer(gossip->spread, node);
}

bool gossip_believes(const struct gossip *gossip, const struct hf_id *node)
{
    return spread_believes(gossip->spread, node);
}

/* Without memory the old table stays, until there is news again. */
static void set_members(struct gossip *gossip)
{
    const struct roster *roster = gossip->config.member->roster;
    const size_t count = roster_count(roster);
    struct spread_member *members = hf_alloc_array(count, sizeof *members);
    struct hf_err err;

    if (members == NULL) return;
    for (size_t i = 0; i < count; i++) {
        const struct roster_member *member = roster_at(roster, i);
        const struct hf_id *node = &member->certificate.id;

        members[i] = (struct spread_member){
            .node = *node,
            .evicted = member->evicted,
            .up = links_is_up(gossip->config.links, node),
            .announced = member->announced ? member->announcement.seq : 0};
    }
    if (spread_set_members(gossip->spread, members, count, loop_now_ms(), &err) != HF_OK)
        hf_log(HF_LOG_ERROR, "ring", "%s", err.msg);
    free(members);
}

/* ---- telling ---- */

static void send_digest(struct gossip *gossip, const struct hf_id *node)
{
    uint8_t body[HF_ID_SIZE + HF_CBOR_HEAD_MAX];
    struct hf_writer w = hf_writer_init(body, sizeof body);

    hf_put_id(&w, &spread_known(gossip->spread)->digest);
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

static void wait_ms(struct event *timer, uint32_t ms)
{
    const struct timeval wait = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000};

    (void)event_add(timer, &wait);
}

static void perform(struct gossip *gossip, const struct spread_action *action)
{
    struct links *links = gossip->config.links;

    switch (action->kind) {
    case SPREAD_DIGEST: send_digest(gossip, &action->node); break;
    case SPREAD_ROSTER: send_roster(gossip, &action->node, action->since); break;
    case SPREAD_CONNECT: links_connect(links, &action->node); break;
    case SPREAD_READDRESS: links_readdress(links, &action->node); break;
    case SPREAD_DROP: links_drop(links, &action->node); break;
    case SPREAD_NEWS: wait_ms(gossip->pass_on, GOSSIP_SPREAD_MS); break;
    }
}

static void perform_all(struct gossip *gossip)
{
    const struct spread_action *action;

    while ((action = spread_next(gossip->spread)) != NULL)
        perform(gossip, action);
}

static void on_round(evutil_socket_t fd, short what, void *arg)
{
    struct gossip *gossip = arg;

    (void)fd;
    (void)what;
    spread_round(gossip->spread, draw());
    perform_all(gossip);
    wait_ms(gossip->round, GOSSIP_ROUND_MS / 2 + (uint32_t)(draw() % GOSSIP_ROUND_MS));
}

/* ---- news ---- */

static bool advertises(const struct announcement *announcement,
                       const struct member_settings *settings)
{
    struct address_list wanted;

    return address_list_parse(settings->advertise, &wanted) &&
           announcement->address_count == wanted.count &&
           memcmp(announcement->addresses, wanted.at, sizeof wanted.at) == 0;
}

/* Whether the newest announcement of this node is what it would say today; a node that was
 * set back to an older state finds at its peers one that it cannot remember. */
static bool announced_well(const struct gossip *gossip, const struct roster_member *self)
{
    const struct member_settings *settings = &gossip->config.member->settings;
    const struct announcement *a = &self->announcement;

    return self->announced && hf_id_equal(&a->store, &gossip->config.store) &&
           advertises(a, settings) && a->space_bytes == settings->space_bytes &&
           strcmp(a->site, settings->site) == 0;
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

static void on_pass_on(evutil_socket_t fd, short what, void *arg)
{
    struct gossip *gossip = arg;
    struct spread_knowledge known;
    struct hf_err err;

    (void)fd;
    (void)what;
    look_at_self(gossip);
    if (member_home_save(gossip->config.member, &err) != HF_OK)
        hf_log(HF_LOG_ERROR, "ring", "save the roster: %s", err.msg);
    set_members(gossip);
    perform_all(gossip);
    known = knowledge(gossip);
    spread_knows(gossip->spread, &known);
    spread_pass_on(gossip->spread, draw());
    perform_all(gossip);
    gossip->config.changed(gossip->config.arg);
}

void gossip_news(struct gossip *gossip)
{
    const struct spread_knowledge known = knowledge(gossip);

    spread_knows(gossip->spread, &known);
    perform_all(gossip);
}

/* ---- from the links ---- */

static bool take_digest(struct gossip *gossip, const struct hf_id *node,
                        const uint8_t *body, size_t n)
{
    struct hf_reader r = hf_reader_init(body, n);
    struct hf_id digest;

    hf_get_id(&r, &digest);
    if (!hf_reader_done(&r)) return false;
    spread_compare(gossip->spread, node, &digest, loop_now_ms());
    perform_all(gossip);
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

void gossip_up(struct gossip *gossip, const struct hf_id *node)
{
    spread_up(gossip->spread, node, loop_now_ms());
    perform_all(gossip);
}

void gossip_down(struct gossip *gossip, const struct hf_id *node)
{
    spread_down(gossip->spread, node, loop_now_ms());
    perform_all(gossip);
}

void gossip_rested(struct gossip *gossip, const struct hf_id *node)
{
    spread_rest(gossip->spread, node, loop_now_ms());
    perform_all(gossip);
}

/* ---- making ---- */

/* Announces this node anew, and begins with what it knows then. */
static enum hf_code begin(struct gossip *gossip, struct hf_err *err)
{
    struct member_home *member = gossip->config.member;
    struct spread_knowledge known;
    enum hf_code rc = member_home_announce(member, &gossip->config.store, now_s(), err);

    if (rc == HF_OK) rc = member_home_save(member, err);
    if (rc != HF_OK) return rc;
    known = knowledge(gossip);
    gossip->spread = spread_new(&gossip->self, &known);
    if (gossip->spread == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory: roster");
    set_members(gossip);
    perform_all(gossip);
    return HF_OK;
}

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
    made->pass_on = evtimer_new(loop_base(config->loop), on_pass_on, made);
    rc = made->round == NULL || made->pass_on == NULL
             ? hf_fail(err, HF_NO_MEMORY, "no memory for the roster")
             : begin(made, err);
    if (rc != HF_OK) {
        gossip_free(made);
        return rc;
    }
    wait_ms(made->round, 0);
    *gossip = made;
    return HF_OK;
}

void gossip_free(struct gossip *gossip)
{
    if (gossip == NULL) return;
    if (gossip->round != NULL) event_free(gossip->round);
    if (gossip->pass_on != NULL) event_free(gossip->pass_on);
    spread_free(gossip->spread);
    free(gossip);
}

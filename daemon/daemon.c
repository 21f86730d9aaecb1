#include "daemon/daemon.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/hash.h"
#include "base/log.h"
#include "blockstore/local_protocol.h"
#include "daemon/admin.h"
#include "daemon/admission.h"
#include "daemon/positions.h"

#include <stdlib.h>
#include <string.h>

#define MEMBERS_ROUND_MS 60000u /* somebody may have passed the repair wait */
#define STOP_LOOK_US     50000

/* ---- who is there ---- */

/* This node, or one that is believed to be there. */
static bool is_there(const struct daemon *daemon, const struct hf_id *node)
{
    return hf_id_equal(node, &daemon->member.certificate.id) ||
           gossip_believes(daemon->gossip, node);
}

size_t daemon_up_count(const struct daemon *daemon)
{
    const struct roster *roster = daemon->member.roster;
    size_t up = 0;

    for (size_t i = 0; i < roster_count(roster); i++) {
        const struct hf_id *node = &roster_at(roster, i)->certificate.id;

        if (is_there(daemon, node)) up++;
    }
    return up;
}

static void describe(const struct daemon *daemon, const struct roster_member *member,
                     struct dht_member *out)
{
    const struct spread_peer *peer = gossip_peer(daemon->gossip, &member->certificate.id);
    const uint64_t now_ms = loop_now_ms();

    *out = (struct dht_member){.id = member->certificate.id, .evicted = member->evicted};
    if (member->announced && member->announcement.site[0] != '\0')
        hf_sha256(member->announcement.site, strlen(member->announcement.site), &out->site);
    out->missing = peer != NULL && !is_there(daemon, &peer->node) &&
                   now_ms - peer->since_ms > DAEMON_REPAIR_WAIT_MS;
}

/* A node that has just started does not mistake those it has not reached yet for gone. */
static bool settled(struct daemon *daemon, size_t up, size_t count)
{
    if (up == count || loop_now_ms() - daemon->started_ms >= DAEMON_SETTLE_MS)
        daemon->settled = true;
    return daemon->settled;
}

/* r grows with the ring (docs/design.md section 7): 2, 4, 8, 16, as soon as those who live
 * are enough for Zave's proof with the longer list.  A steward's work. */
static void lengthen(struct daemon *daemon, size_t up_count)
{
    const uint32_t longer = 2 * daemon->member.ring.successors;
    struct hf_err err;

    if (daemon->member.authority == NULL || longer > CHORD_SUCCESSORS_MAX ||
        up_count < 2 * ((size_t)longer + 1))
        return;
    if (member_home_lengthen(&daemon->member, longer, &err) == HF_OK)
        gossip_news(daemon->gossip);
    else
        hf_log(HF_LOG_ERROR, "ring", "r = %u: %s", longer, err.msg);
}

static void tell_members(struct daemon *daemon)
{
    const struct roster *roster = daemon->member.roster;
    const size_t count = roster_count(roster);
    struct dht_member *members = hf_alloc_array(count, sizeof *members);
    struct router_member *up = hf_alloc_array(count, sizeof *up);
    const uint64_t unit = positions_unit(roster);
    size_t up_count = 0;
    size_t evicted = 0;

    if (members == NULL || up == NULL) goto out; /* the next round tries again */
    for (size_t i = 0; i < count; i++) {
        const struct hf_id *node = &roster_at(roster, i)->certificate.id;

        describe(daemon, roster_at(roster, i), &members[i]);
        members[i].positions = positions_of(roster_at(roster, i), unit);
        if (members[i].evicted)
            evicted++;
        else if (is_there(daemon, node))
            up[up_count++] = (struct router_member){
                .node = *node, .positions = positions_of(roster_at(roster, i), unit)};
    }
    keeper_members(daemon->keeper, members, count);
    lengthen(daemon, up_count);
    router_successors_wanted(daemon->router, daemon->member.ring.successors);
    if (settled(daemon, up_count, count - evicted) &&
        !router_members(daemon->router, up, up_count))
        hf_log(HF_LOG_WARN, "router", "no memory for the members");
out:
    free(members);
    free(up);
}

static void on_members(evutil_socket_t fd, short what, void *arg)
{
    struct daemon *daemon = arg;
    const uint32_t next_ms = daemon->settled ? MEMBERS_ROUND_MS : DAEMON_SETTLE_MS;
    const struct timeval wait = {(time_t)(next_ms / 1000), 0};

    (void)fd;
    (void)what;
    tell_members(daemon);
    (void)event_add(daemon->members, &wait);
}

/* ---- from the links ---- */

static bool on_frame(void *arg, const struct hf_id *node, enum link_kind kind,
                     const uint8_t *body, size_t n, struct hf_buffer *payload)
{
    struct daemon *daemon = arg;

    if (kind == LINK_DHT) return keeper_frame(daemon->keeper, node, body, n, payload);
    if (kind == LINK_CHORD)
        return payload == NULL && router_frame(daemon->router, node, body, n);
    return gossip_frame(daemon->gossip, node, kind, body, n, payload);
}

static void on_up(void *arg, const struct hf_id *node)
{
    struct daemon *daemon = arg;

    gossip_up(daemon->gossip, node);
    keeper_up(daemon->keeper, node);
    event_active(daemon->members, EV_TIMEOUT, 0);
}

static void on_down(void *arg, const struct hf_id *node)
{
    struct daemon *daemon = arg;

    gossip_down(daemon->gossip, node);
    router_down(daemon->router, node);
    keeper_down(daemon->keeper, node);
    event_active(daemon->members, EV_TIMEOUT, 0);
}

static void on_rested(void *arg, const struct hf_id *node)
{
    struct daemon *daemon = arg;

    gossip_rested(daemon->gossip, node);
}

static void on_moved(void *arg, const struct hf_id *node, bool came)
{
    struct daemon *daemon = arg;

    keeper_moved(daemon->keeper, node, came);
}

static void on_learnt(void *arg)
{
    struct daemon *daemon = arg;

    gossip_news(daemon->gossip);
}

static struct hf_buffer *on_join(void *arg, const char *address,
                                 const struct hf_public_key *key, const uint8_t *body,
                                 size_t n, struct join_reply *reply)
{
    struct daemon *daemon = arg;
    struct hf_buffer *roster =
        admission_answer(&daemon->member, address, key, body, n, &daemon->refusals, reply);

    if (reply->code == HF_OK) gossip_news(daemon->gossip);
    return roster;
}

/* ---- between the others ---- */

static void on_changed(void *arg)
{
    struct daemon *daemon = arg;

    event_active(daemon->members, EV_TIMEOUT, 0);
}

static void send_chord(void *arg, const struct hf_id *node, const uint8_t *body, size_t n)
{
    struct daemon *daemon = arg;

    links_send(daemon->links, node, LINK_CHORD, body, n, NULL);
}

static void send_dht(void *arg, const struct hf_id *node, const uint8_t *body, size_t n,
                     struct hf_buffer *payload)
{
    struct daemon *daemon = arg;

    links_send(daemon->links, node, LINK_DHT, body, n, payload);
}

static void send_bulk(void *arg, const struct hf_id *node, const uint8_t *body, size_t n,
                      struct hf_buffer *payload)
{
    struct daemon *daemon = arg;

    links_send_bulk(daemon->links, node, LINK_DHT, body, n, payload);
}

static void on_lookup(void *arg, const struct hf_id *key, uint32_t wanted, uint64_t tag)
{
    struct daemon *daemon = arg;

    router_lookup(daemon->router, key, wanted, tag);
}

static void on_found(void *arg, uint64_t tag, const struct hf_id *nodes,
                     const uint32_t *away_ms, size_t count)
{
    struct daemon *daemon = arg;

    keeper_found(daemon->keeper, tag, nodes, away_ms, count);
}

static void on_busy(void *arg, bool busy)
{
    struct daemon *daemon = arg;

    links_pause(daemon->links, busy);
}

/* ---- limits ---- */

static void apply_limits(struct daemon *daemon)
{
    const uint32_t minute = limits_minute(hf_clock_realtime_ns() / 1000000000);
    const uint64_t upload = hf_rates_at(&daemon->limits.upload, minute);
    const uint64_t download = hf_rates_at(&daemon->limits.download, minute);
    const struct links_traffic now = links_traffic(daemon->links);

    if (upload == now.upload && download == now.download) return;
    hf_log(HF_LOG_INFO, "links",
           "limits from now on (bytes a second, 0 is none): up %llu, down %llu",
           (unsigned long long)upload, (unsigned long long)download);
    links_limit(daemon->links, upload, download);
}

/* With each minute of the clock. */
static void on_minute(evutil_socket_t fd, short what, void *arg)
{
    struct daemon *daemon = arg;
    const int64_t now_s = hf_clock_realtime_ns() / 1000000000;
    const struct timeval wait = {.tv_sec = 60 - now_s % 60};

    (void)fd;
    (void)what;
    apply_limits(daemon);
    (void)event_add(daemon->minute, &wait);
}

static enum hf_code load_conf(const struct daemon *daemon, struct hf_conf **conf,
                              struct hf_err *err)
{
    char path[HF_PATH_MAX];
    const enum hf_code rc = hf_path_join(daemon->home.config, "holdfast.conf", path, err);

    return rc == HF_OK ? hf_conf_load(path, NULL, conf, err) : rc;
}

void daemon_reload(struct daemon *daemon)
{
    struct hf_conf *conf = NULL;
    struct hf_err err;
    enum hf_code rc = load_conf(daemon, &conf, &err);

    if (rc == HF_OK) rc = limits_load(conf, &daemon->limits, &err);
    hf_conf_free(conf);
    if (rc == HF_OK)
        apply_limits(daemon);
    else
        hf_log(HF_LOG_WARN, "daemon", "the limits stay as they were: %s", err.msg);
}

/* ---- opening ---- */

/* What holdfast.conf and the environment say beside, or instead of, what the node was made
 * with: [ring] listen, advertise, and the limits. */
static enum hf_code override_settings(struct daemon *daemon, struct hf_err *err)
{
    struct member_settings *settings = &daemon->member.settings;
    struct member_options options = {.listen = settings->listen,
                                     .site = settings->site,
                                     .space_bytes = settings->space_bytes,
                                     .now_s = hf_clock_realtime_ns() / 1000000000};
    char host[NAME_SIZE];
    struct member_settings wanted;
    struct hf_conf *conf = NULL;
    const char *listen;
    const char *advertise;
    enum hf_code rc = load_conf(daemon, &conf, err);

    if (rc != HF_OK) return rc;
    rc = limits_load(conf, &daemon->limits, err);
    if (rc != HF_OK) goto out;
    listen = hf_conf_get(conf, "ring", "listen");
    advertise = hf_conf_get(conf, "ring", "advertise");
    if (listen != NULL || advertise != NULL) {
        if (listen != NULL) {
            options.listen = listen;
            options.advertise = NULL;
        }
        if (advertise != NULL) options.advertise = advertise;
        if (options.site[0] == '\0') options.site = NULL;
        rc = member_host_name(&options, host, err);
        if (rc == HF_OK) rc = settings_from(&options, host, &wanted, err);
        if (rc == HF_OK) *settings = wanted;
    }
out:
    hf_conf_free(conf);
    return rc;
}

static enum hf_code open_home(struct daemon *daemon, const char *home_option,
                              struct hf_err *err)
{
    enum hf_code rc = hf_home_find(home_option, &daemon->home, err);

    if (rc == HF_OK) rc = hf_home_check(&daemon->home, err);
    if (rc == HF_OK) rc = member_home_load(&daemon->home, &daemon->member, err);
    if (rc == HF_NOT_FOUND)
        return hf_fail(err, HF_NOT_FOUND,
                       "ring: no ring here; run 'holdfast ring create' or 'holdfast ring "
                       "join'");
    if (rc == HF_OK) rc = hf_home_make(&daemon->home, err); /* run may be volatile */
    if (rc == HF_OK) rc = override_settings(daemon, err);
    return rc;
}

/* Whether the store is the one that this node has announced, or its first, and whole: else
 * what it lacks is not known, and it must not say "there is none". */
static bool is_complete(const struct daemon *daemon)
{
    const struct roster_member *self =
        roster_find(daemon->member.roster, &daemon->member.certificate.id);
    struct log_status status;
    struct hf_err err;

    if (segment_log_status(daemon->log, &status, &err) != HF_OK ||
        status.damaged_segments > 0)
        return false;
    return self == NULL || !self->announced || hf_id_is_zero(&self->announcement.store) ||
           hf_id_equal(&self->announcement.store, segment_log_id(daemon->log));
}

static enum hf_code open_store(struct daemon *daemon, struct hf_err *err)
{
    const struct log_options options = {.holder = "holdfastd",
                                        .space_max = daemon->member.settings.space_bytes};
    char path[HF_PATH_MAX];
    enum hf_code rc = hf_path_join(daemon->home.state, DAEMON_FRAGMENTS, path, err);

    if (rc == HF_OK) rc = segment_log_open(path, &options, &daemon->log, err);
    if (rc != HF_OK) return hf_prefix(err, "store");
    daemon->store_complete = is_complete(daemon);
    if (!daemon->store_complete)
        hf_log(HF_LOG_WARN, "store",
               "it is new or damaged: until it is refilled it answers \"don't know\"");
    return HF_OK;
}

static enum hf_code open_keeping(struct daemon *daemon, struct hf_err *err)
{
    const struct router_config router = {.self = daemon->member.certificate.id,
                                         .loop = daemon->loop,
                                         .successors = daemon->member.ring.successors,
                                         .send = send_chord,
                                         .found = on_found,
                                         .arg = daemon};
    const struct keeper_config keeper = {.self = daemon->member.certificate.id,
                                         .loop = daemon->loop,
                                         .log = daemon->log,
                                         .store_complete = daemon->store_complete,
                                         .send = send_dht,
                                         .send_bulk = send_bulk,
                                         .lookup = on_lookup,
                                         .busy = on_busy,
                                         .arg = daemon};

    daemon->router = router_new(&router);
    if (daemon->router == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory: router");
    return keeper_new(&keeper, &daemon->keeper, err);
}

static enum hf_code open_links(struct daemon *daemon, struct hf_err *err)
{
    const struct links_events events = {.frame = on_frame,
                                        .up = on_up,
                                        .down = on_down,
                                        .rested = on_rested,
                                        .moved = on_moved,
                                        .learnt = on_learnt,
                                        .join = on_join,
                                        .arg = daemon};
    struct gossip_config gossip = {.loop = daemon->loop,
                                   .member = &daemon->member,
                                   .changed = on_changed,
                                   .arg = daemon};
    enum hf_code rc =
        links_new(daemon->loop, &daemon->member, &events, &daemon->links, err);

    if (rc == HF_OK)
        rc =
            links_listen(daemon->links, daemon->member.settings.listen, &daemon->port, err);
    gossip.links = daemon->links;
    gossip.store = *segment_log_id(daemon->log);
    if (rc == HF_OK) rc = gossip_new(&gossip, &daemon->gossip, err);
    return rc;
}

static enum hf_code open_server(struct daemon *daemon, struct hf_err *err)
{
    char path[HF_PATH_MAX];
    const struct local_server_config config = {
        .loop = daemon->loop,
        .keeper = daemon->keeper,
        .path = path,
        .redundancy = {daemon->member.ring.k, daemon->member.ring.n},
        .admin = admin_answer,
        .admin_arg = daemon};
    enum hf_code rc = hf_path_join(daemon->home.run, LOCAL_SOCKET, path, err);

    return rc == HF_OK ? local_server_new(&config, &daemon->server, err) : rc;
}

/* ---- ending ---- */

static void on_stopping(evutil_socket_t fd, short what, void *arg)
{
    struct daemon *daemon = arg;
    const struct timeval wait = {.tv_usec = STOP_LOOK_US};
    const bool idle = local_server_quiesce(daemon->server);

    (void)fd;
    (void)what;
    (void)event_add(daemon->stopping, &wait);
    if (daemon->left) {
        loop_stop(daemon->loop);
    } else if (idle || loop_now_ms() >= daemon->stop_ms) {
        if (!idle) hf_log(HF_LOG_WARN, "daemon", "not all that was under way is done");
        router_leave(daemon->router); /* and has the time of one look to say so */
        daemon->left = true;
    }
}

void daemon_stop(struct daemon *daemon)
{
    if (daemon->stop_ms != 0) return;
    daemon->stop_ms = loop_now_ms() + DAEMON_STOP_MS;
    hf_log(HF_LOG_INFO, "daemon", "ending");
    links_close_door(daemon->links);
    event_active(daemon->stopping, EV_TIMEOUT, 0);
}

/* ---- making ---- */

enum hf_code daemon_open(struct daemon *daemon, const char *home_option, struct hf_err *err)
{
    enum hf_code rc;

    daemon->started_ms = loop_now_ms();
    rc = open_home(daemon, home_option, err);
    if (rc == HF_OK) rc = open_store(daemon, err);
    if (rc != HF_OK) return rc;
    daemon->loop = loop_new();
    if (daemon->loop == NULL) return hf_fail(err, HF_NO_MEMORY, "no event loop");
    daemon->members = evtimer_new(loop_base(daemon->loop), on_members, daemon);
    daemon->stopping = evtimer_new(loop_base(daemon->loop), on_stopping, daemon);
    daemon->minute = evtimer_new(loop_base(daemon->loop), on_minute, daemon);
    if (daemon->members == NULL || daemon->stopping == NULL || daemon->minute == NULL)
        return hf_fail(err, HF_NO_MEMORY, "no memory for timers");
    rc = open_keeping(daemon, err);
    if (rc == HF_OK) rc = open_links(daemon, err);
    if (rc == HF_OK) rc = open_server(daemon, err);
    if (rc == HF_OK) event_active(daemon->members, EV_TIMEOUT, 0);
    if (rc == HF_OK) event_active(daemon->minute, EV_TIMEOUT, 0);
    return rc;
}

void daemon_close(struct daemon *daemon)
{
    local_server_free(daemon->server);
    keeper_free(daemon->keeper);
    gossip_free(daemon->gossip);
    links_free(daemon->links);
    router_free(daemon->router);
    if (daemon->members != NULL) event_free(daemon->members);
    if (daemon->stopping != NULL) event_free(daemon->stopping);
    if (daemon->minute != NULL) event_free(daemon->minute);
    loop_free(daemon->loop);
    segment_log_close(daemon->log);
    member_home_close(&daemon->member);
}

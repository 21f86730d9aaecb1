#include "daemon/admin.h"

#include "base/clock.h"
#include "base/secret.h"
#include "daemon/daemon.h"

#include <string.h>
#include <time.h>

#define EXPIRES_DEFAULT_S (INT64_C(24) * 3600)
#define EXPIRES_MAX_S     (INT64_C(366) * 24 * 3600)

static int64_t now_s(void)
{
    return hf_clock_realtime_ns() / 1000000000;
}

/* ---- invite ---- */

static enum hf_code no_steward(const struct daemon *daemon, struct hf_err *err)
{
    const struct roster *roster = daemon->member.roster;

    for (size_t i = 0; i < roster_count(roster); i++) {
        const struct roster_member *member = roster_at(roster, i);

        if (member->certificate.steward && !member->evicted)
            return hf_fail(err, HF_DENIED,
                           "invite: this machine is not a steward of the ring; run it on "
                           "%.63s (%.80s)",
                           member->certificate.name, member->announcement.addresses[0]);
    }
    return hf_fail(err, HF_DENIED, "invite: this machine is not a steward of the ring");
}

/* An integer of the arguments within [1, max]; `otherwise` when it is not there. */
static bool take_integer(const json_t *arguments, const char *name, int64_t otherwise,
                         int64_t max, int64_t *value)
{
    const json_t *given = json_object_get(arguments, name);

    *value = given == NULL ? otherwise : json_integer_value(given);
    return (given == NULL || json_is_integer(given)) && *value >= 1 && *value <= max;
}

static json_t *invite(struct daemon *daemon, const json_t *arguments, struct hf_err *err)
{
    struct invitation_terms terms = {.now_s = now_s()};
    char code[CODE_TEXT_SIZE];
    struct address_list advertised;
    struct steward steward;
    json_t *answer = NULL;
    int64_t expires;
    int64_t uses;

    if (daemon->member.authority == NULL) {
        (void)no_steward(daemon, err);
        return NULL;
    }
    if (!take_integer(arguments, "expires_s", EXPIRES_DEFAULT_S, EXPIRES_MAX_S, &expires) ||
        !take_integer(arguments, "uses", 1, INVITATION_USES_MAX, &uses)) {
        (void)hf_fail(err, HF_INVALID, "invite: --expires is 1s to 366d, --uses is 1 to %u",
                      INVITATION_USES_MAX);
        return NULL;
    }
    terms.uses = (unsigned)uses;
    terms.expires_s = terms.now_s + expires;
    if (!address_list_parse(daemon->member.settings.advertise, &advertised)) {
        (void)hf_fail(err, HF_INVALID, "invite: this machine advertises no address");
        return NULL;
    }
    if (member_home_steward(&daemon->member, &steward, err) == HF_OK &&
        steward_invite(&steward, advertised.at[0], &terms, code, err) == HF_OK)
        answer = json_pack("{s:s}", "code", code);
    hf_wipe(code, sizeof code);
    return answer;
}

/* ---- peers ---- */

static json_t *time_text(int64_t time_s)
{
    const time_t time = (time_t)time_s;
    char text[32];
    struct tm tm;

    if (gmtime_r(&time, &tm) == NULL) return json_null();
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return json_string(text);
}

/* Of the clock that the others see, UTC, since 1970. */
static int64_t seen_s(const struct spread_peer *peer)
{
    const int64_t ago_ms = (int64_t)(loop_now_ms() - peer->since_ms);

    return (hf_clock_realtime_ns() / 1000000 - ago_ms) / 1000;
}

static json_t *describe_peer(const struct daemon *daemon,
                             const struct roster_member *member)
{
    const struct certificate *certificate = &member->certificate;
    const struct announcement *announcement = &member->announcement;
    const bool self = hf_id_equal(&certificate->id, &daemon->member.certificate.id);
    const struct spread_peer *peer = gossip_peer(daemon->gossip, &certificate->id);
    const bool up = self || gossip_believes(daemon->gossip, &certificate->id);
    char id[HF_ID_HEX_SIZE];

    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:b,s:b,s:I,s:o}", "id",
                     hf_id_hex(&certificate->id, id), "name", certificate->name, "address",
                     member->announced ? announcement->addresses[0] : "", "site",
                     member->announced ? announcement->site : "", "state",
                     member->evicted ? "evicted" : (up ? "up" : "away"), "self", self,
                     "steward", certificate->steward, "space",
                     (json_int_t)(member->announced ? announcement->space_bytes : 0),
                     "missing_since",
                     up || peer == NULL ? json_null() : time_text(seen_s(peer)));
}

static json_t *peers(const struct daemon *daemon)
{
    const struct roster *roster = daemon->member.roster;
    json_t *list = json_array();

    for (size_t i = 0; i < roster_count(roster); i++)
        (void)json_array_append_new(list, describe_peer(daemon, roster_at(roster, i)));
    return json_pack("{s:o}", "peers", list);
}

/* ---- status ---- */

static size_t count_members(const struct roster *roster)
{
    size_t count = 0;

    for (size_t i = 0; i < roster_count(roster); i++) {
        if (!roster_at(roster, i)->evicted) count++;
    }
    return count;
}

static json_t *ids_of(const struct chord_peer *peers, size_t count)
{
    json_t *list = json_array();
    char hex[HF_ID_HEX_SIZE];

    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, json_string(hf_id_hex(&peers[i].node, hex)));
    return list;
}

/* How one position of this node stands to the ring. */
static json_t *describe_position(const struct daemon *daemon, size_t index)
{
    const struct chord_node *node = router_node(daemon->router, index);
    struct chord_peer successors[CHORD_SUCCESSORS_MAX];
    struct chord_peer fingers[CHORD_FINGERS_MAX];
    const size_t successor_count = chord_node_successors(node, successors);
    const size_t finger_count = chord_node_fingers(node, fingers);
    struct chord_peer predecessor;
    const bool has = chord_node_predecessor(node, &predecessor);
    char hex[HF_ID_HEX_SIZE];

    return json_pack("{s:s,s:o,s:o,s:o}", "mode", router_mode(daemon->router, index),
                     "successors", ids_of(successors, successor_count), "predecessor",
                     has ? json_string(hf_id_hex(&predecessor.node, hex)) : json_null(),
                     "fingers", ids_of(fingers, finger_count));
}

static void add_statistics(const struct daemon *daemon, struct chord_statistics *sum)
{
    for (size_t i = 0; i < router_positions(daemon->router); i++) {
        struct chord_statistics one;

        chord_node_statistics(router_node(daemon->router, i), &one);
        sum->ignored += one.ignored;
        sum->lookups += one.lookups;
        sum->lookups_failed += one.lookups_failed;
        sum->hops += one.hops;
        sum->timeouts += one.timeouts;
        sum->rejected += one.rejected;
        sum->silences += one.silences;
        sum->pardons += one.pardons;
    }
}

/* The first position's, with what concerns all of them. */
static json_t *describe_routing(const struct daemon *daemon)
{
    const struct chord_coordinate at =
        chord_node_coordinate(router_node(daemon->router, 0));
    struct chord_statistics sum = {0};
    json_t *routing = describe_position(daemon, 0);
    json_t *positions = json_array();
    json_t *more;

    add_statistics(daemon, &sum);
    for (size_t i = 0; i < router_positions(daemon->router); i++)
        (void)json_array_append_new(positions, describe_position(daemon, i));
    more = json_pack("{s:I,s:I,s:{s:f,s:f,s:f,s:f},s:{s:I,s:I,s:I,s:I,s:I},s:I,s:I,s:o}",
                     "r", (json_int_t)daemon->member.ring.successors, "table_size",
                     (json_int_t)router_table_size(daemon->router), "coordinate", "x_ms",
                     at.x_us / 1000.0, "y_ms", at.y_us / 1000.0, "height_ms",
                     at.height_us / 1000.0, "error", at.error_milli / 1000.0, "lookups",
                     "ended", (json_int_t)sum.lookups, "failed",
                     (json_int_t)sum.lookups_failed, "hops", (json_int_t)sum.hops,
                     "timeouts", (json_int_t)sum.timeouts, "rejected",
                     (json_int_t)sum.rejected, "believed_dead", (json_int_t)sum.silences,
                     "kept_by_witness", (json_int_t)sum.pardons, "positions", positions);
    if (routing != NULL && more != NULL) (void)json_object_update(routing, more);
    json_decref(more);
    return routing;
}

/* NULL of JSON: no limit. */
static json_t *rate_of(uint64_t rate)
{
    return rate == 0 ? json_null() : json_integer((json_int_t)rate);
}

static json_t *describe_traffic(const struct daemon *daemon)
{
    const struct links_traffic traffic = links_traffic(daemon->links);

    return json_pack("{s:I,s:I,s:o,s:o}", "sent_bytes", (json_int_t)traffic.sent,
                     "received_bytes", (json_int_t)traffic.received, "limit_upload",
                     rate_of(traffic.upload), "limit_download", rate_of(traffic.download));
}

static json_t *status(const struct daemon *daemon)
{
    const struct member_home *member = &daemon->member;
    const struct dht_redundancy override = {member->ring.k, member->ring.n};
    const struct dht_redundancy now = keeper_redundancy(daemon->keeper, override);
    char id[HF_ID_HEX_SIZE];

    return json_pack(
        "{s:s,s:s,s:s,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:o,s:o}", "ring", member->ring.name,
        "id", hf_id_hex(&member->certificate.id, id), "name", member->certificate.name,
        "steward", member->authority != NULL, "members",
        (json_int_t)count_members(member->roster), "up",
        (json_int_t)daemon_up_count(daemon), "k", (json_int_t)now.k, "n", (json_int_t)now.n,
        "given_bytes", (json_int_t)keeper_stored_bytes(daemon->keeper), "space_bytes",
        (json_int_t)member->settings.space_bytes, "store_complete", daemon->store_complete,
        "routing", describe_routing(daemon), "traffic", describe_traffic(daemon));
}

json_t *admin_answer(void *arg, const char *verb, const json_t *arguments,
                     struct hf_err *err)
{
    struct daemon *daemon = arg;
    json_t *answer;

    if (strcmp(verb, "invite") == 0) return invite(daemon, arguments, err);
    if (strcmp(verb, "peers") == 0)
        answer = peers(daemon);
    else if (strcmp(verb, "status") == 0)
        answer = status(daemon);
    else {
        (void)hf_fail(err, HF_INVALID, "the daemon knows no '%.31s'", verb);
        return NULL;
    }
    if (answer == NULL) (void)hf_fail(err, HF_NO_MEMORY, "%s: no memory", verb);
    return answer;
}

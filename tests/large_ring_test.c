/* daemon/router.h in a ring of more members than a node keeps links to: routers and the
 * gossip's choice of links (membership/spread.h) together, over links that are opened on
 * demand and put aside when there are too many, as daemon/links.h does it. */
#include "daemon/router.h"

#include "base/clock.h"
#include "base/hash.h"
#include "membership/spread.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

#define NODES       80u
#define LINKS_MAX   66u /* a little more than the gossip wants */
#define SUCCESSORS  4u
#define KEYS        6u /* looked up by each */
#define ROUND_MS    500u
#define PATIENCE_MS 120000u

struct node {
    struct hf_id id;
    struct router *router; /* NULL: gone */
    struct spread *spread;
    bool up[NODES];
    uint64_t used[NODES]; /* order of use */
    bool changed;         /* of whom it believes to be there */
};

struct frame {
    size_t from, to;
    size_t n;
    uint8_t body[CHORD_MESSAGE_MAX];
};

struct failure {
    size_t from, to;
};

static struct loop *loop;
static struct node *nodes; /* in ascending order of id */
static struct event *round_timer;
static size_t expected, answered, wrong, rested;
static uint64_t uses, seed = 5;

static size_t index_of(const struct hf_id *id)
{
    for (size_t i = 0; i < NODES; i++) {
        if (hf_id_equal(&nodes[i].id, id)) return i;
    }
    fail_msg("nobody has this id");
    return 0;
}

/* ---- links ---- */

static void rest_one(size_t i)
{
    size_t least = NODES;

    for (size_t k = 0; k < NODES; k++) {
        if (nodes[i].up[k] && (least == NODES || nodes[i].used[k] < nodes[i].used[least]))
            least = k;
    }
    nodes[i].up[least] = nodes[least].up[i] = false;
    spread_rest(nodes[i].spread, &nodes[least].id, hf_clock_monotonic_ms());
    spread_rest(nodes[least].spread, &nodes[i].id, hf_clock_monotonic_ms());
    nodes[i].changed = nodes[least].changed = true;
    rested++;
}

static size_t link_count(size_t i)
{
    size_t count = 0;

    for (size_t k = 0; k < NODES; k++)
        count += nodes[i].up[k];
    return count;
}

static void call_failed(void *arg)
{
    struct failure *failure = arg;
    struct node *from = &nodes[failure->from];

    if (from->router != NULL) {
        spread_down(from->spread, &nodes[failure->to].id, hf_clock_monotonic_ms());
        router_down(from->router, &nodes[failure->to].id);
        from->changed = true;
    }
    free(failure);
}

static void connect_to(size_t i, size_t k)
{
    const uint64_t now_ms = hf_clock_monotonic_ms();
    struct failure *failure;

    if (nodes[i].up[k]) return;
    if (nodes[k].router == NULL) {
        failure = malloc(sizeof *failure);
        assert_non_null(failure);
        *failure = (struct failure){i, k};
        loop_post(loop, call_failed, failure);
        return;
    }
    nodes[i].up[k] = nodes[k].up[i] = true;
    nodes[i].used[k] = nodes[k].used[i] = ++uses;
    spread_up(nodes[i].spread, &nodes[k].id, now_ms);
    spread_up(nodes[k].spread, &nodes[i].id, now_ms);
    nodes[i].changed = nodes[k].changed = true;
    if (link_count(i) > LINKS_MAX) rest_one(i);
    if (link_count(k) > LINKS_MAX) rest_one(k);
}

static void deliver(void *arg)
{
    struct frame *frame = arg;
    const struct node *to = &nodes[frame->to];

    if (to->router != NULL)
        assert_true(
            router_frame(to->router, &nodes[frame->from].id, frame->body, frame->n));
    free(frame);
}

static void send_frame(void *arg, const struct hf_id *to, const uint8_t *body, size_t n)
{
    const size_t from = (size_t)((const struct node *)arg - nodes);
    struct frame *frame;

    connect_to(from, index_of(to));
    if (nodes[index_of(to)].router == NULL) return;
    frame = malloc(sizeof *frame);
    assert_non_null(frame);
    assert_true(n <= sizeof frame->body);
    frame->from = from;
    frame->to = index_of(to);
    frame->n = n;
    memcpy(frame->body, body, n);
    nodes[from].used[frame->to] = nodes[frame->to].used[from] = ++uses;
    loop_post(loop, deliver, frame);
}

/* ---- what a daemon does with its gossip ---- */

static void tell_router(struct node *node)
{
    struct router_member members[NODES];
    size_t count = 0;

    for (size_t k = 0; k < NODES; k++) {
        if (&nodes[k] == node || spread_believes(node->spread, &nodes[k].id))
            members[count++] = (struct router_member){nodes[k].id, 1};
    }
    assert_true(router_members(node->router, members, count));
    node->changed = false;
}

/* Of the actions the calls alone: all know the same roster. */
static void perform(size_t i)
{
    const struct spread_action *action;
    size_t calls[NODES];
    size_t count = 0;

    while ((action = spread_next(nodes[i].spread)) != NULL) {
        if (action->kind == SPREAD_CONNECT && count < NODES)
            calls[count++] = index_of(&action->node);
    }
    for (size_t c = 0; c < count; c++)
        connect_to(i, calls[c]);
}

static void on_round(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    for (size_t i = 0; i < NODES; i++) {
        if (nodes[i].router == NULL) continue;
        spread_round(nodes[i].spread, test_random(&seed));
        perform(i);
    }
    for (size_t i = 0; i < NODES; i++) {
        if (nodes[i].router != NULL && nodes[i].changed) tell_router(&nodes[i]);
    }
}

/* ---- the truth ---- */

/* The first that lives at or after nodes[at]. */
static size_t living(size_t at)
{
    while (nodes[at % NODES].router == NULL)
        at++;
    return at % NODES;
}

static bool neighbours_are_right(size_t i)
{
    const struct chord_node *place = router_node(nodes[i].router, 0);
    struct chord_peer successors[CHORD_SUCCESSORS_MAX];
    size_t next = i;

    if (chord_node_mode(place) != CHORD_MODE_RING ||
        chord_node_successors(place, successors) != SUCCESSORS)
        return false;
    for (size_t k = 0; k < SUCCESSORS; k++) {
        next = living(next + 1);
        if (!hf_id_equal(&successors[k].node, &nodes[next].id)) return false;
    }
    return true;
}

static bool is_ideal(void)
{
    for (size_t i = 0; i < NODES; i++) {
        if (nodes[i].router != NULL && !neighbours_are_right(i)) return false;
    }
    return true;
}

static bool all_answered(void)
{
    return answered == expected;
}

static void run_until(bool (*holds)(void))
{
    const uint64_t limit_ms = hf_clock_monotonic_ms() + PATIENCE_MS;

    while (!holds()) {
        assert_true(hf_clock_monotonic_ms() < limit_ms);
        assert_int_not_equal(event_base_loop(loop_base(loop), EVLOOP_ONCE), -1);
    }
}

static void found(void *arg, uint64_t tag, const struct hf_id *ids, const uint32_t *away_ms,
                  size_t count)
{
    struct hf_id key;
    size_t next = 0;

    (void)arg;
    (void)away_ms;
    hf_sha256(&tag, sizeof tag, &key);
    while (next < NODES && hf_id_compare(&nodes[next].id, &key) < 0)
        next++;
    for (size_t k = 0; k < count && k < SUCCESSORS; k++) {
        next = living(next);
        wrong += !hf_id_equal(&ids[k], &nodes[next].id);
        next++;
    }
    wrong += count == 0;
    answered++;
}

static void look_up_everywhere(void)
{
    expected = answered = wrong = 0;
    for (size_t i = 0; i < NODES; i++) {
        for (size_t k = 0; nodes[i].router != NULL && k < KEYS; k++) {
            const uint64_t tag = i * KEYS + k;
            struct hf_id key;

            hf_sha256(&tag, sizeof tag, &key);
            router_lookup(nodes[i].router, &key, SUCCESSORS, tag);
            expected++;
        }
    }
    run_until(all_answered);
    assert_int_equal(wrong, 0);
}

/* ---- the ring ---- */

static int compare(const void *a, const void *b)
{
    const struct node *x = a;
    const struct node *y = b;

    return hf_id_compare(&x->id, &y->id);
}

static void make_node(struct node *node, const struct spread_member *members)
{
    const struct spread_knowledge known = {.revision = 1};
    const struct router_config config = {.self = node->id,
                                         .loop = loop,
                                         .successors = SUCCESSORS,
                                         .send = send_frame,
                                         .found = found,
                                         .arg = node};
    struct hf_err err;

    node->spread = spread_new(&node->id, &known);
    assert_non_null(node->spread);
    assert_int_equal(
        spread_set_members(node->spread, members, NODES, hf_clock_monotonic_ms(), &err),
        HF_OK);
    node->router = router_new(&config);
    assert_non_null(node->router);
    node->changed = true;
}

static int make_ring(void **state)
{
    const struct timeval interval = {.tv_usec = (suseconds_t)ROUND_MS * 1000};
    struct spread_member members[NODES];

    (void)state;
    loop = loop_new();
    nodes = calloc(NODES, sizeof *nodes);
    assert_true(loop != NULL && nodes != NULL);
    for (size_t i = 0; i < NODES; i++)
        hf_sha256(&i, sizeof i, &nodes[i].id);
    qsort(nodes, NODES, sizeof *nodes, compare);
    for (size_t i = 0; i < NODES; i++)
        members[i] = (struct spread_member){.node = nodes[i].id, .announced = 1};
    for (size_t i = 0; i < NODES; i++)
        make_node(&nodes[i], members);
    round_timer = event_new(loop_base(loop), -1, EV_PERSIST, on_round, NULL);
    assert_non_null(round_timer);
    assert_int_equal(event_add(round_timer, &interval), 0);
    on_round(-1, 0, NULL);
    return 0;
}

static void kill_node(size_t i)
{
    router_free(nodes[i].router);
    nodes[i].router = NULL;
    for (size_t k = 0; k < NODES; k++) {
        if (!nodes[i].up[k]) continue;
        nodes[i].up[k] = nodes[k].up[i] = false;
        spread_down(nodes[k].spread, &nodes[i].id, hf_clock_monotonic_ms());
        if (nodes[k].router != NULL) router_down(nodes[k].router, &nodes[i].id);
        nodes[k].changed = true;
    }
}

static int drop_ring(void **state)
{
    (void)state;
    event_free(round_timer);
    for (size_t i = 0; i < NODES; i++) {
        router_free(nodes[i].router);
        nodes[i].router = NULL;
        spread_free(nodes[i].spread);
    }
    while (event_base_loop(loop_base(loop), EVLOOP_NONBLOCK) == 0) { /* frames under way */
        if (event_base_get_num_events(loop_base(loop), EVENT_BASE_COUNT_ACTIVE) == 0) break;
    }
    loop_free(loop);
    free(nodes);
    return 0;
}

static bool tables_are_whole(void)
{
    for (size_t i = 0; i < NODES; i++) {
        if (router_table_size(nodes[i].router) != NODES) return false;
    }
    return true;
}

static void more_members_than_links(void **state)
{
    (void)state;
    run_until(is_ideal);
    run_until(tables_are_whole);
    look_up_everywhere();
    for (size_t i = 0; i < NODES; i++)
        assert_true(link_count(i) <= LINKS_MAX);
    assert_true(rested > 0);
    for (size_t i = 0; i < NODES; i += 3)
        kill_node(i);
    run_until(is_ideal);
    look_up_everywhere();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(more_members_than_links, make_ring, drop_ring),
    };
    return cmocka_run_group_tests_name("daemon/router, a large ring", tests, NULL, NULL);
}

/* daemon/router.h: nodes with several positions each, their frames carried by the loop. */
#include "daemon/router.h"

#include "base/clock.h"
#include "base/hash.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

#define NODES       8u
#define SUCCESSORS  4u
#define PATIENCE_MS 90000u
#define KEYS        40u

struct frame {
    struct hf_id from, to;
    size_t n;
    uint8_t body[CHORD_MESSAGE_MAX];
};

struct node {
    struct hf_id id;
    struct router *router; /* NULL: gone */
    uint32_t positions;
};

static struct loop *loop;
static struct node nodes[NODES];
static size_t answered, wrong;

/* ---- the network ---- */

static struct node *find(const struct hf_id *id)
{
    for (size_t i = 0; i < NODES; i++) {
        if (hf_id_equal(&nodes[i].id, id)) return &nodes[i];
    }
    return NULL;
}

static void deliver(void *arg)
{
    struct frame *frame = arg;
    struct node *to = find(&frame->to);

    if (to != NULL && to->router != NULL)
        assert_true(router_frame(to->router, &frame->from, frame->body, frame->n));
    free(frame);
}

static void send_frame(void *arg, const struct hf_id *to, const uint8_t *body, size_t n)
{
    const struct node *from = arg;
    struct frame *frame = malloc(sizeof *frame);

    assert_non_null(frame);
    assert_true(n <= sizeof frame->body);
    assert_false(hf_id_equal(to, &from->id)); /* what is for itself takes no link */
    frame->from = from->id;
    frame->to = *to;
    frame->n = n;
    memcpy(frame->body, body, n);
    loop_post(loop, deliver, frame);
}

/* ---- the truth ---- */

static int compare(const void *a, const void *b)
{
    const struct chord_peer *x = a;
    const struct chord_peer *y = b;

    return hf_id_compare(&x->position, &y->position);
}

static size_t circle(struct chord_peer all[static NODES * CHORD_POSITIONS_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < NODES; i++) {
        for (uint32_t k = 0; nodes[i].router != NULL && k < nodes[i].positions; k++)
            all[count++] = chord_peer_of(&nodes[i].id, k);
    }
    qsort(all, count, sizeof *all, compare);
    return count;
}

static bool place_is_right(const struct chord_peer *all, size_t count, size_t at)
{
    const struct node *node = find(&all[at].node);
    const struct chord_node *place = router_node(node->router, all[at].index);
    struct chord_peer successors[CHORD_SUCCESSORS_MAX];
    struct chord_peer predecessor;

    if (chord_node_mode(place) != CHORD_MODE_RING ||
        chord_node_successors(place, successors) != SUCCESSORS ||
        !chord_node_predecessor(place, &predecessor) ||
        !chord_peer_equal(&predecessor, &all[(at + count - 1) % count]))
        return false;
    for (size_t k = 0; k < SUCCESSORS; k++) {
        if (!chord_peer_equal(&successors[k], &all[(at + 1 + k) % count])) return false;
    }
    return true;
}

static bool is_ideal(void)
{
    struct chord_peer all[NODES * CHORD_POSITIONS_MAX];
    const size_t count = circle(all);

    for (size_t i = 0; i < NODES; i++) {
        if (nodes[i].router != NULL &&
            router_positions(nodes[i].router) != nodes[i].positions)
            return false;
    }
    for (size_t at = 0; at < count; at++) {
        if (!place_is_right(all, count, at)) return false;
    }
    return true;
}

/* ---- driving ---- */

static bool all_answered(void)
{
    return answered == NODES * KEYS;
}

static void run_until(bool (*holds)(void))
{
    const uint64_t limit_ms = hf_clock_monotonic_ms() + PATIENCE_MS;

    while (!holds()) {
        assert_true(hf_clock_monotonic_ms() < limit_ms);
        assert_int_not_equal(event_base_loop(loop_base(loop), EVLOOP_ONCE), -1);
    }
}

static void tell_members(void)
{
    struct router_member members[NODES];
    size_t count = 0;

    for (size_t i = 0; i < NODES; i++) {
        if (nodes[i].router != NULL)
            members[count++] = (struct router_member){nodes[i].id, nodes[i].positions};
    }
    for (size_t i = 0; i < NODES; i++) {
        if (nodes[i].router != NULL)
            assert_true(router_members(nodes[i].router, members, count));
    }
}

/* The distinct nodes at or after the key, as far as they were found. */
static void found(void *arg, uint64_t tag, const struct hf_id *ids, const uint32_t *away_ms,
                  size_t count)
{
    struct chord_peer all[NODES * CHORD_POSITIONS_MAX];
    const size_t n = circle(all);
    struct hf_id key;
    size_t first = 0;
    size_t k = 0;

    (void)arg;
    (void)away_ms;
    hf_sha256(&tag, sizeof tag, &key);
    while (first < n && hf_id_compare(&all[first].position, &key) < 0)
        first++;
    for (size_t i = 0; i < n && k < count; i++) {
        const struct hf_id *id = &all[(first + i) % n].node;
        bool before = false;

        for (size_t j = 0; j < k; j++)
            before = before || hf_id_equal(&ids[j], id);
        if (before) continue;
        wrong += !hf_id_equal(&ids[k], id);
        k++;
    }
    wrong += count == 0;
    answered++;
}

static void look_up_everywhere(void)
{
    answered = wrong = 0;
    for (uint64_t tag = 0; tag < (uint64_t)NODES * KEYS; tag++) {
        struct node *node = &nodes[tag % NODES];
        struct hf_id key;

        hf_sha256(&tag, sizeof tag, &key);
        if (node->router == NULL)
            answered++;
        else
            router_lookup(node->router, &key, 4, tag);
    }
    run_until(all_answered);
    assert_int_equal(wrong, 0);
}

static int make_ring(void **state)
{
    static const uint32_t positions[NODES] = {1, 1, 2, 4, 1, 8, 1, 2};

    (void)state;
    loop = loop_new();
    assert_non_null(loop);
    for (size_t i = 0; i < NODES; i++) {
        struct router_config config = {.loop = loop,
                                       .successors = 2,
                                       .send = send_frame,
                                       .found = found,
                                       .arg = &nodes[i]};

        hf_sha256(&i, sizeof i, &nodes[i].id);
        config.self = nodes[i].id;
        nodes[i].positions = positions[i];
        nodes[i].router = router_new(&config);
        assert_non_null(nodes[i].router);
    }
    for (size_t i = 0; i < NODES; i++)
        router_successors_wanted(nodes[i].router, SUCCESSORS);
    tell_members();
    return 0;
}

static int drop_ring(void **state)
{
    (void)state;
    for (size_t i = 0; i < NODES; i++) {
        router_free(nodes[i].router);
        nodes[i].router = NULL;
    }
    while (event_base_loop(loop_base(loop), EVLOOP_NONBLOCK) == 0) { /* frames under way */
        if (event_base_get_num_events(loop_base(loop), EVENT_BASE_COUNT_ACTIVE) == 0) break;
    }
    loop_free(loop);
    return 0;
}

static void positions_of_one_node_are_members_like_others(void **state)
{
    (void)state;
    run_until(is_ideal);
    look_up_everywhere();
    assert_int_equal(router_table_size(nodes[0].router), 20);
}

static void positions_come_and_go(void **state)
{
    (void)state;
    run_until(is_ideal);
    nodes[5].positions = 1;
    nodes[0].positions = 8;
    tell_members();
    run_until(is_ideal);
    look_up_everywhere();
}

static void a_host_that_dies_takes_all_its_positions_along(void **state)
{
    (void)state;
    run_until(is_ideal);
    router_free(nodes[3].router);
    nodes[3].router = NULL;
    for (size_t i = 0; i < NODES; i++) {
        if (nodes[i].router != NULL) router_down(nodes[i].router, &nodes[3].id);
    }
    tell_members();
    run_until(is_ideal);
    look_up_everywhere();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(positions_of_one_node_are_members_like_others,
                                        make_ring, drop_ring),
        cmocka_unit_test_setup_teardown(positions_come_and_go, make_ring, drop_ring),
        cmocka_unit_test_setup_teardown(a_host_that_dies_takes_all_its_positions_along,
                                        make_ring, drop_ring),
    };
    return cmocka_run_group_tests_name("daemon/router", tests, NULL, NULL);
}

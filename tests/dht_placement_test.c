/* dht/placement.h, members.h, rtt.h and request.h: the tables under the operations. */
#include "test.h"

#include "base/hash.h"
#include "dht/placement.h"
#include "dht/request.h"
#include "dht/rtt.h"

#include <string.h>

static struct hf_id id_of(uint8_t byte)
{
    struct hf_id id = {{byte}};

    return id;
}

/* Members with ids 10, 20, ... */
static struct dht_members ring(struct dht_member *roster, size_t count)
{
    struct dht_members members = {0};
    struct hf_err err;

    for (size_t i = 0; i < count; i++)
        roster[i].id = id_of((uint8_t)(10 * (i + 1)));
    assert_int_equal(dht_members_set(&members, roster, count, &err), HF_OK);
    return members;
}

static void redundancy_follows_the_roster(void **state)
{
    (void)state;
    for (size_t count = 0; count <= 25; count++) {
        struct dht_member roster[25] = {0};
        struct dht_members members = ring(roster, count);
        struct hf_id source = id_of(10), stranger = id_of(11);
        struct dht_redundancy r =
            dht_redundancy(&members, &source, (struct dht_redundancy){0});
        uint32_t hosts = count == 0 ? 0 : (uint32_t)count - 1;

        assert_int_equal(r.n, hosts < 14 ? hosts : 14);
        assert_int_equal(r.k, r.n < 2 ? 1 : r.n / 2);
        r = dht_redundancy(&members, &stranger, (struct dht_redundancy){0});
        assert_int_equal(r.n, count < 14 ? count : 14);
        r = dht_redundancy(&members, &source, (struct dht_redundancy){10, 30});
        assert_int_equal(r.k, 10);
        assert_int_equal(r.n, 30);
        dht_members_done(&members);
    }
}

static void absent_for_long_and_evicted_do_not_count(void **state)
{
    struct dht_member roster[6] = {{.missing = false}};
    struct dht_members members;
    struct hf_id source = id_of(10);

    (void)state;
    roster[2].missing = true;
    roster[3].evicted = true;
    members = ring(roster, 6);
    assert_int_equal(dht_redundancy(&members, &source, (struct dht_redundancy){0}).n, 3);
    dht_members_done(&members);
}

static void candidates_go_clockwise_and_wrap(void **state)
{
    struct dht_member roster[5] = {{.missing = false}};
    struct dht_members members;
    struct hf_id key = id_of(35), ids[8], found[3] = {{{20}}, {{99}}, {{20}}};
    uint8_t plain[] = {40, 50, 10, 20, 30}, with[] = {20, 40, 50, 10, 30};

    (void)state;
    members = ring(roster, 5);
    assert_int_equal(dht_candidates(&members, &key, NULL, 0, ids, 8), 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(ids[i].b[0], plain[i]);
    assert_int_equal(dht_candidates(&members, &key, found, 3, ids, 8), 5);
    for (size_t i = 0; i < 5; i++) /* no strangers, nobody twice */
        assert_int_equal(ids[i].b[0], with[i]);
    assert_int_equal(dht_candidates(&members, &key, found, 3, ids, 2), 2);
    key = id_of(50); /* the key's own place is its successor */
    assert_int_equal(dht_candidates(&members, &key, NULL, 0, ids, 1), 1);
    assert_int_equal(ids[0].b[0], 50);
    key = id_of(51);
    assert_int_equal(dht_candidates(&members, &key, NULL, 0, ids, 1), 1);
    assert_int_equal(ids[0].b[0], 10);
    dht_members_done(&members);
    assert_int_equal(dht_candidates(&members, &key, NULL, 0, ids, 8), 0);
}

/* Members stand where their positions are, each counts once; records follow node ids. */
static void positions_give_a_larger_share(void **state)
{
    struct dht_member roster[8] = {{.missing = false}};
    struct dht_members members;
    size_t first[8] = {0};

    (void)state;
    for (size_t i = 0; i < 8; i++)
        roster[i].positions = i == 3 ? 32 : 4;
    members = ring(roster, 8);
    assert_int_equal(members.circle_count, 7 * 4 + 32);
    for (size_t i = 0; i < 4000; i++) {
        struct hf_id key;
        uint32_t order[8];

        hf_sha256(&i, sizeof i, &key);
        assert_int_equal(dht_members_clockwise(&members, &key, order, 8), 8);
        first[order[0]]++;
        for (size_t a = 0; a < 8; a++) {
            for (size_t b = 0; b < a; b++)
                assert_int_not_equal(order[a], order[b]);
        }
        assert_int_equal(dht_members_by_id(&members, &key, order, 8), 8);
        for (size_t a = 0; a < 8; a++)
            assert_int_equal(order[a], (order[0] + a) % 8);
    }
    for (size_t i = 0; i < 8; i++)
        if (i != 3) assert_true(first[3] > 2 * first[i]);
    dht_members_done(&members);
}

static void sites_are_filled_up_to_their_share_first(void **state)
{
    struct dht_member roster[6] = {{.missing = false}};
    struct dht_placement placement;
    struct dht_members members;
    struct hf_id key = id_of(1), source = id_of(60);
    uint8_t order[] = {10, 20, 40, 30, 50}; /* 10, 20, 30, 50 are one site of at most two */
    struct dht_host *host;

    (void)state;
    for (size_t i = 0; i < 5; i++)
        if (i != 3) roster[i].site = id_of(7);
    members = ring(roster, 6);
    dht_placement_init(&placement, &members, &key, NULL, 0);
    dht_placement_exclude(&placement, &source);
    placement.site_max = 2;
    for (size_t i = 0; i < 5; i++) {
        host = dht_placement_next(&placement);
        assert_non_null(host);
        assert_int_equal(host->id.b[0], order[i]);
    }
    assert_null(dht_placement_next(&placement));

    /* A host that failed gives its share back, and is not offered again. */
    dht_placement_init(&placement, &members, &key, NULL, 0);
    placement.site_max = 1;
    host = dht_placement_next(&placement);
    assert_int_equal(host->id.b[0], 10);
    host->state = DHT_HOST_FAILED;
    host = dht_placement_next(&placement);
    assert_int_equal(host->id.b[0], 20);
    assert_int_equal(dht_placement_next(&placement)->id.b[0], 40);
    dht_members_done(&members);
}

static void a_new_roster_keeps_what_is_known(void **state)
{
    struct dht_member roster[4] = {{.missing = false}}, more[4];
    struct dht_members members;
    struct hf_id twenty = id_of(20), thirty = id_of(30);
    struct hf_err err;

    (void)state;
    members = ring(roster, 3);
    dht_members_find(&members, &twenty)->link = DHT_LINK_DOWN;
    hf_rtt_add(&dht_members_find(&members, &twenty)->rtt[DHT_INCOMING], 77);
    memcpy(more, roster, sizeof more);
    more[0].id = id_of(5);
    more[1].evicted = true;
    more[3] = more[1]; /* named twice */
    assert_int_equal(dht_members_set(&members, more, 4, &err), HF_OK);
    assert_int_equal(members.count, 3);
    assert_true(dht_members_find(&members, &twenty)->member.evicted);
    assert_int_equal(dht_members_find(&members, &twenty)->link, DHT_LINK_DOWN);
    assert_int_equal(
        dht_rtt_expected(&dht_members_find(&members, &twenty)->rtt[DHT_INCOMING]), 77);
    assert_false(dht_members_find(&members, &thirty)->member.evicted);
    assert_null(dht_members_find(&members, &roster[0].id));
    assert_int_equal(dht_members_set(&members, more, DHT_MEMBERS_MAX + 1, &err),
                     HF_TOO_LARGE);
    assert_int_equal(members.count, 3);
    dht_members_done(&members);
}

static void timeouts_follow_the_answers(void **state)
{
    struct hf_rtt rtt = {0};
    uint32_t late;

    (void)state;
    assert_int_equal(dht_rtt_late_ms(&rtt), DHT_RTO_FIRST_MS);
    for (unsigned i = 0; i < 50; i++)
        hf_rtt_add(&rtt, 200);
    assert_in_range(dht_rtt_expected(&rtt), 198, 202);
    late = dht_rtt_late_ms(&rtt);
    assert_in_range(late, 200, 230); /* steady: little slack */
    for (unsigned i = 0; i < 50; i++)
        hf_rtt_add(&rtt, i % 2 ? 100 : 300);
    assert_in_range(dht_rtt_late_ms(&rtt), 400, 800); /* the same mean, but it varies */
    hf_rtt_back_off(&rtt);
    assert_true(dht_rtt_late_ms(&rtt) > 2 * late);
    for (unsigned i = 0; i < 100; i++)
        hf_rtt_back_off(&rtt);
    assert_in_range(dht_rtt_late_ms(&rtt), 2 * late, DHT_RTO_MAX_MS);
    assert_in_range(dht_rtt_silent_ms(&rtt), DHT_SILENCE_MIN_MS, DHT_SILENCE_MAX_MS);
    hf_rtt_add(&rtt, UINT64_MAX);
    assert_in_range(dht_rtt_late_ms(&rtt), DHT_RTO_MIN_MS, DHT_RTO_MAX_MS);
    rtt = (struct hf_rtt){0};
    hf_rtt_add(&rtt, 0);
    assert_int_equal(dht_rtt_late_ms(&rtt), DHT_RTO_MIN_MS);
}

static void request_ids_are_never_used_twice(void **state)
{
    struct dht_requests requests;
    struct dht_request *request, *first;
    uint64_t last = 0, id;
    struct hf_err err;

    (void)state;
    assert_int_equal(dht_requests_init(&requests, UINT64_MAX, &err), HF_OK);
    first = dht_requests_add(&requests);
    assert_non_null(first);
    first->silent_ms = first->late_ms = 1000;
    id = first->id;
    for (unsigned i = 0; i < 10000; i++) {
        request = dht_requests_add(&requests);
        assert_non_null(request);
        request->late_ms = 2000;
        assert_true(request->id > last);
        last = request->id;
        dht_requests_remove(&requests, request);
        assert_null(dht_requests_find(&requests, last));
    }
    assert_ptr_equal(dht_requests_find(&requests, id), first);
    assert_int_equal(dht_requests_deadline(&requests), 1000);
    assert_null(dht_requests_find(&requests, 0));
    dht_requests_remove(&requests, first);
    assert_int_equal(dht_requests_deadline(&requests), UINT64_MAX);
    for (unsigned i = 0; i < DHT_REQUESTS_MAX; i++)
        assert_non_null(dht_requests_add(&requests));
    assert_null(dht_requests_add(&requests));
    for (unsigned i = 0; i < DHT_REQUESTS_MAX; i++)
        dht_requests_remove(&requests, &requests.places[i]);
    assert_int_equal(requests.top, 0);
    assert_int_equal(requests.free_count, DHT_REQUESTS_MAX);
    dht_requests_done(&requests);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redundancy_follows_the_roster),
        cmocka_unit_test(absent_for_long_and_evicted_do_not_count),
        cmocka_unit_test(candidates_go_clockwise_and_wrap),
        cmocka_unit_test(positions_give_a_larger_share),
        cmocka_unit_test(sites_are_filled_up_to_their_share_first),
        cmocka_unit_test(a_new_roster_keeps_what_is_known),
        cmocka_unit_test(timeouts_follow_the_answers),
        cmocka_unit_test(request_ids_are_never_used_twice),
    };
    return cmocka_run_group_tests_name("dht/placement", tests, NULL, NULL);
}

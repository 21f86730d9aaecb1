/* dht/record_op.h: majorities, rollback, forks, and stores that do not know. */
#include "dht_net.h"

#include "dht/lists.h"

/* The payload byte of host's record in the list, or -1. */
static int listed(const struct hf_buffer *list, uint8_t host)
{
    struct hf_reader r;
    uint32_t left = dht_records_open(list, &r);
    struct hf_record record;
    struct hf_err err;
    const uint8_t *bytes;
    int found = -1;
    size_t n;

    while (left-- > 0 && (bytes = dht_records_next(&r, &n)) != NULL) {
        assert_int_equal(hf_record_parse(bytes, n, &record, &err), HF_OK);
        if (record.host.b[0] == host) found = record.payload[0];
    }
    assert_true(hf_reader_done(&r));
    return found;
}

static enum hf_code put(struct net *net, size_t node, uint8_t host, uint32_t incarnation,
                        uint64_t seq, uint8_t payload)
{
    struct hf_buffer *record = net_record(net, host, incarnation, seq, payload);
    enum hf_code code = net_wait(net, net_record_put(net, node, record))->action.code;

    hf_buffer_unref(record);
    return code;
}

static const struct dht_action *get(struct net *net, size_t node)
{
    return &net_wait(net, net_records_get(net, node))->action;
}

static size_t copies(const struct net *net)
{
    size_t count = 0;

    for (size_t i = 0; i < net->count; i++)
        count += net->nodes[i].record_count > 0;
    return count;
}

static void every_ring_size_keeps_them(void **state)
{
    (void)state;
    for (size_t count = 1; count <= 20; count++) {
        struct net *net = net_new(count, count);
        const struct dht_action *got;

        assert_int_equal(put(net, 0, 1, 1, 1, 11), HF_OK);
        net_run(net, 1000);
        assert_int_equal(put(net, count / 2, 2, 1, 1, 12), HF_OK);
        net_run(net, 1000);
        assert_int_equal(put(net, 0, 1, 1, 2, 13), HF_OK);
        net_run(net, 1000);
        assert_int_equal(copies(net), count < 15 ? count : 15);
        for (size_t i = 0; i < count; i++) {
            got = get(net, i);
            assert_int_equal(got->code, HF_OK);
            assert_int_equal(listed(got->payload, 1), 13);
            assert_int_equal(listed(got->payload, 2), 12);
        }
        assert_int_equal(net->warning_count, 0);
        net_free(net);
    }
}

static void a_write_needs_a_majority(void **state)
{
    (void)state;
    for (size_t dead = 0; dead <= 4; dead++) {
        struct net *net = net_new(5, 30 + dead);
        const struct dht_action *got;

        for (size_t i = 0; i < dead; i++)
            net_kill(net, 4 - i);
        assert_int_equal(put(net, 0, 1, 1, 1, 11), dead <= 2 ? HF_OK : HF_UNAVAILABLE);
        got = get(net, 0); /* it goes on with what it found, and says so */
        assert_int_equal(got->code, dead <= 2 ? HF_OK : HF_INCOMPLETE);
        assert_int_equal(listed(got->payload, 1), 11);
        net_free(net);
    }
}

static void a_read_sees_the_last_write_of_any_majority(void **state)
{
    (void)state;
    for (unsigned pattern = 0; pattern < 100; pattern++) {
        size_t a = pattern / 10 % 5, b = pattern % 5; /* away during the second write */
        size_t c = pattern / 5 % 5, d = pattern / 20; /* away during the read */
        struct net *net = net_new(5, pattern);
        const struct dht_action *got;
        size_t writer = 0, reader = 0;

        assert_int_equal(put(net, 0, 1, 1, 1, 11), HF_OK);
        net_run(net, 1000);
        net_kill(net, a);
        net_kill(net, b);
        while (net->nodes[writer].dead)
            writer++;
        assert_int_equal(put(net, writer, 1, 1, 2, 22), HF_OK);
        net_run(net, 1000);
        net_revive(net, a);
        net_revive(net, b);
        net_kill(net, c);
        net_kill(net, d);
        while (net->nodes[reader].dead)
            reader++;
        got = get(net, reader);
        assert_int_equal(got->code, HF_OK);
        assert_int_equal(listed(got->payload, 1), 22);
        net_free(net);
    }
}

static void an_older_record_is_refused_with_the_newer_one(void **state)
{
    struct net *net = net_new(5, 40);
    struct hf_buffer *old = net_record(net, 1, 1, 9, 9);
    const struct net_outcome *outcome;
    struct hf_record record;
    struct hf_err err;

    (void)state;
    assert_int_equal(put(net, 0, 1, 2, 1, 21), HF_OK); /* incarnation 2, seq 1 is higher */
    net_run(net, 1000);
    outcome = net_wait(net, net_record_put(net, 0, old));
    assert_int_equal(outcome->action.code, HF_EXISTS);
    assert_non_null(outcome->action.payload);
    assert_int_equal(hf_record_parse(outcome->action.payload->b,
                                     outcome->action.payload->size, &record, &err),
                     HF_OK);
    assert_int_equal(record.incarnation, 2);
    net_run(net, 1000);
    assert_int_equal(listed(get(net, 3)->payload, 1), 21);
    assert_int_equal(put(net, 0, 1, 2, 1, 21), HF_OK); /* the same again is no fork */
    assert_int_equal(net->warning_count, 0);
    hf_buffer_unref(old);
    net_free(net);
}

static void two_records_of_one_number_are_an_alarm(void **state)
{
    struct net *net = net_new(5, 41);
    size_t holder_alarms = 0, writer_alarms = 0;

    (void)state;
    assert_int_equal(put(net, 0, 1, 1, 1, 11), HF_OK);
    net_run(net, 1000);
    assert_int_equal(put(net, 2, 1, 1, 1, 12), HF_EXISTS);
    net_run(net, 1000);
    for (size_t i = 0; i < net->warning_count; i++) {
        assert_int_equal(net->warnings[i].warning, DHT_WARN_RECORD_FORK);
        holder_alarms += hf_id_equal(&net->warnings[i].peer, &net->nodes[2].id);
        writer_alarms += net->warnings[i].by == 2;
    }
    assert_true(holder_alarms >= 4);
    assert_true(writer_alarms >= 1);
    assert_int_equal(listed(get(net, 4)->payload, 1), 11); /* the first one stays */
    net_free(net);
}

/* Each half of the ring got another one while it was split. */
static void a_fork_is_noticed_when_reading(void **state)
{
    struct net *net = net_new(5, 42);

    (void)state;
    net_kill(net, 3);
    net_kill(net, 4);
    assert_int_equal(put(net, 0, 1, 1, 1, 11), HF_OK);
    net_run(net, 60000);
    for (size_t i = 0; i < 3; i++)
        net_kill(net, i);
    net_revive(net, 3);
    net_revive(net, 4);
    assert_int_equal(put(net, 3, 1, 1, 1, 12), HF_UNAVAILABLE);
    net_run(net, 60000);
    for (size_t i = 0; i < 3; i++)
        net_revive(net, i);
    assert_int_equal(net->warning_count, 0);
    assert_int_equal(get(net, 1)->code, HF_OK);
    assert_true(net->warning_count > 0);
    assert_int_equal(net->warnings[0].by, 1);
    assert_int_equal(net->warnings[0].warning, DHT_WARN_RECORD_FORK);
    net_free(net);
}

static void a_damaged_store_gives_what_it_can_read(void **state)
{
    struct net *net = net_new(5, 44);
    const struct dht_action *got;

    (void)state;
    assert_int_equal(put(net, 0, 1, 1, 1, 11), HF_OK);
    net_run(net, 60000);
    for (size_t i = 0; i < 3; i++)
        net_fault(net, i, NET_DAMAGED); /* other records may be missing in their lists */
    got = get(net, 3);
    assert_int_equal(got->code, HF_INCOMPLETE);
    assert_int_equal(got->tally.unsure, 3);
    net_kill(net, 3);
    net_kill(net, 4);
    got = get(net, 0);
    assert_int_equal(got->code, HF_INCOMPLETE);
    assert_int_equal(listed(got->payload, 1), 11);
    net_free(net);
}

static void a_wiped_store_does_not_say_none(void **state)
{
    struct net *net = net_new(5, 43);
    const struct dht_action *got;

    (void)state;
    net_kill(net, 3);
    net_kill(net, 4);
    assert_int_equal(put(net, 0, 1, 1, 1, 11), HF_OK); /* on 0, 1 and 2 */
    net_run(net, 60000);
    net_revive(net, 3);
    net_revive(net, 4);
    net_fault(net, 1, NET_FORGETFUL);
    net_fault(net, 2, NET_FORGETFUL);
    net_kill(net, 0); /* 3 and 4 truly have nothing: no majority that knows */
    got = get(net, 3);
    assert_int_equal(got->code, HF_INCOMPLETE);
    assert_int_equal(got->tally.answered, 2);
    assert_int_equal(got->tally.unsure, 2);
    assert_int_equal(listed(got->payload, 1), -1);
    net_revive(net, 0);
    got = get(net, 3);
    assert_int_equal(got->code, HF_OK);
    assert_int_equal(listed(got->payload, 1), 11);
    net_free(net);
}

static void evicted_members_do_not_count(void **state)
{
    struct net *net = net_new(7, 44);

    (void)state;
    for (size_t i = 4; i < 7; i++) {
        net->members[i].evicted = true;
        net_kill(net, i);
    }
    net_tell_members(net);
    net_kill(net, 1); /* three of the four that count */
    assert_int_equal(put(net, 0, 1, 1, 1, 11), HF_OK);
    assert_int_equal(get(net, 0)->tally.wanted, 4);
    net_free(net);
}

static void a_full_majority_refuses(void **state)
{
    struct net *net = net_new(5, 45);
    struct hf_buffer *record = net_record(net, 1, 1, 1, 1);
    const struct net_outcome *outcome;

    (void)state;
    for (size_t i = 1; i < 4; i++)
        net_fault(net, i, NET_FULL);
    outcome = net_wait(net, net_record_put(net, 0, record));
    assert_int_equal(outcome->action.code, HF_UNAVAILABLE);
    assert_int_equal(outcome->action.tally.no_space, 3);
    hf_buffer_unref(record);
    net_free(net);
}

static void what_is_no_record_is_refused(void **state)
{
    struct net *net = net_new(5, 46);
    struct hf_buffer *record = net_record(net, 1, 1, 1, 1);

    (void)state;
    record->b[50] ^= 1;
    assert_int_equal(net_wait(net, net_record_put(net, 0, record))->action.code,
                     HF_CORRUPT);
    assert_int_equal(copies(net), 0);
    hf_buffer_unref(record);
    net_free(net);
}

/* Many writers of one slot at once: a holder never goes back. */
static void writes_of_one_slot_go_one_after_the_other(void **state)
{
    struct net *net = net_new(5, 47);
    uint64_t tags[12];

    (void)state;
    for (uint64_t i = 0; i < 12; i++) {
        struct hf_buffer *record = net_record(net, 1, 1, 12 - i, (uint8_t)(12 - i));

        tags[i] = net_record_put(net, i % 5, record);
        hf_buffer_unref(record);
    }
    for (size_t i = 0; i < 12; i++)
        (void)net_wait(net, tags[i]);
    net_run(net, 10000);
    assert_int_equal(net->outcomes[tags[0]].action.code, HF_OK);
    for (size_t i = 0; i < 5; i++) {
        struct hf_record record;
        struct hf_err err;

        assert_int_equal(net->nodes[i].record_count, 1);
        assert_int_equal(hf_record_parse(net->nodes[i].records[0].bytes->b,
                                         net->nodes[i].records[0].bytes->size, &record,
                                         &err),
                         HF_OK);
        assert_int_equal(record.seq, 12);
    }
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_ring_size_keeps_them),
        cmocka_unit_test(a_write_needs_a_majority),
        cmocka_unit_test(a_read_sees_the_last_write_of_any_majority),
        cmocka_unit_test(an_older_record_is_refused_with_the_newer_one),
        cmocka_unit_test(two_records_of_one_number_are_an_alarm),
        cmocka_unit_test(a_fork_is_noticed_when_reading),
        cmocka_unit_test(a_damaged_store_gives_what_it_can_read),
        cmocka_unit_test(a_wiped_store_does_not_say_none),
        cmocka_unit_test(evicted_members_do_not_count),
        cmocka_unit_test(a_full_majority_refuses),
        cmocka_unit_test(what_is_no_record_is_refused),
        cmocka_unit_test(writes_of_one_slot_go_one_after_the_other),
    };
    return cmocka_run_group_tests_name("dht/record_op", tests, NULL, NULL);
}

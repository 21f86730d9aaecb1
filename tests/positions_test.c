/* daemon/positions.h: everybody computes the same from the roster. */
#include "daemon/positions.h"

#include "membership_world.h"
#include "test.h"

#include <string.h>

#define AUTHORITY 9999u

static struct roster *roster;
static struct hf_signer *authority;

static int make(void **state)
{
    (void)state;
    authority = world_signer(AUTHORITY);
    roster = roster_new(hf_signer_public(authority));
    return 0;
}

static int drop(void **state)
{
    (void)state;
    roster_free(roster);
    hf_signer_free(authority);
    return 0;
}

static void add(struct fact_bytes fact)
{
    struct hf_err err;
    bool news;

    assert_int_equal(roster_add(roster, fact.b, fact.size, &news, &err), HF_OK);
}

/* A member that may have `allowed` positions, and offers so much. */
static const struct roster_member *member(unsigned number, uint32_t allowed,
                                          uint64_t space_bytes)
{
    struct hf_signer *signer = world_signer(number);
    struct announcement announcement = {.seq = 1,
                                        .addresses = {"host:1"},
                                        .address_count = 1,
                                        .space_bytes = space_bytes,
                                        .time_s = WORLD_NOW};
    struct certificate certificate = {.key = *hf_signer_public(signer),
                                      .number = number,
                                      .name = "host",
                                      .serial = 1,
                                      .authority = 1,
                                      .positions = allowed,
                                      .not_before_s = WORLD_NOW,
                                      .not_after_s = WORLD_NOW + 1000};
    struct fact_bytes fact;
    struct hf_err err;

    certificate_node_id(&certificate.key, number, &announcement.node);
    assert_int_equal(certificate_sign(&certificate, authority, fact.b, &fact.size, &err),
                     HF_OK);
    add(fact);
    assert_int_equal(announcement_sign(&announcement, signer, fact.b, &fact.size, &err),
                     HF_OK);
    add(fact);
    hf_signer_free(signer);
    return roster_find(roster, &announcement.node);
}

static void few_members_have_one_each(void **state)
{
    (void)state;
    for (unsigned i = 1; i < POSITIONS_MEMBERS_MIN; i++)
        (void)member(i, 64, (uint64_t)i << 40);
    assert_int_equal(positions_unit(roster), 0);
    assert_int_equal(positions_of(roster_at(roster, 7), positions_unit(roster)), 1);
}

static void many_have_them_by_what_they_offer(void **state)
{
    const uint64_t typical = UINT64_C(100) << 30;
    uint64_t unit;

    (void)state;
    for (unsigned i = 1; i <= 40; i++)
        (void)member(i, 64, typical);
    unit = positions_unit(roster);
    assert_int_equal(unit, typical / POSITIONS_TYPICAL);
    assert_int_equal(positions_of(roster_at(roster, 3), unit), 4);
    assert_int_equal(positions_of(member(50, 64, typical / 100), unit), 1);
    assert_int_equal(positions_of(member(51, 64, typical / 2), unit), 2);
    assert_int_equal(positions_of(member(52, 64, typical + typical / 3), unit), 4);
    assert_int_equal(positions_of(member(53, 64, 2 * typical), unit), 8);
    assert_int_equal(positions_of(member(54, 64, 1000 * typical), unit), 64);
    assert_int_equal(positions_of(member(55, 5, 1000 * typical), unit), 4);
    assert_int_equal(positions_of(member(56, 1, 1000 * typical), unit), 1);
    assert_int_equal(positions_of(member(57, 64, UINT64_MAX / 2), unit), 64);
    assert_int_equal(positions_unit(roster), unit); /* a few giants change nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(few_members_have_one_each, make, drop),
        cmocka_unit_test_setup_teardown(many_have_them_by_what_they_offer, make, drop),
    };
    return cmocka_run_group_tests_name("daemon/positions", tests, NULL, NULL);
}

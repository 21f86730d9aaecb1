#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "membership/roster.h"
#include "membership_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AUTHORITY  1000u
#define STRANGER   1001u
#define MEMBERS    5u
#define FACTS_MAX  64u
#define BUFFER_MAX 262144u

static struct hf_signer *authority;
static struct hf_signer *stranger;
static uint64_t generator;

static int setup(void **state)
{
    (void)state;
    authority = world_signer(AUTHORITY);
    stranger = world_signer(STRANGER);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hf_signer_free(authority);
    hf_signer_free(stranger);
    return 0;
}

static unsigned draw(unsigned below)
{
    generator = generator * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(generator >> 33) % below;
}

static struct roster *empty(void)
{
    struct roster *roster = roster_new(hf_signer_public(authority));

    assert_non_null(roster);
    return roster;
}

static enum hf_code add(struct roster *roster, struct fact_bytes fact)
{
    struct hf_err err;
    bool news;

    return roster_add(roster, fact.b, fact.size, &news, &err);
}

static struct fact_bytes announcement_of(unsigned member, uint64_t seq, const char *address)
{
    struct hf_signer *signer = world_signer(member);
    const struct fact_bytes fact = world_announcement(signer, member, seq, address);

    hf_signer_free(signer);
    return fact;
}

/* A fact about one of few members, often conflicting with another. */
static struct fact_bytes random_fact(void)
{
    static const char *const words[] = {"a:1", "b:2", "c:3"};
    const unsigned member = 1 + draw(MEMBERS);

    switch (draw(4)) {
    case 0: return world_certificate(authority, member, 1 + draw(3), words[draw(3)]);
    case 1: return world_revocation(authority, member, 1 + draw(3), WORLD_NOW + draw(3));
    default: return announcement_of(member, 1 + draw(3), words[draw(3)]);
    }
}

static size_t encode(const struct roster *roster, uint8_t *bytes)
{
    size_t cursor = 0;
    size_t n;

    assert_false(roster_encode(roster, 0, &cursor, bytes, BUFFER_MAX, &n));
    assert_true(n > 0);
    return n;
}

static void merge_into(struct roster *into, const struct roster *from)
{
    uint8_t *bytes = malloc(BUFFER_MAX);
    struct roster_merge merge;
    struct hf_err err;

    assert_non_null(bytes);
    assert_int_equal(roster_merge(into, bytes, encode(from, bytes), &merge, &err), HF_OK);
    assert_int_equal(merge.rejected, 0);
    free(bytes);
}

static struct roster *merged(const struct roster *a, const struct roster *b)
{
    struct roster *roster = empty();

    merge_into(roster, a);
    merge_into(roster, b);
    return roster;
}

static void assert_same(const struct roster *a, const struct roster *b)
{
    uint8_t *bytes_a = malloc(BUFFER_MAX);
    uint8_t *bytes_b = malloc(BUFFER_MAX);
    struct hf_id digest_a;
    struct hf_id digest_b;
    size_t n;

    assert_non_null(bytes_a);
    assert_non_null(bytes_b);
    roster_digest(a, &digest_a);
    roster_digest(b, &digest_b);
    assert_true(hf_id_equal(&digest_a, &digest_b));
    n = encode(a, bytes_a);
    assert_int_equal(encode(b, bytes_b), n);
    assert_memory_equal(bytes_a, bytes_b, n);
    free(bytes_a);
    free(bytes_b);
}

static struct roster *random_roster(void)
{
    struct roster *roster = empty();
    const unsigned count = draw(12);

    for (unsigned i = 0; i < count; i++)
        (void)add(roster, random_fact());
    return roster;
}

/* a = a + a;  a + b = b + a;  (a + b) + c = a + (b + c), for random sets of facts. */
static void merging_is_a_union(void **state)
{
    (void)state;
    for (generator = 1; generator < 60; generator++) {
        const uint64_t seed = generator;
        struct roster *a = random_roster();
        struct roster *b = random_roster();
        struct roster *c = random_roster();
        struct roster *ab = merged(a, b);
        struct roster *ba = merged(b, a);
        struct roster *bc = merged(b, c);
        struct roster *ab_c = merged(ab, c);
        struct roster *a_bc = merged(a, bc);
        struct roster *aa = merged(a, a);

        assert_same(ab, ba);
        assert_same(ab_c, a_bc);
        assert_same(aa, a);
        roster_free(a);
        roster_free(b);
        roster_free(c);
        roster_free(ab);
        roster_free(ba);
        roster_free(bc);
        roster_free(ab_c);
        roster_free(a_bc);
        roster_free(aa);
        generator = seed;
    }
}

/* The same facts in any order, all certificates known, end in the same roster. */
static void order_of_facts_does_not_matter(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 40; seed++) {
        struct fact_bytes facts[FACTS_MAX];
        struct roster *one = empty();
        struct roster *other = empty();

        generator = seed;
        for (size_t i = 0; i < FACTS_MAX; i++)
            facts[i] = random_fact();
        for (unsigned member = 1; member <= MEMBERS; member++) {
            assert_int_equal(add(one, world_certificate(authority, member, 1, "a")), HF_OK);
            assert_int_equal(add(other, world_certificate(authority, member, 1, "a")),
                             HF_OK);
        }
        for (size_t i = 0; i < FACTS_MAX; i++)
            assert_int_equal(add(one, facts[i]), HF_OK);
        for (size_t i = FACTS_MAX; i > 0; i--) {
            const size_t j = draw((unsigned)i);

            assert_int_equal(add(other, facts[j]), HF_OK);
            facts[j] = facts[i - 1];
        }
        assert_same(one, other);
        roster_free(one);
        roster_free(other);
    }
}

static void members_are_found_and_change(void **state)
{
    struct roster *roster = empty();
    const struct roster_member *member;
    struct hf_public_key key;
    struct hf_id node;

    (void)state;
    for (unsigned i = 1; i <= MEMBERS; i++)
        assert_int_equal(add(roster, world_certificate(authority, i, 1, "old")), HF_OK);
    assert_int_equal(roster_count(roster), MEMBERS);
    for (size_t i = 1; i < MEMBERS; i++)
        assert_true(hf_id_compare(&roster_at(roster, i - 1)->certificate.id,
                                  &roster_at(roster, i)->certificate.id) < 0);
    world_node(3, &node);
    member = roster_find(roster, &node);
    assert_non_null(member);
    assert_false(member->announced);
    key = member->certificate.key;
    assert_ptr_equal(roster_find_key(roster, &key), member);
    assert_int_equal(add(roster, announcement_of(3, 5, "five:5")), HF_OK);
    assert_int_equal(add(roster, announcement_of(3, 4, "four:4")), HF_OK);
    assert_string_equal(member->announcement.addresses[0], "five:5");
    assert_int_equal(add(roster, world_revocation(authority, 3, 1, WORLD_NOW)), HF_OK);
    assert_true(member->evicted);
    /* A later certificate takes it in again; an old one does not come back. */
    assert_int_equal(add(roster, world_certificate(authority, 3, 2, "new")), HF_OK);
    assert_false(member->evicted);
    assert_int_equal(add(roster, world_certificate(authority, 3, 1, "old")), HF_OK);
    assert_string_equal(member->certificate.name, "new");
    key.b[0] ^= 1;
    assert_null(roster_find_key(roster, &key));
    node.b[5] ^= 1;
    assert_null(roster_find(roster, &node));
    roster_free(roster);
}

/* The parameters of the ring travel with the roster; an older version does not come back,
 * and another ring's are refused. */
static void the_rings_parameters_are_on_it(void **state)
{
    struct roster *roster = empty();
    struct roster *other = empty();
    struct hf_id before, after;
    struct ring_parameters ring;
    size_t n;

    (void)state;
    assert_null(roster_ring(roster, &n, &ring));
    roster_digest(roster, &before);
    assert_int_equal(add(roster, world_ring(authority, "home", 2)), HF_OK);
    roster_digest(roster, &after);
    assert_false(hf_id_equal(&before, &after));
    assert_int_equal(add(roster, world_ring(authority, "older", 1)), HF_OK);
    assert_int_equal(add(roster, world_ring(stranger, "theirs", 3)), HF_WRONG_KEY);
    assert_non_null(roster_ring(roster, &n, &ring));
    assert_string_equal(ring.name, "home");
    merge_into(other, roster);
    assert_non_null(roster_ring(other, &n, &ring));
    assert_string_equal(ring.name, "home");
    assert_same(roster, other);
    roster_free(roster);
    roster_free(other);
}

static void forged_facts_are_not_taken(void **state)
{
    struct roster *roster = empty();
    struct hf_id before;
    struct hf_id after;
    struct fact_bytes fact;

    (void)state;
    assert_int_equal(add(roster, world_certificate(stranger, 1, 1, "x")), HF_WRONG_KEY);
    assert_int_equal(add(roster, announcement_of(1, 1, "a:1")), HF_NOT_FOUND);
    assert_int_equal(add(roster, world_revocation(authority, 1, 1, 0)), HF_NOT_FOUND);
    assert_int_equal(roster_count(roster), 0);
    assert_int_equal(add(roster, world_certificate(authority, 1, 1, "x")), HF_OK);
    assert_int_equal(add(roster, announcement_of(1, 1, "a:1")), HF_OK);
    roster_digest(roster, &before);
    assert_int_equal(add(roster, world_certificate(stranger, 1, 9, "x")), HF_WRONG_KEY);
    assert_int_equal(add(roster, world_revocation(stranger, 1, 9, 0)), HF_WRONG_KEY);
    assert_int_equal(add(roster, world_announcement(stranger, 1, 9, "evil:1")),
                     HF_WRONG_KEY);
    assert_int_equal(add(roster, world_announcement(authority, 1, 9, "evil:1")),
                     HF_WRONG_KEY);
    fact = announcement_of(1, 9, "a:1");
    fact.b[fact.size - 1] ^= 1;
    assert_int_equal(add(roster, fact), HF_WRONG_KEY);
    roster_digest(roster, &after);
    assert_true(hf_id_equal(&before, &after));
    roster_free(roster);
}

/* A set with forged and good facts: the good are taken, the forged counted. */
static void a_set_is_judged_fact_by_fact(void **state)
{
    const struct fact_bytes facts[] = {
        world_certificate(authority, 1, 1, "one"), world_certificate(stranger, 2, 1, "two"),
        announcement_of(1, 1, "a:1"), announcement_of(2, 1, "b:2")};
    struct roster *roster = empty();
    uint8_t bytes[8192];
    struct hf_writer w = hf_writer_init(bytes, sizeof bytes);
    struct roster_merge merge;
    struct hf_err err;

    (void)state;
    hf_put_header(&w, 1, 36, 1);
    hf_put_key(&w, 2);
    hf_put_array(&w, 4);
    for (size_t i = 0; i < 4; i++)
        hf_put_bytes(&w, facts[i].b, facts[i].size);
    assert_int_equal(roster_merge(roster, bytes, hf_writer_size(&w), &merge, &err), HF_OK);
    assert_int_equal(merge.added, 2);
    assert_int_equal(merge.rejected, 2);
    assert_int_equal(roster_merge(roster, bytes, hf_writer_size(&w), &merge, &err), HF_OK);
    assert_int_equal(merge.added, 0);
    assert_int_equal(merge.known, 2);
    assert_int_equal(roster_count(roster), 1);
    roster_free(roster);
}

static void every_truncation_fails(void **state)
{
    struct roster *roster = empty();
    uint8_t *bytes = malloc(BUFFER_MAX);
    struct roster_merge merge;
    struct hf_err err;
    size_t n;

    (void)state;
    assert_non_null(bytes);
    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(add(roster, world_certificate(authority, i, 1, "a")), HF_OK);
        assert_int_equal(add(roster, announcement_of(i, 1, "a:1")), HF_OK);
    }
    n = encode(roster, bytes);
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(roster_merge(roster, bytes, cut, &merge, &err), HF_CORRUPT);
    bytes[n] = 0;
    assert_int_equal(roster_merge(roster, bytes, n + 1, &merge, &err), HF_CORRUPT);
    free(bytes);
    roster_free(roster);
}

/* In small parts, and only what is new. */
static void encodes_in_parts_and_what_changed(void **state)
{
    struct roster *roster = empty();
    struct roster *copy = empty();
    uint8_t bytes[4096];
    struct roster_merge merge;
    struct hf_err err;
    uint64_t revision;
    size_t cursor = 0;
    size_t parts = 0;
    bool more;
    size_t n;

    (void)state;
    for (unsigned i = 1; i <= 40; i++) {
        assert_int_equal(add(roster, world_certificate(authority, i, 1, "a")), HF_OK);
        assert_int_equal(add(roster, announcement_of(i, 1, "a:1")), HF_OK);
    }
    do {
        more = roster_encode(roster, 0, &cursor, bytes, sizeof bytes, &n);
        assert_true(n <= sizeof bytes);
        assert_int_equal(roster_merge(copy, bytes, n, &merge, &err), HF_OK);
        assert_int_equal(merge.rejected, 0);
        parts++;
    } while (more);
    assert_true(parts > 3);
    assert_same(roster, copy);
    revision = roster_revision(roster);
    assert_int_equal(add(roster, announcement_of(3, 2, "b:2")), HF_OK);
    assert_int_equal(add(roster, announcement_of(3, 2, "b:2")), HF_OK);
    assert_int_equal(roster_revision(roster), revision + 1);
    cursor = 0;
    assert_false(roster_encode(roster, revision, &cursor, bytes, sizeof bytes, &n));
    assert_int_equal(roster_merge(copy, bytes, n, &merge, &err), HF_OK);
    assert_int_equal(merge.added + merge.known, 1);
    assert_same(roster, copy);
    cursor = 0;
    assert_false(roster_encode(roster, revision + 1, &cursor, bytes, sizeof bytes, &n));
    assert_int_equal(roster_merge(copy, bytes, n, &merge, &err), HF_OK);
    assert_int_equal(merge.added + merge.known + merge.rejected, 0);
    roster_free(roster);
    roster_free(copy);
}

static void survives_on_disk(void **state)
{
    struct roster *roster = empty();
    struct roster *back = empty();
    struct roster *other = roster_new(hf_signer_public(stranger));
    char path[64];
    struct hf_err err;
    int fd;

    (void)state;
    world_directory(path, &fd);
    assert_int_equal(roster_load(back, hf_files_system(), fd, "roster", &err),
                     HF_NOT_FOUND);
    for (unsigned i = 1; i <= MEMBERS; i++) {
        assert_int_equal(add(roster, world_certificate(authority, i, 1, "a")), HF_OK);
        assert_int_equal(add(roster, announcement_of(i, i, "a:1")), HF_OK);
    }
    assert_int_equal(add(roster, world_revocation(authority, 2, 1, 0)), HF_OK);
    assert_int_equal(roster_save(roster, hf_files_system(), fd, "roster", &err), HF_OK);
    assert_int_equal(roster_load(back, hf_files_system(), fd, "roster", &err), HF_OK);
    assert_same(roster, back);
    assert_int_equal(roster_load(other, hf_files_system(), fd, "roster", &err), HF_CORRUPT);
    world_remove(path, fd);
    roster_free(roster);
    roster_free(back);
    roster_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merging_is_a_union),
        cmocka_unit_test(order_of_facts_does_not_matter),
        cmocka_unit_test(members_are_found_and_change),
        cmocka_unit_test(the_rings_parameters_are_on_it),
        cmocka_unit_test(forged_facts_are_not_taken),
        cmocka_unit_test(a_set_is_judged_fact_by_fact),
        cmocka_unit_test(every_truncation_fails),
        cmocka_unit_test(encodes_in_parts_and_what_changed),
        cmocka_unit_test(survives_on_disk),
    };
    return cmocka_run_group_tests_name("membership/roster", tests, setup, teardown);
}

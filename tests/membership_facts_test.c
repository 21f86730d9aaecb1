#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/types.h"
#include "membership_world.h"

#include <stdio.h>
#include <string.h>

enum { AUTHORITY = 1000, STRANGER = 1001 };

struct keys {
    struct hf_signer *authority, *stranger, *member;
};

static int keys_make(void **state)
{
    static struct keys keys;

    keys.authority = world_signer(AUTHORITY);
    keys.stranger = world_signer(STRANGER);
    keys.member = world_signer(7);
    *state = &keys;
    return 0;
}

static int keys_free(void **state)
{
    struct keys *keys = *state;

    hf_signer_free(keys->authority);
    hf_signer_free(keys->stranger);
    hf_signer_free(keys->member);
    return 0;
}

enum kind { RING, CERTIFICATE, REVOCATION, ANNOUNCEMENT, KINDS };

/* One of each kind, signed by `signer`. */
static struct fact_bytes fact_of(enum kind kind, const struct hf_signer *signer)
{
    switch (kind) {
    case RING: return world_ring(signer, "the family", 1);
    case CERTIFICATE: return world_certificate(signer, 7, 3, "attic-nas");
    case REVOCATION: return world_revocation(signer, 7, 3, WORLD_NOW + 5);
    case ANNOUNCEMENT:
    case KINDS: break;
    }
    return world_announcement(signer, 7, 9, "192.0.2.7:4774");
}

static enum hf_code parse(enum kind kind, const struct keys *keys, const uint8_t *bytes,
                          size_t n)
{
    struct ring_parameters ring;
    struct certificate certificate;
    struct revocation revocation;
    struct announcement announcement;
    struct hf_id fingerprint;
    struct hf_err err;

    authority_fingerprint(hf_signer_public(keys->authority), &fingerprint);
    switch (kind) {
    case RING: return ring_parameters_parse(bytes, n, &fingerprint, &ring, &err);
    case CERTIFICATE:
        return certificate_parse(bytes, n, hf_signer_public(keys->authority), &certificate,
                                 &err);
    case REVOCATION:
        return revocation_parse(bytes, n, hf_signer_public(keys->authority), &revocation,
                                &err);
    case ANNOUNCEMENT:
    case KINDS: break;
    }
    return announcement_parse(bytes, n, hf_signer_public(keys->member), &announcement,
                              &err);
}

static const struct hf_signer *right_signer(const struct keys *keys, enum kind kind)
{
    return kind == ANNOUNCEMENT ? keys->member : keys->authority;
}

static void facts_come_back(void **state)
{
    const struct keys *keys = *state;
    struct fact_bytes fact;
    struct ring_parameters ring;
    struct certificate certificate;
    struct revocation revocation;
    struct announcement announcement;
    struct hf_id id;
    struct hf_err err;

    authority_fingerprint(hf_signer_public(keys->authority), &id);
    fact = fact_of(RING, keys->authority);
    assert_int_equal(ring_parameters_parse(fact.b, fact.size, &id, &ring, &err), HF_OK);
    assert_string_equal(ring.name, "the family");
    assert_int_equal(ring.version, 1);
    assert_int_equal(ring.successors, 4);
    assert_int_equal(ring.k, 3);
    assert_int_equal(ring.n, 7);
    assert_int_equal(ring.created_s, WORLD_NOW);
    world_node(7, &id);
    fact = fact_of(CERTIFICATE, keys->authority);
    assert_int_equal(
        certificate_parse(fact.b, fact.size, &ring.authority, &certificate, &err), HF_OK);
    assert_true(hf_id_equal(&certificate.id, &id));
    assert_string_equal(certificate.name, "attic-nas");
    assert_int_equal(certificate.number, 7);
    assert_int_equal(certificate.serial, 3);
    assert_int_equal(certificate.authority, 1);
    assert_int_equal(certificate.positions, 1);
    assert_false(certificate.steward);
    assert_int_equal(certificate.not_before_s, WORLD_NOW);
    assert_int_equal(certificate.not_after_s, WORLD_NOW + CERTIFICATE_LIFE_S);
    fact = fact_of(REVOCATION, keys->authority);
    assert_int_equal(
        revocation_parse(fact.b, fact.size, &ring.authority, &revocation, &err), HF_OK);
    assert_true(hf_id_equal(&revocation.node, &id));
    assert_int_equal(revocation.serial, 3);
    assert_int_equal(revocation.time_s, WORLD_NOW + 5);
    fact = fact_of(ANNOUNCEMENT, keys->member);
    assert_int_equal(
        announcement_parse(fact.b, fact.size, &certificate.key, &announcement, &err),
        HF_OK);
    assert_true(hf_id_equal(&announcement.node, &id));
    assert_int_equal(announcement.seq, 9);
    assert_int_equal(announcement.store.b[0], 0x77);
    assert_int_equal(announcement.address_count, 2);
    assert_string_equal(announcement.addresses[0], "192.0.2.7:4774");
    assert_string_equal(announcement.addresses[1], "[2001:db8::1]:4774");
    assert_int_equal(announcement.space_bytes, UINT64_C(100) << 30);
    assert_string_equal(announcement.site, "attic");
}

static void every_truncation_fails(void **state)
{
    const struct keys *keys = *state;

    for (enum kind kind = RING; kind < KINDS; kind++) {
        struct fact_bytes fact = fact_of(kind, right_signer(keys, kind));

        assert_int_equal(parse(kind, keys, fact.b, fact.size), HF_OK);
        for (size_t n = 0; n < fact.size; n++)
            assert_int_equal(parse(kind, keys, fact.b, n), HF_CORRUPT);
        fact.b[fact.size] = 0;
        assert_int_equal(parse(kind, keys, fact.b, fact.size + 1), HF_CORRUPT);
    }
}

/* No bit of a fact can be changed. */
static void every_changed_bit_fails(void **state)
{
    const struct keys *keys = *state;

    for (enum kind kind = RING; kind < KINDS; kind++) {
        struct fact_bytes fact = fact_of(kind, right_signer(keys, kind));

        for (size_t bit = 0; bit < 8 * fact.size; bit++) {
            fact.b[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            assert_int_not_equal(parse(kind, keys, fact.b, fact.size), HF_OK);
            fact.b[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
    }
}

static void anothers_signature_fails(void **state)
{
    const struct keys *keys = *state;

    for (enum kind kind = RING; kind < KINDS; kind++) {
        const struct fact_bytes fact = fact_of(kind, keys->stranger);

        assert_int_equal(parse(kind, keys, fact.b, fact.size), HF_WRONG_KEY);
        /* What the authority may say of others, a member may not, and the other way. */
        if (kind == RING) continue;
        {
            const struct fact_bytes swapped =
                fact_of(kind, kind == ANNOUNCEMENT ? keys->authority : keys->member);

            assert_int_equal(parse(kind, keys, swapped.b, swapped.size), HF_WRONG_KEY);
        }
    }
}

/* A signature for one kind is none for another, whoever made it. */
static void kinds_are_not_mistaken(void **state)
{
    const struct keys *keys = *state;

    for (enum kind made = RING; made < KINDS; made++) {
        const struct fact_bytes fact = fact_of(made, keys->authority);

        for (enum kind taken = RING; taken < KINDS; taken++) {
            if (taken == made || taken == ANNOUNCEMENT) continue;
            assert_int_not_equal(parse(taken, keys, fact.b, fact.size), HF_OK);
        }
    }
}

static void bad_fields_are_not_signed(void **state)
{
    const struct keys *keys = *state;
    struct ring_parameters ring = {.name = "x", .version = 1, .successors = 3};
    struct announcement announcement = {.addresses = {"a:1"}, .address_count = 1};
    struct certificate certificate = {
        .name = "a\nb", .positions = 1, .not_before_s = 0, .not_after_s = 1};
    uint8_t bytes[FACT_SIZE_MAX];
    struct hf_err err;
    size_t n;

    assert_int_equal(ring_parameters_sign(&ring, keys->authority, bytes, &n, &err),
                     HF_INVALID);
    ring.successors = 2;
    assert_int_equal(ring_parameters_sign(&ring, keys->authority, bytes, &n, &err), HF_OK);
    ring.k = 5;
    ring.n = 4;
    assert_int_equal(ring_parameters_sign(&ring, keys->authority, bytes, &n, &err),
                     HF_INVALID);
    assert_int_equal(certificate_sign(&certificate, keys->authority, bytes, &n, &err),
                     HF_INVALID);
    assert_int_equal(announcement_sign(&announcement, keys->member, bytes, &n, &err),
                     HF_OK);
    announcement.addresses[0][0] = '\0';
    assert_int_equal(announcement_sign(&announcement, keys->member, bytes, &n, &err),
                     HF_INVALID);
}

/* The largest of each still fits. */
static void maxima_fit(void **state)
{
    const struct keys *keys = *state;
    struct announcement announcement = {.address_count = ANNOUNCEMENT_ADDRESSES,
                                        .seq = UINT64_MAX,
                                        .space_bytes = UINT64_MAX,
                                        .time_s = INT64_MIN};
    struct certificate certificate = {.number = UINT64_MAX,
                                      .serial = UINT64_MAX,
                                      .authority = UINT32_MAX,
                                      .positions = CERTIFICATE_POSITIONS_MAX,
                                      .not_before_s = INT64_MIN,
                                      .not_after_s = INT64_MAX};
    uint8_t bytes[FACT_SIZE_MAX];
    struct hf_err err;
    size_t n;

    memset(announcement.site, 's', SITE_SIZE - 1);
    memset(certificate.name, 'n', NAME_SIZE - 1);
    for (size_t i = 0; i < ANNOUNCEMENT_ADDRESSES; i++) {
        memset(announcement.addresses[i], 'a', ADDRESS_SIZE - 1);
        memcpy(announcement.addresses[i] + ADDRESS_SIZE - 7, ":65535", 7);
    }
    assert_int_equal(announcement_sign(&announcement, keys->member, bytes, &n, &err),
                     HF_OK);
    assert_int_equal(
        announcement_parse(bytes, n, hf_signer_public(keys->member), &announcement, &err),
        HF_OK);
    assert_int_equal(certificate_sign(&certificate, keys->authority, bytes, &n, &err),
                     HF_OK);
    assert_int_equal(
        certificate_parse(bytes, n, hf_signer_public(keys->authority), &certificate, &err),
        HF_OK);
}

static void peek_tells_kind_node_and_version(void **state)
{
    const struct keys *keys = *state;
    static const struct {
        enum kind kind;
        uint32_t type;
        uint64_t version;
    } cases[] = {{CERTIFICATE, HF_TYPE_CERTIFICATE, 3},
                 {REVOCATION, HF_TYPE_REVOCATION, 3},
                 {ANNOUNCEMENT, HF_TYPE_ANNOUNCEMENT, 9}};
    struct fact_bytes fact = fact_of(RING, keys->authority);
    struct fact_peek peek;
    struct hf_id node;

    assert_true(fact_peek(fact.b, fact.size, &peek));
    assert_int_equal(peek.type, HF_TYPE_RING);
    assert_int_equal(peek.version, 1);
    assert_true(hf_id_is_zero(&peek.node));
    world_node(7, &node);
    for (size_t i = 0; i < 3; i++) {
        fact = fact_of(cases[i].kind, keys->stranger);
        assert_true(fact_peek(fact.b, fact.size, &peek));
        assert_int_equal(peek.type, cases[i].type);
        assert_int_equal(peek.version, cases[i].version);
        assert_true(hf_id_equal(&peek.node, &node));
        for (size_t n = 0; n < fact.size; n++)
            assert_false(fact_peek(fact.b, n, &peek));
    }
}

/* The bytes are pinned for ever (Ed25519 is deterministic). */
static void golden_vectors_hold(void **state)
{
    static const char *const names[KINDS] = {"ring.hex", "certificate.hex",
                                             "revocation.hex", "announcement.hex"};
    const struct keys *keys = *state;

    for (enum kind kind = RING; kind < KINDS; kind++) {
        const struct fact_bytes fact = fact_of(kind, right_signer(keys, kind));
        char path[512];
        FILE *f;
        unsigned value;
        size_t n = 0;

        (void)snprintf(path, sizeof path, "%s/tests/vectors/membership_%s", TEST_SOURCE_DIR,
                       names[kind]);
        f = fopen(path, "re");
        assert_non_null(f);
        while (fscanf(f, "%2x", &value) == 1) { /* NOLINT(cert-err34-c): hex pairs */
            assert_true(n < fact.size);
            assert_int_equal(value, fact.b[n++]);
        }
        (void)fclose(f);
        assert_int_equal(n, fact.size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_come_back),
        cmocka_unit_test(every_truncation_fails),
        cmocka_unit_test(every_changed_bit_fails),
        cmocka_unit_test(anothers_signature_fails),
        cmocka_unit_test(kinds_are_not_mistaken),
        cmocka_unit_test(bad_fields_are_not_signed),
        cmocka_unit_test(maxima_fit),
        cmocka_unit_test(peek_tells_kind_node_and_version),
        cmocka_unit_test(golden_vectors_hold),
    };
    return cmocka_run_group_tests_name("membership/facts", tests, keys_make, keys_free);
}

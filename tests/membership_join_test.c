#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "membership/invitations.h"
#include "membership/join.h"
#include "membership/link_frame.h"
#include "membership/steward.h"
#include "membership_world.h"

#include <stdlib.h>
#include <string.h>

/* A steward with its home, made anew for each test. */
struct world {
    char path[64];
    int fd;
    struct authority *authority;
    struct hf_signer *key; /* the steward's */
    struct roster *roster;
    struct invitations *invitations;
    struct steward steward;
};

static int world_make(void **state)
{
    static struct world w;
    struct newcomer newcomer = {.name = "first", .steward = true};
    struct hf_err err;
    struct hf_id node;

    memset(&w, 0, sizeof w);
    world_directory(w.path, &w.fd);
    assert_int_equal(authority_new(&w.authority, &err), HF_OK);
    w.key = world_signer(1);
    w.roster = roster_new(authority_public(w.authority));
    assert_int_equal(invitations_open(hf_files_system(), w.fd, &w.invitations, &err),
                     HF_OK);
    w.steward = (struct steward){.authority = w.authority,
                                 .invitations = w.invitations,
                                 .roster = w.roster,
                                 .key = *hf_signer_public(w.key),
                                 .ring = world_ring(authority_signer(w.authority), "r", 1)};
    newcomer.key = w.steward.key;
    assert_int_equal(steward_certify(&w.steward, &newcomer, WORLD_NOW, &node, &err), HF_OK);
    *state = &w;
    return 0;
}

static int world_done(void **state)
{
    struct world *w = *state;

    invitations_close(w->invitations);
    roster_free(w->roster);
    hf_signer_free(w->key);
    authority_free(w->authority);
    world_remove(w->path, w->fd);
    return 0;
}

static void reopen_invitations(struct world *w)
{
    struct hf_err err;

    invitations_close(w->invitations);
    assert_int_equal(invitations_open(hf_files_system(), w->fd, &w->invitations, &err),
                     HF_OK);
    w->steward.invitations = w->invitations;
}

static struct invitation_code invite(struct world *w, unsigned uses)
{
    const struct invitation_terms terms = {uses, WORLD_NOW, WORLD_NOW + 3600};
    char text[CODE_TEXT_SIZE];
    struct invitation_code code;
    struct hf_err err;

    assert_int_equal(steward_invite(&w->steward, "a:1", &terms, text, &err), HF_OK);
    assert_int_equal(invitation_code_parse(text, &code, &err), HF_OK);
    return code;
}

/* What the steward answers to member `number` with this code at this time. */
static struct join_reply apply(struct world *w, unsigned number,
                               const struct invitation_code *code, int64_t now_s)
{
    struct hf_signer *joiner = world_signer(number);
    struct join_request request = {.key = *hf_signer_public(joiner), .name = "laptop"};
    uint8_t bytes[JOIN_REQUEST_MAX];
    struct hf_writer writer = hf_writer_init(bytes, sizeof bytes);
    struct join_reply reply;

    invitation_prove(code->secret, &request.key, &w->steward.key, &request.proof);
    join_request_put(&writer, &request);
    steward_admit(&w->steward, bytes, hf_writer_size(&writer), &request.key, now_s, &reply);
    hf_signer_free(joiner);
    return reply;
}

static void a_code_admits_one_machine(void **state)
{
    struct world *w = *state;
    const struct invitation_code code = invite(w, 1);
    struct join_reply first = apply(w, 2, &code, WORLD_NOW + 1);
    struct join_reply again;
    struct join_reply other;
    struct certificate certificate;
    struct hf_err err;

    assert_int_equal(first.code, HF_OK);
    assert_int_equal(certificate_parse(first.certificate.b, first.certificate.size,
                                       authority_public(w->authority), &certificate, &err),
                     HF_OK);
    assert_string_equal(certificate.name, "laptop");
    assert_false(certificate.steward);
    assert_int_equal(certificate.not_after_s, WORLD_NOW + 1 + CERTIFICATE_LIFE_S);
    assert_int_equal(roster_count(w->roster), 2);
    /* The answer was lost: the same certificate once more, also after a restart. */
    reopen_invitations(w);
    again = apply(w, 2, &code, WORLD_NOW + 2);
    assert_int_equal(again.code, HF_OK);
    assert_int_equal(again.certificate.size, first.certificate.size);
    assert_memory_equal(again.certificate.b, first.certificate.b, first.certificate.size);
    assert_int_equal(roster_count(w->roster), 2);
    other = apply(w, 3, &code, WORLD_NOW + 3);
    assert_int_equal(other.code, HF_NO_SPACE);
    assert_non_null(strstr(other.text, "used"));
    assert_int_equal(roster_count(w->roster), 2);
}

static void a_code_for_three_admits_three(void **state)
{
    struct world *w = *state;
    const struct invitation_code code = invite(w, 3);

    for (unsigned i = 2; i <= 4; i++) {
        assert_int_equal(apply(w, i, &code, WORLD_NOW + 1).code, HF_OK);
        reopen_invitations(w);
    }
    assert_int_equal(apply(w, 5, &code, WORLD_NOW + 1).code, HF_NO_SPACE);
    assert_int_equal(roster_count(w->roster), 4);
}

static void expired_and_unknown_codes_are_told_apart(void **state)
{
    struct world *w = *state;
    struct invitation_code code = invite(w, 1);
    struct join_reply reply = apply(w, 2, &code, WORLD_NOW + 3601);

    assert_int_equal(reply.code, HF_TIMED_OUT);
    assert_non_null(strstr(reply.text, "expired"));
    code.secret[0] ^= 1;
    reply = apply(w, 2, &code, WORLD_NOW + 1);
    assert_int_equal(reply.code, HF_DENIED);
    assert_int_equal(roster_count(w->roster), 1);
}

/* A proof is good for one joiner towards one steward; the request for one link. */
static void proofs_cannot_be_replayed(void **state)
{
    struct world *w = *state;
    const struct invitation_code code = invite(w, 5);
    struct hf_signer *joiner = world_signer(2);
    struct hf_signer *thief = world_signer(3);
    struct join_request request = {.key = *hf_signer_public(joiner), .name = "x"};
    uint8_t bytes[JOIN_REQUEST_MAX];
    struct hf_writer writer = hf_writer_init(bytes, sizeof bytes);
    struct join_reply reply;

    invitation_prove(code.secret, &request.key, &w->steward.key, &request.proof);
    join_request_put(&writer, &request);
    /* Over the thief's own link. */
    steward_admit(&w->steward, bytes, hf_writer_size(&writer), hf_signer_public(thief),
                  WORLD_NOW, &reply);
    assert_int_equal(reply.code, HF_DENIED);
    /* With the thief's key in it. */
    request.key = *hf_signer_public(thief);
    writer = hf_writer_init(bytes, sizeof bytes);
    join_request_put(&writer, &request);
    steward_admit(&w->steward, bytes, hf_writer_size(&writer), &request.key, WORLD_NOW,
                  &reply);
    assert_int_equal(reply.code, HF_DENIED);
    /* Made for another steward. */
    invitation_prove(code.secret, &request.key, hf_signer_public(joiner), &request.proof);
    writer = hf_writer_init(bytes, sizeof bytes);
    join_request_put(&writer, &request);
    steward_admit(&w->steward, bytes, hf_writer_size(&writer), &request.key, WORLD_NOW,
                  &reply);
    assert_int_equal(reply.code, HF_DENIED);
    assert_int_equal(roster_count(w->roster), 1);
    hf_signer_free(joiner);
    hf_signer_free(thief);
}

static void evicted_machines_need_a_new_code(void **state)
{
    struct world *w = *state;
    const struct invitation_code code = invite(w, 2);
    const struct invitation_code later = invite(w, 1);
    struct certificate certificate;
    struct hf_id old;
    struct hf_err err;
    struct join_reply reply = apply(w, 2, &code, WORLD_NOW);

    assert_int_equal(reply.code, HF_OK);
    assert_int_equal(certificate_parse(reply.certificate.b, reply.certificate.size,
                                       authority_public(w->authority), &certificate, &err),
                     HF_OK);
    old = certificate.id;
    assert_int_equal(steward_renew(&w->steward, &old, WORLD_NOW + 9, &err), HF_OK);
    assert_int_equal(roster_find(w->roster, &old)->certificate.serial, 2);
    assert_int_equal(steward_evict(&w->steward, &old, WORLD_NOW + 10, &err), HF_OK);
    assert_true(roster_find(w->roster, &old)->evicted);
    assert_int_equal(steward_evict(&w->steward, &old, WORLD_NOW + 10, &err), HF_OK);
    assert_int_equal(steward_renew(&w->steward, &old, WORLD_NOW + 11, &err), HF_DENIED);
    assert_int_equal(apply(w, 2, &code, WORLD_NOW + 12).code, HF_DENIED);
    reply = apply(w, 2, &later, WORLD_NOW + 13);
    assert_int_equal(reply.code, HF_OK);
    assert_int_equal(certificate_parse(reply.certificate.b, reply.certificate.size,
                                       authority_public(w->authority), &certificate, &err),
                     HF_OK);
    assert_false(hf_id_equal(&certificate.id, &old)); /* a new place on the ring */
    old.b[0] ^= 1;
    assert_int_equal(steward_evict(&w->steward, &old, WORLD_NOW, &err), HF_NOT_FOUND);
}

static enum hf_code add(struct world *w, unsigned uses, int64_t now_s, int64_t life_s)
{
    const struct invitation_terms terms = {uses, now_s, now_s + life_s};
    uint8_t secret[INVITATION_SECRET_SIZE];
    struct hf_err err;

    return invitations_add(w->invitations, &terms, secret, &err);
}

static void invitations_are_bounded(void **state)
{
    struct world *w = *state;

    assert_int_equal(add(w, 0, WORLD_NOW, 1), HF_INVALID);
    assert_int_equal(add(w, INVITATION_USES_MAX + 1, WORLD_NOW, 1), HF_INVALID);
    assert_int_equal(add(w, 1, WORLD_NOW, 0), HF_INVALID);
    for (size_t i = 0; i < INVITATIONS_MAX; i++)
        assert_int_equal(add(w, INVITATION_USES_MAX, WORLD_NOW, 9), HF_OK);
    assert_int_equal(add(w, 1, WORLD_NOW, 9), HF_NO_SPACE);
    reopen_invitations(w);
    assert_int_equal(add(w, 1, WORLD_NOW, 9), HF_NO_SPACE);
    /* A month later they are forgotten. */
    assert_int_equal(add(w, 1, WORLD_NOW + 2600000, 9), HF_OK);
}

static void damaged_table_is_noticed(void **state)
{
    struct world *w = *state;
    struct invitations *table;
    uint8_t bytes[4096];
    struct hf_err err;
    size_t n;

    (void)invite(w, 2);
    assert_int_equal(hf_file_load(hf_files_system(), w->fd, INVITATIONS_FILE, bytes,
                                  sizeof bytes, &n, &err),
                     HF_OK);
    for (size_t cut = 0; cut < n; cut++) {
        assert_int_equal(hf_file_replace(hf_files_system(), w->fd, INVITATIONS_FILE, bytes,
                                         cut, 0600, &err),
                         HF_OK);
        assert_int_equal(invitations_open(hf_files_system(), w->fd, &table, &err),
                         HF_CORRUPT);
    }
}

/* ---- the messages ---- */

static struct link_hello hello_of(const struct hf_signer *authority, unsigned member)
{
    return (struct link_hello){.ring = world_ring(authority, "r", 1),
                               .certificate = world_certificate(authority, member, 1, "m")};
}

static void hello_is_verified(void **state)
{
    struct world *w = *state;
    const struct hf_signer *authority = authority_signer(w->authority);
    struct hf_signer *stranger = world_signer(99);
    struct hf_signer *member = world_signer(2);
    const struct hf_public_key *key = hf_signer_public(member);
    struct link_hello hello = hello_of(authority, 2);
    struct link_peer peer;
    struct hf_id fingerprint;
    struct hf_err err;

    authority_fingerprint(authority_public(w->authority), &fingerprint);
    assert_int_equal(link_hello_verify(&hello, &fingerprint, key, &peer, &err), HF_OK);
    assert_string_equal(peer.certificate.name, "m");
    assert_int_equal(
        link_hello_verify(&hello, &fingerprint, hf_signer_public(stranger), &peer, &err),
        HF_DENIED);
    hello.certificate = world_certificate(stranger, 2, 1, "m");
    assert_int_equal(link_hello_verify(&hello, &fingerprint, key, &peer, &err), HF_DENIED);
    hello = hello_of(stranger, 2);
    assert_int_equal(link_hello_verify(&hello, &fingerprint, key, &peer, &err),
                     HF_WRONG_KEY);
    hf_signer_free(stranger);
    hf_signer_free(member);
}

typedef enum hf_code parse_fn(const uint8_t *bytes, size_t n);

static enum hf_code parse_hello(const uint8_t *bytes, size_t n)
{
    struct link_hello hello;
    struct hf_err err;

    return link_hello_parse(bytes, n, &hello, &err);
}

static enum hf_code parse_request(const uint8_t *bytes, size_t n)
{
    struct join_request request;
    struct hf_err err;

    return join_request_parse(bytes, n, &request, &err);
}

static enum hf_code parse_reply(const uint8_t *bytes, size_t n)
{
    struct join_reply reply;
    struct hf_err err;

    return join_reply_parse(bytes, n, &reply, &err);
}

static void assert_truncations_fail(parse_fn *parse, uint8_t *bytes, size_t n)
{
    assert_true(n > 0);
    assert_int_equal(parse(bytes, n), HF_OK);
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(parse(bytes, cut), HF_CORRUPT);
    bytes[n] = 0;
    assert_int_equal(parse(bytes, n + 1), HF_CORRUPT);
}

static void every_truncation_fails(void **state)
{
    struct world *w = *state;
    const struct link_hello hello = hello_of(authority_signer(w->authority), 2);
    const struct join_request request = {.name = "x"};
    struct join_reply reply = {.ring = hello.ring, .certificate = hello.certificate};
    uint8_t bytes[LINK_HELLO_MAX + 1];
    struct hf_writer writer = hf_writer_init(bytes, LINK_HELLO_MAX);

    link_hello_put(&writer, &hello);
    assert_truncations_fail(parse_hello, bytes, hf_writer_size(&writer));
    writer = hf_writer_init(bytes, JOIN_REQUEST_MAX);
    join_request_put(&writer, &request);
    assert_truncations_fail(parse_request, bytes, hf_writer_size(&writer));
    writer = hf_writer_init(bytes, JOIN_REPLY_MAX);
    join_reply_put(&writer, &reply);
    assert_truncations_fail(parse_reply, bytes, hf_writer_size(&writer));
    reply.code = HF_DENIED;
    memcpy(reply.text, "no", 3);
    writer = hf_writer_init(bytes, JOIN_REPLY_MAX);
    join_reply_put(&writer, &reply);
    assert_truncations_fail(parse_reply, bytes, hf_writer_size(&writer));
}

static void frames_are_bounded(void **state)
{
    uint8_t sizes[LINK_SIZES_SIZE];
    uint8_t header[16];
    struct hf_writer w = hf_writer_init(header, sizeof header);
    enum link_kind kind;
    const uint8_t *body;
    uint32_t a;
    uint32_t b;
    size_t n;

    (void)state;
    link_sizes_put(sizes, 0x102, LINK_PAYLOAD_MAX);
    assert_int_equal(sizes[2], 1);
    assert_int_equal(sizes[3], 2);
    assert_true(link_sizes_get(sizes, &a, &b));
    assert_int_equal(a, 0x102);
    assert_int_equal(b, LINK_PAYLOAD_MAX);
    link_sizes_put(sizes, LINK_HEADER_MAX, LINK_PAYLOAD_MAX + 1);
    assert_false(link_sizes_get(sizes, &a, &b));
    link_sizes_put(sizes, LINK_HEADER_MAX + 1, 0);
    assert_false(link_sizes_get(sizes, &a, &b));
    link_sizes_put(sizes, 0, 0);
    assert_false(link_sizes_get(sizes, &a, &b));
    link_header_put(&w, LINK_PING);
    hf_put_uint(&w, 500);
    assert_true(link_header_get(header, hf_writer_size(&w), &kind, &body, &n));
    assert_int_equal(kind, LINK_PING);
    assert_int_equal(n, 3);
    header[0] = LINK_REST + 1;
    assert_false(link_header_get(header, 4, &kind, &body, &n));
    header[0] = 0;
    assert_false(link_header_get(header, 4, &kind, &body, &n));
    assert_false(link_header_get(header, 0, &kind, &body, &n));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_make, world_done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_code_admits_one_machine),
        TEST(a_code_for_three_admits_three),
        TEST(expired_and_unknown_codes_are_told_apart),
        TEST(proofs_cannot_be_replayed),
        TEST(evicted_machines_need_a_new_code),
        TEST(invitations_are_bounded),
        TEST(damaged_table_is_noticed),
        TEST(hello_is_verified),
        TEST(every_truncation_fails),
        cmocka_unit_test(frames_are_bounded),
    };
    return cmocka_run_group_tests_name("membership/join", tests, NULL, NULL);
}

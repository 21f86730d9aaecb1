#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "membership/join_client.h"
#include "membership/link_frame.h"
#include "membership/member_home.h"
#include "membership/tls.h"
#include "membership_world.h"

#include <openssl/ssl.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct place {
    char path[64];
    int fd;
    struct hf_home homes[2]; /* of a steward and a joiner */
};

static int place_make(void **state)
{
    static struct place place;
    char path[64];

    world_directory(path, &place.fd);
    memcpy(place.path, path, sizeof path);
    for (int i = 0; i < 2; i++) {
        struct hf_home *home = &place.homes[i];

        (void)snprintf(home->config, HF_PATH_MAX, "%s/%d/config", path, i);
        (void)snprintf(home->state, HF_PATH_MAX, "%s/%d/state", path, i);
        (void)snprintf(home->cache, HF_PATH_MAX, "%s/%d/cache", path, i);
        (void)snprintf(home->run, HF_PATH_MAX, "%s/%d/run", path, i);
    }
    *state = &place;
    return 0;
}

static int place_remove(void **state)
{
    struct place *place = *state;

    world_remove(place->path, place->fd);
    return 0;
}

static const struct member_options options = {.host_name = "first",
                                              .listen = "127.0.0.1:4774",
                                              .space_bytes = 1000,
                                              .site = "cellar",
                                              .now_s = WORLD_NOW};

static const struct ring_wish family = {.name = "family"};
static const struct ring_wish other = {.name = "other"};
static const struct ring_wish nameless = {.name = ""};

static void create(const struct place *place)
{
    char recovery[CODE_TEXT_SIZE];
    struct authority *authority;
    struct hf_err err;

    assert_int_equal(
        member_home_create_ring(&place->homes[0], &family, &options, recovery, &err),
        HF_OK);
    assert_int_equal(authority_from_code(recovery, &authority, &err), HF_OK);
    authority_free(authority);
}

static void a_created_ring_is_loaded(void **state)
{
    const struct place *place = *state;
    struct member_home member;
    const struct roster_member *self;
    struct link_hello hello;
    struct link_peer peer;
    struct hf_id fingerprint;
    struct hf_err err;

    assert_int_equal(member_home_load(&place->homes[0], &member, &err), HF_NOT_FOUND);
    create(place);
    assert_int_equal(member_home_load(&place->homes[0], &member, &err), HF_OK);
    assert_string_equal(member.ring.name, "family");
    assert_int_equal(member.ring.created_s, WORLD_NOW);
    assert_string_equal(member.settings.listen, "127.0.0.1:4774");
    assert_string_equal(member.settings.advertise, "127.0.0.1:4774");
    assert_int_equal(roster_count(member.roster), 1);
    self = roster_find(member.roster, &member.certificate.id);
    assert_non_null(self);
    assert_true(self->certificate.steward);
    assert_true(self->announced);
    assert_string_equal(self->announcement.addresses[0], "127.0.0.1:4774");
    assert_string_equal(self->announcement.site, "cellar");
    assert_int_equal(self->announcement.space_bytes, 1000);
    member_home_hello(&member, &hello);
    authority_fingerprint(&member.ring.authority, &fingerprint);
    assert_int_equal(link_hello_verify(&hello, &fingerprint,
                                       identity_public(member.identity), &peer, &err),
                     HF_OK);
    member_home_close(&member);
}

static void a_second_ring_is_refused(void **state)
{
    const struct place *place = *state;
    char recovery[CODE_TEXT_SIZE];
    struct hf_err err;

    create(place);
    assert_int_equal(
        member_home_create_ring(&place->homes[0], &other, &options, recovery, &err),
        HF_EXISTS);
    assert_non_null(strstr(err.msg, "family"));
    assert_string_equal(recovery, "");
}

static void bad_arguments_make_nothing(void **state)
{
    const struct place *place = *state;
    struct member_options bad = options;
    char recovery[CODE_TEXT_SIZE];
    struct invitation_code code = {.address = "127.0.0.1:1", .expires_s = WORLD_NOW - 1};
    char text[CODE_TEXT_SIZE];
    struct hf_err err;

    bad.listen = "nowhere";
    assert_int_equal(
        member_home_create_ring(&place->homes[1], &family, &bad, recovery, &err),
        HF_INVALID);
    assert_int_equal(
        member_home_create_ring(&place->homes[1], &nameless, &options, recovery, &err),
        HF_INVALID);
    assert_int_equal(member_home_join(&place->homes[1], "hf1-nonsense", &options, &err),
                     HF_WRONG_KEY);
    assert_int_equal(invitation_code_put(&code, text, &err), HF_OK);
    assert_int_equal(member_home_join(&place->homes[1], text, &options, &err),
                     HF_WRONG_KEY);
    assert_non_null(strstr(err.msg, "expired"));
    assert_int_equal(access(place->homes[1].config, F_OK), -1);
}

/* All addresses of a member are announced, in the order given. */
static void several_addresses_are_announced(void **state)
{
    const struct place *place = *state;
    struct member_options several = options;
    const struct announcement *announcement;
    char recovery[CODE_TEXT_SIZE];
    struct member_home member;
    struct hf_err err;

    several.advertise = "first:1, second:2,[::1]:3";
    assert_int_equal(
        member_home_create_ring(&place->homes[0], &family, &several, recovery, &err),
        HF_OK);
    assert_int_equal(member_home_load(&place->homes[0], &member, &err), HF_OK);
    assert_string_equal(member.settings.advertise, several.advertise);
    announcement = &roster_at(member.roster, 0)->announcement;
    assert_int_equal(announcement->address_count, 3);
    assert_string_equal(announcement->addresses[0], "first:1");
    assert_string_equal(announcement->addresses[1], "second:2");
    assert_string_equal(announcement->addresses[2], "[::1]:3");
    member_home_close(&member);
}

static void bad_addresses_make_nothing(void **state)
{
    static const char *const lists[] = {"a:1,", "a:1,b", "a:1,b:2,c:3,d:4,e:5"};
    const struct place *place = *state;
    struct member_options bad = options;
    char recovery[CODE_TEXT_SIZE];
    struct hf_err err;

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        bad.advertise = lists[i];
        assert_int_equal(
            member_home_create_ring(&place->homes[1], &family, &bad, recovery, &err),
            HF_INVALID);
        assert_non_null(strstr(err.msg, lists[i]));
    }
    assert_int_equal(access(place->homes[1].config, F_OK), -1);
}

/* An announcement after a restart goes above what the roster has. */
static void announcements_count_on(void **state)
{
    const struct place *place = *state;
    struct member_home member;
    struct hf_id store;
    struct hf_err err;

    create(place);
    memset(&store, 9, sizeof store);
    assert_int_equal(member_home_load(&place->homes[0], &member, &err), HF_OK);
    assert_int_equal(member_home_announce(&member, &store, WORLD_NOW + 5, &err), HF_OK);
    assert_int_equal(member_home_save(&member, &err), HF_OK);
    member_home_close(&member);
    assert_int_equal(member_home_load(&place->homes[0], &member, &err), HF_OK);
    assert_int_equal(roster_at(member.roster, 0)->announcement.seq, 2);
    assert_int_equal(roster_at(member.roster, 0)->announcement.store.b[0], 9);
    member_home_close(&member);
}

static void a_renewed_certificate_is_kept(void **state)
{
    const struct place *place = *state;
    struct member_home member;
    struct steward steward;
    struct hf_err err;

    create(place);
    assert_int_equal(member_home_load(&place->homes[0], &member, &err), HF_OK);
    assert_int_equal(member_home_steward(&member, &steward, &err), HF_OK);
    assert_int_equal(steward_renew(&steward, &member.certificate.id, WORLD_NOW + 99, &err),
                     HF_OK);
    assert_int_equal(member_home_save(&member, &err), HF_OK);
    member_home_close(&member);
    assert_int_equal(member_home_load(&place->homes[0], &member, &err), HF_OK);
    assert_int_equal(member.certificate.serial, 2);
    assert_int_equal(member.certificate.not_before_s, WORLD_NOW + 99);
    member_home_close(&member);
}

/* A longer list is signed by a steward, and kept by whoever hears of it. */
static void a_longer_list_is_kept(void **state)
{
    const struct place *place = *state;
    struct member_home member;
    struct ring_parameters ring;
    struct hf_err err;
    size_t n;

    create(place);
    assert_int_equal(member_home_load(&place->homes[0], &member, &err), HF_OK);
    assert_int_equal(member.ring.successors, 2);
    assert_int_equal(member_home_lengthen(&member, 4, &err), HF_OK);
    assert_int_equal(member.ring.successors, 2); /* until it is saved */
    assert_int_equal(member_home_save(&member, &err), HF_OK);
    assert_int_equal(member.ring.successors, 4);
    member_home_close(&member);
    assert_int_equal(member_home_load(&place->homes[0], &member, &err), HF_OK);
    assert_int_equal(member.ring.version, 2);
    assert_int_equal(member.ring.successors, 4);
    assert_non_null(roster_ring(member.roster, &n, &ring));
    assert_int_equal(ring.successors, 4);
    authority_free(member.authority);
    member.authority = NULL; /* as on a machine that is no steward */
    assert_int_equal(member_home_lengthen(&member, 8, &err), HF_DENIED);
    member_home_close(&member);
}

static void damaged_homes_are_noticed(void **state)
{
    static const char *const names[] = {"certificate", "settings", "roster"};
    const struct place *place = *state;
    struct member_home member;
    struct hf_err err;
    int fd;

    create(place);
    assert_int_equal(hf_dir_open(place->homes[0].state, &fd, &err), HF_OK);
    for (size_t i = 0; i < 3; i++) {
        uint8_t bytes[4096];
        size_t n;

        assert_int_equal(
            hf_file_load(hf_files_system(), fd, names[i], bytes, sizeof bytes, &n, &err),
            HF_OK);
        bytes[n / 2] ^= 0x80;
        assert_int_equal(
            hf_file_replace(hf_files_system(), fd, names[i], bytes, n, 0600, &err), HF_OK);
        assert_int_not_equal(member_home_load(&place->homes[0], &member, &err), HF_OK);
        assert_int_equal(unlinkat(fd, names[i], 0), 0);
        assert_int_equal(member_home_load(&place->homes[0], &member, &err), HF_CORRUPT);
        assert_non_null(strstr(err.msg, "family"));
        bytes[n / 2] ^= 0x80;
        assert_int_equal(
            hf_file_replace(hf_files_system(), fd, names[i], bytes, n, 0600, &err), HF_OK);
        assert_int_equal(member_home_load(&place->homes[0], &member, &err), HF_OK);
        member_home_close(&member);
    }
    (void)close(fd);
}

/* ---- joining, both sides over a socket pair ---- */

struct server {
    const struct hf_home *home;
    int fd;
    bool of_another_ring; /* its hello is */
    bool not_steward;     /* its certificate says so */
    bool garbage;         /* sends no frame at all */
    bool got_request;
    enum hf_code answered;
    bool announced; /* the joiner's announcement came */
};

static bool frame_write(SSL *ssl, struct hf_writer *header, const uint8_t *payload,
                        size_t n)
{
    uint8_t sizes[LINK_SIZES_SIZE];
    const size_t size = hf_writer_size(header);

    link_sizes_put(sizes, (uint32_t)size, (uint32_t)n);
    return SSL_write(ssl, sizes, sizeof sizes) > 0 &&
           SSL_write(ssl, header->start, (int)size) > 0 &&
           (n == 0 || SSL_write(ssl, payload, (int)n) > 0);
}

static bool read_all(SSL *ssl, uint8_t *bytes, size_t n)
{
    while (n > 0) {
        const int got = SSL_read(ssl, bytes, (int)n);

        if (got <= 0) return false;
        bytes += got;
        n -= (size_t)got;
    }
    return true;
}

static bool frame_read(SSL *ssl, uint8_t *header, uint32_t *header_size, uint8_t *payload,
                       uint32_t *payload_size)
{
    uint8_t sizes[LINK_SIZES_SIZE];

    return read_all(ssl, sizes, sizeof sizes) &&
           link_sizes_get(sizes, header_size, payload_size) && *payload_size <= 65536 &&
           read_all(ssl, header, *header_size) && read_all(ssl, payload, *payload_size);
}

static void serve_join(struct server *server, struct member_home *member, SSL *ssl,
                       uint8_t *header, uint8_t *payload)
{
    struct hf_writer w = hf_writer_init(header, LINK_HEADER_MAX);
    struct hf_public_key key;
    struct steward steward;
    struct link_hello hello;
    struct join_reply reply;
    struct roster_merge merge;
    enum link_kind kind;
    const uint8_t *body;
    struct hf_err err;
    uint32_t header_size;
    uint32_t payload_size;
    size_t cursor = 0;
    size_t n;

    member_home_hello(member, &hello);
    if (server->of_another_ring) {
        struct hf_signer *stranger = world_signer(77);

        hello.ring = world_ring(stranger, "evil", 1);
        hf_signer_free(stranger);
    }
    if (server->not_steward) {
        struct certificate certificate = member->certificate;

        certificate.steward = false;
        if (certificate_sign(&certificate, authority_signer(member->authority),
                             hello.certificate.b, &hello.certificate.size, &err) != HF_OK)
            return;
    }
    link_header_put(&w, LINK_HELLO);
    link_hello_put(&w, &hello);
    if (!frame_write(ssl, &w, NULL, 0) || !tls_peer_key(ssl, &key) ||
        !frame_read(ssl, header, &header_size, payload, &payload_size) ||
        !link_header_get(header, header_size, &kind, &body, &n) ||
        kind != LINK_JOIN_REQUEST || member_home_steward(member, &steward, &err) != HF_OK)
        return;
    server->got_request = true;
    steward_admit(&steward, body, n, &key, WORLD_NOW + 1, &reply);
    server->answered = reply.code;
    if (member_home_save(member, &err) != HF_OK) return;
    w = hf_writer_init(header, LINK_HEADER_MAX);
    link_header_put(&w, LINK_JOIN_REPLY);
    join_reply_put(&w, &reply);
    (void)roster_encode(member->roster, 0, &cursor, payload, 65536, &n);
    if (!frame_write(ssl, &w, payload, reply.code == HF_OK ? n : 0) ||
        !frame_read(ssl, header, &header_size, payload, &payload_size) ||
        !link_header_get(header, header_size, &kind, &body, &n) || kind != LINK_ROSTER)
        return;
    server->announced =
        roster_merge(member->roster, payload, payload_size, &merge, &err) == HF_OK &&
        merge.added == 1 && member_home_save(member, &err) == HF_OK;
}

static void *serve(void *arg)
{
    struct server *server = arg;
    struct member_home member;
    uint8_t *header = malloc(LINK_HEADER_MAX);
    uint8_t *payload = malloc(65536);
    SSL_CTX *context = NULL;
    SSL *ssl = NULL;
    struct hf_err err;

    if (member_home_load(server->home, &member, &err) == HF_OK && header != NULL &&
        payload != NULL &&
        tls_context_new(member.identity, TLS_SERVER, &context, &err) == HF_OK) {
        ssl = SSL_new(context);
        if (ssl != NULL && SSL_set_fd(ssl, server->fd) == 1 && SSL_accept(ssl) == 1) {
            if (server->garbage)
                (void)SSL_write(ssl, "HTTP/1.1 400 Bad Request\r\n", 26);
            else
                serve_join(server, &member, ssl, header, payload);
        }
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    member_home_close(&member);
    free(header);
    free(payload);
    (void)close(server->fd);
    return NULL;
}

static void invite(const struct place *place, char text[static CODE_TEXT_SIZE])
{
    const struct invitation_terms terms = {1, WORLD_NOW, WORLD_NOW + 3600};
    struct member_home member;
    struct steward steward;
    struct hf_err err;

    assert_int_equal(member_home_load(&place->homes[0], &member, &err), HF_OK);
    assert_int_equal(member_home_steward(&member, &steward, &err), HF_OK);
    assert_int_equal(steward_invite(&steward, "127.0.0.1:4774", &terms, text, &err), HF_OK);
    member_home_close(&member);
}

/* Joins homes[1] through a steward that behaves as `server` says. */
static enum hf_code join_through(const struct place *place, struct server *server,
                                 const char *code, struct hf_err *err)
{
    struct member_options second = options;
    pthread_t thread;
    enum hf_code rc;
    int fds[2];

    second.host_name = "second";
    second.listen = "0.0.0.0:5000";
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    server->home = &place->homes[0];
    server->fd = fds[0];
    assert_int_equal(pthread_create(&thread, NULL, serve, server), 0);
    rc = member_home_join_over(&place->homes[1], fds[1], code, &second, err);
    (void)close(fds[1]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return rc;
}

static void a_machine_joins(void **state)
{
    const struct place *place = *state;
    struct server server = {0};
    struct member_home first;
    struct member_home second;
    struct hf_id digests[2];
    char code[CODE_TEXT_SIZE];
    struct steward steward;
    struct hf_err err;

    create(place);
    invite(place, code);
    assert_int_equal(join_through(place, &server, code, &err), HF_OK);
    assert_true(server.got_request);
    assert_true(server.announced);
    assert_int_equal(member_home_load(&place->homes[0], &first, &err), HF_OK);
    assert_int_equal(member_home_load(&place->homes[1], &second, &err), HF_OK);
    assert_int_equal(roster_count(first.roster), 2);
    roster_digest(first.roster, &digests[0]);
    roster_digest(second.roster, &digests[1]);
    assert_true(hf_id_equal(&digests[0], &digests[1]));
    assert_string_equal(second.ring.name, "family");
    assert_string_equal(second.certificate.name, "second");
    /* A wildcard is nobody's address. */
    assert_string_equal(second.settings.advertise, "second:5000");
    assert_string_equal(
        roster_find(first.roster, &second.certificate.id)->announcement.addresses[0],
        "second:5000");
    assert_int_equal(member_home_steward(&second, &steward, &err), HF_DENIED);
    member_home_close(&first);
    member_home_close(&second);
    assert_int_equal(join_through(place, &server, code, &err), HF_EXISTS);
}

/* The joiner's home was lost before it was whole: the same machine, the same place. */
static void joining_again_is_the_same_member(void **state)
{
    const struct place *place = *state;
    struct server server = {0};
    struct member_home member;
    char code[CODE_TEXT_SIZE];
    struct hf_id node;
    struct hf_err err;
    int fd;

    create(place);
    invite(place, code);
    assert_int_equal(join_through(place, &server, code, &err), HF_OK);
    assert_int_equal(member_home_load(&place->homes[1], &member, &err), HF_OK);
    node = member.certificate.id;
    member_home_close(&member);
    assert_int_equal(hf_dir_open(place->homes[1].state, &fd, &err), HF_OK);
    assert_int_equal(unlinkat(fd, "ring", 0), 0);
    (void)close(fd);
    assert_int_equal(member_home_load(&place->homes[1], &member, &err), HF_NOT_FOUND);
    assert_int_equal(join_through(place, &server, code, &err), HF_OK);
    assert_int_equal(member_home_load(&place->homes[1], &member, &err), HF_OK);
    assert_true(hf_id_equal(&node, &member.certificate.id));
    assert_int_equal(roster_find(member.roster, &node)->announcement.seq, 2);
    member_home_close(&member);
    /* Its key gone, it is another machine, and the code is used up. */
    assert_int_equal(hf_dir_open(place->homes[1].state, &fd, &err), HF_OK);
    assert_int_equal(unlinkat(fd, "ring", 0), 0);
    (void)close(fd);
    assert_int_equal(hf_dir_open(place->homes[1].config, &fd, &err), HF_OK);
    assert_int_equal(unlinkat(fd, IDENTITY_FILE, 0), 0);
    (void)close(fd);
    assert_int_equal(join_through(place, &server, code, &err), HF_WRONG_KEY);
    assert_non_null(strstr(err.msg, "used"));
}

/* The proof of the invitation is shown to the right steward only. */
static void an_impostor_learns_nothing(void **state)
{
    const struct place *place = *state;
    struct server evil = {.of_another_ring = true};
    struct server lowly = {.not_steward = true};
    struct server web = {.garbage = true};
    char code[CODE_TEXT_SIZE];
    struct member_home member;
    struct hf_err err;

    create(place);
    invite(place, code);
    assert_int_equal(join_through(place, &evil, code, &err), HF_DENIED);
    assert_false(evil.got_request);
    assert_int_equal(join_through(place, &lowly, code, &err), HF_DENIED);
    assert_false(lowly.got_request);
    assert_int_equal(join_through(place, &web, code, &err), HF_CORRUPT);
    assert_non_null(strstr(err.msg, "not Holdfast"));
    assert_int_equal(member_home_load(&place->homes[1], &member, &err), HF_NOT_FOUND);
}

static void a_wrong_code_is_refused(void **state)
{
    const struct place *place = *state;
    struct server server = {0};
    struct invitation_code code;
    char text[CODE_TEXT_SIZE];
    struct hf_err err;

    create(place);
    invite(place, text);
    assert_int_equal(invitation_code_parse(text, &code, &err), HF_OK);
    code.secret[3] ^= 4;
    assert_int_equal(invitation_code_put(&code, text, &err), HF_OK);
    assert_int_equal(join_through(place, &server, text, &err), HF_WRONG_KEY);
    assert_true(server.got_request);
    assert_int_equal(server.answered, HF_DENIED);
    assert_false(server.announced);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, place_make, place_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_created_ring_is_loaded),
        TEST(a_second_ring_is_refused),
        TEST(bad_arguments_make_nothing),
        TEST(several_addresses_are_announced),
        TEST(bad_addresses_make_nothing),
        TEST(announcements_count_on),
        TEST(a_renewed_certificate_is_kept),
        TEST(a_longer_list_is_kept),
        TEST(damaged_homes_are_noticed),
        TEST(a_machine_joins),
        TEST(joining_again_is_the_same_member),
        TEST(an_impostor_learns_nothing),
        TEST(a_wrong_code_is_refused),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("membership/member_home", tests, NULL, NULL);
}

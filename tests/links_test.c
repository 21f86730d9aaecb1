/* Links between members in one process: over real sockets of the loopback, each with a port
 * that the kernel chose. */
#include "test.h"

#include "daemon/links.h"

#include "membership/authority.h"
#include "membership_world.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES   3u
#define FRAMES  120u /* from each to each */
#define WAIT_MS 60000u

struct node {
    struct member_home member;
    struct links *links;
    struct hf_id id;
    uint64_t key; /* of its payloads */
    unsigned ups, downs, rests, learnt, came, went;
    unsigned frames;
    bool seen[FRAMES];
};

struct world {
    struct loop *loop;
    struct authority *authority;
    struct node nodes[NODES];
};

/* ---- payloads that prove themselves ---- */

static size_t size_of(unsigned number)
{
    static const size_t sizes[] = {0, 1, 100, 16384, 65536, 65537, 300000, 1500000};

    return sizes[number % (sizeof sizes / sizeof sizes[0])];
}

static uint8_t byte_of(unsigned number, size_t at)
{
    return (uint8_t)(number * 31u + at * 7u + at / 251u);
}

static struct hf_buffer *payload_of(unsigned number)
{
    struct hf_buffer *payload;

    if (size_of(number) == 0) return NULL;
    payload = hf_buffer_new(size_of(number));
    assert_non_null(payload);
    for (size_t i = 0; i < payload->size; i++)
        payload->b[i] = byte_of(number, i);
    return payload;
}

/* ---- events ---- */

static bool on_frame(void *arg, const struct hf_id *from, enum link_kind kind,
                     const uint8_t *body, size_t n, struct hf_buffer *payload)
{
    struct node *node = arg;
    struct hf_reader r = hf_reader_init(body, n);
    const unsigned number = (unsigned)hf_get_uint(&r, FRAMES - 1);

    (void)from;
    assert_true(hf_reader_done(&r));
    assert_int_equal(kind, LINK_DHT);
    assert_false(node->seen[number]);
    assert_int_equal(payload == NULL ? 0 : payload->size, size_of(number));
    for (size_t i = 0; payload != NULL && i < payload->size; i++)
        if (payload->b[i] != byte_of(number, i)) fail_msg("frame %u byte %zu", number, i);
    node->seen[number] = true;
    node->frames++;
    return true;
}

static void on_up(void *arg, const struct hf_id *other)
{
    struct node *node = arg;

    (void)other;
    node->ups++;
}

static void on_down(void *arg, const struct hf_id *other)
{
    struct node *node = arg;

    (void)other;
    node->downs++;
}

static void on_rested(void *arg, const struct hf_id *other)
{
    struct node *node = arg;

    (void)other;
    node->rests++;
}

static void on_learnt(void *arg)
{
    struct node *node = arg;

    node->learnt++;
}

static void on_moved(void *arg, const struct hf_id *other, bool came)
{
    struct node *node = arg;

    (void)other;
    if (came)
        node->came++;
    else
        node->went++;
}

static struct hf_buffer *on_join(void *arg, const char *address,
                                 const struct hf_public_key *key, const uint8_t *body,
                                 size_t n, struct join_reply *reply)
{
    (void)arg;
    (void)address;
    (void)key;
    (void)body;
    (void)n;
    (void)reply;
    fail_msg("nobody joins here");
    return NULL;
}

/* ---- the world ---- */

static void take_fact(struct roster *roster, const uint8_t *bytes, size_t n)
{
    struct hf_err err;
    bool news;

    assert_int_equal(roster_add(roster, bytes, n, &news, &err), HF_OK);
}

/* A member with a certificate of the world's authority, known to itself only. */
static void make_member(struct world *world, struct node *node, unsigned number)
{
    struct ring_parameters *ring = &node->member.ring;
    struct certificate *certificate = &node->member.certificate;
    uint8_t seed[HF_SEED_SIZE] = {(uint8_t)(number + 1)};
    struct hf_err err;

    assert_int_equal(identity_from_seed(seed, &node->member.identity, &err), HF_OK);
    *ring = (struct ring_parameters){.name = "test",
                                     .version = 1,
                                     .successors = 2,
                                     .authority = *authority_public(world->authority),
                                     .created_s = WORLD_NOW};
    assert_int_equal(ring_parameters_sign(ring, authority_signer(world->authority),
                                          node->member.ring_bytes.b,
                                          &node->member.ring_bytes.size, &err),
                     HF_OK);
    *certificate = (struct certificate){.key = *identity_public(node->member.identity),
                                        .number = number,
                                        .serial = 1,
                                        .authority = 1,
                                        .positions = 1,
                                        .not_before_s = WORLD_NOW,
                                        .not_after_s = WORLD_NOW + CERTIFICATE_LIFE_S};
    (void)snprintf(certificate->name, sizeof certificate->name, "node%u", number);
    certificate_node_id(&certificate->key, number, &certificate->id);
    assert_int_equal(certificate_sign(certificate, authority_signer(world->authority),
                                      node->member.certificate_bytes.b,
                                      &node->member.certificate_bytes.size, &err),
                     HF_OK);
    node->id = certificate->id;
    node->member.roster = roster_new(&ring->authority);
    assert_non_null(node->member.roster);
    take_fact(node->member.roster, node->member.certificate_bytes.b,
              node->member.certificate_bytes.size);
}

/* `to` learns who `from` is, and that it listens at one of these ports of `host`. */
static void introduce_at(struct node *from, struct node *to, const char *host,
                         const uint16_t *ports, size_t count, uint64_t seq)
{
    struct announcement announcement = {
        .node = from->id, .seq = seq, .address_count = count, .time_s = WORLD_NOW};
    uint8_t bytes[FACT_SIZE_MAX];
    struct hf_err err;
    size_t n;

    for (size_t i = 0; i < count; i++)
        (void)snprintf(announcement.addresses[i], ADDRESS_SIZE, "%s:%u", host, ports[i]);
    assert_int_equal(announcement_sign(&announcement,
                                       identity_signer(from->member.identity), bytes, &n,
                                       &err),
                     HF_OK);
    take_fact(to->member.roster, from->member.certificate_bytes.b,
              from->member.certificate_bytes.size);
    take_fact(to->member.roster, bytes, n);
}

static void introduce(struct node *from, struct node *to, uint16_t port, uint64_t seq)
{
    introduce_at(from, to, "127.0.0.1", &port, 1, seq);
}

/* At *port; when that is 0, at any, which *port then is. */
static void open_links_at(struct world *world, struct node *node, uint16_t *port)
{
    const struct links_events events = {.frame = on_frame,
                                        .up = on_up,
                                        .down = on_down,
                                        .rested = on_rested,
                                        .moved = on_moved,
                                        .learnt = on_learnt,
                                        .join = on_join,
                                        .arg = node};
    char address[ADDRESS_SIZE];
    struct hf_err err;

    assert_int_equal(links_new(world->loop, &node->member, &events, &node->links, &err),
                     HF_OK);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", *port);
    assert_int_equal(links_listen(node->links, address, port, &err), HF_OK);
    assert_int_not_equal(*port, 0);
}

static void open_links(struct world *world, struct node *node, uint16_t *port)
{
    *port = 0;
    open_links_at(world, node, port);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct hf_err err;

    assert_non_null(world);
    world->loop = loop_new();
    assert_non_null(world->loop);
    assert_int_equal(authority_new(&world->authority, &err), HF_OK);
    for (unsigned i = 0; i < NODES; i++)
        make_member(world, &world->nodes[i], i);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;

    for (unsigned i = 0; i < NODES; i++) {
        links_free(world->nodes[i].links);
        roster_free(world->nodes[i].member.roster);
        identity_free(world->nodes[i].member.identity);
    }
    authority_free(world->authority);
    loop_free(world->loop);
    free(world);
    return 0;
}

/* Runs the loop until a condition holds. */
typedef bool condition_fn(const struct world *world);

static void run_until(struct world *world, condition_fn *holds)
{
    const uint64_t end_ms = loop_now_ms() + WAIT_MS;

    while (!holds(world)) {
        if (loop_now_ms() > end_ms) fail_msg("waited too long");
        (void)event_base_loop(loop_base(world->loop), EVLOOP_ONCE);
    }
}

static void send_frame(struct node *from, const struct node *to, unsigned number)
{
    struct hf_buffer *payload = payload_of(number);
    uint8_t body[HF_CBOR_HEAD_MAX];
    struct hf_writer w = hf_writer_init(body, sizeof body);

    hf_put_uint(&w, number);
    if (number % 3 == 0)
        links_send(from->links, &to->id, LINK_DHT, body, hf_writer_size(&w), payload);
    else
        links_send_bulk(from->links, &to->id, LINK_DHT, body, hf_writer_size(&w), payload);
    hf_buffer_unref(payload);
}

static bool all_frames(const struct world *world)
{
    return world->nodes[0].frames == FRAMES && world->nodes[1].frames == FRAMES;
}

static bool both_up(const struct world *world)
{
    return links_is_up(world->nodes[0].links, &world->nodes[1].id) &&
           links_is_up(world->nodes[1].links, &world->nodes[0].id);
}

/* ---- tests ---- */

/* Both connect in the same moment, with all they have to say queued: nothing is lost,
 * nothing comes twice, and no byte is changed. */
static void frames_of_both_arrive_whole(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    struct node *b = &world->nodes[1];
    uint16_t port_a;
    uint16_t port_b;

    open_links(world, a, &port_a);
    open_links(world, b, &port_b);
    introduce(a, b, port_a, 1);
    introduce(b, a, port_b, 1);
    for (unsigned i = 0; i < FRAMES; i++) {
        send_frame(a, b, i);
        send_frame(b, a, i);
    }
    run_until(world, all_frames);
    assert_true(both_up(world));
    assert_int_equal(a->ups, 1);
    assert_int_equal(b->ups, 1);
    assert_int_equal(a->downs, 0);
    assert_int_equal(b->downs, 0);
}

/* ---- limits ---- */

#define LIMIT ((uint64_t)1 << 20) /* bytes a second */

static const unsigned bulky[] = {7, 23, 31, 47}; /* a million and a half each */

static bool one_has_come(const struct world *world)
{
    return world->nodes[1].frames > 0;
}

static bool some_has_gone(const struct world *world)
{
    return links_traffic(world->nodes[0].links).sent > LIMIT * 3 / 2;
}

static bool some_has_come(const struct world *world)
{
    return links_traffic(world->nodes[1].links).received > LIMIT * 5;
}

static bool all_bulk_has_come(const struct world *world)
{
    return world->nodes[1].frames == 1 + sizeof bulky / sizeof bulky[0];
}

/* A quarter of a second may be saved up, and what is read or written at once is over. */
static void check_rate(uint64_t bytes, uint64_t begun_ms)
{
    const uint64_t took_ms = loop_now_ms() - begun_ms;

    assert_true(bytes <= LIMIT * took_ms / 1000 + LIMIT / 4 + ((uint64_t)256 << 10));
}

static void limits_hold_back_bulk_and_nothing_else(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    struct node *b = &world->nodes[1];
    struct links_traffic before;
    uint64_t begun_ms;
    uint16_t port_a;
    uint16_t port_b;

    open_links(world, a, &port_a);
    open_links(world, b, &port_b);
    introduce(a, b, port_a, 1);
    introduce(b, a, port_b, 1);
    links_connect(a->links, &b->id);
    run_until(world, both_up);

    links_limit(a->links, LIMIT, 0);
    before = links_traffic(a->links);
    assert_true(before.upload == LIMIT && before.download == 0);
    begun_ms = loop_now_ms();
    for (size_t i = 0; i < 3; i++)
        send_frame(a, b, bulky[i]);
    send_frame(a, b, 3);
    run_until(world, one_has_come);
    assert_true(b->seen[3]); /* it was the last */
    run_until(world, some_has_gone);
    check_rate(links_traffic(a->links).sent - before.sent, begun_ms);
    assert_true(a->went > 0 && b->came > 0); /* it takes longer than a second */

    links_limit(a->links, 0, 0);
    links_limit(b->links, 0, LIMIT);
    before = links_traffic(b->links);
    begun_ms = loop_now_ms();
    send_frame(a, b, bulky[3]);
    run_until(world, some_has_come);
    check_rate(links_traffic(b->links).received - before.received, begun_ms);
    links_limit(b->links, 0, 0); /* in the middle of a debt */
    run_until(world, all_bulk_has_come);
    assert_int_equal(a->downs + b->downs, 0);
}

static bool a_learnt(const struct world *world)
{
    return world->nodes[0].learnt == 1 && both_up(world);
}

/* A certificate that is not yet on the roster is on it after the hello. */
static void a_valid_certificate_is_news(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    struct node *b = &world->nodes[1];
    uint16_t port_a;

    open_links(world, a, &port_a);
    introduce(a, b, port_a, 1);
    open_links(world, b, &port_a);
    links_connect(b->links, &a->id);
    run_until(world, a_learnt);
    assert_non_null(roster_find(a->member.roster, &b->id));
}

static bool b_gave_up(const struct world *world)
{
    return world->nodes[1].downs > 0;
}

static void evict(struct world *world, const struct hf_id *node, struct roster *roster)
{
    const struct revocation revocation = {
        .node = *node, .serial = UINT64_MAX, .time_s = WORLD_NOW};
    uint8_t bytes[FACT_SIZE_MAX];
    struct hf_err err;
    size_t n;

    assert_int_equal(
        revocation_sign(&revocation, authority_signer(world->authority), bytes, &n, &err),
        HF_OK);
    take_fact(roster, bytes, n);
}

static void an_evicted_member_is_refused(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    struct node *b = &world->nodes[1];
    uint16_t port_a;
    uint16_t port_b;

    open_links(world, a, &port_a);
    open_links(world, b, &port_b);
    introduce(a, b, port_a, 1);
    introduce(b, a, port_b, 1);
    evict(world, &b->id, a->member.roster);
    links_connect(b->links, &a->id);
    run_until(world, b_gave_up);
    assert_false(links_is_up(a->links, &b->id));
    assert_int_equal(a->ups, 0);
}

/* One that is evicted while its link stands loses it. */
static void a_dropped_member_loses_its_link(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    struct node *b = &world->nodes[1];
    uint16_t port_a;
    uint16_t port_b;

    open_links(world, a, &port_a);
    open_links(world, b, &port_b);
    introduce(a, b, port_a, 1);
    introduce(b, a, port_b, 1);
    links_connect(b->links, &a->id);
    run_until(world, both_up);
    evict(world, &b->id, a->member.roster);
    links_drop(a->links, &b->id);
    run_until(world, b_gave_up);
    assert_false(links_is_up(a->links, &b->id));
    assert_int_equal(a->downs, 1);
}

static bool a_up_again(const struct world *world)
{
    return world->nodes[0].downs == 1 && both_up(world);
}

/* A member that comes back at another port is found there. */
static void a_new_address_is_tried(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    struct node *b = &world->nodes[1];
    uint16_t port_a;
    uint16_t port_b;
    uint64_t seq = 1;

    open_links(world, a, &port_a);
    open_links(world, b, &port_b);
    introduce(b, a, port_b, seq);
    links_connect(a->links, &b->id);
    run_until(world, both_up);
    links_free(b->links);
    open_links(world, b, &port_b);
    introduce(b, a, port_b, ++seq);
    while (a->downs == 0)
        (void)event_base_loop(loop_base(world->loop), EVLOOP_ONCE);
    links_readdress(a->links, &b->id);
    links_connect(a->links, &b->id);
    run_until(world, a_up_again);
}

/* ---- several addresses ---- */

#define TWO_RECORDS "two.test" /* leads to 127.0.0.2, and to 127.0.0.1 */

typedef int getaddrinfo_fn(const char *host, const char *service,
                           const struct addrinfo *hints, struct addrinfo **found);

/* In place of libc's, which does the work. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    getaddrinfo_fn *real;
    int failure;

    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (strcmp(host, TWO_RECORDS) != 0) return real(host, service, hints, found);
    failure = real("127.0.0.2", service, hints, found);
    return failure == 0 ? real("127.0.0.1", service, hints, &(*found)->ai_next) : failure;
}

/* Something else that listens, and hangs up on whoever calls. */
struct decoy {
    struct evconnlistener *listener;
    uint16_t port;
    unsigned calls;
};

static void on_call(struct evconnlistener *listener, evutil_socket_t fd,
                    struct sockaddr *address, int size, void *arg)
{
    struct decoy *decoy = arg;

    (void)listener;
    (void)address;
    (void)size;
    decoy->calls++;
    (void)evutil_closesocket(fd);
}

/* At 127.0.0.`host`; port 0: any. */
static void decoy_open(struct world *world, struct decoy *decoy, uint8_t host,
                       uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(0x7f000000u + host)};
    socklen_t size = sizeof address;

    decoy->calls = 0;
    decoy->listener = evconnlistener_new_bind(
        loop_base(world->loop), on_call, decoy, LEV_OPT_CLOSE_ON_FREE, 8,
        (const struct sockaddr *)&address, (int)sizeof address);
    assert_non_null(decoy->listener);
    assert_int_equal(getsockname(evconnlistener_get_fd(decoy->listener),
                                 (struct sockaddr *)&address, &size),
                     0);
    decoy->port = ntohs(address.sin_port);
}

static bool a_lost_b(const struct world *world)
{
    return world->nodes[0].downs == 1;
}

static bool a_lost_b_again(const struct world *world)
{
    return world->nodes[0].downs == 2;
}

static bool a_gave_up(const struct world *world)
{
    return world->nodes[0].downs == 3;
}

/* A member's addresses are tried in turn; from then on the one that worked comes first. */
static void addresses_are_tried_in_turn(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    struct node *b = &world->nodes[1];
    struct decoy decoys[2];
    uint16_t ports[3];
    uint16_t port_a;

    open_links(world, a, &port_a);
    open_links(world, b, &ports[1]);
    decoy_open(world, &decoys[0], 1, 0);
    decoy_open(world, &decoys[1], 1, 0);
    ports[0] = decoys[0].port;
    ports[2] = decoys[1].port;
    introduce_at(b, a, "127.0.0.1", ports, 3, 1);
    links_connect(a->links, &b->id);
    run_until(world, both_up);
    assert_int_equal(decoys[0].calls, 1);
    assert_int_equal(a->downs, 0);
    links_free(b->links);
    open_links_at(world, b, &ports[1]);
    run_until(world, a_lost_b);
    introduce_at(b, a, "127.0.0.1", ports, 3, 2); /* as it does when it starts */
    links_readdress(a->links, &b->id);
    links_connect(a->links, &b->id);
    run_until(world, a_up_again);
    assert_int_equal(decoys[0].calls, 1);
    links_free(b->links);
    b->links = NULL;
    run_until(world, a_lost_b_again);
    links_connect(a->links, &b->id);
    run_until(world, a_gave_up); /* after all three */
    assert_int_equal(decoys[0].calls, 2);
    assert_int_equal(decoys[1].calls, 1);
    evconnlistener_free(decoys[0].listener);
    evconnlistener_free(decoys[1].listener);
}

/* A home whose IPv6 leads nowhere is reached by IPv4; and from then on at once. */
static void records_of_a_name_are_tried_in_turn(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    struct node *b = &world->nodes[1];
    struct decoy decoy;
    uint16_t port_a;
    uint16_t port_b;

    open_links(world, a, &port_a);
    open_links(world, b, &port_b);
    decoy_open(world, &decoy, 2, port_b);
    introduce_at(b, a, TWO_RECORDS, &port_b, 1, 1);
    links_connect(a->links, &b->id);
    run_until(world, both_up);
    assert_int_equal(decoy.calls, 1);
    assert_int_equal(a->downs, 0);
    links_free(b->links);
    open_links_at(world, b, &port_b);
    run_until(world, a_lost_b);
    links_connect(a->links, &b->id);
    run_until(world, a_up_again);
    assert_int_equal(decoy.calls, 1);
    links_free(b->links);
    b->links = NULL;
    run_until(world, a_lost_b_again);
    links_connect(a->links, &b->id);
    run_until(world, a_gave_up); /* after both */
    assert_int_equal(decoy.calls, 2);
    evconnlistener_free(decoy.listener);
}

/* ---- too many ---- */

static bool a_has_both(const struct world *world)
{
    return links_is_up(world->nodes[0].links, &world->nodes[1].id) &&
           links_is_up(world->nodes[0].links, &world->nodes[2].id);
}

static bool c_has_heard(const struct world *world)
{
    return world->nodes[2].seen[1];
}

static bool b_rests(const struct world *world)
{
    return world->nodes[0].rests == 1 && world->nodes[1].rests == 1;
}

static bool b_has_heard(const struct world *world)
{
    return world->nodes[1].seen[2];
}

static bool c_rests(const struct world *world)
{
    return world->nodes[2].rests == 1;
}

/* Whoever has too many links puts that aside which was used least lately.  Nobody is taken
 * for gone, and the next frame opens a link again. */
static void the_link_least_needed_is_put_aside(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    struct node *b = &world->nodes[1];
    struct node *c = &world->nodes[2];
    uint16_t ports[NODES];
    uint64_t then_ms;

    for (size_t i = 0; i < NODES; i++)
        open_links(world, &world->nodes[i], &ports[i]);
    for (size_t i = 1; i < NODES; i++) {
        introduce(a, &world->nodes[i], ports[0], 1);
        introduce(&world->nodes[i], a, ports[i], 1);
        links_connect(a->links, &world->nodes[i].id);
    }
    run_until(world, a_has_both);
    then_ms = loop_now_ms();
    while (loop_now_ms() == then_ms)
        (void)event_base_loop(loop_base(world->loop), EVLOOP_ONCE | EVLOOP_NONBLOCK);
    send_frame(a, c, 1);
    run_until(world, c_has_heard);
    assert_int_equal(a->rests, 0);
    links_keep(a->links, 1);
    run_until(world, b_rests);
    assert_true(links_is_up(a->links, &c->id));
    send_frame(a, b, 2);
    run_until(world, b_has_heard);
    run_until(world, c_rests);
    assert_true(links_is_up(a->links, &b->id));
    assert_int_equal(a->downs + b->downs + c->downs, 0);
}

/* While paused nothing is read, and nothing is lost. */
static void a_pause_loses_nothing(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    struct node *b = &world->nodes[1];
    uint16_t port_a;
    uint16_t port_b;

    open_links(world, a, &port_a);
    open_links(world, b, &port_b);
    introduce(a, b, port_a, 1);
    introduce(b, a, port_b, 1);
    links_connect(a->links, &b->id);
    run_until(world, both_up);
    links_pause(a->links, true);
    for (unsigned i = 0; i < FRAMES; i++) {
        send_frame(a, b, i);
        send_frame(b, a, i);
    }
    while (b->frames < FRAMES)
        (void)event_base_loop(loop_base(world->loop), EVLOOP_ONCE);
    assert_int_equal(a->frames, 0);
    links_pause(a->links, false);
    run_until(world, all_frames);
}

static void a_bad_address_is_no_place_to_listen(void **state)
{
    static const char *const bad[] = {"", "nonsense", "127.0.0.1", "127.0.0.1:70000",
                                      "203.0.113.7:4774"};
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    const struct links_events events = {.arg = a};
    struct hf_err err;
    uint16_t port;

    assert_int_equal(links_new(world->loop, &a->member, &events, &a->links, &err), HF_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_not_equal(links_listen(a->links, bad[i], &port, &err), HF_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frames_of_both_arrive_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_hold_back_bulk_and_nothing_else, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_valid_certificate_is_news, setup, teardown),
        cmocka_unit_test_setup_teardown(an_evicted_member_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_dropped_member_loses_its_link, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_address_is_tried, setup, teardown),
        cmocka_unit_test_setup_teardown(addresses_are_tried_in_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(records_of_a_name_are_tried_in_turn, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_link_least_needed_is_put_aside, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_pause_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_address_is_no_place_to_listen, setup,
                                        teardown),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as holdfastd does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}

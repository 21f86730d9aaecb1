/* The ring store against a daemon of the test's own that answers GET as it is told: right,
 * with parity, or with what belongs to another vault or block.  (The store with a real
 * daemon: local_server_test and the ring tests.) */
#include "test.h"

#include "base/tree_hash.h"
#include "blockstore/local_protocol.h"
#include "blockstore/ring_store.h"
#include "erasure/code.h"
#include "erasure/manifest.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BLOCK ((size_t)BLOCK_SIZE_MIN)
#define K     2u
#define N     4u

enum answer {
    RIGHT,
    PARITY,
    OTHER_VAULT,
    OTHER_BLOCK,
    TWICE_THE_SAME,
    ONE_PIECE,
    NO_CBOR,
    CLOSED
};

struct fixture {
    char *dir;
    int listener;
    pthread_t thread;
    _Atomic enum answer answer; /* the test chooses, the server obeys */
    struct hf_signer *owner, *stranger;
    struct block_owner names;
    uint8_t block[BLOCK], other[BLOCK];
    struct hf_id id;
};

/* One answer to a GET: a coded block with its manifest. */
struct coded {
    uint8_t manifest[MANIFEST_SIZE_MAX];
    size_t manifest_size;
    uint8_t fragments[N][BLOCK / K];
    size_t fragment_size;
};

static void code_block(struct coded *out, const uint8_t *block,
                       const struct hf_signer *signer)
{
    struct coder *coder = coder_new();
    struct hf_id leaves[HF_LEAVES_MAX];
    const uint8_t *fragments[CODE_FRAGMENTS_MAX];
    struct manifest manifest = {.generation = 1};
    struct hf_writer w = hf_writer_init(out->manifest, sizeof out->manifest);
    struct code_shape shape;
    struct hf_err err;
    uint8_t *work;

    assert_int_equal(code_shape_init(&shape, BLOCK, K, N, &err), HF_OK);
    work = malloc(code_work_size(&shape));
    (void)hf_leaf_hashes(block, BLOCK, leaves);
    assert_int_equal(coder_encode(coder, &shape, block, work, fragments, &err), HF_OK);
    manifest_build(&manifest, &shape, leaves, fragments);
    assert_int_equal(manifest_encode(&w, &manifest, signer, &err), HF_OK);
    out->manifest_size = hf_writer_size(&w);
    out->fragment_size = shape.fragment_size;
    for (size_t i = 0; i < N; i++)
        memcpy(out->fragments[i], fragments[i], shape.fragment_size);
    free(work);
    coder_free(coder);
}

static bool read_all(int fd, void *buf, size_t n)
{
    return recv(fd, buf, n, MSG_WAITALL) == (ssize_t)n;
}

static void send_reply(int fd, const struct local_reply *reply)
{
    uint8_t header[4 + LOCAL_HEADER_MAX];
    struct hf_writer w = hf_writer_init(header + 4, LOCAL_HEADER_MAX);
    size_t n;

    local_reply_put(&w, reply);
    n = hf_writer_size(&w);
    for (unsigned i = 0; i < 4; i++)
        header[i] = (uint8_t)(n >> (24 - 8 * i));
    (void)send(fd, header, 4 + n, MSG_NOSIGNAL);
}

static void answer_get(struct fixture *f, int fd)
{
    static const uint8_t no_cbor[] = {0, 0, 0, 2, 0xff, 0xff};
    struct coded *coded = calloc(1, sizeof *coded);
    struct local_reply reply = {.number_count = K, .part_count = 1 + K};
    bool other = f->answer == OTHER_BLOCK;

    code_block(coded, other ? f->other : f->block,
               f->answer == OTHER_VAULT ? f->stranger : f->owner);
    reply.numbers[0] = f->answer == PARITY ? 3 : 1;
    reply.numbers[1] = f->answer == TWICE_THE_SAME ? 1 : f->answer == PARITY ? 2 : 0;
    if (f->answer == ONE_PIECE) reply.number_count = reply.part_count = 1;
    reply.sizes[0] = (uint32_t)coded->manifest_size;
    for (size_t i = 0; i < K; i++)
        reply.sizes[1 + i] = (uint32_t)coded->fragment_size;
    if (f->answer == NO_CBOR) {
        (void)send(fd, no_cbor, sizeof no_cbor, MSG_NOSIGNAL);
    } else if (f->answer != CLOSED) {
        send_reply(fd, &reply);
        (void)send(fd, coded->manifest, coded->manifest_size, MSG_NOSIGNAL);
        for (size_t i = 0; i + 1 < reply.part_count; i++)
            (void)send(fd, coded->fragments[reply.numbers[i]], coded->fragment_size,
                       MSG_NOSIGNAL);
    }
    free(coded);
}

/* Serves one connection after another until the listener is shut down. */
static void *serve(void *arg)
{
    struct fixture *f = arg;
    int fd;

    while ((fd = accept(f->listener, NULL, NULL)) >= 0) {
        uint8_t header[LOCAL_HEADER_MAX];
        uint8_t size[4];
        bool more = true;

        while (more && read_all(fd, size, sizeof size)) {
            size_t n = (size_t)size[2] << 8 | size[3];
            struct local_request request;
            struct hf_err err;

            if (!read_all(fd, header, n) ||
                local_request_parse(header, n, &request, &err) != HF_OK)
                break;
            if (request.kind == LOCAL_INFO) {
                const struct local_reply info = {.number_count = 2, .numbers = {K, N}};

                send_reply(fd, &info);
            } else {
                answer_get(f, fd);
                more = f->answer <= PARITY; /* after nonsense the client hangs up anyway */
            }
        }
        (void)close(fd);
    }
    return NULL;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    static const uint8_t seeds[2][HF_SEED_SIZE] = {{1}, {2}};
    uint64_t seed = 4;
    struct hf_id leaves[HF_LEAVES_MAX];

    f->dir = test_dir_new();
    f->owner = hf_signer_new(seeds[0]);
    f->stranger = hf_signer_new(seeds[1]);
    hf_public_key_id(hf_signer_public(f->owner), &f->names.vault);
    test_random_bytes(&seed, f->block, BLOCK);
    test_random_bytes(&seed, f->other, BLOCK);
    hf_tree_root(leaves, hf_leaf_hashes(f->block, BLOCK, leaves), &f->id);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/" LOCAL_SOCKET, f->dir);
    f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(f->listener, 8), 0);
    assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    (void)shutdown(f->listener, SHUT_RDWR);
    (void)pthread_join(f->thread, NULL);
    (void)close(f->listener);
    hf_signer_free(f->owner);
    hf_signer_free(f->stranger);
    test_dir_remove(f->dir);
    free(f);
    return 0;
}

static enum hf_code get(struct fixture *f, enum answer answer, uint8_t *buf)
{
    struct block_store *store;
    struct hf_err err;
    enum hf_code rc;

    f->answer = answer;
    assert_int_equal(ring_store_open(f->dir, &f->names, NULL, &store, &err), HF_OK);
    rc = block_store_get(store, &f->id, 0, BLOCK, buf, &err);
    block_store_close(store);
    return rc;
}

static void what_is_right_comes_back(void **state)
{
    struct fixture *f = *state;
    uint8_t *buf = malloc(BLOCK);

    assert_int_equal(get(f, RIGHT, buf), HF_OK);
    assert_memory_equal(buf, f->block, BLOCK);
    memset(buf, 0, BLOCK);
    assert_int_equal(get(f, PARITY, buf), HF_OK);
    assert_memory_equal(buf, f->block, BLOCK);
    free(buf);
}

static void what_is_not_ours_is_refused(void **state)
{
    static const enum answer wrong[] = {OTHER_VAULT, OTHER_BLOCK, TWICE_THE_SAME, ONE_PIECE,
                                        NO_CBOR};
    struct fixture *f = *state;
    uint8_t *buf = malloc(BLOCK);

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(get(f, wrong[i], buf), HF_CORRUPT);
    assert_int_equal(get(f, CLOSED, buf), HF_IO);
    free(buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_right_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_ours_is_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

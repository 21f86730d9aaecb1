#include "daemon_block.h"

#include "base/file.h"
#include "base/log.h"
#include "test.h"

#include "base/tree_hash.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void test_owner_init(struct test_owner *owner, uint8_t seed)
{
    uint8_t bytes[HF_SEED_SIZE] = {seed};

    *owner = (struct test_owner){0};
    owner->signer = hf_signer_new(bytes);
    owner->coder = coder_new();
    assert_true(owner->signer != NULL && owner->coder != NULL);
    hf_public_key_id(hf_signer_public(owner->signer), &owner->vault);
}

void test_owner_done(struct test_owner *owner)
{
    hf_signer_free(owner->signer);
    coder_free(owner->coder);
}

struct test_block *test_block_new(const struct test_owner *owner, uint64_t content,
                                  size_t size, uint32_t k, uint32_t n, uint32_t generation)
{
    struct test_block *b = calloc(1, sizeof *b);
    const uint8_t *views[CODE_FRAGMENTS_MAX];
    struct hf_id leaves[HF_LEAVES_MAX];
    uint64_t seed = content * 2 + 1;
    struct code_shape shape;
    struct hf_writer w;
    struct hf_err err;
    uint8_t *work;

    assert_non_null(b);
    b->size = size;
    b->bytes = malloc(size);
    assert_non_null(b->bytes);
    test_random_bytes(&seed, b->bytes, size);
    assert_int_equal(code_shape_init(&shape, size, k, n, &err), HF_OK);
    work = malloc(code_work_size(&shape) + 1);
    assert_non_null(work);
    assert_int_equal(coder_encode(owner->coder, &shape, b->bytes, work, views, &err),
                     HF_OK);
    (void)hf_leaf_hashes(b->bytes, size, leaves);
    b->manifest =
        (struct manifest){.generation = generation, .seq = 1, .source = owner->source};
    manifest_build(&b->manifest, &shape, leaves, views);
    b->manifest_bytes = hf_buffer_new(MANIFEST_SIZE_MAX);
    assert_non_null(b->manifest_bytes);
    w = hf_writer_init(b->manifest_bytes->b, MANIFEST_SIZE_MAX);
    assert_int_equal(manifest_encode(&w, &b->manifest, owner->signer, &err), HF_OK);
    b->manifest_bytes->size = hf_writer_size(&w);
    for (uint32_t i = 0; i < n; i++) {
        b->fragments[i] = hf_buffer_new(shape.fragment_size);
        assert_non_null(b->fragments[i]);
        memcpy(b->fragments[i]->b, views[i], shape.fragment_size);
    }
    free(work);
    return b;
}

void test_block_free(struct test_block *block)
{
    for (uint32_t i = 0; i < CODE_FRAGMENTS_MAX; i++)
        hf_buffer_unref(block->fragments[i]);
    hf_buffer_unref(block->manifest_bytes);
    free(block->bytes);
    free(block);
}

struct dht_item test_block_item(const struct test_block *block, uint32_t index)
{
    return (struct dht_item){.kind = DHT_ITEM_FRAGMENT,
                             .vault = block->manifest.vault,
                             .block = block->manifest.block,
                             .generation = block->manifest.generation,
                             .index = index,
                             .manifest = block->manifest_bytes,
                             .payload = block->fragments[index]};
}

struct hf_buffer *test_record(const struct test_owner *owner, uint8_t host, uint64_t seq,
                              uint8_t payload)
{
    struct hf_record record = {.owner = *hf_signer_public(owner->signer),
                               .vault = owner->vault,
                               .host = {{host}},
                               .incarnation = 1,
                               .seq = seq,
                               .payload = {payload},
                               .payload_size = 1};
    struct hf_buffer *bytes = hf_buffer_new(HF_RECORD_MAX);
    struct hf_writer w;
    struct hf_err err;

    assert_non_null(bytes);
    w = hf_writer_init(bytes->b, HF_RECORD_MAX);
    assert_int_equal(hf_record_put(&w, &record, owner->signer, &err), HF_OK);
    bytes->size = hf_writer_size(&w);
    return bytes;
}

static size_t alter_file(int fd, const uint8_t *bytes, size_t n)
{
    off_t size = lseek(fd, 0, SEEK_END);
    size_t found = 0;
    uint8_t *map, *at;

    if (size <= 0) return 0;
    map = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED);
    at = map;
    while ((at = memmem(at, (size_t)(map + size - at), bytes, n)) != NULL) {
        at[n / 2] ^= 4;
        at += n;
        found++;
    }
    assert_int_equal(munmap(map, (size_t)size), 0);
    return found;
}

size_t test_alter(const char *dir, const uint8_t *bytes, size_t n)
{
    char path[1024];
    struct dirent *entry;
    size_t found = 0;
    DIR *d;

    (void)snprintf(path, sizeof path, "%s/segments", dir);
    d = opendir(path);
    assert_non_null(d);
    while ((entry = readdir(d)) != NULL) {
        int fd;

        if (entry->d_name[0] == '.') continue;
        fd = openat(dirfd(d), entry->d_name, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        found += alter_file(fd, bytes, n);
        (void)close(fd);
    }
    (void)closedir(d);
    return found;
}

static int log_fd = -1;

void test_log_capture(void)
{
    if (log_fd < 0) {
        log_fd = memfd_create("log", MFD_CLOEXEC);
        assert_true(log_fd >= 0);
        hf_log_open(HF_LOG_INFO, log_fd, 0);
    }
    assert_int_equal(ftruncate(log_fd, 0), 0);
    (void)lseek(log_fd, 0, SEEK_SET);
}

size_t test_log_lines(const char *a, const char *b)
{
    off_t size = lseek(log_fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1), *rest = text, *line;
    size_t count = 0;

    assert_non_null(text);
    assert_int_equal(pread(log_fd, text, (size_t)size, 0), size);
    while ((line = strsep(&rest, "\n")) != NULL)
        count += strstr(line, a) != NULL && strstr(line, b) != NULL;
    free(text);
    return count;
}

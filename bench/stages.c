/* stages: how fast each stage of a backup is alone, on one core.
 *
 * Usage: stages FILE...   reads the files (up to 256 MiB) into memory, then runs every
 * stage over them and prints MB of source per second. */
#include "base/aead.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/tree_hash.h"
#include "erasure/code.h"
#include "erasure/manifest.h"
#include "snapshot/chunker.h"
#include "snapshot/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DATA_MAX ((size_t)256 << 20)
#define BLOCK    CODE_BLOCK_SIZE_MAX

static uint8_t *data;
static size_t data_size;

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void report(const char *stage, double started, size_t bytes, size_t out)
{
    double s = seconds() - started;

    (void)printf("%-34s %8.0f MB/s", stage, (double)bytes / s / 1e6);
    if (out > 0) (void)printf("   ratio %.2f", (double)bytes / (double)out);
    (void)putchar('\n');
}

static void load(int count, char **paths)
{
    data = malloc(DATA_MAX);
    if (data == NULL) exit(1);
    for (int i = 0; i < count && data_size < DATA_MAX; i++) {
        FILE *f = fopen(paths[i], "rbe");

        if (f == NULL) continue;
        data_size += fread(data + data_size, 1, DATA_MAX - data_size, f);
        (void)fclose(f);
    }
}

static void run_chunker(void)
{
    static const uint8_t key[32] = {1};
    struct chunker *c = malloc(sizeof *c);
    double started;
    size_t count = 0;

    if (c == NULL) return;
    chunker_init(c, key);
    started = seconds();
    for (size_t at = 0; at < data_size; count++)
        at += chunker_cut(c, data + at, data_size - at);
    report("cut (FastCDC)", started, data_size, 0);
    (void)printf("%-34s %8zu KiB mean\n", "  chunks",
                 data_size / (count == 0 ? 1 : count) / 1024);
    free(c);
}

static void run_hashes(void)
{
    struct hf_id id;
    double started = seconds();

    hf_sha256(data, data_size, &id);
    report("SHA-256, one lane", started, data_size, 0);
    started = seconds();
    for (size_t at = 0; at + CHUNK_SIZE_MEAN <= data_size; at += CHUNK_SIZE_MEAN)
        hf_tree_hash(data + at, CHUNK_SIZE_MEAN, &id);
    report("chunk id (tree hash)", started, data_size / CHUNK_SIZE_MEAN * CHUNK_SIZE_MEAN,
           0);
    started = seconds();
    for (size_t at = 0; at + BLOCK <= data_size; at += BLOCK)
        hf_tree_hash(data + at, BLOCK, &id);
    report("block id (tree hash)", started, data_size / BLOCK * BLOCK, 0);
}

static void run_frames(int level, const char *name)
{
    static const uint8_t kdf[32] = {2};
    struct framer *framer = framer_new();
    uint8_t *sealed = malloc(FRAME_SEALED_MAX);
    uint8_t *plain = malloc(FRAME_PLAIN_MAX);
    uint8_t(*keys)[32] = calloc(data_size / FRAME_SHARED_SIZE + 1, sizeof *keys);
    char title[64];
    double started;
    double opening = 0;
    size_t out = 0;
    struct hf_err err;

    if (framer == NULL || sealed == NULL || plain == NULL || keys == NULL) exit(1);
    started = seconds();
    for (size_t at = 0, i = 0; at + FRAME_SHARED_SIZE <= data_size;
         at += FRAME_SHARED_SIZE, i++) {
        uint32_t size = FRAME_SHARED_SIZE;
        struct hf_id id = {{0}};
        struct frame_input in = {.role = FRAME_DATA,
                                 .level = level,
                                 .plain = data + at,
                                 .plain_size = size,
                                 .chunk_ids = &id,
                                 .chunk_count = 1};
        size_t n;
        size_t got;
        double t;

        if (frame_seal(framer, kdf, &in, sealed, &n, keys[i], &err) != HF_OK) exit(1);
        out += n;
        t = seconds();
        if (frame_open(framer, FRAME_DATA, keys[i], sealed, n, plain, &got, &err) != HF_OK)
            exit(1);
        opening += seconds() - t;
    }
    (void)snprintf(title, sizeof title, "compress and seal, %s", name);
    report(title, started + opening, data_size, out);
    (void)printf("%-34s %8.0f MB/s\n", "  open and decompress",
                 (double)data_size / opening / 1e6);
    framer_free(framer);
    free(sealed);
    free(plain);
    free(keys);
}

static void run_coding(uint32_t k, uint32_t n)
{
    struct coder *coder = coder_new();
    const uint8_t *fragments[CODE_FRAGMENTS_MAX];
    struct code_piece pieces[CODE_FRAGMENTS_MAX];
    struct code_shape shape;
    struct hf_err err;
    uint8_t *work;
    uint8_t *block = malloc(BLOCK);
    char title[64];
    double started;

    if (coder == NULL || block == NULL ||
        code_shape_init(&shape, BLOCK, k, n, &err) != HF_OK)
        exit(1);
    work = malloc(code_work_size(&shape));
    if (work == NULL) exit(1);
    memset(work, 0, code_work_size(&shape));
    started = seconds();
    for (size_t at = 0; at + BLOCK <= data_size; at += BLOCK) {
        if (coder_encode(coder, &shape, data + at, work, fragments, &err) != HF_OK) {
            (void)fprintf(stderr, "stages: %s\n", err.msg);
            exit(1);
        }
    }
    (void)snprintf(title, sizeof title, "code %u of %u", k, n);
    report(title, started, data_size / BLOCK * BLOCK, 0);
    for (uint32_t i = 0; i < k; i++)
        pieces[i] = (struct code_piece){fragments[n - 1 - i], n - 1 - i};
    started = seconds();
    for (size_t at = 0; at + BLOCK <= data_size; at += BLOCK) {
        if (coder_decode(coder, &shape, pieces, block, &err) != HF_OK) exit(1);
    }
    report("  decode from parity", started, data_size / BLOCK * BLOCK, 0);
    coder_free(coder);
    free(work);
    free(block);
}

int main(int argc, char **argv)
{
    load(argc - 1, argv + 1);
    if (data_size < BLOCK) {
        (void)fprintf(stderr, "usage: stages FILE...   (4 MiB at least)\n");
        return 2;
    }
    (void)printf("%.0f MB in memory, one core\n", (double)data_size / 1e6);
    run_chunker();
    run_hashes();
    run_frames(1, "level 1");
    run_frames(3, "level 3 (default)");
    run_frames(0, "no compression");
    run_coding(2, 4);
    run_coding(7, 14);
    free(data);
    return 0;
}

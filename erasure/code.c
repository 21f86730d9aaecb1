#include "erasure/code.h"

#include "base/alloc.h"
#include "base/tree_hash.h"

#include <erasurecode.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

/* All work is done in strips of so many bytes of each fragment: the library's copies of one
 * strip of 14 fragments stay below the size from which glibc gives memory back to the
 * kernel at every free (twice as fast for 7 of 14).  So the headers that it puts before a
 * payload are always the same for one (k, n), too. */
#define STRIP_BYTES ((size_t)8 * 1024)
#define HEADER_SIZE sizeof(fragment_header_t)
#define STRIP_SIZE  (HEADER_SIZE + STRIP_BYTES)

/* The library copies fragments that do not begin on such a boundary. */
_Static_assert(HEADER_SIZE % 16 == 0 && HF_LEAF_SIZE % STRIP_BYTES == 0,
               "strips are aligned");

struct instance {
    int descriptor;
    uint8_t headers[CODE_FRAGMENTS_MAX][sizeof(fragment_header_t)];
};

struct coder {
    struct instance *instances[CODE_FRAGMENTS_MAX + 1][CODE_FRAGMENTS_MAX + 1]; /* [k][n] */
};

#if defined(__x86_64__) || defined(__i386__)
__attribute__((target("avx"))) static void zero_upper(void)
{
    _mm256_zeroupper();
}

/* ISA-L returns with the upper halves of the vector registers in use, which slows down
 * the SSE code that comes after it (SHA-256 by a quarter). */
static void leave_library(void)
{
    if (__builtin_cpu_supports("avx")) zero_upper();
}
#else
static void leave_library(void) {}
#endif

static enum hf_code library_failed(int rc, const char *what, struct hf_err *err)
{
    if (rc == -EBACKENDNOTAVAIL)
        return hf_fail(
            err, HF_UNAVAILABLE,
            "erasure code: backend isa_l_rs_cauchy is missing; install libisal2");
    if (rc == -ENOMEM) return hf_fail(err, HF_NO_MEMORY, "erasure code: %s", what);
    return hf_fail(err, HF_INVALID, "erasure code: %s: liberasurecode error %d", what, rc);
}

enum hf_code code_shape_init(struct code_shape *shape, size_t block_size, uint32_t k,
                             uint32_t n, struct hf_err *err)
{
    size_t leaves = block_size / HF_LEAF_SIZE;

    if (leaves == 0 || block_size > CODE_BLOCK_SIZE_MAX || block_size % HF_LEAF_SIZE != 0)
        return hf_fail(err, HF_INVALID, "erasure code: a block of %zu bytes", block_size);
    if (k < 1 || k > n || n > CODE_FRAGMENTS_MAX || (n == k && k > 1))
        return hf_fail(err, HF_INVALID, "erasure code: %u of %u", k, n);
    if (k > leaves) k = (uint32_t)leaves;
    *shape = (struct code_shape){
        .block_size = block_size,
        .fragment_size = (leaves + k - 1) / k * HF_LEAF_SIZE,
        .k = k,
        .n = n,
    };
    return HF_OK;
}

/* Data fragments that are slices of the block as they are. */
static uint32_t whole_fragments(const struct code_shape *shape)
{
    return (uint32_t)(shape->block_size / shape->fragment_size);
}

size_t code_work_size(const struct code_shape *shape)
{
    return shape->k == 1 ? 0 : (shape->n - whole_fragments(shape)) * shape->fragment_size;
}

struct coder *coder_new(void)
{
    return hf_alloc_array(1, sizeof(struct coder));
}

static void instance_free(struct instance *instance)
{
    (void)liberasurecode_instance_destroy(instance->descriptor);
    free(instance);
}

void coder_free(struct coder *coder)
{
    if (coder == NULL) return;
    for (size_t k = 0; k <= CODE_FRAGMENTS_MAX; k++)
        for (size_t n = 0; n <= CODE_FRAGMENTS_MAX; n++)
            if (coder->instances[k][n] != NULL) instance_free(coder->instances[k][n]);
    free(coder);
}

/* Lets the library make the headers that it will want to see: those of a strip of zeros. */
static int learn_headers(struct instance *instance, uint32_t k, uint32_t n)
{
    char *zeros = hf_alloc_array(k, STRIP_BYTES);
    char **data = NULL, **parity = NULL;
    uint64_t strip_size = 0;
    int rc;

    if (zeros == NULL) return -ENOMEM;
    rc = liberasurecode_encode(instance->descriptor, zeros, k * STRIP_BYTES, &data, &parity,
                               &strip_size);
    leave_library();
    free(zeros);
    if (rc != 0) return rc;
    if (strip_size != STRIP_SIZE) rc = -EBADHEADER;
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        memcpy(instance->headers[i], i < k ? data[i] : parity[i - k], HEADER_SIZE);
    (void)liberasurecode_encode_cleanup(instance->descriptor, data, parity);
    return rc;
}

static struct instance *instance_new(uint32_t k, uint32_t n, struct hf_err *err)
{
    struct instance *instance = hf_alloc_array(1, sizeof *instance);
    struct ec_args args = {
        .k = (int)k, .m = (int)(n - k), .w = 8, .hd = (int)(n - k) + 1, .ct = CHKSUM_NONE};
    int rc;

    if (instance == NULL) {
        (void)hf_fail(err, HF_NO_MEMORY, "erasure code: %u of %u", k, n);
        return NULL;
    }
    instance->descriptor =
        liberasurecode_instance_create(EC_BACKEND_ISA_L_RS_CAUCHY, &args);
    if (instance->descriptor <= 0) {
        (void)library_failed(instance->descriptor, "create", err);
        free(instance);
        return NULL;
    }
    rc = learn_headers(instance, k, n);
    if (rc != 0) {
        (void)library_failed(rc, "learn headers", err);
        instance_free(instance);
        return NULL;
    }
    return instance;
}

/* The instance of the shape; threads that miss it together each make one, the first to
 * come keeps its own. */
static struct instance *coder_instance(struct coder *coder, const struct code_shape *shape,
                                       struct hf_err *err)
{
    struct instance **slot = &coder->instances[shape->k][shape->n];
    struct instance *instance = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    struct instance *made;

    if (instance != NULL) return instance;
    made = instance_new(shape->k, shape->n, err);
    if (made == NULL) return NULL;
    if (__atomic_compare_exchange_n(slot, &instance, made, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
        return made;
    instance_free(made);
    return instance;
}

/* A shape from elsewhere than code_shape_init never reaches the library. */
static enum hf_code shape_check(const struct code_shape *shape, struct hf_err *err)
{
    struct code_shape again = {0};
    enum hf_code rc = code_shape_init(&again, shape->block_size, shape->k, shape->n, err);

    if (rc != HF_OK) return rc;
    if (again.k != shape->k || again.fragment_size != shape->fragment_size)
        return hf_fail(err, HF_INVALID, "erasure code: fragments of %zu bytes",
                       shape->fragment_size);
    return HF_OK;
}

/* Points fragments[] at the block's slices and into `work`, and copies the padded ones. */
static void cut(const struct code_shape *shape, const uint8_t *block, uint8_t *work,
                const uint8_t **fragments)
{
    uint32_t whole = whole_fragments(shape);
    size_t done = whole * shape->fragment_size;
    size_t left = shape->block_size - done;
    size_t padded = (shape->k - whole) * shape->fragment_size;

    for (uint32_t i = 0; i < whole; i++)
        fragments[i] = block + i * shape->fragment_size;
    for (uint32_t i = whole; i < shape->n; i++)
        fragments[i] = work + (i - whole) * shape->fragment_size;
    memcpy(work, block + done, left);
    memset(work + left, 0, padded - left);
}

enum hf_code coder_encode(struct coder *coder, const struct code_shape *shape,
                          const uint8_t *block, uint8_t *work,
                          const uint8_t *fragments[static CODE_FRAGMENTS_MAX],
                          struct hf_err *err)
{
    enum hf_code rc = shape_check(shape, err);
    struct instance *instance;
    uint8_t *strip, *parity_out;
    uint32_t k = shape->k;

    if (rc != HF_OK) return rc;
    if (k == 1) {
        for (uint32_t i = 0; i < shape->n; i++)
            fragments[i] = block;
        return HF_OK;
    }
    instance = coder_instance(coder, shape, err);
    if (instance == NULL) return err->code;
    strip = malloc(k * STRIP_BYTES);
    if (strip == NULL) return hf_fail(err, HF_NO_MEMORY, "erasure code: encode");
    cut(shape, block, work, fragments);
    parity_out = work + (k - whole_fragments(shape)) * shape->fragment_size;
    for (size_t at = 0; rc == HF_OK && at < shape->fragment_size; at += STRIP_BYTES) {
        char **data = NULL, **parity = NULL;
        uint64_t size = 0;
        int failed;

        for (uint32_t i = 0; i < k; i++)
            memcpy(strip + i * STRIP_BYTES, fragments[i] + at, STRIP_BYTES);
        failed = liberasurecode_encode(instance->descriptor, (const char *)strip,
                                       k * STRIP_BYTES, &data, &parity, &size);
        leave_library();
        if (failed != 0) {
            rc = library_failed(failed, "encode", err);
            break;
        }
        for (uint32_t i = 0; i < shape->n - k; i++)
            memcpy(parity_out + i * shape->fragment_size + at, parity[i] + HEADER_SIZE,
                   STRIP_BYTES);
        (void)liberasurecode_encode_cleanup(instance->descriptor, data, parity);
    }
    free(strip);
    return rc;
}

/* Sets *have to the pieces' indices, a bit each. */
static enum hf_code pieces_check(const struct code_shape *shape,
                                 const struct code_piece *pieces, uint64_t *have,
                                 struct hf_err *err)
{
    *have = 0;
    for (uint32_t i = 0; i < shape->k; i++) {
        uint32_t index = pieces[i].index;

        if (index >= shape->n || (*have >> index & 1) != 0)
            return hf_fail(err, HF_INVALID, "erasure code: fragment %u of %u twice or none",
                           index, shape->n);
        *have |= UINT64_C(1) << index;
    }
    return HF_OK;
}

/* k strips in the library's form, one after the other in one allocation. */
struct strips {
    uint8_t *bytes;
    char *at[CODE_FRAGMENTS_MAX];
};

static bool strips_init(struct strips *s, const struct instance *instance,
                        const struct code_piece *pieces, uint32_t k)
{
    s->bytes = malloc(k * STRIP_SIZE);
    if (s->bytes == NULL) return false;
    for (uint32_t i = 0; i < k; i++) {
        s->at[i] = (char *)s->bytes + i * STRIP_SIZE;
        memcpy(s->at[i], instance->headers[pieces[i].index], HEADER_SIZE);
    }
    return true;
}

static void strips_fill(struct strips *s, const struct code_piece *pieces, uint32_t k,
                        size_t at)
{
    for (uint32_t i = 0; i < k; i++)
        memcpy(s->at[i] + HEADER_SIZE, pieces[i].bytes + at, STRIP_BYTES);
}

/* Bytes of data fragment `index` that belong to the block: the rest is padding. */
static size_t slice_size(const struct code_shape *shape, uint32_t index)
{
    size_t start = index * shape->fragment_size;

    if (start >= shape->block_size) return 0;
    if (shape->block_size - start < shape->fragment_size) return shape->block_size - start;
    return shape->fragment_size;
}

/* Computes the slices of the block that are missing from `have`. */
static enum hf_code decode_missing(struct coder *coder, const struct code_shape *shape,
                                   const struct code_piece *pieces, uint64_t have,
                                   uint8_t *block, struct hf_err *err)
{
    struct instance *instance = coder_instance(coder, shape, err);
    enum hf_code rc = HF_OK;
    struct strips s;

    if (instance == NULL) return err->code;
    if (!strips_init(&s, instance, pieces, shape->k))
        return hf_fail(err, HF_NO_MEMORY, "erasure code: decode");
    for (size_t at = 0; at < shape->fragment_size; at += STRIP_BYTES) {
        char *row = NULL;
        uint64_t row_size = 0;
        int failed;

        strips_fill(&s, pieces, shape->k, at);
        failed = liberasurecode_decode(instance->descriptor, s.at, (int)shape->k,
                                       STRIP_SIZE, 0, &row, &row_size);
        leave_library();
        if (failed == 0 && row_size != shape->k * STRIP_BYTES) {
            (void)liberasurecode_decode_cleanup(instance->descriptor, row);
            failed = -EBADHEADER;
        }
        if (failed != 0) {
            rc = library_failed(failed, "decode", err);
            break;
        }
        for (uint32_t i = 0; i < shape->k; i++)
            if ((have >> i & 1) == 0 && at < slice_size(shape, i))
                memcpy(block + i * shape->fragment_size + at, row + i * STRIP_BYTES,
                       STRIP_BYTES);
        (void)liberasurecode_decode_cleanup(instance->descriptor, row);
    }
    free(s.bytes);
    return rc;
}

enum hf_code coder_decode(struct coder *coder, const struct code_shape *shape,
                          const struct code_piece *pieces, uint8_t *block,
                          struct hf_err *err)
{
    enum hf_code rc = shape_check(shape, err);
    bool complete = true;
    uint64_t have;

    if (rc == HF_OK) rc = pieces_check(shape, pieces, &have, err);
    if (rc != HF_OK) return rc;
    if (shape->k == 1) {
        memcpy(block, pieces[0].bytes, shape->block_size);
        return HF_OK;
    }
    for (uint32_t i = 0; i < shape->k; i++)
        if (pieces[i].index < shape->k)
            memcpy(block + pieces[i].index * shape->fragment_size, pieces[i].bytes,
                   slice_size(shape, pieces[i].index));
    for (uint32_t i = 0; i < shape->k; i++)
        if ((have >> i & 1) == 0 && slice_size(shape, i) > 0) complete = false;
    return complete ? HF_OK : decode_missing(coder, shape, pieces, have, block, err);
}

enum hf_code coder_regenerate(struct coder *coder, const struct code_shape *shape,
                              const struct code_piece *pieces, uint32_t index,
                              uint8_t *fragment, struct hf_err *err)
{
    enum hf_code rc = shape_check(shape, err);
    struct instance *instance;
    struct strips s;
    uint8_t *made;
    uint64_t have;

    if (rc == HF_OK) rc = pieces_check(shape, pieces, &have, err);
    if (rc != HF_OK) return rc;
    if (index >= shape->n || (shape->k > 1 && (have >> index & 1) != 0))
        return hf_fail(err, HF_INVALID, "erasure code: fragment %u is none to regenerate",
                       index);
    if (shape->k == 1) {
        memcpy(fragment, pieces[0].bytes, shape->fragment_size);
        return HF_OK;
    }
    instance = coder_instance(coder, shape, err);
    if (instance == NULL) return err->code;
    made = malloc(STRIP_SIZE);
    if (made == NULL || !strips_init(&s, instance, pieces, shape->k)) {
        free(made);
        return hf_fail(err, HF_NO_MEMORY, "erasure code: regenerate");
    }
    for (size_t at = 0; at < shape->fragment_size; at += STRIP_BYTES) {
        int failed;

        strips_fill(&s, pieces, shape->k, at);
        failed =
            liberasurecode_reconstruct_fragment(instance->descriptor, s.at, (int)shape->k,
                                                STRIP_SIZE, (int)index, (char *)made);
        leave_library();
        if (failed != 0) {
            rc = library_failed(failed, "regenerate", err);
            break;
        }
        memcpy(fragment + at, made + HEADER_SIZE, STRIP_BYTES);
    }
    free(s.bytes);
    free(made);
    return rc;
}

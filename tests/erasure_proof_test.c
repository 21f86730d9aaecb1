/* erasure/proof.h against the definition of RFC 6962, 2.1.1, and every kind of lie. */
#include "test.h"

#include "base/tree_hash.h"
#include "erasure/proof.h"

#include <string.h>

static struct hf_id leaves[HF_LEAVES_MAX];

static int make_leaves(void **state)
{
    (void)state;
    for (size_t i = 0; i < HF_LEAVES_MAX; i++)
        hf_leaf_hash(&i, sizeof i, &leaves[i]);
    return 0;
}

/* PATH(m, D[n]) by its definition: split at the largest power of two below n. */
static size_t audit_path(size_t m, size_t n, struct hf_id path[static PROOF_HASHES_MAX])
{
    struct hf_id down[PROOF_HASHES_MAX];
    size_t start = 0, count = 0;

    while (n > 1) {
        size_t k = 1;

        while (k * 2 < n)
            k *= 2;
        if (m < k) {
            hf_tree_root(leaves + start + k, n - k, &down[count++]);
            n = k;
        } else {
            hf_tree_root(leaves + start, k, &down[count++]);
            start += k;
            m -= k;
            n -= k;
        }
    }
    for (size_t i = 0; i < count; i++)
        path[i] = down[count - 1 - i];
    return count;
}

static void one_leaf_is_the_audit_path(void **state)
{
    struct hf_id proof[PROOF_HASHES_MAX], path[PROOF_HASHES_MAX];

    (void)state;
    for (size_t total = 1; total <= 70; total++) {
        for (size_t i = 0; i < total; i++) {
            struct proof_run run = {i, 1, total};
            size_t n = proof_make(leaves, &run, proof);

            assert_int_equal(n, audit_path(i, total, path));
            assert_memory_equal(proof, path, n * sizeof proof[0]);
        }
    }
}

static void check_run(const struct proof_run *run, const struct hf_id *root)
{
    struct hf_id proof[PROOF_HASHES_MAX + 1] = {0};
    size_t n = proof_make(leaves, run, proof);

    assert_true(n <= PROOF_HASHES_MAX);
    assert_true(proof_verify(leaves + run->first, run, proof, n, root));
    assert_false(proof_verify(leaves + run->first, run, proof, n + 1, root));
    if (n > 0) assert_false(proof_verify(leaves + run->first, run, proof, n - 1, root));
    for (size_t i = 0; i < n; i++) {
        proof[i].b[i] ^= 1;
        assert_false(proof_verify(leaves + run->first, run, proof, n, root));
        proof[i].b[i] ^= 1;
    }
}

static void every_run_of_small_trees(void **state)
{
    (void)state;
    for (size_t total = 1; total <= 37; total++) {
        struct hf_id root;

        hf_tree_root(leaves, total, &root);
        for (size_t first = 0; first < total; first++)
            for (size_t count = 1; count <= total - first; count++)
                check_run(&(struct proof_run){first, count, total}, &root);
    }
}

static void runs_of_the_largest_tree(void **state)
{
    static const struct proof_run runs[] = {
        {0, 1, 512},   {511, 1, 512}, {0, 512, 512},
        {1, 510, 512}, {255, 2, 512}, {7, 300, 512},
    };
    struct hf_id root;

    (void)state;
    hf_tree_root(leaves, 512, &root);
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++)
        check_run(&runs[i], &root);
}

static void lies_are_refused(void **state)
{
    struct hf_id proof[PROOF_HASHES_MAX], root, moved[3];
    struct proof_run run = {5, 3, 21};
    size_t n;

    (void)state;
    hf_tree_root(leaves, 21, &root);
    n = proof_make(leaves, &run, proof);
    memcpy(moved, leaves + 5, sizeof moved);
    moved[1] = leaves[9];
    assert_false(proof_verify(moved, &run, proof, n, &root));
    for (size_t first = 0; first <= 18; first++) {
        struct proof_run other = {first, 3, 21};

        if (first != 5) assert_false(proof_verify(leaves + 5, &other, proof, n, &root));
    }
    assert_false(proof_verify(leaves, &(struct proof_run){0, 0, 21}, proof, n, &root));
    assert_false(proof_verify(leaves, &(struct proof_run){20, 2, 21}, proof, n, &root));
    assert_false(proof_verify(leaves, &(struct proof_run){0, 1, 0}, proof, n, &root));
    assert_false(proof_verify(leaves, &(struct proof_run){0, 513, 513}, proof, n, &root));
    assert_false(
        proof_verify(leaves, &(struct proof_run){1, SIZE_MAX, 21}, proof, n, &root));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_leaf_is_the_audit_path),
        cmocka_unit_test(every_run_of_small_trees),
        cmocka_unit_test(runs_of_the_largest_tree),
        cmocka_unit_test(lies_are_refused),
    };
    return cmocka_run_group_tests_name("erasure/proof", tests, make_leaves, NULL);
}

/* hash.h, sign.h, aead.h, record.h, secret.h against published vectors and abuse. */
#include "gcm_vectors.h"
#include "test.h"

#include "base/hash.h"
#include "base/random.h"
#include "base/record.h"
#include "base/secret.h"
#include "base/tree_hash.h"
#include "base/wide_gcm.h"

#include <stdlib.h>
#include <string.h>

static void check_hex(const struct hf_id *id, const char *want)
{
    char hex[HF_ID_HEX_SIZE];
    struct hf_id back;

    assert_string_equal(hf_id_hex(id, hex), want);
    assert_true(hf_id_parse(hex, &back));
    assert_true(hf_id_equal(id, &back));
}

static void sha256_vectors(void **state)
{
    struct hf_id id;

    hf_sha256("abc", 3, &id); /* FIPS 180-2, B.1 */
    check_hex(&id, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hf_sha256("", 0, &id);
    check_hex(&id, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    (void)state;
}

static void hmac_and_hkdf_vectors(void **state)
{
    uint8_t key[32];
    uint8_t okm[100];
    uint8_t more[40];
    struct hf_id id;

    memset(key, 0, sizeof key); /* RFC 4231 case 1: a shorter key is padded with zeros */
    memset(key, 0x0b, 20);
    hf_hmac_sha256(key, "Hi There", 8, &id);
    check_hex(&id, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    /* a prefix of a longer output, and labels that part */
    hf_hkdf_sha256(key, "hf1/a", okm, sizeof okm);
    hf_hkdf_sha256(key, "hf1/a", more, sizeof more);
    assert_memory_equal(okm, more, sizeof more);
    hf_hkdf_sha256(key, "hf1/b", more, sizeof more);
    assert_memory_not_equal(okm, more, sizeof more);
    (void)state;
}

static void rfc6962_vectors(void **state)
{
    /* The test inputs of certificate transparency's reference implementation. */
    static const char *const inputs[] = {
        "",
        "\x00",
        "\x10",
        "\x20\x21",
        "\x30\x31",
        "\x40\x41\x42\x43",
        "\x50\x51\x52\x53\x54\x55\x56\x57",
        "\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f"};
    static const size_t sizes[] = {0, 1, 1, 2, 2, 4, 8, 16};
    static const char *const roots[] = {
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
    struct hf_id leaves[8];

    for (size_t i = 0; i < 8; i++) {
        struct hf_id root;

        hf_leaf_hash(inputs[i], sizes[i], &leaves[i]);
        hf_tree_root(leaves, i + 1, &root);
        check_hex(&root, roots[i]);
    }
    (void)state;
}

/* The tree hash from its definition alone: SHA-256, split at the largest power of two. */
static void plain_tree_hash(const uint8_t *p, size_t n, struct hf_id *root)
{
    static uint8_t leaf[1 + HF_LEAF_SIZE];
    struct hf_id left, right;
    size_t split = HF_LEAF_SIZE;

    if (n <= HF_LEAF_SIZE) {
        leaf[0] = 0;
        if (n > 0) memcpy(leaf + 1, p, n);
        hf_sha256(leaf, n + 1, root);
        return;
    }
    while (split * 2 < n)
        split *= 2;
    plain_tree_hash(p, split, &left);
    plain_tree_hash(p + split, n - split, &right);
    hf_node_hash(&left, &right, root);
}

static void tree_hashes_are_the_same_one_by_one_and_many_at_once(void **state)
{
    enum { INPUTS = 700, MOST = 1100000 };
    static struct hf_tree_input inputs[INPUTS];
    static struct hf_id roots[INPUTS];
    static const size_t edges[] = {0,      1,      16383,  16384,   16385,   131071,
                                   131072, 131073, 262144, 1048575, 1048576, 1099999};
    uint64_t random = 7;
    uint8_t *bytes = malloc(MOST);
    struct hf_id plain, one;

    assert_non_null(bytes);
    test_random_bytes(&random, bytes, MOST);
    for (size_t i = 0; i < INPUTS; i++) {
        size_t most = i % 7 == 0 ? MOST : i % 3 == 0 ? 100000 : 5000;
        size_t n =
            i < sizeof edges / sizeof edges[0] ? edges[i] : test_random(&random) % most;

        inputs[i] =
            (struct hf_tree_input){.bytes = bytes + test_random(&random) % (MOST - n + 1),
                                   .size = n,
                                   .root = &roots[i]};
    }
    hf_tree_hash_many(inputs, INPUTS);
    for (size_t i = 0; i < INPUTS; i++) {
        plain_tree_hash(inputs[i].bytes, inputs[i].size, &plain);
        hf_tree_hash(inputs[i].bytes, inputs[i].size, &one);
        assert_memory_equal(&plain, &one, sizeof one);
        assert_memory_equal(&plain, &roots[i], sizeof plain);
    }
    free(bytes);
    (void)state;
}

static void signatures_bind_label_and_bytes(void **state)
{
    uint8_t seed[HF_SEED_SIZE] = {7};
    struct hf_signer *signer = hf_signer_new(seed);
    struct hf_signature sig;
    struct hf_err err;
    uint8_t signed_bytes[256];
    struct hf_writer w = hf_writer_init(signed_bytes, sizeof signed_bytes);
    struct hf_reader r;
    size_t n;

    assert_non_null(signer);
    assert_int_equal(hf_sign(signer, "hf1/x", "body", 4, &sig, &err), HF_OK);
    assert_true(hf_verify(hf_signer_public(signer), "hf1/x", "body", 4, &sig));
    assert_false(hf_verify(hf_signer_public(signer), "hf1/y", "body", 4, &sig));
    assert_false(hf_verify(hf_signer_public(signer), "hf1/x", "bodz", 4, &sig));
    sig.b[10] ^= 1;
    assert_false(hf_verify(hf_signer_public(signer), "hf1/x", "body", 4, &sig));

    assert_int_equal(hf_put_signed(&w, signer, "hf1/x", "body", 4, &err), HF_OK);
    assert_true(hf_writer_size(&w) <= 4 + HF_SIGNED_OVERHEAD);
    r = hf_reader_init(signed_bytes, hf_writer_size(&w));
    assert_memory_equal(hf_get_signed(&r, 16, &n, &sig), "body", 4);
    assert_int_equal(n, 4);
    w = hf_writer_init(signed_bytes, 40);
    assert_int_equal(hf_put_signed(&w, signer, "hf1/x", "body", 4, &err), HF_TOO_LARGE);
    hf_signer_free(signer);
    (void)state;
}

/* Otherwise OpenSSL would silently do all of it. */
static void the_wide_cipher_is_used_where_it_can_be(void **state)
{
#ifdef __x86_64__
    const uint8_t key[HF_GCM_KEY_SIZE] = {0};
    uint8_t byte = 1;
    uint8_t tag[HF_GCM_TAG_SIZE];
    const struct hf_gcm_text text = {"", 0, &byte, 1, &byte};

    if (!__builtin_cpu_supports("aes") || !__builtin_cpu_supports("pclmul")) skip();
    assert_true(hf_wide_gcm_seal(key, &text, tag));
    assert_true(hf_wide_gcm_open(key, &text, tag));
    assert_int_equal(byte, 1);
#endif
    (void)state;
}

static size_t make_record(uint8_t *out, size_t size, uint64_t seq, struct hf_record *record)
{
    uint8_t seed[HF_SEED_SIZE] = {9};
    struct hf_signer *signer = hf_signer_new(seed);
    struct hf_writer w = hf_writer_init(out, size);
    struct hf_err err;

    memset(record, 0, sizeof *record);
    record->owner = *hf_signer_public(signer);
    hf_public_key_id(&record->owner, &record->vault);
    record->seq = seq;
    record->incarnation = 1;
    record->host.b[0] = 5;
    record->time_ns = -5;
    record->payload_size = 3;
    memcpy(record->payload, "abc", 3);
    assert_int_equal(hf_record_put(&w, record, signer, &err), HF_OK);
    hf_signer_free(signer);
    return hf_writer_size(&w);
}

static void records_parse_only_as_signed(void **state)
{
    uint8_t bytes[HF_RECORD_MAX];
    struct hf_record made;
    struct hf_record got;
    struct hf_err err;
    size_t n = make_record(bytes, sizeof bytes, 7, &made);

    assert_int_equal(hf_record_parse(bytes, n, &got, &err), HF_OK);
    assert_memory_equal(&got.vault, &made.vault, sizeof got.vault);
    assert_true(got.seq == 7 && got.time_ns == -5 && got.payload_size == 3);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(hf_record_parse(bytes, i, &got, &err), HF_CORRUPT);
        bytes[i] ^= 0x10;
        assert_int_equal(hf_record_parse(bytes, n, &got, &err), HF_CORRUPT);
        bytes[i] ^= 0x10;
    }
    (void)make_record(bytes, sizeof bytes, 8, &got);
    assert_true(hf_record_compare(&made, &got) < 0);
    got.incarnation = 0;
    assert_true(hf_record_compare(&made, &got) > 0);
    (void)state;
}

static void random_fill_covers_everything(void **state)
{
    uint8_t *b = calloc(1, 100000);
    size_t zeros = 0;

    hf_random_fill(b, 100000);
    for (size_t i = 0; i < 100000; i++)
        zeros += b[i] == 0;
    assert_true(zeros > 200 && zeros < 700); /* 390 expected */
    free(b);
    (void)state;
}

static void secrets_are_zeroed_memory(void **state)
{
    struct hf_secret *secret = hf_secret_new(64);

    assert_non_null(secret);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(secret->b[i], 0);
    hf_secret_free(secret);
    hf_secret_free(NULL);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_vectors),
        cmocka_unit_test(hmac_and_hkdf_vectors),
        cmocka_unit_test(rfc6962_vectors),
        cmocka_unit_test(tree_hashes_are_the_same_one_by_one_and_many_at_once),
        cmocka_unit_test(signatures_bind_label_and_bytes),
        cmocka_unit_test(the_wide_cipher_is_used_where_it_can_be),
        cmocka_unit_test(gcm_known_answers),
        cmocka_unit_test(gcm_is_openssls_for_every_size),
        cmocka_unit_test(gcm_opens_only_unaltered),
        cmocka_unit_test(quick_hash_is_openssls_gmac),
        cmocka_unit_test(records_parse_only_as_signed),
        cmocka_unit_test(random_fill_covers_everything),
        cmocka_unit_test(secrets_are_zeroed_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

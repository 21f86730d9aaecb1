/* vault.h, keys.h, frame.h, reference.h: secrets on disk and paper, sealed frames. */
#include "test.h"

#include "base/file.h"
#include "blockstore/block_store.h"
#include "snapshot/frame.h"
#include "snapshot/keys.h"
#include "snapshot/vault.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool answer(void *arg, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s", (const char *)arg);
    return true;
}

static void a_vault_comes_back_from_its_file(void **state)
{
    char *dir = test_dir_new();
    struct vault made;
    struct vault loaded;
    struct hf_err err;
    char passphrase[] = "correct horse";
    char wrong[] = "wrong";
    int fd;

    assert_int_equal(hf_dir_open(dir, &fd, &err), HF_OK);
    assert_int_equal(vault_load(&loaded, fd, NULL, NULL, &err), HF_NOT_FOUND);
    assert_non_null(strstr(err.msg, "holdfast init"));
    assert_int_equal(vault_new(&made, "host", &err), HF_OK);
    assert_int_equal(vault_save(&made, fd, NULL, &err), HF_OK);
    assert_int_equal(vault_save(&made, fd, NULL, &err), HF_EXISTS);
    assert_int_equal(vault_load(&loaded, fd, NULL, NULL, &err), HF_OK);
    assert_memory_equal(loaded.secret->b, made.secret->b, VAULT_SECRET_SIZE);
    assert_true(hf_id_equal(&loaded.host, &made.host));
    assert_string_equal(loaded.host_name, "host");
    vault_done(&loaded);
    assert_int_equal(fchmodat(fd, VAULT_FILE, 0644, 0), 0);
    assert_int_equal(vault_load(&loaded, fd, NULL, NULL, &err), HF_DENIED);
    assert_int_equal(unlinkat(fd, VAULT_FILE, 0), 0);

    assert_int_equal(vault_save(&made, fd, passphrase, &err), HF_OK);
    assert_int_equal(vault_load(&loaded, fd, NULL, NULL, &err), HF_WRONG_KEY);
    assert_int_equal(vault_load(&loaded, fd, answer, wrong, &err), HF_WRONG_KEY);
    assert_int_equal(vault_load(&loaded, fd, answer, passphrase, &err), HF_OK);
    assert_memory_equal(loaded.secret->b, made.secret->b, VAULT_SECRET_SIZE);
    vault_done(&loaded);
    vault_done(&made);
    (void)close(fd);
    test_dir_remove(dir);
    (void)state;
}

static void every_truncated_vault_file_is_refused(void **state)
{
    char *dir = test_dir_new();
    struct vault made;
    struct vault loaded;
    struct hf_err err;
    uint8_t bytes[1024];
    size_t n;
    int fd;

    assert_int_equal(hf_dir_open(dir, &fd, &err), HF_OK);
    assert_int_equal(vault_new(&made, "host", &err), HF_OK);
    assert_int_equal(vault_save(&made, fd, NULL, &err), HF_OK);
    assert_int_equal(
        hf_file_load(hf_files_system(), fd, VAULT_FILE, bytes, sizeof bytes, &n, &err),
        HF_OK);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(
            hf_file_replace(hf_files_system(), fd, VAULT_FILE, bytes, i, 0600, &err),
            HF_OK);
        assert_int_equal(vault_load(&loaded, fd, NULL, NULL, &err), HF_CORRUPT);
    }
    vault_done(&made);
    (void)close(fd);
    test_dir_remove(dir);
    (void)state;
}

static void recovery_codes_notice_every_wrong_letter(void **state)
{
    struct recovery made = {.on_ring = true, .address_count = 2};
    struct recovery read;
    struct hf_err err;
    char code[RECOVERY_CODE_MAX];
    char other[RECOVERY_CODE_MAX];
    size_t n;

    made.secret = hf_secret_new(VAULT_SECRET_SIZE);
    memset(made.secret->b, 0x42, VAULT_SECRET_SIZE);
    made.authority.b[3] = 7;
    (void)snprintf(made.addresses[0], VAULT_ADDRESS_SIZE, "192.0.2.1:4774");
    (void)snprintf(made.addresses[1], VAULT_ADDRESS_SIZE, "backup.example:4774");
    assert_int_equal(recovery_encode(&made, code, &err), HF_OK);
    assert_int_equal(recovery_decode(code, &read, &err), HF_OK);
    assert_memory_equal(read.secret->b, made.secret->b, VAULT_SECRET_SIZE);
    assert_true(read.on_ring && hf_id_equal(&read.authority, &made.authority));
    assert_int_equal(read.address_count, 2);
    assert_string_equal(read.addresses[1], "backup.example:4774");
    recovery_done(&read);

    n = strlen(code);
    for (size_t i = 0; i < n; i++) { /* as people type: upper case, spaces for dashes */
        other[i] = code[i] == '-' && i > 5 ? ' ' : code[i];
        if (other[i] >= 'a' && other[i] <= 'z') other[i] = (char)(other[i] - 32);
    }
    other[n] = '\0';
    assert_int_equal(recovery_decode(other, &read, &err), HF_OK);
    recovery_done(&read);
    for (size_t i = 5; i + 1 < n; i++) { /* the last letter holds padding bits */
        if (code[i] == '-') continue;
        memcpy(other, code, n + 1);
        other[i] = code[i] == 'a' ? 'b' : 'a';
        assert_int_equal(recovery_decode(other, &read, &err), HF_WRONG_KEY);
        memcpy(other, code, n + 1);
        other[i] = '\0';
        assert_int_equal(recovery_decode(other, &read, &err), HF_WRONG_KEY);
    }
    assert_int_equal(recovery_decode("hf1-abc", &read, &err), HF_WRONG_KEY);
    recovery_done(&made);
    (void)state;
}

static void keys_differ_by_use_and_are_pinned(void **state)
{
    struct hf_secret *secret = hf_secret_new(VAULT_SECRET_SIZE);
    struct vault_keys keys;
    struct hf_err err;
    char hex[HF_ID_HEX_SIZE];

    assert_int_equal(vault_keys_init(&keys, secret, &err), HF_OK);
    assert_memory_not_equal(keys.frame_kdf, keys.record, 32);
    assert_memory_not_equal(keys.frame_kdf, keys.chunker, 32);
    assert_memory_not_equal(keys.record, keys.chunker, 32);
    /* Of the secret of 32 zero bytes.  A change makes every vault unreadable. */
    assert_string_equal(hf_id_hex(&keys.vault, hex),
                        "904b8ec0b7e2d71461d7947166512d121249f1af5a439437cf06ae3a5953af02");
    vault_keys_done(&keys);
    hf_secret_free(secret);
    (void)state;
}

static void frames_open_only_as_sealed(void **state)
{
    static const uint8_t kdf[32] = {5};
    struct framer *framer = framer_new();
    uint8_t *plain = calloc(1, FRAME_PLAIN_MAX);
    uint8_t *sealed = malloc(FRAME_SEALED_MAX);
    uint8_t *copy = malloc(FRAME_SEALED_MAX);
    uint8_t *out = malloc(FRAME_PLAIN_MAX);
    static const size_t sizes[] = {1, 100, 65536, FRAME_PLAIN_MAX};
    uint64_t seed = 8;

    for (size_t i = 0; i < 16; i++) {
        struct hf_id id = {{(uint8_t)i}};
        uint32_t chunk = (uint32_t)sizes[i % 4];
        struct frame_input in = {.role = (enum frame_role)(i % 3),
                                 .level = (int)(i / 4 % 2) * 3,
                                 .plain = plain,
                                 .plain_size = chunk,
                                 .chunk_ids = &id,
                                 .chunk_count = 1};
        uint8_t key[32];
        uint8_t key_again[32];
        struct hf_err err;
        size_t n;
        size_t got;

        if (i >= 8) test_random_bytes(&seed, plain, chunk); /* does not shrink */
        assert_int_equal(frame_seal(framer, kdf, &in, sealed, &n, key_again, &err), HF_OK);
        assert_int_equal(frame_seal(framer, kdf, &in, sealed, &n, key, &err), HF_OK);
        assert_memory_not_equal(key, key_again, 32); /* used once */
        assert_true(n <= in.plain_size + 64);
        memcpy(copy, sealed, n);
        assert_int_equal(frame_open(framer, in.role, key, copy, n, out, &got, &err), HF_OK);
        assert_int_equal(got, chunk);
        assert_memory_equal(out, plain, chunk);
        memcpy(copy, sealed, n);
        assert_int_equal(frame_open(framer, (enum frame_role)((i + 1) % 3), key, copy, n,
                                    out, &got, &err),
                         HF_CORRUPT);
        memcpy(copy, sealed, n);
        copy[n / 2] ^= 4;
        assert_int_equal(frame_open(framer, in.role, key, copy, n, out, &got, &err),
                         HF_CORRUPT);
        memcpy(copy, sealed, n);
        assert_int_equal(frame_open(framer, in.role, key, copy, n - 1, out, &got, &err),
                         HF_CORRUPT);
    }
    free(plain);
    free(sealed);
    free(copy);
    free(out);
    framer_free(framer);
    (void)state;
}

static void references_leave_out_only_what_they_may(void **state)
{
    struct chunk_ref ref = {
        .frame = {.offset = 70000, .size = 1234}, .offset = 5, .size = 99};
    struct chunk_ref got;
    struct hf_id block = {{7}};
    uint8_t bytes[REFERENCE_ENCODED_MAX];
    struct hf_writer w = hf_writer_init(bytes, sizeof bytes);
    struct hf_reader r;
    size_t n;

    ref.id.b[1] = 3;
    chunk_ref_put(&w, &ref, true);
    n = hf_writer_size(&w);
    r = hf_reader_init(bytes, n);
    chunk_ref_get(&r, &got, &block);
    assert_true(hf_reader_done(&r));
    assert_true(hf_id_equal(&got.frame.block, &block));
    assert_int_equal(got.frame.offset, 70000);
    r = hf_reader_init(bytes, n);
    chunk_ref_get(&r, &got, NULL); /* a head has no block of its own */
    assert_false(hf_reader_ok(&r));
    for (size_t i = 0; i < n; i++) {
        r = hf_reader_init(bytes, i);
        chunk_ref_get(&r, &got, &block);
        assert_false(hf_reader_done(&r));
    }
    ref.frame.offset = BLOCK_SIZE_MAX; /* beyond any block */
    w = hf_writer_init(bytes, sizeof bytes);
    chunk_ref_put(&w, &ref, true);
    r = hf_reader_init(bytes, hf_writer_size(&w));
    chunk_ref_get(&r, &got, &block);
    assert_false(hf_reader_ok(&r));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vault_comes_back_from_its_file),
        cmocka_unit_test(every_truncated_vault_file_is_refused),
        cmocka_unit_test(recovery_codes_notice_every_wrong_letter),
        cmocka_unit_test(keys_differ_by_use_and_are_pinned),
        cmocka_unit_test(frames_open_only_as_sealed),
        cmocka_unit_test(references_leave_out_only_what_they_may),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

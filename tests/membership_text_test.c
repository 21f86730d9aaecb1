#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "membership/authority.h"
#include "membership/code.h"

#include <stdio.h>
#include <string.h>

static void addresses_split(void **state)
{
    static const struct {
        const char *address, *host, *port;
    } good[] = {
        {"a:1", "a", "1"},
        {"host.example.org:4774", "host.example.org", "4774"},
        {"127.0.0.1:65535", "127.0.0.1", "65535"},
        {"[::1]:4774", "::1", "4774"},
    };
    static const char *const bad[] = {
        "",      "a",    "a:",  ":1",   "a:0",      "a:65536", "a:1x", "::1:4774",
        "[::1]", "[]:1", "[:1", "a:-1", "a:999999", "a b\n:1", "]:1",  "a:+1",
    };
    char host[ADDRESS_SIZE];
    char port[6];
    char longest[ADDRESS_SIZE + 1];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(address_split(good[i].address, host, port));
        assert_string_equal(host, good[i].host);
        assert_string_equal(port, good[i].port);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(address_split(bad[i], host, port));
    memset(longest, 'a', sizeof longest);
    memcpy(longest + ADDRESS_SIZE - 3, ":1", 3);
    assert_true(address_split(longest, host, port));
    longest[ADDRESS_SIZE - 3] = 'a';
    memcpy(longest + ADDRESS_SIZE - 2, ":1", 3);
    assert_false(address_split(longest, host, port));
}

static void address_lists_split(void **state)
{
    static const char *const bad[] = {
        "", ",", "a:1,", ",a:1", "a:1,,b:2", "a:1 b:2", "a:1, b", "a:1,b:2,c:3,d:4,e:5"};
    struct address_list list;
    char longest[2 * ADDRESS_SIZE];

    (void)state;
    assert_true(address_list_parse("a:1", &list));
    assert_int_equal(list.count, 1);
    assert_string_equal(list.at[0], "a:1");
    assert_true(address_list_parse(" a:1 ,\t[::1]:2,c:3\n,d:4", &list));
    assert_int_equal(list.count, ADDRESS_LIST_MAX);
    assert_string_equal(list.at[0], "a:1");
    assert_string_equal(list.at[1], "[::1]:2");
    assert_string_equal(list.at[2], "c:3");
    assert_string_equal(list.at[3], "d:4");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(address_list_parse(bad[i], &list));
    memset(longest, 'a', sizeof longest);
    memcpy(longest + ADDRESS_SIZE - 3, ":1", 3);
    assert_true(address_list_parse(longest, &list));
    memcpy(longest + ADDRESS_SIZE - 3, "aa:1", 5);
    assert_false(address_list_parse(longest, &list));
}

static void codes_come_back(void **state)
{
    uint8_t bytes[CODE_PAYLOAD_MAX];
    uint8_t back[CODE_PAYLOAD_MAX];
    char text[CODE_TEXT_SIZE];
    struct hf_err err;
    size_t n;

    (void)state;
    for (size_t size = 0; size <= sizeof bytes; size++) {
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)(i * 37 + size);
        code_text_encode("hf1-", bytes, size, text);
        assert_true(strlen(text) < CODE_TEXT_SIZE);
        assert_int_equal(code_text_decode("hf1-", text, back, &n, &err), HF_OK);
        assert_int_equal(n, size);
        assert_memory_equal(back, bytes, size);
    }
}

static struct invitation_code example(void)
{
    struct invitation_code code = {.address = "steward.example.org:4774",
                                   .expires_s = 1800086400};

    memset(&code.fingerprint, 0xab, sizeof code.fingerprint);
    memset(code.secret, 0xcd, sizeof code.secret);
    return code;
}

static void an_invitation_comes_back(void **state)
{
    const struct invitation_code code = example();
    struct invitation_code back;
    char text[CODE_TEXT_SIZE];
    char spaced[CODE_TEXT_SIZE + 4];
    struct hf_err err;

    (void)state;
    assert_int_equal(invitation_code_put(&code, text, &err), HF_OK);
    assert_int_equal(strncmp(text, "hf1-", 4), 0);
    assert_int_equal(strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-_"),
                     strlen(text));
    (void)snprintf(spaced, sizeof spaced, " %s\r\n", text);
    assert_int_equal(invitation_code_parse(spaced, &back, &err), HF_OK);
    assert_memory_equal(&back, &code, sizeof code);
    assert_int_equal(invitation_code_check(&back, code.expires_s, &err), HF_OK);
    assert_int_equal(invitation_code_check(&back, code.expires_s + 1, &err), HF_WRONG_KEY);
    assert_non_null(strstr(err.msg, "expired 2027-01-16"));
}

/* Every truncation, every single wrong character, and codes of another kind. */
static void mistyped_codes_are_noticed(void **state)
{
    const struct invitation_code code = example();
    struct invitation_code back;
    char text[CODE_TEXT_SIZE];
    char wrong[CODE_TEXT_SIZE + 1];
    struct authority *authority;
    struct hf_err err;
    size_t n;

    (void)state;
    assert_int_equal(invitation_code_put(&code, text, &err), HF_OK);
    n = strlen(text);
    for (size_t cut = 0; cut < n; cut++) {
        memcpy(wrong, text, cut);
        wrong[cut] = '\0';
        assert_int_equal(invitation_code_parse(wrong, &back, &err), HF_WRONG_KEY);
    }
    for (size_t i = 0; i < n; i++) {
        static const char others[] = "A9_- ~\n";

        for (size_t k = 0; others[k] != '\0'; k++) {
            memcpy(wrong, text, n + 1);
            if (wrong[i] == others[k]) continue;
            wrong[i] = others[k];
            /* White space at the end is the same as the end. */
            assert_int_equal(invitation_code_parse(wrong, &back, &err), HF_WRONG_KEY);
            assert_true(strlen(err.msg) > 20);
        }
    }
    (void)snprintf(wrong, sizeof wrong, "%sA", text);
    assert_int_equal(invitation_code_parse(wrong, &back, &err), HF_WRONG_KEY);
    /* A whole authority code behind the other prefix. */
    assert_int_equal(authority_new(&authority, &err), HF_OK);
    authority_code(authority, text);
    assert_int_equal(invitation_code_parse(text, &back, &err), HF_WRONG_KEY);
    (void)snprintf(wrong, sizeof wrong, "hf1-%.350s", text + strlen(AUTHORITY_CODE_PREFIX));
    assert_int_equal(invitation_code_parse(wrong, &back, &err), HF_WRONG_KEY);
    authority_free(authority);
}

/* This very text must be understood for ever. */
static void golden_code_holds(void **state)
{
    const struct invitation_code code = example();
    struct invitation_code back;
    char golden[CODE_TEXT_SIZE] = {0};
    char text[CODE_TEXT_SIZE];
    struct hf_err err;
    FILE *f = fopen(TEST_SOURCE_DIR "/tests/vectors/invitation.txt", "re");

    (void)state;
    assert_non_null(f);
    assert_non_null(fgets(golden, sizeof golden, f));
    (void)fclose(f);
    assert_int_equal(invitation_code_parse(golden, &back, &err), HF_OK);
    assert_memory_equal(&back, &code, sizeof code);
    assert_int_equal(invitation_code_put(&code, text, &err), HF_OK);
    golden[strcspn(golden, "\n")] = '\0';
    assert_string_equal(text, golden);
}

static void authority_comes_back_from_its_code(void **state)
{
    struct authority *authority;
    struct authority *back;
    char text[CODE_TEXT_SIZE];
    struct hf_err err;

    (void)state;
    assert_int_equal(authority_new(&authority, &err), HF_OK);
    authority_code(authority, text);
    assert_int_equal(authority_from_code(text, &back, &err), HF_OK);
    assert_memory_equal(authority_public(authority), authority_public(back),
                        HF_PUBLIC_KEY_SIZE);
    assert_int_equal(authority_number(back), 1);
    authority_free(back);
    text[10] = text[10] == 'A' ? 'B' : 'A';
    assert_int_equal(authority_from_code(text, &back, &err), HF_WRONG_KEY);
    assert_null(back);
    authority_free(authority);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_split),
        cmocka_unit_test(address_lists_split),
        cmocka_unit_test(codes_come_back),
        cmocka_unit_test(an_invitation_comes_back),
        cmocka_unit_test(mistyped_codes_are_noticed),
        cmocka_unit_test(golden_code_holds),
        cmocka_unit_test(authority_comes_back_from_its_code),
    };
    return cmocka_run_group_tests_name("membership/text", tests, NULL, NULL);
}

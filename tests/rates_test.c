/* base/rates.h, daemon/bucket.h, daemon/limits.h: limits by time of day, and keeping them.
 */
#include "test.h"

#include "base/home.h"
#include "daemon/bucket.h"
#include "daemon/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AT(hours, minutes) ((uint32_t)((hours)*60 + (minutes)))

static struct hf_rates rates_of(const char *text)
{
    struct hf_rates rates = {.count = 0};
    struct hf_err err;

    if (hf_rates_add(&rates, text, &err) != HF_OK) fail_msg("%s: %s", text, err.msg);
    return rates;
}

static void windows_hold_by_the_minute(void **state)
{
    const struct hf_rates rates = rates_of("08:00-23:00 200K, 23:00-08:00 off");

    (void)state;
    assert_int_equal(hf_rates_at(&rates, AT(7, 59)), 0);
    assert_int_equal(hf_rates_at(&rates, AT(8, 0)), 200 * 1024);
    assert_int_equal(hf_rates_at(&rates, AT(22, 59)), 200 * 1024);
    assert_int_equal(hf_rates_at(&rates, AT(23, 0)), 0);
    assert_int_equal(hf_rates_at(&rates, AT(0, 0)), 0);
}

static void windows_go_over_midnight(void **state)
{
    const struct hf_rates rates = rates_of("22:30-6:15 1M,\t12:00 - 12:01 64k");

    (void)state;
    assert_int_equal(hf_rates_at(&rates, AT(22, 29)), 0);
    assert_int_equal(hf_rates_at(&rates, AT(22, 30)), 1 << 20);
    assert_int_equal(hf_rates_at(&rates, AT(23, 59)), 1 << 20);
    assert_int_equal(hf_rates_at(&rates, AT(0, 0)), 1 << 20);
    assert_int_equal(hf_rates_at(&rates, AT(6, 14)), 1 << 20);
    assert_int_equal(hf_rates_at(&rates, AT(6, 15)), 0);
    assert_int_equal(hf_rates_at(&rates, AT(12, 0)), 64 << 10);
    assert_int_equal(hf_rates_at(&rates, AT(12, 1)), 0);
}

static void a_rate_alone_is_for_the_whole_day(void **state)
{
    const struct hf_rates day = rates_of("2M");
    const struct hf_rates off = rates_of("off");
    const struct hf_rates whole = rates_of("00:00-24:00 4096");
    const struct hf_rates none = {.count = 0};

    (void)state;
    for (uint32_t minute = 0; minute < HF_RATE_DAY_MIN; minute++) {
        assert_int_equal(hf_rates_at(&day, minute), 2 << 20);
        assert_int_equal(hf_rates_at(&off, minute), 0);
        assert_int_equal(hf_rates_at(&whole, minute), 4096);
        assert_int_equal(hf_rates_at(&none, minute), 0);
    }
}

static void what_is_wrong_is_said(void **state)
{
    static const struct {
        const char *text, *message;
    } wrong[] = {
        {"", "no times or no rate; write it as '2M'"},
        {",", "no times or no rate"},
        {"2M,", "no times or no rate"},
        {"fast", "'fast': no rate; write it as '2M' or '08:00-23:00 200K"},
        {"2 M", "no rate"},
        {"-2M", "no times"},
        {"0", "less than 4K"},
        {"4095", "less than 4K"},
        {"2T", "more than 1T"},
        {"99999999999999999999", "no rate"},
        {"08:00 200K", "'08:00 200K': no times or no rate"},
        {"08:00-23:00", "no times or no rate"},
        {"08:00-23:00 ", "no times or no rate"},
        {"08:00-23:00200K", "no times or no rate"},
        {"8-23 200K", "no times or no rate"},
        {"08:60-09:00 1M", "no times or no rate"},
        {"24:00-08:00 1M", "no times or no rate"},
        {"24:01-08:00 1M", "no times or no rate"},
        {"00:00-24:01 1M", "no times or no rate"},
        {"123:00-08:00 1M", "no times or no rate"},
        {"08:00-08:00 1M", "begins when it ends; a whole day is '1M'"},
        {"2M, 3M", "00:00-24:00 and 00:00-24:00 overlap"},
        {"08:00-12:00 1M, 11:59-13:00 2M", "08:00-12:00 and 11:59-13:00 overlap"},
        {"22:00-06:00 1M, 05:00-07:00 off", "22:00-06:00 and 05:00-07:00 overlap"},
        {"05:00-07:00 off, 22:00-06:00 1M", "05:00-07:00 and 22:00-06:00 overlap"},
        {"23:00-01:00 1M, 00:30-00:40 1M", "23:00-01:00 and 00:30-00:40 overlap"},
        {"10:00-11:00 1M, 00:00-24:00 1M", "10:00-11:00 and 00:00-24:00 overlap"},
        {"                                                                       1M .....",
         "no rate"},
        {"00000000000000000000000000000000000000000000000000000000000000000000000000001M",
         "too long"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct hf_rates rates = {.count = 0};
        struct hf_err err;

        if (hf_rates_add(&rates, wrong[i].text, &err) != HF_INVALID)
            fail_msg("'%s' was taken", wrong[i].text);
        if (strstr(err.msg, wrong[i].message) == NULL)
            fail_msg("'%s': %s", wrong[i].text, err.msg);
    }
}

static void there_are_only_so_many_windows(void **state)
{
    struct hf_rates rates = {.count = 0};
    enum hf_code rc = HF_OK;
    char text[64];
    struct hf_err err;
    unsigned taken = 0;

    (void)state;
    for (; rc == HF_OK; taken++) {
        (void)snprintf(text, sizeof text, "%02u:%02u-%02u:%02u 1M", taken / 30,
                       taken % 30 * 2, taken / 30, taken % 30 * 2 + 1);
        rc = hf_rates_add(&rates, text, &err);
    }
    assert_int_equal(rc, HF_INVALID);
    assert_int_equal(taken, HF_RATE_WINDOWS_MAX + 1);
    assert_non_null(strstr(err.msg, "more than"));
}

/* ---- from the file ---- */

static struct hf_conf *conf_of(const char *dir, const char *text)
{
    struct hf_conf *conf = NULL;
    char path[HF_PATH_MAX];
    struct hf_err err;
    FILE *f;

    assert_int_equal(hf_path_join(dir, "holdfast.conf", path, &err), HF_OK);
    f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(hf_conf_load(path, NULL, &conf, &err), HF_OK);
    return conf;
}

static void a_bad_line_of_the_file_is_named(void **state)
{
    char *dir = test_dir_new();
    struct hf_conf *conf = conf_of(dir, "# of the ring\n"
                                        "[ring]\n"
                                        "limit-download = 1M\n"
                                        "limit-upload = 08:00-12:00 1M\n"
                                        "\n"
                                        "limit-upload = 11:00-13:00 2M\n");
    struct limits limits = {.upload.count = 7};
    struct hf_err err;

    (void)state;
    assert_int_equal(limits_load(conf, &limits, &err), HF_INVALID);
    assert_non_null(strstr(err.msg, "holdfast.conf: line 6: limit-upload: 08:00-12:00 and "
                                    "11:00-13:00 overlap"));
    assert_int_equal(limits.upload.count, 7); /* as it was */
    assert_int_equal(setenv("HOLDFAST_LIMIT_UPLOAD", "nonsense", 1), 0);
    assert_int_equal(limits_load(conf, &limits, &err), HF_INVALID);
    assert_non_null(strstr(err.msg, "HOLDFAST_LIMIT_UPLOAD: limit-upload: 'nonsense'"));
    assert_int_equal(setenv("HOLDFAST_LIMIT_UPLOAD", "5M", 1), 0);
    assert_int_equal(limits_load(conf, &limits, &err), HF_OK);
    assert_int_equal(unsetenv("HOLDFAST_LIMIT_UPLOAD"), 0);
    assert_int_equal(hf_rates_at(&limits.upload, 700), 5 << 20);
    assert_int_equal(hf_rates_at(&limits.download, 700), 1 << 20);
    hf_conf_free(conf);
    test_dir_remove(dir);
}

static void lines_of_one_key_add_up(void **state)
{
    char *dir = test_dir_new();
    struct hf_conf *conf = conf_of(dir, "[ring]\n"
                                        "limit-upload = 08:00-12:00 1M\n"
                                        "limit-upload = 12:00-13:00 2M\n");
    struct limits limits;
    struct hf_err err;

    (void)state;
    assert_int_equal(limits_load(conf, &limits, &err), HF_OK);
    assert_int_equal(hf_rates_at(&limits.upload, AT(11, 59)), 1 << 20);
    assert_int_equal(hf_rates_at(&limits.upload, AT(12, 0)), 2 << 20);
    assert_int_equal(hf_rates_at(&limits.download, AT(12, 0)), 0);
    hf_conf_free(conf);
    test_dir_remove(dir);
}

static void the_time_of_day_is_local(void **state)
{
    (void)state;
    assert_int_equal(setenv("TZ", "XXX-05:30", 1), 0); /* east of Greenwich */
    tzset();
    assert_int_equal(limits_minute(0), AT(5, 30));
    assert_int_equal(limits_minute(59), AT(5, 30));
    assert_int_equal(limits_minute(INT64_C(86400) * 20000 + 60), AT(5, 31));
    assert_int_equal(unsetenv("TZ"), 0);
    tzset();
}

/* ---- the bucket ---- */

static void a_bucket_keeps_the_rate(void **state)
{
    struct bucket bucket = {.rate = 0};
    uint64_t spent = 0;

    (void)state;
    assert_true(bucket_is_open(&bucket, 5)); /* no limit */
    bucket_spend(&bucket, UINT64_MAX, 5);
    assert_true(bucket_is_open(&bucket, 5));
    bucket_set_rate(&bucket, 1000, 1000);
    for (uint64_t now_ms = 1000; now_ms < 101000; now_ms++) {
        if (!bucket_is_open(&bucket, now_ms)) continue;
        bucket_spend(&bucket, 333, now_ms);
        spent += 333;
    }
    assert_in_range(spent, 100000 - 333, 100000 + 333);
}

static void a_debt_is_waited_for_and_a_pause_is_not_saved_up(void **state)
{
    struct bucket bucket = {.rate = 0};

    (void)state;
    bucket_set_rate(&bucket, 1000, 1000);
    bucket_spend(&bucket, 5000, 1000);
    assert_int_equal(bucket_wait_ms(&bucket, 1000), 5001);
    assert_false(bucket_is_open(&bucket, 5999));
    assert_true(bucket_is_open(&bucket, 6001));
    bucket_spend(&bucket, 250, 1000000); /* a quarter of a second is allowed at once */
    assert_true(bucket_is_open(&bucket, 1000000));
    bucket_spend(&bucket, 1, 1000000);
    assert_false(bucket_is_open(&bucket, 1000000));
    bucket_spend(&bucket, UINT64_MAX, 1000000); /* no more than an hour is owed */
    assert_in_range(bucket_wait_ms(&bucket, 1000000), 3600000, 3600002);
    bucket_set_rate(&bucket, 0, 1000000);
    assert_true(bucket_is_open(&bucket, 1000000));
    bucket_set_rate(&bucket, HF_RATE_MAX, 1000000);
    bucket_spend(&bucket, UINT64_MAX, 1000000);
    assert_true(bucket_is_open(&bucket, UINT64_MAX / 2));
    assert_true(bucket_is_open(&bucket, 5)); /* a clock that goes back does no harm */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_hold_by_the_minute),
        cmocka_unit_test(windows_go_over_midnight),
        cmocka_unit_test(a_rate_alone_is_for_the_whole_day),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(there_are_only_so_many_windows),
        cmocka_unit_test(a_bad_line_of_the_file_is_named),
        cmocka_unit_test(lines_of_one_key_add_up),
        cmocka_unit_test(the_time_of_day_is_local),
        cmocka_unit_test(a_bucket_keeps_the_rate),
        cmocka_unit_test(a_debt_is_waited_for_and_a_pause_is_not_saved_up),
    };
    return cmocka_run_group_tests_name("base/rates", tests, NULL, NULL);
}

/* err.h, file.h, lock.h, log.h, pool.h, conf.h, home.h, alloc.h, buffer.h. */
#include "test.h"

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/conf.h"
#include "base/file.h"
#include "base/home.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void errors_grow_to_the_left_and_are_cut_on_the_right(void **state)
{
    struct hf_err err;

    assert_int_equal(hf_fail_errno(&err, ENOSPC, "write %s", "x"), HF_NO_SPACE);
    assert_int_equal(hf_prefix(&err, "store"), HF_NO_SPACE);
    assert_string_equal(err.msg, "store: write x: No space left on device");
    for (int i = 0; i < 100; i++)
        (void)hf_prefix(&err, "prefix %d", i);
    assert_true(strlen(err.msg) < sizeof err.msg);
    assert_int_equal(strncmp(err.msg, "prefix 99: prefix 98", 20), 0);
    assert_int_equal(hf_code_errno(HF_CORRUPT), EBADMSG);
    assert_string_equal(hf_code_text((enum hf_code)99), "unknown code");
    (void)state;
}

static void replacing_a_file_is_all_or_nothing(void **state)
{
    char *dir = test_dir_new();
    struct hf_files *files = hf_files_system();
    struct hf_err err;
    char buf[16];
    size_t n;
    int fd;

    assert_int_equal(hf_dir_open(dir, &fd, &err), HF_OK);
    assert_int_equal(hf_file_replace(files, fd, "f", "one", 3, 0600, &err), HF_OK);
    assert_int_equal(hf_file_replace(files, fd, "f", "second", 6, 0600, &err), HF_OK);
    assert_int_equal(hf_file_load(files, fd, "f", buf, sizeof buf, &n, &err), HF_OK);
    assert_int_equal(n, 6);
    assert_memory_equal(buf, "second", 6);
    assert_int_equal(hf_file_load(files, fd, "f", buf, 6, &n, &err), HF_OK);
    assert_int_equal(hf_file_load(files, fd, "f", buf, 5, &n, &err), HF_TOO_LARGE);
    assert_int_equal(hf_file_load(files, fd, "g", buf, 5, &n, &err), HF_NOT_FOUND);
    assert_int_equal(hf_file_load_private(files, fd, "f", buf, 16, &n, &err), HF_OK);
    assert_int_equal(fchmodat(fd, "f", 0640, 0), 0);
    assert_int_equal(hf_file_load_private(files, fd, "f", buf, 16, &n, &err), HF_DENIED);
    assert_non_null(strstr(err.msg, "chmod 600"));
    (void)close(fd);
    test_dir_remove(dir);
    (void)state;
}

static void a_lock_names_its_holder(void **state)
{
    char *dir = test_dir_new();
    struct hf_err err;
    char pid[32];
    int dir_fd;
    int lock;
    int second;

    assert_int_equal(hf_dir_open(dir, &dir_fd, &err), HF_OK);
    assert_false(hf_lock_is_held(dir_fd, "lock"));
    assert_int_equal(hf_lock_take(dir_fd, "lock", "backup", &lock, &err), HF_OK);
    assert_true(hf_lock_is_held(dir_fd, "lock"));
    assert_int_equal(hf_lock_take(dir_fd, "lock", "prune", &second, &err), HF_LOCKED);
    (void)snprintf(pid, sizeof pid, "%ld backup", (long)getpid());
    assert_non_null(strstr(err.msg, pid));
    hf_lock_release(lock);
    assert_false(hf_lock_is_held(dir_fd, "lock"));
    assert_int_equal(hf_lock_take(dir_fd, "lock", "prune", &second, &err), HF_OK);
    hf_lock_release(second);
    (void)close(dir_fd);
    test_dir_remove(dir);
    (void)state;
}

static void names_are_escaped(void **state)
{
    char out[64];

    assert_string_equal(hf_escape("a\x1b[31m\n\xff\xc3\xa9", out, sizeof out),
                        "a\\x1b[31m\\x0a\\xff\xc3\xa9");
    assert_true(strlen(hf_escape("\x01\x01\x01\x01\x01\x01\x01", out, 10)) < 10);
    (void)state;
}

static void a_log_line_is_one_line(void **state)
{
    int pipe_fds[2];
    char line[256];
    ssize_t n;

    assert_int_equal(pipe(pipe_fds), 0);
    hf_log_open(HF_LOG_INFO, pipe_fds[1], 0);
    hf_log(HF_LOG_DEBUG, "t", "not seen");
    hf_log(HF_LOG_INFO, "t", "two\nlines %d", 7);
    hf_log_open(HF_LOG_WARN, STDERR_FILENO, 0);
    (void)close(pipe_fds[1]);
    n = read(pipe_fds[0], line, sizeof line - 1);
    assert_true(n > 0);
    line[n] = '\0';
    assert_string_equal(line, "info t: two\\x0alines 7\n");
    (void)close(pipe_fds[0]);
    (void)state;
}

static atomic_int ran;

static void count_job(void *arg)
{
    (void)atomic_fetch_add(&ran, *(int *)arg);
}

static void a_pool_runs_every_job_once(void **state)
{
    struct hf_pool *pool = hf_pool_new(3, 4);
    int one = 1;

    assert_non_null(pool);
    for (int i = 0; i < 1000; i++)
        hf_pool_submit(pool, count_job, &one);
    hf_pool_wait(pool);
    assert_int_equal(atomic_load(&ran), 1000);
    hf_pool_submit(pool, count_job, &one);
    hf_pool_free(pool);
    assert_int_equal(atomic_load(&ran), 1001);
    (void)state;
}

static void configuration_has_precedence(void **state)
{
    char *dir = test_dir_new();
    char system_path[HF_PATH_MAX];
    char user_path[HF_PATH_MAX];
    struct hf_conf *base;
    struct hf_conf *conf;
    struct hf_err err;
    FILE *f;

    assert_int_equal(hf_path_join(dir, "system.conf", system_path, &err), HF_OK);
    assert_int_equal(hf_path_join(dir, "user.conf", user_path, &err), HF_OK);
    f = fopen(system_path, "w");
    (void)fputs("[backup]\ncompression = max\ntag = a\nskip = z\nlist = 8\nlist = 9\n", f);
    (void)fclose(f);
    f = fopen(user_path, "w");
    (void)fputs("; comment\n[backup]\ntag = b\nskip = x\nother = 1\nskip = y\n  w\n", f);
    (void)fclose(f);
    assert_int_equal(hf_conf_load(system_path, NULL, &base, &err), HF_OK);
    assert_int_equal(hf_conf_load(user_path, base, &conf, &err), HF_OK);
    assert_string_equal(hf_conf_get(conf, "backup", "tag"), "b");
    assert_string_equal(hf_conf_get(conf, "backup", "compression"), "max");
    assert_null(hf_conf_get(conf, "ring", "listen"));
    assert_int_equal(setenv("HOLDFAST_COMPRESSION", "off", 1), 0);
    assert_string_equal(hf_conf_get(conf, "backup", "compression"), "off");
    assert_string_equal(hf_conf_get_line(conf, "backup", "compression", 0), "off");
    assert_null(hf_conf_get_line(conf, "backup", "compression", 1));
    assert_int_equal(unsetenv("HOLDFAST_COMPRESSION"), 0);
    assert_string_equal(hf_conf_get_line(conf, "backup", "skip", 0), "x");
    assert_string_equal(hf_conf_get_line(conf, "backup", "skip", 1), "y");
    assert_string_equal(hf_conf_get_line(conf, "backup", "skip", 2), "w");
    assert_null(hf_conf_get_line(conf, "backup", "skip", 3)); /* not the system's */
    assert_string_equal(hf_conf_get_line(conf, "backup", "list", 1), "9");
    assert_null(hf_conf_get_line(conf, "backup", "none", 0));
    hf_conf_free(conf);
    f = fopen(user_path, "w");
    (void)fputs("[backup]\nnonsense\n", f);
    (void)fclose(f);
    assert_int_equal(hf_conf_load(user_path, NULL, &conf, &err), HF_INVALID);
    assert_non_null(strstr(err.msg, "line 2"));
    test_dir_remove(dir);
    (void)state;
}

static void sizes_and_durations(void **state)
{
    uint64_t v;

    assert_true(hf_size_parse("64K", &v) && v == 65536);
    assert_true(hf_size_parse("0", &v) && v == 0);
    assert_true(hf_size_parse("10g", &v) && v == 10ull << 30);
    assert_false(hf_size_parse("", &v));
    assert_false(hf_size_parse("-1", &v));
    assert_false(hf_size_parse("5X", &v));
    assert_false(hf_size_parse("5KB", &v));
    assert_false(hf_size_parse("99999999999P", &v));
    assert_true(hf_duration_parse("1d12h", &v) && v == 129600);
    assert_true(hf_duration_parse("2y5m7d3h", &v));
    assert_false(hf_duration_parse("12", &v));
    assert_false(hf_duration_parse("h", &v));
    assert_false(hf_duration_parse("99999999999999999999y", &v));
    (void)state;
}

static void a_home_that_others_may_write_is_refused(void **state)
{
    char *dir = test_dir_new();
    struct hf_home home;
    struct hf_err err;

    assert_int_equal(hf_home_find(dir, &home, &err), HF_OK);
    assert_int_equal(hf_home_check(&home, &err), HF_NOT_FOUND);
    assert_int_equal(hf_home_make(&home, &err), HF_OK);
    assert_int_equal(hf_home_make(&home, &err), HF_OK);
    assert_int_equal(chmod(home.config, 0777), 0);
    assert_int_equal(hf_home_check(&home, &err), HF_DENIED);
    assert_non_null(strstr(err.msg, "chmod 700"));
    test_dir_remove(dir);
    (void)state;
}

static void products_are_checked(void **state)
{
    size_t capacity = 0;
    void *p = hf_grow_array(NULL, &capacity, 1, 8);

    assert_non_null(p);
    assert_int_equal(capacity, 16);
    assert_null(hf_grow_array(p, &capacity, SIZE_MAX / 4, 8));
    assert_int_equal(capacity, 16);
    free(p);
    (void)state;
}

static void the_last_reference_frees(void **state)
{
    struct hf_buffer *b = hf_buffer_new(10);

    assert_ptr_equal(hf_buffer_ref(b), b);
    memset(b->b, 1, b->size);
    hf_buffer_unref(b);
    assert_int_equal(b->b[9], 1);
    hf_buffer_unref(b);
    hf_buffer_unref(NULL);
    assert_null(hf_buffer_new(SIZE_MAX));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_grow_to_the_left_and_are_cut_on_the_right),
        cmocka_unit_test(replacing_a_file_is_all_or_nothing),
        cmocka_unit_test(a_lock_names_its_holder),
        cmocka_unit_test(names_are_escaped),
        cmocka_unit_test(a_log_line_is_one_line),
        cmocka_unit_test(a_pool_runs_every_job_once),
        cmocka_unit_test(configuration_has_precedence),
        cmocka_unit_test(sizes_and_durations),
        cmocka_unit_test(a_home_that_others_may_write_is_refused),
        cmocka_unit_test(products_are_checked),
        cmocka_unit_test(the_last_reference_frees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

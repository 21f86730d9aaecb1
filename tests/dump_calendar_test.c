/* The calendar: names of hosts, years and days, and what survives a bad reading. */
#include "test.h"

#include "fuse/calendar.h"

#include <stdio.h>
#include <string.h>

#define DAY_NS (86400ll * 1000000000)

/* 2026-11-20 00:00:00 UTC */
#define NOON_NS (1795132800ll * 1000000000 + DAY_NS / 2)

struct line {
    int64_t time_ns;
    uint32_t ordinal;
    uint8_t id;
};

static struct hf_id id_of(uint8_t first)
{
    struct hf_id id = {{first, 0x11, 0x22, 0x33}};

    return id;
}

static void add_host(struct vault_view *view, uint8_t id, const char *name, uint64_t seq,
                     const struct line *lines, size_t count)
{
    struct catalog *c;

    view->hosts = realloc(view->hosts, (view->host_count + 1) * sizeof *view->hosts);
    assert_non_null(view->hosts);
    c = &view->hosts[view->host_count++];
    memset(c, 0, sizeof *c);
    c->host = id_of(id);
    c->seq = seq;
    (void)snprintf(c->host_name, sizeof c->host_name, "%s", name);
    c->entries = calloc(count + 1, sizeof *c->entries);
    assert_non_null(c->entries);
    c->count = c->capacity = count;
    for (size_t i = 0; i < count; i++) {
        c->entries[i].snapshot = id_of(lines[i].id);
        c->entries[i].ref.id = c->entries[i].snapshot;
        c->entries[i].time_ns = lines[i].time_ns;
        c->entries[i].ordinal = lines[i].ordinal;
    }
}

static void days_are_grouped_in_years(void **state)
{
    static const struct line lines[] = {{NOON_NS - 400 * DAY_NS, 0, 1},
                                        {NOON_NS - DAY_NS, 0, 2},
                                        {NOON_NS, 0, 3},
                                        {NOON_NS + 1000, 1, 4},
                                        {NOON_NS + 2000, 2, 5}};
    struct vault_view view = {0};
    char target[CALENDAR_TARGET_SIZE];
    const struct calendar_host *host;
    const struct calendar_year *year;
    const struct calendar_dump *dump;
    struct calendar *c;

    add_host(&view, 7, "laptop", 5, lines, 5);
    c = calendar_new(&view, NULL);
    vault_view_done(&view);
    assert_non_null(c);
    host = calendar_host_named(c, "laptop");
    assert_non_null(host);
    assert_ptr_equal(calendar_host_of(c, &host->id), host);
    assert_int_equal(host->year_count, 2);
    assert_string_equal(host->years[0].name, "2025");
    assert_int_equal(host->years[0].count, 1);
    assert_true(host->years[0].newest_ns == NOON_NS - 400 * DAY_NS);
    year = calendar_year_named(host, "2026");
    assert_int_equal(year->count, 4);
    assert_true(year->newest_ns == NOON_NS + 2000);
    dump = calendar_dump_named(host, year, "11201");
    assert_non_null(dump);
    assert_int_equal(dump->snapshot.b[0], 4);
    assert_int_equal(calendar_dump_named(host, year, "1119")->snapshot.b[0], 2);
    assert_null(calendar_dump_named(host, year, "1118"));
    assert_null(calendar_year_named(host, "2024"));
    assert_null(calendar_host_named(c, "lap"));
    calendar_latest_target(host, target);
    assert_string_equal(target, "2026/11202");
    assert_true(calendar_newest_ns(c) == NOON_NS + 2000);
    calendar_unref(c);
    (void)state;
}

/* Ten and more dumps of a day: in order of names "11201" "112010" "11202", but latest is
 * the newest in time. */
static void latest_is_by_time(void **state)
{
    struct line lines[12];
    struct vault_view view = {0};
    char target[CALENDAR_TARGET_SIZE];
    struct calendar *c;

    for (uint32_t i = 0; i < 12; i++)
        lines[i] = (struct line){NOON_NS + i, i, (uint8_t)(i + 1)};
    add_host(&view, 7, "h", 1, lines, 12);
    c = calendar_new(&view, NULL);
    vault_view_done(&view);
    calendar_latest_target(&c->hosts[0], target);
    assert_string_equal(target, "2026/112011");
    calendar_unref(c);
    (void)state;
}

static void names_are_safe_and_unique(void **state)
{
    char long_name[NAME_TEXT_MAX];
    struct vault_view view = {0};
    struct calendar *c;

    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    add_host(&view, 1, "pc", 1, NULL, 0);
    add_host(&view, 2, "pc", 1, NULL, 0);
    add_host(&view, 3, "..", 1, NULL, 0);
    add_host(&view, 4, ".", 1, NULL, 0);
    add_host(&view, 5, "", 1, NULL, 0);
    add_host(&view, 6, "a/b\nc", 1, NULL, 0);
    add_host(&view, 7, long_name, 1, NULL, 0);
    add_host(&view, 8, long_name, 1, NULL, 0);
    add_host(&view, 9, "pc~01112233", 1, NULL, 0); /* what the first will be called */
    c = calendar_new(&view, NULL);
    vault_view_done(&view);
    assert_non_null(c);
    assert_null(calendar_host_named(c, "pc"));
    assert_non_null(calendar_host_named(c, "pc~02112233"));
    assert_non_null(calendar_host_named(c, "_.."));
    assert_non_null(calendar_host_named(c, "_."));
    assert_non_null(calendar_host_named(c, "unnamed"));
    assert_non_null(calendar_host_named(c, "a_b_c"));
    assert_int_equal(c->host_count, 9);
    for (size_t i = 0; i < c->host_count; i++) {
        assert_in_range(strlen(c->hosts[i].name), 1, 255);
        assert_null(strchr(c->hosts[i].name, '/'));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(c->hosts[i].name, c->hosts[j].name);
    }
    assert_true(calendar_newest_ns(c) == 0);
    calendar_unref(c);
    (void)state;
}

static void days_that_collide_are_told_apart(void **state)
{
    static const struct line lines[] = {{NOON_NS, 0, 0xa1}, {NOON_NS + 5, 0, 0xa2}};
    struct vault_view view = {0};
    const struct calendar_host *host;
    struct calendar *c;

    add_host(&view, 7, "h", 1, lines, 2);
    c = calendar_new(&view, NULL);
    vault_view_done(&view);
    host = &c->hosts[0];
    assert_int_equal(calendar_dump_named(host, &host->years[0], "1120")->snapshot.b[0],
                     0xa1);
    assert_int_equal(
        calendar_dump_named(host, &host->years[0], "1120~a2112233")->snapshot.b[0], 0xa2);
    calendar_unref(c);
    (void)state;
}

static void what_was_seen_stays(void **state)
{
    static const struct line one[] = {{NOON_NS, 0, 1}};
    static const struct line two[] = {{NOON_NS, 0, 1}, {NOON_NS + 1, 1, 2}};
    struct vault_view first = {0};
    struct vault_view second = {0};
    struct calendar *before;
    struct calendar *after;

    add_host(&first, 1, "gone", 3, one, 1);
    add_host(&first, 2, "older", 3, two, 2);
    add_host(&first, 3, "newer", 3, one, 1);
    before = calendar_new(&first, NULL);
    vault_view_done(&first);
    add_host(&second, 2, "older", 2, one, 1); /* an old head: 3 was seen */
    add_host(&second, 3, "newer", 4, two, 2);
    add_host(&second, 4, "fresh", 1, NULL, 0);
    after = calendar_new(&second, before);
    vault_view_done(&second);
    assert_int_equal(calendar_host_named(before, "newer")->dump_count, 1);
    calendar_unref(before); /* nothing in `after` borrows from it */
    assert_int_equal(after->host_count, 4);
    assert_int_equal(calendar_host_named(after, "gone")->dump_count, 1);
    assert_string_equal(calendar_host_named(after, "gone")->years[0].name, "2026");
    assert_int_equal(calendar_host_named(after, "older")->dump_count, 2);
    assert_int_equal(calendar_host_named(after, "newer")->dump_count, 2);
    assert_int_equal(calendar_host_named(after, "fresh")->dump_count, 0);
    calendar_unref(calendar_ref(after));
    assert_non_null(calendar_host_named(after, "fresh"));
    calendar_unref(after);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_are_grouped_in_years),
        cmocka_unit_test(latest_is_by_time),
        cmocka_unit_test(names_are_safe_and_unique),
        cmocka_unit_test(days_that_collide_are_told_apart),
        cmocka_unit_test(what_was_seen_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

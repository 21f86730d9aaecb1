/* Patterns: a table of what matches, the same as git says, and no path takes for ever. */
#include "test.h"

#include "base/lines.h"
#include "snapshot/limits.h"
#include "snapshot/patterns.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct pattern_set *set_of(const char *const *patterns, size_t count, unsigned flags)
{
    struct pattern_set *set = pattern_set_new();
    struct hf_err err;

    assert_non_null(set);
    for (size_t i = 0; i < count; i++) {
        if (pattern_set_add(set, patterns[i], flags, "test", &err) != HF_OK)
            fail_msg("%s", err.msg);
    }
    return set;
}

/* A path that ends in '/' is a directory. */
static enum pattern_verdict ask(const struct pattern_set *set, const char *path)
{
    char text[512];
    size_t n = strlen(path);
    bool is_dir = path[n - 1] == '/';

    (void)snprintf(text, sizeof text, "%.*s", (int)(is_dir ? n - 1 : n), path);
    return pattern_set_match(set, text, is_dir);
}

struct row {
    const char *pattern, *path;
    bool match;
};

static const struct row rows[] = {
    /* without a slash: the last name, anywhere */
    {"a", "/a", true},
    {"a", "/x/y/a", true},
    {"a", "/a/x", false},
    {"a", "/ab", false},
    {"*.o", "/src/x.o", true},
    {"*.o", "/src/.o", true},
    {"*.o", "/src/x.oo", false},
    {"a?c", "/abc", true},
    {"a?c", "/ac", false},
    {"*", "/x", true},
    {"**", "/x/y", true},
    {"a**b", "/x/aXXb", true},
    {"*a*b*c*", "/xxaxbbxcxx", true},
    {"*a*b*c*", "/xxaxbbxxx", false},
    {"*ab", "/aaab", true},
    {"*aab", "/aaaab", true},
    /* with one: from the root */
    {"/a", "/a", true},
    {"/a", "/x/a", false},
    {"x/a", "/x/a", true},
    {"x/a", "/y/x/a", false},
    {"/x/*", "/x/a", true},
    {"/x/*", "/x/a/b", false},
    {"/*/a", "/x/a", true},
    {"/*/a", "/x/y/a", false},
    {"/x*/a", "/xx/a", true},
    {"/x?a", "/x/a", false},
    {"/x[/]a", "/x/a", false},
    {"/x[!b]a", "/x/a", false},
    {"/x\\/a", "/x/a", true},
    /* ** */
    {"**/a", "/a", true},
    {"**/a", "/x/y/a", true},
    {"**/a", "/x/y/ab", false},
    {"**/x/a", "/y/x/a", true},
    {"**/x/a", "/y/x/b/a", false},
    {"/x/**", "/x", false},
    {"/x/**", "/x/a", true},
    {"/x/**", "/x/a/b", true},
    {"/x/**/b", "/x/b", true},
    {"/x/**/b", "/x/a/a/b", true},
    {"/x/**/b", "/xb", false},
    {"/x/**/b", "/x/ab", false},
    {"/x/**/y/**/z", "/x/1/y/2/y/3/z", true},
    {"/x/**/y/**/z", "/x/1/2/3/z", false},
    {"**/a*b/c", "/q/ab/axxb/c", true},
    {"**/**/a", "/a", true},
    {"***/a", "/x/a", true},
    {"x**/a", "/x1/a", true},
    {"x**/a", "/x1/y/a", false},
    {"/x/**y", "/x/1/y", false},
    {"/x/**y", "/x/1y", true},
    {"/**", "/a", true},
    {"/**", "/a/b", true},
    /* directories only */
    {"a/", "/a", false},
    {"a/", "/a/", true},
    {"a/", "/x/a/", true},
    {"/x/a/", "/x/a/", true},
    {"/x/**/", "/x/a", false},
    {"/x/**/", "/x/a/", true},
    {"a", "/a/", true},
    /* sets */
    {"[abc]", "/b", true},
    {"[abc]", "/d", false},
    {"[!abc]", "/d", true},
    {"[^abc]", "/a", false},
    {"[a-c]x", "/bx", true},
    {"[a-c]x", "/dx", false},
    {"[]a]", "/]", true},
    {"[!]a]", "/]", false},
    {"[a-]", "/-", true},
    {"a[--0]", "/a.", true},
    {"[c-a]", "/c", true},
    {"[c-a]", "/b", false},
    {"[a-c-e]", "/-", true},
    {"[a-c-e]", "/d", false},
    {"[\\]]", "/]", true},
    {"[\\a-\\c]", "/b", true},
    {"[[:digit:]]", "/7", true},
    {"[[:digit:]]", "/x", false},
    {"[[:upper:][:digit:]_]", "/_", true},
    {"[![:space:]]", "/x", true},
    {"[[:alpha:]-z]", "/-", true},
    {"x[[:]", "/x:", true},
    {"x[[:]", "/x[", true},
    {"x[[:xdigit:]]", "/xF", true},
    {"x[[:punct:]]", "/x~", true},
    /* escapes */
    {"\\*", "/*", true},
    {"\\*", "/x", false},
    {"\\!a", "/!a", true},
    {"\\#a", "/#a", true},
    {"a\\?", "/a?", true},
    {"a\\ ", "/a ", true},
    /* raw bytes */
    {"\xff*", "/\xff\xfe", true},
    {"?", "/\xe4", true},
    {"?", "/\xc3\xa4", false},
    {"[\xe0-\xff]", "/\xf3", true},
    {"A", "/a", false},
};

static void the_table_holds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        struct pattern_set *set = set_of(&r->pattern, 1, 0);

        if ((ask(set, r->path) == PATTERN_EXCLUDE) != r->match)
            fail_msg("'%s' and %s: want %d", r->pattern, r->path, r->match);
        assert_int_equal(ask(set, r->path), ask(set, r->path + 1)); /* without the '/' */
        pattern_set_free(set);
    }
}

static void the_last_one_decides(void **state)
{
    static const char *const patterns[] = {"*.log", "!keep.log", "/x/keep.log", "!/y/*"};
    struct pattern_set *set = set_of(patterns, 4, 0);

    (void)state;
    assert_int_equal(pattern_set_count(set), 4);
    assert_int_equal(ask(set, "/a.log"), PATTERN_EXCLUDE);
    assert_int_equal(ask(set, "/keep.log"), PATTERN_INCLUDE);
    assert_int_equal(ask(set, "/x/keep.log"), PATTERN_EXCLUDE);
    assert_int_equal(ask(set, "/y/a.log"), PATTERN_INCLUDE);
    assert_int_equal(ask(set, "/y/z/a.txt"), PATTERN_NONE);
    pattern_set_free(set);
    assert_int_equal(pattern_set_count(NULL), 0);
    assert_int_equal(pattern_set_match(NULL, "/a", false), PATTERN_NONE);
}

static void case_is_ignored_where_asked(void **state)
{
    static const char *const patterns[] = {"Read*.TXT", "[a-c]Q", "[^x]1"};
    struct pattern_set *set = set_of(patterns, 3, PATTERN_NO_CASE);

    (void)state;
    assert_int_equal(ask(set, "/rEADme.txt"), PATTERN_EXCLUDE);
    assert_int_equal(ask(set, "/Bq"), PATTERN_EXCLUDE);
    assert_int_equal(ask(set, "/Dq"), PATTERN_NONE);
    assert_int_equal(ask(set, "/X1"), PATTERN_NONE);
    assert_int_equal(ask(set, "/Y1"), PATTERN_EXCLUDE);
    pattern_set_free(set);
}

static void what_is_no_pattern_is_refused(void **state)
{
    static const char *const wrong[] = {"",     "/",          "!",      "!/",  "a\\",
                                        "[",    "[a",         "[]",     "[!]", "[a-",
                                        "[a\\", "[[:nope:]]", "[[::]]", "x/\\"};
    struct pattern_set *set = pattern_set_new();
    char *text = malloc(PATTERN_SIZE_MAX + 2);
    struct hf_err err;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (pattern_set_add(set, wrong[i], 0, "--exclude", &err) != HF_INVALID)
            fail_msg("'%s' was taken", wrong[i]);
        assert_non_null(strstr(err.msg, "--exclude"));
    }
    memset(text, 'a', PATTERN_SIZE_MAX + 1);
    text[PATTERN_SIZE_MAX + 1] = '\0';
    assert_int_equal(pattern_set_add(set, text, 0, "-e", &err), HF_TOO_LARGE);
    assert_int_equal(pattern_set_add(set, text + 1, 0, "-e", &err), HF_OK);
    assert_int_equal(pattern_set_count(set), 1);
    free(text);
    pattern_set_free(set);
}

/* A backtracking matcher would take longer than the universe has. */
static void stars_do_not_explode(void **state)
{
    char pattern[512] = "";
    char *path = malloc(200002);
    struct pattern_set *set;
    const char *const first = pattern;

    (void)state;
    for (size_t i = 0; i < 80; i++)
        (void)snprintf(pattern + strlen(pattern), sizeof pattern - strlen(pattern), "*a");
    (void)snprintf(pattern + strlen(pattern), sizeof pattern - strlen(pattern), "b");
    memset(path, 'a', 2000);
    path[2000] = '\0';
    set = set_of(&first, 1, 0);
    assert_int_equal(pattern_set_match(set, path, false), PATTERN_NONE);
    pattern_set_free(set);

    pattern[0] = '\0';
    for (size_t i = 0; i < 60; i++)
        (void)snprintf(pattern + strlen(pattern), sizeof pattern - strlen(pattern),
                       "**/a*/");
    (void)snprintf(pattern + strlen(pattern), sizeof pattern - strlen(pattern), "b");
    for (size_t i = 0; i < 100000; i++)
        memcpy(path + 2 * i, "a/", 2);
    path[200000] = 'a';
    path[200001] = '\0';
    set = set_of(&first, 1, 0);
    assert_int_equal(pattern_set_match(set, path, false), PATTERN_NONE);
    path[200000] = 'b';
    assert_int_equal(pattern_set_match(set, path, false), PATTERN_EXCLUDE);
    pattern_set_free(set);
    free(path);
}

static void write_text(const char *dir, const char *name, const char *text, char out[600])
{
    FILE *f;

    (void)snprintf(out, 600, "%s/%s", dir, name);
    f = fopen(out, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void files_have_comments_and_spaces(void **state)
{
    struct pattern_set *set = pattern_set_new();
    char *dir = test_dir_new();
    char path[600];
    struct hf_err err;

    (void)state;
    write_text(dir, "patterns",
               "\xef\xbb\xbf*.a\r\n# *.b\n\n\\#c  \nd\\  \n  e\n!x.a\n/last", path);
    assert_int_equal(pattern_set_add_file(set, path, 0, &err), HF_OK);
    assert_int_equal(pattern_set_count(set), 6);
    assert_int_equal(ask(set, "/1.a"), PATTERN_EXCLUDE);
    assert_int_equal(ask(set, "/x.a"), PATTERN_INCLUDE);
    assert_int_equal(ask(set, "/1.b"), PATTERN_NONE);
    assert_int_equal(ask(set, "/#c"), PATTERN_EXCLUDE);
    assert_int_equal(ask(set, "/d "), PATTERN_EXCLUDE);
    assert_int_equal(ask(set, "/d"), PATTERN_NONE);
    assert_int_equal(ask(set, "/  e"), PATTERN_EXCLUDE);
    assert_int_equal(ask(set, "/last"), PATTERN_EXCLUDE);

    write_text(dir, "wrong", "ok\n[oops\n", path);
    assert_int_equal(pattern_set_add_file(set, path, 0, &err), HF_INVALID);
    assert_non_null(strstr(err.msg, "wrong:2"));
    (void)snprintf(path, sizeof path, "%s/none", dir);
    assert_int_equal(pattern_set_add_file(set, path, 0, &err), HF_NOT_FOUND);
    assert_non_null(strstr(err.msg, "none"));
    pattern_set_free(set);
    test_dir_remove(dir);
}

static void lines_are_bounded_text(void **state)
{
    struct hf_lines lines;
    char *dir = test_dir_new();
    char path[600];
    struct hf_err err;
    FILE *f;

    (void)state;
    write_text(dir, "empty", "", path);
    assert_int_equal(hf_lines_load(path, 10, &lines, &err), HF_OK);
    assert_int_equal(lines.count, 0);
    hf_lines_done(&lines);
    write_text(dir, "two", "a\n\nb\r\r\n", path);
    assert_int_equal(hf_lines_load(path, 10, &lines, &err), HF_OK);
    assert_int_equal(lines.count, 3);
    assert_string_equal(lines.lines[1], "");
    assert_string_equal(lines.lines[2], "b\r");
    hf_lines_done(&lines);
    assert_int_equal(hf_lines_load(path, 6, &lines, &err), HF_TOO_LARGE);
    assert_int_equal(hf_lines_load(dir, 6, &lines, &err), HF_IO);
    f = fopen(path, "we");
    assert_int_equal(fwrite("a\0b", 1, 3, f), 3);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(hf_lines_load(path, 10, &lines, &err), HF_INVALID);
    test_dir_remove(dir);
}

/* ---- git as the judge ---- */

/* What git says of a path that need not exist; -1: there is no git.  A path below an
 * excluded directory is excluded for git, so only paths of one component are asked about
 * patterns that could match what is above. */
static int git_says(const char *dir, const char *pattern, const char *path)
{
    char text[600];
    char command[2048];
    int status;

    (void)snprintf(text, sizeof text, "%s\n", pattern);
    write_text(dir, ".gitignore", text, command);
    write_text(dir, "asked", path, command);
    (void)snprintf(command, sizeof command,
                   "cd '%s' && command -v git >/dev/null || exit 77; "
                   "tr -d '\\n' <asked | git -c core.ignoreCase=false "
                   "check-ignore --no-index -z --stdin -q",
                   dir);
    status = system(command); /* NOLINT(concurrency-mt-unsafe, cert-env33-c) */
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) return -1;
    return WEXITSTATUS(status) == 0;
}

/* Excluded as git means it: the path, or a directory above it. */
static bool excluded(const struct pattern_set *set, const char *path)
{
    char text[512];

    for (size_t i = 1; path[i] != '\0'; i++) {
        if (path[i] != '/') continue;
        (void)snprintf(text, sizeof text, "%.*s", (int)i, path);
        if (pattern_set_match(set, text, true) == PATTERN_EXCLUDE) return true;
    }
    return pattern_set_match(set, path, false) == PATTERN_EXCLUDE;
}

static void random_pattern(uint64_t *seed, char out[static 64])
{
    static const char *const parts[] = {
        "a",   "b",    "/",   "/",     "*",  "**",  "?",           "[ab]", "[!a]",
        "**/", "/**/", "\\a", "[b-c]", "ab", "/**", "[[:alpha:]]", "c"};
    size_t n = 1 + test_random(seed) % 6;

    out[0] = '\0';
    for (size_t i = 0; i < n; i++)
        (void)strcat(out, parts[test_random(seed) % (sizeof parts / sizeof parts[0])]);
}

static void random_path(uint64_t *seed, char out[static 64])
{
    size_t n = 1 + test_random(seed) % 4;

    out[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        size_t letters = 1 + test_random(seed) % 3;

        if (i > 0) (void)strcat(out, "/");
        for (size_t k = 0; k < letters; k++) {
            const char letter[] = {(char)('a' + test_random(seed) % 3), '\0'};

            (void)strcat(out, letter);
        }
    }
}

/* What is not asked: doubled slashes never match for git, a directory would have to be
 * there, and of "x**" git forgets the x before it looks whether the stars stand alone. */
static bool comparable(const char *pattern, const char *path)
{
    const char *stars = pattern;

    if (strstr(pattern, "//") != NULL || path[strlen(path) - 1] == '/') return false;
    while ((stars = strstr(stars, "**")) != NULL) {
        if (stars > pattern && stars[-1] != '/') return false;
        stars += strspn(stars, "*");
    }
    return true;
}

static void git_says_the_same(void **state)
{
    char *dir = test_dir_new();
    char command[700];
    uint64_t seed = 4711;
    size_t asked = 0;
    size_t matched = 0;

    (void)state;
    (void)snprintf(command, sizeof command, "cd '%s' && git init -q . 2>/dev/null", dir);
    if (system(command) != 0) { /* NOLINT(concurrency-mt-unsafe, cert-env33-c) */
        test_dir_remove(dir);
        skip();
    }
    for (size_t i = 0; i < 600; i++) {
        char pattern[64];
        char path[64];
        struct pattern_set *set = pattern_set_new();
        struct hf_err err;
        int git;

        if (i < sizeof rows / sizeof rows[0]) {
            (void)snprintf(pattern, sizeof pattern, "%s", rows[i].pattern);
            (void)snprintf(path, sizeof path, "%s", rows[i].path + 1);
        } else {
            random_pattern(&seed, pattern);
            random_path(&seed, path);
        }
        if (comparable(pattern, path) &&
            pattern_set_add(set, pattern, 0, "test", &err) == HF_OK) {
            git = git_says(dir, pattern, path);
            assert_true(git >= 0);
            if ((git == 1) != excluded(set, path))
                fail_msg("'%s' and '%s': git says %d", pattern, path, git);
            asked++;
            matched += git == 1 ? 1 : 0;
        }
        pattern_set_free(set);
    }
    assert_true(asked > 300 && matched > 80);
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_holds),
        cmocka_unit_test(the_last_one_decides),
        cmocka_unit_test(case_is_ignored_where_asked),
        cmocka_unit_test(what_is_no_pattern_is_refused),
        cmocka_unit_test(stars_do_not_explode),
        cmocka_unit_test(files_have_comments_and_spaces),
        cmocka_unit_test(lines_are_bounded_text),
        cmocka_unit_test(git_says_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

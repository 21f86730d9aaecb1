#include "snapshot/patterns.h"

#include "base/alloc.h"
#include "base/lines.h"
#include "snapshot/limits.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum token_kind {
    TOKEN_BYTE,
    TOKEN_ANY,   /* ? */
    TOKEN_STAR,  /* *: bytes within one component */
    TOKEN_SET,   /* [...] */
    TOKEN_SLASH, /* between components */
    TOKEN_DEEP   /* a component **: any number of components */
};

struct byte_set {
    uint32_t bits[8];
};

/* A pattern is compiled when it is added, so that matching has no syntax to look at. */
struct token {
    uint8_t kind, byte;
    uint32_t set; /* index in the pattern's sets */
};

struct pattern {
    struct token *tokens;
    size_t count, capacity;
    struct byte_set *sets;
    size_t set_count, set_capacity;
    bool include, dir_only, anchored, no_case;
};

struct pattern_set {
    struct pattern *patterns;
    size_t count, capacity;
};

struct pattern_set *pattern_set_new(void)
{
    return calloc(1, sizeof(struct pattern_set));
}

static void pattern_done(struct pattern *p)
{
    free(p->tokens);
    free(p->sets);
}

void pattern_set_free(struct pattern_set *set)
{
    if (set == NULL) return;
    for (size_t i = 0; i < set->count; i++)
        pattern_done(&set->patterns[i]);
    free(set->patterns);
    free(set);
}

size_t pattern_set_count(const struct pattern_set *set)
{
    return set == NULL ? 0 : set->count;
}

/* ---- sets of bytes ---- */

/* isalpha() and the like ask the locale; these are the same everywhere. */
static uint8_t to_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static uint8_t to_upper(uint8_t c)
{
    return c >= 'a' && c <= 'z' ? (uint8_t)(c - ('a' - 'A')) : c;
}

static void set_add(struct byte_set *set, uint8_t c)
{
    set->bits[c / 32] |= 1u << c % 32;
}

static bool set_has(const struct byte_set *set, uint8_t c)
{
    return (set->bits[c / 32] >> c % 32 & 1u) != 0;
}

static bool in_class(uint8_t c, size_t class)
{
    bool lower = c >= 'a' && c <= 'z';
    bool upper = c >= 'A' && c <= 'Z';
    bool digit = c >= '0' && c <= '9';
    bool graph = c > 32 && c < 127;

    switch (class) {
    case 0: return lower || upper || digit;                              /* alnum */
    case 1: return lower || upper;                                       /* alpha */
    case 2: return c == ' ' || c == '\t';                                /* blank */
    case 3: return c < 32 || c == 127;                                   /* cntrl */
    case 4: return digit;                                                /* digit */
    case 5: return graph;                                                /* graph */
    case 6: return lower;                                                /* lower */
    case 7: return graph || c == ' ';                                    /* print */
    case 8: return graph && !lower && !upper && !digit;                  /* punct */
    case 9: return c == ' ' || (c >= '\t' && c <= '\r');                 /* space */
    case 10: return upper;                                               /* upper */
    default: return digit || (to_lower(c) >= 'a' && to_lower(c) <= 'f'); /* xdigit */
    }
}

/* Takes "[:name:]" at `at`: its size, or 0 when it is none; *known tells of its name. */
static size_t take_class(const uint8_t *at, struct byte_set *set, bool *known)
{
    static const char *const names[] = {"alnum", "alpha", "blank", "cntrl",
                                        "digit", "graph", "lower", "print",
                                        "punct", "space", "upper", "xdigit"};
    const char *text = (const char *)at + 2;
    size_t n = strcspn(text, "]");

    *known = true;
    if (n == 0 || text[n] == '\0' || text[n - 1] != ':') return 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i]) != n - 1 || memcmp(names[i], text, n - 1) != 0) continue;
        for (unsigned c = 1; c < 256; c++) {
            if (in_class((uint8_t)c, i)) set_add(set, (uint8_t)c);
        }
        return n + 3;
    }
    *known = false;
    return n + 3;
}

/* One byte of a set, which may be escaped; NUL: the pattern ends. */
static uint8_t take_member(const uint8_t **at)
{
    if (**at == '\\') (*at)++;
    return **at == '\0' ? 0 : *(*at)++;
}

static void fold_case(struct byte_set *set)
{
    for (unsigned c = 'a'; c <= 'z'; c++) {
        uint8_t lower = (uint8_t)c;
        uint8_t upper = to_upper(lower);

        if (set_has(set, lower)) set_add(set, upper);
        if (set_has(set, upper)) set_add(set, lower);
    }
}

/* Takes "[...]" at *at, which then stands behind it.  NULL, or what is wrong with it. */
static const char *take_set(const uint8_t **at, bool no_case, struct byte_set *set)
{
    const uint8_t *p = *at + 1;
    bool negated = *p == '!' || *p == '^';
    const uint8_t *first = negated ? ++p : p;

    memset(set, 0, sizeof *set);
    while (p == first || *p != ']') {
        bool known;
        size_t n = p[0] == '[' && p[1] == ':' ? take_class(p, set, &known) : 0;
        uint8_t low;
        uint8_t high;

        if (n > 0) {
            if (!known) return "an unknown [:class:]";
            p += n;
            continue;
        }
        low = high = take_member(&p);
        if (low != 0 && p[0] == '-' && p[1] != ']' && p[1] != '\0') {
            p++;
            high = take_member(&p);
        }
        if (low == 0 || high == 0) return "a '[' without its ']'";
        set_add(set, low); /* also of a range that is upside down */
        for (unsigned c = low; c <= high; c++)
            set_add(set, (uint8_t)c);
    }
    if (no_case) fold_case(set);
    for (size_t i = 0; negated && i < 8; i++)
        set->bits[i] = ~set->bits[i];
    *at = p + 1;
    return NULL;
}

/* ---- compiling ---- */

static const char no_memory[] = "out of memory";

static const char *emit(struct pattern *p, enum token_kind kind, uint8_t byte, size_t set)
{
    struct token *grown =
        hf_grow_array(p->tokens, &p->capacity, p->count + 1, sizeof *grown);

    if (grown == NULL) return no_memory;
    p->tokens = grown;
    grown[p->count++] = (struct token){(uint8_t)kind, byte, (uint32_t)set};
    return NULL;
}

static const char *emit_set(struct pattern *p, const uint8_t **at)
{
    struct byte_set *grown =
        hf_grow_array(p->sets, &p->set_capacity, p->set_count + 1, sizeof *grown);
    const char *why;

    if (grown == NULL) return no_memory;
    p->sets = grown;
    why = take_set(at, p->no_case, &grown[p->set_count]);
    return why != NULL ? why : emit(p, TOKEN_SET, 0, p->set_count++);
}

static bool ends_component(const uint8_t *at)
{
    return at[0] == '\0' || at[0] == '/' || (at[0] == '\\' && at[1] == '/');
}

/* A run of stars: as one, unless it is a component of an anchored pattern. */
static const char *emit_stars(struct pattern *p, const uint8_t **at)
{
    bool starts = p->count == 0 || p->tokens[p->count - 1].kind == TOKEN_SLASH;
    size_t n = strspn((const char *)*at, "*");

    *at += n;
    if (p->anchored && starts && n >= 2 && ends_component(*at))
        return emit(p, TOKEN_DEEP, 0, 0);
    return emit(p, TOKEN_STAR, 0, 0);
}

static const char *emit_slash(struct pattern *p)
{
    if (p->count == 0 || p->tokens[p->count - 1].kind == TOKEN_SLASH) return NULL;
    return emit(p, TOKEN_SLASH, 0, 0);
}

static const char *compile_text(struct pattern *p, const uint8_t *at)
{
    const char *why = NULL;

    while (why == NULL && *at != '\0') {
        switch (*at) {
        case '*': why = emit_stars(p, &at); break;
        case '[': why = emit_set(p, &at); break;
        case '?':
            why = emit(p, TOKEN_ANY, 0, 0);
            at++;
            break;
        case '/':
            why = emit_slash(p);
            at++;
            break;
        case '\\':
            at++;
            if (*at == '\0') return "a backslash at its end";
            if (*at == '/') break; /* a slash is a slash */
            why = emit(p, TOKEN_BYTE, p->no_case ? to_lower(*at) : *at, 0);
            at++;
            break;
        default: why = emit(p, TOKEN_BYTE, p->no_case ? to_lower(*at) : *at, 0); at++;
        }
    }
    return why;
}

/* NULL, or why `text` (which is changed) is no pattern. */
static const char *compile(struct pattern *p, char *text)
{
    size_t n;
    const char *why;

    if (text[0] == '!') {
        p->include = true;
        text++;
    }
    n = strlen(text);
    while (n > 0 && text[n - 1] == '/') {
        p->dir_only = true;
        text[--n] = '\0';
    }
    p->anchored = strchr(text, '/') != NULL;
    why = compile_text(p, (const uint8_t *)text);
    return why == NULL && p->count == 0 ? "it names nothing" : why;
}

enum hf_code pattern_set_add(struct pattern_set *set, const char *pattern, unsigned flags,
                             const char *source, struct hf_err *err)
{
    struct pattern p = {.no_case = (flags & PATTERN_NO_CASE) != 0};
    struct pattern *grown;
    char *text;
    const char *why;

    if (strlen(pattern) > PATTERN_SIZE_MAX || set->count == PATTERN_COUNT_MAX)
        return hf_fail(err, HF_TOO_LARGE,
                       "%s: '%.32s': over %u bytes, or more than %u patterns", source,
                       pattern, PATTERN_SIZE_MAX, PATTERN_COUNT_MAX);
    grown = hf_grow_array(set->patterns, &set->capacity, set->count + 1, sizeof *grown);
    text = strdup(pattern);
    if (grown != NULL) set->patterns = grown;
    why = grown == NULL || text == NULL ? no_memory : compile(&p, text);
    free(text);
    if (why != NULL) {
        pattern_done(&p);
        return hf_fail(err, why == no_memory ? HF_NO_MEMORY : HF_INVALID,
                       "%s: pattern '%.64s': %s", source, pattern, why);
    }
    set->patterns[set->count++] = p;
    return HF_OK;
}

/* Drops spaces at the end of a line that no backslash keeps. */
static void trim(char *line)
{
    char *keep = line; /* behind the last byte that stays */

    for (char *p = line; *p != '\0'; p++) {
        if (*p == ' ') continue;
        if (*p == '\\' && p[1] != '\0') p++;
        keep = p + 1;
    }
    *keep = '\0';
}

enum hf_code pattern_set_add_file(struct pattern_set *set, const char *path, unsigned flags,
                                  struct hf_err *err)
{
    struct hf_lines lines;
    enum hf_code rc = hf_lines_load(path, PATTERN_FILE_MAX, &lines, err);

    if (rc != HF_OK) return rc;
    for (size_t i = 0; rc == HF_OK && i < lines.count; i++) {
        char source[160];

        trim(lines.lines[i]);
        if (lines.lines[i][0] == '\0' || lines.lines[i][0] == '#') continue;
        (void)snprintf(source, sizeof source, "%.128s:%zu", path, i + 1);
        rc = pattern_set_add(set, lines.lines[i], flags, source, err);
    }
    hf_lines_done(&lines);
    return rc;
}

/* ---- matching ---- */

static bool matches_byte(const struct pattern *p, const struct token *t, uint8_t c)
{
    switch ((enum token_kind)t->kind) {
    case TOKEN_BYTE: return t->byte == (p->no_case ? to_lower(c) : c);
    case TOKEN_SET: return set_has(&p->sets[t->set], c);
    case TOKEN_ANY: return true;
    case TOKEN_STAR:
    case TOKEN_SLASH:
    case TOKEN_DEEP: break;
    }
    return false;
}

/* Does tokens[from..to), without slashes, match the n bytes?  A later star can do whatever
 * an earlier one could, so only the last one is ever taken back. */
static bool matches_name(const struct pattern *p, size_t from, size_t to,
                         const uint8_t *name, size_t n)
{
    size_t t = from;
    size_t i = 0;
    size_t star = SIZE_MAX;
    size_t star_at = 0; /* the first byte that the star does not take */

    for (;;) {
        if (t < to && p->tokens[t].kind == TOKEN_STAR) {
            star = t++;
            star_at = i;
        } else if (t < to && i < n && matches_byte(p, &p->tokens[t], name[i])) {
            t++;
            i++;
        } else if (t == to && i == n) {
            return true;
        } else if (star != SIZE_MAX && star_at < n) {
            t = star + 1;
            i = ++star_at;
        } else {
            return false;
        }
    }
}

static size_t component_end(const struct pattern *p, size_t from)
{
    while (from < p->count && p->tokens[from].kind != TOKEN_SLASH)
        from++;
    return from;
}

static const char *after(const char *component)
{
    const char *end = component + strcspn(component, "/");

    return *end == '/' ? end + 1 : end;
}

/* The same one level up: components for bytes, and `**` for the star. */
static bool matches_path(const struct pattern *p, const char *path)
{
    size_t t = 0;
    size_t deep = SIZE_MAX;
    const char *deep_at = path; /* the first component that `**` does not take */

    for (;;) {
        size_t end = component_end(p, t);
        size_t n = strcspn(path, "/");

        if (t < p->count && p->tokens[t].kind == TOKEN_DEEP) {
            if (end == p->count) return *path != '\0'; /* what is below, not itself */
            t = deep = end + 1;
            deep_at = path;
        } else if (t < p->count && *path != '\0' &&
                   matches_name(p, t, end, (const uint8_t *)path, n)) {
            t = end < p->count ? end + 1 : end;
            path = after(path);
        } else if (t == p->count && *path == '\0') {
            return true;
        } else if (deep != SIZE_MAX && *deep_at != '\0') {
            t = deep;
            path = deep_at = after(deep_at);
        } else {
            return false;
        }
    }
}

enum pattern_verdict pattern_set_match(const struct pattern_set *set, const char *path,
                                       bool is_dir)
{
    const char *slash;
    const char *name;
    size_t name_size;

    if (set == NULL || set->count == 0) return PATTERN_NONE;
    path += strspn(path, "/");
    slash = strrchr(path, '/');
    name = slash == NULL ? path : slash + 1;
    name_size = strlen(name);
    for (size_t i = set->count; i-- > 0;) {
        const struct pattern *p = &set->patterns[i];

        if (p->dir_only && !is_dir) continue;
        if (p->anchored ? matches_path(p, path)
                        : matches_name(p, 0, p->count, (const uint8_t *)name, name_size))
            return p->include ? PATTERN_INCLUDE : PATTERN_EXCLUDE;
    }
    return PATTERN_NONE;
}

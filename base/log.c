#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_SIZE 1024u

/* The sink and the level: the one global state that style.md grants. */
static struct {
    atomic_int level;
    atomic_int fd;
    atomic_int stamp;
} sink = {HF_LOG_WARN, STDERR_FILENO, 0};

void hf_log_open(enum hf_log_level level, int fd, int stamp)
{
    atomic_store(&sink.level, (int)level);
    atomic_store(&sink.fd, fd);
    atomic_store(&sink.stamp, stamp);
}

/* Bytes of the UTF-8 sequence at s (1..4), or 0 when it is none. */
static size_t utf8_size(const unsigned char *s)
{
    size_t n = s[0] < 0x80                   ? 1
               : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
               : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
               : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                             : 0;

    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
    }
    if (n == 3 && ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0)))
        return 0;
    if (n == 4 && ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90)))
        return 0;
    return n;
}

const char *hf_escape(const char *text, char *out, size_t size)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t used = 0;

    while (*s != '\0' && used + 5 < size) {
        size_t n = utf8_size(s);
        bool control = *s < 0x20 || *s == 0x7f || (n == 2 && s[0] == 0xc2 && s[1] < 0xa0);

        if (n == 0 || (control && n == 1)) {
            used += (size_t)snprintf(out + used, size - used, "\\x%02x", *s);
            s++;
            continue;
        }
        if (control) {
            out[used++] = '?';
        } else {
            memcpy(out + used, s, n);
            used += n;
        }
        s += n;
    }
    if (size > 0) out[used < size ? used : size - 1] = '\0';
    return out;
}

void hf_log(enum hf_log_level level, const char *area, const char *fmt, ...)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    char text[LINE_MAX_SIZE];
    char clean[LINE_MAX_SIZE];
    char line[LINE_MAX_SIZE + 128];
    char when[40] = "";
    va_list ap;
    int n;

    if ((int)level > atomic_load(&sink.level)) return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (atomic_load(&sink.stamp) != 0) {
        time_t now = time(NULL);
        struct tm tm;

        if (localtime_r(&now, &tm) != NULL)
            (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S ", &tm);
    }
    n = snprintf(line, sizeof line, "%s%s %s: %s\n", when, names[level], area,
                 hf_escape(text, clean, sizeof clean));
    if (n > 0 && write(atomic_load(&sink.fd), line, (size_t)n) < 0) return;
}

/* log.h - one event, one line.  error: a human must act; warn: we recovered;
 * info: state changed; debug: all else. */
#ifndef HOLDFAST_BASE_LOG_H
#define HOLDFAST_BASE_LOG_H

#include "base/err.h"

#include <stddef.h>

enum hf_log_level { HF_LOG_ERROR, HF_LOG_WARN, HF_LOG_INFO, HF_LOG_DEBUG };

/* Lines up to `level` go to file descriptor `fd` (stderr until then, at HF_LOG_WARN).
 * With `stamp`, each begins with the local time.  Called before threads are started. */
void hf_log_open(enum hf_log_level level, int fd, int stamp);

/* "<time> <level> <area>: <text>\n" in one write; control characters are escaped.
 * Any thread. */
void hf_log(enum hf_log_level level, const char *area, const char *fmt, ...)
    HF_PRINTF(3, 4);

/* Escapes control characters and bytes that are not UTF-8 as \xNN into out (size bytes,
 * NUL-terminated, cut at the end); returns out. */
const char *hf_escape(const char *text, char *out, size_t size);

#endif

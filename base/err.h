/* err.h - the one way a Holdfast function reports failure. */
#ifndef HOLDFAST_BASE_ERR_H
#define HOLDFAST_BASE_ERR_H

/* code, nearest errno (for FUSE replies and exit paths), text.  Codes cross
 * the local socket, so they are numbered and never renumbered. */
#define HF_CODE_TABLE(X)                                          \
    X(HF_OK, 0, 0, "success")                                     \
    X(HF_NOT_FOUND, 1, ENOENT, "not found")                       \
    X(HF_CORRUPT, 2, EBADMSG, "data failed verification")         \
    X(HF_INVALID, 3, EINVAL, "invalid argument")                  \
    X(HF_TOO_LARGE, 4, EMSGSIZE, "over a size limit")             \
    X(HF_NO_SPACE, 5, ENOSPC, "quota or disk full")               \
    X(HF_UNAVAILABLE, 6, EHOSTUNREACH, "too few nodes reachable") \
    X(HF_TIMED_OUT, 7, ETIMEDOUT, "deadline passed")              \
    X(HF_DENIED, 8, EACCES, "not authorised")                     \
    X(HF_NO_MEMORY, 9, ENOMEM, "out of memory")                   \
    X(HF_IO, 10, EIO, "input/output error")                       \
    X(HF_LOCKED, 11, EBUSY, "in use by another process")          \
    X(HF_WRONG_KEY, 12, EKEYREJECTED, "wrong key or code")        \
    X(HF_DEGRADED, 13, 0, "accepted, below target redundancy")    \
    X(HF_EXISTS, 14, EEXIST, "already there")                     \
    X(HF_CANCELLED, 15, EINTR, "interrupted")                     \
    X(HF_ROLLBACK, 16, ESTALE, "older than what was seen before") \
    X(HF_INCOMPLETE, 17, EAGAIN, "only a part is known")

enum hf_code {
#define X(name, number, errnum, text) name = (number),
    HF_CODE_TABLE(X)
#undef X
};

#define HF_MUST_CHECK   __attribute__((warn_unused_result))
#define HF_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Filled in where the failure is first seen; each caller that knows more
 * adds a prefix.  Plain data: copyable, never allocates, needs no release. */
struct hf_err {
    enum hf_code code;
    int errnum;    /* the system's errno when it was the cause, else 0 */
    char msg[232]; /* "restore /home: block 3fa9..: data failed ..." */
};

/* Sets *err and returns `code`, so a failing path is one statement. */
enum hf_code hf_fail(struct hf_err *err, enum hf_code code, const char *fmt, ...)
    HF_PRINTF(3, 4);

/* As hf_fail, for a failed system call: keeps `errnum`, picks the code. */
enum hf_code hf_fail_errno(struct hf_err *err, int errnum, const char *fmt, ...)
    HF_PRINTF(3, 4);

/* Prepends "<text>: " to err->msg; truncates on the right; returns err->code. */
enum hf_code hf_prefix(struct hf_err *err, const char *fmt, ...) HF_PRINTF(2, 3);

/* The (positive) errno a FUSE handler should reply with for `code`. */
int hf_code_errno(enum hf_code code);

/* A constant string; never NULL, also for a code from the wire we don't know. */
const char *hf_code_text(enum hf_code code);

#endif

#include "base/home.h"

#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum hf_code hf_path_join(const char *dir, const char *name, char out[static HF_PATH_MAX],
                          struct hf_err *err)
{
    int n = snprintf(out, HF_PATH_MAX, "%s/%s", dir, name);

    if (n < 0 || n >= (int)HF_PATH_MAX)
        return hf_fail(err, HF_TOO_LARGE, "path too long: %.80s.../%s", dir, name);
    return HF_OK;
}

static const char *env(const char *name)
{
    const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe): never changed */

    return value != NULL && value[0] != '\0' ? value : NULL;
}

static enum hf_code absolute(const char *dir, char out[static HF_PATH_MAX],
                             struct hf_err *err)
{
    char cwd[HF_PATH_MAX];

    if (dir[0] != '/') {
        if (getcwd(cwd, sizeof cwd) == NULL)
            return hf_fail_errno(err, errno, "find the current directory");
        return hf_path_join(cwd, dir, out, err);
    }
    if (snprintf(out, HF_PATH_MAX, "%s", dir) >= (int)HF_PATH_MAX)
        return hf_fail(err, HF_TOO_LARGE, "home: path too long: %.80s...", dir);
    return HF_OK;
}

/* $XDG_<name>, or $HOME/<fallback>, with "/holdfast" behind it. */
static enum hf_code user_dir(const char *name, const char *fallback,
                             char out[static HF_PATH_MAX], struct hf_err *err)
{
    char base[HF_PATH_MAX];
    enum hf_code rc;

    if (env(name) != NULL) return hf_path_join(env(name), "holdfast", out, err);
    if (env("HOME") == NULL)
        return hf_fail(err, HF_INVALID,
                       "home: neither --home, HOLDFAST_HOME nor HOME is set");
    rc = hf_path_join(env("HOME"), fallback, base, err);
    return rc == HF_OK ? hf_path_join(base, "holdfast", out, err) : rc;
}

enum hf_code hf_home_find(const char *dir, struct hf_home *home, struct hf_err *err)
{
    char root[HF_PATH_MAX];
    enum hf_code rc;

    if (dir == NULL) dir = env("HOLDFAST_HOME");
    if (dir != NULL) {
        rc = absolute(dir, root, err);
        if (rc == HF_OK) rc = hf_path_join(root, "config", home->config, err);
        if (rc == HF_OK) rc = hf_path_join(root, "state", home->state, err);
        if (rc == HF_OK) rc = hf_path_join(root, "cache", home->cache, err);
        if (rc == HF_OK) rc = hf_path_join(root, "run", home->run, err);
        return rc;
    }
    if (geteuid() == 0) {
        (void)snprintf(home->config, HF_PATH_MAX, "/etc/holdfast");
        (void)snprintf(home->state, HF_PATH_MAX, "/var/lib/holdfast");
        (void)snprintf(home->cache, HF_PATH_MAX, "/var/cache/holdfast");
        (void)snprintf(home->run, HF_PATH_MAX, "/run/holdfast");
        return HF_OK;
    }
    rc = user_dir("XDG_CONFIG_HOME", ".config", home->config, err);
    if (rc == HF_OK) rc = user_dir("XDG_STATE_HOME", ".local/state", home->state, err);
    if (rc == HF_OK) rc = user_dir("XDG_CACHE_HOME", ".cache", home->cache, err);
    if (rc == HF_OK && env("XDG_RUNTIME_DIR") != NULL)
        return hf_path_join(env("XDG_RUNTIME_DIR"), "holdfast", home->run, err);
    return rc == HF_OK ? hf_path_join(home->cache, "run", home->run, err) : rc;
}

static enum hf_code check_dir(const char *path, struct hf_err *err)
{
    struct stat st;

    if (stat(path, &st) != 0) return hf_fail_errno(err, errno, "home %s", path);
    if (!S_ISDIR(st.st_mode))
        return hf_fail(err, HF_INVALID, "home %s: not a directory", path);
    if (st.st_uid != geteuid())
        return hf_fail(
            err, HF_DENIED,
            "home %s: belongs to user %u, not to you; give it to yourself with chown", path,
            (unsigned)st.st_uid);
    if ((st.st_mode & 022) != 0)
        return hf_fail(err, HF_DENIED,
                       "home %s: others may write to it (mode %04o); run 'chmod 700 %s'",
                       path, (unsigned)(st.st_mode & 07777), path);
    return HF_OK;
}

enum hf_code hf_home_check(const struct hf_home *home, struct hf_err *err)
{
    enum hf_code rc = check_dir(home->config, err);

    return rc == HF_OK ? check_dir(home->state, err) : rc;
}

enum hf_code hf_home_make(const struct hf_home *home, struct hf_err *err)
{
    const char *dirs[] = {home->config, home->state, home->cache, home->run};

    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        int fd;
        enum hf_code rc = hf_dir_make(dirs[i], &fd, err);

        if (rc != HF_OK) return rc;
        (void)close(fd);
    }
    return hf_home_check(home, err);
}

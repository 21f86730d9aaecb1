#include "cli/cli.h"

#include "base/file.h"
#include "base/lock.h"
#include "base/log.h"
#include "blockstore/local_store.h"
#include "blockstore/ring_store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONF_FILE     "holdfast.conf"
#define SYSTEM_CONF   "/etc/holdfast/holdfast.conf"
#define FETCH_FRAMES  48u
#define PASSPHRASE_OF "passphrase-file"

enum hf_code cli_open_home(struct cli *cli, struct hf_err *err)
{
    char path[HF_PATH_MAX];
    struct hf_conf *system = NULL;
    enum hf_code rc = hf_home_find(cli->home_option, &cli->home, err);

    cli->config_fd = cli->state_fd = cli->lock_fd = -1;
    if (cli->verbose > 0)
        hf_log_open(cli->verbose > 1 ? HF_LOG_DEBUG : HF_LOG_INFO, STDERR_FILENO, 0);
    if (rc == HF_OK) rc = hf_path_join(cli->home.config, CONF_FILE, path, err);
    if (rc == HF_OK && strcmp(path, SYSTEM_CONF) != 0)
        rc = hf_conf_load(SYSTEM_CONF, NULL, &system, err);
    if (rc == HF_OK) rc = hf_conf_load(path, system, &cli->conf, err);
    if (rc != HF_OK && cli->conf == NULL) hf_conf_free(system);
    return rc;
}

enum hf_code cli_read_passphrase(const char *path, char *buf, size_t size,
                                 struct hf_err *err)
{
    size_t n;
    enum hf_code rc =
        hf_file_load(hf_files_system(), AT_FDCWD, path, buf, size - 1, &n, err);

    if (rc != HF_OK) return hf_prefix(err, "passphrase");
    buf[n] = '\0';
    buf[strcspn(buf, "\r\n")] = '\0';
    if (buf[0] == '\0') return hf_fail(err, HF_INVALID, "passphrase: %s is empty", path);
    return HF_OK;
}

static bool ask_passphrase(void *arg, char *buf, size_t size)
{
    struct cli *cli = arg;
    const char *path = hf_conf_get(cli->conf, "vault", PASSPHRASE_OF);
    struct hf_err err;

    if (path == NULL) return false;
    if (cli_read_passphrase(path, buf, size, &err) == HF_OK) return true;
    hf_log(HF_LOG_ERROR, "vault", "%s", err.msg);
    return false;
}

enum hf_code cli_open_store(struct cli *cli, const char *spec, bool writing,
                            struct hf_err *err)
{
    char dir[HF_PATH_MAX];
    struct block_owner owner = {
        .vault = cli->keys.vault, .host = cli->vault.host, .signer = cli->keys.signer};
    const struct local_cancel cancel = {.asked = cli_cancelled};
    enum hf_code rc;

    if (strcmp(spec, "local") == 0 || strncmp(spec, "local:", 6) == 0) {
        if (spec[5] == ':' && spec[6] != '\0')
            (void)snprintf(dir, sizeof dir, "%s", spec + 6);
        else if ((rc = hf_path_join(cli->home.state, "store", dir, err)) != HF_OK)
            return rc;
        (void)snprintf(cli->store_dir, sizeof cli->store_dir, "%s", dir);
        rc = local_store_open(dir, &owner, !writing, NULL, &cli->store, err);
        return rc == HF_OK ? HF_OK : hf_prefix(err, "store %s", dir);
    }
    if (strcmp(spec, "ring") == 0) {
        rc = ring_store_open(cli->home.run, &owner, &cancel, &cli->store, err);
        return rc == HF_OK || rc == HF_CANCELLED ? rc : hf_prefix(err, "ring");
    }
    return hf_fail(err, HF_INVALID, "store '%.64s': it is 'local', 'local:DIR' or 'ring'",
                   spec);
}

static enum hf_code open_dirs(struct cli *cli, struct hf_err *err)
{
    enum hf_code rc = hf_home_check(&cli->home, err);

    if (rc == HF_NOT_FOUND)
        return hf_fail(err, HF_NOT_FOUND, "vault: no vault here (%s); run 'holdfast init'",
                       cli->home.config);
    if (rc == HF_OK) rc = hf_home_make(&cli->home, err); /* run and cache may be volatile */
    if (rc == HF_OK) rc = hf_dir_open(cli->home.config, &cli->config_fd, err);
    if (rc == HF_OK) rc = hf_dir_open(cli->home.state, &cli->state_fd, err);
    return rc;
}

enum hf_code cli_open_vault(struct cli *cli, const char *writing, struct hf_err *err)
{
    const char *spec;
    enum hf_code rc = cli_open_home(cli, err);

    if (rc == HF_OK) rc = open_dirs(cli, err);
    if (rc == HF_OK) rc = vault_load(&cli->vault, cli->config_fd, ask_passphrase, cli, err);
    if (rc == HF_OK && writing != NULL) {
        rc = hf_lock_take(cli->state_fd, "vault.lock", writing, &cli->lock_fd, err);
        if (rc != HF_OK) rc = hf_prefix(err, "vault");
    }
    if (rc == HF_OK) rc = vault_keys_init(&cli->keys, cli->vault.secret, err);
    if (rc != HF_OK) return rc;
    spec = hf_conf_get(cli->conf, "vault", "store");
    rc = cli_open_store(cli, spec != NULL ? spec : "local", writing != NULL, err);
    if (rc != HF_OK) return rc;
    cli->fetcher = fetcher_new(cli->store, FETCH_FRAMES);
    return cli->fetcher != NULL ? HF_OK : hf_fail(err, HF_NO_MEMORY, "out of memory");
}

void cli_close(struct cli *cli)
{
    fetcher_free(cli->fetcher);
    block_store_close(cli->store);
    vault_keys_done(&cli->keys);
    vault_done(&cli->vault);
    hf_lock_release(cli->lock_fd);
    if (cli->config_fd >= 0) (void)close(cli->config_fd);
    if (cli->state_fd >= 0) (void)close(cli->state_fd);
    hf_conf_free(cli->conf);
}

enum hf_code cli_view(struct cli *cli, struct vault_view *view, struct hf_err *err)
{
    bool local = cli->store_dir[0] != '\0';
    const char *why = local
                          ? "a record of the store is damaged (the next backup writes its "
                            "own anew)"
                          : "too few holders answered";
    enum hf_code rc = vault_view_read(cli->store, cli->fetcher, &cli->keys, view, err);

    if (rc != HF_OK || !view->incomplete) return rc;
    if (view->host_count == 0) {
        vault_view_done(view);
        return hf_fail(err, local ? HF_CORRUPT : HF_UNAVAILABLE,
                       "%s: no snapshot can be seen", why);
    }
    hf_log(HF_LOG_WARN, "vault", "%s: there may be newer snapshots", why);
    return HF_OK;
}

enum hf_code cli_find_snapshot(struct cli *cli, const char *spec, struct snapshot *snapshot,
                               const char **path, struct hf_err *err)
{
    const char *colon = strchr(spec, ':');
    size_t n = colon == NULL ? strlen(spec) : (size_t)(colon - spec);
    const struct catalog_entry *entry;
    struct vault_view view;
    char *name = strndup(spec, n);
    enum hf_code rc;

    *path = colon == NULL ? "" : colon + 1;
    if (name == NULL) return hf_fail(err, HF_NO_MEMORY, "out of memory");
    rc = cli_view(cli, &view, err);
    if (rc == HF_OK) {
        rc = vault_view_find(&view, name, &cli->vault.host, &entry, err);
        if (rc == HF_OK) rc = snapshot_read(cli->fetcher, entry, snapshot, err);
        vault_view_done(&view);
    }
    free(name);
    return rc;
}

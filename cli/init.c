/* holdfast init: a vault on this machine, and the recovery code once. */
#include "cli/cli.h"

#include "base/file.h"
#include "membership/member_home.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: holdfast init [--store local[:DIR] | ring] [--passphrase-file F]\n"
    "Makes a vault and prints its recovery code, once. Keep that on paper, elsewhere.\n";

enum { OPT_STORE, OPT_PASSPHRASE };

static const struct cli_option options[] = {
    {"store", 0, true}, {"passphrase-file", 0, true}, {NULL, 0, false}};

struct arguments {
    const char *store, *passphrase_file;
};

static bool take(void *arg, size_t option, const char *value)
{
    struct arguments *a = arg;

    if (option == OPT_STORE) a->store = value;
    if (option == OPT_PASSPHRASE) a->passphrase_file = value;
    return true;
}

/* A relative DIR means one from here, also for later commands run elsewhere. */
static enum hf_code absolute_store(const char *spec, char out[static HF_PATH_MAX],
                                   struct hf_err *err)
{
    char cwd[HF_PATH_MAX];

    if (strcmp(spec, "local") != 0 && strcmp(spec, "ring") != 0 &&
        (strncmp(spec, "local:", 6) != 0 || spec[6] == '\0'))
        return hf_fail(err, HF_INVALID,
                       "store '%.64s': it is 'local', 'local:DIR' or 'ring'", spec);
    if (strncmp(spec, "local:", 6) != 0 || spec[6] == '/') {
        (void)snprintf(out, HF_PATH_MAX, "%s", spec);
        return HF_OK;
    }
    if (getcwd(cwd, sizeof cwd) == NULL)
        return hf_fail(err, HF_IO, "find the current directory");
    if (snprintf(out, HF_PATH_MAX, "local:%s/%s", cwd, spec + 6) >= (int)HF_PATH_MAX)
        return hf_fail(err, HF_TOO_LARGE, "store: path too long");
    return HF_OK;
}

/* Adds [vault] store = SPEC to holdfast.conf, keeping what is there. */
static enum hf_code save_store(struct cli *cli, const char *spec, struct hf_err *err)
{
    char text[65536];
    size_t n = 0;
    int added;
    enum hf_code rc = hf_file_load(hf_files_system(), cli->config_fd, "holdfast.conf", text,
                                   sizeof text - HF_PATH_MAX - 64, &n, err);

    if (rc != HF_OK && rc != HF_NOT_FOUND) return rc;
    added = snprintf(text + n, sizeof text - n, "%s[vault]\nstore = %s\n",
                     n > 0 ? "\n" : "", spec);
    return hf_file_replace(hf_files_system(), cli->config_fd, "holdfast.conf", text,
                           n + (size_t)added, 0600, err);
}

/* Up to VAULT_ADDRESSES_MAX places where the ring can be found from a bare machine. */
static void add_addresses(struct recovery *recovery, const struct member_home *member,
                          bool stewards)
{
    for (size_t i = 0; i < roster_count(member->roster); i++) {
        const struct roster_member *m = roster_at(member->roster, i);
        const size_t place = recovery->address_count;

        if (m->evicted || !m->announced || m->certificate.steward != stewards) continue;
        /* This machine itself is what may be gone. */
        if (hf_id_equal(&m->certificate.id, &member->certificate.id)) continue;
        if (place == VAULT_ADDRESSES_MAX ||
            strlen(m->announcement.addresses[0]) >= VAULT_ADDRESS_SIZE)
            continue;
        (void)snprintf(recovery->addresses[place], VAULT_ADDRESS_SIZE, "%.*s",
                       (int)VAULT_ADDRESS_SIZE - 1, m->announcement.addresses[0]);
        recovery->address_count++;
    }
}

/* Puts into the recovery code who the ring is and where it answers. */
static enum hf_code describe_ring(const struct cli *cli, struct recovery *recovery,
                                  struct hf_err *err)
{
    struct member_home member = {0};
    enum hf_code rc = member_home_load(&cli->home, &member, err);

    if (rc == HF_NOT_FOUND)
        return hf_fail(err, HF_NOT_FOUND,
                       "ring: no ring here; run 'holdfast ring create' or 'holdfast ring "
                       "join' first");
    if (rc != HF_OK) return rc;
    recovery->on_ring = true;
    authority_fingerprint(&member.ring.authority, &recovery->authority);
    add_addresses(recovery, &member, true);
    add_addresses(recovery, &member, false);
    member_home_close(&member);
    return HF_OK;
}

static enum hf_code make(struct cli *cli, const struct arguments *a, char *code,
                         struct hf_err *err)
{
    char passphrase[VAULT_PASSPHRASE_MAX];
    char host[NAME_TEXT_MAX] = "localhost";
    char store[HF_PATH_MAX];
    struct recovery recovery = {0};
    enum hf_code rc = absolute_store(a->store != NULL ? a->store : "local", store, err);

    if (rc == HF_OK && a->passphrase_file != NULL)
        rc = cli_read_passphrase(a->passphrase_file, passphrase, sizeof passphrase, err);
    if (rc == HF_OK) rc = cli_open_home(cli, err);
    if (rc == HF_OK) rc = hf_home_make(&cli->home, err);
    if (rc == HF_OK) rc = hf_dir_open(cli->home.config, &cli->config_fd, err);
    if (rc != HF_OK) return rc;
    if (faccessat(cli->config_fd, VAULT_FILE, F_OK, 0) == 0)
        return hf_fail(err, HF_EXISTS,
                       "vault: there is one already in %s; nothing was changed",
                       cli->home.config);
    (void)gethostname(host, sizeof host - 1);
    rc = vault_new(&cli->vault, host, err);
    if (rc == HF_OK) rc = vault_keys_init(&cli->keys, cli->vault.secret, err);
    if (rc == HF_OK && strcmp(store, "ring") == 0) rc = describe_ring(cli, &recovery, err);
    if (rc == HF_OK)
        rc = cli_open_store(cli, store, true, err); /* before anything is promised */
    if (rc == HF_OK) rc = save_store(cli, store, err);
    recovery.secret = cli->vault.secret;
    if (rc == HF_OK) rc = recovery_encode(&recovery, code, err);
    if (rc == HF_OK)
        rc = vault_save(&cli->vault, cli->config_fd,
                        a->passphrase_file != NULL ? passphrase : NULL, err);
    hf_wipe(passphrase, sizeof passphrase);
    return rc;
}

int cli_init(struct cli *cli, int argc, char **argv)
{
    struct arguments a = {0};
    char code[RECOVERY_CODE_MAX];
    char hex[HF_ID_HEX_SIZE];
    struct hf_err err;
    int first;
    int status = cli_parse(cli, argc, argv, options, take, &a, usage, &first);

    if (status != EXIT_DONE) return status < 0 ? EXIT_DONE : status;
    if (first < argc) return cli_usage_error("init ", "init takes no '%s'", argv[first]);
    if (make(cli, &a, code, &err) != HF_OK) {
        status = err.code == HF_NOT_FOUND ? EXIT_FAILED : cli_exit_code(err.code);
        (void)cli_fail(cli, &err);
        return status;
    }
    if (cli->json) {
        cli_json_line(json_pack("{s:i,s:s,s:s}", "schema", CLI_SCHEMA, "vault",
                                hf_id_hex(&cli->keys.vault, hex), "recovery_code", code));
    } else {
        (void)fprintf(
            stderr,
            "vault %.16s made in %s\n"
            "Its recovery code follows. It is shown only now. Write it down and "
            "keep it away from\nthis machine: with it everything can be read, and "
            "without it and this machine nothing.\n",
            hf_id_hex(&cli->keys.vault, hex), cli->home.config);
        (void)puts(code);
    }
    hf_wipe(code, sizeof code);
    return EXIT_DONE;
}

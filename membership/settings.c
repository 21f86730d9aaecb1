#include "membership/settings.h"

#include "base/cbor.h"
#include "base/types.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SETTINGS_FILE    "settings"
#define SETTINGS_VERSION 1u
#define SETTINGS_MAX     1024u

enum settings_key {
    SETTINGS_LISTEN = 2,
    SETTINGS_ADVERTISE = 3,
    SETTINGS_SPACE = 4,
    SETTINGS_SITE = 5
};

enum hf_code settings_save(const struct member_settings *settings, struct hf_files *files,
                           int dir_fd, struct hf_err *err)
{
    uint8_t bytes[SETTINGS_MAX];
    struct hf_writer w = hf_writer_init(bytes, sizeof bytes);

    hf_put_header(&w, 4, HF_TYPE_SETTINGS, SETTINGS_VERSION);
    hf_put_key(&w, SETTINGS_LISTEN);
    hf_put_text(&w, settings->listen, strlen(settings->listen));
    hf_put_key(&w, SETTINGS_ADVERTISE);
    hf_put_text(&w, settings->advertise, strlen(settings->advertise));
    hf_put_key(&w, SETTINGS_SPACE);
    hf_put_uint(&w, settings->space_bytes);
    hf_put_key(&w, SETTINGS_SITE);
    hf_put_text(&w, settings->site, strlen(settings->site));
    return hf_file_replace(files, dir_fd, SETTINGS_FILE, bytes, hf_writer_size(&w), 0600,
                           err);
}

static bool settings_valid(const struct member_settings *settings)
{
    struct address_list advertised;
    char host[ADDRESS_SIZE];
    char port[6];

    return address_split(settings->listen, host, port) &&
           address_list_parse(settings->advertise, &advertised) &&
           (settings->site[0] == '\0' || name_valid(settings->site, SITE_SIZE));
}

enum hf_code settings_load(struct member_settings *settings, struct hf_files *files,
                           int dir_fd, struct hf_err *err)
{
    uint8_t bytes[SETTINGS_MAX];
    struct hf_reader r;
    struct hf_map m;
    enum hf_code rc;
    int64_t key;
    size_t n;

    rc = hf_file_load(files, dir_fd, SETTINGS_FILE, bytes, sizeof bytes, &n, err);
    if (rc != HF_OK) return rc;
    r = hf_reader_init(bytes, n);
    m = hf_get_header(&r, 16, HF_TYPE_SETTINGS, SETTINGS_VERSION);
    while (hf_map_next(&r, &m, &key)) {
        switch (key) {
        case SETTINGS_LISTEN:
            hf_get_string(&r, settings->listen, sizeof settings->listen);
            break;
        case SETTINGS_ADVERTISE:
            hf_get_string(&r, settings->advertise, sizeof settings->advertise);
            break;
        case SETTINGS_SPACE: settings->space_bytes = hf_get_u64(&r); break;
        case SETTINGS_SITE: hf_get_string(&r, settings->site, sizeof settings->site); break;
        default: hf_map_other(&r, key);
        }
    }
    hf_map_require(&r, &m, 0x3c);
    if (hf_reader_done(&r) && settings_valid(settings)) return HF_OK;
    return hf_fail(err, HF_CORRUPT, "%s: does not parse", SETTINGS_FILE);
}

static enum hf_code copy_text(char *out, size_t size, const char *text, const char *what,
                              struct hf_err *err)
{
    const int n = snprintf(out, size, "%s", text);

    if (n >= 0 && (size_t)n < size) return HF_OK;
    return hf_fail(err, HF_INVALID, "%s: longer than %zu bytes", what, size - 1);
}

static bool is_wildcard(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 ||
           strcmp(host, "*") == 0;
}

enum hf_code member_host_name(const struct member_options *options,
                              char name[static NAME_SIZE], struct hf_err *err)
{
    if (options->host_name != NULL)
        return copy_text(name, NAME_SIZE, options->host_name, "host name", err);
    if (gethostname(name, NAME_SIZE) != 0)
        return hf_fail(err, HF_INVALID, "host name: unknown or longer than %u bytes",
                       NAME_SIZE - 1);
    name[NAME_SIZE - 1] = '\0';
    return HF_OK;
}

enum hf_code settings_from(const struct member_options *options, const char *host_name,
                           struct member_settings *settings, struct hf_err *err)
{
    const char *listen =
        options->listen != NULL ? options->listen : "0.0.0.0:" MEMBER_PORT_DEFAULT;
    const char *site = options->site != NULL ? options->site : "";
    char host[ADDRESS_SIZE];
    char port[6];
    char named[NAME_SIZE + 8];
    struct address_list advertised;
    const char *advertise = options->advertise;

    memset(settings, 0, sizeof *settings);
    if (!address_split(listen, host, port))
        return hf_fail(err, HF_INVALID,
                       "listen address '%.80s': want ADDR:PORT, for IPv6 [ADDR]:PORT",
                       listen);
    (void)snprintf(named, sizeof named, "%s:%s", host_name, port);
    if (advertise == NULL) advertise = is_wildcard(host) ? named : listen;
    settings->space_bytes = options->space_bytes;
    if (copy_text(settings->listen, ADDRESS_SIZE, listen, "listen address", err) != HF_OK ||
        copy_text(settings->advertise, ADDRESS_LIST_SIZE, advertise, "advertised addresses",
                  err) != HF_OK ||
        copy_text(settings->site, SITE_SIZE, site, "site", err) != HF_OK)
        return err->code;
    if (!address_list_parse(settings->advertise, &advertised))
        return hf_fail(err, HF_INVALID,
                       "advertised '%.80s': want HOST:PORT, for IPv6 [ADDR]:PORT; up to %u "
                       "of them, separated by commas",
                       settings->advertise, ADDRESS_LIST_MAX);
    if (!settings_valid(settings))
        return hf_fail(err, HF_INVALID, "site '%s': want printable characters",
                       settings->site);
    return HF_OK;
}

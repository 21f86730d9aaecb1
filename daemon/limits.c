#include "daemon/limits.h"

#include <time.h>

static enum hf_code load(const struct hf_conf *conf, const char *key,
                         struct hf_rates *rates, struct hf_err *err)
{
    char where[HF_CONF_WHERE_SIZE];
    const char *value;

    *rates = (struct hf_rates){.count = 0};
    for (size_t i = 0; (value = hf_conf_get_line(conf, "ring", key, i)) != NULL; i++) {
        const enum hf_code rc = hf_rates_add(rates, value, err);

        if (rc == HF_OK) continue;
        hf_conf_where(conf, "ring", key, i, where);
        (void)hf_prefix(err, "%s", key);
        return hf_prefix(err, "%s", where);
    }
    return HF_OK;
}

enum hf_code limits_load(const struct hf_conf *conf, struct limits *limits,
                         struct hf_err *err)
{
    struct limits loaded;
    enum hf_code rc = load(conf, "limit-upload", &loaded.upload, err);

    if (rc == HF_OK) rc = load(conf, "limit-download", &loaded.download, err);
    if (rc == HF_OK) *limits = loaded;
    return rc;
}

uint32_t limits_minute(int64_t time_s)
{
    const time_t time = (time_t)time_s;
    struct tm tm;

    if (localtime_r(&time, &tm) == NULL) return 0;
    return (uint32_t)(tm.tm_hour * 60 + tm.tm_min);
}

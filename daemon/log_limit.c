#include "daemon/log_limit.h"

#include "base/log.h"

bool log_limit_allows(struct log_limit *limit, const char *area, uint64_t now_ms)
{
    if (now_ms - limit->since_ms >= LOG_LIMIT_MS) {
        if (limit->dropped > 0)
            hf_log(HF_LOG_WARN, area, "%u more warnings like those before", limit->dropped);
        *limit = (struct log_limit){.since_ms = now_ms};
    }
    if (limit->count < LOG_LIMIT_LINES) {
        limit->count++;
        return true;
    }
    limit->dropped++;
    return false;
}

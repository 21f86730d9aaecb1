/* Rates: any text is taken or refused; what is taken gives every minute one window at most,
 * and a rate within the bounds. */
#include "base/rates.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct hf_rates rates = {.count = 0};
    char text[256];
    struct hf_err err;

    if (n >= sizeof text) return 0;
    memcpy(text, bytes, n);
    text[n] = '\0';
    if (hf_rates_add(&rates, text, &err) != HF_OK) return 0;
    if (rates.count == 0 || rates.count > HF_RATE_WINDOWS_MAX) abort();
    for (uint32_t minute = 0; minute < HF_RATE_DAY_MIN; minute++) {
        const uint64_t rate = hf_rates_at(&rates, minute);

        if (rate != 0 && (rate < HF_RATE_MIN || rate > HF_RATE_MAX)) abort();
    }
    return 0;
}

#include "base/rates.h"

#include "base/conf.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define ITEM_SIZE   64u /* of one window as text */
#define WINDOW_SIZE 32u /* of one window as it is named */

static const char example[] = "write it as '2M' or '08:00-23:00 200K, 23:00-08:00 off'";

static const char *name_window(const struct hf_rate_window *window,
                               char text[static WINDOW_SIZE])
{
    (void)snprintf(text, WINDOW_SIZE, "%02u:%02u-%02u:%02u", window->from_min / 60,
                   window->from_min % 60, window->to_min / 60, window->to_min % 60);
    return text;
}

static bool contains(const struct hf_rate_window *window, uint32_t minute)
{
    if (window->from_min < window->to_min)
        return minute >= window->from_min && minute < window->to_min;
    return minute >= window->from_min || minute < window->to_min;
}

static bool overlap(const struct hf_rate_window *a, const struct hf_rate_window *b)
{
    return contains(a, b->from_min) || contains(b, a->from_min);
}

static const char *skip_blanks(const char *text)
{
    while (*text == ' ' || *text == '\t')
        text++;
    return text;
}

/* "8:05" or "08:05" up to 24:00; NULL: it is none. */
static const char *take_time(const char *text, uint32_t *minute)
{
    uint32_t hours = 0;
    size_t digits = 0;

    for (; isdigit((unsigned char)*text) && digits < 2; text++, digits++)
        hours = hours * 10 + (uint32_t)(*text - '0');
    if (digits == 0 || text[0] != ':' || !isdigit((unsigned char)text[1]) ||
        !isdigit((unsigned char)text[2]))
        return NULL;
    *minute = hours * 60 + (uint32_t)(text[1] - '0') * 10 + (uint32_t)(text[2] - '0');
    return text[1] <= '5' && *minute <= HF_RATE_DAY_MIN ? text + 3 : NULL;
}

/* The times before the rate, if there are any; NULL: malformed. */
static const char *take_window(const char *item, struct hf_rate_window *window)
{
    const char *at = item;

    *window = (struct hf_rate_window){.to_min = HF_RATE_DAY_MIN};
    if (strpbrk(item, ":-") == NULL) return item;
    at = take_time(at, &window->from_min);
    if (at == NULL) return NULL;
    at = skip_blanks(at);
    if (*at != '-') return NULL;
    at = take_time(skip_blanks(at + 1), &window->to_min);
    if (at == NULL || (*at != ' ' && *at != '\t')) return NULL;
    if (window->from_min == HF_RATE_DAY_MIN) return NULL;
    return skip_blanks(at);
}

static enum hf_code take_rate(const char *text, const char *item, uint64_t *rate,
                              struct hf_err *err)
{
    *rate = 0;
    if (strcmp(text, "off") == 0) return HF_OK;
    if (!hf_size_parse(text, rate))
        return hf_fail(err, HF_INVALID, "'%s': no rate; %s", item, example);
    if (*rate < HF_RATE_MIN)
        return hf_fail(err, HF_INVALID,
                       "'%s': less than 4K a second keeps no node in a ring; 'off' is no "
                       "limit",
                       item);
    if (*rate > HF_RATE_MAX)
        return hf_fail(err, HF_INVALID, "'%s': more than 1T a second; 'off' is no limit",
                       item);
    return HF_OK;
}

static enum hf_code add_window(struct hf_rates *rates, const char *item, struct hf_err *err)
{
    struct hf_rate_window window;
    const char *rate = take_window(item, &window);
    char one[WINDOW_SIZE];
    char other[WINDOW_SIZE];
    enum hf_code rc;

    if (rate == NULL || *rate == '\0')
        return hf_fail(err, HF_INVALID, "'%s': no times or no rate; %s", item, example);
    rc = take_rate(rate, item, &window.rate, err);
    if (rc != HF_OK) return rc;
    if (window.from_min == window.to_min)
        return hf_fail(err, HF_INVALID, "'%s': begins when it ends; a whole day is '%s'",
                       item, rate);
    for (size_t i = 0; i < rates->count; i++) {
        if (overlap(&rates->windows[i], &window))
            return hf_fail(err, HF_INVALID, "%s and %s overlap",
                           name_window(&rates->windows[i], one),
                           name_window(&window, other));
    }
    if (rates->count == HF_RATE_WINDOWS_MAX)
        return hf_fail(err, HF_INVALID, "more than %u windows", HF_RATE_WINDOWS_MAX);
    rates->windows[rates->count++] = window;
    return HF_OK;
}

enum hf_code hf_rates_add(struct hf_rates *rates, const char *text, struct hf_err *err)
{
    enum hf_code rc = HF_OK;

    while (rc == HF_OK && text != NULL) {
        const char *comma = strchr(text, ',');
        const char *end = comma != NULL ? comma : text + strlen(text);
        char item[ITEM_SIZE];

        text = skip_blanks(text);
        while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        if ((size_t)(end - text) >= sizeof item)
            return hf_fail(err, HF_INVALID, "'%.40s...': too long; %s", text, example);
        memcpy(item, text, (size_t)(end - text));
        item[end - text] = '\0';
        rc = add_window(rates, item, err);
        text = comma != NULL ? comma + 1 : NULL;
    }
    return rc;
}

uint64_t hf_rates_at(const struct hf_rates *rates, uint32_t minute)
{
    for (size_t i = 0; i < rates->count; i++)
        if (contains(&rates->windows[i], minute)) return rates->windows[i].rate;
    return 0;
}

#include "chord/vivaldi.h"

#include <math.h>

#define GAIN       0.25 /* ce and cc */
#define ERROR_MAX  (VIVALDI_ERROR_MAX / 1000.0)
#define START_US   1000.0
#define NEAR_US    1.0 /* closer together than that, there is no direction */
#define ERROR_UNIT 1000.0

/* In [-1, 1). */
static double fraction(uint64_t random)
{
    return (double)(int64_t)random / 9223372036854775808.0;
}

void vivaldi_init(struct vivaldi *v, uint64_t random)
{
    *v = (struct vivaldi){.x = START_US * fraction(random),
                          .y = START_US * fraction(random << 32),
                          .height = VIVALDI_HEIGHT_MIN_US,
                          .error = 1.0};
}

bool vivaldi_plausible(const struct chord_coordinate *c)
{
    return c->error_milli > 0 && c->error_milli <= VIVALDI_ERROR_MAX && c->height_us >= 0 &&
           c->height_us <= VIVALDI_PLACE_MAX_US && c->x_us >= -VIVALDI_PLACE_MAX_US &&
           c->x_us <= VIVALDI_PLACE_MAX_US && c->y_us >= -VIVALDI_PLACE_MAX_US &&
           c->y_us <= VIVALDI_PLACE_MAX_US;
}

static double clamp(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

void vivaldi_sample(struct vivaldi *v, const struct chord_coordinate *remote,
                    uint64_t rtt_us, uint64_t random)
{
    const double rtt = (double)rtt_us;
    double dx = v->x - remote->x_us;
    double dy = v->y - remote->y_us;
    double plane = sqrt(dx * dx + dy * dy);
    double heights = v->height + remote->height_us;
    double weight, off, force;

    if (rtt_us == 0 || rtt_us > VIVALDI_RTT_MAX_US || !vivaldi_plausible(remote)) return;
    v->samples++;
    weight = v->error / (v->error + remote->error_milli / ERROR_UNIT);
    off = fabs(plane + heights - rtt) / rtt;
    force = GAIN * weight * (rtt - plane - heights);
    if (v->error * ERROR_UNIT < VIVALDI_SETTLED)
        force = clamp(force, -VIVALDI_STEP_MAX_US, VIVALDI_STEP_MAX_US);
    v->error = clamp(off * GAIN * weight + v->error * (1 - GAIN * weight), 1 / ERROR_UNIT,
                     ERROR_MAX);
    if (plane < NEAR_US) {
        dx = fraction(random);
        dy = fraction(random << 32);
        plane = sqrt(dx * dx + dy * dy);
        if (plane <= 0) return;
        dx *= NEAR_US / plane;
        dy *= NEAR_US / plane;
        plane = NEAR_US;
    }
    v->x = clamp(v->x + force * dx / (plane + heights), -VIVALDI_PLACE_MAX_US,
                 VIVALDI_PLACE_MAX_US);
    v->y = clamp(v->y + force * dy / (plane + heights), -VIVALDI_PLACE_MAX_US,
                 VIVALDI_PLACE_MAX_US);
    v->height = clamp(v->height + force * heights / (plane + heights),
                      VIVALDI_HEIGHT_MIN_US, VIVALDI_PLACE_MAX_US);
}

struct chord_coordinate vivaldi_coordinate(const struct vivaldi *v)
{
    return (struct chord_coordinate){.x_us = (int32_t)v->x,
                                     .y_us = (int32_t)v->y,
                                     .height_us = (int32_t)v->height,
                                     .error_milli = (uint16_t)(v->error * ERROR_UNIT)};
}

uint64_t vivaldi_rtt_us(const struct chord_coordinate *a, const struct chord_coordinate *b)
{
    const double dx = (double)a->x_us - b->x_us;
    const double dy = (double)a->y_us - b->y_us;

    if (!vivaldi_plausible(a) || !vivaldi_plausible(b)) return UINT64_MAX;
    return (uint64_t)(sqrt(dx * dx + dy * dy) + a->height_us + b->height_us);
}

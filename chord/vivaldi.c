#include "chord/vivaldi.h"

#include <math.h>

#define GAIN       0.25 /* ce and cc */
#define ERROR_MAX  (VIVALDI_ERROR_MAX / 1000.0)
#define FIT_STEPS  8u
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

/* From *v to a remote coordinate. */
struct way {
    double dx, dy, plane, heights;
};

static struct way way_to(const struct vivaldi *v, const struct chord_coordinate *remote)
{
    const double dx = v->x - remote->x_us;
    const double dy = v->y - remote->y_us;

    return (struct way){dx, dy, sqrt(dx * dx + dy * dy), v->height + remote->height_us};
}

/* Moves by `force` along the way, away from the remote when it is positive. */
static void move(struct vivaldi *v, struct way way, double force, uint64_t random)
{
    double length;

    if (way.plane < NEAR_US) {
        way.dx = fraction(random);
        way.dy = fraction(random << 32);
        length = sqrt(way.dx * way.dx + way.dy * way.dy);
        if (length <= 0) return;
        way.dx *= NEAR_US / length;
        way.dy *= NEAR_US / length;
        way.plane = NEAR_US;
    }
    force /= way.plane + way.heights;
    v->x = clamp(v->x + force * way.dx, -VIVALDI_PLACE_MAX_US, VIVALDI_PLACE_MAX_US);
    v->y = clamp(v->y + force * way.dy, -VIVALDI_PLACE_MAX_US, VIVALDI_PLACE_MAX_US);
    v->height =
        clamp(v->height + force * way.heights, VIVALDI_HEIGHT_MIN_US, VIVALDI_PLACE_MAX_US);
}

static bool is_sample(const struct chord_coordinate *remote, uint64_t rtt_us)
{
    return rtt_us > 0 && rtt_us <= VIVALDI_RTT_MAX_US && vivaldi_plausible(remote);
}

void vivaldi_sample(struct vivaldi *v, const struct chord_coordinate *remote,
                    uint64_t rtt_us, uint64_t random)
{
    const struct way way = way_to(v, remote);
    const double rtt = (double)rtt_us;
    double weight, off, force;

    if (!is_sample(remote, rtt_us)) return;
    v->samples++;
    weight = v->error / (v->error + remote->error_milli / ERROR_UNIT);
    off = fabs(way.plane + way.heights - rtt) / rtt;
    force = GAIN * weight * (rtt - way.plane - way.heights);
    if (v->error * ERROR_UNIT < VIVALDI_SETTLED)
        force = clamp(force, -VIVALDI_STEP_MAX_US, VIVALDI_STEP_MAX_US);
    v->error = clamp(off * GAIN * weight + v->error * (1 - GAIN * weight), 1 / ERROR_UNIT,
                     ERROR_MAX);
    move(v, way, force, random);
}

/* One step of vivaldi_fit: all residuals at once, those of near peers counting for more, as
 * it is relative errors that matter.  Whoever is said to be further away than twice its
 * round trip pulls no harder than that. */
static void fit_step(struct vivaldi *v, const struct vivaldi_measured *measured,
                     size_t count)
{
    double x = 0, y = 0, height = 0, weights = 0;

    for (size_t i = 0; i < count; i++) {
        const struct way way = way_to(v, &measured[i].remote);
        const double length = way.plane + way.heights;
        const double rtt = (double)measured[i].rtt_us;
        double force;

        if (!is_sample(&measured[i].remote, measured[i].rtt_us) || length <= 0) continue;
        force = fmax((rtt - length) / rtt, -1) / length;
        x += force * way.dx;
        y += force * way.dy;
        height += force * way.heights;
        weights += 1 / rtt;
    }
    if (weights <= 0) return;
    v->x = clamp(v->x + x / weights, -VIVALDI_PLACE_MAX_US, VIVALDI_PLACE_MAX_US);
    v->y = clamp(v->y + y / weights, -VIVALDI_PLACE_MAX_US, VIVALDI_PLACE_MAX_US);
    v->height =
        clamp(v->height + height / weights, VIVALDI_HEIGHT_MIN_US, VIVALDI_PLACE_MAX_US);
}

void vivaldi_fit(struct vivaldi *v, const struct vivaldi_measured *measured, size_t count)
{
    for (unsigned step = 0; step < FIT_STEPS; step++)
        fit_step(v, measured, count);
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

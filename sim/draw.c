#include "sim/draw.h"

#include <math.h>
#include <string.h>

#define GOLDEN UINT64_C(0x9e3779b97f4a7c15)

uint64_t draw_mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

struct draw draw_init(uint64_t seed, uint64_t stream)
{
    return (struct draw){draw_mix(seed + GOLDEN) ^ draw_mix(~stream)};
}

uint64_t draw_next(struct draw *draw)
{
    return draw_mix(draw->state += GOLDEN);
}

uint64_t draw_below(struct draw *draw, uint64_t below)
{
    return draw_next(draw) % below;
}

uint64_t draw_between(struct draw *draw, uint64_t low, uint64_t high)
{
    return low + draw_below(draw, high - low + 1);
}

bool draw_chance(struct draw *draw, unsigned permille)
{
    return permille > 0 && draw_below(draw, 1000) < permille;
}

double draw_unit(struct draw *draw)
{
    return (double)(draw_next(draw) >> 11) * 0x1p-53;
}

double draw_exponential(struct draw *draw, double mean)
{
    return -mean * log(1.0 - draw_unit(draw));
}

double draw_normal(struct draw *draw)
{
    const double radius = sqrt(draw_exponential(draw, 2.0));

    return radius * cos(6.283185307179586 * draw_unit(draw));
}

double draw_logarithmic(struct draw *draw, double low, double high)
{
    return low * exp(draw_unit(draw) * log(high / low));
}

void draw_id(struct draw *draw, struct hf_id *id)
{
    for (size_t i = 0; i < HF_ID_SIZE; i += sizeof(uint64_t)) {
        const uint64_t word = draw_next(draw);

        memcpy(&id->b[i], &word, sizeof word);
    }
}

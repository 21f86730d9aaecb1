#include "sim/network.h"

#include "base/alloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CLUSTERS       8u
#define CLUSTER_SPREAD 0.06 /* of the plane's side: standard deviation within a cluster */

static void place_all(struct network *network)
{
    const struct network_options *options = &network->options;
    double center[CLUSTERS][2];

    for (size_t i = 0; i < CLUSTERS; i++) {
        center[i][0] = draw_unit(&network->draw) * options->plane_ms;
        center[i][1] = draw_unit(&network->draw) * options->plane_ms;
    }
    for (size_t i = 0; i < network->count; i++) {
        struct network_place *place = &network->places[i];
        const double *at = center[draw_below(&network->draw, CLUSTERS)];
        const double spread = CLUSTER_SPREAD * options->plane_ms;

        place->x = (float)(at[0] + spread * draw_normal(&network->draw));
        place->y = (float)(at[1] + spread * draw_normal(&network->draw));
        place->access = (float)draw_exponential(&network->draw, options->access_ms);
    }
}

bool network_init(struct network *network, const struct network_options *options,
                  size_t count, size_t ends, uint64_t seed)
{
    memset(network, 0, sizeof *network);
    network->options = *options;
    network->count = count;
    network->draw = draw_init(seed, 1);
    network->pair_seed = draw_next(&network->draw);
    network->places = hf_alloc_array(count, sizeof *network->places);
    if (network->places == NULL) return false;
    place_all(network);
    if (!options->fair_loss) return true;
    if (ends > NETWORK_FAULTS_MAX) return false;
    network->lost = hf_alloc_array(ends * ends, sizeof *network->lost);
    return network->lost != NULL;
}

void network_done(struct network *network)
{
    free(network->places);
    free(network->lost);
    free(network->cuts);
    memset(network, 0, sizeof *network);
}

/* The same for both directions, and for ever. */
static double pair_factor(const struct network *network, size_t a, size_t b)
{
    const uint64_t low = a < b ? a : b;
    const uint64_t high = a < b ? b : a;
    struct draw draw = draw_init(network->pair_seed, low << 32 | high);

    return exp(network->options.violation * draw_normal(&draw));
}

static double places_rtt_us(const struct network_place *a, const struct network_place *b)
{
    const double dx = (double)a->x - (double)b->x;
    const double dy = (double)a->y - (double)b->y;

    return 1000 * (sqrt(dx * dx + dy * dy) + (double)a->access + (double)b->access);
}

double network_plain_rtt_us(const struct network *network, size_t a, size_t b)
{
    return 2 * (double)network->options.delay_us +
           places_rtt_us(&network->places[a], &network->places[b]);
}

uint64_t network_delay_us(const struct network *network, size_t from, size_t to)
{
    double rtt_us = places_rtt_us(&network->places[from], &network->places[to]);

    if (network->options.violation > 0) rtt_us *= pair_factor(network, from, to);
    return network->options.delay_us + (uint64_t)(rtt_us / 2);
}

static bool is_lost(struct network *network, size_t way, unsigned class)
{
    const unsigned bit = 1u << class;
    bool lost = draw_chance(&network->draw, network->options.loss);
    uint16_t *before;

    if (network->lost == NULL) return lost;
    before = &network->lost[way];
    lost = lost && !(*before & bit);
    *before = (uint16_t)(lost ? *before | bit : *before & ~bit);
    return lost;
}

static uint64_t extra_us(struct network *network)
{
    const struct network_options *options = &network->options;
    uint64_t extra = draw_between(&network->draw, 0, options->jitter_us);

    if (draw_chance(&network->draw, options->late))
        extra += draw_between(&network->draw, 0, options->late_us);
    return extra;
}

bool network_reaches(const struct network *network, size_t from, size_t to)
{
    return network->places[from].part == network->places[to].part &&
           (network->cuts == NULL || network->cuts[from * network->count + to] == 0);
}

struct network_fate network_send(struct network *network, size_t from, size_t to,
                                 size_t way, unsigned class)
{
    struct network_fate fate = {0, {0, 0}};
    uint64_t delay_us;

    if (!network_reaches(network, from, to) || is_lost(network, way, class)) return fate;
    delay_us = network_delay_us(network, from, to);
    fate.copies = draw_chance(&network->draw, network->options.twice) ? 2 : 1;
    for (unsigned i = 0; i < fate.copies; i++)
        fate.delay_us[i] = delay_us + extra_us(network);
    return fate;
}

bool network_cut(struct network *network, size_t from, size_t to, bool cut)
{
    if (network->cuts == NULL) {
        if (network->count > NETWORK_FAULTS_MAX) return false;
        network->cuts = hf_alloc_array(network->count, network->count);
        if (network->cuts == NULL) return false;
    }
    network->cuts[from * network->count + to] = cut;
    return true;
}

void network_part(struct network *network, size_t place, uint32_t part)
{
    network->places[place].part = part;
}

void network_heal(struct network *network)
{
    for (size_t i = 0; i < network->count; i++)
        network->places[i].part = 0;
    if (network->cuts != NULL) memset(network->cuts, 0, network->count * network->count);
}

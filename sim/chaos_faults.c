#include "sim/chaos_faults.h"

#include "sim/judge.h"

#define CONTACTS 4u /* members that a joiner knows */

size_t chaos_faults_member(struct world *world, const struct chaos_faults *faults)
{
    const size_t start = draw_below(faults->draw, world->count);

    for (size_t i = 0; i < world->count; i++) {
        const size_t place = (start + i) % world->count;

        if (world_is_member(world, place)) return place;
    }
    return WORLD_NOBODY;
}

struct contacts {
    size_t places[CONTACTS];
};

static struct contacts choose_contacts(struct world *world, struct chaos_faults *faults)
{
    struct contacts contacts;

    for (unsigned i = 0; i < CONTACTS; i++)
        contacts.places[i] = chaos_faults_member(world, faults);
    return contacts;
}

/* Tells a node that joins of some members; the proof begins with such a one. */
static void introduce(struct world *world, size_t host, const struct contacts *contacts)
{
    for (unsigned i = 0; i < CONTACTS; i++) {
        if (contacts->places[i] != WORLD_NOBODY)
            world_join(world, host, contacts->places[i]);
    }
}

void chaos_faults_start(struct world *world, struct chaos_faults *faults, size_t host)
{
    const struct contacts contacts = choose_contacts(world, faults);

    world_start(world, host);
    if (faults->proof)
        introduce(world, host, &contacts);
    else
        world_roster(world, host, world->peers, world->count);
}

void chaos_faults_introduce(struct world *world, struct chaos_faults *faults, size_t host)
{
    const struct contacts contacts = choose_contacts(world, faults);

    introduce(world, host, &contacts);
}

/* One more member has heard who is on the roster. */
static void spread_roster(struct world *world, struct chaos_faults *faults)
{
    const size_t place = chaos_faults_member(world, faults);

    if (faults->proof && faults->roster && place != WORLD_NOBODY)
        world_roster(world, world_host_of(world, place), world->peers, world->count);
}

static bool may_fail(struct world *world, const struct chaos_faults *faults, size_t host)
{
    if (faults->proof) return judge_may_fail(world->judge, world, host);
    return world->live > 1 + world->hosts[host].place_count;
}

/* One with a member among its places that may fail now, or WORLD_NOBODY. */
static size_t choose_victim(struct world *world, struct chaos_faults *faults)
{
    const size_t place = chaos_faults_member(world, faults);
    size_t host;

    if (place == WORLD_NOBODY) return WORLD_NOBODY;
    host = world_host_of(world, place);
    return may_fail(world, faults, host) ? host : WORLD_NOBODY;
}

static void crash_one(struct world *world, struct chaos_faults *faults)
{
    const size_t host = choose_victim(world, faults);

    if (host == WORLD_NOBODY) return;
    faults->crashes++;
    if (draw_below(faults->draw, 3) == 0)
        world_leave(world, host);
    else
        world_crash(world, host);
    chaos_blocks_crashed(faults->blocks, host);
}

static void restart_one(struct world *world, struct chaos_faults *faults)
{
    const size_t host = draw_below(faults->draw, world->host_count);

    if (!world_host_is_live(world, host)) chaos_faults_start(world, faults, host);
}

static void freeze_one(struct world *world, struct chaos_faults *faults)
{
    const size_t place = chaos_faults_member(world, faults);
    const double periods = draw_logarithmic(faults->draw, 0.01, 10);
    size_t host;

    if (place == WORLD_NOBODY) return;
    host = world_host_of(world, place);
    if (!may_fail(world, faults, host)) return;
    faults->freezes++;
    world_freeze(world, host, 1 + (uint64_t)(periods * (double)faults->period_us));
}

/* One direction between two hosts, or all that one host says or hears. */
static void cut_some(struct world *world, struct chaos_faults *faults)
{
    const size_t a = draw_below(faults->draw, world->host_count);
    const size_t b = draw_below(faults->draw, world->host_count);
    const uint64_t how = draw_below(faults->draw, 4);

    faults->cuts++;
    if (how < 2 && !network_cut(&world->network, a, b, true))
        world_break(world, "the simulator is out of memory");
    for (size_t i = 0; i < world->host_count && how >= 2; i++) {
        if (!network_cut(&world->network, how == 2 ? a : i, how == 2 ? i : a, true))
            world_break(world, "the simulator is out of memory");
    }
}

static void part(struct world *world, struct chaos_faults *faults)
{
    const uint64_t parts = draw_between(faults->draw, 2, 4);

    faults->parts++;
    for (size_t i = 0; i < world->host_count; i++)
        network_part(&world->network, i, (uint32_t)draw_below(faults->draw, parts));
}

/* Everybody at once, and back within a period. */
static void crash_all(struct world *world, struct chaos_faults *faults)
{
    for (size_t i = 0; i < world->host_count; i++) {
        if (!world_host_is_live(world, i)) continue;
        faults->crashes++;
        world_crash(world, i);
        chaos_blocks_crashed(faults->blocks, i);
    }
    for (size_t i = 0; i < world->host_count; i++) {
        if (draw_below(faults->draw, 4) != 0) chaos_faults_start(world, faults, i);
    }
}

void chaos_faults_one(struct world *world, struct chaos_faults *faults)
{
    switch (draw_below(faults->draw, faults->proof ? 6 : 14)) {
    case 0:
    case 1:
        if (faults->may_crash) crash_one(world, faults);
        break;
    case 2:
    case 3: restart_one(world, faults); break;
    case 4: spread_roster(world, faults); break;
    case 5: break; /* a quiet moment */
    case 6:
    case 7:
        if (faults->may_cut) cut_some(world, faults);
        break;
    case 8:
        if (faults->may_part) part(world, faults);
        break;
    case 9:
    case 10: network_heal(&world->network); break;
    case 11:
    case 12:
        if (faults->may_freeze) freeze_one(world, faults);
        break;
    default:
        if (faults->may_crash && draw_below(faults->draw, 4) == 0) crash_all(world, faults);
        break;
    }
}

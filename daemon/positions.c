#include "daemon/positions.h"

#include "base/alloc.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

uint64_t positions_unit(const struct roster *roster)
{
    const size_t most = roster_count(roster);
    uint64_t *spaces;
    uint64_t median = 0;
    size_t count = 0;

    if (most < POSITIONS_MEMBERS_MIN) return 0;
    spaces = hf_alloc_array(most, sizeof *spaces);
    if (spaces == NULL) return 0;
    for (size_t i = 0; i < most; i++) {
        const struct roster_member *member = roster_at(roster, i);

        if (!member->evicted && member->announced)
            spaces[count++] = member->announcement.space_bytes;
    }
    qsort(spaces, count, sizeof *spaces, compare);
    if (count >= POSITIONS_MEMBERS_MIN) median = spaces[count / 2];
    free(spaces);
    return median / POSITIONS_TYPICAL;
}

uint32_t positions_of(const struct roster_member *member, uint64_t unit)
{
    uint32_t positions = 1;

    if (unit == 0 || !member->announced) return 1;
    while (2 * positions <= member->certificate.positions &&
           2 * positions <= CERTIFICATE_POSITIONS_MAX &&
           member->announcement.space_bytes / unit >= 2 * (uint64_t)positions)
        positions *= 2;
    return positions;
}

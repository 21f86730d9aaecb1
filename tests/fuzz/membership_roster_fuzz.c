/* Rosters and facts from anybody: they parse or are refused, and never crash. */
#include "membership/roster.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const struct hf_public_key authority = {{1}};
    struct roster *roster = roster_new(&authority);
    struct roster_merge merge;
    struct fact_peek peek;
    struct ring_parameters ring;
    struct hf_err err;
    bool news;

    if (roster == NULL) return 0;
    (void)fact_peek(bytes, n, &peek);
    if (roster_add(roster, bytes, n, &news, &err) == HF_OK) abort(); /* forged */
    if (ring_parameters_parse(bytes, n, NULL, &ring, &err) == HF_OK &&
        !name_valid(ring.name, NAME_SIZE))
        abort();
    (void)(roster_merge(roster, bytes, n, &merge, &err) == HF_OK);
    if (roster_count(roster) != 0) abort();
    roster_free(roster);
    return 0;
}

#include "chord/circle.h"

#include <assert.h>

bool chord_between(const struct hf_id *a, const struct hf_id *x, const struct hf_id *b)
{
    const bool after_a = hf_id_compare(a, x) < 0;
    const bool before_b = hf_id_compare(x, b) < 0;

    if (hf_id_compare(a, b) < 0) return after_a && before_b;
    return after_a || before_b;
}

bool chord_between_or_at(const struct hf_id *a, const struct hf_id *x,
                         const struct hf_id *b)
{
    return hf_id_equal(x, b) || chord_between(a, x, b) || hf_id_equal(a, b);
}

void chord_add_power(const struct hf_id *a, unsigned bit, struct hf_id *out)
{
    unsigned carry;
    unsigned i;

    assert(bit < CHORD_ID_BITS);
    *out = *a;
    i = HF_ID_SIZE - 1 - bit / 8;
    carry = 1u << (bit % 8);
    for (;;) {
        const unsigned sum = out->b[i] + carry;

        out->b[i] = (uint8_t)(sum & 0xffu);
        if (sum < 256u || i == 0) return;
        carry = 1;
        i--;
    }
}

int chord_compare_from(const struct hf_id *from, const struct hf_id *a,
                       const struct hf_id *b)
{
    const bool a_wraps = hf_id_compare(a, from) < 0;
    const bool b_wraps = hf_id_compare(b, from) < 0;

    if (a_wraps != b_wraps) return a_wraps ? 1 : -1;
    return hf_id_compare(a, b);
}

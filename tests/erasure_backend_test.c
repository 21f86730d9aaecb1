/* erasure/code.h on a machine without libisal2: the library's own answer, given here. */
#include "test.h"

#include "base/tree_hash.h"
#include "erasure/code.h"

#include <erasurecode.h>
#include <string.h>

/* Takes the place of the library's. */
int liberasurecode_instance_create(const ec_backend_id_t id, struct ec_args *args)
{
    (void)args;
    return id == EC_BACKEND_ISA_L_RS_CAUCHY ? -EBACKENDNOTAVAIL : -EBACKENDNOTSUPP;
}

static void missing_backend_is_named(void **state)
{
    static uint8_t block[4 * HF_LEAF_SIZE], work[4 * HF_LEAF_SIZE];
    const uint8_t *fragments[CODE_FRAGMENTS_MAX];
    struct coder *coder = coder_new();
    struct code_shape shape;
    struct hf_err err;

    (void)state;
    assert_non_null(coder);
    assert_int_equal(code_shape_init(&shape, sizeof block, 2, 4, &err), HF_OK);
    assert_true(code_work_size(&shape) <= sizeof work);
    assert_int_equal(coder_encode(coder, &shape, block, work, fragments, &err),
                     HF_UNAVAILABLE);
    assert_string_equal(
        err.msg, "erasure code: backend isa_l_rs_cauchy is missing; install libisal2");

    /* Replication needs no library. */
    assert_int_equal(code_shape_init(&shape, sizeof block, 1, 3, &err), HF_OK);
    assert_int_equal(coder_encode(coder, &shape, block, work, fragments, &err), HF_OK);
    coder_free(coder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(missing_backend_is_named)};

    return cmocka_run_group_tests_name("erasure/backend", tests, NULL, NULL);
}

/* Whatever a program sends, the reader stays within its limits. */
#include "daemon/local_reader.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct local_reader reader;
    struct hf_err err;

    local_reader_init(&reader);
    while (size > 0) {
        uint8_t *at;
        size_t n;

        if (local_reader_room(&reader, &at, &n, &err) != HF_OK || n == 0) abort();
        if (n > size) n = size;
        memcpy(at, data, n);
        data += n;
        size -= n;
        if (local_reader_took(&reader, n, &err) != HF_OK) break;
        if (reader.state != LOCAL_READER_WHOLE) continue;
        if (reader.part_count != reader.request.part_count) abort();
        local_reader_next(&reader);
    }
    local_reader_done(&reader);
    return 0;
}

/* The header parser and the list parsers never crash; what is taken can be written and
 * is taken again. */
#include "dht/lists.h"
#include "dht/message.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void lists(struct hf_buffer *payload)
{
    static struct hf_id ids[DHT_PRESENCE_MAX];
    static struct dht_presence presence[DHT_PRESENCE_MAX];
    struct hf_reader r;
    uint32_t left = dht_records_open(payload, &r);
    size_t n;

    (void)dht_ids_parse(payload, ids, &n);
    (void)dht_presence_parse(payload, presence, &n);
    while (left-- > 0 && dht_records_next(&r, &n) != NULL) {
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_buffer *payload = hf_buffer_new(size);
    uint8_t header[DHT_HEADER_MAX];
    struct hf_writer w = hf_writer_init(header, sizeof header);
    struct dht_message message, again;
    struct hf_err err;

    if (payload == NULL) return 0;
    if (size > 0) memcpy(payload->b, data, size);
    lists(payload);
    if (dht_message_parse(data, size, payload, &message, &err) == HF_OK ||
        dht_message_parse(data, size, NULL, &message, &err) == HF_OK) {
        dht_message_put(&w, &message);
        if (dht_message_parse(header, hf_writer_size(&w), message.payload, &again, &err) !=
            HF_OK)
            abort();
        if (again.request != message.request || again.kind != message.kind) abort();
        dht_message_done(&again);
        dht_message_done(&message);
    }
    hf_buffer_unref(payload);
    return 0;
}

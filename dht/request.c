#include "dht/request.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#define PLACE_MASK ((uint64_t)DHT_REQUESTS_MAX - 1)

_Static_assert((DHT_REQUESTS_MAX & (DHT_REQUESTS_MAX - 1)) == 0,
               "ids hold the place in bits");

enum hf_code dht_requests_init(struct dht_requests *requests, uint64_t seed,
                               struct hf_err *err)
{
    *requests = (struct dht_requests){
        .places = hf_alloc_array(DHT_REQUESTS_MAX, sizeof *requests->places),
        .free = hf_alloc_array(DHT_REQUESTS_MAX, sizeof *requests->free),
        .free_count = DHT_REQUESTS_MAX,
        .serial = (seed & 0xfffff) << 32, /* with the place below it: all 64 bits */
    };
    if (requests->places == NULL || requests->free == NULL) {
        dht_requests_done(requests);
        return hf_fail(err, HF_NO_MEMORY, "dht: requests");
    }
    for (size_t i = 0; i < DHT_REQUESTS_MAX; i++)
        requests->free[i] = (uint16_t)(DHT_REQUESTS_MAX - 1 - i);
    return HF_OK;
}

void dht_requests_done(struct dht_requests *requests)
{
    free(requests->places);
    free(requests->free);
    memset(requests, 0, sizeof *requests);
}

struct dht_request *dht_requests_add(struct dht_requests *requests)
{
    struct dht_request *request;
    size_t place;

    if (requests->free_count == 0) return NULL;
    place = requests->free[--requests->free_count];
    request = &requests->places[place];
    memset(request, 0, sizeof *request);
    requests->serial++;
    request->id = requests->serial * DHT_REQUESTS_MAX | place;
    if (place >= requests->top) requests->top = place + 1;
    return request;
}

struct dht_request *dht_requests_find(struct dht_requests *requests, uint64_t id)
{
    struct dht_request *request = &requests->places[id & PLACE_MASK];

    return id != 0 && request->id == id ? request : NULL;
}

void dht_requests_remove(struct dht_requests *requests, struct dht_request *request)
{
    request->id = 0;
    requests->free[requests->free_count++] = (uint16_t)(request - requests->places);
    while (requests->top > 0 && requests->places[requests->top - 1].id == 0)
        requests->top--;
}

uint64_t dht_requests_deadline(const struct dht_requests *requests)
{
    uint64_t deadline = UINT64_MAX;

    for (size_t i = 0; i < requests->top; i++) {
        const struct dht_request *request = &requests->places[i];
        const bool ends = request->late && !request->watched;
        uint64_t next = ends ? request->silent_ms : request->late_ms;

        if (request->id != 0 && next < deadline) deadline = next;
    }
    return deadline;
}

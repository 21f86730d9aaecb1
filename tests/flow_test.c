/* daemon/outflow.h into daemon/inflow.h: frames as a whole and in parts, whatever pieces
 * the bytes come in; and what is refused. */
#include "test.h"

#include "daemon/inflow.h"
#include "daemon/outflow.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_MAX 16u

struct world {
    struct evbuffer *line; /* what the sender has put out */
    struct outflow out;
    struct inflow in;
    size_t sizes[FRAMES_MAX]; /* of the payloads that came, in order */
    uint8_t names[FRAMES_MAX];
    size_t count;
};

static struct world *world_new(void)
{
    struct world *world = calloc(1, sizeof *world);

    assert_non_null(world);
    world->line = evbuffer_new();
    assert_non_null(world->line);
    outflow_init(&world->out, world->line);
    world->in.settled = true;
    return world;
}

static void world_free(struct world *world)
{
    outflow_done(&world->out);
    inflow_done(&world->in);
    evbuffer_free(world->line);
    free(world);
}

static uint8_t byte_of(uint8_t name, size_t at)
{
    return (uint8_t)(name * 31u + at * 7u + at / 251u);
}

/* A frame with a header of one byte, its name. */
static void send_frame(struct world *world, enum link_lane lane, uint8_t name, size_t size)
{
    struct hf_buffer *payload = size > 0 ? hf_buffer_new(size) : NULL;

    assert_true(size == 0 || payload != NULL);
    for (size_t i = 0; i < size; i++)
        payload->b[i] = byte_of(name, i);
    outflow_send(&world->out, lane, &name, 1, payload);
    hf_buffer_unref(payload);
}

static void check_frame(struct world *world)
{
    struct arrival *frame = &world->in.now;

    assert_true(world->count < FRAMES_MAX);
    assert_int_equal(frame->header_size, 1);
    assert_int_equal(frame->have, frame->payload_size);
    world->names[world->count] = frame->header[0];
    world->sizes[world->count++] = frame->payload_size;
    for (size_t i = 0; i < frame->payload_size; i++)
        if (frame->payload->b[i] != byte_of(frame->header[0], i))
            fail_msg("frame %u byte %zu", frame->header[0], i);
    inflow_release(frame);
}

/* Takes all that is in `input`; how it ended. */
static enum inflow_progress take(struct world *world, struct evbuffer *input)
{
    enum inflow_progress progress;

    while ((progress = inflow_take(&world->in, input)) == INFLOW_PIECE ||
           progress == INFLOW_FRAME)
        if (progress == INFLOW_FRAME) check_frame(world);
    return progress;
}

/* Everything that is on the line, `most` bytes at a time. */
static void carry(struct world *world, size_t most)
{
    struct evbuffer *input = evbuffer_new();

    assert_non_null(input);
    while (evbuffer_get_length(world->line) > 0) {
        assert_true(evbuffer_remove_buffer(world->line, input, most) > 0);
        assert_int_equal(take(world, input), INFLOW_MORE);
    }
    assert_int_equal(evbuffer_get_length(input), 0);
    evbuffer_free(input);
}

static void prompt_frames_go_between_the_parts_of_bulk(void **state)
{
    static const size_t steps[] = {1, 7, 4096, SIZE_MAX / 4};

    (void)state;
    for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++) {
        struct world *world = world_new();

        send_frame(world, LINK_BULK, 1, 10000);
        send_frame(world, LINK_BULK, 2, 1);
        assert_int_equal(outflow_queued(&world->out), 10001);
        (void)outflow_part(&world->out, 4000);
        send_frame(world, LINK_PROMPT, 3, 0);
        (void)outflow_part(&world->out, 4000);
        send_frame(world, LINK_PROMPT, 4, 70000);
        while (world->out.first != NULL)
            (void)outflow_part(&world->out, 4000);
        send_frame(world, LINK_BULK, 5, 0); /* has nothing to divide: as if prompt */
        carry(world, steps[s]);
        assert_int_equal(world->count, 5);
        assert_memory_equal(world->names, ((uint8_t[]){3, 4, 1, 2, 5}), 5);
        assert_memory_equal(world->sizes, ((size_t[]){0, 70000, 10000, 1, 0}),
                            5 * sizeof(size_t));
        assert_int_equal(world->out.part_bytes, 10001);
        assert_int_equal(world->in.part_bytes, 10001);
        assert_int_equal(outflow_queued(&world->out), 0);
        world_free(world);
    }
}

static void parts_are_as_large_as_is_said(void **state)
{
    struct world *world = world_new();
    size_t cost;

    (void)state;
    send_frame(world, LINK_BULK, 1, 3 * LINK_PART_MAX + 5);
    cost = outflow_part(&world->out, 1000);
    assert_in_range(cost, evbuffer_get_length(world->line),
                    evbuffer_get_length(world->line) + 200);
    assert_int_equal(world->out.bulk_bytes, 3 * LINK_PART_MAX + 5 - 1000);
    (void)outflow_part(&world->out, 0);
    (void)outflow_part(&world->out, SIZE_MAX);
    assert_int_equal(world->out.bulk_bytes, LINK_PART_MAX + 5 - 1000);
    (void)outflow_part(&world->out, 0);
    assert_int_equal(world->out.bulk_bytes, 0);
    carry(world, 1000);
    assert_int_equal(world->count, 1);
    world_free(world);
}

/* What was not sent is forgotten, and what came of a frame, too. */
static void an_end_in_the_middle_leaks_nothing(void **state)
{
    (void)state;
    for (size_t n = 0; n < 260; n++) {
        struct world *world = world_new();
        struct evbuffer *input = evbuffer_new();

        assert_non_null(input);
        send_frame(world, LINK_BULK, 1, 300);
        send_frame(world, LINK_BULK, 2, 300);
        (void)outflow_part(&world->out, 100);
        send_frame(world, LINK_PROMPT, 3, 20);
        (void)outflow_part(&world->out, 100);
        assert_true(evbuffer_remove_buffer(world->line, input, n) >= 0);
        assert_int_equal(take(world, input), INFLOW_MORE);
        evbuffer_free(input);
        world_free(world);
    }
}

/* ---- what is refused ---- */

static void put_piece(struct evbuffer *input, enum link_piece piece, uint32_t header,
                      uint32_t payload)
{
    uint8_t sizes[LINK_SIZES_SIZE];

    link_piece_put(sizes, piece, header, payload);
    assert_int_equal(evbuffer_add(input, sizes, sizeof sizes), 0);
    for (uint32_t i = 0; piece != LINK_PART && i < header; i++)
        assert_int_equal(evbuffer_add(input, "h", 1), 0);
}

struct piece {
    enum link_piece piece;
    uint32_t header, payload;
};

static void expect(const struct piece *pieces, size_t count, bool settled,
                   enum inflow_progress want)
{
    struct world *world = world_new();
    struct evbuffer *input = evbuffer_new();
    enum inflow_progress got = INFLOW_MORE;

    assert_non_null(input);
    world->in.settled = settled;
    for (size_t i = 0; i < count; i++)
        put_piece(input, pieces[i].piece, pieces[i].header, pieces[i].payload);
    do
        got = inflow_take(&world->in, input);
    while (got == INFLOW_PIECE);
    assert_int_equal(got, want);
    evbuffer_free(input);
    world_free(world);
}

static void pieces_out_of_place_are_refused(void **state)
{
    const struct piece part_of_nothing[] = {{LINK_PART, 0, 5}};
    const struct piece two_at_once[] = {{LINK_FRAME_IN_PARTS, 3, 9},
                                        {LINK_FRAME_IN_PARTS, 3, 9}};
    const struct piece too_much[] = {{LINK_FRAME_IN_PARTS, 3, 9}, {LINK_PART, 0, 10}};
    const struct piece empty_part[] = {{LINK_FRAME_IN_PARTS, 3, 9}, {LINK_PART, 0, 0}};
    const struct piece long_part[] = {{LINK_FRAME_IN_PARTS, 3, LINK_PAYLOAD_MAX},
                                      {LINK_PART, 0, LINK_PART_MAX + 1}};
    const struct piece nothing_in_parts[] = {{LINK_FRAME_IN_PARTS, 3, 0}};
    const struct piece huge[] = {{LINK_FRAME_IN_PARTS, 3, LINK_PAYLOAD_MAX + 1}};
    const struct piece long_header[] = {{LINK_FRAME_IN_PARTS, LINK_HEADER_MAX + 1, 9}};
    const struct piece good[] = {{LINK_FRAME_IN_PARTS, 3, LINK_PAYLOAD_MAX},
                                 {LINK_PART, 0, LINK_PART_MAX}};
    const struct piece whole[] = {{LINK_FRAME, 3, 9}};

    (void)state;
    expect(part_of_nothing, 1, true, INFLOW_BAD);
    expect(two_at_once, 2, true, INFLOW_BAD);
    expect(too_much, 2, true, INFLOW_BAD);
    expect(empty_part, 2, true, INFLOW_BAD);
    expect(long_part, 2, true, INFLOW_BAD);
    expect(nothing_in_parts, 1, true, INFLOW_BAD);
    expect(huge, 1, true, INFLOW_BAD);
    expect(long_header, 1, true, INFLOW_BAD);
    expect(good, 2, true, INFLOW_MORE);
    expect(good, 1, false, INFLOW_BAD); /* a stranger's payload */
    expect(whole, 1, true, INFLOW_MORE);
    expect(whole, 1, false, INFLOW_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompt_frames_go_between_the_parts_of_bulk),
        cmocka_unit_test(parts_are_as_large_as_is_said),
        cmocka_unit_test(an_end_in_the_middle_leaks_nothing),
        cmocka_unit_test(pieces_out_of_place_are_refused),
    };
    return cmocka_run_group_tests_name("daemon/flow", tests, NULL, NULL);
}

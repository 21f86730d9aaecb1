#include "dht/get.h"

#include "base/alloc.h"
#include "dht/placement.h"

#include <stdlib.h>
#include <string.h>

enum try_state {
    TRY_NEW,
    TRY_PENDING,
    TRY_VALID,  /* its fragment verifies */
    TRY_ABSENT, /* it says that it has none */
    TRY_UNSURE, /* it does not know, or cannot say */
    TRY_BAD,    /* it sent what does not verify: distrusted from here on */
    TRY_SILENT
};

/* A candidate. */
struct
try {
    struct hf_id peer;
    enum try_state state;
    bool late; /* pending, but not to be waited for */
    uint32_t attempts;
    uint32_t coding; /* valid: which of codings[] it has */
};

/* What was gathered of one generation. */
struct coding {
    struct manifest manifest;
    struct hf_buffer *manifest_bytes;
    struct hf_buffer *fragments[CODE_FRAGMENTS_MAX];
    uint32_t have; /* how many of them */
};

struct get {
    struct dht_op op;
    struct hf_id vault, block;
    struct try tries[DHT_CANDIDATES_MAX];
    uint32_t try_count;
    struct coding codings[DHT_CODINGS_MAX];
    uint32_t coding_count;
    uint32_t guess;      /* of k, before a manifest is there */
    uint32_t likely;     /* the first so many clockwise are where the fragments were put */
    uint32_t generation; /* asked for; 0: the newest */
    uint32_t round;      /* codings whose generations were asked for by number */
};

static const struct dht_op_type get_type;

static struct get *get_of(struct dht_op *op)
{
    return (struct get *)op; /* its first member */
}

static void on_release(struct dht_core *core, struct dht_op *op)
{
    struct get *get = get_of(op);

    (void)core;
    for (uint32_t i = 0; i < get->coding_count; i++) {
        hf_buffer_unref(get->codings[i].manifest_bytes);
        for (uint32_t j = 0; j < CODE_FRAGMENTS_MAX; j++)
            hf_buffer_unref(get->codings[i].fragments[j]);
    }
    free(get);
}

/* The coding that lacks the fewest fragments; NULL: none is known. */
static struct coding *best_coding(struct get *get)
{
    struct coding *best = NULL;

    for (uint32_t i = 0; i < get->coding_count; i++) {
        struct coding *c = &get->codings[i];

        if (best == NULL ||
            c->manifest.shape.k - c->have < best->manifest.shape.k - best->have)
            best = c;
    }
    return best;
}

static void finish(struct dht_core *core, struct get *get, enum hf_code code)
{
    struct coding *best = best_coding(get);
    struct dht_action done = {.code = code};

    if (best != NULL)
        done.tally = (struct dht_tally){.wanted = best->manifest.shape.n,
                                        .accepted = best->manifest.shape.k,
                                        .answered = best->have};
    for (uint32_t i = 0; i < get->try_count; i++) {
        enum try_state state = get->tries[i].state;

        done.tally.absent += state == TRY_ABSENT;
        done.tally.unsure += state == TRY_UNSURE;
        done.tally.bad += state == TRY_BAD;
        done.tally.silent += state == TRY_SILENT;
    }
    dht_core_finish(core, &get->op, &done);
}

static void finish_with_block(struct dht_core *core, struct get *get, struct coding *coding)
{
    struct dht_block *block = hf_alloc_array(1, sizeof *block);
    struct dht_action done = {.code = HF_OK, .block = block};

    if (block == NULL) {
        finish(core, get, HF_NO_MEMORY);
        return;
    }
    block->manifest = coding->manifest;
    block->manifest_bytes = hf_buffer_ref(coding->manifest_bytes);
    for (uint32_t i = 0; i < coding->manifest.shape.n; i++) {
        if (coding->fragments[i] == NULL) continue;
        block->pieces[block->piece_count].index = i;
        block->pieces[block->piece_count++].payload = hf_buffer_ref(coding->fragments[i]);
    }
    done.tally = (struct dht_tally){.wanted = coding->manifest.shape.n,
                                    .accepted = coding->manifest.shape.k,
                                    .answered = block->piece_count};
    dht_core_finish(core, &get->op, &done);
}

/* When everybody was asked: why the block is not there. */
static enum hf_code verdict(const struct get *get)
{
    uint32_t absent = 0, bad = 0, unknown = 0;

    for (uint32_t i = 0; i < get->try_count; i++) {
        absent += get->tries[i].state == TRY_ABSENT;
        bad += get->tries[i].state == TRY_BAD;
        unknown += get->tries[i].state == TRY_SILENT || get->tries[i].state == TRY_UNSURE;
    }
    if (unknown > 0 || get->try_count == 0) return HF_UNAVAILABLE;
    if (bad > 0) return HF_CORRUPT;
    return absent * 2 > get->try_count ? HF_NOT_FOUND : HF_UNAVAILABLE;
}

/* Holders of several generations gave their newest.  When no generation is complete, each
 * is asked for by its number, once, from those who gave another. */
static bool ask_for_one_generation(struct get *get)
{
    bool some = false;

    while (!some && get->coding_count > 1 && get->round < get->coding_count) {
        uint32_t round = get->round++;

        get->generation = get->codings[round].manifest.generation;
        for (uint32_t i = 0; i < get->try_count; i++) {
            struct try *try = &get->tries[i];

            if (try->state != TRY_VALID || try->coding == round) continue;
            try->state = TRY_NEW;
            try->attempts = 0;
            some = true;
        }
    }
    return some;
}

/* Bytes of one fragment: of the largest block, before a manifest is there. */
static size_t fragment_bytes(struct get *get)
{
    const struct coding *best = best_coding(get);

    if (best != NULL) return best->manifest.shape.fragment_size;
    return CODE_BLOCK_SIZE_MAX / (get->guess > 0 ? get->guess : 1);
}

/* How soon to ask a candidate: class first, then expected time. */
static uint64_t rank(const struct dht_core *core, const struct get *get, uint32_t i,
                     size_t bytes)
{
    const struct dht_peer *peer = dht_members_find(&core->members, &get->tries[i].peer);

    if (hf_id_equal(&get->tries[i].peer, &core->self)) return 0;
    if (peer == NULL || peer->link == DHT_LINK_DOWN) return UINT64_C(4) << 32;
    if (peer->doubted) return (UINT64_C(3) << 32) + i;
    if (i >= get->likely) return (UINT64_C(2) << 32) + i; /* in ring order */
    return (UINT64_C(1) << 32) + dht_core_expected_ms(core, peer, bytes);
}

/* The next candidate: the best that was not asked, or else a silent one for another
 * attempt.  NULL: nobody is left. */
static struct try *next_try(const struct dht_core *core, struct get *get)
{
    const size_t bytes = fragment_bytes(get);
    uint64_t best_rank = UINT64_MAX;
    struct try *best = NULL;

    for (uint32_t i = 0; i < get->try_count; i++) {
        struct try *try = &get->tries[i];
        const bool again = try->state == TRY_SILENT && try->attempts < DHT_ATTEMPTS_MAX;
        uint64_t r;

        if (try->state != TRY_NEW && !again) continue;
        r = rank(core, get, i, bytes) + (again ? UINT64_C(8) << 32 : 0);
        if (r >= best_rank) continue;
        best = try;
        best_rank = r;
    }
    return best;
}

static bool ask(struct dht_core *core, struct get *get, struct try *try)
{
    struct dht_message fetch = {.kind = DHT_FETCH,
                                .vault = get->vault,
                                .block = get->block,
                                .generation = get->generation};
    bool sent = dht_core_transfer(core, &get->op, (uint32_t)(try - get->tries), &try->peer,
                                  &fetch, fragment_bytes(get));

    try->attempts++;
    try->late = false;
    try->state = sent ? TRY_PENDING : TRY_SILENT;
    return sent;
}

/* Asks as many more as fragments are wanted and not under way, and concludes when nobody
 * is left to ask or to wait for. */
static void pump(struct dht_core *core, struct get *get)
{
    struct coding *best = best_coding(get);
    uint32_t wanted = best != NULL ? best->manifest.shape.k - best->have : get->guess;
    uint32_t pending = 0, prompt = 0;
    struct try *try;

    if (get->op.finished) return;
    for (uint32_t i = 0; i < get->try_count; i++) {
        pending += get->tries[i].state == TRY_PENDING;
        prompt += get->tries[i].state == TRY_PENDING && !get->tries[i].late;
    }
    while (prompt < wanted) {
        try = next_try(core, get);
        if (try == NULL && pending == 0 && ask_for_one_generation(get))
            try = next_try(core, get);
        if (try == NULL) break;
        if (ask(core, get, try)) {
            prompt++;
            pending++;
        }
    }
    if (pending == 0) finish(core, get, verdict(get));
}

static void on_found(struct dht_core *core, struct dht_op *op, const struct hf_id *ids,
                     size_t id_count)
{
    struct get *get = get_of(op);
    struct hf_id candidates[DHT_CANDIDATES_MAX];
    struct dht_redundancy guess =
        dht_redundancy(&core->members, &core->self, (struct dht_redundancy){0, 0});
    size_t count = dht_candidates(&core->members, &get->block, ids, id_count, candidates,
                                  DHT_CANDIDATES_MAX);

    get->guess = guess.k;
    get->likely = guess.n;
    get->try_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        get->tries[i].peer = candidates[i];
        /* Its own blocks lie beyond it.  Another source is rarely among so few, and to ask
         * one more would more often be a question in vain. */
        if (i < guess.n && hf_id_equal(&candidates[i], &core->self)) get->likely++;
    }
    pump(core, get);
}

static void on_late(struct dht_core *core, struct dht_op *op, uint32_t slot)
{
    get_of(op)->tries[slot].late = true;
    pump(core, get_of(op));
}

static void on_silent(struct dht_core *core, struct dht_op *op, uint32_t slot)
{
    get_of(op)->tries[slot].state = TRY_SILENT;
    pump(core, get_of(op));
}

/* The coding of the answer's manifest, verified and of the block wanted; NULL: it is not,
 * or there are too many. */
static struct coding *coding_of(struct get *get, const struct dht_message *answer)
{
    struct coding *made = &get->codings[get->coding_count];
    const struct hf_buffer *bytes = answer->manifest;
    struct manifest manifest;
    struct hf_err ignored;

    for (uint32_t i = 0; i < get->coding_count; i++) {
        const struct hf_buffer *known = get->codings[i].manifest_bytes;

        if (known->size == bytes->size && memcmp(known->b, bytes->b, known->size) == 0)
            return &get->codings[i];
    }
    if (manifest_parse(bytes->b, bytes->size, &manifest, &ignored) != HF_OK ||
        !hf_id_equal(&manifest.vault, &get->vault) ||
        !hf_id_equal(&manifest.block, &get->block))
        return NULL;
    for (uint32_t i = 0; i < get->coding_count; i++)
        if (manifest_same_coding(&get->codings[i].manifest, &manifest))
            return &get->codings[i];
    if (get->coding_count == DHT_CODINGS_MAX) return NULL;
    get->coding_count++;
    made->manifest = manifest;
    made->manifest_bytes = hf_buffer_ref(answer->manifest);
    return made;
}

/* Takes a fragment; the state that its sender is in now. */
static enum try_state take(struct dht_core *core, struct get *get, struct try *try,
                           const struct dht_message *answer)
{
    struct coding *coding = coding_of(get, answer);

    if (coding == NULL) {
        dht_core_warn(core, DHT_WARN_BAD_MANIFEST, &try->peer, &get->block);
        return TRY_BAD;
    }
    if (!fragment_verify(&coding->manifest, answer->index, answer->payload->b,
                         answer->payload->size)) {
        dht_core_warn(core, DHT_WARN_BAD_FRAGMENT, &try->peer, &get->block);
        return TRY_BAD;
    }
    try->coding = (uint32_t)(coding - get->codings);
    if (coding->fragments[answer->index] == NULL) {
        coding->fragments[answer->index] = hf_buffer_ref(answer->payload);
        coding->have++;
        dht_budget_useful(&core->budget);
    }
    return TRY_VALID;
}

static enum try_state refused(enum hf_code code, bool of_one_generation)
{
    switch ((int)code) { /* from the wire: perhaps none of ours */
    case HF_NOT_FOUND:
        /* It has the block, though not in the generation that was asked for. */
        return of_one_generation ? TRY_VALID : TRY_ABSENT;
    case HF_CORRUPT: return TRY_BAD; /* its own store says so: no lie */
    case HF_UNAVAILABLE: return TRY_SILENT;
    default: return TRY_UNSURE;
    }
}

static void on_answer(struct dht_core *core, struct dht_op *op, uint32_t slot,
                      const struct dht_message *answer)
{
    struct get *get = get_of(op);
    struct try *try = &get->tries[slot];

    if (answer->code == HF_OK)
        try->state = take(core, get, try, answer);
    else
        try->state = refused(answer->code, get->generation != 0);
    if (answer->code == HF_CORRUPT)
        dht_core_warn(core, DHT_WARN_DAMAGED_FRAGMENT, &try->peer, &get->block);
    if (try->state == TRY_VALID && answer->code == HF_OK) {
        struct coding *coding = &get->codings[try->coding];

        if (coding->have == coding->manifest.shape.k) {
            finish_with_block(core, get, coding);
            return;
        }
    }
    pump(core, get);
}

/* A silent holder that is back is asked once more. */
static void on_peer_up(struct dht_core *core, struct dht_op *op, const struct hf_id *peer)
{
    struct get *get = get_of(op);

    for (uint32_t i = 0; i < get->try_count; i++) {
        struct try *try = &get->tries[i];

        if (try->state != TRY_SILENT || !hf_id_equal(&try->peer, peer)) continue;
        try->state = TRY_NEW;
        pump(core, get);
        return;
    }
}

static const struct dht_op_type get_type = {.answer = on_answer,
                                            .late = on_late,
                                            .silent = on_silent,
                                            .found = on_found,
                                            .peer_up = on_peer_up,
                                            .release = on_release};

void dht_get_start(struct dht_core *core, uint64_t tag, const struct hf_id *vault,
                   const struct hf_id *block)
{
    struct get *get = hf_alloc_array(1, sizeof *get);
    struct dht_action done = {.kind = DHT_ACTION_DONE, .tag = tag, .code = HF_NO_MEMORY};

    if (get == NULL || !dht_core_add(core, &get->op)) {
        free(get);
        dht_actions_push(&core->actions, &done);
        return;
    }
    get->op = (struct dht_op){.type = &get_type, .tag = tag};
    get->vault = *vault;
    get->block = *block;
    dht_core_lookup(core, &get->op, block, DHT_N_MAX + 1);
}

/* ring.pml - the upkeep of the ring as chord/ does it, for spin to look at every state of.
 *
 * N places, lists of R, LOW + 1 founders with ideal lists (Zave 2017, as her proof begins;
 * LOW is R unless the length of the lists changes).  Nodes join, stabilise, rectify and
 * fail in every order; after each transition her invariant is judged:
 *
 *   1. every member has a live entry in its list;
 *   2. there are at least LOW + 1 principals (members that no member's list skips);
 *
 * so that (a theorem of hers, judged as well) the best successors form one ordered ring;
 * and a ring in which no operation would change anything is ideal.
 *
 * What is one transition here, and why that is right (the names are chord's):
 *
 *   question and answer  A node with a question out answers GET_STATE with BUSY and keeps
 *       its neighbours (node.c answer_state; state.h, invariant 3).  So nobody sees it
 *       between the moment when the asked answers and the one when the answer arrives,
 *       and the two are one.  STABILISE and PREDECESSOR are two questions, hence two
 *       transitions, the node busy from the first to the second (ring.c stabilised).
 *   silence              Whether the asked is dead and what follows of that are two
 *       transitions (SILENT, REPLACE): meanwhile it may have joined again, and be found
 *       alive when it is asked once more, or not (ring.c silent, drop_head).  The judge
 *       counts what will follow as done, as that of tests/chord_ring.c does.
 *   BUSY                 ends the operation (ring.c busy); possible whenever the asked is
 *       busy.  A first question that gets it leaves no trace, so it is not here.
 *   joining              The lookup is any member; the answer is what is checked (join.c
 *       join_state_arrived).  Between the list and the ping of its head others go on: two
 *       transitions.  A list that is about to be used counts as used (LATE_JOINS: not).
 *   notification         One is queued, a closer one replaces it (ring.c ring_notified);
 *       it may be lost, and waits as long as the network likes.  PROMPT: only for as long
 *       as the node is busy.
 *   failure              Silent for good until it joins anew.  A member fails only when
 *       each other member keeps a live entry, a principal only while there are more than
 *       R + 1 of them.  NO_RETURN: the failed stay away.
 *
 *   CHANGED              makes a member stabilise earlier (ring.c ring_changed).  Here it does
 *       so at any moment, so nothing is added.
 *   length of the lists  LOW < R: the ring begins with lists of LOW, which grow to R; each
 *       node, member or not, hears of it at any moment of its own (node.c on_length), and
 *       its list grows when it is next copied.  The base stays LOW + 1 principals.
 *
 * SYMMETRY: of the states that differ by a rotation one is looked at.  CALM: at any moment
 * joins and failures may end for good; no order of operations may then go on for ever, and
 * the ring must become ideal (non-progress cycles; an assertion at the end).
 *
 * Each other macro takes one of the corrections back, see tests/model/check. */
#ifndef N
#define N 4
#endif
#ifndef R
#define R 2
#endif
#ifndef LOW
#define LOW R
#endif

/* .mode */
#define OUT     0
#define JOINING 1
#define MEMBER  2
#define ASLEEP  3 /* RESUME */
#define DEAD    4 /* NO_RETURN */
#ifdef NO_RETURN
#define FAILED DEAD
#else
#define FAILED OUT
#endif

#define NONE N
/* .ask: NONE; the successor's predecessor, when that is asked; or what is found silent */
#define SILENT   (N + 1) /* the head of the list */
#define ANSWERED (N + 2) /* NO_BUSY: the answer is under way */
#define REPLACE  (N + 3) /* and + q: the predecessor, whose place q wants */

#ifdef CHORD_2001 /* Stoica 2001, with the successor list and check_predecessor of 2003 */
#define SHORT_LIST
#define ADOPT_UNHEARD
#define NO_PING
#define ANY_PRINCIPAL
#endif

typedef Node {
    byte mode;
    byte pred;
    byte succ[R];
    byte ask;
#if LOW < R
    byte longer; /* it knows that lists are R long now, no longer LOW */
#endif
    byte note /* queued notification */
}

#ifdef NO_BUSY
Node node[2 * N]; /* N + n: the answer that is on its way to n */
#else
Node node[N];
#endif
#ifdef CALM
byte still; /* bit n: since the last change, stabilising has changed nothing at n */
#endif

/* Scratch, of no meaning between transitions. */
hidden byte i, a, b, at, from, verdict;

/* ---- judging ---- */

c_code {
    static int is_member(int n)
    {
        return now.node[n].mode == MEMBER;
    }

    /* n's own r. */
    static int length_of(int n)
    {
#if LOW < R
        return now.node[n].longer ? R : LOW;
#else
        return R;
#endif
    }

    /* Those strictly between a and b, as bits. */
    static unsigned between_bits(int a, int b)
    {
        const unsigned below_b = (1u << b) - 1;
        const unsigned above_a = ((1u << N) - 1) & ~((2u << a) - 1);

        return a < b ? above_a & below_b : above_a | below_b;
    }

    /* Those that n's list skips, from its entry `first` on. */
    static unsigned skipped_by(int n, int first)
    {
        unsigned set = 0;
        int previous = n;
        int k;

        for (k = first; k < R && now.node[n].succ[k] != NONE; k++) {
            set |= between_bits(previous, now.node[n].succ[k]);
            previous = now.node[n].succ[k];
        }
        return set;
    }

    static unsigned principals(void)
    {
        unsigned set = 0;
        int n;

        for (n = 0; n < N; n++)
            set |= (unsigned)is_member(n) << n;
        for (n = 0; n < N; n++) {
            if (is_member(n)) set &= ~skipped_by(n, 0);
            if (is_member(n) && now.node[n].ask == SILENT) set &= ~skipped_by(n, 1);
#ifndef LATE_JOINS
            if (now.node[n].mode == JOINING) set &= ~skipped_by(n, 0);
#endif
        }
        return set;
    }

    static int has_live(int n, int failing)
    {
        int k;

        for (k = now.node[n].ask == SILENT; k < R; k++) {
            const int s = now.node[n].succ[k];

            if (s != NONE && s != failing && is_member(s)) return 1;
        }
        return 0;
    }

    /* What the proof asks of the environment. */
    static int may_fail(int f)
    {
        const unsigned set = principals();
        int n;

#ifndef ANY_PRINCIPAL
        if ((set >> f & 1) && __builtin_popcount(set) <= LOW + 1) return 0;
#endif
        for (n = 0; n < N; n++)
            if (n != f && is_member(n) && !has_live(n, f)) return 0;
        return 1;
    }

    /* The first live entry; there is one. */
    static int best(int n)
    {
        int k = now.node[n].ask == SILENT;

        while (!is_member(now.node[n].succ[k]))
            k++;
        return now.node[n].succ[k];
    }

    /* From every member the best successors lead to the same cycle, which goes round once. */
    static int one_ordered_ring(void)
    {
        unsigned ring = 0;
        int way = 0;
        int n, at, steps;

        for (n = 0; n < N; n++) {
            if (!is_member(n)) continue;
            for (at = n, steps = 0; steps < N; steps++)
                at = best(at);
            if (ring == 0) {
                do {
                    ring |= 1u << at;
                    way += (best(at) - at + N) % N;
                    at = best(at);
                } while (!(ring >> at & 1));
            }
            if (!(ring >> at & 1)) return 0;
        }
        return way == N;
    }

    static int invariant(void)
    {
        int n;

        for (n = 0; n < N; n++)
            if (is_member(n) && !has_live(n, NONE)) return 0;
#ifndef ANY_PRINCIPAL
        if (__builtin_popcount(principals()) <= LOW) return 0;
#endif
        return one_ordered_ring();
    }

    static int next_member(int n)
    {
        do n = (n + 1) % N;
        while (!is_member(n));
        return n;
    }

    static int is_ideal(void)
    {
        int n, k, s;

        for (n = 0; n < N; n++) {
            if (!is_member(n)) continue;
            for (k = 0, s = next_member(n); k < R; k++) {
                if (now.node[n].succ[k] != (s == n || k >= length_of(n) ? NONE : s)) return 0;
                if (s != n) s = next_member(s);
            }
            if (now.node[next_member(n)].pred != n) return 0;
        }
        return 1;
    }

    /* No operation of n would change anything. */
    static int is_settled(int n)
    {
        const struct Node *p = &now.node[n];
        const struct Node *s = &now.node[p->succ[0]];
        int k;

        if (p->ask != NONE || p->note != NONE || p->succ[0] == NONE) return 0;
        if (s->mode != MEMBER || s->pred != n) return 0;
        for (k = 1; k < R; k++)
            if (p->succ[k] != (s->succ[k - 1] == n || k >= length_of(n) ? NONE : s->succ[k - 1]))
                return 0;
        return 1;
    }

    static int is_quiet(void)
    {
        int n;

        for (n = 0; n < N; n++) {
            if (now.node[n].mode == JOINING) return 0;
            if (is_member(n) && !is_settled(n)) return 0;
        }
        return 1;
    }
}

/* ---- one of all rotations ---- */

#ifdef SYMMETRY
c_code {
    static int turn(int x, int by)
    {
        if (x < N) return (x + by) % N;
        return x < REPLACE ? x : REPLACE + (x - REPLACE + by) % N;
    }

    /* *out = what would stand at `place` if all moved on by `by` places. */
    static void turned(int place, int by, struct Node *out)
    {
        int k;

        *out = now.node[(place + N - by) % N];
        out->pred = turn(out->pred, by);
        for (k = 0; k < R; k++)
            out->succ[k] = turn(out->succ[k], by);
        out->ask = turn(out->ask, by);
        out->note = turn(out->note, by);
    }

    static void canonical(void)
    {
        struct Node best[N], other[N];
        int by, n, order;

        memcpy(best, now.node, sizeof best);
        for (by = 1; by < N; by++) {
            for (n = 0, order = 0; n < N && order <= 0; n++) {
                turned(n, by, &other[n]);
                if (order == 0) order = memcmp(&other[n], &best[n], sizeof best[n]);
            }
            if (order < 0) memcpy(best, other, sizeof best);
        }
        memcpy(now.node, best, sizeof best);
    }
}
#define CANONICAL c_code { canonical(); };
#else
#define CANONICAL
#endif

#define judge() \
    c_code [invariant()] { ; }; \
    c_code [!is_quiet() || is_ideal()] { ; }; \
    CANONICAL \
    i = 0; a = 0; b = 0; at = 0; from = 0; verdict = 0

/* ---- what a node does ---- */

#define member(n) (node[n].mode == MEMBER)
#if LOW < R
#define length(n) (node[n].longer -> R : LOW)
#else
#define length(n) R
#endif
#define idle(n)   (node[n].ask == NONE)
#ifdef NO_BUSY
#define answers(n) member(n)
#else
#define answers(n) (member(n) && idle(n))
#endif
/* chord_between */
#define between(x, y, z) ((x) < (z) -> ((x) < (y) && (y) < (z)) : ((x) < (y) || (y) < (z)))

/* ring_copy_list: head, then what continues it of owner's list from `first` on. */
inline copy_list(n, head, owner, first)
{
    node[n].succ[0] = head;
    i = 1;
    do
    :: i < R ->
        a = (first + i - 1 < R -> node[owner].succ[first + i - 1] : NONE);
        b = node[n].succ[i - 1];
        node[n].succ[i] = (i < length(n) && a != NONE && b != NONE && between(b, a, n) -> a : NONE);
        i++
    :: else -> break
    od
}

#ifdef NO_BUSY
inline copy_all(to, of_whom)
{
    i = 0;
    do
    :: i < R -> node[to].succ[i] = node[of_whom].succ[i]; i++
    :: else -> break
    od
}
#endif

#ifdef MERGE_LISTS
/* What was known of the place between two entries is kept. */
inline adopt(n, head, owner)
{
    i = R - 1;
    do
    :: i > 0 ->
        a = node[n].succ[i];
        b = node[owner].succ[i - 1];
        node[n].succ[i] = (a != NONE && between(head, a, n) && (b == NONE || !between(head, b, n) || between(head, a, b)) -> a :
            (b != NONE && between(head, b, n) -> b : NONE));
        i--
    :: else -> break
    od;
    node[n].succ[0] = head;
    i = 1;
    do
    :: i < R ->
        a = node[n].succ[i];
        b = node[n].succ[i - 1];
        node[n].succ[i] = (a != NONE && b != NONE && between(b, a, n) -> a : NONE);
        i++
    :: else -> break
    od
}
#else
inline adopt(n, head, owner)
{
    copy_list(n, head, owner, 0)
}
#endif

/* join_start; and what is left of a node that fails */
inline forget(n)
{
    node[n].mode = OUT;
    node[n].pred = NONE;
    i = 0;
    do
    :: i < R -> node[n].succ[i] = NONE; i++
    :: else -> break
    od;
    node[n].ask = NONE;
    node[n].note = NONE
}

inline rectify(n)
{
    b = node[n].note;
    node[n].note = NONE;
    if
    :: node[n].pred == NONE || between(node[n].pred, b, n) -> node[n].pred = b
    :: else ->
#ifndef NO_PING
        if
        :: node[n].pred != b && !member(node[n].pred) -> node[n].ask = REPLACE + b
        :: else
        fi
#endif
    fi
}

inline notify(to, who)
{
    if
    :: member(to) && (node[to].note == NONE || between(node[to].note, who, to)) ->
        node[to].note = who;
#ifdef PROMPT
        if
        :: idle(to) -> rectify(to)
        :: else
        fi
#endif
    :: else
    fi
}

/* The state of node s, as `owner` has it, arrives. */
inline stabilised(n, s, owner)
{
    adopt(n, s, owner);
    a = node[owner].pred;
    if
    :: a != NONE && between(n, a, s) ->
#ifdef ADOPT_UNHEARD
        at = a;
        i = R - 1;
        do
        :: i > 0 -> node[n].succ[i] = node[n].succ[i - 1]; i--
        :: else -> break
        od;
        node[n].succ[0] = at;
        notify(at, n)
#else
        node[n].ask = a
#endif
    :: else ->
        if
        :: a != n -> notify(s, n)
        :: else
        fi
    fi
}

inline stabilised_from_predecessor(n)
{
    from = node[n].ask;
    node[n].ask = NONE;
    adopt(n, from, from);
    notify(from, n)
}

inline predecessor_silent(n)
{
    node[n].ask = NONE;
    notify(node[n].succ[0], n)
}

inline drop_head(n)
{
    i = 0;
    do
    :: i < R -> node[n].succ[i] = (i + 1 < R -> node[n].succ[i + 1] : NONE); i++
    :: else -> break
    od;
    node[n].ask = NONE;
    assert(node[n].succ[0] != NONE);
    notify(node[n].succ[0], n)
}

inline replace_predecessor(n)
{
    node[n].pred = node[n].ask - REPLACE;
    node[n].ask = NONE
}

/* join_state_arrived: m's state. */
inline join(n, m)
{
    at = (node[m].succ[0] == n -> 1 : 0);
    from = (at < R -> node[m].succ[at] : NONE);
    if
    :: from != NONE && between(m, n, from) ->
#ifdef SHORT_LIST
        node[n].succ[0] = from;
#else
        copy_list(n, from, m, at + 1);
#endif
#ifndef CHORD_2001
        node[n].pred = m;
#endif
        node[n].mode = JOINING
    :: else
    fi
}

#if LOW < R
/* on_length */
inline lengthen(n)
{
    node[n].longer = 1
}

#ifdef SHORTEN
inline shorten(n)
{
    node[n].longer = 0;
    i = LOW;
    do
    :: i < R -> node[n].succ[i] = NONE; i++
    :: else -> break
    od
}
#endif
#endif

inline fail(n)
{
    at = n;
    c_code { verdict = may_fail(at); };
    if
#ifdef RESUME
    :: verdict -> node[n].mode = ASLEEP
#else
    :: verdict -> forget(n); node[n].mode = FAILED
#endif
    :: else
    fi
}

/* ---- all that may happen next ---- */

#define may_join(n, m) (node[n].mode == OUT && answers(m))
/* Who was silent is there again, and answers when it is asked once more. */
#define found_alive(n) \
    ((node[n].ask == SILENT && member(node[n].succ[0])) || \
     (node[n].ask >= REPLACE && member(node[n].pred)))
/* The predecessor that is asked. */
#define asked(n) node[n].ask

#if N > 4
#define JOIN_BY_4(n) :: d_step { may_join(n, 4) -> join(n, 4); judge() }
#else
#define JOIN_BY_4(n)
#endif
#if N > 5
#define JOIN_BY_5(n) :: d_step { may_join(n, 5) -> join(n, 5); judge() }
#else
#define JOIN_BY_5(n)
#endif

#ifdef NO_BUSY
/* Question and answer take their time, and whoever asks is answered meanwhile. */
#define STABILISE(n) \
    :: d_step { member(n) && idle(n) && member(node[n].succ[0]) -> \
        from = node[n].succ[0]; node[N + n].pred = node[from].pred; \
        copy_all(N + n, from); node[n].ask = ANSWERED; judge() } \
    :: d_step { member(n) && node[n].ask == ANSWERED -> \
        node[n].ask = NONE; from = node[n].succ[0]; stabilised(n, from, N + n); \
        forget(N + n); judge() }
#else
#define STABILISE(n) \
    :: d_step { member(n) && idle(n) && answers(node[n].succ[0]) -> \
        from = node[n].succ[0]; stabilised(n, from, from); judge() }
#endif

#ifdef RESUME
#define MORE(n) :: d_step { node[n].mode == ASLEEP -> node[n].mode = MEMBER; judge() }
#else
#ifdef CHORD_2001
#define MORE(n) \
    :: d_step { member(n) && node[n].pred != NONE && !member(node[n].pred) -> \
        node[n].pred = NONE; judge() }
#else
#define MORE(n)
#endif
#endif

#if LOW < R
#ifdef SHORTEN
#define LENGTH(n) \
    :: d_step { !node[n].longer -> lengthen(n); judge() } \
    :: d_step { node[n].longer -> shorten(n); judge() }
#else
#define LENGTH(n) :: d_step { !node[n].longer -> lengthen(n); judge() }
#endif
#else
#define LENGTH(n)
#endif

#define STEPS(n) \
    LENGTH(n) \
    :: d_step { may_join(n, 0) -> join(n, 0); judge() } \
    :: d_step { may_join(n, 1) -> join(n, 1); judge() } \
    :: d_step { may_join(n, 2) -> join(n, 2); judge() } \
    :: d_step { may_join(n, 3) -> join(n, 3); judge() } \
    JOIN_BY_4(n) JOIN_BY_5(n) \
    :: d_step { node[n].mode == JOINING && member(node[n].succ[0]) -> \
        node[n].mode = MEMBER; judge() } \
    :: d_step { node[n].mode == JOINING -> forget(n); judge() } \
    STABILISE(n) \
    :: d_step { member(n) && idle(n) && !member(node[n].succ[0]) -> \
        node[n].ask = SILENT; judge() } \
    :: d_step { member(n) && node[n].ask == SILENT -> drop_head(n); judge() } \
    :: d_step { member(n) && found_alive(n) -> node[n].ask = NONE; judge() } \
    :: d_step { member(n) && asked(n) < N && answers(asked(n)) -> \
        stabilised_from_predecessor(n); judge() } \
    :: d_step { member(n) && asked(n) < N && !member(asked(n)) -> \
        predecessor_silent(n); judge() } \
    :: d_step { member(n) && asked(n) < N && member(asked(n)) && !idle(asked(n)) -> \
        node[n].ask = NONE; judge() } \
    :: d_step { member(n) && idle(n) && node[n].note != NONE -> rectify(n); judge() } \
    :: d_step { member(n) && node[n].ask >= REPLACE -> replace_predecessor(n); judge() } \
    :: d_step { member(n) && node[n].note != NONE -> node[n].note = NONE; judge() } \
    :: d_step { member(n) -> fail(n); judge() } \
    MORE(n)

#ifdef CALM
/* No joins and failures any more.  What is under way ends; then each operation is whole,
 * since an asker that gets BUSY tries again until it is: the busy ones end. */
c_code {
    static struct Node before[N];

    static void note_change(int n)
    {
        if (memcmp(before, now.node, sizeof before) != 0)
            now.still = 0;
        else
            now.still |= 1 << n;
    }
}

inline stabilise_wholly(n)
{
    from = node[n].succ[0];
    if
    :: !member(from) -> drop_head(n)
    :: else ->
        stabilised(n, from, from);
        if
        :: asked(n) < N && !member(asked(n)) -> predecessor_silent(n)
        :: asked(n) < N && answers(asked(n)) -> stabilised_from_predecessor(n)
        :: else -> node[n].ask = NONE
        fi
    fi
}

#define settled(n) \
    (node[n].mode != JOINING && \
     (!member(n) || (((still >> n) & 1) && idle(n) && node[n].note == NONE)))
#if N > 4
#define SETTLED_4 settled(4)
#else
#define SETTLED_4 true
#endif
#if N > 5
#define SETTLED_5 settled(5)
#else
#define SETTLED_5 true
#endif
#define all_settled \
    (settled(0) && settled(1) && settled(2) && settled(3) && SETTLED_4 && SETTLED_5)
#define CHANGED(n) c_code { note_change(n); }; judge()
#define CALM_STEPS(n) \
    :: d_step { node[n].mode == JOINING && member(node[n].succ[0]) -> \
        node[n].mode = MEMBER; still = 0; judge() } \
    :: d_step { node[n].mode == JOINING -> forget(n); still = 0; judge() } \
    :: d_step { member(n) && node[n].ask == SILENT -> drop_head(n); still = 0; judge() } \
    :: d_step { member(n) && asked(n) < N && answers(asked(n)) -> \
        stabilised_from_predecessor(n); still = 0; judge() } \
    :: d_step { member(n) && asked(n) < N && !member(asked(n)) -> \
        predecessor_silent(n); still = 0; judge() } \
    :: d_step { member(n) && asked(n) < N && member(asked(n)) && !idle(asked(n)) -> \
        node[n].ask = NONE; still = 0; judge() } \
    :: d_step { member(n) && idle(n) && node[n].note != NONE -> \
        rectify(n); still = 0; judge() } \
    :: d_step { member(n) && node[n].ask >= REPLACE -> \
        replace_predecessor(n); still = 0; judge() } \
    :: d_step { member(n) && idle(n) && !(still >> n & 1) && \
                (!member(node[n].succ[0]) || idle(node[n].succ[0])) -> \
        c_code { memcpy(before, now.node, sizeof before); }; \
        stabilise_wholly(n); CHANGED(n) }
#endif

inline found()
{
    a = 0;
    do
    :: a < N -> forget(a); a++
    :: else -> break
    od;
    a = 0;
    do
    :: a <= LOW ->
        node[a].mode = MEMBER;
        node[a].pred = (a + LOW) % (LOW + 1);
        i = 0;
        do
        :: i < LOW -> node[a].succ[i] = (a + i + 1) % (LOW + 1); i++
        :: else -> break
        od;
        a++
    :: else -> break
    od
}

#if N > 4
#define STEPS_4 STEPS(4)
#define CALM_STEPS_4 CALM_STEPS(4)
#else
#define STEPS_4
#define CALM_STEPS_4
#endif
#if N > 5
#define STEPS_5 STEPS(5)
#define CALM_STEPS_5 CALM_STEPS(5)
#else
#define STEPS_5
#define CALM_STEPS_5
#endif

init
{
    d_step { found(); judge() };
progress_of_the_world:
    do
    STEPS(0) STEPS(1) STEPS(2) STEPS(3) STEPS_4 STEPS_5
#ifdef CALM
    :: break
#endif
    od;
#ifdef CALM
    do
    CALM_STEPS(0) CALM_STEPS(1) CALM_STEPS(2) CALM_STEPS(3) CALM_STEPS_4 CALM_STEPS_5
    :: d_step { all_settled -> c_code [is_ideal()] { ; } } -> break
    od
#endif
}

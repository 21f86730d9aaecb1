#!/usr/bin/env bash
# holdfast-sim: every scenario in small, the same seed twice, exit codes, wrong arguments, and as
# many seeds of heal and chaos as the build is fast enough for.
# Usage: tests/sim_test.sh BUILD_DIR
. "$(dirname "$0")/lib.sh"
sim=$build/holdfast-sim

# Under the sanitizers a seed takes ten times as long: there only some, and then all without them.
settled=yes
sanitized && settled=

# small NAME ARGUMENT...: it keeps its promise, and does the same again.
small() {
    name=$1
    shift
    if ! timeout 120 "$sim" "$name" "$@" >"$scratch/once" 2>"$scratch/stderr"; then
        bad "$name $*: $(cat "$scratch/stderr")"
        return
    fi
    timeout 120 "$sim" "$name" "$@" >"$scratch/again" 2>&1
    if cmp -s "$scratch/once" "$scratch/again"; then
        ok "$name: the same again"
    else
        bad "$name $*: another trace under the same seed"
    fi
    columns=$(head -n 1 "$scratch/once" | awk -F '\t' '{ print NF }')
    [ "$columns" -gt 5 ] || bad "$name: a header of $columns columns"
    awk -F '\t' -v n="$columns" 'NF != n { exit 1 }' "$scratch/once" || bad "$name: a ragged table"
}

small lookup --nodes 300 --seeds 1..2 --set lookups=1000
small lookup --nodes 300 --set lookups=500 --set table=1 --set encode=1
small lookup --nodes 300 --set lookups=500 --set successors=2 --set near=0
small load --nodes 500 --set keys=20000
small massacre --nodes 300 --set lookups=50 --set blocks=20 --set runs=2 --set kill=0.4
small churn --nodes 100 --set minutes=3 --set lookups=200 --set rate=0.05
small churn --nodes 100 --set minutes=3 --set lookups=200 --set rate=0.05 --set positions=8
small heal --seeds 1..2
small chaos --seeds 1..4
small liars --nodes 150 --set lookups=300 --set fraction=0.2 --set minutes=3
small liars --nodes 150 --set lookups=300 --set fraction=0.2 --set minutes=3 --set wanted=4 --set kind=2
small gossip --nodes 64 --seeds 1..2
small gossip --nodes 100 --seeds 1..2 --set loss=0.2 --set dead=0.2

# Coordinates settle in rings of some hundred only.
[ -z "$settled" ] || small vivaldi --nodes 400 --set minutes=20

"$sim" lookup --nodes 300 --seed 1 --set lookups=500 >"$scratch/once"
"$sim" lookup --nodes 300 --seed 2 --set lookups=500 >"$scratch/again"
cmp -s <(awk 'NR > 1 { print $NF }' "$scratch/once") <(awk 'NR > 1 { print $NF }' "$scratch/again") &&
    bad "two seeds, one trace"

# Encoding on the way changes nothing that happens but the trace's spelling.
"$sim" massacre --nodes 200 --set lookups=50 --set blocks=20 --set runs=1 --set kill=0.3 | cut -f 1-14 >"$scratch/once"
"$sim" massacre --nodes 200 --set lookups=50 --set blocks=20 --set runs=1 --set kill=0.3 --set encode=1 | cut -f 1-14 >"$scratch/again"
if cmp -s "$scratch/once" "$scratch/again"; then ok "encoded or not"; else bad "encoding changes what happens"; fi

# seeds SIM HEAL CHAOS: so many of each keep their promises.
seeds() {
    timeout 280 "$1" heal --seeds "1..$2" >"$scratch/heal" 2>"$scratch/stderr" ||
        bad "heal: $(cat "$scratch/stderr")"
    timeout 280 "$1" chaos --seeds "1..$3" >"$scratch/chaos" 2>"$scratch/stderr" ||
        bad "chaos: $(cat "$scratch/stderr")"
    ok "$(($(wc -l <"$scratch/heal") - 1)) seeds of heal, $(($(wc -l <"$scratch/chaos") - 1)) of chaos"
}
if sanitized; then
    seeds "$sim" 10 50
    made_plain holdfast-sim
    seeds "$build/plain/holdfast-sim" 200 1000
else
    seeds "$sim" 200 1000
fi
# Where nothing goes wrong but that up to a fifth lie, nearly nobody is misled.
timeout 280 "$sim" chaos --seeds 1..20 --set proof=0 --set crashes=0 --set freezes=0 --set cuts=0 \
    --set parts=0 --set loss=0 >"$scratch/liars" 2>"$scratch/stderr" || bad "liars: $(cat "$scratch/stderr")"
awk -F '\t' 'NR > 1 { asked += $12; right += $14 } END { exit !(asked > 500 && right > 0.95 * asked) }' \
    "$scratch/liars" || bad "liars mislead: $(cut -f 6,12,14 "$scratch/liars")"

# Without a roster liars do mislead: the promise rests on it, and the scenario sees it.
"$sim" liars --nodes 150 --set lookups=300 --set fraction=0.2 --set kind=0 --set roster=0 >"$scratch/once"
awk -F '\t' 'NR > 1 && $8 > 30 { seen = 1 } END { exit !seen }' "$scratch/once" || bad "liars mislead nobody without a roster"

# A promise that cannot be kept: all well in no time.
expect 1 "seed 1, at [0-9.]* s: no ideal ring" "$sim" chaos --seed 1 --set calm=0
# News that take seconds from each to the next.
expect 1 "news: 256 nodes: [0-9.]* rounds, promised 8.0" "$sim" gossip --nodes 256 --set delay=5000
expect 2 "no scenario" "$sim"
expect 2 "no such scenario: nothing" "$sim" nothing
expect 2 "unknown argument --bogus" "$sim" load --bogus
expect 2 "a value is missing after --seed" "$sim" load --seed
expect 2 "want a number" "$sim" load --seed x
expect 2 "want a number" "$sim" load --seed -1
expect 2 "want A..B" "$sim" load --seeds 3..1
expect 2 "want A..B" "$sim" load --seeds 3
expect 2 "want 34 to" "$sim" lookup --nodes 1
expect 2 "want NAME=VALUE" "$sim" load --set keys
expect 2 "no such parameter" "$sim" load --set nothing=1
expect 2 "want a number from" "$sim" load --set keys=0
expect 2 "want a number from" "$sim" load --set keys=nan
expect 0 "" "$sim" --help
expect 0 "" "$sim" --list
for name in $("$sim" --list | awk '{ print $1 }'); do
    expect 0 "" "$sim" "$name" --help
    grep -q -- "--set" "$scratch/stdout" || bad "$name --help names no parameter"
done
expect 1 "write the table" bash -c "'$sim' load --nodes 100 --set keys=1000 >/dev/full"

#!/bin/bash
# Sixteen daemons: they join all at once, a third is killed, some move, all restart at once.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/ring_lib.sh"

# judge NODE...: each of them is up and on the ring, and has as its predecessor and successors
# exactly the others in the order of the circle.
cat >"$scratch/judge.py" <<'PY'
import json, sys
nodes = {}
for path in sys.argv[1:]:
    status = json.load(open(path))
    nodes[status["id"]] = status
order = sorted(nodes)
for i, id in enumerate(order):
    routing = nodes[id]["routing"]
    after = [order[(i + k) % len(order)] for k in range(1, len(order))]
    want = after[:routing["r"]]
    if nodes[id]["up"] != len(order) or routing["mode"] != "ring":
        sys.exit("%.8s: %d up, mode %s" % (id, nodes[id]["up"], routing["mode"]))
    if routing["successors"] != want or routing["predecessor"] != order[i - 1]:
        sys.exit("%.8s: neighbours are %s" % (id, [s[:8] for s in routing["successors"]]))
    if routing["table_size"] != len(order) or not set(routing["fingers"]) <= set(order):
        sys.exit("%.8s: table of %d" % (id, routing["table_size"]))
PY
ideal() {
    local files=()
    for node in "$@"; do
        hf "$node" ring status --json >"$scratch/status$node" 2>/dev/null || return 1
        files+=("$scratch/status$node")
    done
    python3 "$scratch/judge.py" "${files[@]}" 2>"$scratch/judged"
}
routing() { # NODE EXPRESSION: with r = its routing
    hf "$1" ring status --json | python3 -c "
import json, sys
r = json.load(sys.stdin)['routing']
print($2)"
}
becomes_ideal() { # WHAT NODE...
    local what=$1
    shift
    wait_for 120 "$what" ideal "$@" && ok "$what" || { cat "$scratch/judged"; }
}
all=$(seq 1 16)

# ---- all at once ----
hf 1 ring create sixteen --listen "$net.1:$port" --space 1G >"$scratch/authority" 2>&1 ||
    fatal "create: $(cat "$scratch/authority")"
start 1
started 1 || fatal "$(cat "$scratch/log1")"
code=$(hf 1 ring invite --uses 15) || fatal "invite"
join() { hf "$1" ring join "$code" --listen "$net.$1:$port" --space 1G 2>"$scratch/join$1"; }
joiners=()
for node in $(seq 2 16); do
    join "$node" &
    joiners+=($!)
done
for j in "${joiners[@]}"; do wait "$j" || bad "a join failed: $(cat "$scratch"/join*)"; done
for node in $(seq 2 16); do start "$node"; done
for node in $(seq 2 16); do started "$node" || fatal "$(cat "$scratch/log$node")"; done
# shellcheck disable=SC2086
becomes_ideal "sixteen joined at once are one ring" $all
[ "$(routing 7 "r['r']")" = 4 ] && ok "their number made the list longer" ||
    bad "r is $(routing 7 "r['r']")"

# ---- work, and what is seen of it ----
mkdir "$scratch/data"
head -c 3000000 /dev/urandom >"$scratch/data/file"
hf 5 init --store ring >/dev/null 2>&1 || bad "init"
hf 5 backup "$scratch/data" >/dev/null 2>"$scratch/backup" || bad "backup: $(cat "$scratch/backup")"
[ "$(routing 5 "r['lookups']['ended'] > 0 and r['lookups']['failed'] == 0")" = True ] &&
    ok "lookups are counted, none failed" || bad "lookups: $(routing 5 "r['lookups']")"
placed() { [ "$(routing "$1" "0 < r['coordinate']['error'] < 1")" = True ]; }
wait_for 60 "coordinates to settle" placed 9 && ok "coordinates settle"

# ---- a third dies ----
for node in 2 5 8 11 14; do stop "$node" KILL 2>/dev/null; done
becomes_ideal "without a killed third the others are one ring" 1 3 4 6 7 9 10 12 13 15 16
for node in 2 5 8 11 14; do start "$node"; done
for node in 2 5 8 11 14; do started "$node" || bad "$(cat "$scratch/log$node")"; done
# shellcheck disable=SC2086
becomes_ideal "they come back" $all
rm -rf "$scratch/out"
hf 5 restore -t "$scratch/out" latest >/dev/null 2>"$scratch/restore" ||
    bad "restore: $(cat "$scratch/restore")"
cmp -s "$scratch/data/file" "$scratch/out$scratch/data/file" && ok "and what was stored is there" ||
    bad "restored: $(find "$scratch/out" | head -n 5)"

# ---- others move ----
for node in 3 6; do
    stop "$node" || bad "node $node: exit $?"
    mkdir -p "$(home "$node")/config"
    printf '[ring]\nlisten = %s\n' "$net.$node:4999" >>"$(home "$node")/config/holdfast.conf"
    start "$node"
    started "$node" || bad "$(cat "$scratch/log$node")"
done
# shellcheck disable=SC2086
becomes_ideal "two that moved to another port are found" $all
hf 9 ring peers --json | grep -q "$net.6:4999" && ok "at the new address" || bad "no new address"

# ---- all restart at once ----
for node in $all; do stop "$node" KILL 2>/dev/null; done
for node in $all; do start "$node"; done
for node in $all; do started "$node" || bad "$(cat "$scratch/log$node")"; done
# shellcheck disable=SC2086
becomes_ideal "all of them, restarted at once, are one ring" $all

#!/bin/bash
# Sixteen daemons: they join all at once, a third is killed, some move, all restart at once.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/ring_lib.sh"

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
wait_for 240 "coordinates to settle" placed 9 && ok "coordinates settle"

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
    stop "$node" || bad "node $node: exit $?: $(tail -n 20 "$scratch/log$node")"
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

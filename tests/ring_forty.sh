#!/bin/bash
# Usage: tests/ring_forty.sh BUILD_DIR
# Forty daemons on this machine: they join all at once and take positions in proportion to the
# space that they offer, keep a backup, and lose a third. Some two minutes, and 4 GB of memory with
# the sanitizers: `packaging/run-tests --full` runs it.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/ring_lib.sh"

all=$(seq 1 40)
large=7 # offers four times what the others do
first=$(seq 3 3 21) # seven: of the fourteen holders of a block any half may be lost
second=$(seq 24 3 39)
dead="$first $second"
left=$(seq 1 40 | grep -vxF "$(seq 3 3 39)")
space() { [ "$1" = $large ] && echo 4G || echo 1G; }

# ---- all at once ----
hf 1 ring create forty --listen "$net.1:$port" --space 1G >"$scratch/authority" 2>&1 ||
    fatal "create: $(cat "$scratch/authority")"
start 1
started 1 || fatal "$(cat "$scratch/log1")"
code=$(hf 1 ring invite --uses 39) || fatal "invite"
join() {
    hf "$1" ring join "$code" --listen "$net.$1:$port" --space "$(space "$1")" 2>"$scratch/join$1"
}
joiners=()
for node in $(seq 2 40); do
    join "$node" &
    joiners+=($!)
done
for j in "${joiners[@]}"; do wait "$j" || bad "a join failed: $(cat "$scratch"/join*)"; done
for node in $(seq 2 40); do start "$node"; done
for node in $(seq 2 40); do started "$node" || fatal "$(cat "$scratch/log$node")"; done
# shellcheck disable=SC2086
becomes_ideal "forty joined at once are one ring" $all

# ---- positions ----
stands_on() { [ "$(routing "$1" "len(r['positions'])")" = "$2" ]; }
wait_for 120 "positions" stands_on $large 16 && ok "who offers four times as much has sixteen positions" ||
    bad "node $large: $(routing $large "len(r['positions'])")"
stands_on 1 4 && ok "the others have four" || bad "node 1: $(routing 1 "len(r['positions'])")"
[ "$(routing 1 "r['table_size']")" = 172 ] && ok "all of them are on the table" ||
    bad "a table of $(routing 1 "r['table_size']")"
[ "$(routing 1 "r['r']")" = 16 ] && ok "their number made the list as long as it gets" ||
    bad "r is $(routing 1 "r['r']")"

# ---- what one idle daemon costs ----
cost() { # of all daemons: seconds of CPU, then resident memory in KiB
    local node total=0 memory=0 ticks kib
    for node in $all; do
        ticks=$(awk '{print $14 + $15}' "/proc/${daemon[$node]}/stat")
        kib=$(awk '$1 == "VmRSS:" {print $2}' "/proc/${daemon[$node]}/status")
        total=$((total + ticks)) memory=$((memory + kib))
    done
    echo "$total $memory"
}
read -r ticks _ < <(cost)
began=$SECONDS
sleep 20 # the interval that is measured
read -r later memory < <(cost)
awk -v ticks=$((later - ticks)) -v s=$((SECONDS - began)) -v kib="$memory" -v hz="$(getconf CLK_TCK)" \
    'BEGIN {printf "an idle daemon: %.1f MiB, %.2f %% of a core\n", kib / 40 / 1024, 100 * ticks / hz / s / 40}'

# ---- a backup, a third dies ----
make_tree "$scratch/data" 40
hf 5 init --store ring >/dev/null 2>&1 || bad "init"
hf 5 backup "$scratch/data" >/dev/null 2>"$scratch/backup" || bad "backup: $(cat "$scratch/backup")"
restores() { # WHAT
    rm -rf "$scratch/out"
    hf 5 restore -t "$scratch/out" latest >/dev/null 2>"$scratch/restore" ||
        bad "restore: $(cat "$scratch/restore")"
    same "$scratch/data" "$scratch/out$scratch/data" "$1"
}
restores "restored from forty"
for node in $first; do stop "$node" KILL 2>/dev/null; done
restores "restored while seven have just died"
for node in $second; do stop "$node" KILL 2>/dev/null; done
# shellcheck disable=SC2086
becomes_ideal "without a killed third the others are one ring" $left
for node in $dead; do start "$node"; done
for node in $dead; do started "$node" || bad "$(cat "$scratch/log$node")"; done
# shellcheck disable=SC2086
becomes_ideal "they come back" $all
restores "restored from all of them"

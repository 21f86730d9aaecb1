#!/usr/bin/env bash
# Five daemons keep one machine's backups: what must hold when holders die, lie or are away.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/five_lib.sh"
data=$scratch/data
make_tree "$data" 3
canary=holdfast-canary-$RANDOM-$RANDOM-$RANDOM
for f in c1 a/c2 a/b/c3; do
    for i in $(seq 200); do echo "$canary line $i"; done >"$data/$f"
done
echo "$canary" >"$data/small-$canary" # in a name, and inline in its tree
start_ring 5
expect 0 "recovery code" on 1 init --store ring
expect 0 "snapshot" on 1 backup "$data"

# ---- nobody else can read a byte of it ----
leaks=$(grep -rlaF "$canary" "$scratch"/n[2-5] | wc -l)
[ "$leaks" = 0 ] && ok "no canary on any peer's disk" || bad "canaries in $leaks files of peers"
grep -rqaF "$canary" "$data" || bad "the canary is not even in the source"
for n in 2 3 4 5; do
    [ "$(du -sb "$scratch/n$n/state" | cut -f 1)" -gt 4000000 ] || bad "node $n holds nothing: the test would prove nothing"
done
# The machine that wrote the blocks holds none of them.
[ "$(du -s --block-size=1 "$scratch/n1/state" | cut -f 1)" -lt 2000000 ] && ok "the source holds nothing" || bad "the source holds fragments"

# ---- any two of the four others may die ----
restore_and_compare() { # WHAT
    rm -rf "$scratch/out"
    expect 0 "" on 1 restore -t "$scratch/out" latest
    same "$data" "$scratch/out$data" "$1"
}
for pair in "2 3" "2 4" "2 5" "3 4" "3 5" "4 5"; do
    set -- $pair
    kill_daemon "$1"
    kill_daemon "$2"
    restore_and_compare "nodes $1 and $2 are dead"
    start_daemon "$1"
    start_daemon "$2"
    wait_for 60 "all five again" all_up 1 5
done

# ---- the same tree through the local store ----
expect 0 "" "$holdfast" --home "$scratch/local" init
expect 0 "" "$holdfast" --home "$scratch/local" backup "$data"
expect 0 "" "$holdfast" --home "$scratch/local" restore -t "$scratch/out-local" latest
same "$scratch/out$data" "$scratch/out-local$data" "ring and local store restore"
if [ -c /dev/fuse ] && [ "$(id -u)" = 0 ]; then
    mkdir "$scratch/m1" "$scratch/m2"
    mounts+=("$scratch/m1" "$scratch/m2")
    expect 0 "" on 1 mount "$scratch/m1"
    expect 0 "" "$holdfast" --home "$scratch/local" mount "$scratch/m2"
    same "$(echo "$scratch"/m1/*/latest)$data" "$(echo "$scratch"/m2/*/latest)$data" "ring and local store mounted"
    expect 0 "" on 1 umount "$scratch/m1"
    expect 0 "" on 1 umount "$scratch/m2"
fi

# ---- a fragment is altered on a peer's disk ----
alter() { # NODE: inverts a bit in every 64 KiB; done twice, all is as it was
    python3 - "$scratch/n$1/state" <<'PY'
import os, sys
for root, _, files in os.walk(sys.argv[1]):
    for f in files:
        p = os.path.join(root, f)
        if not f.endswith(".log"):
            continue
        with open(p, "r+b") as s:  # a byte in every 16 KiB: some in each fragment
            size = s.seek(0, 2)
            for at in range(8192, size, 16384):
                s.seek(at); b = s.read(1); s.seek(at); s.write(bytes([b[0] ^ 0x40]))
PY
}
alter 3
kill_daemon 2
wait_for 60 "node 2 to be away" some_away 1 1
node3=$(on 3 ring peers --json 2>/dev/null | python3 -c 'import json, sys; print([p["id"] for p in json.load(sys.stdin) if p["self"]][0])')
# Nodes 4 and 5 are held up until node 3 has been asked, and has been found out.
kill -STOP "${daemon[4]}" "${daemon[5]}"
rm -rf "$scratch/out"
on 1 restore -t "$scratch/out" latest >/dev/null 2>"$scratch/stderr-altered" &
run=$!
wait_for 25 "node 3 to be named in the reader's log" grep -qE "warn dht: .*${node3:0:8}" "$scratch/daemon1.log" &&
    ok "the reader's log: $(grep -m 1 "warn dht: .*${node3:0:8}" "$scratch/daemon1.log" | cut -c 21-)"
kill -CONT "${daemon[4]}" "${daemon[5]}"
# Held up for longer than a link may be silent, nodes 4 and 5 were away, and that is what it says.
wait $run
rc=$?
{ [ $rc = 0 ] || [ $rc = 13 ]; } && ok "exit $rc" || bad "exit $rc: $(cat "$scratch/stderr-altered")"
wait_for 60 "nodes 4 and 5 again" some_away 1 1
restore_and_compare "node 3 holds altered fragments, node 2 is dead"
kill_daemon 3
alter 3
start_daemon 3
wait_for 60 "node 3 again" some_away 1 1

# ---- one away: exit 4 and readable; two away: exit 13, the previous snapshot is readable ----
cp -a "$data" "$scratch/before"
head -c 5000000 /dev/urandom >"$data/night"
expect 4 "below" on 1 backup "$data"
restore_and_compare "made with node 2 away"
kill_daemon 4
wait_for 60 "two to be away" some_away 1 2
cp -a "$data" "$scratch/degraded"
head -c 5000000 /dev/urandom >"$data/worse"
expect 13 "" on 1 backup "$data"
grep -c . "$scratch/stderr" | grep -qx 1 && ok "one line" || bad "more than one line: $(cat "$scratch/stderr")"
rm -rf "$scratch/out"
start_daemon 2
wait_for 60 "node 2 again" some_away 1 1
expect 0 "" on 1 restore -t "$scratch/out" latest
same "$scratch/degraded" "$scratch/out$data" "the snapshot before the run that failed"
start_daemon 4
wait_for 60 "all five again" all_up 1 5
expect 0 "snapshot" on 1 backup "$data"
restore_and_compare "the run after"

# ---- no daemon, no ring, wrong store ----
kill_daemon 1 TERM
expect 1 "start 'holdfastd'" on 1 backup "$data"
expect 1 "" on 1 ring peers

#!/usr/bin/env bash
# SIGKILL of `holdfast backup` on a ring at 20 moments, and of daemons under put: the previous snapshot
# stays readable, the next run succeeds and does not store again what was acknowledged.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/five_lib.sh"
data=$scratch/data
make_tree "$data" 4
start_ring 5
expect 0 "recovery code" on 1 init --store ring
expect 0 "snapshot" on 1 backup "$data"

# How long a run over new data takes here tells where the kills fall.
head -c 40000000 /dev/urandom >"$data/measure"
start=$(date +%s%N)
expect 0 "snapshot" on 1 backup "$data"
whole=$((($(date +%s%N) - start) / 1000000))
rm "$data/measure"
expect 0 "snapshot" on 1 backup "$data"
cp -a "$data" "$scratch/before"
head -c 40000000 /dev/urandom >"$data/random"
rounds=20
for i in $(seq $rounds); do
    "$holdfast" --home "$scratch/n1" backup "$data" >/dev/null 2>&1 &
    victim=$!
    # A moment somewhere in the run: this is the one place where time itself is meant.
    perl -e 'select undef, undef, undef, $ARGV[0] / 1000' $((whole * i / (rounds + 1)))
    kill -KILL $victim 2>/dev/null
    wait $victim 2>/dev/null
    [ $((i % 7)) = 0 ] || continue
    rm -rf "$scratch/out"
    on 1 restore -t "$scratch/out" latest >/dev/null 2>&1 || bad "after kill $i nothing can be restored"
    [ ! -e "$scratch/out$data/random" ] || break # a run was through before its kill
    same "$scratch/before" "$scratch/out$data" "the snapshot before, after kill $i"
done
expect 0 "snapshot" on 1 backup --json "$data"
stored=$(grep -o '"data_stored":[0-9]*' "$scratch/stdout" | cut -d : -f 2)
[ "$stored" -lt 30000000 ] && ok "the last run stored $stored bytes" || bad "stored $stored of 40 MB again"
rm -rf "$scratch/out"
expect 0 "" on 1 restore -t "$scratch/out" latest
same "$data" "$scratch/out$data" "the run after the kills"

# ---- a holder is killed under put ----
for round in 1 2 3; do
    head -c 40000000 /dev/urandom >"$data/put$round"
    on 1 backup "$data" >/dev/null 2>"$scratch/stderr$round" &
    run=$!
    before=$(du -sb "$scratch/n$((round + 1))/state" | cut -f 1)
    growing() { [ "$(du -sb "$scratch/n$((round + 1))/state" | cut -f 1)" -gt $((before + 3000000)) ]; }
    wait_for 60 "fragments to arrive at node $((round + 1))" growing
    kill_daemon $((round + 1))
    wait $run
    rc=$?
    { [ $rc = 0 ] || [ $rc = 4 ]; } && ok "exit $rc with a holder killed under put" || bad "exit $rc: $(cat "$scratch/stderr$round")"
    rm -rf "$scratch/out"
    expect 0 "" on 1 restore -t "$scratch/out" latest
    same "$data" "$scratch/out$data" "a snapshot made while a holder died"
    start_daemon $((round + 1))
    wait_for 60 "all five again" all_up 1 5
done

# ---- the own daemon is killed under put: its client fails with one line, the next run succeeds ----
head -c 40000000 /dev/urandom >"$data/own"
on 1 backup "$data" >/dev/null 2>"$scratch/stderr-own" &
run=$!
before=$(du -sb "$scratch/n2/state" | cut -f 1)
growing() { [ "$(du -sb "$scratch/n2/state" | cut -f 1)" -gt $((before + 3000000)) ]; }
wait_for 60 "fragments to arrive" growing
kill_daemon 1
wait $run
rc=$?
[ $rc != 0 ] && [ "$(grep -c . "$scratch/stderr-own")" = 1 ] && ok "exit $rc: $(cat "$scratch/stderr-own")" || bad "exit $rc: $(cat "$scratch/stderr-own")"
start_daemon 1
wait_for 60 "all five again" all_up 1 5
expect 0 "snapshot" on 1 backup "$data"
rm -rf "$scratch/out"
expect 0 "" on 1 restore -t "$scratch/out" latest
same "$data" "$scratch/out$data" "the run after its own daemon was killed"

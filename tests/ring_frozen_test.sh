#!/usr/bin/env bash
# Machines that hang instead of dying: nobody waits for them longer than once, what waits can be
# interrupted, and `holdfast status` speaks also when everybody else is away.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/five_lib.sh"
data=$scratch/data
make_tree "$data" 5
head -c 40000000 /dev/urandom >"$data/random"
start_ring 5
expect 0 "recovery code" on 1 init --store ring
expect 0 "snapshot" on 1 backup "$data"

# ---- two holders hang: what is there is read without waiting for them to be given up ----
kill -STOP "${daemon[3]}" "${daemon[5]}"
expect 0 "" timeout 20 "$holdfast" --home "$scratch/n1" restore -t "$scratch/out" latest
same "$data" "$scratch/out$data" "restored while two machines hang"
kill -CONT "${daemon[3]}" "${daemon[5]}"

# ---- one holder hangs under put: its link is given up once, for all blocks ----
wait_for 60 "all five again" all_up 1 5
head -c 100000000 /dev/urandom >"$data/frozen"
kill -STOP "${daemon[4]}"
expect 4 "below" timeout 35 "$holdfast" --home "$scratch/n1" backup "$data"
some_away 1 1 && ok "the one that hangs is away" || bad "$(states 1 away) are away"
kill -CONT "${daemon[4]}"
wait_for 60 "all five again" all_up 1 5
expect 0 "snapshot" on 1 backup "$data"
# All are up, but some blocks are on three holders instead of four, and nothing has changed that.
expect 0 "" on 1 status
head -n 1 "$scratch/stdout" | grep -qx 'CATCHING UP' && grep -q '^  1 other machines' "$scratch/stdout" &&
    ok "status does not promise more than is there" || bad "status says: $(cat "$scratch/stdout")"

# ---- the own daemon hangs: SIGINT ends what waits for it, the next run works ----
interrupted() { # WHAT, COMMAND...: which waits for the daemon of home 1
    run=$1
    shift
    "$holdfast" --home "$scratch/n1" "$@" >/dev/null 2>"$scratch/stderr" &
    victim=$!
    # It has its handler, and then it waits in a system call for the socket.
    waits() { grep -qE 'SigCgt:.*[2367abef]$' /proc/$victim/status && grep -q '^State:.S' /proc/$victim/status; }
    wait_for 20 "$run to wait" waits
    kill -INT $victim
    gone() { ! kill -0 $victim 2>/dev/null; }
    wait_for 10 "$run to end" gone
    wait $victim
    rc=$?
    [ $rc = 130 ] && ok "$run: exit 130" || bad "$run: exit $rc: $(cat "$scratch/stderr")"
    grep -qx 'holdfast: interrupted' "$scratch/stderr" && ok "one line" || bad "says: $(cat "$scratch/stderr")"
}
kill -STOP "${daemon[1]}"
interrupted "backup" backup "$data"
interrupted "restore" restore -t "$scratch/out2" latest
kill -CONT "${daemon[1]}"
expect 0 "snapshot" on 1 backup "$data"

# ---- everybody else is dead ----
for n in 2 3 4 5; do kill_daemon $n; done
wait_for 60 "four to be away" some_away 1 4
wait_for 60 "the log to tell why" grep -q 'no link to .*Connection refused' "$scratch/daemon1.log"
expect 0 "" on 1 status
head -n 1 "$scratch/stdout" | grep -qxE 'AT RISK|LOST' && grep -q 'is missing since' "$scratch/stdout" &&
    ok "status: $(head -n 1 "$scratch/stdout")" || bad "status says: $(cat "$scratch/stdout")"
expect 13 "fragment" on 1 snapshots
[ "$(grep -c . "$scratch/stderr")" = 1 ] && ok "one line" || bad "more than one line: $(cat "$scratch/stderr")"

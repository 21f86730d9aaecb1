#!/bin/bash
# Five daemons on one machine: joining, being there, being away, coming back.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/ring_lib.sh"

# ---- before there is anything ----
expect 10 "no ring here" "$holdfastd" --home "$scratch/nothing"
expect 10 "no ring here" "$holdfast" --home "$scratch/nothing" ring peers
expect 12 "" "$holdfast" --home "$scratch/nothing" ring join hf1-nonsense
[ ! -e "$scratch/nothing" ] && ok "nothing was made" || bad "a refused code left something"
expect 2 "listen" "$holdfast" --home "$scratch/nothing" ring create r --listen nonsense
expect 2 "NAME" "$holdfast" --home "$scratch/nothing" ring create
expect 2 "unknown verb" "$holdfast" ring dance

# ---- a ring of five ----
make_ring 5
grep -q '^hfa1-' "$scratch/authority" && ok "create prints the authority's code" ||
    bad "no authority code: $(cat "$scratch/authority")"
[ "$(stat -c %a "$(home 1)")" = 700 ] && ok "the home is closed to others" ||
    bad "mode of the home: $(stat -c %a "$(home 1)")"
[ "$(cat "$scratch/ready3")" = "ready $net.3:$port" ] && ok "ready, and where" ||
    bad "ready: $(cat "$scratch/ready3")"
all_see up 5 1 2 3 4 5
hf 2 ring status --json | grep -q '"mode":"order"' && ok "five keep to the roster's order" ||
    bad "routing: $(hf 2 ring status --json)"
hf 2 ring peers --json >"$scratch/peers"
python3 - "$scratch/peers" "$net" <<'PY' && ok "peers as JSON" || bad "peers: $(cat "$scratch/peers")"
import json, re, sys
peers = json.load(open(sys.argv[1]))
assert len(peers) == 5 and sum(p["self"] for p in peers) == 1
for p in peers:
    assert p["schema"] == 1 and re.fullmatch("[0-9a-f]{64}", p["id"]) and p["name"]
    assert p["address"].startswith(sys.argv[2]) and p["missing_since"] is None
assert sorted(p["address"] for p in peers if p["self"]) == [sys.argv[2] + ".2:4774"]
PY
hf 4 ring status | grep -q 'ring testring: 5 members, 5 of them up' && ok "status" ||
    bad "status: $(hf 4 ring status)"

# ---- refused ----
expect 1 "ring" "$holdfast" --home "$(home 1)" ring create again
expect 11 "holdfastd" "$holdfastd" --home "$(home 2)"
expect 1 "steward" "$holdfast" --home "$(home 2)" ring invite
code=$(hf 1 ring invite)
[[ $code =~ ^hf1-[A-Za-z0-9_-]+$ ]] && ok "a code alone" || bad "code: $code"
hf 6 ring join "$code" --listen "$net.6:$port" 2>/dev/null || bad "join of the sixth"
expect 12 "used" "$holdfast" --home "$(home 7)" ring join "$code" --listen "$net.7:$port"
expect 10 "no ring" "$holdfast" --home "$(home 7)" ring peers
start 6
started 6
all_see up 6 1 6

# Six members are enough for Chord's own ring (2(r + 1)); five kept to the roster's order.
routed() {
    hf "$1" ring status --json | python3 -c '
import json, sys
sys.exit(json.load(sys.stdin)["routing"]["mode"] != sys.argv[1])' "$2"
}
for node in 1 2 3 4 5 6; do wait_for 60 "node $node to route" routed $node ring; done &&
    ok "all route by the ring"

code=$(hf 1 ring invite --expires 1s)
past() { [ "$(date +%s)" -gt "$1" ]; }
wait_for 10 "the code to expire" past $(($(date +%s) + 1))
expect 12 "expired" "$holdfast" --home "$scratch/expired" ring join "$code"
[ ! -e "$scratch/expired" ] && ok "nothing was made" || bad "an expired code left something"
kept=$(hf 1 ring invite)
expect 2 "" "$holdfast" --home "$(home 1)" ring invite --expires soon
expect 2 "" "$holdfast" --home "$(home 1)" ring invite --uses many

# ---- going and coming back ----
stop 3 && ok "SIGTERM: exit 0" || bad "SIGTERM: exit $?"
all_see away 1 1 2 4 5 6
expect 1 "none is running" "$holdfast" --home "$(home 3)" ring peers
since=$(hf 1 ring peers --json | python3 -c '
import json, sys
print([p["missing_since"] for p in json.load(sys.stdin) if p["state"] == "away"][0])')
[[ $since =~ ^20[0-9-]+T[0-9:]+Z$ ]] && ok "missing since $since" || bad "missing_since: $since"
start 3
started 3
all_see up 6 1 2 3 4 5 6

stop 4 KILL 2>/dev/null
all_see away 1 1 2 3 5 6
start 4
started 4
all_see up 6 1 2 3 4 5 6

# Suspended, it is silent without a word; it is found again when it goes on.
kill -STOP "${daemon[4]}"
all_see away 1 1 2 3 5 6
kill -CONT "${daemon[4]}"
all_see up 6 1 2 3 4 5 6
grep -q 'lost: silence' "$scratch/log1" && ok "given up for its silence" ||
    bad "no silence: $(tail -n 3 "$scratch/log1")"

stop 5
chmod 777 "$(home 5)/config"
expect 1 "chmod" "$holdfastd" --home "$(home 5)"
chmod 700 "$(home 5)/config"
HOLDFAST_LISTEN=$net.5:4775 start 5
started 5
[ "$(cat "$scratch/ready5")" = "ready $net.5:4775" ] && ok "another port" ||
    bad "ready: $(cat "$scratch/ready5")"
all_see up 6 1 2 3 4 5 6
moved() { hf 2 ring peers --json | grep -q "$net.5:4775"; }
wait_for 30 "the new address to be known" moved && ok "the new address is known"

# As a service: told when it serves, and when it ends.
python3 - "$scratch/notify" >"$scratch/notified" <<'PY' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
for _ in range(2):
    print(s.recv(100).decode(), flush=True)
PY
pids+=($!)
wait_for 20 "the service manager" test -S "$scratch/notify"
stop 6
NOTIFY_SOCKET=$scratch/notify start 6
started 6
wait_for 20 "READY=1" grep -q '^READY=1$' "$scratch/notified" && ok "READY=1"
stop 6
wait_for 20 "STOPPING=1" grep -q '^STOPPING=1$' "$scratch/notified" && ok "STOPPING=1"
start 6
started 6

# The steward, and all at once.
for node in 1 2 3 4 5 6; do stop $node || bad "SIGTERM of $node: exit $?"; done
expect 13 "" "$holdfast" --home "$(home 8)" ring join "$kept"
for node in 1 2 3 4 6; do start $node; done
HOLDFAST_LISTEN=$net.5:4775 start 5
for node in 1 2 3 4 5 6; do started $node; done
all_see up 6 1 2 3 4 5 6

grep -l "ERROR: AddressSanitizer\|runtime error" "$scratch"/log* &&
    bad "sanitizer: $(grep -h -m1 'ERROR: Addr\|runtime error' "$scratch"/log*)"
exit 0

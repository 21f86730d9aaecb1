#!/usr/bin/env bash
# A machine with a slow line by limit-upload: it keeps to it, a backup gets through all the same, and
# nobody takes it for dead meanwhile.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/five_lib.sh"
rate=65536
conf=$scratch/n1/config/holdfast.conf
status() { # EXPRESSION over t, the traffic, and s: of node 1
    on 1 ring status --json | python3 -c 'import json, sys
s = json.load(sys.stdin); t = s["traffic"]; print('"$1"')'
}
is() { [ "$(status "$1")" = "$2" ]; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }

# Six: fewer keep together by the roster alone (docs/design.md, section 7).
start_ring 6
wait_for 60 "routing by the ring" is 's["routing"]["mode"]' ring
expect 0 "" on 1 init --store ring
is 't["limit_upload"]' None && is 't["limit_download"]' None && ok "no limits at first" || bad "$(status t)"

# ---- taken over at SIGHUP; what is malformed is named, and changes nothing ----
printf '[ring]\nlimit-upload = 00:00-12:00 64K, 12:00-24:00 64K\nlimit-download = 50M\n' >>"$conf"
kill -HUP "${daemon[1]}"
wait_for 10 "the limits" is 't["limit_upload"], t["limit_download"]' "$rate 52428800"
on 1 ring status | grep -q "64.0 KiB up, 50.0 MiB down" && ok "status tells them" || bad "$(on 1 ring status)"
cp "$conf" "$scratch/good.conf"
echo 'limit-upload = 11:00-13:00 1M' >>"$conf"
kill -HUP "${daemon[1]}"
line=$(wc -l <"$conf")
wait_for 10 "the line to be named" grep -qE "holdfast.conf: line $line: limit-upload: 00:00-12:00 and 11:00-13:00 overlap" "$scratch/daemon1.log"
is 't["limit_upload"]' $rate && ok "the limit stays" || bad "$(status t)"
cp "$conf" "$scratch/bad.conf"
cp "$scratch/good.conf" "$conf"

# ---- a backup of some hundred KiB: twice as much and more goes out ----
head -c 600000 /dev/urandom >"$scratch/data"
lost=$(cat "$scratch"/daemon?.log | grep -c "link to .* lost")
began=$(now_ms)
before=$(status 't["sent_bytes"]')
on 1 backup "$scratch/data" >"$scratch/stdout" 2>"$scratch/stderr" &
run=$!
looks=0
while kill -0 $run 2>/dev/null; do
    for n in 1 2 6; do
        all_up "$n" 6 || bad "node $n sees $(states "$n" up) of 6 while the line is full"
    done
    looks=$((looks + 1))
    sleep 0.2 # between two looks
done
wait $run && ok "$(tail -n 1 "$scratch/stderr")" || bad "exit $?: $(cat "$scratch/stderr")"
sent=$(($(status 't["sent_bytes"]') - before))
took=$(($(now_ms) - began))
[ "$looks" -gt 5 ] || bad "it was over at once"
[ "$sent" -gt 1200000 ] || bad "only $sent bytes were sent"
[ "$sent" -lt 2600000 ] && ok "nothing is sent twice" || bad "$sent bytes for a file of 600000"
# The bucket holds a quarter of a second, and the last part may be on its way; 10 % for the rest.
allowed=$((took * rate / 1000 * 11 / 10 + rate))
[ "$sent" -le $allowed ] && ok "$sent bytes in $took ms: $((sent * 1000 / took)) a second" || bad "$sent bytes in $took ms, limit $rate"
[ "$(cat "$scratch"/daemon?.log | grep -c "link to .* lost")" = "$lost" ] && ok "no link was lost" || bad "$(grep "link to .* lost" "$scratch"/daemon?.log)"
is 's["routing"]["mode"]' ring && ok "it is in the ring" || bad "$(status 's["routing"]')"
grep -qE " (warn|error) (dht|chord|router|keeper)" "$scratch/daemon1.log" && bad "$(grep -E " (warn|error) " "$scratch/daemon1.log")" || ok "and logs no complaint"

# ---- without the limit again; reading back ----
grep -v limit- "$scratch/good.conf" >"$conf"
kill -HUP "${daemon[1]}"
wait_for 10 "no limits" is 't["limit_upload"], t["limit_download"]' "None None"
printf 'limit-download = 256K\n' >>"$conf"
kill -HUP "${daemon[1]}"
wait_for 10 "the other limit" is 't["limit_download"]' 262144
expect 0 "" on 1 restore -t "$scratch/out" latest
cmp "$scratch/data" "$scratch/out$scratch/data" && ok "restored" || bad "restored otherwise"
on 1 status --json | grep -q '"limit_download": *262144' && ok "holdfast status --json has it" || bad "$(on 1 status --json)"

# ---- a daemon does not start with what it does not understand ----
kill_daemon 1 TERM
cp "$scratch/bad.conf" "$conf"
expect 1 "line $line: limit-upload: .* overlap" "$holdfastd" --home "$scratch/n1"

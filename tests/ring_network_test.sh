#!/bin/bash
# Ten hosts, each in a network namespace of its own: cut in two and mended, two that cannot reach
# each other, one with a thin line, one that is far away and loses segments.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/ring_lib.sh"
hosts=10
run=hf$$
net=10.77.0

at_exit() {
    for name in $(seq "$hosts") hub; do ip netns del "$run-$name" 2>/dev/null; done
}
ip netns add "$run-hub" 2>/dev/null || { echo "skipped: no network namespaces here"; exit 77; }

on_host() { # NAME COMMAND...
    local name=$1
    shift
    ip netns exec "$run-$name" "$@"
}
start() {
    : >"$scratch/ready$1"
    # Not by a function, whose process would be another than the daemon's.
    ip netns exec "$run-$1" "$holdfastd" --home "$(home "$1")" >"$scratch/ready$1" 2>>"$scratch/log$1" &
    daemon[$1]=$!
    pids+=("${daemon[$1]}")
}

# ---- the network: a bridge, and a cable to each host ----
on_host hub ip link add bridge type bridge && on_host hub ip link set bridge up &&
    on_host hub ip addr add "$net.254/24" dev bridge && on_host hub ip link set lo up || fatal "the hub"
for host in $(seq "$hosts"); do
    ip netns add "$run-$host" &&
        ip -n "$run-hub" link add "port$host" type veth peer name eth netns "$run-$host" &&
        ip -n "$run-hub" link set "port$host" master bridge up &&
        ip -n "$run-$host" addr add "$net.$host/24" dev eth &&
        ip -n "$run-$host" link set lo up && ip -n "$run-$host" link set eth up ||
        fatal "host $host"
done
cut() { ip -n "$run-$1" route add blackhole "$net.$2/32"; } # FROM TO
mend() { ip -n "$run-$1" route del blackhole "$net.$2/32"; }
halves() { # cut|mend
    for a in 1 2 3 4 5; do
        for b in 6 7 8 9; do "$1" $a $b && "$1" $b $a; done
        "$1" $a 254
    done
}

# ---- a ring; host 10 is known by an address at the proxy ----
coproc proxy { exec ip netns exec "$run-hub" python3 "$(dirname "$0")/net_proxy.py" "$net.254:$port=$net.10:$port"; }
proxy_pid=${proxy_PID:?}
pids+=("$proxy_pid")
tell_proxy() {
    local answer
    echo "$*" >&"${proxy[1]}"
    read -r -t 10 answer <&"${proxy[0]}" && [ "$answer" = done ] || bad "the proxy: $*"
}
read -r -t 20 ready <&"${proxy[0]}" && [ "$ready" = ready ] || fatal "no proxy"
tell_proxy delay 60
tell_proxy loss 3

hf 1 ring create hosts --listen "$net.1:$port" --space 1G >"$scratch/authority" 2>&1 ||
    fatal "create: $(cat "$scratch/authority")"
start 1
started 1 || fatal "$(cat "$scratch/log1")"
code=$(hf 1 ring invite --uses $((hosts - 1))) || fatal "invite"
for host in $(seq 2 "$hosts"); do
    advertise=$net.$host:$port
    [ "$host" = 10 ] && advertise=$net.254:$port # whoever wants to reach it, goes there
    timeout 60 ip netns exec "$run-$host" "$holdfast" --home "$(home "$host")" ring join "$code" \
        --listen "$net.$host:$port" --advertise "$advertise" --space 1G 2>"$scratch/join" ||
        fatal "join: $(cat "$scratch/join")"
    if [ "$host" = 10 ]; then # nor does it reach anybody by another way
        for other in $(seq 9); do cut 10 $other; done
    fi
    start "$host"
done
for host in $(seq 2 "$hosts"); do started "$host" || fatal "$(cat "$scratch/log$host")"; done
# shellcheck disable=SC2046
becomes_ideal "hosts in namespaces are one ring" $(seq "$hosts")

# The far one knows that it is: its round trips are at least twice 60 ms, the others' are not.
far() { [ "$(routing 10 "r['coordinate']['error'] < 0.5 and (r['coordinate']['x_ms'] ** 2 +
    r['coordinate']['y_ms'] ** 2) ** 0.5 + r['coordinate']['height_ms'] > 40")" = True ]; }
wait_for 120 "the far host's coordinate" far && ok "the far host stands far away" ||
    bad "it stands at $(routing 10 "r['coordinate']")"

# ---- cut in two ----
halves cut
for host in 1 6; do
    wait_for 120 "host $host to miss the other half" sees "$host" away 5 &&
        ok "host $host misses the other half"
done
wait_for 60 "host 3 to see its own half" sees 3 up 5 && ok "and sees its own"
halves mend
# shellcheck disable=SC2046
becomes_ideal "mended, they are one ring again" $(seq "$hosts")

# ---- two that cannot reach each other ----
cut 2 7 && cut 7 2
wait_for 90 "host 2 to miss one" sees 2 away 1 && ok "host 2 misses host 7"
for host in 1 5 9; do
    sees "$host" away 0 && ok "host $host misses nobody" || bad "$(hf "$host" ring peers)"
done
mend 2 7 && mend 7 2
# shellcheck disable=SC2046
becomes_ideal "they see each other again" $(seq "$hosts")

# ---- a thin line ----
ip netns exec "$run-4" tc qdisc add dev eth root tbf rate 4mbit burst 32kbit latency 400ms ||
    fatal "tc tbf"
dead_before=$(routing 3 "r['believed_dead']")
mkdir "$scratch/data"
head -c 1500000 /dev/urandom >"$scratch/data/file"
hf 4 init --store ring >/dev/null 2>&1 || bad "init"
timeout 200 "$holdfast" --home "$(home 4)" backup "$scratch/data" >/dev/null 2>"$scratch/backup" &&
    ok "a backup goes through a thin line" || bad "backup: $(cat "$scratch/backup")"
sees 3 away 0 && [ "$(routing 3 "r['believed_dead']")" = "$dead_before" ] &&
    ok "and nobody is believed dead for it" || bad "$(hf 3 ring peers)"
ip netns exec "$run-4" tc qdisc del dev eth root

# ---- a far host that stalls ----
tell_proxy cut
wait_for 90 "host 1 to miss host 10" sees 1 away 1 && ok "a line that stalls is noticed"
tell_proxy mend
# shellcheck disable=SC2046
becomes_ideal "it is back" $(seq "$hosts")
timeout 200 "$holdfast" --home "$(home 4)" restore -t "$scratch/out" latest >/dev/null 2>"$scratch/restore" &&
    cmp -s "$scratch/data/file" "$scratch/out$scratch/data/file" && ok "what was stored is there" ||
    bad "restore: $(cat "$scratch/restore")"

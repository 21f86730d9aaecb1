# Daemons on this machine, for the tests of a ring. Sourced after lib.sh.
# Node I is at 127.X.Y.I, a network of this run's own: runs side by side do not meet.
net=127.$((RANDOM % 250 + 2)).$((RANDOM % 250 + 2))
port=4774
declare -A daemon # node -> process

home() { echo "$scratch/home$1"; }
hf() { # NODE ARGUMENT...
    local node=$1
    shift
    timeout 60 "$holdfast" --home "$(home "$node")" "$@"
}

# start NODE: begins it; started NODE: waits until it serves.
start() {
    : >"$scratch/ready$1"
    "$holdfastd" --home "$(home "$1")" >"$scratch/ready$1" 2>>"$scratch/log$1" &
    daemon[$1]=$!
    pids+=("${daemon[$1]}")
}
started() { wait_for 60 "node $1 to serve" grep -q '^ready ' "$scratch/ready$1"; }

stop() { # NODE [SIGNAL]
    kill "-${2:-TERM}" "${daemon[$1]}"
    wait "${daemon[$1]}"
}

# sees NODE STATE COUNT: so many members are in that state, as NODE sees it.
sees() {
    [ "$(hf "$1" ring peers --json | python3 -c '
import json, sys
print(sum(p["state"] == sys.argv[1] for p in json.load(sys.stdin)))' "$2")" = "$3" ]
}
all_see() { # STATE COUNT NODE...
    local state=$1 count=$2
    shift 2
    for node in "$@"; do
        wait_for 90 "node $node to see $count $state" sees "$node" "$state" "$count" ||
            { hf "$node" ring peers; tail -n 5 "$scratch/log$node"; return 1; }
    done
    ok "nodes $* see $count $state"
}

# A ring of nodes 1..$1, all started.
make_ring() {
    hf 1 ring create testring --listen "$net.1:$port" --space 1G >"$scratch/authority" 2>&1 ||
        fatal "create: $(cat "$scratch/authority")"
    start 1
    started 1 || fatal "$(cat "$scratch/log1")"
    local node code
    for node in $(seq 2 "$1"); do
        code=$(hf 1 ring invite) || fatal "invite"
        hf "$node" ring join "$code" --listen "$net.$node:$port" --space 1G \
            2>"$scratch/join" || fatal "join: $(cat "$scratch/join")"
        start "$node"
    done
    for node in $(seq 2 "$1"); do started "$node" || fatal "$(cat "$scratch/log$node")"; done
}

# routing NODE EXPRESSION: in Python, with r = what its status says of routing.
routing() {
    hf "$1" ring status --json | python3 -c "
import json, sys
r = json.load(sys.stdin)['routing']
print($2)"
}

# ideal NODE...: those, and no others, are one ring.
ideal() {
    local files=()
    for node in "$@"; do
        hf "$node" ring status --json >"$scratch/status$node" 2>/dev/null || return 1
        files+=("$scratch/status$node")
    done
    python3 "$(dirname "$0")/ring_judge.py" "${files[@]}" 2>"$scratch/judged"
}
becomes_ideal() { # WHAT NODE...
    local what=$1
    shift
    wait_for 120 "$what" ideal "$@" && ok "$what" || cat "$scratch/judged"
}

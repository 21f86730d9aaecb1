#!/bin/bash
# A steward whose door is crowded: who is sent away knocks again.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/ring_lib.sh"

coproc proxy { exec python3 "$(dirname "$0")/net_proxy.py" "$net.9:$port=$net.1:$port"; }
pids+=("$proxy_PID")
tell() {
    local answer
    echo "$*" >&"${proxy[1]}"
    read -r answer <&"${proxy[0]}" && [ "$answer" = done ] || fatal "the proxy says '$answer'"
}
read -r line <&"${proxy[0]}" && [ "$line" = ready ] || fatal "the proxy says '$line'"

hf 1 ring create testring --listen "$net.1:$port" --advertise "$net.9:$port" --space 1G \
    >"$scratch/authority" 2>&1 || fatal "create: $(cat "$scratch/authority")"
start 1
started 1 || fatal "$(cat "$scratch/log1")"
code=$(hf 1 ring invite) || fatal "invite"

tell refuse 3
expect 0 "" hf 2 ring join "$code" --listen "$net.2:$port" --space 1G

code=$(hf 1 ring invite) || fatal "invite"
tell refuse 1000
expect 13 "tried 5 times: .*closed" hf 3 ring join "$code" --listen "$net.3:$port" --space 1G
tell refuse 0
expect 0 "" hf 3 ring join "$code" --listen "$net.3:$port" --space 1G
start 2
start 3
all_see up 3 1
stop 1 || bad "node 1: exit $?"
exit 0

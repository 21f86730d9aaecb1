#!/bin/bash
# A member moves to another address, and has two: whoever was there and whoever was away finds it.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/ring_lib.sh"

# knows NODE ADDRESS: NODE has heard that some member is there.
knows() {
    hf "$1" ring peers --json | python3 -c '
import json, sys
sys.exit(sys.argv[1] not in [p["address"] for p in json.load(sys.stdin)])' "$2"
}

make_ring 3
all_see up 3 1 2 3

# While node 2 is away node 3 moves; its first address is one where nobody answers.
stop 2 || bad "node 2: exit $?"
stop 3 || bad "node 3: exit $?"
printf '[ring]\nlisten = %s\nadvertise = %s, %s\n' "$net.3:4775" "$net.3:9" "$net.3:4775" \
    >"$(home 3)/config/holdfast.conf"
start 3
started 3
grep -q "^ready $net.3:4775" "$scratch/ready3" && ok "it listens where the file says" ||
    bad "ready: $(cat "$scratch/ready3")"
wait_for 60 "node 1 to hear where node 3 is" knows 1 "$net.3:9" && ok "who was there has heard it"
all_see up 2 1 3
stop 1 || bad "node 1: exit $?"
start 2
started 2
# Node 2 knows only where node 3 was, so node 3 must find node 2, and tell it.
wait_for 60 "node 2 to hear where node 3 is" knows 2 "$net.3:9" && ok "who was away has heard it"
all_see up 2 2 3
start 1
started 1
all_see up 3 1 2 3

printf '[ring]\nadvertise = %s,\n' "$net.3:4775" >"$(home 3)/config/holdfast.conf"
stop 3 || bad "node 3: exit $?"
expect 1 "advertised" "$holdfastd" --home "$(home 3)"

grep -l "ERROR: AddressSanitizer\|runtime error" "$scratch"/log* &&
    bad "sanitizer: $(grep -h -m1 'ERROR: Addr\|runtime error' "$scratch"/log*)"
exit 0

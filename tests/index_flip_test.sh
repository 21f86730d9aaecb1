#!/usr/bin/env bash
# A byte of the index goes bad: the backup succeeds, or says so and the next one does. Never a crash
# without a word, never one again and again, never a snapshot that cannot be read.
. "$(dirname "$0")/lib.sh"
# What a rotten page makes the library do is no finding of the sanitizers.
if sanitized; then
    made_plain holdfast
    holdfast=$build/plain/holdfast
fi
tree=$scratch/tree
hf() { timeout 60 "$holdfast" --home "$scratch/home" "$@"; }
mkdir -p "$tree"
python3 - "$tree" <<'PY'
import random, sys
r = random.Random(1)
for i in range(400):
    with open("%s/file%d" % (sys.argv[1], i), "wb") as f:
        f.write(r.randbytes(600 + r.randrange(3000)))
PY
expect 0 "" hf init --store local
expect 0 "snapshot" hf backup "$tree"
expect 0 "snapshot" hf backup "$tree"
index=$(find "$scratch/home" -name data.mdb -path '*index-*')
[ -f "$index" ] || fatal "no index in $(find "$scratch/home")"

timeout 600 python3 - "$holdfast" "$scratch/home" "$tree" "$index" <<'PY' && ok "damaged indexes" || bad "damaged indexes"
import os, random, subprocess, sys

holdfast, home, tree, index = sys.argv[1:]
whole = open(index, "rb").read()
r = random.Random(2)
PAGE = 4096
flips = []
for page in range(len(whole) // PAGE):
    used = [i for i in range(PAGE) if whole[page * PAGE + i]]
    if used:
        # The page's header and its first pointers, then anything in it.
        flips += [(page * PAGE + at, bit) for at in r.sample(range(32), 10) for bit in (r.randrange(8),)]
        flips.append((page * PAGE + r.choice(used), 7))
flips = r.sample(flips, min(len(flips), 400)) + [(at, b) for at in range(0, 2 * PAGE, 409) for b in (0, 6)]
seen = {"done": 0, "told": 0}

def backup():
    with open(tree + "/new", "wb") as f:
        f.write(r.randbytes(3000))
    p = subprocess.run([holdfast, "--home", home, "backup", tree], capture_output=True, text=True, timeout=120)
    return p.returncode, p.stderr

for at, bit in flips:
    bad = bytearray(whole)
    bad[at] ^= 1 << bit
    with open(index, "wb") as f:
        f.write(bad)
    code, words = backup()
    if code == 0:
        seen["done"] += 1
    elif code == 1 and "index" in words:
        seen["told"] += 1
        code, words = backup()
        if code != 0:
            sys.exit("byte %d bit %d: the next backup: exit %d: %s" % (at, bit, code, words))
    else:
        sys.exit("byte %d bit %d: exit %d: %s" % (at, bit, code, words))
print(len(whole), len(flips), seen)
PY
expect 0 "" hf restore -t "$scratch/out" latest
same "$tree" "$scratch/out$tree" "what the last of them restores"
exit 0

#!/usr/bin/env bash
# Memory does not grow with the data: backup and restore of much of each kind, the peak measured and
# what is asked for limited. A build with sanitizers says nothing about memory: then a plain one is made.
. "$(dirname "$0")/lib.sh"
strange=$build/tests/strange_test
export PEAK_MAX=${PEAK_MAX:-$((192 << 20))} # bytes resident
export DATA_MAX=${DATA_MAX:-$((256 << 20))} # bytes asked for, resident or not: an allocation beyond fails
entries=${ENTRIES:-1000000}

# In memory where there is room, for it is many files.
place=$scratch
if [ "$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)" -gt 5000000 ] 2>/dev/null; then
    place=$(mktemp -d /dev/shm/holdfast-test.XXXXXX)
    trap 'code=$?; rm -rf "$place"; (exit $code); cleanup' EXIT
fi

if sanitized; then
    made_plain holdfast
    holdfast=$build/plain/holdfast
fi

# limited WHAT COMMAND...: it succeeds within both limits.
limited() {
    what=$1
    shift
    if timeout 250 python3 - "$@" >"$scratch/out" 2>&1 <<'PY'; then
import os, resource, subprocess, sys
limit = int(os.environ["DATA_MAX"])
run = subprocess.run(sys.argv[1:], preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)))
use = resource.getrusage(resource.RUSAGE_CHILDREN)
peak = use.ru_maxrss << 10
print("%d MiB, %.1f s of processor" % (peak >> 20, use.ru_utime + use.ru_stime))
sys.exit(run.returncode or (99 if peak > int(os.environ["PEAK_MAX"]) else 0))
PY
        ok "$what: $(tail -n 1 "$scratch/out")"
    else
        bad "$what: exit $?: $(tail -n 3 "$scratch/out")"
    fi
}
hf() { limited "$kind: $1" "$holdfast" --home "$place/home" "$@"; }

# What is in $place/source goes into a new vault, unchanged once more, then with a change below its first entry, then
# with another there and one behind its last, and comes back.
round() { # KIND COMPARER
    kind=$1
    timeout 60 "$holdfast" --home "$place/home" init >/dev/null 2>&1 || fatal "init"
    mkdir "$place/source/ first" && echo 1 >"$place/source/ first/file"
    hf backup "$place/source"
    hf backup "$place/source"
    head -c 2000 /dev/urandom >"$place/source/ first/file"
    hf backup "$place/source"
    head -c 3000 /dev/urandom >"$place/source/ first/file"
    echo 4444 >"$place/source/zz last"
    hf backup "$place/source"
    hf restore -t "$place/out" latest
    "$2" "$place/source" "$place/out$place/source" >"$scratch/difference" 2>&1 ||
        bad "$kind: not as it was: $(tail -n 3 "$scratch/difference")"
    rm -rf "$place/home" "$place/source" "$place/out"
    mkdir "$place/source"
}
in_all() { timeout 250 "$strange" compare "$@"; }
in_names() { diff <(list "$1") <(list "$2"); }
list() { find "$1" -printf '%P %s %T@ %m\n' | LC_ALL=C sort | sha256sum; }

mkdir "$place/source"
python3 - "$place/source/random" <<'PY'
import random, sys
r = random.Random(1)
with open(sys.argv[1], "wb") as f:
    for i in range(512):
        f.write(r.randbytes(1 << 21))
PY
round "1 GiB that does not compress" in_all

python3 - "$place/source" <<'PY'
import os, random, sys
r = random.Random(2)
for d in range(200):
    path = "%s/%d" % (sys.argv[1], d)
    os.mkdir(path)
    for i in range(200):
        with open("%s/%d" % (path, i), "wb") as f:
            f.write(r.randbytes(r.choice([0, 100, 600, 3000, 9000])))
PY
round "40,000 small files" in_all

python3 - "$place/source" "$entries" <<'PY'
import os, sys
os.chdir(sys.argv[1])
for i in range(int(sys.argv[2])):
    fd = os.open("file number %d" % i, os.O_WRONLY | os.O_CREAT, 0o644)
    if i % 2: os.write(fd, b"x")
    os.close(fd)
PY
round "a directory of $entries files" in_names

truncate -s 100G "$place/source/sparse"
for at in 3 40000 99000; do
    echo "data at $at" | dd of="$place/source/sparse" bs=1M seek="$at" conv=notrunc status=none
done
round "a sparse file of 100 GiB" in_all

python3 - "$place/source" <<'PY'
import os, sys
os.chdir(sys.argv[1])
with open("first", "w") as f:
    f.write("content")
try:
    os.setxattr("first", "user.large", os.urandom(60000))
except OSError:
    os.setxattr("first", "user.large", os.urandom(3000)) # as much as ext4 takes
for i in range(5000):
    os.link("first", "name %d" % i)
PY
round "5,000 names of a file with large attributes" in_all

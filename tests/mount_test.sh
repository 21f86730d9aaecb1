#!/usr/bin/env bash
# The mount: every day as it was, errors, damage. Wants root and /dev/fuse.
. "$(dirname "$0")/lib.sh"
hf=$scratch/hf # a program, because timeout runs no functions
printf '#!/bin/sh\nexec "%s" --home "%s" "$@"\n' "$holdfast" "$scratch/home" >"$hf"
chmod +x "$hf"
[ -e /dev/fuse ] || {
    echo "SKIP: no /dev/fuse here"
    exit 0
}
data=$scratch/data
mnt=$scratch/mnt
mkdir "$mnt"
mounts+=("$mnt")
make_tree "$data" 1
mkfifo "$data/fifo"
mkdir "$data/empty"
touch -d '1960-02-03 04:05:06.789' "$data/empty"
[ "$(id -u)" != 0 ] || {
    mknod "$data/device" c 5 7
    chown 1234:5678 "$data/a/b"
}
mkdir "$data/many"
(cd "$data/many" && seq -f 'entry number %g' 5000 | xargs -d '\n' touch)

expect 0 "recovery code" "$hf" init
expect 0 "snapshot" "$hf" backup --host machine --time "2025-12-31 12:00:00" "$data"
cp -a "$data" "$scratch/day1"
echo more >>"$data/d/new"
rm -f "$data/big"
expect 0 "snapshot" "$hf" backup --host machine --time "2026-01-02 03:04:05" "$data"
cp -a "$data" "$scratch/day2"

# ---- where one cannot mount ----
expect 1 "No such file" "$hf" mount "$scratch/nonexistent"
touch "$scratch/file"
expect 1 "not a directory" "$hf" mount "$scratch/file"
expect 1 "not empty" "$hf" mount "$data"
expect 1 "no holdfast mount" "$hf" umount "$mnt"
expect 1 "" "$hf" mount -o no_such_option "$mnt"
[ "$(grep -c . "$scratch/stderr")" = 1 ] && ok "one line" || bad "$(cat "$scratch/stderr")"

# ---- the days ----
expect 0 "" "$hf" mount "$mnt"
expect 1 "mounted on it already" "$hf" mount "$mnt"
[ "$(timeout 20 ls "$mnt")" = machine ] && ok "hosts" || bad "hosts: $(ls "$mnt")"
[ "$(timeout 20 ls -x "$mnt/machine")" = "2025  2026  latest" ] && ok "years" || bad "years: $(ls "$mnt/machine")"
[ "$(readlink "$mnt/machine/latest")" = 2026/0102 ] && ok "latest" || bad "latest: $(readlink "$mnt/machine/latest")"
[ "$(stat -c %Y "$mnt/machine/2025/1231")" = "$(date -d '2025-12-31 12:00:00' +%s)" ] && ok "time of a dump" || bad "time of a dump"
[ "$(stat -c %Y "$mnt/machine")" = "$(date -d '2026-01-02 03:04:05' +%s)" ] && ok "time of a host" || bad "time of a host"
same "$scratch/day1" "$mnt/machine/2025/1231$data" "day 1"
same "$scratch/day2" "$mnt/machine/latest$data" "day 2"
[ "$(timeout 60 ls "$mnt/machine/latest$data/many" | wc -l)" = 5000 ] && ok "a large directory" || bad "a large directory"
[ "$(id -u)" != 0 ] || [ "$(stat -c '%F %t %T' "$mnt/machine/latest$data/device")" = "character special file 5 7" ] &&
    ok "a device" || bad "a device: $(stat -c '%F %t %T' "$mnt/machine/latest$data/device")"
[ "$(stat -c %s "$mnt/machine/2025/1231$data/big")" = 9000000 ] && ok "size" || bad "size"
expect 1 "Read-only" touch "$mnt/machine/latest$data/x"
expect 1 "No such file" cat "$mnt/machine/latest$data/nonexistent"
expect 2 "No such file" ls "$mnt/other"

# Names looked up one by one, last first, without the listing before.
expect 0 "" "$hf" umount "$mnt"
expect 0 "" "$hf" mount "$mnt"
found=$(cd "$mnt/machine/2026/0102$data/many" && seq 5000 -50 1 | while read -r i; do
    [ -f "entry number $i" ] && echo yes
done | wc -l)
[ "$found" = 100 ] && ok "names of a large directory" || bad "$found of 100 names found"

# Any part of a file, in any order.
python3 - "$scratch/day1/big" "$mnt/machine/2025/1231$data/big" <<'PY' && ok "parts of a file" || bad "parts of a file"
import os, random, sys
want = open(sys.argv[1], "rb").read()
got = os.open(sys.argv[2], os.O_RDONLY)
r = random.Random(5)
for _ in range(300):
    at, n = r.randrange(len(want) + 10), r.choice([1, 100, 5000, 400000])
    os.posix_fadvise(got, 0, 0, os.POSIX_FADV_DONTNEED)
    if os.pread(got, n, at) != want[at:at + n]:
        sys.exit("differs at %d" % at)
PY

# Twenty files at once, and one file by twenty.
readers=()
for i in $(seq 20); do
    timeout 60 cmp "$scratch/day2/a/f$i" "$mnt/machine/latest$data/a/f$i" >/dev/null 2>&1 || [ ! -e "$scratch/day2/a/f$i" ] &
    readers+=($!)
    timeout 60 cmp "$scratch/day1/big" "$mnt/machine/2025/1231$data/big" >/dev/null 2>&1 &
    readers+=($!)
done
differ=0
for p in "${readers[@]}"; do wait "$p" || differ=$((differ + 1)); done
[ $differ = 0 ] && ok "forty readers at once" || bad "$differ of 40 readers"

# ---- inode numbers from mount to mount, and a snapshot that comes while mounted ----
numbers() { (cd "$mnt" && find . -printf '%i %p\0' | LC_ALL=C sort -z -k 2 | tr '\n\0' '?\n'); }
numbers >"$scratch/numbers1"
[ "$(cut -d ' ' -f 1 "$scratch/numbers1" | sort | uniq -d | wc -l)" = 0 ] && ok "no inode number twice" || bad "an inode number twice"
exec 5<"$mnt/machine/latest$data/a"
[ "$(id -u)" != 0 ] || expect 1 "somebody is using it" "$hf" umount "$mnt"
exec 5<&-
expect 0 "" "$hf" umount "$mnt"
mountpoint -q "$mnt" && bad "still mounted"
expect 0 "" "$hf" mount "$mnt"
numbers >"$scratch/numbers2"
cmp -s "$scratch/numbers1" "$scratch/numbers2" && ok "inode numbers stay" || bad "inode numbers: $(diff "$scratch/numbers1" "$scratch/numbers2" | head -n 3)"
echo third >"$data/third"
expect 0 "snapshot" "$hf" backup --host machine --time "2026-01-02 13:14:15" "$data"
listed() { ls "$mnt/machine/2026" | grep -qx "$1"; }
wait_for 30 "the third snapshot" listed 01021
latest_is() { [ "$(readlink "$mnt/machine/latest")" = "$1" ]; }
wait_for 30 "latest to move" latest_is 2026/01021
same "$data" "$mnt/machine/latest$data" "day 2, second"
expect 0 "" "$hf" umount "$mnt"

# ---- in the foreground, until a signal ----
for signal in TERM INT; do
    # A background job of a script ignores SIGINT unless it is told otherwise.
    python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$holdfast" --home "$scratch/home" mount -f "$mnt" 2>"$scratch/log" &
    server=$!
    pids+=($server)
    wait_for 30 "the mount" mountpoint -q "$mnt"
    timeout 20 ls "$mnt/machine/latest" >/dev/null || bad "ls in the foreground"
    kill -$signal $server
    wait $server
    [ $? = 0 ] && ok "SIG$signal ends it" || bad "SIG$signal: $(cat "$scratch/log")"
    mountpoint -q "$mnt" && bad "still mounted after SIG$signal"
done

# ---- what is damaged is an error, never other bytes ----
largest=$(find "$scratch/home/state/store" -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2-)
python3 - "$largest" <<'PY'
import os, sys
f = os.open(sys.argv[1], os.O_RDWR)
size = os.fstat(f).st_size
for part in (3, 4, 5, 6):
    at = size * part // 10
    old = os.pread(f, 2000, at)
    os.pwrite(f, bytes(b ^ 0x55 for b in old), at)
PY
"$holdfast" --home "$scratch/home" mount -f "$mnt" 2>"$scratch/log" &
server=$!
pids+=($server)
wait_for 30 "the mount" mountpoint -q "$mnt"
python3 - "$scratch/day1" "$mnt/machine/2025/1231$data" <<'PY' && ok "damage is EIO, the rest is right" || bad "damage"
import errno, os, sys
damaged = right = 0
for top, dirs, names in os.walk(os.fsencode(sys.argv[1])):
    for name in names:
        path = os.path.join(top, name)
        if os.path.islink(path) or not os.path.isfile(path):
            continue
        want = open(path, "rb").read()
        try:
            got = open(os.fsencode(sys.argv[2]) + path[len(os.fsencode(sys.argv[1])):], "rb").read()
            if got != want:
                sys.exit("wrong bytes: %r" % path)
            right += 1
        except OSError as e:
            if e.errno != errno.EIO:
                sys.exit("%r: %s" % (path, e))
            damaged += 1
print(damaged, "damaged,", right, "right")
if damaged == 0 or right == 0:
    sys.exit(1)
PY
grep -q "mount: /machine/2025/1231.*block" "$scratch/log" && ok "the log names it" || bad "log: $(head -n 3 "$scratch/log")"
expect 0 "" "$hf" umount "$mnt"
wait $server
[ $? = 0 ] && ok "umount ends it" || bad "the server's exit: $(tail -n 3 "$scratch/log")"

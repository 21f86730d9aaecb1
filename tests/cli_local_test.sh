#!/usr/bin/env bash
# One machine without a ring, through the command line: the story, the errors, kills.
. "$(dirname "$0")/lib.sh"
hf() { timeout 120 "$holdfast" --home "$scratch/home" "$@"; }
data=$scratch/data
make_tree "$data" 1

# ---- the story ----
expect 10 "run 'holdfast init'" hf backup "$data"
expect 0 "recovery code" hf init
grep -qE '^hfr1-[a-z2-7-]+$' "$scratch/stdout" || bad "no recovery code on stdout"
expect 1 "there is one already" hf init
expect 0 "snapshot" hf backup "$data"
cp -a "$data" "$scratch/day1"
echo more >>"$data/d/new"
rm -f "$data/big"
expect 0 "snapshot" hf backup "$data"
expect 0 "" hf restore -t "$scratch/out1" latest~1
same "$scratch/day1" "$scratch/out1$data" "restored day 1"
expect 0 "" hf restore -t "$scratch/out2" "latest:$data"
touch -r "$data" "$scratch/out2"; chmod --reference="$data" "$scratch/out2"
same "$data" "$scratch/out2" "restored day 2 into DIR itself"
expect 0 "" hf restore -t "$scratch/out3" "latest:$data/d/new"
cmp -s "$scratch/out3/new" "$data/d/new" && ok "one file" || bad "one file"
[ "$(hf snapshots --json | grep -c '"schema": *1')" = 2 ] && ok "two snapshots" || bad "snapshots --json"
expect 0 "" hf ls -lR latest
grep -q "$data/d/new" "$scratch/stdout" && ok "ls" || bad "ls does not name the new file"
expect 0 "" hf status
grep -q '^AT RISK$' "$scratch/stdout" && ok "status" || bad "status: $(cat "$scratch/stdout")"
expect 0 "" hf version
expect 0 "" "$holdfast" -h

# A local store elsewhere, and another home with another vault: two machines, one disk.
expect 0 "recovery code" "$holdfast" --home "$scratch/home2" init --store "local:$scratch/disk"
expect 0 "snapshot" "$holdfast" --home "$scratch/home2" backup --host other --tag t --time "2026-02-03 04:05:06" "$data/d"
"$holdfast" --home "$scratch/home2" snapshots | grep -q 'other/2026/0203.*#t' && ok "host, time, tag" || bad "host, time, tag"
"$holdfast" --home "$scratch/home2" restore -t "$scratch/out4" other/2026/0203 2>/dev/null
same "$data/d" "$scratch/out4$data/d" "by its name"

# A home and a store below what is backed up are not backed up into themselves.
mkdir -p "$scratch/user/docs" && cp -a "$data/d" "$scratch/user/docs/"
own() { timeout 120 "$holdfast" --home "$scratch/user/.holdfast" "$@"; }
expect 0 "" own init --store "local:$scratch/user/disk"
expect 0 "" own backup "$scratch/user"
expect 0 "" own backup --json "$scratch/user"
stored=$(grep -o '"data_stored":[0-9]*' "$scratch/stdout" | cut -d : -f 2)
[ "$stored" -le 131072 ] && ok "the second run stored $stored bytes" || bad "the store went into itself: $stored bytes"
expect 0 "" own restore -t "$scratch/out6" "latest:$scratch/user"
same "$data/d" "$scratch/out6/docs/d" "beside the store"
[ -z "$(ls -A "$scratch/out6/disk")" ] && ok "the store itself is left out" || bad "the store was backed up"

# Nor is a mount that shows every past day.
if [ -c /dev/fuse ] && [ "$(id -u)" = 0 ]; then
    mkdir "$scratch/user/dump"
    mounts+=("$scratch/user/dump")
    expect 0 "" own mount "$scratch/user/dump"
    expect 0 "" own backup "$scratch/user"
    [ -z "$(own ls -R "latest:$scratch/user/dump")" ] && ok "the mount is left out" || bad "the dumps were backed up"
    expect 0 "" own umount "$scratch/user/dump"
fi

# The store is gone: one line says what to do, and doing it works.
mv "$scratch/user/disk" "$scratch/user/disk.old"
expect 1 "remove head-[0-9a-f]* from the state directory" own backup "$scratch/user/docs"
mv "$scratch/user/disk" "$scratch/user/disk.empty" 2>/dev/null
mv "$scratch/user/disk.old" "$scratch/user/disk"
expect 0 "snapshot" own backup "$scratch/user/docs"
rm -rf "$scratch/user/disk"
rm "$scratch/user/.holdfast/state/head-"*
expect 0 "snapshot" own backup "$scratch/user/docs"
expect 0 "" own restore -t "$scratch/out7" "latest:$scratch/user/docs"
same "$data/d" "$scratch/out7/d" "begun anew on a new store"

# ---- errors: one line each: what, why, what to do ----
expect 2 "unknown verb" hf nonsense
expect 2 "unknown option" hf backup --nonsense
expect 2 "no PATH" hf backup
expect 2 "wants a value" hf backup --tag
expect 2 "restore wants -t" hf restore latest
expect 10 "holdfast snapshots" hf restore -t "$scratch/x" 2020-01-01
expect 10 "no such file" hf ls latest:/nonexistent
expect 1 "No such file" hf backup /nonexistent/path
[ "$(grep -c . "$scratch/stderr")" -le 2 ] || bad "more than two lines"
expect 3 "No such file" hf backup /nonexistent/path "$data"
[ "$(id -u)" != 0 ] || {
    chmod 777 "$scratch/home/config"
    expect 1 "chmod 700" hf snapshots
    chmod 700 "$scratch/home/config"
    chmod 644 "$scratch/home/config/vault.key"
    expect 1 "chmod 600" hf snapshots
    chmod 600 "$scratch/home/config/vault.key"
}
echo wrong >"$scratch/wrong"
echo right >"$scratch/right"
expect 0 "" "$holdfast" --home "$scratch/home3" init --passphrase-file "$scratch/right"
expect 12 "HOLDFAST_PASSPHRASE_FILE" "$holdfast" --home "$scratch/home3" snapshots
expect 12 "wrong passphrase" env HOLDFAST_PASSPHRASE_FILE="$scratch/wrong" "$holdfast" --home "$scratch/home3" snapshots
expect 0 "" env HOLDFAST_PASSPHRASE_FILE="$scratch/right" "$holdfast" --home "$scratch/home3" snapshots

# A second writer is refused, and told who the first is.
python3 - "$scratch/home/state/vault.lock" "$scratch/locked" <<'PY' &
import fcntl, os, sys, time
f = open(sys.argv[1], "r+")
fcntl.flock(f, fcntl.LOCK_EX)
f.truncate(0); f.write("%d backup\n" % os.getpid()); f.flush()
open(sys.argv[2], "w").close()
time.sleep(300)  # until it is killed
PY
locker=$!
pids+=($locker)
wait_for 20 "the lock" test -e "$scratch/locked"
expect 11 "in use by process $locker backup" hf backup "$data"
expect 0 "" hf snapshots # readers take no lock
kill $locker
wait $locker 2>/dev/null

# Mount points. (The mount itself: fuse tests.)
expect 1 "" hf mount "$scratch/nonexistent"
touch "$scratch/file"
expect 1 "not a directory" hf mount "$scratch/file"
expect 1 "not empty" hf mount "$data"

# A full disk: refused clearly, and what was there before is still there.
if [ "$(id -u)" = 0 ] && mkdir "$scratch/small" && mount -t tmpfs -o size=16m tmpfs "$scratch/small" 2>/dev/null; then
    mounts+=("$scratch/small")
    expect 0 "" "$holdfast" --home "$scratch/small/home" init
    expect 0 "" "$holdfast" --home "$scratch/small/home" backup "$data/d"
    head -c 30000000 /dev/urandom >"$data/huge"
    expect 14 "are left on the disk of the store" "$holdfast" --home "$scratch/small/home" backup "$data"
    [ "$(grep -c . "$scratch/stderr")" = 1 ] && ok "one line" || bad "$(cat "$scratch/stderr")"
    rm "$data/huge"
    expect 0 "" "$holdfast" --home "$scratch/small/home" restore -t "$scratch/out5" latest
    same "$data/d" "$scratch/out5$data/d" "the snapshot before"
    umount "$scratch/small"
fi

# ---- SIGKILL at random moments ----
rm -rf "$scratch/home" "$scratch/out"*
expect 0 "" hf init
expect 0 "" hf backup "$data"
cp -a "$data" "$scratch/before"
head -c 500000000 /dev/urandom >"$data/random"
# How long a whole run takes here tells where the kills fall.
cp -a "$scratch/home" "$scratch/home.first"
start=$(date +%s%N)
expect 0 "" hf backup "$data"
whole=$((($(date +%s%N) - start) / 1000000))
rm -rf "$scratch/home" && mv "$scratch/home.first" "$scratch/home"
rounds=20
for i in $(seq $rounds); do
    "$holdfast" --home "$scratch/home" backup "$data" >/dev/null 2>&1 &
    victim=$!
    # A moment somewhere in the run: this is the one place where time itself is meant.
    perl -e 'select undef, undef, undef, $ARGV[0] / 1000' $((whole * i / (rounds + 1)))
    kill -KILL $victim 2>/dev/null
    wait $victim 2>/dev/null
    if [ $((i % 5)) = 0 ]; then
        rm -rf "$scratch/out"
        hf restore -t "$scratch/out" latest~0 >/dev/null 2>&1 || bad "after kill $i nothing can be restored"
        if [ -e "$scratch/out$data/random" ]; then break; fi # a run was through before its kill
        same "$scratch/before" "$scratch/out$data" "the snapshot before, after kill $i"
    fi
done
# What was acknowledged is not stored again: the last kill fell late in a run.  (Of the last tenth of a second the
# index does not know; that may be 100 MB.)
expect 0 "snapshot" hf backup --json "$data"
stored=$(grep -o '"data_stored":[0-9]*' "$scratch/stdout" | cut -d : -f 2)
[ "$stored" -lt 200000000 ] && ok "the last run stored $stored bytes" || bad "stored $stored of 500 MB again"
rm -rf "$scratch/out"
expect 0 "" hf restore -t "$scratch/out" latest
same "$data" "$scratch/out$data" "the run after the kills"

# ---- the one record of the store is damaged: said, not "there is none" ----
h=$scratch/record
mkdir -p "$scratch/few" && echo few >"$scratch/few/file"
expect 0 "" "$holdfast" --home "$h" init --store local
expect 0 "" "$holdfast" --home "$h" backup "$scratch/few"
segment=$(ls "$h"/state/store/segments/*.log | tail -n 1)
printf '\xff' | dd of="$segment" bs=1 seek=$(($(stat -c %s "$segment") - 300)) conv=notrunc status=none
expect 6 "damaged" "$holdfast" --home "$h" restore -t "$scratch/none" latest
expect 6 "damaged" "$holdfast" --home "$h" snapshots
expect 0 "" "$holdfast" --home "$h" backup "$scratch/few"
expect 0 "" "$holdfast" --home "$h" restore -t "$scratch/again" latest

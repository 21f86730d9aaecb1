#!/usr/bin/env bash
# holdfast restore through the command line: its options, exit codes, kills, a full disk.
. "$(dirname "$0")/lib.sh"
hf() { timeout 120 "$holdfast" --home "$scratch/home" "$@"; }
number() { grep -o "\"$1\":[0-9]*" "$scratch/stdout" | tail -n 1 | cut -d : -f 2; }
expect_number() { # NAME VALUE WHAT
    [ "$(number "$1")" = "$2" ] && ok "$3" || bad "$3: $1 is $(number "$1"), want $2"
}
data=$scratch/data
make_tree "$data" 3
expect 0 "recovery code" hf init
expect 0 "snapshot" hf backup "$data"
files=$(find "$data" -type f -printf . | wc -c)
others=$(find "$data" ! -type f ! -type d -printf . | wc -c)

# ---- usage ----
expect 2 "restore wants -t" hf restore latest
expect 2 "one SNAP" hf restore -t "$scratch/x" latest more
expect 2 "always, if-changed, if-newer, never" hf restore -t "$scratch/x" --overwrite often latest
expect 2 "include" hf restore -t "$scratch/x" -i '[a' latest
expect 10 "" hf restore -t "$scratch/x" "latest:$data/nothing"
[ ! -e "$scratch/x/nothing" ] || bad "something was made"

# ---- a dry run, the run, and the same once more ----
expect 0 "would restore $files files" hf restore -n -t "$scratch/new" latest
[ ! -e "$scratch/new" ] && ok "a dry run makes nothing" || bad "a dry run made DIR"
grep -q "^write $data/big$" "$scratch/stdout" && ok "and says what" || bad "dry run: $(head -n 3 "$scratch/stdout")"
expect 0 "$files verified, 0 differ" hf restore --verify -t "$scratch/out" latest
same "$data" "$scratch/out$data" "restored"
describe "$scratch/out" >"$scratch/before"
find "$scratch/out$data" -printf '%i %C@ %P\n' | LC_ALL=C sort >"$scratch/inodes"
expect 0 "" hf restore --json -t "$scratch/out" latest
expect_number files_restored 0 "again: no file is restored"
expect_number bytes_written 0 "again: nothing is written"
expect_number unchanged $((files + others)) "again: all is unchanged"
find "$scratch/out$data" -printf '%i %C@ %P\n' | LC_ALL=C sort | cmp -s - "$scratch/inodes" &&
    ok "again: no inode is touched" || bad "again: inodes differ"
expect 0 "" hf restore --json --overwrite if-changed -t "$scratch/out" latest
expect_number unchanged $((files + others)) "if-changed: all is unchanged"

# ---- what is there ----
printf X | dd of="$scratch/out$data/big" bs=1 seek=4000000 conv=notrunc 2>/dev/null
echo extra >"$scratch/out$data/a/extra"
mkdir "$scratch/out$data/a/more"
echo extra >"$scratch/out$data/a/more/extra"
expect 0 "" hf restore -n --delete -t "$scratch/out" latest
grep -q "^delete $data/a/more$" "$scratch/stdout" && grep -q "^write $data/big$" "$scratch/stdout" &&
    ok "dry run: delete and write" || bad "dry run: $(cat "$scratch/stdout")"
[ -e "$scratch/out$data/a/more/extra" ] || bad "the dry run deleted"
expect 0 "kept" hf restore --overwrite never -t "$scratch/out" latest
expect 0 "3 deleted" hf restore --delete -t "$scratch/out" latest
same "$data" "$scratch/out$data" "put right"

# ---- a part of it ----
expect 0 "" hf restore -t "$scratch/part" -i '*.c' -i "$data/a" -e f1 latest
[ -d "$scratch/part$data/a/b/c" ] && [ ! -e "$scratch/part$data/d" ] && [ ! -e "$scratch/part$data/big" ] &&
    ok "include" || bad "include: $(cd "$scratch/part" && find . | head)"
[ -z "$(find "$scratch/part" -name f1)" ] && ok "exclude" || bad "exclude"
expect 0 "" hf restore -t "$scratch/one" --verify "latest:$data/big"
cmp -s "$data/big" "$scratch/one/big" && ok "one file" || bad "one file"

# ---- what was taken as right and is not ----
touch -r "$scratch/out$data/big" "$scratch/stamp"
printf X | dd of="$scratch/out$data/big" bs=1 seek=4000000 conv=notrunc 2>/dev/null
touch -r "$scratch/stamp" "$scratch/out$data/big"
expect 6 "big: verify" hf restore --verify --overwrite if-changed -t "$scratch/out" latest

# ---- a program that runs cannot be written to: a new file takes its place ----
cp "$(command -v sleep)" "$data/program"
expect 0 "snapshot" hf backup "$data"
expect 0 "" hf restore -t "$scratch/out" latest
python3 -c 'import sys
f = open(sys.argv[1], "r+b"); f.seek(-1, 2); b = f.read(1); f.seek(-1, 2); f.write(bytes([b[0] ^ 1]))' "$scratch/out$data/program"
"$scratch/out$data/program" 300 &
pids+=($!)
wait_for 20 "the program" sh -c "readlink /proc/$!/exe | grep -q program"
expect 0 "restored 1 files" hf restore -t "$scratch/out" latest
same "$data" "$scratch/out$data" "over a running program"

# ---- interrupted and killed, then finished: also when nothing is to be overwritten ----
head -c 80000000 /dev/urandom >"$data/random"
expect 0 "snapshot" hf backup "$data"
for how in INT KILL; do
    rm -rf "$scratch/broken"
    "$holdfast" --home "$scratch/home" restore -t "$scratch/broken" latest >/dev/null 2>&1 &
    victim=$!
    # Once it is at it; it may be through before the signal comes.
    wait_for 60 "the restore" test -e "$scratch/broken$data"
    kill -$how $victim 2>/dev/null
    wait $victim 2>/dev/null
    got=$?
    case $got in
    0 | 130 | 137) ok "$how: exit $got" ;;
    *) bad "$how: exit $got" ;;
    esac
    expect 0 "" hf restore --overwrite never --verify -t "$scratch/broken" latest
    same "$data" "$scratch/broken$data" "finished after $how"
done

# ---- a full disk ----
if [ "$(id -u)" = 0 ] && command -v mkfs.ext4 >/dev/null && truncate -s 32M "$scratch/small.img" &&
    mkfs.ext4 -q "$scratch/small.img" && mkdir "$scratch/small" &&
    mount -o loop "$scratch/small.img" "$scratch/small" 2>/dev/null; then
    mounts+=("$scratch/small")
    expect 14 "space" hf restore -t "$scratch/small/out" latest
    [ "$(wc -l <"$scratch/stderr")" -le 12 ] && ok "a full disk is said once" || bad "a full disk: $(wc -l <"$scratch/stderr") lines"
    umount "$scratch/small"
fi

# ---- two names of a file with room set aside: its holes look different once it was read ----
mkdir "$scratch/links"
if fallocate -l 300000 "$scratch/links/a" 2>/dev/null; then
    head -c 30000 /dev/urandom | dd of="$scratch/links/a" bs=1000 seek=100 conv=notrunc status=none
    truncate -s 900000 "$scratch/links/a"
    ln "$scratch/links/a" "$scratch/links/b"
    expect 0 "" hf backup "$scratch/links"
    expect 0 "" hf restore -t "$scratch/linked" latest
    [ "$(stat -c %h "$scratch/linked$scratch/links/b")" = 2 ] && ok "still one file" || bad "two files"
    same "$scratch/links" "$scratch/linked$scratch/links" "both names"
fi

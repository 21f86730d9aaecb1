#!/usr/bin/env bash
# The options of `holdfast backup`, through the command line.
. "$(dirname "$0")/lib.sh"
hf() { timeout 120 "$holdfast" --home "$scratch/home" "$@"; }
names() { # what the newest snapshot has below a directory, one line
    (cd / && hf ls -R "latest:$1" | sed -n "s|^.*\($1/\)||p" | LC_ALL=C sort | tr '\n' ' ')
}
saved() { # "WHAT" NAMES: what the newest snapshot has below the data
    got=$(names "$data")
    [ "$got" = "$2" ] && ok "$1" || bad "$1: '$got', want '$2'"
}
backups() { hf snapshots --json | grep -o '"schema"' | wc -l; }
field() { grep -o "\"$1\":[0-9]*" "$scratch/stdout" | cut -d : -f 2; }

data=$scratch/data
mkdir -p "$data"/{src/.git,cache/below,build,keep}
echo 1 >"$data/src/a.c"; echo 2 >"$data/src/a.o"; echo 3 >"$data/src/.git/x"
echo 4 >"$data/build/out"; echo 5 >"$data/keep/a.o"; echo 6 >"$data/cache/below/y"
printf 'Signature: 8a477f597d28d172789f06886806bc55\n# a cache\n' >"$data/cache/CACHEDIR.TAG"
head -c 5000 /dev/zero >"$data/large"
expect 0 "recovery code" hf init

# ---- dry run ----
expect 0 "would save 8 files" hf backup -n "$data"
[ "$(backups)" = 0 ] && ok "a dry run makes no snapshot" || bad "a dry run made a snapshot"
expect 0 "snapshot" hf backup "$data"
everything=$(names "$data")
echo new >"$data/new"; echo changed >"$data/build/out"
expect 0 ": 1 entries new, " hf backup --dry-run -v "$data"
grep -qx "new  *$data/new" "$scratch/stdout" && grep -qx "changed  *$data/build/out" "$scratch/stdout" &&
    ! grep -q "a\.c" "$scratch/stdout" && ok "-v names what is new and changed" || bad "-n -v: $(cat "$scratch/stdout")"
expect 0 "" hf backup -n -vv --json "$data"
[ "$(field entries_new)" = 1 ] && [ "$(field changed_bytes)" = 12 ] && grep -q '"dry_run":true' "$scratch/stdout" &&
    grep -q '"action":"unchanged".*a\.c' "$scratch/stdout" && ok "-n --json" || bad "-n --json: $(cat "$scratch/stdout")"
rm "$data/new"
lock=$(find "$scratch/home" -name vault.lock)
expect 11 "" flock "$lock" "$holdfast" --home "$scratch/home" backup "$data"
expect 0 "would save" flock "$lock" "$holdfast" --home "$scratch/home" backup -n "$data"
[ "$(backups)" = 1 ] && ok "one snapshot still" || bad "$(backups) snapshots"

# ---- exclusions ----
expect 0 "" hf backup -e '*.o' --exclude .git -e '!keep/a.o' -e "!$data/keep/a.o" "$data"
saved "patterns" "build build/out cache cache/CACHEDIR.TAG cache/below cache/below/y keep keep/a.o large src src/a.c "
printf '# what can be made again\r\n\n*.o   \n/nowhere/build\nbuild/\n\\!x\n' >"$scratch/patterns"
expect 0 "" hf backup --exclude-file "$scratch/patterns" -e /cache "$data"
saved "a file of patterns" "cache cache/CACHEDIR.TAG cache/below cache/below/y keep large src src/.git src/.git/x src/a.c "
noted=$(hf snapshots --json | tr -d '\n ' | grep -o '"options":\[[^]]*' | tail -n 1)
[ "$noted" = "\"options\":[\"exclude-file=$scratch/patterns\",\"exclude=/cache\"" ] &&
    ok "the snapshot says what was left out" || bad "options: $noted"
expect 0 "" hf backup --exclude-file - "$data" < <(echo 'src')
[[ $(names "$data") != *src* ]] && ok "patterns from stdin" || bad "patterns from stdin"
expect 0 "" hf backup "$data" && [ "$(names "$data")" = "$everything" ] && ok "all is back" || bad "all: $(names "$data")"
expect 0 "" hf backup --exclude-caches "$data"
saved "caches" "build build/out cache cache/CACHEDIR.TAG keep keep/a.o large src src/.git src/.git/x src/a.c src/a.o "
echo 'Signature: none' >"$data/build/CACHEDIR.TAG"
expect 0 "" hf backup --exclude-if-present .git --exclude-if-present y --exclude-larger-than 4K --exclude-caches "$data"
saved "marks and sizes" "build build/CACHEDIR.TAG build/out cache cache/CACHEDIR.TAG keep keep/a.o src src/.git "
rm "$data/build/CACHEDIR.TAG"
# A PATH is taken whatever the patterns say, also one below what is left out.
expect 0 "" hf backup -e cache -e below -e '*.o' "$data" "$data/cache/below" "$data/src/a.o"
saved "paths below what is left out" "build build/out cache cache/below cache/below/y keep large src src/.git src/.git/x src/a.c src/a.o "
expect 0 "" hf backup --exclude-caches "$data/cache" "$data/src/a.c"
saved "a cache that was asked for" "cache cache/CACHEDIR.TAG cache/below cache/below/y src src/a.c "
expect 2 "without its ']'" hf backup -e '[a' "$data"
expect 1 "exclude-file: .*nope" hf backup --exclude-file "$scratch/nope" "$data"
expect 2 "exclude-larger-than" hf backup --exclude-larger-than ten "$data"
expect 2 "not a file's name" hf backup --exclude-if-present a/b "$data"

# ---- lists of paths ----
printf '%s\n\n%s\n' "$data/src/a.c" "$data/keep" >"$scratch/list"
expect 0 "" hf backup --files-from "$scratch/list" "$data/large"
saved "files-from" "keep keep/a.o large src src/a.c "
expect 0 "" hf backup --files-from - <"$scratch/list"
saved "files-from stdin" "keep keep/a.o src src/a.c "
expect 3 "gone" hf backup --files-from <(echo "$data/gone"; echo "$data/large")
expect 2 "no path" hf backup --files-from /dev/null
mkdir "$data/many"
(cd "$data/many" && seq -f 'f%05.0f' 1 5000 | xargs touch)
find "$data/many" -type f >"$scratch/many"
expect 0 "5000 files" hf backup --files-from "$scratch/many"
hf snapshots --json | grep -q "$data/many\"" && ok "many paths are named by their directory" || bad "the paths of 5000 files"
rm -r "$data/many"

# ---- stdin ----
expect 0 "" hf backup "$data"
head -c 3000000 /dev/urandom >"$scratch/dump"
expect 0 "1 files" hf backup --stdin --stdin-filename db/today.sql <"$scratch/dump"
hf restore -t "$scratch/out" latest 2>/dev/null
cmp -s "$scratch/dump" "$scratch/out/db/today.sql" && ok "stdin" || bad "stdin came back otherwise"
[ "$(stat -c %a "$scratch/out/db/today.sql")" = 644 ] && ok "its mode" || bad "its mode"
expect 0 "1 files" hf backup --stdin < <(echo small)
hf restore -t "$scratch/out" latest 2>/dev/null
[ "$(cat "$scratch/out/stdin")" = small ] && ok "a small one" || bad "a small one"
# Between two snapshots of files it does not make the second one read all again.
expect 0 "" hf backup --json "$data"
[ "$(field files_unmodified)" = 8 ] && ok "the parent is the one of the same paths" || bad "unmodified: $(field files_unmodified)"
expect 1 "stdin: read" hf backup --stdin <"$data"
expect 2 "name no paths" hf backup --stdin "$data"
expect 2 "without --stdin" hf backup --stdin-filename x "$data"
expect 2 "no name for a file" hf backup --stdin --stdin-filename a/../b
expect 2 "only once" hf backup --stdin --exclude-file -

# ---- holdfast.conf ----
conf=$(find "$scratch/home" -name holdfast.conf)
cat >>"$conf" <<CONF
[backup]
paths = $data/src $data/with\ space
    $data/holder
exclude = *.o .git
exclude = with\ blank
exclude-file = $scratch/patterns2
exclude-caches = yes
one-file-system = yes
compression = fastest
CONF
echo 'more*' >"$scratch/patterns2"
mkdir "$data/holder" && cp -a "$data/cache" "$data/holder/"
mkdir "$data/with space"; touch "$data/with space/"{'with blank',blank,more1}
expect 0 "" hf backup
saved "holdfast.conf" "holder holder/cache holder/cache/CACHEDIR.TAG src src/a.c with space with space/blank "
expect 0 "" hf backup -e '!*.o' "$data/src"
saved "the command line decides" "src src/a.c src/a.o "
sed -i 's/^exclude-caches = .*/exclude-caches = perhaps/' "$conf"
expect 2 "exclude-caches" hf backup
sed -i '/^\[backup\]/,$d' "$conf"

# ---- mounts, in a name space of our own ----
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
    mkdir -p "$data/mnt/proc"
    cat >"$scratch/mounts.sh" <<'MOUNTS'
set -e
holdfast=$1 home=$2 data=$3
mount -t tmpfs none "$data/mnt" && mkdir "$data/mnt/inner" "$data/mnt/proc" && echo x >"$data/mnt/x"
mount -t tmpfs none "$data/mnt/inner" && echo y >"$data/mnt/inner/y"
mount -t proc none "$data/mnt/proc"
"$holdfast" --home "$home" backup "$data"
"$holdfast" --home "$home" backup -x "$data" --tag one
"$holdfast" --home "$home" backup -x "$data" "$data/mnt/inner" --tag two
"$holdfast" --home "$home" backup -x "$data/mnt" --tag three
MOUNTS
    expect 0 "" timeout 120 unshare -m sh "$scratch/mounts.sh" "$holdfast" "$scratch/home" "$data"
    below() { (cd / && hf ls -R "$1:$data/mnt" | sed -n "s|^.*\($data/mnt/\)||p" | LC_ALL=C sort | tr '\n' ' '); }
    [ "$(below latest~3)" = "inner inner/y proc x " ] && ok "mounts are entered, but /proc" || bad "mounts: $(below latest~3)"
    [ "$(below latest~2)" = "" ] && ok "-x" || bad "-x: $(below latest~2)"
    [ "$(below latest~1)" = "inner inner/y " ] && ok "-x with a path on another file system" || bad "-x, two paths: $(below latest~1)"
    [ "$(below latest)" = "inner proc x " ] && ok "-x on a mount itself" || bad "-x of a mount: $(below latest)"

    # A file system that comes back as another device is the same one.
    cat >"$scratch/loops.sh" <<'LOOPS'
set -e
holdfast=$1 home=$2 dir=$3
mkfs.ext4 -q "$dir/a.img" 8M && cp "$dir/a.img" "$dir/b.img" && mkdir "$dir/a" "$dir/b"
mount -o loop "$dir/a.img" "$dir/a"
for i in 1 2 3 4 5; do echo $i >"$dir/a/f$i" && ln "$dir/a/f$i" "$dir/a/g$i"; done
stat -c %d "$dir/a/f1"
"$holdfast" --home "$home" backup -q "$dir/a"
umount "$dir/a"
mount -o loop "$dir/b.img" "$dir/b" # takes the device that has become free
mount -o loop "$dir/a.img" "$dir/a"
stat -c %d "$dir/a/f1"
"$holdfast" --home "$home" backup -v "$dir/a"
umount "$dir/a" "$dir/b"
LOOPS
    mkdir "$scratch/loops"
    if command -v mkfs.ext4 >/dev/null && losetup -f >/dev/null 2>&1; then
        expect 0 "(10 unchanged)" timeout 120 unshare -m sh "$scratch/loops.sh" "$holdfast" "$scratch/home" "$scratch/loops"
        [ "$(grep -cE '^[0-9]+$' <(sort -u "$scratch/stdout"))" = 2 ] && ok "two devices" || ok "the same device again: nothing was tested"
        grep -q "$scratch/loops/a/" "$scratch/stdout" && bad "changed by a remount: $(cat "$scratch/stdout")" || ok "links do not change by a remount"
    fi
else
    ok "no mounts without root: left out"
fi

# ---- names on the terminal ----
expect 3 'bad\\x0a\\xff: ' hf backup "$data/src" "$data/bad"$'\n\xff'

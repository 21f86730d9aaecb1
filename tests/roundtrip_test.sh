#!/usr/bin/env bash
# Strange trees (strange_tree.h) come back as they were: from a local store, four of five from it, and
# from a ring. SEEDS=A..B runs others than 1..200; a seed that fails is named.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/five_lib.sh"
strange=$build/tests/strange_test
seeds=${SEEDS:-1..200}
first=${seeds%%..*} last=${seeds##*..}

takes_attributes() { # DIR
    touch "$1/probe" && setfattr -n user.probe -v x "$1/probe" && setfacl -m u:1:r "$1/probe" && rm "$1/probe"
}
# Where trees are made: below TMPDIR, and for seven seeds of eight in memory, which is faster (ext4
# is slow to make files where some were deleted just now). Both must take attributes.
places=("$scratch/place")
mkdir "${places[0]}"
if ! takes_attributes "${places[0]}" 2>/dev/null; then
    [ "$(id -u)" = 0 ] || fatal "$scratch: no extended attributes here; set TMPDIR"
    truncate -s 4G "$scratch/image" && mkfs.ext4 -q "$scratch/image" && mount -o loop "$scratch/image" "${places[0]}" ||
        fatal "no file system with extended attributes"
    mounts+=("${places[0]}")
fi
memory=$(mktemp -d /dev/shm/holdfast-test.XXXXXX 2>/dev/null)
workers=()
finish() {
    code=$?
    for w in "${workers[@]}"; do
        kill "$w" 2>/dev/null
        wait "$w" 2>/dev/null
    done
    # What a worker had started may go on for a moment.
    for _ in 1 2 3 4 5; do rm -rf ${memory:+"$memory"} 2>/dev/null && break || sleep 1; done
    (exit $code)
    cleanup
}
trap finish EXIT
if [ -n "$memory" ] && takes_attributes "$memory" 2>/dev/null; then places+=("$memory"); fi

# run WHAT COMMAND...: says what failed and how.
run() {
    what=$1
    shift
    timeout 300 "$@" >"$work/out" 2>&1 && return
    echo "$what: exit $?: $(head -c 1000 "$work/out")"
    return 1
}
hf() { run "$1" "$holdfast" --home "$home" "$@"; }
# Nobody else's program finds a difference either (where paths are not too long for it).
rsync_same() { # WANT GOT
    grep -Eq 'longest path ([0-9]{1,3}|[1-3][0-9]{3})$' "$work/out" || return 0
    run rsync rsync -aHAXn --checksum --delete --itemize-changes --max-size=1G "$1/" "$2/" || return
    [ ! -s "$work/out" ] || { echo "rsync would change: $(head -c 1000 "$work/out")"; return 1; }
}
# Over what is there, zeros that are right already are not made holes, nor the other way round.
restored() { # WANT GOT WHAT [COMPARE]
    run "$3" "$strange" "${4:-compare}" "$1" "$2"
}

# Two days of one seed; home is a vault, work an empty directory.
round_trip() { # SEED
    source=$work/source
    mkdir "$source" "$work/again"
    run make "$strange" make "$1" "$source" &&
        hf backup "$source" &&
        hf restore -t "$work/restored" latest &&
        restored "$source" "$work/restored$source" "the first day" &&
        rsync_same "$source" "$work/restored$source" &&
        run change "$strange" change "$1" "$source" &&
        hf backup "$source" &&
        hf restore --delete -t "$work/restored" latest &&
        restored "$source" "$work/restored$source" "the second day, over the first" compare-bytes &&
        rsync_same "$source" "$work/restored$source" &&
        hf restore -t "$work/first" latest~1 &&
        run make "$strange" make "$1" "$work/again" &&
        restored "$work/again" "$work/first$source" "the first day again"
}
one_seed() { # SEED [HOME]: a failure is a file
    work=${places[$(($1 % 8 == 0 ? 0 : ${#places[@]} - 1))]}/$1
    home=${2:-$work/home}
    mkdir "$work"
    said=$({ [ -n "${2:-}" ] || hf init; } && round_trip "$1") || echo "seed $1: $said" >"$scratch/failed.$1"
    rm -rf "$work"
}
local_seeds() { # PART OF
    for ((seed = first; seed <= last; seed++)); do
        [ $((seed % 5)) != 4 ] && [ $((seed / 5 % $2)) = "$1" ] || continue
        one_seed "$seed"
    done
}
ring_seeds() {
    for ((seed = first; seed <= last; seed++)); do
        [ $((seed % 5)) = 4 ] || continue
        one_seed "$seed" "$scratch/n1"
    done
}

start_ring 5
expect 0 "recovery code" on 1 init --store ring
local_seeds 0 2 &
workers+=($!)
local_seeds 1 2 &
workers+=($!)
ring_seeds
wait "${workers[@]}"
workers=()
for f in "$scratch"/failed.*; do
    [ -e "$f" ] && bad "$(cat "$f")"
done
[ "$failures" = 0 ] && ok "seeds $seeds, on $(stat -f -c %T "${places[@]}" | tr '\n' ' ')"

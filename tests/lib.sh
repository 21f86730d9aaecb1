# Shared by the shell tests: tests/<name>_test.sh BUILD_DIR. Sourced.
set -u
build=$1
holdfast=$build/holdfast
holdfastd=$build/holdfastd
# Programs under the sanitizers are slower; nothing here measures time, only waits for conditions.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0}
unset HOLDFAST_HOME
scratch=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-test.XXXXXX")
pids=()
mounts=()
failures=0

cleanup() {
    status=$?
    trap - EXIT
    for m in "${mounts[@]}"; do
        mountpoint -q "$m" && { fusermount3 -u "$m" 2>/dev/null || umount -l "$m" 2>/dev/null; }
    done
    for p in "${pids[@]}"; do kill -KILL "$p" 2>/dev/null; done
    wait 2>/dev/null
    [ "$(type -t at_exit)" = function ] && at_exit # of the test
    [ -n "${KEEP:-}" ] && echo "kept: $scratch" || rm -rf "$scratch"
    [ "$failures" = 0 ] || status=1
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

sanitized() { grep -q '^HOLDFAST_SANITIZE:[A-Z]*=..*' "$build/CMakeCache.txt"; }
# made_plain TARGET: builds it without sanitizers, as $build/plain/TARGET. One test at a time.
made_plain() {
    local sources
    sources=$(cd "$(dirname "$0")/.." && pwd)
    (
        flock 9
        [ -e "$build/plain/CMakeCache.txt" ] || cmake --preset release -S "$sources" -B "$build/plain" || exit
        timeout 500 cmake --build "$build/plain" -j "$(nproc)" --target "$1"
    ) 9>"$build/plain.lock" >"$scratch/plain.log" 2>&1 || fatal "the plain build: $(tail -n 5 "$scratch/plain.log")"
}

ok() { echo "ok: $*"; }
bad() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}
fatal() {
    bad "$*"
    exit 1
}

# expect CODE "TEXT IN STDERR" COMMAND...: one line on stderr that says so.
expect() {
    want=$1 text=$2
    shift 2
    if [ "$(type -t "$1")" = function ]; then # it has its own time limit
        "$@" >"$scratch/stdout" 2>"$scratch/stderr"
    else
        timeout 120 "$@" >"$scratch/stdout" 2>"$scratch/stderr"
    fi
    got=$?
    if [ "$got" != "$want" ]; then
        bad "exit $got, want $want: $*: $(cat "$scratch/stderr")"
    elif [ -n "$text" ] && ! grep -qe "$text" "$scratch/stderr"; then
        bad "no '$text' in: $(cat "$scratch/stderr")"
    else
        ok "exit $want${text:+, '$text'}"
    fi
}

# wait_for SECONDS "WHAT" COMMAND...: until it succeeds.
wait_for() {
    limit=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $limit ] || { bad "waited too long for $what"; return 1; }
        sleep 0.05 # between two looks at the condition
    done
}

# One line for each file: type, mode, owner, size, time, link; then the contents.
describe() {
    (cd "$1" && find . -printf '%y %m %U %G %T@ %l %P\n' | LC_ALL=C sort &&
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum)
}
same() { # WANT GOT WHAT
    if diff <(describe "$1") <(describe "$2") >"$scratch/difference" 2>&1; then
        ok "$3: identical"
    else
        bad "$3 differs: $(head -n 3 "$scratch/difference")"
    fi
}

# Some hundred files of many sizes in $1, from seed $2.
make_tree() {
    mkdir -p "$1"/{a/b/c,d,"with space"}
    python3 - "$1" "$2" <<'PY'
import os, random, sys
root, seed = sys.argv[1], int(sys.argv[2])
r = random.Random(seed)
dirs = ["", "a", "a/b", "a/b/c", "d", "with space"]
for i in range(200):
    size = r.choice([0, 10, 500, 600, 3000, 20000, 70000, 300000])
    body = r.randbytes(size) if i % 2 else (b"line %d of a text file\n" % i) * (size // 20)
    p = os.path.join(root, r.choice(dirs), "f%d" % i)
    with open(p, "wb") as f:
        f.write(body)
    os.chmod(p, r.choice([0o644, 0o600, 0o755, 0o4711, 0o0]))
    os.utime(p, ns=(1, r.randrange(10**18, 2 * 10**18)))
with open(os.path.join(root, "big"), "wb") as f:
    f.write(r.randbytes(9000000))
os.symlink("big", os.path.join(root, "link"))
os.symlink("/nowhere", os.path.join(root, "dangling"))
open(os.path.join(os.fsencode(root), b"\xff not utf-8\n"), "w").write("x")
PY
}

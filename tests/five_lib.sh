# A ring of daemons for the shell tests. Sourced after lib.sh. Each run has an address of its own
# below 127/8, so that tests at the same time do not meet.
net=127.$((RANDOM % 200 + 20)).$((RANDOM % 250 + 1))
declare -a daemon

start_daemon() { # NUMBER: returns when it serves
    : >"$scratch/ready$1"
    "$holdfastd" --home "$scratch/n$1" >"$scratch/ready$1" 2>>"$scratch/daemon$1.log" &
    daemon[$1]=$!
    pids+=("${daemon[$1]}")
    wait_for 60 "daemon $1" grep -q '^ready ' "$scratch/ready$1" ||
        fatal "daemon $1: $(tail -n 3 "$scratch/daemon$1.log")"
}
kill_daemon() { # NUMBER [SIGNAL]
    kill "-${2:-KILL}" "${daemon[$1]}"
    wait "${daemon[$1]}" 2>/dev/null
    daemon[$1]=""
}
on() { # NUMBER ARGUMENT...: holdfast of that home
    node=$1
    shift
    timeout 300 "$holdfast" --home "$scratch/n$node" "$@"
}
states() { on "$1" ring peers --json 2>/dev/null | grep -o "\"state\": *\"$2\"" | wc -l; }
all_up() { [ "$(states "$1" up)" = "$2" ]; } # SEEN-BY COUNT
some_away() { [ "$(states "$1" away)" = "$2" ]; }

start_ring() { # COUNT
    on 1 ring create test --listen "$net.1:4774" >/dev/null 2>"$scratch/stderr" || fatal "create: $(cat "$scratch/stderr")"
    start_daemon 1
    for n in $(seq 2 "$1"); do
        code=$(on 1 ring invite 2>"$scratch/stderr") || fatal "invite: $(cat "$scratch/stderr")"
        on "$n" ring join "$code" --listen "$net.$n:4774" >/dev/null 2>"$scratch/stderr" || fatal "join: $(cat "$scratch/stderr")"
        start_daemon "$n"
    done
    for n in $(seq "$1"); do wait_for 60 "node $n to see all $1" all_up "$n" "$1"; done
}

#!/bin/bash
# What a daemon does with those who are no members, or do not keep to the protocol: each is
# refused or dropped within 10 s with one line in the log, and the members notice nothing.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/ring_lib.sh"

make_ring 2
all_see up 2 1 2

python3 - "$net.1" "$port" "$scratch" <<'PY' || bad "abuse"
import os, socket, ssl, struct, subprocess, sys, threading, time

host, port, scratch = sys.argv[1], int(sys.argv[2]), sys.argv[3]
LIMIT = 13.0  # 10 s, and the time that a loaded machine takes to say so
failures = []


def key(name, *kind):
    """A self-signed certificate that no ring knows."""
    path = os.path.join(scratch, name)
    subprocess.run(["openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-keyout",
                    path + ".key", "-out", path + ".crt", "-days", "2", "-subj", "/CN=x"],
                   check=True, capture_output=True)
    return path


def connect():
    return socket.create_connection((host, port), timeout=LIMIT)


def tls(certificate=None, version=ssl.TLSVersion.TLSv1_3):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = version
    if certificate:
        context.load_cert_chain(certificate + ".crt", certificate + ".key")
    return context.wrap_socket(connect())


def ends(name, s):
    """True when the daemon closes the connection in time."""
    start = time.monotonic()
    s.settimeout(LIMIT)
    try:
        while s.recv(65536):
            pass
    except (ConnectionError, ssl.SSLError) as e:
        if isinstance(e, ssl.SSLError) and "timed out" in str(e):
            failures.append(name + ": kept")
    except (TimeoutError, socket.timeout):
        failures.append(name + ": kept for %.0f s" % (time.monotonic() - start))
    finally:
        s.close()


def attempt(name, make):
    try:
        s = make()
    except (ConnectionError, ssl.SSLError):
        return  # refused in the handshake
    except (TimeoutError, socket.timeout):
        failures.append(name + ": no answer")
        return
    ends(name, s)


ed25519 = key("ed25519", "ed25519")
rsa = key("rsa", "rsa:2048")


def sending(make, data):
    def run():
        s = make()
        s.sendall(data)
        return s
    return run


def stranger():
    return tls(ed25519)


def slowly():
    """A byte now and then does not buy time."""
    s = stranger()
    s.sendall(struct.pack(">II", 1000, 0))
    end = time.monotonic() + LIMIT
    try:
        while time.monotonic() < end:
            s.sendall(b"x")
            time.sleep(0.5)  # the pace of the attack, nothing is waited for
    except (ConnectionError, ssl.SSLError):
        return s
    failures.append("slow bytes: kept")
    return s


cases = {
    "no certificate": lambda: tls(),
    "foreign certificate": lambda: tls(rsa),
    "TLS 1.2": lambda: tls(ed25519, ssl.TLSVersion.TLSv1_2),
    "random bytes": sending(connect, os.urandom(4096)),
    "silence before TLS": connect,
    "half a handshake": sending(connect, bytes([0x16, 3, 1, 2, 0, 1])),
    "silence after TLS": stranger,
    "oversize frame": sending(stranger, struct.pack(">II", 0x7fffffff, 5)),
    "oversize payload": sending(stranger, struct.pack(">II", 10, 0xffffffff)),
    "empty header": sending(stranger, struct.pack(">II", 0, 0)),
    "payload from a stranger": sending(stranger, struct.pack(">II", 2, 4096) + b"\x07\xf6"),
    "half a frame": sending(stranger, struct.pack(">II", 1000, 0) + b"x" * 500),
    "half a size": sending(stranger, b"\0\0"),
    "unknown kind": sending(stranger, struct.pack(">II", 2, 0) + b"\x18\x63"),
    "roster from a stranger": sending(stranger, struct.pack(">II", 2, 0) + b"\x05\xf6"),
    "ping from a stranger": sending(stranger, struct.pack(">II", 2, 0) + b"\x08\x01"),
    "no hello": sending(stranger, struct.pack(">II", 2, 0) + b"\x01\xf6"),
    "no request": sending(stranger, struct.pack(">II", 2, 0) + b"\x02\xf6"),
    "slow bytes": slowly,
}
threads = [threading.Thread(target=attempt, args=c) for c in cases.items()]
for t in threads:
    t.start()
open(os.path.join(scratch, "abused"), "w").write(str(len(cases)))
for t in threads:
    t.join()
for f in failures:
    print("FAILED:", f)
sys.exit(bool(failures))
PY
ok "all were dropped"
lines=$(grep -c 'dropped: \|may not join: ' "$scratch/log1")
[ "$lines" = "$(cat "$scratch/abused")" ] && ok "one line in the log for each" ||
    bad "$lines lines for $(cat "$scratch/abused"): $(grep dropped "$scratch/log1")"
grep -q 'lost' "$scratch/log1" "$scratch/log2" &&
    bad "the members' link broke: $(grep lost "$scratch"/log[12])"
all_see up 2 1 2

# More strangers than there is room for: the members' link stands, and one more can join.
python3 - "$net.1" "$port" >"$scratch/crowd" <<'PY' &
import socket, sys
crowd = [socket.create_connection((sys.argv[1], int(sys.argv[2]))) for _ in range(400)]
print("all in", flush=True)
sys.stdin.read()
for s in crowd:
    s.recv(1)
PY
crowd=$!
pids+=("$crowd")
wait_for 30 "a crowd of strangers" grep -q "all in" "$scratch/crowd"
code=$(hf 1 ring invite)
hf 3 ring join "$code" --listen "$net.3:$port" 2>"$scratch/join" && ok "a third joins" ||
    bad "join: $(cat "$scratch/join")"
start 3
started 3
all_see up 3 1 2 3
# A hundred lines a minute at most, however many knock; this takes less than two.
lines=$(grep -c 'dropped: ' "$scratch/log1")
[ "$lines" -le 200 ] && ok "$lines lines about 400 strangers" || bad "$lines lines about strangers"
for node in 1 2 3; do stop $node || bad "SIGTERM of $node: exit $?"; done
grep -l "ERROR: AddressSanitizer\|runtime error" "$scratch"/log* &&
    bad "sanitizer: $(grep -h -m1 'ERROR: Addr\|runtime error' "$scratch"/log*)"
exit 0

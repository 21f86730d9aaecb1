"""ring_judge.py STATUS...: `holdfast ring status --json` of all members that live. Silent when each
is up and on the ring, and each of its positions has exactly the others as predecessor and
successors, in the order of the circle; else says whose state is wrong, and exits 1."""
import hashlib
import json
import sys


def position(node, index):
    """Where it stands: position 0 is the node id (docs/formats.md, messages of the ring)."""
    if index == 0:
        return bytes.fromhex(node)
    return hashlib.sha256(bytes.fromhex(node) + bytes([index])).digest()


nodes = {}
for path in sys.argv[1:]:
    with open(path, encoding="ascii") as f:
        status = json.load(f)
    nodes[status["id"]] = status
circle = sorted(
    (position(node, index), node, index)
    for node, status in nodes.items()
    for index in range(len(status["routing"]["positions"]))
)
order = [node for _, node, _ in circle]
for i, (_, node, index) in enumerate(circle):
    status, routing = nodes[node], nodes[node]["routing"]
    place = routing["positions"][index]
    after = [order[(i + k) % len(order)] for k in range(1, len(order))]
    name = f"{node:.8}/{index}"
    if status["up"] != len(nodes) or place["mode"] != "ring":
        sys.exit(f"{name}: {status['up']} up, mode {place['mode']}")
    if place["successors"] != after[: routing["r"]] or place["predecessor"] != order[i - 1]:
        sys.exit(f"{name}: neighbours are {[s[:8] for s in place['successors']]}")
    if routing["table_size"] != len(order) or not set(place["fingers"]) <= set(order):
        sys.exit(f"{name}: table of {routing['table_size']} of {len(order)}")

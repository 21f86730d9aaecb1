"""ring_judge.py STATUS...: `holdfast ring status --json` of all members that live. Silent when each
is up and on the ring, with exactly the others as predecessor and successors, in the order of the
circle; else says whose state is wrong, and exits 1."""
import json
import sys

nodes = {}
for path in sys.argv[1:]:
    with open(path, encoding="ascii") as f:
        status = json.load(f)
    nodes[status["id"]] = status
order = sorted(nodes)
for i, node in enumerate(order):
    routing = nodes[node]["routing"]
    after = [order[(i + k) % len(order)] for k in range(1, len(order))]
    if nodes[node]["up"] != len(order) or routing["mode"] != "ring":
        sys.exit(f"{node:.8}: {nodes[node]['up']} up, mode {routing['mode']}")
    if routing["successors"] != after[: routing["r"]] or routing["predecessor"] != order[i - 1]:
        sys.exit(f"{node:.8}: neighbours are {[s[:8] for s in routing['successors']]}")
    if routing["table_size"] != len(order) or not set(routing["fingers"]) <= set(order):
        sys.exit(f"{node:.8}: table of {routing['table_size']}")

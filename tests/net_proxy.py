"""net_proxy.py LISTEN=TARGET...: carries TCP connections, badly when told to.

Each LISTEN and TARGET is ADDR:PORT. Commands, one per line of standard input, each answered by
"done": `delay MS` (each way), `loss PERCENT` (a lost segment comes 250 ms later, as retransmission
would bring it), `cut` (connections stand, nothing passes, new ones hang), `mend`, `refuse N` (the
next N connections are closed as soon as they are there)."""
import asyncio
import os
import random
import sys

RETRANSMISSION = 0.25
state = {"delay": 0.0, "loss": 0.0, "refuse": 0}
passing = asyncio.Event()


async def carry(reader, writer):
    """Bytes keep their order, whatever happens to each of them."""
    queue = asyncio.Queue(64)

    async def deliver():
        loop = asyncio.get_running_loop()
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(0, due - loop.time()))
            await passing.wait()
            if not data:
                break
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    async def collect():
        loop = asyncio.get_running_loop()
        data = b"-"
        while data:
            try:
                data = await reader.read(16384)
            except OSError:
                data = b""
            late = RETRANSMISSION if random.random() < state["loss"] else 0
            await queue.put((loop.time() + state["delay"] + late, data))

    try:
        await asyncio.gather(collect(), deliver())
    except OSError:
        pass


def server(target):
    async def serve(reader, writer):
        await passing.wait()
        if state["refuse"] > 0:
            state["refuse"] -= 1
            writer.close()
            return
        host, port = target.rsplit(":", 1)
        try:
            there_reader, there_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.close()
            return
        await asyncio.gather(carry(reader, there_writer), carry(there_reader, writer))
        for w in (writer, there_writer):
            w.close()

    return serve


async def main():
    passing.set()
    for pair in sys.argv[1:]:
        listen, target = pair.split("=")
        host, port = listen.rsplit(":", 1)
        await asyncio.start_server(server(target), host, int(port))
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        word, *rest = line.split()
        if word == "delay":
            state["delay"] = float(rest[0]) / 1000
        elif word == "loss":
            state["loss"] = float(rest[0]) / 100
        elif word == "refuse":
            state["refuse"] = int(rest[0])
        elif word == "cut":
            passing.clear()
        elif word == "mend":
            passing.set()
        print("done", flush=True)
    os._exit(0)  # the end of a test waits for no connection


asyncio.run(main())

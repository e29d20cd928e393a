"""Reads every frame on the named bridges and writes down the ones that matter. Runs beside the engine, on its network.

Arguments: interfaces. A line for each IP packet: interface, source, destination, protocol, and its bytes where they hold the
word canary; a packet without it is told once per (interface, source, destination, protocol).
"""

from __future__ import annotations

import json
import socket
import sys
import threading

LOCK = threading.Lock()
ETH_P_ALL = 3


def watch(interface: str) -> None:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.bind((interface, 0))
    seen: set[tuple[str, str, int]] = set()
    with LOCK:
        print(json.dumps({"ready": interface}), flush=True)
    while True:
        frame = sock.recv(65535)
        kind = int.from_bytes(frame[12:14], "big")
        if kind == 0x0800:
            source, target, protocol = socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34]), frame[23]
        elif kind == 0x86DD:
            source = socket.inet_ntop(socket.AF_INET6, frame[22:38])
            target, protocol = socket.inet_ntop(socket.AF_INET6, frame[38:54]), frame[20]
        else:
            continue
        at = frame.lower().find(b"canary")
        key = (source, target, protocol)
        if at < 0 and key in seen:
            continue
        seen.add(key)
        packet = {"on": interface, "from": source, "to": target, "protocol": protocol}
        if at >= 0:
            packet["data"] = frame[at : at + 80].decode("latin-1")
        with LOCK:
            print(json.dumps(packet), flush=True)


def main() -> None:
    threads = [threading.Thread(target=watch, args=(name,), daemon=True) for name in sys.argv[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()

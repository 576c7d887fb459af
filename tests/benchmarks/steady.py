"""Run inside a simulated network: echo requests at a steady pace, and their round trips on the card, as JSON.

python -m tests.benchmarks.steady ADDRESS PACKETS_PER_SECOND SECONDS
"""

import json
import socket
import struct
import sys
import time

from netprobe.live import stamps
from netprobe.live.codec import checksum

_DEVICE = "eth0"
_ALL_PROTOCOLS = 3  # linux/if_ether.h: what goes out is shown to such a socket only
_RECEIVE_BUFFER_FORCE = 33  # SO_RCVBUFFORCE: nothing is read before the end
_IDENT = 0x4242
_WAIT_S = 0.5
_ECHO, _ECHO_REPLY = 8, 0


def main(address: str, rate: float, seconds: float) -> None:
    """Send, wait for the last ones, and read what the kernel has stamped."""
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as card,
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as out,
    ):
        card.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCE, 1 << 27)
        card.bind((_DEVICE, _ALL_PROTOCOLS))
        card.settimeout(0)
        stamps.want_stamps(card)
        out.connect((address, 0))
        out.send(_request(0xFFFF))  # whoever is asked first waits for ARP
        time.sleep(_WAIT_S)
        requests = [_request(number) for number in range(round(rate * seconds))]
        began = time.monotonic()
        for number, request in enumerate(requests):
            ahead_s = began + number / rate - time.monotonic()
            if ahead_s > 0:
                time.sleep(ahead_s)
            out.send(request)
        took_s = time.monotonic() - began
        time.sleep(_WAIT_S)
        print(json.dumps({"sent": len(requests), "rate": len(requests) / took_s, "rtts": _round_trips(card)}))


def _request(number: int) -> bytes:
    body = struct.pack("!BBHHH", _ECHO, 0, 0, _IDENT, number) + bytes(48)
    return body[:2] + checksum(body).to_bytes(2) + body[4:]


def _round_trips(card: socket.socket) -> list[float]:
    left: dict[int, int] = {}
    found: list[float] = []
    while True:
        try:
            data, ancillary, _, _ = card.recvmsg(2048, 256)
        except BlockingIOError:
            return found
        if len(data) < 28 or data[9] != socket.IPPROTO_ICMP:
            continue
        kind, _, _, ident, number = struct.unpack_from("!BBHHH", data, 20)
        seconds, nanoseconds = struct.unpack(
            "@qq", next(value for _, what, value in ancillary if what == stamps.SO_TIMESTAMPNS)
        )
        at_ns = seconds * 1_000_000_000 + nanoseconds
        if (kind, ident) == (_ECHO, _IDENT) and number != 0xFFFF:
            left[number] = at_ns
        elif (kind, ident) == (_ECHO_REPLY, _IDENT) and number in left:
            found.append((at_ns - left.pop(number)) * 1e-9)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))

"""Run inside a simulated network with real packets: handshakes over the live vantage, as JSON in and out."""

import sys

from netprobe.live.vantage import LiveVantage
from netprobe.model.record import from_json, to_json
from netprobe.model.services import QuicHandshake
from netprobe.probing.ask import quic_handshake
from netprobe.probing.run import gather, run


def main() -> None:
    """Make those that the argument lists, side by side."""
    asked = from_json(sys.argv[1].encode(), tuple[QuicHandshake, ...])
    with LiveVantage() as vantage:
        sys.stdout.buffer.write(to_json(run(gather([quic_handshake(one) for one in asked]), vantage)))


if __name__ == "__main__":
    main()

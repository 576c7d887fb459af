"""`--pcap FILE`: what a vantage sends and gets, in a file for tcpdump and Wireshark."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from netprobe.cli.failure import Failure
from netprobe.cli.output import Output
from netprobe.live.vantage import LiveVantage
from netprobe.model.verdict import EXIT_CANNOT_MEASURE

_NOT_HERE = '--pcap: the network devices can be looked at with CAP_NET_RAW only; run "netprobe doctor"'


@contextmanager
def recorded(vantage: LiveVantage, output: Output) -> Iterator[None]:
    """Everything that belongs to the probes of `vantage` goes to `output`, from before the first one.

    Leaves alone what is there where nothing can be captured. A disk that fills up later ends the file, and not the
    measurement.
    """
    if not output.wanted:
        yield
        return
    from netprobe.capture import Capture

    if not vantage.look():
        raise Failure(_NOT_HERE, EXIT_CANNOT_MEASURE)
    try:
        capture = Capture(output.begin())
    except OSError as error:
        raise output.failure(error) from None
    try:
        vantage.record(capture)
        yield
    finally:
        vantage.record(None)
        capture.close()
        if capture.error:
            reason = capture.error.strerror or str(capture.error)
            sys.stderr.write(f"netprobe: --pcap: {output.path}: {reason}; it ends after {capture.packets} packets\n")

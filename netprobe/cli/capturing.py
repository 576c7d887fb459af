"""`--pcap FILE`: what a vantage sends and gets, in a file for tcpdump and Wireshark."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from netprobe.cli.failure import Failure
from netprobe.live.vantage import LiveVantage
from netprobe.model.verdict import EXIT_CANNOT_MEASURE

_NOT_HERE = '--pcap: the network devices can be looked at with CAP_NET_RAW only; run "netprobe doctor"'


@contextmanager
def recorded(vantage: LiveVantage, path: Path | None) -> Iterator[None]:
    """Everything that belongs to the probes of `vantage` goes to a file at `path`, from before the first one.

    Refuses a place that cannot be written while nothing has been sent yet, and leaves alone what is there where nothing
    can be captured. A disk that fills up later ends the file, and not the measurement.
    """
    if path is None:
        yield
        return
    from netprobe.capture import Capture

    if str(path) == "-":
        raise Failure("--pcap: standard output is for the answer; name a file")
    if not vantage.look():
        raise Failure(_NOT_HERE, EXIT_CANNOT_MEASURE)
    try:
        capture = Capture(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise Failure(f"--pcap: {path}: {reason}; name a file in a folder that is there and yours") from None
    try:
        vantage.record(capture)
        yield
    finally:
        vantage.record(None)
        capture.close()
        if capture.error:
            reason = capture.error.strerror or str(capture.error)
            sys.stderr.write(f"netprobe: --pcap: {path}: {reason}; it ends after {capture.packets} packets\n")

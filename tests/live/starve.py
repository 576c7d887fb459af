"""Run a command and keep it from the processor: `starve.py SECONDS TIMES COMMAND...`.

Once packets leave this network namespace it is stopped for so long and continued for a moment, so many times. Its
standard output is passed through.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

_MOMENT_S = 0.15
_PATIENCE_S = 30.0
_FEW = 5


def packets_sent() -> int:
    """IP packets that this namespace has sent (RFC 4293: ipOutRequests)."""
    names, values = [row.split() for row in Path("/proc/net/snmp").read_text().splitlines() if row.startswith("Ip:")]
    return int(values[names.index("OutRequests")])


def main(seconds: float, times: int, *command: str) -> int:
    """Start it, wait until it measures, starve it, and wait for its end."""
    before = packets_sent()
    with subprocess.Popen(command) as process:
        until = time.monotonic() + _PATIENCE_S
        while packets_sent() < before + _FEW and process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        for _ in range(times):
            if process.poll() is not None:
                break
            process.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            process.send_signal(signal.SIGCONT)
            time.sleep(_MOMENT_S)
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))

"""What a service manager wants to hear: systemd's sd_notify(3) protocol, a datagram to $NOTIFY_SOCKET."""

import contextlib
import os
import socket


def notify(state: str) -> None:
    """Send `READY=1`, `WATCHDOG=1`, `STATUS=...` or `STOPPING=1`; nothing happens where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket, unix(7)
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect(address)
        sock.sendall(state.encode())


def watchdog_s() -> float | None:
    """How often the service manager wants to hear from us, half of its limit; None when it does not."""
    try:
        limit_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
        pid = int(os.environ.get("WATCHDOG_PID", "0"))
    except ValueError:
        return None
    return limit_s / 2 if limit_s > 0 and pid in {0, os.getpid()} else None

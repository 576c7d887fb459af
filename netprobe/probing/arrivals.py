"""What a connection brings once a request has left, by its bytes alone, whether or not they can be read yet."""

from typing import TypedDict


class Arrived(TypedDict):
    """Fields of a `Response`."""

    arrived_bytes: int
    quiet_s: float | None
    pause_s: float | None


class Arrivals:
    """Counts the bytes of one answer, and how long there were none."""

    def __init__(self) -> None:
        self._since: float | None = None  # the request left, or bytes came
        self._bytes = 0
        self._pause_s = 0.0
        self._read = False

    def asked(self, now: float) -> None:
        """The request has left."""
        self._since = now

    def came(self, size: int, now: float) -> None:
        """So many bytes are there; before the request nothing counts."""
        if self._since is None:
            return
        if not self._read:
            self._pause_s = max(self._pause_s, now - self._since)
        self._bytes += size
        self._since = now

    def read(self) -> None:
        """The first byte of the answer can be read."""
        self._read = True

    def told(self, error: str, now: float) -> Arrived:
        """What there is to tell at the end."""
        quiet = error == "timeout" and self._bytes and self._since is not None
        return {
            "arrived_bytes": self._bytes,
            "quiet_s": now - self._since if quiet and self._since is not None else None,
            "pause_s": self._pause_s if self._read else None,
        }

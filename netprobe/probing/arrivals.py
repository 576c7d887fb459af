"""What a connection brings once a request has left, by its bytes alone, whether or not they can be read yet."""

from typing import TypedDict

POINTS = 32  # of a curve: as many as twenty equal parts of its time need
_DIGITS = 4  # of a second: a tenth of a millisecond


class Arrived(TypedDict):
    """Fields of a `Response`."""

    arrived_bytes: int
    quiet_s: float | None
    pause_s: float | None
    curve: tuple[tuple[float, int], ...]


class Arrivals:
    """Counts the bytes of one answer, when they came, and how long there were none."""

    def __init__(self) -> None:
        self._asked_s = 0.0
        self._since: float | None = None  # the request left, or bytes came
        self._bytes = 0
        self._pause_s = 0.0
        self._read = False
        self._curve: list[tuple[float, int]] = []
        self._apart_s = 0.0  # points of the curve are at least so far from each other

    def asked(self, now: float) -> None:
        """The request has left."""
        self._asked_s = self._since = now

    def came(self, size: int, now: float) -> None:
        """So many bytes are there; before the request nothing counts."""
        if self._since is None:
            return
        if not self._read:
            self._pause_s = max(self._pause_s, now - self._since)
        self._bytes += size
        self._since = now
        self._draw(now - self._asked_s)

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
            "curve": tuple((round(at, _DIGITS), size) for at, size in self._curve),
        }

    def _draw(self, at: float) -> None:
        """One point more, or the last one moved; where there are too many, those that are close together go."""
        if len(self._curve) > 1 and at - self._curve[-2][0] < self._apart_s:
            self._curve.pop()
        self._curve.append((at, self._bytes))
        while len(self._curve) > POINTS:
            self._apart_s = 2 * self._apart_s or (at - self._curve[0][0]) / (2 * POINTS) or 1e-9
            kept = self._curve[:1]
            for point, after in zip(self._curve[1:], [*self._curve[2:], None], strict=True):
                if after is None or after[0] - kept[-1][0] >= self._apart_s:
                    kept.append(point)
            self._curve = kept

"""How much a TCP connection has under way: slow start, congestion avoidance and fast recovery (RFC 5681, RFC 6582).

There is no selective acknowledgement: of several losses in one flight each takes a round trip, as without SACK.
"""

_INITIAL = 10.0  # segments (RFC 6928)
_LEAST = 2.0
_REPEATED = 3  # acknowledgements of the same number that tell of a loss (RFC 5681, 3.2)


class Window:
    """Counts in segments, as Linux does."""

    def __init__(self) -> None:
        self._size = _INITIAL
        self._threshold = float("inf")
        self._repeated = 0
        self._recovering = False

    def has_room(self, flight: int) -> bool:
        """Whether one more segment may leave beside `flight` of them."""
        return flight < self._size

    def acknowledged(self, segments: int, *, whole: bool) -> bool:
        """So many more have arrived; `whole`: with all that was under way when a loss was noticed.

        Says whether another one of those is lost, which then goes again.
        """
        self._repeated = 0
        if self._recovering:
            if not whole:
                return True
            self._recovering = False
            self._size = self._threshold
        elif self._size < self._threshold:
            self._size += segments
        else:
            self._size += segments / self._size
        return False

    def repeated(self, flight: int) -> bool:
        """The same number was acknowledged once more. Says whether the first segment is lost, which then goes again."""
        self._repeated += 1
        if self._recovering:
            self._size += 1.0  # a segment has left the network
            return False
        if self._repeated != _REPEATED:
            return False
        self._recovering = True
        self._threshold = max(_LEAST, flight / 2)
        self._size = self._threshold + _REPEATED
        return True

    def timed_out(self, flight: int) -> None:
        """Nothing was acknowledged for too long."""
        self._threshold = max(_LEAST, flight / 2)
        self._size = 1.0
        self._repeated = 0
        self._recovering = False

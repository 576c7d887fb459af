"""A wire whose raw sockets the broker holds: packets are handed to it, and it says what became of them.

What was collected leaves with `flush`, before anybody waits. The broker tells of a packet's departure before it hands
on what the packet drew, so stamps are there when a reply is looked at. Only what a socket of our own received (an
answer over UDP) can be faster: for that one `settle` waits a moment.
"""

import contextlib
import errno
import select
import socket
import time
from collections import deque
from typing import Any, NamedTuple

from netprobe.live import CannotMeasure, bpf
from netprobe.live.broker import limits, messages
from netprobe.live.broker.launch import Launched
from netprobe.live.reactor import READ, Reactor
from netprobe.live.stamps import Arrival, clocks
from netprobe.live.tap import Seen, Tap
from netprobe.live.wire import HEADER_FIRST, Listener, cannot_open

_CONFIGURED_WITHIN_S = 10.0
_AT_ONCE = 64  # messages that are read before the sessions get their turn
_PACKETS_A_BATCH = 64
_STAMP_WITHIN_S = 0.002  # the broker reads a stamp as soon as it has sent
_PATIENCE = 3  # so many stamps that did not come: this device makes none
_SENT_WITHIN_S = 1.0
_ANSWERED_WITHIN_S = 1.0
_MOST_LOOKS = 16  # at the tap, a batch of packets each
_MOST_PENDING = 8192
_NUMBERS = 0xFFFFFFFF

#: The kinds of arrivals, by the broker's index of the socket.
_KINDS = (HEADER_FIRST, HEADER_FIRST, socket.IPPROTO_ICMPV6, socket.IPPROTO_TCP)


class BrokerGone(Exception):  # noqa: N818  # a state of the machine, not a fault of the program
    """The process that held the raw sockets has ended, and this one cannot have another."""

    def __init__(self) -> None:
        super().__init__("the broker, the process that holds the raw sockets, has ended; start netprobe again")


class State(NamedTuple):
    """What the broker said of itself when it was ready: the filters of its sockets are locked.

    `v6`: it has sockets of IPv6. `filtered`: its system calls are filtered too.
    """

    pid: int
    v6: bool
    filtered: bool


class Broker:
    """The broker of this process, for as long as it lives. Its wires are lent, one at a time."""

    def __init__(self, launched: Launched) -> None:
        self._launched = launched
        self.channel = launched.channel
        self.blocks = bpf.Blocks(0, 0, 0)
        self.last_number = 0

    def configure(self, configuration: messages.Configuration) -> State:
        """Tell the broker what it may do, once and for all. Raises `CannotMeasure` when it cannot work, or is gone."""
        self.blocks = bpf.Blocks(configuration.first_port, configuration.ports, configuration.ident_base)
        self.channel.settimeout(_CONFIGURED_WITHIN_S)
        try:
            self.channel.send(configuration.pack())
            said = self.channel.recv(messages.LARGEST_MESSAGE)
        except OSError as error:
            raise cannot_open(error) from error
        if len(said) < messages.GREETING.size:
            raise CannotMeasure('the broker, which opens the raw sockets, ended at its start; run "netprobe doctor"')
        ready, v6, filtered, code = messages.GREETING.unpack_from(said)
        if not ready:
            raise cannot_open(OSError(code, said[messages.GREETING.size :].decode("utf-8", "replace")))
        self.channel.settimeout(0)
        return State(self._launched.pid, v6, filtered)

    def close(self) -> None:
        """Let it end, and wait until it has."""
        self._launched.close()

    def wire(self) -> "BrokeredWire":
        """A wire over this broker. What comes of an earlier one's probes is not told to it."""
        return BrokeredWire(self)


class BrokeredWire:
    """A wire whose raw sockets the broker holds."""

    def __init__(self, broker: Broker) -> None:
        self.blocks = broker.blocks
        self._broker = broker
        self._channel = broker.channel
        self._base = broker.last_number + 1  # the number of token 0
        self._pending: dict[int, None] = {}  # tokens of which there are no news yet, oldest first
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._batched: list[int] = []  # its tokens
        self._arrived: deque[tuple[int, Arrival]] = deque()
        self._telling = False
        self._answers: list[tuple[Any, ...]] = []
        self._overflowed = 0
        self._buffer = bytearray(messages.LARGEST_MESSAGE)
        self._missed = 0
        self._reactor: Reactor | None = None
        self._listener: Listener | None = None

    def attach(self, reactor: Reactor, listener: Listener) -> None:
        """Tell `listener` from now on, whenever `reactor` turns."""
        self._reactor, self._listener = reactor, listener
        reactor.watch(self._channel.fileno(), READ, self._readable)

    def close(self) -> None:
        """Tell nobody any more; the broker goes on."""
        if self._reactor:
            self._reactor.forget(self._channel.fileno())
        self._reactor = self._listener = None

    # -- out ----------------------------------------------------------------------------------------------------------

    def send(self, token: int, packet: bytes, destination: str, interface: int = 0) -> None:
        """Collect `packet`: its own header says where it goes."""
        del destination
        number = self._base + token
        self._broker.last_number = max(number, self._broker.last_number)
        self._pending[token] = None
        if len(self._pending) > _MOST_PENDING:
            del self._pending[next(iter(self._pending))]
        request = messages.REQUEST.pack(number & _NUMBERS, len(packet), interface) + packet
        self._batch.append(request)
        self._batched.append(token)
        self._batch_bytes += len(request)
        if len(self._batch) >= _PACKETS_A_BATCH or self._batch_bytes >= messages.BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand what was collected to the broker. Raises `BrokerGone`."""
        if not self._batch:
            return
        batch = b"".join(self._batch)
        tokens, self._batched = self._batched, []
        self._batch.clear()
        self._batch_bytes = 0
        until = time.monotonic() + _SENT_WITHIN_S
        while True:
            try:
                self._channel.send(batch)
            except BlockingIOError:
                if time.monotonic() >= until:
                    self._never_sent(tokens)
                    return
                self._read()  # it may wait for us to listen
                select.select((), (self._channel,), (), _STAMP_WITHIN_S)
            except OSError as error:
                raise BrokerGone from error
            else:
                return

    def _never_sent(self, tokens: list[int]) -> None:
        """The broker does not keep up."""
        for token in tokens:
            if self._pending.pop(token, 0) is None and self._listener:
                self._listener.failed(token, "ENOBUFS")

    # -- in -----------------------------------------------------------------------------------------------------------

    def settle(self, token: int) -> None:
        """Have the departure of `token` told, if it is known or about to be.

        Nothing to do for what the broker handed on: that the probe left was told before.
        """
        if self._telling or token not in self._pending or self._missed >= _PATIENCE:
            return
        self.flush()
        until = time.monotonic() + _STAMP_WITHIN_S
        while token in self._pending:
            left_s = until - time.monotonic()
            if left_s <= 0:
                self._missed += 1
                break
            select.select((self._channel,), (), (), left_s)
            self._read()
        self._tell_later()

    def open_tap(self) -> Tap | None:
        """Have the broker open it, and ask it what was seen."""
        answer = self.ask(messages.OPEN_TAP, messages.OPENED)
        return BrokeredTap(self) if answer and answer[-1][1] else None

    def overflowed(self) -> int:
        """How many packets the broker's sockets had no room for, ever."""
        answer = self.ask(messages.COUNT_OVERFLOWS, messages.OVERFLOWED)
        self._overflowed = int(answer[-1][1]) if answer else self._overflowed
        return self._overflowed

    def ask(self, command: bytes, last: int) -> list[tuple[Any, ...]]:
        """The answers to a command, up to the one of kind `last`; none when the broker has no time for them.

        What else comes meanwhile is told as always. Raises `BrokerGone`.
        """
        self.flush()
        self._answers.clear()
        try:
            self._channel.send(command)
        except BlockingIOError:
            return []
        except OSError as error:
            raise BrokerGone from error
        until = time.monotonic() + _ANSWERED_WITHIN_S
        while not self._answers or self._answers[-1][0] != last:
            left_s = until - time.monotonic()
            if left_s <= 0:
                return []
            select.select((self._channel,), (), (), left_s)
            self._read()
        self._tell_later()
        return list(self._answers)

    def tell(self, command: bytes) -> None:
        """Send a command that has no answer; a broker that has gone needs none."""
        with contextlib.suppress(OSError):
            self._channel.send(command)

    def _tell_later(self) -> None:
        if self._arrived and self._reactor:
            self._reactor.at(self._reactor.now(), self._tell_arrivals)

    def _readable(self) -> None:
        for _ in range(_AT_ONCE):
            read = self._read()
            self._tell_arrivals()
            if not read:
                return

    def _tell_arrivals(self) -> None:
        self._telling = True
        try:
            while self._arrived and self._listener:
                self._listener.arrived(*self._arrived.popleft())
        finally:
            self._telling = False

    def _read(self) -> bool:
        """Take one message: departures and failures are told at once, arrivals kept. Raises `BrokerGone`."""
        try:
            size = self._channel.recv_into(self._buffer)
        except BlockingIOError:
            return False
        except OSError as error:
            raise BrokerGone from error
        if not size:
            raise BrokerGone
        at = 0
        while at < size:
            at = self._record(self._buffer[at], at)
        return True

    def _record(self, kind: int, at: int) -> int:
        """Take the record at `at`; where the next one is."""
        if kind == messages.DEPARTED:
            _, number, at_s = messages.DEPARTURE.unpack_from(self._buffer, at)
            token = number - self._base & _NUMBERS
            if self._pending.pop(token, 0) is None and self._listener:
                self._missed = 0
                self._listener.departed(token, at_s)
            return at + messages.DEPARTURE.size
        if kind == messages.FAILED:
            _, number, code = messages.FAILURE.unpack_from(self._buffer, at)
            token = number - self._base & _NUMBERS
            if self._pending.pop(token, 0) is None and self._listener:
                self._listener.failed(token, limits.NAMES.get(code) or errno.errorcode.get(code, "EINVAL"))
            return at + messages.FAILURE.size
        if kind != messages.ARRIVED:
            return self._answer(kind, at)
        _, index, ttl, at_s, source_size, data_size = messages.ARRIVAL.unpack_from(self._buffer, at)
        at += messages.ARRIVAL.size
        source = self._buffer[at : at + source_size].decode("ascii", "replace")
        at += source_size
        waited_s = max(0.0, time.monotonic() - at_s)
        data = bytes(memoryview(self._buffer)[at : at + data_size])
        self._arrived.append((_KINDS[index], Arrival(data, at_s, source, 0, ttl, waited_s)))
        return at + int(data_size)

    def _answer(self, kind: int, at: int) -> int:
        """Keep an answer to a command; where the next record is."""
        layout = _ANSWERS[kind]
        fields = layout.unpack_from(self._buffer, at)
        at += layout.size
        if kind == messages.SEEN:
            *head, name_size, data_size = fields
            name = self._buffer[at : at + name_size].decode("utf-8", "replace")
            at += name_size
            fields = (*head, name, bytes(memoryview(self._buffer)[at : at + data_size]))
            at += int(data_size)
        self._answers.append(fields)
        return at


_ANSWERS = {
    messages.OPENED: messages.OPENING,
    messages.SEEN: messages.SIGHT,
    messages.LOOKED: messages.LOOK,
    messages.OVERFLOWED: messages.OVERFLOW,
}


class BrokeredTap:
    """A tap that the broker holds."""

    def __init__(self, wire: BrokeredWire) -> None:
        self._wire = wire
        self._missed = 0

    def read(self) -> list[Seen]:
        """What has been seen since, oldest first. Waits for the broker's answer only."""
        found: list[Seen] = []
        now, wall_ns = clocks()
        for _ in range(_MOST_LOOKS):
            *seen, (_, missed, more) = self._wire.ask(messages.READ_TAP, messages.LOOKED) or [
                (messages.LOOKED, 0, False)
            ]
            for _, outgoing, at_ns, device, data in seen:
                found.append(Seen(outgoing, device, at_ns, now - (wall_ns - at_ns) * 1e-9, data))
            self._missed += missed
            if not more:
                break
        return found

    def missed(self) -> int:
        """How many packets the kernel could not keep for us since this was asked last."""
        missed, self._missed = self._missed, 0
        return missed

    def close(self) -> None:
        """Have the broker look no longer."""
        self._wire.tell(messages.CLOSE_TAP)

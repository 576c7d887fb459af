"""The broker's life: open the raw sockets, give up all other rights, then send what may leave and pass on what comes.

What comes in is handed on unread, with its kernel stamp: no bug in reading packets can be reached here, and nobody else
holds a raw socket. News leaves in an order that makes sense: that a packet left comes before what it drew.
"""

import _socket
import errno
import os
import select
import struct
import time

from netprobe.live.broker import kernel, limits, messages, moments, sockets

TYPE_CHECKING = False  # the typing module is a megabyte
if TYPE_CHECKING:
    from typing import NoReturn

NAME = "netprobe-broker"
_CONFIGURED_WITHIN_S = 60.0  # the parent imports and reads files meanwhile
_LARGEST_PACKET = 65535
_TTLS = ((0, 2), (41, 52))  # IP_TTL, IPV6_HOPLIMIT
_MOST_FAILURES = 16
_SEEN_AS = (_socket.PACKET_OUTGOING, _socket.PACKET_HOST)


class Broker:
    """Serves one worker over `channel` until that is closed."""

    def __init__(
        self,
        channel: _socket.socket,
        raw: tuple[sockets.RawSockets, sockets.RawSockets | None],
        gate: limits.Gate,
        tap_filter: bytes,
    ) -> None:
        self._channel = channel
        self._gate = gate
        self._tap_filter = tap_filter
        self._tap: _socket.socket | None = None
        v4, v6 = raw
        self._senders = {4: v4.sender} | ({16: v6.sender} if v6 else {})
        self._departures = {size: moments.Departures(sender) for size, sender in self._senders.items()}
        self._receiving = {sock.fileno(): (index, sock) for index, sock in enumerate(sockets.receiving(v4, v6))}
        self._buffer = bytearray(_LARGEST_PACKET)
        self._message = bytearray(messages.LARGEST_MESSAGE)
        self._news: list[bytes] = []
        self._arrived: list[bytes] = []
        self._unsent: list[bytes] = []
        self._epoll = select.epoll()
        self._listen()

    def _listen(self) -> None:
        self._epoll.register(self._channel.fileno(), select.EPOLLIN)
        for descriptor in self._receiving:
            self._epoll.register(descriptor, select.EPOLLIN)
        for sender in self._senders.values():  # a stamp that comes later than its packet was sent
            self._epoll.register(sender.fileno(), select.EPOLLERR)

    def _be_deaf(self) -> None:
        """The worker does not keep up: let the kernel's queues fill, not our memory."""
        for descriptor in (*self._receiving, *(sender.fileno() for sender in self._senders.values())):
            self._epoll.unregister(descriptor)
        self._epoll.modify(self._channel.fileno(), select.EPOLLOUT)

    def run(self) -> None:
        """Serve until the worker is gone."""
        while self.turn(-1.0):
            pass

    def turn(self, timeout_s: float) -> bool:
        """Wait for whatever comes first and deal with all that has come; False when the worker is gone."""
        channel = self._channel.fileno()
        ready = self._epoll.poll(timeout_s)
        if self._unsent:
            return self._catch_up()
        late: set[int] = set()
        for descriptor, _ in ready:
            if descriptor == channel:
                if not self._read_requests():
                    return False
            elif descriptor in self._receiving:
                self._receive(*self._receiving[descriptor])
            else:
                late.add(descriptor)
        for size, departures in self._departures.items():
            awake = self._senders[size].fileno() in late
            for number, at_s in departures.read(to_the_end=awake):
                self._news.append(messages.DEPARTURE.pack(messages.DEPARTED, number, at_s))
            if awake:  # an error that nobody takes would wake us again and again
                self._senders[size].getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        return self._tell()

    # -- out ----------------------------------------------------------------------------------------------------------

    def _read_requests(self) -> bool:
        try:
            size = self._channel.recv_into(self._message)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not size:
            return False
        message = bytes(memoryview(self._message)[:size])
        if size == 1:
            self._obey(message)
        for number, packet, interface in messages.requests(message):
            self._send(number, packet, interface)
        return True

    def _send(self, number: int, packet: bytes, interface: int) -> None:
        reason = self._gate.check(packet, time.monotonic())
        if reason != limits.MAY_LEAVE:
            self._news.append(messages.FAILURE.pack(messages.FAILED, number, reason))
            return
        destination = packet[16:20] if packet[0] >> 4 == 4 else packet[24:40]
        sender = self._senders.get(len(destination))
        if sender is None:
            self._news.append(messages.FAILURE.pack(messages.FAILED, number, errno.EAFNOSUPPORT))
            return
        try:
            if interface:
                beside = sockets.leaving_by(interface, sender.family)
                sender.sendmsg((packet,), beside, 0, (_text(destination), 0))
            else:
                sender.sendto(packet, (_text(destination), 0))
        except OSError as error:
            self._departures[len(destination)].failed()
            self._news.append(messages.FAILURE.pack(messages.FAILED, number, error.errno or errno.EINVAL))
            return
        self._departures[len(destination)].sent(number)

    # -- in -----------------------------------------------------------------------------------------------------------

    def _receive(self, index: int, sock: _socket.socket) -> None:
        """Take packets off a socket, until it is empty or a message is full."""
        collected = 0
        failures = 0
        while collected < messages.BATCH_BYTES and failures < _MOST_FAILURES:
            try:
                size, ancillary, _, address = sock.recvmsg_into((self._buffer,), moments.ANCILLARY_BYTES)
            except BlockingIOError:
                return
            except OSError:  # a pending error of the socket: reading has cleared it
                failures += 1
                continue
            now, wall_ns = moments.clocks()
            at_s, ttl = now, -1
            for level, kind, value in ancillary:
                if kind == moments.SO_TIMESTAMPNS and level == moments.SOL_SOCKET:
                    at_s = moments.to_monotonic(value, now, wall_ns) or now
                elif (level, kind) in _TTLS and len(value) >= 4:
                    (ttl,) = struct.unpack_from("@i", value)
            source = address[0].encode() if address else b""
            head = messages.ARRIVAL.pack(messages.ARRIVED, index, ttl, at_s, len(source), size)
            self._arrived.append(head + source + self._buffer[:size])
            collected += len(self._arrived[-1])

    # -- the tap ------------------------------------------------------------------------------------------------------

    def _obey(self, command: bytes) -> None:
        if command == messages.OPEN_TAP:
            self._news.append(messages.OPENING.pack(messages.OPENED, self._open_tap()))
        elif command == messages.READ_TAP:
            self._look()
        elif command == messages.CLOSE_TAP and self._tap:
            self._tap.close()
            self._tap = None
        elif command == messages.COUNT_OVERFLOWS:
            count = sum(sockets.overflowed(sock) for _, sock in self._receiving.values())
            self._news.append(messages.OVERFLOW.pack(messages.OVERFLOWED, count & 0xFFFFFFFF))

    def _open_tap(self) -> bool:
        if self._tap:
            sockets.empty(self._tap)
            return True
        try:
            self._tap = sockets.open_tap(self._tap_filter)
        except OSError:  # no packet sockets in this kernel, or not for us
            return False
        return True

    def _look(self) -> None:
        """Tell what the tap has seen, as much as fits into memory; the worker asks again for more."""
        collected = 0
        more = False
        while self._tap and not more:
            try:
                size, ancillary, _, address = self._tap.recvmsg_into((self._buffer,), moments.ANCILLARY_BYTES)
            except BlockingIOError:
                break
            except OSError:  # a device went down: reading it clears it
                continue
            device, _, kind, *_ = address
            if kind in _SEEN_AS:
                stamps = (v for level, k, v in ancillary if (level, k) == (moments.SOL_SOCKET, moments.SO_TIMESTAMPNS))
                seconds, nanoseconds = moments.TIMESPEC.unpack_from(next(stamps, bytes(moments.TIMESPEC.size)))
                name = device.encode()
                at_ns = seconds * 1_000_000_000 + nanoseconds or time.time_ns()
                head = messages.SIGHT.pack(messages.SEEN, kind == _socket.PACKET_OUTGOING, at_ns, len(name), size)
                self._news.append(head + name + self._buffer[:size])
                collected += len(self._news[-1])
                more = collected >= messages.BATCH_BYTES
        missed = sockets.missed(self._tap) if self._tap else 0
        self._news.append(messages.LOOK.pack(messages.LOOKED, missed, more))

    # -- to the worker ------------------------------------------------------------------------------------------------

    def _tell(self) -> bool:
        if not self._news and not self._arrived:
            return True
        message = b""
        for record in (*self._news, *self._arrived):
            if message and len(message) + len(record) > messages.BATCH_BYTES:
                self._unsent.append(message)
                message = b""
            message += record
        self._unsent.append(message)
        self._news.clear()
        self._arrived.clear()
        if not self._push():
            return False
        if self._unsent:
            self._be_deaf()
        return True

    def _push(self) -> bool:
        """Give the worker as much as it takes; False when it is gone."""
        while self._unsent:
            try:
                self._channel.send(self._unsent[0])
            except BlockingIOError:
                return True
            except OSError:
                return False
            del self._unsent[0]
        return True

    def _catch_up(self) -> bool:
        if not self._push():
            return False
        if not self._unsent:
            self._epoll.unregister(self._channel.fileno())
            self._listen()
        return True


def _text(address: bytes) -> str:
    return _socket.inet_ntop(_socket.AF_INET if len(address) == 4 else _socket.AF_INET6, address)


def is_own_address(address: bytes) -> bool:
    """Whether this machine has `address`: whatever else binds there is refused by the kernel. Sends nothing."""
    family = _socket.AF_INET if len(address) == 4 else _socket.AF_INET6
    sock = _socket.socket(family, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        sock.bind((_text(address), 0))
    except OSError:
        return False
    finally:
        sock.close()
    return True


def main(descriptor: int) -> "NoReturn":
    """Be the broker of whoever holds the other end of the socket pair `descriptor`."""
    kernel.set_name(NAME)
    kernel.die_with_parent()
    channel = _socket.socket(fileno=descriptor)
    channel.settimeout(_CONFIGURED_WITHIN_S)
    try:
        raw = sockets.open_all()
        failure = None
    except OSError as error:
        failure = error
    try:
        said = channel.recv(messages.LARGEST_MESSAGE)
    except OSError:
        said = b""
    if not said:  # the parent had nothing to measure
        os._exit(0)
    try:
        if failure:
            raise failure
        configuration = messages.Configuration.unpack(said)
        gate = _gate(configuration)
        sockets.let_through(sockets.receiving(*raw), configuration.filters)
        broker = Broker(channel, raw, gate, configuration.tap_filter)
        filtered = _reduce(configuration)
    except OSError as error:
        greeting = messages.GREETING.pack(0, 0, 0, error.errno or errno.EINVAL)
        channel.send(greeting + str(error.strerror).encode())
        os._exit(1)
    channel.send(messages.GREETING.pack(1, raw[1] is not None, filtered, 0))
    channel.settimeout(0)
    broker.run()
    os._exit(0)


def _gate(configuration: messages.Configuration) -> limits.Gate:
    destinations = limits.Destinations(
        configuration.listed, configuration.additions, configuration.additions_per_minute
    )
    rate = limits.Bucket(configuration.rate, configuration.burst)
    ports = (configuration.first_port, configuration.ports)
    return limits.Gate(ports, configuration.ident_base, destinations, rate, is_own_address)


def _reduce(configuration: messages.Configuration) -> bool:
    """Keep CAP_NET_RAW alone, and only the system calls that serving takes; whether those are filtered."""
    os.chdir("/")
    os.umask(0o777)
    kernel.give_up(configuration.user, keep=1 << kernel.CAP_NET_RAW)
    kernel.refuse_inspection()
    kernel.die_with_parent()
    if not configuration.system_calls:
        return False
    try:
        kernel.install_filter(configuration.system_calls)
    except OSError:  # a kernel without it
        return False
    return True

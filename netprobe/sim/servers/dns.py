"""DNS over UDP and TCP, as the resolvers of a scenario speak it. One pair of listeners an address.

A resolver with an upstream asks it with real packets through the simulated network, so a fault on that way shows as it
does in life: as a late answer, and SERVFAIL in the end.
"""

import asyncio
import secrets
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass
from socket import SOCK_DGRAM
from typing import cast

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.NS
import dns.rdtypes.ANY.SOA
import dns.rdtypes.IN.A
import dns.rdtypes.IN.AAAA
import dns.rrset

from netprobe.sim.desks import Ask
from netprobe.sim.records import Resolver, Scenario
from netprobe.sim.servers.answers import (
    FORWARDER_ATTEMPTS_S,
    Records,
    asker,
    mute,
    own_word,
    resolve,
    tampered,
    thinking_s,
    truncates,
)
from netprobe.sim.servers.web import listener

DNS_PORT = 53
_PAYLOAD = 1232  # the EDNS buffer size that avoids fragments (DNS flag day 2020)
_PLAIN_PAYLOAD = 512  # RFC 1035, 4.2.1
_PENDING = 4096
_TCP_IDLE_S = 10.0

_Reply = Callable[[bytes], None]
Peer = tuple[str, int] | tuple[str, int, int, int]  # of IPv4, of IPv6


async def serve(scenario: Scenario, now: Callable[[], float], machines: Collection[str] = ()) -> dict[str, Ask]:
    """Open the listeners of every resolver; of those in `machines` only, unless it is empty.

    `now` gives seconds since the network's start. Gives what asks them over connections that others have, by address.
    """
    loop = asyncio.get_running_loop()
    asked: dict[str, Ask] = {}
    for resolver in scenario.resolvers:
        if machines and resolver.name not in machines:
            continue
        upstream = next((r.address for r in scenario.resolvers if r.name == resolver.upstream), "")
        service = Service(scenario, resolver, upstream, now)
        for address in resolver.addresses:
            await loop.create_datagram_endpoint(
                lambda service=service: Door(service),  # type: ignore[misc]  # bound early: one a resolver
                sock=listener(address, DNS_PORT, SOCK_DGRAM),
            )
            await asyncio.start_server(service.stream, sock=listener(address, DNS_PORT))
            asked[address] = service.ask
    return asked


@dataclass(slots=True)
class _Question:
    """What a client asked, as bytes and read, and the way back to it. `timer` is a forwarder's."""

    wire: bytes
    query: dns.message.Message
    reply: _Reply
    stream: bool
    timer: asyncio.TimerHandle | None = None

    def answer(self, message: dns.message.Message, *, cut: bool = False) -> None:
        """Send as much as the client takes, marked as truncated where that is not all (RFC 2181, 9), or where `cut`."""
        limit = 65535 if self.stream else min(max(self.query.payload, _PLAIN_PAYLOAD), _PAYLOAD)
        try:
            wire = b"" if cut and not self.stream else message.to_wire(max_size=limit)
        except dns.exception.TooBig:
            wire = b""
        if not wire:
            short = _failure(self.query, message.rcode())
            short.flags |= dns.flags.TC
            wire = short.to_wire()
        self.reply(wire)

    @property
    def name(self) -> str:
        """The name that it is about, in lower case."""
        return self.query.question[0].name.to_text().lower().removesuffix(".")

    @property
    def subnet(self) -> dns.edns.ECSOption | None:
        """The client's subnet that the question tells of (RFC 7871), an IPv4 one."""
        options = (o for o in self.query.options if isinstance(o, dns.edns.ECSOption) and o.family == 1)
        return next(options, None)


class Door(asyncio.DatagramProtocol):
    """One address of a resolver: where its datagrams come in, and what is said to them goes out."""

    def __init__(self, service: "Service") -> None:
        self._service = service
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self._transport = cast("asyncio.DatagramTransport", transport)  # the selector loop's one is no subclass of it
        self._service.open(self)

    def datagram_received(self, data: bytes, addr: Peer) -> None:
        """A question, or an upstream's answer."""
        self._service.received(data, addr, lambda wire: self.send(wire, addr))

    def send(self, wire: bytes, peer: Peer) -> None:
        """Send a datagram."""
        if self._transport:
            self._transport.sendto(wire, peer)

    def error_received(self, exc: Exception) -> None:
        """An ICMP error about something sent: a forwarder waits for its time-out all the same."""


class Service:
    """One resolver. Its questions to the upstream leave from port 53 too, as an old forwarder's do."""

    def __init__(self, scenario: Scenario, resolver: Resolver, upstream: str, now: Callable[[], float]) -> None:
        self._scenario = scenario
        self._resolver = resolver
        self._upstream = upstream
        self._now = now
        self._pending: dict[int, _Question] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._door: Door | None = None

    def open(self, door: Door) -> None:
        """Questions may come in by `door`; those of its own leave by the first."""
        self._door = self._door or door

    def received(self, data: bytes, peer: Peer, reply: _Reply) -> None:
        """A datagram from `peer`, which is answered by `reply`."""
        if len(data) > 2 and data[2] & 0x80:  # RFC 1035, 4.1.1: QR, the first flag, is set in answers
            if peer[:2] == (self._upstream, DNS_PORT):
                self._answered(data)
            return
        self._asked(data, reply, stream=False)

    def ask(self, wire: bytes, reply: _Reply) -> None:
        """A question over a connection."""
        self._asked(wire, reply, stream=True)

    async def stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One TCP connection: questions and answers, each behind its length (RFC 1035, 4.2.2)."""

        def reply(wire: bytes) -> None:
            writer.write(struct.pack("!H", len(wire)) + wire)

        try:
            while True:
                async with asyncio.timeout(_TCP_IDLE_S):
                    (size,) = struct.unpack("!H", await reader.readexactly(2))
                    data = await reader.readexactly(size)
                self._asked(data, reply, stream=True)
                await writer.drain()
        except (TimeoutError, EOFError, OSError):
            pass
        finally:
            writer.close()

    def _asked(self, data: bytes, reply: _Reply, *, stream: bool) -> None:
        """Answer one question after the resolver's thinking time. What is no question stays unanswered."""
        try:
            query = dns.message.from_wire(data)
        except (dns.exception.DNSException, ValueError):
            return
        if query.flags & dns.flags.QR or mute(self._scenario, self._resolver, self._now()):
            return
        question = _Question(data, query, reply, stream)
        refusal = _refusal(query)
        if refusal is not None:
            question.answer(_failure(query, refusal))
            return
        delay_s = thinking_s(self._scenario, self._resolver, question.name, self._now())
        asyncio.get_running_loop().call_later(delay_s, self._think, question)

    def _think(self, question: _Question) -> None:
        scenario, resolver = self._scenario, self._resolver
        records = tampered(scenario, resolver, question.name, self._now())
        if records is None and self._upstream:
            self._forward(question)
            return
        records = records or own_word(scenario, resolver, question.name)
        subnet = question.subnet
        records = records or resolve(scenario, question.name, asker(resolver, subnet.address if subnet else ""))
        if records.rcode:
            answer = _message(question.query, records)
            if subnet and resolver.ecs:
                option = dns.edns.ECSOption(subnet.address, subnet.srclen, records.scope)
                answer.use_edns(0, options=[option], payload=_PAYLOAD)
            question.answer(answer, cut=self._truncates(question))

    def _truncates(self, question: _Question) -> bool:
        return truncates(self._scenario, self._resolver, question.name, self._now())

    def _forward(self, question: _Question) -> None:
        if question.stream:
            task = asyncio.get_running_loop().create_task(self._forward_by_tcp(question))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        if len(self._pending) >= _PENDING:
            question.answer(_failure(question.query, dns.rcode.SERVFAIL))
            return
        number = secrets.randbelow(65536)
        while number in self._pending:
            number = secrets.randbelow(65536)
        self._pending[number] = question
        self._ask_upstream(number, 0)

    async def _forward_by_tcp(self, question: _Question) -> None:
        """A question that came over a connection goes on over another one."""
        writer = None
        try:
            async with asyncio.timeout(sum(FORWARDER_ATTEMPTS_S)):
                own = (self._resolver.address, 0)
                reader, writer = await asyncio.open_connection(self._upstream, DNS_PORT, local_addr=own)
                writer.write(struct.pack("!H", len(question.wire)) + question.wire)
                (size,) = struct.unpack("!H", await reader.readexactly(2))
                question.reply(await reader.readexactly(size))
        except (TimeoutError, EOFError, OSError):
            question.answer(_failure(question.query, dns.rcode.SERVFAIL))
        finally:
            if writer is not None:
                writer.close()

    def _ask_upstream(self, number: int, attempt: int) -> None:
        question = self._pending[number]
        if attempt >= len(FORWARDER_ATTEMPTS_S):
            del self._pending[number]
            question.answer(_failure(question.query, dns.rcode.SERVFAIL))
            return
        if self._door:
            self._door.send(struct.pack("!H", number) + question.wire[2:], (self._upstream, DNS_PORT))
        later = asyncio.get_running_loop().call_later
        question.timer = later(FORWARDER_ATTEMPTS_S[attempt], self._ask_upstream, number, attempt + 1)

    def _answered(self, data: bytes) -> None:
        """The upstream's answer goes on as it is to whoever asked, if it is one to what was asked."""
        number = int.from_bytes(data[:2], "big")
        question = self._pending.get(number)
        if question is None:
            return
        try:
            answer = dns.message.from_wire(data)
        except (dns.exception.DNSException, ValueError):
            return
        if answer.question != question.query.question:
            return
        del self._pending[number]
        if question.timer:
            question.timer.cancel()
        if self._truncates(question):
            question.answer(answer, cut=True)
        else:
            question.reply(question.wire[:2] + data[2:])


def _refusal(query: dns.message.Message) -> dns.rcode.Rcode | None:
    """Why a message is no question that a resolver answers; None when it is one."""
    if query.opcode() != dns.opcode.QUERY:
        return dns.rcode.NOTIMP
    if len(query.question) != 1:
        return dns.rcode.FORMERR
    return None if query.question[0].rdclass == dns.rdataclass.IN else dns.rcode.REFUSED


def _failure(query: dns.message.Message, rcode: dns.rcode.Rcode) -> dns.message.Message:
    answer = dns.message.make_response(query, recursion_available=True, our_payload=_PAYLOAD)
    answer.set_rcode(rcode)
    return answer


def _message(query: dns.message.Message, records: Records) -> dns.message.Message:
    """The answer to an IN question; types other than A, AAAA, CNAME and NS have no records."""
    question = query.question[0]
    answer = _failure(query, dns.rcode.from_text(records.rcode))
    if records.authoritative:
        answer.flags |= dns.flags.AA
    if answer.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        return answer
    ttl, owner = records.ttl_s, question.name
    for _, target in records.aliases:
        alias = dns.rdtypes.ANY.CNAME.CNAME(dns.rdataclass.IN, dns.rdatatype.CNAME, dns.name.from_text(target))
        answer.answer.append(dns.rrset.from_rdata(owner, ttl, alias))
        owner = dns.name.from_text(target)
        if question.rdtype == dns.rdatatype.CNAME:
            return answer
    found: list[dns.rdata.Rdata] = []
    if question.rdtype == dns.rdatatype.A:
        found = [dns.rdtypes.IN.A.A(dns.rdataclass.IN, dns.rdatatype.A, text) for text in records.addresses]
    elif question.rdtype == dns.rdatatype.AAAA:
        found = [dns.rdtypes.IN.AAAA.AAAA(dns.rdataclass.IN, dns.rdatatype.AAAA, text) for text in records.aaaa]
    elif question.rdtype == dns.rdatatype.NS:
        targets = [dns.name.from_text(host) for host in records.servers]
        found = [dns.rdtypes.ANY.NS.NS(dns.rdataclass.IN, dns.rdatatype.NS, target) for target in targets]
    if found:
        for address in found:  # a set each, because one set of many is shuffled: the file's order stays
            answer.answer.append(dns.rrset.from_rdata(owner, ttl, address))
    else:
        answer.authority.append(_authority_of(owner, ttl))
    return answer


def _authority_of(name: dns.name.Name, ttl: int) -> dns.rrset.RRset:
    """The SOA that a negative answer needs so that it may be kept (RFC 2308, 5)."""
    zone = dns.name.Name(name.labels[-3:]) if len(name.labels) > 2 else dns.name.root  # label, tld, root
    mname, rname = (dns.name.Name((label, *zone.labels)) for label in (b"ns", b"hostmaster"))
    soa = dns.rdtypes.ANY.SOA.SOA(dns.rdataclass.IN, dns.rdatatype.SOA, mname, rname, 1, 7200, 900, 1209600, ttl)
    return dns.rrset.from_rdata(zone, ttl, soa)

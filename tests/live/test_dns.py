"""What becomes of a lookup, by what the resolver really did."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.live import dns_message
from netprobe.live.vantage import LiveVantage
from netprobe.model.services import Answer, Lookup
from netprobe.probing.ask import Ask
from netprobe.probing.run import one, run
from tests.live.live_network import SERVER, SILENT, Network
from tests.live.live_servers import listening

NAME = "www.example.com"
CHAIN = (
    f"{NAME}. 300 IN CNAME edge.cdn.example.",
    "edge.cdn.example. 20 IN A 203.0.113.5",
    "edge.cdn.example. 20 IN A 203.0.113.6",
)
Reply = Callable[[dns.message.Message, int], list[bytes]]
"""What a resolver sends for a query, the number of the query given."""

packets = [pytest.mark.packets, pytest.mark.usefixtures("inside")]


def answering(*records: str, rcode: int = 0, flags: int = 0) -> Reply:
    def reply(query: dns.message.Message, _number: int) -> list[bytes]:
        return [made(query, *records, rcode=rcode, flags=flags).to_wire()]

    return reply


def made(query: dns.message.Message, *records: str, rcode: int = 0, flags: int = 0) -> dns.message.Message:
    response = dns.message.make_response(query, recursion_available=True)
    for record in records:
        name, ttl, kind, rdtype, value = record.split(" ", 4)
        rrset = response.find_rrset(
            response.answer,
            dns.name.from_text(name),
            dns.rdataclass.from_text(kind),
            dns.rdatatype.from_text(rdtype),
            create=True,
        )
        rrset.update(dns.rrset.from_text(name, int(ttl), kind, rdtype, value))
    response.set_rcode(dns.rcode.Rcode(rcode))
    response.flags |= flags
    return response


@contextmanager
def resolver(network: Network, reply: Reply) -> Iterator[list[dns.message.Message]]:
    """A DNS server on UDP and TCP; the queries that it got."""
    asked: list[dns.message.Message] = []
    with ExitStack() as stack:
        datagrams = stack.enter_context(listening(network.server, SERVER, 53, socket.SOCK_DGRAM))
        connections = stack.enter_context(listening(network.server, SERVER, 53, socket.SOCK_STREAM))

        def udp() -> None:
            with contextlib.suppress(OSError):
                while True:
                    data, client = datagrams.recvfrom(2000)
                    if not data:
                        return
                    asked.append(dns.message.from_wire(data))
                    for response in reply(asked[-1], len(asked)):
                        datagrams.sendto(response, client)

        def tcp() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = connections.accept()
                    with connection, connection.makefile("rb") as stream:
                        asked.append(dns.message.from_wire(stream.read(int.from_bytes(stream.read(2)))))
                        for response in reply(asked[-1], len(asked)):
                            connection.sendall(len(response).to_bytes(2) + response)

        threads = [threading.Thread(target=target, daemon=True) for target in (udp, tcp)]
        for thread in threads:
            thread.start()
        try:
            yield asked
        finally:
            connections.shutdown(socket.SHUT_RDWR)
            with network.server.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as goodbye:
                goodbye.sendto(b"", (SERVER, 53))
            for thread in threads:
                thread.join(5)


def ask(address: str = SERVER, **fields: object) -> Answer:
    with LiveVantage() as vantage:
        lookup = Lookup(NAME, address, **{"timeout_s": 2.0, **fields})  # type: ignore[arg-type]
        answer = run(one(Ask(lookup)), vantage)
        assert isinstance(answer, Answer)
        assert vantage.usage().packets_sent >= (address == SERVER)
    return answer


class TestPackets:
    pytestmark = packets

    def test_an_answer_is_read(self, network: Network) -> None:
        """Addresses, the chain of aliases and the shortest time to live."""
        with resolver(network, answering(*CHAIN, flags=dns.flags.AA)) as asked:
            answer = ask()
        assert (answer.rcode, answer.error, answer.responses) == ("NOERROR", "", 1)
        assert sorted(answer.addresses) == ["203.0.113.5", "203.0.113.6"]
        assert answer.aliases == ("edge.cdn.example",)
        assert (answer.ttl_s, answer.authoritative) == (20, True)
        assert answer.rtt_s is not None
        assert 0 < answer.rtt_s < 2
        assert answer.usable
        assert asked[0].edns == -1, "a plain stub resolver's query"

    @pytest.mark.parametrize("rcode", ["NXDOMAIN", "SERVFAIL", "REFUSED"])
    def test_a_negative_answer_keeps_its_code(self, network: Network, rcode: str) -> None:
        """A failure that the resolver tells is an answer, not an error."""
        with resolver(network, answering(rcode=dns.rcode.from_text(rcode))):
            answer = ask()
        assert (answer.rcode, answer.error, answer.addresses, answer.usable) == (rcode, "", (), False)

    def test_a_truncated_answer_is_fetched_over_tcp(self, network: Network) -> None:
        """TC means: ask again over TCP (RFC 7766)."""

        def reply(query: dns.message.Message, number: int) -> list[bytes]:
            return answering(*CHAIN, flags=0)(query, number) if number > 1 else answering(flags=dns.flags.TC)(query, 1)

        with resolver(network, reply) as asked:
            answer = ask()
        assert sorted(answer.addresses) == ["203.0.113.5", "203.0.113.6"]
        assert len(asked) == 2

    def test_a_lost_query_is_sent_again(self, network: Network) -> None:
        """The second attempt has an id of its own and counts from its own start."""
        with resolver(network, lambda query, number: answering(*CHAIN)(query, 1) if number > 1 else []) as asked:
            answer = ask(timeout_s=0.8)
        assert answer.usable
        assert answer.rtt_s is not None
        assert answer.rtt_s < 0.4
        assert len({query.id for query in asked}) == 2

    def test_silence_is_a_timeout(self, network: Network) -> None:
        """Nothing came until the end of the time that was given, for all attempts."""
        with resolver(network, lambda _query, _number: []) as asked:
            answer = ask(timeout_s=0.3, attempts=3)
        assert (answer.error, answer.rcode, answer.responses) == ("timeout", "", 0)
        assert len(asked) == 3

    def test_answers_to_something_else_are_ignored(self, network: Network) -> None:
        """Another id, another question, and a query instead of a response are not our answer; the true one is."""

        def reply(query: dns.message.Message, _number: int) -> list[bytes]:
            wrong_id = made(query, f"{NAME}. 9 IN A 192.0.2.66")
            wrong_id.id ^= 1
            other = dns.message.make_query("other.example", "A", id=query.id)
            echo = query.to_wire()
            return [
                wrong_id.to_wire(),
                made(other, "other.example. 9 IN A 192.0.2.66").to_wire(),
                echo,
                b"\0",
                made(query, *CHAIN).to_wire(),
            ]

        with resolver(network, reply):
            assert sorted(ask().addresses) == ["203.0.113.5", "203.0.113.6"]

    def test_an_injected_answer_is_noticed(self, network: Network) -> None:
        """Two answers to one query: the first is believed, as every stub does, and both are counted."""

        def reply(query: dns.message.Message, _number: int) -> list[bytes]:
            return [made(query, f"{NAME}. 9 IN A {address}").to_wire() for address in ("192.0.2.66", "203.0.113.5")]

        with resolver(network, reply):
            answer = ask()
        assert (answer.addresses, answer.responses) == (("192.0.2.66",), 2)

    def test_answers_to_two_attempts_are_no_injection(self, network: Network) -> None:
        """A late answer to the first attempt and one to the second are one each."""
        late: list[bytes] = []

        def reply(query: dns.message.Message, number: int) -> list[bytes]:
            late.append(made(query, *CHAIN).to_wire())
            return late if number > 1 else []

        with resolver(network, reply):
            assert ask(timeout_s=0.4).responses == 1

    def test_rubbish_under_our_id_is_malformed(self, network: Network) -> None:
        """A response that cannot be read is told as such when nothing better came."""
        with resolver(network, lambda query, _number: [query.id.to_bytes(2) + b"\x81\x80" + b"\xff" * 30]):
            assert ask(timeout_s=0.2).error == "malformed"

    def test_no_server_refuses(self) -> None:
        """ICMP port unreachable."""
        answer = ask()
        assert (answer.error, answer.rtt_s) == ("refused", None)

    def test_a_router_that_knows_no_way_is_unreachable(self, network: Network) -> None:
        """ICMP host unreachable, and no route of our own."""
        with network.second.firewall("forward udp dport 53 reject with icmp type host-unreachable"):
            assert ask().error == "unreachable"
        network.client.run("ip", "route", "add", "unreachable", SILENT)
        assert ask(SILENT).error == "unreachable"
        network.client.run("ip", "route", "del", "unreachable", SILENT)

    def test_a_loop_on_the_way_is_silence(self, network: Network) -> None:
        """A query whose TTL ran out is as lost as any: time exceeded is no answer of the resolver's."""
        network.second.run("ip", "route", "add", "203.0.113.200", "via", "198.51.100.1")
        try:
            assert ask("203.0.113.200", timeout_s=0.3).error == "timeout"
        finally:
            network.second.run("ip", "route", "del", "203.0.113.200")

    @pytest.mark.parametrize(("field", "value"), [("name", "a..b"), ("name", "x" * 64), ("record_type", "NOTHING")])
    def test_a_name_that_is_none_is_malformed(self, field: str, value: str) -> None:
        """What cannot be asked is not asked, and is no exception."""
        asked = {"name": NAME, "record_type": "A", field: value}
        with LiveVantage() as vantage:
            lookup = Lookup(asked["name"], SERVER, record_type=asked["record_type"])
            answer = run(one(Ask(lookup)), vantage)
        assert isinstance(answer, Answer)
        assert answer.error == "malformed"

    def test_a_server_is_asked_about_itself(self, network: Network) -> None:
        """Another class and type: what the server says about itself, as text."""
        with resolver(network, answering("version.bind. 0 CH TXT dnsmasq")) as asked, LiveVantage() as vantage:
            lookup = Lookup("version.bind", SERVER, record_type="TXT", record_class="CH")
            answer = run(one(Ask(lookup)), vantage)
        assert isinstance(answer, Answer)
        assert (answer.rcode, answer.addresses) == ("NOERROR", ('"dnsmasq"',))
        assert asked[0].question[0].rdclass == dns.rdataclass.CH

    def test_the_subnet_is_told_and_its_scope_read(self, network: Network) -> None:
        """RFC 7871: the question says for where, and the answer for how wide a prefix."""

        def reply(query: dns.message.Message, number: int) -> list[bytes]:
            response = dns.message.from_wire(answering(*CHAIN)(query, number)[0])
            response.use_edns(0, options=[dns.edns.ECSOption("198.18.5.0", 24, 20)])
            return [response.to_wire()]

        with resolver(network, reply) as asked:
            answer = ask(subnet="198.18.5.0/24")
        assert (answer.usable, answer.scope) == (True, 20)
        assert [option.to_text() for option in asked[0].options] == ["ECS 198.18.5.0/24 scope/0"]

    def test_the_servers_of_a_zone_are_asked_for(self, network: Network) -> None:
        """Their names are kept apart from addresses; who is to say what it knows itself is asked without recursion."""
        records = (f"{NAME}. 300 IN NS ns1.Example.net.", f"{NAME}. 300 IN NS ns2.example.net.")
        with resolver(network, answering(*records, flags=dns.flags.AA)) as asked:
            answer = ask(record_type="NS", recursive=False)
        assert sorted(answer.servers) == ["ns1.example.net", "ns2.example.net"]
        assert (answer.rcode, answer.addresses, answer.authoritative) == ("NOERROR", (), True)
        assert not asked[0].flags & dns.flags.RD

    def test_a_resolver_that_is_no_address_is_malformed(self) -> None:
        """No name is ever looked up to find a resolver."""
        assert ask("resolver.example").error == "malformed"


LOOKUP = Lookup(NAME, SERVER)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_message(data: bytes) -> None:
    """Nothing is raised for bytes that are no DNS message."""
    response = dns_message.parse(data)
    if response is not None and dns_message.answers(response, LOOKUP):
        dns_message.read(response, LOOKUP, 0.0)


@given(st.data())
def test_damaged_answers_do_no_harm(data: st.DataObject) -> None:
    """Nothing is raised for an answer that was cut or changed."""
    wire = bytearray(made(dns.message.make_query(NAME, "A"), *CHAIN).to_wire())
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(wire) - 1), st.integers(0, 255)), max_size=8)):
        wire[place] = value
    response = dns_message.parse(bytes(wire[: data.draw(st.integers(0, len(wire)))]))
    if response is not None and dns_message.answers(response, LOOKUP):
        dns_message.read(response, LOOKUP, 0.0)


def test_aliases_in_a_circle_end() -> None:
    """A chain that leads to itself is cut."""
    circle = (f"{NAME}. 9 IN CNAME b.example.", f"b.example. 9 IN CNAME {NAME}.")
    answer = dns_message.read(made(dns.message.make_query(NAME, "A"), *circle), LOOKUP, 0.0)
    assert len(answer.aliases) == 16
    assert answer.addresses == ()

"""Resolvers that are asked over TCP, TLS and HTTPS, in virtual time and by foreign tools."""

import socket
from pathlib import Path

import msgspec
import pytest

from netprobe.model.services import Answer, Lookup, Transport
from netprobe.sim.records import Fault, Resolver, Scenario, Server
from netprobe.sim.servers.web import listener
from netprobe.sim.virtual import VirtualVantage
from netprobe.sim.world import Fidelity, World
from tests.sim import real_scenario
from tests.sim.small import ROUTERS, SERVER, fault, line

PUBLIC, NAME = "8.8.8.8", "dns.google"
SECURE = (Transport.TLS, Transport.HTTPS)
SERVERS = (*line().servers, Server("google", (PUBLIC,), "r4", serves=(NAME,)))
RESOLVERS = (*line().resolvers, Resolver("google-resolver", PUBLIC, "r4", ecs="87.186.224.0/24"))
LIES = fault("dns", "r2", names=("*.tiktok.com",), addresses=("203.0.113.9",))


def world(*faults: Fault, **changes: object) -> Scenario:
    return line(*faults, servers=SERVERS, resolvers=RESOLVERS, **changes)


def asked(transport: Transport, *faults: Fault, resolver: str = PUBLIC, **fields: object) -> Answer:
    """What becomes of a lookup of the platform's name, by the name that the resolver has to prove."""
    vantage = VirtualVantage(world(*faults))
    given: dict[str, object] = {"server_name": NAME if transport in SECURE else "", "timeout_s": 1.0, **fields}
    vantage.send(Lookup("www.tiktok.com", resolver, transport=transport, **given))  # type: ignore[arg-type]
    event = vantage.receive(100.0)
    assert event is not None
    assert isinstance(event.outcome, Answer)
    assert vantage.receive(200.0) is None
    assert vantage.usage().packets_sent > 0
    return event.outcome


@pytest.mark.parametrize("transport", Transport)
def test_each_transport_brings_the_answer(transport: Transport) -> None:
    """The same answer over each, after a connection where there is one."""
    answer = asked(transport)
    assert (answer.rcode, answer.addresses, answer.error) == ("NOERROR", (SERVER,), "")
    assert answer.rtt_s is not None
    assert (answer.connection is not None) == (transport is not Transport.UDP)
    assert answer.status == (200 if transport is Transport.HTTPS else 0)


@pytest.mark.parametrize("transport", Transport)
def test_who_forges_datagrams_forges_nothing_else(transport: Transport) -> None:
    """An injector on the way answers questions by UDP; a connection is made before there is anything to answer."""
    assert asked(transport, LIES).addresses == (("203.0.113.9",) if transport is Transport.UDP else (SERVER,))


@pytest.mark.parametrize("transport", Transport)
def test_a_resolver_that_lies_does_so_over_every_transport(transport: Transport) -> None:
    """It is the same machine that answers."""
    lies = msgspec.structs.replace(LIES, at=("google-resolver",))
    assert asked(transport, lies).addresses == ("203.0.113.9",)


@pytest.mark.parametrize(("transport", "port"), [(Transport.TCP, 53), (Transport.TLS, 853), (Transport.HTTPS, 443)])
def test_a_port_that_is_dropped_on_the_way(transport: Transport, port: int) -> None:
    """It is silent, and the other transports go on."""
    drop = fault("drop", "r3", match={"protocol": "tcp", "port": port})
    answer = asked(transport, drop)
    assert (answer.rcode, answer.error) == ("", "timeout")
    assert answer.connection is not None
    assert answer.connection.phase == "connect"
    others = [t for t in Transport if t is not transport]
    assert all(asked(other, drop).usable for other in others)


@pytest.mark.parametrize("transport", SECURE)
def test_a_resolver_has_to_prove_who_it_is(transport: Transport) -> None:
    """Its certificate is for another name, or by somebody whom nobody knows."""
    assert asked(transport, server_name="dns.example").error == "certificate"
    answer = asked(transport, fault("certificate", "google", unknown_issuer=True))
    assert (answer.error, answer.rcode) == ("certificate", "")
    assert answer.connection is not None
    assert answer.connection.detail == "unable to get local issuer certificate"


@pytest.mark.parametrize("transport", SECURE)
def test_a_resolver_that_stands_alone_speaks_no_tls(transport: Transport) -> None:
    """Where no server is, nobody listens; a web server without a resolver knows no questions."""
    assert asked(transport, resolver="194.25.2.129").error == "refused"
    alone = {Transport.TLS: "refused", Transport.HTTPS: "malformed"}
    assert asked(transport, resolver="93.184.216.34", server_name="www.example.com").error == alone[transport]


def test_a_home_router_passes_on_by_the_transport_that_it_was_asked_over() -> None:
    """So that a forger behind it is seen by UDP, and not by TCP."""
    assert asked(Transport.UDP, LIES, resolver=ROUTERS[0]).addresses == ("203.0.113.9",)
    assert asked(Transport.TCP, LIES, resolver=ROUTERS[0]).addresses == (SERVER,)


def test_the_subnet_of_a_question_decides_where_the_answer_leads() -> None:
    """And the answer says for how wide a prefix; a resolver that does no ECS says nothing of it."""
    edge = msgspec.structs.replace(line().names["www.tiktok.com"], regions={"198.18.0.0/15": ("23.50.131.11",)})
    vantage = VirtualVantage(world(names={"www.tiktok.com": edge}))
    for resolver in (PUBLIC, "194.25.2.129"):
        for transport in (Transport.UDP, Transport.TCP):
            vantage.send(Lookup("www.tiktok.com", resolver, transport=transport, subnet="198.19.7.0/24"))
    found = [event.outcome for _ in range(4) if (event := vantage.receive(9.0))]
    told = {(a.addresses, a.scope) for a in found if isinstance(a, Answer) and a.lookup.resolver == PUBLIC}
    assert told == {(("23.50.131.11",), 15)}
    rest = {(a.addresses, a.scope) for a in found if isinstance(a, Answer) and a.lookup.resolver != PUBLIC}
    assert rest == {((SERVER,), None)}


def test_servers_do_not_wait_for_acknowledgements() -> None:
    """Nagle's algorithm (RFC 896) is off, as at every public server: an answer follows session tickets at once."""
    with listener("127.0.0.1", 0) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


REAL = f"""
"{NAME}" = ["{PUBLIC}"]

[[server]]
name = "google"
addresses = ["{PUBLIC}"]
at = "core"
serves = ["{NAME}"]

[[resolver]]
name = "google-resolver"
address = "{PUBLIC}"
at = "core"
"""


@pytest.mark.packets
def test_foreign_tools_ask_over_tls_and_https(tmp_path: Path, fidelity: Fidelity) -> None:
    """What kdig hears is what the file says, over connections that prove who the resolver is."""
    with World(real_scenario.scenario(tmp_path, REAL), fidelity=fidelity) as world:

        def run(command: str) -> str:
            done = world.run(["sh", "-c", command])
            assert done.returncode == 0, done
            return str(done.stdout).strip()

        edges = ["23.50.131.10", "23.50.131.11"]
        proved = f'+tls-ca="$SSL_CERT_FILE" +tls-hostname={NAME}'
        for how in ("+tcp", f"+tls {proved}", f"+https {proved}"):
            said = run(f"kdig {how} @{PUBLIC} www.tiktok.com +short").split()
            assert [row for row in said if row[0].isdigit()] == edges, said
        page = run(f"curl -sS -o /dev/null -w '%{{http_code}} %{{http_version}}' https://{NAME}/")
        assert page == "200 1.1", "pages are served as ever"

"""The vantage in virtual time: what it reports in each situation is what a real one would."""

import hashlib

import msgspec
import pytest

from netprobe.model.host import HostState, Inspect
from netprobe.model.probes import Flow, Path, Probe, Protocol, Reply, ReplyKind
from netprobe.model.record import to_json
from netprobe.model.services import Answer, Fetch, Handshake, Handshaken, Lookup, Response
from netprobe.probing.port import Outcome, Request, Vantage
from netprobe.probing.run import one, run
from netprobe.probing.survey import survey
from netprobe.probing.traceroute import Traceroute
from netprobe.sim.network import Network
from netprobe.sim.records import Fault, Link, Router, Scenario, Server
from netprobe.sim.virtual import WALL_CLOCK_S, VirtualVantage
from netprobe.topology.platform import load_platform
from tests.scenarios import load
from tests.sim.features import representatives
from tests.sim.small import CLIENT, RESOLVER, ROUTERS, SERVER, fault, line

PAGE = Fetch(Handshake(SERVER, 443, "www.tiktok.com"))
NAMED = Handshake(SERVER, 443, "www.tiktok.com")


def ask(request: Request, *faults: Fault, scenario: Scenario | None = None, seed: int = 0) -> tuple[Outcome, float]:
    """The first outcome of `request` in the small network with `faults`, and how long it took."""
    vantage = VirtualVantage(scenario or line(*faults), seed)
    token = vantage.send(request)
    event = vantage.receive(100.0)
    assert event is not None
    assert event.token == token
    assert vantage.receive(200.0) is None, "one outcome is all that a request draws"
    return event.outcome, event.at_s


def shaken(request: Handshake, *faults: Fault, scenario: Scenario | None = None) -> tuple[Handshaken, float]:
    outcome, at_s = ask(request, *faults, scenario=scenario)
    assert isinstance(outcome, Handshaken)
    return outcome, at_s


def fetched(*faults: Fault, scenario: Scenario | None = None, seed: int = 0) -> Response:
    outcome, _ = ask(PAGE, *faults, scenario=scenario, seed=seed)
    assert isinstance(outcome, Response)
    return outcome


def answered(
    resolver: str, *faults: Fault, name: str = "www.tiktok.com", timeout_s: float = 3.0
) -> tuple[Answer, float]:
    outcome, at_s = ask(Lookup(name, resolver, timeout_s=timeout_s), *faults)
    assert isinstance(outcome, Answer)
    return outcome, at_s


def replied(probe: Probe, *faults: Fault, scenario: Scenario | None = None) -> Reply | None:
    vantage: Vantage = VirtualVantage(scenario or line(*faults))
    vantage.send(probe)
    event = vantage.receive(50.0)
    if event is None:
        return None
    assert isinstance(event.outcome, Reply)
    return event.outcome


# --- probes


def test_probes_of_all_kinds_draw_the_reply_of_their_kind() -> None:
    """Echo reply, SYN-ACK, RST at a closed port and to an ACK of no connection, port unreachable for a datagram."""
    kinds = {}
    asked = ((Protocol.ICMP, 0), (Protocol.TCP, 443), (Protocol.TCP, 22), (Protocol.ACK, 443), (Protocol.UDP, 33434))
    for protocol, port in asked:
        reply = replied(Probe(Flow(protocol, SERVER, port)))
        assert reply is not None
        assert (reply.source, reply.from_destination, reply.ttl) == (SERVER, True, 60)
        kinds[protocol, port] = reply.kind
    assert list(kinds.values()) == [
        *(ReplyKind.ECHO_REPLY, ReplyKind.SYN_ACK, ReplyKind.RST),
        *(ReplyKind.RST, ReplyKind.UNREACHABLE),
    ]


@pytest.mark.parametrize("protocol", [Protocol.ICMP, Protocol.TCP, Protocol.UDP])
def test_a_ttl_that_runs_out_is_known_by_its_quote(protocol: Protocol) -> None:
    """The error comes from the router at that TTL, says type 11, and quotes the probe's TTL on arrival."""
    for ttl, router in enumerate(ROUTERS, 1):
        reply = replied(Probe(Flow(protocol, SERVER, 443), ttl=ttl))
        assert reply is not None
        assert (reply.kind, reply.source) == (ReplyKind.TIME_EXCEEDED, router)
        assert (reply.icmp_type, reply.icmp_code, reply.quoted_ttl, reply.ttl) == (11, 0, 1, 256 - ttl)


def test_eight_quoted_bytes_are_enough() -> None:
    """Old routers' quotes still name the probe, for every protocol."""
    routers = tuple(Router(r.name, r.address, quote=8) for r in line().routers)
    for protocol in (Protocol.ICMP, Protocol.TCP, Protocol.UDP):
        reply = replied(Probe(Flow(protocol, SERVER, 443), ttl=2), scenario=line(routers=routers))
        assert reply is not None
        assert reply.source == ROUTERS[1]


def test_round_trips_are_the_links_delays() -> None:
    """Twice ten milliseconds there, within what a seed may change, and the rack."""
    reply = replied(Probe(Flow(Protocol.ICMP, SERVER)))
    assert reply is not None
    assert 0.016 <= reply.rtt_s <= 0.025


def test_a_second_syn_on_one_four_tuple_draws_an_ack_of_the_first() -> None:
    """RFC 9293, 3.10.7.4, as Linux does it; the kernel's RST then frees the server's half-open connection."""
    vantage = VirtualVantage(line())
    flow = Flow(Protocol.TCP, SERVER, 443)
    first, second = vantage.send(Probe(flow, sequence=1)), vantage.send(Probe(flow, sequence=2))
    kinds = []
    while (event := vantage.receive(5.0)) is not None:
        assert isinstance(event.outcome, Reply)
        kinds.append((event.token, event.outcome.kind))
    assert kinds == [(first, ReplyKind.SYN_ACK), (first, ReplyKind.ACK)]
    third = vantage.send(Probe(flow, sequence=3))
    event = vantage.receive(10.0)
    assert event is not None
    assert (event.token, event.outcome.kind) == (third, ReplyKind.SYN_ACK)  # type: ignore[union-attr]
    assert second


def test_the_session_sees_the_routers_of_the_file() -> None:
    """The product's own traceroute finds every hop of the typical network to every server, in order."""
    scenario = load("healthy")
    truth = Network(scenario)
    for server in scenario.servers:
        address = server.addresses[0]
        path: Path = run(one(Traceroute(Flow(Protocol.TCP, address, 443))), VirtualVantage(scenario))
        wanted = [router.address for router in truth.hops(address)] + [address]
        assert [hop.addresses for hop in path.hops] == [(one_address,) for one_address in wanted]
        assert path.reached


def test_nobody_answers_for_an_address_that_is_nowhere() -> None:
    """A silent route is silence, another one says host unreachable; the own addresses answer themselves."""
    assert replied(Probe(Flow(Protocol.ICMP, "198.51.100.1"))) is None
    reply = replied(Probe(Flow(Protocol.TCP, "203.0.113.1", 443)))
    assert reply is not None
    assert (reply.kind, reply.icmp_code, reply.source) == (ReplyKind.UNREACHABLE, 1, ROUTERS[2])
    reply = replied(Probe(Flow(Protocol.TCP, "127.0.0.1", 443)))
    assert reply is not None
    assert (reply.kind, reply.source) == (ReplyKind.RST, "127.0.0.1")


def test_the_unspecified_address_is_the_own_machine_under_its_other_name() -> None:
    """Linux answers from 127.0.0.1: an echo reply is known all the same, a RST belongs to no probe."""
    anywhere = "0.0.0.0"  # noqa: S104  # as an address to connect to
    reply = replied(Probe(Flow(Protocol.ICMP, anywhere)))
    assert reply is not None
    assert reply.source == "127.0.0.1"
    assert replied(Probe(Flow(Protocol.TCP, anywhere, 443))) is None
    assert shaken(Handshake(anywhere, 443, "a.b"))[0].error == "refused"


def test_a_resolver_listens_on_tcp_too() -> None:
    """A SYN to its port 53 draws a SYN-ACK."""
    reply = replied(Probe(Flow(Protocol.TCP, RESOLVER, 53)))
    assert reply is not None
    assert reply.kind is ReplyKind.SYN_ACK


def test_questions_about_the_resolver_itself_are_refused() -> None:
    """Whatever is wrong with its names; only one that says nothing at all says nothing to that either."""
    question = Lookup("version.bind", RESOLVER, record_type="TXT", record_class="CH")
    for silent, rcode in ((False, "REFUSED"), (True, "")):
        broken = fault("dns", "provider", rcode="" if silent else "SERVFAIL", silence=silent)
        outcome, _ = ask(question, broken)
        assert isinstance(outcome, Answer)
        assert outcome.rcode == rcode


@pytest.mark.parametrize(
    ("address", "error"),
    [("2001:db8::1", "ENETUNREACH"), *((text, "EAFNOSUPPORT") for text in ("www.tiktok.com", "", "1.2.3"))],
)
def test_what_cannot_be_sent_to_is_refused_at_once(address: str, error: str) -> None:
    """What is no address, and one of IPv6 where there is none: an outcome like any other, and never an exception."""
    requests = (
        Probe(Flow(Protocol.TCP, address, 443)),
        Lookup("a.b", address),
        Handshake(address),
        Fetch(Handshake(address)),
    )
    outcomes = [ask(request) for request in requests]
    assert [outcome.error for outcome, _ in outcomes if not isinstance(outcome, HostState)] == [
        error,
        "unreachable",
        "local",
        "local",
    ]
    assert {at_s for _, at_s in outcomes} == {0.0}


# --- lookups


def test_a_resolver_answers_with_alias_and_addresses() -> None:
    """Through the forwarder at home or at the provider itself."""
    for resolver in (ROUTERS[0], RESOLVER):
        answer, _ = answered(resolver)
        assert (answer.rcode, answer.addresses, answer.aliases) == ("NOERROR", (SERVER,), ("www.tiktok.com.edge.net",))
        assert (answer.ttl_s, answer.responses, answer.error) == (300, 1, "")
        assert answer.rtt_s is not None


def test_names_that_do_not_exist_do_not() -> None:
    """NXDOMAIN is an answer."""
    answer, _ = answered(RESOLVER, name="nothing.example")
    assert (answer.rcode, answer.addresses, answer.error) == ("NXDOMAIN", (), "")


@pytest.mark.parametrize(
    ("resolver", "faults", "rcode", "error", "took_s"),
    [
        (RESOLVER, (fault("down", "provider"),), "", "timeout", 3.0),
        (RESOLVER, (fault("refuse", "provider"),), "", "refused", 0.006),
        (RESOLVER, (fault("dns", "provider", silence=True),), "", "timeout", 3.0),
        (RESOLVER, (fault("dns", "provider", rcode="SERVFAIL"),), "SERVFAIL", "", 0.007),
        (ROUTERS[0], (fault("dns", "provider", rcode="REFUSED"),), "REFUSED", "", 0.009),
        (ROUTERS[0], (fault("down", "provider"),), "SERVFAIL", "", 2.4),
        (ROUTERS[0], (fault("down", "r2"),), "SERVFAIL", "", 2.4),
        (ROUTERS[0], (fault("down", "forwarder"),), "", "timeout", 3.0),
        ("203.0.113.9", (), "", "unreachable", 0.012),
        ("198.51.100.9", (), "", "timeout", 3.0),
        (RESOLVER, (fault("loop", "r2", "r3"),), "NOERROR", "", 0.007),
    ],
)
def test_what_becomes_of_a_lookup(
    resolver: str, faults: tuple[Fault, ...], rcode: str, error: str, took_s: float
) -> None:
    """Silence, a closed port, a failing server and a forwarder without an upstream look like that."""
    answer, at_s = answered(resolver, *faults)
    assert (answer.rcode, answer.error) == (rcode, error)
    if not rcode:
        assert at_s == pytest.approx(took_s, rel=0.3)
        return
    assert answer.rtt_s == pytest.approx(took_s, rel=0.3)
    assert at_s == pytest.approx(took_s + 0.05, rel=0.3)  # more answers are waited for, as live


def test_several_answers_to_one_question_are_counted() -> None:
    """Three forgers on the way and the resolver itself: the first is believed, all are counted."""
    lies = ("31.13.94.37", "69.63.184.142", "103.252.114.61")
    answer, at_s = answered(RESOLVER, fault("dns", "r1", names=("*.tiktok.com",), addresses=lies, separate=True))
    assert (answer.addresses, answer.responses) == (lies[:1], 4)
    assert answer.rtt_s is not None
    assert at_s - answer.rtt_s == pytest.approx(0.05)


def test_a_tampering_resolver_lies_about_some_names_only() -> None:
    """And only while the fault is on."""
    lie = fault("dns", "provider", names=("*.tiktok.com",), addresses=("127.0.0.1",))
    assert answered(RESOLVER, lie)[0].addresses == ("127.0.0.1",)
    assert answered(RESOLVER, lie, name="www.example.com")[0].addresses == ("93.184.216.34",)


def test_a_lost_question_is_asked_again() -> None:
    """Two attempts are spread over the time that there is."""
    answer, at_s = answered(RESOLVER, fault("drop", "r1", end_s=1.0))
    assert answer.rcode == "NOERROR"
    assert at_s == pytest.approx(1.557, abs=0.01)
    assert answer.rtt_s == pytest.approx(0.007, abs=0.003)


# --- connections


def test_a_handshake_takes_its_round_trips() -> None:
    """One for TCP, one and a signature for TLS; the certificate is the server's."""
    done, at_s = shaken(NAMED)
    assert (done.phase, done.error, done.tls_version) == ("done", "", "TLSv1.3")
    assert done.connect_s is not None
    assert done.tls_s is not None
    assert at_s == pytest.approx(done.connect_s + done.tls_s)
    assert done.certificate is not None
    assert done.certificate.names == ("*.tiktok.com",)
    assert done.certificate.not_before_s < WALL_CLOCK_S < done.certificate.not_after_s


def test_without_a_name_there_is_no_tls() -> None:
    """The TCP connection is all."""
    done, _ = shaken(Handshake(SERVER, 80))
    assert (done.phase, done.tls_s, done.certificate, done.tls_version) == ("done", None, None, "")


@pytest.mark.parametrize(
    ("request_", "faults", "phase", "error", "detail", "took_s"),
    [
        (NAMED, (fault("down", "r3"),), "connect", "timeout", "", 5.0),
        (NAMED, (fault("down", "edge"),), "connect", "timeout", "", 5.0),
        (NAMED, (fault("refuse", "edge"),), "connect", "refused", "ECONNREFUSED", 0.02),
        (Handshake(SERVER, 22), (), "connect", "refused", "ECONNREFUSED", 0.02),
        (
            Handshake("203.0.113.1", 443, "a.b"),
            (),
            "connect",
            "unreachable",
            "EHOSTUNREACH (host unreachable, says 10.0.0.3)",
            0.012,
        ),
        (
            NAMED,
            (fault("loop", "r2", "r3"),),
            "connect",
            "unreachable",
            "EHOSTUNREACH (time exceeded, says 10.0.0.2)",
            0.18,
        ),
        (NAMED, (fault("reset", "r2", match={"server_name": ["*"]}),), "tls", "reset", "ECONNRESET", 0.026),
        (NAMED, (fault("drop", "r2", match={"server_name": ["*"]}),), "tls", "timeout", "", 5.0),
        (NAMED, (fault("certificate", "edge", expired=True),), "tls", "certificate", "certificate has expired", 0.042),
        (
            NAMED,
            (fault("certificate", "edge", unknown_issuer=True),),
            "tls",
            "certificate",
            "unable to get local issuer certificate",
            0.042,
        ),
        (
            Handshake(SERVER, 443, "www.example.com"),
            (),
            "tls",
            "certificate",
            "Hostname mismatch, certificate is not valid for 'www.example.com'.",
            0.042,
        ),
        (
            NAMED,
            (fault("down", "r1"),),
            "connect",
            "local",
            f"EHOSTUNREACH (host unreachable, says {CLIENT})",
            3.06,
        ),
        (Handshake("127.0.0.1", 443, "a.b"), (), "connect", "refused", "ECONNREFUSED", 0.00004),
    ],
)
def test_what_becomes_of_a_handshake(
    request_: Handshake, faults: tuple[Fault, ...], phase: str, error: str, detail: str, took_s: float
) -> None:
    """The phase in which it ended, the word for how, and the detail are those of a Linux host."""
    done, at_s = shaken(request_, *faults)
    assert (done.phase, done.error, done.detail) == (phase, error, detail)
    assert at_s == pytest.approx(took_s, rel=0.2)


def test_an_unchecked_handshake_takes_any_certificate() -> None:
    """`verify = false` still tells what was shown."""
    request = Handshake(SERVER, 443, "www.example.com", verify=False)
    done, _ = shaken(request, fault("certificate", "edge", expired=True))
    assert done.done
    assert done.certificate is not None
    assert done.certificate.not_after_s < WALL_CLOCK_S


def test_a_lost_syn_is_sent_again_after_a_second() -> None:
    """RFC 6298: the first retransmission comes after one second."""
    done, _ = shaken(NAMED, fault("drop", "r1", end_s=0.5))
    assert done.connect_s == pytest.approx(1.02, abs=0.01)


@pytest.mark.parametrize("seed", range(20))
def test_loss_makes_it_slow_and_not_wrong(seed: int) -> None:
    """A tenth of the packets lost each way: every fetch still ends with the page, or honestly with a time-out."""
    links = tuple(Link(link.ends, link.delay_ms, loss=0.05) for link in line().links[:2]) + line().links[2:]
    response = fetched(scenario=line(links=links), seed=seed)
    assert (response.status, response.body_bytes > 0) == (200, True) or response.error == "timeout"


# --- fetches


def test_a_page_comes_with_what_matters() -> None:
    """Status, the headers that matter, the title, the size, and the time to the first byte."""
    response = fetched()
    assert (response.status, response.error, response.title) == (200, "", "www.tiktok.com")
    assert response.headers["server"] == "Edge"
    assert response.headers["date"].startswith("Sun, 22 Nov 2026 12:00:0")
    assert response.first_byte_s == pytest.approx(0.021, abs=0.005)
    assert response.handshaken.done


def test_what_a_server_says_is_decided_by_its_faults() -> None:
    """Status and headers of an error, a slow origin, a name that is spared."""
    broken = fault("http", "edge", status=503, headers={"retry-after": "60"}, server_name=("www.*",))
    response = fetched(broken)
    assert (response.status, response.headers["retry-after"]) == (503, "60")
    assert fetched(fault("http", "edge", status=503, server_name=("api.*",))).status == 200
    slow = fetched(fault("http", "edge", delay_ms=3000.0))
    assert slow.status == 200
    assert slow.first_byte_s == pytest.approx(3.02, abs=0.01)
    hung = fetched(fault("http", "edge", delay_ms=9000.0))
    assert (hung.status, hung.error, hung.handshaken.done) == (0, "timeout", True)


def test_plain_http_has_no_tls_in_it() -> None:
    """Port 80 without a name for TLS."""
    outcome, _ = ask(Fetch(Handshake(SERVER, 80)))
    assert isinstance(outcome, Response)
    assert (outcome.status, outcome.handshaken.tls_s) == (200, None)


# --- the own machine


def state(vantage: VirtualVantage) -> HostState:
    token = vantage.send(Inspect())
    event = vantage.receive(vantage.now())
    assert event is not None
    assert event.token == token
    assert isinstance(event.outcome, HostState)
    return event.outcome


def test_the_host_knows_its_neighbour_only_after_it_has_spoken_to_it() -> None:
    """As in the kernel's neighbour table: nothing, then reachable; or incomplete, then failed."""
    for faults, later in (((), ("reachable", "reachable")), ((fault("down", "r1"),), ("incomplete", "failed"))):
        vantage = VirtualVantage(line(*faults))
        assert state(vantage).neighbour == ""
        vantage.send(Probe(Flow(Protocol.ICMP, SERVER)))
        states = []
        for at_s in (0.5, 4.0):
            while vantage.receive(at_s) is not None:
                pass
            states.append(state(vantage).neighbour)
        assert tuple(states) == later


def test_a_packet_that_waits_for_a_dead_gateway_comes_back() -> None:
    """Linux gives up after three ARP requests and says host unreachable in its own name."""
    vantage = VirtualVantage(line(fault("down", "r1")))
    vantage.send(Probe(Flow(Protocol.TCP, SERVER, 443)))
    event = vantage.receive(10.0)
    assert event is not None
    assert isinstance(event.outcome, Reply)
    assert (event.outcome.kind, event.outcome.error) == (ReplyKind.SEND_FAILED, "EHOSTUNREACH")
    assert event.at_s == pytest.approx(3.06)


def test_a_pulled_cable_is_seen_at_the_link() -> None:
    """No carrier; the route stays, as on a kernel that keeps addresses."""
    host = state(VirtualVantage(line(fault("down", "client"))))
    assert [(link.state, link.carrier) for link in host.links] == [("down", False)]
    assert (host.default_link, host.gateway, host.resolvers) == ("eth0", ROUTERS[0], (ROUTERS[0],))
    assert host.wall_clock_s == WALL_CLOCK_S


@pytest.mark.parametrize(
    ("ahead_s", "complaint"),
    [
        (0.0, ""),
        (50 * 86400.0, ""),
        (100 * 86400.0, "certificate has expired"),
        (-100 * 86400.0, "certificate is not yet valid"),
    ],
)
def test_certificates_are_checked_by_the_own_clock(ahead_s: float, complaint: str) -> None:
    """A clock that is wrong enough makes every certificate wrong; the servers' own date stays right."""
    client = msgspec.structs.replace(line().client, clock_ahead_s=ahead_s, hosts={"www.tiktok.com": "127.0.0.1"})
    scenario = line(client=client)
    assert shaken(NAMED, scenario=scenario)[0].detail == complaint
    host = state(VirtualVantage(scenario))
    assert (host.wall_clock_s, host.hosts_overrides) == (WALL_CLOCK_S + ahead_s, ("www.tiktok.com",))
    outcome, _ = ask(Fetch(Handshake(SERVER, 80)), scenario=scenario)
    assert isinstance(outcome, Response)
    assert outcome.headers["date"].startswith("Sun, 22 Nov 2026")


# --- the whole


def digest(scenario: Scenario, seed: int) -> str:
    platform = load_platform()
    targets = [target for target in platform.targets if target.essential]
    return hashlib.sha256(to_json(run(survey(platform, targets), VirtualVantage(scenario, seed)))).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("name", representatives())
def test_the_same_seed_gives_the_same_observations(name: str) -> None:
    """Byte for byte, whatever a scenario uses; and a seed is a network of its own."""
    scenario = load(name)
    first = digest(scenario, 7)
    assert first == digest(scenario, 7)
    if name not in {"gateway-dead", "own-link-down", "home-no-lease"}:  # no packet leaves
        assert first != digest(scenario, 8)


def test_what_was_sent_is_counted() -> None:
    """Packets and bytes of probes and of conversations that have ended."""
    vantage = VirtualVantage(line())
    vantage.send(Probe(Flow(Protocol.ICMP, SERVER), size=100))
    assert (vantage.usage().packets_sent, vantage.usage().bytes_sent) == (1, 100)
    vantage.send(PAGE)
    while vantage.receive(9.0) is not None:
        pass
    assert 6 <= vantage.usage().packets_sent <= 12


def test_time_does_not_stand_still_and_does_not_run_back() -> None:
    """`receive` moves the clock to the event, or to `until`."""
    vantage = VirtualVantage(line())
    assert vantage.receive(5.0) is None
    assert vantage.now() == 5.0
    assert vantage.receive(3.0) is None
    assert vantage.now() == 5.0
    assert vantage.receive(float("inf")) is None


def test_a_server_without_names_has_no_open_port() -> None:
    """It answers pings only."""
    scenario = line(servers=(Server("edge", (SERVER,), "r4"),))
    assert shaken(NAMED, scenario=scenario)[0].error == "refused"


def test_router_tells_its_mtu() -> None:
    """The next hop's MTU is in the reply, as a live one would have it."""
    links = tuple(msgspec.structs.replace(k, mtu=1400) if k.ends == ("r2", "r3") else k for k in line().links)
    reply = replied(Probe(Flow(Protocol.ICMP, SERVER), size=1500), scenario=line(links=links))
    assert reply is not None
    assert (reply.kind, reply.source, reply.mtu) == (ReplyKind.UNREACHABLE, ROUTERS[1], 1400)


def test_own_link_does_not_take_more_than_its_mtu() -> None:
    """The own kernel gives a probe back that is larger than the link's MTU."""
    links = (Link(("client", "r1"), 1.0, mtu=1400), *line().links[1:])
    reply = replied(Probe(Flow(Protocol.ICMP, SERVER), size=1500), scenario=line(links=links))
    assert reply is not None
    assert (reply.kind, reply.error) == (ReplyKind.SEND_FAILED, "EMSGSIZE")


def test_small_segments_get_through_a_black_hole() -> None:
    """What stalls in segments of the usual size is served in small ones."""
    hole = fault("drop", "r2", match={"larger_than": 1000})
    assert (fetched(hole).handshaken.phase, fetched(hole).handshaken.error) == ("tls", "timeout")
    outcome, _ = ask(Fetch(Handshake(SERVER, 443, "www.tiktok.com", mss=536)), hole)
    assert isinstance(outcome, Response)
    assert outcome.status == 200


def test_a_handshake_that_runs_out_of_time_while_it_is_verified_ends_once() -> None:
    """Arithmetic takes 1.5 ms; whoever gives up within them gets no second outcome."""
    done, at_s = shaken(NAMED)
    assert done.done
    for early_s in (0.0002, 0.0007, 0.0012):
        late, end_s = shaken(msgspec.structs.replace(NAMED, timeout_s=at_s - early_s))
        assert (late.phase, late.error) == ("tls", "timeout")
        assert end_s == pytest.approx(at_s - early_s)

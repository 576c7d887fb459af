"""The own machine and the home router: link, route, gateway, clock, hosts file."""

from email.utils import parsedate_to_datetime
from ipaddress import ip_interface

from netprobe.diagnosis.pattern import NEIGHBOUR_FAILED, View
from netprobe.diagnosis.signals.base import Finding, Signal, of
from netprobe.model.host import HostState, Link
from netprobe.model.probes import Exchange, Protocol, ReplyKind
from netprobe.model.unsent import FORBIDDEN
from netprobe.topology.platform import covers

#: Kernel states of a neighbour (linux/neighbour.h) that say that it answers.
_NEIGHBOUR_ALIVE = frozenset({"reachable", "permanent"})

CLOCK_LIMIT_S = 24 * 3600.0  # certificates are issued with a day's margin; less does not break them


def link(view: View) -> Finding | None:
    """Is there a link, and a way out of it, at the beginning and at the end?"""
    hosts = view.facts.hosts
    if not hosts:
        return None
    facts = tuple(i for i, _ in hosts)
    first, last = _linked(hosts[0][1], facts), _linked(hosts[-1][1], facts)
    if first.state == "up" != last.state:
        return last._replace(sentence=f"{last.sentence} It was otherwise when the measurement began.")
    return first


def _linked(host: HostState, facts: tuple[int, ...]) -> Finding:
    routed = host.link
    if (bare := _without_lease(host)) is not None:
        made_up = f" but one that it made up, {bare.addresses[0]}" if bare.addresses else ""
        return Finding(
            "no_address", f"Your network connection ({bare.name}) is up, and has no address{made_up}.", facts
        )
    if host.default_link and (routed is None or routed.carrier or routed.state == "unknown"):  # "up" may lag behind
        return Finding(
            "up", f"Your network connection ({host.default_link}) is up and has a route to the Internet.", facts
        )
    if routed is not None and any(x.carrier for x in host.links):
        others = ", ".join(x.name for x in host.links if x.carrier)
        told = f"Your default route leads over {routed.name}, which has no link: a cable or Wi-Fi is off"
        return Finding("dead_route", f"{told}; {others} has one, and is not used.", facts)
    if any(x.name == host.global_link_v6 and x.carrier for x in host.links):
        told = f"Your network connection ({host.global_link_v6}) is up and has a route to the IPv6 Internet"
        return Finding("up", f"{told}, though none to that of IPv4.", facts)
    if any(x.carrier for x in host.links):
        return Finding("no_route", "Your network connection is up, but it has no route to the Internet.", facts)
    if not host.links:
        return Finding("down", "Your device has no network connection at all: no cable, no Wi-Fi.", facts)
    return Finding(
        "down", f"None of your {len(host.links)} network connection(s) has a link: a cable or Wi-Fi is off.", facts
    )


def _without_lease(host: HostState) -> Link | None:
    """The link by which packets would leave, where it has a carrier and no address that its network gave it.

    Link-local addresses every device makes itself (RFC 3927, RFC 4291).
    """
    links = [x for x in host.links if x.name == host.default_link or not host.default_link]
    if not all(_is_link_local(a) for x in links for a in x.addresses):
        return None
    up = [x for x in links if x.carrier and not x.tunnel]
    known = [x for x in up if x.addresses] or ([] if host.default_link else up)
    return known[0] if known else None


def _is_link_local(address: str) -> bool:
    try:
        return ip_interface(address).is_link_local
    except ValueError:
        return False


def gateway(view: View) -> Finding | None:
    """Does the home router live? A router that only ignores pings is not dead."""
    facts = view.facts
    if not facts.hosts or not facts.hosts[0][1].gateway:
        return None
    address = facts.hosts[0][1].gateway
    sent = sum(_may_leave(x) for _, t in facts.gateway for x in t.exchanges)
    answered = sum(t.answered for _, t in facts.gateway)
    indices = tuple(i for i, _ in facts.gateway) + tuple(i for i, _ in facts.hosts)
    if answered:
        return Finding("yes", f"Your home router {address} answers {of(answered, sent)} pings.", indices)
    speaks = any(s.address == address for i, p in facts.all_paths for s in view.paths.steps(i, p))
    speaks = speaks or any(
        a.lookup.resolver == address and a.rcode for _, a in facts.platform_answers + facts.control_answers
    )
    if speaks or view.paths.life_beyond_gateway:
        if not sent:
            return Finding("forwards", f"Your home router {address} was not pinged, but it forwards packets.", indices)
        return Finding("ignores_ping", f"Your home router {address} ignores pings, but it forwards packets.", indices)
    states = [h.neighbour.lower() for _, h in facts.hosts]
    failed = sum(s in NEIGHBOUR_FAILED for s in states)
    unreachable = any(
        x.reply and x.reply.kind in {ReplyKind.UNREACHABLE, ReplyKind.SEND_FAILED}
        for _, t in facts.gateway
        for x in t.exchanges
    )
    if failed and states[-1] not in _NEIGHBOUR_ALIVE:
        pings = f"{of(0, sent)} pings answered, and it does not even" if sent else "it does not even"
        return Finding("dead", f"Your home router {address} is dead: {pings} say its hardware address.", indices)
    if not sent:
        return None
    if states[-1] in _NEIGHBOUR_ALIVE and not unreachable:
        return Finding(
            "half_dead",
            f"Your home router {address} is there, but answers {of(0, sent)} pings and nothing passes it.",
            indices,
        )
    return Finding(
        "silent", f"Your home router {address} answers {of(0, sent)} pings, and nothing behind it answers.", indices
    )


def _may_leave(exchange: Exchange) -> bool:
    """Whether the own firewall let the probe out: what it forbids says nothing of the router."""
    return exchange.reply is None or exchange.reply.error not in FORBIDDEN


def clock(view: View) -> Finding | None:
    """Is the own clock right? Servers tell theirs in every answer (RFC 9110, 6.6.1)."""
    facts = view.facts
    if not facts.hosts or not facts.hosts[0][1].wall_clock_s:
        return None
    index, host = facts.hosts[0]
    began = host.wall_clock_s - facts.observations[index].at_s
    offsets: list[float] = []
    used: list[int] = [index]
    fetched = [f for place in (*facts.controls.values(), *facts.edges.values()) for f in place.fetches]
    for i, response in (*fetched, *facts.unchecked):
        try:
            told = parsedate_to_datetime(response.headers.get("date", "")).timestamp()
        except (ValueError, TypeError, OverflowError):
            continue
        offsets.append(began + facts.observations[i].at_s - told)
        used.append(i)
    if not offsets:
        return None
    wrong = [o for o in offsets if abs(o) > CLOCK_LIMIT_S]
    if 2 * len(wrong) > len(offsets):
        days = abs(sorted(wrong)[len(wrong) // 2]) / 86400
        return Finding(
            "wrong", f"Your clock is off by {days:.0f} day(s), say {of(len(wrong), len(offsets))} servers.", tuple(used)
        )
    return Finding(
        "right", f"Your clock is right, say {of(len(offsets) - len(wrong), len(offsets))} servers.", tuple(used)
    )


def hosts_file(view: View) -> Finding | None:
    """Does the hosts file send the platform's names elsewhere?"""
    if not view.facts.hosts:
        return None
    index, host = view.facts.hosts[0]
    names = [name for name in host.hosts_overrides if covers(view.facts.platform, name)]
    if names:
        return Finding(
            "overrides",
            f"Your hosts file gives its own address for {len(names)} name(s) of the platform, {names[0]} among them.",
            (index,),
        )
    return Finding("clean", "Your hosts file does not touch the platform's names.", (index,))


SIGNALS = (
    Signal("host.link", "host", ("up", "no_address", "no_route", "dead_route", "down"), link, good=("up",)),
    Signal(
        "gateway.answers",
        "gateway",
        ("yes", "ignores_ping", "forwards", "half_dead", "silent", "dead"),
        gateway,
        good=("yes", "ignores_ping", "forwards"),
        needs=Protocol.ICMP,
    ),
    Signal("host.clock", "clock", ("right", "wrong"), clock, good=("right",)),
    Signal("host.hosts_file", "hosts_file", ("clean", "overrides"), hosts_file, good=("clean",)),
)

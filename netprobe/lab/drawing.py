"""A scenario as text: its network drawn from the client outwards, what is wrong with it, and what should be said."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from netprobe.report.lines import BLANK, Line, Span, line, paragraph
from netprobe.report.words import clean, duration, listed
from netprobe.sim.records import Fault, Link, Scenario
from netprobe.topology.asn import Origin

_CLIENT = "client"


class _Node(NamedTuple):
    """Something with an address. `what` is empty for a router."""

    name: str
    address: str
    asn: int
    what: str = ""


def draw(scenario: Scenario, whose: Callable[[str], Origin | None], *, width: int = 100) -> list[Line]:
    """The whole scenario for a terminal."""
    lines = [line(scenario.name, "strong"), *paragraph(clean(scenario.sentence, 300), width=width), BLANK]
    lines += _network(scenario, whose, width)
    lines += [BLANK, *_faults(scenario, width), *_expectation(scenario, width)]
    return lines


class _Tree(NamedTuple):
    """Every node by name, the nodes behind each one, and the delay in ms of the wire that leads to a router."""

    nodes: dict[str, _Node]
    children: dict[str, list[str]]
    delay: dict[str, float]

    def alias(self, name: str) -> str:
        """The node that is drawn for `name`: a name server may be a service of a router."""
        return self.nodes[name].name if name in self.nodes else name


def _network(scenario: Scenario, whose: Callable[[str], Origin | None], width: int) -> list[Line]:
    tree = _tree(scenario)
    broken: dict[str, list[str]] = defaultdict(list)
    for fault in scenario.faults:
        for name in fault.at:
            broken[tree.alias(name)].append(fault.kind)
    rows = list(_rows(_CLIENT, "", "", tree))
    drawn = max(len(art) + len(name) for art, name in rows) + 2
    lines: list[Line] = []
    for art, name in rows:
        node, kinds = tree.nodes[name], broken.get(name, [])
        wrong = f"✗ {listed(dict.fromkeys(kinds))}  " if kinds else ""
        known = f"{_network_name(node, whose)}  {node.what}".strip()
        room = max(12, width - drawn - len(wrong) - 30)
        lines.append(
            (
                Span("  " + art, "faint"),
                Span(f"{name:<{drawn - len(art)}}", "bad" if kinds else "strong" if name == _CLIENT else ""),
                Span(f"{clean(node.address, 18):<18}"),
                Span(f"{tree.delay[name]:>5g} ms  " if name in tree.delay else " " * 10, "faint"),
                Span(wrong, "bad"),
                Span(clean(known, room), "mark" if node.asn else "faint"),
            )
        )
    return lines


def _network_name(node: _Node, whose: Callable[[str], Origin | None]) -> str:
    if not node.asn:
        return ""
    origin = whose(node.address)
    return f"AS{node.asn} {clean(origin.name)}" if origin and origin.asn == node.asn else f"AS{node.asn}"


def _tree(scenario: Scenario) -> _Tree:
    tree = _Tree({_CLIENT: _Node(_CLIENT, scenario.client.address, 0, "this machine")}, defaultdict(list), {})
    for uplink in scenario.uplinks:
        tree.nodes[uplink.name] = _Node(uplink.name, uplink.address, 0, "another uplink of this machine")
        tree.children[_CLIENT].append(uplink.name)
    tree.nodes.update((r.name, _Node(r.name, r.address, r.asn)) for r in scenario.routers)
    wires: dict[str, list[Link]] = defaultdict(list)
    for link in scenario.links:
        for end in link.ends:
            wires[end].append(link)
    queue = [_CLIENT, *(uplink.name for uplink in scenario.uplinks)]
    seen = set(queue)
    for near in queue:
        for link in wires[near]:
            far = link.ends[link.ends[0] == near]
            if far not in seen:
                seen.add(far)
                queue.append(far)
                tree.children[near].append(far)
                tree.delay[far] = link.delay_ms
    for server in scenario.servers:
        what = f"serves {', '.join(clean(s, 60) for s in server.serves)}" if server.serves else "answers pings"
        more = f" +{len(server.addresses) - 1}" if len(server.addresses) > 1 else ""
        tree.nodes[server.name] = _Node(server.name, server.addresses[0] + more, server.asn, what)
        tree.children[server.at].append(server.name)
    for resolver in scenario.resolvers:
        host = next((n for n in tree.nodes.values() if n.address == resolver.address), None)
        if host:  # a service of that machine, not a machine of its own
            tree.nodes[resolver.name] = tree.nodes[host.name] = host._replace(
                what=f"{host.what}, name server".lstrip(", ")
            )
        else:
            tree.nodes[resolver.name] = _Node(resolver.name, resolver.address, resolver.asn, "name server")
            tree.children[resolver.at].append(resolver.name)
    return tree


def _rows(name: str, lead: str, trunk: str, tree: "_Tree") -> Iterator[tuple[str, str]]:
    """(what is drawn left of it, name) of every node: the longest way goes straight on, the rest branches off."""
    yield lead, name
    behind = sorted(tree.children.get(name, ()), key=lambda child: (child in tree.delay, _size(child, tree)))
    onward = behind.pop() if behind and behind[-1] in tree.delay else ""
    for number, child in enumerate(behind, 1):
        last = number == len(behind) and not onward
        yield from _rows(child, trunk + ("└─ " if last else "├─ "), trunk + ("   " if last else "│  "), tree)
    if onward:
        yield from _rows(onward, trunk, trunk, tree)


def _size(name: str, tree: "_Tree") -> int:
    return 1 + sum(_size(child, tree) for child in tree.children.get(name, ()))


def _faults(scenario: Scenario, width: int) -> Iterable[Line]:
    if not scenario.faults:
        yield from paragraph("nothing", width=width, first=(Span("Wrong     ", "strong"),), indent=10)
    for number, fault in enumerate(scenario.faults):
        first = (Span("Wrong     " if number == 0 else " " * 10, "strong"),)
        yield from paragraph(_fault(fault), width=width, first=first, indent=10, style="bad")


def _fault(fault: Fault) -> str:
    until = "" if math.isinf(fault.end_s) else f" until {duration(fault.end_s)}"
    when = f"from {duration(fault.begin_s)} on{until}" if fault.begin_s else f"from the start{until}"
    match = [
        f"{key.replace('_', ' ')} {', '.join(value) if isinstance(value, tuple) else value}"
        for key in fault.match.__struct_fields__
        if (value := getattr(fault.match, key))
    ]
    about = f" what matches {'; '.join(match)}" if match else ""
    return clean(f"{fault.kind} at {listed(fault.at)}{about}, {when}", 400)


def _expectation(scenario: Scenario, width: int) -> Sequence[Line]:
    expect = scenario.expect
    text = f"{expect.component}, because of {listed((expect.cause, *expect.also))}"
    lines = paragraph(text, width=width, first=(Span("Expected  ", "strong"),), indent=10, style="good")
    if expect.never:
        never = f"never to be blamed: {', '.join(expect.never)}"
        lines += paragraph(never, width=width, first=(Span(" " * 10),), indent=10, style="faint")
    if expect.open:
        why = f"not found yet: {clean(expect.open, 400)}"
        lines += paragraph(why, width=width, first=(Span(" " * 10),), indent=10, style="warn")
    return lines

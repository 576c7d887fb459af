"""The files in which Trippy, another traceroute, describes a simulated trace: what it sends and which hop answers how.

Both of its forms are read: TOML, and the YAML with tags that it had before. The format's home is crates/trippy-core/
tests of github.com/fujiapple852/trippy; `first_ttl` and `max_ttl` are additions of ours, named as its own settings.
Whatever is unknown, of the wrong type or contradicts something else is refused with the file, the key and a hint.
"""

import ipaddress
import re
import tomllib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from netprobe.model.hint import hint
from netprobe.model.probes import Protocol

INITIAL_SEQUENCE = 33434
HIGHEST_INITIAL = 64511  # of the peer: a round has room for its numbers above
FARTHEST_TTL = 63  # 64 asks our destinations how far they are
DEFAULT_SIZE = 84  # the peer's
ROUND_NUMBERS = 512  # more than a round needs; one that would get beyond 16 bits begins with the first again
DUBLIN_V6_SIZE = 40 + 8 + 20  # the smallest datagram of ours: numbers are counted in bytes from there
_LARGEST = 1500

_PROTOCOLS = {"Icmp": Protocol.ICMP, "Udp": Protocol.UDP, "Tcp": Protocol.TCP}
_STRATEGIES = ("Classic", "Paris", "Dublin")
_PRIVILEGES = ("Privileged", "Unprivileged")


class BadSimulation(ValueError):  # noqa: N818  # what is wrong with a file, not with the program
    """A file that cannot be run: says which, where, and what to do."""


class Counted(StrEnum):
    """Where probes have the number that tells one from the next."""

    SEQUENCE = "sequence numbers"
    CHECKSUM = "checksums"
    IDENT = "IP identifications"
    SIZE = "sizes"
    SOURCE_PORTS = "source ports"
    DESTINATION_PORTS = "destination ports"
    NOWHERE = "nowhere"


_BY_PORTS = (Counted.SOURCE_PORTS, Counted.DESTINATION_PORTS)


class Hop(NamedTuple):
    """What answers at one TTL, and after how long; nobody does where `address` is empty."""

    ttl: int
    address: str = ""
    rtt_ms: int = 0


class Ports(NamedTuple):
    """Ports that stay the same; 0 is one that does not."""

    source: int = 0
    destination: int = 0


class Simulation(NamedTuple):
    """One file. `notes` say what of it has no effect here, and why."""

    name: str
    target: str
    protocol: Protocol
    hops: tuple[Hop, ...]
    rounds: int = 1
    privileged: bool = True
    ports: Ports = Ports()
    strategy: str = "Classic"
    identifier: int = 0
    initial_sequence: int = INITIAL_SEQUENCE
    size: int = 0
    pattern: int | None = None
    tos: int = 0
    min_round_s: float = 0.0
    max_round_s: float = 1.0
    grace_s: float | None = None
    first_ttl: int = 1
    max_ttl: int = FARTHEST_TTL
    notes: tuple[str, ...] = ()

    @property
    def over_v6(self) -> bool:
        """Whether it is about IPv6."""
        return ":" in self.target

    @property
    def whole_size(self) -> int:
        """Bytes of a probe; 0 where it does not matter. What is to be filled up has the peer's own size."""
        return self.size or (DEFAULT_SIZE if self.pattern is not None else 0)

    @property
    def counted_in(self) -> Counted:
        """Where its probes are counted: by protocol, strategy and what stays the same."""
        if not self.privileged:
            return Counted.NOWHERE
        if self.protocol is Protocol.ICMP:
            return Counted.SEQUENCE
        if self.protocol is Protocol.UDP and self.strategy == "Paris":
            return Counted.CHECKSUM
        if self.protocol is Protocol.UDP and self.strategy == "Dublin":
            return Counted.SIZE if self.over_v6 else Counted.IDENT
        if self.ports.source and self.ports.destination:
            return Counted.NOWHERE
        return Counted.DESTINATION_PORTS if self.ports.source else Counted.SOURCE_PORTS

    @property
    def turns_at(self) -> int:
        """The number from which on a round begins with the first again."""
        if self.counted_in is Counted.SIZE:
            return self.initial_sequence + ROUND_NUMBERS
        return 0xFFFF - ROUND_NUMBERS

    def hop(self, ttl: int) -> Hop:
        """What answers at `ttl`: nobody where the file has no such hop; beyond the last, the last does."""
        last = self.hops[-1]
        return next((hop for hop in self.hops if hop.ttl == ttl), last if ttl > last.ttl else Hop(ttl))

    @property
    def reached_at(self) -> int:
        """The TTL at which the target answers; 0: at none that is asked."""
        last = max(self.first_ttl, self.hops[-1].ttl)
        return last if self.hops[-1].address == self.target and last <= self.max_ttl else 0


class Tagged(NamedTuple):
    """A variant with what it holds, as either form says it."""

    tag: str
    value: Any = None


def read(path: Path) -> Simulation:
    """The simulation in `path`. Raises `BadSimulation`."""
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text) if path.suffix == ".toml" else yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        raise BadSimulation(f"{path.name}: {' '.join(str(error).split())}") from error
    return _simulation(_Table(path.name, "", data))


class _Loader(yaml.SafeLoader):
    """YAML as the peer reads it: text is text (an address is no sexagesimal number), a tag is a variant."""


_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"(?:[-+]?\d+|0x[0-9a-fA-F]+)\Z"), list("-+0123456789")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(?:~|null|)\Z"), ["~", "n", ""])


def _construct_variant(loader: _Loader, suffix: str, node: yaml.Node) -> Tagged:
    if isinstance(node, yaml.MappingNode):
        return Tagged(suffix, _construct_mapping(loader, node))
    tag = loader.resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]
    plain = yaml.ScalarNode(tag, node.value, node.start_mark)
    return Tagged(suffix, loader.construct_object(plain))


def _construct_mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(None, None, f"key '{key}' stands twice", node.start_mark)
    return {key: loader.construct_object(value, deep=True) for key, (_, value) in zip(keys, node.value, strict=True)}


_Loader.add_multi_constructor("!", _construct_variant)
_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


class _Table:
    """The keys at one place of a file, each taken once; what is left at the end is unknown."""

    def __init__(self, file: str, place: str, data: object) -> None:
        self._file = file
        self._place = place
        if not isinstance(data, Mapping):
            raise BadSimulation(f"{file}: {place or 'the file'}: must be a table of keys and values")
        self._left = dict(data)
        self._known: list[str] = []

    def bad(self, key: str, what: str) -> BadSimulation:
        """The error about `key`."""
        return BadSimulation(f"{self._file}: {self._place}{key}: {what}")

    def take(self, key: str, default: Any = ...) -> Any:
        """The value of `key`."""
        self._known.append(key)
        value = self._left.pop(key, default)
        if value is ...:
            raise self.bad(key, "is missing")
        return value

    def text(self, key: str) -> str:
        """The value of `key`, which must be text."""
        value = self.take(key)
        if not isinstance(value, str) or not value:
            raise self.bad(key, "must be text")
        return value

    def number(self, key: str, low: int, high: int, default: Any = ...) -> Any:
        """The value of `key`, an integer from `low` to `high`."""
        value = self.take(key, default)
        if value is default:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.bad(key, f"must be a whole number from {low} to {high}")
        return value

    def address(self, key: str) -> str:
        """The value of `key`, an IP address in its usual form."""
        try:
            return str(ipaddress.ip_address(self.text(key)))
        except ValueError as error:
            if isinstance(error, BadSimulation):
                raise
            raise self.bad(key, "must be an IPv4 or IPv6 address") from error

    def choice(self, key: str, known: Iterable[str], default: Any = ...) -> str:
        """The value of `key`, one of `known`."""
        value = self.take(key, default)
        names = list(known)
        if value not in names:
            raise self.bad(key, f"'{value}' is no value of it ({hint(str(value), names)})")
        return str(value)

    def variant(self, key: str, known: Iterable[str], default: Any = ...) -> Tagged:
        """The value of `key`: a tag, and what stands beside it."""
        value = self.take(key, default)
        match value:
            case Tagged():
                variant = value
            case str():
                variant = Tagged(value)
            case {"tag": str() as tag, "value": inner, **more} if not more:
                variant = Tagged(tag, inner)
            case {"tag": str() as tag, **more}:
                variant = Tagged(tag, more or None)
            case _:
                raise self.bad(key, f"must have a tag ({', '.join(known)})")
        if variant.tag not in known:
            raise self.bad(key, f"'{variant.tag}' is no tag of it ({hint(variant.tag, known)})")
        return variant

    def inner(self, key: str, data: object) -> "_Table":
        """What stands below `key`."""
        return _Table(self._file, f"{self._place}{key}.", data)

    def end(self) -> None:
        """All keys have been taken."""
        for key in self._left:
            raise self.bad(str(key), f"unknown key ({hint(str(key), self._known)})")


def _simulation(table: _Table) -> Simulation:
    target = table.address("target")
    over_v6 = ":" in target
    sim = Simulation(
        table.text("name"),
        target,
        _PROTOCOLS[table.choice("protocol", _PROTOCOLS)],
        _hops(table, target),
        table.number("rounds", 1, 1000, 1),
        table.choice("privilege_mode", _PRIVILEGES, _PRIVILEGES[0]) == _PRIVILEGES[0],
        _ports(table),
        table.choice("multipath_strategy", _STRATEGIES, _STRATEGIES[0]),
        table.number("icmp_identifier", 0, 0xFFFF, 0),
        table.number("initial_sequence", 0, HIGHEST_INITIAL, INITIAL_SEQUENCE),
        table.number("packet_size", 48 if over_v6 else 28, _LARGEST, 0),
        table.number("payload_pattern", 0, 0xFF, None),
        table.number("tos", 0, 0xFF, 0),
        table.number("min_round_duration", 0, 60_000, 0) / 1000,
        table.number("max_round_duration", 1, 60_000, 1000) / 1000,
        _grace_s(table),
        table.number("first_ttl", 1, FARTHEST_TTL, 1),
        table.number("max_ttl", 1, FARTHEST_TTL, FARTHEST_TTL),
    )
    table.end()
    _agree(table, sim)
    return sim._replace(notes=tuple(_without_effect(sim)))


def _grace_s(table: _Table) -> float | None:
    """How long hops may answer after the target; some of the older files say grace_period."""
    ms = table.number("grace_duration", 0, 60_000, None)
    older = table.number("grace_period", 0, 60_000, None)
    if ms is not None and older is not None:
        raise table.bad("grace_period", "is the older name of grace_duration: leave it out")
    return next((one / 1000 for one in (ms, older) if one is not None), None)


def _hops(table: _Table, target: str) -> tuple[Hop, ...]:
    given = table.take("hops")
    if not isinstance(given, list) or not given:
        raise table.bad("hops", "must be a list of at least one hop")
    hops: list[Hop] = []
    for index, data in enumerate(given):
        entry = table.inner(f"hops[{index}]", data)
        ttl = entry.number("ttl", 1, FARTHEST_TTL)
        response = entry.variant("resp", ("SingleHost", "NoResponse"))
        entry.end()
        if hops and ttl <= hops[-1].ttl:
            raise entry.bad("ttl", f"{ttl} stands behind {hops[-1].ttl}: hops come in order, each once")
        if hops and hops[-1].address == target:
            raise entry.bad("ttl", f"{ttl} is beyond the target, which answers at {hops[-1].ttl}: leave it out")
        if response.tag == "NoResponse":
            if response.value:
                raise entry.bad("resp", "NoResponse has nothing beside its tag")
            hops.append(Hop(ttl))
            continue
        host = entry.inner("resp", response.value or {})
        hops.append(Hop(ttl, host.address("addr"), host.number("rtt_ms", 0, 0xFFFF)))
        host.end()
        if (":" in hops[-1].address) != (":" in target):
            raise host.bad("addr", f"{hops[-1].address} and the target {target} are of two versions of IP")
    return tuple(hops)


def _ports(table: _Table) -> Ports:
    variant = table.variant("port_direction", ("None", "FixedSrc", "FixedDest", "FixedBoth"), "None")
    if variant.tag == "None":
        if variant.value is not None:
            raise table.bad("port_direction", "None has nothing beside its tag")
        return Ports()
    if variant.tag == "FixedBoth":
        both = table.inner("port_direction", variant.value)
        ports = Ports(both.number("src", 1, 0xFFFF), both.number("dest", 1, 0xFFFF))
        both.end()
        return ports
    one = table.inner("port_direction", {"value": variant.value}).number("value", 1, 0xFFFF)
    return Ports(source=one) if variant.tag == "FixedSrc" else Ports(destination=one)


def _agree(table: _Table, sim: Simulation) -> None:
    """Refuse what contradicts itself."""
    has_ports = sim.protocol is not Protocol.ICMP
    if has_ports and sim.ports == Ports():
        raise table.bad("port_direction", "is missing: Udp and Tcp need FixedSrc, FixedDest or FixedBoth")
    if not has_ports and sim.ports != Ports():
        raise table.bad("port_direction", "goes without Icmp, which has no ports")
    if not sim.privileged and sim.ports.source:
        raise table.bad("port_direction", "an unprivileged probe has a socket and a port of its own: use FixedDest")
    if not sim.privileged and sim.strategy != "Classic":
        raise table.bad("multipath_strategy", "needs raw sockets: leave it out, or privilege_mode")
    if not sim.initial_sequence and sim.counted_in not in {Counted.SEQUENCE, Counted.SIZE, Counted.NOWHERE}:
        raise table.bad("initial_sequence", f"0 cannot be among {sim.counted_in}: begin with 1")
    least = 50 if sim.over_v6 else 30
    if sim.protocol is Protocol.UDP and 0 < sim.size < least and sim.counted_in not in _BY_PORTS:
        raise table.bad("packet_size", f"below {least} nothing tells a datagram from the next but its ports")
    if sim.min_round_s > sim.max_round_s and sim.min_round_s > 1:
        raise table.bad("min_round_duration", "is longer than max_round_duration")
    if sim.first_ttl > sim.max_ttl:
        raise table.bad("first_ttl", f"{sim.first_ttl} is behind max_ttl {sim.max_ttl}")
    for hop in sim.hops:
        if hop.rtt_ms >= sim.max_round_s * 1000:
            raise table.bad("hops", f"ttl {hop.ttl} answers after {hop.rtt_ms} ms, when the round is over")


def _without_effect(sim: Simulation) -> Iterable[str]:
    """What of the file has none."""
    if sim.protocol is Protocol.TCP and (sim.size or sim.pattern is not None):
        yield "packet_size and payload_pattern: a SYN carries nothing"
    if sim.protocol is not Protocol.UDP and sim.strategy != "Classic":
        yield "multipath_strategy: is about Udp; other probes are of one flow as it is"
    if not sim.privileged:
        yield "icmp_identifier, initial_sequence: the kernel chooses them for sockets without privilege"

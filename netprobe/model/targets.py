"""What is measured: the platform's names by role, the controls, and the edges that names resolve to."""

from netprobe.model.record import Record


class Region(Record, frozen=True):
    """Somewhere else: `subnet` is one of a large provider's customers there, for which answers are asked (RFC 7871)."""

    name: str
    subnet: str


class Target(Record, frozen=True):
    """A name of the platform: a name is stable, an address never is. `path` is what a fetch asks for,
    `large_path` what is known to be larger than 64 KB; empty: nothing is.
    """

    name: str
    role: str
    vendor: str = ""
    data_centre: str = ""
    path: str = "/"
    essential: bool = False
    large_path: str = ""


class PlainPage(Record, frozen=True):
    """What a server answers to a request for `path` in plain HTTP, wherever nobody on the way answers in its stead.

    With a `title` its page is called so. An answer of 204 has no page (RFC 9110, 15.3.5).
    """

    path: str
    status: int = 200
    title: str = ""


class Control(Record, frozen=True):
    """A service that has nothing to do with the platform. `family` is who runs it: families fail independently.

    `address` is set where the service has a well-known anycast address, so that it needs no DNS, and `address_v6` where
    it has one of IPv6 too. `resolver` says that it answers DNS queries too. `vendor` marks another customer of a CDN
    vendor that serves the platform. `large_path` is a page of it that is known to be larger than 64 KB. `plain` is what
    it answers on port 80, to everybody and for ever: devices look for portals with such pages.
    """

    name: str
    family: str
    address: str = ""
    resolver: bool = False
    ecs: bool = False  # a resolver that tells authorities of the client's subnet (RFC 7871)
    vendor: str = ""
    path: str = "/"
    address_v6: str = ""
    large_path: str = ""
    plain: PlainPage | None = None


class Platform(Record, frozen=True):
    """One platform's catalogue: `zones` are the registrable domains by which its names and certificates are known.

    `cdn_asns` are the networks that deliver it, by vendor; `scrubbing` those of the vendors that filter attacks.
    `words` are those by which an announcement names it; none: its name.
    """

    name: str
    targets: tuple[Target, ...]
    controls: tuple[Control, ...]
    zones: tuple[str, ...] = ()
    regions: tuple[Region, ...] = ()
    own_asns: tuple[int, ...] = ()
    cdn_asns: dict[str, tuple[int, ...]] = {}
    scrubbing: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


class Edge(Record, frozen=True):
    """One address at which a name was found. `trusted`: its resolver's answer was not contradicted by the others."""

    address: str
    name: str
    role: str
    vendor: str = ""
    resolver: str = ""
    large_path: str = ""

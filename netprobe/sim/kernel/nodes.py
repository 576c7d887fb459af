"""What lives in each namespace of a network of kernel routers: addresses, settings, rules of routing."""

from socket import AF_INET, AF_INET6, AddressFamily

from netprobe.sim.devices import IFF_TUN, highest_group, open_device, set_kernel, write_checksums
from netprobe.sim.kernel import rules, speech, translation
from netprobe.sim.kernel.built import Built
from netprobe.sim.kernel.detour import Detour
from netprobe.sim.kernel.layout import SERVERS, Layout
from netprobe.sim.leases import Leases
from netprobe.sim.namespaces import bring_up
from netprobe.sim.records import Router
from netprobe.sim.routing import CLIENT

LOOPBACK = 1  # its index, in each namespace
_TABLE_LOCAL, _TABLE_DETOUR, _TABLE_LOOP, _TABLE_SPEECH, _TABLE_LEGS = 255, 100, 101, 102, 200
_EVERYTHING = {AF_INET: "0.0.0.0/0", AF_INET6: "::/0"}
_OWN = {AF_INET: "127.0.0.0/8", AF_INET6: "::1/128"}
_FIELDS = "63"  # addresses, protocol, flow label, ports (Linux, ip-sysctl: fib_multipath_hash_fields)


def _families(layout: Layout, node: str) -> tuple[AddressFamily, ...]:
    """The versions of IP that a namespace knows."""
    return (AF_INET, AF_INET6) if layout.has_v6(node) else (AF_INET,)


def _whole(address: str) -> int:
    """How long the prefix of one address is."""
    return 128 if ":" in address else 32


def make_router(built: Built, layout: Layout, record: Router) -> None:
    """A router's addresses, and what a kernel has to be told to be one."""
    router = record.name
    kernel = built.kernels[router]
    for scope in ("all", "default"):
        for setting, value in (("rp_filter", "0"), ("send_redirects", "0"), ("accept_redirects", "0")):
            set_kernel(f"ipv4/conf/{scope}/{setting}", value)
    set_kernel("ipv4/ip_forward", "1")
    set_kernel("ipv4/fib_multipath_hash_policy", "1")  # over the five-tuple
    set_kernel("ipv6/fib_multipath_hash_policy", "3")  # and the flow label: over the fields that are named
    set_kernel("ipv6/fib_multipath_hash_fields", _FIELDS)
    set_kernel("ipv4/icmp_ratelimit", "0")  # what limits errors is in the scenario
    set_kernel("ipv4/icmp_msgs_per_sec", "1000000")
    set_kernel("ipv4/icmp_msgs_burst", "1000000")
    set_kernel("ipv4/ip_default_ttl", str(record.icmp_ttl))
    for address in (*layout.here(router), record.icmp_source, record.nat.address if record.nat else ""):
        if address:
            kernel.addr("add", index=LOOPBACK, address=address, prefixlen=_whole(address))
    for name, value in translation.settings(record.nat):
        set_kernel(name, value)
    for wire in layout.wires:
        if router in wire.ends:
            for setting in ("rp_filter", "send_redirects"):
                set_kernel(f"ipv4/conf/{wire.device(router)}/{setting}", "0")
            if wire.card:  # others of the home network hang on this router
                set_kernel(f"ipv4/conf/{wire.device(router)}/proxy_arp", "1")
                built.answer_neighbours(wire)


def make_loop(built: Built, layout: Layout, ends: tuple[str, str]) -> None:
    """What the rules mark at the farther router goes back to the nearer one."""
    near, far = layout.farther(ends)
    kernel = built.kernels[far]
    wire = layout.wire(near, far)
    way = {"oif": built.index(far, wire.device(far)), "flags": ["onlink"]}
    for family in _families(layout, far):
        gateway = layout.here(near)[0] if family == AF_INET else layout.link_local(wire, near)
        if family == AF_INET6 and not layout.has_v6(near):
            continue
        kernel.route("replace", dst=_EVERYTHING[family], gateway=gateway, table=_TABLE_LOOP, family=family, **way)
        kernel.rule("add", priority=50, fwmark=rules.LOOP_MARK, table=_TABLE_LOOP, family=family)


def make_detour(built: Built, layout: Layout, router: str, seed: int) -> Detour:
    """The device behind which a process of ours stands, and the way there of what is marked for it."""
    kernel = built.kernels[router]
    device = open_device(rules.DETOUR, IFF_TUN)
    index = built.index(router, rules.DETOUR)
    set_kernel(f"ipv4/conf/{rules.DETOUR}/rp_filter", "0")
    kernel.link("set", index=index, state="up", mtu=65535)
    for family in _families(layout, router):
        kernel.route("add", dst=_EVERYTHING[family], oif=index, table=_TABLE_DETOUR, family=family)
        kernel.rule("add", priority=40, fwmark=rules.DETOUR_MARK, table=_TABLE_DETOUR, family=family)
    return Detour(router, device, seed)


def make_speech(built: Built, layout: Layout, router: str) -> int:
    """The device to which a router's own ICMP errors go before they leave, and come from again."""
    kernel = built.kernels[router]
    device = open_device(speech.DEVICE, IFF_TUN)
    index = built.index(router, speech.DEVICE)
    set_kernel(f"ipv4/conf/{speech.DEVICE}/rp_filter", "0")
    set_kernel(f"ipv4/conf/{speech.DEVICE}/accept_local", "1")  # what comes from there is from its own address
    kernel.link("set", index=index, state="up", mtu=65535)
    for family in _families(layout, router):
        kernel.route("add", dst=_EVERYTHING[family], oif=index, table=_TABLE_SPEECH, family=family)
        kernel.rule("add", priority=45, fwmark=rules.SPEECH_MARK, table=_TABLE_SPEECH, family=family)
    return device


def make_servers(built: Built, layout: Layout) -> None:
    """One machine of many addresses: what it sends from one of them leaves by the leg that this address hangs on."""
    kernel = built.kernels[SERVERS]
    for scope in ("all", "default"):
        set_kernel(f"ipv4/conf/{scope}/rp_filter", "0")
        set_kernel(f"ipv4/conf/{scope}/accept_local", "1")  # a forwarder and its upstream are both here
    set_kernel("ipv4/icmp_ratelimit", "0")
    for address in layout.here(SERVERS):
        kernel.addr("add", index=LOOPBACK, address=address, prefixlen=_whole(address))
    for number, wire in enumerate(layout.legs()):
        router = wire.other(SERVERS)
        device, table = wire.device(SERVERS), _TABLE_LEGS + number
        for setting in ("rp_filter", "accept_local"):
            set_kernel(f"ipv4/conf/{device}/{setting}", "0" if setting == "rp_filter" else "1")
        write_checksums(device)
        way = {"oif": built.index(SERVERS, device), "flags": ["onlink"]}
        for family in _families(layout, SERVERS):
            kernel.rule("add", priority=10, iifname=device, table=_TABLE_LOCAL, family=family)
            gateway = layout.here(router)[0] if family == AF_INET else layout.link_local(wire, router)
            if family == AF_INET or layout.has_v6(router):
                kernel.route("add", dst=_EVERYTHING[family], gateway=gateway, table=table, family=family, **way)
        for address in layout.served_at(router):
            family = AF_INET6 if ":" in address else AF_INET
            kernel.rule("add", priority=30, src=f"{address}/{_whole(address)}", table=table, family=family)
    for family in _families(layout, SERVERS):
        kernel.rule("add", priority=20, dst=_OWN[family], table=_TABLE_LOCAL, family=family)
        kernel.rule("del", priority=0, table=_TABLE_LOCAL, family=family)


def make_client(built: Built, layout: Layout) -> None:
    """What the client's cards are leased, and a kernel in which everybody may ping."""
    set_kernel("ipv4/ping_group_range", f"0 {highest_group()}")
    bring_up("lo")
    for card in built.cards.all:
        write_checksums(card.device)
    built.leases = Leases(built.cards, built.kernels[CLIENT], over_v6=layout.over_v6)
    built.leases.change(0.0)

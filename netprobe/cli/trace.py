"""`netprobe trace`: the way to one or many targets, hop by hop."""

from enum import StrEnum
from typing import Annotated

import typer

from netprobe.cli.options import AsJson, ConfigFile, Pcap

_ECT_0 = 2  # RFC 3168, 5


class Method(StrEnum):
    """What probes are made of."""

    ICMP = "icmp"
    SYN = "syn"
    ACK = "ack"
    UDP = "udp"
    QUIC = "quic"


Targets = Annotated[
    list[str], typer.Argument(metavar="TARGET...", help="Names, IPv4 or IPv6 addresses; all share one pass.")
]
How = Annotated[
    Method | None,
    typer.Option(
        help="icmp: echo requests; syn: TCP connection attempts; ack: TCP ACKs of no connection, which hosts answer "
        "with a RST and stateful firewalls swallow; udp: datagrams; quic: datagrams that draw a version negotiation. "
        "Without it icmp, and syn with --paths.",
        show_default=False,
    ),
]
Port = Annotated[
    int | None, typer.Option(min=1, max=65535, help="Destination port; 443 for syn, ack and quic, 33434 for udp.")
]
Rate = Annotated[
    float | None, typer.Option(metavar="PACKETS_PER_SECOND", help="At most so many probes a second (400).")
]
FirstTtl = Annotated[
    int, typer.Option("--first-ttl", min=1, max=63, help="Begin at this hop: those before it are known, or not ours.")
]
MaxTtl = Annotated[int, typer.Option("--max-ttl", min=1, max=63, help="Give up beyond this hop.")]

Share = Annotated[
    bool,
    typer.Option(
        "--share",
        help="Probe what the paths to many targets have in common once; hops that are taken over say from where.",
    ),
]


Paths = Annotated[
    bool,
    typer.Option(
        "--paths",
        help="Find all ways that flows to the target take, at 95 %, and draw them. Behind routers that answer one "
        "probe a second this takes 10 to 50 s a target.",
    ),
]
Rounds = Annotated[
    int,
    typer.Option(
        "--rounds",
        min=0,
        max=10_000,
        metavar="N",
        help="Then ask every hop N times more, and say what is loss and what is a router that limits its answers; "
        "200 find 3 % of loss.",
        show_default=False,
    ),
]
Interval = Annotated[
    float | None,
    typer.Option(
        "--interval",
        metavar="SECONDS",
        help="Time between two rounds (0.5); 0.2 at least, because routers answer few probes a second.",
    ),
]
Dscp = Annotated[
    str | None,
    typer.Option(
        "--dscp",
        metavar="VALUE",
        help="Mark the probes: 0 to 63, or a name such as EF, AF41, CS1 or LE; the hop before which the mark is "
        "changed is told.",
    ),
]
Ecn = Annotated[
    bool, typer.Option("--ecn", help="Mark the probes as ECN-capable, ECT(0), to see who clears or changes that.")
]
V4 = Annotated[bool, typer.Option("-4", help="IPv4 addresses of names only.")]
V6 = Annotated[bool, typer.Option("-6", help="IPv6 addresses of names only.")]


def trace(
    targets: Targets,
    method: How = None,
    port: Port = None,
    rate: Rate = None,
    first_ttl: FirstTtl = 1,
    max_ttl: MaxTtl = 30,
    share: Share = False,
    paths: Paths = False,
    rounds: Rounds = 0,
    interval: Interval = None,
    dscp: Dscp = None,
    ecn: Ecn = False,
    ipv4: V4 = False,
    ipv6: V6 = False,
    pcap: Pcap = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Show the way that packets take to each target.

    A name is traced over IPv6 where this computer has a global IPv6 address with a route and the name has an IPv6
    address, else over IPv4.

    With --json, one line a target, in their order, each as soon as it is known: {target, address, method, port,
    reached, rtt_ms, probes_sent, hops}; --rounds adds loss, and --paths adds paths: {vertices, branches, per_packet,
    complete, probes_sent, unanswered} and to each hop the replies of all ways. "netprobe schema trace" has all of it.
    rung says how the probes left: by raw sockets or, without root, by what this computer lets everybody do. Then one
    line on stderr says what cannot be seen so, and "netprobe doctor" more.
    A hop that was asked on the way to another target, by --share or --rounds, has its address as shared_from.

    Ctrl-C shows what is known by then, and the exit code is 130. 20: a target could not be traced; 2: wrong usage.
    """
    from netprobe.cli.settings import load
    from netprobe.cli.tracing import PORTS, Job, carry_out
    from netprobe.model.dscp import value_of

    chosen = method or (Method.SYN if paths else Method.ICMP)
    if port and chosen is Method.ICMP:
        msg = "--port: ICMP has no ports; leave it out, or use --method syn, ack, udp or quic"
        raise typer.BadParameter(msg)
    if rate is not None and not rate > 0:
        msg = "--rate: must be more than 0"
        raise typer.BadParameter(msg)
    if paths and share:
        msg = "--paths: asks every hop with many flows, so nothing can be taken over; leave out --share"
        raise typer.BadParameter(msg)
    if first_ttl > max_ttl:
        msg = f"--first-ttl: {first_ttl} is beyond --max-ttl {max_ttl}"
        raise typer.BadParameter(msg)
    if first_ttl > 1 and (share or paths or rounds):
        msg = "--first-ttl: --share, --paths and --rounds need the whole path; leave it out, or them"
        raise typer.BadParameter(msg)
    if paths and rounds:
        msg = "--paths: goes without --rounds, which count loss on one way; trace twice"
        raise typer.BadParameter(msg)
    if interval is not None and not (rounds and 0.2 <= interval <= 3600):
        msg = "--interval: 0.2 to 3600 seconds, and only with --rounds"
        raise typer.BadParameter(msg)
    if ipv4 and ipv6:
        msg = "-4 and -6: only one of them"
        raise typer.BadParameter(msg)
    try:
        tos = value_of(dscp or "0") << 2 | (_ECT_0 if ecn else 0)
    except ValueError as error:
        msg = f"--dscp: {error}"
        raise typer.BadParameter(msg) from error
    settings = load(config)
    job = Job(
        tuple(targets),
        chosen.value,
        port or PORTS[chosen.value],
        max_ttl,
        rate or settings.rate,
        share,
        pcap,
        family=4 if ipv4 else 6 if ipv6 else 0,
        rounds=rounds,
        interval_s=interval or 0.5,
        ways=paths,
        named=bool(method or port),
        tos=tos,
        first_ttl=first_ttl,
    )
    return carry_out(job, settings, as_json=as_json)

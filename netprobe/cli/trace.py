"""`netprobe trace`: the way to one or many targets, hop by hop."""

from enum import StrEnum
from typing import Annotated

import typer

from netprobe.cli.options import AsJson, ConfigFile, Pcap


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
    Method,
    typer.Option(
        help="icmp: echo requests; syn: TCP connection attempts; ack: TCP ACKs of no connection, which hosts answer "
        "with a RST and stateful firewalls swallow; udp: datagrams; quic: datagrams that draw a version negotiation."
    ),
]
Port = Annotated[
    int | None, typer.Option(min=1, max=65535, help="Destination port; 443 for syn, ack and quic, 33434 for udp.")
]
Rate = Annotated[
    float | None, typer.Option(metavar="PACKETS_PER_SECOND", help="At most so many probes a second (400).")
]
MaxTtl = Annotated[int, typer.Option("--max-ttl", min=1, max=63, help="Give up beyond this hop.")]

Share = Annotated[
    bool,
    typer.Option(
        "--share",
        help="Probe what the paths to many targets have in common once; hops that are taken over say from where.",
    ),
]


def trace(
    targets: Targets,
    method: How = Method.ICMP,
    port: Port = None,
    rate: Rate = None,
    max_ttl: MaxTtl = 30,
    share: Share = False,
    pcap: Pcap = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Show the way that packets take to each target.

    With --json, one line a target: {target, address, method, port, reached, rtt_ms, probes_sent, hops}.
    A hop that --share took over has the address of the target that it was asked for as shared_from.
    """
    from netprobe.cli.settings import load
    from netprobe.cli.tracing import PORTS, Job, carry_out

    if port and method is Method.ICMP:
        msg = "--port: ICMP has no ports; leave it out, or use --method syn, ack, udp or quic"
        raise typer.BadParameter(msg)
    if rate is not None and not rate > 0:
        msg = "--rate: must be more than 0"
        raise typer.BadParameter(msg)
    settings = load(config)
    job = Job(tuple(targets), method.value, port or PORTS[method.value], max_ttl, rate or settings.rate, share, pcap)
    return carry_out(job, settings, as_json=as_json)

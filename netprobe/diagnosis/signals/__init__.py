"""The questions that are put to the facts, a family a file; SIGNALS is all of them, in the order of a packet's way."""

from netprobe.diagnosis.signals import (
    branch,
    busy,
    constancy,
    dns,
    firewall,
    forgery,
    home,
    http,
    interferer,
    ipv6,
    loss,
    plain,
    queue,
    quic,
    reach,
    regions,
    sizes,
    speed,
    tls,
    transports,
    uplinks,
    zones,
)
from netprobe.diagnosis.signals.base import Finding, Signal

SIGNALS: tuple[Signal, ...] = (
    *home.SIGNALS,
    *busy.SIGNALS,
    *constancy.SIGNALS,
    *firewall.SIGNALS,
    *uplinks.SIGNALS,
    *dns.SIGNALS,
    *transports.SIGNALS,
    *zones.SIGNALS,
    *reach.SIGNALS,
    *regions.SIGNALS,
    *sizes.SIGNALS,
    *branch.SIGNALS,
    *loss.SIGNALS,
    *queue.SIGNALS,
    *tls.SIGNALS,
    *forgery.SIGNALS,
    *interferer.SIGNALS,
    *quic.SIGNALS,
    *http.SIGNALS,
    *plain.SIGNALS,
    *speed.SIGNALS,
    *ipv6.SIGNALS,
)

__all__ = ["SIGNALS", "Finding", "Signal"]

"""What a client says of what went wrong, in OpenSSL's and Linux's words: of a certificate, and of an ICMP error."""

from fnmatch import fnmatchcase

from netprobe.model.services import Certificate
from netprobe.sim import packet as ip
from netprobe.sim.packet import Packet
from netprobe.sim.servers.answers import Condition, Shown

_DAY_S = 86400.0
_CHAIN = {
    Condition.UNKNOWN_ISSUER: "unable to get local issuer certificate",
    Condition.SELF_SIGNED: "self-signed certificate",
}
_CODES = {ip.NET_UNREACHABLE: "ENETUNREACH", ip.PORT_UNREACHABLE: "ECONNREFUSED"}
_TEXTS = {0: "network unreachable", 1: "host unreachable", 3: "port unreachable"}


def certificate_of(shown: Shown, began_s: float) -> Certificate:
    """The certificate of which a server's first flight tells; `began_s` is Unix time at the network's start."""
    expired, early = shown.condition is Condition.EXPIRED, shown.condition is Condition.NOT_YET_VALID
    issuer = "nobody's root" if shown.condition is Condition.UNKNOWN_ISSUER else "netprobe lab root"
    issuer = shown.names[0] if shown.condition is Condition.SELF_SIGNED else issuer
    return Certificate(
        subject=f"CN={shown.names[0]}",
        issuer=f"CN={issuer}",
        names=shown.names,
        not_before_s=began_s + _DAY_S if early else began_s - 30 * _DAY_S,
        not_after_s=began_s - _DAY_S if expired else began_s + 60 * _DAY_S,
    )


def against(shown: Shown, certificate: Certificate, name: str, now_s: float) -> str:
    """What OpenSSL says against a certificate, in its order; empty when nothing. `now_s` is the client's clock."""
    if shown.condition in _CHAIN:
        return _CHAIN[shown.condition]
    if name and not any(_covers(pattern, name) for pattern in shown.names):
        return f"Hostname mismatch, certificate is not valid for '{name}'."
    if now_s < certificate.not_before_s:
        return "certificate is not yet valid"
    if now_s > certificate.not_after_s:
        return "certificate has expired"
    return ""


def told_by(error: Packet) -> str:
    """An ICMP error as Linux tells a socket of it."""
    code = (_CODES if error.icmp_type == ip.UNREACHABLE else {}).get(error.icmp_code, "EHOSTUNREACH")
    what = _TEXTS.get(error.icmp_code, "unreachable") if error.icmp_type == ip.UNREACHABLE else "time exceeded"
    return f"{code} ({what}, says {error.source})"


def _covers(pattern: str, name: str) -> bool:
    """RFC 6125, 6.4.3: a wildcard stands for one label."""
    return fnmatchcase(name, pattern) and name.count(".") == pattern.count(".")

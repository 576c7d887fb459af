"""The probe that would settle it: for two causes that are too close, what to look at next, in plain words."""

from typing import NamedTuple


class Question(NamedTuple):
    """What tells causes under `one` from causes under `other`."""

    one: str
    other: str
    probe: str


#: The first row that fits holds, in either order; so the special stand before the general.
QUESTIONS: tuple[Question, ...] = (
    Question(
        "home.gateway",
        "isp.access",
        "Look at the home router's lights, or ask it for its status page: does it say that the line is up?",
    ),
    Question(
        "home.ipv6",
        "isp.ipv6",
        "Look at the home router's status page: has it an address and a prefix of IPv6 on the line, and since when?",
    ),
    Question(
        "isp.ipv6",
        "transit.ipv6",
        "Trace to the silent addresses over IPv6 from another provider: which router is the last one there?",
    ),
    Question(
        "transit.ipv6",
        "platform",
        "Try the silent addresses over IPv6 from another provider: do they answer there?",
    ),
    Question(
        "home.dns",
        "isp.dns",
        "Ask the home router which name server it passes questions on to, and ask that one directly.",
    ),
    Question(
        "home.dns",
        "policy.dns",
        "Ask the provider's own name server directly, past the one in your home: is its answer wrong too?",
    ),
    Question(
        "policy.dns",
        "platform.dns",
        "Ask the platform's own name servers directly, from here and from another provider.",
    ),
    Question(
        "policy.dns", "isp.dns", "Ask the same name server for more names that have nothing to do with the platform."
    ),
    Question(
        "policy.tls.sni_reset",
        "policy.tls.sni_drop",
        "Repeat the handshake several times: is it a reset or silence each time?",
    ),
    Question(
        "policy.tls",
        "platform",
        "Send the platform's name to an address that has nothing to do with the platform: is the name alone enough?",
    ),
    Question(
        "policy.ip",
        "platform.cdn",
        "Try the same addresses over another provider, for instance a phone's mobile data: do they answer there?",
    ),
    Question(
        "policy",
        "platform",
        "Try the platform over another provider, for instance a phone's mobile data: does it work there?",
    ),
    Question("policy", "transit", "Try other services behind the same network: do they fail as well?"),
    Question(
        "isp",
        "transit",
        "Trace to more unrelated services, and compare with a trace from the time when it worked: "
        "which router comes next?",
    ),
    Question(
        "transit",
        "platform",
        "Try another customer of the same delivery network, and the platform over another provider.",
    ),
    Question(
        "isp",
        "platform",
        "Try the platform over another provider, for instance a phone's mobile data: does it work there?",
    ),
    Question("home", "isp", "Try another device, and another name server; then the provider's status page."),
    Question("home", "policy", "Try the same device in another network, for instance over a phone's mobile data."),
    Question("home", "platform", "Try the same device in another network, for instance over a phone's mobile data."),
    Question(
        "none",
        "platform",
        "Try the app itself, and netprobe again while it fails: is one of the services slow or missing then?",
    ),
    Question(
        "platform",
        "platform",
        "Ask again in a few minutes: which of the platform's services fail, "
        "and do they all belong to one delivery network?",
    ),
)

NOTHING_KNOWN = "Run netprobe again while it fails, from a machine with a cable to the home router."


def next_probe(best: str, rival: str) -> str:
    """What would tell the causes `best` and `rival` apart."""
    for one, other, probe in QUESTIONS:
        if (_fits(best, one) and _fits(rival, other)) or (_fits(best, other) and _fits(rival, one)):
            return probe
    return NOTHING_KNOWN


def _fits(cause: str, node: str) -> bool:
    return cause == node or cause.startswith(node + ".")

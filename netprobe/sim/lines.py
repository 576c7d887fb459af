"""What makes no sense about links, routers and the client's cards, said with the place in the file that says it."""

import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Interface

from netprobe.model.hint import hint
from netprobe.model.record import Record
from netprobe.sim.extensions import EXTENSIONS, MANGLES
from netprobe.sim.links import transitions
from netprobe.sim.records import Fault, Link, Router, Scenario
from netprobe.sim.routing import LINK_KEYS, directions, during

BALANCES = ("", "flow", "packet")
PER = ("router", "peer")
_FRACTIONS = ("loss", "fraction")
_LABELS = 1 << 20  # RFC 3032, 2.1
_STACK_LIMIT = 16
_SHORT_QUOTE = 8  # RFC 792
_DEVICE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,14}")  # 15 bytes: linux/if.h, IFNAMSIZ
_TAKEN = ("eth0", "lo", "tun0")


class WrongError(ValueError):
    """What is wrong and where, still without the file."""


def check_numbers(row: Record, where: str) -> None:
    """No number is negative, and what is a fraction is one."""
    for key in row.__struct_fields__:
        value = getattr(row, key)
        if isinstance(value, int | float) and value < 0:
            msg = f"'{key}' in {where}: {value:g} is below 0"
            raise WrongError(msg)
        if key in _FRACTIONS and value > 1:
            msg = f"'{key}' in {where}: {value:g} is not between 0 and 1"
            raise WrongError(msg)


def check_choice(value: str, known: Sequence[str], where: str) -> None:
    """It is one of `known`."""
    if value not in known:
        msg = f"{where}: unknown '{value}' ({hint(value, [name for name in known if name])})"
        raise WrongError(msg)


def check_router(router: Router, where: str) -> None:
    """The keys of a router that only make sense together, or with some values."""
    check_choice(router.balance, BALANCES, f"'balance' in {where}")
    check_choice(router.extension, EXTENSIONS, f"'extension' in {where}")
    for field in router.mangle:
        check_choice(field, MANGLES, f"'mangle' in {where}")
    if router.rate_limit is not None:
        check_numbers(router.rate_limit, f"'rate_limit' of {where}")
        check_choice(router.rate_limit.per, PER, f"'per' in 'rate_limit' of {where}")
    if not router.mpls and not router.propagate_ttl:
        msg = f"'propagate_ttl' in {where} means nothing without 'mpls'"
        raise WrongError(msg)
    if router.extension != EXTENSIONS[0] and not (router.mpls or router.interfaces):
        msg = f"'extension' in {where} means nothing without 'mpls' or 'interfaces'"
        raise WrongError(msg)
    if len(router.mpls) > _STACK_LIMIT or not all(0 <= label < _LABELS for label in router.mpls):
        msg = f"'mpls' in {where}: labels are at most {_STACK_LIMIT} numbers of 20 bits"
        raise WrongError(msg)
    if 0 < router.quote < _SHORT_QUOTE:
        msg = f"'quote' in {where}: RFC 792 promises {_SHORT_QUOTE} bytes at least"
        raise WrongError(msg)


def check_link(link: Link, where: str) -> None:
    """The keys of a link, one direction after the other."""
    if link.back is not None:
        given = [getattr(link.back, key) for key in link.back.__struct_fields__]
        if all(value is None for value in given):
            msg = f"'back' in {where} says nothing that is different"
            raise WrongError(msg)
    for near in link.ends if link.back else link.ends[:1]:
        way = link.leaving(near)
        check_numbers(way, where if way is link else f"'back' of {where}")
        if way.loss_burst < 1:
            msg = f"'loss_burst' in {where}: {way.loss_burst:g} is below 1 packet"
            raise WrongError(msg)
        if way.loss_burst > 1 and (way.loss >= 1 or transitions(way.loss, way.loss_burst)[0] > 1):
            msg = f"{where}: a loss of {way.loss:g} does not come in bursts of {way.loss_burst:g} packets"
            raise WrongError(msg)


def check_cards(scenario: Scenario) -> None:
    """Each card of the client has an address, a device's name, and a metric of its own."""
    rows = [("[client]", scenario.client.address, scenario.client.metric)]
    rows += [(f"[[uplink]] '{u.name}'", u.address, u.metric) for u in scenario.uplinks]
    metrics: dict[int, str] = {}
    for where, address, metric in rows:
        try:
            IPv4Interface(address)
        except ValueError:
            msg = f"'address' in {where}: '{address}' is not an IPv4 address with a prefix length"
            raise WrongError(msg) from None
        if metric < 0 or metric in metrics:
            why = "is below 0" if metric < 0 else f"is the metric of {metrics[metric]}, and the smallest counts"
            msg = f"'metric' in {where}: {metric} {why}"
            raise WrongError(msg)
        metrics[metric] = where
    for uplink in scenario.uplinks:
        if not _DEVICE_NAME.fullmatch(uplink.name) or uplink.name in _TAKEN:
            msg = f"'name' in [[uplink]] '{uplink.name}': no name that a second device can have, as 'wwan0'"
            raise WrongError(msg)


def check_wires(scenario: Scenario) -> None:
    """An uplink has one link: to its gateway."""
    for uplink in scenario.uplinks:
        ends = [set(link.ends) for link in scenario.links if uplink.name in link.ends]
        if ends != [{uplink.name, uplink.gateway}]:
            msg = f"[[uplink]] '{uplink.name}': it has one [[link]], which joins it and its gateway '{uplink.gateway}'"
            raise WrongError(msg)


def check_congestion(scenario: Scenario, fault: Fault, where: str) -> None:
    """It is on a link that can be full."""
    link = _link_of(scenario, fault, where)
    if not fault.load:
        msg = f"{where}: 'load' is missing: what others send, as a fraction of the link's rate"
        raise WrongError(msg)
    if not all(link.leaving(near).rate_mbit for near, _ in directions(fault)):
        msg = f"{where}: [[link]] {link.ends[0]} - {link.ends[1]} has no 'rate_mbit' that could be used up"
        raise WrongError(msg)


def check_changed(scenario: Scenario, fault: Fault, where: str) -> None:
    """It says how a link is otherwise, and such a link can be."""
    link = _link_of(scenario, fault, where)
    if not any(getattr(fault, key) for key in LINK_KEYS):
        msg = f"{where}: what is different? Give one of {', '.join(LINK_KEYS)}"
        raise WrongError(msg)
    changed = during(link, [fault])
    if fault.queue_ms and not any(changed.leaving(near).rate_mbit for near, _ in directions(fault)):
        msg = f"'queue_ms' in {where}: a link without 'rate_mbit' has no queue"
        raise WrongError(msg)
    check_link(changed, f"[[link]] {link.ends[0]} - {link.ends[1]} during {where}")


def _link_of(scenario: Scenario, fault: Fault, where: str) -> Link:
    check_choice(fault.towards, ("", *fault.at), f"'towards' in {where}")
    link = next((link for link in scenario.links if set(link.ends) == set(fault.at)), None)
    if link is None:
        msg = f"'at' in {where}: no [[link]] joins {' and '.join(fault.at)}"
        raise WrongError(msg)
    return link


#: The kinds of faults that are at a link, and what they ask of it.
AT_LINKS: dict[str, Callable[[Scenario, Fault, str], None]] = {"congestion": check_congestion, "link": check_changed}

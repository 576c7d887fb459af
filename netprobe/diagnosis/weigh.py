"""Weighing: log prior plus what each group of evidence adds, and when that is not enough to say whose fault it is.

What an item adds to a cause is its log-likelihood under that cause less the median over all causes, in nats: an item
that fits all causes alike adds nothing. Signals of one group see one trouble, so only the first of them that was
measured counts, and it is capped. The numbers are scores until they have been calibrated on situations that the tables
have not seen.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from netprobe.diagnosis.causes import Tables
from netprobe.model.verdict import Component, Evidence, Level

GROUP_CAP = 8.0  # nats that one group may add or take: a factor of about three thousand
FLOOR = 3.0  # nats of evidence of its own that a cause needs: a factor of twenty
MARGIN = 3.0  # how many times likelier than its best rival an answer must be
SECOND_FLOOR = 5.0  # nats that a second trouble needs, of its own: two at once are rarer than one
SUMMARY = "service"  # the group that sums up all troubles: where there are two it tells nothing of either
EXPLAINS = 1.0  # nats from which a cause counts as the explanation of a group

#: From the user outwards: of two troubles at once, the nearer one is in the way of the other.
NEARNESS = (Component.HOME, Component.ISP, Component.TRANSIT, Component.POLICY, Component.PLATFORM, Component.NONE)

Groups = Mapping[str, Mapping[str, float]]  # group -> cause -> nats


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one trouble.

    `node` is the deepest supported place of the hierarchy, empty when not even the component is; `leaf` the best cause
    in any case. `posterior` is over all causes.
    """

    node: str
    leaf: str
    component: Component
    probability: float
    posterior: Mapping[str, float]
    scores: Mapping[str, float]

    @property
    def determined(self) -> bool:
        """Whether the component can be named."""
        return self.component is not Component.UNDETERMINED


def item_weights(item: Evidence, tables: Tables) -> dict[str, float]:
    """What a scored item adds to each cause, in nats."""
    row = tables.likelihood[item.id, item.state]
    typical = median(row.values())
    return {cause: value - typical for cause, value in row.items()}


def group_weights(evidence: Sequence[Evidence], tables: Tables) -> dict[str, dict[str, float]]:
    """What each group adds to each cause: what its first item that counts says, capped."""
    groups: dict[str, dict[str, float]] = {}
    for item in evidence:
        if item.level is Level.SCORED and item.group not in groups:
            groups[item.group] = _capped(item_weights(item, tables))
    return groups


def _capped(weights: Mapping[str, float]) -> dict[str, float]:
    return {cause: max(-GROUP_CAP, min(GROUP_CAP, weight)) for cause, weight in weights.items()}


def decide(groups: Groups, tables: Tables) -> Decision:
    """Weigh all causes by `groups`."""
    gains = {c: sum(g[c] for g in groups.values()) for c in tables.prior}
    scores = {c: tables.prior[c] + gain for c, gain in gains.items()}
    top = max(scores.values())
    total = sum(math.exp(s - top) for s in scores.values())
    posterior = {c: math.exp(s - top) / total for c, s in scores.items()}
    leaf = max(posterior, key=lambda c: (posterior[c], c))
    node = _deepest(leaf, posterior) if gains[leaf] >= FLOOR else ""
    component = Component(node.split(".")[0]) if node else Component.UNDETERMINED
    return Decision(node, leaf, component, mass(node, posterior) if node else posterior[leaf], posterior, scores)


def mass(node: str, posterior: Mapping[str, float]) -> float:
    """The posterior of everything at or under `node`."""
    return sum(p for c, p in posterior.items() if under(c, node))


def under(cause: str, node: str) -> bool:
    """Whether `cause` is `node` or lies under it."""
    return cause == node or cause.startswith(node + ".")


def _deepest(leaf: str, posterior: Mapping[str, float]) -> str:
    """The deepest node over `leaf` that is MARGIN times likelier than what competes with it; empty when none is.

    The whole component competes with the whole of any other; within it, a node with the best cause beside it.
    """
    parts = leaf.split(".")
    root = parts[0]
    others = {c.split(".")[0] for c in posterior} - {root}
    if mass(root, posterior) < MARGIN * max(mass(o, posterior) for o in others):
        return ""
    for depth in range(len(parts), 1, -1):
        node = ".".join(parts[:depth])
        beside = max((p for c, p in posterior.items() if under(c, root) and not under(c, node)), default=0.0)
        if mass(node, posterior) >= MARGIN * beside:
            return node
    return root


def unexplained(groups: Groups, cause: str) -> dict[str, Mapping[str, float]]:
    """The groups that `cause` is not the explanation of, without the one that sums up all."""
    return {name: group for name, group in groups.items() if group[cause] < EXPLAINS and name != SUMMARY}


def second_trouble(groups: Groups, first: Decision, tables: Tables) -> Decision | None:
    """Another cause at the same time.

    What the first does not explain has a clear explanation of its own, and the first keeps evidence that this one does
    not explain.
    """
    rest = unexplained(groups, first.leaf)
    second = decide(rest, tables)
    if not second.determined or second.component is Component.NONE or second.leaf == first.leaf:
        return None
    if sum(g[second.leaf] for g in rest.values()) < SECOND_FLOOR:
        return None
    own = unexplained(groups, second.leaf)
    if sum(g[first.leaf] for g in own.values()) < FLOOR:
        return None
    return second


def answer(evidence: Sequence[Evidence], tables: Tables) -> tuple[Decision, Decision | None]:
    """The trouble that is named first, and another one at the same time: None where there is none."""
    groups = group_weights(evidence, tables)
    first = decide(groups, tables)
    second = second_trouble(groups, first, tables)
    if second is None:
        return first, None
    return _nearest_first(decide(unexplained(groups, second.leaf), tables), second)


def _nearest_first(one: Decision, other: Decision) -> tuple[Decision, Decision | None]:
    if not one.determined or one.component is Component.NONE:
        return other, None
    if NEARNESS.index(other.component) < NEARNESS.index(one.component):
        return other, one
    return one, other

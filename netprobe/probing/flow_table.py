"""One row of the table that multipath discovery works with: what many flows drew at one TTL."""

from collections import Counter
from dataclasses import dataclass, field

from netprobe.model.probes import Exchange

INTERVAL_S = 0.2  # between probes to one hop


@dataclass
class FlowsAt:
    """What is known at one TTL, by label of the flow."""

    drawn: dict[int, list[str]] = field(default_factory=dict)  # addresses in order of arrival
    failed: Counter[int] = field(default_factory=Counter)  # time-outs
    pending: Counter[int] = field(default_factory=Counter)
    repeated: Counter[int] = field(default_factory=Counter)  # probes that asked a flow again that was answered before
    interval_s: float = INTERVAL_S
    next_at: float = 0.0
    exchanges: dict[int, Exchange] = field(default_factory=dict)  # by token

    @property
    def vertices(self) -> dict[str, list[int]]:
        """Each address with the flows that it answered first."""
        found: dict[str, list[int]] = {}
        for label, addresses in self.drawn.items():
            found.setdefault(addresses[0], []).append(label)
        return found

    @property
    def per_packet(self) -> bool:
        """Whether one flow drew different addresses."""
        return any(len(set(addresses)) > 1 for addresses in self.drawn.values())

    def untouched(self, label: int) -> bool:
        """Whether no probe of this flow has been here."""
        return label not in self.drawn and not self.pending[label] and not self.failed[label]

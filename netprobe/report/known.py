"""What a report wants to know of a traced target; `tracing.Traced` has it."""

from typing import TYPE_CHECKING, Protocol

from netprobe.model.probes import Multipath, Path

if TYPE_CHECKING:  # only who counts loss needs it
    from netprobe.probing.loss_evidence import LossEvidence


class Known(Protocol):
    """What is known of one target."""

    @property
    def target(self) -> str:
        """As it was given."""
        ...

    @property
    def address(self) -> str:
        """Empty as long as it is not known."""
        ...

    @property
    def path(self) -> Path | None:
        """The hops so far."""
        ...

    @property
    def error(self) -> str:
        """Why there is none."""
        ...

    @property
    def over(self) -> bool:
        """Nothing more will come."""
        ...

    @property
    def loss(self) -> "LossEvidence | None":
        """What rounds say."""
        ...

    @property
    def ways(self) -> Multipath | None:
        """What many flows say."""
        ...

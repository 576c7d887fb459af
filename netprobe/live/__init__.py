"""The real network behind the port: raw sockets, DNS, TLS and HTTP, and the own machine's state."""


class CannotMeasure(Exception):  # noqa: N818  # a state of the machine, not a fault of the program
    """This machine does not let us measure; the text says why and what to do."""

"""Observations in, verdict out. Pure: signals ask the facts, the tables weigh the answers."""

from netprobe.diagnosis.verdict import diagnose

__all__ = ["diagnose"]

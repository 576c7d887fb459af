"""Simulated networks behind the same port as the live one: in virtual time, and behind a TAP device."""

"""QUIC as a simulated network needs it: what a middlebox reads in passing, and who speaks it in virtual time."""

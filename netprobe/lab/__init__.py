"""Runs the engine in simulated networks and scores its answers against what each scenario expects."""

"""The resident: measures on a schedule, keeps what it found, and knows when an incident began and ended."""

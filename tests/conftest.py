"""What all tests share."""

import gc

# Simulated networks make thousands of short lives a test: collecting at the usual pace takes a fifth of the time.
gc.set_threshold(20_000, 20, 50)

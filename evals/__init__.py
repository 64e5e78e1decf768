"""Evaluation of memkit from a checkout: quality, speed and size, each with a baseline.

Imports `memkit` and the stores, never the reverse, and is not part of the wheel.
"""

from pathlib import Path

ROOT = Path(__file__).parent.parent  # of the checkout
USER = "bench"  # the user of the benchmarks' memories

"""How good, how fast and how big memkit is: measured from a checkout, beside a baseline.

Imports `memkit` and `stores`, never the reverse, and is not part of the wheel.
"""

from pathlib import Path

ROOT = Path(__file__).parent.parent  # of the checkout
USER = "bench"  # whose memory the benchmarks fill

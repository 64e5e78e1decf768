"""Metrics of the card: pure functions on plain values, one question at a time.

Each docstring gives definition and source; `catalogue` has one line per metric for a reader.
Shares are from 0 to 1. None means "nothing to score", which is not 0: a mean leaves it out.
"""

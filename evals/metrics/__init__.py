"""Metrics of the card: pure functions on plain values, one question at a time.

catalogue.toml has direction, unit, definition and source of each; survey: Zhang et al. 2025.
Shares are from 0 to 1. None means "nothing to score", which is not 0: a mean leaves it out.
"""

"""Checks of whether a card can be believed.

`audits` and `leakage` check the data and the systems, `judge` the judge model, `differences` tests
which differences are more than chance, `thresholds` and `compare` hold a card to bounds that were
registered before, and `disclosure` fills in the reproducibility disclosure.
"""

"""What the card measures: one pure function a metric, on plain values, for one question at a time.

Each says its definition and its source; `catalogue` has one line on each for a reader. A share is
from 0 to 1. None means that there was nothing to score, which is not 0: such questions are left
out of a mean. What a ranking or a confidence is worth stands in `evals.metrics.retrieval` and
`evals.metrics.confidence`, and is not repeated here.
"""

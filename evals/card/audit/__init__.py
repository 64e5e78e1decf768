"""What may be believed of a card: audits, tests of differences, agreement, disclosure, verdict.

Audits look for what makes a good score worthless, `testing` says which differences are more than
chance, `compare` holds a card to thresholds that were written down before.
"""

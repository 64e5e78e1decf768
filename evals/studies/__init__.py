"""Questions that need more than one card, or tables of their own."""

"""Questions that take more than one card, or a table of their own."""

"""Words, dates and clean text: every language table stands here once."""

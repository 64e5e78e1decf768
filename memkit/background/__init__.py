"""Work outside the read and write path: summaries, reflection, pruning."""

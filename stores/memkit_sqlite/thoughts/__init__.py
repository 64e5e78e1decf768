"""Thoughts as rows: queries, the queue of turns for reflection, and the LSH index."""

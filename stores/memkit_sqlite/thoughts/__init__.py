"""Thoughts as rows: queries, the queue of turns, and the LSH index."""

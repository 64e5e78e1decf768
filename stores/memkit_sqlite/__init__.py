"""The SQLite store: rows, queries, transactions, and a FAISS index as a cache."""

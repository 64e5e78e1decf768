"""Governed memory: the ledger of changes, verified forgetting, and receipts of it."""

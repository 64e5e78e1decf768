"""Governed memory: the ledger of changes, rollback and rollout, verified forgetting, receipts."""

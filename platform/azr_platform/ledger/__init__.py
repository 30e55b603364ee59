"""The ledger: one append-only, hash-chained SQLite file a run."""

"""The supervisor: owns the run, judges every sample, keeps the ledger, and minds the trainer."""

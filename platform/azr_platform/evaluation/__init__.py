"""What a run came to: summaries and plots, from its ledger alone."""

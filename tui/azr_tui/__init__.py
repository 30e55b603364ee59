"""The dashboard: watches a run through the ledger, steers it through the channel."""

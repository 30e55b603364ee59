"""A ledger in Datasette: read-only, on this machine, with questions that are ready to be asked"""

"""Regimes: where a step's problems come from and what their answers earn; one file each."""

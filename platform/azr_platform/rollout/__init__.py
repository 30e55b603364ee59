"""Sampling: engines behind one protocol, and the log-probabilities of what they sampled."""

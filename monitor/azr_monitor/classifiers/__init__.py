"""Classifiers that score prose; each is optional and loaded only when a policy names it."""

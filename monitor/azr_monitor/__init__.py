"""Judges: rules, classifiers and policies over programs and reasoning traces."""

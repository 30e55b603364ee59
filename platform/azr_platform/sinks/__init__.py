"""Experiment sinks: a run's numbers, states and alerts, to where people watch experiments; no text of a model's."""

"""Plots of metrics over steps, as lines of text. Pure; the widgets only hand over sizes and keys."""

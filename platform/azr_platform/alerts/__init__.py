"""Alerts that leave the terminal: webhooks, a command, the terminal's bell; never in a run's way."""

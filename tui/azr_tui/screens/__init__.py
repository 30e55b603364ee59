"""The panes and screens of the dashboard."""

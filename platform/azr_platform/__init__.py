"""azr-platform: Absolute-Zero self-play under supervision."""

__version__ = "0.1.0"

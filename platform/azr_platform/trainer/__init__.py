"""The trainer process: samples, learns and checkpoints. It can neither run nor judge anything itself."""

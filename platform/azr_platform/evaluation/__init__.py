"""How good a model is, and what a run came to: suites, intervals, pictures, reports."""

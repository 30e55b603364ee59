"""A small classifier of programs that ships with the package: what their syntax trees are made of, weighed."""

"""A small classifier of prose that ships with the package: no download, no torch, one number a category of harm."""

"""The embedded model: a small language model of our own, grown from a random grammar and no human data."""

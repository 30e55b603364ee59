"""The rules: on programs (syntax trees), on prose (words), on behaviour (what the jail reported)."""

"""Monitor policies as data: which findings matter, and what is done about them."""

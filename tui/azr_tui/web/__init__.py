"""The dashboard in a browser: a server on loopback for whoever holds its address, and one dashboard a page."""

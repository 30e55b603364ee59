"""One sample: what is read of it, and how it is laid out as a document."""

"""Task buffers: what the model has proposed and the supervisor has allowed."""

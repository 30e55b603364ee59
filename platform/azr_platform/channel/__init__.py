"""The channel: every message between processes, and the framed wire that carries them."""

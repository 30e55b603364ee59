"""The maths of self-play: rewards, advantages, the clipped loss. No I/O, no processes."""

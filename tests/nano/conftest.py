"""The grammar needs no torch; what builds and loads the model does, and is left out where it is missing."""

from __future__ import annotations

from importlib.util import find_spec

_NEED_TORCH = ["test_build.py", "test_tokenizer.py", "test_weights.py"]
collect_ignore = [] if find_spec("torch") and find_spec("transformers") else _NEED_TORCH

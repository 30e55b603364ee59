"""Compile the engine rules that a policy names, once for each text of them."""

from __future__ import annotations

from functools import lru_cache

from azr_monitor.engines.base import Engine, Source


@lru_cache(maxsize=8)
def compiled(yara: tuple[Source, ...], ast_grep: tuple[Source, ...]) -> tuple[Engine, ...]:
    """An engine for each kind of source that there is.

    Raises:
        EngineError: an engine is not installed, or a file of rules cannot be used.
    """
    engines: list[Engine] = []
    if yara:
        from azr_monitor.engines.yara import Yara

        engines.append(Yara(yara))
    if ast_grep:
        from azr_monitor.engines.astgrep import AstGrep

        engines.append(AstGrep(ast_grep))
    return tuple(engines)

"""One real pool of warm jails for the whole folder, and short ways to run things in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from azr_sandbox.execution import Execution, Request
from azr_sandbox.jail import JailUnavailable
from azr_sandbox.pool import JailPool

Run = Callable[..., Execution]


@pytest.fixture(scope="session")
def pool() -> Iterator[JailPool]:
    try:
        opened = JailPool(workers=2).open()
    except JailUnavailable as error:
        pytest.skip(f"no jail on this machine: {error}")
    with opened:
        yield opened


@pytest.fixture
def run(pool: JailPool) -> Run:
    """Run one program on one input, verified unless said otherwise."""

    def one(program: str, arguments: str = "0", verify: bool = True) -> Execution:
        ((execution,),) = pool.run([Request(program, (arguments,), verify)])
        return execution

    return one

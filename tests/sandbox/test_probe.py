"""The start-up self-attack: passes in the real jail, and notices when a layer of it is missing."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

import pytest

from azr_sandbox import nsjail, warmjail
from azr_sandbox import probe as probe_module
from azr_sandbox.execution import Execution, Outcome, Request
from azr_sandbox.jail import JailLeaks
from azr_sandbox.pool import JailPool
from azr_sandbox.probe import ATTACKS, probe, require_contained


def leaking(pool: JailPool) -> set[str]:
    return {result.name for result in probe(pool) if not result.contained}


@pytest.mark.slow
def test_the_real_jail_contains_every_attack(pool: JailPool) -> None:
    results = require_contained(pool)
    assert len(results) == len(ATTACKS) >= 40
    assert len({result.name for result in results}) == len(results)


def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = [a for a in ATTACKS if "for ever" not in a.name and "bit by bit" not in a.name]
    monkeypatch.setattr(probe_module, "ATTACKS", tuple(quick))


def test_a_jail_without_system_call_policy_is_found_out(pool: JailPool, monkeypatch: pytest.MonkeyPatch) -> None:
    without_waiting(monkeypatch)
    policy = nsjail.seccomp_policy()
    monkeypatch.setattr(nsjail, "seccomp_policy", lambda: policy.replace("DEFAULT KILL", "DEFAULT ALLOW"))
    with JailPool(workers=2) as weak:
        leaks = leaking(weak)
        with pytest.raises(JailLeaks, match="TCP socket"):
            require_contained(weak)
    assert {"open a TCP socket", "make a directory", "call bpf through ctypes"} <= leaks
    assert "fork" not in leaks, "the child's own filter still holds"
    assert not {name for name in leaks if name.startswith("control")}


def test_a_child_that_is_not_confined_is_found_out(pool: JailPool, monkeypatch: pytest.MonkeyPatch) -> None:
    without_waiting(monkeypatch)
    sources = [(name, text.replace("confinement.apply()", "pass")) for name, text in warmjail._guest_sources()]
    monkeypatch.setattr(warmjail, "_guest_sources", lambda: sources)
    with JailPool(workers=2) as weak:
        leaks = leaking(weak)
    assert {"fork", "execute a program", "raise its own limits"} <= leaks
    assert "open a TCP socket" not in leaks, "the zygote's policy still holds"


def test_a_jail_where_programs_share_a_process_is_found_out(pool: JailPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program run in the zygote itself: residue stays, and the probe says so."""
    residue = [a for a in ATTACKS if "earlier" in a.name or a.name.startswith("control: an honest")]
    monkeypatch.setattr(probe_module, "ATTACKS", tuple(residue))
    sources = []
    for name, text in warmjail._guest_sources():
        if name.endswith("zygote"):
            text = text.replace(
                "        pid = os.fork()\n        if pid == 0:\n            os.close(read_fd)\n",
                "        program = child.receive(self.socket_fd, sizes[0]).decode()\n"
                "        inputs = child.split(child.receive(self.socket_fd, sizes[1]))\n"
                "        payload = child.evaluate(program, inputs, self.room)\n"
                "        pid = os.fork()\n"
                "        if pid == 0:\n"
                "            os.write(write_fd, payload)\n"
                "            os._exit(0)\n"
                "        if pid == -1:\n",
            )
        sources.append((name, text))
    monkeypatch.setattr(warmjail, "_guest_sources", lambda: sources)
    with JailPool(workers=1) as weak:
        assert leaking(weak) == {"find what an earlier program left"}


def test_a_jail_in_which_nothing_works_does_not_pass(pool: JailPool, monkeypatch: pytest.MonkeyPatch) -> None:
    without_waiting(monkeypatch)
    sources = [
        (name, text.replace("confinement.apply()", "raise OSError('no')")) for name, text in warmjail._guest_sources()
    ]
    monkeypatch.setattr(warmjail, "_guest_sources", lambda: sources)
    with JailPool(workers=2) as broken:
        leaks = leaking(broken)
    assert "control: an honest program runs" in leaks
    assert "fork" in leaks, "an attack that never ran was not contained"


@pytest.mark.slow
def test_an_attack_that_never_got_its_turn_is_tried_again(pool: JailPool) -> None:
    """On a starved machine the first pass may end by a limit on time; that says nothing, and is no leak."""

    class Starved:
        passes = 0

        def run(self, requests: Sequence[Request]) -> list[tuple[Execution, ...]]:
            self.passes += 1
            ends = pool.run(requests)
            return [(Execution(Outcome.TIMEOUT),) for _ in ends] if self.passes == 2 else ends  # 1: leaving residue

    assert not [result for result in probe(Starved()) if not result.contained]


def test_the_guest_and_the_policy_are_shipped_as_data() -> None:
    package = resources.files("azr_sandbox")
    assert (package / "kafel" / "zygote-x86_64.policy").is_file()
    for name in ("boot", *warmjail._GUEST_MODULES):
        assert (package / "guest" / f"{name}.py").is_file()
    assert not (package / "guest" / "__init__.py").is_file()

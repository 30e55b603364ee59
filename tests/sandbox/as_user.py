"""Run every attack in a pool of this process's own; print {"name": [contained, how it ended]} as JSON.

Started by test_users.py as an ordinary user. The modules it needs are on sys.path.
"""

from __future__ import annotations

import json
import os

from attacks import COMPUTING, GROUPS, LEAVE_RESIDUE, PATIENT, WAITING, limits  # type: ignore[import-not-found]  # beside this file

from azr_sandbox.execution import Request
from azr_sandbox.pool import JailPool
from azr_sandbox.probe import probe

table = [attack for group in GROUPS.values() for attack in group]
results = {}
for chosen in (COMPUTING, WAITING, PATIENT):
    attacks = [attack for attack in table if limits(attack) == chosen]
    with JailPool(chosen, workers=2) as pool:
        pool.run([Request(LEAVE_RESIDUE.program, ("0",), verify=False)] * 8)
        ends = pool.run([Request(attack.program, ("0",), attack.verify) for attack in attacks])
        for attack, (end,) in zip(attacks, ends, strict=True):
            results[attack.name] = [attack.contained(end), f"{end.outcome.value}: {end.value} {end.detail}"]
with JailPool(workers=2) as pool:
    results |= {f"start-up: {result.name}": [result.contained, result.detail] for result in probe(pool)}
print(json.dumps({"uid": os.geteuid(), "results": results}))

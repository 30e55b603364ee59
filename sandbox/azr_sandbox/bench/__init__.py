"""What the jail costs: the same programs with and without it, interleaved, every CPU second counted.

```
measure.measure ─ rounds, arms in random order ─┬─ arms.PoolArm ─────► pool.JailPool ─► warm jails
                                                ├─ arms.NsjailArm ───► one nsjail a program
                                                └─ outer.OuterJail ──► one plain jail around guest/unconfined.py:
                                                                       a fork a program, or a pool of processes
```

The baselines isolate no program from the next. They still run in namespaces of their own, without a network and
without a writable file, because what they run may be a model's.
"""

"""The jail room: run model-written programs in warm nsjail jails and compare values outside them.

```
Request ──► pool.JailPool ──► nsjail ─► guest zygote ─fork─► child: compile, run f, encode the value
                │                            │                        │ (its own pipe, never trusted)
                ◄── Execution ◄── values ◄───┴── status, CPU, memory ─┘
```

Nothing in this package evaluates model text: programs and inputs cross to the jail as bytes, and what comes
back is parsed by :mod:`azr_sandbox.values`, which never executes anything. ``guest/`` holds the sources that
run inside the jail; the host reads them as data and never imports them.
"""

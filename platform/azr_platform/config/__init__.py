"""Typed run configuration: TOML presets and files, ``--set a.b=c`` overrides, unknown keys refused."""

"""A Hugging Face dataset: a folder that ``datasets.load_dataset(FOLDER)`` opens, Parquet files and their card."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from azr_monitor.records import printable
from azr_platform.audits.export import parquet
from azr_platform.audits.export.about import About
from azr_platform.audits.export.place import new_folder
from azr_platform.audits.export.rows import Row

_FILE_BYTES: Final = 512 << 20
_REDACTED: Final = "What was flagged was replaced by `[redacted: RULE]`, so findings have no places."


def write(rows: Iterable[Row], about: About, out: Path) -> None:
    """Write a new folder.

    Raises:
        OSError: the folder is there already, or cannot be written.
    """
    with new_folder(out) as folder:
        (folder / "data").mkdir()
        groups = parquet.groups(rows)
        group = next(groups, parquet.SCHEMA.empty_table())
        number = 0
        while group is not None:
            file = folder / "data" / f"samples-{number:05}.parquet"
            with ExitStack() as stack:
                writer = stack.enter_context(parquet.writer(file, about))
                while group is not None:
                    writer.write_table(group)
                    group = next(groups, None)
                    if file.stat().st_size >= _FILE_BYTES:
                        break
            number += 1
        (folder / "about.json").write_text(json.dumps(msgspec.to_builtins(about), indent=2) + "\n", "utf-8")
        (folder / "README.md").write_text(_card(about), "utf-8")


def _card(about: About) -> str:
    """Names are others' words: printable, and no more than a word in a line of Markdown."""
    audit, run, policy = (printable(name, 200).replace("`", "'") for name in (about.audit, about.run, about.policy))
    return f"""---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/*.parquet
---

# Judged samples

Exported by azr-platform {about.version}: what the audit `{audit}` of the run `{run}` made of its samples, under the
policy `{policy}`. A row is a sample: `reasoning`, `program`, `input`, `message` and `answer` are what was judged,
`findings` what was found in them (`start` and `end` count characters in the column of the `part`, of which `trace` is
`reasoning`), `score` is 0 to 1 and higher is worse, `decision` a person's last word.
{_REDACTED if about.redacted else ""}

A model wrote the texts: make them inert before you show them. `about.json` says up to where the ledger's hash chain was
verified.
"""

"""One item in a process of its own."""

from __future__ import annotations

import json
import platform
import tempfile
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import transformers

from common import Where


def run_item(item: Any, *, device: str, tiny: bool, out: Path) -> None:
    """Do it, and write what was found to ``out``; whatever goes wrong is found, too."""
    module, _, function = item.does.partition(".")
    found: dict[str, Any] = {"status": "done", "rows": [], "note": "", "device": device, "machine": machine(device)}
    try:
        with tempfile.TemporaryDirectory() as work:
            found["rows"] = getattr(import_module(module), function)(Where(device, tiny, Path(work)), *item.arguments)
        if not all(row.get("passed", True) for row in found["rows"]):
            found["status"] = "failed"
    except torch.OutOfMemoryError as error:
        found |= {"status": "out of memory", "note": str(error).splitlines()[0]}
    except Exception as error:
        traceback.print_exc()
        lines = str(error).strip().splitlines() or [""]
        found |= {"status": "crashed", "note": f"{type(error).__name__}: {lines[0]}"[:300]}
    whole = out.with_suffix(".whole")
    whole.write_text(json.dumps(found), "utf-8")
    whole.rename(out)


def machine(device: str) -> dict[str, str]:
    """What figures depend on."""
    found = {"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__}
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found |= {"gpu": properties.name, "gpu_gb": f"{properties.total_memory / 1e9:.1f}"}
        found["cuda"] = str(torch.version.cuda)
    return found

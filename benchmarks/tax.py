"""What supervision costs a step: the default policy over the observe policy without classifiers, interleaved.

Run it with HF_HUB_OFFLINE=1 to see the default policy without Detoxify's weights; it says which was in use.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from step import ROOT, Arm, compare, options


def main() -> None:
    chosen = options(__doc__).parse_args()
    observe = yaml.safe_load((ROOT / "policies" / "azr_policies" / "observe.yaml").read_text("utf-8"))
    observe["classifiers"] = []
    with TemporaryDirectory() as folder:
        policy = Path(folder) / "observe.yaml"
        policy.write_text(yaml.safe_dump(observe), "utf-8")
        arms = [Arm("observed", ROOT, [f"supervisor.policy={policy}"]), Arm("supervised", ROOT)]
        compare(arms, chosen.rounds, max(2, chosen.steps), chosen.seed)


if __name__ == "__main__":
    main()

"""The regimes by the name that ``run.regime`` gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from azr_platform.config.schema import Config
from azr_platform.trainer.regimes.azr import SelfPlay
from azr_platform.trainer.regimes.base import Regime
from azr_platform.trainer.regimes.rlvr import Rlvr
from azr_platform.trainer.regimes.ttrl import Ttrl
from azr_platform.trainer.sampling import Sampler

REGIMES: Final[Mapping[str, Callable[[Config, Sampler], Regime]]] = MappingProxyType(
    {"azr": SelfPlay, "rlvr": Rlvr, "ttrl": Ttrl}
)

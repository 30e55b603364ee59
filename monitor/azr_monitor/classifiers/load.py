"""Build the classifier a policy names; the heavy imports happen here and only then."""

from __future__ import annotations

from azr_monitor.classifiers.base import Classifier
from azr_monitor.classifiers.renamed import Renamed
from azr_monitor.sections import (
    ClassifierSettings,
    EmbeddedSettings,
    GuardSettings,
    JudgeSettings,
    StructureSettings,
    TransformerSettings,
)


def load_classifier(settings: ClassifierSettings, folder: str = "") -> Classifier:
    """Load what ``settings`` describe; relative paths begin at ``folder``.

    Raises:
        ClassifierUnavailable: a package or weights are missing, or cannot be used.
    """
    if isinstance(settings, JudgeSettings):
        from azr_monitor.classifiers.judge import load_judge

        return load_judge(settings, folder)
    if isinstance(settings, GuardSettings):
        from azr_monitor.classifiers.guard import load_guard

        return load_guard(settings, folder)
    if isinstance(settings, EmbeddedSettings):
        from azr_monitor.classifiers.embedded.model import load_embedded

        return load_embedded(settings, folder)
    if isinstance(settings, StructureSettings):
        from azr_monitor.classifiers.structure.model import load_structure

        return load_structure(settings, folder)
    if isinstance(settings, TransformerSettings):
        from azr_monitor.classifiers.transformer import load_transformer

        loaded = load_transformer(settings, folder)
        return Renamed(loaded, settings.categories) if settings.categories else loaded
    from azr_monitor.classifiers.detoxify import load_detoxify

    return load_detoxify(settings, folder)

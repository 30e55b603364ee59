"""Build the classifier a policy names; the heavy imports happen here and only then."""

from __future__ import annotations

from azr_monitor.classifiers.base import Classifier
from azr_monitor.sections import ClassifierSettings, JudgeSettings, TransformerSettings


def load_classifier(settings: ClassifierSettings, folder: str = "") -> Classifier:
    """Load what ``settings`` describe; relative paths begin at ``folder``.

    Raises:
        ClassifierUnavailable: a package or weights are missing, or cannot be used.
    """
    if isinstance(settings, JudgeSettings):
        from azr_monitor.classifiers.judge import load_judge

        return load_judge(settings, folder)
    if isinstance(settings, TransformerSettings):
        from azr_monitor.classifiers.transformer import load_transformer

        return load_transformer(settings, folder)
    from azr_monitor.classifiers.detoxify import load_detoxify

    return load_detoxify(settings, folder)

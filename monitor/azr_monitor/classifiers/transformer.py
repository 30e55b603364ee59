"""Any Hugging Face sequence classifier, in a local folder or by its name on the hub."""

from __future__ import annotations

from azr_monitor.classifiers.encoder import EncoderClassifier
from azr_monitor.classifiers.hub import load_pretrained
from azr_monitor.sections import TransformerSettings


def load_transformer(settings: TransformerSettings, folder: str = "") -> EncoderClassifier:
    """Load the classifier; its categories are the labels its config names.

    Raises:
        ClassifierUnavailable: no transformers, or files that are missing or do not make a classifier.
    """
    model, tokenizer = load_pretrained(settings, folder, "AutoModelForSequenceClassification")
    labels = [str(model.config.id2label[at]).lower() for at in range(int(model.config.num_labels))]
    multi_label = settings.multi_label
    if multi_label is None:
        multi_label = model.config.problem_type == "multi_label_classification" or len(labels) == 1
    return EncoderClassifier(
        settings.name,
        model,
        tokenizer,
        labels,
        multi_label=multi_label,
        batch_size=settings.batch_size,
        device=settings.device,
    )

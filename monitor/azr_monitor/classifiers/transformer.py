"""Any Hugging Face sequence classifier in a local folder (safetensors only; nothing is downloaded or unpickled)."""

from __future__ import annotations

from azr_monitor.classifiers.base import ClassifierUnavailable
from azr_monitor.classifiers.encoder import EncoderClassifier, libraries, resolve
from azr_monitor.sections import TransformerSettings


def load_transformer(settings: TransformerSettings, folder: str = "") -> EncoderClassifier:
    """Load the classifier in ``settings.path``; its categories are the labels its config names.

    Raises:
        ClassifierUnavailable: no such folder, no transformers, or files that do not make a classifier.
    """
    path = resolve(settings.path, folder)
    if not (path / "config.json").is_file():
        raise ClassifierUnavailable(
            f"{path} holds no config.json", f"point classifiers path of {settings.name} to a model"
        )
    _, transformers = libraries()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(
            path, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ClassifierUnavailable(
            f"{path} cannot be loaded: {why}", "save the model as safetensors with its tokenizer"
        ) from error
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

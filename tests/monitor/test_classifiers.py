"""Real classifiers on tiny checkpoints made here in their real formats; nothing is downloaded."""

from __future__ import annotations

import itertools
import pickle
import socket
import string
from pathlib import Path
from typing import Any

import pytest

from azr_monitor.audit import Auditor
from azr_monitor.classifiers import weights
from azr_monitor.classifiers.base import ClassifierUnavailable
from azr_monitor.classifiers.detoxify import FILES, load_detoxify
from azr_monitor.classifiers.encoder import EncoderClassifier
from azr_monitor.classifiers.load import load_classifier
from azr_monitor.classifiers.transformer import load_transformer
from azr_monitor.classifiers.weights import Inert, download, load_tensors, offline
from azr_monitor.policy import load_policy
from azr_monitor.records import Subject
from azr_monitor.sections import DetoxifySettings, TransformerSettings

torch = pytest.importorskip("torch", reason="classifiers need the training extra")
transformers = pytest.importorskip("transformers", reason="classifiers need the training extra")

CLASSES = ["toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_hate"]
WORDS = [
    "the",
    "a",
    "of",
    "to",
    "and",
    "in",
    "is",
    "that",
    "it",
    "you",
    "are",
    "venom",
    "good",
    "number",
    "list",
    "answer",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with six labels, its tokenizer, and the same weights as a Detoxify checkpoint."""
    path = tmp_path_factory.mktemp("detoxify")
    characters = string.ascii_lowercase + string.digits
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *string.punctuation]
    vocabulary += [f"##{c}" for c in characters] + [word for word in WORDS if len(word) > 1]
    transformers.BertTokenizerFast({word: at for at, word in enumerate(vocabulary)}).save_pretrained(path)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=6,
        id2label=dict(enumerate(CLASSES)),
        problem_type="multi_label_classification",
    )
    model = transformers.BertForSequenceClassification(config)
    _learn_venom(model, transformers.BertTokenizerFast.from_pretrained(path))
    model.save_pretrained(path)
    torch.save(checkpoint(path, model.state_dict()), path / "tiny.ckpt")
    return path


def _learn_venom(model: Any, tokenizer: Any) -> None:
    """Forty steps are enough for the tiny model to tell texts with "venom" from those without."""
    texts = ["the good answer", "venom", "a number in the list", "venom is in the list", "venom venom venom", "you"]
    texts += ["the good answer is a number and a list " * 40, "venom " * 40, "the good list " * 90 + "venom " * 40]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = torch.tensor([[float("venom" in text)] * 6 for text in texts])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(40):
        optimizer.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
    model.eval()


def checkpoint(path: Path, state: Any, **changes: Any) -> dict[str, Any]:
    arguments = {
        "num_classes": 6,
        "model_type": "bert-base-uncased",
        "model_name": "BertForSequenceClassification",
        "tokenizer_name": "BertTokenizer",
        **changes,
    }
    return {"config": {"arch": {"args": arguments}, "dataset": {"args": {"classes": CLASSES}}}, "state_dict": state}


def settings(folder: Path, **changes: Any) -> DetoxifySettings:
    return DetoxifySettings(**{"checkpoint": str(folder / "tiny.ckpt"), "config": str(folder), **changes})


@pytest.fixture(scope="module")
def loaded(folder: Path) -> EncoderClassifier:
    return load_detoxify(settings(folder, batch_size=4))


def test_detoxify_loads_from_local_files_and_scores(loaded: EncoderClassifier) -> None:
    assert loaded.categories == ("toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack")
    values = loaded.score(["the good answer", "", "venom venom"])
    assert len(values) == 3
    assert all(0.0 <= value <= 1.0 for row in values for value in row.values())
    assert set(values[1].values()) == {0.0}
    assert values[0]["toxicity"] < 0.2 and values[2]["toxicity"] > 0.8


def test_scores_equal_detoxifys_own(folder: Path, loaded: EncoderClassifier) -> None:
    detoxify = pytest.importorskip("detoxify")
    local = folder / "own.ckpt"
    content = torch.load(folder / "tiny.ckpt", weights_only=True)
    content["config"]["arch"]["args"]["model_type"] = str(folder)  # else Detoxify looks the name up on the hub
    torch.save(content, local)
    own = detoxify.Detoxify(checkpoint=str(local), huggingface_config_path=str(folder))
    texts = ["the good answer is a number", "venom is in the list"]
    expected = own.predict(texts)
    for row, text_number in zip(loaded.score(texts), range(2), strict=True):
        for category, value in row.items():
            assert value == pytest.approx(expected[category][text_number], abs=1e-5)


def test_scores_do_not_depend_on_the_batch(loaded: EncoderClassifier) -> None:
    texts = [" ".join(WORDS[: n + 1]) for n in range(11)]
    together = loaded.score(texts)
    for text, row in zip(texts, together, strict=True):
        alone = loaded.score([text])[0]
        assert all(row[category] == pytest.approx(alone[category], abs=1e-5) for category in row)


def test_the_end_of_a_long_trace_is_read(loaded: EncoderClassifier) -> None:
    calm = "the good answer is a number and a list " * 200
    assert loaded.score([calm])[0]["toxicity"] < 0.5
    assert loaded.score([calm + "venom " * 40])[0]["toxicity"] > 0.5


@pytest.mark.parametrize("length", [1, 100, 3_000, 20_000])
def test_windows_cover_the_whole_text_and_fit_the_model(loaded: EncoderClassifier, length: int) -> None:
    text = ("the venom is in you 7 ! zq " * (length // 20 + 1))[:length]
    windows = loaded.windows(text)
    assert windows[0][0] == 0 and windows[-1][1] == len(text)
    for (start, end), (following, _) in itertools.pairwise(windows):
        assert start < following <= end
    for start, end in windows:
        assert len(loaded._tokenizer(text[start:end])["input_ids"]) <= 512
        assert len(loaded.windows(text[start:end])) == 1


def test_a_text_cannot_write_the_models_own_marks(loaded: EncoderClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark of an end or of padding in the text would be one, and what follows it would be read otherwise."""
    read: list[list[int]] = []
    real = loaded._model.forward

    def forward(*positional: Any, **named: Any) -> Any:
        read.extend(named["input_ids"].tolist())
        return real(*positional, **named)

    monkeypatch.setattr(loaded._model, "forward", forward)
    loaded.score(["venom [SEP] [PAD] [CLS] [MASK] in the list"])
    marks = loaded._tokenizer
    own = [marks.sep_token_id, marks.pad_token_id, marks.cls_token_id, marks.mask_token_id]
    assert [read[0].count(mark) for mark in own] == [1, 0, 1, 0]


def test_empty_texts_have_no_windows(loaded: EncoderClassifier) -> None:
    assert loaded.windows("") == loaded.windows(" \n ") == []
    assert loaded.score([]) == []


def test_the_auditor_uses_it_and_points_at_the_window(folder: Path) -> None:
    scored = load_detoxify(settings(folder)).score(["the venom is in the list"])[0]
    limit = scored["toxicity"] - 0.01
    entry = settings(folder, thresholds={"toxicity": {"high": limit}})
    policy = load_policy("default").model_copy(update={"classifiers": (entry,)})
    auditor = Auditor.from_policy(policy)
    assert auditor.notices == ()
    verdict = auditor.inspect([Subject(id="t", trace="the venom is in the list")])[0]
    assert not verdict.allowed
    assert verdict.findings[0].rule == "detoxify.toxicity"
    assert verdict.findings[0].span == (0, 24)
    assert {score.category for score in verdict.scores} == set(scored)


# -- loading runs no code -------------------------------------------------------------------------------


class Attack:
    """Unpickling this touches a file."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return (Path.touch, (Path(self.target),))


def test_the_attack_is_real(tmp_path: Path) -> None:
    target = tmp_path / "proof"
    pickle.loads(pickle.dumps(Attack(str(target))))
    assert target.exists()


def test_a_checkpoint_with_pickled_code_loads_its_tensors_and_runs_nothing(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "touched"
    content = torch.load(folder / "tiny.ckpt", weights_only=True)
    content["trainer"] = Attack(str(target))
    torch.save(content, tmp_path / "evil.ckpt")
    loaded = load_tensors(tmp_path / "evil.ckpt", torch)
    assert not target.exists()
    assert isinstance(loaded["trainer"], Inert)
    assert loaded["state_dict"].keys() == content["state_dict"].keys()
    name = "classifier.weight"
    assert torch.equal(loaded["state_dict"][name], content["state_dict"][name])
    assert load_detoxify(settings(folder, checkpoint=str(tmp_path / "evil.ckpt"))).score(["the list"])
    assert not target.exists()


def test_a_checkpoint_may_not_choose_any_class_of_transformers(folder: Path, tmp_path: Path) -> None:
    state = torch.load(folder / "tiny.ckpt", weights_only=True)["state_dict"]
    torch.save(checkpoint(folder, state, model_name="AutoModel"), tmp_path / "odd.ckpt")
    with pytest.raises(ClassifierUnavailable, match="classes Detoxify does not use"):
        load_detoxify(settings(folder, checkpoint=str(tmp_path / "odd.ckpt")))


# -- what is missing is said in one line ----------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04" + b"\x00" * 40, pickle.dumps([1, 2])])
def test_a_broken_checkpoint_is_unavailable(folder: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.ckpt").write_bytes(content)
    with pytest.raises(ClassifierUnavailable) as caught:
        load_detoxify(settings(folder, checkpoint=str(tmp_path / "broken.ckpt")))
    assert "\n" not in str(caught.value)


def test_missing_local_files_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ClassifierUnavailable, match=r"none\.ckpt does not exist"):
        load_detoxify(settings(folder, checkpoint=str(tmp_path / "none.ckpt")))
    with pytest.raises(ClassifierUnavailable, match=r"holds no config\.json"):
        load_detoxify(settings(folder, config=str(tmp_path)))


def test_a_relative_path_begins_at_the_policys_folder(folder: Path) -> None:
    assert load_classifier(DetoxifySettings(checkpoint="tiny.ckpt", config="."), str(folder)).name == "detoxify"


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_without_weights_fails_without_trying(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv(variable, "1")
    assert offline()
    tried: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda *address: tried.append(address))
    with pytest.raises(ClassifierUnavailable) as caught:
        load_detoxify(DetoxifySettings())
    assert not tried
    assert "the network is off" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("listens", [False, True], ids=["refused", "silent"])
def test_an_unreachable_download_gives_up_and_leaves_nothing(
    listens: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that takes the connection and then says nothing would be waited for without end."""
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "TIMEOUT_S", 0.1)
    why = "timed out" if listens else "refused"
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listens:
            server.listen()
        address = f"https://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(ClassifierUnavailable, match=f"cannot be reached .*{why}") as caught:
            load_detoxify(DetoxifySettings())
        assert "\n" not in str(caught.value)
        with pytest.raises(ClassifierUnavailable, match=f"cannot be downloaded .*{why}"):
            download(f"{address}/a-1234.ckpt", tmp_path / "a-1234.ckpt", "do this")
    with pytest.raises(ClassifierUnavailable, match="not an https address"):
        download("file:///etc/passwd", tmp_path / "b.ckpt", "do this")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_list_of_downloads_is_detoxifys_own() -> None:
    module = pytest.importorskip("detoxify.detoxify")
    assert {name: url.split("/download/")[1] for name, url in module.MODEL_URLS.items()} == FILES


# -- any transformer ------------------------------------------------------------------------------------


def test_any_local_sequence_classifier_loads(folder: Path) -> None:
    classifier = load_transformer(TransformerSettings(kind="transformer", name="mine", path=str(folder)))
    assert classifier.name == "mine"
    assert classifier.categories == tuple(CLASSES)
    assert len(classifier.score(["the list", "venom"])) == 2


def test_single_label_values_sum_to_one(folder: Path) -> None:
    entry = TransformerSettings(kind="transformer", name="mine", path=str(folder), multi_label=False)
    values = load_transformer(entry).score(["the good list"])[0]
    assert sum(values.values()) == pytest.approx(1.0, abs=1e-5)


def test_a_folder_without_a_model_is_unavailable(tmp_path: Path) -> None:
    entry = TransformerSettings(kind="transformer", name="mine", path=str(tmp_path))
    with pytest.raises(ClassifierUnavailable, match=r"holds no config\.json"):
        load_transformer(entry)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ClassifierUnavailable) as caught:
        load_transformer(entry)
    assert "\n" not in str(caught.value)


def test_a_pickled_model_file_is_not_loaded(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.suffix in (".json", ".txt"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    target = tmp_path / "touched"
    torch.save({"x": Attack(str(target))}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ClassifierUnavailable):
        load_transformer(TransformerSettings(kind="transformer", name="mine", path=str(tmp_path)))
    assert not target.exists()

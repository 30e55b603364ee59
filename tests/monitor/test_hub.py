"""Models by their name on the hub: from the cache at a pinned commit, fetched only where allowed, never pickled."""

from __future__ import annotations

import hashlib
import json
import socket
import string
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from azr_monitor.audit import Auditor
from azr_monitor.classifiers.base import ClassifierUnavailable
from azr_monitor.classifiers.load import load_classifier
from azr_monitor.classifiers.renamed import Renamed
from azr_monitor.policy import PolicyError, load_policy
from azr_monitor.records import Subject
from azr_monitor.sections import TransformerSettings

torch = pytest.importorskip("torch", reason="classifiers need the training extra")
transformers = pytest.importorskip("transformers", reason="classifiers need the training extra")
huggingface_hub = pytest.importorskip("huggingface_hub", reason="classifiers need the training extra")

NAME, REVISION = "someone/tiny-toxic", "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny classifier with three labels, as a repository holds it: with pickled weights and code beside."""
    path = tmp_path_factory.mktemp("model")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.ascii_lowercase]
    vocabulary += [f"##{letter}" for letter in string.ascii_lowercase]
    transformers.BertTokenizerFast({word: at for at, word in enumerate(vocabulary)}).save_pretrained(path)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=3,
        id2label={0: "toxic", 1: "insult", 2: "neutral"},
    )
    transformers.BertForSequenceClassification(config).save_pretrained(path)
    (path / "pytorch_model.bin").write_bytes(b"a pickle")
    (path / "modeling.py").write_text("raise SystemExit('code of the model was run')")
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cache"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)  # read once, on import
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    return path


def cached(cache: Path, files: Path) -> Path:
    """The files as the hub's client keeps them: under the commit, as links to blobs."""
    root = cache / f"models--{NAME.replace('/', '--')}"
    snapshot = root / "snapshots" / REVISION
    (root / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for file in files.iterdir():
        blob = root / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        blob.write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(blob)
    return snapshot


def settings(**given: Any) -> TransformerSettings:
    return TransformerSettings(kind="transformer", name="tiny", **({"hub": NAME, "revision": REVISION} | given))


def test_a_model_in_the_cache_is_loaded_without_the_network(
    cache: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(cache, files)
    tried: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda *address: tried.append(address))
    classifier = load_classifier(settings(download=True))
    assert classifier.categories == ("toxic", "insult", "neutral")
    assert sum(classifier.score(["abc"])[0].values()) == pytest.approx(1.0, abs=1e-5)  # type: ignore[union-attr]
    assert not tried


def test_a_model_that_is_not_there_is_not_fetched_unless_allowed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda *address: tried.append(address))
    with pytest.raises(ClassifierUnavailable, match=r"at 01234567 is not on this machine; set download: true.*hf down"):
        load_classifier(settings())
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ClassifierUnavailable, match=r"the network is off"):
        load_classifier(settings(download=True))
    assert not tried


def test_another_commit_in_the_cache_is_not_taken(cache: Path, files: Path) -> None:
    cached(cache, files)
    with pytest.raises(ClassifierUnavailable, match="at ffffffff is not on this machine"):
        load_classifier(settings(revision="f" * 40))


def test_pickled_weights_in_the_cache_are_not_taken(cache: Path, files: Path) -> None:
    snapshot = cached(cache, files)
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(ClassifierUnavailable, match="is not on this machine"):
        load_classifier(settings())


@pytest.fixture
def hub(files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A hub on this machine, with one repository. What was fetched from it is listed."""
    fetched: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            path = self.path.partition("?")[0]
            name = path.rpartition("/")[2]
            if path.startswith("/api/models/"):
                siblings = [{"rfilename": file.name} for file in sorted(files.iterdir())]
                data = json.dumps({"id": NAME, "sha": REVISION, "siblings": siblings}).encode()
                if "/tree/" in path:
                    listed = [
                        {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": "0"} for f in files.iterdir()
                    ]
                    data = json.dumps(listed).encode()
            elif (files / name).is_file():
                data = (files / name).read_bytes()
                if body:
                    fetched.append(name)
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", REVISION)
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    yield fetched
    server.shutdown()
    server.server_close()


def test_a_model_is_fetched_once_and_nothing_but_safetensors_and_data(cache: Path, hub: list[str]) -> None:
    assert load_classifier(settings(download=True)).categories == ("toxic", "insult", "neutral")
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= set(hub)
    assert not {"pytorch_model.bin", "modeling.py"} & set(hub)
    hub.clear()
    load_classifier(settings())
    assert hub == []


def test_an_unreachable_hub_is_given_up_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(ClassifierUnavailable, match=r"cannot be reached .*set path: of tiny to a local folder"):
            load_classifier(settings(download=True))


# -- names for labels -----------------------------------------------------------------------------------


def test_labels_get_the_names_of_the_policy_and_the_highest_counts(files: Path) -> None:
    given = {"hub": None, "revision": None, "path": str(files)}
    plain = load_classifier(settings(**given)).score(["abc", "xyz"])
    renamed = load_classifier(settings(**given, categories={"toxic": "abuse", "insult": "abuse"}))
    assert renamed.categories == ("abuse", "neutral")
    for before, after in zip(plain, renamed.score(["abc", "xyz"]), strict=True):
        assert after == {"abuse": max(before["toxic"], before["insult"]), "neutral": before["neutral"]}  # type: ignore[index,call-overload]


def test_a_renamed_label_counts_under_our_category(files: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nextends: default\nclassifiers:\n  - {kind: detoxify, enabled: false}\n"
        f"  - {{kind: transformer, name: tiny, path: {files}, required: true, categories: {{toxic: abuse}}, "
        "thresholds: {abuse: {high: 0.01}}}\n"
    )
    (verdict,) = Auditor.from_policy(load_policy(path)).inspect([Subject(id="s", trace="abc def ghi jkl")])
    assert verdict.category == "abuse" and "tiny.abuse" in {finding.rule for finding in verdict.findings}


def test_a_label_that_there_is_not_is_refused(files: Path) -> None:
    with pytest.raises(ClassifierUnavailable, match="has no label 'txic'; it has toxic, insult, neutral"):
        load_classifier(settings(hub=None, revision=None, path=str(files), categories={"txic": "abuse"}))


def test_a_value_that_is_no_number_is_not_hidden_by_another() -> None:
    class Two:
        name, categories = "two", ("a", "b")

        def windows(self, text: str) -> list[tuple[int, int]]:
            return [(0, len(text))]

        def score(self, texts: Any) -> list[dict[str, float]]:
            return [{"a": 0.3, "b": float("nan")}, {"a": float("nan"), "b": 0.3}]

    for values in Renamed(Two(), {"a": "x", "b": "x"}).score(["", ""]):
        assert values["x"] != values["x"]  # type: ignore[index,call-overload]


MISTAKES = {
    "path: a, hub: b/c": "give a path or a name on the hub, one of them",
    "multi_label: true": "give a path or a name on the hub, one of them",
    "hub: b/c": "hub: give the revision too, a commit of 40 hex digits",
    "hub: b/c, revision: main": r"revision",
    "hub: ../c/d, revision: '" + "0" * 40 + "'": r"hub",
    "path: a, categories: {x: 'Not A Name'}": r"categories\.x",
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.items())
def test_a_mistake_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    entry = f"  - {{kind: transformer, name: t, {text}}}\n"
    path.write_text(f"name: mine\nextends: default\nclassifiers:\n{entry}")
    with pytest.raises(PolicyError, match=rf"mine\.yaml:4: .*{message}"):
        load_policy(path)


def test_thresholds_of_what_is_not_scored_are_a_notice(files: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nextends: observe\nclassifiers:\n  - {kind: detoxify, enabled: false}\n"
        f"  - {{kind: transformer, name: tiny, path: {files}, thresholds: {{toxc: {{high: 0.5}}}}}}\n"
    )
    notices = Auditor.from_policy(load_policy(path)).notices
    assert "tiny: thresholds of toxc do nothing; it scores toxic, insult, neutral" in notices

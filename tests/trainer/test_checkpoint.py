"""Checkpoints: the whole state, bit for bit, all there or not at all, and nothing in them that runs."""

from __future__ import annotations

import contextlib
import json
import os
import pickletools
import random
import resource
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from azr_platform.buffers.buffer import Entry
from azr_platform.config.schema import ModelConfig, OptimizerConfig, UpdateConfig
from azr_platform.records import SELF_PLAY_KINDS, Task
from azr_platform.trainer import checkpoint
from azr_platform.trainer.checkpoint import (
    CheckpointBroken,
    CheckpointUnwritten,
    Saved,
    folder_name,
    load_buffers,
    load_optimizer,
    verify,
)
from azr_platform.trainer.model import ModelUnavailable, load_policy
from azr_platform.trainer.optimizer import Optimizer
from azr_platform.trainer.update import Updater

TEXT = "def f(x): return '\x00\x1b[2J é 🐍'"
BUFFERS = {
    kind: [Entry(Task(id=f"{kind}-{n}", kind=kind, program=TEXT, inputs=("1",), outputs=("2",)), n) for n in range(3)]
    for kind in SELF_PLAY_KINDS
}


def _updater(model: Any) -> Updater:
    return Updater(model, OptimizerConfig(learning_rate=0.01), UpdateConfig(minibatches=2), steps=9, temperature=1.0)


class Trained:
    """A policy after two updates, and where it was saved."""

    def __init__(self, folder: Path, model: Any, tokenizer: Any, make: Callable[..., Any]) -> None:
        self.model, self.tokenizer, self.make = model, tokenizer, make
        self.updater = _updater(model)
        for step in (1, 2):
            self.updater.update(make(model, 8, seed=step), step, random.Random(step))
        self.folder = folder
        self.saved = self.save(folder)

    def save(self, folder: Path) -> Saved:
        return checkpoint.save(
            folder,
            step=2,
            seed=7,
            model=self.model,
            tokenizer=self.tokenizer,
            optimizer=self.updater.optimizer,
            buffers=BUFFERS,
        )


@pytest.fixture
def trained(tmp_path: Path, policy: Callable[..., Any], tokenizer: Any, rewarded: Callable[..., Any]) -> Trained:
    return Trained(tmp_path / "checkpoints" / "step-000002", policy(), tokenizer, rewarded)


def test_weights_optimizer_and_buffers_come_back_bit_for_bit(trained: Trained) -> None:
    state = verify(trained.folder, trained.saved.digest)
    assert (state.step, state.seed) == (2, 7)
    model, _ = load_policy(ModelConfig(dtype="float32"), trained.folder)
    model.eval()
    updater = _updater(model)
    load_optimizer(trained.folder, updater.optimizer)
    for (name, ours), (other, theirs) in zip(trained.model.named_parameters(), model.named_parameters(), strict=True):
        assert name == other
        assert torch.equal(ours, theirs)
    before, after = (u.optimizer.state() for u in (trained.updater, updater))
    names = {name for name, _ in model.named_parameters()}
    assert before.keys() == after.keys() == {f"{n}/{part}" for n in names for part in ("step", "exp_avg", "exp_avg_sq")}
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert load_buffers(trained.folder) == BUFFERS

    # And the next step is the same, too.
    items = trained.make(trained.model, 8, seed=3)
    for one in (trained.updater, updater):
        one.update(items, 3, random.Random(3))
    for ours, theirs in zip(trained.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("tied", [False, True])
def test_a_policy_that_was_never_updated_can_be_saved(
    tied: bool, tmp_path: Path, policy: Callable[..., Any], tokenizer: Any
) -> None:
    model = policy(tie_word_embeddings=tied)
    saved = checkpoint.save(
        tmp_path / "step-000000",
        step=0,
        seed=0,
        model=model,
        tokenizer=tokenizer,
        optimizer=_updater(model).optimizer,
        buffers={},
    )
    updater = _updater(model)
    load_optimizer(saved.path, updater.optimizer)
    assert updater.optimizer.state() == {}
    assert load_buffers(saved.path) == {}
    loaded, _ = load_policy(ModelConfig(dtype="float32"), saved.path)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True))


def test_the_library_loads_a_checkpoint_as_an_ordinary_model(trained: Trained) -> None:
    model = AutoModelForCausalLM.from_pretrained(trained.folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(trained.folder)
    tokens = tokenizer("# deduce\n", return_tensors="pt")["input_ids"]
    assert tokens.tolist() == [trained.tokenizer("# deduce\n")["input_ids"]]
    with torch.no_grad():
        assert torch.equal(model(tokens).logits, trained.model(tokens).logits)


def test_nothing_in_a_checkpoint_is_a_pickle(trained: Trained) -> None:
    suffixes = set()
    for path in trained.folder.rglob("*"):
        suffixes.add(path.suffix)
        assert not zipfile.is_zipfile(path)
        with pytest.raises(ValueError, match=r".+"):  # not even by accident
            list(pickletools.genops(path.read_bytes()))
    assert suffixes <= {".json", ".safetensors", ".msgpack", ".txt", ".jinja"}


def test_every_file_is_in_the_state_with_its_digest(trained: Trained) -> None:
    names = {path.name for path in trained.folder.iterdir()}
    assert set(verify(trained.folder).files) == names - {"state.json"}
    assert {"model.safetensors", "optimizer.safetensors", "buffers.msgpack", "config.json", "tokenizer.json"} <= names


def test_any_changed_byte_missing_or_added_file_is_found_by_name(trained: Trained) -> None:
    rng = random.Random(0)
    for path in sorted(trained.folder.iterdir()):
        if path.name == "state.json":
            continue
        content = path.read_bytes()
        for _ in range(3):
            changed = bytearray(content)
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            path.write_bytes(changed)
            with pytest.raises(CheckpointBroken, match=f"{path.name} was changed"):
                verify(trained.folder)
        path.write_bytes(content[:-1])
        with pytest.raises(CheckpointBroken, match=f"{path.name} was changed"):
            verify(trained.folder)
        path.unlink()
        with pytest.raises(CheckpointBroken, match=f"{path.name} is missing"):
            verify(trained.folder)
        path.write_bytes(content)
    extra = trained.folder / "pytorch_model.bin"
    extra.write_bytes(b"x")
    with pytest.raises(CheckpointBroken, match=r"pytorch_model\.bin was added"):
        verify(trained.folder)
    extra.unlink()
    verify(trained.folder, trained.saved.digest)


def test_a_rewritten_state_is_not_the_recorded_one(trained: Trained) -> None:
    path = trained.folder / "state.json"
    state = json.loads(path.read_text())
    model = trained.folder / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-1] + b"\x00")
    state["files"]["model.safetensors"] = checkpoint._digest(model)
    path.write_text(json.dumps(state))
    verify(trained.folder)  # by itself it fits
    with pytest.raises(CheckpointBroken, match="not the one that was recorded"):
        verify(trained.folder, trained.saved.digest)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2; this version reads format 1"),
        ({"more": 1}, "no readable state.json"),
        ({"step": "2"}, "no readable state.json"),
        ({"files": {"../outside": "00"}}, "was added"),
        ({"files": None}, "no readable state.json"),
    ],
)
def test_a_state_that_cannot_be_meant_is_refused(change: dict[str, object], message: str, trained: Trained) -> None:
    path = trained.folder / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointBroken, match=message):
        verify(trained.folder)


def test_a_state_that_names_a_file_elsewhere_is_refused(trained: Trained) -> None:
    path = trained.folder / "state.json"
    state = json.loads(path.read_text())
    outside = trained.folder.parent / "outside"
    outside.write_bytes(b"x")
    state["files"]["../outside"] = checkpoint._digest(outside)
    path.write_text(json.dumps(state))
    with pytest.raises(CheckpointBroken, match=r"\.\./outside is missing"):
        verify(trained.folder)


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xff", b"[]"])
def test_a_folder_without_a_readable_state_is_no_checkpoint(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "state.json").write_bytes(content)
    with pytest.raises(CheckpointBroken, match="no readable state"):
        verify(tmp_path)


class Killed(Exception):
    """The process ends here."""


@pytest.mark.parametrize("victim", ["rename", "_flush", "save_file", "_digest"])
def test_a_crash_before_the_end_leaves_no_checkpoint_and_the_next_save_works(
    victim: str, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise Killed

    target = trained.folder.with_name("step-000003")
    with monkeypatch.context() as patch:
        if victim == "rename":
            patch.setattr(Path, "rename", die)
        else:
            patch.setattr(checkpoint, victim, die)
        with pytest.raises(Killed):
            trained.save(target)
    assert not target.exists()
    left = target.with_name("step-000003.partial")
    assert left.is_dir()
    (left / "rubbish").write_bytes(b"from the first attempt")
    saved = trained.save(target)
    assert saved.path == target
    verify(target, saved.digest)
    assert not left.exists()
    assert "rubbish" not in verify(target).files


def test_saving_over_an_unrecorded_checkpoint_replaces_it(trained: Trained) -> None:
    (trained.folder / "model.safetensors").write_bytes(b"half")
    saved = trained.save(trained.folder)
    verify(trained.folder, saved.digest)


def test_the_same_state_has_the_same_digest(trained: Trained) -> None:
    other = trained.save(trained.folder.with_name("again"))
    assert other.digest == trained.saved.digest


def test_a_full_or_forbidden_disk_leaves_the_older_checkpoint_alone(trained: Trained) -> None:
    blocker = trained.folder.with_name("blocked")
    blocker.with_name("blocked.partial").write_bytes(b"a file where the folder goes")
    with pytest.raises(OSError, match="blocked"):
        trained.save(blocker)
    verify(trained.folder, trained.saved.digest)


def test_a_disk_that_takes_no_more_leaves_no_half_of_a_checkpoint(trained: Trained) -> None:
    """The limit of a process on the size of files: the system refuses in the middle of the weights, as a quota does."""
    target = trained.folder.with_name("step-000003")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(CheckpointUnwritten, match=r"step-000003 could not be written: .*File too large"):
            trained.save(target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in target.parent.iterdir()] == [trained.folder.name]
    verify(trained.folder, trained.saved.digest)
    assert checkpoint.size(trained.save(target).path) == checkpoint.size(trained.folder)


def test_the_room_of_an_optimizer_is_what_its_state_takes(trained: Trained) -> None:
    state = trained.updater.optimizer.state()
    counts = sum(tensor.nbytes for name, tensor in state.items() if name.endswith("/step"))
    assert sum(tensor.nbytes for tensor in state.values()) == trained.updater.optimizer.room() + counts


def test_branches_keep_their_own_folders() -> None:
    assert folder_name(40, 1) == "step-000040"
    assert folder_name(40, 3) == "step-000040-branch-3"
    assert len({folder_name(step, branch) for step in range(5) for branch in range(1, 5)}) == 20


def test_moments_of_another_model_are_refused(trained: Trained, policy: Callable[..., Any]) -> None:
    tensors = load_file(trained.folder / "optimizer.safetensors")
    assert {key.rpartition("/")[2] for key in tensors} == {"step", "exp_avg", "exp_avg_sq"}
    with pytest.raises(CheckpointBroken, match="no such parameter"):
        load_optimizer(trained.folder, Optimizer(torch.nn.Linear(2, 2), OptimizerConfig()))
    load_optimizer(trained.folder, _updater(policy()).optimizer)


def test_buffers_that_are_no_buffers_are_refused(trained: Trained) -> None:
    path = trained.folder / "buffers.msgpack"
    for content in (b"", msgspec.msgpack.encode({"telepathy": []}), msgspec.msgpack.encode([1])):
        path.write_bytes(content)
        with pytest.raises(CheckpointBroken, match=r"buffers\.msgpack"):
            load_buffers(trained.folder)


# --- loading what is no checkpoint ---------------------------------------------------------------------------


def test_a_model_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"model\.path = .*nowhere.*Give a local folder"):
        load_policy(ModelConfig(path=str(tmp_path / "nowhere")))
    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        load_policy(ModelConfig(path=str(tmp_path)))


def test_pickled_weights_are_not_loaded(trained: Trained) -> None:
    """The attack: a folder whose weights, once unpickled, run a command."""
    target = trained.folder.with_name("poisoned")
    shutil.copytree(trained.folder, target)
    mark = target.parent / "mark"

    class Attack:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            return os.system, (f"touch {mark}",)

    (target / "model.safetensors").unlink()
    torch.save({"model.embed_tokens.weight": Attack()}, target / "pytorch_model.bin")
    with pytest.raises(ModelUnavailable):
        load_policy(ModelConfig(dtype="float32"), target)
    assert not mark.exists()
    torch.load(target / "pytorch_model.bin", weights_only=False)
    assert mark.exists()  # the attack is live


def test_code_beside_the_weights_is_not_run(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = trained.folder.with_name("coded")
    shutil.copytree(trained.folder, target)
    mark = target.parent / "mark"
    config = json.loads((target / "config.json").read_text())
    config["model_type"] = "attack"
    config["auto_map"] = {"AutoConfig": "attack.Config", "AutoModelForCausalLM": "attack.Model"}
    (target / "config.json").write_text(json.dumps(config))
    (target / "attack.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Config: pass\nclass Model: pass\n")
    with pytest.raises(ModelUnavailable):
        load_policy(ModelConfig(dtype="float32"), target)
    assert not mark.exists()
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    with contextlib.suppress(Exception):
        AutoConfig.from_pretrained(target, trust_remote_code=True)
    assert mark.exists()  # the attack is live

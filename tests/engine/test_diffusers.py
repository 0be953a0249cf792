"""The diffusers engine on sdxl-tiny: what tests/engine/test_contract.py does not ask of every engine."""

import asyncio
import base64
import io
import json
import logging
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from shared.catalog import Model
from shared.errors import EngineFailed, InvalidRequest, SetupError
from shared.messages import Usage
from tests.factories import make_job, make_model
from workers.engines import diffusers as engine_module
from workers.engines import sdxl
from workers.engines.base import Done, EngineDied, Piece
from workers.engines.diffusers import DiffusersEngine
from workers.engines.image_request import parse_request

pytestmark = pytest.mark.engine

BODY = {"prompt": "a lighthouse at night", "seed": 7, "steps": 3}
DEFAULTS = {"steps": 8, "max_steps": 50, "size": "64x64", "max_size": 256, "batch": 1}


class Turnstile:
    """Stands before the UNet: counts its calls, and holds each one after `free` of them until `open`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free: int = 10**6) -> None:
        self.calls = 0
        self.held = threading.Event()
        self.error: Exception | None = None
        self._free = free
        self._opened = threading.Event()
        load = sdxl.load

        def load_with_turnstile(*args: Any) -> Any:
            pipeline = load(*args)
            pipeline.unet.register_forward_pre_hook(self._pass)
            return pipeline

        monkeypatch.setattr(sdxl, "load", load_with_turnstile)

    async def wait(self) -> None:
        """Until a call is held."""
        assert await asyncio.to_thread(self.held.wait, 30)

    def open(self) -> None:
        self._opened.set()

    def _pass(self, _module: Any, _inputs: Any) -> None:
        self.calls += 1
        if self.calls > self._free:
            self.held.set()
            assert self._opened.wait(30)
        if self.error is not None:
            error, self.error = self.error, None
            raise error


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def model(**args: Any) -> Model:
    return make_model(
        id="sdxl-tiny", kind="image", engine="diffusers", weights="random:sdxl-tiny", engine_args=DEFAULTS | args
    )


@asynccontextmanager
async def serving(data_dir: Path, **args: Any) -> AsyncIterator[DiffusersEngine]:
    engine = DiffusersEngine(model(**args), data_dir)
    await engine.load(lambda share, detail: None)
    try:
        yield engine
    finally:
        await engine.close()


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    async def limited() -> Any:
        async with asyncio.timeout(60):
            return await coroutine

    return asyncio.run(limited())


class Answer:
    """Everything a stream gave."""

    def __init__(self, items: list[Piece | Done]) -> None:
        assert isinstance(items[-1], Done)
        self.done = items[-1]
        *self.progress, self.result = (json.loads(item.payload) for item in items if isinstance(item, Piece))
        self.seeds = [image["seed"] for image in self.result["data"]]
        self.pngs = [base64.b64decode(image["b64_json"]) for image in self.result["data"]]

    @property
    def pixels(self) -> "np.ndarray[Any, Any]":
        """The first image, height × width × 3."""
        return np.asarray(Image.open(io.BytesIO(self.pngs[0])), dtype=int)


async def ask(engine: DiffusersEngine, job_id: str = "job_1", **changes: Any) -> Answer:
    job = make_job(job_id, kind="image", body=BODY | changes)
    return Answer([item async for item in engine.generate(job)])


async def ask_all(engine: DiffusersEngine, requests: list[dict[str, Any]]) -> list[Answer]:
    """Ask in this order, at once."""
    return await asyncio.gather(*(ask(engine, f"job_{n}", **request) for n, request in enumerate(requests)))


def threads() -> list[threading.Thread]:
    """The engines' threads that are alive."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("diffusers")]


def test_an_image_has_the_size_and_steps_that_were_asked_for(data_dir: Path) -> None:
    async def scenario() -> Answer:
        async with serving(data_dir) as engine:
            return await ask(engine, size="96X72", steps=5)

    answer = run(scenario())
    image = Image.open(io.BytesIO(answer.pngs[0]))
    assert (image.format, image.size, image.mode) == ("PNG", (96, 72), "RGB")
    assert answer.progress == [
        {"object": "image.progress", "id": "job_1", "step": step, "steps": 5} for step in range(1, 6)
    ]
    assert answer.result["id"] == "job_1"
    assert answer.done == Done(finish_reason="stop", usage=Usage(image_steps=5, images=1))


def test_an_image_follows_from_its_request_alone(data_dir: Path) -> None:
    """The same request gives the same bytes, and every part of it matters."""
    changes: list[dict[str, Any]] = [
        {"seed": 8},
        {"prompt": "a lighthouse at noon"},
        {"negative_prompt": "fog"},
        {"steps": 4},
        {"guidance_scale": 9},
        {"guidance_scale": 1},
    ]

    async def scenario() -> tuple[list[Answer], list[Answer]]:
        async with serving(data_dir) as engine:
            return await ask_all(engine, [{}, {}, {"negative_prompt": ""}]), await ask_all(engine, changes)

    same, others = run(scenario())
    assert same[0].pngs == same[1].pngs == same[2].pngs
    assert len({answer.pngs[0] for answer in [same[0], *others]}) == 1 + len(changes)


def test_without_a_seed_it_is_drawn_from_the_job_and_reported(data_dir: Path) -> None:
    async def scenario() -> tuple[Answer, Answer, Answer]:
        async with serving(data_dir) as engine:
            drawn = await ask(engine, "job_1", seed=None)
            other = await ask(engine, "job_2", seed=None)
            return drawn, other, await ask(engine, "job_3", seed=drawn.seeds[0])

    drawn, other, repeated = run(scenario())
    assert drawn.seeds != other.seeds
    assert drawn.pngs == repeated.pngs


def test_n_images_have_consecutive_seeds_and_one_progress(data_dir: Path) -> None:
    async def scenario() -> tuple[Answer, Answer]:
        async with serving(data_dir) as engine:
            return await ask(engine, n=3, seed=40), await ask(engine, seed=42)

    three, third = run(scenario())
    assert three.seeds == [40, 41, 42]
    assert three.pngs[2] == third.pngs[0]
    assert [chunk["step"] for chunk in three.progress] == [1, 2, 3]
    assert three.done.usage == Usage(image_steps=9, images=3)


def test_the_largest_seed_is_followed_by_zero() -> None:
    specs = parse_request(make_job(body=BODY | {"seed": 2**63 - 1, "n": 2}), model().image_args)
    assert [spec.seed for spec in specs] == [2**63 - 1, 0]


def test_waiting_requests_are_denoised_together_and_each_gets_its_own(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[dict[str, Any]] = [
        {"seed": 1},
        {"seed": 2, "prompt": "a door", "negative_prompt": "red"},
        {"seed": 3},
    ]
    turnstile = Turnstile(monkeypatch, free=0)

    async def scenario() -> tuple[list[Answer], list[Answer]]:
        async with serving(data_dir, batch=3) as engine, asyncio.TaskGroup() as group:
            first = group.create_task(ask(engine))
            await turnstile.wait()
            together = group.create_task(ask_all(engine, requests))
            await asyncio.sleep(0)
            turnstile.open()
            await asyncio.gather(first, together)
            assert turnstile.calls == 3 + 3, "three steps for the first, three for all that waited"
            return together.result(), [await ask(engine, **request) for request in requests]

    together, alone = run(scenario())
    for batched, single in zip(together, alone, strict=True):
        # The order of a batch's sums may tip a rounding: one level of 255, no more.
        assert np.abs(batched.pixels - single.pixels).max() <= 1
    assert np.abs(together[0].pixels - together[2].pixels).mean() > 5


@pytest.mark.parametrize(
    ("batch", "requests", "rounds"),
    [
        (2, [{"seed": 1}, {"seed": 2}, {"seed": 3}], 2),
        (4, [{"size": "64x64"}, {"size": "64x72"}, {"size": "64x64"}], 2),
        (4, [{"guidance_scale": 2}, {"guidance_scale": 3}], 2),
        (4, [{"n": 3}, {}], 1),
    ],
)
def test_a_batch_is_bounded_and_of_one_shape(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, batch: int, requests: list[dict[str, Any]], rounds: int
) -> None:
    turnstile = Turnstile(monkeypatch)

    async def scenario() -> None:
        async with serving(data_dir, batch=batch) as engine:
            await ask_all(engine, requests)

    run(scenario())
    assert turnstile.calls == 3 * rounds


def test_capacity_fills_one_batch_while_another_runs(data_dir: Path) -> None:
    assert DiffusersEngine(model(batch=3), data_dir).capacity == 6


def test_a_cancelled_image_stops_at_the_next_step(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turnstile = Turnstile(monkeypatch, free=2)

    async def scenario() -> None:
        async with serving(data_dir) as engine:
            async with aclosing(engine.generate(make_job(body=BODY | {"steps": 50}))) as stream:
                await anext(stream)
                await turnstile.wait()
            turnstile.open()
            await ask(engine, steps=4)

    run(scenario())
    assert turnstile.calls == 3 + 4, "the third step was being computed, and no other followed it"


def test_a_cancelled_request_that_waits_is_never_started(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turnstile = Turnstile(monkeypatch, free=0)

    async def scenario() -> None:
        async with serving(data_dir) as engine, asyncio.TaskGroup() as group:
            first = group.create_task(ask(engine))
            await turnstile.wait()
            second = group.create_task(ask(engine, steps=50))
            await asyncio.sleep(0)
            second.cancel()
            turnstile.open()
            await first
            await ask(engine)

    run(scenario())
    assert turnstile.calls == 3 + 3


def test_the_others_of_a_batch_go_on(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turnstile = Turnstile(monkeypatch, free=1)

    async def scenario() -> tuple[Answer, Answer]:
        async with serving(data_dir, batch=2) as engine, asyncio.TaskGroup() as group:
            left = group.create_task(ask(engine, seed=1))
            stays = group.create_task(ask(engine, seed=2))
            await turnstile.wait()
            left.cancel()
            turnstile.open()
            return await stays, await ask(engine, seed=2)

    stays, alone = run(scenario())
    assert [chunk["step"] for chunk in stays.progress] == [1, 2, 3]
    assert np.abs(stays.pixels - alone.pixels).max() <= 1


def test_close_fails_open_streams_and_ends_the_thread(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turnstile = Turnstile(monkeypatch, free=1)

    async def scenario() -> list[Any]:
        async with serving(data_dir) as engine:
            streams = [asyncio.create_task(ask(engine, steps=50)) for _ in range(2)]
            await turnstile.wait()
            closing = asyncio.create_task(engine.close())
            failures = await asyncio.gather(*streams, return_exceptions=True)
            turnstile.open()
            await closing
            with pytest.raises(EngineFailed):
                await ask(engine)
            return failures

    assert [type(failure) for failure in run(scenario())] == [EngineFailed, EngineFailed]
    assert turnstile.calls == 2
    assert not threads()


def test_a_failed_batch_fails_its_requests_only(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turnstile = Turnstile(monkeypatch)
    turnstile.error = torch.OutOfMemoryError("no room")

    async def scenario() -> Answer:
        async with serving(data_dir) as engine:
            failing, fine = await asyncio.gather(ask(engine), ask(engine), return_exceptions=True)
            assert type(failing) is EngineFailed
            assert "OutOfMemoryError" in str(failing)
            assert isinstance(fine, Answer)
            return fine

    assert len(run(scenario()).pngs) == 1


def test_a_lost_device_is_the_end_of_the_engine(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turnstile = Turnstile(monkeypatch)
    turnstile.error = torch.AcceleratorError("illegal memory access")

    async def scenario() -> list[Any]:
        async with serving(data_dir) as engine:
            failures = await asyncio.gather(ask(engine), ask(engine), return_exceptions=True)
            with pytest.raises(EngineDied):
                await ask(engine)
            return failures

    assert [type(failure) for failure in run(scenario())] == [EngineDied, EngineDied]


def test_a_stuck_step_is_the_end_of_the_engine(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turnstile = Turnstile(monkeypatch, free=1)
    monkeypatch.setattr(engine_module, "STALL_SECONDS", 2.0)

    async def scenario() -> None:
        async with serving(data_dir) as engine:
            try:
                with pytest.raises(EngineDied):
                    await ask(engine)
                await engine.close()
                assert threads(), "close must not wait for a step that never ends"
            finally:
                turnstile.open()
                for thread in threads():
                    await asyncio.to_thread(thread.join, 30)

    run(scenario())


def test_an_engine_that_is_not_loaded_fails_requests(data_dir: Path) -> None:
    with pytest.raises(EngineFailed):
        run(ask(DiffusersEngine(model(), data_dir)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("prompt", value) for value in (None, "", "  ", 5, ["a"], "a" * 4001)],
        *[("negative_prompt", value) for value in (5, "a" * 4001)],
        *[
            ("size", value)
            for value in (
                64,
                "64",
                "64x",
                "64x68",
                "56x64",
                "64x264",
                "-64x64",
                "64x64x64",
                "64×64",
                " 64x64",
                "064x064",
            )
        ],
        *[("steps", value) for value in (0, 51, 2.5, "3", True)],
        *[("seed", value) for value in (-1, 2**63, 1.5, "7", False)],
        *[("guidance_scale", value) for value in (-0.1, 30.1, "5", True, float("nan"))],
        *[("n", value) for value in (0, 5, "1", True)],
    ],
)
def test_a_bad_request_names_its_field(data_dir: Path, field: str, value: Any) -> None:
    engine = DiffusersEngine(model(), data_dir)
    with pytest.raises(InvalidRequest) as caught:
        run(ask(engine, **{field: value}))
    assert caught.value.param == field
    assert str(caught.value).startswith(f"{field}: ")


def test_null_is_the_default() -> None:
    args = model(guidance_scale=4).image_args
    nulls = dict.fromkeys(["negative_prompt", "size", "steps", "guidance_scale", "n"])
    (spec,) = parse_request(make_job(body={"prompt": "a", "seed": 1} | nulls), args)
    assert spec.negative_prompt is None
    assert spec.shape == (64, 64, 8, 4.0)


def test_weights_that_cannot_be_loaded_are_named(tmp_path: Path) -> None:
    broken = model().model_copy(update={"weights": str(tmp_path)})

    async def scenario() -> None:
        engine = DiffusersEngine(broken, tmp_path)
        try:
            with pytest.raises(SetupError, match=str(tmp_path)):
                await engine.load(lambda share, detail: None)
        finally:
            await engine.close()

    run(scenario())


def test_prompts_are_in_no_log(data_dir: Path) -> None:
    """Not even what is cut off them: CLIP reads 77 tokens."""
    noted: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = noted.append  # type: ignore[method-assign]

    async def scenario() -> Answer:
        async with serving(data_dir) as engine:
            return await ask(engine, prompt="a lighthouse, and " * 100 + "a secret")

    libraries = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    for library in libraries:
        library.addHandler(handler)
    try:
        run(scenario())
    finally:
        for library in libraries:
            library.removeHandler(handler)
    assert [said for record in noted if "lighthouse" in (said := record.getMessage())] == []

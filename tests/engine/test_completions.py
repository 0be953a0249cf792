"""What engines for text keep of completions, beside what test_contract.py says of all their jobs."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from shared.catalog import load_catalog
from shared.errors import ContextLengthExceeded, Interrupted, InvalidRequest
from tests.engine.bench import COMPLETION, Bench, as_chunks, choices, collect, content, finishes, tokens
from tests.engine.leaving import LEAVE, kill_engine_processes, nothing_is_held
from workers.engines.base import EngineDied, Piece

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

STREAMED = COMPLETION | {"stream": True}
PROMPTS = ["one two three four", "red green blue"]
IDS = [504, 2365, 282, 4649, 314]
BAD = [
    ({"prompt": "word " * 3000}, "prompt", "context"),
    ({"prompt": [[1], list(range(2100))]}, "prompt", "context"),
]
BAD_FOR_VLLM = [
    ({"prompt": [10**6]}, "prompt", "vocabulary"),
    ({"stop_token_ids": [10**6]}, "stop_token_ids", "49152"),
    ({"structured_outputs": {"regex": "("}}, "structured_outputs.regex", "Regex parsing error"),
    ({"max_tokens": 2000, "min_tokens": 2001}, "min_tokens", "less than or equal to"),
    ({"prompt": "word " * 900, "echo": True, "logprobs": 20, "n": 2}, "prompt", "at most 780 tokens in all"),
]


@pytest.fixture(scope="module", params=["simulated", None], ids=["simulated", "vllm"])
def bench(request: pytest.FixtureRequest, models_folder: Path) -> Iterator[Bench]:
    bench = Bench(load_catalog().find("smollm2-135m"), request.param, models_folder)
    yield bench
    bench.close()


@pytest.fixture
def vllm(bench: Bench) -> Bench:
    if bench.in_process:
        pytest.skip("vLLM only")
    return bench


def whole(bench: Bench, **fields: Any) -> Any:
    """The one payload of an answer that is not streamed, beside what the engine counted."""
    (piece,), done = bench.answer(bench.job(COMPLETION | fields))
    body = json.loads(piece.payload)
    usage = body["usage"]
    assert usage["completion_tokens"] == done.usage.completion_tokens == len(piece.tokens)
    assert usage["prompt_tokens"] == done.usage.prompt_tokens
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    return body


def texts(body: Any) -> list[str]:
    assert [choice["index"] for choice in body["choices"]] == list(range(len(body["choices"])))
    return [choice["text"] for choice in body["choices"]]


def test_a_stream_counts_every_token(bench: Bench) -> None:
    job = bench.job(STREAMED, stream_options={"include_usage": True})
    pieces, done = bench.answer(job)
    bodies = [json.loads(piece.payload) for piece in pieces]
    assert {(body["id"], body["object"]) for body in bodies} == {(f"cmpl-{job.id}", "text_completion")}
    assert done.usage.completion_tokens == len(tokens(pieces)) == 12
    assert bodies[-1]["usage"]["completion_tokens"] == 12
    assert bodies[-1]["usage"]["prompt_tokens"] == done.usage.prompt_tokens > 0
    assert (finishes(pieces), done.finish_reason) == (["length"], "length")


def test_an_answer_that_is_not_streamed_is_the_same(bench: Bench) -> None:
    streamed, _ = bench.answer(bench.job(STREAMED))
    body = whole(bench)
    assert (body["object"], texts(body)) == ("text_completion", [content(streamed)])
    assert body["choices"][0]["finish_reason"] == "length"


def test_every_prompt_has_its_answers_in_its_place(bench: Bench) -> None:
    alone = [texts(whole(bench, prompt=prompt))[0] for prompt in PROMPTS]
    body = whole(bench, prompt=PROMPTS, n=2)
    assert texts(body) == [alone[0], alone[0], alone[1], alone[1]]
    assert body["usage"]["completion_tokens"] == 48
    counts = [whole(bench, prompt=prompt)["usage"]["prompt_tokens"] for prompt in PROMPTS]
    assert body["usage"]["prompt_tokens"] == sum(counts), "each prompt is counted once"


def test_streamed_answers_are_told_apart_by_their_places(bench: Bench) -> None:
    expected = texts(whole(bench, prompt=PROMPTS, n=2))
    pieces, done = bench.answer(bench.job(STREAMED, prompt=PROMPTS, n=2, stream_options={"include_usage": True}))
    assert [content(pieces, place) for place in range(4)] == expected
    assert finishes(pieces) == ["length"] * 4
    assert done.usage.completion_tokens == len(tokens(pieces)) == 48
    assert json.loads(pieces[-1].payload)["usage"]["prompt_tokens"] == done.usage.prompt_tokens


def test_ids_of_tokens_are_a_prompt(bench: Bench) -> None:
    body = whole(bench, prompt=IDS)
    assert body["usage"]["prompt_tokens"] == len(IDS)
    two = whole(bench, prompt=[IDS, IDS[:3]])
    assert (len(two["choices"]), two["usage"]["prompt_tokens"]) == (2, len(IDS) + 3)
    assert texts(two)[0] == texts(body)[0] != ""


@pytest.mark.parametrize("prompt", [PROMPTS[0], PROMPTS, IDS], ids=["text", "texts", "tokens"])
def test_an_echo_comes_before_its_answer(bench: Bench, prompt: Any) -> None:
    plain, echoed = (whole(bench, prompt=prompt, echo=echo) for echo in (False, True))
    assert echoed["usage"] == plain["usage"]
    assert all(
        long.endswith(short) and long != short for long, short in zip(texts(echoed), texts(plain), strict=True)
    )
    pieces, _ = bench.answer(bench.job(STREAMED, prompt=prompt, echo=True))
    assert [content(pieces, place) for place in range(len(plain["choices"]))] == texts(echoed)


@pytest.mark.parametrize("stream", [True, False])
def test_an_echo_may_come_alone(bench: Bench, stream: bool) -> None:
    pieces, _ = bench.answer(bench.job(COMPLETION | {"echo": True, "max_tokens": 0, "stream": stream}))
    assert content(pieces) == PROMPTS[0]


def test_an_answer_ends_before_a_stop_text(vllm: Bench) -> None:
    (text,) = texts(whole(vllm))
    stop = text.split()[2]
    body = whole(vllm, stop=[stop])
    assert texts(body) == [text[: text.index(stop)]]
    assert (body["choices"][0]["finish_reason"], body["choices"][0]["stop_reason"]) == ("stop", stop)
    pieces, done = vllm.answer(vllm.job(STREAMED, stop=stop))
    assert (content(pieces), done.finish_reason) == (texts(body)[0], "stop")


@pytest.mark.parametrize("echo", [False, True])
def test_probabilities_are_told_of_every_token(vllm: Bench, echo: bool) -> None:
    body = whole(vllm, logprobs=2, echo=echo)
    told = body["choices"][0]["logprobs"]
    assert "".join(told["tokens"]) == texts(body)[0]
    assert len(told["tokens"]) == 12 + (body["usage"]["prompt_tokens"] if echo else 0)
    assert [number for number, value in enumerate(told["token_logprobs"]) if value is None] == (
        [0] if echo else []
    )
    pieces, _ = vllm.answer(vllm.job(STREAMED, logprobs=2, echo=echo))
    streamed = [token for piece in pieces for choice in choices(piece) for token in choice["logprobs"]["tokens"]]
    assert streamed == told["tokens"]


@pytest.mark.parametrize(
    "more",
    [
        {"stream_options": {"include_usage": True}},
        {"echo": True},
        {"prompt": IDS, "return_token_ids": True},
        {"stop": [" city", "known"]},
        {"repetition_penalty": 1.3, "min_tokens": 24},
        {"prompt": "日本語 😀 naïve 日本語 😀 naïve 日本"},
    ],
    ids=["plain", "echo", "tokens", "stop strings", "repetition", "other scripts"],
)
def test_an_answer_goes_on_after_any_chunk(bench: Bench, more: dict[str, Any]) -> None:
    job = bench.job(STREAMED | {"max_tokens": 24} | more)
    said, done = bench.answer(job)
    for cut in {1, 2, 3, len(said) // 2, *range(len(said) - 3, len(said) + 1)}:
        again = replace(job, id=f"{job.id}_{cut}")
        rest, end = bench.run(collect(bench.engine, again, as_chunks(said)[:cut]))
        assert content(rest) == content(said[cut:]), f"from {cut} on"
        assert tokens(rest) == tokens(said[cut:])
        assert finishes(rest) == finishes(said[cut:])
        assert end == done


@pytest.mark.parametrize(
    "more",
    [{"prompt": PROMPTS}, {"n": 2}, {"logprobs": 1}, {"presence_penalty": 1}],
    ids=lambda more: next(iter(more)),
)
def test_what_cannot_go_on_truly_is_interrupted(vllm: Bench, more: dict[str, Any]) -> None:
    job = vllm.job(STREAMED | more)
    said, _ = vllm.answer(job)
    with pytest.raises(Interrupted):
        vllm.run(collect(vllm.engine, replace(job, id=f"{job.id}_again"), as_chunks(said)[:3]))
    vllm.run(nothing_is_held(vllm.engine))


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize("several", [{}, {"prompt": PROMPTS, "n": 2}], ids=["one", "several"])
def test_a_stream_that_is_left_frees_its_slot(bench: Bench, how: str, several: dict[str, Any]) -> None:
    async def leave_all() -> None:
        for number in range(bench.engine.capacity + 1 if bench.in_process else 9):
            job = bench.job(STREAMED | several, max_tokens=1500, ignore_eos=True)
            await LEAVE[how](bench.engine, job, number)
        await (collect(bench.engine, bench.job(STREAMED)) if bench.in_process else nothing_is_held(bench.engine))

    bench.run(leave_all())


def test_chats_and_completions_run_together(bench: Bench) -> None:
    async def together() -> list[tuple[list[Piece], Any]]:
        return await asyncio.gather(
            *(collect(bench.engine, bench.job(body)) for body in (None, STREAMED, None, STREAMED))
        )

    alone = [content(bench.answer(bench.job(body))[0]) for body in (None, STREAMED)]
    assert [content(pieces) for pieces, _ in bench.run(together())] == alone * 2


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("fields", "param", "words"), BAD, ids=["text", "tokens"])
def test_a_prompt_that_is_too_long_is_named(
    bench: Bench, fields: dict[str, Any], param: str, words: str, stream: bool
) -> None:
    with pytest.raises(ContextLengthExceeded) as error:
        bench.answer(bench.job(COMPLETION | fields | {"stream": stream}))
    assert error.value.param == param
    assert words in str(error.value)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("fields", "param", "words"), BAD_FOR_VLLM, ids=lambda value: str(value)[:40])
def test_vllms_refusals_are_in_words_for_clients(
    vllm: Bench, fields: dict[str, Any], param: str, words: str, stream: bool
) -> None:
    with pytest.raises(InvalidRequest) as error:
        vllm.answer(vllm.job(COMPLETION | fields | {"stream": stream}))
    assert error.value.param == param
    assert str(error.value).startswith(f"{param}: ")
    assert words in str(error.value)
    vllm.run(nothing_is_held(vllm.engine))


def test_nothing_hangs_on_an_engine_that_ends(vllm: Bench) -> None:
    """Last of its engine, whose process dies under two prompts, streamed and whole, and before two more."""
    body = COMPLETION | {"prompt": PROMPTS, "max_tokens": 1500, "ignore_eos": True}

    async def end_under_way() -> None:
        engine: Any = vllm.engine
        answers = [asyncio.create_task(collect(engine, vllm.job(body, stream=stream))) for stream in (True, False)]
        async with asyncio.timeout(30):
            while engine._llm.get_num_unfinished_requests() < 4:
                await asyncio.sleep(0.01)
        await kill_engine_processes()
        for answer in [*answers, collect(engine, vllm.job(body, stream=True))]:
            with pytest.raises(EngineDied):
                await answer

    vllm.run(end_under_way())

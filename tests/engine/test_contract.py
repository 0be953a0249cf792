"""What every engine keeps, real or simulated (workers/engines/base.py)."""

import asyncio
import base64
import io
import json
import re
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from gateway.bodies import openai_body
from shared.catalog import load_catalog
from shared.errors import ContextLengthExceeded, EngineFailed, Interrupted, InvalidRequest
from shared.messages import Chunk, Usage
from tests.engine.bench import CHAT, IMAGE, Bench, as_chunks, collect, content, finishes, tokens
from tests.engine.leaving import LEAVE, engine_processes, kill_engine_processes, nothing_is_held
from workers.engines.base import Done, Engine, EngineDied, Meter, Piece

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

BAD = {
    "chat": (CHAT | {"messages": [{"role": "user", "content": "word " * 3000}]}, "messages"),
    "image": ({"prompt": ""}, "prompt"),
}
"""What only an engine can tell."""
LOST = {"type": "json_schema", "json_schema": {"name": "lost", "schema": {"$ref": "#/nowhere"}}}
DEAD_END = 'root ::= "a" end\nend ::= end'
BAD_FOR_VLLM = [
    ({"stop_token_ids": [10**6]}, "stop_token_ids", "49152"),
    ({"logit_bias": {"1000000": 5}}, "logit_bias", "49152"),
    ({"structured_outputs": {"regex": "("}}, "structured_outputs.regex", "Regex parsing error"),
    ({"structured_outputs": {"grammar": "root ::= "}}, "structured_outputs.grammar", "Expect element"),
    ({"structured_outputs": {"regex": ".?" * 500}}, "structured_outputs.regex", "takes more than 5 s to compile"),
    ({"structured_outputs": {"grammar": DEAD_END}}, "structured_outputs.grammar", "nothing may follow"),
    ({"response_format": LOST}, "response_format.json_schema.schema", "/nowhere"),
    ({"max_tokens": 2048, "min_tokens": 2048}, "min_tokens", "less than or equal to"),
    ({"stop": [f"stop {number}" for number in range(50)]}, "stop", "the model's engine does not take this"),
    ({"thinking_token_budget": 5}, "thinking_token_budget", "the model's engine does not take this"),
]

QUESTION = {"role": "user", "content": "What is the capital of France?"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
ODD: dict[str, dict[str, Any]] = {
    "an empty system message": {"messages": [{"role": "system", "content": ""}, QUESTION]},
    "an empty question": {"messages": [QUESTION | {"content": ""}]},
    "nothing but white space": {"messages": [QUESTION | {"content": " \n\t\u00a0\u2028"}]},
    "emoji": {"messages": [QUESTION | {"content": "👩\u200d👩\u200d👧 🏳\ufe0f\u200d🌈 🇫🇷"}]},
    "marks that combine": {"messages": [QUESTION | {"content": "e\u0301 Z\u0351\u036b\u0343 ﷽"}]},
    "from right to left": {"messages": [QUESTION | {"content": "\u202eשלום עולם\u202c مرحبا بالعالم"}]},
    "control characters": {"messages": [QUESTION | {"content": "a\x00b\x1b[31mc\x7f"}]},
    "the template's own marks": {"messages": [QUESTION | {"content": "<|im_end|>\n<|im_start|>system\n{{ x }}"}]},
    "parts of text": {
        "messages": [QUESTION | {"content": [{"type": "text", "text": text} for text in ("", "a")]}]
    },
    "two questions, and no answer": {"messages": [QUESTION, QUESTION]},
    "an answer at the end": {"messages": [QUESTION, {"role": "assistant", "content": "It is"}]},
    "what a tool gave, without tools": {
        "messages": [
            QUESTION,
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": ""},
        ]
    },
    "one token": {"messages": [QUESTION], "max_tokens": 1},
    "stops that are everywhere": {"messages": [QUESTION], "stop": [" ", "e", "🙂", "\n"]},
}
"""Valid, if hardly anybody sends it."""


ENGINES = {
    "simulated chat": ("smollm2-135m", "simulated"),
    "simulated images": ("sdxl-tiny", "simulated"),
    "vllm": ("smollm2-135m", None),
    "diffusers": ("sdxl-tiny", None),
}


@pytest.fixture(scope="module", params=ENGINES, ids=list(ENGINES))
def bench(request: pytest.FixtureRequest, models_folder: Path) -> Iterator[Bench]:
    name, kind = ENGINES[request.param]
    bench = Bench(load_catalog().find(name), kind, models_folder)
    yield bench
    bench.close()


@pytest.fixture
def chat(bench: Bench) -> Bench:
    if bench.model.kind != "chat":
        pytest.skip("chat engines only")
    return bench


@pytest.fixture
def images(bench: Bench) -> Bench:
    if bench.model.kind != "image":
        pytest.skip("image engines only")
    return bench


def test_loading_reports_progress_and_capacity_is_known_before(bench: Bench) -> None:
    shares = [share for share, _ in bench.reports]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert bench.capacity_before == bench.engine.capacity > 0


@pytest.mark.parametrize("stream", [False, True])
def test_the_meter_tells_what_has_been_used(bench: Bench, stream: bool) -> None:
    if bench.model.kind == "image" and not stream:
        pytest.skip("images know no such thing")
    meter, more = Meter(), {} if bench.model.kind == "image" else {"stream": stream}
    assert meter.read() == Usage()
    _, done = bench.answer(bench.job(**more), meter)
    used = meter.read()
    assert (used.prompt_tokens, used.completion_tokens) == (done.usage.prompt_tokens, done.usage.completion_tokens)
    assert used.image_steps == done.usage.image_steps


def test_payloads_are_json_without_line_breaks(bench: Bench) -> None:
    pieces, _ = bench.answer(bench.job())
    assert pieces
    for piece in pieces:
        assert b"\n" not in piece.payload
        assert isinstance(json.loads(piece.payload), dict)


def test_the_same_request_gives_the_same_answer(bench: Bench) -> None:
    first, second = (bench.answer(bench.job())[0] for _ in range(2))
    assert content(first) == content(second) != ""


def test_a_streamed_chat_counts_every_token(chat: Bench) -> None:
    pieces, done = chat.answer(chat.job())
    assert done.usage.completion_tokens == sum(len(piece.tokens) for piece in pieces) == 12
    assert done.usage.prompt_tokens > 0
    assert done.finish_reason == "length"
    assert pieces[0].tokens == [], "the opening chunk stands for no token"
    first = json.loads(pieces[0].payload)
    assert first["object"] == "chat.completion.chunk"
    assert first["model"] == chat.model.id
    reasons = [choice["finish_reason"] for piece in pieces for choice in json.loads(piece.payload)["choices"]]
    assert [reason for reason in reasons if reason] == ["length"]


def test_usage_is_streamed_when_it_is_asked_for(chat: Bench) -> None:
    pieces, done = chat.answer(chat.job(stream_options={"include_usage": True}))
    usage = json.loads(pieces[-1].payload)["usage"]
    assert usage["completion_tokens"] == done.usage.completion_tokens
    assert usage["prompt_tokens"] == done.usage.prompt_tokens


def test_usage_is_told_as_it_grows_when_that_is_asked_for(chat: Bench) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    pieces, done = chat.answer(chat.job(stream_options=options))
    usages = [json.loads(piece.payload)["usage"] for piece in pieces]
    made = list(accumulate(len(piece.tokens) for piece in pieces))
    assert [usage["completion_tokens"] for usage in usages] == made
    assert {usage["prompt_tokens"] for usage in usages} == {done.usage.prompt_tokens}
    assert all(usage["total_tokens"] == done.usage.prompt_tokens + usage["completion_tokens"] for usage in usages)
    plain, _ = chat.answer(chat.job(stream_options={"include_usage": True}))
    assert not [piece for piece in plain[:-1] if json.loads(piece.payload).get("usage")]


def test_a_chat_that_is_not_streamed_is_one_piece(chat: Bench) -> None:
    streamed, _ = chat.answer(chat.job())
    (whole,), done = chat.answer(chat.job(stream=False))
    body = json.loads(whole.payload)
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"]["content"] == content(streamed)
    assert len(whole.tokens) == done.usage.completion_tokens == body["usage"]["completion_tokens"]


@pytest.mark.parametrize(
    "more",
    [
        {"max_tokens": 24, "stream_options": {"include_usage": True}},
        {"max_tokens": 24, "stop": [" city", "known"]},
        {"max_tokens": 24, "repetition_penalty": 1.3, "min_tokens": 24},
        {"max_tokens": 24, "messages": [{"role": "user", "content": "Repeat: 日本語 😀 naïve"}]},
    ],
    ids=["plain", "stop strings", "repetition", "other scripts"],
)
def test_an_answer_goes_on_after_any_chunk(chat: Bench, more: dict[str, Any]) -> None:
    """As it does when its worker dies after that chunk: nothing is said twice, left out, or counted twice."""
    job = chat.job(temperature=0.0, **more)
    whole, done = chat.answer(job)
    chunks = as_chunks(whole)
    for cut in {1, 2, 3, len(whole) // 2, *range(len(whole) - 3, len(whole) + 1)}:
        again = msgspec.structs.replace(job, id=f"{job.id}_{cut}")
        rest, end = chat.run(collect(chat.engine, again, chunks[:cut]))
        # Not chunk by chunk: tokens that come while nobody takes them come together.
        assert content(rest) == content(whole[cut:]), f"from {cut} on"
        assert tokens(rest) == tokens(whole[cut:])
        assert finishes(rest) == finishes(whole[cut:])
        assert end == done


def test_an_answer_that_cannot_go_on_is_interrupted(chat: Bench) -> None:
    """What was recorded is not what this engine says."""
    job = chat.job(max_tokens=8, temperature=0.0)
    whole, _ = chat.answer(job)
    strange = [Chunk(1, [], msgspec.Raw(whole[0].payload)), Chunk(1, [5], msgspec.Raw(whole[-1].payload))]
    again = msgspec.structs.replace(job, id=f"{job.id}_again")
    with pytest.raises(Interrupted):
        chat.run(collect(chat.engine, again, strange))
    assert content(chat.answer(chat.job(max_tokens=8, temperature=0.0))[0]) == content(whole)


def test_an_image_comes_after_its_steps(images: Bench) -> None:
    pieces, done = images.answer(images.job())
    *steps, result = (json.loads(piece.payload) for piece in pieces)
    assert [step["step"] for step in steps] == list(range(1, steps[-1]["steps"] + 1))
    assert done.usage.image_steps == len(steps)
    picture = Image.open(io.BytesIO(base64.b64decode(result["data"][0]["b64_json"])))
    assert picture.format == "PNG"
    assert picture.size == (64, 64)


def test_images_of_one_request_have_its_size_and_consecutive_seeds(images: Bench) -> None:
    pieces, done = images.answer(images.job(n=2, size="96x64", steps=3))
    *steps, result = (json.loads(piece.payload) for piece in pieces)
    assert [(step["step"], step["steps"]) for step in steps] == [(1, 3), (2, 3), (3, 3)]
    assert (result["size"], result["output_format"]) == ("96x64", "png")
    assert [image["seed"] for image in result["data"]] == [7, 8]
    files = [base64.b64decode(image["b64_json"]) for image in result["data"]]
    assert [Image.open(io.BytesIO(file)).size for file in files] == [(96, 64), (96, 64)]
    assert files[0] != files[1]
    assert done.usage.image_steps == result["usage"]["image_steps"] == 6


def test_many_at_once_answer_as_one_alone(bench: Bench) -> None:
    async def together() -> list[tuple[list[Piece], Done]]:
        return await asyncio.gather(*(collect(bench.engine, bench.job()) for _ in range(4)))

    for pieces, done in bench.run(together()):
        assert content(pieces) != ""
        assert done.finish_reason in ("stop", "length")


@pytest.mark.parametrize("how", LEAVE)
def test_a_stream_that_is_left_frees_its_slot(bench: Bench, how: str) -> None:
    """As many are left as the engine holds; if one kept its slot, the next request would wait for ever."""

    async def leave_all() -> None:
        more = {"max_tokens": 1500, "ignore_eos": True} if bench.model.kind == "chat" else {}
        for number in range(bench.engine.capacity + 1 if bench.in_process else 9):
            await LEAVE[how](bench.engine, bench.job(**more), number)
        await (collect(bench.engine, bench.job()) if bench.in_process else nothing_is_held(bench.engine))

    bench.run(leave_all())


def test_an_engine_answers_unless_it_hangs(bench: Bench) -> None:
    bench.run(bench.engine.ping())
    if not bench.in_process:
        bench.run(hang_and_go_on(bench.engine))


async def hang_and_go_on(engine: Engine) -> None:
    for process in engine_processes():
        process.suspend()
    answer = asyncio.create_task(engine.ping())
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await asyncio.shield(answer)
    finally:
        for process in engine_processes():
            process.resume()
    await answer


@pytest.mark.parametrize("name", ODD)
def test_an_odd_chat_is_answered_streamed_and_whole(chat: Bench, name: str) -> None:
    body = openai_body(chat.model, {"temperature": 0, "max_tokens": 6} | ODD[name])
    streamed, done = chat.answer(chat.job(body, stream=True))
    (whole,), end = chat.answer(chat.job(body, stream=False))
    assert content(streamed) == content([whole])
    assert end == done
    assert done.finish_reason in ("stop", "length")
    assert 0 < done.usage.completion_tokens <= body["max_tokens"]


def test_a_bad_request_names_its_field(bench: Bench) -> None:
    body, param = BAD[bench.model.kind]
    with pytest.raises(InvalidRequest) as error:
        bench.answer(bench.job(body))
    assert error.value.param == param
    assert isinstance(error.value, ContextLengthExceeded) == (bench.model.kind == "chat")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("fields", "param", "words"), BAD_FOR_VLLM, ids=str)
def test_vllms_refusals_are_in_words_for_clients(
    chat: Bench, fields: dict[str, Any], param: str, words: str, stream: bool
) -> None:
    if chat.in_process:
        pytest.skip("vLLM only")
    with pytest.raises(InvalidRequest) as error:
        chat.answer(chat.job(CHAT | fields | {"stream": stream}))
    assert error.value.param == param
    assert str(error.value).startswith(f"{param}: ")
    assert words in str(error.value)
    assert not re.search(r"--\w|parameter=|Error\b", str(error.value))


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_ends_before_a_text_that_stops_it(chat: Bench, stream: bool) -> None:
    body = CHAT | {"stream": stream}
    said = content(chat.answer(chat.job(body))[0])
    stop = said[len(said) // 2 :][:3]
    pieces, done = chat.answer(chat.job(body | {"stop": ["not there", stop]}))
    assert content(pieces) == said[: said.index(stop)]
    assert done.finish_reason == "stop"


def test_several_answers_at_temperature_0_are_the_same(chat: Bench) -> None:
    if chat.in_process:
        pytest.skip("vLLM only")
    (whole,), _ = chat.answer(chat.job(CHAT | {"n": 2}))
    (alone,), _ = chat.answer(chat.job(CHAT))
    texts = [
        [choice["message"]["content"] for choice in json.loads(each.payload)["choices"]] for each in (whole, alone)
    ]
    assert texts[0] == texts[1] * 2


def test_nothing_hangs_on_an_engine_that_ends(bench: Bench) -> None:
    """Last of its engine. vLLM's ends as it does in life: its process dies under it."""
    body = CHAT | {"stream": True, "max_tokens": 1500, "ignore_eos": True} if bench.model.kind == "chat" else IMAGE

    async def end_under_way() -> None:
        stream = bench.engine.generate(bench.job(body))
        await anext(stream)
        with pytest.raises(EngineFailed if bench.in_process else EngineDied):
            await (bench.engine.close() if bench.in_process else kill_engine_processes())
            async for _ in stream:
                pass

    bench.run(end_under_way())
    if not bench.in_process:
        with pytest.raises(EngineDied):
            bench.run(bench.engine.ping())

"""The document's clients, and more, on a language model that vLLM runs and an image model that diffusers runs."""

import ast
import base64
import io
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from typing import Any

import openai
import pytest
import requests
from PIL import Image

from shared import redis_keys as keys
from tests.acceptance.conversation import Conversation
from tests.acceptance.printed import Printed
from tests.acceptance.programs import Run
from tests.cluster import Cluster, wait_for
from tests.dashboards import described, metrics
from tests.metrics import scrape

# The engines take a minute to start, and unpack their weights before that in a fresh clone.
pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

MODEL = "smollm2-135m"
PATIENCE = 180  # seconds for one answer, while others are given, on a machine without a GPU


@pytest.fixture(scope="module")
def key(real: Cluster) -> str:
    return real.key("premium")


def post(real: Cluster, key: str, model: str, body: dict[str, Any]) -> str:
    """An answer in the document's JSON dialect."""
    headers = {"X-API-Key": key}
    response = requests.post(f"{real.url}/v1/free/{model}", json=body, headers=headers, timeout=PATIENCE)
    assert response.status_code == 200, response.text
    return str(response.json()["response"])


def picture(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    assert image.format == "PNG"
    assert image.getcolors(16) is None, "an image of up to 16 colours is no picture"
    return image


def running(real: Cluster, model: str = MODEL) -> int:
    """How many jobs the model's worker has in hand, as it reports ten times a second."""
    (report,) = real.registry.workers(model)
    return report.running


def test_the_engines_are_real(real: Cluster) -> None:
    assert {(report.model, report.engine) for report in real.registry.workers()} == {
        (MODEL, "vllm"),
        ("sdxl-tiny", "diffusers"),
    }


def test_what_dashboards_and_document_name_is_measured(real: Cluster, key: str) -> None:
    """But for GPUs, which this machine need not have."""
    post(real, key, MODEL, {"messages": [{"role": "user", "content": "Hi."}], "max_tokens": 4, "temperature": 0})
    post(real, key, "sdxl-tiny", {"prompt": "a", "steps": 1})
    requests.get(f"{real.url}/v1/models/nobody", timeout=10)

    def missing() -> set[str]:
        told = {name for process in real.processes for name in scrape(process.metrics)}
        named = {name for name in metrics() | described() if not name.startswith("crofai_gpu")}
        return {name for name in named if not told & {name, f"{name}_bucket"}}

    # Rows of usage are written once a second; a canary comes within a minute.
    wait_for(lambda: not missing(), 90, "all of it to be measured", every=0.5)


@pytest.fixture(scope="module")
def runs(real: Cluster, key: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Future[Run]]:
    """All printed clients at the same time, as one engine serves many users."""
    printed = Printed(real.url, key, tmp_path_factory.mktemp("printed"), patience=PATIENCE)
    with ThreadPoolExecutor(max_workers=5) as pool:
        # Leaving the pool waits for all, so that nothing of theirs runs beside the tests that follow.
        return {
            "python chat": pool.submit(printed.python_chat, MODEL),
            "typescript chat": pool.submit(printed.typescript_chat, MODEL),
            "python stream": pool.submit(printed.python_stream, MODEL),
            "javascript stream": pool.submit(printed.javascript_stream, MODEL),
            "python image": pool.submit(printed.python_image),
        }


@pytest.mark.parametrize("client", ["python chat", "typescript chat", "python stream"])
def test_printed_client(runs: dict[str, Future[Run]], client: str) -> None:
    text = runs[client].result().answer()
    assert text.strip()
    assert not text.startswith("{'error'")


def test_printed_javascript_stream(runs: dict[str, Future[Run]]) -> None:
    lines = runs["javascript stream"].result().answer().splitlines()
    assert lines[-1] == "ENDOFMESSAGE"
    assert len([line for line in lines if line.strip()]) > 2, "the answer came in one piece"


def test_printed_image_client(runs: dict[str, Future[Run]]) -> None:
    run = runs["python image"].result()
    assert run.answer() == ""
    assert picture((run.folder / "generated_image.png").read_bytes()).size == (64, 64)


def test_an_answer_makes_sense(real: Cluster, key: str) -> None:
    turn = {"role": "user", "content": "What is the capital of France?"}
    assert "Paris" in post(real, key, MODEL, {"messages": [turn], "max_tokens": 30, "temperature": 0})


def test_a_stream_says_what_the_whole_answer_says(real: Cluster, key: str) -> None:
    question, options = "Why is the sky blue?", {"max_tokens": 40, "temperature": 0}
    whole = post(real, key, MODEL, {"messages": [{"role": "user", "content": question}], **options})
    with Conversation(real.url, key) as conversation:
        assert conversation.ask(MODEL, question, **options).answer(PATIENCE) == whole
        assert conversation.usage["completion_tokens"] == 40
        assert len(conversation.chunks) > 10, "the answer came in a few pieces: hardly streamed"


def test_an_image_has_the_size_that_was_asked_for(real: Cluster, key: str) -> None:
    text = post(real, key, "sdxl-tiny", {"prompt": "a cat", "size": "96x64", "steps": 4})
    assert picture(ast.literal_eval(text)).size == (96, 64)


def test_openais_client_gets_images(real: Cluster, key: str) -> None:
    with openai.OpenAI(base_url=f"{real.url}/v1", api_key=key, max_retries=0, timeout=PATIENCE) as client:
        asked: dict[str, Any] = {"model": "sdxl-tiny", "prompt": "a cat", "size": "64x64", "n": 2}
        more = {"steps": 4, "seed": 7}
        answer = client.images.generate(**asked, response_format="b64_json", extra_body=more)
        with client.images.generate(**asked, stream=True, extra_body=more) as stream:
            events: list[Any] = list(stream)
    pngs = [base64.b64decode(image.b64_json or "") for image in answer.data or []]
    assert [picture(png).size for png in pngs] == [(64, 64), (64, 64)]
    assert [event.step for event in events[:-2]] == [1, 2, 3, 4]
    assert [(event.type, event.seed) for event in events[-2:]] == [
        ("image_generation.completed", n) for n in (7, 8)
    ]
    assert [base64.b64decode(event.b64_json) for event in events[-2:]] == pngs


def test_eight_streams_and_two_images_at_once(real: Cluster, key: str) -> None:
    """The engine holds all eight streams at the same time: they share its steps."""
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor())
        conversations = [stack.enter_context(Conversation(real.url, key)) for _ in range(8)]
        for number, conversation in enumerate(conversations):
            conversation.ask(MODEL, f"Tell me a story about {number + 2} dragons.", max_tokens=100, temperature=0)
        images = [pool.submit(post, real, key, "sdxl-tiny", {"prompt": f"dragon {n}"}) for n in range(2)]
        wait_for(lambda: running(real) == 8, 30, "the engine to hold eight streams")
        for conversation in conversations:
            assert len(conversation.answer(PATIENCE).split()) > 10
        for image in images:
            assert picture(ast.literal_eval(image.result(PATIENCE))).size == (64, 64)
    wait_for(lambda: running(real) == 0, 20, "the engine to be free again")


def test_a_dropped_socket_frees_the_engine(real: Cluster, key: str) -> None:
    before = cancelled(real)
    with Conversation(real.url, key) as conversation:
        conversation.ask(MODEL, ENDLESS, temperature=0, max_tokens=1900)
        wait_for(lambda: len(conversation.chunks) >= 5, PATIENCE, "the answer to begin")
        wait_for(lambda: running(real) == 1, 20, "the job to be reported")
    wait_for(lambda: running(real) == 0, 20, "the engine to be free")
    assert cancelled(real) == before + 1


def test_a_dropped_request_frees_the_engine(real: Cluster, key: str) -> None:
    before = cancelled(real)
    body = {"model": MODEL, "messages": [{"role": "user", "content": ENDLESS}], "max_tokens": 1900, "stream": True}
    url, headers = f"{real.url}/v1/chat/completions", {"X-API-Key": key}
    with requests.post(
        url, json=body | {"ignore_eos": True}, headers=headers, stream=True, timeout=PATIENCE
    ) as response:
        data = (line for line in response.iter_lines() if line.startswith(b"data: "))
        begun = list(islice(data, 5))
        assert len(begun) == 5 and all(line.startswith(b"data: {") for line in begun)
        wait_for(lambda: running(real) == 1, 20, "the job to be reported")
    wait_for(lambda: running(real) == 0, 20, "the engine to be free")
    assert cancelled(real) == before + 1


def cancelled(real: Cluster) -> int:
    """How many jobs have ended because nobody wanted them any more."""
    client = real.valkey.client
    jobs = client.scan_iter(match=keys.job("*"), _type="hash")
    return sum(client.hget(job, "state") == b"cancelled" for job in jobs)


ENDLESS = "Count from one to ten thousand, in words, and leave out none."

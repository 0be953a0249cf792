"""A simulated OpenAI engine behind a real HTTP server, for those that need one: `python -m bench.peers.engine`.

Starlette and uvicorn, with uvloop and httptools: the fastest usual way to send events from Python. Its pace is
that of the simulated engine of workers (workers/engines/simulated.py), step by step.
"""

import argparse
import json
from collections.abc import AsyncIterator, Iterator
from itertools import cycle, islice
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from workers.engines.simulated import WORDS, Steps

HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def application(pace: float) -> Starlette:
    """Answers of `max_tokens` words, so many a second."""
    steps = Steps(1 / pace)

    async def chat(request: Request) -> Response:
        body = await request.json()
        words = islice(cycle(WORDS), body["max_tokens"])
        if body.get("stream"):
            return StreamingResponse(_events(steps, words), media_type="text/event-stream")
        said = []
        for word in words:
            await steps.next()
            said.append(word)
        return JSONResponse(_whole(said))

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "m", "object": "model"}]})

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"]), Route("/v1/models", models)])


async def _events(steps: Steps, words: Iterator[str]) -> AsyncIterator[str]:
    yield _event({"role": "assistant", "content": ""})
    for word in words:
        await steps.next()
        yield _event({"content": f" {word}"})
    yield _event({}, "length")
    yield "data: [DONE]\n\n"


def _event(delta: dict[str, str], finish: str | None = None) -> str:
    chunk = HEAD | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}
    return f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n"


def _whole(said: list[str]) -> dict[str, Any]:
    message = {"role": "assistant", "content": " ".join(said)}
    usage = {"prompt_tokens": 6, "completion_tokens": len(said), "total_tokens": 6 + len(said)}
    choices = [{"index": 0, "message": message, "logprobs": None, "finish_reason": "length"}]
    return HEAD | {"object": "chat.completion", "choices": choices, "usage": usage}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pace", type=float, default=50, help="tokens per second of a stream")
    args = parser.parse_args()
    app = application(args.pace)
    uvicorn.run(app, host="127.0.0.1", port=args.port, log_level="warning", access_log=False, backlog=4096)


if __name__ == "__main__":
    main()

"""Does the queue cost the engine its batching?  `make bench-batching`

The same prompts, the same weights and arguments, in turn: vLLM's AsyncLLM driven in this process, and the whole
cluster (HTTP client, gateway, queue, worker with its vLLM, job log, relay); with `--peers` also vLLM's own server,
and LiteLLM's proxy before it. All are loaded all the time and run in alternate rounds, so that a busy minute of
the machine hurts all; the engines whose turn it is not are suspended, because an idle one spins for a while on the
cores that all are bound to. Prints medians, and their ratios to the engine in this process.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.machine import save
from bench.peers.contenders import litellm
from shared.catalog import Model, load_catalog
from tests.cluster import ROOT, cluster
from tests.parity.server import vllm_server

MODEL = "smollm2-135m"
ENGINE = "in-process"  # the engine alone, which all are held against
TTFT = ("ttft_batched_ms", "ttft_alone_ms")
SUBJECTS = """
queues rivers bread glaciers compilers bees tides violins maps moss lighthouses salt comets weaving ferries owls
""".split()


@dataclass(frozen=True)
class Answer:
    """One stream: seconds to the first token and to the last, and how many tokens."""

    ttft: float
    seconds: float
    tokens: int


@dataclass(frozen=True)
class Round:
    """All streams of one round together."""

    tokens_per_second: float
    ttft: list[float]


Ask = Callable[[str, int], Awaitable[Answer]]


@dataclass(frozen=True)
class Contender:
    """How to ask it, and the processes of its engine."""

    ask: Ask
    engine: list[psutil.Process]

    def wake(self) -> None:
        for process in self.engine:
            process.resume()

    @contextmanager
    def turn(self) -> Iterator[Ask]:
        """Its engine runs; outside its turn it is suspended."""
        self.wake()
        yield self.ask
        for process in self.engine:
            process.suspend()


async def measure(contenders: dict[str, Contender], args: argparse.Namespace) -> dict[str, Any]:
    batched: dict[str, list[Round]] = {name: [] for name in contenders}
    alone: dict[str, list[float]] = {name: [] for name in contenders}
    for contender in contenders.values():
        with contender.turn() as ask:
            await run_round(ask, args.streams, 16)
    for number in range(args.rounds):
        for name, contender in contenders.items():
            with contender.turn() as ask:
                batched[name].append(await run_round(ask, args.streams, args.tokens))
            speed = batched[name][-1].tokens_per_second
            print(f"round {number + 1}: {name:11} {speed:7.1f} tok/s", file=sys.stderr)
    for _ in range(args.singles):
        for name, contender in contenders.items():
            with contender.turn() as ask:
                alone[name].append((await ask(_prompt(0), 4)).ttft)
    for contender in contenders.values():
        contender.wake()
    return {"batched": {n: [asdict(r) for r in rounds] for n, rounds in batched.items()}, "alone": alone}


async def run_round(ask: Ask, streams: int, tokens: int) -> Round:
    start = time.perf_counter()
    answers = await asyncio.gather(*(ask(_prompt(number), tokens) for number in range(streams)))
    seconds = time.perf_counter() - start
    return Round(sum(a.tokens for a in answers) / seconds, [a.ttft for a in answers])


def in_process(llm: Any) -> Ask:
    """AsyncLLM with the model's chat template, and nothing else around it."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    tokenizer = llm.get_tokenizer() if not hasattr(llm, "tokenizer") else llm.tokenizer
    numbers = iter(range(10**9))

    async def ask(prompt: str, tokens: int) -> Answer:
        conversation = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(conversation, add_generation_prompt=True, tokenize=False)
        params = SamplingParams(
            temperature=0, max_tokens=tokens, ignore_eos=True, output_kind=RequestOutputKind.DELTA
        )

        async def pieces() -> AsyncIterator[int]:
            async for output in llm.generate(text, params, f"bench-{next(numbers)}"):
                yield len(output.outputs[0].token_ids)

        return await _timed(pieces())

    return ask


def over_http(client: httpx.AsyncClient, url: str, key: str, model: str) -> Ask:
    """A streamed chat completion, as a client of the public API gets it."""

    async def ask(prompt: str, tokens: int) -> Answer:
        body = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": tokens,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

        async def pieces() -> AsyncIterator[int]:
            headers = {"Authorization": f"Bearer {key}"}
            async with client.stream("POST", f"{url}/v1/chat/completions", json=body, headers=headers) as response:
                response.raise_for_status()
                async for line in response.aiter_lines():
                    if line.startswith("data: {"):
                        yield _tokens_in(json.loads(line[6:]))

        return await _timed(pieces())

    return ask


def _tokens_in(chunk: dict[str, Any]) -> int:
    """Every stream's tokens are counted once, from the usage at its end; content marks time."""
    if "error" in chunk:
        raise RuntimeError(chunk["error"])
    return int(chunk["usage"]["completion_tokens"]) if chunk.get("usage") else 0


async def _timed(pieces: AsyncIterator[int]) -> Answer:
    start = time.perf_counter()
    first, tokens = 0.0, 0
    async for count in pieces:
        first = first or time.perf_counter() - start
        tokens += count
    return Answer(first, time.perf_counter() - start, tokens)


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """Medians and ratios, by contender, of what `measure` brings."""
    batched = result["batched"]
    engine = batched[ENGINE]
    found = {}
    for name, rounds in batched.items():
        # Rounds are paired: each ratio compares two that ran one after the other.
        pairs = zip(rounds, engine, strict=True)
        ratios = [mine["tokens_per_second"] / alone["tokens_per_second"] for mine, alone in pairs]
        found[name] = {
            "tokens_per_second": statistics.median(each["tokens_per_second"] for each in rounds),
            "ratio": statistics.median(ratios),
            "ratio_range": [min(ratios), max(ratios)],
            "ttft_batched_ms": _percentiles([time for each in rounds for time in each["ttft"]]),
            "ttft_alone_ms": _percentiles(result["alone"][name]),
        }
    return found


def _percentiles(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {"p50": round(cuts[49] * 1000, 1), "p99": round(cuts[98] * 1000, 1)}


def show(figures: dict[str, Any], args: argparse.Namespace) -> None:
    print(f"{args.streams} streams x {args.tokens} tokens, {MODEL}, {args.rounds} rounds in turn")
    print("              tok/s   ratio (rounds)           TTFT, all at once: p50, p99   TTFT, one alone: p50, p99")
    for name, found in figures.items():
        low, high = found["ratio_range"]
        batched, alone = ([found[which][point] for point in ("p50", "p99")] for which in TTFT)
        print(
            f"  {name:10}{found['tokens_per_second']:7.1f}   {found['ratio']:.3f} ({low:.3f} to {high:.3f})"
            f"   {batched[0]:11.1f} ms {batched[1]:9.1f} ms   {alone[0]:9.1f} ms {alone[1]:9.1f} ms"
        )


def _prompt(number: int) -> str:
    return f"Tell me a long story about {SUBJECTS[number % len(SUBJECTS)]}, part {number // len(SUBJECTS) + 1}."


def _engine_processes(known: set[int]) -> list[psutil.Process]:
    """vLLM's processes that have come since among the descendants of this one; from now on they are known."""
    found = [each for each in psutil.Process().children(recursive=True) if each.name().startswith("VLLM")]
    new = [each for each in found if each.pid not in known]
    known.update(each.pid for each in new)
    return new


def start_engine(model: Model, weights: str, streams: int) -> Any:
    """vLLM's AsyncLLM in this process, with the arguments that a worker would give it."""
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    from workers.engines.vllm import parse_engine_args, set_environment

    set_environment()
    return AsyncLLM.from_engine_args(AsyncEngineArgs.from_cli_args(parse_engine_args(model, weights, streams)))


def _engine(model: Model) -> Any:
    from workers.weights import locate

    return start_engine(model, locate(model, ROOT / "data", lambda share, detail: None), 64)


async def _main(args: argparse.Namespace) -> dict[str, Any]:
    model = load_catalog().find(MODEL)
    known: set[int] = set()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        limits = httpx.Limits(max_connections=256)
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=300, limits=limits))
        running = stack.enter_context(cluster(folder))
        running.share_weights()
        running.start_gateway()
        running.start_worker(MODEL, engine=None, timeout=300)
        found = {
            "cluster": Contender(over_http(client, running.url, running.key(), MODEL), _engine_processes(known))
        }
        if args.peers:
            server = stack.enter_context(vllm_server(model, folder, folder / "vllm.log"))
            engine = _engine_processes(known)
            found["server"] = Contender(over_http(client, server.url, "none", MODEL), engine)
            proxy = stack.enter_context(litellm(folder, server.url, MODEL))
            found["litellm"] = Contender(over_http(client, proxy.url, proxy.key, MODEL), engine)
        llm = _engine(model)
        stack.callback(llm.shutdown)
        return await measure({ENGINE: Contender(in_process(llm), _engine_processes(known))} | found, args)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--peers", action="store_true", help="vLLM's own server and LiteLLM's proxy, too")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--singles", type=int, default=50)
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "batching.json")
    args = parser.parse_args()
    result = asyncio.run(_main(args))
    figures = summary(result)
    show(figures, args)
    args.out.parent.mkdir(exist_ok=True)
    save(args.out, figures, rounds=result["batched"])


if __name__ == "__main__":
    main()

"""Does the queue cost the engine its batching?  `make bench-batching`

The same prompts, the same weights and arguments, in turn: vLLM's AsyncLLM driven in this process, and the whole
cluster (HTTP client, gateway, queue, worker with its vLLM, job log, relay). Both are loaded all the time and run
in alternate rounds, so that a busy minute of the machine hurts both; the engine whose turn it is not is suspended,
because an idle one spins for a while on the core that both are bound to. Prints medians and their ratio.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.machine import save
from shared.catalog import Model, load_catalog
from tests.cluster import ROOT, Cluster, cluster

MODEL = "smollm2-135m"
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


async def measure(running: Cluster, llm: Any, args: argparse.Namespace) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=300, limits=httpx.Limits(max_connections=256)) as client:
        workers = {child.pid for process in running.processes for child in _engine_processes(process.pid)}
        contenders = {
            "in-process": Contender(in_process(llm), [p for p in _engine_processes() if p.pid not in workers]),
            "cluster": Contender(
                over_http(client, running.url, running.key()), [psutil.Process(pid) for pid in workers]
            ),
        }
        batched: dict[str, list[Round]] = {name: [] for name in contenders}
        alone: dict[str, list[float]] = {name: [] for name in contenders}
        for contender in contenders.values():
            with contender.turn() as ask:
                await run_round(ask, args.streams, 16)
        for number in range(args.rounds):
            for name, contender in contenders.items():
                with contender.turn() as ask:
                    batched[name].append(await run_round(ask, args.streams, args.tokens))
                print(
                    f"round {number + 1}: {name:11} {batched[name][-1].tokens_per_second:7.1f} tok/s",
                    file=sys.stderr,
                )
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


def over_http(client: httpx.AsyncClient, url: str, key: str) -> Ask:
    """A streamed chat completion, as a client of the public API gets it."""

    async def ask(prompt: str, tokens: int) -> Answer:
        body = {
            "model": MODEL,
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
    """Medians and ratios of what `measure` brings."""
    batched = result["batched"]
    speed = {name: statistics.median(r["tokens_per_second"] for r in rounds) for name, rounds in batched.items()}
    # Rounds are paired: each ratio compares two that ran one after the other.
    pairs = zip(batched["cluster"], batched["in-process"], strict=True)
    ratios = [c["tokens_per_second"] / e["tokens_per_second"] for c, e in pairs]
    ttft = {name: [t for r in rounds for t in r["ttft"]] for name, rounds in batched.items()}
    return {
        "tokens_per_second": speed,
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "ttft_batched_ms": {name: _percentiles(values) for name, values in ttft.items()},
        "ttft_alone_ms": {name: _percentiles(values) for name, values in result["alone"].items()},
    }


def _percentiles(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {"p50": round(cuts[49] * 1000, 1), "p99": round(cuts[98] * 1000, 1)}


def show(figures: dict[str, Any], args: argparse.Namespace) -> None:
    speed, batched, alone = figures["tokens_per_second"], figures["ttft_batched_ms"], figures["ttft_alone_ms"]
    low, high = figures["ratio_range"]
    print(f"{args.streams} streams x {args.tokens} tokens, {MODEL}, {args.rounds} rounds in turn")
    print(f"  in-process {speed['in-process']:7.1f} tok/s")
    print(f"  cluster    {speed['cluster']:7.1f} tok/s")
    print(f"  ratio      {figures['ratio']:7.3f}         (rounds: {low:.3f} to {high:.3f})")
    for title, ttft in ((f"TTFT, {args.streams} at once", batched), ("TTFT, one alone", alone)):
        for point in ("p50", "p99"):
            engine, whole = ttft["in-process"][point], ttft["cluster"][point]
            print(f"  {title}, {point}: {engine:7.1f} ms -> {whole:7.1f} ms, added {whole - engine:+.1f} ms")


def _prompt(number: int) -> str:
    return f"Tell me a long story about {SUBJECTS[number % len(SUBJECTS)]}, part {number // len(SUBJECTS) + 1}."


def _engine_processes(pid: int | None = None) -> list[psutil.Process]:
    """vLLM's processes among the descendants of a process, by default this one."""
    return [p for p in psutil.Process(pid).children(recursive=True) if p.name().startswith("VLLM")]


def _engine(model: Model) -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    from workers.engines.vllm import parse_engine_args, set_environment
    from workers.weights import locate

    weights = locate(model, ROOT / "data", lambda share, detail: None)
    set_environment()
    return AsyncLLM.from_engine_args(AsyncEngineArgs.from_cli_args(parse_engine_args(model, weights, 64)))


async def _main(args: argparse.Namespace) -> dict[str, Any]:
    model = load_catalog().find(MODEL)
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder)) as running:
        running.share_weights()
        running.start_gateway()
        running.start_worker(MODEL, engine=None, timeout=300)
        llm = _engine(model)
        try:
            return await measure(running, llm, args)
        finally:
            llm.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=16)
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

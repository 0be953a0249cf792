"""Beside hop 5: cancellation. Listens for ids of jobs to stop, and looks at the marks it may have missed."""

import asyncio
from typing import Any

import redis.asyncio

from shared import redis_keys as keys
from workers.outbox import patiently
from workers.runner import Runner

CHECK_INTERVAL = 5.0


class Control:
    """Watches one model's control channel."""

    def __init__(self, client: "redis.asyncio.Redis", model: str, runner: Runner) -> None:
        self._redis = client
        self._channel = keys.control_channel(model)
        self._runner = runner

    async def watch(self) -> None:
        """Watch until cancelled, through any number of lost connections."""
        while True:
            await patiently(self._listen)

    async def _listen(self) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(self._channel)
            checked = 0.0
            while True:
                message = await pubsub.get_message(timeout=CHECK_INTERVAL)
                if message and message["type"] == "message":
                    self._runner.cancel(message["data"].decode())
                elif asyncio.get_running_loop().time() - checked >= CHECK_INTERVAL:
                    await self._check_marks()
                    checked = asyncio.get_running_loop().time()

    async def _check_marks(self) -> None:
        """Pub/sub drops messages nobody hears; the mark in the job's record stays."""
        running = self._runner.running
        async with self._redis.pipeline(transaction=False) as pipe:
            for job_id in running:
                pipe.hexists(keys.job(job_id), "cancelled")
            marks: list[Any] = await pipe.execute() if running else []
        for job_id, marked in zip(running, marks, strict=True):
            if marked:
                self._runner.cancel(job_id)

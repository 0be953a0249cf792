"""OpenAI's events of an image job."""

import json

import msgspec

from gateway import image_events
from shared.errors import EngineFailed
from shared.messages import Chunk
from tests.factories import last

PICTURES = [{"b64_json": "AA==", "seed": 5}, {"b64_json": "AQ==", "seed": 6}]
STEP = {"object": "image.progress", "id": "job_1", "step": 2, "steps": 3}
RESULT = {"object": "image.result", "created": 9, "size": "8x8", "usage": {"image_steps": 6}, "data": PICTURES}


def chunk(payload: dict[str, object]) -> Chunk:
    return Chunk(1, [], msgspec.Raw(msgspec.json.encode(payload)))


def test_each_image_has_an_event_and_the_last_has_the_number() -> None:
    chunks = [chunk(STEP), chunk(RESULT), last(1)]
    step, one, two = image_events.events(chunks, 9).decode().strip().split("\n\n")
    progress = '{"type":"image_generation.progress","step":2,"steps":3}'
    assert step == f"id: 7\nevent: image_generation.progress\ndata: {progress}"
    assert one.startswith("event: image_generation.completed\ndata: {")
    assert two.startswith("id: 8\nevent: image_generation.completed\ndata: {")
    assert json.loads(one.split("data: ")[1]) == {
        "type": "image_generation.completed",
        **PICTURES[0],
        "created_at": 9,
        "size": "8x8",
        "quality": "auto",
        "background": "opaque",
        "output_format": "png",
        "usage": {"image_steps": 3},
    }


def test_without_a_number_events_have_none() -> None:
    assert b"id:" not in image_events.events([chunk(STEP), chunk(RESULT), last(1)])


def test_the_end_alone_is_nothing() -> None:
    assert image_events.events([last(1)], 3) == b""


def test_a_failure_is_an_error_event() -> None:
    told = image_events.failure(EngineFailed("no")).decode()
    assert told.startswith("event: error\ndata: ")
    assert json.loads(told.split("data: ")[1])["error"]["code"] == "engine_failed"

"""What clients may send, and how it becomes an OpenAI-shaped body. Hop 1, for all dialects."""

from gateway.bodies.dialects import completion_body, openai_body, seed_body, socket_body
from gateway.bodies.images import openai_image_body
from gateway.bodies.messages import messages_body
from gateway.bodies.objects import model_name, parse_json

__all__ = [
    "completion_body",
    "messages_body",
    "model_name",
    "openai_body",
    "openai_image_body",
    "parse_json",
    "seed_body",
    "socket_body",
]

"""The API's description, as OpenAPI 3.1 has it: made of the shapes that requests are held against."""

from gateway.openapi.document import document

__all__ = ["document"]

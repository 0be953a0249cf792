"""Hop 5: engines, by the catalogue's names. Each is imported only when it is wanted: they are large."""

from pathlib import Path

from shared.catalog import Model
from workers.engines.base import Engine


def make_engine(model: Model, data_dir: Path, kind: str | None = None) -> Engine:
    """The engine for a model: the catalogue's, or the one named `kind`."""
    match kind or model.engine:
        case "simulated":
            from workers.engines.simulated import SimulatedEngine

            # Another engine's arguments mean nothing to the simulated one.
            return SimulatedEngine(model, model.engine_args if model.engine == "simulated" else None)
        case "diffusers":
            from workers.engines.diffusers import DiffusersEngine

            return DiffusersEngine(model, data_dir)
        case _:
            from workers.engines.vllm import VllmEngine

            return VllmEngine(model, data_dir)

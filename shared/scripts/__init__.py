"""The Lua scripts: each is one step that Redis takes without another in between."""

from importlib.resources import files


def script(name: str, *preludes: str) -> str:
    """The source of a script, behind those of the functions that it begins with."""
    return "\n".join(files(__name__).joinpath(f"{part}.lua").read_text() for part in (*preludes, name))

"""Figures, as people are told them."""


def seconds(value: float | None) -> str:
    """A time; `-` if there is none."""
    if value is None:
        return "-"
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.1f} s"

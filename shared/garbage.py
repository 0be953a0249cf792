"""Python's collector of cycles, in processes that run for long."""

import gc

YOUNG = 2_000  # objects that have come and not gone, at which the young ones are looked through


def settle() -> None:
    """Take what a process is made of out of the collector's sight, once it is made.

    A full collection is due only when what is new is a quarter of all that is old. Beside half a million objects
    of code, models and schemas, that is tens of MiB of garbage, and then a pause of all streams while they are
    looked through, in vain: they never go.

    One message has the chunks of a hundred streams: with Python's own 700, each would set the collector off.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)

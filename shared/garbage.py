"""Python's collector of cycles, in processes that run for long."""

import gc


def settle() -> None:
    """Take what a process is made of out of the collector's sight, once it is made.

    A full collection is due only when what is new is a quarter of all that is old. Beside half a million objects
    of code, models and schemas, that is tens of MiB of garbage, and then a pause of all streams while they are
    looked through, in vain: they never go.
    """
    gc.collect()
    gc.freeze()

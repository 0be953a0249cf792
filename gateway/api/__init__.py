"""Hops 1 and 8: the HTTP dialects, one file each. All lead to admission, and answer with views of its chunks."""

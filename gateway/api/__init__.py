"""Hop 1: the HTTP dialects, one file each. All lead to admission, and answer with views of its chunks."""

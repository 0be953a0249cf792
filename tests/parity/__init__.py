"""The same requests to vLLM's own OpenAI server and to this system: their answers must be the same.

Same weights, same engine arguments, one request after the other. `differences.py` has what may differ, and why.
"""

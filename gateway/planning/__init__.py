"""How many replicas each model is to have: planned from usage, and tried in a simulated week. No I/O here."""

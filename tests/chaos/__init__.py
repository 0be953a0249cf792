"""Chaos: any process may be killed at any moment, and every admitted request is answered all the same.

`make chaos` runs real clients against two gateways, three workers and a Valkey, and strikes at them meanwhile.
One seed decides what is asked and what is struck when; docs/guarantees.md tells what must hold.
"""

"""A campaign of faults against the real product: drawn from a seed, judged by an oracle of its own.

`make chaos RUNS=… SEED=…` runs it; docs/reliability.md says what it does and what it found.
"""

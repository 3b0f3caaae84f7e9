"""``make bench``: the engine beside the pipe, in interleaved rounds, as medians of ratios."""

"""The bot, its workers and its shell."""

import gc

# By default the garbage collector looks after every 700 new objects. A process of ours makes hundreds of
# thousands that stay while it imports what it needs: a quarter of its start was spent on looking at them.
gc.set_threshold(50_000, 10, 10)

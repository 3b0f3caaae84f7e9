"""The bot, its workers and its shell."""

import gc
import os

# By default the garbage collector looks after every 700 new objects. A process of ours makes hundreds of
# thousands that stay while it imports what it needs: a quarter of its start was spent on looking at them.
gc.set_threshold(50_000, 10, 10)

# Plugins of pydantic's that others have installed have no business with our settings, and to look for them
# reads what every installed package says of itself.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

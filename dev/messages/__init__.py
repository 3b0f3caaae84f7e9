"""The catalogue of everything the bot says: made-up situations, and the real messages for them."""

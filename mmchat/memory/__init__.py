"""The store of conversations and the search over it."""

"""The list of a person's own conversations, and what they do with it."""

"""The review room: pages for those who must know who said what, when, and what the model saw."""

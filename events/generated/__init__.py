"""Made-up conversations for trying things at scale; the same seed gives the same ones."""

"""The kernel: settings, errors, the message codec, LLM specs, and the sync-async boundary."""

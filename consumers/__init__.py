"""All that people touch: chat over WebSocket and its page."""

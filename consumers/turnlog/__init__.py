"""The conversation log of LLM chat applications in Django."""

__version__ = "0.1.0"

"""Erasing words from the log and keeping its proof: the act, its receipts, holds, retention."""

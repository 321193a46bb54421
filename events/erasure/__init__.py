"""Erases words from the log and keeps its proof: erasures, their receipts, holds, retention."""

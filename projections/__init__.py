"""The read side: read models derived from the log, which can be thrown away and rebuilt."""

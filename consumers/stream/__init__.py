"""The log over Server-Sent Events: what is appended, as it is committed."""

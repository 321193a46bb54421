"""An app with a projection of its own, as somebody who uses turnlog would write it."""

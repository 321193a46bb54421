"""Pictures and files that people send: checked, kept until they are sent, shown."""

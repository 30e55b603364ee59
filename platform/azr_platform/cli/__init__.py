"""The command line: one file a command, heavy imports inside; the only code that knows every room."""

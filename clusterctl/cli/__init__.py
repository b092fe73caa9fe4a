"""The command line: a file a command. It parses, calls, renders and sets the exit code; it decides nothing."""

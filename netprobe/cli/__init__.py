"""The command line: one command a file, no logic. Heavy modules are imported by the command that needs them."""

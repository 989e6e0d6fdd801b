"""The command line, one file a command: its arguments, and the function of `al_cxr.api` that does it.

To add a command, write a new file here (`command.add_commands` says what is in it) and name it in `parser.COMMANDS`.
What is slow to import is imported inside `call`, so that `--help` answers at once.
"""

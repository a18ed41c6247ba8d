"""The ``pipeline`` command: a thin shell over the rooms.

One module per group of commands. A command parses its arguments, calls one function of another room and prints: JSON
on standard output, messages on standard error, exit code 0 only on success. No business rule belongs here.
"""

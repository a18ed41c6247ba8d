"""Where files live, and how a directory becomes visible in one step.

What the files mean is the business of whoever writes them; nothing here knows an engine or a table.
"""

"""The drop folder of people's own files: each is imported once it has settled, then moved away with a report.

``waiting``   which files lie there, and whether they are still arriving; standard library only
``moving``    a file, its mapping and its report to ``done`` or ``rejected``, whole at any instant
``reporting`` what the report beside a file says
``taking``    import, report, move

A file stays where it is until its import is over, so that whoever is interrupted begins again: what was imported
already is found unchanged then. What is not the file's fault (a server that is down) moves nothing.
"""

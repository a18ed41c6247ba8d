"""Telling people that something failed: what is told, through which notifier, how often, and what if that fails, too.

``alert``      one thing that went wrong, and the message made of several; no secret leaves here
``notifier``   the port: who implements it can be told
``log_file``   lines of JSON in PIPELINE_HOME/alerts; the default, and where a notifier's own failure is written
``mail``       SMTP with STARTTLS or TLS
``webhook``    HTTP POST of JSON, which Slack and its like understand
``registry``   which notifiers there are, which are switched on; third-party ones by entry point
``collecting`` one message for many alerts: a broken night is one mail, not five hundred
``delivering`` a few tries with bounded patience; never an exception

Knows nothing of Dagster: what failed is told to it.
"""

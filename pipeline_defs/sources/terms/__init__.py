"""Where contract terms come from: one module per kind of file, each giving the one canonical frame.

A reader is a function ``read(path, as_of)`` that gives a `pipeline_defs.schema.terms.TermsDelivery`; `registry` lists
them. It says what the file says and judges each line by itself; which instrument a line means is decided by the
contract master. Nothing here knows the warehouse.
"""

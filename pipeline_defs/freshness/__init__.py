"""Fresh or stale: the one place where it is decided whether a source has to be asked.

``spans``     stretches of time, and what is left of one when others are taken away
``deciding``  `fresh`: a partition and an instant to `Hit`, `Missing` or `NotDue`
``silence``   the longest time in which a market legitimately gives nothing, for policies that know no calendar

Knows markets and nothing else: what is stored is told by whoever asks (the warehouse's ledger), and what follows from
the answer is done by whoever asked (a source, a sensor, a check).
"""

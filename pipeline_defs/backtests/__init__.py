"""Small strategies that run over exported catalogs, one module per engine, all with the same result.

Put here what proves that an export trades as its bars say, and what a newcomer can copy as a first
strategy. No strategy research, no reading of the warehouse, no writing of catalogs: a module here
knows its engine, the layout of that engine's export, and `result`.
"""

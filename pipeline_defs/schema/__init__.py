"""What a table, a frame and a batch are: descriptions and value types, no input or output.

Put here whatever two rooms must agree on. Business rules of an exchange belong in `markets`,
anything that reads or writes belongs in `sources`, `warehouse`, `exports` or `storage`.
"""

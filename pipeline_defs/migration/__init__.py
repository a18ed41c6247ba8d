"""Moving in from rustybt and zipline: old stores are read, planned and imported; they are never written.

``legacy``       what an old store says about itself, as values
``frames``       the frames in which old bars leave the readers
``plan``         what was found and is to be done, as values
"""

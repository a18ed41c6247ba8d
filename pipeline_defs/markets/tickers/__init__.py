"""Names of contracts, each read in the grammar its source declared.

``contract``   what a name says
``gdfl``       the vendor's day-first names with venue suffixes
``exchange``   NSE and Kite names
``truedata``   names with a YYMMDD expiry, as in TrueData file names
``grammars``   chooses the grammar, one name or many
``filenames``  the name inside a file name
"""

"""Items in tars and zips, which are read where they lie."""

"""Items in the rows of parquet files."""

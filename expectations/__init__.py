"""What good data is: one module per Great Expectations suite."""

"""Tasks: rows in, samples; samples and a model in, outcomes out."""

"""Metrics: outcomes in, a score and its bootstrap out."""

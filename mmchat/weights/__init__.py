"""Fetching, verifying, placing and preparing model weights."""

"""Finetuning: rows in, a better model out, and the proof that it is better."""

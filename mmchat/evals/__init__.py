"""Scores one can defend: tasks found from the rows, metrics from well-kept libraries, intervals on all of them."""

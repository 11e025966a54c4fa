"""One turn, end to end: window, senses, recall, reply."""

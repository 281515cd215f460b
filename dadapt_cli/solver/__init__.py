"""A fit: options, start, the two loops, when to stop, the trace."""

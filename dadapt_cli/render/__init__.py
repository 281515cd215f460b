"""Views of the records: table, JSONL, JSON, CSV, plot. They draw what they are given."""

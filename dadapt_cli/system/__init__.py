"""What the machine gives: files, locks, memory, signals."""

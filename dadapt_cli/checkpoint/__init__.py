"""Running fits kept on disk: their state as plain data, its file, when it is written."""

"""Many replicas at once, and the paper's convex experiments."""

"""Labels, sample weights and scaling: from the user's data to what a problem takes."""

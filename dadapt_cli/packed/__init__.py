"""Data on disk in leaves: written by `dadapt pack`, read leaf by leaf, summed along one tree."""

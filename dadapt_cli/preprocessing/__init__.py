"""From what the user gives to numbers: labels, sample weights, scaling."""

"""What systems are measured on: data sets read from files, and made from a seed."""

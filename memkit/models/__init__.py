"""Language models behind memkit's `Model` seam, one file per kind."""

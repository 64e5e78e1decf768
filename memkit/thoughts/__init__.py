"""Think-in-Memory: claims drawn from turns, organised into thoughts, found by hashing."""

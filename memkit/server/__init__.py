"""Servers that give a memory to programs in other processes."""

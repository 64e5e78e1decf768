"""HEMA's headline experiment in miniature: what does a model still know 300 turns later?"""

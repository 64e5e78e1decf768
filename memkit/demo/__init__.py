"""HEMA's main experiment in miniature: what does a model still know after 300 turns?"""

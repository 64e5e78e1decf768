"""Retrieval: does a memory find the turns that answer a question, and does it know when it cannot?

    data ─▶ haystacks ─▶ systems ─▶ outcomes ─▶ figures ─▶ tables

`data.py`, `locomo.py` and `longmemeval.py` read published sets, or unpublished ones of the same
shape, from a path; `systems.py` and `baselines.py` put memories behind one seam; `run.py` asks them
side by side and keeps only at which places the evidence stood, from which everything else follows.
"""

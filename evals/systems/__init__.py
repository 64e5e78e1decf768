"""Other people's memories behind the seam: three methods each, lifted to a `System`.

They run as their documentation says to use them, but without a network and without a model of
their own; `lifted` says what a memory has to do, the others are one adapter each.
"""
